"""Does it look like the data, column by column: distances between single columns.

Coded tables enter, distances leave, all of them exact from how often each value
occurs. ``shape_error`` is one minus the score "Column Shapes" that the
literature reports (SDMetrics 0.11.1), written from its definition. One reading
differs from it on purpose: a missing category is a value of its own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import rel_entr

from synthgan.evaluation.tables import CodedTable, name_series

__all__ = [
    "column_errors",
    "column_summary",
    "jensen_shannon",
    "ks_statistic",
    "missing_error",
    "quantile_cells",
    "shape_error",
    "total_variation",
    "wasserstein",
]

N_BINS = 20  # quantile bins of a number for the Jensen-Shannon distance
_LARGEST = 1e100  # one value of 1e300 must not make the mean over the columns infinite


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


def wasserstein(
    values: NDArray[np.float64], real: NDArray[np.integer], synthetic: NDArray[np.integer]
) -> float:
    """Measure how far values must move, in interquartile ranges of the real ones.

    ``int |F_real(t) - F_synthetic(t)| dt / (Q3 - Q1)``, the Wasserstein-1
    distance on a scale of its own. If more than half of the real values are
    equal the range is 0; the mean distance of the real values from their
    median takes its place, and if all of them are equal, the range of both
    tables together.

    Parameters
    ----------
    values : array of shape (n_levels,)
        In ascending order.
    real, synthetic : array of shape (n_levels,)
        How often each value occurs.

    Returns
    -------
    float
        >= 0 (1e100 stands for more), 0 is best; NaN if one side has no value.

    Examples
    --------
    All values move by 1, and the quartiles are 1 and 3:

    >>> wasserstein(np.arange(5.0), np.array([0, 1, 1, 1, 1]), np.array([1, 1, 1, 1, 0]))
    0.5
    """
    if not (real.sum() and synthetic.sum()):
        return float("nan")
    values = _scaled(values)
    gap = np.abs(np.cumsum(real) / real.sum() - np.cumsum(synthetic) / synthetic.sum())
    moved = float(gap[:-1] @ np.diff(values))
    return min(moved / _spread(values, real, synthetic), _LARGEST) if moved else 0.0


def _spread(values: NDArray[np.float64], real: NDArray[np.integer], synthetic: NDArray[np.integer]) -> float:
    """Give the interquartile range of the real values, or what stands in for it; > 0 if any two differ."""
    below = np.cumsum(real)
    lower, median, upper = values[np.searchsorted(below, below[-1] * np.array([0.25, 0.5, 0.75]))]
    if upper > lower:
        return float(upper - lower)
    seen = values[real + synthetic > 0]
    return float(real / below[-1] @ np.abs(values - median)) or float(seen[-1] - seen[0])


def jensen_shannon(real: NDArray[np.number], synthetic: NDArray[np.number]) -> float:
    """Measure the Jensen-Shannon distance with logarithms of base 2.

    ``sqrt((KL(p | m) + KL(q | m)) / 2)`` with ``m = (p + q) / 2``. A metric,
    and stricter than the total variation about values that only one side has.

    Parameters
    ----------
    real, synthetic : array of shape (n_categories,)
        How often each category occurs; at least one on each side.

    Returns
    -------
    float
        In [0, 1], 0 is best.

    References
    ----------
    Endres and Schindelin (2003), "A new metric for probability distributions".

    Examples
    --------
    >>> jensen_shannon(np.array([1, 0]), np.array([0, 5]))
    1.0
    """
    p, q = real / real.sum(), synthetic / synthetic.sum()
    m = (p + q) / 2
    divergence = (rel_entr(p, m).sum() + rel_entr(q, m).sum()) / (2 * np.log(2))
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))  # rounding may leave [0, 1]


def quantile_cells(counts: NDArray[np.integer], n_bins: int) -> NDArray[np.int32]:
    """Cut ordered values into bins of about equal mass.

    A value belongs to the bin in which the middle of its mass lies: equal
    values stay together, and values that do not occur get the bin of their
    neighbours. Bins may be empty where many values are equal.

    Parameters
    ----------
    counts : array of shape (n_levels,)
        How often each value occurs in the table that gives the bins, in
        ascending order of the values.
    n_bins : int

    Returns
    -------
    array of shape (n_levels,), int32
        In [0, n_bins), ascending.

    Examples
    --------
    >>> quantile_cells(np.array([1, 1, 0, 1, 1]), 2).tolist()
    [0, 0, 1, 1, 1]
    """
    middle = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
    return np.asarray(np.minimum(n_bins * middle, n_bins - 1), dtype=np.int32)


def column_errors(real: CodedTable, synthetic: CodedTable) -> pd.DataFrame:
    """Compare each column on its own.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.

    Returns
    -------
    DataFrame of shape (n_columns, 10)
        ``column``, ``kind``, ``method`` ("ks" or "tv"), ``error`` in [0, 1];
        the share of missing cells, ``missing_real`` and ``missing_synthetic``;
        ``wasserstein`` >= 0 (ordered columns only), ``jensen_shannon`` in
        [0, 1] (ordered columns in 20 quantile bins of the real table);
        ``coverage``, the share of the real range, or of the real categories
        each counted once, that the synthetic values cover, and ``adherence``,
        the share of the synthetic cells that lie in the real range or
        categories, both in [0, 1] with 1 as the best.

        Missing cells are a category, except that ordered columns, coverage
        and adherence leave them out. An ordered column without any value in
        one of the tables has errors 1, without any in both 0; what is not
        defined is NaN.
    """
    rows = []
    for name in real.domain.names:
        first, second = real.counts(name), synthetic.counts(name)
        if real.domain.is_ordered(name):
            found = _ordered_errors(real.domain.numbers(name), first[1:], second[1:])
        else:
            found = _category_errors(first, second)
        missing = {"missing_real": first[0] / len(real), "missing_synthetic": second[0] / len(synthetic)}
        rows.append({"kind": real.domain.kinds[name], **found, **missing})
    frame = pd.DataFrame(rows)
    frame.insert(0, "column", name_series(real.domain.names))
    return frame


def column_summary(columns: pd.DataFrame) -> dict[str, float]:
    """Average what `column_errors` found.

    Parameters
    ----------
    columns : DataFrame
        As `column_errors` gives it.

    Returns
    -------
    dict of name to float
        ``shape_error`` and ``missing_error`` as the functions of these names;
        ``wasserstein_error`` >= 0; ``jensen_shannon_error`` in [0, 1];
        ``range_coverage`` (ordered columns), ``category_coverage`` (all
        others) and ``adherence`` in [0, 1], 1 is best. Unweighted means over
        the columns for which the figure is defined, NaN if there is none.
    """
    ordered = columns["method"] == "ks"
    means = {
        "shape_error": columns["error"],
        "missing_error": (columns["missing_real"] - columns["missing_synthetic"]).abs(),
        "wasserstein_error": columns["wasserstein"],
        "jensen_shannon_error": columns["jensen_shannon"],
        "range_coverage": columns["coverage"][ordered],
        "category_coverage": columns["coverage"][~ordered],
        "adherence": columns["adherence"],
    }
    return {name: float(values.mean()) for name, values in means.items()}


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
    return column_summary(column_errors(real, synthetic))["shape_error"]


def missing_error(real: CodedTable, synthetic: CodedTable) -> float:
    """Average the absolute difference of the missing rates of the columns.

    Returns
    -------
    float
        In [0, 1], 0 is best.
    """
    return column_summary(column_errors(real, synthetic))["missing_error"]


def _ordered_errors(
    values: NDArray[np.float64], real: NDArray[np.integer], synthetic: NDArray[np.integer]
) -> dict[str, str | float]:
    """Compare the observed values of an ordered column, given how often each occurs."""
    error = divergence = float(real.sum() != synthetic.sum())  # where one side has no value
    if real.any() and synthetic.any():
        error = ks_statistic(real, synthetic)
        cells = quantile_cells(real, N_BINS)
        divergence = jensen_shannon(np.bincount(cells, real), np.bincount(cells, synthetic))
    coverage, adherence = _range_shares(values, real, synthetic)
    return {
        "method": "ks",
        "error": error,
        "wasserstein": wasserstein(values, real, synthetic),
        "jensen_shannon": divergence,
        "coverage": coverage,
        "adherence": adherence,
    }


def _category_errors(real: NDArray[np.integer], synthetic: NDArray[np.integer]) -> dict[str, str | float]:
    """Compare the categories of a column, given how often each occurs; the first is the missing cell."""
    known = real[1:] > 0
    return {
        "method": "tv",
        "error": total_variation(real, synthetic),
        "wasserstein": float("nan"),
        "jensen_shannon": jensen_shannon(real, synthetic),
        "coverage": _share((known & (synthetic[1:] > 0)).sum(), known.sum()),
        "adherence": _share(synthetic[1:][known].sum(), synthetic[1:].sum()),
    }


def _range_shares(
    values: NDArray[np.float64], real: NDArray[np.integer], synthetic: NDArray[np.integer]
) -> tuple[float, float]:
    """Give the share of the real range that is covered, and of the synthetic cells that lie in it."""
    if not real.any():
        return float("nan"), _share(0, synthetic.sum())
    low, high = np.flatnonzero(real)[[0, -1]]
    adherence = _share(synthetic[low : high + 1].sum(), synthetic.sum())
    if not synthetic.any():
        return 0.0, adherence
    least, greatest = np.flatnonzero(synthetic)[[0, -1]]
    ends = _scaled(values[[low, high, max(low, least), min(high, greatest)]])
    if ends[0] == ends[1]:  # one value, or integers that are equal as floats
        return float(ends[2] <= ends[3]), adherence
    return max(0.0, float((ends[3] - ends[2]) / (ends[1] - ends[0]))), adherence


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shrink values so far that their range is a float; ratios of distances do not change."""
    return values * 2.0**-12 if np.abs(values).max() > 1e300 else values


def _share(part: np.integer | int, whole: np.integer) -> float:
    """Divide, NaN if there is nothing to divide."""
    return float(part / whole) if whole else float("nan")
