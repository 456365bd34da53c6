import numpy as np
import pytest
import torch
from torch import nn

from synthgan.gan.generators import ConvolutionalGenerator
from synthgan.gan.players import make_generator
from tests.gan.tables import seeded

KINDS = [("residual", "concatenation"), ("residual", "film")]
KINDS += [("convolutional", "concatenation"), ("style", "concatenation")]


def inputs(n_rows, noise_dim=4, condition_dim=3, seed=0):
    """Noise and the slots of conditions."""
    rng = seeded(seed)
    noise = torch.randn(n_rows, noise_dim, generator=rng)
    return noise, torch.randint(max(condition_dim, 1), (n_rows,), generator=rng)


def one_hot(slots, condition_dim=3):
    return torch.nn.functional.one_hot(slots, condition_dim).float()


def made(kind, conditioning="concatenation", condition_dim=3, width=5, seed=0, **kwargs):
    return make_generator(kind, 4, condition_dim, width, seeded(seed), conditioning=conditioning, **kwargs)


def numbers(module, name):
    """A weight as a numpy array of float64."""
    return module.get_parameter(name).detach().double().numpy()


@pytest.mark.parametrize(("kind", "conditioning"), KINDS)
class TestEveryGenerator:
    @pytest.mark.parametrize("width", [1, 2, 17, 260])
    def test_makes_one_row_for_each_noise(self, kind, conditioning, width):
        for condition_dim in [3] if conditioning == "film" else [0, 3]:
            generator = made(kind, conditioning, condition_dim, width)
            rows = generator(*inputs(9, condition_dim=condition_dim))
            assert rows.shape == (9, width)
            assert torch.isfinite(rows).all()
            assert (rows.std(dim=0) > 0).all(), "every number of a row depends on its noise"

    def test_makes_in_eval_mode_a_row_of_its_own_noise_and_condition(self, kind, conditioning):
        generator = made(kind, conditioning)
        generator(*inputs(50))  # the running statistics
        generator.eval()
        noise, slots = inputs(8)
        whole = generator(noise, slots)
        torch.testing.assert_close(generator(noise[2:3], slots[2:3]), whole[2:3])
        assert not torch.isclose(generator(noise.flip(0), slots), whole).any(dim=1).all()
        assert not torch.isclose(generator(noise, slots.flip(0)), whole).any(dim=1).all()

    def test_comes_back_from_its_state(self, kind, conditioning):
        generator = made(kind, conditioning)
        generator(*inputs(50))
        again = made(kind, conditioning, seed=9)
        again.load_state_dict(generator.state_dict())
        assert torch.equal(generator.eval()(*inputs(8)), again.eval()(*inputs(8)))

    def test_every_weight_is_learned(self, kind, conditioning):
        generator = made(kind, conditioning)
        generator(*inputs(30)).square().sum().backward()
        for name, weight in generator.named_parameters():
            assert (weight.grad != 0).any(), name

    def test_learns_a_mean_and_a_spread(self, kind, conditioning):
        generator, rng = made(kind, conditioning, width=2, hidden_dims=(32, 32)), seeded()
        optimiser = torch.optim.Adam(generator.parameters(), 0.01)
        for _ in range(150):
            noise, slots = torch.randn(64, 4, generator=rng), torch.randint(3, (64,), generator=rng)
            target = torch.stack([5 + noise[:, 0], slots.float()], dim=1)
            loss = (generator(noise, slots) - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert float(loss.detach()) < 0.7, "a constant has 1"


# Residual


def test_the_residual_generator_is_that_of_the_paper_by_hand():
    generator = made("residual", hidden_dims=(6, 7))
    noise, slots = inputs(20)
    hidden = np.concatenate([noise, one_hot(slots)], axis=1).astype(float)
    for i in range(2):
        x = hidden @ numbers(generator, f"layers.{i}.weight").T + numbers(generator, f"layers.{i}.bias")
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
        hidden = np.concatenate([hidden, np.maximum(x, 0)], axis=1)
    expected = hidden @ numbers(generator, "out.weight").T + numbers(generator, "out.bias")
    assert hidden.shape == (20, 4 + 3 + 6 + 7)
    np.testing.assert_allclose(generator(noise, slots).detach().numpy(), expected, atol=1e-5)


def test_batch_norm_learns_running_statistics_in_training_and_uses_them_in_eval_mode():
    generator = made("residual")
    noise, slots = inputs(50)
    fresh = generator.eval()(noise, slots)
    generator.train()
    generator(noise, slots)
    assert not torch.allclose(generator.eval()(noise, slots), fresh)


def test_film_shows_the_condition_to_every_layer_and_keeps_rows_apart_in_training():
    generator = made("residual", "film", hidden_dims=(6, 7))
    noise, slots = inputs(20)
    assert [layer.in_features for layer in generator.layers] == [4, 10]
    torch.testing.assert_close(generator(noise[:1], slots[:1]), generator(noise, slots)[:1])
    with torch.no_grad():
        for norm in generator.norms:
            norm.film.weight.zero_()
    assert torch.equal(generator(noise, slots), generator(noise, slots.flip(0)))


# Convolutional


@pytest.mark.parametrize(("width", "side"), [(1, 1), (16, 1), (17, 2), (64, 2), (65, 3), (160, 4)])
def test_the_last_square_is_the_smallest_that_holds_a_row(width, side):
    generator = ConvolutionalGenerator(4, 0, width, (64, 64))
    assert generator.side == side, "doubled twice"
    assert (4 * side) ** 2 >= width > (4 * (side - 1)) ** 2


def test_channels_halve_where_the_side_doubles():
    generator = ConvolutionalGenerator(4, 3, 160, (256, 256, 256))
    assert [(layer.in_channels, layer.out_channels) for layer in generator.layers] == [
        (64, 32),
        (32, 16),
        (16, 1),
    ]


def test_convolutions_write_the_row_line_by_line_into_the_square():
    generator = made("convolutional", width=14, hidden_dims=(8,))  # 2 channels of 2 x 2, then 4 x 4
    noise, slots = inputs(6)
    x = (torch.cat([noise, one_hot(slots)], dim=1) @ generator.first.weight.T).reshape(6, 2, 2, 2)
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    x = torch.relu((x - mean) / (variance + 1e-5).sqrt())
    square = torch.zeros(6, 6, 6)  # the transposed convolution, with its margin of 1
    kernel = generator.layers[0].weight
    for i in range(2):
        for j in range(2):
            square[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += torch.einsum(
                "bc,ckl->bkl", x[:, :, i, j], kernel[:, 0]
            )
    expected = square[:, 1:5, 1:5].reshape(6, 16)[:, :14]
    torch.testing.assert_close(generator(noise, slots), expected, rtol=1e-4, atol=1e-5)


# Style


def test_truncation_pulls_styles_to_their_mean_in_eval_mode_only():
    full, half, none = (made("style", truncation=t) for t in (1.0, 0.5, 0.0))
    noise, slots = inputs(40)
    for generator in (full, half, none):
        trained = generator(noise, slots)
        torch.testing.assert_close(trained, full(noise, slots))
        generator.eval()
    assert torch.equal(full(noise, slots), trained)
    typical = none(noise, slots)
    torch.testing.assert_close(typical, typical[:1].expand_as(typical))
    spread = [g(noise, slots).std(dim=0).sum() for g in (full, half)]
    assert spread[1] < 0.8 * spread[0]


def test_half_truncation_is_the_row_of_the_style_halfway():
    generator = made("style", truncation=0.5)
    noise, slots = inputs(40)
    generator(noise, slots)
    out = generator.eval()(noise, slots)
    style = (generator.style(noise, slots) + generator.mean_style) / 2
    hidden = generator.start.expand(40, -1)
    for layer in generator.layers:
        hidden = nn.functional.leaky_relu(layer(hidden, style), 0.2)
    torch.testing.assert_close(out, generator.out(hidden))


def test_the_mean_style_is_that_of_all_styles_at_first():
    generator = made("style")
    batches = [inputs(30, seed=seed) for seed in range(4)]
    for batch in batches:
        generator(*batch)
    expected = torch.cat([generator.style(*batch) for batch in batches]).mean(dim=0)
    torch.testing.assert_close(generator.mean_style, expected.detach())
    generator.eval()(*batches[0])
    torch.testing.assert_close(generator.mean_style, expected.detach())


def test_the_mean_style_forgets_the_styles_of_a_generator_long_past():
    generator = made("style")
    generator.n_means.fill_(5000)
    generator.mean_style.fill_(3)
    batch = inputs(30)
    generator(*batch)
    expected = 0.995 * 3 + 0.005 * generator.style(*batch).mean(dim=0).detach()
    torch.testing.assert_close(generator.mean_style, expected)


def test_the_length_of_the_noise_tells_nothing():
    generator = made("style")
    noise, slots = inputs(10)
    torch.testing.assert_close(generator(7 * noise, slots), generator(noise, slots), rtol=1e-4, atol=1e-5)
