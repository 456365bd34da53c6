"""The games that generator and critic play: losses, penalties on the critic, and which go together.

Scores in, a number out. A critic enters as a `Score`: a function of rows, with the gradient that
the penalties need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from synthgan.gan.losses import autograd_gradient

__all__ = ["Score"]


@dataclass(frozen=True)
class Score:
    """A critic with its condition, as a function of b rows.

    Parameters
    ----------
    function : callable (Tensor of shape (b, d)) -> Tensor of shape (b / pac_size,)
        Score of each pack.
    pac_size : int
        Consecutive rows that share a score.
    closed_form : callable (Tensor of shape (b, d)) -> Tensor of shape (b / pac_size, pac_size * d), optional
        Gradient of each score with respect to its pack; by automatic differentiation where None.

    Examples
    --------
    >>> import torch
    >>> score = Score(lambda rows: rows.sum(dim=1).square())
    >>> score.gradient(torch.tensor([[1.0, 2.0]])).tolist()   # 2 (1 + 2) in each direction
    [[6.0, 6.0]]
    """

    function: Callable[[Tensor], Tensor]
    pac_size: int = 1
    closed_form: Callable[[Tensor], Tensor] | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """Score packs, (b, d) -> (b / pac_size,)."""
        return self.function(rows)

    def gradient(self, rows: Tensor) -> Tensor:
        """Gradient of each score at its pack, (b, d) -> (b / pac_size, pac_size * d); differentiable."""
        if self.closed_form is not None:
            return self.closed_form(rows)
        gradient = autograd_gradient(self.function, rows)
        return gradient.reshape(len(rows) // self.pac_size, -1)  # (b / pac_size, pac_size * d)
