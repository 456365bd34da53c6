"""Which cells the networks are shown: the masks of training, the order of sampling, a user's conditions.

A mask is a bool matrix over (row, span): True where the cell is observed. The decoder learns
two families of them: prefixes of the canonical order, which are what unconditional sampling
visits, and uniformly drawn subsets, which any condition may ask for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgan.gan.codebook import CodeBook, Rows
from synthgan.layout import EncodedConditions, Permitted

__all__ = ["Allowed", "Given", "canonical_order", "grouped", "prefix_masks", "subset_masks"]

_OF_KEYS = 0.4  # of the entropy of columns of very many categories, in the order of the chain


@dataclass(frozen=True)
class Allowed:
    """What the cells of one column of k codes may be, in c cells of alpha a code, c as in all columns.

    Parameters
    ----------
    log_share : Tensor of shape (k, c)
        Log of the share of each cell that is permitted; -inf where nothing is.
    first, last : Tensors of shape (k, c)
        Bounds of the permitted places in the cell, in [0, 1].
    log_mass : Tensor of shape (k,)
        0 for codes that are permitted as a whole, -inf for the others.
    partial : list of int
        Codes of which a part is permitted: how much of their mass, depends on the row.
    """

    log_share: Tensor
    first: Tensor
    last: Tensor
    log_mass: Tensor
    partial: list[int]

    @classmethod
    def of(cls, book: CodeBook, j: int, permitted: Permitted) -> Allowed:
        """Resolve the permitted intervals of span j into cells."""
        span = book.span(j)
        n_cells, continuous = book.cells[span].cpu(), book.continuous[span].cpu()
        is_group = (n_cells > 1) & ~continuous
        parts = permitted.by_cell(n_cells.numpy(), is_group.numpy())
        share, first, last = (
            F.pad(torch.from_numpy(part).float(), (0, book.n_cells - part.shape[1])).to(book.cells.device)
            for part in parts
        )
        whole = share.sum(dim=1) >= book.cells[span] - 1e-5
        return cls(
            share.log(),
            first,
            last,
            torch.where(whole, 0.0, -torch.inf),
            torch.nonzero((share > 0).any(dim=1) & ~whole).flatten().tolist(),
        )


@dataclass(frozen=True)
class Given:
    """Conditions on a block of rows.

    Parameters
    ----------
    rows : Rows, 1 or b of them
        The known cells, anything in the others; one row stands for all.
    known : bool Tensor of shape (1 or b, g)
    allowed : dict of span to Allowed
        What other cells may be.
    in_order : bool
        Draw those columns where the canonical order has them, each on its own; otherwise first,
        and jointly, because the columns after them have to follow.
    """

    rows: Rows
    known: Tensor
    allowed: dict[int, Allowed]
    in_order: bool

    @classmethod
    def of(cls, book: CodeBook, conditions: EncodedConditions, allowed: dict[int, Allowed]) -> Given:
        """Take encoded conditions to the device of the networks."""
        device = book.cells.device
        rows = book.rows(conditions.table).to(device)
        return cls(rows, torch.from_numpy(conditions.known).to(device), allowed, conditions.in_order)

    def is_met(self, book: CodeBook, rows: Rows, places: Tensor) -> Tensor:
        """Whether the cells of b rows are among those allowed, (b,); `places` as `Sampler.draw` has them."""
        met = torch.ones(len(rows), dtype=torch.bool, device=places.device)
        for j, allowed in self.allowed.items():
            codes = rows.codes[:, j] - book.starts[j]
            is_whole = allowed.log_mass[codes] == 0
            if allowed.partial:
                i = book.fine.index(j)
                cells, place = rows.cells[:, i], places[:, i]
                inside = (allowed.first[codes, cells] <= place) & (place <= allowed.last[codes, cells])
                is_whole |= inside & (allowed.log_share[codes, cells] > -torch.inf)
            met &= is_whole
        return met

    def hidden(self, j: int, n_rows: int) -> Tensor:
        """Rows, of `n_rows`, whose cell of column j is not known, shape (b,)."""
        return torch.nonzero(~self.known[:, j].expand(n_rows)).flatten()


def canonical_order(frequency: Tensor, widths: list[int], with_groups: Collection[int] = ()) -> list[int]:
    """Order in which unconditional sampling draws the columns: the least entropy first.

    The first columns then have few distinct contexts, for which the decoder runs once each
    instead of once for each row; ties keep the table's order. Columns of very many categories come earlier,
    as if they had .4 of their entropy: as keys, they tell what others are. (Measured on nyc_flights, C2ST: at
    their place .697, at .7 of their entropy .670, at .4 .653.)

    Parameters
    ----------
    frequency : Tensor of shape (w,)
        Share of the rows that have each code.
    widths : list of int
        Number of codes of each column.
    with_groups : collection of int
        Columns some of whose codes are groups of categories.

    Examples
    --------
    >>> canonical_order(torch.tensor([0.5, 0.5, 0.98, 0.01, 0.01]), [2, 3])
    [1, 0]
    """
    entropy = [-torch.xlogy(share, share).sum().item() for share in torch.split(frequency, widths)]
    for j in with_groups:
        entropy[j] *= _OF_KEYS
    return sorted(range(len(widths)), key=lambda j: round(entropy[j], 6))


def grouped(order: list[int], n_passes: int) -> list[list[int]]:
    """Cut an order into `n_passes` consecutive groups, the larger groups first.

    >>> grouped([1, 0, 2], 2)
    [[1, 0], [2]]
    """
    if not order:
        return []
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
