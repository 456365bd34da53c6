import numpy as np
import pytest

from synthgan.layout import EncodedTable
from synthgan.synthesizers.base import BLOCK_ROWS, drawn_in_blocks


def draw(n_rows, rng, conditions=None):
    return EncodedTable(rng.integers(9, size=(n_rows, 2), dtype=np.int32), rng.uniform(-1, 1, (n_rows, 2)))


@pytest.mark.parametrize("k", [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_the_first_rows_do_not_depend_on_how_many_are_drawn(k):
    few, many = drawn_in_blocks(draw, k, seed=4), drawn_in_blocks(draw, 3 * BLOCK_ROWS, seed=4)
    assert len(few) == k
    assert (few.codes == many.codes[:k]).all()
    assert (few.alphas == many.alphas[:k]).all()


def test_blocks_and_seeds_differ():
    rows = drawn_in_blocks(draw, 2 * BLOCK_ROWS, seed=4).alphas
    assert (rows[:BLOCK_ROWS] != rows[BLOCK_ROWS:]).any()
    assert (rows != drawn_in_blocks(draw, 2 * BLOCK_ROWS, seed=5).alphas).any()
