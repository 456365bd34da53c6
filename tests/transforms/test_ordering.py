"""Levels that occur in the same company come into one group."""

import numpy as np
import pytest

from synthgan.transforms.ordering import MAX_CONTEXT, alike_order


def groups_of(order, sizes):
    return [set(part.tolist()) for part in np.split(order, np.cumsum(sizes)[:-1])]


def test_two_blocks_by_hand():
    # Levels 0 and 3 occur with code 0 only, levels 1 and 2 with code 1 only.
    levels, codes = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([0, 0, 1, 1, 1, 1, 0, 0])
    found = groups_of(alike_order(levels, np.array([2, 2]), [(codes, 2)]), [2, 2])
    assert sorted(map(sorted, found)) == [[0, 3], [1, 2]]


def test_groups_follow_a_noisy_column():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 60, 20_000)
    codes = np.where(rng.random(20_000) < 0.9, levels % 3, rng.integers(0, 3, 20_000))
    sizes = np.array([20, 20, 20])
    for group in groups_of(alike_order(levels, sizes, [(codes, 3)]), sizes):
        assert len({level % 3 for level in group}) == 1


def test_halves_are_split_along_their_own_axis():
    # Four kinds of levels: two columns tell them apart only together.
    levels = np.repeat(np.arange(40), 50)
    context = [(levels % 2, 2), (levels // 2 % 2, 2)]
    for group in groups_of(alike_order(levels, np.full(4, 10), context), np.full(4, 10)):
        assert len({level % 4 for level in group}) == 1


@pytest.mark.parametrize("context", [[], [(np.zeros(6, int), 1)], [(np.arange(6) * 0, 3)]])
def test_order_is_kept_where_nothing_tells_levels_apart(context):
    assert alike_order(np.arange(6), np.array([3, 3]), context).tolist() == [0, 1, 2, 3, 4, 5]


def test_rows_without_a_level_are_left_out():
    levels, codes = np.array([0, 1, -1, -1, 2, 3]), np.array([0, 0, 1, 0, 1, 1])
    some = alike_order(levels, np.array([2, 2]), [(codes, 2)])
    assert {0, 1} in groups_of(some, [2, 2])
    assert alike_order(np.array([-1, -1]), np.array([1, 1]), [(np.zeros(2, int), 1)]).tolist() == [0, 1]


def test_every_level_has_one_place_and_order_is_the_same_every_time():
    rng = np.random.default_rng(0)
    levels, context = rng.integers(0, 50, 1000), [(rng.integers(0, 5, 1000), 5)]
    sizes = np.array([7, 7, 7, 7, 7, 7, 8])
    order = alike_order(levels, sizes, context)
    assert sorted(order.tolist()) == list(range(50))
    np.testing.assert_array_equal(order, alike_order(levels, sizes, context))


def test_of_many_columns_those_that_tell_levels_apart_are_used():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 40, 4000)
    telling = [(levels % 2, 2), (levels // 2 % 2, 2)]
    noise = [(rng.integers(0, k, 4000), k) for k in range(1, 5 * MAX_CONTEXT)]
    sizes = np.full(4, 10)
    alone, among = (
        alike_order(levels, sizes, context)
        for context in ([*telling, *noise[: MAX_CONTEXT - 2]], [*noise, *telling])
    )
    for order in (alone, among):
        for group in groups_of(order, sizes):
            assert len({level % 4 for level in group}) == 1
