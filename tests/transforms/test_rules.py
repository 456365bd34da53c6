import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synthgan.errors import ConditionError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.conditions import Cells
from synthgan.transforms.rules import rules


def fitted(**columns):
    frame = pd.DataFrame(columns)
    return TableCodec(Schema.infer(frame, kinds={"id": "identifier"} if "id" in columns else None)).fit(frame)


@pytest.fixture(scope="module")
def codec():
    n = 60
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 7 % 60, unit="D")
    return fitted(
        age=np.arange(n) % 50 + 20,
        price=(np.arange(n) % 40) / 4,
        ratio=np.arange(n, dtype="float32") / 7,
        sex=["F", "M", None] * (n // 3),
        yes=[True, False] * (n // 2),
        grade=pd.Categorical(["lo", "hi"] * (n // 2), ["lo", "mid", "hi"], ordered=True),
        day=pd.Series(days).dt.tz_localize("Europe/Berlin"),
        date=pd.Series(days.date).astype(pd.ArrowDtype(pa.date32())),
        wait=pd.to_timedelta(np.arange(n) % 31, unit="min"),
        id=[f"k{i}" for i in range(n)],
        same="only",
        none=np.full(n, np.nan),
    )


def intervals(codec, name, wanted):
    found = rules({name: wanted}, codec)
    if name in found.cells:
        value = found.cells[name].plain.item()
        return [(value, value)]
    found = found.ranges[name]
    return list(zip(found.low.tolist(), found.high.tolist(), strict=True))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((30, 40), [(30, 40)]),
        ((29.5, 40.5), [(30, 40)]),
        ((None, 25), [(20, 25)]),
        ((60, None), [(60, 69)]),
        ((None, None), [(20, 69)]),
        ((-np.inf, np.inf), [(20, 69)]),
        ((0, 1000), [(20, 69)]),
        ((30, 30), [(30, 30)]),
        (30, [(30, 30)]),
        (30.0, [(30, 30)]),
        (np.uint8(30), [(30, 30)]),
        ([40, 30, 40], [(30, 30), (40, 40)]),
        ({30, 31}, [(30, 30), (31, 31)]),
        (range(30, 33), [(30, 30), (31, 31), (32, 32)]),
        (pd.Series([30, 31]), [(30, 30), (31, 31)]),
        (np.array([30, 31]), [(30, 30), (31, 31)]),
        (pd.array([30, 31], dtype="Int64"), [(30, 30), (31, 31)]),
    ],
)
def test_numbers_are_read_exactly(codec, wanted, expected):
    assert intervals(codec, "age", wanted) == expected


def test_ends_between_two_values_move_inward(codec):
    assert intervals(codec, "price", (0.3, 1.1)) == [(0.5, 1.0)]
    low, high = intervals(codec, "ratio", (0.1, 0.7))[0]
    assert low >= 0.1  # as the column stores it, in 32 bits
    assert high <= 0.7
    assert (np.float32(low), np.float32(high)) == (low, high)


def test_a_float_stands_for_the_one_that_the_column_stores(codec):
    assert intervals(codec, "ratio", 0.1) == [(float(np.float32(0.1)),) * 2]


def test_decimals_and_fractions_are_no_numbers_of_a_table(codec):
    with pytest.raises(ConditionError, match=r"cannot be Decimal\('30'\), of type Decimal"):
        rules({"age": Decimal(30)}, codec)


BERLIN = 1704063600 * 10**6  # 2024-01-01 in Berlin, in microseconds


@pytest.mark.parametrize(
    "wanted",
    [
        "2024-01-01",
        dt.date(2024, 1, 1),
        dt.datetime(2024, 1, 1),
        np.datetime64("2024-01-01"),
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2023-12-31 23:00", tz="UTC"),
        pd.Timestamp("2024-01-01", tz="Europe/Berlin").as_unit("ns"),
    ],
)
def test_moments_are_read_in_the_zone_of_the_column(codec, wanted):
    own = codec.schema["day"].dtype.unit
    assert intervals(codec, "day", wanted)[0][0] == BERLIN * (1000 if own == "ns" else 1)


def test_times_are_read_in_the_unit_of_the_column(codec):
    assert intervals(codec, "date", ("2024-01-02", None))[0][0] == 19724
    assert intervals(codec, "date", (pd.Timestamp("2024-01-02 00:01"), None))[0][0] == 19725
    minute = 60 * 10 ** {"us": 6, "ns": 9}[np.datetime_data(codec.schema["wait"].dtype)[0]]
    for wanted in ("5min", dt.timedelta(minutes=5), np.timedelta64(300, "s"), pd.Timedelta("5min")):
        assert intervals(codec, "wait", wanted) == [(5 * minute, 5 * minute)]
    assert intervals(codec, "wait", ("90s", "190s")) == [(2 * minute, 3 * minute)]


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), pd.NA, pd.NaT])
def test_every_spelling_of_missing_is_read(codec, missing):
    found = rules({"sex": missing, "none": missing}, codec)
    assert found.cells["sex"].missing.tolist() == [True]
    assert set(found.cells) == {"sex"}  # a constant is met by every row
    assert sorted(rules({"sex": ["F", missing]}, codec).ranges["sex"]) == [-1, 0]


def test_values_of_equal_meaning_are_found(codec):
    for name, wanted in [("yes", True), ("yes", np.True_), ("sex", np.str_("F")), ("grade", "hi")]:
        assert isinstance(rules({name: wanted}, codec).cells[name], Cells)


def test_types_stay_apart_where_a_column_has_several():
    mixed = pd.Series([1, True, "1", 1.5, (1, 2)] * 5, dtype=object)
    codec = fitted(mixed=mixed, x=list("ab") * 12 + ["a"])
    levels = list(codec.codecs_["mixed"].levels_)
    for value in (1, True, "1", 1.5, (1, 2)):
        at = rules({"mixed": value}, codec).cells["mixed"].plain[0]
        assert (type(levels[at]), levels[at]) == (type(value), value)
    assert rules({"mixed": np.int64(1)}, codec).cells["mixed"].plain[0] == levels.index(1)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"agee": 30}, "'agee', which is not a column. Did you mean 'age'?"),
        ({3: 30}, "3, which is not a column"),
        (
            {"sex": "f"},
            "Condition sex='f': column 'sex' has no category 'f'. Did you mean 'F'? Categories: 'F'",
        ),
        ({"sex": ["F", "X"]}, "no category 'X'"),
        ({"sex": ("F", "M")}, "is categorical and takes no range. Give a list"),
        ({"sex": []}, "would have no value"),
        ({"sex": {"a": 1}}, "has no category {'a': 1}"),
        ({"sex": [["F"]]}, "has no category ['F']"),
        ({"sex": 1}, "has no category 1"),
        ({"yes": 1}, "has no category 1"),
        ({"yes": "True"}, "has no category 'True'"),
        ({"yes": None}, "has no missing values"),
        ({"grade": "mid"}, "has no category 'mid'. Categories: 'lo', 'hi'"),
        ({"age": (40, 30)}, "empty range: its lower end is above its upper one"),
        ({"age": (30, 40, 50)}, "takes a range as (low, high)"),
        ({"age": ()}, "takes a range as (low, high)"),
        ({"age": (30, "40")}, "is numerical and cannot be '40', of type str"),
        ({"age": (30, np.nan)}, "cannot be nan"),
        ({"age": "30"}, "is numerical and cannot be '30', of type str. Give a number"),
        ({"age": True}, "cannot be True, of type bool"),
        ({"age": 30.5}, "cannot be 30.5. The nearest values that it can have: 30, 31."),
        ({"age": 19}, "Its known values lie between 20 and 69."),
        ({"age": (80, None)}, "has no value in this range. Its known values lie between 20 and 69."),
        ({"age": (None, 3)}, "Its known values lie between 20 and 69."),
        ({"age": (30.1, 30.9)}, "The nearest values that it can have: 30, 31."),
        ({"age": None}, "has no missing values"),
        ({"age": [30, None]}, "has no missing values"),
        ({"price": 0.3}, "The nearest values that it can have: 0.25, 0.5."),
        ({"day": 3}, "is datetime and cannot be 3, of type int. Give a point in time"),
        ({"day": "tomorrow-ish"}, "cannot be 'tomorrow-ish'"),
        ({"day": "2030-01-01"}, "lie between 2024-01-01 00:00:00+01:00 and"),
        ({"date": pd.Timestamp("2024-01-02", tz="UTC")}, "is datetime and cannot be Timestamp"),
        ({"wait": 5}, "is timedelta and cannot be 5"),
        ({"wait": "90s"}, "The nearest values that it can have: 0 days 00:01:00, 0 days 00:02:00."),
        ({"id": "k3"}, "is an identifier"),
        ({"same": "other"}, "is constant: 'only'"),
        ({"same": None}, "has no missing values"),
        ({"same": ("a", "b")}, "takes no range"),
        ({"none": 3}, "has missing values only"),
    ],
)
def test_what_no_row_can_meet_is_refused_in_words(codec, conditions, message):
    with pytest.raises(ConditionError) as error:
        rules(conditions, codec)
    assert message in str(error.value)


def test_a_column_without_values_can_only_be_missing():
    frame = pd.DataFrame({"empty": [np.nan] * 9, "x": list("abc") * 3})
    codec = TableCodec(Schema.infer(frame, kinds={"empty": "numerical"})).fit(frame)
    assert rules({"empty": None}, codec).cells["empty"].missing.all()
    for wanted in (3, (1, 2)):
        with pytest.raises(ConditionError, match="had no value when the model was fitted"):
            rules({"empty": wanted}, codec)


def test_long_conditions_are_cut_in_messages(codec):
    with pytest.raises(ConditionError) as error:
        rules({"sex": ["no such value"] * 99}, codec)
    assert len(str(error.value)) < 200
