import math

import numpy as np
import pytest
import torch

from synthgan.diffusion.denoiser import Rows, TableDenoiser, signal
from synthgan.diffusion.training import DiffusionPlan, denoising_loss, diffuse, measure_errors, train_denoiser
from synthgan.gan.run import Run
from synthgan.layout import EncodedTable
from synthgan.transforms.scores import NormalScores
from tests.diffusion.rows import Certain, frequencies, some_rows, times, untrained
from tests.gan.tables import MIXED, atoms, random_table, seeded


class TestForwardProcess:
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


class TestLoss:
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
