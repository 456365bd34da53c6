"""Rows as points, and the exact nearest points of another table.

Coded tables enter and leave as float matrices in which a distance has a meaning
for mixed columns: 0 between equal rows, 1 between rows that differ in every
category. What looks for copies, for members or for gaps in the cover of the
data asks here for neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["embed", "mean_ranks", "nearest"]

_MAX_ONE_HOT = 64  # categories from which on random signs stand in for one-hot dimensions


def embed(
    *tables: CodedTable,
    names: Sequence[Hashable] | None = None,
    ranked: Sequence[CodedTable] | None = None,
) -> tuple[NDArray[np.float32], ...]:
    """Place the rows of several tables in one Euclidean space.

    The squared distance of two rows is the mean over columns of: the squared
    difference of ranks, as shares of all rows (ordered columns); 0 if equal, 1
    if not (other columns, and a missing against a present number). Ranks are
    taken over all tables together, so that no table is marked by them.

    Parameters
    ----------
    *tables : CodedTable
        Tables of one domain.
    names : sequence of column names, optional
        The columns to use; all if not given.
    ranked : sequence of CodedTable, optional
        The tables whose rows give the ranks, see `mean_ranks`; all if not given.

    Returns
    -------
    tuple of arrays of shape (n_rows, width), float32
        One per table. Columns with more than 64 categories are coded by 64
        random signs: equal categories stay at distance 0, others at about 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from synthgan.evaluation.tables import code_tables
    >>> (table,) = code_tables(pd.DataFrame({"size": [1.0, 9.0], "colour": ["red", "blue"]}))
    >>> (points,) = embed(table)
    >>> round(float(((points[0] - points[1]) ** 2).sum()), 4)   # (0.5^2 + 1) / 2
    0.625
    """
    domain = tables[0].domain
    names = domain.names if names is None else names
    blocks: list[list[NDArray[np.float32]]] = [[] for _ in tables]
    for name in names:
        places = (
            _rank_places(ranked or tables, name)
            if domain.is_ordered(name)
            else _category_places(tables, name)
        )
        for block, table in zip(blocks, tables, strict=True):
            block.append(places[table.column(name) + 1])  # (n_rows, width of the column)
    scale = np.float32(1 / np.sqrt(max(len(names), 1)))
    empty = [np.zeros((len(table), 1), dtype=np.float32) for table in tables]
    return tuple(
        np.hstack(block) * scale if block else none for block, none in zip(blocks, empty, strict=True)
    )


def nearest(
    points: NDArray[np.float32], reference: NDArray[np.float32] | None = None, k: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Find the nearest points of a reference, exactly and over all of it.

    Parameters
    ----------
    points : array of shape (n, width)
        As `embed` gives them.
    reference : array of shape (m, width), optional
        If not given, each point is compared with the other points.
    k : int
        How many neighbours; fewer are given where the reference is smaller.

    Returns
    -------
    distances : array of shape (n, k), float64
        Ascending in each row, >= 0.
    places : array of shape (n, k), intp
        Rows of the reference.

    Examples
    --------
    >>> distances, places = nearest(np.float32([[0.0], [3.0]]), np.float32([[1.0], [7.0]]))
    >>> distances.ravel().tolist(), places.ravel().tolist()
    ([1.0, 2.0], [0, 0])
    """
    own = reference is None
    known = points if reference is None else reference
    k = min(k, len(known) - own)
    if k < 1:
        return np.empty((len(points), 0)), np.empty((len(points), 0), dtype=np.intp)
    model = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(known)
    distances, places = model.kneighbors(None if own else points)
    return np.asarray(distances, dtype=np.float64), places


def mean_ranks(tables: Sequence[CodedTable], name: Hashable) -> NDArray[np.float64]:
    """Give the mean rank of each level of an ordered column over all rows of some tables.

    A level without a row there lies between its neighbours in proportion to the
    values: so a little noise on a value that many rows share stays little.

    Returns
    -------
    array of shape (n_levels,)
        Ascending, in [0, 1].

    Examples
    --------
    >>> import pandas as pd
    >>> from synthgan.evaluation.tables import code_tables
    >>> mean_ranks(code_tables(pd.DataFrame({"a": [5.0, 5.0, 7.0, 9.0]})), "a")
    array([0.25 , 0.625, 0.875])
    """
    counts = np.sum([table.counts(name)[1:] for table in tables], axis=0)
    ranks = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
    present = counts > 0
    if present.all() or not present.any():
        return np.asarray(ranks)
    values = tables[0].domain.numbers(name)
    values = values / max(float(np.abs(values).max()), np.finfo(float).tiny)  # so that differences are finite
    return np.asarray(np.interp(values, values[present], ranks[present]), dtype=np.float64)


def _rank_places(tables: Sequence[CodedTable], name: Hashable) -> NDArray[np.float32]:
    """Give the missing cell and each level of an ordered column its place, shape (1 + n_levels, 2)."""
    ranks = mean_ranks(tables, name)
    places = np.zeros((1 + len(ranks), 2), dtype=np.float32)
    places[1:, 0] = ranks
    places[0] = 0.5, 1.0
    return places


def _category_places(tables: Sequence[CodedTable], name: Hashable) -> NDArray[np.float32]:
    """Give the missing cell and each category its place, shape (1 + n_levels, width)."""
    n_places = 1 + len(tables[0].domain.levels[name])
    if n_places <= _MAX_ONE_HOT:
        return np.eye(n_places, dtype=np.float32) * np.float32(np.sqrt(0.5))
    signs = stream(0, "category places").integers(0, 2, size=(n_places, _MAX_ONE_HOT)) * 2 - 1
    return signs.astype(np.float32) * np.float32(np.sqrt(0.5 / _MAX_ONE_HOT))
