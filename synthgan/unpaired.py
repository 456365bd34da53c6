"""Two tables of one schema, without pairs of rows: which cells are translated, and which rows meet.

`Split` goes between the scores and codes of a table (`NormalScores`) and what the networks of
`synthgan.gan.translation` see; `groups_of` says which rows of the tables may be compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from synthgan.errors import DataError
from synthgan.gan.translation import RowForm, UnpairedRows
from synthgan.layout import ATOM
from synthgan.schema import Schema, joined
from synthgan.transforms.scores import NormalScores

__all__ = ["Split", "groups_of", "pooled"]

_EDGES = ndtri(np.array([0.2, 0.4, 0.6, 0.8]))  # kept numbers are paired by fifths
_SHARED = 0.9  # of the rows of both tables must be in groups that both have


@dataclass(frozen=True)
class Split:
    """Which columns of the rows are translated; the others are kept.

    Parameters
    ----------
    view : NormalScores
    moves : bool array of shape (g,)
        For each column of the layout whether it is translated.
    """

    view: NormalScores
    moves: NDArray[np.bool_]

    @property
    def scores(self) -> NDArray[np.bool_]:
        """Which scores are translated, (f,)."""
        return self.moves[self.view.score_spans]

    @property
    def parts(self) -> NDArray[np.bool_]:
        """Which discrete parts are translated, (c,)."""
        return self.moves[self.view.part_spans]

    @property
    def form(self) -> RowForm:
        """What the networks see: scores and parts that are translated, then what is kept."""
        sizes = np.array(self.view.sizes, dtype=np.int64)
        n_kept = int((~self.scores).sum() + sizes[~self.parts].sum())
        return RowForm(int(self.scores.sum()), tuple(sizes[self.parts].tolist()), n_kept)

    def rows(self, scores: NDArray[np.float32], codes: NDArray[np.int64]) -> UnpairedRows:
        """Take the cells of rows apart, as tensors."""
        kept = [scores[:, ~self.scores]]
        for k in np.flatnonzero(~self.parts):
            kept.append(np.eye(self.view.sizes[k], dtype=np.float32)[codes[:, k]])
        arrays = scores[:, self.scores], codes[:, self.parts], np.concatenate(kept, axis=1)
        return UnpairedRows(*map(torch.from_numpy, arrays))

    def classes(self, scores: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Describe what is kept of rows by few values: categories, and the fifths of numbers."""
        return np.concatenate(
            [codes[:, ~self.parts], np.searchsorted(_EDGES, scores[:, ~self.scores])], axis=1
        )

    def stays(
        self, same_code: NDArray[np.bool_], same_score: NDArray[np.bool_]
    ) -> dict[Hashable, NDArray[np.bool_]]:
        """Tell for each translated column which of its cells did not move, (n,) each.

        Values outside the range of the fitted tables come back from their code clipped: those
        that did not move are better taken from the frame. Members of a group share its code.
        """
        same = same_code.copy()
        same[:, self.view.score_spans] &= same_score
        same[:, [(span.n_levels > ATOM).any() for span in self.view.layout.spans]] = False
        return {self.view.layout.columns[j]: same[:, j] for j in np.flatnonzero(self.moves)}


def groups_of(
    source: NDArray[np.int64], target: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group rows by as many columns as possible, such that most rows are in groups that both tables have.

    Parameters
    ----------
    source, target : int arrays of shape (n, q) and (n', q)

    Returns
    -------
    int arrays of shape (n,) and (n',)
        Number of the group. A column that would leave more than a tenth of either table in groups that
        the other lacks is passed over; without columns, all rows are in group 0.

    Examples
    --------
    >>> one, other = np.array([[0, 7], [1, 8]]), np.array([[1, 5], [0, 6]])   # 7, 8, 5, 6 are not shared
    >>> [groups.tolist() for groups in groups_of(one, other)]
    [[0, 1], [1, 0]]
    """
    both, n_source = np.concatenate([source, target]), len(source)
    groups = np.zeros(len(both), dtype=np.int64)
    for column in both.T:
        _, finer = np.unique(np.stack([groups, column], axis=1), axis=0, return_inverse=True)
        finer = finer.reshape(-1)
        tables = finer[:n_source], finer[n_source:]
        if min(np.isin(*tables).mean(), np.isin(*tables[::-1]).mean()) >= _SHARED:
            groups = finer
    return groups[:n_source], groups[n_source:]


def pooled(source: Any, target: Any, kinds: Mapping[Any, str] | None) -> tuple[Schema, pd.DataFrame]:
    """Put the tables one below the other; what identifies rows within one of them is an identifier."""
    schema = Schema.infer(source, kinds)
    try:
        target = schema.check(target)
        declared = dict(kinds or {})
        for one in (schema, Schema.infer(target, kinds)):
            declared |= {name: kind for name, kind in one.kinds.items() if kind == "identifier"}
    except DataError as error:
        raise DataError(f"The target must be a table like the source. {error}") from error
    both = joined([schema.check(source), target])
    return Schema.infer(both, declared), both
