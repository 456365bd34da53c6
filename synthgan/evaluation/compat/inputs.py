"""What the published protocols read columns with.

Frames enter; leave columns as floats or as texts, codes that two tables share,
and the optional library that two of the protocols need.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

from synthgan.errors import DataError, listing

__all__ = [
    "Names",
    "check_columns",
    "import_xgboost",
    "number_matrix",
    "numbers",
    "one_hot",
    "shared_codes",
    "texts",
]

Names = Sequence[Hashable]
"""Names of columns."""


def check_columns(names: Names, **frames: pd.DataFrame) -> None:
    """Refuse a column that a frame lacks, a name given twice, and nothing to read.

    Parameters
    ----------
    names : sequence of column names
        All that are to be read.
    **frames : DataFrame
        By the name that the message calls them.

    Raises
    ------
    DataError
    """
    if not names:
        raise DataError("There is nothing to compare. Name at least one numerical or categorical column.")
    if len(set(names)) < len(names):
        twice = sorted({str(name) for name in names if list(names).count(name) > 1})
        raise DataError(f"A column is numerical or categorical, not both. Named twice: {listing(twice)}.")
    for role, frame in frames.items():
        lacking = [name for name in names if name not in frame.columns]
        if lacking:
            raise DataError(
                f"{role} lacks {listing(lacking)}. {role} has: {listing(frame.columns)}. "
                "Name columns that every table has."
            )
        if len(frame) == 0:
            raise DataError(f"{role} must have at least one row. Got none.")


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Give a column as floats, NaN where missing; dates and durations as their integers.

    >>> numbers(pd.Series([1, None, 3], dtype="Int64")).tolist()
    [1.0, nan, 3.0]
    """
    if column.dtype.kind in "mM":
        return np.where(column.isna(), np.nan, column.astype("int64").to_numpy(dtype=np.float64))
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(
            f"Column {column.name!r} is named as numerical and holds values that are no numbers. "
            "Clean it, or name it as categorical."
        ) from None


def number_matrix(names: Names, **frames: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Give columns without a missing value as matrices, one of shape (n_rows, len(names)) per frame.

    Raises
    ------
    DataError
        If a value is missing or infinite, for which the protocols define no distance.
    """
    matrices = []
    for role, frame in frames.items():
        matrix = np.empty((len(frame), len(names)))
        for place, name in enumerate(names):
            matrix[:, place] = numbers(frame[name])
            if not np.isfinite(matrix[:, place]).all():
                raise DataError(
                    f"Column {name!r} of {role} has missing or infinite values, between which the protocol "
                    "defines no distance. Fill them, or leave the column out."
                )
        matrices.append(matrix)
    return matrices


def texts(column: pd.Series) -> list[str]:
    """Give the text of each cell as Python prints it; missing is "nan" or "None", as it is stored.

    >>> texts(pd.Series([1.0, None]))
    ['1.0', 'nan']
    """
    return [str(value) for value in column]


def shared_codes(*columns: Sequence[Any] | NDArray[Any]) -> list[NDArray[np.intp]]:
    """Give the distinct values of several columns one numbering, from 0 on.

    >>> [codes.tolist() for codes in shared_codes(["a", "b"], ["b", "c"])]
    [[0, 1], [1, 2]]
    """
    codes, _ = pd.factorize(np.concatenate([np.asarray(column) for column in columns]))
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


def one_hot(
    real: pd.Series, other: pd.Series, unknown: Literal["error", "ignore"] = "error"
) -> list[NDArray[np.float64]]:
    """Code two columns by the categories of the first; missing is a category.

    Parameters
    ----------
    real, other : Series of shape (n_rows,) each
    unknown : {"error", "ignore"}
        What to do with a category that `real` lacks: refuse it, or code zeros.

    Returns
    -------
    list of two arrays of shape (n_rows, n_categories)

    Raises
    ------
    DataError
        As published, if a category is unknown or texts are mixed with other values.
    """
    known, asked = (column.astype(object).to_numpy()[:, None] for column in (real, other))
    encoder = OneHotEncoder(handle_unknown=unknown, sparse_output=False)
    try:
        return [encoder.fit_transform(known), encoder.transform(asked)]
    except (TypeError, ValueError):
        raise DataError(
            f"Column {real.name!r} has categories that the first table lacks, or mixes texts with other "
            "values. The published protocol refuses both. Replace them, or leave the column out."
        ) from None


def import_xgboost() -> Any:
    """Load XGBoost, an optional dependency of the protocols that were published with it.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    try:
        return import_module("xgboost")
    except ImportError:
        raise ModuleNotFoundError(
            "This protocol is defined by XGBoost, which is not installed. "
            "Run: pip install xgboost-cpu (or xgboost, which adds GPU support)."
        ) from None
