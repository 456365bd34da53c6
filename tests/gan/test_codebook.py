import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.gan.codebook import CELLS, CodeBook
from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout
from tests.gan.tables import MIXED, layouts, random_table, seeded, span


@given(layouts(), st.integers(0, 99))
def test_codes_come_back_exactly_and_alphas_within_their_cell(layout, seed):
    book, table = CodeBook(layout), random_table(layout, 30, seed)
    rows = book.rows(table)
    place = torch.rand(30, len(book.fine), generator=seeded(seed))
    back = book.encoded(rows, place)
    np.testing.assert_array_equal(back.codes, table.codes)
    assert back.codes.dtype == np.int32
    n_cells = book.cells[rows.codes].numpy()
    assert (np.abs(back.alphas - table.alphas) <= 2 / n_cells * (n_cells > 1) + 1e-12).all()
    assert (np.abs(back.alphas) <= 1).all()


@given(layouts(), st.integers(0, 99), st.floats(1e-6, 1 - 1e-6))
def test_cells_come_back_from_any_place_within_them(layout, seed, place):
    book = CodeBook(layout)
    rows = book.rows(random_table(layout, 30, seed))
    again = book.rows(book.encoded(rows, torch.full(rows.cells.shape, place, dtype=torch.float64)))
    assert torch.equal(again.codes, rows.codes)
    assert torch.equal(again.cells, rows.cells)


@given(layouts())
def test_codes_have_as_many_cells_as_levels(layout):
    book = CodeBook(layout)
    levels = np.concatenate([part.n_levels for part in layout.spans])
    assert book.cells.tolist() == [CELLS if level == CONTINUOUS else level for level in levels]
    assert book.fine == [j for j, part in enumerate(layout.spans) if (part.n_levels != ATOM).any()]


def test_the_ends_of_alpha_fall_into_the_end_cells():
    book = CodeBook(MIXED)
    codes = np.array([[2, 0, 1, 0, 1]] * 2, np.int32)
    alphas = np.array([[-1.0, 0, -1, 0, -1], [1.0, 0, 1, 0, 1]])
    assert book.rows(EncodedTable(codes, alphas)).cells.tolist() == [[0, 0, 0], [2, CELLS - 1, 3]]


def test_a_row_tells_the_entropy_of_its_codes_and_of_the_cells_in_them():
    layout = Layout.of([span("coin", [ATOM] * 2), span("price", [CONTINUOUS, ATOM], ordered=True)])
    codes = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.int32)
    nats = CodeBook(layout).marginal_nats(EncodedTable(codes, np.zeros((4, 2))))
    assert nats == pytest.approx(2 * np.log(2) + np.log(CELLS) / 2)
    assert CodeBook(layout).marginal_nats(EncodedTable(codes[[0, 0]] + [0, 1], np.zeros((2, 2)))) == 0
