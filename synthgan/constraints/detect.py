"""Which rules a table supports beyond chance.

A rule is looked for among many, so that some hold by accident. One is accepted only if no row breaks
it *and* the rows that could have broken it are so many that, were it no rule, a table like this would
show no exception with a chance of at most `ALPHA` over all candidates of the kind together
(Bonferroni). For n candidates that takes ``ln(n / ALPHA)`` expected exceptions, `_needed`.

A dependency that would tell what goes with a value of fewer than `MIN_ROWS` rows is left alone, since a
rule is stored with the values that it relates. Rules that are given may tell it.

What counts as a row that could have broken it:

* functional dependency, sum, product: a row would break a false rule with a chance of at least
  `MIN_EXCEPTIONS`. Counted are repeats of a value of the determinant where the dependent does not have its
  most frequent value (which agrees anyway), and rows in which no column of a sum or product has its most
  frequent value, nor a factor is 1 or -1. Sums of one or two columns are one kind of candidates, sums of
  three another, for columns that are no total already. Columns with zeros are no part of products.
* order: the differences must reach the boundary. Within a step above 0, of 5 % of the spread (5 % to
  95 %) of the differences and of either column, whichever is least, lie so many rows that a
  distribution whose density falls to no less than a half within a step would have enough below. A
  value supplies at most a fifth of them, so that two columns that are zero together prove nothing;
  spreads of fewer than 100 different values are not judged.
* fixed combinations: a missing combination that is as frequent as the rarest one that occurs would
  be seen. At least 10 of them occur, and as many, at least half of all, do not.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.constraints.base import Constraint
from synthgan.constraints.equations import Equation, Product, Sum
from synthgan.constraints.kinds import FixedCombinations, FunctionalDependency, Inequality, in_one_unit
from synthgan.dtypes import natural_kind, object_keys
from synthgan.errors import DataError
from synthgan.schema import Schema
from synthgan.seeding import stream
from synthgan.transforms.modes import ALL_ATOMS

__all__ = ["ALPHA", "MIN_EXCEPTIONS", "MIN_ROWS", "detect"]

ALPHA = 1e-3
"""Chance of accepting any false rule of one kind."""

MIN_EXCEPTIONS = 0.02
"""A dependency, sum or product that a smaller share of the rows would break is taken for a rule."""

MIN_ROWS = 3
"""Values go together in at least so many rows wherever a found rule says which do: the rule is kept in
model files, which tell nobody what goes with a value that one or two rows have."""

MAX_LEVELS = 1000  # of a determinant that is no number
MAX_COLUMNS = 300  # columns of one kind that are compared
_MAX_COMBINED, _MIN_COMBINED = 50, 10  # levels of a column, cells of each sort in fixed combinations
_SPREAD, _MIN_STEPS = 0.05, 100
_LARGEST = 1e307
_ROUNDING = 1e-11  # of marks, measured to be right to 1e-15
_FEW_ROWS, _FIRST_ROWS = 16, 500  # most candidates fail here


def detect(frame: pd.DataFrame, schema: Schema | None = None) -> list[Constraint]:
    """Find functional dependencies, products, sums, orders and fixed combinations in a table.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The real table.
    schema : Schema, optional
        Kinds of its columns, by default inferred.

    Returns
    -------
    list of Constraint
        Bound to the table: pass it on, without or with more, as ``constraints=`` of a synthesizer.

    Examples
    --------
    >>> code = np.arange(2000) % 7
    >>> detect(pd.DataFrame({"code": code.astype(str), "weight": code * 2.5}))
    [FunctionalDependency(determinant='code', dependent='weight')]
    """
    schema = Schema.infer(frame) if schema is None else schema
    frame = schema.check(frame)
    table = {
        column.name: frame.iloc[:, at]
        for at, column in enumerate(schema)
        if column.kind not in ("constant", "identifier")
    }
    dependencies = _dependencies([_Levels.of(name, series) for name, series in table.items()])
    determined = {rule.dependent for rule in dependencies}
    free = {name: series for name, series in table.items() if name not in determined}
    numbers = _Numbers.of(free)
    # A price that an article determines is a term and a factor, too, but no total.
    everything = _Numbers.of(table) if determined else numbers
    sums = _sums(everything, set(free), frame)
    equations = _larger_equations(everything, set(free), sums, frame)
    fixed = _fixed([_Levels.of(name, series) for name, series in free.items()])
    found: list[Constraint] = [*dependencies, *equations, *_orders(numbers, equations), *fixed]
    return [rule.bound(frame) for rule in found]


_NUMBERS = ("numerical", "datetime", "timedelta")


def _needed(n_candidates: int) -> float:
    """Return how many exceptions a false rule would have to have in expectation: Poisson, Bonferroni."""
    return math.log(max(n_candidates, 1) / ALPHA)


# --- functional dependencies -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Levels:
    """A column as positions of its levels; the missing value is a level too."""

    name: Hashable
    codes: NDArray[np.int64]  # (n_rows,)
    counts: NDArray[np.int64]  # (n_levels,)
    is_number: bool
    has_missing: bool

    @classmethod
    def of(cls, name: Hashable, series: pd.Series[Any]) -> _Levels:
        codes = np.asarray(pd.factorize(object_keys(series))[0], dtype=np.int64)
        has_missing = bool((codes < 0).any())
        codes = np.where(codes < 0, codes.max(initial=-1) + 1, codes)
        is_number = natural_kind(series.dtype) in _NUMBERS
        return cls(name, codes, np.bincount(codes), is_number, has_missing)

    @property
    def n_levels(self) -> int:
        return len(self.counts)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """First row of each level."""
        first = np.zeros(self.n_levels, dtype=np.int64)
        first[self.codes[::-1]] = np.arange(len(self.codes))[::-1]
        return first

    @cached_property
    def unusual(self) -> NDArray[np.bool_]:
        """Rows without the most frequent level."""
        unusual: NDArray[np.bool_] = self.codes != int(self.counts.argmax())
        return unusual

    @property
    def can_determine(self) -> bool:
        """Whether the levels repeat, each of them, and a number that is drawn is sure to be one of them."""
        limit = ALL_ATOMS if self.is_number else MAX_LEVELS
        return self.n_levels <= limit and int(self.counts.min()) >= MIN_ROWS


def _dependencies(columns: list[_Levels]) -> list[FunctionalDependency]:
    """Find columns that are determined by another one that is itself free."""
    causes = [column for column in columns if column.can_determine]
    effects = [column for column in columns if not column.has_missing]
    pairs = [(a, b) for a in causes for b in effects if a is not b and b.n_levels <= a.n_levels]
    needed = _needed(len(pairs)) / MIN_EXCEPTIONS
    found = {(a.name, b.name) for a, b in pairs if _determines(a, b, needed)}
    free: list[Hashable] = []
    # What determines a column has more levels, or as many if it is determined in turn: a category
    # then goes before a number.
    for column in sorted(columns, key=lambda column: (-column.n_levels, column.is_number)):
        if not any((a, column.name) in found for a in free):
            free.append(column.name)
    names = [column.name for column in columns]
    return [
        FunctionalDependency(a, b)
        for a, b in product(names, names)
        if (a, b) in found and a in free and b not in free
    ]


def _determines(a: _Levels, b: _Levels, needed: float) -> bool:
    """Tell whether equal values of a come with equal ones of b, in enough rows that might differ."""
    if len(b.codes) - b.counts.max() < needed:
        return False
    expected = b.codes[a.first]
    for rows in (slice(_FIRST_ROWS), slice(40 * _FIRST_ROWS), slice(None)):
        if (expected[a.codes[rows]] != b.codes[rows]).any():
            return False
    repeats = b.unusual.copy()
    repeats[a.first] = False
    return int(repeats.sum()) >= needed


# --- numbers ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Columns of numbers and times side by side, as floats: what looks right is checked exactly."""

    names: list[Hashable]
    kinds: list[str]
    plain: NDArray[np.float64]  # (n_columns, n_rows), NaN where missing

    @classmethod
    def of(cls, table: dict[Hashable, pd.Series[Any]]) -> _Numbers:
        kinds = {name: natural_kind(series.dtype) for name, series in table.items()}
        names = [name for name, kind in kinds.items() if kind in _NUMBERS][:MAX_COLUMNS]
        values = np.full((len(names), max(map(len, table.values()), default=0)), np.nan)
        for row, name in zip(values, names, strict=True):
            numbers, missing = in_one_unit(table[name])
            row[~missing] = numbers[~missing]
        if np.nanmax(np.abs(values), initial=0) > _LARGEST:
            values *= 0.125  # sums and differences stay finite, and as true as they were
        return cls(names, [kinds[name] for name in names], values)

    @cached_property
    def unusual(self) -> NDArray[np.bool_]:
        """Where a column has a value, but not its most frequent one, (n_columns, n_rows)."""
        unusual = ~np.isnan(self.plain)
        for row, values in zip(unusual, self.plain, strict=True):
            distinct, counts = np.unique(values[row], return_counts=True)
            row &= values != distinct[counts.argmax()]
        return unusual


def _sums(numbers: _Numbers, totals: set[Hashable], frame: pd.DataFrame) -> list[Sum]:
    """Find totals a constant apart from another column, then those that are the sum of two others."""
    columns = range(len(numbers.names))
    n_candidates = len(columns) ** 2 * (len(columns) + 1) // 2
    needed = _needed(n_candidates) / MIN_EXCEPTIONS
    found: list[Sum] = []
    derived: set[int] = set()
    for terms in (*combinations(columns, 1), *combinations(columns, 2)):
        for k in _looks_like_totals(numbers, terms):
            if numbers.names[k] not in totals:
                continue
            if not derived.isdisjoint({k, *terms}) or (len(terms) == 1 and k < terms[0]):
                continue  # it says nothing new
            rule = Sum(numbers.names[k], tuple(numbers.names[t] for t in terms))
            if _adds_up(rule, numbers, [k, *terms], needed, frame):
                found.append(rule)
                derived |= {k} if len(terms) == 1 else set()
    return found


def _looks_like_totals(numbers: _Numbers, terms: tuple[int, ...]) -> list[int]:
    """Return columns whose difference to the terms seems constant in the first rows, 0 for two terms."""
    left = np.array([k for k in range(len(numbers.names)) if k not in terms], dtype=np.int64)
    for n_rows in (_FEW_ROWS, _FIRST_ROWS):
        first, added = numbers.plain[left, :n_rows], numbers.plain[list(terms), :n_rows]
        rest = first - added.sum(axis=0)  # (n_columns, n_rows)
        low, high = np.fmin.reduce(rest, axis=1), np.fmax.reduce(rest, axis=1)
        slack = 1e-12 * np.maximum(
            np.fmax.reduce(np.abs(first), axis=1), np.fmax.reduce(np.abs(added), axis=None)
        )
        error = high - low if len(terms) == 1 else np.maximum(np.abs(low), np.abs(high))
        left = left[~(error > slack)]  # kept if all is missing there
    kept: list[int] = left.tolist()
    return kept


def _adds_up(rule: Sum, numbers: _Numbers, columns: list[int], needed: float, frame: pd.DataFrame) -> bool:
    """Tell whether a sum is exact in all rows, and in enough rows that might differ."""
    rows = np.flatnonzero(np.all(numbers.unusual[columns], axis=0))
    if len(rows) < needed or not _seems_to_add_up(numbers.plain[columns][:, rows[:_FIRST_ROWS]]):
        return False
    try:
        return rule.bound(frame).offset == 0 or len(rule.terms) == 1
    except DataError:  # not exact, or not of numbers that can be added exactly
        return False


def _seems_to_add_up(some: NDArray[np.float64]) -> bool:
    """Look at rows of a total and its terms, all of them there: (1 + n_terms, n_rows).

    The columns may have had no value in the first rows of the table, and an exact check takes time.
    """
    rest = some[0] - some[1:].sum(axis=0)
    error = np.ptp(rest) if len(some) == 2 else np.abs(rest).max()
    return bool(error <= 1e-12 * np.abs(some).max())


def _larger_equations(
    numbers: _Numbers, totals: set[Hashable], sums: list[Sum], frame: pd.DataFrame
) -> list[Equation]:
    """Put products before the sums, and sums of three after them.

    Equations are solved in this order, and the total of a product may be a term of a sum.
    """
    products = _products(numbers, totals, frame)
    left = totals - {rule.total for rule in products} - {rule.total for rule in sums}
    return [*products, *sums, *_sums_of_three(numbers, left, sums, frame)]


def _sums_of_three(
    numbers: _Numbers, totals: set[Hashable], sums: list[Sum], frame: pd.DataFrame
) -> list[Sum]:
    """Find which of the possible totals are the sum of three columns, one sum for each."""
    n_columns = len(numbers.names)
    needed = _needed(n_columns * math.comb(max(n_columns - 1, 0), 3)) / MIN_EXCEPTIONS
    copies = {rule.total for rule in sums if len(rule.terms) == 1}
    usable = _usable(numbers, needed, [name not in copies for name in numbers.names])
    marks, sizes = _marks(numbers.plain[usable], needed)
    total, term = np.nonzero(~np.eye(len(usable), dtype=bool))  # total - term = the other two
    found: dict[Hashable, Sum] = {}
    for at, j, k in _pairs(marks, marks[total] - marks[term], sizes[total] + sizes[term]):
        columns = [int(usable[one]) for one in (total[at], term[at], j, k)]
        name, *terms = (numbers.names[column] for column in columns)
        if columns[1] < columns[2] and columns[0] not in columns[2:] and name in totals - set(found):
            rule = Sum(name, tuple(terms))
            if _adds_up(rule, numbers, columns, needed, frame):
                found[name] = rule
    return list(found.values())


def _products(numbers: _Numbers, totals: set[Hashable], frame: pd.DataFrame) -> list[Product]:
    """Find which of the possible totals are the product of two columns, one product for each."""
    n_columns = len(numbers.names)
    needed = _needed(n_columns * math.comb(max(n_columns - 1, 0), 2)) / MIN_EXCEPTIONS
    is_number = np.array([kind == "numerical" for kind in numbers.kinds], dtype=bool)
    usable = _usable(numbers, needed, is_number & (numbers.plain != 0).all(axis=1))
    marks, sizes = _marks(np.log(np.abs(numbers.plain[usable])), needed)  # log |b c| = log |b| + log |c|
    found: dict[Hashable, Product] = {}
    for columns in _pairs(marks, marks, sizes):
        total, *factors = (int(usable[one]) for one in columns)
        name = numbers.names[total]
        if total not in factors and name in totals - set(found):
            rule = Product(name, tuple(numbers.names[one] for one in factors))
            if _multiplies(rule, numbers, [total, *factors], needed, frame):
                found[name] = rule
    return list(found.values())


def _multiplies(
    rule: Product, numbers: _Numbers, columns: list[int], needed: float, frame: pd.DataFrame
) -> bool:
    """Tell whether a product is exact in all rows, and in enough rows that might differ."""
    is_one = (np.abs(numbers.plain[columns[1:]]) == 1).any(axis=0)
    if np.sum(np.all(numbers.unusual[columns], axis=0) & ~is_one) < needed:
        return False
    try:
        return bool(rule.bound(frame))
    except DataError:
        return False


def _usable(numbers: _Numbers, needed: float, allowed: Any) -> NDArray[np.intp]:
    """Return the columns that have so many unusual values that they can be part of a rule."""
    return np.flatnonzero((numbers.unusual.sum(axis=1) >= needed) & np.asarray(allowed, dtype=bool))


def _marks(values: NDArray[np.float64], needed: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weigh the rows at random, (n_columns, n_rows) -> (n_columns,): the mark of a sum is the sum of marks.

    Of the rows without a missing value, if there are enough. Otherwise missing values count as 0, and what
    adds up only where all is there is not found.

    Returns the marks and, for the size of their rounding errors, those of the absolute values.
    """
    complete = ~np.isnan(values).any(axis=0)
    values = values[:, complete] if complete.sum() >= needed else np.nan_to_num(values)
    values = values / max(np.abs(values).max(initial=0), np.finfo(float).tiny)  # marks stay finite
    weights = stream(0, "marks").random(values.shape[1])
    return values @ weights, np.abs(values) @ weights


def _pairs(
    marks: NDArray[np.float64], wanted: NDArray[np.float64], sizes: NDArray[np.float64]
) -> Iterator[tuple[int, int, int]]:
    """Yield (i, j, k), j < k, where marks j and k add up to what is wanted, but for rounding.

    One search in all sums of pairs for each i, instead of a look at each pair and i: 2 s become 20 ms.
    """
    first, second = np.triu_indices(len(marks), 1)
    pairs = marks[first] + marks[second]
    order = pairs.argsort()
    low = np.searchsorted(pairs[order], wanted - _ROUNDING * sizes)
    high = np.searchsorted(pairs[order], wanted + _ROUNDING * sizes, side="right")
    for i in np.flatnonzero(high > low):
        for at in order[low[i] : high[i]]:
            yield int(i), int(first[at]), int(second[at])


def _orders(numbers: _Numbers, equations: Sequence[Equation]) -> list[Inequality]:
    """Find columns that are never above another one; what follows from two others is left out."""
    summed = [set(rule.columns) for rule in equations]
    pairs = [
        (j, k)
        for j, k in permutations(range(len(numbers.names)), 2)
        if numbers.kinds[j] == numbers.kinds[k]
        and not any({numbers.names[j], numbers.names[k]} <= columns for columns in summed)
    ]
    needed = _needed(len(pairs))
    found = set()
    if pairs:
        lowest, highest = np.fmin.reduce(numbers.plain, axis=1), np.fmax.reduce(numbers.plain, axis=1)
        width = highest - lowest
        for j, k in pairs:
            near = _SPREAD * min(width[j], width[k])
            is_near = lowest[k] - highest[j] <= near
            if is_near and _reaches(numbers.plain[j], numbers.plain[k], near, needed):
                found.add((j, k))
    between = {(j, k) for j, m in found for n, k in found if m == n}
    return [Inequality(numbers.names[j], numbers.names[k]) for j, k in sorted(found - between)]


def _reaches(low: NDArray[np.float64], high: NDArray[np.float64], bound: float, needed: float) -> bool:
    """Tell whether low <= high in all rows, and so often nearly equal that it is no accident.

    Nearly equal are those at most `bound` apart, or nearer: the quantiles say.
    """
    if np.any(low[:_FIRST_ROWS] > high[:_FIRST_ROWS]) or np.any(low > high):
        return False
    present = ~np.isnan(low) & ~np.isnan(high)
    distance = (high - low)[present]
    if np.sum(distance <= bound) < 2 * needed:  # a sort of a million rows takes a tenth of a second
        return False
    steps = np.unique(distance)
    spread = min(
        float(np.ptp(np.quantile(one, [0.05, 0.95]))) for one in (low[present], high[present], distance)
    )
    if len(steps) < 2 or spread < _MIN_STEPS * np.diff(steps).min():
        return False
    enough = 2 * needed  # as many rows above the boundary are worth half of them below
    _, counts = np.unique(low[present][distance <= _SPREAD * spread], return_counts=True)
    return bool(np.minimum(counts, enough / 5).sum() >= enough)


# --- combinations ----------------------------------------------------------------------


def _fixed(columns: list[_Levels]) -> list[FixedCombinations]:
    """Find pairs of columns of which many combinations, but no rare ones, are missing."""
    columns = [column for column in columns if column.n_levels <= _MAX_COMBINED]
    pairs = list(combinations(columns, 2))
    needed = _needed(len(pairs))
    return [FixedCombinations((a.name, b.name)) for a, b in pairs if _has_gaps(a, b, needed)]


def _has_gaps(a: _Levels, b: _Levels, needed: float) -> bool:
    """Tell whether a missing combination as frequent as the rarest that occurs would have been seen."""
    n_cells = a.n_levels * b.n_levels
    if n_cells < 2 * _MIN_COMBINED or min(a.counts.min(), b.counts.min()) < needed:
        return False
    counts = np.bincount(a.codes * b.n_levels + b.codes, minlength=n_cells)
    n_absent = int((counts == 0).sum())
    if min(n_absent, n_cells - n_absent) < _MIN_COMBINED or 2 * n_absent < n_cells:
        return False
    return bool(counts[counts > 0].min() >= needed + math.log(n_absent))
