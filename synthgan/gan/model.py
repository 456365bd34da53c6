"""The trained model as one object: four networks, fitted to an encoded table, ready to sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from synthgan.gan.codebook import CodeBook
from synthgan.gan.conditions import canonical_order
from synthgan.gan.forest import Forest
from synthgan.gan.mixture import fit_mixture
from synthgan.gan.networks import Critic, Decoder, Encoder, Generator, initialise
from synthgan.gan.precision import mixed_precision
from synthgan.gan.run import Run
from synthgan.gan.sampling import Sampler
from synthgan.gan.threads import both
from synthgan.gan.training import (
    LATENT_NOISE,
    AutoencoderPlan,
    GANPlan,
    encode_all,
    set_apart,
    train_autoencoder,
    train_gan,
)
from synthgan.layout import EncodedTable, Layout
from synthgan.seeding import stream

__all__ = ["Architecture", "LatentGAN"]

_CALIBRATION_ROWS = 16384


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks; see `TabularGAN`."""

    hidden_dim: int
    inner_dim: int
    n_blocks: int
    latent_dim: int
    noise_dim: int
    generator_dim: int
    critic_dim: int
    pac_size: int


class LatentGAN(nn.Module):
    """Decoder, encoder, generator, critic and trees over one layout, calibrated on its codes."""

    offsets: Tensor
    drawing_order: Tensor

    def __init__(self, layout: Layout, architecture: Architecture, precision: str = "float32") -> None:
        super().__init__()
        a = architecture
        self.precision = precision
        book = CodeBook(layout)
        self.book = book
        self.decoder = Decoder(book, a.hidden_dim, a.inner_dim, a.n_blocks, a.latent_dim)
        self.encoder = Encoder(book, a.hidden_dim, a.latent_dim)
        self.generator = Generator(a.noise_dim, a.hidden_dim, a.generator_dim, 3, a.latent_dim)
        self.critic = Critic(a.latent_dim, a.hidden_dim, a.critic_dim, 3, a.pac_size)
        self.tilts = Forest(book)
        self.forest = Forest(book)
        self.register_buffer("drawing_order", torch.arange(len(layout)))
        self.register_buffer("offsets", torch.zeros(2, layout.width))  # with latent vector, and chain

    @property
    def order(self) -> list[int]:
        """Order in which the chain draws the columns; see `canonical_order`."""
        order: list[int] = self.drawing_order.tolist()
        return order

    @property
    def mixed(self) -> torch.autocast:
        """Context of the matrix products; see `mixed_precision`."""
        return mixed_precision(self.precision, self.offsets.device)

    def train_on(
        self,
        encoded: EncodedTable,
        autoencoder: AutoencoderPlan,
        gan: GANPlan,
        heldout_fraction: float,
        run: Run,
        grow: Callable[..., tuple[Forest, Forest]] | None = None,
    ) -> None:
        """Go through both phases, let trees grow beside the second one, and calibrate.

        Generator and critic are too small to gain much from a second core (Adult: 15.6 for 18.2 ms a step):
        where there are trees, it is theirs.

        Parameters
        ----------
        encoded : EncodedTable
        autoencoder, gan : AutoencoderPlan, GANPlan
        heldout_fraction : float
            Share of the rows that judge, see `set_apart`. Where it is 0 there are no trees: their judges must
            be rows that they have not seen.
        run : Run
        grow : callable (decoder, train, heldout, order, *, each) -> (tilts, forest), optional
        """
        device = self.offsets.device
        initialise(self, run.rng)
        if not self.book.widths:
            return  # constants and identifiers only
        learning, judging = set_apart(len(encoded), heldout_fraction, run.rng)
        train = self.book.stored(encoded, learning).to(device)
        heldout = self.book.rows(encoded.rows(judging.numpy())).to(device)
        self.decoder.start_at_marginals(train)
        frequency = torch.bincount(train.codes.flatten(), minlength=self.offsets.shape[1]) / len(train)
        order = canonical_order(frequency, self.book.widths, self.book.with_groups)
        self.drawing_order.copy_(torch.tensor(order))

        train_autoencoder(self.encoder, self.decoder, train, heldout, order, autoencoder, run, self.mixed)
        latents = encode_all(self.encoder, train)

        def diversity() -> float:
            return coverage(self._one_pass_frequency(2048, run.seed), frequency, len(order))

        def play() -> None:
            start = time.perf_counter()
            self.generator.depart_from(fit_mixture(latents, LATENT_NOISE, run.rng))
            left = gan  # of a budget, what the mixture leaves, be it a single step: it is worth more
            if gan.max_seconds is not None:
                left = replace(gan, max_seconds=max(gan.max_seconds - time.perf_counter() + start, 1e-6))
            players = self.generator, self.critic, self.decoder
            train_gan(*players, latents, train, left, diversity, run, self.mixed)
            self._match_moments(latents, run.seed)

        if grow is None or heldout_fraction == 0:
            play()
        else:
            _, (self.tilts, self.forest) = both(
                play, lambda each: grow(self.decoder, train, heldout, order, each=each)
            )
        self._calibrate(frequency, run.seed)

    def sampler(self, n_passes: int | None) -> Sampler:
        """Prepare sampling in `n_passes`; None means one column a pass, where trees tilt numbers."""
        order = self.order
        n_passes = len(order) if n_passes is None else n_passes
        return Sampler(
            self.decoder,
            self.generator,
            order,
            self.offsets,
            n_passes,
            tilts=self.tilts,
            forest=self.forest,
            mixed=self.mixed,
        )

    @torch.no_grad()
    def _match_moments(self, latents: Tensor, seed: int) -> None:
        """Give the generator's output the mean and covariance of the real latent vectors.

        A = L_real L_fake^-1 with Cholesky factors L of the covariances, b = mean_real - A mean_fake.
        """
        generator = self.generator
        fake = self._generate(_CALIBRATION_ROWS, seed)
        noise = LATENT_NOISE**2 * torch.eye(latents.shape[1], device=latents.device)
        real_factor = torch.linalg.cholesky(latents.T.cov(correction=0) + noise)
        fake_factor = torch.linalg.cholesky(fake.T.cov(correction=0) + 1e-3 * noise)
        colour = torch.linalg.solve_triangular(fake_factor, real_factor, upper=False, left=False)
        generator.shift.copy_(latents.mean(0) + colour @ (generator.shift - fake.mean(0)))
        generator.colour.copy_(colour @ generator.colour)

    @torch.no_grad()
    def _calibrate(self, frequency: Tensor, seed: int) -> None:
        """Set the offsets of the chain and of one pass, such that codes keep their training frequency."""
        self.offsets.zero_()
        for kind, n_passes in enumerate((1, None)):  # the chain last: its rows calibrate the forest
            sampler = self.sampler(n_passes)
            rng = stream(seed, "calibration", kind)
            self.offsets[kind] = sampler.calibrate(frequency, _CALIBRATION_ROWS, rng)

    @torch.no_grad()
    def _one_pass_frequency(self, n_rows: int, seed: int) -> Tensor:
        """Estimate the frequency of each code over draws of the generator, shape (w,)."""
        blank = self.decoder.blank()
        hidden = self.decoder.hidden(blank + self.decoder.latent(self._generate(n_rows, seed)))
        logits = self.decoder.code_logits(hidden) + self.offsets[0]
        columns = torch.split(logits, self.book.widths, dim=1)
        return torch.cat([column.softmax(dim=1).mean(dim=0) for column in columns])

    @torch.no_grad()
    def _generate(self, n_rows: int, seed: int) -> Tensor:
        """Latent vectors without a condition, shape (n_rows, z)."""
        noise = stream(seed, "calibration").standard_normal((n_rows, self.generator.noise.in_features))
        blank = self.decoder.blank()
        latent: Tensor = self.generator(
            torch.from_numpy(noise).float().to(blank.device), blank.expand(n_rows, -1)
        )
        return latent


def coverage(made: Tensor, real: Tensor, n_spans: int) -> float:
    """Share of the real table's cells whose code is made at a tenth of its frequency or more.

    1 when every category and mode is reached; a collapsed generator reaches few.

    >>> real = torch.tensor([0.5, 0.5, 0.9, 0.1])             # two columns of two codes
    >>> coverage(torch.tensor([1.0, 0.0, 0.9, 0.1]), real, 2)
    0.75
    """
    return float((real * (made >= real / 10)).sum() / n_spans)
