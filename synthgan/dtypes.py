"""What a pandas dtype is in JSON, and how its values become plain numbers and come back exactly.

Numbers, datetimes and timedeltas leave a column as int64, uint64 or float64 (time
as ticks of its own unit) with a mask of the missing ones, and return as the same dtype.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.types import is_object_dtype

from synthgan.errors import DataError
from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = [
    "NANOSECONDS",
    "Array",
    "Dtype",
    "dtype_from_json",
    "dtype_to_json",
    "from_numbers",
    "levels_array",
    "natural_kind",
    "object_keys",
    "precision_of",
    "take",
    "time_unit",
    "time_zone",
    "to_numbers",
    "values_to_json",
]

Dtype = Any  # a numpy or pandas dtype; their stubs have no type for both
Array = Any  # a numpy or pandas array

_ARROW = {
    name: getattr(pa, name)()
    for name in (
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "bool_",
        "string",
        "large_string",
        "date32",
        "date64",
    )
}
_NULLABLE = {
    dtype.name: dtype
    for dtype in (
        *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype()),
        *(pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype()),
        *(pd.Float32Dtype(), pd.Float64Dtype(), pd.BooleanDtype()),
    )
}


def natural_kind(dtype: Dtype) -> str:
    """Name the kind of column that a dtype stands for, or "" if it cannot be modelled.

    >>> natural_kind(np.dtype("int8")), natural_kind(pd.StringDtype()), natural_kind(np.dtype(complex))
    ('numerical', 'categorical', '')
    """
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_kind(dtype.pyarrow_dtype)
    if isinstance(
        dtype, pd.StringDtype | pd.CategoricalDtype | pd.IntervalDtype | pd.PeriodDtype
    ) or is_object_dtype(dtype):
        return "categorical"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime"
    if isinstance(dtype, np.dtype) or dtype.name in _NULLABLE:
        if (dtype.kind == "f" and dtype.itemsize > 8) or not getattr(dtype, "isnative", True):
            return ""
        kinds = {
            "b": "boolean",
            "i": "numerical",
            "u": "numerical",
            "f": "numerical",
            "M": "datetime",
            "m": "timedelta",
        }
        return kinds.get(dtype.kind, "")
    return ""


def _arrow_kind(dtype: pa.DataType) -> str:
    """Name the kind of an Arrow type."""
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return "datetime"
    if pa.types.is_duration(dtype):
        return "timedelta"
    if pa.types.is_boolean(dtype):
        return "boolean"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return "categorical"
    return "numerical" if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) else ""


def dtype_to_json(dtype: Dtype) -> dict[str, Any]:
    """Describe a dtype by words and numbers of a closed list.

    >>> dtype_to_json(np.dtype("float32"))
    {'numpy': 'float32'}
    >>> dtype_to_json(pd.CategoricalDtype(["lo", "hi"], ordered=True))["values"]
    ['lo', 'hi']
    """
    match dtype:
        case pd.ArrowDtype():
            return _arrow_to_json(dtype.pyarrow_dtype)
        case pd.CategoricalDtype():
            levels = dtype.categories
            return {
                "category": dtype_to_json(levels.dtype),
                "ordered": bool(dtype.ordered),
                "values": values_to_json(levels.array),
            }
        case pd.StringDtype():
            return {"string": dtype.storage, "missing": "NA" if dtype.na_value is pd.NA else "nan"}
        case pd.DatetimeTZDtype():
            return {"datetime": dtype.unit, "tz": str(dtype.tz)}
        case pd.IntervalDtype():
            return {"interval": dtype_to_json(dtype.subtype), "closed": dtype.closed}
        case pd.PeriodDtype():
            return {"period": str(dtype).removeprefix("period[").removesuffix("]")}
    return {"nullable": dtype.name} if dtype.name in _NULLABLE else {"numpy": dtype.name}


def _arrow_to_json(dtype: pa.DataType) -> dict[str, Any]:
    """Describe an Arrow type."""
    if pa.types.is_timestamp(dtype):
        return {"arrow": "timestamp", "unit": dtype.unit, "tz": dtype.tz}
    if pa.types.is_duration(dtype):
        return {"arrow": "duration", "unit": dtype.unit}
    return {"arrow": next(name for name, known in _ARROW.items() if known == dtype)}


def dtype_from_json(data: Any) -> Dtype:
    """Read what `dtype_to_json` wrote.

    Raises
    ------
    DataError
        If `data` describes no dtype.

    Examples
    --------
    >>> dtype_from_json({"datetime": "us", "tz": "Europe/Berlin"})
    datetime64[us, Europe/Berlin]
    """
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, pa.ArrowException):
        match next(iter(data), None):
            case "numpy":
                return _numpy_from_json(data["numpy"])
            case "nullable":
                return _NULLABLE[data["nullable"]]
            case "string" if data["string"] in ("python", "pyarrow"):
                return _string_from_json(data["string"], data["missing"])
            case "datetime":
                return pd.DatetimeTZDtype(data["datetime"], data["tz"])
            case "interval":
                return pd.IntervalDtype(dtype_from_json(data["interval"]), data["closed"])
            case "period":
                return pd.PeriodDtype(data["period"])
            case "category":
                levels = levels_array(data["values"], dtype_from_json(data["category"]))
                categories = pd.Index(levels, dtype=levels.dtype)  # or objects that are text become str
                return pd.CategoricalDtype(categories, ordered=bool(data["ordered"]))
            case "arrow":
                return pd.ArrowDtype(_arrow_from_json(data))
    raise DataError("A dtype in the schema is malformed or unknown to this version.")


def _string_from_json(storage: Literal["python", "pyarrow"], missing: str) -> Dtype:
    """Read a string dtype; pandas before 2.3 knows only those with NA."""
    if missing == "NA":
        return pd.StringDtype(storage)
    return pd.StringDtype(storage, na_value={"nan": math.nan}[missing])


def _numpy_from_json(name: str) -> np.dtype[Any]:
    """Read the name of a numpy dtype."""
    dtype = np.dtype(name)
    if dtype.kind not in "biufMmO":
        raise ValueError(name)
    return dtype


def _arrow_from_json(data: dict[str, Any]) -> pa.DataType:
    """Read an Arrow type."""
    match data["arrow"]:
        case "timestamp":
            return pa.timestamp(data["unit"], data["tz"])
        case "duration":
            return pa.duration(data["unit"])
        case name:
            return _ARROW[name]


def values_to_json(values: Array) -> list[Any]:
    """Write the values of an array as typed scalars, a Categorical as positions, times as ticks."""
    if isinstance(values, pd.Categorical):
        return [int(code) for code in values.codes]
    if is_object_dtype(values.dtype):
        return [scalar_to_json(value) for value in values]
    if natural_kind(values.dtype) in ("datetime", "timedelta"):
        return [scalar_to_json(tick) for tick in to_numbers(pd.Series(values))[0].tolist()]
    plain = values.dtype.kind in "biuf" and not pd.isna(values).any()
    return [scalar_to_json(value) for value in (np.asarray(values) if plain else values).tolist()]


def levels_array(data: list[Any], dtype: Dtype) -> Array:
    """Read an array of the dtype from what `values_to_json` wrote."""
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(data, dtype=dtype)
    values = [scalar_from_json(v) for v in data]
    if is_object_dtype(dtype):
        array = np.empty(len(values), dtype=object)
        for position, value in enumerate(values):  # one by one, or tuples would become rows
            array[position] = value
        return array
    if natural_kind(dtype) in ("datetime", "timedelta"):
        ticks = np.array(values, dtype=np.int64)
        return from_numbers(ticks, np.zeros(len(ticks), dtype=bool), dtype)
    if isinstance(dtype, pd.ArrowDtype | pd.PeriodDtype | pd.IntervalDtype) and not values:
        return pd.Series([], dtype=dtype).array
    result: Array = pd.Series(values, dtype=dtype).array
    return result


def take(levels: Array, codes: NDArray[np.integer[Any]], missing: object) -> Array:
    """Look values up by position; -1 is the missing value, which `missing` spells in object arrays."""
    if is_object_dtype(levels.dtype):
        padded = np.empty(len(levels) + 1, dtype=object)
        padded[:-1], padded[-1] = levels, missing
        result: Array = padded[codes]
        return result
    if (codes >= 0).all():
        return levels.take(codes)
    filled: Array = levels.take(codes, allow_fill=True)
    return filled


NANOSECONDS = {"D": 86_400 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Length of each unit of time."""


def time_unit(dtype: Dtype) -> str:
    """Name the unit in which a column of times counts its ticks.

    >>> time_unit(pd.ArrowDtype(pa.date32())), time_unit(np.dtype("m8[ms]"))
    ('D', 'ms')
    """
    if isinstance(dtype, pd.ArrowDtype):
        arrow = dtype.pyarrow_dtype
        return {pa.date32(): "D", pa.date64(): "ms"}.get(arrow) or str(arrow.unit)
    return str(dtype.unit) if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]


def time_zone(dtype: Dtype) -> Any:
    """Return the time zone of a dtype, or None."""
    if isinstance(dtype, pd.ArrowDtype):
        return getattr(dtype.pyarrow_dtype, "tz", None)
    return getattr(dtype, "tz", None)


def precision_of(dtype: Dtype) -> type[np.floating[Any]]:
    """Return the float type of a column; float64 for everything that is no narrow float."""
    plain = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", np.dtype("float64"))
    narrow: dict[str, type[np.floating[Any]]] = {"float16": np.float16, "float32": np.float32}
    return narrow.get(plain.name, np.float64)


def object_keys(series: pd.Series[Any]) -> pd.Series[Any]:
    """Make the values of a column comparable where 1, 1.0 and True must stay apart.

    Text stays what it is; any other object becomes a pair of its type and its text.

    >>> object_keys(pd.Series([1, True, "a"], dtype=object)).tolist()
    [('int', '1'), ('bool', 'True'), 'a']
    """
    if isinstance(series.dtype, pd.IntervalDtype):
        series = series.astype(object)
    if not is_object_dtype(series.dtype) or pd.api.types.infer_dtype(series, skipna=True) in (
        "string",
        "empty",
    ):
        return series
    keys = np.empty(len(series), dtype=object)
    for row, (value, absent) in enumerate(zip(series, series.isna(), strict=True)):
        keys[row] = (
            None if absent else value if isinstance(value, str) else (type(value).__name__, repr(value))
        )
    return pd.Series(keys, index=series.index, dtype=object)


def to_numbers(series: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Take a numerical, datetime or timedelta column as plain numbers.

    Returns
    -------
    values : int64, uint64 or float64 array
        0 where missing.
    missing : bool array

    Examples
    --------
    >>> to_numbers(pd.Series([1, None], dtype="Int8"))
    (array([1, 0]), array([False,  True]))
    """
    dtype, missing = series.dtype, series.isna().to_numpy(dtype=bool)
    if isinstance(dtype, pd.ArrowDtype) and _arrow_kind(dtype.pyarrow_dtype) != "numerical":
        ticks = pa.chunked_array(pa.array(series.array, type=dtype.pyarrow_dtype))
        whole = pa.int32() if pa.types.is_date32(dtype.pyarrow_dtype) else pa.int64()
        return ticks.cast(whole).fill_null(0).to_numpy().astype(np.int64), missing
    if isinstance(dtype, pd.DatetimeTZDtype):
        values = series.dt.tz_convert(None).to_numpy().view(np.int64)
    elif dtype.kind in "Mm":
        values = series.to_numpy().view(np.int64)
    else:
        wide = {"i": np.int64, "u": np.uint64, "f": np.float64}[dtype.kind]
        values = series.to_numpy(dtype=wide, na_value=0) if missing.any() else series.to_numpy(dtype=wide)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    return np.where(missing, values.dtype.type(0), values), missing


def from_numbers(values: NDArray[Any], missing: NDArray[np.bool_], dtype: Dtype) -> Array:
    """Build a column of the dtype from plain numbers: the inverse of `to_numbers`."""
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_from_numbers(values, missing, dtype)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind in "Mm":
        return _times_from_numbers(values, missing, dtype)
    if isinstance(dtype, np.dtype):
        plain = values.astype(dtype)
        if missing.any():
            plain[missing] = np.nan
        return plain
    plain = values.astype(dtype.numpy_dtype)
    build = pd.arrays.FloatingArray if dtype.kind == "f" else pd.arrays.IntegerArray
    return build(plain, missing.copy())


def _times_from_numbers(values: NDArray[Any], missing: NDArray[np.bool_], dtype: Dtype) -> Array:
    """Build datetimes or timedeltas from ticks."""
    ticks = np.where(missing, np.iinfo(np.int64).min, values)
    if not isinstance(dtype, pd.DatetimeTZDtype):
        return pd.Series(ticks.view(dtype)).array
    moments: Any = pd.Series(ticks.view(f"M8[{dtype.unit}]"))
    return moments.dt.tz_localize("UTC").dt.tz_convert(dtype.tz).array


def _arrow_from_numbers(values: NDArray[Any], missing: NDArray[np.bool_], dtype: pd.ArrowDtype) -> Array:
    """Build an Arrow-backed column."""
    target = dtype.pyarrow_dtype
    if _arrow_kind(target) == "numerical":
        array = pa.array(values.astype(target.to_pandas_dtype()), mask=missing)
    else:
        whole = np.int32 if pa.types.is_date32(target) else np.int64
        array = pa.array(values.astype(whole), mask=missing).cast(target)
    return pd.arrays.ArrowExtensionArray(array)
