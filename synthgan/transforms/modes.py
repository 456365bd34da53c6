"""Codes of a number line: atoms (single points) and modes (intervals), in order of value.

`QuantileCodes` cuts what lies between the atoms into intervals of about equal mass and
describes each by a smoothed quantile function, so that alpha is the rank inside
the mode. Coordinates are those of a grid: uint64 or float64.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.scalars import scalar_from_json, scalar_to_json

__all__ = ["QuantileCodes", "choose_atoms", "fit_quantile_codes"]

N_CELLS = 16  # linear pieces of the smooth part of the quantile function of a mode
SPIKE_ROWS = 10  # a value of so many rows
SPIKE_SHARE = 0.00025  # and of this share of them has a step of its own in the quantile function
ALL_ATOMS = 150  # a column of up to so many distinct values is modelled by atoms altogether
ATOM_SHARE = 0.01  # share of the rows from which a value is an atom
ATOM_ROWS = 3  # and at least so many of them
ROWS_PER_MODE = 30
TAIL_SHARE = 6  # one mode in so many is spent where values vary most
TAIL_SPREAD = 4  # a line has such a place if a mode varies so many times as much as the mean mode


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
        Number of the mode; -1 for atoms.
    starts : int array of shape (n_modes + 1,)
        Where the knots of each mode begin and end.
    ranks, knots : float64 arrays of shape (n_knots,)
        Quantile function of each mode: at rank r in [0, 1] the coordinate is the knot, an offset
        from `low` where coordinates are integers; linear in between. Both rise, not always strictly.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    mode: NDArray[np.int64]
    starts: NDArray[np.int64]
    ranks: NDArray[np.float64]
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
        """Return alpha in [-1, 1]: the rank of an offset inside its mode, its middle rank at a step."""
        rank = np.empty(len(mode))
        order = np.argsort(mode, kind="stable")
        ends = np.searchsorted(mode[order], np.arange(len(self.starts)))
        for m in np.flatnonzero(np.diff(ends)):
            rows = order[ends[m] : ends[m + 1]]
            piece = slice(self.starts[m], self.starts[m + 1])
            rank[rows] = _invert(self.ranks[piece], self.knots[piece], offset[rows])
        return np.asarray(np.clip(2 * rank - 1, -1, 1), dtype=np.float64)

    def decode(self, codes: NDArray[np.integer[Any]], alphas: NDArray[np.float64]) -> NDArray[Any]:
        """Return the coordinate of each code and alpha; both within their ranges."""
        x: NDArray[Any] = self.low[codes]
        mode = self.mode[codes]
        rows = np.flatnonzero(mode >= 0)
        if len(rows):
            x[rows] = self._place(codes[rows], mode[rows], alphas[rows])
        return x

    def _place(
        self, codes: NDArray[np.integer[Any]], mode: NDArray[np.int64], alphas: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Evaluate the quantile functions of modes."""
        rank = (alphas + 1) / 2
        shelf = 2.0 * np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))  # keeps modes apart
        at = np.searchsorted(shelf + self.ranks, 2.0 * mode + rank, side="right") - 1
        at = np.clip(at, self.starts[mode], self.starts[mode + 1] - 2)
        part = _fraction(rank, self.ranks[at], self.ranks[at + 1])
        offset: NDArray[Any] = self.knots[at] * (1 - part) + self.knots[at + 1] * part
        low: Any = self.low[codes]
        high: Any = self.high[codes]
        if self.low.dtype.kind == "f":
            return np.asarray(np.clip(offset, low, high))
        width: NDArray[np.uint64] = high - low
        whole = np.clip(np.floor(offset + 0.5), 0.0, np.nextafter(2.0**64, 0)).astype(np.uint64)
        inside: NDArray[Any] = low + np.minimum(whole, width)
        return inside

    def to_dict(self) -> dict[str, Any]:
        """Describe the codes in JSON."""
        return {
            "low": [scalar_to_json(v) for v in self.low.tolist()],
            "high": [scalar_to_json(v) for v in self.high.tolist()],
            "mode": self.mode.tolist(),
            "starts": self.starts.tolist(),
            "ranks": self.ranks.tolist(),
            "knots": self.knots.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], dtype: type[np.generic]) -> QuantileCodes:
        """Read what `to_dict` wrote; ValueError if the parts do not fit together."""
        low, high = (
            np.array([scalar_from_json(v) for v in data[key]], dtype=dtype) for key in ("low", "high")
        )
        mode, starts = (np.array(data[key], dtype=np.int64) for key in ("mode", "starts"))
        ranks, knots = (np.array(data[key], dtype=np.float64) for key in ("ranks", "knots"))
        codes = cls(low, high, mode, starts, ranks, knots)
        if not codes._is_sound():
            raise ValueError("the atoms and modes of a column must cut a number line")
        return codes

    def _is_sound(self) -> bool:
        """Tell whether all is so that any code and alpha can be decoded."""
        if any(part.ndim != 1 for part in vars(self).values()) or len(self.starts) == 0:
            return False
        is_cut = (
            len(self.low) == len(self.high) == len(self.mode) > 0
            and (self.low <= self.high).all()
            and (self.high[:-1] <= self.low[1:]).all()
            and np.array_equal(self.mode[self.mode >= 0], np.arange(len(self.starts) - 1))
        )
        has_knots = (
            len(self.ranks) == len(self.knots)
            and (self.starts[0], self.starts[-1]) == (0, len(self.ranks))
            and (np.diff(self.starts) >= 2).all()
            and ((self.ranks >= 0) & (self.ranks <= 1)).all()
        )
        if not (is_cut and has_knots):
            return False
        falls = np.flatnonzero(np.diff(self.ranks) < 0) + 1
        return bool(np.isin(falls, self.starts).all())  # ranks fall only where a mode begins


def _fraction(
    x: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where x lies between left and right, in [0, 1]; the middle if they are equal."""
    width = right - left
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(width > 0, (x - left) / width, 0.5)
    return np.asarray(np.clip(part, 0, 1), dtype=np.float64)


def _invert(
    ranks: NDArray[np.float64], knots: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the rank at which a quantile function has the value x, the middle one of several."""
    last = len(knots) - 2
    after = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, last)
    before = np.clip(np.searchsorted(knots, x, side="left") - 1, 0, last)
    first, final = (
        ranks[at] + (ranks[at + 1] - ranks[at]) * edge
        for at, edge in (
            (before, np.where(x >= knots[before + 1], 1.0, _fraction(x, knots[before], knots[before + 1]))),
            (after, np.where(x <= knots[after], 0.0, _fraction(x, knots[after], knots[after + 1]))),
        )
    )
    middle: NDArray[np.float64] = (first + final) / 2
    return middle


def fit_quantile_codes(
    x: NDArray[Any], mass: NDArray[np.float64], is_atom: NDArray[np.bool_], max_modes: int
) -> QuantileCodes:
    """Cut a number line at its atoms, and what is left into modes of about equal mass.

    Parameters
    ----------
    x : uint64 or float64 array of shape (n_values,), n_values >= 1
        Distinct coordinates, ascending.
    mass : float array of shape (n_values,), > 0
        Rows of each, or a weight for them.
    is_atom : bool array of shape (n_values,)
    max_modes : int
        At most so many modes, or one for each gap between atoms if there are more gaps.
    """
    first = _cut_with_tails(x, mass, is_atom, max_modes)
    last = np.append(first[1:], len(x)) - 1
    atom = is_atom[first]
    left, right = _border(x[last[:-1]], x[first[1:]], atom[:-1], atom[1:])
    low = np.where(atom, x[first], np.append(x[:1], right))
    high = np.where(atom, x[first], np.append(left, x[-1:]))
    mode = np.where(atom, -1, np.cumsum(~atom) - 1).astype(np.int64)
    is_spike = mass >= max(SPIKE_ROWS, SPIKE_SHARE * mass.sum())
    parts = [
        _quantile_function(x[a : b + 1], mass[a : b + 1], is_spike[a : b + 1], low[i], high[i])
        for i, a, b in zip(np.flatnonzero(~atom), first[~atom], last[~atom], strict=True)
    ]
    ranks, knots = (np.concatenate([part[k] for part in parts] or [np.zeros(0)]) for k in (0, 1))
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    return QuantileCodes(low, high, mode, starts, ranks, knots)


def _cut(mass: NDArray[np.float64], is_atom: NDArray[np.bool_], max_modes: int) -> NDArray[np.int64]:
    """Return the position of the first value of each code."""
    starts_run = is_atom | np.append(True, is_atom[:-1])  # an atom, or the first value after one
    run = np.cumsum(starts_run) - 1
    loose = np.where(is_atom, 0.0, mass)
    run_mass = np.bincount(run, weights=loose)
    total = run_mass.sum()
    n_modes = max(1, min(max_modes, int(total) // ROWS_PER_MODE))
    shares = np.maximum(1, np.floor(run_mass * n_modes / max(total, 1e-300)))  # modes of each run
    before = np.cumsum(run_mass) - run_mass
    middle = np.cumsum(loose) - loose / 2 - before[run]  # mass below the middle of each value, in its run
    with np.errstate(invalid="ignore", divide="ignore"):
        piece = np.where(is_atom, 0, np.floor(middle / run_mass[run] * shares[run]))
    starts_piece = starts_run | np.append(True, piece[1:] != piece[:-1])
    return np.flatnonzero(starts_piece).astype(np.int64)


def _cut_with_tails(
    x: NDArray[Any], mass: NDArray[np.float64], is_atom: NDArray[np.bool_], max_modes: int
) -> NDArray[np.int64]:
    """Return the position of the first value of each code, with finer modes where values vary most.

    Of a long-tailed amount, modes of equal mass leave most of the variance within the last one, where a
    place is drawn with little regard to other columns. There, a sixth of the modes is made by halving
    the one in which values vary most, again and again. (Measured on california_housing, whose counts have
    long tails: Trend error 1.8 to 1.9 % with modes of equal mass, at two learning rates, and 1.2 % so.)
    """
    values = x.astype(np.float64) - np.float64(x[0])
    values /= max(float(values[-1]), 1e-300)
    loose = np.where(is_atom, 0.0, mass)
    sums = [np.append(0.0, np.cumsum(part)) for part in (loose, loose * values, loose * values**2)]

    def spread(a: int, b: int) -> float:
        """Sum of squares about the mean of the values from a to before b."""
        n, total, square = (float(part[b] - part[a]) for part in sums)
        return square - total * total / n if n > 0 else 0.0

    def modes(first: NDArray[np.int64]) -> list[tuple[float, int, int]]:
        """List minus the spread, begin and end of each mode: the order of a heap."""
        ends = zip(first, np.append(first[1:], len(x)), strict=True)
        return [(-spread(a, b), int(a), int(b)) for a, b in ends if not is_atom[a]]

    first = _cut(mass, is_atom, max_modes)
    spreads = [-size for size, _, _ in modes(first)]
    if not spreads or max(spreads) <= TAIL_SPREAD * sum(spreads) / len(spreads):
        return first
    first = _cut(mass, is_atom, max_modes - max_modes // TAIL_SHARE)
    heap = modes(first)
    heapq.heapify(heap)
    n_modes, cuts = len(heap), list[int]()
    while heap and n_modes + len(cuts) < max_modes:
        _, a, b = heapq.heappop(heap)
        if b - a > 1 and sums[0][b] - sums[0][a] >= 2 * ROWS_PER_MODE:
            half = (sums[0][a] + sums[0][b]) / 2
            cut = int(np.clip(np.searchsorted(sums[0], half), a + 1, b - 1))
            cuts.append(cut)
            for part in ((a, cut), (cut, b)):
                heapq.heappush(heap, (-spread(*part), *part))
    return np.sort(np.append(first, np.array(cuts, dtype=np.int64)))


def _border(
    a: NDArray[Any], b: NDArray[Any], a_is_atom: NDArray[np.bool_], b_is_atom: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where the code that ends with a ends, and where the next, which begins with b, begins.

    Two modes meet half-way; beside an atom a mode goes on until the atom, so that the
    border tells nothing about the values next to it.
    """
    if a.dtype.kind == "f":
        left = right = a / 2 + b / 2
        before, after = np.nextafter(b, -np.inf), np.nextafter(a, np.inf)
    else:
        one = np.uint64(1)
        left = a + (b - a) // np.uint64(2)
        left = np.minimum(left, b - one)
        right, before, after = left + one, b - one, a + one
    return np.where(b_is_atom, before, left), np.where(a_is_atom, after, right)


def _quantile_function(
    x: NDArray[Any], mass: NDArray[np.float64], is_spike: NDArray[np.bool_], low: Any, high: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ranks and knots of the smoothed quantile function of one mode.

    Values that many rows share have a step each. Between them the distribution function is
    linear between the midpoints of neighbouring values, and is kept at 17 ranks only: no knot is
    a value of few rows, but for the minimum and maximum of the column.
    """
    half = 0.0 if x.dtype.kind == "f" else 0.5  # an integer stands for the unit interval around it
    values = x if x.dtype.kind == "f" else (x - low).astype(np.float64)
    ends = (low, high) if x.dtype.kind == "f" else (-half, float(high - low) + half)
    middle = values[:-1] / 2 + values[1:] / 2
    begin = np.where(
        is_spike, values - half, np.append(ends[0], np.where(is_spike[:-1], values[:-1] + half, middle))
    )
    end = np.where(
        is_spike, values + half, np.append(np.where(is_spike[1:], values[1:] - half, middle), ends[1])
    )
    above = np.cumsum(mass)
    above, below = above / above[-1], np.append(0.0, above[:-1]) / above[-1]
    ranks, knots = np.column_stack([below, above]).ravel(), np.column_stack([begin, end]).ravel()
    keep = np.repeat(is_spike, 2)
    keep[[0, -1]] = True
    even = np.linspace(0, 1, N_CELLS + 1)[1:-1]
    smooth = even[~is_spike[np.searchsorted(above, even)] & ~np.isin(even, ranks[keep])]
    all_ranks = np.append(ranks[keep], smooth)
    all_knots = np.append(knots[keep], np.interp(smooth, ranks, knots))
    order = np.lexsort((all_knots, all_ranks))
    return all_ranks[order], all_knots[order]
