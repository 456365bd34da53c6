"""Codecs of columns that are not learned: constants, and identifiers, which are made anew."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import Array, from_numbers, levels_array, take, to_numbers, values_to_json
from synthgan.scalars import scalar_from_json, scalar_to_json
from synthgan.schema import Column, is_text
from synthgan.seeding import stream

__all__ = ["ConstantCodec", "IdentifierCodec"]

MAX_WIDTH = 1000  # digits of a number, however long the text of the real identifiers is

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ConstantCodec:
    """Keep the one value of a column, which may be the missing value."""

    value_: Array  # of length 1, or 0 if every value was missing

    def __init__(self, column: Column) -> None:
        self.column = column

    def fit(self, series: pd.Series[Any]) -> ConstantCodec:
        """Keep the first value that is not missing."""
        self.value_ = series.dropna().iloc[:1].array
        return self

    def generate(self, n_rows: int) -> Array:
        """Repeat the value."""
        codes = np.full(n_rows, len(self.value_) - 1)
        return take(self.value_, codes, self.column.missing)

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted codec in JSON."""
        return {"value": values_to_json(self.value_)}

    @classmethod
    def from_dict(cls, column: Column, data: dict[str, Any]) -> ConstantCodec:
        """Read what `to_dict` wrote; ValueError if it is not one value or none."""
        codec = cls(column)
        codec.value_ = levels_array(data["value"], column.dtype)
        if len(codec.value_) > 1:
            raise ValueError("a constant column must have one value")
        return codec


class IdentifierCodec:
    """Make fresh identifiers that look like those of the column.

    The one of row i does not depend on the rows around it. Integers and numbered text
    go on after the largest one seen; integers that number the rows begin again at the
    smallest; UUIDs are drawn.

    Parameters
    ----------
    column : Column
    index : int
        Position of the column, which keys its random stream.

    Examples
    --------
    >>> codec = IdentifierCodec(Column("id", "identifier", pd.StringDtype()))
    >>> list(codec.fit(pd.Series(["C-001", "C-007"], dtype="string")).generate(2, seed=0))
    ['C-008', 'C-009']
    """

    style_: str  # "integer", "uuid" or "text"
    start_: int  # first number
    prefix_: str
    width_: int  # digits of the number
    missing_rate_: float

    def __init__(self, column: Column, index: int = 0) -> None:
        self.column = column
        self.index = index

    def fit(self, series: pd.Series[Any]) -> IdentifierCodec:
        """Learn the look of the identifiers, not one of them."""
        present = series.dropna()
        self.missing_rate_ = 1 - len(present) / len(series)
        self.prefix_, self.width_, self.start_ = "", 0, 0
        if is_text(series):
            self._fit_text(present)
        else:
            self.style_ = "integer"
            values, _ = to_numbers(present)
            if len(values):
                low, high = int(values.min()), int(values.max())
                self.start_ = low if high - low + 1 == len(values) else high + 1
        return self

    def _fit_text(self, present: pd.Series[Any]) -> None:
        texts = present.tolist()
        if texts and all(_UUID.fullmatch(text) for text in texts):
            self.style_ = "uuid"
            return
        self.style_ = "text"
        self.prefix_ = _common_prefix(texts).rstrip("0123456789")
        if self.prefix_ in texts:
            self.prefix_ = ""  # it would be an identifier of the real table
        tails = [text[len(self.prefix_) :] for text in texts]
        self.width_ = min(max(map(len, tails), default=1), MAX_WIDTH)
        numbers = [tail.lstrip("0") or "0" for tail in tails if tail.isascii() and tail.isdigit()]
        digits = [int(number) for number in numbers if len(number) < 19]
        self.start_ = max(digits, default=0) + 1

    def generate_beside(self, kept: Array, n_rows: int, seed: int) -> Array:
        """Make `n_rows` identifiers that are neither missing nor among those kept."""
        fresh = self.generate(n_rows + len(kept), seed, missing=False)
        new = ~pd.Series(fresh).isin(pd.Series(kept, dtype=self.column.dtype)).to_numpy(dtype=bool)
        return fresh[np.flatnonzero(new)[:n_rows]]

    def generate(self, n_rows: int, seed: int, missing: bool = True, first_row: int = 0) -> Array:
        """Make the identifiers of `n_rows` rows from `first_row` on.

        With `missing`, some are missing, as often as when fitted.
        """
        absent = np.zeros(n_rows, dtype=bool)
        if missing and self.missing_rate_ > 0:
            rng = stream(seed, "missing", self.index, skip=first_row)
            absent = rng.random(n_rows) < self.missing_rate_
        if self.style_ == "integer":
            return from_numbers(self._numbers(first_row, n_rows), absent, self.column.dtype)
        if self.style_ == "uuid":
            texts = _uuids(stream(seed, "identifier", self.index, skip=2 * first_row), n_rows)
        else:
            first = self.start_ + first_row
            texts = [f"{self.prefix_}{i:0{self.width_}d}" for i in range(first, first + n_rows)]
        levels = levels_array(texts, self.column.dtype)
        return (
            take(levels, np.where(absent, -1, np.arange(n_rows)), self.column.missing)
            if absent.any()
            else levels
        )

    def _numbers(self, first_row: int, n_rows: int) -> NDArray[Any]:
        """Count from the start, and go on at the lowest integer of the dtype where its range ends."""
        plain = getattr(self.column.dtype, "numpy_dtype", self.column.dtype)
        info = np.iinfo(plain)
        wide = np.uint64 if info.kind == "u" else np.int64
        first = self.start_ + first_row
        if first + n_rows - 1 <= info.max:
            return np.arange(n_rows).astype(wide) + wide(first)
        width = info.max - info.min + 1
        return np.array([info.min + (first - info.min + i) % width for i in range(n_rows)], dtype=wide)

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted codec in JSON."""
        return {
            "style": self.style_,
            "start": scalar_to_json(self.start_),
            "prefix": self.prefix_,
            "width": self.width_,
            "missing_rate": self.missing_rate_,
        }

    @classmethod
    def from_dict(cls, column: Column, data: dict[str, Any], index: int = 0) -> IdentifierCodec:
        """Read what `to_dict` wrote; ValueError if no identifiers can be made of it."""
        codec = cls(column, index)
        codec.style_, codec.start_ = str(data["style"]), int(scalar_from_json(data["start"]))
        codec.prefix_, codec.width_ = str(data["prefix"]), int(data["width"])
        codec.missing_rate_ = float(data["missing_rate"])
        is_style = codec.style_ in ("integer", "uuid", "text")
        is_number = 0 <= codec.width_ <= MAX_WIDTH and -(2**63) <= codec.start_ <= 2**64
        if not (is_style and is_number and 0 <= codec.missing_rate_ <= 1):
            raise ValueError("identifiers must be of a known style, their numbers of up to 64 bits")
        return codec


def _common_prefix(texts: list[str]) -> str:
    """Return what all texts begin with.

    >>> _common_prefix(["C-17", "C-20"])
    'C-'
    """
    first, last = min(texts, default=""), max(texts, default="")
    differ = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(differ, min(len(first), len(last)))]


def _uuids(rng: np.random.Generator, n_rows: int) -> list[str]:
    """Draw UUIDs of version 4."""
    digits = rng.integers(0, 2**64, size=(n_rows, 2), dtype=np.uint64)
    digits[:, 0] = digits[:, 0] & np.uint64(0xFFFFFFFFFFFF0FFF) | np.uint64(0x4000)
    digits[:, 1] = digits[:, 1] & np.uint64(0x3FFFFFFFFFFFFFFF) | np.uint64(0x8000000000000000)
    texts = (f"{int(high):016x}{int(low):016x}" for high, low in digits)
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
