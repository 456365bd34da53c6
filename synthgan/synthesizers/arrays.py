"""Arrays as scikit-learn passes them: checked by its rules, then tables like any other."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from synthgan.errors import DataError

__all__ = ["array_to_frame", "is_array"]

_AS_IT_IS: dict[str, Any] = {"dtype": None, "ensure_all_finite": "allow-nan"}


def is_array(X: Any) -> bool:
    """Tell arrays, sparse ones and lists of rows included, from frames, Arrow data and paths.

    >>> [is_array(X) for X in ([[1, 2]], pd.DataFrame(), "a.csv", ["a.csv", "b.csv"])]
    [True, False, False, False]
    """
    if isinstance(X, pd.DataFrame | str | Path) or hasattr(X, "__arrow_c_stream__"):
        return False
    if isinstance(X, list | tuple):
        return not all(isinstance(part, str | Path) for part in X)
    return hasattr(X, "__array__") or issparse(X)


def array_to_frame(X: Any, estimator: BaseEstimator, names: list[Hashable] | None = None) -> pd.DataFrame:
    """Check an array by scikit-learn's rules and take it as a frame.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        NaN and, among objects, None are missing values.
    estimator : estimator
        Whom messages name; fitted if `names` are given.
    names : list of hashables, optional
        Of the columns that the estimator was fitted to: the columns of `X` are these, by their
        position. By default the columns are numbered from 0.

    Returns
    -------
    DataFrame of shape (n_rows, n_features)
        Columns of objects get the type that all their values have.

    Raises
    ------
    DataError
        If `X` is sparse, complex, infinite somewhere, empty, or has not two dimensions, or as many
        columns as there are names.

    Warns
    -----
    UserWarning
        If the estimator was fitted to a frame with names of text, which an array cannot confirm.

    Examples
    --------
    >>> array_to_frame([["a", 1], ["b", None]], BaseEstimator())[1].dtype
    dtype('float64')
    """
    if isinstance(X, list | tuple):
        X = np.array(X, dtype=object)  # or numbers beside text would become text
    try:
        if names is None:
            array = check_array(X, estimator=estimator, **_AS_IT_IS)
        else:
            array = validate_data(estimator, X, reset=False, **_AS_IT_IS)
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error
    return pd.DataFrame(array, columns=names).infer_objects()
