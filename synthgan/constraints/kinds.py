"""What a rule is: which columns it is about, in which rows it holds, and how it is written down.

A rule that learns something from the real table (the combinations that occur, the constant of a sum)
is `bound` to it first; `detect` returns bound ones, and `fit` binds those that a user gives. Rules are
told apart by a name of a closed list in JSON, never by a Python type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.constraints.combinations import (
    combinations_from_json,
    combinations_to_json,
    distinct,
    keys,
    occurs,
)
from synthgan.dtypes import (
    NANOSECONDS,
    natural_kind,
    time_unit,
    to_numbers,
)
from synthgan.errors import DataError, ParameterError, listing, suggestion
from synthgan.params import Interval, check_parameter
from synthgan.scalars import scalar_from_json, scalar_to_json
from synthgan.transforms.grid import MAX_DECIMALS, find_decimals

__all__ = [
    "Constraint",
    "FixedCombinations",
    "FunctionalDependency",
    "Inequality",
    "Predicate",
    "Sum",
    "Unique",
    "constraint_from_dict",
]

MAX_TRIES = 100
"""How often rows that break a rule are drawn again."""

_TRIES = (Interval(int, 1, 10_000),)

_TOO_LARGE = 2**62


class Constraint(ABC):
    """A rule about the rows of a table."""

    rule: ClassVar[str]
    max_tries: int = MAX_TRIES

    @property
    @abstractmethod
    def columns(self) -> tuple[Hashable, ...]:
        """Names of the columns that the rule is about."""

    @abstractmethod
    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether it keeps the rule, shape (n_rows,)."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""

    def bound(self, frame: pd.DataFrame) -> Self:
        """Return the rule with what it learns from the real table.

        Raises
        ------
        DataError
            If a column is unknown or of the wrong kind, or the table breaks a rule that can only be
            learned from tables that keep it.
        """
        columns_of(frame, self)
        return self


def constraint_from_dict(data: Any) -> Constraint:
    """Read what the ``to_dict`` of a rule wrote.

    Raises
    ------
    DataError
        If `data` describes no rule.

    Examples
    --------
    >>> constraint_from_dict(Inequality("start", "end").to_dict())
    Inequality(low='start', high='end')
    """
    try:
        return _KINDS[data["rule"]].from_dict(data)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"The description of a constraint is malformed: {error}") from error


# --- combinations ----------------------------------------------------------------------


@dataclass(frozen=True)
class FunctionalDependency(Constraint):
    """One column determines another: equal values of the first come with equal ones of the second.

    A missing value of the determinant counts as a value of its own; the dependent column may have none.

    Parameters
    ----------
    determinant, dependent : hashable
        Names of columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"city": ["Rome", "Bonn", "Rome"], "country": ["IT", "DE", "IT"]})
    >>> rule = FunctionalDependency("city", "country").bound(frame)
    >>> rule.holds(pd.DataFrame({"city": ["Bonn", "Bonn"], "country": ["DE", "IT"]}))
    array([ True, False])
    """

    determinant: Hashable
    dependent: Hashable
    combinations: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    rule = "functional-dependency"

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The determinant and the dependent column."""
        return self.determinant, self.dependent

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn which value comes with which; see `Constraint.bound`."""
        cause, effect = columns_of(frame, self)
        _require(not effect.isna().any(), self, f"column {self.dependent!r} has missing values")
        combinations = distinct([cause, effect])
        several = int(keys([combinations.iloc[:, 0]]).duplicated().sum())
        problem = f"{several:,} values of {self.determinant!r} come with several of {self.dependent!r}"
        _require(not several, self, problem)
        return replace(self, combinations=combinations)

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether its two values come together in the real table."""
        return occurs(columns_of(frame, self), _learned(self))

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        return {
            "rule": self.rule,
            "columns": [scalar_to_json(name) for name in self.columns],
            "combinations": combinations_to_json(self.combinations),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        determinant, dependent = (scalar_from_json(name) for name in data["columns"])
        return cls(determinant, dependent, combinations_from_json(data["combinations"], 2))


@dataclass(frozen=True)
class FixedCombinations(Constraint):
    """Only combinations of values occur that occur in the real table; a missing value is one too.

    Parameters
    ----------
    names : sequence of hashable
        Two columns or more.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [1, 1, 2], "colour": ["red", "blue", "red"]})
    >>> rule = FixedCombinations(["size", "colour"]).bound(frame)
    >>> rule.holds(pd.DataFrame({"size": [2, 2], "colour": ["red", "blue"]}))
    array([ True, False])
    """

    names: tuple[Hashable, ...]
    combinations: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    rule = "fixed-combinations"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self, self.names, 2))

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The columns."""
        return self.names

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn which combinations occur; see `Constraint.bound`."""
        return replace(self, combinations=distinct(columns_of(frame, self)))

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether its combination occurs in the real table."""
        return occurs(columns_of(frame, self), _learned(self))

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        return {
            "rule": self.rule,
            "columns": [scalar_to_json(name) for name in self.names],
            "combinations": combinations_to_json(self.combinations),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        names = tuple(scalar_from_json(name) for name in data["columns"])
        return cls(names, combinations_from_json(data["combinations"], len(names)))


# --- numbers and times -----------------------------------------------------------------


@dataclass(frozen=True)
class Sum(Constraint):
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
        object.__setattr__(self, "terms", _names(self, self.terms, 1))
        _names(self, self.columns, 2)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The total, then the terms."""
        return self.total, *self.terms

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn the constant; see `Constraint.bound`."""
        series = columns_of(frame, self)
        _require(_add_up([_kind(one) for one in series]), self, "these kinds of columns do not add up")
        units = {time_unit(one.dtype) for one in series if _kind(one) != "numerical"}
        _require(len(units) <= 1, self, f"times are counted in several units: {listing(sorted(units))}")
        decimals = [_decimals(one) for one in series]
        _require(None not in decimals, self, "there are values of more than 10 decimals; round them")
        rule = replace(self, decimals=max(int(d or 0) for d in decimals))
        whole, present = rule._whole(frame)
        _require((whole != _TOO_LARGE).all(), self, "values are too large to be added exactly")
        rest = (whole[0] - whole[1:].sum(axis=0))[present]
        _require(len(rest) > 0, self, "no row has a value in all of these columns")
        n_other = int((rest != rest[0]).sum())
        _require(n_other == 0, self, f"{n_other:,} rows have another difference than the first one")
        return replace(rule, offset=int(rest[0]))

    def _whole(self, frame: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the columns as integers, shape (n_columns, n_rows), and where all are present."""
        numbers = [to_numbers(one) for one in columns_of(frame, self)]
        whole = np.array([_whole(values, self.decimals) for values, _ in numbers])
        return whole, ~np.any([missing for _, missing in numbers], axis=0)

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether it adds up, or a cell is missing."""
        whole, present = self._whole(frame)
        kept: NDArray[np.bool_] = (whole[0] == whole[1:].sum(axis=0) + (self.offset or 0)) | ~present
        return kept

    def solve(self, frame: pd.DataFrame, name: Hashable) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute one of the columns from the others.

        Returns
        -------
        values : array of shape (n_rows,)
            Plain numbers.
        present : bool array of shape (n_rows,)
            Rows without a missing cell; `values` mean something only there.
        """
        whole, present = self._whole(frame)
        rest = whole[0] - whole[1:].sum(axis=0) - (self.offset or 0)
        k = self.columns.index(name)
        solved = whole[k] + (rest if k else -rest)
        plain = to_numbers(columns_of(frame.iloc[:0], self)[k])[0].dtype
        return (solved / 10.0**self.decimals if plain.kind == "f" else solved // 10**self.decimals), present

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
        check_parameter("Sum", "decimals", data["decimals"], (Interval(int, 0, MAX_DECIMALS),))
        return cls(total, tuple(terms), offset, data["decimals"])


@dataclass(frozen=True)
class Inequality(Constraint):
    """One column is never above another, in every row where neither is missing.

    Parameters
    ----------
    low, high : hashable
        Names of two columns of numbers, of datetimes or of timedeltas.

    Examples
    --------
    >>> frame = pd.DataFrame({"start": [1, 5, None], "end": [1, 4, 0]})
    >>> Inequality("start", "end").holds(frame)
    array([ True, False,  True])
    """

    low: Hashable
    high: Hashable

    rule = "inequality"

    def __post_init__(self) -> None:
        _names(self, self.columns, 2)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The lower and the higher column."""
        return self.low, self.high

    def bound(self, frame: pd.DataFrame) -> Self:
        """Check the columns; the table itself may break the rule."""
        kinds = [_kind(series) for series in columns_of(frame, self)]
        _require(kinds[0] == kinds[1], self, f"the columns are {kinds[0]} and {kinds[1]}")
        _require(kinds[0] not in ("categorical", "boolean"), self, f"the columns are {kinds[0]}")
        return self

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether it is in order, or a cell is missing."""
        (low, no_low), (high, no_high) = (in_one_unit(series) for series in columns_of(frame, self))
        kept: NDArray[np.bool_] = (low <= high) | no_low | no_high
        return kept

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        return {"rule": self.rule, "columns": [scalar_to_json(name) for name in self.columns]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        low, high = (scalar_from_json(name) for name in data["columns"])
        return cls(low, high)


# --- rules that are only ever given by hand --------------------------------------------


@dataclass(frozen=True)
class Unique(Constraint):
    """No two rows of one sample are alike in these columns; missing values are alike.

    Parameters
    ----------
    names : sequence of hashable
    max_tries : int in [1, 10000], default 100
        How often rows that repeat an earlier one are drawn again.

    Examples
    --------
    >>> Unique(["a"]).holds(pd.DataFrame({"a": [1, 2, 1]}))
    array([ True,  True, False])
    """

    names: tuple[Hashable, ...]
    max_tries: int = MAX_TRIES

    rule = "unique"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self, self.names, 1))
        check_parameter("Unique", "max_tries", self.max_tries, _TRIES)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The columns."""
        return self.names

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Tell for each row whether no row before it is alike."""
        first: NDArray[np.bool_] = ~keys(columns_of(frame, self)).duplicated().to_numpy(dtype=bool)
        return first

    def to_dict(self) -> dict[str, Any]:
        """Describe the rule in JSON."""
        names = [scalar_to_json(name) for name in self.names]
        return {"rule": self.rule, "columns": names, "max_tries": self.max_tries}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(tuple(scalar_from_json(name) for name in data["columns"]), data["max_tries"])


@dataclass(frozen=True)
class Predicate(Constraint):
    """A rule of the user's own.

    Parameters
    ----------
    function : callable (DataFrame) -> bool array of shape (n_rows,)
        Takes rows with the columns and dtypes of the table; True where the rule holds.
    max_tries : int in [1, 10000], default 100
        How often rows that break it are drawn again, in blocks of 2,048: enough if one row in 100 keeps it.
        After a twentieth of the tries without any such row the others are not made, see
        `synthgan.constraints.keep.BARREN_TRIES`.

    Examples
    --------
    >>> Predicate(lambda rows: rows["a"] % 2 == 0).holds(pd.DataFrame({"a": [1, 2]}))
    array([False,  True])
    """

    function: Callable[[pd.DataFrame], Any]
    max_tries: int = MAX_TRIES

    rule = "predicate"

    def __post_init__(self) -> None:
        check_parameter("Predicate", "max_tries", self.max_tries, _TRIES)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """None that are known."""
        return ()

    def bound(self, frame: pd.DataFrame) -> Self:
        """Try the function on the first rows."""
        self.holds(frame.iloc[:5])
        return self

    def holds(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Call the function; what it answers missing does not hold."""
        answer = list(self.function(frame.copy()))
        if len(answer) != len(frame) or not all(one is pd.NA or isinstance(one, _BOOL) for one in answer):
            raise ParameterError(
                "The function of a Predicate must return one bool a row. "
                f"Got {len(answer):,} values for {len(frame):,} rows."
            )
        return np.array([one is not pd.NA and bool(one) for one in answer], dtype=bool)

    def to_dict(self) -> dict[str, Any]:
        """Refuse: a function has no description that is no code."""
        raise DataError(
            "A Predicate is code, and a model file holds none. Fit without it, and filter what was sampled."
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:  # noqa: ARG003
        """Refuse."""
        raise DataError("A model file holds no Predicate.")


_BOOL = bool | np.bool_
_KINDS: dict[str, type[Constraint]] = {
    kind.rule: kind for kind in (FunctionalDependency, FixedCombinations, Sum, Inequality, Unique)
}


# --- columns of a frame ----------------------------------------------------------------


def columns_of(frame: pd.DataFrame, rule: Constraint) -> list[pd.Series[Any]]:
    """Return the columns that a rule is about.

    Raises
    ------
    DataError
        If one does not exist.
    """
    where: dict[Hashable, int] = {name: at for at, name in enumerate(frame.columns)}
    for name in rule.columns:
        if name not in where:
            raise DataError(
                f"{rule} names {name!r}, which is not a column.{suggestion(name, where)} "
                f"Columns: {listing(where)}."
            )
    return [frame.iloc[:, where[name]] for name in rule.columns]


def in_one_unit(series: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return plain numbers that can be compared with those of other columns of the kind.

    Times become nanoseconds in long floats, since in other units they may exceed 64 bits.
    """
    values, missing = to_numbers(series)
    if _kind(series) == "numerical":
        return values, missing
    return values.astype(np.longdouble) * NANOSECONDS[time_unit(series.dtype)], missing


def _names(rule: Constraint, names: Iterable[Hashable], at_least: int) -> tuple[Hashable, ...]:
    """Take names as a tuple; a text is one name, and no name may come twice."""
    found = (names,) if isinstance(names, str) else tuple(names)
    if len(found) < at_least or len(set(found)) < len(found):
        raise ParameterError(
            f"{type(rule).__name__} needs {at_least} or more different columns. Got {listing(found)}."
        )
    return found


def _require(is_met: bool | np.bool_, rule: Constraint, problem: str) -> None:
    if not is_met:
        raise DataError(f"{rule} cannot hold: {problem}. Leave it out, or correct the table.")


def _learned(rule: FunctionalDependency | FixedCombinations) -> pd.DataFrame:
    if rule.combinations is None:
        raise DataError(f"{rule} is not bound to a table yet. Call .bound(table) first, or fit with it.")
    return rule.combinations


def _kind(series: pd.Series[Any]) -> str:
    return natural_kind(series.dtype)


def _add_up(kinds: list[str]) -> bool:
    """Tell whether the kinds of a total and its terms make a sum."""
    total, *terms = kinds
    if total == "datetime":
        return sorted(terms) == ["datetime", *["timedelta"] * (len(terms) - 1)]
    return total in ("numerical", "timedelta") and set(terms) == {total}


def _decimals(series: pd.Series[Any]) -> int | None:
    """Return the decimals of a column, 0 for integers and ticks of time, None if there are too many."""
    values, missing = to_numbers(series)
    return find_decimals(values[~missing]) if values.dtype.kind == "f" else 0


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
