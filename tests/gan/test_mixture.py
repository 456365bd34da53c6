import pytest
import torch

from synthgan.gan.mixture import MAX_COMPONENTS, fit_mixture
from tests.gan.tables import seeded


def covariances(mixture):
    return mixture.factors @ mixture.factors.mT


def three_clusters(n_rows):
    """Half of the rows at (-5, 0), a quarter each at (5, 5) and (5, -5), with a spread of 0.5."""
    centres = torch.tensor([[-5.0, 0.0], [-5.0, 0.0], [5.0, 5.0], [5.0, -5.0]])
    return centres[torch.arange(n_rows) % 4] + 0.5 * torch.randn(n_rows, 2, generator=seeded(0))


def test_one_component_has_the_mean_and_the_covariance_of_the_rows_and_their_noise():
    rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 5.0], [2.0, 5.0]])  # means 1, 3; variances 1, 4
    mixture = fit_mixture(rows, 0.5, seeded(0))
    assert mixture.weights.tolist() == [1.0]
    torch.testing.assert_close(mixture.means, torch.tensor([[1.0, 3.0]]), atol=0.2, rtol=0)
    expected = torch.tensor([[[1.25, 0.0], [0.0, 4.25]]])
    torch.testing.assert_close(covariances(mixture), expected, atol=0.3, rtol=0)


@pytest.mark.parametrize(("n_rows", "n_components"), [(1, 1), (511, 1), (512, 2), (40_000, MAX_COMPONENTS)])
def test_there_is_a_component_for_each_256_rows_but_at_most_64(n_rows, n_components):
    mixture = fit_mixture(torch.randn(n_rows, 3, generator=seeded(0)), 0.3, seeded(0))
    assert [len(part) for part in mixture] == [n_components] * 3
    assert float(mixture.weights.sum()) == pytest.approx(1.0)
    assert all(torch.isfinite(part).all() for part in mixture)


def test_components_lie_where_the_rows_are():
    """Rows drawn from the mixture are as often in each cluster as real ones, and hardly ever between them."""
    mixture = fit_mixture(three_clusters(4000), 0.1, seeded(0))
    rng = seeded(1)
    component = torch.multinomial(mixture.weights, 4000, replacement=True, generator=rng)
    normal = torch.randn(4000, 2, 1, generator=rng)
    drawn = mixture.means[component] + (mixture.factors[component] @ normal).squeeze(2)
    distance, nearest = torch.cdist(drawn, torch.tensor([[-5.0, 0.0], [5.0, 5.0], [5.0, -5.0]])).min(dim=1)
    share = torch.bincount(nearest, minlength=3) / 4000
    torch.testing.assert_close(share, torch.tensor([0.5, 0.25, 0.25]), atol=0.03, rtol=0)
    assert float((distance < 2.5).float().mean()) > 0.93  # of one Gaussian, 0.4


def test_equal_rows_make_no_singular_covariance():
    mixture = fit_mixture(torch.zeros(2000, 4), 0.3, seeded(0))
    assert float(torch.linalg.eigvalsh(covariances(mixture)).min()) > 0.05


def test_equal_seeds_fit_equal_mixtures():
    rows = three_clusters(1024)
    one, same, other = (fit_mixture(rows, 0.3, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.means, other.means)
