"""One column of several tables as codes over shared, sorted levels.

Series enter, integer codes and the array of levels leave. A column must hold
the same sort of values in every table (numbers, text, dates, ...); a whole
number equals the same number stored as a float.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.errors import DataError

__all__ = ["ORDERED_KINDS", "code_column", "sort_of"]

ORDERED_KINDS = frozenset({"numerical", "datetime", "timedelta"})
"""Kinds whose values have distances; all others are compared as categories."""

_SORTS = {  # what pandas calls the values of an object column, and what a message calls them
    "string": "text",
    "empty": "missing",
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "datetime": "dates",
    "datetime64": "dates",
    "date": "dates",
    "timedelta": "durations",
    "timedelta64": "durations",
}


def sort_of(series: pd.Series) -> str:
    """Name the sort of values that a column holds.

    >>> sort_of(pd.Series([1.5, None])), sort_of(pd.Series(["a"])), sort_of(pd.Series([None]))
    ('numbers', 'text', 'missing')
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        return sort_of(series.cat.categories.to_series())
    if not series.notna().any():
        return "missing"
    if pd.api.types.is_bool_dtype(series.dtype):
        return "booleans"
    if pd.api.types.is_numeric_dtype(series.dtype):
        return "numbers"
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return "dates with a time zone"
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return "dates"
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        return "durations"
    return _SORTS.get(pd.api.types.infer_dtype(series, skipna=True), "mixed values")


def code_column(
    columns: Sequence[pd.Series], name: Hashable, kind: str, roles: Sequence[str]
) -> tuple[list[NDArray[np.int32]], NDArray[np.generic]]:
    """Code one column of several tables over shared levels.

    Parameters
    ----------
    columns : sequence of Series
        The column in each table, the real one first.
    name, kind : str
        For messages; an ordered kind needs numbers, dates or durations.
    roles : sequence of str
        What the messages call the tables.

    Returns
    -------
    codes : list of arrays of shape (n_rows,), int32
        Places in the levels; -1 is missing.
    levels : array of shape (n_levels,)
        Distinct values of all tables, sorted (categories by their text).

    Raises
    ------
    DataError
        If the sorts of values differ, or a value is infinite.
    """
    sorts = [sort_of(column) for column in columns]
    known = [
        (sort, role, column)
        for sort, role, column in zip(sorts, roles, columns, strict=False)
        if sort != "missing"
    ]
    for sort, role, column in known[1:]:
        first, where, model = known[0]
        if sort != first:
            raise DataError(
                f"Column {name!r} holds {first} in {where} (dtype {model.dtype}) but {sort} in {role} "
                f"(dtype {column.dtype}). Convert it in one of them."
            )
    sort = known[0][0] if known else "missing"
    if kind in ORDERED_KINDS and sort not in (
        "numbers",
        "dates",
        "dates with a time zone",
        "durations",
        "missing",
    ):
        raise DataError(
            f"Column {name!r} is {kind} but holds {sort} (dtype {columns[0].dtype}). Declare it categorical."
        )
    masks = [column.notna().to_numpy() for column in columns]
    observed = [column[mask] for column, mask in zip(columns, masks, strict=True)]
    if sort in ("text", "booleans", "mixed values"):
        parts, levels = _code_objects(observed)
    else:
        parts, levels = _code_numbers([_plain(part, sort) for part in observed], name, roles)
    codes = []
    for mask, part in zip(masks, parts, strict=True):
        full = np.full(len(mask), -1, dtype=np.int32)
        full[mask] = part
        codes.append(full)
    return codes, levels


def _plain(observed: pd.Series, sort: str) -> NDArray[np.generic]:
    """Turn observed numbers, dates or durations into a plain numpy array."""
    if isinstance(observed.dtype, pd.CategoricalDtype):
        categories = _plain(observed.cat.categories.to_series(), sort)
        return categories[observed.cat.codes.to_numpy()]
    if not len(observed):
        return np.empty(0, dtype={"dates": "M8[s]", "durations": "m8[s]"}.get(sort.split(" with")[0], "i8"))
    if sort == "numbers":
        if not pd.api.types.is_integer_dtype(observed.dtype):
            return observed.to_numpy(dtype=np.float64)
        beyond = (
            pd.api.types.is_unsigned_integer_dtype(observed.dtype) and observed.max() > np.iinfo(np.int64).max
        )
        return observed.to_numpy(dtype=np.uint64 if beyond else np.int64)
    if sort == "durations":
        return pd.to_timedelta(observed).to_numpy()
    dates = pd.to_datetime(observed, utc=sort.endswith("zone"))
    return (dates.dt.tz_localize(None) if sort.endswith("zone") else dates).to_numpy()


def _code_numbers(
    parts: list[NDArray[np.generic]], name: Hashable, roles: Sequence[str]
) -> tuple[list[NDArray[np.intp]], NDArray[np.generic]]:
    """Code plain arrays by the rank of their values."""
    for part, role in zip(parts, roles, strict=False):
        infinite = 0 if part.dtype.kind != "f" else int(np.isinf(part.astype(np.float64)).sum())
        if infinite:
            raise DataError(
                f"Column {name!r} of {role} must be finite. It holds {infinite} infinite values. "
                "Replace them with missing values or with bounds."
            )
    levels, inverse = np.unique(np.concatenate(parts), return_inverse=True)
    return np.split(inverse, np.cumsum([len(part) for part in parts])[:-1]), levels


def _code_objects(parts: list[pd.Series]) -> tuple[list[NDArray[np.intp]], NDArray[np.generic]]:
    """Code text, booleans and other objects, levels sorted by their text."""
    local = [_factorize(part) for part in parts]
    union = sorted(
        {value for _, values in local for value in values}, key=lambda v: (str(v), type(v).__name__)
    )
    place = {value: code for code, value in enumerate(union)}
    levels = np.empty(len(union), dtype=object)
    levels[:] = union
    codes = [np.array([place[v] for v in values], dtype=np.intp)[code] for code, values in local]
    return codes, levels


def _factorize(part: pd.Series) -> tuple[NDArray[np.intp], list[object]]:
    """Give codes and distinct values of one observed column, unused categories left out."""
    codes, values = pd.factorize(part)
    return codes, list(values.astype(object))
