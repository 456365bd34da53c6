import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from synthgan import IndependentSynthesizer
from synthgan.errors import ConditionError, DataError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.given import gaps, given_cells
from tests.strategies import assert_same_frame, frames


@pytest.fixture(scope="module")
def real():
    n = 60
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 7 % 60, unit="D")
    return pd.DataFrame(
        {
            "age": (np.arange(n) % 50 + 20).astype("int8"),
            "count": pd.Series(np.arange(n) % 9).astype("Int64").where(np.arange(n) % 4 > 0),
            "price": (np.arange(n) % 40) / 4,
            "sex": ["F", "M", None] * (n // 3),
            "yes": [True, False] * (n // 2),
            "grade": pd.Categorical(["lo", "hi"] * (n // 2), ["lo", "mid", "hi"], ordered=True),
            "day": pd.Series(days).dt.tz_localize("Europe/Berlin"),
            "date": pd.Series(days.date).astype(pd.ArrowDtype(pa.date32())),
            "id": pd.array([f"k{i}" for i in range(n)], dtype="string"),
            "same": 5,
        }
    )


@pytest.fixture(scope="module")
def codec(real):
    return TableCodec(Schema.infer(real, kinds={"id": "identifier"})).fit(real)


@settings(phases=[Phase.explicit, Phase.generate])
@given(frames(), st.integers(0, 5))
def test_given_cells_come_back_whatever_else_is_drawn(frame, seed):
    codec = TableCodec(Schema.infer(frame)).fit(frame)
    rng = np.random.default_rng(seed)
    part = frame.loc[:, rng.random(frame.shape[1]) < 0.6]
    part = part.loc[:, [codec.schema[name].kind != "identifier" for name in part.columns]]
    conditions = given_cells(part, codec)
    table = conditions.encode(codec).table
    for j, span in enumerate(codec.layout_.spans):
        if span.column not in part:
            table.codes[:, j] = rng.integers(0, span.n_codes, len(frame))
            table.alphas[:, j] = rng.uniform(-1, 1, len(frame))
    out = codec.inverse_transform(table, 0, conditions)
    assert out.dtypes.equals(frame.dtypes)
    back = out.iloc[:, [list(frame.columns).index(name) for name in part.columns]]
    for position in range(part.shape[1]):
        old, new = part.iloc[:, position], back.iloc[:, position]
        pd.testing.assert_series_equal(new, old, check_index=False, check_exact=True)


@settings(phases=[Phase.explicit, Phase.generate])
@given(frames(), st.integers(0, 5))
def test_gaps_are_filled_and_all_else_is_kept(frame, seed):
    codec = TableCodec(Schema.infer(frame)).fit(frame)
    rng = np.random.default_rng(seed)
    holes = frame.astype(object).where(rng.random(frame.shape) < 0.7, None)
    conditions = gaps(holes, codec)
    encoded = conditions.encode(codec)
    table = encoded.table
    for j, span in enumerate(codec.layout_.spans):
        allowed = np.arange(span.n_codes)
        if j in encoded.permitted:
            allowed = encoded.permitted[j].codes
        drawn = rng.choice(allowed, len(frame))
        table.codes[:, j] = np.where(encoded.known[:, j], table.codes[:, j], drawn)
    out = codec.inverse_transform(table, seed, conditions)
    assert out.dtypes.equals(frame.dtypes)
    known = holes.notna().to_numpy()
    for position in range(frame.shape[1]):
        had_values = frame.iloc[:, position].notna().any()
        assert out.iloc[:, position].notna().all() or not had_values
        old, new = (part.iloc[known[:, position], position] for part in (frame, out))
        pd.testing.assert_series_equal(new, old, check_index=False, check_exact=True)


@pytest.mark.parametrize(
    "given_as",
    [
        {"age": "int64"},
        {"age": "float64"},
        {"age": "Int16"},
        {"age": "uint64[pyarrow]"},
        {"age": object},
        {"count": "float64"},
        {"count": object},
        {"price": "Float32"},
        {"price": "double[pyarrow]"},
        {"sex": object},
        {"sex": "category"},
        {"sex": "string"},
        {"yes": object},
        {"yes": "boolean"},
        {"grade": object},
        {"grade": "category"},
        {"day": "datetime64[ns, UTC]"},
        {"day": "datetime64[s, Europe/Berlin]"},
        {"day": object},
        {"date": "datetime64[s]"},
        {"date": object},
        {"date": "str"},
        {"day": "str"},
        {"same": "float32"},
    ],
)
def test_columns_of_other_dtypes_are_taken_if_their_values_are_the_same(real, codec, given_as):
    ((name, dtype),) = given_as.items()
    part = real[[name]].astype({name: dtype})
    for read in (given_cells, gaps):
        conditions = read(part, codec)
        table = conditions.encode(codec).table
        out = codec.inverse_transform(table, 0, conditions)
        present = real[name].notna()
        pd.testing.assert_series_equal(out[name][present], real[name][present])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"agee": [30]}, "'agee', which is not a column. Did you mean 'age'?"),
        ({"id": ["k1"]}, "'id' is an identifier"),
        ({"age": ["30"]}, "column 'age' is numerical (int8), but has the dtype"),
        ({"age": [True]}, "is numerical (int8), but has the dtype bool"),
        ({"age": [30.5, 31]}, "has the dtype int8, but 1 value that it cannot hold, such as 30.5"),
        ({"age": [300, 30]}, "1 value that it cannot hold, such as 300"),
        ({"age": [30.0, None]}, "has 1 missing value, but had none"),
        ({"age": [30, 10, 11]}, "cannot be 10 (2 such values). Its known values lie between 20 and 69."),
        (
            {"price": [0.3, 0.25]},
            "cannot be 0.3 (1 such value). The nearest values that it can have: 0.25, 0.5.",
        ),
        ({"sex": ["F", "X"]}, "column 'sex' has no category 'X'. Categories: 'F', 'M'."),
        ({"sex": [1, 2]}, "has no category 1"),
        ({"yes": [1, 0]}, "has no category 1"),
        ({"grade": pd.Categorical(["mid"])}, "has no category 'mid'"),
        ({"day": ["2024-01-01", "soon"]}, "1 value that it cannot hold, such as soon"),
        ({"day": [5]}, "column 'day' is datetime"),
        ({"day": pd.to_datetime(["2024-01-01"])}, "but has the dtype datetime64"),
        ({"day": pd.to_datetime(["1999-01-01"]).tz_localize("Europe/Berlin")}, "lie between 2024-01-01"),
        (
            {"date": pd.to_datetime(["2024-01-02 03:00"])},
            "1 value that it cannot hold, such as 2024-01-02 03",
        ),
        ({"same": [6]}, "is constant: 5"),
        ({"same": [np.nan]}, "has 1 missing value"),
    ],
)
def test_what_the_model_has_not_seen_is_refused_in_words(codec, part, message):
    with pytest.raises(ConditionError) as error:
        given_cells(pd.DataFrame(part), codec)
    assert message in str(error.value)


def test_names_that_do_not_tell_columns_apart_are_refused(codec):
    with pytest.raises(DataError, match="more than once: 'age'"):
        given_cells(pd.DataFrame([[1, 2]], columns=["age", "age"]), codec)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"age": ["x"]}, "X: column 'age' is numerical"),
        ({"age": [30.5]}, "1 value that it cannot hold"),
        ({"grade": ["best"]}, "does not fit category"),
        ({"id": [5]}, "'id' has the dtype int64, which does not fit"),
        ({"yes": ["x"]}, "which does not fit bool"),
        ({"day": pd.to_datetime(["2024-01-01"])}, "is datetime"),
    ],
)
def test_values_of_another_type_are_refused_beside_gaps_too(codec, part, message):
    with pytest.raises(ConditionError) as error:
        gaps(pd.DataFrame(part), codec)
    assert message in str(error.value)


def test_numbers_beyond_what_is_known_are_kept_beside_gaps(real, codec):
    part = pd.DataFrame({"age": [10, 127, None], "price": [0.3, 99.0, None], "same": [5, 6, None]})
    conditions = gaps(part, codec)
    encoded = conditions.encode(codec)
    out = codec.inverse_transform(encoded.table, 0, conditions)
    assert out["age"].tolist()[:2] == [10, 127]
    assert out["price"].tolist()[:2] == [0.3, 99.0]
    assert out["same"].tolist() == [5, 6, 5]
    assert out["age"].dtype == real["age"].dtype


def test_identifiers_are_filled_in_beside_those_that_are_kept(real, codec):
    fresh = codec.codecs_["id"].generate(3, 0).tolist()
    part = pd.DataFrame({"id": [fresh[1], None, "k7", None, fresh[0]]})
    conditions = gaps(part, codec)
    out = codec.inverse_transform(conditions.encode(codec).table, 0, conditions)["id"]
    assert out[[0, 2, 4]].tolist() == [fresh[1], "k7", fresh[0]]
    assert out.is_unique
    assert out.notna().all()


def test_a_frame_of_the_table_itself_changes_nothing(real, codec):
    part = real.drop(columns="id")
    conditions = given_cells(part, codec)
    out = codec.inverse_transform(conditions.encode(codec).table, 0, conditions)
    assert_same_frame(part, out[part.columns])


def test_identifiers_of_few_bits_are_filled_in():
    real = pd.DataFrame({"id": np.arange(200, dtype="uint8"), "x": np.random.default_rng(0).random(200)})
    model = IndependentSynthesizer(random_state=0).fit(real)
    assert model.schema_.kinds["id"] == "identifier"
    assert model.impute(real, random_state=0).equals(real)


@pytest.mark.parametrize("value", [1e300, 2**24 + 1])
def test_a_given_number_that_a_narrow_column_cannot_hold_is_refused(value):
    real = pd.DataFrame({"f": np.random.default_rng(0).random(99).astype("float32"), "x": range(99)})
    model = IndependentSynthesizer(random_state=0).fit(real)
    with pytest.raises(ConditionError, match="1 value that it cannot hold"):
        model.impute(pd.DataFrame({"f": [value], "x": [3]}), random_state=0)


def test_given_objects_keep_their_types():
    mixed = pd.Series([1, 2.5, "x", 2**53 + 1] * 30, dtype=object)
    real = pd.DataFrame({"o": mixed, "z": np.arange(120) % 3})
    model = IndependentSynthesizer(random_state=0).fit(real)
    cells = [1, 2.5, None, 2**53 + 1, 1.0, 7]
    out = model.impute(pd.DataFrame({"o": pd.Series(cells, dtype=object), "z": 0}), random_state=0)["o"]
    kept = [0, 1, 3, 4, 5]
    assert [(type(out[i]), out[i]) for i in kept] == [(type(cells[i]), cells[i]) for i in kept]
    out = model.sample(conditions=pd.DataFrame({"o": [1.0, 2.5]}), random_state=0)["o"]
    assert out.tolist() == [1, 2.5]
