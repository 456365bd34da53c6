import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import ParameterError
from synthgan.gan.critics import STATISTICS
from synthgan.gan.games import GAMES, Score, gradient_penalty, zero_centred_penalty
from synthgan.gan.layers import SpectralLinear
from synthgan.gan.players import make_critic
from tests.gan.tables import seeded


def batch(n_rows, width=5, condition_dim=3, seed=0):
    """Rows and the slots of conditions."""
    rng = seeded(seed)
    rows = torch.randn(n_rows, width, generator=rng)
    return rows, torch.randint(max(condition_dim, 1), (n_rows,), generator=rng)


def one_hot(slots, condition_dim=3):
    return torch.nn.functional.one_hot(slots, condition_dim).float()


def numbers(module, name):
    """A weight as a numpy array of float64."""
    return module.get_parameter(name).detach().double().numpy()


@st.composite
def critics(draw):
    """A critic of random sizes and parts in double precision, and a batch for it."""
    width, condition_dim = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    pac_size, n_packs = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    rng = seeded(draw(st.integers(0, 999)))
    critic = make_critic(
        width,
        condition_dim,
        rng,
        hidden_dims=draw(st.lists(st.integers(1, 8), min_size=1, max_size=4)),
        pac_size=pac_size,
        dropout=draw(st.sampled_from([0.0, 0.5])),
        conditioning=draw(st.sampled_from(["concatenation", "projection"]))
        if condition_dim
        else "concatenation",
        spectral_norm=draw(st.booleans()),
    ).double()
    for module in critic.modules():
        if isinstance(module, SpectralLinear):
            module.eval()  # the power iteration rests, dropout does not
    rows = torch.randn(n_packs * pac_size, width, generator=rng).double()
    return critic, rows, torch.randint(max(condition_dim, 1), (len(rows),), generator=rng)


@given(critics(), st.integers(0, 99))
def test_the_closed_form_teaches_the_critic_what_autograd_does(drawn, seed):
    critic, rows, slots = drawn
    closed = critic.given(slots, seeded(seed)).gradient(rows)
    by_autograd = Score(critic.given(slots, seeded(seed)).function, critic.pac_size).gradient(rows)
    torch.testing.assert_close(closed, by_autograd, rtol=1e-9, atol=1e-12)
    got, expected = (
        torch.autograd.grad(
            gradient_penalty(gradient) + zero_centred_penalty(gradient),
            list(critic.parameters()),
            allow_unused=True,
            materialize_grads=True,
        )
        for gradient in (closed, by_autograd)
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)


def test_the_critic_is_that_of_the_paper_by_hand():
    critic = make_critic(5, 3, seeded(), hidden_dims=(6, 7), pac_size=2)
    rows, slots = batch(8)
    x = np.concatenate([rows[2], rows[3]]).astype(float) @ numbers(critic, "rows.weight").T
    x += one_hot(slots[2:4]).flatten().double().numpy() @ numbers(critic, "condition.weight").T
    x += numbers(critic, "rows.bias")
    x = np.where(x > 0, x, 0.2 * x) @ numbers(critic, "layers.0.weight").T + numbers(critic, "layers.0.bias")
    x = np.where(x > 0, x, 0.2 * x) @ numbers(critic, "out.weight").T + numbers(critic, "out.bias")
    score = critic(rows, slots)
    assert score.shape == (4,)
    assert float(score[1].detach()) == pytest.approx(x.item(), rel=1e-5)


def test_the_parts_of_the_first_layer_are_drawn_as_one():
    critic = make_critic(30, 70, seeded(), hidden_dims=(200,), pac_size=4)
    for part in (critic.rows.weight, critic.rows.bias, critic.condition.weight):
        assert float(part.detach().abs().max()) == pytest.approx(1 / 20, rel=0.02)


@pytest.mark.parametrize("conditioning", ["concatenation", "projection"])
def test_a_pack_changes_its_own_score_only(conditioning):
    critic = make_critic(5, 3, seeded(), pac_size=4, conditioning=conditioning)
    rows, slots = batch(12)
    before = critic(rows, slots)
    rows[5] += 1
    assert (critic(rows, slots) != before).tolist() == [False, True, False]
    slots[11] = (slots[11] + 1) % 3
    assert (critic(rows, slots) != before).tolist() == [False, True, True]


def test_one_condition_serves_many_rows():
    critic = make_critic(5, 3, seeded(), pac_size=2)
    rows, slots = batch(8)
    score = critic.given(slots)
    torch.testing.assert_close(score(rows + 1), critic(rows + 1, slots))
    torch.testing.assert_close(score(rows), critic(rows, slots))
    assert score.pac_size == 2


@pytest.mark.parametrize("part", ["rows", "condition"])
def test_rows_that_fill_no_pack_are_refused(part):
    critic = make_critic(5, 3, seeded(), pac_size=4)
    n_rows = {"rows": 12, "condition": 12, part: 14}
    with pytest.raises(ParameterError, match=r"pac_size=4 .* multiple .* Got 14 rows: pass 12"):
        critic(torch.zeros(n_rows["rows"], 5), torch.zeros(n_rows["condition"], dtype=torch.int64))


# Projection


def test_projection_by_hand():
    critic = make_critic(5, 3, seeded(), hidden_dims=(6, 7), pac_size=2, conditioning="projection")
    rows, slots = batch(4)
    x = rows.reshape(2, 10) @ critic.rows.weight.T + critic.rows.bias
    x = torch.where(x > 0, x, 0.2 * x) @ critic.layers[0].weight.T + critic.layers[0].bias
    phi = torch.where(x > 0, x, 0.2 * x)
    expected = phi @ critic.out.weight[0] + critic.out.bias
    y = one_hot(slots).reshape(2, 6)  # the conditions of a pack side by side
    expected = expected + torch.einsum("pc,hc,ph->p", y, critic.condition.weight, phi)
    torch.testing.assert_close(critic(rows, slots), expected)


# Dropout


def test_dropout_scales_the_units_that_it_keeps_and_rests_in_eval_mode():
    plain, dropping = (make_critic(5, 0, seeded(), hidden_dims=(9,), dropout=d) for d in (0.0, 0.4))
    rows, nothing = batch(2000, condition_dim=0)
    score = dropping(rows, nothing, seeded())
    assert torch.equal(score, dropping(rows, nothing, seeded()))
    assert not torch.equal(score, dropping(rows, nothing, seeded(1)))
    assert not torch.isclose(score, plain(rows, nothing)).all()
    assert float((score - plain(rows, nothing)).mean().detach()) == pytest.approx(0, abs=0.01)
    assert torch.equal(dropping.eval()(rows, nothing), plain(rows, nothing))


def test_dropout_leaves_its_share_of_units_out_at_every_layer():
    critic = make_critic(5, 0, seeded(), hidden_dims=(40, 50), dropout=0.3)
    with torch.no_grad():
        for layer in critic.layers:
            layer.bias.fill_(100)  # no unit is off by itself
        critic.rows.bias.fill_(100)
        critic.out.weight.fill_(0.7 / 150)  # a unit of the last layer counts 1 / 150 of its value
    activations, _ = critic._run(
        critic.given(torch.zeros(300, dtype=torch.int64), seeded()).function.args[0], torch.zeros(300, 5)
    )
    for activation in activations:
        assert float((activation == 0).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_dropout_without_a_source_of_randomness_is_refused():
    critic = make_critic(5, 3, seeded(), dropout=0.5)
    with pytest.raises(ParameterError, match="needs `rng` in training"):
        critic(torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64))


# Statistics of the batch


@pytest.mark.parametrize("statistics", STATISTICS)
class TestStatistics:
    def test_show_the_other_packs(self, statistics):
        critic = make_critic(5, 3, seeded(), pac_size=2, statistics=statistics)
        rows, slots = batch(8)
        before = critic(rows, slots)
        rows[7] += 1
        assert (critic(rows, slots) != before).all()

    def test_tell_a_collapsed_batch_apart_which_no_row_does(self, statistics):
        assert self.hinge_loss(statistics) < 1.2 < 1.8 < self.hinge_loss(None)

    @staticmethod
    def hinge_loss(statistics):
        """Loss of a critic after a short training on real batches against repetitions of one real row."""
        critic, rng = make_critic(2, 0, seeded(), hidden_dims=(16, 16), statistics=statistics), seeded()
        optimiser, losses = torch.optim.Adam(critic.parameters(), 0.01), []
        for _ in range(100):
            real, nothing = torch.randn(32, 2, generator=rng), torch.zeros(32, dtype=torch.int64)
            collapsed = torch.randn(1, 2, generator=rng).expand(32, 2)
            loss = GAMES["hinge"].critic(critic(real, nothing), critic(collapsed, nothing))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        return np.mean(losses[50:])

    def test_have_a_gradient_by_autograd(self, statistics):
        critic = make_critic(5, 3, seeded(), pac_size=2, statistics=statistics)
        rows, slots = batch(8)
        score = critic.given(slots)
        gradient = score.gradient(rows)
        assert gradient.shape == (4, 10)
        gradient_penalty(gradient).backward()
        assert (critic.rows.weight.grad != 0).any()
        critic(rows.requires_grad_(), slots).sum().backward()
        torch.testing.assert_close(gradient, rows.grad.reshape(4, 10))

    def test_of_one_pack_are_refused(self, statistics):
        critic = make_critic(5, 3, seeded(), pac_size=4, statistics=statistics)
        with pytest.raises(ParameterError, match=r"two packs of rows or more. Got 1: raise batch_size"):
            critic(*batch(4))


# Spectral normalisation


@pytest.mark.parametrize("conditioning", ["concatenation", "projection"])
def test_spectral_normalisation_bounds_the_slope_whatever_the_weights(conditioning):
    critic = make_critic(5, 3, seeded(), pac_size=2, spectral_norm=True, conditioning=conditioning)
    with torch.no_grad():
        for weight in critic.parameters():
            weight *= 100
    layers = [module for module in critic.modules() if isinstance(module, torch.nn.Linear)]
    assert len(layers) == 4
    assert all(isinstance(layer, SpectralLinear) for layer in layers)
    rows, slots = batch(2000)
    bound = 1 + (2**0.5 if conditioning == "projection" else 0)  # it adds up to the length of the condition
    for _ in range(300):
        critic(rows[:2], slots[:2])
    other, _ = batch(2000, seed=1)
    score = critic.given(slots)
    distance = (rows - other).reshape(1000, 10).norm(dim=1)
    assert ((score(rows) - score(other)).abs() <= 1.001 * bound * distance).all()
    assert float(score.gradient(rows).norm(dim=1).max().detach()) <= 1.001 * bound
