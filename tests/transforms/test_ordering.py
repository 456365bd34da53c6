"""Levels that occur in the same company come near each other."""

import numpy as np
import pytest

from synthgan.transforms.ordering import level_scores


def test_alike_levels_score_alike():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 60, 20_000)
    context = np.where(rng.random(20_000) < 0.9, levels % 3, rng.integers(0, 3, 20_000))
    scores = level_scores(levels, 60, [(context, 3)])
    within = max(np.ptp(scores[k::3]) for k in range(3))
    means = np.sort([scores[k::3].mean() for k in range(3)])
    assert np.diff(means).max() > within


def test_two_blocks_by_hand():
    # Levels 0 and 1 occur with code 0 only, level 2 with code 1 only: the first axis is that split.
    scores = level_scores(np.array([0, 0, 1, 1, 2, 2]), 3, [(np.array([0, 0, 0, 0, 1, 1]), 2)])
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] * scores[2] < 0


@pytest.mark.parametrize("context", [[], [(np.zeros(6, int), 1)]])
def test_nothing_to_tell_levels_apart_scores_zero(context):
    assert np.abs(level_scores(np.arange(6), 6, context)).max() < 1e-9


def test_missing_rows_are_left_out():
    with_missing = level_scores(np.array([0, 1, -1, 2]), 3, [(np.array([0, 0, 1, 1]), 2)])
    without = level_scores(np.array([0, 1, 2]), 3, [(np.array([0, 0, 1]), 2)])
    np.testing.assert_allclose(with_missing, without)


def test_scores_are_the_same_every_time():
    rng = np.random.default_rng(0)
    levels, context = rng.integers(0, 50, 1000), [(rng.integers(0, 5, 1000), 5)]
    np.testing.assert_array_equal(level_scores(levels, 50, context), level_scores(levels, 50, context))
