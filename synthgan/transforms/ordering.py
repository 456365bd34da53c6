"""An order of many categories in which neighbours behave alike: correspondence analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["level_scores"]

_MAX_ROWS = 200_000
_N_STEPS = 60


def level_scores(
    levels: NDArray[np.integer[Any]], n_levels: int, context: Sequence[tuple[NDArray[np.integer[Any]], int]]
) -> NDArray[np.float64]:
    """Score levels so that those that occur with the same codes of other columns come near each other.

    The score is the first axis of the correspondence analysis of levels against the codes of all
    context columns, found by power iteration from a fixed start.

    Parameters
    ----------
    levels : int array of shape (n_rows,)
        Level of each row; -1 where missing.
    n_levels : int
    context : sequence of (codes of shape (n_rows,), number of codes)

    Returns
    -------
    float array of shape (n_levels,)
        Zeros if nothing tells the levels apart.

    Examples
    --------
    >>> scores = level_scores(np.array([0, 1, 2, 3]), 4, [(np.array([0, 1, 0, 1]), 2)])
    >>> bool(np.isclose(scores[0], scores[2]) and not np.isclose(scores[0], scores[1]))
    True
    """
    step = max(1, len(levels) // _MAX_ROWS)
    rows = np.flatnonzero(levels[::step] >= 0) * step
    if len(rows) == 0 or not context:
        return np.zeros(n_levels)
    blocks = [
        sparse.coo_array((np.ones(len(rows)), (levels[rows], codes[rows])), shape=(n_levels, n_codes)).tocsr()
        for codes, n_codes in context
    ]
    counts = sparse.hstack(blocks).tocsr()
    row_mass, column_mass = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    row_scale = 1 / np.sqrt(np.maximum(row_mass, 1))
    column_scale = 1 / np.sqrt(np.maximum(column_mass, 1))
    scaled = sparse.diags_array(row_scale) @ counts @ sparse.diags_array(column_scale)
    axis = _second_vector(scaled.tocsr(), np.sqrt(row_mass))
    return axis * row_scale


def _second_vector(matrix: sparse.csr_array, trivial: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the left singular vector that follows the trivial one, by power iteration."""
    trivial = trivial / np.linalg.norm(trivial)
    vector = np.sin(np.arange(1.0, len(trivial) + 1))  # any fixed start that has all components
    for _ in range(_N_STEPS):
        vector = vector - trivial * (trivial @ vector)
        vector = matrix @ (matrix.T @ vector)
        norm = np.linalg.norm(vector)
        if norm < 1e-12:
            return np.zeros(len(trivial))
        vector = vector / norm
    vector = vector - trivial * (trivial @ vector)
    sign = np.sign((vector**3).sum()) or 1.0
    result: NDArray[np.float64] = vector * sign
    return result
