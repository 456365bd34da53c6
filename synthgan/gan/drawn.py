"""How a block of rows is drawn, and what it has drawn so far, rows that are alike sharing one context.

The decoder then runs once for each context instead of once for each row; `Sampler` says what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Drawn", "Way"]


class Drawn:
    """What a block has drawn so far: m distinct contexts, and each row's place among them.

    Where `context` is None, every row has a context of its own, in order. Where `hidden`, (b, g), is
    not None, only those cells are to be drawn, different ones in each row. Of the modes of columns in
    `coarse` the place is not shown so far.
    """

    def __init__(self, embedded: Tensor, places: Tensor, n_spans: int) -> None:
        n_rows, n_fine = places.shape
        self.embedded = embedded  # (m, h)
        self.context: Tensor | None = torch.zeros(n_rows, dtype=torch.int64, device=embedded.device)
        self.codes = torch.zeros(n_rows, n_spans, dtype=torch.int64, device=embedded.device)
        self.cells = torch.zeros(n_rows, n_fine, dtype=torch.int64, device=embedded.device)
        self.places = places  # (b, f), in [0, 1)
        self.hidden: Tensor | None = None
        self.coarse: list[int] = []  # columns of which only the code is shown so far

    def of_rows(self, values: Tensor) -> Tensor:
        """Spread values of the contexts over the rows, (m, ...) -> (b, ...)."""
        return values if self.context is None else values[self.context]

    def codes_of_contexts(self, rows: Tensor | slice) -> Tensor:
        """Codes of some rows, (b, g); where rows share contexts, of one row of each, (m, g)."""
        if self.context is None:
            return self.codes[rows]
        index = torch.arange(len(self.codes), device=self.codes.device)
        return self.codes[self.context.new_zeros(len(self.embedded)).scatter_(0, self.context, index)]

    def pending(self, group: list[int]) -> Tensor | slice:
        """Rows in which a column of the group is to be drawn."""
        if self.hidden is None:
            return slice(None)
        return torch.nonzero(self.hidden[:, group].any(dim=1)).flatten()

    def to_write(self, j: int, rows: Tensor | slice) -> tuple[Tensor | slice, Tensor | slice]:
        """Say in which of some rows column j is hidden, and where these are among them."""
        if self.hidden is None or isinstance(rows, slice):
            return rows, slice(None)
        mine = self.hidden[rows, j]
        return rows[mine], mine

    def repeated(self, times: int) -> Drawn:
        """Repeat each row, the repetitions side by side."""
        places = self.places.repeat_interleave(times, dim=0)
        other = Drawn(self.embedded, places, self.codes.shape[1])
        if self.context is None:
            self.context = torch.arange(len(self.codes), device=self.codes.device)
        other.context = self.context.repeat_interleave(times)
        other.codes, other.cells = (part.repeat_interleave(times, dim=0) for part in (self.codes, self.cells))
        return other

    def apart(self, rows: Tensor | slice) -> Drawn:
        """Copy what some rows have drawn; each has a context of its own, which is still to be embedded."""
        other = Drawn(self.embedded[:0], self.places[rows].clone(), self.codes.shape[1])
        other.context, other.codes, other.cells = None, self.codes[rows].clone(), self.cells[rows].clone()
        return other

    def take(self, trial: Drawn, rows: Tensor) -> None:
        """Become some rows of another draw."""
        self.codes, self.cells, self.places = (
            part[rows] for part in (trial.codes, trial.cells, trial.places)
        )
        self.embedded, self.coarse = trial.embedded, trial.coarse
        context = rows if trial.context is None else trial.context[rows]
        self.split(context, context)

    def split(self, context: Tensor, key: Tensor) -> Tensor | slice:
        """Split the contexts by `key`, (b,); returns one row of each, or all rows if few are alike."""
        n_rows = len(key)
        unique, inverse = torch.unique(key, return_inverse=True)
        if len(unique) > n_rows // 2:  # sharing no longer pays
            self.embedded, self.context = self.embedded[context], None
            return slice(None)
        rows = torch.arange(n_rows, device=key.device)
        first = torch.empty_like(unique).scatter_(0, inverse, rows)
        self.embedded, self.context = self.embedded[context[first]], inverse
        return first


class Way(NamedTuple):
    """How a block of rows is drawn: in passes that begin with a latent vector, or in a chain without one.

    Parameters
    ----------
    is_chain : bool
        One column a pass, without latent vector.
    bias : Tensor of shape (w,)
        Of the logits of all codes, calibrated for this way.
    tilts : dict of column to callable (codes) -> Tensor
        What trees add to the logits of a column, given those before it.
    """

    is_chain: bool
    bias: Tensor
    tilts: dict[int, Callable[[Tensor], Tensor]]
