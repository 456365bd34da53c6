"""Parameter rules as data: what each constructor argument may be.

An estimator lists one rule for each of its parameters in ``_parameter_rules``;
`check_parameters` compares them at the start of ``fit``. Tests draw bad values
from the same table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

from synthgan.errors import ParameterError

__all__ = ["Choice", "Instance", "Interval", "Rule", "check_parameter", "check_parameters"]


@dataclass(frozen=True)
class Interval:
    """Numbers of type `kind` from `low` (included unless `open_low`) up to `high`."""

    kind: type[int] | type[float]
    low: float
    high: float = math.inf
    open_low: bool = False

    def admits(self, value: object) -> bool:
        """Tell whether `value` obeys the rule; a bool is no number."""
        number = Integral if self.kind is int else Real
        if isinstance(value, bool) or not isinstance(value, number):
            return False
        above = float(value) > self.low if self.open_low else float(value) >= self.low
        return above and float(value) <= self.high

    def __str__(self) -> str:
        left = "(" if self.open_low else "["
        right = ")" if math.isinf(self.high) else "]"
        name = "an int" if self.kind is int else "a float"
        return f"{name} in {left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True)
class Choice:
    """One of a few literal values; None may be among them."""

    options: tuple[object, ...]

    def admits(self, value: object) -> bool:
        """Tell whether `value` obeys the rule."""
        return any(
            value is option or (type(value) is type(option) and value == option) for option in self.options
        )

    def __str__(self) -> str:
        return " or ".join(repr(option) for option in self.options)


@dataclass(frozen=True)
class Instance:
    """An object of one of the given types, described in words for the message."""

    types: tuple[type, ...]
    words: str

    def admits(self, value: object) -> bool:
        """Tell whether `value` obeys the rule."""
        return isinstance(value, self.types) and not (isinstance(value, bool) and bool not in self.types)

    def __str__(self) -> str:
        return self.words


Rule = tuple[Interval | Choice | Instance, ...]  # a value obeys when one alternative admits it


def check_parameter(owner: str, name: str, value: object, rule: Rule) -> None:
    """Raise `ParameterError` unless one alternative of the rule admits the value.

    >>> check_parameter("CTGAN", "batch_size", 0, (Interval(int, 1),))
    Traceback (most recent call last):
    synthgan.errors.ParameterError: The 'batch_size' parameter of CTGAN must be an int in [1, inf). Got 0.
    """
    if not any(alternative.admits(value) for alternative in rule):
        wanted = " or ".join(str(alternative) for alternative in rule)
        raise ParameterError(f"The {name!r} parameter of {owner} must be {wanted}. Got {value!r}.")


def check_parameters(owner: str, values: Mapping[str, object], rules: Mapping[str, Rule]) -> None:
    """Check every parameter of an estimator against its rule."""
    for name, rule in rules.items():
        check_parameter(owner, name, values[name], rule)
