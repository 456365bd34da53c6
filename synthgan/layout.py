"""Where each column sits in the encoded table: the one owner of every offset.

An encoded table holds, for every modelled column, one integer *code* and one
scalar *alpha* a row. A code is an atom (one value with point mass: a category, a
spike, the missing value), a *mode* (an interval of numbers) or a *group* (a few
rare categories). Alpha in [-1, 1] says where in the mode, or which member of the
group; an atom's alpha is 0 and without meaning.

The networks see all codes of all columns side by side: span j tiles
``[start, start + n_codes)`` of ``[0, width)``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATOM", "CONTINUOUS", "EncodedConditions", "EncodedTable", "Layout", "Permitted", "Span"]

ATOM = 1  # a code without alpha
CONTINUOUS = 0  # a code whose alpha may be any number in [-1, 1]
# any other level count m >= 2: alpha is one of m equal cells of [-1, 1]


@dataclass(frozen=True, eq=False)
class Span:
    """The run of codes of one column.

    Parameters
    ----------
    column : hashable
        Name of the column.
    n_levels : int array of shape (n_codes,)
        For each code `ATOM`, `CONTINUOUS`, or the number of members of a group.
    position : float array of shape (n_codes,)
        Rank of the code in [0, 1] where codes are ordered (numbers), NaN where
        they are not (categories, the missing value).
    start : int
        Offset of the first code among all codes of the table.
    missing : int, default -1
        Code of the missing value; -1 if there is none.
    """

    column: Hashable
    n_levels: NDArray[np.int32]
    position: NDArray[np.float32]
    start: int = 0
    missing: int = -1

    @property
    def n_codes(self) -> int:
        """Number of codes of the column."""
        return len(self.n_levels)

    @property
    def stop(self) -> int:
        """Offset after the last code."""
        return self.start + self.n_codes


@dataclass(frozen=True, eq=False)
class Layout:
    """The spans of all modelled columns, in table order, tiling ``[0, width)``.

    Examples
    --------
    >>> atoms = lambda name, k: Span(name, np.full(k, ATOM, np.int32), np.full(k, np.nan, np.float32))
    >>> layout = Layout.of([atoms("sex", 2), atoms("race", 5)])
    >>> layout.width, [span.start for span in layout.spans]
    (7, [0, 2])
    """

    spans: tuple[Span, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Layout:
        """Lay spans side by side, setting each one's `start`."""
        placed, start = [], 0
        for span in spans:
            placed.append(replace(span, start=start))
            start += span.n_codes
        return cls(tuple(placed))

    @property
    def width(self) -> int:
        """Number of codes of all columns together."""
        return self.spans[-1].stop if self.spans else 0

    @property
    def starts(self) -> NDArray[np.int64]:
        """Offset of each span, shape (n_spans,)."""
        return np.array([span.start for span in self.spans], dtype=np.int64)

    @property
    def columns(self) -> list[Hashable]:
        """Names of the modelled columns, in span order."""
        return [span.column for span in self.spans]

    def __len__(self) -> int:
        return len(self.spans)

    def every_code(self) -> EncodedTable:
        """Return a table in which each code stands with the least, the middle and the highest alpha.

        >>> layout = Layout.of([Span("sex", np.full(2, ATOM, np.int32), np.full(2, np.nan, np.float32))])
        >>> layout.every_code().codes[:, 0].tolist()
        [0, 1, 0, 1, 0, 1]
        """
        n_codes = np.array([span.n_codes for span in self.spans], dtype=np.int32)
        codes = np.minimum(np.arange(n_codes.max(initial=1), dtype=np.int32)[:, None], n_codes - 1)
        alphas = np.repeat([-1.0, 0.0, 1.0], len(codes))[:, None]
        return EncodedTable(np.tile(codes, (3, 1)), np.broadcast_to(alphas, (len(alphas), len(self))))


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """A table as codes and alphas, both of shape (n_rows, n_spans).

    Parameters
    ----------
    codes : int32 array
        Code within the column's span, in [0, n_codes).
    alphas : float64 array
        Position inside the code's mode or group, in [-1, 1]; 0 for atoms.
    """

    codes: NDArray[np.int32]
    alphas: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, index: NDArray[np.int64] | slice) -> EncodedTable:
        """Take rows by index or slice."""
        return EncodedTable(self.codes[index], self.alphas[index])

    def put(self, index: NDArray[np.int64], other: EncodedTable) -> EncodedTable:
        """Return the table with some rows replaced by those of another one."""
        codes, alphas = self.codes.copy(), self.alphas.copy()
        codes[index], alphas[index] = other.codes, other.alphas
        return EncodedTable(codes, alphas)


_POINT = 1e-6  # share of a cell that a single permitted value counts for


@dataclass(frozen=True, eq=False)
class Permitted:
    """What the cells of one column may be: some codes, each within intervals of alpha.

    Parameters
    ----------
    codes : int array of shape (n_intervals,)
        Codes within the span; one that occurs several times has several intervals.
    low, high : float arrays of shape (n_intervals,)
        Bounds of alpha, -1 <= low <= high <= 1; without meaning for atoms.
    """

    codes: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def by_cell(
        self, n_cells: NDArray[np.int64], is_group: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Cut the alphas of each code into equal cells, and say what of each cell is permitted.

        Parameters
        ----------
        n_cells : int array of shape (n_codes,)
            Cells of each code; c is the most of them.
        is_group : bool array of shape (n_codes,)
            Codes whose cells are members of a group: permitted as a whole or not at all.

        Returns
        -------
        share : float array of shape (n_codes, c)
            Share of the cell that is permitted, in [0, 1].
        first, last : float arrays of shape (n_codes, c)
            Bounds of the permitted places in the cell, in [0, 1].

        Examples
        --------
        >>> upper_half = Permitted(np.array([0]), np.array([0.0]), np.array([1.0]))
        >>> [part.tolist() for part in upper_half.by_cell(np.array([4]), np.array([False]))]
        [[[0.0, 0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]]
        """
        size = n_cells[self.codes][:, None]
        cell = np.arange(int(n_cells.max(initial=1)))
        start, stop = ((end[:, None] + 1) / 2 * size - cell for end in (self.low, self.high))
        atom = size == 1
        start, stop = np.where(atom, 0.0, np.clip(start, 0, 1)), np.where(atom, 1.0, np.clip(stop, 0, 1))
        at_point = cell == np.clip(np.floor((self.low + 1)[:, None] / 2 * size), 0, size - 1)
        is_met = (cell < size) & ((stop - start > 1e-9) | at_point)
        overlap = np.where(is_met, np.maximum(stop - start, _POINT), 0.0)
        share, last = (np.zeros((len(n_cells), len(cell))) for _ in range(2))
        first = np.ones_like(share)
        np.add.at(share, self.codes, overlap)
        np.minimum.at(first, self.codes, np.where(is_met, start, 1.0))
        np.maximum.at(last, self.codes, np.where(is_met, stop, 0.0))
        share[is_group] = share[is_group] > 0
        return np.minimum(share, 1.0), first, last


@dataclass(frozen=True, eq=False)
class EncodedConditions:
    """What is known of rows that are still to be drawn.

    Parameters
    ----------
    table : EncodedTable of 1 row or of n_rows
        Codes and alphas of the known cells, anything in the others. One row stands for all rows.
    known : bool array, shape of the table
    permitted : dict of span position to `Permitted`
        What the other cells of some columns may be, the same in all rows.
    in_order : bool, default False
        Whether the permitted cells are to be drawn one after the other like all others, or first
        and jointly, such that the rows are those in which all of them are met.
    """

    table: EncodedTable
    known: NDArray[np.bool_]
    permitted: dict[int, Permitted]
    in_order: bool = False

    def rows(self, index: NDArray[np.int64]) -> EncodedConditions:
        """Take rows by index, the last one where there are fewer; one row that stands for all stays."""
        if len(self.table) == 1:
            return self
        index = np.minimum(index, len(self.table) - 1)
        return EncodedConditions(self.table.rows(index), self.known[index], self.permitted, self.in_order)
