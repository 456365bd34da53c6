"""Rows that exist, as a fitted model sees them: what their codes are, and what codes do not say.

Scoring must take what encoding refuses: categories and missing values that were never seen, numbers
outside the learned range. The first have no code and are counted; the second get the code that comes
nearest, and their distance from it is kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.layout import ATOM, EncodedTable
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.conditions import MISSING, UNKNOWN, Cells, Conditions
from synthgan.transforms.determined import Map
from synthgan.transforms.generated import IdentifierCodec
from synthgan.transforms.given import gaps
from synthgan.transforms.grid import IntegerGrid
from synthgan.transforms.known import find_levels, has_missing
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["Observed", "observed"]

RESOLUTION = 1 / 1000
"""Numbers are told apart down to this share of a column's learned range, or to the step of its grid."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Rows in codes.

    Parameters
    ----------
    table : EncodedTable of n rows
    known : bool array of shape (n, g)
        Cells that have a code; the others hold what was never seen.
    n_unseen : int array of shape (n,)
        How many cells of a row hold what was never seen, those of constant columns included, or
        are not what another column determines.
    log_pieces : float array of shape (n,)
        Log of how many pieces of the size of the resolution the cells of alpha of a row hold, >= 0.
    """

    table: EncodedTable
    known: NDArray[np.bool_]
    n_unseen: NDArray[np.int64]
    log_pieces: NDArray[np.float64]


def observed(frame: pd.DataFrame, codec: TableCodec, n_cells: int) -> Observed:
    """Encode rows whatever they hold. Identifiers say nothing.

    Parameters
    ----------
    frame : DataFrame with the columns of the fitted table, in any order
    codec : TableCodec
    n_cells : int
        Equal cells that the alpha of a mode is cut into.

    Raises
    ------
    DataError
        If a column is missing or unknown.
    ConditionError
        If a column of numbers or times has values of another type.

    Examples
    --------
    >>> from synthgan.schema import Schema
    >>> from synthgan.transforms import TableCodec
    >>> fitted = pd.DataFrame({"age": [20, 30, 50], "sex": ["F", "M", "M"]})
    >>> codec = TableCodec(Schema.infer(fitted)).fit(fitted)
    >>> seen = observed(pd.DataFrame({"age": [30, 30], "sex": ["F", "X"]}), codec, n_cells=16)
    >>> seen.known.tolist(), seen.n_unseen.tolist()
    ([[True, True], [True, False]], [0, 1])
    """
    codec.schema.check_names(frame)
    cells: dict[Hashable, Cells] = {}
    n_unseen = np.zeros(len(frame), dtype=np.int64)
    for position, name in enumerate(frame.columns):
        own = codec.codecs_[name]
        if isinstance(own, IdentifierCodec):
            continue
        column = frame.iloc[:, [position]]
        found = gaps(column, codec).cells[name] if isinstance(own, NumericCodec) else _levels(column, own)
        cells[name] = _known(found, own)
        n_unseen += ~cells[name].known
    for one in codec.maps_:
        n_unseen += _n_broken(one, cells)
    encoded = Conditions(n_rows=len(frame), cells=cells).encode(codec)
    log_pieces = np.zeros(len(frame))
    for j, span in enumerate(codec.layout_.spans):
        own = codec.codecs_[span.column]
        if isinstance(own, NumericCodec) and own.grid_ is not None:
            codes, alphas = encoded.table.codes[:, j], encoded.table.alphas[:, j]
            log_pieces += _log_pieces(own, cells[span.column].plain, codes, alphas, n_cells)
    return Observed(encoded.table, encoded.known, n_unseen, log_pieces)


def _levels(column: pd.DataFrame, codec: Any) -> Cells:
    """Look a column of categories, or a constant one, up."""
    series = column.iloc[:, 0]
    missing = series.isna().to_numpy(dtype=bool)
    present = series[~missing]
    if isinstance(codec, CategoricalCodec) and series.dtype == codec.column.dtype:
        found = codec.find_in(present)
    else:
        found = find_levels(codec, present.astype(object))
    level = np.full(len(series), MISSING)
    level[~missing] = np.where(found < 0, UNKNOWN, found)
    return Cells(~missing, level, missing)


def _known(cells: Cells, codec: Any) -> Cells:
    """Take a missing value as a value, and what was never seen as not known."""
    present = ~cells.missing
    if isinstance(codec, NumericCodec):
        seen = np.full(len(present), codec.grid_ is not None)
    else:
        seen = cells.plain != UNKNOWN
    return Cells(np.where(present, seen, has_missing(codec)), cells.plain, cells.missing)


def _n_broken(one: Map, cells: dict[Hashable, Cells]) -> NDArray[np.int64]:
    """Count the cells of determined columns that are not what a known key determines."""
    key = cells[one.key]
    entry = one.find(key.plain, key.missing)
    n_broken = np.zeros(len(entry), dtype=np.int64)
    for name, values in one.effects.items():
        differs = (cells[name].plain != values[entry]) & cells[name].known
        n_broken += differs & key.known
    return n_broken


def _log_pieces(
    codec: NumericCodec,
    values: NDArray[Any],
    codes: NDArray[np.int32],
    alphas: NDArray[np.float64],
    n_cells: int,
) -> NDArray[np.float64]:
    """Count the pieces of the size of the resolution that the cell of each number holds, as logs.

    A cell of w pieces holds (w + d)^2 / w of them for a number at a distance of d pieces: its density
    falls off with the square of the distance, and all that lies beyond has the probability of the cell.
    """
    is_own = codes < len(codec.n_levels_) - codec.has_missing_  # not missing, not told by another column
    code, alpha, value = codes[is_own], alphas[is_own], _float(values[is_own])
    piece = _resolution(codec)
    width = _widths(codec, n_cells) / piece
    wide = np.maximum(width[code, np.clip(((alpha + 1) / 2 * n_cells).astype(np.int64), 0, n_cells - 1)], 1)
    decoded, _ = codec.decode(code, alpha)
    distance = np.abs(value - _float(decoded)) / piece
    distance[distance < RESOLUTION] = 0  # rounding
    log_pieces = np.zeros(len(codes))
    log_pieces[is_own] = 2 * np.log(wide + distance) - np.log(wide)
    return log_pieces


def _float(values: NDArray[Any]) -> NDArray[np.float64]:
    """Quarters of plain numbers, whose differences do not overflow."""
    return values.astype(np.float64) / 4


def _resolution(codec: NumericCodec) -> float:
    """Return the size of what is told apart, in quarters as `_float`."""
    low, high = _float(np.array(codec.bounds, dtype=codec.plain))
    grid = codec.grid_
    step = grid.step / 10.0 ** (grid.decimals or 0) / 4 if isinstance(grid, IntegerGrid) else 0.0
    return float(max(step, RESOLUTION * (high - low))) or 1.0


def _widths(codec: NumericCodec, n_cells: int) -> NDArray[np.float64]:
    """Return the widths of the cells of each code, in quarters, (n_codes, n_cells); 0 for atoms."""
    levels: Any = codec.n_levels_[: len(codec.n_levels_) - codec.has_missing_]
    codes = np.repeat(np.arange(len(levels)), n_cells + 1)
    edges, _ = codec.decode(codes, np.tile(np.linspace(-1, 1, n_cells + 1), len(levels)))
    widths = np.abs(np.diff(_float(edges).reshape(len(levels), -1), axis=1))
    return np.where((levels == ATOM)[:, None], 0.0, widths)
