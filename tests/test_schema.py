"""What a schema infers, refuses, and keeps in JSON."""

import datetime as dt
import enum
import json
import zoneinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from synthgan.errors import DataError
from synthgan.schema import Column, Schema
from tests.strategies import assert_same_frame, frames

N = 120
RNG = np.random.default_rng(0)


def kind_of(values, **options):
    return Schema.infer(pd.DataFrame({"x": values}), **options)["x"].kind


class TestInference:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (np.arange(N) % 7, "numerical"),
            (RNG.normal(size=N), "numerical"),
            (np.arange(N) % 2 == 0, "boolean"),
            (pd.array([True, None] * 60, dtype="boolean"), "boolean"),
            (["a", "b"] * 60, "categorical"),
            (pd.Categorical(["a", "b"] * 60), "categorical"),
            (pd.date_range("2020", periods=N), "datetime"),
            (pd.Series([dt.date(2020, 1, 1), None] * 60, dtype=pd.ArrowDtype(pa.date32())), "datetime"),
            (pd.to_timedelta(np.arange(N), unit="s"), "timedelta"),
            ([7] * N, "constant"),
            ([None] * N, "constant"),
            ([np.nan] * N, "constant"),
            ([7.0, np.nan] * 60, "numerical"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_kinds_follow_from_values(self, values, kind):
        assert kind_of(values) == kind

    def test_all_different_text_is_an_identifier(self):
        texts = [f"user {i}" for i in RNG.permutation(N)]
        assert kind_of(texts) == "identifier"
        assert kind_of(texts[:50]) == "categorical"
        assert kind_of([*texts, texts[0]]) == "categorical"

    def test_integers_that_number_the_rows_are_identifiers(self):
        assert kind_of(np.arange(N)) == "identifier"
        assert kind_of(RNG.permutation(N) + 10**6) == "identifier"
        assert kind_of(RNG.choice(3 * N, 2 * N, replace=False)) == "identifier"

    def test_integers_that_merely_differ_are_numbers(self):
        assert kind_of(RNG.choice(10**6, N, replace=False)) == "numerical"
        assert kind_of(np.arange(N).astype(float)) == "numerical"
        assert kind_of(np.arange(N) ** 2) == "numerical"

    def test_input_is_not_changed(self):
        frame = pd.DataFrame({"a": [1, None], "b": ["x", None]})
        before = frame.copy()
        Schema.infer(frame)
        pd.testing.assert_frame_equal(frame, before)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NaT, pd.NA], ids=str)
    def test_spelling_of_missing_objects_is_kept(self, missing):
        column = Schema.infer(pd.DataFrame({"x": pd.Series(["a", missing, missing], dtype=object)}))["x"]
        assert column.missing is missing or np.isnan(column.missing)


class TestDeclaredKinds:
    def test_declared_kinds_win(self):
        frame = pd.DataFrame({"code": [1, 2, 1], "flag": [0, 1, 0], "id": ["a", "b", "b"]})
        kinds = {"code": "categorical", "flag": "boolean", "id": "identifier"}
        assert Schema.infer(frame, kinds=kinds).kinds == kinds

    @pytest.mark.parametrize(
        ("kinds", "message"),
        [
            ({"agee": "numerical"}, r"kinds names 'agee', which is not a column. Did you mean 'age'\?"),
            (
                {"age": "numeric"},
                r"kinds\['age'\] must be one of .* Got 'numeric'. Did you mean 'numerical'\?",
            ),
            ({"sex": "numerical"}, "'sex' is declared numerical but has the dtype .* pd.to_numeric"),
            ({"sex": "datetime"}, "'sex' is declared datetime .* pd.to_datetime"),
            ({"age": "boolean"}, "'age' is declared boolean but has more than two values"),
            ({"age": "constant"}, "'age' is declared constant but has several values"),
            ({"height": "identifier"}, "'height' is declared identifier .* Identifiers are integers or text"),
        ],
    )
    def test_impossible_kinds_are_refused(self, kinds, message):
        frame = pd.DataFrame({"age": [1, 2, 3], "sex": ["F", "M", "F"], "height": [1.5, 1.6, 1.7]})
        with pytest.raises(DataError, match=message):
            Schema.infer(frame, kinds=kinds)


class TestRefusals:
    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            ([1, 2], "must be a pandas DataFrame. Got list"),
            (pd.DataFrame(index=range(3)), "at least one column"),
            (pd.DataFrame({"a": []}), "at least one row. Got 0 rows and 1 column"),
            (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "must differ. Found more than once: 'a'"),
            (pd.DataFrame({("a", "b"): [1]}), "MultiIndex; flatten"),
            (pd.DataFrame([[1]], columns=pd.Index([object], dtype=object)), "must be text, numbers or dates"),
            (pd.DataFrame([[1, 2]], columns=["a", np.nan]), "must be text, numbers or dates. Rename: nan"),
            (pd.DataFrame([[1]], columns=pd.Index([pd.NA], dtype=object)), "Rename: <NA>"),
            (pd.DataFrame([[1]], columns=pd.Index(["\ud83e"], dtype=object)), "Rename: "),
        ],
        ids=range(9),
    )
    def test_tables_without_a_shape(self, frame, message):
        with pytest.raises(DataError, match=message):
            Schema.infer(frame)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0, np.inf, -np.inf], "has 2 infinite values .first at row 1.. Replace them"),
            ([[1], [2], [3]], "holds values of type list .3 of them., .* columns of their own"),
            ([{"k": 1}, None, "a"], "holds values of type dict"),
            ([object(), 1, 2], "holds values of type object .*, .* Convert them"),
            (["\ud83e", "a", None], "holds 1 text that is not valid Unicode"),
            ([1j, 2j, 3j], "has the dtype complex128, .* real and an imaginary part"),
            (pd.arrays.SparseArray([0, 0, 1]), "Sparse.*to_dense"),
            (np.array([1, 2, 3], dtype=">i4"), "has the dtype >i4, .* byte order"),
            (pd.array([1, 2, 3], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), "decimal.*float64"),
            (
                pd.array([[1], [2], [3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
                "list.* columns of their own",
            ),
        ],
        ids=range(10),
    )
    def test_values_that_cannot_be_modelled(self, values, message):
        values = pd.Series(values, dtype=object) if isinstance(values, list) and None in values else values
        with pytest.raises(DataError, match="Column 'x' .*" + message):
            Schema.infer(pd.DataFrame({"x": values}))

    def test_all_problems_come_in_one_message(self):
        frame = pd.DataFrame({"a": [np.inf, 1.0], "b": [[1], [2]], "c": [1, 2]})
        with pytest.raises(DataError) as caught:
            Schema.infer(frame, kinds={"d": "numerical"})
        assert [name in str(caught.value) for name in ("'a'", "'b'", "'c'", "'d'")] == [
            True,
            True,
            False,
            True,
        ]

    def test_messages_hold_no_values(self):
        with pytest.raises(DataError) as caught:
            Schema.infer(pd.DataFrame({"x": [["secret"], "secret"]}))
        assert "secret" not in str(caught.value)


class TestJson:
    @given(frames())
    def test_schemas_come_back(self, frame):
        schema = Schema.infer(frame)
        back = Schema.from_json(schema.to_json())
        assert back.to_json() == schema.to_json()
        assert_same_frame(schema.empty(), back.empty())
        assert [type(name) for name in back.names] == [type(name) for name in schema.names]

    def test_files_and_text_are_read(self, tmp_path):
        schema = Schema.infer(pd.DataFrame({0: [1, 2], "0": ["ü", "b"], None: [1.5, 2]}))
        text = schema.to_json(tmp_path / "schema.json")
        assert Schema.from_json(tmp_path / "schema.json") == schema == Schema.from_json(text)
        assert schema.names == [0, "0", None]

    @pytest.mark.parametrize(
        "damage",
        [{"version": 99}, {"columns": None}, {"columns": [1]}, {"columns": [{"name": 1}]},
         {"columns": [{"name": "a", "kind": "label", "dtype": {"numpy": "int64"}, "missing": None}]},
         {"columns": [{"name": "a", "kind": "numerical", "dtype": {"numpy": "void"}, "missing": None}]}],
    )  # fmt: skip
    def test_malformed_schemas_are_refused(self, damage):
        with pytest.raises(DataError):
            Schema.from_dict({"version": 1, "columns": []} | damage)

    @pytest.mark.parametrize("text", ["{", "{}", "no such file.json", '{"a": ' + "[" * 100_000])
    def test_what_is_no_schema_is_refused(self, text):
        with pytest.raises(DataError):
            Schema.from_json(text)

    def test_json_is_strict(self):
        schema = Schema.infer(pd.DataFrame({"x": pd.Categorical([0.5, np.nan])}))
        assert json.loads(schema.to_json(), parse_constant=pytest.fail)


class TestCheck:
    FRAME = pd.DataFrame({"age": [1, 2], "sex": pd.Categorical(["F", "M"])})

    def test_columns_come_in_schema_order(self):
        schema = Schema.infer(self.FRAME)
        assert_same_frame(schema.check(self.FRAME[["sex", "age"]]), self.FRAME)

    def test_reordered_categories_are_put_in_order(self):
        other = self.FRAME.assign(sex=pd.Categorical(["F", "F"], categories=["M", "F", "X"]))
        with_known = other.assign(sex=other["sex"].cat.remove_unused_categories())
        for frame in (other, with_known):
            checked = Schema.infer(self.FRAME).check(frame)
            assert checked["sex"].tolist() == ["F", "F"]
            assert list(checked["sex"].cat.categories) == ["F", "M"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: f.drop(columns="age"), "lacks 1 of 2 columns of the schema: 'age'"),
            (lambda f: f.rename(columns={"age": "Age"}), r"lacks 1 .* 'age'. Did you mean 'Age'\?"),
            (lambda f: f.assign(extra=1), "columns that the schema does not know: 'extra'"),
            (lambda f: f.astype({"age": float}), "'age' has the dtype float64 but int64"),
            (
                lambda f: f.assign(sex=pd.Categorical(["F", "X"])),
                "'sex' has categories that the schema does not know .1 of them",
            ),
            (lambda f: f.to_numpy(), "DataFrame. Got ndarray"),
            (lambda f: pd.concat([f, f], axis=1), "must differ"),
        ],
        ids=range(7),
    )
    def test_departures_are_named(self, change, message):
        with pytest.raises(DataError, match=message):
            Schema.infer(self.FRAME).check(change(self.FRAME))


def test_columns_are_found_by_name():
    schema = Schema.infer(pd.DataFrame({"age": [1, 2]}))
    assert schema["age"] == Column("age", "numerical", np.dtype("int64"))
    assert len(schema) == 1
    assert [column.name for column in schema] == ["age"]
    with pytest.raises(DataError, match=r"no column 'aeg'\. Did you mean 'age'"):
        schema["aeg"]


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pd.date_range("2024", periods=9, tz="dateutil/Europe/Berlin"), "which has no name"),
        (pd.Series([Colour.RED, Colour.BLUE] * 9, dtype=object), "values of type Colour"),
        (pd.Series([dt.datetime(2024, 1, 1, tzinfo=BERLIN)] * 2, dtype=object), "values of type datetime"),
        (pd.Series([dt.time(1, tzinfo=BERLIN)] * 2, dtype=object), "values of type time"),
    ],
)
def test_what_would_not_come_back_from_a_file_is_refused(values, words):
    with pytest.raises(DataError, match=words):
        Schema.infer(pd.DataFrame({"x": values}))
