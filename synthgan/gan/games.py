"""The games that generator and critic play: losses, penalties on the critic, and which go together.

Scores in, a number out. A critic enters as a `Score`: a function of rows, with the gradient that
the penalties need. `GAMES` and `PENALTIES` hold the choices by name; `check_game` refuses the
combinations that cannot work.

**Shapes**: b rows, p = b / pac_size packs, d width of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.errors import ParameterError

__all__ = [
    "GAMES",
    "PENALTIES",
    "Game",
    "Penalty",
    "Score",
    "autograd_gradient",
    "check_game",
    "check_packs",
    "clip_weights",
    "gradient_penalty",
    "moment_distance",
    "relativistic_loss",
    "wasserstein_distance",
    "zero_centred_penalty",
]


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


def autograd_gradient(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Gradient of each score at its point, shape of `points`, by automatic differentiation.

    Works for any critic; the result can be differentiated again (at the cost of a double backward).
    """
    points = points.detach().requires_grad_()
    gradient: Tensor = torch.autograd.grad(critic(points).sum(), points, create_graph=True)[0]
    return gradient


# Losses


class Game(NamedTuple):
    """What critic and generator minimise, as functions of the scores of real and of fake packs.

    Parameters
    ----------
    critic : callable (real_score, fake_score) -> Tensor of shape ()
    generator : callable (fake_score, real_score) -> Tensor of shape ()
        Only the relativistic game needs `real_score`: packs are paired by position.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


def logistic_critic_loss(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """-E[log D(real)] - E[log(1 - D(fake))] with D = sigmoid of the score; Goodfellow et al. (2014), eq. (1).

    >>> round(float(logistic_critic_loss(torch.zeros(3), torch.zeros(3))), 4)   # 2 log 2: it cannot tell
    1.3863
    """
    return F.softplus(-real_score).mean() + F.softplus(fake_score).mean()


def minimax_generator_loss(fake_score: Tensor, _: Tensor) -> Tensor:
    """E[log(1 - D(fake))]: the critic's loss, maximised. Goodfellow et al. (2014), eq. (1).

    Its slope vanishes where the critic is sure that a row is fake: -D(fake).

    >>> score = torch.tensor([-9.0], requires_grad=True)
    >>> minimax_generator_loss(score, score).backward()
    >>> round(float(score.grad), 4)
    -0.0001
    """
    return -F.softplus(fake_score).mean()


def non_saturating_generator_loss(fake_score: Tensor, _: Tensor) -> Tensor:
    """-E[log D(fake)]: the same fixed point, but steep where the critic is sure; ibid., section 3.

    >>> score = torch.tensor([-9.0], requires_grad=True)
    >>> non_saturating_generator_loss(score, score).backward()
    >>> round(float(score.grad), 4)
    -0.9999
    """
    return F.softplus(-fake_score).mean()


def hinge_critic_loss(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """E[max(0, 1 - C(real))] + E[max(0, 1 + C(fake))]: nothing to gain beyond a margin of one.

    Lim & Ye (2017), "Geometric GAN"; Miyato et al. (2018), eq. (16).

    >>> float(hinge_critic_loss(torch.tensor([0.5, 7.0]), torch.tensor([-7.0, 1.0])))   # .25 + 1
    1.25
    """
    return F.relu(1 - real_score).mean() + F.relu(1 + fake_score).mean()


def score_loss(fake_score: Tensor, _: Tensor) -> Tensor:
    """-E[C(fake)]: the generator of the Wasserstein and of the hinge game.

    >>> float(score_loss(torch.tensor([1.0, 2.0]), torch.zeros(2)))
    -1.5
    """
    return -fake_score.mean()


def wasserstein_distance(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Critic's estimate of the Wasserstein-1 distance, E[C(real)] - E[C(fake)].

    Exact for the best 1-Lipschitz critic (Kantorovich-Rubinstein duality; Arjovsky et al. 2017,
    eq. (2)). The critic maximises it, the generator minimises it.

    >>> float(wasserstein_distance(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0])))
    1.5
    """
    return real_score.mean() - fake_score.mean()


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """Pairwise relativistic loss, E[softplus(-(C(better) - C(worse)))].

    The critic plays it with (real, fake), the generator with (fake, real); rows are paired
    by position. Jolicoeur-Martineau (2018); Huang et al. (2024), "The GAN is dead; long live the
    GAN!", eq. (2).

    >>> round(float(relativistic_loss(torch.tensor([1.0]), torch.tensor([1.0]))), 4)   # log 2
    0.6931
    """
    return F.softplus(worse - better).mean()


GAMES: dict[str, Game] = {
    "minimax": Game(logistic_critic_loss, minimax_generator_loss),
    "non-saturating": Game(logistic_critic_loss, non_saturating_generator_loss),
    "wasserstein": Game(lambda real, fake: -wasserstein_distance(real, fake), score_loss),
    "hinge": Game(hinge_critic_loss, score_loss),
    "relativistic": Game(relativistic_loss, relativistic_loss),
}
"""Losses by name."""


# Penalties and bounds on the critic


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


Penalty = Callable[[Score, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""(score, real, fake, rng) -> the penalty, to be weighted and added to the critic's loss; and the mean
norm of the gradients that it saw, for the history. Real and fake rows have shape (b, d)."""


def interpolation_penalty(
    score: Score, real: Tensor, fake: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """WGAN-GP: norms of one at points between real and fake packs, drawn uniformly on the segment.

    Gulrajani et al. (2017), eq. (3) and Algorithm 1; all rows of a pack lie at the same share of
    their segments, so that a point is a pack between two packs.
    """
    share = torch.rand(len(real) // score.pac_size, 1, generator=rng).to(real)
    share = share.repeat_interleave(score.pac_size, dim=0)  # (b, 1)
    gradient = score.gradient(torch.lerp(real, fake, share))
    return gradient_penalty(gradient), _mean_norm(gradient)


def r1_penalty(score: Score, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """R1: E[||grad C(real)||^2] / 2; Mescheder et al. (2018), eq. (9), without gamma."""
    gradient = score.gradient(real)
    return zero_centred_penalty(gradient) / 2, _mean_norm(gradient)


def r1_r2_penalty(score: Score, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """R1 + R2: the same at real and at fake rows; Huang et al. (2024), eq. (4), without gamma.

    The norm that it tells is that at the real rows.
    """
    r1, norm = r1_penalty(score, real, fake, rng)
    return r1 + zero_centred_penalty(score.gradient(fake)) / 2, norm


def dragan_penalty(
    score: Score,
    real: Tensor,
    fake: Tensor,  # noqa: ARG001
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """DRAGAN: norms of one around the real rows, E[(||grad C(real + delta)|| - 1)^2].

    Kodali et al. (2017), "On Convergence and Stability of GANs". delta is normal, with half the standard
    deviation of all numbers of the batch.
    """
    delta = torch.randn(real.shape, generator=rng).to(real) * real.std() / 2
    gradient = score.gradient(real + delta)
    return gradient_penalty(gradient), _mean_norm(gradient)


def _mean_norm(gradient: Tensor) -> Tensor:
    norm: Tensor = gradient.detach().norm(dim=1)
    return norm.mean()


PENALTIES: dict[str, Penalty] = {
    "gradient": interpolation_penalty,
    "r1": r1_penalty,
    "r1+r2": r1_r2_penalty,
    "dragan": dragan_penalty,
}
"""Penalties by name."""


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    """Clip all weights to [-bound, bound] after each step of the critic: it stays K-Lipschitz for some K.

    Arjovsky et al. (2017), Algorithm 1, with bound = .01. K is unknown, and most weights end at
    the bound (Gulrajani et al. 2017, section 3): the penalties came to replace it.
    """
    for weight in network.parameters():
        weight.clamp_(-bound, bound)


# Against mode collapse


def moment_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Squared distance of first and second moments, ||E[xx'] - E[yy']||^2 with a 1 put before x and y.

    Added to the generator's loss: modes that are missing show in the moments of a batch, which no
    single row tells. For one-hot columns, E[xx'] holds the two-way marginals. After Mroueh et al.
    (2017), "McGan: Mean and Covariance Feature Matching GAN", on the rows themselves.

    Parameters
    ----------
    real, fake : Tensors of shape (b, d) and (b', d)

    Returns
    -------
    Tensor of shape ()
        >= 0, summed over the (d + 1)^2 moments.

    Examples
    --------
    Equal means (0), but variances of 1 and 4:

    >>> float(moment_distance(torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [-2.0]])))
    9.0
    """
    return (_moments(real) - _moments(fake)).square().sum()


def _moments(rows: Tensor) -> Tensor:
    """E[xx'] of rows that begin with a 1, (b, d) -> (d + 1, d + 1)."""
    rows = F.pad(rows, (1, 0), value=1.0)
    return rows.T @ rows / len(rows)


# What goes together


def check_game(
    loss: str, penalty: str | None = None, *, clip: float | None = None, spectral_norm: bool = False
) -> None:
    """Raise `ParameterError` when loss, penalty and bounds on the critic cannot work together.

    Parameters
    ----------
    loss, penalty : str, str or None
        Names in `GAMES` and `PENALTIES`.
    clip : float > 0, optional
        Bound of `clip_weights`.
    spectral_norm : bool
        Whether the critic's layers are normalised.

    Examples
    --------
    >>> check_game("wasserstein", "gradient")
    >>> check_game("hinge", clip=0.01, spectral_norm=True)
    Traceback (most recent call last):
    synthgan.errors.ParameterError: Spectral normalisation makes clipping void: drop one of the two.
    """
    if loss == "wasserstein" and not (penalty == "gradient" or clip or spectral_norm):
        found = "no constraint" if penalty is None else f"penalty={penalty!r}, which acts at the data only"
        raise ParameterError(
            "loss='wasserstein' needs a critic whose slope is bounded everywhere, or it has no minimum. "
            f"Got {found}: take penalty='gradient', spectral_norm=True or weight_clip=0.01."
        )
    if clip and penalty in ("gradient", "dragan"):
        raise ParameterError(
            f"Clipped weights cannot reach the gradient norm of one that penalty={penalty!r} asks for: "
            "drop one of the two."
        )
    if clip and spectral_norm:  # which divides by the size of the weights
        raise ParameterError("Spectral normalisation makes clipping void: drop one of the two.")


def check_packs(name: str, batch_size: int, pac_size: int) -> None:
    """Raise `ParameterError` when a batch, by the name of its parameter, is not made of whole packs.

    >>> check_packs("batch_size", 500, 10)
    """
    below, rest = divmod(batch_size, pac_size)
    if rest:
        near = [k * pac_size for k in (below, below + 1) if k > 0]
        raise ParameterError(
            f"{name} must be a multiple of pac_size. Got {name}={batch_size}, pac_size={pac_size}. "
            f"Use {' or '.join(map(str, near))}."
        )
