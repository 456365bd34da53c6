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
_MAX_COMPARISONS = 500_000_000


def sample_rows(n_rows: int, n_columns: int) -> NDArray[np.int64]:
    """Return the rows on which relations are looked for, evenly spread; fewer in very wide tables."""
    limit = min(MAX_ROWS, max(500, _MAX_COMPARISONS // max(n_columns**2, 1)))
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
    found = []
    for j, own in enumerate(values):
        earlier = [k for k in range(j) if groups[k] == groups[j]]
        chosen: list[int] = []
        if earlier and loose[j].any():
            rows = np.flatnonzero(loose[j])
            equal = np.column_stack([values[k][rows] == own[rows] for k in earlier])
            while len(chosen) < MAX_RELATIONS:
                shares = equal.sum(axis=0) / len(own)
                best = int(shares.argmax())
                if shares[best] < MIN_SHARE:
                    break
                chosen.append(earlier[best])
                equal = equal & ~equal[:, [best]]
        found.append(chosen)
    return found
