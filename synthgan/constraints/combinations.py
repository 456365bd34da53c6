"""Combinations of values that occur in a few columns: compared, and written as JSON.

A missing value counts as a value, equal to itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import (
    dtype_from_json,
    dtype_to_json,
    levels_array,
    object_keys,
    take,
    values_to_json,
)
from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = ["combinations_from_json", "combinations_to_json", "distinct", "keys", "occurs"]


def keys(columns: list[pd.Series[Any]]) -> pd.DataFrame:
    """Replace values by numbers, equal ones by equal ones; missing is -1."""
    return pd.DataFrame({k: pd.factorize(object_keys(one))[0] for k, one in enumerate(columns)})


def distinct(columns: list[pd.Series[Any]]) -> pd.DataFrame:
    """Return the combinations that occur, in the order of their first row."""
    frame = pd.concat(columns, axis=1)
    return frame[~keys(columns).duplicated().to_numpy()].reset_index(drop=True)


def occurs(columns: list[pd.Series[Any]], known: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows are among the known combinations."""
    columns = [
        pd.concat([known.iloc[:, k].astype(one.dtype), one], ignore_index=True)
        for k, one in enumerate(columns)
    ]
    codes = keys(columns)
    group = codes.groupby(list(codes.columns), sort=False).ngroup().to_numpy()
    found: NDArray[np.bool_] = np.isin(group[len(known) :], group[: len(known)])
    return found


def combinations_to_json(frame: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """Write each column of a small frame as its levels, their positions and its dtype."""
    if frame is None:
        return None
    written = []
    for k in range(frame.shape[1]):
        series = frame.iloc[:, k]
        codes = pd.factorize(object_keys(series))[0]
        rows = np.flatnonzero(codes >= 0)[::-1]
        first = np.zeros(codes.max(initial=-1) + 1, dtype=int)
        first[codes[rows]] = rows
        spelling = series[codes < 0].iloc[0] if (codes < 0).any() else None
        written.append(
            {
                "dtype": dtype_to_json(series.dtype),
                "missing": scalar_to_json(spelling),
                "levels": values_to_json(series.array.take(first)),
                "codes": codes.tolist(),
            }
        )
    return written


def combinations_from_json(data: list[dict[str, Any]] | None, n_columns: int) -> pd.DataFrame | None:
    """Read what `combinations_to_json` wrote."""
    if data is None:
        return None
    if len(data) != n_columns or len({len(column["codes"]) for column in data}) != 1:
        raise ValueError("its combinations do not fit its columns")
    columns = []
    for column in data:
        levels = levels_array(column["levels"], dtype_from_json(column["dtype"]))
        codes = np.array(column["codes"], dtype=np.int64)
        if ((codes < -1) | (codes >= len(levels))).any():
            raise ValueError("its combinations name values that it does not list")
        values = take(levels, codes, scalar_from_json(column["missing"]))
        columns.append(pd.Series(values, dtype=levels.dtype))
    frame: pd.DataFrame = pd.concat(columns, axis=1)
    return frame
