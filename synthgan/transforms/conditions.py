"""Conditions on rows: read from a dict or a partial frame, encoded for a model, kept to the letter after it.

Every condition has two halves. For the model it is a set of codes and intervals of alpha,
`EncodedConditions`. But decoding rounds, so that the numbers that come back are set to what was
asked for once more: exactness does not hang on arithmetic.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.types import is_object_dtype

from synthgan.dtypes import Array, Dtype, from_numbers, natural_kind, to_numbers
from synthgan.errors import ConditionError, listing, suggestion
from synthgan.layout import EncodedConditions, EncodedTable, Permitted
from synthgan.schema import Column
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.generated import ConstantCodec
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["NO_CONDITIONS", "Conditions", "gaps", "given_cells", "rules"]

_NANOSECONDS = {"D": 86_400 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MISSING, _UNKNOWN = -1, -2  # in place of the position of a level


@dataclass(frozen=True, eq=False)
class Cells:
    """Known cells of one column.

    Parameters
    ----------
    known : bool array of shape (n,)
    values : array of shape (n,)
        Plain numbers, or positions of levels; anything where not known.
    missing : bool array of shape (n,)
        Where the known value is the missing one.
    """

    known: NDArray[np.bool_]
    values: NDArray[Any]
    missing: NDArray[np.bool_]

    def rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Take values and where there is none: the relations of a table compare these."""
        return self.values[rows], (self.missing | ~self.known)[rows]


@dataclass(frozen=True, eq=False)
class Range:
    """Numbers that the cells of one column may be: intervals [low, high], ascending, and the missing value."""

    low: NDArray[Any]
    high: NDArray[Any]
    missing: bool

    def into(self, values: NDArray[Any]) -> NDArray[Any]:
        """Move numbers outside all intervals to the nearest end of one.

        >>> Range(np.array([1, 7]), np.array([3, 7]), False).into(np.array([0, 2, 4, 6, 9]))
        array([1, 2, 3, 7, 7])
        """
        before = np.maximum(np.searchsorted(self.low, values, side="right") - 1, 0)
        after = np.minimum(before + 1, len(self.low) - 1)
        lower = np.clip(values, self.low[before], self.high[before])
        upper = np.clip(values, self.low[after], self.high[after])
        plain = values.astype(np.float64)
        is_lower = np.abs(plain - lower) <= np.abs(upper - plain)
        return np.where(is_lower | (lower == values), lower, upper)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What rows must be, column by column.

    Parameters
    ----------
    n_rows : int or None
        Rows that the cells belong to; None if there is one row that stands for all.
    cells : dict of column name to Cells
    ranges : dict of column name to Range or array of positions of levels
        What all rows may be where there is no cell.
    pasted : dict of column name to (rows, values of the column's dtype)
        Cells to be kept that have no code.
    fills_gaps : bool
        Whether no other cell may be missing.
    """

    n_rows: int | None = None
    cells: dict[Hashable, Cells] = field(default_factory=dict)
    ranges: dict[Hashable, Range | NDArray[np.int64]] = field(default_factory=dict)
    pasted: dict[Hashable, tuple[NDArray[np.int64], Array]] = field(default_factory=dict)
    fills_gaps: bool = False

    def encode(self, codec: TableCodec) -> EncodedConditions:
        """Say in codes and alphas what is known, and what is permitted."""
        layout = codec.layout_
        n_rows = 1 if self.n_rows is None else self.n_rows
        codes = np.zeros((n_rows, len(layout)), dtype=np.int32)
        alphas, known = np.zeros(codes.shape), np.zeros(codes.shape, dtype=bool)
        permitted = {}
        for j, span in enumerate(layout.spans):
            name, own = span.column, codec.codecs_[span.column]
            if name in self.cells:
                codes[:, j], alphas[:, j], known[:, j] = self._encode_cells(codec, name)
            if name in self.ranges:
                permitted[j] = _permit(own, self.ranges[name])
            elif self.fills_gaps and own.has_missing_ and len(own.n_levels_) > 1:
                present = np.delete(np.arange(span.n_codes), len(own.n_levels_) - 1)
                permitted[j] = Permitted(present, np.full(len(present), -1.0), np.ones(len(present)))
        return EncodedConditions(EncodedTable(codes, alphas), known, permitted, self.fills_gaps)

    def _encode_cells(
        self, codec: TableCodec, name: Hashable
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return codes and alphas of the known cells of one column, and which are known."""
        own, cells = codec.codecs_[name], self.cells[name]
        if isinstance(own, CategoricalCodec):
            has_code = cells.known & (cells.values != _UNKNOWN)
            codes, alphas = own.encode_levels(np.where(has_code, cells.values, 0))
            return codes, alphas, has_code
        codes, alphas = own.encode_numbers(cells.values, cells.missing & cells.known)
        absent = Cells(np.zeros_like(cells.known), cells.values, cells.missing)
        codec.mark_relations(own, lambda k, rows: self.cells.get(k, absent).rows(rows), codes, alphas)
        return codes, alphas, cells.known

    def set_numbers(
        self, name: Hashable, values: NDArray[Any], missing: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Set plain numbers of one column to what was asked for."""
        if name in self.cells:
            cells = self.cells[name]
            values = np.where(cells.known, cells.values, values)
            missing = np.where(cells.known, cells.missing, missing)
        if name in self.ranges:
            values = self.ranges[name].into(values)
        return values, missing

    def paste(self, name: Hashable, values: Array) -> Array:
        """Set cells of a decoded column that have no code."""
        if name not in self.pasted:
            return values
        rows, kept = self.pasted[name]
        values = values.copy()
        values[rows] = kept
        return values


NO_CONDITIONS = Conditions()


def _permit(codec: Any, wanted: Range | NDArray[np.int64]) -> Permitted:
    if isinstance(wanted, Range):
        permitted: Permitted = codec.permit(wanted.low, wanted.high, wanted.missing)
        return permitted
    return codec.permit(wanted)


# A dict of conditions


def rules(conditions: Mapping[Any, Any], codec: TableCodec) -> Conditions:
    """Read a dict of column name to value, list of values, range or missing value.

    Raises
    ------
    ConditionError
        If no row can meet a condition.
    """
    cells, ranges = {}, {}
    for name, wanted in conditions.items():
        column, own = _known_column(name, codec), codec.codecs_[name]
        said = f"Condition {name}={_short(wanted)}: column {name!r} "
        rule = _Rule(column, own, said)
        if column.kind == "identifier":
            rule.refuse("is an identifier, whose values are made anew. Leave it out.")
        found = rule.numbers(wanted) if isinstance(own, NumericCodec) else rule.levels(wanted)
        if isinstance(own, ConstantCodec):
            continue
        if isinstance(found, Cells):
            cells[name] = found
        else:
            ranges[name] = found
    return Conditions(cells=cells, ranges=ranges)


def _known_column(name: Hashable, codec: TableCodec) -> Column:
    names = codec.schema.names
    if not isinstance(name, Hashable) or name not in names:
        raise ConditionError(
            f"Conditions name {name!r}, which is not a column.{suggestion(name, names)} Columns: {listing(names)}."
        )
    return codec.schema[name]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_missing(value: object) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _several(wanted: object) -> list[Any]:
    """Take a value, or a collection of values, as a list."""
    if isinstance(wanted, pd.Series | pd.Index | np.ndarray | pd.api.extensions.ExtensionArray):
        return list(wanted)
    if isinstance(wanted, Collection) and not isinstance(wanted, str | bytes | Mapping | tuple):
        return list(wanted)
    return [wanted]


@dataclass(frozen=True)
class _Rule:
    """One condition of a dict: reads it, or refuses it in words that begin with `said`."""

    column: Column
    codec: Any
    said: str

    def refuse(self, why: str) -> NoReturn:
        raise ConditionError(self.said + why)

    def _values(self, wanted: object) -> tuple[list[Any], bool]:
        """Split what is wanted into values and whether the missing one is among them."""
        several = _several(wanted)
        values = [value for value in several if not _is_missing(value)]
        if not several:
            self.refuse("would have no value. Give at least one.")
        missing = len(values) < len(several)
        if missing and not _has_missing(self.codec):
            self.refuse("has no missing values. Leave the missing value out.")
        return values, missing

    # Numbers and times

    def numbers(self, wanted: object) -> Range | Cells:
        """Read a condition on a column of numbers or times."""
        if isinstance(wanted, tuple):
            ends, missing = [self._range(wanted)], False
        else:
            values, missing = self._values(wanted)
            if values:
                self._require_numbers()
            ends = [self._value(value) for value in values]
        ends = sorted(set(ends))
        plain = to_numbers(self.column.empty())[0].dtype
        low, high = (np.array(end, dtype=plain) for end in (zip(*ends, strict=True) if ends else ((), ())))
        if len(ends) + missing == 1 and (missing or low[0] == high[0]):
            return Cells(np.ones(1, dtype=bool), np.zeros(1, plain) if missing else low, np.array([missing]))
        return Range(low, high, missing)

    def _require_numbers(self) -> None:
        if self.codec.grid_ is None:
            self.refuse("had no value when the model was fitted. Leave it out.")

    def _range(self, wanted: tuple[Any, ...]) -> tuple[Any, Any]:
        """Read (low, high), either end None."""
        if len(wanted) != 2:
            self.refuse(
                "takes a range as (low, high), with None for an open end, and several values as a list."
            )
        self._require_numbers()
        ends = (-math.inf, math.inf)
        low, high = (
            end if end_ is None else self._number(end_) for end_, end in zip(wanted, ends, strict=True)
        )
        if low > high:
            self.refuse("would lie in an empty range: its lower end is above its upper one. Swap them.")
        found = self.codec.inward(low, high)
        if found is None:
            self.refuse(f"has no value in this range. {self._known(low)}")
        return tuple(end.item() for end in found)

    def _value(self, value: object) -> tuple[Any, Any]:
        """Read one number as a range of its own."""
        number = self._number(value)
        if not isinstance(number, Fraction) and self.column.dtype.kind == "f":
            number = self.codec.stored(number)
        found = self.codec.inward(number, number)
        if found is None:
            self.refuse(f"cannot be {value!r}. {self._known(number)}")
        return tuple(end.item() for end in found)

    def _known(self, number: Any) -> str:
        """Say what numbers there are near one that is refused."""
        low, high = self.codec.bounds
        if not low <= number <= high:
            return f"Its known values lie between {self._text(low)} and {self._text(high)}."
        below, above = self.codec.inward(low, number), self.codec.inward(number, high)
        near = [end.item() for end in (below and below[1], above and above[0]) if end is not None]
        return f"The nearest that it can be: {' and '.join(map(self._text, near))}."

    def _text(self, number: Any) -> str:
        """Show a plain number as the column does."""
        plain = to_numbers(self.column.empty())[0].dtype
        value = from_numbers(np.array([number], plain), np.zeros(1, dtype=bool), self.column.dtype)[0]
        return str(value.item() if isinstance(value, np.number) else value)

    def _number(self, value: object) -> Any:
        """Take a value as an exact plain number: int, float or Fraction."""
        if self.column.kind == "numerical":
            if isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value):
                return value.item() if isinstance(value, np.generic) else value
        else:
            try:
                ticks = _nanoseconds(value, self.column)
            except (TypeError, ValueError, OverflowError):
                ticks = None
            if ticks is not None:
                return Fraction(ticks, _NANOSECONDS[_unit(self.column.dtype)])
        self.refuse(
            f"is {self.column.kind} and has no value {value!r} of type {type(value).__name__}. "
            f"Give a {_WORDS[self.column.kind]}, a range (low, high) or a list."
        )

    # Categories

    def levels(self, wanted: object) -> NDArray[np.int64] | Cells:
        """Read a condition on a column of categories, or on a constant."""
        if isinstance(wanted, tuple) and self._find([wanted])[0] < 0:
            self.refuse(f"is {self.column.kind} and takes no range. Give a list for several values.")
        values, missing = self._values(wanted)
        found = self._find(values)
        if (found < 0).any():
            self.refuse(_no_category(values[int(np.argmax(found < 0))], self.codec))
        found = np.unique([*found, *[_MISSING] * missing]).astype(np.int64)
        if len(found) > 1:
            return found
        return Cells(np.ones(1, dtype=bool), found, found == _MISSING)

    def _find(self, values: list[Any]) -> NDArray[np.int64]:
        return _level_finder(self.codec).find(values)


_WORDS = {"numerical": "number", "datetime": "point in time", "timedelta": "length of time"}


def _no_category(value: object, codec: Any) -> str:
    """Say that a column lacks a category, and what it has."""
    levels = [level.item() if isinstance(level, np.generic) else level for level in _levels(codec)]
    if isinstance(codec, ConstantCodec):
        return f"is constant: {levels[0]!r}." if levels else "has missing values only."
    return f"has no category {value!r}.{suggestion(value, levels)} Categories: {listing(levels)}."


def _levels(codec: Any) -> Array:
    return codec.value_ if isinstance(codec, ConstantCodec) else codec.levels_


def _level_finder(codec: Any) -> CategoricalCodec:
    """Return what finds values among the levels; a constant has one of them or none."""
    if isinstance(codec, CategoricalCodec):
        return codec
    finder = CategoricalCodec(codec.column)
    finder.levels_ = codec.value_
    return finder


def _has_missing(codec: Any) -> bool:
    return len(codec.value_) == 0 if isinstance(codec, ConstantCodec) else bool(codec.has_missing_)


# Times


def _unit(dtype: Dtype) -> str:
    """Return the unit in which a column of times counts."""
    if isinstance(dtype, pd.ArrowDtype):
        arrow = dtype.pyarrow_dtype
        return {pa.date32(): "D", pa.date64(): "ms"}.get(arrow) or str(arrow.unit)
    return str(dtype.unit) if isinstance(dtype, pd.DatetimeTZDtype) else np.datetime_data(dtype)[0]


def _zone(dtype: Dtype) -> Any:
    return dtype.pyarrow_dtype.tz if _is_arrow_timestamp(dtype) else getattr(dtype, "tz", None)


def _is_arrow_timestamp(dtype: Dtype) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_timestamp(dtype.pyarrow_dtype)


def _nanoseconds(value: object, column: Column) -> int | None:
    """Count a time in nanoseconds, a naive one in the zone of the column; None if it is of another type."""
    moment: Any
    if column.kind == "timedelta":
        if not isinstance(value, str | dt.timedelta | np.timedelta64):
            return None
        moment = pd.Timedelta(value)
    else:
        if not isinstance(value, str | dt.date | np.datetime64):
            return None
        moment, zone = pd.Timestamp(value), _zone(column.dtype)
        if zone is not None and moment.tz is None:
            moment = moment.tz_localize(zone)
        elif zone is None and moment.tz is not None:
            return None
    if moment is pd.NaT:
        return None
    return int(moment.asm8.view("i8")) * _NANOSECONDS[moment.unit]


# A frame of given cells


def given_cells(frame: pd.DataFrame, codec: TableCodec) -> Conditions:
    """Read a partial frame: its columns are given in every row, missing values included.

    Raises
    ------
    ConditionError
        If a column is unknown, or holds what the model has never seen.
    """
    cells = {}
    for position, name in enumerate(frame.columns):
        column = _known_column(name, codec)
        if column.kind == "identifier":
            raise ConditionError(
                f"Conditions give column {name!r}, an identifier, whose values are made anew. Leave it out."
            )
        found = _Given(frame.iloc[:, position], column, codec.codecs_[name]).read()
        if not isinstance(codec.codecs_[name], ConstantCodec):
            cells[name] = found
    return Conditions(n_rows=len(frame), cells=cells)


def gaps(frame: pd.DataFrame, codec: TableCodec) -> Conditions:
    """Read a frame with gaps: what is there is given, whatever it is; what is missing is to be drawn.

    Raises
    ------
    ConditionError
        If a column has values of another type than when the model was fitted.
    """
    cells, pasted = {}, {}
    for position, name in enumerate(frame.columns):
        series, own = frame.iloc[:, position], codec.codecs_[name]
        given = _Given(series, codec.schema[name], own, strict=False)
        if isinstance(own, NumericCodec):
            cells[name] = given.read()
            continue
        rows = np.flatnonzero(given.known)
        pasted[name] = rows, given.kept()
        if isinstance(own, CategoricalCodec):
            cells[name] = given.read()
    return Conditions(n_rows=len(frame), cells=cells, pasted=pasted, fills_gaps=True)


class _Given:
    """One column of a frame of given cells.

    `strict`: what is missing is given as missing, and what the model has not seen is refused.
    Otherwise what is missing is not given.
    """

    def __init__(self, series: pd.Series[Any], column: Column, codec: Any, strict: bool = True) -> None:
        self.column, self.codec, self.strict = column, codec, strict
        self.said = (
            f"Conditions give column {column.name!r}, which " if strict else f"Column {column.name!r} "
        )
        self.missing = series.isna().to_numpy(dtype=bool)
        self.known = np.ones(len(series), dtype=bool) if strict else ~self.missing
        present = series[~self.missing]
        self.present = present.infer_objects() if is_object_dtype(present.dtype) else present
        if strict and self.missing.any() and not _has_missing(codec):
            self.refuse(
                f"has {int(self.missing.sum()):,} missing values, but none when the model was fitted."
            )

    def refuse(self, why: str) -> NoReturn:
        raise ConditionError(self.said + why)

    def read(self) -> Cells:
        """Read the cells as plain numbers or positions of levels."""
        if isinstance(self.codec, NumericCodec):
            present = self._numbers()
        else:
            present = self._level_positions()
        values = np.full(
            len(self.known), 0 if isinstance(self.codec, NumericCodec) else _MISSING, present.dtype
        )
        values[~self.missing] = present
        return Cells(self.known, values, self.missing)

    def kept(self) -> Array:
        """Return the present values in the dtype of the column."""
        if self.present.dtype == self.column.dtype:
            return self.present.array
        known = np.asarray(self._level_positions(unknown_ok=False))
        return _levels(self.codec).take(known)

    def _level_positions(self, unknown_ok: bool | None = None) -> NDArray[np.int64]:
        finder = _level_finder(self.codec)
        found = finder.find(self.present.astype(object))
        unknown_ok = not self.strict if unknown_ok is None else unknown_ok
        if not unknown_ok and (found < 0).any():
            first = self.present.iloc[int(np.argmax(found < 0))]
            self.refuse(_no_category(first, self.codec))
        return np.where(found < 0, _UNKNOWN, found)

    def _numbers(self) -> NDArray[Any]:
        """Convert to plain numbers of the column, exactly."""
        wanted = to_numbers(self.column.empty())[0].dtype
        if len(self.present) == 0:
            return np.zeros(0, wanted)
        dtype = self.present.dtype
        if natural_kind(dtype) != self.column.kind or (_zone(dtype) is None) != (
            _zone(self.column.dtype) is None
        ):
            self.refuse(f"is {self.column.kind} ({self.column.dtype}), with the dtype {dtype}. Convert it.")
        found, _ = to_numbers(self.present)
        values = self._ticks(found) if self.column.kind != "numerical" else self._cast(found, wanted)
        if self.strict:
            self._require_known(values)
        return values

    def _ticks(self, values: NDArray[Any]) -> NDArray[Any]:
        """Count times in the unit of the column."""
        own, theirs = (_NANOSECONDS[_unit(dtype)] for dtype in (self.column.dtype, self.present.dtype))
        if theirs >= own:
            factor = theirs // own
            self._refuse_where(np.abs(values) > np.iinfo(np.int64).max // factor)
            return values * factor
        whole, rest = np.divmod(values, own // theirs)
        self._refuse_where(rest != 0)
        return whole

    def _cast(self, values: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
        """Change the type of numbers without changing one of them."""
        with np.errstate(invalid="ignore", over="ignore"):
            cast = values.astype(wanted)
            if wanted.kind == "f":
                cast = self.codec.stored(cast)
            else:
                low, high = (float(end) for end in (np.iinfo(wanted).min, np.iinfo(wanted).max))
                inside = (values >= low) & (values < high) if values.dtype.kind == "f" else True
                self._refuse_where(~(inside & (cast == values) & ((cast < 0) == (values < 0))))
        return cast

    def _refuse_where(self, is_bad: NDArray[np.bool_]) -> None:
        if is_bad.any():
            self.refuse(
                f"has the dtype {self.column.dtype}, with {int(is_bad.sum()):,} values that it cannot hold, "
                f"such as {_short(self.present.iloc[int(np.argmax(is_bad))])}. Convert or remove them."
            )

    def _require_known(self, values: NDArray[Any]) -> None:
        """Refuse numbers outside the learned range or beside the grid."""
        if self.codec.grid_ is None:
            self.refuse("had no value when the model was fitted. Leave it out.")
        is_bad = self.codec.snap(values) != values
        if is_bad.any():
            first = values[int(np.argmax(is_bad))].item()
            rule = _Rule(self.column, self.codec, self.said)
            self.refuse(
                f"cannot be {rule._text(first)} ({int(is_bad.sum()):,} such values). {rule._known(first)}"
            )
