import numpy as np
import pandas as pd
import pytest

from synthgan import IndependentSynthesizer
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


def test_any_block_can_be_drawn_by_itself():
    whole = drawn_in_blocks(draw, 3 * BLOCK_ROWS, seed=4)
    part = drawn_in_blocks(draw, range(BLOCK_ROWS, 2 * BLOCK_ROWS + 5), seed=4)
    assert len(part) == BLOCK_ROWS + 5
    assert (part.alphas == whole.alphas[BLOCK_ROWS : 2 * BLOCK_ROWS + 5]).all()


def test_wide_tables_come_in_smaller_batches():
    wide = pd.DataFrame({k: [0, 1, 1] * 9 for k in range(300)})
    assert IndependentSynthesizer().fit(wide).batch_rows_ == 2 * BLOCK_ROWS
    assert IndependentSynthesizer().fit(wide[[0]]).batch_rows_ == 32 * BLOCK_ROWS


def test_blocks_and_seeds_differ():
    rows = drawn_in_blocks(draw, 2 * BLOCK_ROWS, seed=4).alphas
    assert (rows[:BLOCK_ROWS] != rows[BLOCK_ROWS:]).any()
    assert (rows != drawn_in_blocks(draw, 2 * BLOCK_ROWS, seed=5).alphas).any()
