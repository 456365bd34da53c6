"""Diffusion of numbers and categories: closed forms, known answers, conditions, the training loop."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm, truncnorm
from torch.nn import functional as F

from synthgan.diffusion import (
    Denoiser,
    DiffusionPlan,
    Given,
    Noise,
    Rows,
    TableDenoiser,
    bridge,
    denoising_loss,
    diffuse,
    draw,
    measure_errors,
    pick,
    signal,
    train_denoiser,
    truncated_normal,
)
from synthgan.gan.run import Run
from synthgan.layout import EncodedTable
from synthgan.transforms.scores import NormalScores, PermittedParts
from tests.gan.tables import MIXED, atoms, random_table, seeded

CPU = torch.device("cpu")


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def untrained(n_scores=2, sizes=(3, 2), hidden_dim=16, shaken=False):
    """A denoiser as training starts with it; `shaken`: one that predicts something."""
    denoiser = Denoiser(n_scores, sizes, hidden_dim, 2)
    denoiser.reset(seeded())
    if shaken:
        with torch.no_grad():
            for weight in denoiser.parameters():
                weight += 0.3 * torch.randn(weight.shape, generator=seeded(1))
    return denoiser


def frequencies(codes, size):
    return np.bincount(np.asarray(codes), minlength=size) / len(codes)


def some_rows(n_rows, n_scores=2, sizes=(3, 2), seed=0):
    rng = seeded(seed)
    codes = [torch.randint(k, (n_rows,), generator=rng) for k in sizes]
    return Rows(torch.randn(n_rows, n_scores, generator=rng), torch.stack(codes, dim=1))


class TestForwardProcess:
    def test_the_signal_falls_from_one_to_nothing(self):
        a = signal(torch.linspace(0, 1, 101, dtype=torch.float64))
        assert a[0] == 1
        assert a[-1] < 1e-30
        assert (a.diff() < 0).all()

    def test_numbers_follow_equation_1(self):
        rows = Rows(torch.full((40_000, 1), 2.0), torch.zeros(40_000, 0, dtype=torch.int64))
        t = times(0.3)
        noised, noise = diffuse(untrained(1, ()), rows, t, seeded())
        a = float(signal(t))
        assert float(noised.scores.mean()) == pytest.approx(math.sqrt(a) * 2, abs=0.02)
        assert float(noised.scores.var()) == pytest.approx(1 - a, rel=0.03)
        torch.testing.assert_close(noised.scores, math.sqrt(a) * rows.scores + math.sqrt(1 - a) * noise)

    def test_categories_follow_equation_2(self):
        codes = torch.tensor([[2, 0]]).expand(40_000, -1)
        t = times(0.6)
        noised, _ = diffuse(untrained(0, (4, 2)), Rows(torch.zeros(40_000, 0), codes), t, seeded())
        a = float(signal(t))
        first = [(1 - a) / 4] * 2 + [a + (1 - a) / 4] + [(1 - a) / 4]
        np.testing.assert_allclose(frequencies(noised.codes[:, 0], 4), first, atol=0.01)
        second = [a + (1 - a) / 2, (1 - a) / 2]
        np.testing.assert_allclose(frequencies(noised.codes[:, 1], 2), second, atol=0.01)

    def test_at_time_0_nothing_changes_and_at_time_1_nothing_is_left(self):
        rows = some_rows(2000)
        same, _ = diffuse(untrained(), rows, times(0.0), seeded())
        torch.testing.assert_close(same.scores, rows.scores)
        assert torch.equal(same.codes, rows.codes)
        gone, noise = diffuse(untrained(), rows, times(1.0), seeded())
        torch.testing.assert_close(gone.scores, noise)
        np.testing.assert_allclose(
            frequencies(gone.codes[rows.codes[:, 0] == 1, 0], 3), [1 / 3] * 3, atol=0.06
        )


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


class TestDenoiser:
    def test_untrained_it_says_what_independent_columns_say(self):
        """v is 0, and the logits those of Bayes' rule: frequency of c_0 times q(c_t | c_0)."""
        denoiser = untrained(1, (3,))
        frequency = torch.tensor([0.5, 0.3, 0.2])
        denoiser.log_prior.copy_(frequency.log())
        t = times(0.4)
        v, logits = denoiser(Rows(torch.tensor([[0.3]]), torch.tensor([[2]])), t)
        assert v.tolist() == [[0.0]]
        a = float(signal(t))
        seen = torch.tensor([(1 - a) / 3, (1 - a) / 3, a + (1 - a) / 3])
        torch.testing.assert_close(logits.softmax(dim=1)[0], frequency * seen / (frequency * seen).sum())

    def test_each_row_is_on_its_own(self):
        denoiser, rows = untrained(shaken=True), some_rows(20)
        t = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)
        together = denoiser(rows, t)
        alone = denoiser(Rows(rows.scores[7:8], rows.codes[7:8]), t[7:8])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[7], rtol=1e-4, atol=1e-5)

    def test_it_sees_numbers_categories_and_the_time(self):
        denoiser = untrained(shaken=True)
        rows = Rows(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int64))
        base = denoiser(rows, times(0.5))[0]
        assert not torch.allclose(denoiser(Rows(torch.tensor([[0.0, 1.0]]), rows.codes), times(0.5))[0], base)
        assert not torch.allclose(denoiser(Rows(rows.scores, torch.tensor([[0, 1]])), times(0.5))[0], base)
        assert not torch.allclose(denoiser(rows, times(0.6))[0], base)

    def test_known_parts_are_seen_as_such(self):
        denoiser, rows, none = untrained(shaken=True), some_rows(1), torch.zeros(1, 4, dtype=torch.bool)
        base = denoiser(rows, times(0.5))[0]
        torch.testing.assert_close(denoiser(rows, times(0.5), none)[0], base)
        for part in range(4):
            known = none.clone()
            known[0, part] = True
            assert not torch.allclose(denoiser(rows, times(0.5), known)[0], base)

    def test_known_parts_are_neither_noised_nor_counted(self):
        denoiser, rows = untrained(shaken=True), some_rows(50)
        known = (torch.arange(4) % 2 == 0).expand(50, -1)
        loss = denoising_loss(denoiser, rows, times(1.0), seeded(), known)
        assert ((loss == 0) == known).all()
        other = Rows(rows.scores + torch.tensor([0.0, 9.0]), rows.codes)  # what is hidden at time 1
        noised, _ = diffuse(denoiser, other, times(1.0), seeded())
        torch.testing.assert_close(noised.where(known, rows).scores[:, 0], rows.scores[:, 0])
        again = denoising_loss(denoiser, other, times(1.0), seeded(), known)
        torch.testing.assert_close(again[:, 3], loss[:, 3])  # sees the same

    def test_weights_come_from_the_generator_alone(self):
        before = torch.random.get_rng_state()
        one, same = untrained().state_dict(), untrained().state_dict()
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_the_loss_of_the_untrained_is_that_of_independent_columns(self):
        """Squared error 1 of normal numbers at any time; entropy of categories at time 1, none at time 0."""
        rows = some_rows(20_000, 2, (2, 2))
        rows = Rows(
            rows.scores, (rows.codes == 0).long() * rows.codes.new_tensor([1, 0])
        )  # half, and constant
        denoiser = untrained(2, (2, 2))
        denoiser.log_prior.copy_(torch.tensor([0.5, 0.5, 1.0, 1e-9]).log())
        for t, entropy in ((1.0, math.log(2)), (1e-4, 0.0)):
            loss = denoising_loss(denoiser, rows, times(t), seeded(3)).mean(dim=0)
            torch.testing.assert_close(loss, torch.tensor([1, 1, entropy, 0.0]), atol=0.03, rtol=0)


class Certain(Denoiser):
    """Knows that every row is one and the same."""

    def __init__(self, point, values, sizes):
        super().__init__(len(point), sizes, 8, 1)
        self.point = torch.tensor(point)
        self.errors.zero_()
        self.certain = torch.cat(
            [20.0 * F.one_hot(torch.tensor(v), k) for v, k in zip(values, sizes, strict=True)]
        )

    def forward(self, rows, t, known=None):
        a = signal(t).float()[:, None]
        return (a.sqrt() * rows.scores - self.point) / (1 - a).sqrt(), self.certain.expand(
            len(rows.scores), -1
        )


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


def plan(**changes):
    return DiffusionPlan(
        **{"n_steps": 48, "batch_size": 64, "learning_rate": 5e-3, "weight_decay": 0.01}
        | {"conditional_share": 0.25, "patience": 99, "max_seconds": None}
        | changes
    )


def trained(layout, table, plan, seed=0):
    denoiser = TableDenoiser(layout, 16, 2)
    denoiser.reset(seeded(seed))
    view = NormalScores.of(layout, table)
    denoiser.shares.copy_(torch.from_numpy(view.shares))
    run = Run(denoiser, seed)
    train_denoiser(denoiser, view, table, table, plan, run)
    return denoiser, run.history


class TestTraining:
    def test_the_loss_falls_and_is_written_down(self):
        """Four columns that are all the same."""
        layout = atoms(3, 3, 3, 3)
        codes = np.random.default_rng(0).integers(0, 3, (300, 1)).repeat(4, axis=1).astype(np.int32)
        _, history = trained(
            layout, EncodedTable(codes, np.zeros(codes.shape)), plan(n_steps=192, learning_rate=0.02)
        )
        assert len(history) == 24
        assert [line["step"] for line in history][:2] == [8, 16]
        assert history[-1]["heldout_loss"] < 0.8 * history[0]["heldout_loss"]

    def test_equal_seeds_give_equal_weights(self):
        table = random_table(MIXED, 100)
        one, same, other = (
            trained(MIXED, table, plan(n_steps=3), seed)[0].state_dict() for seed in (0, 0, 1)
        )
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert not torch.equal(one["weight"], other["weight"])

    def test_patience_ends_it(self):
        table = random_table(MIXED, 60)  # nothing to learn but the table itself
        _, history = trained(MIXED, table, plan(n_steps=480, patience=1, learning_rate=1e-9))
        assert len(history) < 24

    def test_the_errors_of_v_are_measured(self):
        """1 for who knows nothing, 0 for who is right; rows in which a number is known do not count."""
        known = (torch.arange(4) == 0).expand(5000, -1)
        nothing = untrained()
        nothing.errors.zero_()
        measure_errors(nothing, some_rows(5000), known, seeded())
        torch.testing.assert_close(nothing.errors[0], torch.ones(21, 2), atol=0.07, rtol=0)
        assert (nothing.errors[1] > 0.9).all()
        certain = Certain([1.5, -0.25], [2, 0], [3, 2])
        rows = Rows(certain.point.expand(5000, -1), torch.tensor([[2, 0]]).expand(5000, -1))
        measure_errors(certain, rows, known, seeded())
        assert (certain.errors[0] < 1e-4).all()
        assert certain.errors[1, :, 0].tolist() == [1] * 21  # never hidden: nothing was measured
        assert (certain.errors[1, :, 1] < 1e-4).all()

    def test_frequencies_are_those_of_the_table(self):
        table = random_table(MIXED, 400)
        denoiser, _ = trained(MIXED, table, plan(n_steps=1))
        parts = torch.split(denoiser.log_prior.exp(), denoiser.sizes)
        np.testing.assert_allclose(parts[1], frequencies(table.codes[:, 1], 2), atol=0.01)

    def test_the_view_of_a_denoiser_is_in_its_state(self):
        denoiser, _ = trained(MIXED, random_table(MIXED, 100), plan(n_steps=1))
        again = TableDenoiser(MIXED, 16, 2)
        again.load_state_dict(denoiser.state_dict())
        np.testing.assert_array_equal(again.view().shares, denoiser.view().shares)
