"""`TabularDiffusion`, the baseline that is no GAN: Gaussian and multinomial diffusion of a table's rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from synthgan.constraints import Constraint
from synthgan.diffusion.denoiser import Rows, TableDenoiser
from synthgan.diffusion.sampling import Given, draw
from synthgan.diffusion.training import DiffusionPlan, train_denoiser
from synthgan.gan.precision import PRECISIONS
from synthgan.gan.run import Run
from synthgan.gan.training import set_apart
from synthgan.layout import ATOM, CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted
from synthgan.params import Choice, Instance, Interval, Rule
from synthgan.seeding import RandomState
from synthgan.synthesizers.base import CONSTRAINTS_RULE
from synthgan.synthesizers.neural import NeuralSynthesizer
from synthgan.transforms.scores import NormalScores

__all__ = ["TabularDiffusion"]

_ENOUGH = 64  # permitted rows in a block of 2,048 that may stand for all


class TabularDiffusion(NeuralSynthesizer):
    """Diffusion model of mixed-type rows, in the manner of TabDDPM.

    Numbers become standard normal scores and are diffused by Gaussian noise, categories by noise over
    their values; one network learns to undo both. Rows are drawn by going back from noise step by step.
    A baseline for comparison: simple to train, without a critic and without collapse, slow to sample, and
    without a likelihood.

    Parameters
    ----------
    kinds : dict, optional
        Column name to kind ("numerical", "categorical", "boolean", "datetime", "timedelta",
        "identifier", "constant") where the inferred kind is wrong, for example for integer codes.
    constraints : "auto", list of Constraint or None, default "auto"
        Rules that every sampled row keeps exactly: those that the table supports beyond chance (see
        `synthgan.constraints.detect`), or exactly these.
    max_modes : int in [1, 1000], default 50
        Most intervals that the values of a numeric column are cut into; how finely its distribution is
        described.
    hidden_dim : int >= 8, default 256
        Width of the network.
    n_blocks : int in [1, 64], default 3
        Its residual blocks.
    n_diffusion_steps : int >= 1, default 50
        Steps from noise to a row. Sampling takes time in proportion; training does not depend on it.
    n_steps : int >= 1, optional
        Steps of training. By default 4 times the root of the number of cells of the table, but at least 500
        and at most 10,000.
    batch_size : int >= 8, default 512
        Rows in a step of training.
    learning_rate, weight_decay : float, default 4e-3 and 0.01
        Of AdamW.
    conditional_share : float in [0, 1], default 0.5
        Share of a batch that is trained with some columns known, for conditions and `impute`.
    heldout_fraction : float in [0, 0.5], default 0.05
        Share of the rows (at most 2,000) kept out of training, to choose the best weights by. At 0 all rows
        are learned, and up to 2,000 of them choose.
    patience : int >= 1, default 6
        Stop when the held-out loss has not fallen in so many of the 24 intervals.
    max_seconds : float > 0, optional
        Budget for training, to which the schedule of the learning rate is fitted. With a budget, equal
        seeds no longer give equal models.
    device : str, default "auto"
        "cpu", "cuda" or another torch device; "auto" takes a GPU if there is one.
    precision : "auto", "float32" or "bfloat16", default "auto"
        Of matrix products, in training and sampling, as in `TabularGAN`.
    verbose : bool, default False
        Show a progress bar on stderr.
    random_state : int, numpy generator or None
        Seed of `fit`. The same int gives the same model on CPU at one number of threads.

    Attributes
    ----------
    schema_ : Schema
        Columns, kinds and dtypes of the fitted table.
    constraints_ : list of Constraint
        The rules that every sampled row keeps, bound to the fitted table.
    history_ : DataFrame
        The training curves, one row an interval: ``phase``, ``step``, ``seconds`` since the start, ``rate``
        (factor on the learning rates, halved each time that training went back), ``loss``
        and ``heldout_loss``: mean over the numbers (squared error, 1 if nothing is learned) and
        categories (nats) of a row.
    n_rows_, seed_ : int
        Rows seen by `fit`, and the seed used.

    References
    ----------
    Kotelnikov et al. (2023), "TabDDPM: Modelling Tabular Data with Diffusion Models"; Ho et al. (2020),
    "Denoising Diffusion Probabilistic Models"; Hoogeboom et al. (2021), "Argmax Flows and Multinomial
    Diffusion"; Salimans & Ho (2022), "Progressive Distillation for Fast Sampling of Diffusion Models".

    Examples
    --------
    >>> from synthgan import TabularDiffusion, datasets                      # doctest: +SKIP
    >>> real, holdout = datasets.load_adult()                                # doctest: +SKIP
    >>> model = TabularDiffusion(random_state=0).fit(real)                   # doctest: +SKIP
    >>> model.sample(5, conditions={"sex": "Female"}, random_state=1)        # doctest: +SKIP
    """

    _codec_parameters = ("max_modes",)

    def __init__(
        self,
        *,
        kinds: Mapping[Any, str] | None = None,
        constraints: str | Sequence[Constraint] | None = "auto",
        max_modes: int = 50,
        hidden_dim: int = 256,
        n_blocks: int = 3,
        n_diffusion_steps: int = 50,
        n_steps: int | None = None,
        batch_size: int = 512,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.01,
        conditional_share: float = 0.5,
        heldout_fraction: float = 0.05,
        patience: int = 6,
        max_seconds: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.kinds = kinds
        self.constraints = constraints
        self.max_modes = max_modes
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.n_diffusion_steps = n_diffusion_steps
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.conditional_share = conditional_share
        self.heldout_fraction = heldout_fraction
        self.patience = patience
        self.max_seconds = max_seconds
        self.device = device
        self.precision = precision
        self.verbose = verbose
        self.random_state = random_state

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "kinds": (Instance((Mapping,), "a mapping of column to kind"), Choice((None,))),
        "constraints": CONSTRAINTS_RULE,
        "max_modes": (Interval(int, 1, 1000),),
        "hidden_dim": (Interval(int, 8),),
        "n_blocks": (Interval(int, 1, 64),),
        "n_diffusion_steps": (Interval(int, 1),),
        "n_steps": (Interval(int, 1), Choice((None,))),
        "batch_size": (Interval(int, 8),),
        "learning_rate": (Interval(float, 0, open_low=True),),
        "weight_decay": (Interval(float, 0),),
        "conditional_share": (Interval(float, 0, 1),),
        "heldout_fraction": (Interval(float, 0, 0.5),),
        "patience": (Interval(int, 1),),
        "max_seconds": (Interval(float, 0, open_low=True), Choice((None,))),
        "device": (Instance((str,), "'auto', 'cpu' or a torch device such as 'cuda'"),),
        "precision": (Choice(PRECISIONS),),
        "verbose": (Choice((True, False)),),
    }

    def _network(self, layout: Layout) -> TableDenoiser:
        return TableDenoiser(layout, self.hidden_dim, self.n_blocks, self.precision)

    def _train(self, network: TableDenoiser, encoded: EncodedTable, run: Run) -> None:
        network.reset(run.rng)
        if not network.layout.spans:
            return  # constants and identifiers only
        view = NormalScores.of(network.layout, encoded)
        network.shares.copy_(torch.from_numpy(view.shares))
        split = set_apart(len(encoded), self.heldout_fraction, run.rng)
        train, heldout = (encoded.rows(part.numpy()) for part in split)
        plan = DiffusionPlan(
            n_steps=self.n_steps or min(max(round(4 * math.sqrt(encoded.codes.size)), 500), 10_000),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            conditional_share=self.conditional_share,
            patience=self.patience,
            max_seconds=self.max_seconds,
        )
        train_denoiser(network, view, train, heldout, plan, run)

    def _draw(self, rows: int | range, seed: int, conditions: EncodedConditions | None) -> EncodedTable:
        view = self.model_.view()

        def draw_block(n_rows: int, rng: np.random.Generator, part: EncodedConditions | None) -> EncodedTable:
            if part is not None:
                part = _with_points_known(view.layout, part)
                if part.permitted and not part.in_order:
                    part = self._settled(view, n_rows, rng, part)
            return self._draw_once(view, n_rows, rng, part)

        return self._in_blocks(draw_block, rows, seed, conditions)

    def _draw_once(
        self, view: NormalScores, n_rows: int, rng: np.random.Generator, part: EncodedConditions | None
    ) -> EncodedTable:
        """Draw rows in one go, and set what conditions demand to the last digit."""
        given = None if part is None else _given(view, n_rows, rng, part, self.model_.log_prior.device)
        made = view.decode(*draw(self.model_, n_rows, self.n_diffusion_steps, rng, given))
        if part is None:
            return made
        made = view.impose(made, part.permitted)
        return EncodedTable(
            np.where(part.known, part.table.codes, made.codes),
            np.where(part.known, part.table.alphas, made.alphas),
        )

    def _settled(
        self, view: NormalScores, n_rows: int, rng: np.random.Generator, conditions: EncodedConditions
    ) -> EncodedConditions:
        """Draw the permitted columns first: the others then follow them as they follow known ones.

        Rows are drawn as if everything were permitted, and those kept that are. Each stands for several
        where they are too few for all; its places inside modes are then drawn anew. Where hardly a
        row is permitted, or each row has known cells of its own, they are drawn within what is permitted.
        (Measured where two of four categories are permitted and the other columns pull at both: .28 of
        the rows had the one if they were drawn within the two, .44 so, and .47 in the table.)
        """
        columns = list(conditions.permitted)
        free = self._draw_once(view, n_rows, rng, replace(conditions, permitted={}))
        near = view.impose(free, conditions.permitted)
        is_met = (near.codes == free.codes).all(axis=1) & np.isclose(near.alphas, free.alphas).all(axis=1)
        met = np.flatnonzero(is_met)
        if len(met) >= _ENOUGH and len(conditions.table) == 1:
            chosen = free.rows(met[np.arange(n_rows) % len(met)])
            chosen = _spread(view, chosen, np.arange(n_rows) >= len(met), conditions.permitted, rng)
        else:
            chosen = self._draw_once(view, n_rows, rng, conditions)
        known = np.broadcast_to(conditions.known, chosen.codes.shape).copy()
        known[:, columns] = True
        return EncodedConditions(chosen, known, {}, conditions.in_order)


def _spread(
    view: NormalScores,
    table: EncodedTable,
    again: NDArray[np.bool_],
    permitted: dict[int, Permitted],
    rng: np.random.Generator,
) -> EncodedTable:
    """Draw the alphas of permitted columns anew in the rows `again`, which repeat others."""
    place = rng.uniform(-1, 1, (len(table), len(permitted)))
    alphas = table.alphas.copy()
    for k, j in enumerate(permitted):
        is_mode = view.layout.spans[j].n_levels[table.codes[:, j]] == CONTINUOUS
        alphas[:, j] = np.where(again & is_mode, place[:, k], alphas[:, j])
    return view.impose(EncodedTable(table.codes, alphas), permitted)


def _with_points_known(layout: Layout, conditions: EncodedConditions) -> EncodedConditions:
    """Make known what is permitted one value only."""
    codes, alphas = conditions.table.codes.copy(), conditions.table.alphas.copy()
    known = conditions.known.copy()
    permitted = {}
    for j, one in conditions.permitted.items():
        is_atom = layout.spans[j].n_levels[one.codes[0]] == ATOM
        if len(one.codes) == 1 and (is_atom or one.low[0] == one.high[0]):
            codes[:, j] = np.where(known[:, j], codes[:, j], one.codes[0])
            alphas[:, j] = np.where(known[:, j], alphas[:, j], 0.0 if is_atom else one.low[0])
            known[:, j] = True
        else:
            permitted[j] = one
    return EncodedConditions(EncodedTable(codes, alphas), known, permitted, conditions.in_order)


def _given(
    view: NormalScores,
    n_rows: int,
    rng: np.random.Generator,
    conditions: EncodedConditions,
    device: torch.device,
) -> Given:
    """Turn conditions on columns into conditions on scores and categories."""
    known = np.broadcast_to(conditions.known, (n_rows, conditions.known.shape[1]))
    codes, alphas = (np.where(known, part, 0) for part in (conditions.table.codes, conditions.table.alphas))
    scores, categories = view.encode(EncodedTable(codes, alphas), rng)
    parts = known[:, np.concatenate([view.score_spans, view.part_spans])]
    rows = Rows(*(torch.from_numpy(part).to(device) for part in (scores, categories)))
    permitted = [view.permitted(j, one) for j, one in conditions.permitted.items()]
    return Given(rows, torch.from_numpy(parts).to(device), permitted)
