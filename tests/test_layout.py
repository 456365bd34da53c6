import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthgan.layout import (
    ATOM,
    CONTINUOUS,
    EncodedConditions,
    EncodedTable,
    Layout,
    Permitted,
    Span,
)


def span(name, n_codes, levels=ATOM):
    return Span(name, np.full(n_codes, levels, np.int32), np.full(n_codes, np.nan, np.float32))


@given(st.lists(st.integers(1, 50), max_size=20))
def test_spans_tile_the_width(sizes):
    layout = Layout.of(span(name, size, CONTINUOUS) for name, size in enumerate(sizes))
    covered = [code for part in layout.spans for code in range(part.start, part.stop)]
    assert covered == list(range(layout.width))
    assert layout.width == sum(sizes)
    assert layout.starts.tolist() == [part.start for part in layout.spans]
    assert layout.columns == list(range(len(sizes)))
    assert len(layout) == len(sizes)


def test_rows_are_taken_from_codes_and_alphas_alike():
    table = EncodedTable(np.arange(6, dtype=np.int32).reshape(3, 2), np.arange(6.0).reshape(3, 2))
    part = table.rows(np.array([2, 0]))
    assert len(part) == 2
    assert part.codes.tolist() == part.alphas.tolist() == [[4, 5], [0, 1]]
    assert len(table.rows(slice(1))) == 1


def test_rows_are_replaced_in_a_copy():
    table = EncodedTable(np.arange(6, dtype=np.int32).reshape(3, 2), np.arange(6.0).reshape(3, 2))
    other = table.put(np.array([2, 0]), table.rows(np.array([1, 1])))
    assert other.codes.tolist() == other.alphas.tolist() == [[2, 3]] * 3
    assert table.codes.tolist() == [[0, 1], [2, 3], [4, 5]]


def permitted(*intervals):
    codes, low, high = zip(*intervals, strict=True)
    return Permitted(np.array(codes), np.array(low, float), np.array(high, float))


def test_permitted_intervals_are_cut_into_cells():
    # code 0 is an atom, code 1 an interval of four cells, code 2 a group of three, code 3 is not permitted
    part = permitted((0, 0, 0), (1, -1, -0.25), (1, 0.75, 0.75), (2, 0, 0))
    share, first, last = part.by_cell(np.array([1, 4, 3, 4]), np.array([False, False, True, False]))
    assert share[0].tolist() == [1, 0, 0, 0]
    assert share[1].tolist() == [1, 0.5, 0, 1e-6]
    assert (first[1, 1], last[1, 1]) == (0, 0.5)
    assert (first[1, 3], last[1, 3]) == (0.5, 0.5)
    assert share[2].tolist() == [0, 1, 0, 0]
    assert not share[3].any()


def test_several_intervals_in_one_cell_add_up():
    part = permitted((0, -1, -0.75), (0, -0.5, -0.25))
    share, first, last = part.by_cell(np.array([1 + 1]), np.array([False]))
    assert share[0].tolist() == [0.5, 0]
    assert (first[0, 0], last[0, 0]) == (0, 0.75)


def test_one_row_of_conditions_stands_for_all_and_several_are_cut_and_filled_up():
    table = EncodedTable(np.array([[1], [2], [3]], np.int32), np.zeros((3, 1)))
    each = EncodedConditions(table, np.array([[True], [False], [True]]), {}, in_order=True)
    part = each.rows(np.arange(1, 5))
    assert part.table.codes[:, 0].tolist() == [2, 3, 3, 3]
    assert part.known[:, 0].tolist() == [False, True, True, True]
    assert part.in_order
    one = EncodedConditions(table.rows(slice(1)), np.ones((1, 1), bool), {})
    assert one.rows(np.arange(9)) is one
