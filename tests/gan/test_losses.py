import math

import numpy as np
import pytest
import torch

from synthgan.gan.codebook import Rows
from synthgan.gan.losses import chain_nll, column_nll, hidden_nll
from synthgan.layout import CONTINUOUS, Layout
from tests.gan.tables import MIXED, atoms, networks, ramps_of, random_table, seeded, span


def test_an_observed_cell_costs_nothing_and_a_hidden_one_does():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 30))
    observed = torch.rand(30, len(MIXED), generator=seeded()) < 0.5
    nll = hidden_nll(made.decoder, made.decoder.hidden(made.decoder.embed(rows, observed)), rows, observed)
    assert nll.shape == observed.shape
    assert (nll[observed] == 0).all()
    assert (nll[~observed] > 0).all()


def test_the_loss_of_one_column_is_its_part_of_the_whole():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 20))
    hidden = torch.randn(20, 16, generator=seeded())
    whole = hidden_nll(made.decoder, hidden, rows, torch.zeros(20, len(MIXED), dtype=torch.bool))
    for j in range(len(MIXED)):
        torch.testing.assert_close(
            column_nll(made.decoder, hidden, rows, j, made.decoder.code_weight()),
            whole[:, j],
            rtol=1e-5,
            atol=1e-5,
        )


def test_uniform_logits_cost_the_log_of_the_number_of_codes():
    layout = atoms(2, 5, 1)
    made = networks(layout)
    rows = made.book.rows(random_table(layout, 20))
    with torch.no_grad():
        made.decoder.weight.zero_()
        made.decoder.bias.zero_()
    nll = hidden_nll(
        made.decoder, torch.randn(20, 16, generator=seeded()), rows, torch.zeros(20, 3, dtype=torch.bool)
    )
    expected = torch.tensor([2.0, 5.0, 1.0]).log().expand(20, 3)
    torch.testing.assert_close(nll, expected)


def test_the_loss_is_that_of_a_twin_by_hand():
    layout = Layout.of(
        [
            span("x", [1, CONTINUOUS, CONTINUOUS], ordered=True),
            span("sex", [1, 1]),
            span("town", [1, 3, 4]),
        ]
    )
    made = networks(layout)
    table = random_table(layout, 12)
    rows = made.book.rows(table)
    hidden = torch.randn(12, 16, generator=seeded())
    nll = hidden_nll(made.decoder, hidden, rows, torch.zeros(12, 3, dtype=torch.bool)).detach().numpy()

    d = {name: p.detach().double().numpy() for name, p in made.decoder.named_parameters()}
    weight = d["weight"] + ramps_of(layout).double().numpy() @ d["ordinal"]
    for i, h in enumerate(hidden.double().numpy()):
        logits = weight @ h + d["bias"]
        for j, part in enumerate(layout.spans):
            own = table.codes[i, j]
            expected = -log_softmax(logits[part.start : part.stop])[own]
            if part.column != "sex":
                f = ["x", "town"].index(part.column)
                inner = h @ d["cell_in"][f] + d["cell_code"][part.start + own]
                inner = inner / (1 + np.exp(-inner))
                cell_logits = inner @ d["cell_out"][f] + d["cell_bias"][part.start + own]
                n_cells = {0: 16}.get(part.n_levels[own], part.n_levels[own])
                cell = min(int((table.alphas[i, j] + 1) / 2 * n_cells), n_cells - 1)
                expected -= log_softmax(cell_logits)[cell]
            assert nll[i, j] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def log_softmax(x):
    x = x - x.max()
    return x - np.log(np.exp(x).sum())


def test_the_chains_loss_is_the_entropy_of_a_decoder_that_knows_the_marginals():
    made = networks(atoms(2, 3), shaken=False)
    with torch.no_grad():
        made.decoder.weight.zero_()
        made.decoder.bias.copy_(torch.tensor([0.25, 0.75, 0.5, 0.25, 0.25]).log())
    codes = torch.tensor([[0, 2], [1, 3], [1, 2], [1, 4]])
    nll = chain_nll(made.decoder, Rows(codes, torch.zeros(4, 0, dtype=torch.int64)), [1, 0])
    expected = [-(math.log(0.25) + 3 * math.log(0.75)) / 4, (2 * math.log(2) + 2 * math.log(4)) / 4]
    torch.testing.assert_close(nll, torch.tensor(expected))
