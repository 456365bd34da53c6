"""How strongly two columns are related, in one table.

Counts, groups or values enter, a coefficient leaves: 0 is no relation, 1 a
perfect one, NaN where a constant column leaves nothing to relate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

__all__ = ["correlation_ratio", "correlations", "cramers_v", "normalised_information"]


def correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give Pearson's r of all pairs of columns over the rows that have both.

    Parameters
    ----------
    values : array of shape (n_rows, d)
        Of mean 0 and deviation 1 or all 0, as `standardised` gives them; NaN is
        missing.

    Returns
    -------
    array of shape (d, d)
        In [-1, 1], NaN where a column is constant over the common rows.

    Examples
    --------
    >>> correlations(np.array([[-1.0, 1.0], [1.0, -1.0]]))[0, 1].item()
    -1.0
    """
    there = (~np.isnan(values)).astype(np.float64)
    x = np.where(there > 0, values, 0.0)
    n = there.T @ there  # rows that have both
    mean, square, product = x.T @ there, (x * x).T @ there, x.T @ x  # of the first column, over those rows
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = square - mean**2 / n
        variance[variance <= 1e-12 * np.maximum(square, n)] = np.nan  # constant over the common rows
        r: NDArray[np.float64] = (product - mean * mean.T / n) / np.sqrt(variance * variance.T)
    return np.clip(r, -1.0, 1.0)


def cramers_v(rows: NDArray[np.integer], columns: NDArray[np.integer], counts: NDArray[np.integer]) -> float:
    """Give Cramer's V of a contingency table, corrected for bias.

    ``sqrt(phi2 / min(r - 1, k - 1))`` with ``phi2 = chi2 / n``, less what
    independent columns have on average, ``(r - 1) (k - 1) / (n - 1)``. Without
    the correction rare categories look related, the more the smaller the table.

    Parameters
    ----------
    rows, columns : array of shape (n_cells,)
        Where each cell stands in the table; cells that do not occur may be left
        out.
    counts : array of shape (n_cells,)
        How often each cell occurs.

    Returns
    -------
    float
        In [0, 1]; NaN if a column is constant or each row has a category of
        its own.

    References
    ----------
    Bergsma (2013), "A bias-correction for Cramer's V and Tschuprow's T".

    Examples
    --------
    >>> cramers_v(np.array([0, 1]), np.array([1, 0]), np.array([5, 5]))
    1.0
    """
    rows, columns, share = rows[counts > 0], columns[counts > 0], counts[counts > 0] / counts.sum()
    row_share, column_share = np.bincount(rows, share), np.bincount(columns, share)
    n, r, k = int(counts.sum()), np.count_nonzero(row_share), np.count_nonzero(column_share)
    if min(r, k) < 2:
        return float("nan")
    phi2 = (share**2 / (row_share[rows] * column_share[columns])).sum() - 1
    excess = phi2 - (r - 1) * (k - 1) / (n - 1)
    largest = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(np.clip(excess / largest, 0.0, 1.0))) if largest > 1e-9 else float("nan")


def correlation_ratio(groups: NDArray[np.integer], values: NDArray[np.float64]) -> float:
    """Give the correlation ratio of categories and numbers, corrected for bias.

    The root of ``1 - (1 - eta2) (n - 1) / (n - k)``, where ``eta2`` is the
    share of the variance that lies between the k categories: eta as if each
    variance had been divided by its degrees of freedom.

    Parameters
    ----------
    groups : array of shape (n_rows,)
        Category of each row, >= 0.
    values : array of shape (n_rows,)
        Of mean 0 and deviation 1 or all 0, as `standardised` gives them; rows
        with NaN are left out.

    Returns
    -------
    float
        In [0, 1]; NaN if a column is constant or each row has a category of
        its own.

    References
    ----------
    Kelley (1935), "An unbiased correlation ratio measure".

    Examples
    --------
    >>> correlation_ratio(np.array([0, 0, 1, 1]), np.array([-1.0, -1.0, 1.0, 1.0]))
    1.0
    """
    there = ~np.isnan(values)
    if not there.all():
        groups, values = groups[there], values[there]
    size, total = np.bincount(groups), np.bincount(groups, values)
    n, k = len(values), np.count_nonzero(size)
    if k < 2 or k == n:
        return float("nan")
    around = values @ values - values.sum() ** 2 / n
    if around <= 1e-12 * n:
        return float("nan")
    between = (total[size > 0] ** 2 / size[size > 0]).sum() - values.sum() ** 2 / n
    epsilon2 = 1 - (1 - between / around) * (n - 1) / (n - k)
    return float(np.sqrt(np.clip(epsilon2, 0.0, 1.0)))


def normalised_information(
    joint: NDArray[np.integer], first: NDArray[np.integer], second: NDArray[np.integer]
) -> float:
    """Give the mutual information of two columns over the mean of their entropies.

    ``2 (H(a) + H(b) - H(a, b)) / (H(a) + H(b))``; not corrected for bias.

    Parameters
    ----------
    joint : array of shape (n_cells,)
        How often each pair of values occurs.
    first, second : array of shape (n_values,)
        How often each value of either column occurs.

    Returns
    -------
    float
        In [0, 1]; 0 if both columns are constant.

    Examples
    --------
    >>> normalised_information(np.array([2, 0, 0, 2]), np.array([2, 2]), np.array([2, 2]))
    1.0
    """
    joint_entropy, *entropies = (
        float(entr(counts / counts.sum()).sum()) for counts in (joint, first, second)
    )
    if sum(entropies) <= 0:
        return 0.0
    return min(1.0, max(0.0, 2 * (1 - joint_entropy / sum(entropies))))
