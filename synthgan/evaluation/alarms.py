"""When a difference between members and non-members is more than chance.

Members are rows that the model saw, non-members rows that it did not; counts
enter, p-values leave. Everything rests on one argument. If the synthetic table
tells nothing about who was a member, then, given all records and the synthetic
table, every way to choose the members among the records is equally probable.
Whatever is computed *without looking at who is a member* is then fixed, and the
number of members among any records marked that way is hypergeometric: exactly,
for every distribution of the data, with duplicates and ties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, hypergeom, norm

__all__ = [
    "LEVEL",
    "MIN_MEMBERS",
    "MIN_OTHERS",
    "able",
    "at_once",
    "detectable_auc",
    "detectable_tpr",
    "excess_p",
    "least_p",
]

LEVEL = 0.01
"""Of each of the four families (membership, attributes, singling out, copies): 4 % in all."""

MIN_MEMBERS = 1_000
"""Fewer members allow no verdict."""

MIN_OTHERS = 100
"""Fewer non-members allow none: the tests would miss all but the grossest leaks."""

POWER = 0.8


def excess_p(members_hit: int, n_members: int, others_hit: int, n_others: int) -> float:
    """Test whether marks fall upon members more often than chance lets them.

    Parameters
    ----------
    members_hit, others_hit : int
        How many members and how many non-members are marked.
    n_members, n_others : int
        How many there are.

    Returns
    -------
    float
        The probability of this many members or more among the marked records
        (hypergeometric; Fisher's exact test, one-sided), in (0, 1].

    Examples
    --------
    >>> round(excess_p(2, 2, 0, 2), 4)   # both marks on the two members of four: 1 / C(4, 2)
    0.1667
    """
    return float(hypergeom.sf(members_hit - 1, n_members + n_others, n_members, members_hit + others_hit))


def least_p(n_hit: int, n_members: int, n_others: int) -> float:
    """Give the least p-value that a number of marks can reach: as many as can be lie on members."""
    members_hit = min(n_hit, n_members)
    return excess_p(members_hit, n_members, n_hit - members_hit, n_others)


def able(least: ArrayLike, level: float = LEVEL) -> NDArray[np.bool_]:
    """Mark the tests that could find anything if corrected for the number of all.

    Parameters
    ----------
    least : array of shape (n,)
        The least p-value that each test could reach; NaN where nothing was tested.

    Returns
    -------
    array of shape (n,), bool
        Those that can reach ``level / n``.
    """
    known = np.asarray(least, dtype=np.float64)
    tested = ~np.isnan(known)
    return np.asarray(np.where(tested, known, 1.0) <= level / max(tested.sum(), 1))


def at_once(p_values: ArrayLike, least: ArrayLike | None = None, level: float = LEVEL) -> NDArray[np.float64]:
    """Correct p-values for being many (Bonferroni), without counting tests that cannot speak.

    Parameters
    ----------
    p_values : array of shape (n,)
        NaN where nothing was tested.
    least : array of shape (n,), optional
        The least value that each could have reached, see `able`. It depends on
        the numbers of members and of marks, not on where the marks fell.
    level : float
        What the corrected values are to be compared with. One or more of them
        lie at or below it with at most this probability if nothing leaks.

    Returns
    -------
    array of shape (n,)
        In [0, 1]; 1 for the tests that are left out, NaN where nothing was tested.

    References
    ----------
    Tarone (1990), "A modified Bonferroni method for discrete data".

    Examples
    --------
    >>> at_once([0.001, 0.2, 0.5], least=[0.0, 0.0, 0.4])
    array([0.002, 0.4  , 1.   ])
    """
    found = np.asarray(p_values, dtype=np.float64)
    counted = able(np.where(np.isnan(found), np.nan, 0.0) if least is None else least, level)
    corrected = np.where(counted, np.minimum(1.0, found * counted.sum()), 1.0)
    return np.where(np.isnan(found), np.nan, corrected)


def detectable_auc(n_members: int, n_others: int, level: float) -> float:
    """Give the area under the ROC curve that a test finds with probability 0.8.

    ``1/2 + (z_level + z_power) sqrt((m + n + 1) / (12 m n))``, the normal law of
    the rank-sum statistic with its variance under chance; at most 1.

    References
    ----------
    Noether (1987), "Sample size determination for some common nonparametric tests".

    Examples
    --------
    >>> round(detectable_auc(1000, 1000, 0.05), 3)   # 1/2 + (1.645 + .842) x .01291
    0.532
    """
    if not (n_members and n_others):
        return float("nan")
    deviation = np.sqrt((n_members + n_others + 1) / (12 * n_members * n_others))
    return float(min(1.0, 0.5 + (norm.isf(level) + norm.ppf(POWER)) * deviation))


def detectable_tpr(n_top: int, n_members: int, n_others: int, level: float) -> float:
    """Give the share of the members that must be among the top records to be found with probability 0.8.

    Parameters
    ----------
    n_top : int
        How many records count as accused.
    n_members, n_others : int
    level : float

    Returns
    -------
    float
        In [0, 1]; NaN where the test cannot speak.

    Examples
    --------
    >>> round(detectable_tpr(20, 1000, 1000, 0.01), 4)   # 16 of 20 needed: each a member with .842
    0.0168
    """
    counts = np.arange(min(n_top, n_members) + 1)
    enough = hypergeom.sf(counts - 1, n_members + n_others, n_members, n_top) <= level
    if not enough.any():
        return float("nan")
    needed = int(counts[enough][0])
    share = beta.ppf(POWER, needed, n_top - needed + 1)  # P(Binomial(n_top, share) >= needed) = 0.8
    return float(min(1.0, share * n_top / n_members))
