"""Losses of the two games: reconstruction of hidden cells, and generator against critic.

Each loss is a pure function of tensors. Gradient penalties take the gradients
themselves, so that the closed form (`Critic.score_and_gradient`) and autograd
(`autograd_gradient`) serve alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgan.gan.networks import Decoder, Rows

__all__ = [
    "autograd_gradient",
    "column_nll",
    "gradient_penalty",
    "hidden_nll",
    "relativistic_loss",
    "wasserstein_distance",
    "zero_centred_penalty",
]


def hidden_nll(decoder: Decoder, hidden: Tensor, rows: Rows, observed: Tensor) -> Tensor:
    """Negative log-likelihood of each hidden cell given what the decoder saw.

    -log p(code | observed, z) - log p(cell of alpha | code, observed, z)

    Parameters
    ----------
    decoder : Decoder
    hidden : Tensor of shape (b, h)
        Output of the decoder's trunk.
    rows : Rows of b rows
        The true codes and cells.
    observed : bool Tensor of shape (b, g)
        Cells that the decoder was shown; they cost nothing.

    Returns
    -------
    Tensor of shape (b, g)
        In nats, >= 0; 0 where observed.
    """
    book = decoder.book
    local = rows.codes - book.starts
    logits = torch.split(decoder.code_logits(hidden), book.widths, dim=1)
    nll = torch.stack(
        [F.cross_entropy(logit, local[:, j], reduction="none") for j, logit in enumerate(logits)], dim=1
    )  # (b, g)
    if book.fine:
        cell_logits = decoder.cell_logits(hidden, rows.codes[:, book.fine_index])  # (b, f, c)
        cell_nll = F.cross_entropy(cell_logits.flatten(0, 1), rows.cells.flatten(), reduction="none")
        nll = nll.index_add(1, book.fine_index, cell_nll.view_as(rows.cells))
    return nll * ~observed


def column_nll(decoder: Decoder, hidden: Tensor, rows: Rows, j: int, weight: Tensor) -> Tensor:
    """One column of `hidden_nll`, shape (b,), at the cost of that column's logits only.

    `weight` is `Decoder.code_weight`, which serves all columns.
    """
    book = decoder.book
    nll = F.cross_entropy(
        decoder.column_logits(hidden, j, weight), rows.codes[:, j] - book.starts[j], reduction="none"
    )
    if j in book.fine:
        i = book.fine.index(j)
        cell_logits = decoder.column_cell_logits(hidden, i, rows.codes[:, j])
        nll = nll + F.cross_entropy(cell_logits, rows.cells[:, i], reduction="none")
    return nll


def wasserstein_distance(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Critic's estimate of the Wasserstein-1 distance, E[C(real)] - E[C(fake)].

    Exact for the best 1-Lipschitz critic (Kantorovich-Rubinstein duality; Arjovsky et al. 2017,
    eq. (2)). The critic maximises it, the generator minimises it.

    >>> float(wasserstein_distance(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0])))
    1.5
    """
    return real_score.mean() - fake_score.mean()


def gradient_penalty(gradient: Tensor) -> Tensor:
    """Penalise critic gradients whose norm differs from one, E[(||grad C(x)||_2 - 1)^2].

    Parameters
    ----------
    gradient : Tensor of shape (b, d)
        Gradients of the critic at points drawn uniformly on the segments between paired real
        and fake rows.

    Returns
    -------
    Tensor of shape ()
        Mean squared deviation, >= 0, dimensionless, not multiplied by lambda.

    References
    ----------
    Gulrajani et al. (2017), "Improved Training of Wasserstein GANs", eq. (3).

    Examples
    --------
    A linear critic with w = (3, 4) has a gradient of norm 5 everywhere:

    >>> float(gradient_penalty(torch.tensor([[3.0, 4.0], [3.0, 4.0]])))
    16.0
    """
    norm: Tensor = gradient.norm(dim=1)
    return (norm - 1).square().mean()


def zero_centred_penalty(gradient: Tensor) -> Tensor:
    """Penalise squared gradient norms, E[||grad C(x)||^2]: R1 at real rows, R2 at fake ones.

    Without the factor gamma / 2. Mescheder et al. (2018), "Which Training Methods for GANs do
    actually Converge?", eq. (9).

    >>> float(zero_centred_penalty(torch.tensor([[3.0, 4.0]])))
    25.0
    """
    return gradient.square().sum(dim=1).mean()


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Pairwise relativistic loss, E[softplus(-(C(better) - C(worse)))].

    The critic plays it with (real, fake), the generator with (fake, real); rows are paired
    by position. Jolicoeur-Martineau (2018); Huang et al. (2024), "The GAN is dead; long live the
    GAN!", eq. (2).

    >>> round(float(relativistic_loss(torch.tensor([1.0]), torch.tensor([1.0]))), 4)   # log 2
    0.6931
    """
    return F.softplus(worse - better).mean()


def autograd_gradient(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Gradient of each score at its point, shape of `points`, by automatic differentiation.

    Works for any critic; the result can be differentiated again (at the cost of a double backward).
    """
    points = points.detach().requires_grad_()
    gradient: Tensor = torch.autograd.grad(critic(points).sum(), points, create_graph=True)[0]
    return gradient
