from functools import partial

import numpy as np
import pytest
import torch

from synthgan import trees
from synthgan.gan.codebook import CodeBook
from synthgan.gan.forest import Forest
from synthgan.gan.threads import in_threads
from synthgan.layout import ATOM, CONTINUOUS, Layout
from synthgan.trees import grow
from tests.gan.tables import (
    MIXED,
    PARITY,
    SIZES,
    atoms,
    networks,
    order_of,
    parity_table,
    random_table,
    span,
    sum_table,
)


def grown_both(table, layout=PARITY, n_trees=60, seed=0, order=None):
    """Trees that tilt the chain and trees of the end, beside a decoder that knows nothing but frequencies."""
    decoder = networks(layout, shaken=False).decoder
    rows = decoder.book.rows(table)
    decoder.start_at_marginals(rows)
    half = torch.arange(len(rows) // 2)
    return grow(
        decoder, rows.take(half), rows.take(half + len(half)), order or order_of(layout), n_trees, seed
    )


def grown(*args, **kwargs):
    return grown_both(*args, **kwargs)[1]


def test_trees_learn_what_no_column_tells_on_its_own():
    forest = grown(parity_table(2000))
    table = parity_table(500, seed=1)
    rows = forest.book.rows(table)
    for number, j in enumerate(forest.columns.tolist()):
        right = forest.logits(number, rows.codes).softmax(dim=1)[torch.arange(500), table.codes[:, j]]
        assert right.mean() > 0.95
    assert sorted(forest.columns.tolist()) == [0, 1, 2]


def test_columns_that_nothing_tells_of_have_no_trees():
    for layout in (PARITY, SIZES):
        for forest in grown_both(random_table(layout, 2000), layout):
            assert forest.columns.tolist() == []
            assert forest.is_sound


def test_columns_of_rare_codes_of_many_codes_or_of_intervals_have_no_trees():
    layout = Layout.of(
        [
            span("rare", [ATOM] * 2),
            span("many", [ATOM] * 11),
            span("interval", [ATOM, CONTINUOUS]),
            span("group", [ATOM, 3]),
            span("one", [ATOM]),
            span("good", [ATOM] * 3),
        ]
    )
    table = random_table(layout, 1000)
    table.codes[:, 0] = 0
    table.codes[:19, 0] = 1
    rows = CodeBook(layout).rows(table)
    counts = torch.bincount(rows.codes.flatten(), minlength=layout.width)
    assert trees._few_codes(CodeBook(layout), counts) == [5]


def test_columns_of_few_codes_come_last():
    layout = atoms(3, 2)
    table = random_table(layout, 2000)
    table.codes[:, 1] = table.codes[:, 0] == 2
    forest = grown(table, layout)
    assert forest.columns.tolist() == [0, 1]


@pytest.mark.parametrize("n_rows", [1000, 250])
def test_where_time_is_short_fewer_columns_have_trees_of_fewer_rows(n_rows, monkeypatch):
    layout = atoms(2, 2, 2, 2, 2, 2)
    table = random_table(layout, 2000)
    table.codes[:] = table.codes[:, :1]  # each column tells all others
    assert len(grown(table, layout).columns) == 6
    monkeypatch.setattr(trees, "_MAX_WORK", 4 * n_rows * 6)  # four columns
    assert len(grown(table, layout).columns) == 4


def test_few_judges_let_no_trees_grow():
    decoder = networks(PARITY, shaken=False).decoder
    rows = decoder.book.rows(parity_table(1000))
    decoder.start_at_marginals(rows)
    for n_judges, n_columns in ((20, 3), (19, 0)):
        judges = rows.take(torch.arange(n_judges))
        assert len(grow(decoder, rows, judges, [0, 1, 2, 3], 20, 0)[1].columns) == n_columns


@pytest.mark.parametrize("part", [span("few", [ATOM] * 3), span("number", [ATOM] * 12, ordered=True)])
def test_a_column_that_has_no_others_has_no_trees(part):
    layout = Layout.of([part])
    for forest in grown_both(random_table(layout, 1000), layout):
        assert len(forest.columns) == 0


@pytest.mark.parametrize("layout", [PARITY, SIZES])
def test_when_its_time_is_over_no_column_is_begun(layout):
    decoder = networks(layout, shaken=False).decoder
    rows = decoder.book.rows((parity_table if layout is PARITY else sum_table)(1000))
    for forest in grow(decoder, rows, rows, order_of(layout), 20, 0, is_over=lambda: True):
        assert len(forest.columns) == 0


@pytest.mark.parametrize("layout", [PARITY, SIZES])
def test_one_seed_gives_the_same_trees_and_no_global_generator_is_advanced(layout):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    table = (parity_table if layout is PARITY else sum_table)(2000)
    states = [grown_both(table, layout, seed=seed)[layout is PARITY].state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    # Trees of classes set rows apart that tell when to stop; others learn from all rows of a small table.
    is_same = all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert is_same == (layout is SIZES)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_seeds_of_any_size_give_trees():
    table = parity_table(500)
    states = [grown(table, seed=seed, n_trees=6).state_dict() for seed in (1, 2**64 + 1, 2**64 - 1, 2**100)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_number_of_threads_changes_no_tree():
    n_threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append([forest.state_dict() for forest in grown_both(sum_table(2000), SIZES)])
    finally:
        torch.set_num_threads(n_threads)
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_no_column_has_more_trees_than_permitted():
    layout = atoms(5, 2)
    table = random_table(layout, 2000)
    table.codes[:, 1] = table.codes[:, 0] > 2
    forest = grown(table, layout, n_trees=12)
    five = forest.code < 5
    assert int(five.sum()) == 10  # two iterations of five trees
    assert int((~five).sum()) <= 12


# Numbers


def test_numbers_are_columns_of_many_codes_in_an_order():
    assert trees._numbers(CodeBook(SIZES)) == [0, 1, 2]
    assert trees._numbers(CodeBook(MIXED)) == []


def test_the_chain_is_tilted_by_the_columns_before_a_number():
    """In this order the sum comes after its parts, and each of them after columns that tell nothing of it."""
    tilts, forest = grown_both(sum_table(3000), SIZES, order=[3, 0, 1, 2])
    assert tilts.columns.tolist() == [2]
    assert {0, 1} <= set(tilts.feature.tolist()) <= {0, 1, 3}
    assert 2 not in forest.columns  # the chain has drawn it by the same trees
    tilts, _ = grown_both(sum_table(3000), SIZES, order=[2, 3, 1, 0])
    assert tilts.columns.tolist() == [1, 0]
    number = tilts.columns.tolist().index(1)
    features = tilts.feature[tilts.code[tilts.tree.long()] == tilts.book.starts[1]]
    assert 2 in features
    assert 0 not in features
    assert tilts.tilts(number)


def test_numbers_that_the_chain_knows_already_are_not_drawn_again():
    """Each number is told by the other two; of the two columns that come last, the last sees all others."""
    decoder = networks(SIZES, shaken=False).decoder
    rows = decoder.book.rows(sum_table(3000))
    decoder.start_at_marginals(rows)
    train, judge, order = rows.take(torch.arange(1500)), rows.take(torch.arange(1500, 3000)), [3, 2, 0, 1]

    def drawn_again(tilts):
        by_column = partial(trees._by_column, in_threads, lambda: False)
        found = trees._grown_numbers(decoder, tilts, train, judge, order, 100, 0, by_column)
        return [int(parts["columns"]) for parts in found]

    assert drawn_again(Forest(decoder.book)) == [0, 1]  # in the order of the chain
    assert 1 not in drawn_again(grow(decoder, train, judge, order, 100, 0)[0])


def test_no_number_has_more_trees_than_permitted():
    for n_trees, most in ((5, 4), (50, 40)):  # two of each axis; two rounds of 20
        tilts, _ = grown_both(sum_table(3000), SIZES, n_trees=n_trees)
        owner = torch.bucketize(tilts.code, tilts.book.starts, right=True)
        assert 0 < int(owner.bincount().max()) <= most


def test_where_time_is_short_fewer_numbers_are_tried(monkeypatch):
    layout = Layout.of([span(f"c{j}", [ATOM] * 12, ordered=True) for j in range(6)])
    table = random_table(layout, 2000)
    table.codes[:] = table.codes[:, :1]  # each column tells all others
    order = order_of(layout)
    assert grown_both(table, layout)[0].columns.tolist() == order[1:]
    monkeypatch.setattr(trees, "_MAX_WORK", 4 * 500 * 6)
    assert grown_both(table, layout)[0].columns.tolist() == order[1:5]


def test_numbers_that_few_rows_judge_need_more_than_luck():
    """By luck some save .005 nats of twenty rows, but not twice their standard error."""
    rows = CodeBook(SIZES).rows(random_table(SIZES, 3000))
    decoder = networks(SIZES, shaken=False).decoder
    decoder.start_at_marginals(rows)
    for seed in range(5):
        judge = rows.take(torch.arange(20 * seed, 20 * seed + 20))
        learn = rows.take(torch.arange(100, 1600))
        for forest in grow(decoder, learn, judge, order_of(SIZES), 40, seed):
            assert forest.columns.tolist() == []
