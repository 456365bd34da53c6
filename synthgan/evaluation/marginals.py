"""Does it look like the data, column by column: distances between single columns.

Coded tables enter, errors leave, 0 is best. ``shape_error`` is one minus the
score "Column Shapes" that the literature reports (SDMetrics 0.11.1), written
from its definition. One reading differs from it on purpose: a missing category
is a value of its own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.evaluation.tables import CodedTable, name_series

__all__ = ["column_errors", "ks_statistic", "missing_error", "shape_error", "total_variation"]


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
    return pd.DataFrame(rows, columns=names).assign(column=name_series(real.domain.names))


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
