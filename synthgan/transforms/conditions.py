"""What rows must be: one half in codes for the model, the other kept to the letter after it.

The model takes `EncodedConditions`, codes and intervals of alpha. But decoding rounds, so that the
numbers that come back are set to what was asked for once more: exactness does not hang on arithmetic.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from synthgan.dtypes import Array
from synthgan.layout import EncodedConditions, EncodedTable, Permitted
from synthgan.transforms.categorical import CategoricalCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["MISSING", "NO_CONDITIONS", "UNKNOWN", "Cells", "Conditions", "Range"]

MISSING, UNKNOWN = -1, -2  # in place of the position of a level


@dataclass(frozen=True, eq=False)
class Cells:
    """Known cells of one column.

    Parameters
    ----------
    known : bool array of shape (n,)
    plain : array of shape (n,)
        Plain numbers, or positions of levels; anything where not known.
    missing : bool array of shape (n,)
        Where the known value is the missing one.
    """

    known: NDArray[np.bool_]
    plain: NDArray[Any]
    missing: NDArray[np.bool_]

    def rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Take values and where there is none: the relations of a table compare these."""
        return self.plain[rows], (self.missing | ~self.known)[rows]


@dataclass(frozen=True, eq=False)
class Range:
    """What the cells of a column of numbers may be: in ascending intervals [low, high], or missing."""

    low: NDArray[Any]
    high: NDArray[Any]
    missing: bool

    def into(self, values: NDArray[Any]) -> NDArray[Any]:
        """Move numbers outside all intervals to the nearest end of one.

        >>> Range(np.array([1, 7]), np.array([3, 7]), False).into(np.array([0, 2, 4, 6, 9]))
        array([1, 2, 3, 7, 7])
        """
        before = np.maximum(np.searchsorted(self.low, values, side="right") - 1, 0)
        after = np.minimum(before + 1, len(self.low) - 1)
        lower = np.clip(values, self.low[before], self.high[before])
        upper = np.clip(values, self.low[after], self.high[after])
        half = values / 2  # differences of halves do not overflow
        is_lower = np.abs(half - lower / 2) <= np.abs(upper / 2 - half)
        moved: NDArray[Any] = np.where(is_lower | (lower == values), lower, upper)
        return moved


@dataclass(frozen=True, eq=False)
class Conditions:
    """What rows must be, column by column.

    Parameters
    ----------
    n_rows : int or None
        Rows that the cells belong to; None if there is one row that stands for all.
    cells : dict of column name to Cells
    ranges : dict of column name to Range or array of positions of levels
        What all rows may be where there is no cell.
    pasted : dict of column name to (rows, values of the column's dtype)
        Cells to be kept that have no code.
    fills_gaps : bool
        Whether no other cell may be missing.
    """

    n_rows: int | None = None
    cells: dict[Hashable, Cells] = field(default_factory=dict)
    ranges: dict[Hashable, Range | NDArray[np.int64]] = field(default_factory=dict)
    pasted: dict[Hashable, tuple[NDArray[np.int64], Array]] = field(default_factory=dict)
    fills_gaps: bool = False

    def encode(self, codec: TableCodec) -> EncodedConditions:
        """Say in codes and alphas what is known, and what is permitted."""
        layout = codec.layout_
        n_rows = 1 if self.n_rows is None else self.n_rows
        codes = np.zeros((n_rows, len(layout)), dtype=np.int32)
        alphas, known = np.zeros(codes.shape), np.zeros(codes.shape, dtype=bool)
        permitted = {}
        for j, span in enumerate(layout.spans):
            name, own = span.column, cast(Any, codec.codecs_[span.column])
            if name in self.cells:
                codes[:, j], alphas[:, j], known[:, j] = self._encode_cells(codec, name)
            if name in self.ranges:
                permitted[j] = _permit(own, self.ranges[name])
            elif self.fills_gaps and own.has_missing_ and len(own.n_levels_) > 1:
                present = np.delete(np.arange(span.n_codes), len(own.n_levels_) - 1)
                permitted[j] = Permitted(present, np.full(len(present), -1.0), np.ones(len(present)))
        return EncodedConditions(EncodedTable(codes, alphas), known, permitted, self.fills_gaps)

    def _encode_cells(
        self, codec: TableCodec, name: Hashable
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return codes and alphas of the known cells of one column, and which are known."""
        own, cells = cast(Any, codec.codecs_[name]), self.cells[name]
        if isinstance(own, CategoricalCodec):
            has_code = cells.known & (cells.plain != UNKNOWN)
            codes, alphas = own.encode_levels(np.where(has_code, cells.plain, 0))
            return codes, alphas, has_code
        codes, alphas = own.encode_numbers(cells.plain, cells.missing & cells.known)
        absent = Cells(np.zeros_like(cells.known), cells.plain, cells.missing)
        codec.mark_relations(own, lambda k, rows: self.cells.get(k, absent).rows(rows), codes, alphas)
        return codes, alphas, cells.known

    def set_numbers(
        self, name: Hashable, values: NDArray[Any], missing: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Set plain numbers of one column to what was asked for."""
        if name in self.cells:
            cells = self.cells[name]
            values = np.where(cells.known, cells.plain, values)
            missing = np.where(cells.known, cells.missing, missing)
        wanted = self.ranges.get(name)
        return wanted.into(values) if isinstance(wanted, Range) and len(wanted.low) else values, missing

    def paste(self, name: Hashable, values: Array) -> Array:
        """Set cells of a decoded column that have no code."""
        if name not in self.pasted:
            return values
        rows, kept = self.pasted[name]
        values = values.copy()
        values[rows] = kept
        return values


NO_CONDITIONS = Conditions()


def _permit(codec: Any, wanted: Range | NDArray[np.int64]) -> Permitted:
    """Ask the codec of a column which codes and alphas are wanted."""
    positions: tuple[Any, ...] = (wanted,)
    if isinstance(wanted, Range):
        positions = (wanted.low, wanted.high, wanted.missing)
    permitted: Permitted = codec.permit(*positions)
    return permitted
