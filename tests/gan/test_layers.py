import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synthgan.gan.layers import (
    FilmNorm,
    MinibatchDeviation,
    MinibatchDiscrimination,
    ModulatedLinear,
    SpectralLinear,
    conditioned,
    effective_weight,
)
from tests.gan.tables import seeded


def shaken(layer, seed=0):
    """A layer with normal numbers in every weight."""
    rng = seeded(seed)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng))
    for module in layer.modules():
        if isinstance(module, SpectralLinear):
            module.reset(rng)
    return layer


# Spectral normalisation


def settled(n_in=5, n_out=4, seed=0):
    """A normalised layer in double precision after many power iterations."""
    layer = shaken(SpectralLinear(n_in, n_out), seed).double()
    for _ in range(500):
        layer.normalised()
    return layer


@pytest.mark.parametrize("sizes", [(5, 4), (4, 5), (1, 3), (3, 1)])
def test_power_iteration_finds_the_largest_singular_value(sizes):
    layer = settled(*sizes)
    sigma = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0]
    np.testing.assert_allclose(layer.normalised().detach(), layer.weight.detach() / sigma, rtol=1e-9)


def test_a_step_of_power_iteration_by_hand():
    layer = shaken(SpectralLinear(5, 4))
    w, u = layer.weight.detach().double().numpy(), layer.u.double().numpy()
    v = w.T @ u / np.linalg.norm(w.T @ u)
    after = w @ v / np.linalg.norm(w @ v)
    np.testing.assert_allclose(layer.normalised().detach(), w / (after @ w @ v), rtol=1e-4)
    np.testing.assert_allclose(layer.u, after, rtol=1e-4)


def test_the_power_iteration_rests_in_eval_mode_and_goes_with_the_state():
    layer = shaken(SpectralLinear(5, 4)).eval()
    u = layer.u.clone()
    layer.normalised()
    assert torch.equal(layer.u, u)
    layer.train()
    layer.normalised()
    assert not torch.equal(layer.u, u)
    other = shaken(SpectralLinear(5, 4), seed=1)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.eval().normalised(), layer.eval().normalised())


def test_the_gradient_knows_that_sigma_is_a_function_of_the_weight():
    layer = settled()
    weight, a = layer.weight.detach(), torch.randn(4, 5, generator=seeded()).double()
    (layer.normalised() * a).sum().backward()
    left, sigma, right = torch.linalg.svd(weight)
    inner = (a * weight / sigma[0]).sum()
    expected = (a - inner * left[:, :1] @ right[:1]) / sigma[0]  # Miyato et al. (2018), section 2
    torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-6, atol=1e-8)


def test_the_size_of_the_weight_has_no_effect():
    layer, x = settled(), torch.randn(7, 5, generator=seeded()).double()
    before = layer(x) - layer.bias
    with torch.no_grad():
        layer.weight *= 30
    torch.testing.assert_close(layer(x) - layer.bias, before)


def test_a_graph_outlives_the_next_iteration():
    layer, x = shaken(SpectralLinear(5, 4)), torch.ones(2, 5)
    first = layer(x).sum()
    layer(x)
    first.backward()
    assert torch.isfinite(layer.weight.grad).all()


def test_a_weight_of_zeros_stays_finite():
    layer = SpectralLinear(3, 2)
    torch.nn.init.zeros_(layer.weight)
    layer.reset(seeded())
    assert torch.equal(layer.normalised(), torch.zeros(2, 3))


def test_other_layers_multiply_by_the_weight_that_they_have():
    layer = torch.nn.Linear(2, 3)
    assert effective_weight(layer) is layer.weight
    spectral = settled()
    torch.testing.assert_close(
        torch.linalg.matrix_norm(effective_weight(spectral), 2), torch.tensor(1.0).double()
    )


# Statistics of a batch


@pytest.mark.parametrize("n_rows", [1, 5, 40])
def test_closeness_by_hand(n_rows):
    layer = shaken(MinibatchDiscrimination(3))
    x = torch.randn(n_rows, 3, generator=seeded(1)) / 4
    out = layer(x).detach()
    assert torch.equal(out[:, :3], x)
    measured = (x @ layer.weight.detach()).reshape(n_rows, 16, 4).double().numpy()
    for i in range(n_rows):
        others = measured[[j % n_rows for j in range(i, i + min(n_rows, 32))]]  # (32, 16, 4)
        expected = np.exp(-np.abs(others - measured[i]).sum(axis=2)).mean(axis=0)
        np.testing.assert_allclose(out[i, 3:], expected, rtol=1e-4)


def test_closeness_is_one_in_a_batch_of_one_row_again_and_again_and_falls_with_distance():
    layer = MinibatchDiscrimination(3)
    layer.reset(seeded())
    x = torch.randn(1, 3, generator=seeded()).expand(6, 3)
    assert torch.equal(layer(x)[:, 3:], torch.ones(6, 16))
    spread = torch.randn(6, 3, generator=seeded())
    near, far = (layer(scale * spread)[:, 3:].mean() for scale in (1, 10))
    assert 1 > near > far > 1 / 6


def test_deviation_is_that_of_the_columns_on_average():
    x = torch.randn(8, 3, generator=seeded()) * torch.tensor([1.0, 2.0, 3.0])
    out = MinibatchDeviation(3)(x)
    assert torch.equal(out[:, :3], x)
    np.testing.assert_allclose(out[:, 3], np.full(8, x.numpy().std(axis=0).mean()), rtol=1e-5)


@pytest.mark.parametrize("layer", [MinibatchDiscrimination(3), MinibatchDeviation(3)])
def test_statistics_of_a_collapsed_batch_have_finite_gradients(layer):
    shaken(layer)
    x = torch.ones(4, 3, requires_grad=True)
    layer(x).sum().backward()
    assert torch.isfinite(x.grad).all()


# Conditions and styles


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("condition_dim", [0, 1, 3])
@pytest.mark.parametrize("sizes", [(4,), (4, 2), (1, 2, 5)])
def test_a_conditioned_map_is_that_of_parts_and_one_hot_condition_side_by_side(sizes, condition_dim, bias):
    layer = shaken(torch.nn.Linear(sum(sizes) + condition_dim, 6, bias=bias)).double()
    rng = seeded(1)
    parts = [torch.randn(7, size, generator=rng).double().requires_grad_() for size in sizes]
    slots = torch.randint(max(condition_dim, 1), (7,), generator=rng)
    one_hot = (slots[:, None] == torch.arange(condition_dim)).double()
    expected = layer(torch.cat([parts[0], one_hot, *parts[1:]], dim=1))
    mapped = conditioned(layer, parts, slots)
    torch.testing.assert_close(mapped, expected)
    learned = [*layer.parameters(), *parts]
    gradients = (torch.autograd.grad(out.square().sum(), learned) for out in (mapped, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_film_by_hand():
    layer = shaken(FilmNorm(4, 3))
    x, slots = torch.randn(6, 4, generator=seeded()), torch.tensor([0, 1, 2, 2, 1, 0])
    film = layer.film.weight.T[slots] + layer.film.bias
    norm = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = (1 + film[:, :4]) * norm + film[:, 4:]
    torch.testing.assert_close(layer(x, slots), expected)


def test_modulation_by_hand():
    layer = shaken(ModulatedLinear(4, 3, style_dim=2))
    x, style = torch.randn(5, 4, generator=seeded()), torch.randn(5, 2, generator=seeded(1))
    out = layer(x, style)
    for i in range(5):
        weight = layer.weight * (layer.scale.weight @ style[i] + 1)  # eq. (1)
        weight = weight / weight.square().sum(dim=1, keepdim=True).sqrt()  # eq. (3)
        torch.testing.assert_close(out[i], weight @ x[i] + layer.bias, rtol=1e-4, atol=1e-5)


def test_modulation_without_a_style_keeps_the_size_of_inputs_of_unit_variance():
    layer = shaken(ModulatedLinear(50, 40, style_dim=2))
    x = torch.randn(400, 50, generator=seeded(1))
    out = layer(x, torch.zeros(400, 2)) - layer.bias
    torch.testing.assert_close(out, F.linear(x, F.normalize(layer.weight, dim=1)), rtol=1e-4, atol=1e-5)
    assert float(out.std().detach()) == pytest.approx(1, rel=0.05)
