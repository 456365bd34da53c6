"""Codes of a number line: atoms (single points) and modes (intervals), in order of value.

`QuantileCodes` cuts what lies between the atoms into intervals of about equal mass and
describes each by a smoothed quantile function, so that alpha is the rank inside
the mode. Coordinates are those of a grid: uint64 or float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = ["QuantileCodes", "choose_atoms", "fit_quantile_codes"]

N_CELLS = 16  # linear pieces of the quantile function of a mode
ALL_ATOMS = 150  # a column of up to so many distinct values is modelled by atoms altogether
ATOM_SHARE = 0.01  # share of the rows from which a value is an atom
ATOM_ROWS = 3  # and at least so many of them
ROWS_PER_MODE = 30


def choose_atoms(counts: NDArray[np.int64], max_atoms: int) -> NDArray[np.bool_]:
    """Tell which distinct values have point mass.

    All of them in a column of few values; otherwise those of at least 1 % of the rows,
    at most `max_atoms`. Values that hardly repeat are no atoms, however few: a
    list of them would be the training column.

    >>> choose_atoms(np.array([90, 1, 1, 1]), 50)
    array([ True,  True,  True,  True])
    >>> choose_atoms(np.array([900] + [1] * 600), 50).sum()
    np.int64(1)
    """
    n_rows, n_values = int(counts.sum()), len(counts)
    if n_values <= ALL_ATOMS and n_values <= max(5, n_rows // 3):
        return np.ones(n_values, dtype=bool)
    frequent = counts >= max(math.ceil(ATOM_SHARE * n_rows), ATOM_ROWS)
    if frequent.sum() > max_atoms:
        keep = np.argsort(-counts, kind="stable")[:max_atoms]
        frequent = np.zeros(n_values, dtype=bool)
        frequent[keep] = True
    return frequent


@dataclass(frozen=True, eq=False)
class QuantileCodes:
    """Atoms and modes of a number line, disjoint and in order.

    Parameters
    ----------
    low, high : uint64 or float64 arrays of shape (n_codes,)
        First and last coordinate of each code; equal for atoms.
    mode : int array of shape (n_codes,)
        Row of the code in `knots`; -1 for atoms.
    knots : float64 array of shape (n_modes, 17)
        Quantile function of each mode, as offsets from its `low` where coordinates are integers.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    mode: NDArray[np.int64]
    knots: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.low)

    def encode(self, x: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the code and alpha of each coordinate, of the nearest code if none contains it."""
        codes = self._nearest(x)
        alphas = np.zeros(len(x))
        mode = self.mode[codes]
        rows = np.flatnonzero(mode >= 0)
        if len(rows):
            code = codes[rows]
            inside = np.clip(x[rows], self.low[code], self.high[code])
            offset = inside if self.low.dtype.kind == "f" else (inside - self.low[code]).astype(np.float64)
            alphas[rows] = self._rank(mode[rows], offset)
        return codes, alphas

    def _nearest(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """Return the code that contains each coordinate or comes nearest to it."""
        codes = np.maximum(np.searchsorted(self.low, x, side="right") - 1, 0)
        beyond = np.flatnonzero(x > self.high[codes])
        after = np.minimum(codes[beyond] + 1, len(self) - 1)
        is_nearer = (self.low[after] > x[beyond]) & (
            self.low[after] - x[beyond] < x[beyond] - self.high[codes[beyond]]
        )
        codes[beyond] = np.where(is_nearer, after, codes[beyond])
        return codes

    def _rank(self, mode: NDArray[np.int64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return alpha in [-1, 1]: the rank of an offset inside its mode."""
        cell = np.zeros(len(mode), dtype=np.int64)
        for width in (8, 4, 2, 1):  # binary search among the 17 knots of each mode
            cell += np.where(offset >= self.knots[mode, cell + width], width, 0)
        left, right = self.knots[mode, cell], self.knots[mode, cell + 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.where(right > left, (offset - left) / (right - left), 0.5)
        rank: NDArray[np.float64] = (cell + part) * (2 / N_CELLS) - 1
        return np.clip(rank, -1, 1)

    def decode(self, codes: NDArray[np.integer[Any]], alphas: NDArray[np.float64]) -> NDArray[Any]:
        """Return the coordinate of each code and alpha; both within their ranges."""
        x = self.low[codes]
        mode = self.mode[codes]
        rows = np.flatnonzero(mode >= 0)
        if len(rows):
            x[rows] = self._place(codes[rows], mode[rows], alphas[rows])
        return x

    def _place(
        self, codes: NDArray[np.integer[Any]], mode: NDArray[np.int64], alphas: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Evaluate the quantile functions of modes."""
        rank = (alphas + 1) * (N_CELLS / 2)
        cell = np.minimum(rank.astype(np.int64), N_CELLS - 1)
        part = rank - cell
        offset = self.knots[mode, cell] * (1 - part) + self.knots[mode, cell + 1] * part
        low, high = self.low[codes], self.high[codes]
        if self.low.dtype.kind == "f":
            return np.clip(offset, low, high)
        width = high - low
        whole = np.clip(np.floor(offset + 0.5), 0.0, np.nextafter(2.0**64, 0)).astype(np.uint64)
        return low + np.minimum(whole, width)

    def to_dict(self) -> dict[str, Any]:
        """Describe the codes in JSON."""
        return {
            "low": [scalar_to_json(v) for v in self.low.tolist()],
            "high": [scalar_to_json(v) for v in self.high.tolist()],
            "mode": self.mode.tolist(),
            "knots": self.knots.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], dtype: type[np.generic]) -> QuantileCodes:
        """Read what `to_dict` wrote."""
        low, high = (
            np.array([scalar_from_json(v) for v in data[key]], dtype=dtype) for key in ("low", "high")
        )
        knots = np.array(data["knots"], dtype=np.float64).reshape(-1, N_CELLS + 1)
        return cls(low, high, np.array(data["mode"], dtype=np.int64), knots)


def fit_quantile_codes(
    x: NDArray[Any], counts: NDArray[np.int64], is_atom: NDArray[np.bool_], max_modes: int
) -> QuantileCodes:
    """Cut a number line at its atoms, and what is left into modes of about equal mass.

    Parameters
    ----------
    x : uint64 or float64 array of shape (n_values,)
        Distinct coordinates, ascending.
    counts : int array of shape (n_values,)
        Rows of each.
    is_atom : bool array of shape (n_values,)
    max_modes : int
        At most so many modes, or one for each gap between atoms if there are more gaps.
    """
    first = _cut(counts, is_atom, max_modes)
    last = np.append(first[1:], len(x)) - 1
    atom = is_atom[first]
    left, right = _middle(x[last[:-1]], x[first[1:]])
    low = np.where(atom, x[first], np.append(x[:1], right))
    high = np.where(atom, x[first], np.append(left, x[-1:]))
    mode = np.where(atom, -1, np.cumsum(~atom) - 1)
    knots = [_quantile_knots(x[a : b + 1], counts[a : b + 1], lo, hi)
             for a, b, lo, hi in zip(first[~atom], last[~atom], low[~atom], high[~atom], strict=True)]  # fmt: skip
    return QuantileCodes(low, high, mode.astype(np.int64), np.array(knots).reshape(-1, N_CELLS + 1))


def _cut(counts: NDArray[np.int64], is_atom: NDArray[np.bool_], max_modes: int) -> NDArray[np.int64]:
    """Return the position of the first value of each code."""
    starts_run = is_atom | np.append(True, is_atom[:-1])  # an atom, or the first value after one
    run = np.cumsum(starts_run) - 1
    loose = np.where(is_atom, 0, counts)
    mass = np.bincount(run, weights=loose)
    total = mass.sum()
    n_modes = max(1, min(max_modes, int(total) // ROWS_PER_MODE))
    shares = np.maximum(1, np.floor(mass * n_modes / max(total, 1)))  # modes of each run
    before = np.concatenate([[0.0], np.cumsum(mass)[:-1]])
    middle = np.cumsum(loose) - loose / 2 - before[run]  # mass below the middle of each value, in its run
    with np.errstate(invalid="ignore", divide="ignore"):
        piece = np.where(is_atom, 0, np.floor(middle / mass[run] * shares[run]))
    starts_piece = starts_run | np.append(True, piece[1:] != piece[:-1])
    return np.flatnonzero(starts_piece)


def _middle(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the last coordinate that belongs to a, and the first that belongs to b > a."""
    if a.dtype.kind == "f":
        half = a / 2 + b / 2
        return half, half
    left = a + (b - a) // np.uint64(2)
    left = np.minimum(left, b - np.uint64(1))
    return left, left + np.uint64(1)


def _quantile_knots(x: NDArray[Any], counts: NDArray[np.int64], low: Any, high: Any) -> NDArray[np.float64]:
    """Return the smoothed quantile function of one mode at 17 ranks.

    The distribution function is linear between the midpoints of neighbouring values, where
    it is exact; no knot is a value of the column, but for its minimum and maximum.
    """
    if x.dtype.kind == "f":
        values, ends = x, (low, high)
    else:
        values, ends = (x - low).astype(np.float64), (-0.5, float(high - low) + 0.5)
    edges = np.concatenate([ends[:1], values[:-1] / 2 + values[1:] / 2, ends[1:]])
    mass = np.concatenate([[0], np.cumsum(counts)])
    return np.interp(np.linspace(0, mass[-1], N_CELLS + 1), mass, edges)
