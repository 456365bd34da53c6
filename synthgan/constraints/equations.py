"""Columns that follow from others by arithmetic, exactly: sums and products."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.constraints.base import Constraint, column_names, columns_of, kind_of, require
from synthgan.dtypes import precision_of, time_unit, to_numbers
from synthgan.errors import listing, quantity
from synthgan.params import Interval, check_parameter
from synthgan.scalars import scalar_from_json, scalar_to_json
from synthgan.transforms.grid import MAX_DECIMALS, find_decimals

__all__ = ["Equation", "Product", "Sum"]

_TOO_LARGE = 2**62
_NONE = -(2**62)  # where nothing solves an equation


class Equation(Constraint):
    """One column is computed from others, exactly: in integers, ticks of time or decimals.

    A subclass says what comes out (`_computed`) and what must have gone in (`_inverted`), in whole
    numbers: the columns, times 10 to the power of `decimals`.
    """

    decimals: int

    @abstractmethod
    def _computed(self, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Compute the total from the other columns, (n_columns - 1, n_rows) -> (n_rows,)."""

    @abstractmethod
    def _inverted(self, total: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Compute the column that is lacking, (n_rows,) and (n_columns - 2, n_rows) -> (n_rows,)."""

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether the equation holds, or a cell is missing."""
        whole, present = self._whole(frame)
        kept: NDArray[np.bool_] = (whole[0] == self._computed(whole[1:])) | ~present
        return kept

    def solve(self, frame: pd.DataFrame, name: Hashable) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute one of the columns from the others.

        Returns
        -------
        values : array of shape (n_rows,)
            Plain numbers.
        is_solved : bool array of shape (n_rows,)
            Rows without a missing cell in which there is a solution; `values` mean something only there.
        """
        whole, present = self._whole(frame)
        k = self.columns.index(name)
        if k == 0:
            solved = self._computed(whole[1:])
        else:
            solved = self._inverted(whole[0], np.delete(whole[1:], k - 1, axis=0))
        is_solved = present & (solved != _NONE)
        plain = to_numbers(columns_of(frame.iloc[:0], self)[k])[0].dtype
        scale = 10**self.decimals
        return (solved / float(scale) if plain.kind == "f" else solved // scale), is_solved

    def _whole(self, frame: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the columns as whole numbers, shape (n_columns, n_rows), and where all are present."""
        numbers = [to_numbers(one) for one in columns_of(frame, self)]
        whole = np.array([_whole(values, self.decimals) for values, _ in numbers])
        return whole, ~np.any([missing for _, missing in numbers], axis=0)

    def _in_decimals(self, frame: pd.DataFrame) -> Self:
        """Return the equation in the decimals of a table; refuse a table that has none, or no full row."""
        decimals = [_decimals(one) for one in columns_of(frame, self)]
        require(None not in decimals, self, "there are values of more than 10 decimals; round them")
        rule = replace(self, decimals=max(int(d or 0) for d in decimals))  # type: ignore[type-var]
        whole, present = rule._whole(frame)
        require((whole != _TOO_LARGE).all(), self, "values are too large for exact arithmetic")
        require(present.any(), self, "no row has a value in all of these columns")
        return rule


@dataclass(frozen=True)
class Sum(Equation):
    """A column is the sum of others, plus a constant that is learned: often 0.

    It holds exactly, in integers, ticks of time or decimals, in every row where no cell is missing.
    ``Sum("end", ["start"])`` says that the two are a constant apart; ``Sum("end", ["start",
    "duration"])`` works for times too. A difference is a sum: a = b - c is ``Sum("b", ["a", "c"])``.

    Parameters
    ----------
    total : hashable
    terms : sequence of hashable
    offset : int, optional
        The constant, in the unit of `decimals`; learned.
    decimals : int
        Decimals in which all columns are written exactly; learned.

    Examples
    --------
    >>> frame = pd.DataFrame({"net": [0.1, 1.0], "tax": [0.2, 0.5], "gross": [0.3, 1.5]})
    >>> Sum("gross", ["net", "tax"]).bound(frame)
    Sum(total='gross', terms=('net', 'tax'), offset=0, decimals=1)
    """

    total: Hashable
    terms: tuple[Hashable, ...]
    offset: int | None = None
    decimals: int = 0

    rule = "sum"

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", column_names(self, self.terms, 1))
        column_names(self, self.columns, 2)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The total, then the terms."""
        return self.total, *self.terms

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn the constant; see `Constraint.bound`."""
        series = columns_of(frame, self)
        require(_add_up([kind_of(one) for one in series]), self, "these kinds of columns do not add up")
        units = {time_unit(one.dtype) for one in series if kind_of(one) != "numerical"}
        require(len(units) <= 1, self, f"times are counted in several units: {listing(sorted(units))}")
        rule = self._in_decimals(frame)
        whole, present = rule._whole(frame)
        rest = (whole[0] - whole[1:].sum(axis=0))[present]
        n_other = int((rest != rest[0]).sum())
        require(
            n_other == 0, self, f"the difference is not that of the first row in {quantity(n_other, 'row')}"
        )
        return replace(rule, offset=int(rest[0]))

    def _computed(self, others: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(others.sum(axis=0) + (self.offset or 0))

    def _inverted(self, total: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(total - others.sum(axis=0) - (self.offset or 0))

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        return {
            "rule": self.rule,
            "columns": [scalar_to_json(name) for name in self.columns],
            "offset": scalar_to_json(self.offset),
            "decimals": self.decimals,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        total, *terms = (scalar_from_json(name) for name in data["columns"])
        offset = None if data["offset"] is None else int(scalar_from_json(data["offset"]))
        return cls(total, tuple(terms), offset, _checked_decimals(cls, data))


@dataclass(frozen=True)
class Product(Equation):
    """A column is the product of others, such as a price and a quantity.

    It holds exactly, in integers or decimals, in every row where no cell is missing: a product that
    was rounded is none. A quotient is a product: a = b / c is ``Product("b", ["a", "c"])``.

    Parameters
    ----------
    total : hashable
    factors : sequence of hashable
        Two columns of numbers or more.
    decimals : int
        Decimals in which all columns are written exactly; learned.

    Examples
    --------
    >>> frame = pd.DataFrame({"price": [2.5, 0.99], "quantity": [2, 3], "total": [5.0, 2.97]})
    >>> Product("total", ["price", "quantity"]).bound(frame)
    Product(total='total', factors=('price', 'quantity'), decimals=2)
    """

    total: Hashable
    factors: tuple[Hashable, ...]
    decimals: int = 0

    rule = "product"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", column_names(self, self.factors, 2))
        column_names(self, self.columns, 3)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The total, then the factors."""
        return self.total, *self.factors

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn the decimals; see `Constraint.bound`."""
        kinds = {kind_of(one) for one in columns_of(frame, self)}
        require(kinds == {"numerical"}, self, "not all of these columns are numbers")
        rule = self._in_decimals(frame)
        n_other = int((~rule.holds(frame)).sum())
        require(n_other == 0, self, f"the product is another one in {quantity(n_other, 'row')}")
        return rule

    def _computed(self, others: NDArray[np.int64]) -> NDArray[np.int64]:
        return _ratio(_product(others), np.int64(self._scale))

    def _inverted(self, total: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        scaled = _product(np.array([total, np.full_like(total, self._scale)]))
        return _ratio(scaled, _product(others))

    @property
    def _scale(self) -> int:
        """What the product of whole factors has to be divided by: more than any, if it is no int64."""
        power: int = 10 ** (self.decimals * (len(self.factors) - 1))
        return min(power, _TOO_LARGE)

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        columns = [scalar_to_json(name) for name in self.columns]
        return {"rule": self.rule, "columns": columns, "decimals": self.decimals}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        total, *factors = (scalar_from_json(name) for name in data["columns"])
        return cls(total, tuple(factors), _checked_decimals(cls, data))


# --- whole numbers ---------------------------------------------------------------------


def _add_up(kinds: list[str]) -> bool:
    """Tell whether the kinds of a total and its terms make a sum."""
    total, *terms = kinds
    if total == "datetime":
        return sorted(terms) == ["datetime", *["timedelta"] * (len(terms) - 1)]
    return total in ("numerical", "timedelta") and set(terms) == {total}


def _decimals(series: pd.Series[Any]) -> int | None:
    """Return the decimals of a column, 0 for integers and ticks of time, None if there are too many."""
    values, missing = to_numbers(series)
    if values.dtype.kind != "f":
        return 0
    return find_decimals(values[~missing], precision_of(series.dtype))


def _checked_decimals(cls: type[Equation], data: dict[str, Any]) -> int:
    """Read the decimals of a rule."""
    check_parameter(cls.__name__, "decimals", data["decimals"], (Interval(int, 0, MAX_DECIMALS),))
    return int(data["decimals"])


def _whole(values: NDArray[Any], decimals: int) -> NDArray[np.int64]:
    """Return plain numbers as multiples of the last decimal; `_TOO_LARGE` beyond exact arithmetic."""
    if values.dtype.kind == "f":
        scaled = np.rint(values * 10.0**decimals)
        is_large = np.abs(scaled) >= 2.0**53
    else:
        scaled = values
        is_large = np.abs(values.astype(np.float64)) * 10.0**decimals >= 2.0**61
    whole = np.where(is_large, 0, scaled).astype(np.int64)
    return np.where(is_large, _TOO_LARGE, whole if values.dtype.kind == "f" else whole * 10**decimals)


def _product(whole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Multiply the rows, (k, n_rows) -> (n_rows,); `_NONE` where that is no number of 62 bits.

    >>> _product(np.array([[3, 2**61], [5, 2]])).tolist() == [15, _NONE]
    True
    """
    size = np.abs(whole.astype(np.float64)).prod(axis=0)
    return np.asarray(np.where(size < 2.0**61, whole.prod(axis=0), _NONE))


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64] | np.int64) -> NDArray[np.int64]:
    """Divide; `_NONE` where the ratio is no whole number.

    >>> _ratio(np.array([6, 7, 6, _NONE]), np.array([3, 3, 0, 1])).tolist() == [2, _NONE, _NONE, _NONE]
    True
    """
    quotient, rest = np.divmod(above, np.where(below == 0, 1, below))
    return np.where((rest == 0) & (below != 0) & (above != _NONE) & (below != _NONE), quotient, _NONE)
