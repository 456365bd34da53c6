"""Intervals of shares, of areas under the ROC curve and of distances.

Counts, scores or tables enter; the estimate with its 95 % interval leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from synthgan.evaluation.tables import CodedTable

__all__ = ["Estimate", "auc_with_variance", "bootstrapped", "wilson"]

Z95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where no honest interval is known."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @classmethod
    def around(cls, value: float, deviation: float) -> Estimate:
        """Give a figure in [0, 1] with the normal interval of its deviation, which may be NaN."""
        low, high = np.clip([value - Z95 * deviation, value + Z95 * deviation], 0.0, 1.0).tolist()
        return cls(value, low, high)


def wilson(successes: int, trials: int) -> Estimate:
    """Give a share with Wilson's score interval.

    Parameters
    ----------
    successes, trials : int
        ``0 <= successes <= trials``, ``trials >= 1``.

    Returns
    -------
    Estimate
        In [0, 1].

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical
    inference".

    Examples
    --------
    >>> estimate = wilson(0, 100)
    >>> estimate.value, estimate.low, round(estimate.high, 4)
    (0.0, 0.0, 0.037)
    """
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Estimate(share, float(low), float(high))


def auc_with_variance(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float, float]:
    """Give the area under the ROC curve and its variance.

    The area is the share of (positive, negative) pairs in which the positive
    has the higher score, ties counting half. The variance is DeLong's: between
    positives of their share of negatives below, and between negatives of
    theirs, each over the number of rows.

    Parameters
    ----------
    positive : array of shape (n,), bool
        Both classes must occur.
    score : array of shape (n,)
        Higher means more probably positive.

    Returns
    -------
    auc : float
        In [0, 1]; 0.5 is chance.
    variance : float
        >= 0; NaN with fewer than two rows of a class.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988); ranks after Sun and Xu (2014).

    Examples
    --------
    >>> auc_with_variance(np.array([False, False, True, True]), np.array([0.1, 0.6, 0.4, 0.8]))
    (0.75, 0.125)
    """
    ranks = rankdata(score)
    m, n = int(positive.sum()), int((~positive).sum())
    below = (ranks[positive] - rankdata(score[positive])) / n  # share of negatives below each positive
    above = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    if min(m, n) < 2:
        return float(below.mean()), float("nan")
    return float(below.mean()), float(below.var(ddof=1) / m + above.var(ddof=1) / n)


def bootstrapped(
    measure: Callable[[CodedTable, CodedTable], dict[str, float]],
    real: CodedTable,
    synthetic: CodedTable,
    rng: np.random.Generator,
    n_resamples: int = 12,
) -> dict[str, Estimate]:
    """Give distances between two tables with a standard error from their rows.

    Rows of both tables are drawn with replacement `n_resamples` times. A
    distance of resampled tables is too large on average, so that its
    percentiles would lie beside the value; its deviation is of use: the
    interval is the value -+ 1.96 deviations. It says how far another draw of
    tables of this size may move the value, not how far the value lies above 0
    by chance: that says the ceiling. A distance that is not defined, or not in
    every resample, has no interval.

    Parameters
    ----------
    measure : callable
        Gives named distances >= 0.
    real, synthetic : CodedTable
        Two tables of one domain.
    rng : numpy Generator
        Draws the rows.
    n_resamples : int
        With 12 the deviation itself is known to about 21 %.

    Returns
    -------
    dict of name to Estimate
    """
    drawn: list[dict[str, float]] = []
    for _ in range(n_resamples):
        rows, others = (
            rng.integers(len(real), size=len(real)),
            rng.integers(len(synthetic), size=len(synthetic)),
        )
        drawn.append(measure(real.take(rows), synthetic.take(others)))
    found = {}
    for name, value in measure(real, synthetic).items():
        resamples = np.array([resample[name] for resample in drawn])
        half = Z95 * float(np.std(resamples, ddof=1))
        if np.isnan([value, half]).any():
            found[name] = Estimate(value)
            continue
        most = 1.0 if max(value, *resamples) <= 1 else np.inf
        found[name] = Estimate(value, max(0.0, value - half), min(most, value + half))
    return found
