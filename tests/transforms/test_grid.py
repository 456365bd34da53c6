"""Coordinates: exact for integers, and for floats of few decimals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.transforms.grid import FloatGrid, IntegerGrid, find_decimals, grid_from_dict, make_grid

INT64 = st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20)
UINT64 = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
FLOAT = st.lists(NUMBERS, min_size=1, max_size=20)  # beside 1e308, subnormal numbers become 0
SORTS = [
    INT64.map(lambda v: np.array(v, dtype=np.int64)),
    UINT64.map(lambda v: np.array(v, dtype=np.uint64)),
    FLOAT.map(np.array),
    st.lists(st.integers(-(10**6), 10**6), min_size=1).map(lambda v: np.array(v) / 1000),
]
ARRAYS = st.one_of(SORTS)
PAIRS = st.sampled_from(SORTS).flatmap(lambda sort: st.tuples(sort, sort))


@given(ARRAYS)
def test_values_come_back_exactly(values):
    grid = make_grid(np.unique(values))
    back = grid.value(grid.index(values))
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@given(ARRAYS)
def test_json_keeps_the_grid(values):
    grid = make_grid(np.unique(values))
    assert grid_from_dict(grid.to_dict()) == grid


@given(PAIRS)
def test_other_values_become_the_nearest_inside(pair):
    values, others = pair
    grid = make_grid(np.unique(values))
    back = grid.value(grid.index(others))
    assert back.min() >= values.min()
    assert back.max() <= values.max()


def test_common_step_is_found():
    grid = make_grid(np.array([3000, 5000, 11000]))
    assert (grid.origin, grid.step, grid.top) == (3000, 2000, 4)
    assert grid.value(grid.index(np.array([6999, 7001, 0]))).tolist() == [7000, 7000, 3000]


def test_whole_days_stay_whole_days():
    day = 24 * 3600 * 10**9
    assert make_grid(np.array([0, 2, 3]) * day).step == day


def test_full_range_of_64_bits():
    ends = np.array([-(2**63) + 1, 0, 1, 2**63 - 1])
    grid = make_grid(ends)
    assert grid.index(ends)[-1] == 2**64 - 2
    assert grid.value(np.array([2**64 - 2], dtype=np.uint64)).tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, -5.0], 0),
        ([0.1, 2.25], 2),
        ([1e-10], 10),
        ([1e-11], None),
        ([1 / 3], None),
        ([1e300, 0.5], None),
    ],
)
def test_decimals_are_counted(values, decimals):
    assert find_decimals(np.array(values)) == decimals


def test_decimals_are_those_of_the_column_type():
    narrow = np.array([0.1, 0.7], dtype=np.float32).astype(np.float64)
    assert find_decimals(narrow) is None
    assert find_decimals(narrow, np.float32) == 1


def test_kinds_of_grid():
    assert make_grid(np.array([0.5, 1.25])) == IntegerGrid(50, 75, 1, decimals=2)
    assert make_grid(np.array([0.0, np.pi])) == FloatGrid(0.0, np.pi)


def test_ranges_that_overflow_are_scaled():
    values = np.array([-1.7e308, 0.1, 1.7e308])
    grid = make_grid(values)
    assert grid.scale < 1
    assert np.isfinite(np.ptp(grid.index(values)))
    np.testing.assert_array_equal(grid.value(grid.index(values)), values)
