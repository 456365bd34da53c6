"""Keeping rules in rows that are drawn: what is left out of learning, solved afterwards, or drawn again."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammainccinv

from synthgan.constraints.base import MAX_TRIES, Constraint, columns_of
from synthgan.constraints.combinations import occurs
from synthgan.constraints.detect import detect
from synthgan.constraints.equations import Equation
from synthgan.constraints.kinds import FunctionalDependency, Predicate, Unique
from synthgan.dtypes import from_numbers, to_numbers
from synthgan.errors import ConditionError, ParameterError, quantity
from synthgan.layout import EncodedConditions, EncodedTable
from synthgan.schema import Schema
from synthgan.seeding import stream
from synthgan.transforms import TableCodec
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.conditions import MISSING, NO_CONDITIONS, Conditions, Range
from synthgan.transforms.determined import conditions_of
from synthgan.transforms.generated import ConstantCodec
from synthgan.transforms.modes import choose_atoms
from synthgan.transforms.numeric import NumericCodec

__all__ = ["Draw", "Keeper", "bind", "determined"]

Draw = Callable[[Any, int, EncodedConditions | None], EncodedTable]
"""Draws rows: ``draw(rows, seed, conditions)``, where rows is a number or a range of whole blocks."""

BARREN_TRIES = 5
"""After so many tries of `MAX_TRIES` without one row that keeps the rules the others are not made; with a
larger ``max_tries`` after proportionally more. A try draws a block of 2,048 rows. A rule that a share p of
all rows keeps is thus given up by accident with a chance of (1 - p)^10240: 2e-45 for 1 %, 1e-9 for 0.2 %,
4e-5 for 0.1 %, 36 % for 0.01 %. Where rows have to be unlike each other, p is the share of the rows that
are unlike all those found so far."""

_MISTAKE = 1e-9  # chance of giving up on what all tries would have found

_Faults = list[tuple[Constraint, NDArray[np.bool_]]]  # for each rule the rows that break it


def bind(
    constraints: str | Iterable[Constraint] | None, frame: pd.DataFrame, schema: Schema
) -> list[Constraint]:
    """Return the rules that a table is to keep: those detected for "auto", none for None.

    Raises
    ------
    ParameterError
        If one of them is no constraint.
    DataError
        If the table cannot keep one of them.
    """
    if constraints is None:
        return []
    if isinstance(constraints, str):
        return detect(frame, schema)
    found = list(constraints)
    for one in found:
        if not isinstance(one, Constraint):
            raise ParameterError(f"constraints must be Constraint objects, such as Inequality. Got {one!r}.")
    return [one.bound(frame) for one in found]


def determined(
    constraints: Iterable[Constraint], frame: pd.DataFrame, schema: Schema
) -> dict[Hashable, Hashable]:
    """Choose the columns that need not be learned, each mapped to the column that determines it.

    A number may determine others only if each of its values has a code of its own: a
    number in between would determine nothing.
    """
    chosen: dict[Hashable, Hashable] = {}
    for rule in constraints:
        if isinstance(rule, FunctionalDependency):
            key, effect = rule.columns
            is_modelled = {schema[key].kind, schema[effect].kind}.isdisjoint(("constant", "identifier"))
            is_free = key not in chosen and effect not in chosen and effect not in chosen.values()
            series = frame.iloc[:, schema.names.index(key)]
            if is_modelled and is_free and _has_atoms_only(series, schema[key].kind):
                chosen[effect] = key
    return chosen


def _has_atoms_only(series: pd.Series[Any], kind: str) -> bool:
    if kind in ("categorical", "boolean"):
        return True
    values, missing = to_numbers(series)
    counts = np.unique(values[~missing], return_counts=True)[1]
    return bool(choose_atoms(counts, 0).all())


@dataclass(frozen=True, eq=False)
class Keeper:
    """Keeps rules, and conditions beside them, in the rows that a model draws.

    Parameters
    ----------
    rules : list of Constraint
    conditions : Conditions
        With what is asked of determined columns passed on, see `settle`.
    codec : TableCodec
    """

    rules: list[Constraint]
    conditions: Conditions
    codec: TableCodec

    @classmethod
    def of(cls, constraints: Iterable[Constraint], conditions: Conditions, codec: TableCodec) -> Keeper:
        """Take care of the rules that looking determined columns up does not keep already."""
        looked_up = {(key, name) for name, key in (codec.determined or {}).items()}
        rules = [
            rule
            for rule in constraints
            if not isinstance(rule, FunctionalDependency) or rule.columns not in looked_up
        ]
        return cls(rules, conditions, codec)

    @property
    def spans_rows(self) -> bool:
        """Whether all rows have to be drawn together: one of them may depend on any other."""
        return self.conditions.n_rows is not None or self._has_unique

    @property
    def _has_unique(self) -> bool:
        return any(isinstance(rule, Unique) for rule in self.rules)

    def draw(self, rows: range, seed: int, draw: Draw, block_rows: int) -> pd.DataFrame:
        """Draw some rows of a sample, and draw those that break a rule again until none does.

        They depend on the first one's number, and the first k of them not on how many there are: the j-th
        row to be replaced gets the j-th new one that keeps the rules about single rows. Where conditions
        differ from row to row, each is drawn again by itself. Where gaps are filled, rows whose given
        cells break a rule stay as they are, and after all tries so do the others.

        Fewer tries are made where no row that could stand in is found in `BARREN_TRIES` of them, or too few
        for all tries to be enough.

        Parameters
        ----------
        rows : range
            Not empty; begins with a block.
        seed : int
        draw : Draw
        block_rows : int >= 1
            New rows come in blocks of so many.

        Raises
        ------
        ConditionError
            If a rule cannot be kept: what is given breaks it, or it has been tried often enough.
        """
        if not self.conditions.fills_gaps:
            self._require_room(len(rows))
        encoded = None if self.conditions is NO_CONDITIONS else self.conditions.encode(self.codec)
        table = draw(rows, seed, encoded)
        fewest, n_barren = len(rows) + 1, 0
        for attempt in count():
            frame = self._decode(table, seed, rows.start)
            faults = self._faults(frame)
            bad = np.flatnonzero(_any(faults, len(rows)))
            if len(bad) == 0:
                break
            if len(bad) < fewest:
                fewest, n_barren = len(bad), 0
            if attempt >= self._max_tries or n_barren >= self._barren_tries:
                if self.conditions.fills_gaps:
                    break
                _refuse(faults, attempt)
            new_seed = _seed(seed, "again", rows.start, attempt)
            others = frame.drop(index=pd.Index(bad))
            if encoded is not None and self.conditions.n_rows is not None:
                new, is_of_use = self._draw_each(bad, new_seed, encoded, draw, block_rows, others)
            else:
                new, is_of_use = self._draw_good(len(bad), new_seed, encoded, draw, block_rows, others)
            n_barren = 0 if is_of_use else n_barren + 1
            table = table.put(bad, new)
        return frame

    def _draw_good(
        self,
        n_rows: int,
        seed: int,
        encoded: EncodedConditions | None,
        draw: Draw,
        block_rows: int,
        others: pd.DataFrame,
    ) -> tuple[EncodedTable, bool]:
        """Draw blocks until there are enough rows that keep the rules about single rows.

        Tells also whether any row drawn keeps all rules beside `others`, the rows that stay.
        """
        good: list[EncodedTable] = []
        is_of_use = False
        n_tries = self._max_tries * -(-n_rows // block_rows)
        for block in range(n_tries):
            new_seed = _seed(seed, "block", block)
            table = draw(block_rows, new_seed, encoded)
            frame = self._decode(table, new_seed)
            faults = self._faults(frame, alone=True)
            kept = np.flatnonzero(~_any(faults, block_rows))
            good.append(table.rows(kept))
            is_of_use = is_of_use or self._any_unlike(frame.iloc[kept], others)
            n_good = sum(map(len, good))
            if n_good >= n_rows:
                break
            if self._is_hopeless(n_good, block + 1, n_rows, n_tries):
                _refuse(faults, block + 1)
        else:
            _refuse(faults, n_tries)
        codes, alphas = ([getattr(part, name) for part in good] for name in ("codes", "alphas"))
        return EncodedTable(np.concatenate(codes)[:n_rows], np.concatenate(alphas)[:n_rows]), is_of_use

    def _is_hopeless(self, n_good: int, n_tried: int, n_wanted: int, n_tries: int) -> bool:
        """Tell whether to leave it at fewer than all tries."""
        is_barren = n_good == 0 and n_tried >= self._barren_tries
        return is_barren or _are_too_few(n_good, n_tried, n_wanted, n_tries)

    def _draw_each(
        self,
        rows: NDArray[np.int64],
        seed: int,
        encoded: EncodedConditions,
        draw: Draw,
        block_rows: int,
        others: pd.DataFrame,
    ) -> tuple[EncodedTable, bool]:
        """Draw each row under its own conditions, as often as a block has room; take the first good one.

        Tells also whether any row drawn keeps all rules beside `others`, the rows that stay.
        """
        n_each = max(1, block_rows // len(rows))
        several = rows.repeat(n_each)
        table = draw(len(several), seed, encoded.rows(several))
        part = Keeper(self.rules, conditions_of(self.conditions, several), self.codec)
        frame = part._decode(table, seed)
        good = ~_any(part._faults(frame, alone=True), len(several))
        first = good.reshape(-1, n_each).argmax(axis=1)
        return table.rows(np.arange(len(rows)) * n_each + first), self._any_unlike(frame[good], others)

    def _any_unlike(self, drawn: pd.DataFrame, others: pd.DataFrame) -> bool:
        """Tell whether any of the rows drawn is unlike all the others where rows have to be."""
        unlike = np.ones(len(drawn), dtype=bool)
        for rule in self.rules:
            if isinstance(rule, Unique):
                unlike &= ~occurs(columns_of(drawn, rule), pd.concat(columns_of(others, rule), axis=1))
        return bool(unlike.any())

    def _require_room(self, n_rows: int) -> None:
        """Refuse to draw more rows than there are combinations of categories that have to be unlike."""
        for rule in self.rules:
            if isinstance(rule, Unique):
                codecs = [self.codec.codecs_[name] for name in rule.columns]
                sizes = [
                    len(own.levels_) + own.has_missing_ if isinstance(own, CategoricalCodec) else math.inf
                    for own in codecs
                ]
                if n_rows > math.prod(sizes):
                    raise ConditionError(
                        f"{rule} cannot hold in {quantity(n_rows, 'row')}: its columns have "
                        f"{quantity(int(math.prod(sizes)), 'combination')} of values. "
                        "Ask for fewer rows, or fit without the rule."
                    )

    @property
    def _max_tries(self) -> int:
        return max((rule.max_tries for rule in self.rules), default=MAX_TRIES)

    @property
    def _barren_tries(self) -> int:
        return max(BARREN_TRIES, self._max_tries * BARREN_TRIES // MAX_TRIES)

    def _decode(self, table: EncodedTable, seed: int, first_row: int = 0) -> pd.DataFrame:
        """Decode rows and solve the equations."""
        frame = self.codec.inverse_transform(table, seed, self.conditions, first_row)
        fixed = {name for one in self.codec.maps_ for name in (one.key, *one.effects)}
        fixed |= {name for name, own in self.codec.codecs_.items() if isinstance(own, ConstantCodec)}
        for rule in self.rules:
            if isinstance(rule, Equation):
                self._solve(frame, rule, fixed)
                fixed |= set(rule.columns)
        return frame

    def _solve(self, frame: pd.DataFrame, rule: Equation, fixed: set[Hashable]) -> None:
        """Compute, in place and in each row, one column of an equation from the others.

        The first number of which nothing is asked, the total before the terms; if there is none, the first
        such category, or else the first column that is not given. Fixed columns stay as they are.
        """
        known = [self._known(name, len(frame)) | (name in fixed) for name in rule.columns]
        asked = [
            one | (name in self.conditions.ranges) for one, name in zip(known, rule.columns, strict=True)
        ]
        coded = [
            one | isinstance(self.codec.codecs_[name], CategoricalCodec)
            for one, name in zip(asked, rule.columns, strict=True)
        ]
        target = np.full(len(frame), -1)
        for taken in (known, asked, coded):  # what a later one finds goes before
            for k in reversed(range(len(taken))):
                target[~taken[k]] = k
        for k, name in enumerate(rule.columns):
            values, present = rule.solve(frame, name)
            rows = (target == k) & present
            if rows.any():
                at = self.codec.schema.names.index(name)
                old, missing = to_numbers(frame.iloc[:, at])
                solved = old.copy()  # int64 and uint64 together would become floats
                solved[rows] = values[rows].astype(old.dtype)
                frame.isetitem(at, from_numbers(solved, missing, self.codec.schema[name].dtype))

    def _faults(self, frame: pd.DataFrame, alone: bool = False) -> _Faults:
        """Find the rows that break each rule; with `alone` only the rules about single rows."""
        faults = []
        for rule in self.rules:
            if not (alone and isinstance(rule, Unique)):
                broken = ~rule.holds(frame) | self._is_astray(frame, rule)
                hopeless = broken & self._all_known(rule, len(frame))
                if self.conditions.fills_gaps:
                    broken &= ~hopeless
                elif hopeless.any():
                    _refuse([(rule, hopeless)], 0)
                faults.append((rule, broken))
        return faults

    def _is_astray(self, frame: pd.DataFrame, rule: Constraint) -> NDArray[np.bool_]:
        """Tell where solving has led to a value that a column cannot have, or that is not asked for."""
        astray = np.zeros(len(frame), dtype=bool)
        for name in rule.columns if isinstance(rule, Equation) else ():
            series = frame.iloc[:, self.codec.schema.names.index(name)]
            values, missing = to_numbers(series)
            own, wanted = self.codec.codecs_[name], self.conditions.ranges.get(name)
            if isinstance(own, NumericCodec):
                astray |= (own.snap(values) != values) & ~missing & ~self._known(name, len(frame))
            elif isinstance(own, CategoricalCodec):
                level = own.find_in(series)
                astray |= (level < 0) & ~missing & ~self._known(name, len(frame))
                if wanted is not None:
                    astray |= ~np.isin(np.where(missing, MISSING, level), cast("NDArray[np.int64]", wanted))
            if isinstance(wanted, Range) and len(wanted.low):
                astray |= (wanted.into(values) != values) & ~missing
        return astray

    def _known(self, name: Hashable, n_rows: int) -> NDArray[np.bool_]:
        """Tell where the cell of a column is given."""
        cells = self.conditions.cells.get(name)
        return np.broadcast_to(np.zeros(1, dtype=bool) if cells is None else cells.known, n_rows)

    def _all_known(self, rule: Constraint, n_rows: int) -> NDArray[np.bool_]:
        """Tell where all columns of a rule about single rows are given."""
        if not rule.columns or isinstance(rule, Unique):
            return np.zeros(n_rows, dtype=bool)
        known: NDArray[np.bool_] = np.all([self._known(name, n_rows) for name in rule.columns], axis=0)
        return known


def _any(faults: _Faults, n_rows: int) -> NDArray[np.bool_]:
    """Tell which rows break any rule."""
    broken = np.zeros(n_rows, dtype=bool)
    for _, at in faults:
        broken |= at
    return broken


def _are_too_few(n_good: int, n_tried: int, n_wanted: int, n_tries: int) -> bool:
    """Tell whether all tries will not be enough if the first ones gave so many good rows.

    Their number is Poisson: all tries would give at most n_tries / n_tried times the upper limit of Garwood
    (1936), "Fiducial limits for the Poisson distribution", at a confidence of 1 - `_MISTAKE`.

    Four good rows in ten tries may be the bad luck of 31.5, so that a hundred tries give at most 315:

    >>> [_are_too_few(4, 10, n_wanted, n_tries=100) for n_wanted in (314, 315)]
    [False, True]
    """
    return bool(gammainccinv(n_good + 1, _MISTAKE) * n_tries < n_wanted * n_tried)


def _refuse(faults: _Faults, n_tries: int) -> NoReturn:
    """Raise an error about the rule that most rows break."""
    rule, broken = max(faults, key=lambda fault: int(fault[1].sum()))
    n_rows = int(broken.sum())
    if n_tries == 0:
        raise ConditionError(
            f"Conditions: what is given breaks {rule} in {quantity(n_rows, 'row')}. "
            "Change it, or fit without the rule."
        )
    advice = "Loosen the conditions"
    if isinstance(rule, Unique):
        advice = "Ask for fewer rows"
    elif isinstance(rule, Predicate):
        advice = "Loosen it or the conditions, give it more max_tries"
    what = f"{rule} is broken in {n_rows:,} of {quantity(len(broken), 'row')}"
    tries = quantity(n_tries, "try", "tries")
    raise ConditionError(f"After {tries} {what}. {advice}, or fit without the rule.")


def _seed(seed: int, *keys: str | int) -> int:
    return int(stream(seed, *keys).integers(2**62))
