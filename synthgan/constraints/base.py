"""What every rule answers, and how it finds its columns in a frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import natural_kind
from synthgan.errors import DataError, ParameterError, listing, suggestion

__all__ = ["MAX_TRIES", "Constraint", "column_names", "columns_of", "kind_of", "require"]

MAX_TRIES = 100
"""How often rows that break a rule are drawn again."""


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


def column_names(rule: Constraint, names: Iterable[Hashable], at_least: int) -> tuple[Hashable, ...]:
    """Take names as a tuple; a text is one name, and no name may come twice."""
    found = (names,) if isinstance(names, str) else tuple(names)
    if len(found) < at_least or len(set(found)) < len(found):
        raise ParameterError(
            f"{type(rule).__name__} needs {at_least} or more different columns. Got {listing(found)}."
        )
    return found


def require(is_met: bool | np.bool_, rule: Constraint, problem: str) -> None:
    """Refuse a table that a rule cannot be bound to."""
    if not is_met:
        raise DataError(f"{rule} cannot hold: {problem}. Leave it out, or correct the table.")


def kind_of(series: pd.Series[Any]) -> str:
    """Return the kind that a column has by its dtype, whatever the schema says."""
    return natural_kind(series.dtype)
