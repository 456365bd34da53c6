"""Codes and alphas as what networks of continuous values take: normal scores, and plain categories.

A cell of a numeric column becomes a rank (its code is an interval of ranks as wide as its share of the
table, alpha says where in it) and the rank a *score*, the normal quantile of it. Whatever a column
looks like, its scores are standard normal: spikes, tails and gaps are undone when scores are decoded. What is
no number (categories, the missing value beside a line of numbers, members of a group) is a category.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout, Permitted, Span

__all__ = ["NormalScores", "PermittedParts"]

MAX_LEVELS = 10  # so many ordered atoms are categories; more of them lie on a line
LEAST_SHARE = 1e-6  # of the ranks of its column, for any code: float32 scores tell ranks 3e-8 apart
MARGIN = 1e-7  # ranks stay so far inside their code, so that rounding leads into no other


@dataclass(frozen=True, eq=False)
class PermittedParts:
    """What `Permitted` says of one column, in terms of its score and its categories.

    Parameters
    ----------
    score : int or None
        Position of the column's score, if it has one.
    low, high : float arrays of shape (n_intervals,)
        Intervals of the score, ascending, disjoint; none if no number is permitted.
    categories : dict of int to bool array
        For some discrete parts, which of their categories are permitted.
    """

    score: int | None
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    categories: dict[int, NDArray[np.bool_]]


class NormalScores:
    """The way from an encoded table to scores and categories, and back.

    A column has a score if it has intervals, or more than ten codes in order. It then has a discrete
    part, its *state*, only if it has other codes too: 0 for a number, 1, 2, ... for the others. The discrete
    part of a column without a score is its code. A column with groups has one more: the member of
    the group, 0 where the code is none.

    Parameters
    ----------
    layout : Layout
    shares : float64 array of shape (layout.width,)
        Share of each code among those of its column's line, see `of`; all there is to learn.

    Attributes
    ----------
    score_spans : int array of shape (f,)
        Span of each score.
    part_spans : int array of shape (c,)
        Span of each discrete part.
    sizes : list of int
        Number of categories of each discrete part.

    Examples
    --------
    >>> line = Span("x", np.array([CONTINUOUS, ATOM, ATOM], np.int32), np.array([0, 1, np.nan], np.float32))
    >>> layout = Layout.of([line])
    >>> table = EncodedTable(np.array([[0], [0], [1], [1], [2]]), np.array([[0.0], [0], [0], [0], [0]]))
    >>> view = NormalScores.of(layout, table)
    >>> scores, codes = view.encode(table, np.random.default_rng(0))
    >>> round(float(scores[0, 0]), 3), bool((scores[2:4] > 0).all()), codes[:, 0].tolist()
    (-0.674, True, [0, 0, 0, 0, 1])
    >>> view.decode(scores, codes).codes[:, 0].tolist()
    [0, 0, 1, 1, 2]
    """

    def __init__(self, layout: Layout, shares: NDArray[np.float64]) -> None:
        self.layout = layout
        self.shares = shares
        self.lines = [_line(span) for span in layout.spans]
        self.score_spans = np.array([j for j, line in enumerate(self.lines) if len(line)], dtype=np.int64)
        self._members = [j for j, span in enumerate(layout.spans) if (span.n_levels > ATOM).any()]
        states = [j for j, span in enumerate(layout.spans) if self._n_states(span) > 0]
        self.sizes = [self._n_states(layout.spans[j]) for j in states]
        self.sizes += [int(layout.spans[j].n_levels.max()) for j in self._members]
        self._n_state_parts = len(states)
        self.part_spans = np.array(states + self._members, dtype=np.int64)
        flat = [span.n_levels for span in layout.spans]
        self._levels = np.concatenate([np.zeros(0, np.int32), *flat])  # (w,)
        self._state, self._of_state = self._number_states()
        self._low, self._high = self._ranks()

    @classmethod
    def of(cls, layout: Layout, table: EncodedTable) -> NormalScores:
        """Learn the shares of a table; a code that it lacks has a millionth of its line."""
        shares = np.zeros(layout.width)
        for j, (span, line) in enumerate(zip(layout.spans, map(_line, layout.spans), strict=True)):
            counts = np.bincount(table.codes[:, j], minlength=span.n_codes)[line]
            share = counts / max(int(counts.sum()), 1) + LEAST_SHARE
            shares[span.start + line] = share / max(share.sum(), LEAST_SHARE)
        return cls(layout, shares)

    def _n_states(self, span: Span) -> int:
        """Count the states of a column; none where every code is on the line."""
        n_others = span.n_codes - len(_line(span))
        return n_others + (0 < n_others < span.n_codes)

    def _number_states(self) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        """Return the state of each code, (w,), and for each span the code of each state, -1 for a number."""
        state = np.zeros(self.layout.width, dtype=np.int64)
        codes = []
        for span, line in zip(self.layout.spans, self.lines, strict=True):
            others = np.setdiff1d(np.arange(span.n_codes), line)
            numbered = np.append([-1] * bool(len(line)), others).astype(np.int64)
            state[span.start + others] = np.arange(len(others)) + bool(len(line))
            codes.append(numbered)
        return state, codes

    def _ranks(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the ranks of each code begin and end, (w,); 0 and 1 for codes that are on no line."""
        low, high = np.zeros(self.layout.width), np.ones(self.layout.width)
        for span, line in zip(self.layout.spans, self.lines, strict=True):
            edges = np.append(0.0, np.cumsum(self.shares[span.start + line]))
            edges /= max(edges[-1], LEAST_SHARE)
            low[span.start + line], high[span.start + line] = edges[:-1], edges[1:]
        return low, high

    def encode(
        self, table: EncodedTable, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Turn codes and alphas into scores and categories.

        Parameters
        ----------
        table : EncodedTable of n rows
        rng : numpy Generator
            Where in its interval of ranks an atom lies is drawn uniformly; the score of a cell that
            is no number is drawn from the standard normal distribution.

        Returns
        -------
        scores : float32 array of shape (n, f)
            In [-5.2, 5.2].
        codes : int64 array of shape (n, c)
            Category of each discrete part, in [0, size).
        """
        offsets = table.codes.astype(np.int64) + self.layout.starts  # (n, g)
        flat, alphas = (part[:, self.score_spans] for part in (offsets, table.alphas))
        place = np.where(self._levels[flat] == CONTINUOUS, (alphas + 1) / 2, rng.random(flat.shape))
        low, width = self._low[flat], self._high[flat] - self._low[flat]
        ranks = low + np.clip(place * width, MARGIN, np.maximum(width - MARGIN, MARGIN))
        spans = self.part_spans[: self._n_state_parts]
        codes = np.concatenate([self._state[offsets[:, spans]], self._members_of(offsets, table)], axis=1)
        return ndtri(ranks).astype(np.float32), codes

    def _members_of(self, offsets: NDArray[np.int64], table: EncodedTable) -> NDArray[np.int64]:
        """Return the member of each group, 0 for other codes, (n, number of spans with groups)."""
        n_members = np.maximum(self._levels[offsets[:, self._members]], 1)
        member = np.floor((table.alphas[:, self._members] + 1) / 2 * n_members).astype(np.int64)
        return np.where(n_members > 1, np.clip(member, 0, n_members - 1), 0)

    def decode(self, scores: NDArray[np.floating], codes: NDArray[np.int64]) -> EncodedTable:
        """Turn scores and categories back; total: any finite scores and any categories make a table.

        The alpha of a member is the middle of its cell; a member that the group lacks is its last one.
        """
        n_rows, spans = len(scores), self.layout.spans
        made, alphas = np.zeros((n_rows, len(spans)), np.int32), np.zeros((n_rows, len(spans)))
        ranks = ndtr(scores.astype(np.float64))
        for i, j in enumerate(self.score_spans):
            made[:, j], alphas[:, j] = self._decode_line(j, ranks[:, i])
        for k, j in enumerate(self.part_spans[: self._n_state_parts]):
            code = self._of_state[j][codes[:, k]]
            made[:, j] = np.where(code < 0, made[:, j], code)
            alphas[:, j] = np.where(code < 0, alphas[:, j], 0.0)
        for k, j in enumerate(self._members, start=self._n_state_parts):
            n_members = spans[j].n_levels[made[:, j]]
            member = (np.minimum(codes[:, k], n_members - 1) + 0.5) / np.maximum(n_members, 1) * 2 - 1
            alphas[:, j] = np.where(n_members > ATOM, member, alphas[:, j])
        return EncodedTable(made, alphas)

    def _decode_line(
        self, j: int, ranks: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return codes and alphas of the ranks of one column."""
        span, line = self.layout.spans[j], self.lines[j]
        low, high = self._low[span.start + line], self._high[span.start + line]
        at = np.searchsorted(high[:-1], ranks, side="right")
        place = (ranks - low[at]) / np.maximum(high[at] - low[at], LEAST_SHARE)
        alphas = np.clip(2 * place - 1, -1, 1)
        return line[at], np.where(span.n_levels[line[at]] == CONTINUOUS, alphas, 0.0)

    def permitted(self, j: int, permitted: Permitted) -> PermittedParts:
        """Say what the score and the categories of span j may be."""
        span, line = self.layout.spans[j], self.lines[j]
        on_line = np.isin(permitted.codes, line)
        low, high = _union(*self._intervals(j, permitted))
        categories = {}
        for k, i in enumerate(self.part_spans):
            if i == j and k < self._n_state_parts:
                categories[k] = np.isin(self._of_state[j], permitted.codes)
                if on_line.any():
                    categories[k][self._of_state[j] < 0] = True
            elif i == j:
                members = self._permitted_members(span, permitted)
                categories[k] = np.asarray(members.any(axis=0))
                if (span.n_levels[permitted.codes] <= ATOM).any():
                    categories[k][0] = True
        found = np.flatnonzero(self.score_spans == j)
        return PermittedParts(int(found[0]) if len(found) else None, ndtri(low), ndtri(high), categories)

    def _intervals(self, j: int, permitted: Permitted) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the intervals of ranks of those permitted codes that are on the line."""
        on_line = np.isin(permitted.codes, self.lines[j])
        code = permitted.codes[on_line]
        flat = self.layout.spans[j].start + code
        is_whole = self._levels[flat] != CONTINUOUS
        first = np.where(is_whole, 0.0, (permitted.low[on_line] + 1) / 2)
        last = np.where(is_whole, 1.0, (permitted.high[on_line] + 1) / 2)
        width = self._high[flat] - self._low[flat]
        return tuple(  # type: ignore[return-value]
            self._low[flat] + np.clip(end * width, MARGIN, np.maximum(width - MARGIN, MARGIN))
            for end in (first, last)
        )

    def _permitted_members(self, span: Span, permitted: Permitted) -> NDArray[np.bool_]:
        """Tell which members of each code are permitted, (n_codes, most members)."""
        n_cells = np.maximum(span.n_levels, 1).astype(np.int64)
        share, _, _ = permitted.by_cell(n_cells, span.n_levels > ATOM)
        return (share > 0) & (span.n_levels > ATOM)[:, None]

    def impose(self, table: EncodedTable, permitted: dict[int, Permitted]) -> EncodedTable:
        """Move cells that are not permitted to the nearest place that is: by rank, or in the same group.

        Of columns that were drawn within `PermittedParts` that changes what rounding did, and
        members that their group does not permit.
        """
        codes, alphas = table.codes.copy(), table.alphas.copy()
        for j, one in permitted.items():
            distance = self._distances(j, one, codes[:, j], alphas[:, j])  # (n, n_intervals)
            at = distance.argmin(axis=1)
            low, high = one.low[at], one.high[at]
            levels = self.layout.spans[j].n_levels[one.codes[at]]
            is_outside = (alphas[:, j] < low) | (alphas[:, j] > high) | (codes[:, j] != one.codes[at])
            middle = np.where(is_outside, (low + high) / 2, alphas[:, j])
            clipped = np.clip(np.where(codes[:, j] == one.codes[at], alphas[:, j], middle), low, high)
            codes[:, j] = one.codes[at]
            alphas[:, j] = np.where(levels == CONTINUOUS, clipped, np.where(levels > ATOM, middle, 0.0))
        return EncodedTable(codes, alphas)

    def _distances(
        self, j: int, permitted: Permitted, codes: NDArray[np.int32], alphas: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far cells are from each interval, (n, n_intervals); 2 where nothing relates them."""
        line, start = self.lines[j], self.layout.spans[j].start
        beyond = np.maximum(permitted.low - alphas[:, None], alphas[:, None] - permitted.high).clip(min=0)
        is_atom = self._levels[start + permitted.codes] == ATOM
        distance = np.where(codes[:, None] == permitted.codes, np.where(is_atom, 0.0, beyond * MARGIN), 2.0)
        on_line = np.flatnonzero(np.isin(permitted.codes, line))
        low, high = self._intervals(j, permitted)
        flat = start + codes.astype(np.int64)
        rank = (self._low[flat] + (alphas + 1) / 2 * (self._high[flat] - self._low[flat]))[:, None]
        apart = np.maximum(low - rank, rank - high).clip(min=0) + MARGIN
        rows = np.flatnonzero(np.isin(codes, line))
        distance[np.ix_(rows, on_line)] = np.minimum(distance[np.ix_(rows, on_line)], apart[rows])
        return distance


def _line(span: Span) -> NDArray[np.int64]:
    """Return the codes of a column that have ranks, in order; none if it has few codes, all of them atoms.

    >>> _line(Span("a", np.array([1, 0, 1, 1], np.int32), np.array([1, 0.5, 0, np.nan], np.float32)))
    array([2, 1, 0])
    """
    ranked = ((span.n_levels == CONTINUOUS) | ~np.isnan(span.position)) & (span.n_levels <= ATOM)
    if not (span.n_levels == CONTINUOUS).any() and ranked.sum() <= MAX_LEVELS:
        return np.zeros(0, dtype=np.int64)
    codes = np.flatnonzero(ranked)
    return codes[np.argsort(span.position[codes], kind="stable")].astype(np.int64)  # NaN comes last


def _union(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Join intervals of ranks that touch, up to margins.

    >>> [part.tolist() for part in _union(np.array([0.5, 0.0]), np.array([0.75, 0.5]))]
    [[0.0], [0.75]]
    """
    order = np.argsort(low, kind="stable")
    low, high = low[order], np.maximum.accumulate(high[order])
    is_first = np.append(True, low[1:] > high[:-1] + 4 * MARGIN)[: len(low)]
    is_last = np.append(is_first[1:], True)[: len(low)]
    return low[is_first], high[is_last]
