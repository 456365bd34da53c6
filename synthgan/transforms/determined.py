"""Columns that another one determines: not learned but looked up, and conditions on them passed on.

If a column (the key) determines others, only the key is modelled. A map says which values of the
others come with each of its values. Conditions on determined columns become conditions on the
key: the values with which they are met.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import Array, from_numbers, take, to_numbers
from synthgan.errors import ConditionError, DataError, listing, quantity
from synthgan.scalars import scalar_from_json, scalar_to_json
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.conditions import MISSING, Cells, Conditions, Range
from synthgan.transforms.known import as_text
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["Choice", "Map", "conditions_of", "fit_maps", "plain_numbers", "settle"]


@dataclass(frozen=True, eq=False)
class Map:
    """What comes with each value of a key.

    Parameters
    ----------
    key : hashable
        Name of the determining column.
    plain : array of shape (k,)
        Its values, ascending: plain numbers, or positions of levels.
    has_missing : bool
        Whether the missing value of the key is one more entry, after them.
    effects : dict of column name to array of shape (k,) or (k + 1,)
        Values of each determined column, plain numbers or positions of levels; none is missing.
    """

    key: Hashable
    plain: NDArray[Any]
    has_missing: bool
    effects: dict[Hashable, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.plain) + self.has_missing

    def find(self, plain: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the entry of each value of the key, the nearest one if there is none.

        >>> tens = Map("a", np.array([10, 20]), True, {"b": np.array([1, 2, 0])})
        >>> tens.find(np.array([20, 0, 12]), np.array([False, True, False]))
        array([1, 2, 0])
        """
        if len(self.plain) == 0:
            return np.zeros(len(plain), dtype=np.int64)
        after = np.clip(np.searchsorted(self.plain, plain), 0, len(self.plain) - 1)
        before = np.maximum(after - 1, 0)
        is_before = plain / 2 - self.plain[before] / 2 < self.plain[after] / 2 - plain / 2
        at = np.where(is_before & (self.plain[after] != plain), before, after)
        return np.where(missing & self.has_missing, len(self.plain), at).astype(np.int64)

    def missing(self) -> NDArray[np.bool_]:
        """Tell which entry is that of the missing value of the key, shape (len(self),)."""
        return np.arange(len(self)) >= len(self.plain)

    def to_dict(self, names: list[Hashable]) -> dict[str, Any]:
        """Describe the map in JSON, columns by position."""
        return {
            "key": names.index(self.key),
            "values": [scalar_to_json(value) for value in self.plain.tolist()],
            "has_missing": self.has_missing,
            "effects": [
                [names.index(name), [scalar_to_json(value) for value in values.tolist()]]
                for name, values in self.effects.items()
            ],
        }

    @classmethod
    def from_dict(cls, data: Any, names: list[Hashable], codecs: Mapping[Hashable, Any]) -> Map:
        """Read what `to_dict` wrote; ValueError if it does not fit the columns."""
        key = names[data["key"]]
        plain, has_missing = _values(data["values"], codecs[key]), bool(data["has_missing"])
        effects = {names[at]: _values(values, codecs[names[at]]) for at, values in data["effects"]}
        found = cls(key, plain, has_missing, effects)
        if (np.diff(plain) <= 0).any() or any(len(values) != len(found) for values in effects.values()):
            raise ValueError("a map must give one value for each value of its key")
        return found


def _values(data: list[Any], codec: Any) -> NDArray[Any]:
    """Read plain numbers, or positions of levels."""
    numbers = [scalar_from_json(value) for value in data]
    if isinstance(codec, NumericCodec):
        return np.array(numbers, dtype=codec.plain)
    if not isinstance(codec, CategoricalCodec) or not all(0 <= at < len(codec.levels_) for at in numbers):
        raise ValueError("a map names levels that its column does not have")
    return np.array(numbers, dtype=np.int64)


def plain_numbers(codec: Any, series: pd.Series[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the values of a column as plain numbers or positions of levels, and where there is none."""
    if isinstance(codec, NumericCodec):
        return to_numbers(series)
    found = codec.find_in(series)
    return found, found < 0


def as_array(codec: Any, values: NDArray[Any]) -> Array:
    """Return plain numbers or positions of levels in the dtype of the column."""
    if isinstance(codec, NumericCodec):
        return from_numbers(values, np.zeros(len(values), dtype=bool), codec.column.dtype)
    return take(codec.levels_, values, codec.column.missing)


def fit_maps(
    determined: Mapping[Hashable, Hashable],
    codecs: Mapping[Hashable, Any],
    data: Mapping[Hashable, pd.Series[Any]],
) -> list[Map]:
    """Learn what comes with each value of the keys.

    Parameters
    ----------
    determined : mapping of column to the column that determines it
    codecs : mapping of column to its fitted codec
    data : mapping of column to its values

    Raises
    ------
    DataError
        If a value of a key comes with several of another column, or with a missing one.
    """
    maps = []
    for key in dict.fromkeys(determined.values()):
        plain, missing = plain_numbers(codecs[key], data[key])
        found = Map(key, np.unique(plain[~missing]), bool(missing.any()), {})
        entry = found.find(plain, missing)
        for name in (name for name, by in determined.items() if by == key):
            values, absent = plain_numbers(codecs[name], data[name])
            found.effects[name] = np.zeros(len(found), dtype=values.dtype)
            found.effects[name][entry] = values
            if absent.any() or (found.effects[name][entry] != values).any():
                raise DataError(f"Column {key!r} does not determine column {name!r}.")
        maps.append(found)
    return maps


# --- conditions ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Choice:
    """Rows in which several values of a key, but not all, fit what is given: one is to be drawn.

    Parameters
    ----------
    key : hashable
    rows : int array of shape (m,)
    wanted : Range or array of positions of levels
    """

    key: Hashable
    rows: NDArray[np.int64]
    wanted: Range | NDArray[np.int64]

    def among(self, conditions: Conditions) -> Conditions:
        """Return the conditions of these rows alone, with what the key may be."""
        part = conditions_of(conditions, self.rows)
        return replace(part, ranges={**part.ranges, self.key: self.wanted})

    def put(self, conditions: Conditions, codec: TableCodec, drawn: pd.DataFrame) -> Conditions:
        """Give these rows the values of the key that were drawn."""
        at = codec.schema.names.index(self.key)
        plain, missing = plain_numbers(codec.codecs_[self.key], drawn.iloc[:, at])
        return _give(conditions, codec, self.key, self.rows, plain, missing)


def conditions_of(conditions: Conditions, rows: NDArray[np.int64]) -> Conditions:
    """Take the conditions of some rows, any of them several times; they differ from row to row.

    >>> cells = Cells(np.array([True, False]), np.array([5, 0]), np.array([False, False]))
    >>> conditions_of(Conditions(2, {"a": cells}), np.array([0, 0, 1])).cells["a"].plain
    array([5, 5, 0])
    """
    cells = {
        name: Cells(cell.known[rows], cell.plain[rows], cell.missing[rows])
        for name, cell in conditions.cells.items()
    }
    pasted = {}
    for name, (where, values) in conditions.pasted.items():
        lookup = np.full(conditions.n_rows or 1, -1)
        lookup[where] = np.arange(len(where))
        found = lookup[rows]
        pasted[name] = np.flatnonzero(found >= 0), values.take(found[found >= 0])
    return replace(conditions, n_rows=len(rows), cells=cells, pasted=pasted)


def settle(conditions: Conditions, codec: TableCodec) -> tuple[Conditions, list[Choice]]:
    """Turn conditions on determined columns into conditions on what determines them.

    Returns
    -------
    conditions : Conditions
        With the value of the key where only one fits, or all that fit if it is the same in all rows.
    choices : list of Choice
        Rows in which the key is still to be drawn.

    Raises
    ------
    ConditionError
        If what is given contradicts itself. Not where gaps are filled: cells that contradict each
        other are kept there.
    """
    choices: list[Choice] = []
    for one in codec.maps_:
        conditions = _narrowed(conditions, codec, one)
        asked = [name for name in one.effects if name in conditions.cells or name in conditions.ranges]
        if asked:
            conditions, more = _settle(conditions, codec, one, asked)
            choices += more
    return conditions, choices


def _narrowed(conditions: Conditions, codec: TableCodec, one: Map) -> Conditions:
    """Let a key be only what was seen of it: a number in between determines nothing."""
    cells, wanted = conditions.cells.get(one.key), conditions.ranges.get(one.key)
    if cells is not None and not conditions.fills_gaps:
        unseen = cells.known & ~cells.missing & (_entry_ids(one, one.key, cells) == -2)
        if unseen.any():
            _refuse_key(one, codec, cells.plain[unseen])
    if not isinstance(wanted, Range) or len(one.plain) == 0:
        return conditions
    fits = _in_ranges(replace(conditions, ranges={one.key: wanted}), one, {})
    if not fits.any():
        _refuse_key(one, codec, wanted.low)
    return replace(conditions, ranges={**conditions.ranges, one.key: _wanted(one, codec, fits)})


def _refuse_key(one: Map, codec: TableCodec, plain: NDArray[Any]) -> NoReturn:
    """Refuse numbers that were never seen of a key."""
    nearest = one.plain[one.find(plain[:1], np.zeros(1, dtype=bool))][0].item()
    raise ConditionError(
        f"Conditions: column {one.key!r} determines {listing([*one.effects])}, so only values of it that "
        f"were seen can be asked for. Got {quantity(len(plain), 'cell or range', 'cells or ranges')} without "
        f"any; the nearest known value is {as_text(nearest, cast(NumericCodec, codec.codecs_[one.key]))}."
    )


def _settle(
    conditions: Conditions, codec: TableCodec, one: Map, asked: list[Hashable]
) -> tuple[Conditions, list[Choice]]:
    """Settle the conditions on the columns of one map."""
    n_rows = 1 if conditions.n_rows is None else conditions.n_rows
    entries = {name: one.effects[name] for name in asked}
    names = [name for name in (*asked, one.key) if name in conditions.cells]
    patterns = np.array([_entry_ids(one, name, conditions.cells[name]) for name in names]).reshape(-1, n_rows)
    distinct, pattern = np.unique(patterns, axis=1, return_inverse=True)
    everywhere = _in_ranges(conditions, one, entries)
    numbers = {name: _ids(one, name) for name in names}
    rows_of = np.split(np.argsort(pattern, kind="stable"), np.cumsum(np.bincount(pattern))[:-1])
    entry = np.full(n_rows, -1)  # where only one fits
    choices = []
    n_contradictory = 0
    for rows, ids in zip(rows_of, distinct.T, strict=True):
        asked_for = dict(zip(names, ids.tolist(), strict=True))
        number = asked_for.get(one.key, -1)  # which is an entry: no need to look at all of many
        fitting = np.arange(len(one)) if number < 0 else np.array([number])
        fitting = fitting[everywhere[fitting]]
        for name, number in asked_for.items():
            if number != -1:
                fitting = fitting[numbers[name][fitting] == number]
        if len(fitting) == 0:
            n_contradictory += len(rows)
        elif len(fitting) == 1:
            entry[rows] = fitting[0]
        else:
            wanted = _wanted(one, codec, np.isin(np.arange(len(one)), fitting))
            if conditions.n_rows is None:
                conditions = replace(conditions, ranges={**conditions.ranges, one.key: wanted})
            elif len(fitting) < len(one) - (one.has_missing and conditions.fills_gaps):
                choices.append(Choice(one.key, rows, wanted))
    found = np.flatnonzero(entry >= 0)
    if len(found):
        plain = np.append(one.plain, one.plain[:1])[entry[found]]
        conditions = _give(conditions, codec, one.key, found, plain, one.missing()[entry[found]])
    if n_contradictory and not conditions.fills_gaps:
        where = f" in {quantity(n_contradictory, 'row')}" if conditions.n_rows is not None else ""
        raise ConditionError(
            f"Conditions on {listing([*asked, one.key])} cannot be met together{where}: "
            f"{one.key!r} determines {listing(asked)}. Leave one of them out, or correct it."
        )
    return conditions, choices


def _ids(one: Map, name: Hashable) -> NDArray[np.int64]:
    """Return numbers of the distinct values of a column of a map, shape (len(one),)."""
    if name == one.key:
        return np.arange(len(one))
    return np.asarray(np.unique(one.effects[name], return_inverse=True)[1], dtype=np.int64)


def _entry_ids(one: Map, name: Hashable, cells: Cells) -> NDArray[np.int64]:
    """Return the numbers of given cells as `_ids` does; -1 if not known, -2 if they are in no entry."""
    values = one.plain if name == one.key else np.unique(one.effects[name])
    at = np.minimum(np.searchsorted(values, cells.plain), max(len(values) - 1, 0))
    number = np.where(values[at] == cells.plain, at, -2) if len(values) else np.full(len(at), -2)
    is_missing_key = cells.missing & one.has_missing & (name == one.key)
    number = np.where(cells.missing, np.where(is_missing_key, len(one.plain), -2), number)
    return np.where(cells.known, number, -1).astype(np.int64)


def _in_ranges(conditions: Conditions, one: Map, entries: dict[Hashable, NDArray[Any]]) -> NDArray[np.bool_]:
    """Tell which entries lie in the ranges that hold for all rows."""
    fits = ~one.missing() if conditions.fills_gaps else np.ones(len(one), dtype=bool)
    padded = np.append(one.plain, one.plain[:1]) if one.has_missing else one.plain
    for name, values in {**entries, one.key: padded}.items():
        wanted = conditions.ranges.get(name)
        missing = one.missing() & (name == one.key)
        if isinstance(wanted, Range):
            inside = ((wanted.low <= values[:, None]) & (values[:, None] <= wanted.high)).any(axis=1)
            fits &= np.where(missing, wanted.missing, inside)
        elif wanted is not None:
            fits &= np.isin(np.where(missing, MISSING, values), wanted)
    return fits


def _wanted(one: Map, codec: TableCodec, fits: NDArray[np.bool_]) -> Range | NDArray[np.int64]:
    """Say that the key may be any of some entries."""
    values, missing = one.plain[fits[: len(one.plain)]], bool(fits[one.missing()].any())
    if isinstance(codec.codecs_[one.key], NumericCodec):
        return Range(values, values, missing)
    return np.append(values, [MISSING] * missing).astype(np.int64)


def _give(
    conditions: Conditions,
    codec: TableCodec,
    key: Hashable,
    rows: NDArray[np.int64],
    plain: NDArray[Any],
    missing: NDArray[np.bool_],
) -> Conditions:
    """Add known cells of a key, whose range is then met."""
    n_rows = 1 if conditions.n_rows is None else conditions.n_rows
    is_number = isinstance(codec.codecs_[key], NumericCodec)
    dtype = codec.codecs_[key].plain if is_number else np.dtype(np.int64)  # type: ignore[union-attr]
    nothing = Cells(np.zeros(n_rows, dtype=bool), np.zeros(n_rows, dtype), np.zeros(n_rows, dtype=bool))
    old = conditions.cells.get(key, nothing)
    known, values, absent = old.known.copy(), old.plain.copy(), old.missing.copy()
    known[rows], values[rows], absent[rows] = True, plain, missing
    if not is_number:
        values[known & absent] = MISSING
    ranges = dict(conditions.ranges)
    if known.all():
        ranges.pop(key, None)
    return replace(conditions, cells={**conditions.cells, key: Cells(known, values, absent)}, ranges=ranges)
