"""A dict of conditions: column name to value, list of values, range or missing value."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.errors import ConditionError
from synthgan.schema import Column
from synthgan.transforms.conditions import MISSING, Cells, Conditions, Range
from synthgan.transforms.generated import ConstantCodec
from synthgan.transforms.known import find_levels, has_missing, known_column, no_category, no_number, ticks
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["rules"]

_WORDS = {"numerical": "number", "datetime": "point in time", "timedelta": "length of time"}


def rules(conditions: Mapping[Any, Any], codec: TableCodec) -> Conditions:
    """Read a dict of conditions, which hold in all rows.

    Raises
    ------
    ConditionError
        If no row can meet one of them.

    Examples
    --------
    >>> from synthgan.schema import Schema
    >>> from synthgan.transforms import TableCodec
    >>> frame = pd.DataFrame({"age": [20, 30, 50], "sex": ["F", "M", "M"]})
    >>> codec = TableCodec(Schema.infer(frame)).fit(frame)
    >>> rules({"age": (25, None)}, codec).ranges["age"]
    Range(low=array([30]), high=array([50]), missing=False)
    """
    cells: dict[Hashable, Cells] = {}
    ranges: dict[Hashable, Range | NDArray[np.int64]] = {}
    for name, wanted in conditions.items():
        rule = _Rule(known_column(name, codec), codec.codecs_[name], wanted)
        found = rule.read()
        if isinstance(rule.codec, ConstantCodec):
            continue  # it is met by every row
        if isinstance(found, Cells):
            cells[name] = found
        else:
            ranges[name] = found
    return Conditions(cells=cells, ranges=ranges)


@dataclass(frozen=True)
class _Rule:
    """One condition: reads it, or refuses it in words that begin with it."""

    column: Column
    codec: Any
    wanted: object

    def read(self) -> Cells | Range | NDArray[np.int64]:
        """Return the only value that is left, or all that are permitted: numbers, or positions of levels."""
        return self._numbers() if isinstance(self.codec, NumericCodec) else self._levels()

    def _refuse(self, why: str) -> NoReturn:
        said = repr(self.wanted)
        said = said if len(said) <= 60 else said[:57] + "..."
        raise ConditionError(f"Condition {self.column.name}={said}: column {self.column.name!r} {why}")

    def _values(self) -> tuple[list[Any], bool]:
        """Split what is wanted into values, and whether the missing one is among them."""
        several = _several(self.wanted)
        values = [value for value in several if not _is_missing(value)]
        missing = len(values) < len(several)
        if not several:
            self._refuse("would have no value. Give at least one.")
        if missing and not has_missing(self.codec):
            self._refuse("has no missing values. Leave the missing value out.")
        return values, missing

    # Categories, and constants

    def _levels(self) -> NDArray[np.int64] | Cells:
        if isinstance(self.wanted, tuple) and find_levels(self.codec, [self.wanted])[0] < 0:
            self._refuse(f"is {self.column.kind} and takes no range. Give a list for several values.")
        values, missing = self._values()
        found = find_levels(self.codec, values)
        if (found < 0).any():
            self._refuse(no_category(values[int(np.argmax(found < 0))], self.codec))
        distinct = np.unique([*found, *[MISSING] * missing]).astype(np.int64)
        if len(distinct) > 1:
            return distinct
        return Cells(np.ones(1, dtype=bool), distinct, distinct == MISSING)

    # Numbers and times

    def _numbers(self) -> Range | Cells:
        if isinstance(self.wanted, tuple):
            ends, missing = [self._range(self.wanted)], False
        else:
            values, missing = self._values()
            ends = sorted({self._point(value) for value in values})
        low, high = (np.array([end[k] for end in ends], dtype=self.codec.plain) for k in (0, 1))
        if len(ends) + missing > 1 or (low < high).any():
            return Range(low, high, missing)
        value = np.zeros(1, self.codec.plain) if missing else low
        return Cells(np.ones(1, dtype=bool), value, np.array([missing]))

    def _range(self, wanted: tuple[Any, ...]) -> tuple[Any, Any]:
        """Read (low, high), either end None, as the lowest and highest number that the column can have."""
        if len(wanted) != 2:
            self._refuse("takes a range as (low, high), with None for an open end, several values as a list.")
        low, high = (
            open_end if end is None else self._number(end)
            for end, open_end in zip(wanted, (-math.inf, math.inf), strict=True)
        )
        if low > high:
            self._refuse("would lie in an empty range: its lower end is above its upper one. Swap them.")
        return self._inward(low, high, "has no value in this range.")

    def _point(self, value: object) -> tuple[Any, Any]:
        """Read one value as a range of its own."""
        number = self._number(value)
        if isinstance(number, float) and self.codec.plain.kind == "f":
            number = self.codec.stored(number)
        return self._inward(number, number, f"cannot be {value!r}.")

    def _inward(self, low: Any, high: Any, refusal: str) -> tuple[Any, Any]:
        if self.codec.grid_ is None:
            self._refuse("had no value when the model was fitted. Leave it out.")
        found: tuple[Any, Any] | None = self.codec.inward(low, high)
        if found is None:
            self._refuse(f"{refusal} {no_number(low if math.isfinite(low) else high, self.codec)}")
        return found

    def _number(self, value: object) -> Any:
        """Take a value as an exact plain number: int, float or Fraction."""
        number: Any = None
        if self.column.kind != "numerical":
            number = ticks(value, self.column)
        elif isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value):
            number = value.item() if isinstance(value, np.generic) else value
        if number is None:
            self._refuse(
                f"is {self.column.kind} and cannot be {value!r}, of type {type(value).__name__}. "
                f"Give a {_WORDS[self.column.kind]}, a range (low, high) or a list."
            )
        return number


def _several(wanted: object) -> list[Any]:
    """Take a value, or a collection of values, as a list."""
    if isinstance(wanted, pd.Series | pd.Index | np.ndarray | pd.api.extensions.ExtensionArray):
        return list(wanted)
    if isinstance(wanted, Collection) and not isinstance(wanted, str | bytes | Mapping | tuple):
        return list(wanted)
    return [wanted]


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
