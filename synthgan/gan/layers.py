"""Layers that the players are made of, one from each paper.

Each keeps rows apart unless it says otherwise. Those with weights that are not of a linear layer
draw them in ``reset(rng)``.

A condition is one of c, given by its number in [0, c), its slot. Where papers multiply a one-hot
vector by a weight, a column of the weight is taken: the vector is never made.

**Shapes**: b rows, i and o inputs and outputs of a layer, c condition_dim, s dimensions of a style.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

__all__ = [
    "SLOPE",
    "FilmNorm",
    "MinibatchDeviation",
    "MinibatchDiscrimination",
    "ModulatedLinear",
    "SpectralLinear",
    "conditioned",
    "effective_weight",
    "through_slope",
]

SLOPE = 0.2
"""Slope of LeakyReLU below 0, in all players."""


def through_slope(gradient: Tensor, activation: Tensor) -> Tensor:
    """Multiply by the slope of LeakyReLU at the input that gave `activation`: its sign is kept, so it tells.

    One fused operation; a comparison, a choice and a product took a tenth of a training step.
    """
    passed: Tensor = torch.ops.aten.leaky_relu_backward(gradient, activation.detach(), SLOPE, False)
    return passed


# Bounds on the critic


class SpectralLinear(nn.Linear):
    """A linear map of spectral norm one, W / sigma(W) with sigma the largest singular value.

    sigma(W) ~ u'Wv by power iteration, v = W'u / ||W'u||, u = Wv / ||Wv||, one iteration each time the
    weight is used in training: u is kept, and W moves little in a step. Miyato et al. (2018), "Spectral
    Normalization for Generative Adversarial Networks", eq. (8) and Algorithm 1.

    Attributes
    ----------
    u : Tensor of shape (o,)
        Estimate of the first left singular vector; part of the state.
    """

    u: Tensor

    def __init__(
        self, n_in: int, n_out: int, bias: bool = True, device: str | torch.device | None = None
    ) -> None:
        super().__init__(n_in, n_out, bias=bias, device=device)
        self.register_buffer("u", torch.empty(n_out, device=device))

    def reset(self, rng: torch.Generator) -> None:
        """Draw the direction from which the power iteration starts."""
        nn.init.normal_(self.u, generator=rng)

    def normalised(self) -> Tensor:
        """W / sigma(W), shape (o, i), where the gradient takes sigma for the function of W that it is."""
        with torch.no_grad():
            v = F.normalize(self.weight.T @ self.u, dim=0)
            u = F.normalize(self.weight @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        sigma = u @ self.weight @ v
        return self.weight / sigma.clamp(min=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, (b, i) -> (b, o)."""
        return F.linear(x, self.normalised(), self.bias)


def effective_weight(layer: nn.Linear) -> Tensor:
    """Weight that a layer multiplies by, shape (o, i)."""
    return layer.normalised() if isinstance(layer, SpectralLinear) else layer.weight


# Statistics of a batch, against mode collapse


class MinibatchDiscrimination(nn.Module):
    """Append to each row how close others of its batch are, by learned measures.

    o_k(x) = mean over x' of exp(-||x'T_k - xT_k||_1), T_k of shape (i, 4), for 16 measures k. A generator
    that makes the same row again gives itself away. Real and fake rows come in batches of their own.
    Salimans et al. (2016), "Improved Techniques for Training GANs", section 3.2, with two changes: a
    mean in place of the sum; and x' runs over x and the 31 rows that follow it, in a circle. Rows come
    in random order, so that this is the mean over the batch on average; all pairs of 500 rows took a
    second for a step with a gradient penalty.
    """

    n_added = 16
    _DIM = 4
    _COMPARED = 32

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, self.n_added * self._DIM))

    def reset(self, rng: torch.Generator) -> None:
        """Draw the measures such that rows of unit variance lie a few units apart."""
        nn.init.normal_(self.weight, std=len(self.weight) ** -0.5, generator=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Append the closeness, (b, i) -> (b, i + 16)."""
        k = min(self._COMPARED, len(x))
        measured = (x @ self.weight).reshape(len(x), self.n_added, self._DIM, 1)  # (b, 16, 4, 1)
        circle = torch.cat([measured, measured[: k - 1]]).squeeze(3)
        distance = (circle.unfold(0, k, 1) - measured).abs().sum(dim=2)  # (b, 16, k)
        return torch.cat([x, torch.exp(-distance).mean(dim=2)], dim=1)


class MinibatchDeviation(nn.Module):
    """Append to each row the standard deviation over the batch, averaged over columns.

    Karras et al. (2018), "Progressive Growing of GANs", section 3.

    >>> MinibatchDeviation(2)(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))   # deviations of 1 and 2
    tensor([[1.0000, 5.0000, 1.5000],
            [3.0000, 9.0000, 1.5000]])
    """

    n_added = 1

    def __init__(self, _: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Append the deviation, (b, i) -> (b, i + 1)."""
        deviation = (x.var(dim=0, correction=0) + 1e-8).sqrt().mean()  # 1e-8: a root has no slope at 0
        return torch.cat([x, deviation.expand(len(x), 1)], dim=1)


# Conditions and styles


def columns(weight: Tensor, slots: Tensor) -> Tensor:
    """Multiply one-hot conditions by a weight, (o, c), (b,) -> (b, o).

    >>> columns(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 1, 0])).tolist()
    [[2.0, 4.0], [2.0, 4.0], [1.0, 3.0]]
    """
    return F.embedding(slots, weight.T.contiguous())


def conditioned(layer: nn.Linear, parts: Sequence[Tensor], slots: Tensor) -> Tensor:
    """Map parts_0 ++ condition ++ parts_1 ++ ..., where ++ puts vectors side by side, (b, i_k) -> (b, o).

    Each part is multiplied by its own block of the weight. Side by side, they would be copied, and noise
    and conditions would get gradients that nobody needs: a quarter of the products of CTGAN's generator.

    Parameters
    ----------
    layer : Linear
        Its inputs beyond the parts are those of the condition; there may be none.
    parts : one or more Tensors of shape (b, i_k)
    slots : int64 Tensor of shape (b,)
    """
    sizes = [part.shape[1] for part in parts]
    condition_dim = layer.in_features - sum(sizes)
    first, of_condition, *others = layer.weight.split([sizes[0], condition_dim, *sizes[1:]], dim=1)
    mapped = F.linear(parts[0], first, layer.bias)
    if condition_dim:
        mapped = mapped + columns(of_condition, slots)
    for part, block in zip(parts[1:], others, strict=True):
        mapped = torch.addmm(mapped, part, block.T)
    return mapped


class FilmNorm(nn.Module):
    """LayerNorm, then a scale and a shift that the condition chooses: (1 + gamma(c)) * norm(x) + beta(c).

    gamma and beta are linear. Perez et al. (2018), "FiLM: Visual Reasoning with a General Conditioning
    Layer", eq. (2). LayerNorm in place of BatchNorm: scaled by its condition, a row would else tell
    the conditions of its batch.
    """

    def __init__(self, dim: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.film: nn.Linear = skip_init(nn.Linear, condition_dim, 2 * dim)

    def forward(self, x: Tensor, slots: Tensor) -> Tensor:
        """Normalise rows and apply their conditions, (b, i), (b,) -> (b, i)."""
        gamma, beta = (columns(self.film.weight, slots) + self.film.bias).chunk(2, dim=1)  # (b, i) each
        modulated: Tensor = (1 + gamma) * self.norm(x) + beta
        return modulated


class ModulatedLinear(nn.Module):
    """A linear map whose inputs a style scales, with outputs brought back to their size.

    y_o = sum_i w_oi a_i x_i / sqrt(sum_i (w_oi a_i)^2) + b_o, with the scales a = A style + 1. Karras
    et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", eqs. (1) and (3).
    """

    def __init__(self, n_in: int, n_out: int, style_dim: int) -> None:
        super().__init__()
        self.scale: nn.Linear = skip_init(nn.Linear, style_dim, n_in, bias=False)
        self.weight = nn.Parameter(torch.empty(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def reset(self, rng: torch.Generator) -> None:
        """Draw the weights; their size has no effect."""
        nn.init.normal_(self.weight, generator=rng)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map rows in their styles, (b, i), (b, s) -> (b, o)."""
        scale = self.scale(style) + 1  # (b, i)
        size = F.linear(scale.square(), self.weight.square())  # (b, o)
        return F.linear(x * scale, self.weight) * (size + 1e-8).rsqrt() + self.bias
