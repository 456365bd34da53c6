import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan.gan import forest as forest_module
from synthgan.gan.codebook import CodeBook
from synthgan.gan.forest import MAX_LEAVES, Forest, tilts_of
from synthgan.layout import ATOM, Layout
from tests.gan.tables import MIXED, atoms, random_table, span

ALL = 2**MAX_LEAVES - 1


@st.composite
def trees(draw, n_spans, depth=4):
    """A leaf, as a number, or (span, threshold, left, right)."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.floats(-3, 3, width=32))
    lower = trees(n_spans, depth - 1)
    return (draw(st.integers(0, n_spans - 1)), draw(st.floats(0, 1, width=32)), draw(lower), draw(lower))


def leaves_of(tree):
    return leaves_of(tree[2]) + leaves_of(tree[3]) if isinstance(tree, tuple) else [tree]


def nodes_of(tree, n_before=0):
    """Of each node the span, the threshold, and which leaves are not on its left."""
    if not isinstance(tree, tuple):
        return []
    n_left = len(leaves_of(tree[2]))
    mask = ALL - sum(2**leaf for leaf in range(n_before, n_before + n_left))
    below = nodes_of(tree[2], n_before) + nodes_of(tree[3], n_before + n_left)
    return [(tree[0], tree[1], mask), *below]


def walked(tree, numbers):
    while isinstance(tree, tuple):
        tree = tree[3] if numbers[tree[0]] > tree[1] else tree[2]
    return tree


def forest_of(layout, grown, seed=0):
    """A forest of (code, tree) pairs, with columns in the order in which they come."""
    book, rng = CodeBook(layout), np.random.default_rng(seed)
    owner = torch.bucketize(torch.tensor([code for code, _ in grown]), book.starts, right=True) - 1
    columns = torch.tensor(list(dict.fromkeys(owner.tolist())))
    nodes = [(number, *node) for number, (_, tree) in enumerate(grown) for node in nodes_of(tree)]
    tree, feature, threshold, mask = torch.tensor(nodes, dtype=torch.float64).reshape(-1, 4).T
    leaves = [leaves_of(tree) for _, tree in grown]
    return Forest(
        book,
        columns=columns,
        values=torch.from_numpy(rng.random((len(columns), layout.width))),
        bias=torch.from_numpy(rng.normal(size=layout.width)),
        direction=torch.zeros(layout.width),
        code=torch.tensor([code for code, _ in grown]),
        axis=torch.zeros(len(grown)),
        leaves=torch.tensor([values + [0.0] * (MAX_LEAVES - len(values)) for values in leaves]),
        tree=tree,
        feature=feature,
        threshold=threshold,
        mask=mask,
    )


STUMP = (0, 0.5, -1.0, 1.0)  # of the first column, for the last code of two columns of 3 and 2 codes


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from([MIXED, atoms(2, 3), atoms(4)]), st.integers(0, 99))
def test_logits_are_the_bias_and_the_leaf_of_each_tree(data, layout, seed):
    pair = st.tuples(st.integers(0, layout.width - 1), trees(len(layout)))
    grown = data.draw(st.lists(pair, min_size=1, max_size=6))
    forest = forest_of(layout, grown, seed)
    codes = forest.book.rows(random_table(layout, 30)).codes
    assert forest.is_sound
    for number, j in enumerate(forest.columns.tolist()):
        span = forest.book.span(j)
        expected = forest.bias[span].repeat(len(codes), 1)
        for code, tree in grown:
            if span.start <= code < span.stop:
                found = [walked(tree, row.tolist()) for row in forest.values[number][codes]]
                expected[:, code - span.start] += torch.tensor(found)
        torch.testing.assert_close(forest.logits(number, codes), expected)


def test_a_number_above_the_threshold_goes_to_the_right():
    forest = forest_of(atoms(3, 2), [(4, (0, 0.25, -1.0, 1.0))])
    forest.values.copy_(torch.tensor([[0.125, 0.25, 0.375, 0.0, 0.0]]))
    forest.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.5, 0.0]))
    codes = torch.tensor([[0, 3], [1, 3], [2, 3]])
    assert forest.logits(0, codes).tolist() == [[0.5, -1.0], [0.5, -1.0], [0.5, 1.0]]


def test_a_tree_may_have_as_many_leaves_as_there_are_bits():
    def chain(n_leaves):  # 1 if the number is above none of the thresholds, 2 above one, ...
        tree = float(MAX_LEAVES)
        for k in range(n_leaves - 1, 0, -1):
            tree = (0, k / 100, float(k), tree)
        return tree

    forest = forest_of(atoms(MAX_LEAVES, 2), [(MAX_LEAVES + 1, chain(MAX_LEAVES))])
    forest.values.copy_((torch.arange(MAX_LEAVES + 2) + 0.5) / 100)
    forest.bias.zero_()
    codes = torch.stack([torch.arange(MAX_LEAVES), torch.full((MAX_LEAVES,), MAX_LEAVES)], dim=1)
    assert forest.logits(0, codes)[:, 1].tolist() == list(range(1, MAX_LEAVES + 1))


def test_trees_of_a_direction_vote_for_one_height_and_one_spread():
    layout = Layout.of([span("few", [ATOM] * 3), span("number", [ATOM] * 4, ordered=True, missing=True)])
    forest = forest_of(layout, [(3, STUMP), (5, (0, 0.5, 0.0, 2.0)), (3, (0, 0.5, 2**0.5, 0.0))])
    forest.values.copy_(torch.tensor([[0.0, 0.5, 1.0, 0, 0, 0, 0]]))
    forest.bias.copy_(torch.tensor([9.0, 9, 9, 0, 0, 0.5, 0]))
    assert not forest.tilts(0)
    forest.direction.copy_(torch.tensor([0.0, 0, 0, -1, 0, 1, 0]))
    forest.axis.copy_(torch.tensor([1, 1, 2]))
    assert forest.tilts(0)
    codes = torch.tensor([[1, 3], [2, 3]])  # heights -1 + 0 and 1 + 2; the first has a spread
    expected = torch.tensor([[1.0, -1.0, -0.5, 0.0], [-3.0, 0.0, 3.5, 0.0]])
    torch.testing.assert_close(forest.logits(0, codes), expected)
    assert torch.equal(forest.by_column()[1](codes), forest.logits(0, codes))


@pytest.mark.parametrize(("height", "spread"), [(1.0, 0.0), (0.0, 0.3), (-0.5, -0.4)])
def test_a_tilted_normal_distribution_is_a_normal_distribution(height, spread):
    places = torch.linspace(-8, 8, 4001)
    tilts = tilts_of(places, torch.linspace(0, 1, 4001))
    shares = (-places.square() / 2 + height * tilts[0] + spread * tilts[1]).softmax(dim=0)
    variance = 1 / (1 - 2**0.5 * spread)
    mean = float(shares @ places)
    assert mean == pytest.approx(variance * height, abs=1e-3)
    assert float(shares @ places.square()) - mean**2 == pytest.approx(variance, abs=1e-3)


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    forest = forest_of(atoms(3, 2), [(4, STUMP), (3, STUMP)])
    codes = forest.book.rows(random_table(atoms(3, 2), 100)).codes
    at_once = forest.logits(0, codes)
    monkeypatch.setattr(forest_module, "_BLOCK_LEAVES", 7)
    assert torch.equal(forest.logits(0, codes), at_once)
    assert forest.logits(0, codes[:0]).shape == (0, 2)


def test_a_forest_takes_the_size_of_the_one_that_was_saved():
    saved = forest_of(atoms(3, 2), [(4, STUMP)])
    loaded = Forest(saved.book)
    loaded.load_state_dict(saved.state_dict())
    codes = saved.book.rows(random_table(atoms(3, 2), 20)).codes
    assert torch.equal(loaded.logits(0, codes), saved.logits(0, codes))
    old = {name: part for name, part in saved.state_dict().items() if name not in ("direction", "axis")}
    loaded.load_state_dict(old)  # of a model from before trees could tilt
    assert loaded.is_sound
    assert torch.equal(loaded.logits(0, codes), saved.logits(0, codes))
    old = saved.state_dict() | {"direction": torch.ones(5)}
    del old["axis"]
    loaded.load_state_dict(old)  # trees that tilt, from before they had an axis: not taken for others
    assert not loaded.is_sound
    loaded.load_state_dict({})  # of a model without trees
    assert len(loaded.columns) == 0
    assert loaded.is_sound


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("columns", 2),
        ("columns", -1),
        ("code", 5),
        ("axis", 3),
        ("axis", -1),
        ("feature", 2),
        ("feature", -1),
        ("tree", 1),
        ("tree", -1),
    ],
)
def test_an_index_of_nothing_is_not_sound(name, value):
    forest = forest_of(atoms(3, 2), [(4, STUMP)])
    assert forest.is_sound
    getattr(forest, name)[0] = value
    assert not forest.is_sound


def test_nodes_out_of_order_are_not_sound():
    forest = forest_of(atoms(3, 2), [(4, STUMP), (3, STUMP)])
    forest.tree.copy_(forest.tree.flip(0))
    assert not forest.is_sound


@pytest.mark.parametrize(
    "name", ["columns", "values", "bias", "direction", "code", "axis", "leaves", "tree", "threshold", "mask"]
)
def test_a_part_of_another_size_is_not_sound(name):
    forest = forest_of(atoms(3, 2), [(4, STUMP)])
    setattr(forest, name, getattr(forest, name)[:0])
    assert not forest.is_sound


def test_a_mask_that_leaves_no_leaf_does_no_harm():
    """A file can hold any mask: some leaf counts then."""
    forest = forest_of(atoms(3, 2), [(4, STUMP)])
    forest.mask.zero_()
    assert torch.isfinite(forest.logits(0, forest.book.rows(random_table(atoms(3, 2), 20)).codes)).all()


def test_without_trees_there_is_nothing_to_be_unsound():
    assert Forest(CodeBook(MIXED)).is_sound
