"""Frames as Arrow tables, which is what Parquet and Feather files hold, and back exactly.

Arrow has no type for some columns of pandas: names that are no text, objects, categories of numbers,
dates in whole seconds, the several dtypes of text. Their fields carry a note with the dtype, in the
words of a schema, which other readers ignore. Values that would come back changed are refused.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import infer_dtype, is_object_dtype

from synthgan.dtypes import Array, Dtype, dtype_from_json, dtype_to_json, natural_kind, take, time_unit
from synthgan.errors import DataError, listing
from synthgan.scalars import is_supported, scalar_from_json, scalar_to_json
from synthgan.schema import missing_value, table

__all__ = ["check_names", "from_arrow", "to_arrow"]

_NOTE = b"synthgan"
_FAILURES = (pa.ArrowException, AttributeError, OverflowError, TypeError, ValueError)

_NULLABLE: dict[pa.DataType, Any] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def check_names(names: Iterable[Any], source: str) -> None:
    """Raise `DataError` if columns of a file share a name: reading would rename or drop one."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"Columns of {source} share a name: {listing(twice)}. Rename them.")


# --- writing ---------------------------------------------------------------------------


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Turn a frame into an Arrow table that `from_arrow` turns back.

    Parameters
    ----------
    frame : DataFrame
        The index is left out.

    Raises
    ------
    DataError
        If two names are the same as text, or Arrow cannot hold the values of a column.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": pd.Categorical([30, 10], [10, 30, 90])})
    >>> from_arrow(to_arrow(frame), "it")["size"].cat.categories.tolist()
    [10, 30, 90]
    """
    names = [str(name) for name in frame.columns]
    check_names(names, "a file")
    plain = frame.reset_index(drop=True)
    if {type(name) for name in frame.columns} not in ({str}, {int}):  # those pandas notes itself
        plain = plain.set_axis(pd.Index(names, dtype=object), axis=1)
    try:
        found = pa.Table.from_pandas(plain, preserve_index=False)
    except _FAILURES:
        _raise_culprit(frame)
        raise
    fields = []
    for position, (name, field) in enumerate(zip(frame.columns, found.schema, strict=True)):
        series = frame.iloc[:, position]
        if not _is_kept(series, found.column(position)):
            raise _refusal(name)
        note = _note(name, series)
        fields.append(field.with_metadata({_NOTE: json.dumps(note).encode()}) if note else field)
    return pa.Table.from_arrays(found.columns, schema=pa.schema(fields, found.schema.metadata))


def _refusal(name: Hashable) -> DataError:
    return DataError(
        f"Column {name!r} holds values that Parquet and Feather files have no type for, or would change. "
        "Convert it to numbers, text or dates, or write a .csv file."
    )


def _raise_culprit(frame: pd.DataFrame) -> None:
    """Raise an error that names the column that Arrow refuses."""
    for position, name in enumerate(frame.columns):
        try:
            str(name).encode()
            pa.Array.from_pandas(frame.iloc[:, position])
        except _FAILURES:
            raise _refusal(name) from None


def _is_kept(series: pd.Series[Any], column: pa.ChunkedArray) -> bool:
    """Tell whether the values of a column come back as they are."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = series.cat.categories.to_series()
        kept = pa.array(levels, from_pandas=True)
        return not isinstance(kept.type, pa.ExtensionType) and _is_kept(levels, pa.chunked_array([kept]))
    if not is_object_dtype(series.dtype) or infer_dtype(series, skipna=True) in ("string", "empty"):
        return True
    present = ~series.isna().to_numpy(dtype=bool)
    back = column.filter(pa.array(present)).to_pylist()
    return [(type(value), value) for value in series[present]] == [(type(value), value) for value in back]


def _note(name: Hashable, series: pd.Series[Any]) -> dict[str, Any]:
    """Describe what Arrow and the notes of pandas do not keep of a column."""
    note: dict[str, Any] = {}
    if not isinstance(name, str) and is_supported(name):
        note["name"] = scalar_to_json(name)
    if _needs_note(series.dtype):
        with contextlib.suppress(DataError, StopIteration):  # what a schema has no words for
            note["dtype"] = dtype_to_json(series.dtype)
            note["missing"] = scalar_to_json(missing_value(series))
    return note


def _needs_note(dtype: Dtype) -> bool:
    """Tell whether columns of a dtype may come back with another one."""
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dtype.categories
        return (
            natural_kind(levels.dtype) != "" and infer_dtype(levels) != "string"
        )  # Arrow keeps those of text
    is_text_or_arrow = isinstance(dtype, pd.StringDtype | pd.ArrowDtype)
    return is_text_or_arrow or is_object_dtype(dtype) or natural_kind(dtype) == "datetime"


# --- reading ---------------------------------------------------------------------------


def from_arrow(data: pa.Table, source: str) -> pd.DataFrame:
    """Turn an Arrow table into a frame.

    Integers and booleans with gaps stay what they are. Dates become datetimes, unless a note says
    that they were objects.

    Parameters
    ----------
    data : Table
    source : str
        What messages call it.

    Raises
    ------
    DataError
        If columns share a name, or pandas cannot represent a value.
    """
    check_names(data.column_names, source)
    try:
        frame = _to_pandas(data)
        for position, column in enumerate(data.columns[: frame.shape[1]]):  # an index stands after them
            dtype = _NULLABLE.get(column.type)
            if dtype is not None and column.null_count and frame.dtypes.iloc[position].kind in "fO":
                frame.isetitem(position, column.to_pandas(types_mapper=_NULLABLE.get).array)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{source} holds values that pandas cannot represent ({error}).") from error
    notes = [_read_note(field) for field in data.schema]
    if len(notes) != frame.shape[1] or not any(notes):
        return frame
    arrays = [
        _restored(frame.iloc[:, position].array, data.column(position), note)
        for position, note in enumerate(notes)
    ]
    names = [note.get("name", name) for note, name in zip(notes, frame.columns, strict=True)]
    return table(arrays, names, len(frame))


def _to_pandas(data: pa.Table) -> pd.DataFrame:
    """Convert a table, with the notes that pandas has left in it if it still understands them."""
    try:
        frame: pd.DataFrame = data.to_pandas(date_as_object=False)
    except TypeError:  # it writes some dtypes that it does not read: lists, dictionaries
        frame = data.to_pandas(date_as_object=False, ignore_metadata=True)
    if frame.columns.hasnans:  # it reads the name None as NaN
        frame.columns = pd.Index(data.column_names[: frame.shape[1]])
    return frame


def _read_note(field: pa.Field) -> dict[str, Any]:
    """Read what `to_arrow` noted about a column; nothing if it is not about this one."""
    note: dict[str, Any] = {}
    with contextlib.suppress(KeyError, RecursionError, *_FAILURES):
        data = json.loads((field.metadata or {})[_NOTE])
        if "name" in data:
            name = scalar_from_json(data["name"])
            if str(name) != field.name:
                return {}
            note["name"] = name
        if "dtype" in data:
            missing = scalar_from_json(data["missing"])
            note |= {"dtype": dtype_from_json(data["dtype"]), "missing": missing}
    return note


def _restored(plain: Array, column: pa.ChunkedArray, note: dict[str, Any]) -> Array:
    """Give a column the dtype that was noted, if its values still allow it."""
    dtype = note.get("dtype", plain.dtype)
    if _is_same(dtype, plain.dtype) and not is_object_dtype(dtype):
        return plain
    with contextlib.suppress(*_FAILURES):
        restored: Array = _convert(column, dtype, note["missing"])
        return restored
    return plain


def _is_same(one: Dtype, other: Dtype) -> bool:
    """Compare dtypes; categories of dates and of moments differ."""
    levels = [getattr(getattr(dtype, "categories", None), "dtype", None) for dtype in (one, other)]
    return bool(levels[0] == levels[1] and one == other)


def _convert(column: pa.ChunkedArray, dtype: Dtype, missing: object) -> Array:
    """Build an array of the dtype; an Arrow exception or ValueError if values would change."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.arrays.ArrowExtensionArray(column.cast(dtype.pyarrow_dtype))
    if isinstance(dtype, pd.StringDtype):
        return pd.Series(column.cast(pa.large_string()).to_pandas(), dtype=dtype).array
    null = column.is_null().to_numpy()
    present = column.drop_null()
    codes = np.where(null, -1, np.cumsum(~null) - 1)
    if is_object_dtype(dtype):
        levels = np.empty(len(present), dtype=object)
        levels[:] = present.to_pylist()
        return take(levels, codes, missing)
    if isinstance(dtype, pd.CategoricalDtype):
        index = dtype.categories
        values = pd.Index(_convert(present, index.dtype, None), dtype=index.dtype, tupleize_cols=False)
        found = index.get_indexer(values)
        if (found < 0).any():
            raise ValueError("values that are no categories")
        return pd.Categorical.from_codes(np.append(found, -1)[codes], dtype=dtype)
    if natural_kind(dtype) == "datetime":
        column = column.cast(pa.timestamp(time_unit(dtype), column.type.tz))
    return pd.Series(column.to_pandas()).astype(dtype).array
