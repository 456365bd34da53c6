"""The codec of categories: categorical and boolean columns, whatever their dtype."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import Array, levels_array, object_keys, take, values_to_json
from synthgan.errors import DataError, quantity
from synthgan.layout import ATOM, Permitted
from synthgan.schema import Column
from synthgan.transforms.ordering import Context, alike_order

__all__ = ["CategoricalCodec"]

MAX_ATOMS = 128  # up to so many levels, each is an atom
ATOM_SHARE = 0.005  # otherwise those of at least this share of the rows
# Rare levels share codes, 16 of them each, or more where that would be too many codes. (On nyc_flights the
# decoder has 47.4 nats a row; 48.0 where it was the root of their number.)
GROUP_SIZE, MAX_GROUPS, MAX_GROUP_SIZE = 16, 512, 256


class CategoricalCodec:
    """Turn one column of categories into codes and alphas, and back.

    Each level of a column of few levels is an atom. In a column of many levels the
    rare ones share codes, mostly 16 of them each, and alpha tells them apart: its
    range is cut into one equal cell for each member of the group.

    Parameters
    ----------
    column : Column
        What the schema says about the column.

    Attributes
    ----------
    levels_ : array of the column's dtype
        Levels in order of code, then of cell.
    sizes_ : int array of shape (n_codes,)
        Members of each code, the missing value not counted.
    has_missing_ : bool
        Whether the last code is the missing value.

    Examples
    --------
    >>> codec = CategoricalCodec(Column("sex", "categorical", pd.StringDtype()))
    >>> frame = pd.Series(["F", "M", "M"], dtype="string")
    >>> codec.fit(frame).transform(frame)
    (array([1, 0, 0]), array([0., 0., 0.]))
    """

    levels_: Array
    sizes_: NDArray[np.int64]
    has_missing_: bool

    def __init__(self, column: Column) -> None:
        self.column = column

    def fit(self, series: pd.Series[Any], context: Context = ()) -> CategoricalCodec:
        """Order the levels and cut them into codes.

        Parameters
        ----------
        series : Series
        context : sequence of (codes, number of codes), optional
            Other columns by which levels of one group should resemble each other.
        """
        index, _ = pd.factorize(object_keys(series))
        index = np.asarray(index, dtype=np.int64)
        self.has_missing_ = bool((index < 0).any())
        first = np.full(int(index.max(initial=-1)) + 1, -1)
        rows = np.flatnonzero(index >= 0)[::-1]
        first[index[rows]] = rows
        levels, counts = series.array.take(first), np.bincount(index[index >= 0], minlength=len(first))
        order = _frequency_order(levels, counts)
        is_atom = (counts >= ATOM_SHARE * len(series)) | (len(first) <= MAX_ATOMS)
        rare = order[~is_atom[order]]
        groups = _cut(len(rare))
        if len(rare) and not self._is_ordered:
            rank = np.full(len(first) + 1, -1)
            rank[rare] = np.arange(len(rare))
            rare = rare[alike_order(rank[index], groups, context)]
        self.sizes_ = np.concatenate([np.ones(int(is_atom.sum()), dtype=np.int64), groups])
        self.levels_ = levels.take(np.concatenate([order[is_atom[order]], rare]))
        return self

    @staticmethod
    def count_levels(series: pd.Series[Any]) -> int:
        """Count the distinct values of a column, as `fit` tells them apart."""
        return int(object_keys(series).nunique())

    @property
    def _is_ordered(self) -> bool:
        return isinstance(self.column.dtype, pd.CategoricalDtype) and bool(self.column.dtype.ordered)

    @property
    def n_levels_(self) -> NDArray[np.int32]:
        """`ATOM`, or the number of members of a group, for each code, as in `Span`."""
        return np.concatenate([self.sizes_, [ATOM] * self.has_missing_]).astype(np.int32)

    @property
    def position_(self) -> NDArray[np.float32]:
        """Rank of each code in [0, 1] if the categories are ordered, otherwise NaN."""
        position = np.full(len(self.n_levels_), np.nan, dtype=np.float32)
        if self._is_ordered and len(self.levels_):
            rank = np.argsort(np.argsort(self.levels_.codes)) / max(len(self.levels_) - 1, 1)
            position[: len(self.sizes_)] = np.add.reduceat(rank, self._starts) / self.sizes_
        return position

    @property
    def _starts(self) -> NDArray[np.int64]:
        """Position of the first level of each code."""
        return np.cumsum(self.sizes_) - self.sizes_

    def transform(self, series: pd.Series[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Encode a column.

        Raises
        ------
        DataError
            If it holds a level, or a missing value, that the fitted column did not.
        """
        level, missing = self.find_in(series), series.isna().to_numpy(dtype=bool)
        unknown = int(((level < 0) & ~missing).sum())
        if unknown:
            raise DataError(
                f"Column {self.column.name!r} has {quantity(unknown, 'value')} that did not occur when the "
                "model was fitted. Remove these rows, or fit on them too."
            )
        if missing.any() and not self.has_missing_:
            raise DataError(
                f"Column {self.column.name!r} has {quantity(int(missing.sum()), 'missing value')}, "
                "but had none when the model was fitted. Fill them."
            )
        return self.encode_levels(level)

    def encode_levels(self, level: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Encode positions among the levels; -1 is the missing value."""
        code_of_level = np.repeat(np.arange(len(self.sizes_)), self.sizes_)
        size_of_level = np.repeat(self.sizes_, self.sizes_)
        member = np.arange(len(code_of_level)) - np.repeat(self._starts, self.sizes_)
        cell = np.where(size_of_level > 1, (2 * member + 1) / size_of_level - 1, 0.0)
        codes = np.append(code_of_level, len(self.sizes_))[level]
        return codes, np.append(cell, 0.0)[level]

    def permit(self, level: NDArray[np.int64]) -> Permitted:
        """Say which codes and alphas decode to one of these levels; -1 is the missing value."""
        codes, alphas = self.encode_levels(level)
        return Permitted(codes, alphas, alphas)

    def find(self, values: Iterable[object]) -> NDArray[np.int64]:
        """Return the position of each object among the levels; -1 if unknown, missing ones included.

        Equal objects of the same type match first, then those that are merely equal, as 1 and 1.0,
        but never a truth value and a number.
        """
        exact, equal = self._index
        found = []
        for value in values:
            at = exact.get((type(value).__name__, repr(value)), -1)
            with contextlib.suppress(TypeError):  # not hashable
                at = at if at >= 0 else equal.get(_loose_key(value), -1)
            found.append(at)
        return np.array(found, dtype=np.int64)

    @property
    def _index(self) -> tuple[dict[tuple[str, str], int], dict[tuple[bool, Hashable], int]]:
        """Positions of the levels by type and text, and by value."""
        exact, equal = {}, {}
        for at, level in reversed(list(enumerate(self.levels_))):
            exact[type(level).__name__, repr(level)] = at
            equal[_loose_key(level)] = at
        return exact, equal

    def find_in(self, series: pd.Series[Any]) -> NDArray[np.int64]:
        """Return the position of each value of a column among the levels; -1 if missing or unknown."""
        if isinstance(self.column.dtype, pd.CategoricalDtype):
            own: Any = series.array
            if not own.categories.equals(self.column.dtype.categories):  # the same ones in another order
                own = own.set_categories(self.column.dtype.categories)
            table = np.full(len(self.column.dtype.categories) + 1, -1)
            table[self.levels_.codes] = np.arange(len(self.levels_))
            found: NDArray[np.int64] = table[own.codes]
            return found
        levels, values = object_keys(pd.Series(self.levels_, dtype=self.column.dtype)), object_keys(series)
        if levels.dtype == np.float16:  # of which pandas makes no index
            levels, values = levels.astype(np.float32), values.astype(np.float32)
        index = pd.Index(levels, dtype=levels.dtype, tupleize_cols=False)
        found = index.get_indexer(pd.Index(values, dtype=values.dtype, tupleize_cols=False))
        return np.asarray(found, dtype=np.int64)

    def inverse_transform(self, codes: NDArray[Any], alphas: NDArray[np.float64]) -> Array:
        """Decode to an array of the column's dtype."""
        starts, sizes = np.append(self._starts, -1), np.append(self.sizes_, 1)
        size = sizes[codes]
        member = np.clip(((alphas + 1) / 2 * size).astype(np.int64), 0, size - 1)
        return take(self.levels_, starts[codes] + member, self.column.missing)

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted codec in JSON."""
        return {
            "has_missing": self.has_missing_,
            "sizes": self.sizes_.tolist(),
            "levels": values_to_json(self.levels_),
        }

    @classmethod
    def from_dict(cls, column: Column, data: dict[str, Any]) -> CategoricalCodec:
        """Read what `to_dict` wrote; ValueError if the codes do not share out the levels."""
        codec = cls(column)
        codec.has_missing_ = bool(data["has_missing"])
        codec.levels_ = levels_array(data["levels"], column.dtype)
        sizes = data["sizes"]
        if min(sizes, default=1) < 1 or sum(sizes) != len(codec.levels_):
            raise ValueError("the sizes of the codes must add up to the number of levels")
        codec.sizes_ = np.array(sizes, dtype=np.int64)
        return codec


def _loose_key(value: object) -> tuple[bool, Any]:
    """Return what equal values share; a numpy scalar counts as its Python twin."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value)
    plain = value.item() if isinstance(value, np.generic) else value
    return isinstance(plain, bool), plain


def _frequency_order(levels: Array, counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the order of levels: that of the category, or by falling frequency and then by text."""
    if isinstance(levels, pd.Categorical):
        return np.lexsort((levels.codes, np.zeros(len(counts)) if levels.ordered else -counts))
    text = [repr(level) for level in levels]  # an array would be as wide as the longest
    return np.array(sorted(range(len(text)), key=lambda k: (-counts[k], text[k])), dtype=np.intp)


def _cut(n_rare: int) -> NDArray[np.int64]:
    """Return the sizes of the groups of rare levels."""
    if n_rare == 0:
        return np.zeros(0, dtype=np.int64)
    most = max(GROUP_SIZE, n_rare // MAX_GROUPS)
    n_groups = math.ceil(n_rare / min(MAX_GROUP_SIZE, round(math.sqrt(n_rare)), most))
    return np.diff(np.linspace(0, n_rare, n_groups + 1).astype(np.int64)).astype(np.int64)
