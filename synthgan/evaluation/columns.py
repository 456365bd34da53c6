"""One column of several tables as codes over shared, sorted levels.

Series enter, integer codes and the array of levels leave. A column must hold
the same sort of values in every table (numbers, text, dates, ...), in whatever
dtype: a whole number equals the same number stored as a float, a category the
same text, and 0.1 stored in 32 bits the 0.1 stored in 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype, is_bool_dtype, is_object_dtype

from synthgan.dtypes import natural_kind, to_numbers
from synthgan.errors import DataError
from synthgan.schema import find_problem

__all__ = ["ORDERED_KINDS", "code_column"]

ORDERED_KINDS = frozenset({"numerical", "datetime", "timedelta"})
"""Kinds whose values have distances; all others are compared as categories."""

_ORDERED_SORTS = ("numbers", "dates", "dates with a time zone", "durations")
_OBJECT_SORTS = {
    "string": "text",
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "datetime": "dates",
    "datetime64": "dates",
    "date": "dates",
}
"""What pandas calls the values of an object column, and what a message calls them."""


def code_column(
    columns: Sequence[pd.Series[Any]], kind: str, roles: Sequence[str]
) -> tuple[list[NDArray[np.int32]], NDArray[Any]]:
    """Code one column of several tables over shared levels.

    Parameters
    ----------
    columns : sequence of Series
        The column in each table, the real one first.
    kind : str
        An ordered kind needs numbers, dates or durations.
    roles : sequence of str
        What the messages call the tables.

    Returns
    -------
    codes : list of arrays of shape (n_rows,), int32
        Places in the levels; -1 is missing.
    levels : array of shape (n_levels,)
        Distinct values of all tables, sorted (categories by their text).
        Numbers are rounded to the least precision in which a table holds them.

    Raises
    ------
    DataError
        If the sorts of values differ, or a value cannot be compared.

    Examples
    --------
    >>> codes, levels = code_column([pd.Series([2, 1]), pd.Series([3.0, None])], "numerical", "ab")
    >>> [c.tolist() for c in codes], levels.tolist()
    ([[1, 0], [2, -1]], [1.0, 2.0, 3.0])
    """
    for column, role in zip(columns, roles, strict=False):
        problem = find_problem(column)
        if problem:
            raise DataError(f"Column {column.name!r} of {role} {problem}")
    read = [_observed(column) for column in columns]
    if "mixed values" in [sort for _, _, sort in read] and all(_holds_objects(column) for column in columns):
        read = [_observed_keys(column) for column in columns]
    sort = _common_sort([sort for _, _, sort in read], columns, roles)
    if kind in ORDERED_KINDS and sort not in (*_ORDERED_SORTS, "missing"):
        name, dtype = columns[0].name, columns[0].dtype
        raise DataError(
            f"Column {name!r} is {kind} but holds {sort} (dtype {dtype}). Declare it categorical."
        )
    parts = [values if sort == own else values[:0] for values, _, own in read]
    coded, levels = _rank(parts, sort) if sort in _ORDERED_SORTS else _factorize(parts)
    codes = []
    for (_, there, _), part in zip(read, coded, strict=True):
        full = np.full(len(there), -1, dtype=np.int32)
        full[there] = part
        codes.append(full)
    return codes, levels


def _common_sort(sorts: Sequence[str], columns: Sequence[pd.Series[Any]], roles: Sequence[str]) -> str:
    """Give the sort of values that all tables hold, "missing" if none holds any."""
    known = [place for place, sort in enumerate(sorts) if sort != "missing"]
    for place in known[1:]:
        first = known[0]
        if sorts[place] != sorts[first]:
            raise DataError(
                f"Column {columns[first].name!r} holds {sorts[first]} in {roles[first]} "
                f"(dtype {columns[first].dtype}) but {sorts[place]} in {roles[place]} "
                f"(dtype {columns[place].dtype}). Convert it in one of them."
            )
    return sorts[known[0]] if known else "missing"


def _observed(column: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Take the observed values of a column as a plain array, with their mask and their sort."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        values, _, sort = _observed(dtype.categories.to_series())
        return values[codes[codes >= 0]], codes >= 0, sort if (codes >= 0).any() else "missing"
    there = column.notna().to_numpy(dtype=bool)
    if not there.any():
        return np.empty(0), there, "missing"
    if is_bool_dtype(dtype):
        return column[there].to_numpy(dtype=object), there, "booleans"
    kind = natural_kind(dtype)
    if kind in ORDERED_KINDS:
        numbers, missing = to_numbers(column)
        return _as_stored(numbers[~missing], dtype, kind), ~missing, _sort_of(dtype, kind)
    return _plain_objects(column[there], there)


def _plain_objects(
    observed: pd.Series[Any], there: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Take text and other objects, as numbers or dates where they are such."""
    objects = observed.to_numpy(dtype=object)
    sort = _OBJECT_SORTS.get(infer_dtype(objects, skipna=True), "mixed values")
    if sort == "numbers":
        numbers = np.array(objects.tolist())
        return (numbers, there, sort) if numbers.dtype.kind in "iuf" else (objects, there, "mixed values")
    if sort == "dates":
        try:
            dates = pd.to_datetime(observed)
        except (ValueError, TypeError):  # several time zones in one column: categories by their text
            sort = "mixed values"
        else:
            values, _, sort = _observed(dates)
            return values, there, sort
    return objects, there, sort


def _holds_objects(column: pd.Series[Any]) -> bool:
    """Tell whether a column can hold values of several types, or holds none."""
    dtype = column.dtype.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return is_object_dtype(dtype) or not column.notna().any()


def _observed_keys(column: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Take the observed values as text with their type, so that 1, True and "1" stay apart."""
    there = column.notna().to_numpy(dtype=bool)
    values = column.astype(object).to_numpy()[there].tolist()
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    keys = np.empty(len(plain), dtype=object)
    keys[:] = [f"{type(value).__name__} {value!r}" for value in plain]
    return keys, there, "mixed values" if len(keys) else "missing"


def _sort_of(dtype: Any, kind: str) -> str:
    """Name the sort of values of an ordered dtype."""
    zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    return {"numerical": "numbers", "timedelta": "durations"}.get(
        kind, "dates with a time zone" if zone else "dates"
    )


def _as_stored(ticks: NDArray[Any], dtype: Any, kind: str) -> NDArray[Any]:
    """Give integer ticks the unit of a time dtype, and numbers their precision, to be compared by them."""
    if kind == "numerical":
        return ticks.astype(f"f{dtype.itemsize}") if dtype.kind == "f" else ticks
    arrow = getattr(dtype, "pyarrow_dtype", None)
    if arrow is not None:
        unit = {"date32[day]": "D", "date64[ms]": "ms"}.get(str(arrow)) or arrow.unit
    else:
        unit = dtype.unit if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]
    return ticks.view(f"{'M' if kind == 'datetime' else 'm'}8[{unit}]")


def _rank(parts: list[NDArray[Any]], sort: str) -> tuple[list[NDArray[np.intp]], NDArray[Any]]:
    """Code plain arrays by the rank of their values."""
    filled = [part for part in parts if len(part)]
    whole = [part for part in filled if part.dtype.kind in "iu"]
    if sort == "numbers" and len({part.dtype.kind for part in whole}) == 2 and len(whole) == len(filled):
        signed = any(part.min() < 0 for part in whole)  # int64 and uint64 together would become floats
        filled = [part.astype(np.int64 if signed else np.uint64) for part in whole]
    if sort == "numbers" and len(whole) < len(filled):
        filled = _rounded(filled)
    levels, inverse = np.unique(np.concatenate(filled or parts), return_inverse=True)
    return np.split(inverse, np.cumsum([len(part) for part in parts])[:-1]), levels


def _rounded(parts: list[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Round numbers to the least precision of all parts, one of which holds floats at least.

    0.1 of 32 bits is 0.10000000149 in 64 bits: without rounding a table would
    have no value in common with its own copy. Numbers beyond the range stay.

    >>> [part.tolist() for part in _rounded([np.float32([0.5]), np.array([0.5 + 1e-9, 1e300])])]
    [[0.5], [0.5, 1e+300]]
    """
    least = min((part.dtype for part in parts if part.dtype.kind == "f"), key=lambda dtype: dtype.itemsize)
    rounded = []
    for part in parts:
        with np.errstate(over="ignore"):
            narrow = part.astype(least).astype(np.float64)
        rounded.append(np.where(np.isfinite(narrow), narrow, part))
    return rounded


def _factorize(parts: list[NDArray[Any]]) -> tuple[list[NDArray[np.intp]], NDArray[Any]]:
    """Code text, booleans and other objects, levels sorted by their text."""
    local = [pd.factorize(part) for part in parts]
    union = sorted({value for _, values in local for value in values}, key=str)
    place = {value: code for code, value in enumerate(union)}
    levels = np.empty(len(union), dtype=object)
    levels[:] = union
    return [np.array([place[v] for v in values], dtype=np.intp)[codes] for codes, values in local], levels
