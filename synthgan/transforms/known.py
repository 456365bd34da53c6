"""What the codec of a column knows: where conditions look values up, and words for what is not there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import NANOSECONDS, Array, from_numbers, time_unit, time_zone
from synthgan.errors import ConditionError, listing, suggestion
from synthgan.schema import Column
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.generated import ConstantCodec
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["as_text", "find_levels", "has_missing", "known_column", "no_category", "no_number", "ticks"]


def known_column(name: Hashable, codec: TableCodec) -> Column:
    """Return the column that a condition names.

    Raises
    ------
    ConditionError
        If there is none, or if it is an identifier.
    """
    names = codec.schema.names
    if name not in names:
        raise ConditionError(
            f"Conditions name {name!r}, which is not a column.{suggestion(name, names)} "
            f"Columns: {listing(names)}."
        )
    column = codec.schema[name]
    if column.kind == "identifier":
        raise ConditionError(
            f"Column {name!r} is an identifier, whose values are made anew: it cannot be conditioned on. "
            "Leave it out."
        )
    return column


def has_missing(codec: CategoricalCodec | NumericCodec | ConstantCodec) -> bool:
    """Tell whether a column had missing values when the model was fitted."""
    return len(codec.value_) == 0 if isinstance(codec, ConstantCodec) else codec.has_missing_


def find_levels(codec: CategoricalCodec | ConstantCodec, values: Iterable[object]) -> NDArray[np.int64]:
    """Return the position of each value among the levels (a constant has one or none); -1 if unknown."""
    if isinstance(codec, CategoricalCodec):
        return codec.find(values)
    one = CategoricalCodec(codec.column)
    one.levels_ = codec.value_
    return one.find(values)


def no_category(value: object, codec: CategoricalCodec | ConstantCodec) -> str:
    """Say that a column lacks a category, and what it has."""
    levels: Array = codec.value_ if isinstance(codec, ConstantCodec) else codec.levels_
    value, *plain = (one.item() if isinstance(one, np.generic) else one for one in [value, *levels])
    if isinstance(codec, ConstantCodec):
        return f"is constant: {plain[0]!r}." if plain else "has missing values only."
    return f"has no category {value!r}.{suggestion(value, plain)} Categories: {listing(plain)}."


def no_number(number: Any, codec: NumericCodec) -> str:
    """Say which numbers there are near a plain one that a column cannot be."""
    low, high = codec.bounds
    if not low <= number <= high:
        return f"Its known values lie between {as_text(low, codec)} and {as_text(high, codec)}."
    below, above = codec.inward(low, number), codec.inward(number, high)
    near = [end for end in (below and below[1], above and above[0]) if end is not None]
    return f"The nearest values that it can have: {', '.join(as_text(value, codec) for value in near)}."


def as_text(number: Any, codec: NumericCodec) -> str:
    """Show a plain number as the column does."""
    array = from_numbers(np.array([number], codec.plain), np.zeros(1, dtype=bool), codec.column.dtype)
    value = array[0]
    return str(value.item() if isinstance(value, np.number) else value)


def _localised(moment: Any, zone: Any, column: Column) -> Any:
    """Take a local time to its zone."""
    found = moment.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if found is pd.NaT and moment is not pd.NaT:
        raise ConditionError(
            f"Conditions: column {column.name!r} is in the zone {zone}, where {moment} comes twice or never, "
            f"as the clocks change. Give the offset, too, such as '{moment}+01:00'."
        )
    return found


def ticks(value: object, column: Column) -> Fraction | None:
    """Count a time in ticks of the column, a naive one in its zone; None if it is of another type."""
    kind = dt.timedelta | np.timedelta64 if column.kind == "timedelta" else dt.date | np.datetime64
    if not isinstance(value, str | kind):
        return None
    try:
        moment: Any = pd.Timedelta(value) if column.kind == "timedelta" else pd.Timestamp(value)  # type: ignore[arg-type]
        zone = time_zone(column.dtype) if column.kind == "datetime" else None
        if column.kind == "datetime" and zone is None and moment.tz is not None:
            return None
        if zone is not None and moment.tz is None:
            moment = _localised(moment, zone, column)
        nanoseconds = int(moment.asm8.view("i8")) * NANOSECONDS[moment.unit]
    except ConditionError:
        raise
    except (TypeError, ValueError, AttributeError):
        return None
    return None if moment is pd.NaT else Fraction(nanoseconds, NANOSECONDS[time_unit(column.dtype)])
