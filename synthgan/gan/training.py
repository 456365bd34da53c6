"""The two training loops: masked autoencoder, then conditional GAN on its latent space.

Each loop is written out: a batch, the losses with their equations, one optimiser step, the
moving average. Counting, recording and going back are `Run`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from synthgan.gan.codebook import Rows
from synthgan.gan.conditions import prefix_masks, subset_masks
from synthgan.gan.games import GAMES, PENALTIES, wasserstein_distance
from synthgan.gan.losses import chain_nll, hidden_nll
from synthgan.gan.networks import Critic, Decoder, Encoder, Generator
from synthgan.gan.run import BestWeights, HasState, MovingAverage, Run, set_rate, warm_linear

__all__ = [
    "LATENT_NOISE",
    "AutoencoderPlan",
    "GANPlan",
    "Loss",
    "encode_all",
    "set_apart",
    "train_autoencoder",
    "train_gan",
]

Loss = Literal["wgan-gp", "relativistic"]

_PLAYED = {  # the game and the penalty that a loss stands for
    "wgan-gp": (GAMES["wasserstein"], PENALTIES["gradient"]),
    "relativistic": (GAMES["relativistic"], PENALTIES["r1+r2"]),
}

LATENT_NOISE = 0.3  # standard deviation of the noise on z, whose dimensions have variance 1
_MAX_JUDGES = 2000  # rows


@dataclass(frozen=True)
class AutoencoderPlan:
    """How the masked autoencoder is trained; see `TabularGAN` for the meaning."""

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    latent_share: float
    patience: int
    max_seconds: float | None


@dataclass(frozen=True)
class GANPlan:
    """How the latent GAN is trained; see `TabularGAN` for the meaning."""

    n_steps: int
    batch_size: int
    loss: Loss
    n_critic: int
    gradient_penalty: float
    penalty_interval: int
    generator_lr: float
    critic_lr: float
    conditional_share: float
    max_seconds: float | None


def set_apart(n_rows: int, fraction: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shuffle rows, and keep a share of them out of training, to choose the best weights by.

    Parameters
    ----------
    n_rows : int >= 1
    fraction : float in [0, 1)
        At 0, and of a single row, nothing is kept out: some of the rows that learn also judge.
    rng : torch Generator

    Returns
    -------
    learning, judging : int64 Tensors
        Indices of the rows; at most 2,000 judge, and at least one.

    Examples
    --------
    >>> [len(part) for part in set_apart(100, 0.05, torch.Generator())]
    [95, 5]
    >>> [len(part) for part in set_apart(5000, 0.0, torch.Generator())]
    [5000, 2000]
    """
    shuffled = torch.randperm(n_rows, generator=rng)
    if fraction == 0 or n_rows == 1:
        return shuffled, shuffled[:_MAX_JUDGES]
    n_judges = min(max(1, round(fraction * n_rows)), _MAX_JUDGES)
    return shuffled[n_judges:], shuffled[:n_judges]


def train_autoencoder(
    encoder: Encoder,
    decoder: Decoder,
    train: Rows,
    heldout: Rows,
    order: list[int],
    plan: AutoencoderPlan,
    run: Run,
    mixed: AbstractContextManager[Any] = nullcontext(),  # noqa: B008
) -> None:
    """Train E and D by cross-entropy on hidden cells; leaves the best averaged weights in them.

    Most rows of a batch teach the decoder alone, as a conditional model of any columns given any
    others; the rest go through the encoder, so that z comes to hold what the columns do not
    say of each other. Both minimise, with m the number of hidden cells,

        E_{row, mask} [ g / m * sum_{hidden j} -log p(x_j | x_observed, z or nothing) ]

    whose value for masks with uniform m is the log-likelihood of the chain rule (Uria et al.
    2014, "A Deep and Tractable Density Estimator", eq. (7)).

    Records ``loss`` and ``heldout_loss`` in nats a row, ``reconstruction``: the same through z alone.
    """
    rng = run.rng
    n_rows, n_spans = train.codes.shape
    device = train.codes.device
    networks = nn.ModuleList([encoder, decoder])
    average = MovingAverage(networks, 0.998)
    free = [decoder.bias, decoder.cell_bias]  # log frequencies: decay would blur them
    decayed = [p for p in networks.parameters() if all(p is not bias for bias in free)]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": free, "weight_decay": 0.0}],
        plan.learning_rate,
        betas=(0.9, 0.99),
        fused=True,
    )
    canonical = torch.tensor(order)
    # BatchNorm needs two rows, and the loss of the decoder alone one
    b_latent = min(max(2, round(plan.batch_size * plan.latent_share)), plan.batch_size - 1)
    b_chain, b_alone = plan.batch_size - b_latent, max(1, b_latent // 2)
    n_prefix = b_chain // 2
    leaves_out = torch.zeros(plan.batch_size, 1, dtype=torch.bool, device=device)
    leaves_out[n_prefix : (n_prefix + b_chain) // 2] = True
    best = BestWeights(plan.patience)
    changing: dict[str, HasState] = {"optimiser": optimiser, "average": average, "best": best}
    encoder.train()
    for step, progress in run.steps("autoencoder", plan.n_steps, changing, plan.max_seconds):
        set_rate(optimiser, run.rate * plan.learning_rate * warm_linear(step, progress))
        rows = train.take(torch.randint(n_rows, (plan.batch_size,), generator=rng).to(device))

        # masks: prefixes of the canonical order and free subsets, half and half; z alone for half of z's rows
        observed = torch.cat(
            [
                prefix_masks(canonical, n_prefix, rng),
                subset_masks(n_spans, b_chain - n_prefix + b_latent, rng),
            ]
        )  # (b, g)
        observed[plan.batch_size - b_alone :] = False
        # half of the subsets leave missing cells out, as `impute` does, in which they are to be filled
        ignored = (rows.codes == decoder.book.missing) & leaves_out  # (b, g)
        observed = observed.to(device) & ~ignored

        with mixed:
            # z = E(row) + noise, withheld from the first b_chain rows
            latent = encoder(Rows(rows.codes[b_chain:], rows.cells[b_chain:]))  # (b_latent, z)
            latent = latent + LATENT_NOISE * torch.randn(latent.shape, generator=rng).to(device)
            embedded = decoder.embed(rows, observed)  # (b, h)
            embedded = torch.cat([embedded[:b_chain], embedded[b_chain:] + decoder.latent(latent)])
            costless = observed | ignored
            nll = hidden_nll(decoder, decoder.hidden(embedded), rows, costless)  # (b, g)
        row_loss = nll.sum(dim=1) * n_spans / (~costless).sum(dim=1).clamp(min=1)  # (b,)
        loss = row_loss.mean()
        if run.is_lost(loss, nll):
            continue

        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(step)

        if run.at_interval:
            with average.swapped_in():
                heldout_loss = float(chain_nll(decoder, heldout, order, mixed).sum())
                is_patient = best.offer(heldout_loss, networks)
            run.record(
                loss=float(row_loss[:b_chain].mean().detach()),
                reconstruction=float(row_loss[plan.batch_size - b_alone :].mean().detach()),
                heldout_loss=heldout_loss,
            )
            if not is_patient:
                run.stop()
    best.restore(networks)
    encoder.eval()


def train_gan(
    generator: Generator,
    critic: Critic,
    decoder: Decoder,
    latents: Tensor,
    rows: Rows,
    plan: GANPlan,
    measure: Callable[[], float],
    run: Run,
    mixed: AbstractContextManager[Any] = nullcontext(),  # noqa: B008
) -> None:
    """Train G against C on latent vectors; leaves averaged weights in the generator.

    Gulrajani et al. (2017), Algorithm 1, with a condition: the decoder's embedding of the
    observed cells of a real row, which generator and critic both see. Unlike there, the generator
    learns from the batch that the critic has just learned from (docs/method.md, "Speed").

    Parameters
    ----------
    latents : Tensor of shape (n, z)
        E(row) of the training rows; noise is added to each batch.
    measure : callable () -> float
        Diversity of what the averaged generator makes, in [0, 1].

    Records ``critic_loss``, ``generator_loss``, ``wasserstein`` (E[C(real)] - E[C(fake)]),
    ``gradient_norm`` (mean norm where the penalty is taken; 1 is the aim of WGAN-GP) and
    ``diversity``.
    """
    rng = run.rng
    n_rows, latent_dim = latents.shape
    n_spans = rows.codes.shape[1]
    device = latents.device
    noise_dim = generator.noise.in_features
    average = MovingAverage(generator, 0.999)
    critic_optimiser = torch.optim.Adam(critic.parameters(), plan.critic_lr, (0.0, 0.9), fused=True)
    generator_optimiser = torch.optim.Adam(generator.parameters(), plan.generator_lr, (0.0, 0.9), fused=True)
    game, penalty_of = _PLAYED[plan.loss]
    weight = plan.gradient_penalty * plan.penalty_interval
    b = plan.batch_size
    n_conditional = round(b * plan.conditional_share)
    norm = latents.new_tensor(math.nan)  # until the first step with a penalty

    with torch.no_grad():
        tables, blank = decoder.embed.tables(), decoder.blank()  # the decoder stands still

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        """Draw noisy real latent vectors (b, z), generate others (b, z), for the same conditions (b, h)."""
        index = torch.randint(n_rows, (b,), generator=rng).to(device)
        real = latents[index] + LATENT_NOISE * torch.randn(b, latent_dim, generator=rng).to(device)
        observed = subset_masks(n_spans, n_conditional, rng).to(device)
        with torch.no_grad():
            some = decoder.embed(rows.take(index[:n_conditional]), observed, tables)
        condition = torch.cat([some, blank.expand(b - n_conditional, -1)])
        noise = torch.randn(b, noise_dim, generator=rng).to(device)
        return real, generator(noise, condition), condition

    changing: dict[str, HasState] = {
        "average": average,
        "critic": critic_optimiser,
        "generator": generator_optimiser,
    }
    for step, progress in run.steps("gan", plan.n_steps, changing, plan.max_seconds):
        rate = run.rate * warm_linear(step, max(0.0, 2 * progress - 1))  # constant, then linear decay
        set_rate(critic_optimiser, plan.critic_lr * rate)
        set_rate(generator_optimiser, plan.generator_lr * rate)

        for turn in range(step * plan.n_critic, (step + 1) * plan.n_critic):
            with mixed:
                real, made, condition = batch()
                fake = made.detach()  # no gradient reaches the generator here
                score = critic.given(condition)
                real_score, fake_score = score(real), score(fake)
                critic_loss = game.critic(real_score, fake_score)
                wasserstein = wasserstein_distance(real_score, fake_score).detach()
                if turn % plan.penalty_interval == 0:  # lazy (Karras et al. 2020): as much heavier as seldom
                    penalty, norm = penalty_of(score, real, fake, rng)
                    critic_loss = critic_loss + weight * penalty
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()

        critic.requires_grad_(False)  # its weights need no gradient here
        with mixed:  # the rows that the critic has just learned from: a fresh batch was no better
            score = critic.given(condition)
            generator_loss = game.generator(score(made), score(real))
        critic.requires_grad_(True)
        if run.is_lost(critic_loss + generator_loss):
            continue
        generator_optimiser.zero_grad()
        generator_loss.backward()
        generator_optimiser.step()
        average.update(step)

        if run.at_interval:
            with average.swapped_in():
                diversity = measure()
            run.record(
                critic_loss=float(critic_loss.detach()),
                generator_loss=float(generator_loss.detach()),
                wasserstein=float(wasserstein),
                gradient_norm=float(norm),
                diversity=diversity,
            )
    average.keep()


@torch.no_grad()
def encode_all(encoder: Encoder, rows: Rows, batch_size: int = 8192) -> Tensor:
    """Encode all rows, (n, z), normalised over them: the encoder's running statistics lag behind."""
    encoder.eval()
    encoder.normalise.reset_running_stats()
    latents = rows.codes.new_empty(len(rows), encoder.out.out_features, dtype=torch.float32)
    encode_into(latents, encoder, rows, batch_size)
    mean, variance = latents.mean(dim=0), latents.var(dim=0, correction=0)
    encoder.normalise.running_mean, encoder.normalise.running_var = mean, variance
    return encode_into(latents, encoder, rows, batch_size)


def encode_into(latents: Tensor, encoder: Encoder, rows: Rows, batch_size: int) -> Tensor:
    """Encode rows in batches into a tensor of shape (n, z)."""
    for part in torch.arange(len(rows), device=latents.device).split(batch_size):
        latents[part] = encoder(rows.take(part))
    return latents
