"""The network that takes the noise out of rows, and the time that says how much there is.

The equations are those of `synthgan.diffusion`.

**Shapes**: b rows, f numbers, c categories, w all values of all categories, h `hidden_dim`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.gan.networks import ResidualBlock, initialise
from synthgan.gan.precision import mixed_precision, widened
from synthgan.layout import Layout
from synthgan.transforms.scores import NormalScores

__all__ = ["LEAST_TIME", "TIMES", "Denoiser", "Rows", "TableDenoiser", "signal"]

_OFFSET = 0.008  # of the cosine schedule: how soon the first noise is felt
LEAST_TIME = 1e-4
"""The least time that the network is asked about: at 0 nothing is left to say."""

TIMES = 21
"""So many times, from 0 to 1, have their errors measured."""

_FREQUENCIES = 32  # of the time embedding


def signal(t: Tensor) -> Tensor:
    """Return a(t), the share of the signal at time t in [0, 1]: the cosine schedule.

    a(t) = f(t) / f(0) with f(t) = cos((t + s) / (1 + s) * pi / 2)^2, Nichol & Dhariwal (2021), eq. (17).

    >>> [round(float(a), 3) for a in signal(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))]
    [1.0, 0.494, 0.0]
    """
    start = math.cos(_OFFSET / (1 + _OFFSET) * math.pi / 2) ** 2
    return torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2 / start


@dataclass(frozen=True)
class Rows:
    """Rows as the network sees them.

    Parameters
    ----------
    scores : float32 Tensor of shape (b, f)
    codes : int64 Tensor of shape (b, c)
        Values of the categories, that of the k-th in [0, K_k).
    """

    scores: Tensor
    codes: Tensor

    def where(self, known: Tensor, other: Rows) -> Rows:
        """Put parts of other rows where `known`, of shape (b, f + c), is True."""
        n = self.scores.shape[1]
        return Rows(
            torch.where(known[:, :n], other.scores, self.scores),
            torch.where(known[:, n:], other.codes, self.codes),
        )


class Denoiser(nn.Module):
    """The network: rows at a time t to v of the numbers and logits of the categories at time 0.

    Parameters
    ----------
    n_scores : int >= 0
        Numbers in a row, f.
    sizes : sequence of int
        Values of each of the c categories.
    hidden_dim, n_blocks : int
        Width h of the residual blocks, and how many there are.
    precision : str of PRECISIONS
        Of the matrix products, see `mixed_precision`.

    Attributes
    ----------
    log_prior : Tensor of shape (w,)
        Log frequency of each value of each category; 0 before training.
    errors : Tensor of shape (2, 21, f)
        Mean squared error of v at 21 times from 0 to 1, of rows without and with known parts; 1 before
        training.
    """

    errors: Tensor
    log_prior: Tensor
    starts: Tensor
    n_values: Tensor

    def __init__(
        self, n_scores: int, sizes: Sequence[int], hidden_dim: int, n_blocks: int, precision: str = "float32"
    ) -> None:
        super().__init__()
        self.precision = precision
        self.n_scores, self.sizes = n_scores, list(sizes)
        width = sum(sizes)
        self.scores = nn.Parameter(torch.empty(3 * n_scores, hidden_dim))  # noised, known, is it known?
        self.values = nn.Parameter(torch.empty(2 * width, hidden_dim))  # noised, known
        self.time = nn.Sequential(
            _linear(2 * _FREQUENCIES, hidden_dim), nn.SiLU(), _linear(hidden_dim, hidden_dim)
        )
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, 2 * hidden_dim) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(hidden_dim)
        self.weight = nn.Parameter(torch.zeros(n_scores + width, hidden_dim))
        self.bias = nn.Parameter(torch.zeros(n_scores + width))
        self.register_buffer("log_prior", torch.zeros(width))
        self.register_buffer("errors", torch.ones(2, TIMES, n_scores))
        ends = np.cumsum([0, *self.sizes])
        self.register_buffer("starts", torch.from_numpy(ends[:-1].astype(np.int64)), persistent=False)
        self.register_buffer("n_values", torch.tensor(self.sizes, dtype=torch.int64), persistent=False)

    def reset(self, rng: torch.Generator) -> None:
        """Draw the weights such that nothing is predicted at first."""
        initialise(self, rng)
        std = 1 / math.sqrt(max(self.n_scores + len(self.sizes), 1))  # the sum has variance 1
        nn.init.normal_(self.scores, std=std, generator=rng)
        nn.init.normal_(self.values, std=std, generator=rng)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, rows: Rows, t: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict rows at time 0 from rows at times t.

        Parameters
        ----------
        rows : Rows of b rows
        t : float64 Tensor of shape (b,) or (1,)
        known : bool Tensor of shape (b, f + c), optional
            Which numbers and which categories stand in `rows` as they are at time 0.

        Returns
        -------
        v : Tensor of shape (b, f)
            Expected sqrt(a) noise - sqrt(1 - a) x_0.
        logits : Tensor of shape (b, w)
            Of p(c_0 | x_t, c_t), up to a constant for each category.
        """
        flat = rows.codes + self.starts  # (b, c)
        with mixed_precision(self.precision, self.bias.device):
            hidden = widened(self._embed(rows, flat, known) + self.time(_time_features(t)))  # (b, h)
            out = widened(F.linear(self.norm(self.blocks(hidden)), self.weight, self.bias))  # (b, f + w)
        v, logits = out[:, : self.n_scores], out[:, self.n_scores :] + self.log_prior
        # log of (2) as a function of c_0, up to a constant: 0, and where c_0 = c_t
        a = signal(t)[:, None]
        seen = torch.log1p(a / (1 - a) * self.n_values).float()  # (b or 1, c)
        return v, logits.scatter_add(1, flat, seen.expand(len(flat), -1))

    def _embed(self, rows: Rows, flat: Tensor, known: Tensor | None) -> Tensor:
        """Sum the embeddings of all parts of a row, (b, h); known ones have embeddings of their own."""
        f = self.n_scores
        if known is None:
            embedded = rows.scores @ self.scores[:f]
        else:
            shown = known[:, :f].to(rows.scores.dtype)
            parts = torch.cat([rows.scores * (1 - shown), rows.scores * shown, shown], dim=1)
            embedded = parts @ self.scores  # (b, 3 f) -> (b, h)
            flat = flat + known[:, f:] * (len(self.values) // 2)
        return embedded + F.embedding_bag(flat, self.values, mode="sum") if self.sizes else embedded

    def deviation(self, t: Tensor, with_known: bool) -> Tensor:
        """Return the standard deviation of x_0 about its guess at time t of shape (1,), (f,).

        The error of x_0 is sqrt(1 - a) times that of v, whose mean square is known.
        """
        place = float(t) * (TIMES - 1)
        at = min(int(place), TIMES - 2)
        below, above = self.errors[int(with_known), at : at + 2]
        error: Tensor = torch.lerp(below, above, place - at)
        return ((1 - signal(t)).float() * error).sqrt()

    def by_category(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Cut logits of shape (b, w) into those of each category."""
        return torch.split(logits, self.sizes, dim=1)


class TableDenoiser(Denoiser):
    """A denoiser that knows what its numbers and categories mean in a table.

    Attributes
    ----------
    shares : float64 Tensor of shape (layout.width,)
        What `NormalScores` has learned; 0 before training.
    """

    shares: Tensor

    def __init__(self, layout: Layout, hidden_dim: int, n_blocks: int, precision: str = "float32") -> None:
        view = NormalScores(layout, np.zeros(layout.width))
        super().__init__(len(view.score_spans), view.sizes, hidden_dim, n_blocks, precision)
        self.layout = layout
        self.register_buffer("shares", torch.zeros(layout.width, dtype=torch.float64))

    def view(self) -> NormalScores:
        """Return the way from the table to scores and categories, and back."""
        return NormalScores(self.layout, self.shares.cpu().numpy())


def _linear(n_in: int, n_out: int) -> nn.Linear:
    """Make a linear layer whose weights are still to be drawn."""
    layer: nn.Linear = torch.nn.utils.skip_init(nn.Linear, n_in, n_out)
    return layer


def _time_features(t: Tensor) -> Tensor:
    """Sines and cosines of times at frequencies from 1 to 1,000, (b,) -> (b, 64)."""
    powers = torch.arange(_FREQUENCIES, dtype=t.dtype, device=t.device) / (_FREQUENCIES - 1)
    angle = t[:, None] * 1000.0**powers
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()
