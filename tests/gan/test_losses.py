import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.gan.losses import (
    autograd_gradient,
    column_nll,
    gradient_penalty,
    hidden_nll,
    relativistic_loss,
    wasserstein_distance,
    zero_centred_penalty,
)
from synthgan.gan.networks import Critic, initialise
from synthgan.layout import CONTINUOUS, Layout
from tests.gan.tables import MIXED, atoms, networks, ramps_of, random_table, seeded, span


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
    score, gradient = critic.score_and_gradient(points, conditions)
    expected = autograd_gradient(lambda p: critic(p, conditions), points)
    torch.testing.assert_close(score, critic(points, conditions), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected.reshape(gradient.shape), rtol=1e-6, atol=1e-12)
    assert len(score) == len(points) // critic.pac_size


@pytest.mark.parametrize("penalty", [gradient_penalty, zero_centred_penalty])
@given(drawn=critics())
def test_penalties_teach_the_critic_the_same_by_both_ways(penalty, drawn):
    critic, points, conditions = drawn
    closed = penalty(critic.score_and_gradient(points, conditions)[1])
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


def test_an_observed_cell_costs_nothing_and_a_hidden_one_does():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 30))
    observed = torch.rand(30, len(MIXED), generator=seeded()) < 0.5
    nll = hidden_nll(made.decoder, made.decoder.hidden(made.decoder.embed(rows, observed)), rows, observed)
    assert nll.shape == observed.shape
    assert (nll[observed] == 0).all()
    assert (nll[~observed] > 0).all()


def test_the_loss_of_one_column_is_its_part_of_the_whole():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 20))
    hidden = torch.randn(20, 16, generator=seeded())
    whole = hidden_nll(made.decoder, hidden, rows, torch.zeros(20, len(MIXED), dtype=torch.bool))
    for j in range(len(MIXED)):
        torch.testing.assert_close(
            column_nll(made.decoder, hidden, rows, j, made.decoder.code_weight()),
            whole[:, j],
            rtol=1e-5,
            atol=1e-5,
        )


def test_uniform_logits_cost_the_log_of_the_number_of_codes():
    layout = atoms(2, 5, 1)
    made = networks(layout)
    rows = made.book.rows(random_table(layout, 20))
    with torch.no_grad():
        made.decoder.weight.zero_()
        made.decoder.bias.zero_()
    nll = hidden_nll(
        made.decoder, torch.randn(20, 16, generator=seeded()), rows, torch.zeros(20, 3, dtype=torch.bool)
    )
    expected = torch.tensor([2.0, 5.0, 1.0]).log().expand(20, 3)
    torch.testing.assert_close(nll, expected)


def test_the_loss_is_that_of_a_twin_by_hand():
    layout = Layout.of(
        [
            span("x", [1, CONTINUOUS, CONTINUOUS], ordered=True),
            span("sex", [1, 1]),
            span("town", [1, 3, 4]),
        ]
    )
    made = networks(layout)
    table = random_table(layout, 12)
    rows = made.book.rows(table)
    hidden = torch.randn(12, 16, generator=seeded())
    nll = hidden_nll(made.decoder, hidden, rows, torch.zeros(12, 3, dtype=torch.bool)).detach().numpy()

    d = {name: p.detach().double().numpy() for name, p in made.decoder.named_parameters()}
    weight = d["weight"] + ramps_of(layout).double().numpy() @ d["ordinal"]
    for i, h in enumerate(hidden.double().numpy()):
        logits = weight @ h + d["bias"]
        for j, part in enumerate(layout.spans):
            own = table.codes[i, j]
            expected = -log_softmax(logits[part.start : part.stop])[own]
            if part.column != "sex":
                f = ["x", "town"].index(part.column)
                inner = h @ d["cell_in"][f] + d["cell_code"][part.start + own]
                inner = inner / (1 + np.exp(-inner))
                cell_logits = inner @ d["cell_out"][f] + d["cell_bias"][part.start + own]
                n_cells = {0: 16}.get(part.n_levels[own], part.n_levels[own])
                cell = min(int((table.alphas[i, j] + 1) / 2 * n_cells), n_cells - 1)
                expected -= log_softmax(cell_logits)[cell]
            assert nll[i, j] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def log_softmax(x):
    x = x - x.max()
    return x - np.log(np.exp(x).sum())
