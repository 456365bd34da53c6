import numpy as np
import pandas as pd
import pytest

from synthgan.errors import ConditionError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.known import (
    find_levels,
    has_missing,
    known_column,
    no_category,
    no_number,
    ticks,
)


@pytest.fixture(scope="module")
def codec():
    frame = pd.DataFrame(
        {"age": [20, 30, 50, None] * 9, "town": list("abcdefghi") * 4, "same": "x", "none": np.nan}
    )
    return TableCodec(Schema.infer(frame)).fit(frame)


def test_columns_are_known_by_name(codec):
    assert known_column("age", codec).kind == "numerical"
    with pytest.raises(ConditionError, match="'tow', which is not a column"):
        known_column("tow", codec)


def test_it_is_known_what_can_be_missing(codec):
    assert [has_missing(codec.codecs_[name]) for name in ("age", "town", "same", "none")] == [
        True,
        False,
        False,
        True,
    ]


def test_a_constant_has_one_level_or_none(codec):
    assert find_levels(codec.codecs_["same"], ["x", "y"]).tolist() == [0, -1]
    assert find_levels(codec.codecs_["none"], ["x"]).tolist() == [-1]
    assert no_category("y", codec.codecs_["same"]) == "is constant: 'x'."
    assert no_category("y", codec.codecs_["none"]) == "has missing values only."


def test_a_few_categories_are_listed(codec):
    assert "Categories: 'a', 'b', 'c', 'd', 'e', ... (9 in all)." in no_category("z", codec.codecs_["town"])


def test_near_numbers_are_named(codec):
    age = codec.codecs_["age"]
    assert no_number(25.5, age) == "The nearest values that it can have: 20.0, 30.0."
    assert no_number(3, age) == "Its known values lie between 20.0 and 50.0."


@pytest.mark.parametrize("local", ["2024-10-27 02:30", "2024-03-31 02:30"])  # twice, never
def test_a_local_time_that_is_not_one_moment_needs_an_offset(local):
    times = pd.date_range("2024-01-01", periods=400, freq="23h30min", tz="Europe/Berlin")
    column = Schema.infer(pd.DataFrame({"day": times}))["day"]
    with pytest.raises(ConditionError, match=r"'day' is in the zone Europe/Berlin, where .* Give the offset"):
        ticks(local, column)
    assert ticks(local + "+01:00", column) == ticks(pd.Timestamp(local + "+01:00"), column)
