"""Encoded rows as tensors, and the layout of a table as constants that every network can look up.

**Shapes**: b rows, g spans (columns), f spans that have an alpha, w width of the layout, c cells, o spans
with an order, k ramps of a span, h `hidden_dim`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout

__all__ = ["CELLS", "CodeBook", "Rows"]

CELLS = 16
"""Cells of equal probability that alpha of a continuous code is resolved into."""

_KNOTS = 16  # ramps of the ordinal basis of a column
_MAX_MEMBERS = 32_768  # of the groups of a column, up to which each has an embedding of its own
_MAX_ALL_MEMBERS = 2**18  # of all columns, likewise
_BLOCK_ROWS = 8192  # rows that are turned into tensors at a time


@dataclass(frozen=True)
class Rows:
    """Encoded rows as tensors.

    Parameters
    ----------
    codes : int64 Tensor of shape (b, g)
        Offset of each cell's code among all codes, in [0, w). Stored as int32.
    cells : int64 Tensor of shape (b, f)
        Cell of alpha, in [0, c); 0 for atoms. Stored as int16, see `CodeBook.stored`.
    """

    codes: Tensor
    cells: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, index: Tensor) -> Rows:
        """Take rows by index, as int64."""
        return Rows(self.codes[index].long(), self.cells[index].long())

    def to(self, device: torch.device) -> Rows:
        """Move to a device."""
        return Rows(self.codes.to(device), self.cells.to(device))


class CodeBook(nn.Module):
    """A layout as constant tensors: what every network needs to know of the columns.

    Attributes
    ----------
    starts : int64 Tensor of shape (g,)
        Offset of each span.
    missing : int64 Tensor of shape (g,)
        Offset of each span's missing value; -1 where there is none.
    fine : list of int
        Spans that have an alpha, f of them.
    with_groups : list of int
        Spans that have groups.
    cells : int64 Tensor of shape (w,)
        Cells that the alpha of each code has: 1 for an atom, `CELLS` for an interval,
        the number of members for a group.
    n_codes : int64 Tensor of shape (g,)
        Number of codes of each span; `widths` is the same as a list.
    position : float32 Tensor of shape (w,)
        Rank of each code in [0, 1]; NaN where codes have no order.
    n_ramps : int
        Number of ramps over the ranks of ordered codes, of all columns together (piecewise-linear
        encoding, Gorishniy et al. 2022, eq. (1)).
    n_slopes, n_members : int
        Rows of the two tables by which alpha is shown, see `slopes`.
    """

    starts: Tensor
    missing: Tensor
    cells: Tensor
    n_codes: Tensor
    position: Tensor
    ramps: Tensor
    ramp_rows: Tensor
    ramp_index: Tensor
    fine_index: Tensor
    fine_starts: Tensor
    continuous: Tensor
    slope_row: Tensor
    first_place: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        levels = [span.n_levels for span in layout.spans]
        self.widths = [span.n_codes for span in layout.spans]
        self._spans = [slice(span.start, span.start + span.n_codes) for span in layout.spans]
        self.fine = [j for j, level in enumerate(levels) if (level != ATOM).any()]
        self.with_groups = [j for j, level in enumerate(levels) if level.max(initial=ATOM) > ATOM]
        flat = np.concatenate(levels) if levels else np.zeros(0, np.int32)
        cells = np.where(flat == CONTINUOUS, CELLS, flat)
        self.n_cells = int(cells.max(initial=1))
        slope_row = np.where(flat == CONTINUOUS, np.cumsum(flat == CONTINUOUS) - 1, 0)
        self.n_slopes, self.n_members, first_place = _places_in_groups(levels)
        for name, value in {
            "starts": layout.starts,
            "missing": np.array(
                [span.start + span.missing if span.missing >= 0 else -1 for span in layout.spans], np.int64
            ),
            "cells": cells.astype(np.int64),
            "n_codes": np.array(self.widths, dtype=np.int64),
            "position": np.concatenate([np.zeros(0, np.float32), *(span.position for span in layout.spans)]),
            **_ramps(layout),
            "fine_index": np.array(self.fine, dtype=np.int64),
            "fine_starts": layout.starts[self.fine],
            "continuous": flat == CONTINUOUS,
            "slope_row": slope_row.astype(np.int64),
            "first_place": first_place,
        }.items():
            self.register_buffer(name, torch.as_tensor(value), persistent=False)
        self.n_ramps = int((self.ramps != 0).any(dim=1).sum())

    def span(self, j: int) -> slice:
        """Offsets of the codes of column j."""
        return self._spans[j]

    def marginal_nats(self, encoded: EncodedTable) -> float:
        """Nats that a row of independent columns tells: the entropy of codes, and of equal cells in them."""
        total, log_cells = 0.0, np.log(self.cells.cpu().numpy())
        for j, width in enumerate(self.widths):
            share = np.bincount(encoded.codes[:, j], minlength=width) / len(encoded)
            log_share = np.log(share, out=np.zeros(width), where=share > 0)
            total += float(share @ (log_cells[self.span(j)] - log_share))
        return total

    def rows(self, encoded: EncodedTable) -> Rows:
        """Turn codes and alphas into offsets and cells."""
        codes = torch.from_numpy(encoded.codes.astype(np.int64)) + self.starts.cpu()  # (n, g)
        n_cells = self.cells.cpu()[codes[:, self.fine]]  # (n, f)
        unit = (torch.from_numpy(encoded.alphas[:, self.fine]) + 1) / 2
        cells = (unit * n_cells).long().clamp_(min=0).minimum(n_cells - 1)
        return Rows(codes, cells)

    def stored(self, encoded: EncodedTable, index: Tensor) -> Rows:
        """Turn some rows into offsets and cells in the smallest types that hold them, a block at a time."""
        codes = torch.empty(len(index), len(self.widths), dtype=torch.int32)
        cells = torch.empty(len(index), len(self.fine), dtype=torch.int16)
        for part in torch.arange(len(index)).split(_BLOCK_ROWS):
            rows = self.rows(encoded.rows(index[part].numpy()))
            codes[part], cells[part] = rows.codes.int(), rows.cells.short()
        return Rows(codes, cells)

    def encoded(self, rows: Rows, place: Tensor) -> EncodedTable:
        """Turn offsets and cells back; ``place`` in [0, 1) says where in the cell, shape (b, f)."""
        n_cells = self.cells[rows.codes[:, self.fine_index]]
        alphas = torch.zeros(rows.codes.shape, dtype=torch.float64, device=place.device)
        alphas[:, self.fine_index] = torch.where(
            n_cells > 1, (rows.cells + place.double()) / n_cells * 2 - 1, 0.0
        )
        return EncodedTable((rows.codes - self.starts).int().cpu().numpy(), alphas.cpu().numpy())

    def ordinal(self, weights: Tensor) -> Tensor:
        """Sum the weights of the ramps at each code, (n_ramps, h) -> (w, h); 0 for codes without order."""
        if not len(self.ramps):
            return weights.new_zeros(len(self.ramp_index), weights.shape[1])
        padded = F.pad(weights, (0, 0, 0, 1))[self.ramp_rows]  # (o, k, h)
        return torch.bmm(self.ramps, padded).flatten(0, 1).index_select(0, self.ramp_index)

    def slopes(self, codes: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Row of the tables by which alpha is shown, and scale, for each fine cell, both of shape (b, f).

        Alpha enters as ``scale * table[row]``. An interval has a row of its own, scaled by alpha. A group has
        a row for each of its members, unscaled, beyond the first `n_slopes`; or in a column of very many
        categories for each place in it, shared by all groups of the column: sqrt(K) rows, not K.
        """
        continuous = self.continuous[codes]
        n_cells = self.cells[codes]
        alpha = (cells + 0.5) / n_cells * 2 - 1
        row = torch.where(continuous, self.slope_row[codes], self.first_place[codes] + cells)
        scale = torch.where(continuous, alpha, (n_cells > 1).float())
        return row, scale.float()


def _places_in_groups(levels: list[NDArray[np.int32]]) -> tuple[int, int, NDArray[np.int64]]:
    """Count the slopes and members that show alpha, and give the first row of each group, (w,)."""
    first, n_slopes = [np.zeros(0, np.int64)], sum(int((level == CONTINUOUS).sum()) for level in levels)
    sizes = [np.where(level > ATOM, level, 0).astype(np.int64) for level in levels]
    most = min(_MAX_MEMBERS, _MAX_ALL_MEMBERS // max(1, sum(bool(size.any()) for size in sizes)))
    shared, n_members = n_slopes, 0
    n_slopes += sum(int(size.max()) for size in sizes if size.sum() > most)
    for size in sizes:
        if size.sum() > most:
            first.append(np.full(len(size), shared))
            shared += int(size.max())
        else:
            first.append(np.where(size > 0, n_slopes + n_members + np.cumsum(size) - size, 0))
            n_members += int(size.sum())
    return n_slopes, n_members, np.concatenate(first)


def _ramps(layout: Layout) -> dict[str, np.ndarray]:
    """Build the ramps of `CodeBook.ordinal`: a block for each ordered span, padded to one size.

    ``ramps`` (o, m + 1, k) holds the value of each ramp at each code, its last row is 0; ``ramp_index`` (w,)
    the flat row of each code in it; ``ramp_rows`` (o, k) the rows of a table of weights, one past its end
    where there is no ramp.
    """
    ordered = [~np.isnan(span.position) for span in layout.spans]
    spans = [j for j, mask in enumerate(ordered) if mask.sum() > 2]
    n_ramps = [min(_KNOTS, int(ordered[j].sum()) - 1) for j in spans]
    height = max((layout.spans[j].n_codes for j in spans), default=0) + 1
    ramps = np.zeros((len(spans), height, _KNOTS), np.float32)
    rows = np.full((len(spans), _KNOTS), sum(n_ramps), dtype=np.int64)
    index = np.full(layout.width, height - 1, dtype=np.int64)  # a row of zeros
    for i, (j, k) in enumerate(zip(spans, n_ramps, strict=True)):
        span = layout.spans[j]
        rank = np.where(ordered[j], span.position, 0)[:, None]
        ramps[i, : span.n_codes, :k] = np.where(
            ordered[j][:, None], np.clip(rank * k - np.arange(k), 0, 1), 0
        )
        rows[i, :k] = sum(n_ramps[:i]) + np.arange(k)
        index[span.start : span.stop] = i * height + np.arange(span.n_codes)
    return {"ramps": ramps, "ramp_rows": rows, "ramp_index": index}
