from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.gan.growing import blur, coarsen, growth
from tests.gan.tables import seeded

sizes = st.integers(1, 40)


@given(sizes, st.floats(0, 8))
def test_a_blur_keeps_sums_and_spreads_evenly(n_codes, level):
    matrix = blur(n_codes, level).double()
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(n_codes).double(), rtol=1e-6, atol=1e-6)
    assert torch.equal(matrix, matrix.T)
    assert (matrix >= 0).all()


@given(sizes, st.integers(0, 7))
def test_whole_levels_are_groups_of_neighbours_each_split_by_the_next(n_codes, level):
    matrix, finer = blur(n_codes, level), blur(n_codes, level + 1)
    torch.testing.assert_close(matrix @ matrix, matrix)
    torch.testing.assert_close(matrix @ finer, matrix)
    groups = (matrix > 0).int()
    assert len(groups.unique(dim=0)) == min(2**level, n_codes)
    assert ((groups.diff(dim=1) != 0).sum(dim=1) <= 2).all(), "a run of codes"


@given(sizes)
def test_every_code_stands_for_itself_in_the_end(n_codes):
    assert torch.equal(blur(n_codes, growth(1.0, n_codes)), torch.eye(n_codes))
    assert torch.equal(blur(n_codes, 99.5), torch.eye(n_codes))


def test_a_finer_level_fades_in():
    for share in (0.25, 0.5):
        expected = (1 - share) * blur(8, 1) + share * blur(8, 2)
        torch.testing.assert_close(blur(8, 1 + share), expected)


def test_groups_of_codes_that_are_no_power_of_two_differ_by_one_at_most():
    size = (blur(11, 2) > 0).sum(dim=1)
    assert size.tolist() == [3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2]


def test_only_the_ordered_columns_are_shown_coarsely():
    rows = torch.rand(5, 9, generator=seeded())
    out = coarsen(rows, [(1, 4), (5, 9)], 1.0)
    torch.testing.assert_close(out[:, [0, 4]], rows[:, [0, 4]])
    torch.testing.assert_close(out[:, 1:4], rows[:, 1:4] @ blur(3, 1))
    torch.testing.assert_close(out[:, 5:], rows[:, 5:] @ blur(4, 1))
    assert torch.equal(coarsen(rows, [], 0.0), rows)


def test_neighbours_look_the_same_until_their_level():
    codes = torch.eye(4)
    shown = coarsen(codes, [(0, 4)], 1.0)
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[1], shown[2])
    assert len(coarsen(codes, [(0, 4)], 1.1).unique(dim=0)) == 4


@pytest.mark.parametrize("n_codes", [1, 2, 5, 64])
def test_growth_only_goes_up_and_is_done_in_time(n_codes):
    levels = [growth(i / 1000, n_codes, until=0.8) for i in range(1001)]
    assert levels[0] == 0
    assert all(0 <= after - before < 0.02 for before, after in pairwise(levels))
    assert levels[800] == levels[-1] == len(bin(n_codes - 1)) - 2 - (n_codes == 1)
    if n_codes > 1:
        whole = sum(level == round(level) for level in levels[:800])
        assert whole == pytest.approx(400, abs=10), "half of the time a level stays"
