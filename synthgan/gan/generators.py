"""Generators on plain rows of numbers: noise and condition in, raw outputs of a row out.

A condition is the slot of one of c, see `synthgan.gan.layers`; with c = 0 it means nothing.

**Shapes**: b rows, d width of a row, c condition_dim, h hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from synthgan.gan.layers import SLOPE, FilmNorm, ModulatedLinear, conditioned
from synthgan.gan.precision import widened

__all__ = ["ConvolutionalGenerator", "ResidualGenerator", "StyleGenerator"]


class ResidualGenerator(nn.Module):
    """CTGAN's generator: each layer adds what it found to what it was given.

    h_{l+1} = h_l ++ ReLU(BatchNorm(W_l h_l + b_l)), h_0 = noise ++ condition, where ++ puts vectors
    side by side; the row is W h_L + b. Xu et al. (2019), "Modeling Tabular data using Conditional
    GAN", section 4.4.

    BatchNorm uses the batch in training, and in ``eval()`` the running mean and variance: then
    a row depends on its own noise and condition only. With ``film``, the condition enters at each
    layer through a `FilmNorm` instead, and h_0 is the noise.
    """

    def __init__(
        self, noise_dim: int, condition_dim: int, width: int, hidden_dims: Sequence[int], film: bool = False
    ) -> None:
        super().__init__()
        self.film = film
        dim = noise_dim if film else noise_dim + condition_dim
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for hidden_dim in hidden_dims:
            self.layers.append(skip_init(nn.Linear, dim, hidden_dim))
            self.norms.append(FilmNorm(hidden_dim, condition_dim) if film else nn.BatchNorm1d(hidden_dim))
            dim += hidden_dim
        self.out: nn.Linear = skip_init(nn.Linear, dim, width)

    def forward(self, noise: Tensor, slots: Tensor) -> Tensor:
        """Generate rows, shape (b, d)."""
        parts = [noise]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            found = conditioned(cast(nn.Linear, layer), parts, slots)
            parts.append(F.relu(norm(found, slots) if self.film else norm(found)))
        return conditioned(self.out, parts, slots)


class ConvolutionalGenerator(nn.Module):
    """The generator of table-GAN: DCGAN on a row that is written, with a rest of zeros, into a square.

    A linear map of noise and condition gives a small square; each transposed convolution (kernel 4,
    stride 2) doubles its side, with BatchNorm and ReLU between; the first d cells of the last square
    are the row. Park et al. (2018), "Data Synthesis based on Generative Adversarial Networks"; Radford
    et al. (2016), "Unsupervised Representation Learning with [DCGANs]", section 3.

    Neighbours in the square are neighbours by the order of columns alone, which means nothing in
    most tables: for comparison. `hidden_dims` gives a quarter of its units as channels, halved at
    each doubling of the side, so that the layers cost alike.
    """

    def __init__(self, noise_dim: int, condition_dim: int, width: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.width = width
        last_side = math.isqrt(width - 1) + 1  # the root of the width, rounded up
        self.side = -(-last_side // 2 ** len(hidden_dims))  # of the first square, rounded up
        channels = [max(1, dim // 4 // 2**i) for i, dim in enumerate(hidden_dims)]
        self.first: nn.Linear = skip_init(
            nn.Linear, noise_dim + condition_dim, channels[0] * self.side**2, bias=False
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in channels)
        self.layers = nn.ModuleList(
            skip_init(nn.ConvTranspose2d, n_in, n_out, 4, stride=2, padding=1)
            for n_in, n_out in pairwise([*channels, 1])
        )

    def reset(self, rng: torch.Generator) -> None:
        """Draw all weights with a standard deviation of .02 (Radford et al. 2016)."""
        nn.init.normal_(self.first.weight, std=0.02, generator=rng)
        for layer in self.layers:
            nn.init.normal_(layer.get_parameter("weight"), std=0.02, generator=rng)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, noise: Tensor, slots: Tensor) -> Tensor:
        """Generate rows, shape (b, d)."""
        square = conditioned(self.first, [noise], slots)
        square = square.reshape(len(noise), -1, self.side, self.side)  # (b, channels, side, side)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            square = layer(F.relu(norm(square)))
        rows: Tensor = square.flatten(1)[:, : self.width]
        return rows


class StyleGenerator(nn.Module):
    """A style for each row, made from its noise, modulates layers that begin at a learned constant.

    The mapping network turns noise of length one, and the condition, into a style s; the layers are
    `ModulatedLinear` with LeakyReLU. Karras et al. (2019), "A Style-Based Generator Architecture for
    Generative Adversarial Networks", section 2; the modulation is that of Karras et al. (2020).

    In ``eval()``, styles are pulled towards their mean, s' = mean + truncation * (s - mean): rows become
    more typical and less diverse (Karras et al. 2019, appendix B; Brock et al. 2019).

    Parameters
    ----------
    truncation : float in [0, 1]
        1 leaves the styles alone.

    Attributes
    ----------
    mean_style : Tensor of shape (h,)
        Moving average of the styles of the training; part of the state.
    """

    mean_style: Tensor
    n_means: Tensor
    _MAPPING_LAYERS = 3  # the paper has 8, for images

    def __init__(
        self,
        noise_dim: int,
        condition_dim: int,
        width: int,
        hidden_dims: Sequence[int],
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        self.truncation = truncation
        style_dim = hidden_dims[0]
        dims = [noise_dim + condition_dim, *[style_dim] * self._MAPPING_LAYERS]
        self.mapping = nn.ModuleList(skip_init(nn.Linear, *sizes) for sizes in pairwise(dims))
        self.start = nn.Parameter(torch.empty(style_dim))
        sizes = pairwise([style_dim, *hidden_dims])
        self.layers = nn.ModuleList(ModulatedLinear(n_in, n_out, style_dim) for n_in, n_out in sizes)
        self.out: nn.Linear = skip_init(nn.Linear, hidden_dims[-1], width)
        self.register_buffer("mean_style", torch.zeros(style_dim))
        self.register_buffer("n_means", torch.tensor(0))

    def reset(self, rng: torch.Generator) -> None:
        """Draw the constant that the layers begin at."""
        nn.init.normal_(self.start, generator=rng)

    def forward(self, noise: Tensor, slots: Tensor) -> Tensor:
        """Generate rows, shape (b, d)."""
        style = self.style(noise, slots)
        if self.training:
            self._remember(style.detach())
        else:
            style = torch.lerp(self.mean_style, style, self.truncation)
        hidden = self.start.expand(len(noise), -1)  # (b, h)
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden, style), SLOPE)
        row: Tensor = self.out(hidden)
        return row

    def style(self, noise: Tensor, slots: Tensor) -> Tensor:
        """Map noise and condition to styles, shape (b, h)."""
        length = noise.square().mean(dim=1, keepdim=True).add(1e-8).sqrt()  # (b, 1)
        first, *others = self.mapping
        style = F.leaky_relu(conditioned(cast(nn.Linear, first), [noise / length], slots), SLOPE)
        for layer in others:
            style = F.leaky_relu(layer(style), SLOPE)
        return widened(style)

    def _remember(self, style: Tensor) -> None:
        """Take a batch of styles into their mean: that of all batches at first, then of the last 200."""
        self.n_means = self.n_means + 1
        weight = (1 / self.n_means).clamp(min=0.005)
        self.mean_style = torch.lerp(self.mean_style, style.mean(dim=0), weight)
