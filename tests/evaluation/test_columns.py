import numpy as np
import pandas as pd
import pytest

from synthgan.errors import DataError
from synthgan.evaluation.columns import code_column

ROLES = ("real", "synthetic", "holdout")


def codes_of(*columns, kind="numerical"):
    codes, levels = code_column([pd.Series(c, name="c") for c in columns], kind, ROLES)
    return [part.tolist() for part in codes], levels.tolist()


def test_codes_are_places_in_the_sorted_levels_of_all_tables():
    assert codes_of([30, 10], [20, 10]) == ([[2, 0], [1, 0]], [10, 20, 30])


def test_missing_is_minus_one_in_every_spelling():
    assert codes_of([1.0, np.nan], pd.array([None, 1], dtype="Int8"))[0] == [[0, -1], [-1, 0]]
    assert codes_of(["a", None], pd.Categorical([None, "a"]), kind="categorical")[0] == [[0, -1], [-1, 0]]


def test_the_same_value_in_another_dtype_is_the_same_level():
    assert codes_of(pd.Categorical([2, 1]), np.array([1, 2], "int8"), [1.0, 2.0], kind="categorical")[0] == [
        [1, 0],
        [0, 1],
        [0, 1],
    ]
    assert codes_of(pd.Categorical(["b", "a"]), pd.array(["a", "b"], "string"), kind="categorical")[0] == [
        [1, 0],
        [0, 1],
    ]


SINGLE = pytest.mark.parametrize(
    "single",
    [
        np.array([0.1, 0.7, 3.0], "float32"),
        pd.array([0.1, 0.7, 3.0], "Float32"),
        pd.array([0.1, 0.7, 3.0], "float[pyarrow]"),
        pd.Categorical(np.array([0.1, 0.7, 3.0], "float32")),
        pd.Series([np.float32(0.1), np.float32(0.7), np.float32(3)], dtype=object),
        np.array([0.1, 0.7, 3.0], "float16"),
    ],
    ids=["numpy", "nullable", "arrow", "category", "object", "half"],
)


@SINGLE
@pytest.mark.parametrize("kind", ["numerical", "categorical"])
def test_numbers_are_compared_at_the_least_precision_in_which_a_table_holds_them(single, kind):
    double = [0.7, 0.1, 3.0]
    assert codes_of(single, double, [3, 3], kind=kind)[0] == [[0, 1, 2], [1, 0, 2], [2, 2]]
    assert codes_of(double, [3, 3], single, kind=kind)[0] == [[1, 0, 2], [2, 2], [0, 1, 2]]


def test_tables_of_full_precision_keep_it():
    assert codes_of([0.1], [0.1 + 1e-12])[0] == [[0], [1]]
    nothing = np.array([np.nan], "float32")
    assert codes_of([0.1], [0.1 + 1e-12], nothing)[0] == [[0], [1], [-1]]


def test_whole_numbers_are_rounded_as_their_copies_were():
    big = 2**24 + 1
    assert codes_of(np.array([big]).astype("float32"), np.array([big]))[0] == [[0], [0]]


@pytest.mark.parametrize("other", [[1e300, 0.1], np.array([2**62, 0])])
def test_numbers_beyond_the_range_of_the_least_precision_stay(other):
    codes, levels = codes_of(np.array([0.5, 2.0], "float16"), other)
    assert np.isfinite(levels).all()
    assert codes[1] == [len(levels) - 1, 0]


def test_unused_categories_are_no_levels():
    assert codes_of(pd.Categorical(["b"], categories=["a", "b"]), ["b"], kind="categorical")[1] == ["b"]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_beyond_the_floats_stay_apart(dtype):
    big = 2**53 if dtype == "int64" else 2**64 - 3
    assert codes_of(np.array([big, big + 1], dtype), np.array([big + 1, big], dtype))[0] == [[0, 1], [1, 0]]


def test_signed_and_unsigned_integers_meet_exactly():
    assert codes_of(np.array([2**63 + 1], "uint64"), np.array([2**62 + 1], "int64"))[1] == [
        2**62 + 1,
        2**63 + 1,
    ]


def test_dates_are_equal_whatever_their_unit_or_zone():
    seconds = pd.Series(pd.to_datetime(["2024-01-01 12:00", "2024-01-02 00:00"])).astype("datetime64[s]")
    assert codes_of(seconds, seconds.astype("datetime64[ns]"), kind="datetime")[0] == [[0, 1], [0, 1]]
    utc = seconds.dt.tz_localize("UTC")
    assert codes_of(utc, utc.dt.tz_convert("Asia/Tokyo"), kind="datetime")[0] == [[0, 1], [0, 1]]


def test_an_all_missing_column_fits_any_sort():
    assert codes_of([1, 2], [None, None])[0] == [[0, 1], [-1, -1]]
    assert codes_of([None, None], ["a", "b"], kind="constant")[0] == [[-1, -1], [0, 1]]


def test_mixed_objects_keep_their_types_apart():
    real = pd.Series([1, True, "1", "a"], dtype=object)
    assert codes_of(real, pd.Series([True, True], dtype=object), kind="categorical")[0] == [
        [1, 0, 2, 3],
        [0, 0],
    ]
    zones = pd.Series([pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-01", tz="UTC")], dtype=object)
    assert codes_of(zones, zones[::-1], kind="categorical")[0] == [[0, 1], [1, 0]]


def test_masked_nan_is_missing():
    nan = pd.Series(pd.arrays.FloatingArray(np.array([np.nan, np.nan]), np.array([False, False])))
    assert codes_of(nan, nan)[0] == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(
    ("real", "synthetic", "words"),
    [
        ([1, 2], ["1", "2"], "numbers in real (dtype int64) but text in synthetic"),
        ([True, False], [1, 0], "booleans in real (dtype bool) but numbers in synthetic"),
        (pd.to_datetime(["2024-01-01"]), ["2024-01-01"], "dates in real"),
        (
            pd.to_datetime(["2024-01-01"]),
            pd.to_datetime(["2024-01-01"], utc=True),
            "dates with a time zone in",
        ),
    ],
)
def test_values_of_another_sort_are_named(real, synthetic, words):
    with pytest.raises(DataError) as caught:
        codes_of(real, synthetic, kind="categorical")
    assert words in str(caught.value)
    assert "'c'" in str(caught.value)


@pytest.mark.parametrize("bad", [[1.0, np.inf], [[1], [2]], [1j, 2j]], ids=["infinite", "nested", "complex"])
def test_values_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(DataError, match="Column 'c' of synthetic"):
        codes_of([1.0, 2.0], bad)
