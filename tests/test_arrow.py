import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from synthgan.arrow import check_names, from_arrow, to_arrow
from synthgan.errors import DataError
from tests.strategies import assert_same_frame, frames

ODD = {
    "text as objects": pd.Series(["a", np.nan, "b"], dtype=object),
    "truth values as objects": pd.Series([True, None, False], dtype=object),
    "dates as objects": pd.Series([dt.date(2024, 1, 1), None], dtype=object),
    "moments as objects": pd.Series([dt.datetime(2024, 1, 1, 5), None], dtype=object),
    "decimals": pd.Series([Decimal("1.10"), None], dtype=object),
    "text of Python": pd.Series(["a", None], dtype="string[python]"),
    "text of Arrow": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
    "whole seconds": pd.Series(np.array(["1500-01-01", "NaT"], dtype="M8[s]")),
    "whole seconds in a zone": pd.Series(pd.to_datetime(["2024-07-01"]))
    .astype("M8[s]")
    .dt.tz_localize("Asia/Tokyo"),
    "categories of numbers": pd.Series(pd.Categorical([2**60, None, 30], [30, 10, 2**60], ordered=True)),
    "categories of dates": pd.Series(pd.Categorical(pd.to_datetime(["2024-01-01", None]))),
    "no categories": pd.Series(pd.Categorical([None, None], categories=[])),
}


@pytest.mark.parametrize("name", ODD)
def test_what_arrow_has_no_type_for_comes_back(name):
    frame = pd.DataFrame({"plain": range(len(ODD[name])), "odd": ODD[name]})
    back = from_arrow(to_arrow(frame), "it")
    pd.testing.assert_frame_equal(back, frame)
    assert [type(v) for v in back["odd"].dropna()] == [type(v) for v in frame["odd"].dropna()]


@given(frames())
def test_a_frame_comes_back_or_a_column_is_named(frame):
    refusal = None
    try:
        table = to_arrow(frame)
    except DataError as error:
        refusal = str(error)
    if refusal is None:
        assert_same_frame(frame, from_arrow(table, "it"))
    else:
        assert any(repr(name) in refusal or repr(str(name)) in refusal for name in frame.columns)


@pytest.mark.parametrize("names", [[3, 1, 2], ["b", 0, None], [(1, "a"), True, 0.5], ["", " ", "é"]])
def test_names_keep_their_types(names):
    frame = pd.DataFrame(np.zeros((2, 3)))
    frame.columns = pd.Index(names, tupleize_cols=False, dtype=object)
    back = from_arrow(to_arrow(frame), "it").columns
    assert [(type(name), name) for name in back] == [(type(name), name) for name in names]


MOMENT = pd.Timestamp("2024-01-01")


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        [2**70, 1],
        [1, 1.0],
        [(1, 2), (3, 4)],
        [MOMENT.tz_localize("UTC"), MOMENT.tz_localize("Asia/Tokyo")],
        [Decimal("Infinity"), Decimal(1)],
        ["\ud83e", "a"],
        pd.Categorical(pd.interval_range(0, 2)),
    ],
)
def test_values_that_would_change_are_refused_by_column(values):
    odd = values if isinstance(values, pd.Categorical) else pd.Series(values, dtype=object)
    with pytest.raises(DataError, match="Column 'odd' holds values that Parquet"):
        to_arrow(pd.DataFrame({"plain": [0.5, 1.5], "odd": odd}))


def test_names_that_are_the_same_as_text_are_refused():
    frame = pd.DataFrame([[1, 2]]).set_axis(pd.Index([0, "0"], dtype=object), axis=1)
    with pytest.raises(DataError, match="'0'"):
        to_arrow(frame)
    with pytest.raises(DataError, match="Columns of it share a name: 'a'"):
        check_names(["a", "b", "a"], "it")
    with pytest.raises(DataError, match="Columns of it share a name: 'a'"):
        from_arrow(pa.table([[1], [2]], names=["a", "a"]), "it")


def test_other_readers_get_the_values_and_their_own_notes():
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int8"), "b": pd.Categorical([2, 1])})
    assert to_arrow(frame)["b"].to_pylist() == [2, 1]
    assert to_arrow(frame).to_pandas()["a"].dtype == "Int8"


def test_a_note_that_no_longer_fits_is_left_aside():
    noted = to_arrow(
        pd.DataFrame(
            {"size": pd.Categorical([1, 2]), "when": pd.to_datetime(["2024-01-01"] * 2).as_unit("s")}
        )
    )
    field = noted.schema.field("size")
    changed = noted.set_column(0, field.with_type(pa.string()), pa.array(["x", "y"]))
    assert from_arrow(changed, "it")["size"].tolist() == ["x", "y"]
    later = pa.array([1, 1500], pa.timestamp("ms"))
    changed = noted.set_column(1, noted.schema.field("when").with_type(later.type), later)
    assert from_arrow(changed, "it")["when"].tolist() == pd.to_datetime([1, 1500], unit="ms").tolist()
    as_text = noted.schema.field("when").with_type(pa.string())
    changed = noted.set_column(1, as_text, pa.array(["yesterday", None]))
    assert from_arrow(changed, "it")["when"].iloc[0] == "yesterday"
    renamed = to_arrow(pd.DataFrame([[1]])).rename_columns(["other"])
    assert from_arrow(renamed, "it").columns.tolist() == ["other"]
    category = b'{"category": {"numpy": "int8"}, "ordered": false, "values": [1e400, 999]}'
    huge = b'{"dtype": ' + category + b', "missing": null}'
    for note in (b"[[", b"[]", b"null", b'{"dtype": []}', b'{"name": {"date": 1}}', b"[" * 9999, huge):
        field = pa.field("a", pa.int64(), metadata={b"synthgan": note})
        assert from_arrow(pa.table([[1]], schema=pa.schema([field])), "it")["a"].tolist() == [1]


def test_types_that_pandas_writes_but_does_not_read_come_back_as_something_it_knows():
    kinds = [pa.list_(pa.int64()), pa.dictionary(pa.int32(), pa.string())]
    frame = pd.DataFrame(
        {
            k: pd.arrays.ArrowExtensionArray(pa.array([v], type=kind))
            for k, (v, kind) in enumerate(zip([[1], "a"], kinds, strict=True))
        }
    ).set_axis(["list", "word"], axis=1)
    back = from_arrow(pa.Table.from_pandas(frame), "it")
    assert back["word"].dtype == "category"
    assert back["list"].iloc[0].tolist() == [1]


def test_tables_that_pandas_has_written_keep_their_names_and_gaps():
    frame = pd.DataFrame({"a": [1, 2], "b": pd.array([1, None], dtype="Int64")}, index=["x", "y"])
    frame.columns = pd.Index(["a", None], dtype=object)
    with pytest.warns(UserWarning, match="mixed type"):
        written = pa.Table.from_pandas(frame)
    back = from_arrow(written, "it")
    assert back.columns.tolist() == ["a", "None"]
    assert back["None"].dtype == "Int64"
