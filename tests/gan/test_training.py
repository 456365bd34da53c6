import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthgan.errors import TrainingDivergedError
from synthgan.gan.codebook import Rows
from synthgan.gan.losses import chain_nll
from synthgan.gan.run import Run
from synthgan.gan.training import (
    AutoencoderPlan,
    GANPlan,
    encode_all,
    set_apart,
    train_autoencoder,
    train_gan,
)
from synthgan.layout import EncodedTable, Layout
from tests.gan.tables import LATENT, MIXED, NOISE, atoms, networks, random_table, seeded

LOSSES = ["wgan-gp", "relativistic"]


def autoencoder_plan(**changes):
    plan = {
        "n_steps": 30,
        "batch_size": 64,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "latent_share": 0.25,
    }
    return AutoencoderPlan(**plan | {"patience": 99, "max_seconds": None} | changes)


def gan_plan(loss="wgan-gp", **changes):
    plan = {"n_steps": 30, "batch_size": 64, "n_critic": 1, "conditional_share": 0.25, "max_seconds": None}
    plan |= {
        "penalty_interval": 1,
        "generator_lr": 2e-3,
        "critic_lr": 2e-3,
        "gradient_penalty": 10.0 if loss == "wgan-gp" else 0.5,
    }
    return GANPlan(loss=loss, **plan | changes)


def autoencoder_of(made, rows, plan, seed=0, heldout=None):
    order = list(range(rows.codes.shape[1]))
    heldout = rows if heldout is None else heldout
    run = Run(torch.nn.ModuleList([made.encoder, made.decoder]), seed)
    train_autoencoder(made.encoder, made.decoder, rows, heldout, order, plan, run)
    return run.history


def gan_of(made, latents, plan, seed=0, measure=lambda: 1.0):
    rows = made.book.rows(random_table(MIXED, len(latents)))
    run = Run(torch.nn.ModuleList([made.generator, made.critic]), seed)
    train_gan(made.generator, made.critic, made.decoder, latents, rows, plan, measure, run)
    return run.history


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# The autoencoder


def linked_table(n_rows, faithful=1.0, k=4, seed=0):
    """Two columns of k codes, the second equal to the first in a share of the rows, else uniform."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, k, n_rows)
    second = np.where(rng.random(n_rows) < faithful, first, rng.integers(0, k, n_rows))
    return EncodedTable(np.stack([first, second], axis=1).astype(np.int32), np.zeros((n_rows, 2)))


@pytest.mark.parametrize(("n_rows", "n_judges"), [(2, 1), (10, 1), (1000, 50), (10**5, 2000)])
def test_rows_that_judge_do_not_learn(n_rows, n_judges):
    learning, judging = set_apart(n_rows, 0.05, seeded())
    assert len(judging) == n_judges
    assert sorted([*learning.tolist(), *judging.tolist()]) == list(range(n_rows))


@pytest.mark.parametrize(("n_rows", "fraction"), [(1, 0.5), (1, 0.0), (300, 0.0), (3000, 0.0)])
def test_where_no_row_is_kept_out_some_that_learn_also_judge(n_rows, fraction):
    learning, judging = set_apart(n_rows, fraction, seeded())
    assert sorted(learning.tolist()) == list(range(n_rows))
    assert len(judging) == len(set(judging.tolist())) == min(n_rows, 2000)
    assert judging.tolist() != sorted(judging.tolist()) or n_rows == 1  # any rows, not the first ones


@pytest.mark.parametrize("faithful", [1.0, 0.8])
def test_the_chain_learns_the_entropy_of_a_column_given_another(faithful):
    k = 4
    layout = atoms(k, k)
    made = networks(layout, shaken=False)
    train, heldout = (made.book.rows(linked_table(4000, faithful, k, seed)) for seed in (0, 1))
    made.decoder.start_at_marginals(train)
    untrained = chain_nll(made.decoder, heldout, [0, 1])
    torch.testing.assert_close(untrained, torch.full((2,), math.log(k)), rtol=0, atol=0.1)
    autoencoder_of(made, train, autoencoder_plan(n_steps=300, batch_size=128), heldout=heldout)
    hit, miss = faithful + (1 - faithful) / k, (1 - faithful) / k
    conditional = -hit * math.log(hit) - (k - 1) * (miss * math.log(miss) if miss else 0)
    for order in ([0, 1], [1, 0]):  # a chain in any order
        nll = chain_nll(made.decoder, heldout, order)
        assert float(nll[order[0]]) == pytest.approx(math.log(k), abs=0.03)
        assert float(nll[order[1]]) == pytest.approx(conditional, abs=0.08)


def test_the_latent_vector_comes_to_hold_what_the_columns_do_not_say():
    made = networks(atoms(2, 2), shaken=False)
    rows = made.book.rows(linked_table(2000, faithful=0.0, k=2))  # independent: 2 log 2 without z
    history = autoencoder_of(made, rows, autoencoder_plan(n_steps=300, latent_share=0.5))
    assert history[0]["reconstruction"] > 1.2
    assert history[-1]["reconstruction"] < 0.3
    assert history[-1]["loss"] > 1.2


def test_missing_cells_are_left_out_of_some_rows_and_learned_in_others():
    """Of two equal columns, half of whose cells are missing: what is there, and how often nothing is."""
    rng = np.random.default_rng(0)
    value = rng.integers(0, 2, 600)
    codes = np.stack([np.where(rng.random(600) < 0.5, 2, value) for _ in range(2)], axis=1)
    layout = Layout.of(replace(span, missing=2) for span in atoms(3, 3).spans)
    made = networks(layout, shaken=False)
    assert made.book.missing.tolist() == [2, 5]
    rows = made.book.rows(EncodedTable(codes.astype(np.int32), np.zeros((600, 2))))
    made.decoder.start_at_marginals(rows)
    autoencoder_of(made, rows, autoencoder_plan(n_steps=300, batch_size=128))
    given_one = torch.tensor([[True, False]])
    with torch.no_grad():
        seen = Rows(torch.tensor([[0, 3]]), torch.zeros(1, 0, dtype=torch.long))
        hidden = made.decoder.hidden(made.decoder.embed(seen, given_one))
        same, other, missing = made.decoder.column_logits(hidden, 1, made.decoder.code_weight())[0].softmax(0)
    assert same / (same + other) > 0.95
    assert 0.3 < missing < 0.55  # half, and less where a quarter of the rows is shown no missing cell


def test_a_row_without_any_value_costs_nothing_where_missing_cells_are_left_out():
    layout = Layout.of(replace(span, missing=1) for span in atoms(2, 2).spans)
    made = networks(layout, shaken=False)
    rows = made.book.rows(EncodedTable(np.ones((50, 2), dtype=np.int32), np.zeros((50, 2))))
    history = autoencoder_of(made, rows, autoencoder_plan(n_steps=24))
    assert all(math.isfinite(record["loss"]) for record in history)


def test_the_history_of_the_autoencoder_has_one_record_an_interval():
    made = networks(MIXED, shaken=False)
    rows = made.book.rows(random_table(MIXED, 300))
    made.decoder.start_at_marginals(rows)
    history = autoencoder_of(made, rows, autoencoder_plan(n_steps=48))
    assert [record["step"] for record in history] == list(range(2, 49, 2))
    assert {record["phase"] for record in history} == {"autoencoder"}
    assert all(math.isfinite(record[key]) for record in history for key in ("loss", "heldout_loss"))
    best = min(record["heldout_loss"] for record in history)
    kept = chain_nll(made.decoder, rows, list(range(len(MIXED)))).sum()
    assert float(kept) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(("batch_size", "latent_share"), [(8, 0.05), (8, 0.15), (8, 0.95), (512, 0.95)])
def test_some_rows_of_any_batch_go_through_the_latent_vector_and_some_do_not(batch_size, latent_share):
    made = networks(MIXED, shaken=False)
    rows = made.book.rows(random_table(MIXED, 100))
    plan = autoencoder_plan(n_steps=24, batch_size=batch_size, latent_share=latent_share)
    history = autoencoder_of(made, rows, plan)
    assert len(history) == 24
    assert all(math.isfinite(line[key]) for line in history for key in ("loss", "reconstruction"))
    assert encode_all(made.encoder, rows).isfinite().all()


def test_training_stops_when_patience_is_over():
    made = networks(atoms(2, 2), shaken=False)
    train, other = (made.book.rows(linked_table(200, faithful, k=2)) for faithful in (1.0, 0.0))
    made.decoder.start_at_marginals(train)
    history = autoencoder_of(made, train, autoencoder_plan(n_steps=240, patience=2), heldout=other)
    losses = [record["heldout_loss"] for record in history]
    assert len(history) < 24
    assert min(losses) not in losses[-2:]


def test_a_budget_in_time_ends_training():
    made = networks(MIXED, shaken=False)
    rows = made.book.rows(random_table(MIXED, 300))
    start = time.perf_counter()
    history = autoencoder_of(made, rows, autoencoder_plan(n_steps=10**6, max_seconds=0.2))
    history += gan_of(
        made, torch.randn(300, LATENT, generator=seeded()), gan_plan(n_steps=10**6, max_seconds=0.2)
    )
    assert time.perf_counter() - start < 5
    assert list(dict.fromkeys(record["phase"] for record in history)) == ["autoencoder", "gan"]


@pytest.mark.parametrize("shape", ["tail", "whole"])
def test_all_latent_vectors_are_those_of_the_encoder(shape):
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 50))
    autoencoder_of(made, rows, autoencoder_plan(n_steps=3))
    latents = encode_all(made.encoder, rows, batch_size=16 if shape == "tail" else 50)
    with torch.no_grad():
        torch.testing.assert_close(latents, made.encoder.eval()(rows), rtol=1e-4, atol=1e-5)
    assert not latents.requires_grad


# The GAN


def two_clusters(n_rows, seed=0):
    """Latent vectors at +1 and -1 in the first dimension; the other dimensions are narrow."""
    rng = np.random.default_rng(seed)
    cloud = rng.normal(0, 0.1, (n_rows, LATENT))
    cloud[:, 0] += rng.choice([-1.0, 1.0], n_rows)
    return torch.from_numpy(cloud).float()


def made_latents(made, n=2000):
    blank = made.decoder.embed.hidden.sum(dim=0).expand(n, -1)
    with torch.no_grad():
        return made.generator(torch.randn(n, NOISE, generator=seeded(5)), blank)


def near_clusters(latent):
    """Share of vectors within 3 standard deviations of the left and of the right cluster."""
    spread = 3 * math.hypot(0.1, 0.3)  # of the cluster, and the noise that training adds
    ends = torch.eye(LATENT)[0] * torch.tensor([[-1.0], [1.0]])
    return ((latent[:, None] - ends).abs() < spread).all(dim=2).float().mean(dim=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_generator_reaches_both_clusters_of_a_latent_space(loss):
    made = networks(MIXED, shaken=False)
    before = near_clusters(made_latents(made))
    wgan = {"n_steps": 800, "n_critic": 3, "generator_lr": 5e-4}
    plan = gan_plan(
        loss, conditional_share=0.0, **wgan if loss == "wgan-gp" else {"n_steps": 400, "n_critic": 2}
    )
    gan_of(made, two_clusters(1000), plan)
    after = near_clusters(made_latents(made))
    assert before.sum() < 0.6
    assert after.sum() > 0.8
    assert after.min() > 0.3


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_critic", [1, 3])
def test_gradients_reach_the_generator_once_a_step(loss, n_critic):
    made = networks(MIXED)
    reached = []
    made.generator.out.weight.register_hook(lambda _: reached.append("generator"))
    made.critic.out.weight.register_hook(lambda _: reached.append("critic"))
    gan_of(made, two_clusters(100), gan_plan(loss, n_steps=5, n_critic=n_critic))
    assert reached.count("generator") == 5
    assert reached.count("critic") >= 5 * n_critic


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_two_players_learn(loss):
    made = networks(MIXED)
    before = state(made.decoder), state(made.generator), state(made.critic)
    latents = two_clusters(100)
    kept = latents.clone()
    gan_of(made, latents, gan_plan(loss, n_steps=3))
    assert same(before[0], state(made.decoder))
    assert all(weight.grad is None for weight in made.decoder.parameters())
    assert not same(before[1], state(made.generator))
    assert not same(before[2], state(made.critic))
    assert torch.equal(latents, kept)


def test_the_history_of_the_gan_has_one_record_an_interval():
    made = networks(MIXED)
    history = gan_of(made, two_clusters(100), gan_plan(n_steps=48), measure=lambda: 0.625)
    assert [record["step"] for record in history] == list(range(2, 49, 2))
    keys = {"phase", "step", "critic_loss", "generator_loss", "wasserstein", "gradient_norm", "diversity"}
    assert all(keys <= set(record) for record in history)
    assert {record["diversity"] for record in history} == {0.625}
    assert all(math.isfinite(record[key]) for record in history for key in keys - {"phase"})


def test_diversity_is_measured_on_the_averaged_generator():
    made = networks(MIXED)
    seen = []
    gan_of(
        made,
        two_clusters(100),
        gan_plan(n_steps=3),
        measure=lambda: seen.append(state(made.generator)) or 1.0,
    )
    assert len(seen) == 3
    assert same(seen[-1], state(made.generator))  # training ends with the average in place


@pytest.mark.parametrize("loss", LOSSES)
def test_training_is_repeatable_and_keeps_to_its_generator(loss):
    def trained(seed):
        made = networks(MIXED)
        rows = made.book.rows(random_table(MIXED, 100))
        autoencoder_of(made, rows, autoencoder_plan(n_steps=3), seed)
        gan_of(made, encode_all(made.encoder, rows), gan_plan(loss, n_steps=3), seed)
        return [state(network) for network in (made.encoder, made.decoder, made.generator, made.critic)]

    before = torch.get_rng_state()
    first, again, other = (trained(seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(same(one, two) for one, two in zip(first, again, strict=True))
    assert not any(same(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_penalty_is_paid_in_one_step_of_many_and_as_much_heavier(loss):
    def trained(**changes):
        made = networks(MIXED)
        history = gan_of(made, two_clusters(100), gan_plan(loss, **changes))
        return state(made.critic), history[-1]["gradient_norm"]

    each, norm = trained(n_steps=1)
    assert same(
        trained(n_steps=1, penalty_interval=4, gradient_penalty=gan_plan(loss).gradient_penalty / 4)[0], each
    )
    assert not same(trained(n_steps=4, penalty_interval=4)[0], trained(n_steps=4)[0])
    assert trained(n_steps=4, penalty_interval=4)[1] == pytest.approx(norm)  # that of the first step


def test_divergence_is_reported_with_phase_and_step_after_three_ways_back():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 100))
    with (
        pytest.warns(UserWarning, match="went back") as told,
        pytest.raises(TrainingDivergedError, match=r"autoencoder phase .* at step"),
    ):
        autoencoder_of(made, rows, autoencoder_plan(learning_rate=1e30))
    assert len(told) == 3
    made = networks(MIXED)
    with (
        pytest.warns(UserWarning, match="went back"),
        pytest.raises(TrainingDivergedError, match=r"gan phase .* at step"),
    ):
        gan_of(made, two_clusters(100), gan_plan(critic_lr=1e30))


def test_divergence_names_the_columns_of_the_highest_loss():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 100))
    run = Run(torch.nn.ModuleList([made.encoder, made.decoder]), 0, columns=MIXED.columns)
    plan = autoencoder_plan(learning_rate=1e30)
    order = list(range(len(MIXED)))
    with (
        pytest.warns(UserWarning, match="went back"),
        pytest.raises(TrainingDivergedError, match="largest parts before were those of "),
    ):
        train_autoencoder(made.encoder, made.decoder, rows, rows, order, plan, run)
