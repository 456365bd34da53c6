"""Single values in JSON keep their types."""

import datetime as dt
import json
import math
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError
from synthgan.scalars import is_supported, scalar_from_json, scalar_to_json

PLAIN = st.one_of(
    st.none(), st.booleans(), st.text(), st.integers(), st.floats(allow_nan=False), st.binary(), st.dates(),
    st.times(), st.datetimes(), st.timedeltas(), st.uuids(), st.decimals(allow_nan=False),
)  # fmt: skip
VALUES = PLAIN | st.tuples(PLAIN, PLAIN)
ODD = [
    np.int8(-3), np.uint64(2**64 - 1), np.float32(0.1), np.bool_(True), 2**53, -(2**90), math.inf,
    pd.Timestamp("2020-01-01 12:00", tz="Europe/Berlin"), pd.Timestamp("1600-01-01").as_unit("s"),
    pd.Timedelta(5, "ns"), pd.Interval(0, 1, closed="both"), pd.Period("2020-02", "M"), (("a",), 1),
]  # fmt: skip


def through_json(value):
    return scalar_from_json(json.loads(json.dumps(scalar_to_json(value), allow_nan=False)))


@given(VALUES)
def test_values_and_types_come_back(value):
    back = through_json(value)
    assert type(back) is type(value)
    assert back == value


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_numpy_and_pandas_values_come_back(value):
    back = through_json(value)
    assert type(back) is type(value)
    assert back == value


def test_every_missing_value_comes_back():
    assert through_json(pd.NA) is pd.NA
    assert through_json(pd.NaT) is pd.NaT
    assert through_json(None) is None
    assert math.isnan(through_json(float("nan")))


def test_equal_values_of_other_types_stay_apart():
    texts = [json.dumps(scalar_to_json(value)) for value in (0, "0", 0.0, False, np.int64(0), Decimal(0))]
    assert len(set(texts)) == len(texts)


def test_large_integers_are_text_for_readers_with_doubles():
    assert scalar_to_json(2**53) == {"int": "9007199254740992"}
    assert scalar_to_json(uuid.UUID(int=1)) == {"uuid": "00000000-0000-0000-0000-000000000001"}


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}, {1}, 1j, np.complex64(1), (1, [2]), dt.UTC])
def test_other_values_are_refused(value):
    assert not is_supported(value)
    with pytest.raises(DataError, match="cannot be kept"):
        scalar_to_json(value)


@pytest.mark.parametrize(
    "data",
    [[], {}, [1], {"int": "x"}, {"import": "os"}, {"numpy": "object", "value": 1}, {"date": 3},
     {"float": "1"},
     {"bytes": "%"}, {"tuple": 1}, {"missing": "x"}, {"timestamp": 1, "unit": "parsec", "tz": None}],
)  # fmt: skip
def test_malformed_values_are_refused(data):
    with pytest.raises(DataError, match="malformed"):
        scalar_from_json(data)
