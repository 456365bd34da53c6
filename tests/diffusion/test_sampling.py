import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm, truncnorm

from synthgan.diffusion.denoiser import Rows, signal
from synthgan.diffusion.sampling import Given, Noise, bridge, draw, pick, truncated_normal
from synthgan.transforms.scores import PermittedParts
from tests.diffusion.rows import Certain, frequencies, some_rows, times, untrained
from tests.gan.tables import seeded

CPU = torch.device("cpu")


class TestBridge:
    @pytest.mark.parametrize("k", [2, 3])
    @pytest.mark.parametrize(("later", "sooner"), [(0.9, 0.5), (0.4, 0.2), (1.0, 0.98)])
    def test_categories_follow_bayes_rule_on_the_chain(self, k, later, sooner):
        """q(c_s | c_t, c_0) = q(c_t | c_s) q(c_s | c_0) / q(c_t | c_0), summed out by hand."""
        n = 20_000
        t, s = times(later), times(sooner)
        a_t, a_s = float(signal(t)), float(signal(s))

        def kernel(a):
            return a * np.eye(k) + (1 - a) / k

        for c_t in range(k):
            for c_0 in range(2):
                joint = kernel(a_s)[c_0] * kernel(a_t / a_s)[:, c_t]
                now, first = (
                    Rows(torch.zeros(n, 0), torch.full((n, 1), code, dtype=torch.int64))
                    for code in (c_t, c_0)
                )
                noise = Noise(np.random.default_rng(k), n, CPU)
                drawn = bridge(untrained(0, (k,)), now, first, t, s, noise).codes[:, 0]
                np.testing.assert_allclose(frequencies(drawn, k), joint / joint.sum(), atol=0.015)

    def test_numbers_follow_the_conditional_normal_distribution(self):
        """x_s and x_t given x_0 are jointly normal: regress the one on the other."""
        n, x_0, x_t = 40_000, 1.5, -0.7
        t, s = times(0.8), times(0.5)
        a_t, a_s = float(signal(t)), float(signal(s))
        covariance = math.sqrt(a_t / a_s) * (1 - a_s)
        mean = math.sqrt(a_s) * x_0 + covariance / (1 - a_t) * (x_t - math.sqrt(a_t) * x_0)
        variance = 1 - a_s - covariance**2 / (1 - a_t)
        no_codes = torch.zeros(n, 0, dtype=torch.int64)
        now, first = (Rows(torch.full((n, 1), x), no_codes) for x in (x_t, x_0))
        drawn = bridge(untrained(1, ()), now, first, t, s, Noise(np.random.default_rng(0), n, CPU)).scores
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.01)
        assert float(drawn.var()) == pytest.approx(variance, rel=0.03)

    def test_the_last_step_ends_at_the_guess(self):
        rows, guess = some_rows(500), some_rows(500, seed=1)
        last = bridge(
            untrained(), rows, guess, times(0.02), times(0.0), Noise(np.random.default_rng(0), 500, CPU)
        )
        torch.testing.assert_close(last.scores, guess.scores)
        assert torch.equal(last.codes, guess.codes)


class TestDraw:
    @pytest.mark.parametrize("n_steps", [1, 2, 10])
    def test_who_knows_the_row_draws_it(self, n_steps):
        scores, codes = draw(Certain([1.5, -0.25], [2, 0], [3, 2]), 50, n_steps, np.random.default_rng(0))
        np.testing.assert_allclose(scores, [[1.5, -0.25]] * 50, atol=1e-4)
        assert codes.tolist() == [[2, 0]] * 50

    def test_who_knows_nothing_draws_independent_columns(self):
        denoiser = untrained(1, (3, 2))
        denoiser.log_prior.copy_(torch.tensor([0.7, 0.2, 0.1, 0.5, 0.5]).log())
        scores, codes = draw(denoiser, 20_000, 10, np.random.default_rng(0))
        np.testing.assert_allclose(frequencies(codes[:, 0], 3), [0.7, 0.2, 0.1], atol=0.015)
        np.testing.assert_allclose(frequencies(codes[codes[:, 0] == 0, 1], 2), [0.5, 0.5], atol=0.015)
        assert abs(scores.mean()) < 0.03
        assert abs(np.corrcoef(scores[:, 0], codes[:, 0])[0, 1]) < 0.03

    @pytest.mark.parametrize("n_steps", [10, 50])
    def test_numbers_have_their_variance_in_few_steps(self, n_steps):
        """Who knows nothing draws standard normal numbers; from mere means, 10 steps would lead to .82."""
        scores, _ = draw(untrained(1, ()), 20_000, n_steps, np.random.default_rng(1))
        assert kstest(scores[:, 0].astype(float), norm.cdf).pvalue > 1e-3

    def test_the_generator_decides(self):
        denoiser = untrained(shaken=True)
        one, same, other = (draw(denoiser, 30, 5, np.random.default_rng(k)) for k in (0, 0, 1))
        for a, b, c in zip(one, same, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert (a != c).any()

    def test_known_parts_are_kept(self):
        rows = some_rows(60)
        known = torch.rand(60, 4, generator=seeded(1)) < 0.5
        scores, codes = draw(untrained(shaken=True), 60, 4, np.random.default_rng(0), Given(rows, known))
        assert np.array_equal(scores[known[:, :2]], rows.scores[known[:, :2]])
        assert np.array_equal(codes[known[:, 2:]], rows.codes[known[:, 2:]])
        assert (np.abs(scores - rows.scores.numpy()) > 0.01)[~known[:, :2]].mean() > 0.9

    def test_permitted_parts_lie_within_what_is_permitted(self):
        unknown = torch.zeros(400, 4, dtype=torch.bool)
        low, high = np.array([-2.0, 1.0]), np.array([-1.0, 1.5])
        parts = PermittedParts(0, low, high, {0: np.array([True, False, True])})
        given = Given(some_rows(400), unknown, [parts])
        scores, codes = draw(untrained(), 400, 5, np.random.default_rng(0), given)
        inside = (low <= scores[:, :1] + 1e-6) & (scores[:, :1] <= high + 1e-6)
        assert inside.any(axis=1).all()
        assert set(codes[:, 0]) == {0, 2}

    def test_a_permitted_column_on_its_own_keeps_its_distribution(self):
        """Of a standard normal number between -1 and .5, what is drawn is a truncated normal number."""
        unknown = torch.zeros(4000, 1, dtype=torch.bool)
        given = Given(
            Rows(torch.zeros(4000, 1), torch.zeros(4000, 0, dtype=torch.int64)),
            unknown,
            [PermittedParts(0, np.array([-1.0]), np.array([0.5]), {})],
        )
        scores, _ = draw(untrained(1, ()), 4000, 20, np.random.default_rng(0), given)
        assert kstest(scores[:, 0].astype(float), truncnorm(-1, 0.5).cdf).pvalue > 1e-3


class TestPieces:
    def test_pick_takes_values_by_their_shares(self):
        shares = torch.tensor([[0.2, 0.0, 0.8]]).expand(20_000, -1)
        picked = pick(shares, torch.rand(20_000, generator=seeded()))
        np.testing.assert_allclose(frequencies(picked, 3), [0.2, 0, 0.8], atol=0.01)

    @pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
    def test_pick_never_takes_what_has_no_share(self, uniform):
        shares = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]])
        assert (shares.gather(1, pick(shares, torch.full((2,), uniform))[:, None]) > 0).all()

    def test_truncated_normal_numbers_have_their_distribution(self):
        low, high = np.array([-0.5, 1.0]), np.array([0.0, np.inf])
        place = torch.rand(20_000, generator=seeded())
        drawn = (
            truncated_normal(torch.full((20_000,), 0.3), torch.tensor(0.8), low, high, place).double().numpy()
        )
        law = partial(norm.cdf, loc=0.3, scale=0.8)
        mass = (law(high) - law(low)).sum()

        def cdf(x):
            return sum(law(np.clip(x, a, b)) - law(a) for a, b in zip(low, high, strict=True)) / mass

        assert kstest(drawn, cdf).pvalue > 1e-3

    def test_far_from_every_interval_the_nearest_end_is_taken(self):
        mean = torch.tensor([-40.0, 40.0, 1.4])
        drawn = truncated_normal(
            mean, torch.tensor(0.01), np.array([-1.0, 2.0]), np.array([1.0, 3.0]), torch.full((3,), 0.5)
        )
        torch.testing.assert_close(drawn, torch.tensor([-1.0, 3.0, 1.0]))
