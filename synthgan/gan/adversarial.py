"""The conditional GAN on rows: generator against critic on the cells themselves, as in Xu et al. (2019).

`ConditionalGAN` is the pair of players with what sampling needs; `train_adversarial` is the loop. What the
players and their game are made of stands in `synthgan.gan.players` and `synthgan.gan.games`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthgan.gan.candidates import best_candidates, impose
from synthgan.gan.critics import PacCritic
from synthgan.gan.games import GAMES, PENALTIES, clip_weights, moment_distance, wasserstein_distance
from synthgan.gan.growing import coarsen, growth
from synthgan.gan.model import coverage
from synthgan.gan.players import make_critic, make_generator
from synthgan.gan.precision import widened
from synthgan.gan.run import Run, set_rate
from synthgan.gan.vectors import ConditionVectors, RowVectors, TrainingBySampling, VectorRows, gumbel_noise
from synthgan.layout import EncodedConditions, EncodedTable, Layout
from synthgan.seeding import stream

__all__ = ["AdversarialPlan", "ConditionalGAN", "Players", "realism", "train_adversarial"]

N_CANDIDATES = 8  # that the generator makes for each row with conditions
_DIVERSITY_ROWS = 2048
_SCORED_ROWS = 512  # packs that are judged at a time


@dataclass(frozen=True)
class Players:
    """How the networks are built; see `CTGAN` for the meaning."""

    generator: str
    noise_dim: int
    generator_dims: tuple[int, ...]
    generator_conditioning: str
    truncation: float
    critic_dims: tuple[int, ...]
    critic_conditioning: str
    pac_size: int
    dropout: float
    statistics: str | None
    spectral_norm: bool
    temperature: float


@dataclass(frozen=True)
class AdversarialPlan:
    """How the networks are trained; see `CTGAN` for the meaning."""

    n_steps: int
    batch_size: int
    n_critic: int
    loss: str
    penalty: str | None
    gradient_penalty: float
    weight_clip: float | None
    condition_weight: float
    moment_weight: float
    generator_lr: float
    critic_lr: float
    weight_decay: float
    log_frequency: bool
    growing: bool
    max_seconds: float | None


class ConditionalGAN(nn.Module):
    """A generator and a critic of rows, each told one code that the row is to have.

    Parameters
    ----------
    layout : Layout
    players : Players

    Attributes
    ----------
    frequency : float32 Tensor of shape (w,)
        Share of the training rows that have each code.
    """

    frequency: Tensor

    def __init__(self, layout: Layout, players: Players) -> None:
        super().__init__()
        self.layout, self.players = layout, players
        self.vectors = RowVectors(layout, players.temperature)
        self.conditions = ConditionVectors(layout)
        self.register_buffer("frequency", torch.zeros(layout.width))
        self.generator, self.critic = self._new_players(torch.Generator())

    def _new_players(self, rng: torch.Generator) -> tuple[nn.Module, PacCritic]:
        p, condition_dim = self.players, self.conditions.width
        width = max(self.vectors.width, 1)  # there may be no column to model
        generator = make_generator(
            p.generator,
            p.noise_dim,
            condition_dim,
            width,
            rng,
            hidden_dims=p.generator_dims,
            conditioning=p.generator_conditioning,
            truncation=p.truncation,
        )
        critic = make_critic(
            width,
            condition_dim,
            rng,
            hidden_dims=p.critic_dims,
            pac_size=p.pac_size,
            dropout=p.dropout,
            conditioning=p.critic_conditioning,
            statistics=p.statistics,
            spectral_norm=p.spectral_norm,
        )
        return generator, critic

    def start(self, rows: VectorRows, rng: torch.Generator) -> None:
        """Draw all weights, and count the codes of the training rows."""
        for own, new in zip((self.generator, self.critic), self._new_players(rng), strict=True):
            own.load_state_dict(new.state_dict())
        counts = torch.bincount(rows.codes.flatten(), minlength=len(self.frequency))
        self.frequency.copy_(counts / len(rows))

    @torch.no_grad()
    def draw(
        self, n_rows: int, rng: np.random.Generator, given: EncodedConditions | None = None
    ) -> EncodedTable:
        """Draw rows; with `given`, all of them meet its conditions.

        Without, each row has a condition all the same: a column drawn uniformly, and one of its codes by
        its frequency. With conditions, several candidates are made for each row, under one of its
        conditions on a discrete column, if there is any. The row takes the one that agrees best with all of
        them, and what differs is set, see `synthgan.gan.candidates`.

        Parameters
        ----------
        n_rows : int >= 1
        rng : numpy Generator
        given : EncodedConditions of 1 row or of `n_rows`, optional
        """
        if not self.layout.spans:
            return EncodedTable(np.zeros((n_rows, 0), np.int32), np.zeros((n_rows, 0)))
        shares = self.shares()
        if given is None:
            return self.generate(self.conditions.draw(shares, n_rows, rng), rng)
        several = given.rows(np.arange(n_rows).repeat(N_CANDIDATES))
        pool = self.generate(self.conditions.draw(shares, n_rows * N_CANDIDATES, rng, several), rng)
        chosen = pool.rows(best_candidates(self.layout, pool, given, n_rows))
        return impose(self.layout, chosen, given, shares, rng)

    @torch.no_grad()
    def generate(self, slots: Tensor, rng: np.random.Generator) -> EncodedTable:
        """Draw a row under each condition, (b,)."""
        device = self.frequency.device
        noise = rng.standard_normal((len(slots), self.players.noise_dim), np.float32)
        raw = self.generator(torch.from_numpy(noise).to(device), slots.to(device))
        exponential = rng.standard_exponential((len(slots), self.layout.width), np.float32)
        gumbel = -np.log(np.maximum(exponential, np.finfo(np.float32).tiny))  # it may be 0
        return self.vectors.encoded(self.vectors.decide(raw, torch.from_numpy(gumbel).to(device)))

    def shares(self) -> NDArray[np.float64]:
        """Share of the training rows that have each code, (w,)."""
        return self.frequency.double().cpu().numpy()

    def diversity(self, rng: np.random.Generator) -> float:
        """Share of the training table's cells whose code the generator reaches, in [0, 1]."""
        made = self.draw(_DIVERSITY_ROWS, rng).codes + self.layout.starts
        share = np.bincount(made.ravel(), minlength=self.layout.width) / len(made)
        return coverage(torch.from_numpy(share), self.frequency.cpu(), len(self.layout))


def train_adversarial(
    model: ConditionalGAN,
    rows: VectorRows,
    plan: AdversarialPlan,
    run: Run,
    mixed: AbstractContextManager[Any] = nullcontext(),  # noqa: B008
) -> None:
    """Train generator against critic: Xu et al. (2019), Algorithm 1, whose lines are named.

    Parameters
    ----------
    model : ConditionalGAN
        Its weights change; it is left in ``eval()``.
    rows : VectorRows
        The training table.
    plan : AdversarialPlan
    run : Run
        Gets ``critic_loss``, ``generator_loss``, ``condition_loss`` (nats), ``wasserstein`` (E[C(real)] -
        E[C(fake)]), ``gradient_norm`` (mean norm of the critic's gradient where the penalty is taken, or
        between real and fake rows) and ``diversity``.
    mixed : context manager, optional
        Context of the matrix products, see `mixed_precision`.
    """
    model.start(rows, run.rng)
    generator, critic, vectors, conditions = model.generator, model.critic, model.vectors, model.conditions
    device, rng, b, n_fine = model.frequency.device, run.rng, plan.batch_size, len(vectors.fine)
    rows = rows.to(device)
    by_sampling = TrainingBySampling(conditions, rows.codes, plan.log_frequency)
    needs_real = plan.loss == "relativistic" or plan.moment_weight > 0  # in the generator's turn
    game, penalty_of = GAMES[plan.loss], PENALTIES[plan.penalty or "gradient"]
    betas = (0.5, 0.9)
    critic_optimiser = torch.optim.Adam(critic.parameters(), plan.critic_lr, betas, fused=True)
    generator_optimiser = torch.optim.Adam(
        generator.parameters(), plan.generator_lr, betas, weight_decay=plan.weight_decay, fused=True
    )
    parts = {"critic_optimiser": critic_optimiser, "generator_optimiser": generator_optimiser}

    def generate(slots: Tensor) -> tuple[Tensor, Tensor]:
        """Make rows, (b, f + w), and the logits of their codes, (b, w)."""
        raw = widened(generator(torch.randn(b, model.players.noise_dim, generator=rng).to(device), slots))
        noise = gumbel_noise(b, vectors.width - n_fine, rng).to(device)
        return vectors.activate(raw, noise), raw[:, n_fine:]

    model.train()
    for _, progress in run.steps("gan", plan.n_steps, parts, plan.max_seconds):
        set_rate(critic_optimiser, run.rate * plan.critic_lr)
        set_rate(generator_optimiser, run.rate * plan.generator_lr)
        view = _growing(vectors, progress) if plan.growing else _as_they_are

        for _ in range(plan.n_critic):
            slots, index = by_sampling.draw(b, rng)  # line 1
            real = view(vectors(rows.take(index)))  # lines 2 and 5
            with torch.no_grad(), mixed:  # no gradient reaches the generator here
                fake = view(generate(slots)[0])  # lines 3 and 4
            with mixed:
                score = critic.given(slots, rng)  # of packs: line 6
                real_score, fake_score = score(real), score(fake)
                critic_loss = game.critic(real_score, fake_score)  # line 7
                wasserstein = wasserstein_distance(real_score, fake_score).detach()
                if plan.penalty is not None or run.at_interval:
                    penalty, norm = penalty_of(score, real, fake, rng)  # lines 8 to 10
                if plan.penalty is not None:
                    critic_loss = critic_loss + plan.gradient_penalty * penalty
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()  # line 11
            if plan.weight_clip is not None:
                clip_weights(critic, plan.weight_clip)

        critic.requires_grad_(False)  # its weights need no gradient here
        slots, index = by_sampling.draw(b, rng)  # line 12: again
        with mixed:
            fake, logits = generate(slots)
            score = critic.given(slots, rng)
            fake_score = real_score = score(view(fake))
            condition_loss = conditions.loss(logits, slots)
            loss = plan.condition_weight * condition_loss
            if needs_real:
                real = vectors(rows.take(index))
                real_score = score(view(real))
                if plan.moment_weight:
                    loss = loss + plan.moment_weight * moment_distance(real, fake)
        generator_loss = game.generator(fake_score, real_score)
        loss = loss + generator_loss  # line 13
        critic.requires_grad_(True)
        if run.is_lost(loss + critic_loss.detach()):
            continue
        generator_optimiser.zero_grad()
        loss.backward()
        generator_optimiser.step()

        if run.at_interval:
            model.eval()
            run.record(
                critic_loss=float(critic_loss.detach()),
                generator_loss=float(generator_loss.detach()),
                condition_loss=float(condition_loss.detach()),
                wasserstein=float(wasserstein),
                gradient_norm=float(norm),
                diversity=model.diversity(stream(run.seed, "diversity")),
            )
            model.train()
    model.eval()


def _growing(vectors: RowVectors, progress: float) -> Callable[[Tensor], Tensor]:
    """Show rows with as few codes of each column of numbers as the progress of the training asks for."""
    most = max((stop - start for start, stop in vectors.ordered), default=1)
    level = growth(progress, most)
    if 2**level >= most:
        return _as_they_are
    return lambda rows: coarsen(rows, vectors.ordered, level)


def _as_they_are(rows: Tensor) -> Tensor:
    return rows


@torch.no_grad()
def realism(model: ConditionalGAN, table: EncodedTable, seed: int) -> NDArray[np.float64]:
    """Score of the critic for each row, shape (n,): the mean over the conditions that it meets.

    A critic of packs sees each row beside the same few generated ones: copies of one row would look
    like mode collapse.
    """
    scores = np.zeros(len(table))
    if not model.layout.spans:
        return scores
    critic, conditions, vectors, device = (
        model.critic,
        model.conditions,
        model.vectors,
        model.frequency.device,
    )
    rng, n_others = stream(seed, "realism"), critic.pac_size - 1
    slots = conditions.draw(model.shares(), n_others, rng)
    others = vectors(vectors.rows(model.generate(slots, rng)).to(device))  # (pac_size - 1, f + w)
    beside = slots.to(device)

    def packs(own: Tensor, others: Tensor) -> Tensor:
        """Put the others beside each of b vectors or slots, (b * pac_size, ...)."""
        return torch.cat([own[:, None], others.expand(len(own), *others.shape)], dim=1).flatten(0, 1)

    for start in range(0, len(table), _SCORED_ROWS):
        part = table.rows(slice(start, start + _SCORED_ROWS))
        rows = packs(vectors(vectors.rows(part).to(device)), others)
        for slots in conditions.met(part):
            found = critic(rows, packs(slots.to(device), beside))  # (b,)
            scores[start : start + len(part)] += found.double().cpu().numpy()
    return scores / max(len(conditions.spans), 1)
