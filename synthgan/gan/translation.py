"""Translation between two tables of one schema, unpaired: two mappings and two critics (CycleGAN).

::

    G  source row  -> target row     what the row would be like in the target
    F  target row  -> source row     and back
    C  row         -> score          one critic for each table: does a row belong to it?

A row is a vector: f scores, the one-hot codes of its c discrete parts, and k numbers that are kept: all
networks see them and none changes them, so that everything is learned given them.

**Shapes**: b rows, f scores, c discrete parts, k kept numbers, d width of a vector.

References
----------
Zhu et al. (2017), "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks".
Jang et al. (2017), "Categorical Reparameterization with Gumbel-Softmax".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.gan.games import GAMES, PENALTIES, Score, wasserstein_distance
from synthgan.gan.networks import ResidualBlock, initialise
from synthgan.gan.players import make_critic
from synthgan.gan.run import HasState, MovingAverage, Run, set_rate, warm_linear

__all__ = [
    "CycleGAN",
    "Mapping",
    "Pairs",
    "RowForm",
    "TranslationPlan",
    "UnpairedRows",
    "train_cycle_gan",
]

_STAY = 0.95  # probability that an untrained mapping leaves a category as it is: surer ones learn too slowly
_CRITIC_LAYERS = 3
_TINY = 1e-20  # below all exponential numbers that matter: their logs must be finite


@dataclass(frozen=True)
class UnpairedRows:
    """Rows of one table.

    Parameters
    ----------
    scores : float32 Tensor of shape (b, f)
    codes : int64 Tensor of shape (b, c)
        Category of each discrete part.
    kept : float32 Tensor of shape (b, k)
        What all networks see and no mapping changes.
    """

    scores: Tensor
    codes: Tensor
    kept: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: Tensor) -> UnpairedRows:
        """Take rows by index."""
        return UnpairedRows(self.scores[index], self.codes[index], self.kept[index])

    def to(self, device: torch.device) -> UnpairedRows:
        """Move to a device."""
        return UnpairedRows(self.scores.to(device), self.codes.to(device), self.kept.to(device))


@dataclass(frozen=True)
class RowForm:
    """What the numbers of a row's vector are: scores, one-hot codes of the given sizes, kept numbers.

    Examples
    --------
    >>> form = RowForm(1, (2, 3), 1)
    >>> row = UnpairedRows(torch.tensor([[0.5]]), torch.tensor([[1, 0]]), torch.tensor([[7.0]]))
    >>> form.vectors(row).tolist()
    [[0.5, 0.0, 1.0, 1.0, 0.0, 0.0, 7.0]]
    >>> [part.tolist() for part in form.decide(99 * form.vectors(row), 0.0, torch.Generator())]
    [[[49.5]], [[1, 0]]]
    """

    n_scores: int
    sizes: tuple[int, ...]
    n_kept: int

    @property
    def width(self) -> int:
        """Length of a vector, d."""
        return self.n_scores + sum(self.sizes) + self.n_kept

    def parts(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """Take vectors apart: scores (b, f), (b, size) for each discrete part, kept numbers (b, k)."""
        return tuple(torch.split(vectors, [self.n_scores, *self.sizes, self.n_kept], dim=1))

    def vectors(self, rows: UnpairedRows) -> Tensor:
        """Write rows as vectors, (b, d)."""
        hot = [F.one_hot(rows.codes[:, k], size).float() for k, size in enumerate(self.sizes)]
        return torch.cat([rows.scores, *hot, rows.kept], dim=1)

    def decide(self, raw: Tensor, least_chance: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Read scores (b, f) and codes (b, c) off what a mapping puts out.

        Codes are drawn from the softmax of their logits (Gumbel-max), without those that are less probable
        than `least_chance`; the likeliest one always remains.
        """
        scores, *logits, _ = self.parts(raw)
        codes = raw.new_zeros(len(raw), len(logits), dtype=torch.int64)
        for k, logit in enumerate(logits):
            chance = logit.softmax(dim=1)
            unlikely = chance < chance.amax(dim=1, keepdim=True).clamp_max(least_chance)
            codes[:, k] = (logit + _gumbel(logit, rng)).masked_fill(unlikely, -torch.inf).argmax(dim=1)
        return scores, codes

    def draw(self, raw: Tensor, rng: torch.Generator) -> Tensor:
        """Draw vectors from what a mapping puts out; gradients pass through the softmax.

        Straight-through Gumbel softmax, Jang et al. (2017), section 2.2: forward the one-hot code of the
        largest of logit + g, backward softmax(logit + g). Scores stay as they are.
        """
        scores, *logits, kept = self.parts(raw)
        drawn = [scores]
        for logit in logits:
            soft = (logit + _gumbel(logit, rng)).softmax(dim=1)
            hard = F.one_hot(soft.argmax(dim=1), soft.shape[1]).to(raw)
            drawn.append(hard + (soft - soft.detach()))  # exactly 0 or 1
        return torch.cat([*drawn, kept], dim=1)

    def distance(self, raw: Tensor, vectors: Tensor) -> Tensor:
        """How far what a mapping puts out is from rows: sum over scores and parts, mean over rows, >= 0.

        ||difference||_1 of scores, Zhu et al. (2017), eq. (2); its counterpart for a category is
        -log p(category), as |difference| is -log p of a number with a Laplace distribution.

        >>> form = RowForm(1, (2,), 0)
        >>> row = torch.tensor([[0.5, 0.0, 1.0]])
        >>> float(form.distance(torch.tensor([[2.0, -99.0, 99.0]]), row))   # 1.5 + 0
        1.5
        """
        (scores, *logits, _), (real, *hot, _) = self.parts(raw), self.parts(vectors)
        far = (scores - real).abs().sum(dim=1)  # (b,)
        for logit, one in zip(logits, hot, strict=True):
            far = far - (logit.log_softmax(dim=1) * one).sum(dim=1)
        return far.mean()


def _gumbel(logits: Tensor, rng: torch.Generator) -> Tensor:
    """Draw standard Gumbel numbers, one for each logit: -log E, E exponential."""
    exponential = torch.empty(logits.shape).exponential_(generator=rng)
    return -exponential.clamp_min(_TINY).log().to(logits)


class Mapping(nn.Module):
    """x + f(x), with f = 0 at the start: what needs no change is not changed.

    Categories come out as logits: a one-hot code times what makes an untrained mapping keep it with the
    probability .95, plus f.
    """

    stay: Tensor

    def __init__(self, form: RowForm, hidden_dim: int, n_blocks: int) -> None:
        super().__init__()
        stay = [torch.full((size,), math.log(_STAY / (1 - _STAY) * max(size - 1, 1))) for size in form.sizes]
        stay = [torch.ones(form.n_scores), *stay, torch.ones(form.n_kept)]
        self.register_buffer("stay", torch.cat(stay), persistent=False)
        self.n_kept = form.n_kept
        self.first = _linear(form.width, hidden_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, hidden_dim) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(hidden_dim)
        self.out = _linear(hidden_dim, form.width - form.n_kept)

    def reset(self, rng: torch.Generator) -> None:
        """Draw all weights; start as the identity."""
        initialise(self, rng)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map rows: scores, logits and what is kept, (b, d) -> (b, d)."""
        change = self.out(self.norm(self.blocks(self.first(vectors))))  # (b, d - k)
        return vectors * self.stay + F.pad(change, (0, self.n_kept))


def _linear(n_in: int, n_out: int) -> nn.Linear:
    """Make a linear layer without drawing its weights from torch's global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
    return layer


class CycleGAN(nn.Module):
    """The two mappings and the two critics.

    Attributes
    ----------
    to_target, to_source : Mapping
        G and F.
    target_critic, source_critic : PacCritic
    """

    def __init__(self, form: RowForm, hidden_dim: int, n_blocks: int, rng: torch.Generator) -> None:
        super().__init__()
        self.form = form
        self.to_target, self.to_source = (Mapping(form, hidden_dim, n_blocks) for _ in range(2))
        for mapping in (self.to_target, self.to_source):
            mapping.reset(rng)
        layers = [hidden_dim] * _CRITIC_LAYERS
        self.target_critic, self.source_critic = (
            make_critic(form.width, 0, rng, hidden_dims=layers) for _ in range(2)
        )

    def scores(self) -> tuple[Score, Score]:
        """Return the critics of target and source as functions of vectors."""
        nothing = torch.zeros(0, 0)
        return self.target_critic.given(nothing), self.source_critic.given(nothing)

    def mappings(self) -> nn.ModuleDict:
        """Return the generators, G and F, by name."""
        return nn.ModuleDict({"to_target": self.to_target, "to_source": self.to_source})

    def critics(self) -> nn.ModuleList:
        """Return the critics of target and source."""
        return nn.ModuleList([self.target_critic, self.source_critic])


class Pairs:
    """Draws a source row and a target row of the same group.

    Without that, a critic would tell the tables apart by what is kept, which no mapping can change,
    and a mapping would be driven to make up for it in the other columns. Groups are drawn with the mean of
    their shares in the two tables; those that one of them lacks are left out.

    Parameters
    ----------
    source, target : int64 Tensors of shape (n,) and (n',)
        Group of each row, from 0; at least one group has rows in both.

    Examples
    --------
    >>> pairs = Pairs(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 2]))
    >>> i, j = pairs.draw(100, torch.Generator().manual_seed(0))
    >>> sorted(set(i.tolist())), sorted(set(j.tolist()))
    ([1, 2], [0, 1])
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        n_groups = 1 + int(max(source.max(), target.max()))
        tables = source, target
        self.order = [groups.argsort(stable=True) for groups in tables]
        self.counts = [torch.bincount(groups, minlength=n_groups) for groups in tables]
        self.first = [counts.cumsum(0) - counts for counts in self.counts]
        share = sum(counts / counts.sum() for counts in self.counts)
        self.share = torch.as_tensor(share) * (self.counts[0] > 0) * (self.counts[1] > 0)

    def draw(self, n_pairs: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw rows of the source and of the target, both of shape (n_pairs,)."""
        group = torch.multinomial(self.share, n_pairs, replacement=True, generator=rng)
        place = torch.rand(2, n_pairs, generator=rng, dtype=torch.float64)
        source, target = (
            order[first[group] + (u * counts[group]).long()]
            for order, first, counts, u in zip(self.order, self.first, self.counts, place, strict=True)
        )
        return source, target


@dataclass(frozen=True)
class TranslationPlan:
    """How the networks are trained; see `TableTranslator` for the meaning."""

    n_steps: int
    batch_size: int
    loss: Literal["wgan-gp", "relativistic"]
    n_critic: int
    gradient_penalty: float
    penalty_interval: int
    cycle_weight: float
    identity_weight: float
    movement_weight: float
    generator_lr: float
    critic_lr: float
    max_seconds: float | None


def train_cycle_gan(
    network: CycleGAN,
    source: UnpairedRows,
    target: UnpairedRows,
    pairs: Pairs,
    plan: TranslationPlan,
    run: Run,
) -> None:
    """Train G and F against their critics; leaves averaged weights in the mappings.

    Zhu et al. (2017), eq. (3), with the game and the penalty of `TabularGAN`: the mappings minimise

        L_GAN(G, C_target) + L_GAN(F, C_source)
            + lambda_cycle L_cycle + lambda_identity L_identity + lambda_movement L_movement

    The last term, |G(x) - x| + |F(y) - y|, chooses the nearest of the mappings that would do. All of it is
    float32: with products in bfloat16 (`mixed_precision`) a step of such small networks took .98 of the time.
    The history says ``critic_loss``, ``generator_loss`` (the first two terms), ``wasserstein`` (sum of both
    critics), ``gradient_norm``, ``cycle`` and ``movement`` (means of both directions).
    """
    form, rng, device = network.form, run.rng, source.scores.device
    score_y, score_x = network.scores()
    mappings, critics = network.mappings(), network.critics()
    average = MovingAverage(mappings, 0.998)
    critic_optimiser = torch.optim.Adam(critics.parameters(), plan.critic_lr, (0.0, 0.9), fused=True)
    optimiser = torch.optim.Adam(mappings.parameters(), plan.generator_lr, (0.0, 0.9), fused=True)
    game = GAMES["wasserstein" if plan.loss == "wgan-gp" else "relativistic"]
    penalise = PENALTIES["gradient" if plan.loss == "wgan-gp" else "r1+r2"]
    weight = plan.gradient_penalty * plan.penalty_interval

    def batch() -> tuple[Tensor, Tensor]:
        """Draw rows x of the source and y of the target, both (b, d)."""
        i, j = pairs.draw(plan.batch_size, rng)
        return form.vectors(source.take(i.to(device))), form.vectors(target.take(j.to(device)))

    def drawn(raw: Tensor) -> Tensor:
        return form.draw(raw, rng)

    parts: dict[str, HasState] = {
        "average": average,
        "critic_optimiser": critic_optimiser,
        "optimiser": optimiser,
    }
    for step, progress in run.steps("translation", plan.n_steps, parts, plan.max_seconds):
        rate = run.rate * warm_linear(step, max(0.0, 2 * progress - 1))  # constant, then linear decay
        set_rate(critic_optimiser, plan.critic_lr * rate)
        set_rate(optimiser, plan.generator_lr * rate)

        for turn in range(step * plan.n_critic, (step + 1) * plan.n_critic):
            x, y = batch()
            with torch.no_grad():  # no gradient reaches the mappings here
                fake_y, fake_x = drawn(network.to_target(x)), drawn(network.to_source(y))
            games = [(score_y, y, fake_y), (score_x, x, fake_x)]
            judged = [(score(real), score(fake)) for score, real, fake in games]
            critic_loss = torch.stack([game.critic(*pair) for pair in judged]).sum()
            if turn % plan.penalty_interval == 0:  # lazy: seldom, but as much heavier (Karras et al. 2020)
                penalties, norms = zip(*(penalise(*one, rng) for one in games), strict=True)
                critic_loss = critic_loss + weight * torch.stack(penalties).sum()
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()

        critics.requires_grad_(False)  # their weights need no gradient here
        x, y = batch()
        raw_y, raw_x = network.to_target(x), network.to_source(y)
        fake_y, fake_x = drawn(raw_y), drawn(raw_x)
        adversarial = game.generator(score_y(fake_y), score_y(y))
        adversarial = adversarial + game.generator(score_x(fake_x), score_x(x))
        # L_cycle: |F(G(x)) - x| + |G(F(y)) - y|, eq. (2)
        cycle = form.distance(network.to_source(fake_y), x) + form.distance(network.to_target(fake_x), y)
        movement = form.distance(raw_y, x) + form.distance(raw_x, y)
        loss = adversarial + plan.cycle_weight * cycle + plan.movement_weight * movement
        if plan.identity_weight:  # L_identity: |G(y) - y| + |F(x) - x|, section 5.2
            identity = form.distance(network.to_target(y), y) + form.distance(network.to_source(x), x)
            loss = loss + plan.identity_weight * identity
        critics.requires_grad_(True)
        if run.is_lost(critic_loss + loss):
            continue
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(step)

        if run.at_interval:
            distances = [wasserstein_distance(*pair) for pair in judged]
            run.record(
                critic_loss=float(critic_loss.detach()),
                generator_loss=float(adversarial.detach()),
                wasserstein=float(torch.stack(distances).sum().detach()),
                gradient_norm=float(torch.stack(norms).mean()),
                cycle=float(cycle.detach()) / 2,
                movement=float(movement.detach()) / 2,
            )
    average.keep()
