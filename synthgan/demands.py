"""What an over-sampler is to add: a sampling strategy becomes a list of `Demand`, so many rows of a group.

A group is a class of the target, or a range of a numeric one. Strategies are those of imbalanced-learn,
read without needing that library.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from synthgan.errors import DataError, ParameterError, listing, quantity, suggestion
from synthgan.params import Choice, Instance, Interval, Rule, check_parameter

__all__ = [
    "OWNER",
    "STRATEGIES",
    "STRATEGY_RULE",
    "Demand",
    "check_sizes",
    "counted",
    "demands",
    "target_series",
]

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
"""Strategies that have a name; "auto" is "not majority"."""

OWNER = "GANOverSampler"
"""Whose parameter messages are about."""

_COUNTS = Instance((Mapping,), "a dict of class or range to number of rows")
STRATEGY_RULE: Rule = (
    Interval(float, 0, 1, open_low=True),
    Choice(STRATEGIES),
    _COUNTS,
    Instance((Callable,), "a callable"),  # type: ignore[arg-type]
)
"""What the parameter `sampling_strategy` may be."""


@dataclass(frozen=True, eq=False)
class Demand:
    """Rows that are wanted of one class, or with a target in one range.

    Parameters
    ----------
    group : hashable, or tuple (low, high)
        The class, or the range with its ends, either None for an open one.
    rows : int array
        Positions of its real rows.
    n_new : int >= 0
        Rows to be added.
    is_range : bool
    """

    group: Any
    rows: NDArray[np.intp]
    n_new: int
    is_range: bool = False


def demands(sampling_strategy: Any, y: Any) -> list[Demand]:
    """Say how many rows of each class, or of each range, a strategy wants to be added.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable
        See `GANOverSampler`.
    y : Series, array or list of shape (n_rows,)
        The target.

    Raises
    ------
    DataError
        If `y` has missing values or a single class, or if a class that is asked for has a single row.
    ParameterError
        If the strategy does not fit `y`: an unknown class, fewer rows than there are.

    Examples
    --------
    >>> [(one.group, one.n_new) for one in demands("auto", ["a", "b", "b", "b", "a"])]
    [('a', 1)]
    >>> [(one.group, one.n_new) for one in demands({"a": 7}, ["a", "b", "b", "b", "a"])]
    [('a', 5)]
    >>> [(one.group, one.n_new) for one in demands({(10, None): 4}, [2.5, 11.0, 12.5])]
    [((10, None), 2)]
    """
    found = counted(sampling_strategy, target_series(y))
    check_sizes(found)
    return found


def counted(sampling_strategy: Any, target: pd.Series[Any]) -> list[Demand]:
    """Do what `demands` does, without asking whether there are rows enough to learn from."""
    check_parameter(OWNER, "sampling_strategy", sampling_strategy, STRATEGY_RULE)
    strategy = sampling_strategy
    if callable(sampling_strategy):
        strategy = sampling_strategy(np.asarray(target))
        check_parameter(OWNER, "sampling_strategy (what it returned)", strategy, (_COUNTS,))
    if isinstance(strategy, Mapping) and _names_ranges(strategy, target):
        return _demands_of_ranges(strategy, target)
    return _demands_of_classes(strategy, target)


def check_sizes(found: Iterable[Demand]) -> None:
    """Refuse to grow what has fewer rows than can be learned from."""
    for one in found:
        if one.n_new and len(one.rows) < 2:
            what = "range" if one.is_range else "class"
            raise DataError(
                f"A {what} of y needs at least 2 rows to be over-sampled. The {what} {one.group!r} has "
                f"{len(one.rows)}. Collect more rows, or leave it out of sampling_strategy."
            )


def target_series(y: Any) -> pd.Series[Any]:
    """Take the target, which may be a single column, as a Series; refuse one that is incomplete."""
    if y is None:
        raise DataError(f"{OWNER} requires y to be passed, but the target y is None.")
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    elif np.ndim(y) == 2 and np.shape(y)[1] == 1:
        y = np.ravel(y)
    if np.ndim(y) != 1:
        raise DataError(f"y must be one-dimensional, one target a row. Got the shape {np.shape(y)}.")
    target = y.reset_index(drop=True) if isinstance(y, pd.Series) else pd.Series(y)
    missing = np.flatnonzero(target.isna())
    if len(missing):
        raise DataError(
            f"y must be complete. It has {quantity(len(missing), 'missing value')} (first at row "
            f"{missing[0]}). Drop these rows, or make the missing value a class of its own."
        )
    return target


# Classes


def _demands_of_classes(strategy: Any, target: pd.Series[Any]) -> list[Demand]:
    classes = _classes(target)
    if len(classes) < 2:
        raise DataError(
            f"y must have at least 2 classes. Got {quantity(len(classes), 'class', 'classes')}. To "
            "over-sample a part of a numeric target, give sampling_strategy as {(low, high): n_rows}."
        )
    if isinstance(strategy, Mapping):
        n_new = _asked_for(strategy, classes)
    elif isinstance(strategy, str):
        n_new = _by_name(strategy, classes)
    else:
        n_new = _by_ratio(strategy, classes)
    return [Demand(name, classes[name], count) for name, count in n_new.items()]


def _classes(target: pd.Series[Any]) -> dict[Hashable, NDArray[np.intp]]:
    """Give the rows of each class, in the order of the classes where they have one."""
    if target.dtype.kind == "f" and (target.to_numpy(dtype=float) % 1 != 0).any():
        raise ParameterError(
            "y must hold classes. It has numbers with fractions. To over-sample a part of a numeric target, "
            "give sampling_strategy as {(low, high): n_rows}."
        )
    codes, names = pd.factorize(target)
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    parts = np.split(np.argsort(codes, kind="stable"), ends[:-1])
    rows: dict[Hashable, NDArray[np.intp]] = dict(zip(names.tolist(), parts, strict=True))
    try:
        return dict(sorted(rows.items()))
    except TypeError:  # no order among them
        return rows


def _by_name(strategy: str, classes: Mapping[Hashable, NDArray[np.intp]]) -> dict[Hashable, int]:
    """Bring the named classes to the size of the largest; of equal ones the first is the extreme."""
    sizes = {name: len(rows) for name, rows in classes.items()}
    rarest, commonest = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    chosen: Iterable[Hashable] = {
        "minority": [rarest],
        "not minority": [name for name in sizes if name != rarest],
        "all": sizes,
    }.get(strategy, [name for name in sizes if name != commonest])
    return {name: sizes[commonest] - sizes[name] for name in chosen}


def _by_ratio(ratio: float, classes: Mapping[Hashable, NDArray[np.intp]]) -> dict[Hashable, int]:
    """Bring the rarer of two classes to a share of the size of the other."""
    if len(classes) != 2:
        raise ParameterError(
            f"sampling_strategy can be a float only if y has 2 classes. Got {ratio!r} and "
            f"{quantity(len(classes), 'class', 'classes')}. Give a dict of class to number of rows."
        )
    commoner = max(classes, key=lambda name: len(classes[name]))
    (rarer,) = (name for name in classes if name != commoner)
    n_rows, n_commoner = len(classes[rarer]), len(classes[commoner])
    n_new = int(n_commoner * ratio - n_rows)
    if n_new < 0:
        raise ParameterError(
            f"sampling_strategy={ratio!r} asks for {quantity(int(n_commoner * ratio), 'row')} of the class "
            f"{rarer!r}, which has {n_rows:,}, and an over-sampler removes none. Give a ratio above "
            f"{n_rows / n_commoner:.3g}."
        )
    return {rarer: n_new}


def _asked_for(
    strategy: Mapping[Any, Any], classes: Mapping[Hashable, NDArray[np.intp]]
) -> dict[Hashable, int]:
    """Read a dict of class to number of rows in the end."""
    for name in strategy:
        if name not in classes:
            raise ParameterError(
                f"sampling_strategy names the class {name!r}, which y does not have."
                f"{suggestion(name, classes)} Classes: {listing(classes)}."
            )
    return {
        name: _lacking(strategy[name], len(rows), f"the class {name!r}")
        for name, rows in classes.items()
        if name in strategy
    }


def _lacking(n_wanted: Any, n_rows: int, what: str) -> int:
    """Count the rows to be added, which cannot be less than none."""
    check_parameter(OWNER, f"sampling_strategy (for {what})", n_wanted, (Interval(int, 0),))
    if n_wanted < n_rows:
        raise ParameterError(
            f"sampling_strategy asks for {quantity(n_wanted, 'row')} of {what}, which has {n_rows:,}, and an "
            f"over-sampler removes none. Ask for {n_rows:,} or more."
        )
    return int(n_wanted) - n_rows


# Ranges


def _names_ranges(strategy: Mapping[Any, Any], target: pd.Series[Any]) -> bool:
    """Tell whether the keys are ranges of a numeric target."""
    is_numeric = is_numeric_dtype(target.dtype) and not is_bool_dtype(target.dtype)
    return is_numeric and bool(strategy) and all(isinstance(key, tuple) and len(key) == 2 for key in strategy)


def _demands_of_ranges(strategy: Mapping[Any, Any], target: pd.Series[Any]) -> list[Demand]:
    values = target.to_numpy(dtype=float)
    rule = (Interval(float, -np.inf), Choice((None,)))
    found, ends = [], []
    for (low, high), n_wanted in strategy.items():
        for end in (low, high):
            check_parameter(OWNER, f"sampling_strategy (for the range {(low, high)!r})", end, rule)
        bottom, top = -np.inf if low is None else low, np.inf if high is None else high
        if bottom > top:
            raise ParameterError(
                f"sampling_strategy names the range {(low, high)!r}, whose lower end is above its upper one. "
                "Swap them."
            )
        rows = np.flatnonzero((values >= bottom) & (values <= top))
        n_new = _lacking(n_wanted, len(rows), f"the range {(low, high)!r}")
        found.append(Demand((low, high), rows, n_new, is_range=True))
        ends.append((bottom, top))
    ends.sort()
    for (_, top), (bottom, _) in pairwise(ends):
        if bottom < top:
            raise ParameterError(
                f"The ranges of sampling_strategy may share an end, but not more. Got one up to {top:g} and "
                f"one from {bottom:g}. Split them."
            )
    return found
