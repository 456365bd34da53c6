"""Plain numbers as coordinates in which modes are cut: exact integers, or floats.

Integers, ticks of time and floats with a fixed number of decimals become
multiples of their common step above the minimum, as uint64, so that no digit is
lost beyond 2^53. Other floats stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = ["FloatGrid", "Grid", "IntegerGrid", "make_grid"]

MAX_DECIMALS = 10
_EXACT = 2.0**53  # every integer up to here is a float64


@dataclass(frozen=True)
class IntegerGrid:
    """Numbers ``(origin + step * i) / 10**decimals`` for i from 0 to top.

    Examples
    --------
    >>> grid = make_grid(np.array([0.25, 1.5, 0.75]))
    >>> grid.index(np.array([1.5])), grid.value(np.array([5], np.uint64))
    (array([5], dtype=uint64), array([1.5]))
    """

    origin: int
    step: int
    top: int
    decimals: int | None = None  # None: integers proper
    unsigned: bool = False

    def index(self, values: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the coordinate of each value, the nearest one if it lies beside the grid."""
        whole = self._whole(values)
        dtype = whole.dtype.type
        inside = np.clip(whole, dtype(self.origin), dtype(self.origin + self.step * self.top))
        above: NDArray[np.uint64] = inside.astype(np.uint64) - np.uint64(self.origin % 2**64)
        if self.step == 1:
            return above
        lower, rest = np.divmod(above, np.uint64(self.step))
        return lower + (rest > np.uint64(self.step // 2)).astype(np.uint64)

    def value(self, index: NDArray[Any]) -> NDArray[Any]:
        """Return the value of each coordinate."""
        bits = index * np.uint64(self.step) + np.uint64(self.origin % 2**64)
        if self.unsigned:
            return bits
        whole = bits.view(np.int64)
        return whole if self.decimals is None else whole / 10.0**self.decimals

    def _whole(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.decimals is None:
            return values
        scaled = np.clip(np.rint(values * 10.0**self.decimals), -_EXACT, _EXACT)
        return scaled.astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Describe the grid in JSON."""
        whole = {"origin": self.origin, "step": self.step, "top": self.top}
        return {
            **{key: scalar_to_json(value) for key, value in whole.items()},
            "decimals": self.decimals,
            "unsigned": self.unsigned,
        }


@dataclass(frozen=True)
class FloatGrid:
    """Floats in [low, high], times `scale` where their range would overflow."""

    low: float
    high: float
    scale: float = 1.0

    def index(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the coordinate of each value."""
        index: NDArray[np.float64] = np.clip(values, self.low, self.high) * self.scale
        return index

    def value(self, index: NDArray[Any]) -> NDArray[Any]:
        """Return the value of each coordinate."""
        return np.clip(index / self.scale, self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """Describe the grid in JSON."""
        return {"low": self.low, "high": self.high, "scale": self.scale}


Grid = IntegerGrid | FloatGrid


def grid_from_dict(data: dict[str, Any]) -> Grid:
    """Read what a grid's ``to_dict`` wrote; ValueError if it does not fit into 64 bits."""
    if "scale" in data:
        low, high, scale = (float(data[key]) for key in ("low", "high", "scale"))
        grid: Grid = FloatGrid(low, high, scale)
        is_sound = -np.inf < low <= high < np.inf and scale in (1.0, 0.25)
    else:
        origin, step, top = (int(scalar_from_json(data[key])) for key in ("origin", "step", "top"))
        decimals = None if data["decimals"] is None else int(data["decimals"])
        grid = IntegerGrid(origin, step, top, decimals, bool(data["unsigned"]))
        info = np.iinfo(np.uint64 if grid.unsigned else np.int64)
        is_sound = step >= 1 and info.min <= origin <= origin + step * top <= info.max
        is_sound &= decimals is None or 0 <= decimals <= MAX_DECIMALS
    if not is_sound:
        raise ValueError("a grid must have its ends in order and within 64 bits")
    return grid


def make_grid(values: NDArray[Any], precision: type[np.floating[Any]] = np.float64) -> Grid:
    """Choose the coordinates of a column from its distinct values, of which there is at least one.

    Parameters
    ----------
    values : int64, uint64 or float64 array
    precision : float type
        Type of the column, in which a rounded value must come back the same.
    """
    if values.dtype.kind == "f":
        decimals = find_decimals(values, precision)
        if decimals is None:
            low, high = float(values.min()), float(values.max())
            with np.errstate(over="ignore"):
                scale = 1.0 if np.isfinite(np.float64(high) - np.float64(low)) else 0.25
            return FloatGrid(low, high, scale)
        values = np.rint(values * 10.0**decimals).astype(np.int64)
        unsigned = False
    else:
        decimals, unsigned = None, values.dtype.kind == "u"
    origin = int(values.min())
    above = values.astype(np.uint64) - np.uint64(origin % 2**64)
    step = max(int(np.gcd.reduce(above)), 1)
    return IntegerGrid(origin, step, int(above.max()) // step, decimals, unsigned)


def find_decimals(values: NDArray[np.float64], precision: type[np.floating[Any]] = np.float64) -> int | None:
    """Return the fewest decimals, up to 10, that write every value exactly, or None.

    >>> find_decimals(np.array([0.25, 3.1])), find_decimals(np.array([1 / 3]))
    (2, None)
    """
    for decimals in range(MAX_DECIMALS + 1):
        if all(_writes(part, decimals, precision) for part in (values[:100], values)):
            return decimals
    return None


def _writes(values: NDArray[np.float64], decimals: int, precision: type[np.floating[Any]]) -> bool:
    """Tell whether so many decimals write all values exactly."""
    with np.errstate(over="ignore"):
        whole = np.rint(values * 10.0**decimals)
        same = (whole / 10.0**decimals).astype(precision) == values.astype(precision)
    return bool(same.all() and (np.abs(whole) < _EXACT).all())
