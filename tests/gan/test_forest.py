import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan.gan import forest as forest_module
from synthgan.gan.forest import MAX_DEPTH, Forest, tree_features
from synthgan.gan.networks import CodeBook
from tests.gan.tables import MIXED, atoms, random_table

N_NODES = 7


def leafless(n_trees):
    """Trees whose nodes all lead to themselves, and add nothing."""
    itself = torch.arange(N_NODES)[None, :, None].expand(n_trees, -1, 2)
    return {
        "feature": torch.zeros(n_trees, N_NODES),
        "threshold": torch.zeros(n_trees, N_NODES),
        "branches": itself.clone(),
        "value": torch.zeros(n_trees, N_NODES),
    }


def stump(column, threshold, low, high):
    """One tree of one comparison."""
    parts = leafless(1)
    parts["feature"][0, 0], parts["threshold"][0, 0] = column, threshold
    parts["branches"][0, 0] = torch.tensor([1, 2])
    parts["value"][0, 1], parts["value"][0, 2] = low, high
    return parts


@st.composite
def forests(draw, layout):
    """Any trees for one or two columns of a layout."""
    book, rng = CodeBook(layout), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = list(rng.permutation(len(layout))[: draw(st.integers(1, 2))])
    codes = [layout.spans[j].start + rng.integers(layout.spans[j].n_codes) for j in columns for _ in range(3)]
    parts = leafless(len(codes))
    for tree in range(len(codes)):
        for node in range(draw(st.integers(0, N_NODES // 2))):  # its children: 2 node + 1, 2 node + 2
            parts["branches"][tree, node] = torch.tensor([2 * node + 1, 2 * node + 2])
    return Forest(
        book,
        columns=torch.tensor(columns),
        values=torch.from_numpy(rng.random((len(columns), layout.width))),
        bias=torch.from_numpy(rng.normal(size=layout.width)),
        code=torch.tensor(codes),
        **(
            parts
            | {
                "feature": torch.from_numpy(rng.integers(len(layout), size=parts["feature"].shape)),
                "threshold": torch.from_numpy(rng.random(parts["feature"].shape)),
                "value": torch.from_numpy(rng.normal(size=parts["value"].shape)),
            }
        ),
    )


def walked(forest, tree, features):
    """The value of the leaf of one row, node by node."""
    node = 0
    for _ in range(MAX_DEPTH):
        goes_right = features[forest.feature[tree, node]] > forest.threshold[tree, node]
        node = int(forest.branches[tree, node, int(goes_right)])
    return float(forest.value[tree, node])


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from([MIXED, atoms(2, 3)]))
def test_logits_are_the_bias_and_the_leaf_of_each_tree(data, layout):
    forest = data.draw(forests(layout))
    rows = forest.book.rows(random_table(layout, 30))
    assert forest.is_sound
    for number, j in enumerate(forest.columns.tolist()):
        span = forest.book.span(j)
        expected = forest.bias[span].repeat(len(rows), 1)
        features = tree_features(forest.book, rows, forest.values[number])
        for tree, code in enumerate(forest.code.tolist()):
            if span.start <= code < span.stop:
                leaves = [walked(forest, tree, row) for row in features]
                expected[:, code - span.start] += torch.tensor(leaves)
        torch.testing.assert_close(forest.logits(number, rows), expected)


def test_a_number_above_the_threshold_goes_to_the_right():
    book = CodeBook(atoms(3, 2))
    forest = Forest(
        book,
        columns=torch.tensor([1]),
        values=torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.0]]),
        bias=torch.tensor([0.0, 0.0, 0.0, 0.5, 0.0]),
        code=torch.tensor([4]),
        **stump(column=0, threshold=0.2, low=-1.0, high=1.0),
    )
    rows = book.rows(random_table(atoms(3, 2), 3))
    rows.codes[:, 0] = torch.tensor([0, 1, 2])
    assert forest.logits(0, rows).tolist() == [[0.5, -1.0], [0.5, -1.0], [0.5, 1.0]]


def test_a_cell_counts_by_the_number_of_its_code_and_in_an_interval_by_alpha():
    book, table = CodeBook(MIXED), random_table(MIXED, 4)
    table.codes[:, 2] = [1, 1, 2, 4]  # height: two intervals of five codes, the missing value
    table.alphas[:, 2] = [-1.0, 0.99, 0.0, 0.0]
    values = torch.arange(MIXED.width) / 100
    start = MIXED.spans[2].start
    step = (1 - 1 / 16) / 10  # the middle of the last of 16 cells, half of the distance between 5 codes
    expected = [
        (start + 1) / 100 - step,
        (start + 1) / 100 + step,
        (start + 2) / 100 + 0.1 / 16,
        (start + 4) / 100,
    ]
    features = tree_features(book, book.rows(table), values)
    assert features[:, 2].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(features[:, 1], values[book.rows(table).codes[:, 1]])  # categories: nothing added


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    book = CodeBook(atoms(3, 2))
    parts = {"columns": torch.tensor([1]), "values": torch.rand(1, 5), "bias": torch.zeros(5)}
    forest = Forest(book, **parts, code=torch.tensor([4]), **stump(0, 0.5, -1.0, 1.0))
    rows = book.rows(random_table(atoms(3, 2), 100))
    at_once = forest.logits(0, rows)
    monkeypatch.setattr(forest_module, "_BLOCK_LEAVES", 7)
    assert torch.equal(forest.logits(0, rows), at_once)


def test_a_forest_takes_the_size_of_the_one_that_was_saved():
    book = CodeBook(atoms(3, 2))
    parts = {"columns": torch.tensor([1]), "values": torch.rand(1, 5), "bias": torch.rand(5)}
    saved = Forest(book, **parts, code=torch.tensor([4]), **stump(0, 0.5, -1.0, 1.0))
    loaded = Forest(book)
    loaded.load_state_dict(saved.state_dict())
    rows = book.rows(random_table(atoms(3, 2), 20))
    assert torch.equal(loaded.logits(0, rows), saved.logits(0, rows))
    loaded.load_state_dict({})  # of a model without trees
    assert len(loaded.columns) == 0
    assert loaded.is_sound


@pytest.mark.parametrize(
    ("name", "value"),
    [("columns", 2), ("columns", -1), ("code", 5), ("feature", 2), ("branches", N_NODES), ("branches", -1)],
)
def test_an_index_of_nothing_is_not_sound(name, value):
    book = CodeBook(atoms(3, 2))
    parts = {"columns": torch.tensor([1]), "values": torch.rand(1, 5), "bias": torch.rand(5)}
    forest = Forest(book, **parts, code=torch.tensor([4]), **stump(0, 0.5, -1.0, 1.0))
    assert forest.is_sound
    getattr(forest, name).flatten()[0] = value
    assert not forest.is_sound


@pytest.mark.parametrize("name", ["columns", "values", "bias", "code", "threshold", "branches", "value"])
def test_a_part_of_another_size_is_not_sound(name):
    book = CodeBook(atoms(3, 2))
    parts = {"columns": torch.tensor([1]), "values": torch.rand(1, 5), "bias": torch.rand(5)}
    forest = Forest(book, **parts, code=torch.tensor([4]), **stump(0, 0.5, -1.0, 1.0))
    setattr(forest, name, getattr(forest, name)[:0])
    assert not forest.is_sound


def test_without_trees_there_is_nothing_to_be_unsound():
    assert Forest(CodeBook(MIXED)).is_sound
