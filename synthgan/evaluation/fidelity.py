"""Does it look like the data: distances between columns and between pairs of columns.

Coded tables enter, errors in [0, 1] leave, 0 is best. ``shape_error`` and
``trend_error`` are one minus the scores "Column Shapes" and "Column Pair Trends"
that the literature reports (SDMetrics 0.11.1), written from their definitions.
Two readings differ from it on purpose: a missing category, and a missing number
in a joint table, is a value of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.evaluation.features import standardised
from synthgan.evaluation.tables import CodedTable

__all__ = [
    "column_errors",
    "ks_statistic",
    "missing_error",
    "pair_errors",
    "shape_error",
    "total_variation",
    "trend_error",
]

N_BINS = 10  # equal-width bins of a number in a joint table, as published
_DENSE_CELLS = 1 << 18  # joint tables up to this size are counted densely


def ks_statistic(real: NDArray[np.integer], synthetic: NDArray[np.integer]) -> float:
    """Measure the largest gap between two distribution functions.

    ``max_t |F_real(t) - F_synthetic(t)|``, the two-sample Kolmogorov-Smirnov
    statistic.

    Parameters
    ----------
    real, synthetic : array of shape (n_levels,)
        How often each value occurs, in ascending order of the values.

    Returns
    -------
    float
        In [0, 1], 0 is best; NaN if one side has no value.

    Examples
    --------
    >>> ks_statistic(np.array([2, 2]), np.array([1, 3]))
    0.25
    """
    if not (real.sum() and synthetic.sum()):
        return float("nan")
    return float(np.abs(np.cumsum(real) / real.sum() - np.cumsum(synthetic) / synthetic.sum()).max())


def total_variation(real: NDArray[np.integer], synthetic: NDArray[np.integer]) -> float:
    """Measure the probability mass that one distribution must move to become the other.

    ``0.5 * sum_k |p_k - q_k|``

    Parameters
    ----------
    real, synthetic : array of shape (n_categories,)
        How often each category occurs.

    Returns
    -------
    float
        In [0, 1], 0 is best.

    Examples
    --------
    >>> total_variation(np.array([2, 2, 0]), np.array([1, 2, 1]))
    0.25
    """
    return float(0.5 * np.abs(real / real.sum() - synthetic / synthetic.sum()).sum())


def column_errors(real: CodedTable, synthetic: CodedTable) -> pd.DataFrame:
    """Compare each column on its own.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.

    Returns
    -------
    DataFrame of shape (n_columns, 6)
        ``column``, ``kind``, ``method`` ("ks" or "tv"), ``error`` in [0, 1], and
        the share of missing cells, ``missing_real`` and ``missing_synthetic``.
        An ordered column without any value in one of the tables has error 1,
        without any in both 0.
    """
    rows = []
    for name in real.domain.names:
        first, second = real.counts(name), synthetic.counts(name)
        ordered = real.domain.is_ordered(name)
        error = ks_statistic(first[1:], second[1:]) if ordered else total_variation(first, second)
        if np.isnan(error):
            error = float(first[1:].sum() != second[1:].sum())
        missing = first[0] / len(real), second[0] / len(synthetic)
        rows.append((name, real.domain.kinds[name], "ks" if ordered else "tv", error, *missing))
    names = ["column", "kind", "method", "error", "missing_real", "missing_synthetic"]
    return _named(pd.DataFrame(rows, columns=names), column=real.domain.names)


def shape_error(real: CodedTable, synthetic: CodedTable) -> float:
    """Average the error of the columns.

    The Kolmogorov-Smirnov statistic of numbers, dates and durations (missing
    cells dropped), the total variation distance of all other columns; the
    unweighted mean over columns.

    Returns
    -------
    float
        In [0, 1], 0 is best.

    References
    ----------
    SDMetrics 0.11.1, "Column Shapes": one minus that score.
    """
    return float(column_errors(real, synthetic)["error"].mean())


def missing_error(real: CodedTable, synthetic: CodedTable) -> float:
    """Average the absolute difference of the missing rates of the columns.

    Returns
    -------
    float
        In [0, 1], 0 is best.
    """
    found = column_errors(real, synthetic)
    return float((found["missing_real"] - found["missing_synthetic"]).abs().mean())


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
    return _named(frame, first=[row[0] for row in rows], second=[row[1] for row in rows])


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


def _named(frame: pd.DataFrame, **columns: Sequence[Hashable]) -> pd.DataFrame:
    """Put the names of columns into a frame as the objects that they are; pandas would turn None into NaN."""
    for key, names in columns.items():
        objects = np.empty(len(names), dtype=object)
        objects[:] = names
        frame[key] = pd.Series(objects, dtype=object)
    return frame


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
