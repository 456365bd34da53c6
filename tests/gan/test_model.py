import time

import numpy as np
import pytest
import torch

from synthgan.gan.conditions import Given
from synthgan.gan.losses import chain_nll
from synthgan.gan.model import Architecture, LatentGAN, coverage
from synthgan.gan.networks import initialise
from synthgan.gan.run import Run
from synthgan.gan.training import AutoencoderPlan, GANPlan, encode_all
from synthgan.layout import ATOM, EncodedConditions, Layout
from tests.gan.tables import HIDDEN, LATENT, MIXED, NOISE, atoms, random_table, seeded, span


def model_of(layout):
    sizes = {
        "hidden_dim": HIDDEN,
        "inner_dim": HIDDEN,
        "n_blocks": 1,
        "latent_dim": LATENT,
        "noise_dim": NOISE,
    }
    return LatentGAN(layout, Architecture(**sizes, generator_dim=HIDDEN, critic_dim=HIDDEN, pac_size=1))


def trained(
    layout,
    n_rows=600,
    seed=0,
    n_steps=30,
    loss="relativistic",
    max_gan_seconds=None,
    heldout_fraction=0.1,
    grow=None,
):
    """A model trained for a moment, and its table."""
    autoencoder = AutoencoderPlan(
        n_steps=n_steps,
        batch_size=64,
        learning_rate=0.01,
        weight_decay=0.01,
        latent_share=0.25,
        patience=99,
        max_seconds=None,
    )
    gan = GANPlan(
        n_steps=n_steps,
        batch_size=32,
        loss=loss,
        n_critic=1,
        gradient_penalty=1.0,
        penalty_interval=4,
        generator_lr=1e-3,
        critic_lr=1e-3,
        conditional_share=0.25,
        max_seconds=max_gan_seconds,
    )
    model, table = model_of(layout), random_table(layout, n_rows)
    run = Run(model, seed)
    model.train_on(table, autoencoder, gan, heldout_fraction, run, grow)
    model.history = run.history
    return model.eval(), table


@pytest.fixture(scope="module")
def fitted():
    return trained(MIXED)


def frequencies(codes, layout):
    codes = np.asarray(codes)
    return [
        np.bincount(codes[:, j], minlength=part.n_codes) / len(codes) for j, part in enumerate(layout.spans)
    ]


def test_coverage_is_the_share_of_cells_whose_code_is_made():
    real = torch.tensor([0.5, 0.5, 0.9, 0.1])  # two columns of two codes
    assert coverage(real, real, 2) == 1.0
    assert coverage(torch.tensor([1.0, 0.0, 0.9, 0.1]), real, 2) == 0.75
    assert coverage(torch.tensor([1.0, 0.0, 0.0, 1.0]), real, 2) == pytest.approx(0.3)
    assert coverage(torch.tensor([0.94, 0.06, 0.995, 0.005]), real, 2) == pytest.approx(0.95)
    assert coverage(torch.zeros(4), real, 2) == 0.0


@pytest.mark.parametrize("n_passes", [1, None])
def test_codes_come_at_the_frequencies_of_the_table(fitted, n_passes):
    model, table = fitted
    rows, place = model.sampler(n_passes).draw(10_000, np.random.default_rng(0))
    drawn = model.book.encoded(rows, place).codes
    for real, made in zip(frequencies(table.codes, MIXED), frequencies(drawn, MIXED), strict=True):
        assert np.abs(real - made).sum() / 2 < 0.05  # 60 held-out rows, and sampling noise


def test_the_generator_has_the_mean_and_covariance_of_the_real_latent_vectors(fitted):
    model, table = fitted
    latents = encode_all(model.encoder, model.book.rows(table))
    fake = model._generate(20_000, seed=1)
    scale = float(latents.std(dim=0).max())
    torch.testing.assert_close(fake.mean(dim=0), latents.mean(dim=0), rtol=0, atol=0.15 * scale)
    expected = latents.T.cov() + 0.09 * torch.eye(LATENT)  # the noise on z that training adds
    torch.testing.assert_close(fake.T.cov(), expected, rtol=0, atol=0.15 * scale**2)


def test_one_seed_gives_one_model():
    states = [trained(MIXED, 200, seed, n_steps=4)[0].state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_no_global_generator_is_advanced_by_training_or_sampling():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    model, _ = trained(MIXED, 100, n_steps=3)
    model.sampler(None).draw(10, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_the_history_runs_through_both_phases_in_time(fitted):
    history = fitted[0].history
    phases = [record["phase"] for record in history]
    assert phases == sorted(phases)
    assert set(phases) == {"autoencoder", "gan"}
    seconds = [record["seconds"] for record in history]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] < 120
    assert all(0 <= record["diversity"] <= 1 for record in history if record["phase"] == "gan")


def test_the_weights_carry_the_whole_model(fitted):
    model, _ = fitted
    again = model_of(MIXED).eval()
    again.load_state_dict(model.state_dict())
    for n_passes in (1, 2, None):
        one, other = (m.sampler(n_passes).draw(50, np.random.default_rng(0))[0] for m in (model, again))
        assert torch.equal(one.codes, other.codes)
        assert torch.equal(one.cells, other.cells)


def test_no_training_row_is_held_by_the_model(fitted):
    model, table = fitted
    assert all(len(value) != len(table) for value in model.state_dict().values() if value.ndim)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_tables_of_few_rows_can_be_learned(n_rows):
    model, _ = trained(MIXED, n_rows, n_steps=2)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_table_without_modelled_columns_is_learned_in_no_time():
    start = time.perf_counter()
    model, _ = trained(atoms(), 10, n_steps=10**6)
    assert time.perf_counter() - start < 5
    assert model.history == []


def test_a_collapsed_generator_covers_little():
    """One whose output is one point, where the decoder gives each column one code only."""
    layout = atoms(10, 10)
    model = model_of(layout)
    initialise(model, seeded())
    with torch.no_grad():
        model.generator.colour.zero_()
        model.decoder.bias[[0, 10]] = 20.0
    made = model._one_pass_frequency(200, seed=0)
    assert coverage(made, torch.full((20,), 0.1), 2) == pytest.approx(0.1)


def test_a_trained_generator_departs_from_a_mixture_of_its_table(fitted):
    model, _ = fitted
    assert 0 < float(model.generator.bounds[0]) < 1  # 540 rows fill two components
    assert (model.generator.bounds[1:] == 1).all()
    assert not torch.allclose(*model.generator.means[:2])


def test_columns_of_very_many_categories_are_drawn_early():
    number, few = span("number", [ATOM] * 12, ordered=True), span("few", [ATOM] * 2)
    orders = [
        trained(Layout.of([span("key", [size] * 30), number, few]), n_steps=1)[0].order for size in (ATOM, 16)
    ]
    assert orders == [[2, 1, 0], [2, 0, 1]]


def test_where_no_row_is_kept_out_the_training_rows_choose_the_weights_and_no_tree_grows():
    def grow(*args, **kwargs):
        raise AssertionError

    model, table = trained(MIXED, 300, heldout_fraction=0.0, grow=grow)
    best = min(line["heldout_loss"] for line in model.history if line["phase"] == "autoencoder")
    kept = chain_nll(model.decoder, model.book.rows(table), model.order).sum()
    assert float(kept.detach()) == pytest.approx(best, rel=1e-5)
    assert len(model.forest.columns) == len(model.tilts.columns) == 0


@pytest.mark.parametrize("n_passes", [1, 2, 4])
def test_conditions_that_leave_so_few_columns_make_a_chain_of_any_passes(fitted, n_passes):
    model, table = fitted
    known = np.ones((1, len(MIXED)), bool)
    known[:, model.order[-1]] = False
    given = Given.of(model.book, EncodedConditions(table.rows(slice(1)), known, {}, False), {})
    few, chain = (
        model.sampler(k).draw(400, np.random.default_rng(0), given)[0].codes for k in (n_passes, None)
    )
    assert torch.equal(few, chain)


def test_a_time_budget_pays_for_the_mixture_first():
    """What is left is one step, even of a budget that is less than the mixture takes."""
    model, _ = trained(MIXED, max_gan_seconds=1e-6)
    assert [line["step"] for line in model.history if line["phase"] == "gan"] == [1]
    assert float(model.generator.bounds[0]) < 1
