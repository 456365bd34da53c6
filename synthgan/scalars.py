"""Single values in JSON, each with its type: ``0``, ``"0"``, ``0.0`` and ``None`` stay apart.

Text, truth values, small integers, finite floats and None are written as they
are; everything else as an object with one tag of a closed list. Nothing in such
a file names a Python type to be looked up.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import math
import uuid
from collections.abc import Callable, Hashable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from synthgan.errors import DataError

__all__ = ["has_name", "is_supported", "scalar_from_json", "scalar_to_json"]

_SAFE_INT = 2**53  # beyond it, JSON readers that use doubles lose digits


def scalar_to_json(value: object) -> Any:
    """Write one value as strict JSON that keeps its type.

    Raises
    ------
    DataError
        If values of this type cannot be kept.

    Examples
    --------
    >>> [scalar_to_json(v) for v in ("a", 1, 2**60, 1.5, None, float("nan"))]
    ['a', 1, {'int': '1152921504606846976'}, 1.5, None, {'missing': 'nan'}]
    >>> scalar_to_json((1, "x"))
    {'tuple': [1, 'x']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):  # many are text or numbers, too, and would come back as these
        raise DataError(f"Values of type {type(value).__name__!r} cannot be kept.")
    if isinstance(value, str):
        return _text_to_json(value)
    if value is pd.NA or value is pd.NaT:
        return {"missing": "NA" if value is pd.NA else "NaT"}
    if isinstance(value, np.generic):
        return _numpy_to_json(value)
    if isinstance(value, int):
        return value if abs(value) < _SAFE_INT else {"int": str(value)}
    if isinstance(value, float):
        return (
            value
            if math.isfinite(value)
            else {"missing": "nan"}
            if math.isnan(value)
            else {"float": repr(value)}
        )
    return _object_to_json(value)


def _text_to_json(text: str) -> str:
    """Check that text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("Text that is not valid Unicode cannot be kept.") from None
    return str(text)


def _numpy_to_json(value: np.generic) -> Any:
    """Write a numpy scalar, which only object columns hold."""
    if value.dtype.kind not in "biuf":
        raise DataError(f"Values of type {type(value).__name__!r} cannot be kept.")
    return {"numpy": value.dtype.name, "value": scalar_to_json(value.item())}


def _object_to_json(value: object) -> Any:
    """Write a value of the less common types."""
    match value:
        case pd.Timestamp() if value.tz is None or has_name(value.tz):
            zone = None if value.tz is None else str(value.tz)
            naive = value if zone is None else value.tz_convert(None)
            return {"timestamp": scalar_to_json(int(naive.asm8.view("i8"))), "unit": value.unit, "tz": zone}
        case pd.Timedelta():
            return {"timedelta": scalar_to_json(int(value.asm8.view("i8"))), "unit": value.unit}
        case dt.datetime() if not isinstance(value, pd.Timestamp) and _is_fixed(value.tzinfo):
            return {"datetime": value.isoformat()} | ({"fold": 1} if value.fold else {})
        case dt.date() if not isinstance(value, dt.datetime):
            return {"date": value.isoformat()}
        case dt.time() if _is_fixed(value.tzinfo):
            return {"time": value.isoformat()} | ({"fold": 1} if value.fold else {})
        case dt.timedelta():
            return {"duration": [value.days, value.seconds, value.microseconds]}
        case Decimal():
            return {"decimal": str(value)}
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case uuid.UUID():
            return {"uuid": str(value)}
        case tuple():
            return {"tuple": [scalar_to_json(part) for part in value]}
        case pd.Interval():
            return {
                "interval": [scalar_to_json(value.left), scalar_to_json(value.right)],
                "closed": value.closed,
            }
        case pd.Period():
            return {"period": value.ordinal, "freq": value.freqstr}
    raise DataError(f"Values of type {type(value).__name__!r} cannot be kept.")


def has_name(zone: dt.tzinfo) -> bool:
    """Tell whether a time zone has a name by which pandas finds it; those of dateutil have none.

    >>> has_name(dt.timezone.utc)
    True
    """
    try:
        return str(pd.DatetimeTZDtype("ns", str(zone)).tz) == str(zone)
    except (TypeError, ValueError, KeyError, OSError):
        return False


def _is_fixed(zone: dt.tzinfo | None) -> bool:
    """Tell whether ISO 8601 says all of a zone: it is an offset, not a place."""
    return zone is None or isinstance(zone, dt.timezone)


def _number(data: dict[str, Any]) -> object:
    kind = data["numpy"]
    if kind not in {
        "bool",
        *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)),
        "float16",
        "float32",
        "float64",
    }:
        raise ValueError(kind)
    return np.dtype(kind).type(scalar_from_json(data["value"]))


def _timestamp(data: dict[str, Any]) -> object:
    value = pd.Timestamp(np.datetime64(int(scalar_from_json(data["timestamp"])), data["unit"]))
    return value if data["tz"] is None else value.tz_localize("UTC").tz_convert(data["tz"])


def _interval(data: dict[str, Any]) -> object:
    left, right = (scalar_from_json(end) for end in data["interval"])
    return pd.Interval(left, right, closed=data["closed"])


_READERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "missing": lambda d: {"NA": pd.NA, "NaT": pd.NaT, "nan": np.nan}[d["missing"]],
    "numpy": _number,
    "int": lambda d: int(d["int"]),
    "float": lambda d: {"inf": math.inf, "-inf": -math.inf}[d["float"]],
    "timestamp": _timestamp,
    "timedelta": lambda d: pd.Timedelta(np.timedelta64(int(scalar_from_json(d["timedelta"])), d["unit"])),
    "datetime": lambda d: dt.datetime.fromisoformat(d["datetime"]).replace(fold=d.get("fold", 0)),
    "date": lambda d: dt.date.fromisoformat(d["date"]),
    "time": lambda d: dt.time.fromisoformat(d["time"]).replace(fold=d.get("fold", 0)),
    "duration": lambda d: dt.timedelta(*d["duration"]),
    "decimal": lambda d: Decimal(d["decimal"]),
    "bytes": lambda d: base64.b64decode(d["bytes"], validate=True),
    "uuid": lambda d: uuid.UUID(d["uuid"]),
    "tuple": lambda d: tuple(scalar_from_json(part) for part in d["tuple"]),
    "interval": _interval,
    "period": lambda d: pd.Period(ordinal=d["period"], freq=d["freq"]),
}


def scalar_from_json(data: Any) -> Any:
    """Read what `scalar_to_json` wrote.

    Raises
    ------
    DataError
        If `data` is nothing that `scalar_to_json` writes.

    Examples
    --------
    >>> scalar_from_json({"tuple": [1, "x"]})
    (1, 'x')
    """
    if data is None or isinstance(data, bool | str | int | float):
        return data
    if isinstance(data, dict) and data:
        reader = _READERS.get(next(iter(data)))
        if reader is not None:
            try:
                return reader(data)
            except (ArithmeticError, KeyError, TypeError, ValueError) as error:
                raise DataError(f"A typed value is malformed: {next(iter(data))!r}.") from error
    raise DataError("A typed value is malformed: an object with a known tag was expected.")


def is_supported(value: Hashable) -> bool:
    """Tell whether `scalar_to_json` can write the value.

    >>> is_supported("a"), is_supported(object())
    (True, False)
    """
    try:
        scalar_to_json(value)
    except DataError:
        return False
    return True
