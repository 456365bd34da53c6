"""Generators and critics by name, with weights drawn, and refusals of what does not go together.

::

    generator   noise, slots   -> row      raw outputs, without activations
    critic      rows, slots    -> scores   one for each pack of rows

A slot is the number of a row's condition, in [0, condition_dim).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import nn

from synthgan.errors import ParameterError
from synthgan.gan.critics import PacCritic
from synthgan.gan.generators import ConvolutionalGenerator, ResidualGenerator, StyleGenerator
from synthgan.gan.layers import MinibatchDiscrimination, ModulatedLinear, SpectralLinear
from synthgan.gan.networks import initialise

__all__ = ["CONDITIONINGS", "GENERATORS", "make_critic", "make_generator"]

GENERATORS = ("residual", "convolutional", "style")
"""Kinds of generators."""

CONDITIONINGS = {"generator": ("concatenation", "film"), "critic": ("concatenation", "projection")}
"""How the condition may enter each player."""

Network = TypeVar("Network", bound=nn.Module)


def make_generator(
    kind: str,
    noise_dim: int,
    condition_dim: int,
    width: int,
    rng: torch.Generator,
    hidden_dims: Sequence[int] = (256, 256),
    conditioning: str = "concatenation",
    truncation: float = 1.0,
) -> nn.Module:
    """Build a generator, called as ``generator(noise, slots)``, and draw its weights.

    Parameters
    ----------
    kind : {"residual", "convolutional", "style"}
    noise_dim, condition_dim, width : int >= 1, >= 0, >= 1
        Numbers of a row's noise, number of conditions, and numbers of a row's output.
    conditioning : {"concatenation", "film"}
        "film" for the residual generator only.
    truncation : float in [0, 1]
        Below 1 for the style generator only.

    Raises
    ------
    ParameterError
        If kind, conditioning and truncation do not go together, or convolutions are too many for the width.

    Examples
    --------
    >>> generator = make_generator("residual", 8, 2, 5, rng=torch.Generator().manual_seed(0))
    >>> generator(torch.zeros(3, 8), torch.tensor([0, 1, 1])).shape
    torch.Size([3, 5])
    """
    film = conditioning == "film"
    if film and kind != "residual":
        where = "modulates all layers by it already" if kind == "style" else "takes it in its first layer"
        raise ParameterError(
            f"generator_conditioning='film' is for generator='residual': generator={kind!r} {where}. "
            "Take generator_conditioning='concatenation'."
        )
    _require_condition(film, "generator_conditioning='film'", condition_dim)
    if truncation != 1 and kind != "style":
        raise ParameterError(
            f"truncation={truncation:g} pulls styles to their mean, and generator={kind!r} has none. "
            "Take truncation=1 or generator='style'."
        )
    most = max(2, math.ceil(math.log2(width) / 2))
    if kind == "convolutional" and len(hidden_dims) > most:
        raise ParameterError(
            "Each layer of generator='convolutional' doubles the side of a square, which a row of this table "
            f"does not fill. Got {len(hidden_dims)} layers: take at most {most}."
        )
    sizes = (noise_dim, condition_dim, width, hidden_dims)
    generators: dict[str, Callable[[], nn.Module]] = {
        "residual": lambda: ResidualGenerator(*sizes, film),
        "convolutional": lambda: ConvolutionalGenerator(*sizes),
        "style": lambda: StyleGenerator(*sizes, truncation),
    }
    return _drawn(generators[kind](), rng)


def make_critic(
    width: int,
    condition_dim: int,
    rng: torch.Generator,
    hidden_dims: Sequence[int] = (256, 256),
    pac_size: int = 1,
    dropout: float = 0.0,
    conditioning: str = "concatenation",
    statistics: str | None = None,
    spectral_norm: bool = False,
) -> PacCritic:
    """Build a `PacCritic`, called as ``critic(rows, slots)``, and draw its weights.

    Parameters
    ----------
    width, condition_dim : int >= 1, >= 0
        Numbers of a row, and number of conditions.
    conditioning : {"concatenation", "projection"}
    statistics : {"discrimination", "deviation"}, optional

    Raises
    ------
    ParameterError
        If there is no condition to project, or no hidden layer before the one that sees statistics.

    Examples
    --------
    >>> critic = make_critic(5, 2, rng=torch.Generator().manual_seed(0), pac_size=3)
    >>> critic(torch.zeros(6, 5), torch.tensor([0, 1, 0, 0, 1, 1])).shape
    torch.Size([2])
    """
    projection = conditioning == "projection"
    _require_condition(projection, "critic_conditioning='projection'", condition_dim)
    if statistics is not None and len(hidden_dims) < 2:
        raise ParameterError(
            f"statistics={statistics!r} are those of the last hidden layer but one. Got {len(hidden_dims)} "
            "hidden layer: take two or more."
        )
    critic = PacCritic(
        width, condition_dim, hidden_dims, pac_size, dropout, projection, statistics, spectral_norm
    )
    return _drawn(critic, rng)


def _require_condition(wanted: bool, what: str, condition_dim: int) -> None:
    if wanted and condition_dim == 0:
        raise ParameterError(
            f"{what} needs a condition, and no column of this table gives one. Take 'concatenation'."
        )


_OWN_WEIGHTS = (
    ConvolutionalGenerator,
    MinibatchDiscrimination,
    ModulatedLinear,
    PacCritic,
    SpectralLinear,
    StyleGenerator,
)


def _drawn(network: Network, rng: torch.Generator) -> Network:
    """Draw all weights, those of the modules that have a way of their own last."""
    initialise(network, rng)
    for module in network.modules():
        if isinstance(module, _OWN_WEIGHTS):
            module.reset(rng)
    return network
