"""Categorical distributions given by logits: to draw from them, and to move them to given frequencies.

**Shapes**: m contexts, b draws, k codes.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["inverse_cdf", "offsets_to_match"]


def inverse_cdf(logits: Tensor, uniform: Tensor, context: Tensor | None = None) -> Tensor:
    """Draw from categorical distributions, one uniform number a draw.

    Parameters
    ----------
    logits : Tensor of shape (m, k)
        Unnormalised log probabilities of m contexts.
    uniform : Tensor of shape (b,)
        Numbers in [0, 1).
    context : int64 Tensor of shape (b,) or None
        Row of `logits` that each draw uses; None when b = m.

    Returns
    -------
    int64 Tensor of shape (b,)
        In [0, k).

    Examples
    --------
    >>> inverse_cdf(torch.tensor([[0.0, 0.0]]), torch.tensor([0.4, 0.6]), torch.tensor([0, 0])).tolist()
    [0, 1]
    """
    cumulative = (logits - logits.amax(dim=1, keepdim=True)).exp_().cumsum_(dim=1)  # (m, k)
    if context is not None:
        cumulative = cumulative[context]  # (b, k)
    target = uniform[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return drawn.clamp_(max=logits.shape[1] - 1)


def offsets_to_match(logits: Tensor, frequency: Tensor, share: Tensor | None = None) -> Tensor:
    """Offsets of shape (k,) with which the mean probabilities of m contexts meet `frequency`, shape (k,).

    `share`, shape (m,), weighs the contexts; equally without it.
    """
    offsets = torch.zeros_like(frequency)
    for _ in range(8):
        probability = (logits + offsets).softmax(dim=1)  # (m, k)
        made = probability.mean(dim=0) if share is None else share @ probability
        offsets += ((frequency + 1e-6) / (made + 1e-6)).log().clamp(-2, 2)
    return offsets
