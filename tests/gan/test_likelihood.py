import math

import numpy as np
import pytest
import torch

from synthgan.gan import likelihood
from synthgan.gan.forest import Forest
from synthgan.gan.likelihood import (
    BATCH_ROWS,
    chain_conditional,
    chain_log_likelihood,
    log_likelihood,
    realism,
)
from synthgan.gan.losses import hidden_nll
from synthgan.gan.model import Architecture, LatentGAN
from synthgan.gan.networks import initialise
from synthgan.layout import EncodedTable
from tests.gan.tables import HIDDEN, LATENT, MIXED, NOISE, atoms, networks, random_table, seeded, tilting


def latent_gan(layout, pac_size=1):
    """An untrained model with noise on every weight."""
    model = LatentGAN(layout, Architecture(HIDDEN, HIDDEN, 1, LATENT, NOISE, HIDDEN, HIDDEN, pac_size))
    rng = seeded(1)
    initialise(model, rng)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=rng)
    return model.eval()


def known_all(table):
    return np.ones(table.codes.shape, dtype=bool)


def every_row(*sizes):
    """A table of all combinations of codes."""
    codes = np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1).astype(np.int32)
    return EncodedTable(codes, np.zeros(codes.shape))


@pytest.mark.parametrize("n_orders", [1, 3])
def test_the_probabilities_of_all_rows_sum_to_one(n_orders):
    model, table = latent_gan(atoms(2, 3, 4)), every_row(2, 3, 4)
    found = log_likelihood(model, table, known_all(table), n_orders, seed=0)
    assert (found < 0).all()
    assert math.fsum(np.exp(found)) == pytest.approx(1, abs=1e-5)


def test_what_is_not_known_is_marginal():
    model, table = latent_gan(atoms(2, 3)), every_row(2, 3)
    known = known_all(table)
    known[:, 1] = False
    first = np.exp(log_likelihood(model, table, known, 1, seed=0)).reshape(2, 3)
    assert first.sum(axis=0) == pytest.approx(np.ones(3), abs=1e-5)  # p(0) + p(1), whatever the second is
    known[:] = False
    assert (log_likelihood(model, table, known, 2, seed=0) == 0).all()


def test_one_order_is_the_sum_of_what_each_column_costs_given_those_before():
    made, table = networks(MIXED), random_table(MIXED, 40)
    rows = made.book.rows(table)
    order, expected = [3, 0, 4, 2, 1], torch.zeros(40)
    observed = torch.zeros(40, 5, dtype=torch.bool)
    for j in order:
        with torch.no_grad():
            hidden = made.decoder.hidden(made.decoder.embed(rows, observed))
            expected -= hidden_nll(made.decoder, hidden, rows, observed)[:, j]
        observed[:, j] = True
    found = chain_log_likelihood(made.decoder, rows, torch.ones_like(observed), order)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)


def test_a_row_scores_the_same_whatever_is_beside_it():
    model, table = latent_gan(MIXED), random_table(MIXED, 60)
    known = np.random.default_rng(0).random(table.codes.shape) < 0.8
    together = log_likelihood(model, table, known, 2, seed=0)
    alone = [
        log_likelihood(model, table.rows(slice(i, i + 1)), known[i : i + 1], 2, seed=0)[0] for i in range(60)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_several_orders_are_the_mean_of_their_probabilities():
    model, table = latent_gan(MIXED), random_table(MIXED, 30)
    one, two = (log_likelihood(model, table, known_all(table), k, seed=3) for k in (1, 2))
    other = np.exp(two) * 2 - np.exp(one)
    assert (other > 0).all()
    assert not np.allclose(other, np.exp(one), rtol=1e-3)
    assert not np.array_equal(two, log_likelihood(model, table, known_all(table), 2, seed=4))


def test_more_rows_than_a_batch_and_none_at_all_are_scored():
    model = latent_gan(atoms(2, 3))
    table = random_table(atoms(2, 3), BATCH_ROWS + 5)
    found = log_likelihood(model, table, known_all(table), 1, seed=0)
    assert found.shape == (BATCH_ROWS + 5,)
    last = table.rows(slice(-5, None))
    np.testing.assert_allclose(found[-5:], log_likelihood(model, last, known_all(last), 1, 0), rtol=1e-4)
    none = table.rows(slice(0))
    assert log_likelihood(model, none, known_all(none), 1, 0).shape == (0,)
    assert realism(model, none, 0).shape == (0,)


@pytest.mark.parametrize("j", [0, 1, 2])
def test_what_a_chain_implies_of_a_column_is_by_bayes_rule(j):
    model, table = latent_gan(atoms(2, 3, 4)), every_row(2, 3, 4)
    book, order = model.book, [2, 0, 1]
    rows = book.rows(table)
    joint = chain_log_likelihood(model.decoder, rows, torch.ones_like(rows.codes, dtype=torch.bool), order)
    found = chain_conditional(model.decoder, model.tilts, rows, j, order)
    others = rows.codes[:, [i for i in range(3) if i != j]]
    for row, some in enumerate(others):
        same = (others == some).all(dim=1)
        expected = joint[same].log_softmax(dim=0)  # of the rows that differ in column j only
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("j", [0, 1, 2])
def test_what_a_tilted_chain_implies_is_by_bayes_rule_too(j):
    model, table = latent_gan(atoms(2, 3, 4)), every_row(2, 3, 4)
    order, tilts = [2, 0, 1], tilting(model.book, 1, 2, [1.5, 0.0])
    rows = model.book.rows(table)
    joint = torch.zeros(24)
    for n, i in enumerate(order):
        shown = torch.zeros_like(rows.codes, dtype=torch.bool)
        shown[:, order[:n]] = True
        with torch.no_grad():
            logits = model.decoder.code_logits(model.decoder.hidden(model.decoder.embed(rows, shown)))
        logits = logits[:, model.book.span(i)] + (tilts.logits(0, rows.codes) if i == 1 else 0.0)
        joint += logits.log_softmax(dim=1)[range(24), table.codes[:, i]]
    found = chain_conditional(model.decoder, tilts, rows, j, order)
    others = rows.codes[:, [i for i in range(3) if i != j]]
    for row, some in enumerate(others):
        expected = joint[(others == some).all(dim=1)].log_softmax(dim=0)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)


def test_the_last_column_of_a_chain_is_as_the_decoder_says():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 30))
    observed = torch.ones(30, 5, dtype=torch.bool)
    observed[:, 2] = False
    with torch.no_grad():
        hidden = made.decoder.hidden(made.decoder.embed(rows, observed))
        expected = made.decoder.column_logits(hidden, 2, made.decoder.code_weight()).log_softmax(dim=1)
    found = chain_conditional(made.decoder, Forest(made.book), rows, 2, [1, 3, 0, 4, 2])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_later_columns_are_asked_with_the_most_frequent_cell(monkeypatch):
    made = networks(MIXED)
    table = random_table(MIXED, 30)
    order, i = [2, 1, 3, 0, 4], made.book.fine.index(2)
    rows = made.book.rows(table)
    found = chain_conditional(made.decoder, Forest(made.book), rows, 2, order)
    rows.cells[:, i] = 0  # the row's own cell does not count
    monkeypatch.setattr(likelihood, "BATCH_ROWS", 7)  # nor does the size of batches
    torch.testing.assert_close(
        chain_conditional(made.decoder, Forest(made.book), rows, 2, order), found, rtol=1e-4, atol=1e-5
    )
    with torch.no_grad():
        made.decoder.cell_bias[made.book.span(2)] -= 100 * torch.eye(made.book.n_cells)[0]
        made.decoder.cell_bias[made.book.span(2), 3] += 50
    assert not torch.allclose(
        chain_conditional(made.decoder, Forest(made.book), rows, 2, order), found, atol=1e-3
    )


@pytest.mark.parametrize("pac_size", [1, 3])
def test_realism_is_one_score_a_row_and_depends_on_that_row_only(pac_size):
    model, table = latent_gan(MIXED, pac_size), random_table(MIXED, 50)
    scores = realism(model, table, seed=0)
    assert scores.shape == (50,)
    assert len(np.unique(scores)) > 10
    np.testing.assert_allclose(scores[7:9], realism(model, table.rows(slice(7, 9)), seed=0), rtol=1e-4)


def test_realism_is_the_critic_on_what_the_encoder_says():
    model, table = latent_gan(MIXED), random_table(MIXED, 20)
    with torch.no_grad():
        latent = model.encoder(model.book.rows(table))
        expected = model.critic(latent, model.decoder.blank().expand(20, -1))
    np.testing.assert_allclose(realism(model, table, seed=0), expected.numpy(), rtol=1e-5)
