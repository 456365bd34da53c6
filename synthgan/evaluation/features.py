"""Coded tables as the inputs of classifiers.

Codes enter; leave a float matrix with native categories for gradient boosting,
or a sparse standardised one-hot matrix for a linear model.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from synthgan.evaluation.tables import CodedTable

__all__ = ["MAX_CATEGORIES", "boosting_features", "linear_features", "standardised", "trainable"]

MAX_CATEGORIES = 255  # what scikit-learn's histogram boosting can hold in one column


def boosting_features(
    tables: Sequence[CodedTable], names: Sequence[Hashable]
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Give each table as floats, NaN where missing, and tell which columns are categories.

    Categories are numbered by their frequency over all tables; from the 255th
    on they are one.

    Parameters
    ----------
    tables : sequence of CodedTable
        Tables of one domain; all get the same numbering.
    names : sequence of column names
        The columns to use.

    Returns
    -------
    matrices : list of arrays of shape (n_rows, len(names))
        One per table.
    categorical : array of shape (len(names),), bool
        Columns whose numbers have no order.
    """
    domain = tables[0].domain
    columns: list[list[NDArray[np.float64]]] = []
    for name in names:
        if domain.is_ordered(name):
            columns.append([table.numbers(name) for table in tables])
            continue
        total = sum(table.counts(name)[1:] for table in tables)
        number = np.empty(len(domain.levels[name]) + 1)
        number[np.argsort(-np.asarray(total), kind="stable")] = np.arange(len(domain.levels[name]))
        number = np.minimum(number, MAX_CATEGORIES - 1)
        number[-1] = np.nan  # what code -1 picks
        columns.append([number[table.column(name)] for table in tables])
    matrices = [np.column_stack([column[k] for column in columns]) for k in range(len(tables))]
    return matrices, np.array([not domain.is_ordered(name) for name in names])


def trainable(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put 0 into columns without any value, from which boosting could not find bins.

    >>> trainable(np.array([[1.0, np.nan], [np.nan, np.nan]]))
    array([[ 1.,  0.],
           [nan,  0.]])
    """
    empty = np.isnan(features).all(axis=0)
    return np.where(empty, 0.0, features) if empty.any() else features


def linear_features(table: CodedTable, names: Sequence[Hashable]) -> sparse.csr_array:
    """Give a table as numbers of mean 0 and deviation 1 beside one-hot categories.

    A missing number is the mean and sets an indicator; a missing category is a
    category. Columns of the matrix that are constant stay and do no harm.

    Parameters
    ----------
    table : CodedTable
        The rows of a whole task, so that training and test rows agree.
    names : sequence of column names
        The columns to use.

    Returns
    -------
    sparse array of shape (n_rows, width)
    """
    blocks: list[sparse.sparray] = []
    rows = np.arange(len(table))
    for name in names:
        codes = table.column(name)
        if table.domain.is_ordered(name):
            values = np.nan_to_num(standardised(table.numbers(name)))
            blocks.append(sparse.csr_array(np.column_stack([values, codes < 0])))
        else:
            shape = (len(table), 1 + len(table.domain.levels[name]))
            blocks.append(sparse.csr_array((np.ones(len(table)), (rows, codes + 1)), shape=shape))
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give mean 0 and deviation 1 (0 if all are equal); NaN stays, squares stay finite.

    >>> standardised(np.array([1e300, 3e300, np.nan]))
    array([-1.,  1., nan])
    """
    there = ~np.isnan(values)
    if not there.any():
        return values
    scaled = values / max(np.abs(values[there]).max(), np.finfo(float).tiny)
    centred = scaled - scaled[there].mean()
    spread = centred[there].std()
    return np.asarray(centred / spread if spread > 1e-14 else centred * 0.0)
