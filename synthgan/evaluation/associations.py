"""Does it look like the data, pair by pair: distances between the relations of columns.

Coded tables enter, errors in [0, 1] leave, 0 is best. ``trend_error`` is one
minus the score "Column Pair Trends" that the literature reports (SDMetrics
0.11.1), written from its definition. One reading differs from it on purpose: a
missing cell of a joint table is a value of its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.evaluation.features import standardised
from synthgan.evaluation.marginals import total_variation
from synthgan.evaluation.tables import CodedTable, name_series

__all__ = ["pair_errors", "trend_error"]

N_BINS = 10  # equal-width bins of a number in a joint table, as published
_DENSE_CELLS = 1 << 18  # joint tables up to this size are counted densely


def pair_errors(real: CodedTable, synthetic: CodedTable, *, shared_bins: bool = False) -> pd.DataFrame:
    """Compare each pair of columns.

    Two ordered columns: ``|r_real - r_synthetic| / 2`` with Pearson's r over the
    rows that have both. Any other pair: the total variation distance of the joint
    table, ordered columns cut into 10 bins of equal width.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.
    shared_bins : bool
        False, as published: bins lie between the least and the greatest value
        *of each table*, the greatest value a cell of its own
        (``numpy.digitize``), so that one outlier moves every bin. True: bins
        of the real table serve both.

    Returns
    -------
    DataFrame of shape (n_pairs, 4)
        ``first``, ``second``, ``method`` ("pearson" or "tv"), ``error`` in [0, 1].
        A correlation that neither table defines (constant columns) is NaN; one
        that a single table does not define counts as 0 there.
    """
    names = real.domain.names
    ordered = [name for name in names if real.domain.is_ordered(name)]
    gap = _correlation_gap(_correlations(real, ordered), _correlations(synthetic, ordered))
    place = {name: k for k, name in enumerate(ordered)}
    model = real if shared_bins else synthetic
    cells = {name: (_cells(real, name, real), _cells(synthetic, name, model)) for name in names}
    sizes = {name: _n_cells(real, name) for name in names}
    rows: list[tuple[Hashable, Hashable, str, float]] = []
    for first, second in combinations(names, 2):
        if first in place and second in place:
            rows.append((first, second, "pearson", float(gap[place[first], place[second]])))
            continue
        joint = [
            a.astype(np.int64) * sizes[second] + b for a, b in zip(cells[first], cells[second], strict=True)
        ]
        rows.append((first, second, "tv", _joint_variation(joint[0], joint[1], sizes[first] * sizes[second])))
    frame = pd.DataFrame(rows, columns=["first", "second", "method", "error"])
    return frame.assign(
        first=name_series([row[0] for row in rows]), second=name_series([row[1] for row in rows])
    )


def trend_error(real: CodedTable, synthetic: CodedTable, *, shared_bins: bool = False) -> float:
    """Average the error of the pairs of columns; see `pair_errors`.

    Returns
    -------
    float
        In [0, 1], 0 is best; NaN with fewer than two columns.

    References
    ----------
    SDMetrics 0.11.1, "Column Pair Trends": one minus that score.
    """
    return float(pair_errors(real, synthetic, shared_bins=shared_bins)["error"].mean())


def _n_cells(table: CodedTable, name: Hashable) -> int:
    """Count the cells of one column in a joint table: missing, then bins or levels."""
    return 2 + N_BINS if table.domain.is_ordered(name) else 1 + len(table.domain.levels[name])


def _cells(table: CodedTable, name: Hashable, model: CodedTable) -> NDArray[np.int32]:
    """Give the cell of each row, 0 if missing, in the bins of `model`, shape (n_rows,)."""
    codes = table.column(name)
    if not table.domain.is_ordered(name):
        return codes + 1
    values = table.domain.numbers(name)
    seen = np.flatnonzero(model.counts(name)[1:])
    if not len(seen):
        return (codes >= 0).astype(np.int32)
    scale = 2.0**-10 if np.abs(values).max() > 1e300 else 1.0  # the width of the range must be a float
    edges = np.linspace(values[seen[0]] * scale, values[seen[-1]] * scale, N_BINS + 1)
    bins = np.digitize(values * scale, edges).clip(1, N_BINS + 1).astype(np.int32)  # one bin per level
    return np.append(bins, np.int32(0))[codes]  # code -1 picks the appended 0


def _joint_variation(real: NDArray[np.int64], synthetic: NDArray[np.int64], n_cells: int) -> float:
    """Compare two joint tables given the cell of each row."""
    if n_cells > _DENSE_CELLS:  # thousands of categories: count the cells that occur
        found, both = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
        real, synthetic, n_cells = both[: len(real)], both[len(real) :], len(found)
    return total_variation(np.bincount(real, minlength=n_cells), np.bincount(synthetic, minlength=n_cells))


def _correlations(table: CodedTable, names: list[Hashable]) -> NDArray[np.float64]:
    """Give Pearson's r of all pairs over the rows that have both, NaN where undefined, shape (d, d)."""
    if not names:
        return np.empty((0, 0))
    values = np.column_stack([standardised(table.numbers(name)) for name in names])
    there = (~np.isnan(values)).astype(np.float64)
    x = np.where(there > 0, values, 0.0)
    n = there.T @ there  # rows that have both
    mean, square, product = x.T @ there, (x * x).T @ there, x.T @ x  # of the first column, over those rows
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = square - mean**2 / n
        variance[variance <= 1e-12 * np.maximum(square, n)] = np.nan  # constant over the common rows
        r: NDArray[np.float64] = (product - mean * mean.T / n) / np.sqrt(variance * variance.T)
    return np.clip(r, -1.0, 1.0)


def _correlation_gap(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Halve the difference of two correlation matrices; undefined in one of them counts as 0."""
    undefined = np.isnan(real) & np.isnan(synthetic)
    gap = np.abs(np.nan_to_num(real) - np.nan_to_num(synthetic)) / 2
    return np.where(undefined, np.nan, gap)
