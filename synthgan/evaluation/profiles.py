"""The distribution of each column in both tables, as the report draws it.

Coded tables enter, counts per bin or category leave: aggregates, no rows, and
no category that only a few rows of the real table have.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.evaluation.tables import CodedTable

__all__ = ["Bars", "Histogram", "Profile", "profile_columns"]

N_BARS = 12  # most frequent categories that are shown; the rest is pooled
MIN_ROWS = 5  # of the real table that have a category which is shown; fewer might be single people
_MAX_BINS = 40
_AXES = dict.fromkeys("iuf", (-1e100, 1e100)) | {"m": (-9e12, 9e12), "M": (-6.2e10, 2.5e11)}
"""Least and greatest value of an axis; dates between the years 5 and 9892, in seconds since 1970."""
_MAX_STEPS = 60  # whole numbers with a range up to this get a bin each


@dataclass(frozen=True)
class Bars:
    """Shares of the most frequent categories.

    Parameters
    ----------
    labels : tuple of str
        Categories by their frequency in the real table, at most 12, each of at
        least 5 real rows; untrusted text.
    real, synthetic : tuple of float
        Share of the observed cells, in [0, 1].
    rest : tuple of (int, float, float)
        How many further categories there are, rarer ones and those of the
        synthetic table alone, and their shares.
    """

    labels: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    rest: tuple[int, float, float]


@dataclass(frozen=True)
class Histogram:
    """Shares of bins that both tables use.

    Parameters
    ----------
    edges : array of shape (n_bins + 1,), float64 or datetime64
        The first and the last bin hold everything beyond, too.
    real, synthetic : array of shape (n_bins,)
        Share of the observed cells.
    """

    edges: NDArray[Any]
    real: NDArray[np.float64]
    synthetic: NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """One column in both tables; `shape` is None if neither has a value."""

    name: Hashable
    shape: Bars | Histogram | None


def profile_columns(real: CodedTable, synthetic: CodedTable) -> tuple[Profile, ...]:
    """Count bins or categories of each column."""
    profiles = []
    for name in real.domain.names:
        shape: Bars | Histogram | None = None
        if len(real.domain.levels[name]):
            shape = (_histogram if real.domain.is_ordered(name) else _bars)(real, synthetic, name)
        profiles.append(Profile(name, shape))
    return tuple(profiles)


def _bars(real: CodedTable, synthetic: CodedTable, name: Hashable) -> Bars:
    """Take the most frequent categories of the real table."""
    counts = np.stack([real.counts(name)[1:], synthetic.counts(name)[1:]])
    order = np.lexsort((-counts[1], -counts[0]))
    shares = counts[:, order] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n_shown = min(N_BARS, int((counts[0] >= MIN_ROWS).sum()))
    rest = shares[:, n_shown:].sum(axis=1)
    return Bars(
        tuple(str(level) for level in real.domain.levels[name][order[:n_shown]]),
        tuple(shares[0, :n_shown].tolist()),
        tuple(shares[1, :n_shown].tolist()),
        (len(order) - n_shown, float(rest[0]), float(rest[1])),
    )


def _histogram(real: CodedTable, synthetic: CodedTable, name: Hashable) -> Histogram | None:
    """Bin both tables alike, between the 0.5 % and 99.5 % points of both together."""
    levels = real.domain.levels[name]
    values = _seconds(levels) if levels.dtype.kind in "mM" else levels.astype(np.float64)
    counts = np.stack([real.counts(name)[1:], synthetic.counts(name)[1:]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    below = np.cumsum(shares.sum(axis=0)) / max(shares.sum(), 1e-300)
    low, high = values[np.minimum(np.searchsorted(below, [0.005, 0.995]), len(values) - 1)].tolist()
    if low < _AXES[levels.dtype.kind][0] or high > _AXES[levels.dtype.kind][1]:
        return None  # beyond what an axis can show
    if levels.dtype.kind == "M" and high - low < 60:  # an axis of dates needs some days
        low, high = low - 86_400, high + 86_400
    edges = _edges(low, high, whole=levels.dtype.kind in "iu")
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    shown = (edges * 1e6).astype(f"{levels.dtype.kind}8[us]") if levels.dtype.kind in "mM" else edges
    first, second = (np.bincount(place, share, len(edges) - 1).astype(np.float64) for share in shares)
    return Histogram(shown, first, second)


def _seconds(times: NDArray[Any]) -> NDArray[np.float64]:
    """Give dates or durations in seconds."""
    unit = np.datetime_data(times.dtype)[0]
    tick = np.timedelta64(1, unit) / np.timedelta64(1, "s")  # type: ignore[call-overload]
    return np.asarray(times.astype(np.int64) * tick, dtype=np.float64)


def _edges(low: float, high: float, *, whole: bool) -> NDArray[np.float64]:
    """Give bin edges; between whole numbers, so that every bin holds equally many of them."""
    if whole and max(abs(low), abs(high)) < 2**52:
        width = 1.0 if high - low <= _MAX_STEPS else np.ceil((high - low + 1) / _MAX_BINS)
        return low - 0.5 + width * np.arange(np.ceil((high - low + 1) / width) + 1)
    if low == high:
        margin = max(0.5, abs(low) * 1e-6)
        return np.array([low - margin, high + margin])
    return np.linspace(low, high, _MAX_BINS + 1)
