"""Frames of given cells: partial ones, which conditions consist of, and those with gaps to be filled."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.types import is_object_dtype

from synthgan.dtypes import NANOSECONDS, Array, from_numbers, natural_kind, time_unit, time_zone, to_numbers
from synthgan.errors import ConditionError, quantity
from synthgan.schema import Column, check_column_names
from synthgan.transforms.categorical import CategoricalCodec
from synthgan.transforms.conditions import MISSING, UNKNOWN, Cells, Conditions
from synthgan.transforms.generated import ConstantCodec
from synthgan.transforms.known import (
    as_text,
    find_levels,
    has_missing,
    known_column,
    no_category,
    no_number,
    ticks,
)
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["gaps", "given_cells"]


def given_cells(frame: pd.DataFrame, codec: TableCodec) -> Conditions:
    """Read a partial frame: its columns are given in every row, missing values included.

    Raises
    ------
    ConditionError
        If a column is unknown, or holds what the model has never seen.
    """
    check_column_names(frame)
    cells = {}
    for position, name in enumerate(frame.columns):
        column = known_column(name, codec)
        cells[name] = _Given(frame.iloc[:, position], column, codec.codecs_[name], is_gap=False).read()
    met = {name for name in cells if isinstance(codec.codecs_[name], ConstantCodec)}
    return Conditions(
        n_rows=len(frame), cells={name: found for name, found in cells.items() if name not in met}
    )


def gaps(frame: pd.DataFrame, codec: TableCodec) -> Conditions:
    """Read a frame with gaps: what is there is given, whatever it is; what is missing is to be drawn.

    Raises
    ------
    ConditionError
        If a column has values of another type than when the model was fitted.
    """
    cells: dict[Hashable, Cells] = {}
    pasted: dict[Hashable, tuple[NDArray[np.int64], Array]] = {}
    for position, name in enumerate(frame.columns):
        own = codec.codecs_[name]
        given = _Given(frame.iloc[:, position], codec.schema[name], own, is_gap=True)
        if isinstance(own, NumericCodec | CategoricalCodec):
            cells[name] = given.read()
        if not isinstance(own, NumericCodec):
            pasted[name] = np.flatnonzero(given.known), given.kept()
    return Conditions(n_rows=len(frame), cells=cells, pasted=pasted, fills_gaps=True)


class _Given:
    """One column of a frame of given cells.

    With `is_gap` a missing cell is not given, and values that the model has not seen are taken as they
    are. Without it the missing cell is given as such, and the model must have seen everything.
    """

    def __init__(self, series: pd.Series[Any], column: Column, codec: Any, is_gap: bool) -> None:
        self.column, self.codec, self.is_gap = column, codec, is_gap
        self.missing = series.isna().to_numpy(dtype=bool)
        self.known = ~self.missing if is_gap else np.ones(len(series), dtype=bool)
        present = series[~self.missing]
        if is_object_dtype(present.dtype) and not is_object_dtype(column.dtype):
            present = present.infer_objects()
        self.present = present
        if not is_gap and self.missing.any() and not has_missing(codec):
            n_missing = quantity(int(self.missing.sum()), "missing value")
            self._refuse(f"has {n_missing}, but had none in the fitted table.")

    def _refuse(self, why: str) -> NoReturn:
        raise ConditionError(f"{'X' if self.is_gap else 'Conditions'}: column {self.column.name!r} {why}")

    def read(self) -> Cells:
        """Read the cells as plain numbers, or as positions of levels."""
        if isinstance(self.codec, NumericCodec):
            present, values = self._numbers(), np.zeros(len(self.known), self.codec.plain)
            if not self.is_gap:
                self._require_known(present)
        else:
            present, values = self._level_positions(), np.full(len(self.known), MISSING)
        values[~self.missing] = present
        return Cells(self.known, values, self.missing)

    def kept(self) -> Array:
        """Return the present values in the dtype of the column."""
        wanted = self.column.dtype
        cast = self.present
        with contextlib.suppress(TypeError, ValueError, OverflowError, pa.ArrowException):
            if isinstance(wanted, pd.CategoricalDtype):
                codes = wanted.categories.get_indexer(pd.Index(cast.astype(object)))
                cast = pd.Series(pd.Categorical.from_codes(codes, dtype=wanted))
            else:
                cast = cast.astype(wanted)
        if cast.dtype != wanted or cast.isna().any() or list(cast) != list(self.present):
            self._refuse(f"has the dtype {self.present.dtype}, which does not fit {wanted}. Convert it.")
        return cast.array

    def _level_positions(self) -> NDArray[np.int64]:
        is_own = isinstance(self.codec, CategoricalCodec) and self.present.dtype == self.column.dtype
        found = self.codec.find_in(self.present) if is_own else np.full(len(self.present), MISSING)
        if not is_own or is_object_dtype(self.present.dtype):  # 1 and 1.0 are objects of two types
            left = found < 0
            found[left] = find_levels(self.codec, self.present[left].astype(object))
        unknown = found < 0
        if unknown.any() and not self.is_gap:
            self._refuse(no_category(self.present.iloc[int(np.argmax(unknown))], self.codec))
        return np.where(unknown, UNKNOWN, found)

    def _numbers(self) -> NDArray[Any]:
        """Convert to plain numbers of the column, exactly."""
        if len(self.present) == 0:
            return np.zeros(0, self.codec.plain)
        if self.column.kind != "numerical" and natural_kind(self.present.dtype) == "categorical":
            return self._spelled_ticks()
        own, theirs = self.column.dtype, self.present.dtype
        if natural_kind(theirs) != self.column.kind or (time_zone(own) is None) != (
            time_zone(theirs) is None
        ):
            self._refuse(f"is {self.column.kind} ({own}), but has the dtype {theirs} here. Convert it.")
        found, _ = to_numbers(self.present)
        return self._cast(found) if self.column.kind == "numerical" else self._ticks(found)

    def _spelled_ticks(self) -> NDArray[Any]:
        """Count times that are text or objects."""
        found = [ticks(value, self.column) for value in self.present]
        self._refuse_where(np.array([count is None or count.denominator > 1 for count in found]))
        return np.array([int(count) for count in found if count is not None], dtype=np.int64)

    def _ticks(self, values: NDArray[Any]) -> NDArray[Any]:
        """Count times in the unit of the column."""
        own, theirs = (NANOSECONDS[time_unit(dtype)] for dtype in (self.column.dtype, self.present.dtype))
        if theirs >= own:
            factor = theirs // own
            self._refuse_where(np.abs(values) > np.iinfo(np.int64).max // factor)
            return values * factor
        whole, rest = np.divmod(values, own // theirs)
        self._refuse_where(rest != 0)
        return np.asarray(whole)

    def _cast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Change the type of numbers without changing one of them, but for floats of more precision."""
        wanted = self.codec.plain
        with np.errstate(invalid="ignore", over="ignore"):
            cast = values.astype(wanted)
            is_same = (cast.astype(values.dtype) == values) & ((cast < 0) == (values < 0))
        if values.dtype.kind == "f" and wanted.kind != "f":
            bound = 2.0 ** (63 if wanted.kind == "i" else 64)
            is_same &= (values < bound) & (values >= (-bound if wanted.kind == "i" else 0))
        cast = np.where(is_same, cast, 0)
        with np.errstate(over="ignore"):
            narrow, _ = to_numbers(pd.Series(from_numbers(cast, np.zeros_like(is_same), self.column.dtype)))
        if values.dtype.kind == "f" and wanted.kind == "f":
            is_same &= np.isfinite(narrow) | ~np.isfinite(values)
        else:
            is_same &= narrow == cast  # it also fits into fewer bits
        self._refuse_where(~is_same)
        return narrow

    def _refuse_where(self, is_bad: NDArray[np.bool_]) -> None:
        if is_bad.any():
            first = self.present.iloc[int(np.argmax(is_bad))]
            self._refuse(
                f"has the dtype {self.column.dtype}, but {quantity(int(is_bad.sum()), 'value')} that it "
                f"cannot hold, such as {first}. Convert or remove them."
            )

    def _require_known(self, values: NDArray[Any]) -> None:
        """Refuse numbers outside the learned range or beside the grid."""
        if len(values) and self.codec.grid_ is None:
            self._refuse("had no value when the model was fitted. Leave it out.")
        is_bad = self.codec.snap(values) != values
        if is_bad.any():
            first = values[int(np.argmax(is_bad))].item()
            self._refuse(
                f"cannot be {as_text(first, self.codec)} ({quantity(int(is_bad.sum()), 'such value')}). "
                f"{no_number(first, self.codec)}"
            )
