"""Training the denoiser: rows are noised, and the network is told what they were.

The equations are those of `synthgan.diffusion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synthgan.diffusion.denoiser import LEAST_TIME, TIMES, Denoiser, Rows, signal
from synthgan.gan.conditions import subset_masks
from synthgan.gan.run import BestWeights, HasState, MovingAverage, Run, set_rate, warm_linear
from synthgan.layout import EncodedTable
from synthgan.seeding import stream
from synthgan.transforms.scores import NormalScores

__all__ = ["DiffusionPlan", "denoising_loss", "diffuse", "measure_errors", "train_denoiser"]

_DECAY = 0.999  # of the moving average of the weights, less in a short training


@dataclass(frozen=True)
class DiffusionPlan:
    """How the denoiser is trained; see `TabularDiffusion` for the meaning."""

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    conditional_share: float
    patience: int
    max_seconds: float | None


def diffuse(denoiser: Denoiser, rows: Rows, t: Tensor, rng: torch.Generator) -> tuple[Rows, Tensor]:
    """Noise rows up to times t of shape (b,) by (1) and (2); also return the noise of the numbers."""
    a = signal(t)[:, None].float()
    noise = torch.randn(rows.scores.shape, generator=rng).to(a.device)
    kept = torch.rand(rows.codes.shape, generator=rng).to(a.device) < a
    other = (torch.rand(rows.codes.shape, generator=rng).to(a.device) * denoiser.n_values).long()
    scores = a.sqrt() * rows.scores + (1 - a).sqrt() * noise
    return Rows(scores, torch.where(kept, rows.codes, other)), noise


def denoising_loss(
    denoiser: Denoiser, rows: Rows, t: Tensor, rng: torch.Generator, known: Tensor | None = None
) -> Tensor:
    """Say how badly rows are predicted from their noised selves at times t, for each part: (b, f + c).

    Parts that are `known`, see `Denoiser.forward`, are not noised; their own loss is 0.
    For numbers the squared error of v, which weighs the error of x_0 by a / (1 - a) + 1 (Salimans & Ho
    2022, section 4); 1 where columns are independent. For categories the cross-entropy of c_0 in nats. Its
    minimum is at the same p(c_0 | x_t, c_t) as that of the divergence of the posteriors of c_s, which
    the likelihood bound is made of (Hoogeboom et al. 2021, eq. (14)), but it has no weight that grows
    without bound near t = 0, and costs a softmax only.
    """
    a = signal(t)[:, None].float()
    noised, noise = diffuse(denoiser, rows, t, rng)
    if known is not None:
        noised = noised.where(known, rows)
    v, logits = denoiser(noised, t, known)
    numbers = (a.sqrt() * noise - (1 - a).sqrt() * rows.scores - v).square()
    categories = [
        F.cross_entropy(part, rows.codes[:, k], reduction="none")
        for k, part in enumerate(denoiser.by_category(logits))
    ]
    losses = torch.cat([numbers, *(loss[:, None] for loss in categories)], dim=1)
    return losses if known is None else losses * ~known


def train_denoiser(
    denoiser: Denoiser,
    view: NormalScores,
    train: EncodedTable,
    heldout: EncodedTable,
    plan: DiffusionPlan,
    run: Run,
) -> None:
    """Train the network by Ho et al. (2020), Algorithm 1; leaves the best averaged weights in it.

    Some rows of a batch have known columns, a uniform number of them: they teach the network to draw
    rows under conditions. Where an atom lies in its interval of ranks is drawn anew for each batch.
    The times of a batch are spread evenly, which makes the loss less noisy (Kingma et al. 2021,
    "Variational Diffusion Models").
    """
    device, b = denoiser.log_prior.device, plan.batch_size
    n_conditional = round(plan.conditional_share * b)
    part_spans = torch.from_numpy(np.concatenate([view.score_spans, view.part_spans]))

    def rows_of(table: EncodedTable, *keys: str | int) -> Rows:
        scores, codes = view.encode(table, stream(run.seed, "place", *keys))
        return Rows(torch.from_numpy(scores).to(device), torch.from_numpy(codes).to(device))

    def spread_times(n: int, rng: torch.Generator) -> Tensor:
        """Draw one time in each of n equal parts of [0, 1]."""
        t = (torch.arange(n) + torch.rand(n, generator=rng, dtype=torch.float64)) / n
        return t.clamp(min=LEAST_TIME)[torch.randperm(n, generator=rng)].to(device)

    def heldout_loss() -> float:
        """Measure the averaged network, each time with the same times and noise."""
        rng = torch.Generator().manual_seed(run.seed % 2**62)
        rows = rows_of(heldout, "heldout")
        with torch.no_grad():
            return float(denoising_loss(denoiser, rows, spread_times(len(heldout), rng), rng).mean())

    average = MovingAverage(denoiser, max(0.9, min(_DECAY, 1 - 20 / plan.n_steps)))
    optimiser = torch.optim.AdamW(
        denoiser.parameters(),
        plan.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=plan.weight_decay,
        fused=True,
    )
    best = BestWeights(plan.patience)
    denoiser.log_prior.copy_(_log_frequencies(denoiser, rows_of(train, "frequencies").codes))
    parts: dict[str, HasState] = {"optimiser": optimiser, "average": average, "best": best}
    for step, progress in run.steps("diffusion", plan.n_steps, parts, plan.max_seconds):
        set_rate(optimiser, plan.learning_rate * run.rate * warm_linear(step, progress))
        index = torch.randint(len(train), (b,), generator=run.rng)
        rows = rows_of(train.rows(index.numpy()), step)
        known = subset_masks(len(view.layout), b, run.rng)  # (b, g)
        known[n_conditional:] = False
        known = known[:, part_spans].to(device)  # (b, f + c)
        losses = denoising_loss(denoiser, rows, spread_times(b, run.rng), run.rng, known)  # (b, f + c)
        loss = losses.sum() / (~known).sum()
        if run.is_lost(loss):
            continue

        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(step)

        if run.at_interval:
            with average.swapped_in():
                measured = heldout_loss()
                if not best.offer(measured, denoiser):
                    run.stop()
            run.record(loss=float(loss.detach()), heldout_loss=measured)
    best.restore(denoiser)
    rng = torch.Generator().manual_seed(run.seed % 2**62)
    known = subset_masks(len(view.layout), len(heldout), rng)[:, part_spans].to(device)
    measure_errors(denoiser, rows_of(heldout, "heldout"), known, rng)


@torch.no_grad()
def measure_errors(denoiser: Denoiser, rows: Rows, known: Tensor, rng: torch.Generator) -> None:
    """Measure how far v is off, without and with known parts, `known` of shape (b, f + c)."""
    f = denoiser.n_scores
    for i, t in enumerate(torch.linspace(0, 1, TIMES, dtype=torch.float64).clamp(min=LEAST_TIME)):
        for k, mask in enumerate((torch.zeros_like(known), known)):
            losses = denoising_loss(denoiser, rows, t.expand(1).to(known.device), rng, mask)[:, :f]
            n_hidden = (~mask[:, :f]).sum(dim=0)
            error = losses.sum(dim=0) / n_hidden.clamp(min=1)
            denoiser.errors[k, i] = torch.where(n_hidden > 0, error, 1.0).clamp(max=1.0)


def _log_frequencies(denoiser: Denoiser, codes: Tensor) -> Tensor:
    """Log frequencies of the values of all categories over rows of codes (n, c), shape (w,)."""
    counts = torch.bincount((codes + denoiser.starts).flatten(), minlength=sum(denoiser.sizes)).float()
    return torch.log((counts + 0.5) / max(len(codes), 1))
