import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout, Span


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
