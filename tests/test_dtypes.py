"""Dtypes in JSON; columns as plain numbers and back."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from synthgan.dtypes import (
    dtype_from_json,
    dtype_to_json,
    from_numbers,
    levels_array,
    natural_kind,
    object_keys,
    take,
    to_numbers,
    values_to_json,
)
from synthgan.errors import DataError
from tests.strategies import assert_same_column, columns, datetimes, floats, integers, timedeltas


@given(columns())
def test_dtypes_come_back_from_json(series):
    back = dtype_from_json(json.loads(json.dumps(dtype_to_json(series.dtype), allow_nan=False)))
    assert back == series.dtype
    if isinstance(back, pd.CategoricalDtype):
        assert list(back.categories) == list(series.dtype.categories)
        assert back.categories.dtype == series.dtype.categories.dtype
        assert back.ordered == series.dtype.ordered


def test_categories_that_are_text_objects_stay_objects():
    dtype = pd.CategoricalDtype(pd.Index(["a", "b"], dtype=object))
    assert dtype_from_json(dtype_to_json(dtype)).categories.dtype == np.dtype(object)


@pytest.mark.parametrize(
    "name", ["period[M]", "period[2W-SUN]", "interval[int64, both]", "interval[M8[ns], left]"]
)
def test_periods_and_intervals_come_back_from_json(name):
    dtype = pd.api.types.pandas_dtype(name.replace("M8", "datetime64"))
    assert dtype_from_json(json.loads(json.dumps(dtype_to_json(dtype)))) == dtype


@given(columns([integers, floats, datetimes, timedeltas]))
def test_numbers_come_back_exactly(series):
    values, missing = to_numbers(series)
    assert values.dtype in (np.int64, np.uint64, np.float64)
    assert (values[missing] == 0).all()
    assert_same_column(series, pd.Series(from_numbers(values, missing, series.dtype)))


@given(columns())
def test_levels_come_back_exactly(series):
    levels = series.dropna().drop_duplicates()
    back = levels_array(json.loads(json.dumps(values_to_json(levels.array), allow_nan=False)), series.dtype)
    assert_same_column(levels, pd.Series(back, dtype=series.dtype))


def test_integers_beyond_float_keep_every_digit():
    big = pd.Series([2**64 - 1, 0], dtype="uint64")
    assert to_numbers(big)[0].tolist() == [2**64 - 1, 0]
    nullable = pd.Series([2**62 + 1, None], dtype="Int64")
    assert to_numbers(nullable)[0].tolist() == [2**62 + 1, 0]


def test_times_are_ticks_of_their_own_unit():
    moment = pd.Series(pd.to_datetime(["1970-01-01 00:00:02"]))
    assert to_numbers(moment.astype("datetime64[s]"))[0].tolist() == [2]
    assert to_numbers(moment.astype("datetime64[ms]").dt.tz_localize("Asia/Tokyo"))[0].tolist() == [-32398000]


def test_nan_and_na_of_nullable_floats_are_missing():
    array = pd.arrays.FloatingArray(np.array([np.nan, 1.0, 2.0]), np.array([False, True, False]))
    assert to_numbers(pd.Series(array))[1].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("int8", "numerical"), ("float16", "numerical"), ("bool", "boolean"), ("boolean", "boolean"),
     ("object", "categorical"), ("category", "categorical"), ("M8[ns]", "datetime"), ("m8[s]", "timedelta"),
     (pd.ArrowDtype(pa.date64()), "datetime"), (pd.ArrowDtype(pa.large_string()), "categorical"),
     (pd.ArrowDtype(pa.list_(pa.int8())), ""), (pd.ArrowDtype(pa.decimal128(5, 2)), ""),
     (pd.SparseDtype(float), ""), ("complex128", ""), (pd.PeriodDtype("M"), "categorical")],
    ids=str,
)  # fmt: skip
def test_dtypes_have_kinds(dtype, kind):
    assert natural_kind(pd.api.types.pandas_dtype(dtype)) == kind


def test_objects_are_told_apart_by_type():
    keys = object_keys(pd.Series([1, 1.0, True, "1", None, np.int64(1)], dtype=object))
    assert keys.nunique() == 5
    assert keys.isna().tolist() == [False] * 4 + [True, False]


def test_tuples_are_values():
    assert levels_array([{"tuple": [1, "a"]}], np.dtype(object)).tolist() == [(1, "a")]


def test_take_spells_missing_objects_as_asked():
    levels = levels_array(["a"], np.dtype(object))
    assert take(levels, np.array([0, -1]), None).tolist() == ["a", None]
    assert take(levels, np.array([-1]), pd.NaT)[0] is pd.NaT


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"numpy": "complex64"}, {"numpy": "V3"}, {"arrow": "list"},
     {"datetime": "us", "tz": "Moon"},
     {"string": "disk", "missing": "NA"}, {"category": {"numpy": "int64"}, "ordered": True, "values": [1, 1]},
     {"nullable": "Int63"}, {"period": "x!"}],
)  # fmt: skip
def test_malformed_dtypes_are_refused(data):
    with pytest.raises(DataError, match="malformed"):
        dtype_from_json(data)
