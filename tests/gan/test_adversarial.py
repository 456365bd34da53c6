"""The conditional GAN on rows: what a step does, what training leaves, what drawing gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthgan.errors import ParameterError, TrainingDivergedError
from synthgan.gan.adversarial import (
    AdversarialPlan,
    ConditionalGAN,
    Players,
    _growing,
    realism,
    train_adversarial,
)
from synthgan.gan.games import GAMES, PENALTIES
from synthgan.gan.run import Run
from synthgan.gan.vectors import RowVectors
from synthgan.layout import CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted
from tests.gan.tables import MIXED, atoms, random_table, seeded, span

PLAYERS = Players(
    generator="residual",
    noise_dim=4,
    generator_dims=(16, 16),
    generator_conditioning="concatenation",
    truncation=1.0,
    critic_dims=(16, 16),
    critic_conditioning="concatenation",
    pac_size=2,
    dropout=0.5,
    statistics=None,
    spectral_norm=False,
    temperature=0.2,
)
PLAN = AdversarialPlan(
    n_steps=4,
    batch_size=20,
    n_critic=1,
    loss="wasserstein",
    penalty="gradient",
    gradient_penalty=10.0,
    weight_clip=None,
    condition_weight=1.0,
    moment_weight=0.0,
    generator_lr=2e-3,
    critic_lr=2e-3,
    weight_decay=1e-6,
    log_frequency=True,
    growing=False,
    max_seconds=None,
)


def trained(layout=MIXED, table=None, players=PLAYERS, seed=0, **changes):
    """A model and the run that trained it."""
    model = ConditionalGAN(layout, players)
    run = Run(model, seed)
    table = random_table(layout, 60) if table is None else table
    train_adversarial(model, model.vectors.rows(table), replace(PLAN, **changes), run)
    return model, run


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.fixture(scope="module")
def model():
    return trained()[0]


def linked(n_rows, seed=0):
    """Two columns of three codes that are equal, and a number that tells them: layout and table."""
    rng = np.random.default_rng(seed)
    code = rng.choice(3, n_rows, p=[0.6, 0.3, 0.1])
    number = np.clip((code - 1) / 2 + rng.normal(0, 0.05, n_rows), -1, 1)
    layout = Layout.of([*atoms(3, 3).spans, span("x", [CONTINUOUS], ordered=True)])
    codes = np.column_stack([code, code, np.zeros(n_rows)]).astype(np.int32)
    return layout, EncodedTable(codes, np.column_stack([np.zeros((n_rows, 2)), number]))


@pytest.fixture(scope="module")
def learned():
    layout, table = linked(1000)
    players = replace(PLAYERS, generator_dims=(48, 48), critic_dims=(48, 48), noise_dim=8, dropout=0.0)
    return trained(layout, table, players, n_steps=500, batch_size=100)


class TestTraining:
    def test_the_history_tells_what_was_measured(self):
        _, run = trained(n_steps=6)
        assert [line["step"] for line in run.history] == [1, 2, 3, 4, 5, 6]
        measures = {
            "critic_loss",
            "generator_loss",
            "condition_loss",
            "wasserstein",
            "gradient_norm",
            "diversity",
        }
        for line in run.history:
            assert set(line) == {"phase", "step", "seconds", "rate"} | measures
            assert np.isfinite([line[name] for name in measures]).all()
            assert 0 <= line["diversity"] <= 1

    def test_the_same_seed_gives_the_same_weights_and_another_seed_others(self):
        one, same, other = (weights(trained(seed=seed)[0]) for seed in (5, 5, 6))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_no_global_generator_is_read(self):
        before = torch.get_rng_state()
        trained()
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("loss", GAMES)
    @pytest.mark.parametrize("penalty", [None, *PENALTIES])
    def test_any_loss_trains_with_any_penalty(self, loss, penalty):
        model, run = trained(loss=loss, penalty=penalty, n_steps=2)
        assert torch.isfinite(weights(model)).all()
        assert run.history[-1]["gradient_norm"] > 0

    @pytest.mark.parametrize(
        "part",
        [
            {"generator": "convolutional"},
            {"generator": "style"},
            {"generator_conditioning": "film"},
            {"critic_conditioning": "projection"},
            {"statistics": "discrimination"},
            {"statistics": "deviation"},
            {"spectral_norm": True},
            {"pac_size": 1},
            {"generator_dims": (16,), "critic_dims": (16,)},
        ],
        ids=str,
    )
    def test_any_part_can_be_exchanged(self, part):
        model, _ = trained(players=replace(PLAYERS, **part))
        assert torch.isfinite(weights(model)).all()
        assert len(model.draw(7, np.random.default_rng(0))) == 7

    @pytest.mark.parametrize(
        "change",
        [
            {"n_critic": 2},
            {"loss": "non-saturating"},
            {"penalty": None},
            {"gradient_penalty": 1.0},
            {"weight_clip": 0.01},
            {"condition_weight": 0.0},
            {"moment_weight": 1.0},
            {"generator_lr": 1e-3},
            {"critic_lr": 1e-3},
            {"weight_decay": 1.0},
            {"log_frequency": False},
            {"growing": True},
        ],
        ids=str,
    )
    def test_every_part_of_the_plan_matters(self, model, change):
        assert not torch.equal(weights(trained(**change)[0].generator), weights(model.generator))

    def test_clipped_weights_stay_within_their_bound(self):
        model, _ = trained(penalty=None, weight_clip=0.01)
        assert weights(model.critic).abs().max() <= 0.01

    def test_the_critic_is_given_back_its_gradients(self, model):
        assert all(p.requires_grad for p in model.parameters())

    def test_a_loss_that_is_not_finite_is_put_back_and_then_refused(self):
        with (
            pytest.warns(UserWarning, match="went back to step 0"),
            pytest.raises(TrainingDivergedError, match="gan phase"),
        ):
            trained(critic_lr=1e38, generator_lr=1e38, n_steps=40)

    def test_a_batch_that_packs_do_not_divide_is_refused(self):
        with pytest.raises(ParameterError, match="pac_size=2"):
            trained(batch_size=19)

    def test_a_table_of_one_row_trains(self):
        model, _ = trained(table=random_table(MIXED, 1))
        assert len(model.draw(3, np.random.default_rng(0))) == 3

    @pytest.mark.parametrize("layout", [Layout.of([span("x", [CONTINUOUS] * 2, ordered=True)]), atoms(3)])
    def test_numbers_or_categories_alone_train(self, layout):
        model, run = trained(layout)
        assert np.isfinite(run.history[-1]["condition_loss"])
        assert model.draw(9, np.random.default_rng(0)).codes.shape == (9, 1)

    def test_what_belongs_together_is_generated_together(self, learned):
        model, run = learned
        table = model.draw(2000, np.random.default_rng(0))
        code, same, number = table.codes[:, 0], table.codes[:, 1], table.alphas[:, 2]
        assert (code == same).mean() > 0.8  # .46 if the columns were independent
        assert np.corrcoef(code, number)[0, 1] > 0.8
        np.testing.assert_allclose(np.bincount(code, minlength=3) / 2000, [0.6, 0.3, 0.1], atol=0.12)
        assert run.history[-1]["diversity"] == 1

    def test_the_generator_makes_what_the_condition_asks_for(self, learned):
        model, run = learned
        assert run.history[-1]["condition_loss"] < 0.4
        for slot in range(6):
            made = model.generate(torch.full((400,), slot), np.random.default_rng(0))
            assert (made.codes[:, slot // 3] == slot % 3).mean() > 0.7

    def test_the_critic_tells_rows_that_fit_from_those_that_do_not(self, learned):
        model, _ = learned
        _, table = linked(400, seed=1)
        torn = EncodedTable(np.roll(table.codes, 1, axis=0), table.alphas)
        assert realism(model, table, 0).mean() > realism(model, torn, 0).mean()


class TestGrowing:
    def test_modes_are_shown_from_coarse_to_fine(self):
        vectors = RowVectors(MIXED, 0.2)
        rows = vectors(vectors.rows(random_table(MIXED, 50)))
        start, stop = vectors.ordered[0]  # four ordered codes: two levels, the first of which begins as one
        shown = [_growing(vectors, progress)(rows)[:, start:stop] for progress in (0.0, 0.25, 0.5, 1.0)]
        assert [len(torch.unique(part, dim=0)) for part in shown] == [2, 3, 5, 5]  # and the missing value
        assert torch.equal(_growing(vectors, 0.5)(rows), rows)
        assert torch.equal(_growing(vectors, 0.0)(rows)[:, :start], rows[:, :start])


class TestDrawing:
    def test_a_row_depends_on_its_own_numbers_only(self, model):
        assert not model.training
        noise, slots = torch.randn(9, 4, generator=seeded()), torch.arange(9)
        with torch.no_grad():
            alone = model.generator(noise[:1], slots[:1])
            torch.testing.assert_close(model.generator(noise, slots)[:1], alone)

    def test_the_same_generator_of_numbers_gives_the_same_rows(self, model):
        one, same, other = (model.draw(50, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (one.codes == same.codes).all()
        assert (one.alphas == same.alphas).all()
        assert (one.codes != other.codes).any()

    def test_conditions_hold_in_every_row(self, model):
        rows = random_table(MIXED, 30, seed=3)
        known = np.random.default_rng(4).random((30, 5)) < 0.4
        permitted = {3: Permitted(np.array([1]), np.array([-1.0]), np.array([1.0]))}
        table = model.draw(30, np.random.default_rng(0), EncodedConditions(rows, known, permitted))
        assert (table.codes[known] == rows.codes[known]).all()
        assert (table.alphas[known] == rows.alphas[known]).all()
        assert (table.codes[~known[:, 3], 3] == 1).all()

    @pytest.mark.parametrize("column", [0, 1])
    @pytest.mark.parametrize("code", [0, 1, 2])
    def test_the_other_columns_go_with_a_known_cell_of_any_column(self, learned, column, code):
        model, _ = learned
        known = np.arange(3)[None] == column
        given = EncodedConditions(EncodedTable(np.full((1, 3), code, np.int32), np.zeros((1, 3))), known, {})
        table = model.draw(300, np.random.default_rng(0), given)
        assert (table.codes[:, column] == code).all()
        assert (table.codes[:, 1 - column] == code).mean() > 0.85

    def test_they_go_with_a_known_number_and_with_a_range(self, learned):
        model, _ = learned
        row = EncodedTable(np.zeros((1, 3), np.int32), np.array([[0.0, 0.0, 0.5]]))
        number = EncodedConditions(row, np.array([[False, False, True]]), {})
        table = model.draw(50, np.random.default_rng(0), number)
        assert (table.codes[:, 0] == 2).mean() > 0.8  # a tenth of all rows
        upper = {2: Permitted(np.array([0]), np.array([0.3]), np.array([1.0]))}
        given = EncodedConditions(row, np.zeros((1, 3), dtype=bool), upper)
        table = model.draw(50, np.random.default_rng(0), given)
        assert (table.alphas[:, 2] >= 0.3).all()
        assert (table.codes[:, 0] == 2).mean() > 0.8

    def test_each_row_has_conditions_of_its_own(self, learned):
        model, _ = learned
        codes = np.tile([[0], [1], [2]], (100, 3)).astype(np.int32)
        known = np.tile([[True, False, False], [False, True, False], [True, False, False]], (100, 1))
        given = EncodedConditions(EncodedTable(codes, np.zeros((300, 3))), known, {})
        table = model.draw(300, np.random.default_rng(0), given)
        assert (table.codes[known] == codes[known]).all()
        assert (table.codes[:, 0] == table.codes[:, 1]).mean() > 0.85
        assert len(np.unique(table.alphas[:, 2])) == 300  # no candidate serves two rows

    def test_a_table_without_columns_gives_empty_rows(self):
        model = ConditionalGAN(Layout.of([]), PLAYERS)
        assert model.draw(5, np.random.default_rng(0)).codes.shape == (5, 0)
        assert realism(model, EncodedTable(np.zeros((2, 0), np.int32), np.zeros((2, 0))), 0).tolist() == [
            0,
            0,
        ]


def test_the_realism_of_a_row_does_not_depend_on_the_others(model):
    table = random_table(MIXED, 40, seed=1)
    scores = realism(model, table, seed=0)
    np.testing.assert_allclose(realism(model, table.rows(slice(10, 20)), 0), scores[10:20], rtol=1e-4)
    assert not np.allclose(realism(model, table, seed=1), scores)
    assert len(np.unique(scores)) > 30
