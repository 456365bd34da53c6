"""Which cells the networks are shown: the masks of training, and the order of sampling.

A mask is a bool matrix over (row, span): True where the cell is observed. The decoder learns
two families of them: prefixes of the canonical order, which are what unconditional sampling
visits, and uniformly drawn subsets, which any condition may ask for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthgan.layout import Layout

__all__ = ["canonical_order", "grouped", "prefix_masks", "subset_masks"]


def canonical_order(layout: Layout) -> list[int]:
    """Order in which unconditional sampling draws the columns: few codes first.

    The first columns then have few distinct contexts, for which the decoder runs once each
    instead of once for each row; ties keep the table's order.

    Examples
    --------
    >>> import numpy as np
    >>> from synthgan.layout import ATOM, Span
    >>> atoms = lambda k: Span("", np.full(k, ATOM, np.int32), np.full(k, np.nan, np.float32))
    >>> canonical_order(Layout.of([atoms(5), atoms(2), atoms(9)]))
    [1, 0, 2]
    """
    return sorted(range(len(layout)), key=lambda j: layout.spans[j].n_codes)


def grouped(order: list[int], n_passes: int) -> list[list[int]]:
    """Cut an order into `n_passes` consecutive groups, the larger groups first.

    >>> grouped([1, 0, 2], 2)
    [[1, 0], [2]]
    """
    n_passes = min(n_passes, len(order))
    base, extra = divmod(len(order), n_passes)
    sizes = [base + (i < extra) for i in range(n_passes)]
    ends = torch.tensor(sizes).cumsum(0).tolist()
    return [order[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def prefix_masks(order: Tensor, n_rows: int, rng: torch.Generator) -> Tensor:
    """Draw masks that show the first k columns of `order`, k uniform on 0..g-1, (n_rows, g)."""
    rank = order.argsort()
    return rank < _n_observed(n_rows, len(order), rng)


def subset_masks(n_spans: int, n_rows: int, rng: torch.Generator) -> Tensor:
    """Draw masks that show k columns, k uniform on 0..g-1 and the subset uniform, (n_rows, g)."""
    rank = torch.rand(n_rows, n_spans, generator=rng).argsort(dim=1)
    return rank < _n_observed(n_rows, n_spans, rng)


def _n_observed(n_rows: int, n_spans: int, rng: torch.Generator) -> Tensor:
    """Draw the number of observed cells, (n_rows, 1); at least one cell stays hidden."""
    return torch.randint(n_spans, (n_rows, 1), generator=rng)
