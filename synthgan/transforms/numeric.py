"""The codec of number lines: numerical, datetime and timedelta columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import Array, from_numbers, precision_of, to_numbers
from synthgan.errors import DataError, quantity
from synthgan.layout import ATOM, CONTINUOUS, Permitted
from synthgan.schema import Column
from synthgan.seeding import stream
from synthgan.transforms.gaussian import GaussianCodes, fit_gaussian_codes
from synthgan.transforms.grid import Grid, IntegerGrid, grid_from_dict, make_grid
from synthgan.transforms.modes import QuantileCodes, choose_atoms, fit_quantile_codes

__all__ = ["NumericCodec"]


class NumericCodec:
    """Turn one column of numbers or times into codes and alphas, and back.

    Parameters
    ----------
    column : Column
        What the schema says about the column.
    max_modes : int >= 1
        Most modes besides the atoms, and most atoms in a column of many values.
    modes : "quantile", "gaussian" or "mixture"
        The last one is Gaussian modes alone: no value is an atom (Xu et al. 2019, section 4.2).
    seed : int
        Source of the draws of Gaussian modes.

    Attributes
    ----------
    grid_ : IntegerGrid, FloatGrid or None
        Coordinates of the values; None if all values were missing.
    codes_ : QuantileCodes, GaussianCodes or None
    has_missing_ : bool
        Whether the last code is the missing value.

    Examples
    --------
    >>> codec = NumericCodec(Column("age", "numerical", np.dtype("int64"))).fit(pd.Series([20, 30, 30, 50]))
    >>> codec.transform(pd.Series([30, 50]))
    (array([1, 2]), array([0., 0.]))
    >>> codec.inverse_transform(np.array([2, 0]), np.zeros(2))
    array([50, 20])
    """

    grid_: Grid | None
    codes_: QuantileCodes | GaussianCodes | None
    has_missing_: bool

    def __init__(self, column: Column, max_modes: int = 50, modes: str = "quantile", seed: int = 0) -> None:
        self.column = column
        self.max_modes = max_modes
        self.modes = modes
        self.seed = seed

    def fit(self, series: pd.Series[Any], repeats: NDArray[np.bool_] | None = None) -> NumericCodec:
        """Find atoms and modes.

        Parameters
        ----------
        series : Series
        repeats : bool array of shape (n_rows,), optional
            Rows that are told by another column; the modes are those of the other rows.
        """
        values, missing = to_numbers(series)
        self.has_missing_ = bool(missing.any())
        self.grid_, self.codes_ = None, None
        distinct, counts = np.unique(values[~missing] if self.has_missing_ else values, return_counts=True)
        if len(distinct) == 0:
            return self
        self.grid_ = make_grid(distinct, precision_of(self.column.dtype))
        x = self.grid_.index(distinct)
        is_atom = choose_atoms(counts, self.max_modes) & (self.modes != "mixture")
        mass = counts.astype(np.float64)
        if repeats is not None:
            told = np.bincount(np.searchsorted(distinct, values[repeats]), minlength=len(distinct))
            mass = np.maximum(mass - told, 1e-6)  # not 0: every value needs a code
        if self.modes == "quantile":
            self.codes_ = fit_quantile_codes(x, mass, is_atom, self.max_modes)
        else:
            self.codes_ = fit_gaussian_codes(x, mass, is_atom, self.max_modes, stream(self.seed, "mixture"))
        return self

    @property
    def n_levels_(self) -> NDArray[np.int32]:
        """`ATOM` or `CONTINUOUS` for each code, as in `Span`."""
        mode = np.zeros(0) if self.codes_ is None else self.codes_.mode
        own = np.where(mode < 0, ATOM, CONTINUOUS)
        return np.append(own, [ATOM] * self.has_missing_).astype(np.int32)

    @property
    def position_(self) -> NDArray[np.float32]:
        """Rank of each code in [0, 1]; NaN for the missing value."""
        n_codes = 0 if self.codes_ is None else len(self.codes_)
        return np.append(np.linspace(0, 1, n_codes), [np.nan] * self.has_missing_).astype(np.float32)

    def transform(self, series: pd.Series[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Encode a column; values outside the fitted range become its bounds.

        Raises
        ------
        DataError
            If a value is missing but none was when the codec was fitted, or all were and it is not.
        """
        values, missing = to_numbers(series)
        if missing.any() and not self.has_missing_:
            raise DataError(
                f"Column {self.column.name!r} has {quantity(int(missing.sum()), 'missing value')}, "
                "but had none when the model was fitted. Fill them."
            )
        if self.grid_ is None or self.codes_ is None:
            if not missing.all():
                raise DataError(
                    f"Column {self.column.name!r} had no observed value when the model was fitted."
                )
            return np.zeros(len(values), dtype=np.int64), np.zeros(len(values))
        return self.encode_numbers(values, missing)

    def decode(
        self, codes: NDArray[Any], alphas: NDArray[np.float64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Decode to plain numbers and the mask of missing values."""
        if self.grid_ is None or self.codes_ is None:
            return np.zeros(len(codes), dtype=np.int64), np.ones(len(codes), dtype=bool)
        missing = codes >= len(self.codes_)
        index = self.codes_.decode(np.minimum(codes, len(self.codes_) - 1), alphas)
        return self._round(self.grid_.value(index)), missing

    def encode_numbers(
        self, values: NDArray[Any], missing: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Encode plain numbers, those outside the fitted range as its bounds."""
        if self.grid_ is None or self.codes_ is None:
            return np.zeros(len(values), dtype=np.int64), np.zeros(len(values))
        codes, alphas = self._encode(self.grid_.index(values))
        codes[missing], alphas[missing] = len(self.codes_), 0.0
        return codes, alphas

    def _encode(self, x: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Encode coordinates; there are some."""
        line: Any = self.codes_
        if isinstance(line, GaussianCodes):
            return line.encode(x, stream(self.seed, "posterior"))
        codes, alphas = line.encode(x)
        return codes, alphas

    @property
    def plain(self) -> np.dtype[Any]:
        """Type of the plain numbers of the column: int64, uint64 or float64."""
        return to_numbers(self.column.empty())[0].dtype

    @property
    def bounds(self) -> tuple[Any, Any]:
        """Lowest and highest number of the fitted column, which had at least one, as Python numbers."""
        grid: Any = self.grid_
        ends = (
            (0, grid.top)
            if isinstance(grid, IntegerGrid)
            else (grid.low * grid.scale, grid.high * grid.scale)
        )
        return self._at(ends[0]), self._at(ends[1])

    def _at(self, coordinate: Any) -> Any:
        """Return the number at a coordinate as the column stores it, as a Python number."""
        grid: Any = self.grid_
        dtype = np.uint64 if isinstance(grid, IntegerGrid) else np.float64
        return self._round(grid.value(np.array([coordinate], dtype=dtype)))[0].item()

    def inward(self, low: Any, high: Any) -> tuple[Any, Any] | None:
        """Return the lowest and the highest number in [low, high] that the column can hold, or None.

        Parameters
        ----------
        low, high : int, float or Fraction
            Compared exactly; infinite where open.

        Examples
        --------
        >>> codec = NumericCodec(Column("age", "numerical", np.dtype("int64"))).fit(pd.Series([20, 30, 50]))
        >>> codec.inward(25, 90.5), codec.inward(31, 39)
        ((30, 50), None)
        """
        least, most = self.bounds
        low, high = max(low, least), min(high, most)
        if low > high:
            return None
        if isinstance(self.grid_, IntegerGrid):
            n_points = self.grid_.top + 1
            first = self._at(min(_first(n_points, lambda i: self._at(i) >= low), n_points - 1))
            last = self._at(max(_first(n_points, lambda i: self._at(i) > high) - 1, 0))
        else:
            narrow = precision_of(self.column.dtype)
            near, far = narrow(float(low)), narrow(float(high))
            first = float(near if float(near) >= low else np.nextafter(near, narrow(np.inf)))
            last = float(far if float(far) <= high else np.nextafter(far, narrow(-np.inf)))
        return (first, last) if low <= first <= last <= high else None

    def permit(self, low: NDArray[Any], high: NDArray[Any], missing: bool) -> Permitted:
        """Say which codes and alphas decode to numbers in any of the intervals [low, high].

        For an interval in a gap between atoms the nearest code stands: the number itself is set
        to what was asked for afterwards.

        Parameters
        ----------
        low, high : arrays of shape (n_intervals,)
            Plain numbers within the bounds, low <= high.
        missing : bool
            Whether the missing value is permitted too.
        """
        codes = np.zeros(0, dtype=np.int64)
        first = last = np.zeros(0)
        if self.grid_ is not None and len(low):
            codes, first, last = self._within(self.grid_.index(low), self.grid_.index(high))
        if missing:
            codes = np.append(codes, len(self.n_levels_) - 1)
            first, last = np.append(first, 0.0), np.append(last, 0.0)
        return Permitted(codes, first, last)

    def _within(
        self, low: NDArray[Any], high: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return codes, and bounds of alpha, whose coordinates lie in intervals of coordinates."""
        line: Any = self.codes_
        codes = np.arange(len(line))
        ends = [line.decode(codes, np.full(len(codes), end))[:, None] for end in (-1.0, 1.0)]
        meets = (ends[0] <= high) & (ends[1] >= low)  # (n_codes, n_intervals)
        codes, k = np.nonzero(meets)
        first = self._bisect(codes, lambda x: x >= low[k])
        last = self._bisect(codes, lambda x: x > high[k])
        middle = (first + last) / 2
        first, last = np.minimum(first, middle), np.maximum(last, middle)
        alone = np.flatnonzero(~meets.any(axis=0))
        near, alphas = self._encode(low[alone])
        return np.append(codes, near), np.append(first, alphas), np.append(last, alphas)

    def _bisect(
        self, codes: NDArray[np.int64], is_beyond: Callable[[NDArray[Any]], NDArray[np.bool_]]
    ) -> NDArray[np.float64]:
        """Return the alpha of each code from which on its coordinate is beyond, 1 if it never is."""
        line: Any = self.codes_
        inside, beyond = np.full(len(codes), -1.0), np.full(len(codes), 1.0)
        beyond[is_beyond(line.decode(codes, inside))] = -1.0
        for _ in range(54):
            middle = (inside + beyond) / 2
            is_met = is_beyond(line.decode(codes, middle))
            inside, beyond = np.where(is_met, inside, middle), np.where(is_met, middle, beyond)
        return beyond

    def inverse_transform(self, codes: NDArray[Any], alphas: NDArray[np.float64]) -> Array:
        """Decode to an array of the column's dtype."""
        return from_numbers(*self.decode(codes, alphas), self.column.dtype)

    def snap(self, values: NDArray[Any]) -> NDArray[Any]:
        """Move plain numbers to the nearest ones that the column can hold."""
        return values if self.grid_ is None else self._round(self.grid_.value(self.grid_.index(values)))

    def stored(self, value: Any) -> Any:
        """Return floats as the column stores them, which may be less precise."""
        with np.errstate(over="ignore"):
            rounded = precision_of(self.column.dtype)(value)
        return float(rounded) if np.ndim(value) == 0 else rounded.astype(np.float64)

    def _round(self, values: NDArray[Any]) -> NDArray[Any]:
        """Round floats to the precision of the column, so that they are compared as they will be stored."""
        precision = precision_of(self.column.dtype)
        if precision is np.float64 or values.dtype.kind != "f":
            return values
        return values.astype(precision).astype(np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted codec in JSON."""
        if self.grid_ is None or self.codes_ is None:
            return {"has_missing": self.has_missing_, "grid": None, "codes": None}
        return {
            "has_missing": self.has_missing_,
            "grid": self.grid_.to_dict(),
            "codes": self.codes_.to_dict(),
        }

    @classmethod
    def from_dict(
        cls, column: Column, data: dict[str, Any], modes: str = "quantile", seed: int = 0
    ) -> NumericCodec:
        """Read what `to_dict` wrote; ValueError if the column cannot hold what it decodes to."""
        codec = cls(column, modes=modes, seed=seed)
        codec.has_missing_, codec.grid_, codec.codes_ = bool(data["has_missing"]), None, None
        if data["grid"] is not None:
            codec.grid_ = grid_from_dict(data["grid"])
            dtype = np.uint64 if isinstance(codec.grid_, IntegerGrid) else np.float64
            reader = QuantileCodes if modes == "quantile" else GaussianCodes
            codec.codes_ = reader.from_dict(data["codes"], dtype)
            codec._check_ends()
        return codec

    def _check_ends(self) -> None:
        """Raise ValueError unless both ends of every code lie on the grid and in the range of the dtype."""
        line: Any = self.codes_
        grid: Any = self.grid_
        codes = np.tile(np.arange(len(line)), 2)
        ends = line.decode(codes, np.repeat([-1.0, 1.0], len(line)))
        values = grid.value(ends)
        stored = self._round(values)
        array = from_numbers(stored, np.zeros(len(stored), dtype=bool), self.column.dtype)
        kept, missing = to_numbers(pd.Series(array, dtype=self.column.dtype))
        if (
            values.dtype != self.plain
            or missing.any()
            or not np.array_equal(kept, stored)
            or not np.array_equal(grid.index(values), ends)
        ):
            raise ValueError("the numbers of a column must lie within the range of its dtype")


def _first(n: int, is_met: Callable[[int], bool]) -> int:
    """Return the first of 0, 1, ..., n - 1 that meets a condition that all after it meet too, or n.

    >>> _first(100, lambda i: i * i >= 50)
    8
    """
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_met(middle) else (middle + 1, high)
    return low
