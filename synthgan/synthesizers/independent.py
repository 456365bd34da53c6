"""The floor: every column on its own, no relation between any two.

A model that does not clearly beat this one has learned no more than histograms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synthgan.constraints import Constraint
from synthgan.errors import ModelFileError
from synthgan.layout import ATOM, CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted, Span
from synthgan.params import Choice, Instance, Rule
from synthgan.seeding import RandomState
from synthgan.synthesizers.base import CONSTRAINTS_RULE, State, drawn_in_blocks
from synthgan.synthesizers.likelihood import LikelihoodMixin

__all__ = ["IndependentSynthesizer"]

N_CELLS = 16  # cells that the alpha of a mode is cut into where a part of it is permitted, or scored
_RARE = 1e-12  # frequency of what is permitted but was never seen


class IndependentSynthesizer(LikelihoodMixin):
    """Draw every column from its own distribution, independently of the others.

    It keeps what each column looks like and loses every relation between columns: the
    lower bound that any other model must beat.

    Parameters
    ----------
    kinds : dict, optional
        Column name to kind ("numerical", "categorical", "boolean", "datetime",
        "timedelta", "identifier", "constant") where the inferred kind is wrong.
    constraints : "auto", list of Constraint or None, default None
        Rules that every sampled row keeps: those that the table supports beyond chance, or exactly
        these. By default none, as befits a floor.
    random_state : int, numpy generator or None
        Seed of `fit`. The columns' encodings are all that may depend on it.

    Attributes
    ----------
    frequencies_ : list of float arrays, one a modelled column, each of shape (n_codes,)
        Share of each code in the real table; sums to 1.
    cells_ : list of dicts, one a modelled column
        For codes that stand for several rare values, the share of each member, shape (n_levels,).
    schema_, constraints_, codec_, seed_, n_rows_ :
        See `BaseSynthesizer`.

    Examples
    --------
    >>> import pandas as pd
    >>> real = pd.DataFrame({"sex": ["f", "m", "f", "f"], "age": [31, 42, 31, 42]})
    >>> model = IndependentSynthesizer(random_state=0).fit(real)
    >>> model.sample(100, random_state=1)["age"].isin([31, 42]).all().item()
    True
    """

    _codec_options: ClassVar[dict[str, Any]] = {"relations": False}  # "as in column k" says nothing alone
    _n_cells = N_CELLS
    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "kinds": (Choice((None,)), Instance((Mapping,), "a dict of column names and kinds")),
        "constraints": CONSTRAINTS_RULE,
    }

    def __init__(
        self,
        kinds: Mapping[Any, str] | None = None,
        constraints: str | Sequence[Constraint] | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.kinds = kinds
        self.constraints = constraints
        self.random_state = random_state

    def _learn(self, encoded: EncodedTable, layout: Layout, seed: int) -> None:  # noqa: ARG002
        learned = [
            _histogram(span, encoded.codes[:, j], encoded.alphas[:, j]) for j, span in enumerate(layout.spans)
        ]
        self.frequencies_ = [frequencies for frequencies, _ in learned]
        self.cells_ = [cells for _, cells in learned]

    def _draw(self, rows: Any, seed: int, conditions: EncodedConditions | None) -> EncodedTable:
        return drawn_in_blocks(self._draw_block, rows, seed, conditions)

    def _draw_block(
        self, n_samples: int, rng: np.random.Generator, conditions: EncodedConditions | None
    ) -> EncodedTable:
        spans = self.codec_.layout_.spans
        codes = np.zeros((n_samples, len(spans)), dtype=np.int32)
        alphas = np.zeros((n_samples, len(spans)))
        permitted = {} if conditions is None else conditions.permitted
        for j in range(len(spans)):
            if j in permitted:
                codes[:, j], alphas[:, j] = self._draw_permitted(j, n_samples, rng, permitted[j])
            else:
                codes[:, j], alphas[:, j] = self._draw_column(j, n_samples, rng)
        if conditions is not None:
            codes = np.where(conditions.known, conditions.table.codes, codes)
            alphas = np.where(conditions.known, conditions.table.alphas, alphas)
        return EncodedTable(codes, alphas)

    def _draw_column(
        self, j: int, n_samples: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        span = self.codec_.layout_.spans[j]
        codes = rng.choice(span.n_codes, n_samples, p=self.frequencies_[j])
        alphas = np.where(span.n_levels[codes] == ATOM, 0.0, rng.uniform(-1, 1, n_samples))
        for code, shares in self.cells_[j].items():
            members = codes == code
            cells = rng.choice(len(shares), int(members.sum()), p=shares)
            alphas[members] = (cells + 0.5) / len(shares) * 2 - 1
        return codes, alphas

    def _draw_permitted(
        self, j: int, n_samples: int, rng: np.random.Generator, permitted: Permitted
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw among the cells that are permitted, each by its frequency times the share permitted."""
        span = self.codec_.layout_.spans[j]
        n_cells = np.where(span.n_levels == CONTINUOUS, N_CELLS, span.n_levels)
        share, first, last = permitted.by_cell(n_cells, span.n_levels > ATOM)  # (k, c)
        inside = np.where(np.arange(share.shape[1]) < n_cells[:, None], 1 / n_cells[:, None], 0.0)
        for code, shares in self.cells_[j].items():
            inside[code, : len(shares)] = shares
        weight = (self.frequencies_[j][:, None] + _RARE) * (inside + _RARE) * share
        drawn = rng.choice(weight.size, n_samples, p=weight.ravel() / weight.sum())
        codes, cells = np.divmod(drawn, share.shape[1])
        low, high = first[codes, cells], last[codes, cells]
        alphas = (cells + low + (high - low) * rng.random(n_samples)) / n_cells[codes] * 2 - 1
        return codes, np.where(span.n_levels[codes] == ATOM, 0.0, alphas)

    def _log_likelihood(self, table: EncodedTable, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Add the log frequencies of codes and members; what was coded but never seen is `_RARE`."""
        total = np.zeros(len(table))
        for j, span in enumerate(self.codec_.layout_.spans):
            codes, alphas = table.codes[:, j], table.alphas[:, j]
            share = self.frequencies_[j][codes] / np.where(span.n_levels[codes] == CONTINUOUS, N_CELLS, 1)
            for code, shares in self.cells_[j].items():
                members = np.flatnonzero(codes == code)
                cells = np.floor((alphas[members] + 1) / 2 * len(shares)).astype(np.int64)
                share[members] *= shares[np.clip(cells, 0, len(shares) - 1)]
            total += np.log(np.maximum(share, _RARE)) * known[:, j]
        return total

    def _state(self) -> State:
        arrays = {f"{j}.frequencies": values for j, values in enumerate(self.frequencies_)}
        for j, cells in enumerate(self.cells_):
            arrays |= {f"{j}.cells.{code}": shares for code, shares in cells.items()}
        return {}, arrays

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:  # noqa: ARG002
        frequencies, cells = [], []
        for j, span in enumerate(self.codec_.layout_.spans):
            frequencies.append(_shares(arrays, f"{j}.frequencies", span.n_codes))
            groups = np.flatnonzero(span.n_levels > ATOM).tolist()
            cells.append({c: _shares(arrays, f"{j}.cells.{c}", int(span.n_levels[c])) for c in groups})
        self.frequencies_, self.cells_ = frequencies, cells


def _histogram(
    span: Span, codes: NDArray[np.int32], alphas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Count the codes of one column and, inside a group, its members; shares sum to 1."""
    frequencies = np.bincount(codes, minlength=span.n_codes) / len(codes)
    cells = {}
    for code in np.flatnonzero(span.n_levels > ATOM).tolist():
        n_levels = int(span.n_levels[code])
        inside = (alphas[codes == code] + 1) / 2 * n_levels
        counts = np.bincount(np.clip(inside.astype(np.int64), 0, n_levels - 1), minlength=n_levels)
        cells[code] = counts / counts.sum() if counts.any() else np.full(n_levels, 1 / n_levels)
    return frequencies, cells


def _shares(arrays: dict[str, NDArray[Any]], name: str, size: int) -> NDArray[np.float64]:
    """Take a distribution out of a model file or refuse it."""
    shares = arrays.get(name)
    if shares is None or shares.shape != (size,) or shares.dtype != np.float64:
        raise ModelFileError(f"is damaged: it has no {name!r} of {size} numbers.")
    if shares.min(initial=0) < 0 or abs(shares.sum() - 1) > 1e-9:
        raise ModelFileError(f"is damaged: {name!r} is no distribution.")
    return shares
