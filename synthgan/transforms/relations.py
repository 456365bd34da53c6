"""Relational atoms: values of a column that equal another column's value in many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_relations"]

MIN_SHARE = 0.01
MAX_RELATIONS = 3
MAX_ROWS = 20_000
MAX_BACK = 300  # a column is compared with so many before it
_MAX_COMPARISONS = 2_000_000_000


def sample_rows(n_rows: int, n_columns: int) -> NDArray[np.int64]:
    """Return the rows on which relations are looked for, evenly spread; fewer in very wide tables."""
    n_pairs = max(n_columns * min(n_columns, MAX_BACK), 1)
    limit = min(MAX_ROWS, max(1000, _MAX_COMPARISONS // n_pairs))
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, limit)).astype(np.int64))


def find_relations(
    values: Sequence[NDArray[Any]], loose: Sequence[NDArray[np.bool_]], groups: Sequence[object]
) -> list[list[int]]:
    """Find, for each column, the earlier ones whose value it repeats.

    Parameters
    ----------
    values : sequence of n_columns arrays of shape (n_rows,)
        Plain numbers.
    loose : sequence of n_columns bool arrays of shape (n_rows,)
        Where the value is neither missing nor an atom of its column.
    groups : sequence of n_columns objects
        Columns are compared if these are equal: the kind, and what a number means.

    Returns
    -------
    list of n_columns lists of positions
        At most three a column, strongest first; each explains at least 1 % of the rows
        beyond those before it.

    Examples
    --------
    >>> a, b = np.arange(100), np.r_[np.arange(50), np.zeros(50)]
    >>> find_relations([a, b], [np.ones(100, bool), b > 0], ["x", "x"])
    [[], [0]]
    """
    found: list[list[int]] = [[] for _ in values]
    for group in dict.fromkeys(groups):
        members = [j for j in range(len(values)) if groups[j] == group]
        stacked = np.array([values[j] for j in members])
        for place, j in enumerate(members):
            start, rows = max(0, place - MAX_BACK), np.flatnonzero(loose[j])
            if place and len(rows):
                equal = stacked[start:place, rows] == values[j][rows]
                found[j] = [members[start + k] for k in _strongest(equal, MIN_SHARE * len(loose[j]))]
    return found


def _strongest(equal: NDArray[np.bool_], min_rows: float) -> list[int]:
    """Choose lines of a table of shape (n_columns, n_rows) that cover the most rows, one after the other."""
    chosen: list[int] = []
    while len(chosen) < MAX_RELATIONS:
        covered = equal.sum(axis=1)
        best = int(covered.argmax())
        if covered[best] < min_rows:
            break
        chosen.append(best)
        equal = equal & ~equal[best]
    return chosen
