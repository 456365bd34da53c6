"""Shape and Trend as SDMetrics 0.11.1 computes them.

Two frames enter, one score per column or per pair of columns leaves; the
published score is their mean, over what is defined.

Since SDMetrics 0.27 the quality report leaves out pairs of columns with a real
correlation of at most 0.5 or a real association of at most 0.3, and draws 50,000
rows for contingency tables: its Trend is another figure than the published one.

References
----------
SDMetrics 0.11.1, `KSComplement`, `TVComplement`, `CorrelationSimilarity`,
`ContingencySimilarity` and the properties "Column Shapes" and "Column Pair
Trends" of its quality report.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp, pearsonr

from synthgan.evaluation.compat.inputs import Names, check_columns, numbers, shared_codes, texts

__all__ = ["column_pair_trends", "column_shapes"]

_UNSEEN = 1e-6  # how often SDMetrics counts a category that the real column lacks
_N_BINS = 10

_Cells = NDArray[np.intp] | None
"""The cell of each row in a joint table; None if the bins are undefined."""


def column_shapes(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, numerical: Names, categorical: Names
) -> pd.Series:
    """Score each column on its own; the mean is the published Shape.

    Numerical: one minus the Kolmogorov-Smirnov statistic. Categorical: one
    minus the total variation distance, a category that `real` lacks counted 1e-6
    times there. Missing values are dropped.

    Parameters
    ----------
    real, synthetic : DataFrame
        With the named columns; other columns are ignored.
    numerical, categorical : sequence of column names
        How to read each column. Dates and durations may stand among the numbers.

    Returns
    -------
    Series of shape (n_columns,)
        Scores in [0, 1], 1 is best, NaN for a column without any value in one of
        the tables; indexed by column, numerical first.

    Examples
    --------
    >>> real = pd.DataFrame({"x": [1, 2, 3, 4], "c": ["a", "a", "b", "b"]})
    >>> synthetic = pd.DataFrame({"x": [1, 2, 3, 9], "c": ["a", "b", "b", "b"]})
    >>> column_shapes(real, synthetic, numerical=["x"], categorical=["c"]).tolist()
    [0.75, 0.75]
    """
    names = [*numerical, *categorical]
    check_columns(names, real=real, synthetic=synthetic)
    scores = [_ks_complement(real[name], synthetic[name]) for name in numerical]
    scores += [_tv_complement(real[name], synthetic[name]) for name in categorical]
    return pd.Series(scores, index=pd.Index(names, dtype=object), name="score", dtype=np.float64)


def column_pair_trends(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, numerical: Names, categorical: Names
) -> pd.Series:
    """Score each pair of columns; the mean is the published Trend.

    Two numerical columns: ``1 - |r_real - r_synthetic| / 2``, Pearson's r over the
    rows that have both. Any other pair: one minus the total variation distance of
    the joint tables. A number is cut into 10 bins of equal width between the least
    and the greatest value *of its own table*, so that one outlier moves all
    bins; the greatest value and missing ones share an eleventh cell. A missing
    category is a category.

    Parameters
    ----------
    real, synthetic, numerical, categorical
        As for `column_shapes`.

    Returns
    -------
    Series of shape (n_pairs,)
        Scores in [0, 1], 1 is best, indexed by the two columns. NaN for a correlation
        that is undefined in one of the tables (constant columns, fewer than two rows) and
        for bins of a column with infinite values.

    Examples
    --------
    >>> real = pd.DataFrame({"x": [1, 2, 3], "y": [1, 2, 3]})
    >>> synthetic = pd.DataFrame({"x": [1, 2, 3], "y": [3, 2, 1]})   # r is 1 and -1
    >>> column_pair_trends(real, synthetic, numerical=["x", "y"], categorical=[]).round(9).tolist()
    [0.0]
    """
    names = [*numerical, *categorical]
    check_columns(names, real=real, synthetic=synthetic)
    frames = (real, synthetic)
    values = {name: [numbers(frame[name]) for frame in frames] for name in numerical}
    cells: dict[Hashable, list[_Cells]] = {
        name: [_bins(column) for column in values[name]] for name in numerical
    }
    for name in categorical:
        cells[name] = [*shared_codes(*[texts(frame[name]) for frame in frames])]
    scores = []
    for first, second in combinations(names, 2):
        if second in values:  # numbers stand first, so that the first is one, too
            scores.append(_correlation_similarity(values[first], values[second]))
        else:
            scores.append(_contingency_similarity(cells[first], cells[second]))
    index = pd.MultiIndex.from_tuples(list(combinations(names, 2)), names=["first", "second"])
    return pd.Series(scores, index=index, name="score", dtype=np.float64)


def _ks_complement(real: pd.Series, synthetic: pd.Series) -> float:
    first, second = numbers(real), numbers(synthetic)
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not (len(first) and len(second)):
        return np.nan
    with np.errstate(divide="ignore"):  # in the p-value of a table with one row, which is not used
        return 1 - float(ks_2samp(first, second, method="asymp").statistic)


def _tv_complement(real: pd.Series, synthetic: pd.Series) -> float:
    first: Counter[object] = Counter(real.dropna().tolist())
    second: Counter[object] = Counter(synthetic.dropna().tolist())
    if not (first and second):
        return np.nan
    known: dict[object, float] = dict.fromkeys(second, _UNSEEN) | dict(first)
    n_real, n_synthetic = sum(known.values()), second.total()
    return 1 - 0.5 * sum(abs(second[value] / n_synthetic - count / n_real) for value, count in known.items())


def _correlation_similarity(first: list[NDArray[np.float64]], second: list[NDArray[np.float64]]) -> float:
    """Compare Pearson's r of two columns between two tables."""
    r = []
    for x, y in zip(first, second, strict=True):
        if any(len(np.unique(column[~np.isnan(column)])) < 2 for column in (x, y)):
            return np.nan
        both = ~(np.isnan(x) | np.isnan(y))
        if both.sum() < 2 or np.isinf(x[both]).any() or np.isinf(y[both]).any():
            return np.nan
        with warnings.catch_warnings():  # constant over the rows that have both: r is NaN
            warnings.simplefilter("ignore")
            r.append(pearsonr(x[both], y[both]).statistic)
    return 1 - abs(float(r[0]) - float(r[1])) / 2


def _bins(values: NDArray[np.float64]) -> _Cells:
    """Cut a column into its own 10 bins, 1 to 10; 11 for its maximum and for missing values."""
    there = values[~np.isnan(values)]
    low, high = (there.min(), there.max()) if len(there) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, _N_BINS + 1)  # what numpy.histogram_bin_edges gives
    return np.digitize(values, edges) if np.isfinite(edges).all() else None


def _contingency_similarity(first: list[_Cells], second: list[_Cells]) -> float:
    """Compare the joint tables of two coded columns."""
    joint = []
    width = 1 + max(int(column.max()) for column in second if column is not None)
    for a, b in zip(first, second, strict=True):
        if a is None or b is None:
            return np.nan
        joint.append(a * width + b)
    real, synthetic = shared_codes(*joint)
    n_cells = 1 + max(real.max(), synthetic.max())
    p = np.bincount(real, minlength=n_cells) / len(real)
    q = np.bincount(synthetic, minlength=n_cells) / len(synthetic)
    return float(1 - np.abs(p - q).sum() / 2)
