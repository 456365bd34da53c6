import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import ParameterError
from synthgan.gan.games import Score, gradient_penalty, zero_centred_penalty
from synthgan.gan.players import GENERATORS, make_critic, make_generator
from tests.gan.tables import seeded


def numbers(module, name):
    """A weight as a numpy array of float64."""
    return module.get_parameter(name).detach().double().numpy()


# Generators


def inputs(n_rows, noise_dim=4, condition_dim=3, seed=0):
    rng = seeded(seed)
    return torch.randn(n_rows, noise_dim, generator=rng), torch.randn(n_rows, condition_dim, generator=rng)


def test_the_residual_generator_is_that_of_the_paper_by_hand():
    generator = make_generator("residual", 4, 3, 5, seeded(), hidden_dims=(6, 7))
    noise, condition = inputs(20)
    hidden = np.concatenate([noise, condition], axis=1).astype(float)
    for i in range(2):
        x = hidden @ numbers(generator, f"layers.{i}.weight").T + numbers(generator, f"layers.{i}.bias")
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
        hidden = np.concatenate([hidden, np.maximum(x, 0)], axis=1)
    expected = hidden @ numbers(generator, "out.weight").T + numbers(generator, "out.bias")
    assert hidden.shape == (20, 4 + 3 + 6 + 7)
    np.testing.assert_allclose(generator(noise, condition).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", GENERATORS)
class TestEveryGenerator:
    @pytest.mark.parametrize("condition_dim", [0, 3])
    @pytest.mark.parametrize("width", [1, 17])
    def test_makes_one_row_for_each_noise(self, kind, condition_dim, width):
        generator = make_generator(kind, 4, condition_dim, width, seeded())
        rows = generator(*inputs(9, condition_dim=condition_dim))
        assert rows.shape == (9, width)
        assert torch.isfinite(rows).all()

    def test_makes_in_eval_mode_a_row_of_its_own_noise_and_condition(self, kind):
        generator = make_generator(kind, 4, 3, 5, seeded())
        generator(*inputs(50))  # the running statistics
        generator.eval()
        noise, condition = inputs(8)
        whole = generator(noise, condition)
        torch.testing.assert_close(generator(noise[2:3], condition[2:3]), whole[2:3])
        assert not torch.isclose(generator(noise.flip(0), condition), whole).any(dim=1).all()
        assert not torch.isclose(generator(noise, condition.flip(0)), whole).any(dim=1).all()

    def test_is_drawn_from_the_seed_alone(self, kind):
        state = torch.get_rng_state()
        one, same, other = (make_generator(kind, 4, 3, 5, seeded(seed)).state_dict() for seed in (0, 0, 1))
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert not all(torch.equal(one[name], other[name]) for name in one)

    def test_comes_back_from_its_state(self, kind):
        generator = make_generator(kind, 4, 3, 5, seeded())
        generator(*inputs(50))
        again = make_generator(kind, 4, 3, 5, seeded(9))
        again.load_state_dict(generator.state_dict())
        assert torch.equal(generator.eval()(*inputs(8)), again.eval()(*inputs(8)))

    def test_takes_the_sizes_of_its_hidden_layers(self, kind):
        small, large = (make_generator(kind, 4, 3, 5, seeded(), hidden_dims=h) for h in ((8,), (16, 16, 16)))
        n_small, n_large = (sum(p.numel() for p in g.parameters()) for g in (small, large))
        assert n_small < n_large


def test_batch_norm_learns_running_statistics_in_training_and_uses_them_in_eval_mode():
    generator = make_generator("residual", 4, 3, 5, seeded())
    noise, condition = inputs(50)
    fresh = generator.eval()(noise, condition)
    generator.train()
    generator(noise, condition)
    assert not torch.allclose(generator.eval()(noise, condition), fresh)


# Critics


@st.composite
def critics(draw):
    """A critic of random sizes in double precision, and a batch for it."""
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
    )
    rows = torch.randn(n_packs * pac_size, width, generator=rng).double()
    condition = torch.randn(n_packs * pac_size, condition_dim, generator=rng).double()
    return critic.double(), rows, condition


@given(critics(), st.integers(0, 99))
def test_the_closed_form_teaches_the_critic_what_autograd_does(drawn, seed):
    critic, rows, condition = drawn
    closed = critic.given(condition, seeded(seed)).gradient(rows)
    expected = Score(critic.given(condition, seeded(seed)).function, critic.pac_size).gradient(rows)
    torch.testing.assert_close(closed, expected, rtol=1e-9, atol=1e-12)
    got, wanted = (
        torch.autograd.grad(
            gradient_penalty(gradient) + zero_centred_penalty(gradient),
            list(critic.parameters()),
            allow_unused=True,
            materialize_grads=True,
        )
        for gradient in (closed, expected)
    )
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)


def test_the_critic_is_that_of_the_paper_by_hand():
    critic = make_critic(5, 3, seeded(), hidden_dims=(6, 7), pac_size=2)
    rng = seeded()
    rows, condition = torch.randn(8, 5, generator=rng), torch.randn(8, 3, generator=rng)
    x = np.concatenate([rows[0], rows[1]]).astype(float) @ numbers(critic, "rows.weight").T
    x += np.concatenate([condition[0], condition[1]]).astype(float) @ numbers(critic, "condition.weight").T
    x += numbers(critic, "rows.bias")
    x = np.where(x > 0, x, 0.2 * x) @ numbers(critic, "layers.0.weight").T + numbers(critic, "layers.0.bias")
    x = np.where(x > 0, x, 0.2 * x) @ numbers(critic, "out.weight").T + numbers(critic, "out.bias")
    score = critic(rows, condition)
    assert score.shape == (4,)
    assert float(score[0].detach()) == pytest.approx(x.item(), rel=1e-5)


def test_the_parts_of_the_first_layer_are_drawn_as_one():
    critic = make_critic(30, 70, seeded(), hidden_dims=(200,), pac_size=4)
    for part in (critic.rows.weight, critic.rows.bias, critic.condition.weight):
        assert float(part.detach().abs().max()) == pytest.approx(1 / 20, rel=0.02)


def test_a_pack_changes_its_own_score_only():
    critic = make_critic(5, 3, seeded(), pac_size=4)
    rng = seeded()
    rows, condition = torch.randn(12, 5, generator=rng), torch.randn(12, 3, generator=rng)
    before = critic(rows, condition)
    rows[5] += 1
    assert (critic(rows, condition) != before).tolist() == [False, True, False]
    condition[11] += 1
    assert (critic(rows, condition) != before).tolist() == [False, True, True]


@pytest.mark.parametrize("part", ["rows", "condition"])
def test_rows_that_fill_no_pack_are_refused(part):
    critic = make_critic(5, 3, seeded(), pac_size=4)
    n_rows = {"rows": 12, "condition": 12, part: 14}
    with pytest.raises(ParameterError, match=r"pac_size=4 .* multiple .* Got 14 rows: pass 12"):
        critic(torch.zeros(n_rows["rows"], 5), torch.zeros(n_rows["condition"], 3))


def test_dropout_scales_the_units_that_it_keeps_and_rests_in_eval_mode():
    plain, dropping = (make_critic(5, 0, seeded(), hidden_dims=(9,), dropout=d) for d in (0.0, 0.4))
    rows, nothing = torch.randn(2000, 5, generator=seeded()), torch.zeros(2000, 0)
    score = dropping(rows, nothing, seeded())
    assert torch.equal(score, dropping(rows, nothing, seeded()))
    assert not torch.equal(score, dropping(rows, nothing, seeded(1)))
    assert not torch.isclose(score, plain(rows, nothing)).all()
    assert float((score - plain(rows, nothing)).mean().detach()) == pytest.approx(0, abs=0.01)
    assert torch.equal(dropping.eval()(rows, nothing), plain(rows, nothing))


def test_dropout_without_a_source_of_randomness_is_refused():
    critic = make_critic(5, 3, seeded(), dropout=0.5)
    with pytest.raises(ParameterError, match="needs `rng` in training"):
        critic(torch.zeros(4, 5), torch.zeros(4, 3))
