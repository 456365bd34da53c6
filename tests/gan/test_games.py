import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from synthgan.errors import ParameterError
from synthgan.gan.games import (
    GAMES,
    PENALTIES,
    Score,
    autograd_gradient,
    check_game,
    clip_weights,
    gradient_penalty,
    moment_distance,
    relativistic_loss,
    wasserstein_distance,
    zero_centred_penalty,
)
from synthgan.gan.networks import Critic, initialise
from synthgan.gan.players import make_critic, make_generator
from tests.gan.tables import seeded

W = torch.tensor([3.0, 4.0])


def test_the_gradient_of_a_score_is_that_of_its_whole_pack():
    rows = torch.randn(6, 2, generator=seeded())
    score = Score(lambda x: (x @ W).square().reshape(2, 3).sum(dim=1), pac_size=3)
    expected = (2 * (rows @ W)[:, None] * W).reshape(2, 6)
    torch.testing.assert_close(score.gradient(rows), expected)


def test_a_closed_form_is_taken_where_there_is_one():
    score = Score(lambda x: x @ W, closed_form=lambda x: W.expand_as(x))
    assert score.gradient(torch.zeros(2, 2)).tolist() == [[3, 4], [3, 4]]
    assert not score.gradient(torch.zeros(2, 2)).requires_grad


@st.composite
def critics(draw):
    """A critic of random sizes in double precision, and a batch for it."""
    latent, condition, hidden = (draw(st.integers(1, 6)) for _ in range(3))
    pac_size, n_packs = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rng = seeded(draw(st.integers(0, 999)))
    critic = Critic(latent, condition, hidden, draw(st.integers(1, 4)), pac_size)
    initialise(critic, rng)
    points = torch.randn(n_packs * pac_size, latent, generator=rng).double()
    conditions = torch.randn(n_packs * pac_size, condition, generator=rng).double()
    return critic.double(), points, conditions


@given(critics())
def test_the_closed_form_of_the_critics_gradient_is_that_of_autograd(drawn):
    critic, points, conditions = drawn
    given_score = critic.given(conditions)
    score, gradient = given_score(points), given_score.gradient(points)
    expected = autograd_gradient(lambda p: critic(p, conditions), points)
    torch.testing.assert_close(score, critic(points, conditions), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected.reshape(gradient.shape), rtol=1e-6, atol=1e-12)
    assert len(score) == len(points) // critic.pac_size


@pytest.mark.parametrize("penalty", [gradient_penalty, zero_centred_penalty])
@given(drawn=critics())
def test_penalties_teach_the_critic_the_same_by_both_ways(penalty, drawn):
    critic, points, conditions = drawn
    closed = penalty(critic.given(conditions).gradient(points))
    gradient = autograd_gradient(lambda p: critic(p, conditions), points)
    double_backward = penalty(gradient.reshape(-1, points.shape[1] * critic.pac_size))
    torch.testing.assert_close(closed, double_backward, rtol=1e-5, atol=1e-10)
    expected, got = (
        torch.autograd.grad(loss, list(critic.parameters()), allow_unused=True, materialize_grads=True)
        for loss in (double_backward, closed)
    )
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-8)


def test_the_penalty_of_a_linear_critic_is_the_squared_distance_of_its_norm_from_one():
    w = torch.tensor([3.0, 4.0])
    gradient = autograd_gradient(lambda p: p @ w, torch.randn(5, 2, generator=seeded()))
    assert gradient_penalty(gradient) == 16.0
    assert zero_centred_penalty(gradient) == 25.0
    assert gradient_penalty(gradient / 5) == pytest.approx(0, abs=1e-12)


def test_penalties_are_means_over_rows():
    gradient = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert gradient_penalty(gradient) == 8.0
    assert zero_centred_penalty(gradient) == 13.0


def test_autograd_gradient_leaves_the_points_alone():
    points = torch.ones(2, 3)
    gradient = autograd_gradient(lambda p: p.square().sum(dim=1), points)
    assert torch.equal(gradient, 2 * points)
    assert not points.requires_grad
    assert points.grad is None


def test_wasserstein_is_the_difference_of_the_means():
    assert wasserstein_distance(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0, -4.0])) == 3.0
    assert wasserstein_distance(torch.tensor([1.0]), torch.tensor([4.0])) == -3.0


def test_the_relativistic_loss_is_log_2_where_scores_are_equal_and_falls_with_the_lead():
    score = torch.randn(6, generator=seeded())
    assert float(relativistic_loss(score, score)) == pytest.approx(math.log(2))
    assert float(relativistic_loss(score + 2, score)) == pytest.approx(math.log1p(math.exp(-2)))
    assert float(relativistic_loss(score, score + 2)) == pytest.approx(math.log1p(math.exp(2)))
    assert float(relativistic_loss(torch.tensor([90.0, 0.0]), torch.tensor([0.0, 0.0]))) == pytest.approx(
        math.log(2) / 2  # rows are paired by position
    )


REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.5])


def log_sigmoid(score):
    return -math.log1p(math.exp(-float(score)))


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        (
            "minimax",
            -sum(log_sigmoid(r) + log_sigmoid(-f) for r, f in zip(REAL, FAKE, strict=True)) / 3,
            sum(log_sigmoid(-f) for f in FAKE) / 3,
        ),
        (
            "non-saturating",
            -sum(log_sigmoid(r) + log_sigmoid(-f) for r, f in zip(REAL, FAKE, strict=True)) / 3,
            -sum(log_sigmoid(f) for f in FAKE) / 3,
        ),
        ("wasserstein", (-3 + 0.25 + 1.5 - 2 + 1 - 0.5) / 3, (3 - 0.25 - 1.5) / 3),
        ("hinge", (0 + 2 + 0.5) / 3 + (0 + 1.25 + 2.5) / 3, (3 - 0.25 - 1.5) / 3),
        (
            "relativistic",
            -sum(log_sigmoid(r - f) for r, f in zip(REAL, FAKE, strict=True)) / 3,
            -sum(log_sigmoid(f - r) for r, f in zip(REAL, FAKE, strict=True)) / 3,
        ),
    ],
)
def test_losses_by_hand(name, critic, generator):
    assert float(GAMES[name].critic(REAL, FAKE)) == pytest.approx(critic, rel=1e-6)
    assert float(GAMES[name].generator(FAKE, REAL)) == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_pulls_the_scores_apart_and_the_generator_up(name):
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    GAMES[name].critic(real, fake).backward()
    assert (real.grad < 0).all()  # a lower loss for higher real scores
    assert (fake.grad > 0).all()
    fake = torch.zeros(4, requires_grad=True)
    GAMES[name].generator(fake, torch.zeros(4)).backward()
    assert (fake.grad < 0).all()


def linear(w, pac_size=1):
    """The score w'x of each pack, whose gradient is w everywhere."""
    return Score(lambda rows: rows.reshape(-1, len(w)) @ w, pac_size)


@pytest.mark.parametrize(
    ("name", "expected"), [("gradient", 16.0), ("dragan", 16.0), ("r1", 12.5), ("r1+r2", 25.0)]
)
@pytest.mark.parametrize("pac_size", [1, 2])
def test_the_penalty_of_a_linear_critic_is_that_of_its_slope(name, expected, pac_size):
    real, fake = torch.randn(2, 4, 2 // pac_size, generator=seeded())
    penalty, norm = PENALTIES[name](linear(W, pac_size), real, fake, seeded())
    assert float(penalty) == pytest.approx(expected)
    assert float(norm) == pytest.approx(5)


def seen_by(name, real, fake, pac_size=1, seed=0):
    """The points at which a penalty asks for gradients."""
    points = []

    def gradient(rows):
        points.append(rows)
        return rows.reshape(len(rows) // pac_size, -1)

    PENALTIES[name](Score(lambda rows: rows, pac_size, gradient), real, fake, seeded(seed))
    return torch.cat(points)


def test_the_gradient_penalty_sees_points_between_packs():
    real, fake = torch.zeros(3000, 2), torch.ones(3000, 2)
    points = seen_by("gradient", real, fake, pac_size=3)
    share = points.reshape(1000, 6)
    assert torch.equal(share, share[:, :1].expand_as(share)), "one share for all rows of a pack"
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share[:, 0].std()) == pytest.approx(12**-0.5, abs=0.02)
    assert not torch.equal(points, seen_by("gradient", real, fake, pac_size=3, seed=1))


def test_the_other_penalties_see_the_data_or_its_surroundings():
    real, fake = torch.randn(2, 3000, 2, generator=seeded())
    assert torch.equal(seen_by("r1", real, fake), real)
    assert torch.equal(seen_by("r1+r2", real, fake), torch.cat([real, fake]))
    delta = seen_by("dragan", 4 * real, fake, seed=1) - 4 * real
    assert float(delta.std()) == pytest.approx(2, rel=0.05)
    assert float((delta * real).mean()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_teaches_the_critic(name):
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    PENALTIES[name](linear(w), *torch.randn(2, 6, 2, generator=seeded()), seeded())[0].backward()
    slope = {"gradient": 2 * 4 / 5, "dragan": 2 * 4 / 5, "r1": 1, "r1+r2": 2}[name]
    torch.testing.assert_close(w.grad, slope * W)


def test_clipping_bounds_every_weight_and_leaves_the_small_ones():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.004]]))
        layer.bias.fill_(-3)
    clip_weights(layer, 0.01)
    assert layer.weight.tolist() == [[pytest.approx(0.01), pytest.approx(-0.004)]]
    assert layer.bias.tolist() == [pytest.approx(-0.01)]


def test_the_distance_of_moments_by_hand():
    real, fake = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0]])
    # means (.5, .5) and (1, 1), which count twice; E[x_i x_j] = I / 2 and all ones
    assert float(moment_distance(real, fake)) == pytest.approx(2 * 0.5 + 2 * 0.25 + 2)
    assert float(moment_distance(real, real[[1, 0, 1, 0]])) == 0


def test_the_distance_of_moments_sees_a_dropped_mode_and_moves_the_rows_back():
    real = torch.eye(4)
    fake = torch.tensor([[2.0, 0.0, 0.0, 0.0]] * 4).requires_grad_()
    moment_distance(real, fake).backward()
    assert (fake.grad[:, 0] > 0).all(), "too much of the one"
    assert (fake.grad[:, 1:] < 0).all(), "too little of the others"


@pytest.mark.parametrize(
    ("loss", "penalty", "bounds", "message"),
    [
        ("wasserstein", None, {}, "bounded everywhere.* Got no constraint"),
        ("wasserstein", "r1", {}, "Got penalty='r1', which acts at the data only"),
        ("wasserstein", "r1+r2", {}, "Got penalty='r1\\+r2', which"),
        ("wasserstein", "dragan", {}, "Got penalty='dragan', which"),
        ("wasserstein", "gradient", {"clip": 0.01}, "cannot reach .* penalty='gradient'"),
        ("hinge", "dragan", {"clip": 0.01}, "cannot reach .* penalty='dragan'"),
        ("minimax", None, {"clip": 0.01, "spectral_norm": True}, "makes clipping void"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(loss, penalty, bounds, message):
    with pytest.raises(ParameterError, match=message):
        check_game(loss, penalty, **bounds)


@pytest.mark.parametrize("loss", GAMES)
def test_what_can_work_is_let_through(loss):
    for penalty in (None, *PENALTIES):
        check_game(loss, penalty, spectral_norm=True)
        if loss != "wasserstein":
            check_game(loss, penalty)
    check_game(loss, "gradient")
    for penalty in (None, "r1", "r1+r2"):
        check_game(loss, penalty, clip=0.01)


CENTRES = torch.tensor([[2.0, 1.0], [-2.0, 1.0]])


def played(loss, penalty=None, weight=0.0, clip=None, spectral_norm=False, n_critic=1):
    """Rows of a generator that learned two small clouds in a short game."""
    rng, nothing = seeded(), torch.zeros(128, dtype=torch.int64)
    generator = make_generator("residual", 4, 0, 2, rng, hidden_dims=(32, 32))
    critic = make_critic(2, 0, rng, hidden_dims=(32, 32), spectral_norm=spectral_norm)
    generator_optimiser = torch.optim.Adam(generator.parameters(), 1e-3, betas=(0.0, 0.9))
    critic_optimiser = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.0, 0.9))

    def real():
        return CENTRES[torch.randint(2, (128,), generator=rng)] + 0.1 * torch.randn(128, 2, generator=rng)

    def fake():
        return generator(torch.randn(128, 4, generator=rng), nothing)

    for _ in range(400):
        for _ in range(n_critic):
            x, y, score = real(), fake().detach(), critic.given(nothing)
            critic_loss = GAMES[loss].critic(score(x), score(y))
            if penalty is not None:
                critic_loss = critic_loss + weight * PENALTIES[penalty](score, x, y, rng)[0]
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()
            if clip is not None:
                clip_weights(critic, clip)
        score = critic.given(nothing)
        generator_loss = GAMES[loss].generator(score(fake()), score(real()))
        generator_optimiser.zero_grad()
        generator_loss.backward()
        generator_optimiser.step()
    generator.eval()
    with torch.no_grad():
        return torch.cat([fake() for _ in range(8)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "how"),
    [
        ("minimax", {"penalty": "dragan", "weight": 1.0}),
        ("non-saturating", {"penalty": "r1", "weight": 1.0}),
        ("wasserstein", {"penalty": "gradient", "weight": 10.0, "n_critic": 3}),
        ("wasserstein", {"clip": 0.05, "n_critic": 3}),
        ("wasserstein", {"spectral_norm": True, "n_critic": 2}),
        ("hinge", {"spectral_norm": True}),
        ("relativistic", {"penalty": "r1+r2", "weight": 1.0}),
    ],
)
def test_every_game_is_learned_with_a_penalty_or_a_bound_that_fits(loss, how):
    check_game(loss, how.get("penalty"), clip=how.get("clip"), spectral_norm=how.get("spectral_norm", False))
    distance = (played(loss, **how)[:, None] - CENTRES).norm(dim=2)  # (1024, 2)
    share = (distance < 1).float().mean(dim=0)
    assert (share > 0.3).all(), "both clouds"
    assert float(distance.min(dim=1).values.median()) < 0.4
