"""What a rule is: which columns it is about, in which rows it holds, and how it is written down.

A rule that learns something from the real table (the combinations that occur, the constant of a sum)
is `bound` to it first; `detect` returns bound ones, and `fit` binds those that a user gives. Rules are
told apart by a name of a closed list in JSON, never by a Python type. Those about arithmetic are in
`synthgan.constraints.equations`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.constraints.base import MAX_TRIES, Constraint, column_names, columns_of, kind_of, require
from synthgan.constraints.combinations import (
    combinations_from_json,
    combinations_to_json,
    distinct,
    keys,
    occurs,
)
from synthgan.constraints.equations import Product, Sum
from synthgan.dtypes import NANOSECONDS, time_unit, to_numbers
from synthgan.errors import DataError, ParameterError, quantity
from synthgan.params import Interval, check_parameter
from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = [
    "FixedCombinations",
    "FunctionalDependency",
    "Inequality",
    "Predicate",
    "Unique",
    "constraint_from_dict",
    "in_one_unit",
]

_TRIES = (Interval(int, 1, 10_000),)


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

    def __post_init__(self) -> None:
        column_names(self, self.columns, 2)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The determinant and the dependent column."""
        return self.determinant, self.dependent

    def bound(self, frame: pd.DataFrame) -> Self:
        """Learn which value comes with which; see `Constraint.bound`."""
        cause, effect = columns_of(frame, self)
        require(not effect.isna().any(), self, f"column {self.dependent!r} has missing values")
        combinations = distinct([cause, effect])
        several = int(keys([combinations.iloc[:, 0]]).duplicated().sum())
        causes = f"{quantity(several, 'value')} of {self.determinant!r}"
        problem = f"there are several values of {self.dependent!r} to {causes}"
        require(not several, self, problem)
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
        object.__setattr__(self, "names", column_names(self, self.names, 2))

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


def _learned(rule: FunctionalDependency | FixedCombinations) -> pd.DataFrame:
    if rule.combinations is None:
        raise DataError(f"{rule} is not bound to a table yet. Call .bound(table) first, or fit with it.")
    return rule.combinations


# --- order -----------------------------------------------------------------------------


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
        column_names(self, self.columns, 2)

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """The lower and the higher column."""
        return self.low, self.high

    def bound(self, frame: pd.DataFrame) -> Self:
        """Check the columns; the table itself may break the rule."""
        kinds = [kind_of(series) for series in columns_of(frame, self)]
        require(kinds[0] == kinds[1], self, f"the columns are {kinds[0]} and {kinds[1]}")
        require(kinds[0] not in ("categorical", "boolean"), self, f"the columns are {kinds[0]}")
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


def in_one_unit(series: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return plain numbers that can be compared with those of other columns of the kind.

    Times become nanoseconds in long floats, since in other units they may exceed 64 bits.
    """
    values, missing = to_numbers(series)
    if kind_of(series) == "numerical":
        return values, missing
    return values.astype(np.longdouble) * NANOSECONDS[time_unit(series.dtype)], missing


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
        object.__setattr__(self, "names", column_names(self, self.names, 1))
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
                f"Got {quantity(len(answer), 'value')} for {quantity(len(frame), 'row')}."
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
    kind.rule: kind for kind in (FunctionalDependency, FixedCombinations, Sum, Product, Inequality, Unique)
}
