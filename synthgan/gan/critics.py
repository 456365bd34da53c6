"""The critic on plain rows of numbers: packs of rows with their conditions in, scores out.

A condition is the slot of one of c, see `synthgan.gan.layers`; with c = 0 it means nothing.

**Shapes**: b rows, p = b / pac_size packs, d width of a row, c condition_dim, h hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from synthgan.errors import ParameterError, quantity
from synthgan.gan.games import Score
from synthgan.gan.layers import (
    SLOPE,
    MinibatchDeviation,
    MinibatchDiscrimination,
    SpectralLinear,
    effective_weight,
    through_slope,
)

__all__ = ["STATISTICS", "PacCritic"]

STATISTICS: dict[str, Callable[[int], MinibatchDiscrimination | MinibatchDeviation]] = {
    "discrimination": MinibatchDiscrimination,
    "deviation": MinibatchDeviation,
}
"""What a critic may see of the whole batch, by name."""


@dataclass(frozen=True)
class _Given:
    """What a critic can compute before it sees the rows.

    Parameters
    ----------
    weights : list of Tensors
        Effective weights of all layers, the first to the last.
    shift : Tensor of shape (p, h) or 0
        What the conditions add to the first layer.
    tilt : Tensor of shape (p, h) or 0
        What they add to the weights of the last.
    rng : torch.Generator or None
        Source of the dropout.
    """

    weights: list[Tensor]
    shift: Tensor | float
    tilt: Tensor | float
    rng: torch.Generator | None


class PacCritic(nn.Module):
    """CTGAN's critic: judges packs of `pac_size` rows, each with its condition, together.

    h_{l+1} = dropout(LeakyReLU(W_l h_l + b_l)), slope .2, h_0 = the rows and conditions of a pack side by
    side; the score is w'h_L + b. A generator that drops modes makes packs that differ from real
    ones more than its rows do (PacGAN, Lin et al. 2018). Xu et al. (2019), section 4.4.

    With ``projection``, h_0 holds the rows only, and the score is w'h_L + b + y'V h_L for the conditions
    y of the pack. Miyato & Koyama (2018), "cGANs with Projection Discriminator", eq. (3).

    No BatchNorm: a penalty on gradients needs a score that depends on its own pack alone (Gulrajani
    et al. 2017, section 4). Statistics of the batch break that too, more gently: the gradient then is
    that of all scores together, as in Karras et al. (2018).

    Parameters
    ----------
    dropout : float in [0, 1)
        Share of hidden units set to 0 in training, at each layer; Xu et al. use .5.
    statistics : {"discrimination", "deviation"}, optional
        What the last hidden layer sees of the whole batch.
    spectral_norm : bool
        Whether all layers are `SpectralLinear`: the score is then 1-Lipschitz in the pack, without
        dropout, statistics and projection (whose V, of norm one too, adds up to the length of y).
    """

    def __init__(
        self,
        width: int,
        condition_dim: int,
        hidden_dims: Sequence[int],
        pac_size: int,
        dropout: float,
        projection: bool,
        statistics: str | None,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.pac_size, self.dropout, self.projection = pac_size, dropout, projection
        linear: Callable[..., nn.Linear] = partial(skip_init, SpectralLinear if spectral_norm else nn.Linear)
        self.rows = linear(width * pac_size, hidden_dims[0])
        self.condition: nn.Linear | None = None
        if condition_dim:
            target = hidden_dims[-1] if projection else hidden_dims[0]
            self.condition = linear(condition_dim * pac_size, target, bias=False)
        n_seen = list(hidden_dims[:-1])
        self.statistics: MinibatchDiscrimination | MinibatchDeviation | None = None
        if statistics is not None:
            self.statistics = STATISTICS[statistics](n_seen[-1])
            n_seen[-1] += self.statistics.n_added
        self.layers = nn.ModuleList(map(linear, n_seen, hidden_dims[1:]))
        self.out = linear(hidden_dims[-1], 1)

    def reset(self, rng: torch.Generator) -> None:
        """Draw the two parts of the first layer as the one that they are."""
        if self.condition is None or self.projection:
            return
        parts = [self.rows.weight, self.rows.bias, self.condition.weight]
        bound = 1 / math.sqrt(self.rows.in_features + self.condition.in_features)
        for part in parts:
            nn.init.uniform_(part, -bound, bound, generator=rng)

    def forward(self, rows: Tensor, slots: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Score packs, shape (p,); `rng` draws in training what dropout leaves out."""
        return self.given(slots, rng)(rows)

    def given(self, slots: Tensor, rng: torch.Generator | None = None) -> Score:
        """Fix the conditions of b rows: the score as a function of these rows, with its gradient.

        What does not depend on the rows is computed once, for the real rows, the fake ones and
        those between them: a score serves one backward pass. The gradient has a closed form
        (`_gradient`) without `statistics`.
        """
        weights = [effective_weight(layer) for layer in (self.rows, *self._hidden(), self.out)]
        shift: Tensor | float = 0.0
        tilt: Tensor | float = 0.0
        if self.condition is not None:
            added = _columns_of_packs(effective_weight(self.condition), slots, self.pac_size)  # (p, h)
            shift, tilt = (0.0, added) if self.projection else (added, 0.0)
        fixed = _Given(weights, shift, tilt, rng)
        closed_form = partial(self._gradient, fixed) if self.statistics is None else None
        return Score(partial(self._score, fixed), self.pac_size, closed_form)

    def _hidden(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def _score(self, fixed: _Given, rows: Tensor) -> Tensor:
        activations, _ = self._run(fixed, rows)
        return (activations[-1] * (fixed.weights[-1] + fixed.tilt)).sum(dim=1) + self.out.bias  # (p,)

    def _gradient(self, fixed: _Given, rows: Tensor) -> Tensor:
        """Gradient of each score with respect to its pack, (p, pac_size * d).

        W_1' M_1 ... W_L' M_L w, M_l the diagonal of the slopes (1 or .2) times what dropout made of the
        units (0 or 1 / (1 - dropout)): exact wherever no unit is at 0. It needs one backward pass
        where autograd needs a double one: 4.2 against 8.4 ms for the penalty on 500 rows of 160
        numbers in packs of 10, two layers of 256 units, one thread.
        """
        with torch.no_grad():  # of the activations, only the signs are needed
            activations, masks = self._run(fixed, rows)
        gradient = (fixed.weights[-1] + fixed.tilt).expand_as(activations[-1])  # (p, h)
        layers = zip(fixed.weights[:-1], activations, masks, strict=True)
        for weight, activation, mask in reversed(list(layers)):
            gradient = through_slope(gradient * mask, activation) @ weight
        return gradient

    def _run(self, fixed: _Given, rows: Tensor) -> tuple[list[Tensor], list[Tensor | float]]:
        """Run the hidden layers: their outputs, each of shape (p, h), and the mask of dropout on each."""
        layers = [self.rows, *self._hidden()]
        hidden = _packs(rows, self.pac_size)
        activations: list[Tensor] = []
        masks: list[Tensor | float] = []
        for i, (layer, weight) in enumerate(zip(layers, fixed.weights, strict=False)):
            if self.statistics is not None and i == len(layers) - 1:
                hidden = self.statistics(_several(hidden))
            hidden = F.linear(hidden, weight, layer.bias) + (fixed.shift if i == 0 else 0.0)
            masks.append(self._mask(hidden, fixed.rng))
            hidden = F.leaky_relu(hidden, SLOPE) * masks[-1]
            activations.append(hidden)
        return activations, masks

    def _mask(self, hidden: Tensor, rng: torch.Generator | None) -> Tensor | float:
        """Draw 0 with probability `dropout`, else 1 / (1 - dropout); 1. where nothing is left out."""
        if not self.training or self.dropout == 0:
            return 1.0
        if rng is None:
            raise ParameterError("A critic with dropout needs `rng` in training. Pass one, or call eval().")
        kept = torch.rand(hidden.shape, generator=rng).ge_(self.dropout)
        return kept.div_(1 - self.dropout).to(hidden)


def _packs(rows: Tensor, pac_size: int) -> Tensor:
    """Put the rows of each pack side by side, (b, d) -> (p, pac_size * d)."""
    if len(rows) % pac_size:
        raise ParameterError(
            f"The critic judges packs of pac_size={pac_size} rows, so the number of rows must be a multiple "
            f"of it. Got {quantity(len(rows), 'row')}: pass {len(rows) - len(rows) % pac_size}, or change "
            "pac_size."
        )
    return rows.reshape(len(rows) // pac_size, -1)  # (p, pac_size * d)


def _columns_of_packs(weight: Tensor, slots: Tensor, pac_size: int) -> Tensor:
    """Multiply one-hot conditions, those of a pack side by side: (h, pac_size * c), (b,) -> (p, h).

    >>> weight = torch.tensor([[1.0, 2.0, 10.0, 20.0]])
    >>> _columns_of_packs(weight, torch.tensor([0, 1, 1, 0]), pac_size=2).tolist()   # 1 + 20, 2 + 10
    [[21.0], [12.0]]
    """
    n_slots = weight.shape[1] // pac_size
    places = _packs(slots[:, None], pac_size) + n_slots * torch.arange(pac_size, device=slots.device)
    chosen = weight.index_select(1, places.flatten())
    return chosen.reshape(len(weight), -1, pac_size).sum(dim=2).T  # (p, h)


def _several(packs: Tensor) -> Tensor:
    """Let two packs or more pass."""
    if len(packs) < 2:
        raise ParameterError(
            "Statistics of a batch need two packs of rows or more. Got 1: raise batch_size or lower pac_size."
        )
    return packs
