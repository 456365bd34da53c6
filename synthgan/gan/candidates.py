"""Rows that meet conditions from a generator that knows one condition at a time: choose, then impose.

A generator makes several candidates for each row that is asked for. Each row takes the candidate that
agrees best with its known cells and with what the others may be; what still differs is then set. The more
of its conditions a candidate meets by itself, the better its other cells go with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgan.layout import ATOM, CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted, Span

__all__ = ["PermittedCells", "agreement", "best_candidates", "impose"]

N_CELLS = 16  # cells that the alpha of a mode is cut into where a part of it is permitted
_OWN = 1e-3  # what a row's own candidates are preferred by: less than any condition, more than rounding
_NEAR = 0.004  # what a candidate as good as the best may lack in agreement: half a deviation of its mode
_MOST_USES = 8
_CHUNK = 2**22  # cells of a matrix of rows and candidates, 16 MB
_RARE = 1e-12  # frequency of what is permitted but was never seen


@dataclass(frozen=True, eq=False)
class PermittedCells:
    """What the cells of one column of k codes may be, in up to c cells of alpha a code.

    Parameters
    ----------
    share, first, last : float arrays of shape (k, c)
        As `Permitted.by_cell` returns them.
    n_cells : int array of shape (k,)
        Cells of each code.
    """

    share: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    n_cells: NDArray[np.int64]

    @classmethod
    def of(cls, span: Span, permitted: Permitted) -> PermittedCells:
        """Cut the permitted intervals of a span into cells; a member of a group is permitted as a whole."""
        n_cells = np.where(span.n_levels == CONTINUOUS, N_CELLS, span.n_levels).astype(np.int64)
        is_group = span.n_levels > ATOM
        share, first, last = permitted.by_cell(n_cells, is_group)
        first[is_group], last[is_group] = 0.0, 1.0
        return cls(share, first, last, n_cells)

    def contain(self, codes: NDArray[np.int32], alphas: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which cells are permitted, (n,)."""
        n_cells = self.n_cells[codes]
        unit = (alphas + 1) / 2 * n_cells
        cell = np.clip(unit.astype(np.int64), 0, n_cells - 1)
        low, high = self.first[codes, cell], self.last[codes, cell]
        inside = (low - 1e-9 <= unit - cell) & (unit - cell <= high + 1e-9)
        return (self.share[codes, cell] > 0) & inside

    def draw(
        self, frequency: NDArray[np.float64], n_rows: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw permitted codes by their frequency, (k,), and a place in them; both of shape (n_rows,)."""
        weight = (frequency + _RARE)[:, None] * self.share / self.n_cells[:, None]
        drawn = rng.choice(weight.size, n_rows, p=weight.ravel() / weight.sum())
        codes, cells = np.divmod(drawn, self.share.shape[1])
        low, high = self.first[codes, cells], self.last[codes, cells]
        alphas = (cells + low + (high - low) * rng.random(n_rows)) / self.n_cells[codes] * 2 - 1
        return codes, np.where(self.n_cells[codes] == 1, 0.0, alphas)


def agreement(layout: Layout, pool: EncodedTable, conditions: EncodedConditions) -> NDArray[np.float32]:
    """How well each of m candidates agrees with each of n rows of conditions, shape (n, m).

    A known cell counts 1 if the candidate has its code, less a quarter of the squared difference of the
    alphas; a permitted one 1 if it is permitted. All are products of one-hots, and the squares of
    differences a^2 - 2 a b + b^2 of such: one product of matrices.

    Examples
    --------
    >>> atoms = lambda name: Span(name, np.full(3, ATOM, np.int32), np.full(3, np.nan, np.float32))
    >>> layout = Layout.of([atoms("a"), atoms("b")])
    >>> pool = EncodedTable(np.array([[0, 0], [0, 1], [2, 2]], np.int32), np.zeros((3, 2)))
    >>> row = EncodedTable(np.array([[0, 1]], np.int32), np.zeros((1, 2)))
    >>> agreement(layout, pool, EncodedConditions(row, np.array([[True, True]]), {})).tolist()
    [[1.0, 2.0, 0.0]]
    """
    asked: list[NDArray[Any]] = []
    offered: list[NDArray[Any]] = []
    for j, span in enumerate(layout.spans):
        known = conditions.known[:, j]
        if known.any():
            ours, theirs = (_one_hot(table, j, span.n_codes) for table in (conditions.table, pool))
            b, a = (table.alphas[:, [j]].astype(np.float32) for table in (conditions.table, pool))
            ours *= known[:, None]
            asked.append(ours * (1 - b**2 / 4))
            offered.append(theirs)
            fine = np.flatnonzero(span.n_levels != ATOM)
            ours, theirs = ours[:, fine], theirs[:, fine]
            asked += [ours * b / 2, -ours / 4]
            offered += [theirs * a, theirs * a**2]
        if j in conditions.permitted and not known.all():
            cells = PermittedCells.of(span, conditions.permitted[j])
            asked.append(~known[:, None])
            offered.append(cells.contain(pool.codes[:, j], pool.alphas[:, j])[:, None])
    if not asked:
        return np.zeros((len(conditions.table), len(pool)), np.float32)
    ours, theirs = (np.concatenate(parts, axis=1, dtype=np.float32) for parts in (asked, offered))
    found: NDArray[np.float32] = ours @ theirs.T
    return found


def _one_hot(table: EncodedTable, j: int, n_codes: int) -> NDArray[np.float32]:
    found: NDArray[np.bool_] = table.codes[:, j, None] == np.arange(n_codes)
    return found.astype(np.float32)


def best_candidates(
    layout: Layout, pool: EncodedTable, conditions: EncodedConditions, n_rows: int
) -> NDArray[np.int64]:
    """Choose one of m candidates for each row, shape (n_rows,).

    Where one row of conditions stands for all, these are the best `n_rows` candidates; if fewer meet the
    conditions, those that do serve several rows, up to eight. Otherwise each row takes the best one, its own
    before others that are as good: the i-th of m / n_rows consecutive ones. Two rows may take the same.

    Parameters
    ----------
    layout : Layout
    pool : EncodedTable of m rows
        m is a multiple of `n_rows`.
    conditions : EncodedConditions of 1 row or of `n_rows`
    """
    if len(conditions.table) == 1:
        found = agreement(layout, pool, conditions)[0]
        n_good = int((found > found.max() - _NEAR).sum())
        n_used = min(max(n_good, n_rows // _MOST_USES), n_rows)
        return np.resize(np.argsort(-found, kind="stable")[:n_used], n_rows)
    n_own = len(pool) // n_rows
    chosen = []
    for rows in np.array_split(np.arange(n_rows), -(-n_rows * len(pool) // _CHUNK)):
        found = agreement(layout, pool, conditions.rows(rows))
        own = rows[:, None] * n_own + np.arange(n_own)
        found[np.arange(len(rows))[:, None], own] += _OWN
        chosen.append(found.argmax(axis=1))
    return np.concatenate(chosen)


def impose(
    layout: Layout,
    table: EncodedTable,
    conditions: EncodedConditions,
    frequency: NDArray[np.float64],
    rng: np.random.Generator,
) -> EncodedTable:
    """Set known cells to what they are, and others that are not permitted to what is.

    Parameters
    ----------
    layout : Layout
    table : EncodedTable of n rows
    conditions : EncodedConditions of 1 row or of n
    frequency : float array of shape (w,)
        How often each code is drawn where it is permitted and the cell of the table is not.
    rng : numpy Generator
    """
    codes, alphas = table.codes.copy(), table.alphas.copy()
    for j, permitted in conditions.permitted.items():
        span = layout.spans[j]
        cells = PermittedCells.of(span, permitted)
        new = np.flatnonzero(~cells.contain(codes[:, j], alphas[:, j]))
        codes[new, j], alphas[new, j] = cells.draw(frequency[span.start : span.stop], len(new), rng)
    return EncodedTable(
        np.where(conditions.known, conditions.table.codes, codes),
        np.where(conditions.known, conditions.table.alphas, alphas),
    )
