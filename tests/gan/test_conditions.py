import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synthgan.gan.codebook import CodeBook
from synthgan.gan.conditions import Allowed, Given, canonical_order, grouped, prefix_masks, subset_masks
from synthgan.layout import EncodedConditions, Permitted
from tests.gan.tables import MIXED, atoms, order_of, random_table, seeded

FAILURE_RATE = 1e-6  # of each chi-squared test, were its seed not fixed


def masks_of(kind, n_spans, n_rows, seed=0):
    if kind == "prefix":
        return prefix_masks(torch.randperm(n_spans, generator=seeded(99)), n_rows, seeded(seed))
    return subset_masks(n_spans, n_rows, seeded(seed))


def test_what_tells_least_comes_first():
    frequency = torch.tensor([0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.9, 0.1, 0.0, 0.0, 0.0])
    assert canonical_order(frequency, [4, 2, 5]) == [2, 1, 0]
    assert canonical_order(frequency, [4, 2, 5], with_groups=[0]) == [2, 0, 1]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_few_codes_come_first_and_ties_keep_their_order(sizes):
    order = order_of(atoms(*sizes))
    assert sorted(order) == list(range(len(sizes)))
    assert [(sizes[j], j) for j in order] == sorted((size, j) for j, size in enumerate(sizes))


@given(st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))), st.integers(1, 40))
def test_groups_are_the_order_cut_into_even_parts(order, n_passes):
    groups = grouped(order, n_passes)
    sizes = [len(group) for group in groups]
    assert [j for group in groups for j in group] == order
    assert len(groups) == min(n_passes, len(order))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("kind", ["prefix", "subset"])
@given(n_spans=st.integers(1, 9), n_rows=st.integers(0, 50), seed=st.integers(0, 99))
def test_at_least_one_cell_stays_hidden(kind, n_spans, n_rows, seed):
    masks = masks_of(kind, n_spans, n_rows, seed)
    assert masks.dtype == torch.bool
    assert masks.shape == (n_rows, n_spans)
    assert not masks.all(dim=1).any()


@given(st.integers(1, 9).flatmap(lambda n: st.permutations(range(n))), st.integers(0, 99))
def test_prefix_masks_show_the_first_columns_of_the_order(order, seed):
    shown = prefix_masks(torch.tensor(order), 40, seeded(seed))[:, order].int()
    assert (shown.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("kind", ["prefix", "subset"])
def test_every_number_of_shown_columns_is_as_likely(kind):
    counts = masks_of(kind, 7, 7000).sum(dim=1).bincount(minlength=7)
    assert counts.sum() == 7000
    assert stats.chisquare(counts.numpy()).pvalue > FAILURE_RATE


def test_every_subset_of_a_size_is_as_likely():
    masks = subset_masks(4, 16_000, seeded())
    number = (masks * torch.tensor([1, 2, 4, 8])).sum(dim=1)
    for size in range(1, 4):
        counts = number[masks.sum(dim=1) == size].bincount(minlength=16)
        possible = [m for m in range(16) if m.bit_count() == size]
        assert counts[possible].sum() == counts.sum()
        assert stats.chisquare(counts[possible].numpy()).pvalue > FAILURE_RATE


@pytest.mark.parametrize("kind", ["prefix", "subset"])
def test_masks_come_from_the_generator_given(kind):
    before = torch.get_rng_state()
    first, again, other = (masks_of(kind, 6, 50, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


# A user's conditions


def test_permitted_codes_become_shares_of_cells():
    book = CodeBook(MIXED)
    part = Permitted(np.array([0, 1, 2]), np.array([0.0, -1, 0]), np.array([0.0, 1, 1]))
    allowed = Allowed.of(book, 2, part)  # height: an atom, three intervals, the missing value
    assert allowed.log_mass.tolist() == [0, 0, -np.inf, -np.inf, -np.inf]
    assert allowed.partial == [2]
    assert allowed.log_share[2, :8].isneginf().all()
    assert (allowed.log_share[2, 8:] == 0).all()
    group = Allowed.of(book, 0, Permitted(np.array([2]), np.array([0.0]), np.array([0.0])))
    assert group.partial == [2]  # one of its three members
    assert group.log_share[2].exp().tolist()[:3] == [0, 1, 0]


def test_given_cells_become_rows():
    book = CodeBook(MIXED)
    table = random_table(MIXED, 5)
    known = np.arange(25).reshape(5, 5) % 2 == 0
    given = Given.of(book, EncodedConditions(table, known, {}, in_order=True), {})
    assert torch.equal(given.rows.codes, book.rows(table).codes)
    assert given.known.tolist() == known.tolist()
    assert given.in_order
