"""Generators and critics on plain rows of numbers, each a few layers from one paper.

::

    generator   noise, condition   -> row      raw outputs, without activations
    critic      rows, condition    -> scores   one for each pack of rows

`make_generator` and `make_critic` build them by name, with weights drawn from a generator
of random numbers.

**Shapes**: b rows, p = b / pac_size packs, d width of a row, c condition_dim, h hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from synthgan.errors import ParameterError
from synthgan.gan.games import Score
from synthgan.gan.networks import initialise

__all__ = ["GENERATORS", "PacCritic", "ResidualGenerator", "make_critic", "make_generator"]

_SLOPE = 0.2  # of LeakyReLU below 0

Network = TypeVar("Network", bound=nn.Module)


class ResidualGenerator(nn.Module):
    """CTGAN's generator: each layer adds what it found to what it was given.

    h_{l+1} = h_l ++ ReLU(BatchNorm(W_l h_l + b_l)), h_0 = noise ++ condition, where ++ puts vectors
    side by side; the row is W h_L + b. Xu et al. (2019), "Modeling Tabular data using Conditional
    GAN", section 4.4.

    BatchNorm uses the batch in training, and in ``eval()`` the running mean and variance: then
    a row depends on its own noise and condition only.
    """

    def __init__(self, noise_dim: int, condition_dim: int, width: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        dim = noise_dim + condition_dim
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for hidden_dim in hidden_dims:
            self.layers.append(skip_init(nn.Linear, dim, hidden_dim))
            self.norms.append(nn.BatchNorm1d(hidden_dim))
            dim += hidden_dim
        self.out: nn.Linear = skip_init(nn.Linear, dim, width)

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Generate rows, shape (b, d)."""
        hidden = torch.cat([noise, condition], dim=1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = torch.cat([hidden, F.relu(norm(layer(hidden)))], dim=1)
        row: Tensor = self.out(hidden)
        return row


class PacCritic(nn.Module):
    """CTGAN's critic: judges packs of `pac_size` rows, each with its condition, together.

    h_{l+1} = dropout(LeakyReLU(W_l h_l + b_l)), slope .2, h_0 = the rows and conditions of a pack side by
    side; the score is w'h_L + b. A generator that drops modes makes packs that differ from real
    ones more than its rows do (PacGAN, Lin et al. 2018). Xu et al. (2019), section 4.4.

    No BatchNorm: a penalty on gradients needs a score that depends on its own pack alone
    (Gulrajani et al. 2017, section 4).

    Parameters
    ----------
    dropout : float in [0, 1)
        Share of hidden units set to 0 in training, at each layer; Xu et al. use .5.
    """

    def __init__(
        self, width: int, condition_dim: int, hidden_dims: Sequence[int], pac_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.pac_size, self.dropout = width, pac_size, dropout
        self.rows: nn.Linear = skip_init(nn.Linear, width * pac_size, hidden_dims[0])
        self.condition: nn.Linear | None = None
        if condition_dim:
            self.condition = skip_init(nn.Linear, condition_dim * pac_size, hidden_dims[0], bias=False)
        self.layers = nn.ModuleList(skip_init(nn.Linear, *sizes) for sizes in pairwise(hidden_dims))
        self.out: nn.Linear = skip_init(nn.Linear, hidden_dims[-1], 1)

    def reset(self, rng: torch.Generator) -> None:
        """Draw the two parts of the first layer as the one that they are."""
        parts = [self.rows.weight, self.rows.bias, *(self.condition.parameters() if self.condition else ())]
        fan_in = sum(part.shape[1] for part in parts if part.ndim == 2)
        for part in parts:
            nn.init.uniform_(part, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=rng)

    def forward(self, rows: Tensor, condition: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Score packs, shape (p,); `rng` draws in training what dropout leaves out."""
        return self.given(condition, rng)(rows)

    def given(self, condition: Tensor, rng: torch.Generator | None = None) -> Score:
        """Fix the conditions of b rows: the score as a function of these rows, with its gradient.

        What the conditions add to the first layer is computed once, for the real rows, the fake
        ones and those between them.
        """
        shift: Tensor | float = 0.0
        if self.condition is not None:
            shift = self.condition(_packs(condition, self.pac_size))  # (p, h)
        return Score(
            lambda rows: self._score(rows, shift, rng),
            self.pac_size,
            lambda rows: self._gradient(rows, shift, rng),
        )

    def _score(self, rows: Tensor, shift: Tensor | float, rng: torch.Generator | None) -> Tensor:
        activations, _ = self._run(rows, shift, rng)
        score: Tensor = self.out(activations[-1]).squeeze(1)  # (p,)
        return score

    def _gradient(self, rows: Tensor, shift: Tensor | float, rng: torch.Generator | None) -> Tensor:
        """Gradient of each score with respect to its pack, (p, pac_size * d).

        W_1' M_1 ... W_L' M_L w, M_l the diagonal of the slopes (1 or .2) times what dropout made of the
        units (0 or 1 / (1 - dropout)): exact wherever no unit is at 0, and needs one backward pass
        where autograd needs a double one.
        """
        activations, masks = self._run(rows, shift, rng)
        weights = [self.rows.weight, *(layer.get_parameter("weight") for layer in self.layers)]
        gradient = self.out.weight.expand_as(activations[-1])  # (p, h)
        for weight, activation, mask in zip(
            reversed(weights), reversed(activations), reversed(masks), strict=True
        ):
            gradient = _through_slope(gradient * mask, activation) @ weight
        return gradient

    def _run(
        self, rows: Tensor, shift: Tensor | float, rng: torch.Generator | None
    ) -> tuple[list[Tensor], list[Tensor | float]]:
        """Run the hidden layers: their outputs, each of shape (p, h), and the mask of dropout on each."""
        hidden = self.rows(_packs(rows, self.pac_size)) + shift
        activations: list[Tensor] = []
        masks: list[Tensor | float] = []
        for layer in (None, *self.layers):
            hidden = hidden if layer is None else layer(hidden)
            masks.append(self._mask(hidden, rng))
            hidden = F.leaky_relu(hidden, _SLOPE) * masks[-1]
            activations.append(hidden)
        return activations, masks

    def _mask(self, hidden: Tensor, rng: torch.Generator | None) -> Tensor | float:
        """Draw 0 with probability `dropout`, else 1 / (1 - dropout); 1. where nothing is left out."""
        if not self.training or self.dropout == 0:
            return 1.0
        if rng is None:
            raise ParameterError("A critic with dropout needs `rng` in training. Pass one, or call eval().")
        kept = torch.rand(hidden.shape, generator=rng) >= self.dropout
        return kept.to(hidden) / (1 - self.dropout)


def _packs(rows: Tensor, pac_size: int) -> Tensor:
    """Put the rows of each pack side by side, (b, d) -> (p, pac_size * d)."""
    if len(rows) % pac_size:
        raise ParameterError(
            f"The critic judges packs of pac_size={pac_size} rows, so the number of rows must be a multiple "
            f"of it. Got {len(rows)} rows: pass {len(rows) - len(rows) % pac_size}, or change pac_size."
        )
    return rows.reshape(len(rows) // pac_size, -1)  # (p, pac_size * d)


def _through_slope(gradient: Tensor, activation: Tensor) -> Tensor:
    """Multiply by the slope of LeakyReLU, which the sign of `activation` tells: one fused operation."""
    passed: Tensor = torch.ops.aten.leaky_relu_backward(gradient, activation.detach(), _SLOPE, False)
    return passed


GENERATORS: dict[str, type[nn.Module]] = {"residual": ResidualGenerator}
"""Generators by name; each is made from (noise_dim, condition_dim, width, hidden_dims)."""


def make_generator(
    kind: str,
    noise_dim: int,
    condition_dim: int,
    width: int,
    rng: torch.Generator,
    hidden_dims: Sequence[int] = (256, 256),
) -> nn.Module:
    """Build a generator, called as ``generator(noise, condition)``, and draw its weights.

    Parameters
    ----------
    kind : str
        A name in `GENERATORS`.
    noise_dim, condition_dim, width : int >= 1, >= 0, >= 1
        Numbers of a row's noise, condition and output.

    Examples
    --------
    >>> generator = make_generator("residual", 8, 2, 5, rng=torch.Generator().manual_seed(0))
    >>> generator(torch.zeros(3, 8), torch.zeros(3, 2)).shape
    torch.Size([3, 5])
    """
    generator = GENERATORS[kind](noise_dim, condition_dim, width, hidden_dims)
    return _drawn(generator, rng)


def make_critic(
    width: int,
    condition_dim: int,
    rng: torch.Generator,
    hidden_dims: Sequence[int] = (256, 256),
    pac_size: int = 1,
    dropout: float = 0.0,
) -> PacCritic:
    """Build a critic, called as ``critic(rows, condition)``, and draw its weights.

    Examples
    --------
    >>> critic = make_critic(5, 2, rng=torch.Generator().manual_seed(0), pac_size=3)
    >>> critic(torch.zeros(6, 5), torch.zeros(6, 2)).shape
    torch.Size([2])
    """
    return _drawn(PacCritic(width, condition_dim, hidden_dims, pac_size, dropout), rng)


def _drawn(network: Network, rng: torch.Generator) -> Network:
    """Draw all weights, those of the modules that have a way of their own last."""
    initialise(network, rng)
    for module in network.modules():
        if isinstance(module, PacCritic):
            module.reset(rng)
    return network
