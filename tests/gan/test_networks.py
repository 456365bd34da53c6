import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from synthgan.gan.codebook import CELLS, CodeBook, Rows
from synthgan.gan.mixture import Mixture
from synthgan.gan.networks import Decoder, Generator, initialise
from synthgan.layout import ATOM, CONTINUOUS, Layout, Span
from tests.gan.tables import (
    HIDDEN,
    LATENT,
    MIXED,
    NOISE,
    atoms,
    layouts,
    networks,
    ramps_of,
    random_table,
    seeded,
)

NAMES = ["decoder", "encoder", "generator", "critic"]


def output(made, name, rows, seed=0):
    """What a network makes of rows, with noise, latents and masks of its own for each."""
    rng = seeded(seed)
    n = len(rows)
    observed = torch.rand(n, len(made.book.widths), generator=rng) < 0.5
    noise, latent = torch.randn(n, NOISE, generator=rng), torch.randn(n, LATENT, generator=rng)
    embedded = made.decoder.embed(rows, observed)
    with torch.no_grad():
        if name == "decoder":
            hidden = made.decoder.hidden(embedded + made.decoder.latent(latent))
            cells = made.decoder.cell_logits(hidden, rows.codes[:, made.book.fine_index])
            return torch.cat([made.decoder.code_logits(hidden), cells.flatten(1)], dim=1)
        if name == "encoder":
            return made.encoder.eval()(rows)
        if name == "generator":
            return made.generator(noise, embedded)
        return made.critic(latent, embedded)[:, None]


# Embeddings


@given(layouts(), st.integers(0, 99))
def test_the_embedding_is_the_sum_over_the_cells(layout, seed):
    made = networks(layout, seed)
    book, embed = made.book, made.decoder.embed
    table = random_table(layout, 6, seed)
    rows = book.rows(table)
    observed = torch.rand(6, len(layout), generator=seeded(seed)) < 0.6
    got = embed(rows, observed).detach()
    codes = (embed.codes + ramps_of(layout) @ embed.ordinal).detach()
    levels = np.concatenate([part.n_levels for part in layout.spans])
    size = np.where(levels > ATOM, levels, 0)  # members, those of all groups one after another
    assert book.n_members == size.sum()
    assert len(embed.slopes) == (levels == CONTINUOUS).sum()
    for i in range(6):
        expected = torch.zeros(HIDDEN)
        for j, part in enumerate(layout.spans):
            if not observed[i, j]:
                expected += embed.hidden[j].detach()
                continue
            code = part.start + table.codes[i, j]
            expected += codes[code]
            level = levels[code]
            if level == CONTINUOUS:
                cell = int((table.alphas[i, j] + 1) / 2 * CELLS)
                alpha = (cell + 0.5) / CELLS * 2 - 1
                expected += alpha * embed.slopes[int((levels[:code] == CONTINUOUS).sum())].detach()
            elif level != ATOM:
                member = size[:code].sum() + int((table.alphas[i, j] + 1) / 2 * level)
                expected += embed.of_member(embed.members[member]).detach()
        torch.testing.assert_close(got[i], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(embed(rows, observed, embed.tables()).detach(), got, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("limits", "n_rows", "shown"),
    [
        ({}, (1, 14), [[5, 14], [10, 0]]),  # one interval; 5 and 7 members, and 2
        ({"_MAX_MEMBERS": 11}, (8, 2), [[5, 9], [5, 0]]),  # the two groups of the first column share 7 rows
        ({"_MAX_ALL_MEMBERS": 22}, (8, 2), [[5, 9], [5, 0]]),
    ],
)
def test_members_have_rows_of_their_own_unless_they_are_very_many(monkeypatch, limits, n_rows, shown):
    for name, most in limits.items():
        monkeypatch.setattr(f"synthgan.gan.codebook.{name}", most)
    levels = [np.array(part, np.int32) for part in ([1, 5, 7], [2, 1, CONTINUOUS])]
    nan = np.full(3, np.nan, np.float32)
    book = CodeBook(Layout.of([Span(name, part, nan) for name, part in zip("ab", levels, strict=True)]))
    row, scale = book.slopes(torch.tensor([[1, 3], [2, 5], [0, 4]]), torch.tensor([[4, 1], [4, 0], [0, 0]]))
    assert (book.n_slopes, book.n_members) == n_rows
    assert row[:2].tolist() == shown
    assert scale.tolist() == [[1, 1], [1, pytest.approx(1 / CELLS - 1)], [0, 0]]


def test_rows_without_an_observed_cell_are_all_the_same():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 20))
    embedded = made.decoder.embed(rows, torch.zeros(20, len(MIXED), dtype=torch.bool))
    torch.testing.assert_close(embedded, embedded[:1].expand_as(embedded), rtol=0, atol=0)
    torch.testing.assert_close(embedded[0], made.decoder.embed.hidden.sum(dim=0))


@pytest.mark.parametrize("j", range(len(MIXED)))
def test_an_observed_cell_changes_the_embedding_and_a_hidden_one_does_not(j):
    made = networks(MIXED)
    width = MIXED.spans[j].n_codes
    table = random_table(MIXED, width)
    table.codes[:], table.alphas[:] = table.codes[0], table.alphas[0]
    table.codes[:, j] = range(width)
    rows = made.book.rows(table)
    observed = torch.ones(width, len(MIXED), dtype=torch.bool)
    assert len(made.decoder.embed(rows, observed).detach().unique(dim=0)) == width
    observed[:, j] = False
    assert len(made.decoder.embed(rows, observed).detach().unique(dim=0)) == 1


@pytest.mark.parametrize(("j", "code", "n_cells"), [(0, 2, 3), (0, 6, 5), (2, 3, CELLS), (4, 1, 4)])
def test_an_observed_alpha_changes_the_embedding_and_a_hidden_one_does_not(j, code, n_cells):
    made = networks(MIXED)
    table = random_table(MIXED, n_cells)
    table.codes[:], table.alphas[:] = table.codes[0], table.alphas[0]
    table.codes[:, j], table.alphas[:, j] = code, (np.arange(n_cells) + 0.5) / n_cells * 2 - 1
    rows = made.book.rows(table)
    observed = torch.ones(n_cells, len(MIXED), dtype=torch.bool)
    assert len(made.decoder.embed(rows, observed).detach().unique(dim=0)) == n_cells
    observed[:, j] = False
    assert len(made.decoder.embed(rows, observed).detach().unique(dim=0)) == 1


# Networks


@pytest.mark.parametrize("name", NAMES)
def test_a_rows_output_depends_on_that_row_only(name):
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 12))
    others = made.book.rows(random_table(MIXED, 12, seed=1))
    own = torch.arange(12) % 3 == 0
    mixed = Rows(
        torch.where(own[:, None], rows.codes, others.codes),
        torch.where(own[:, None], rows.cells, others.cells),
    )
    before, after = output(made, name, rows), output(made, name, mixed)
    torch.testing.assert_close(after[own], before[own], rtol=1e-5, atol=1e-5)
    changed = ~torch.isclose(after[~own], before[~own]).all(dim=1)
    assert changed.sum() >= 7  # of 8, one of which may be all hidden


def test_a_critic_of_packs_gives_one_score_a_pack():
    made = networks(MIXED, pac_size=4)
    rng = seeded()
    latent, condition = torch.randn(12, LATENT, generator=rng), torch.randn(12, HIDDEN, generator=rng)
    score = made.critic(latent, condition)
    assert score.shape == (3,)
    latent[5] += 1  # in the second pack
    assert (made.critic(latent, condition) != score).tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_the_condition_matters_to_both_players(name):
    made = networks(MIXED)
    rng = seeded()
    first = torch.randn(5, NOISE if name == "generator" else LATENT, generator=rng)
    network = getattr(made, name)
    one, other = (network(first, torch.randn(5, HIDDEN, generator=rng)) for _ in range(2))
    assert not torch.isclose(one, other).any()


def test_an_untrained_generator_passes_all_but_the_first_number_of_the_noise_on():
    generator = networks(MIXED, shaken=False).generator
    noise = torch.randn(5, NOISE, generator=seeded())
    made = generator(noise, torch.ones(5, HIDDEN))
    passed = noise[:, 1 : 1 + LATENT]
    torch.testing.assert_close(made[:, : passed.shape[1]], passed)
    assert (made[:, passed.shape[1] :] == 0).all()


def test_a_generator_departs_from_its_mixture():
    """Two points and one line: the first number of the noise chooses between them."""
    generator = Generator(3, HIDDEN, HIDDEN, 1, 2)
    initialise(generator, seeded())
    factors = torch.zeros(3, 2, 2)
    factors[2, 1, 0] = 3.0
    generator.depart_from(
        Mixture(torch.tensor([0.25, 0.25, 0.5]), torch.tensor([[1.0, 2.0], [5.0, 6.0], [0.0, 0.0]]), factors)
    )
    # of the normal distribution, a quarter is below -0.67 and a half below 0
    noise = torch.tensor([[-0.7, 9, 9], [-0.6, 9, 9], [-0.1, 9, 9], [0.1, 2, 9], [9.0, -1, 9]])
    made = generator(noise, torch.zeros(5, HIDDEN))
    torch.testing.assert_close(made, torch.tensor([[1.0, 2.0], [5, 6], [5, 6], [0, 6], [0, -3]]))


class Sizes(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is made meanwhile."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **kwargs or {})
        if isinstance(made, torch.Tensor):
            self.largest = max(self.largest, made.numel())
        return made


def test_a_generator_of_many_dimensions_makes_no_large_tensors():
    generator = Generator(300, HIDDEN, HIDDEN, 1, 256)
    initialise(generator, seeded())
    with Sizes() as sizes, torch.no_grad():
        made = generator(torch.randn(512, 300, generator=seeded()), torch.zeros(512, HIDDEN))
    assert made.shape == (512, 256)
    assert sizes.largest <= 2**22  # a factor for each row would be 2^25 numbers


@pytest.mark.parametrize("noise_dim", [2, LATENT + 1, 9])
def test_the_rows_that_are_drawn_at_a_time_change_no_bit(noise_dim, monkeypatch):
    generator = Generator(noise_dim, HIDDEN, HIDDEN, 1, LATENT)
    initialise(generator, seeded())
    parts = torch.randn(3, LATENT, generator=seeded(1)), torch.randn(3, LATENT, LATENT, generator=seeded(2))
    generator.depart_from(Mixture(torch.tensor([0.25, 0.25, 0.5]), *parts))
    noise, condition = torch.randn(1000, noise_dim, generator=seeded(3)), torch.zeros(1000, HIDDEN)
    whole = generator(noise, condition)
    for n_rows in (1, 7, 999):
        monkeypatch.setattr("synthgan.gan.networks._MAX_FACTORS", n_rows * LATENT**2)
        assert torch.equal(generator(noise, condition), whole)
    assert generator(noise[:0], condition[:0]).shape == (0, LATENT)


def test_the_encoder_learns_to_normalise_its_latent_space():
    made = networks(MIXED)
    rows = made.book.rows(random_table(MIXED, 500))
    latent = made.encoder.train()(rows)
    torch.testing.assert_close(latent.mean(dim=0), torch.zeros(LATENT), rtol=0, atol=1e-5)
    torch.testing.assert_close(latent.std(dim=0), torch.ones(LATENT), rtol=0.01, atol=0)


# The start


def test_networks_start_from_the_generator_given_and_from_nothing_else():
    before = torch.get_rng_state()
    first, again, other = (networks(MIXED, seed, shaken=False) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name in NAMES:
        states = [getattr(made, name).state_dict() for made in (first, again, other)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_drawn(name):
    network = getattr(networks(MIXED), name)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Linear) or hasattr(layer, "reset"):
                for key, weight in layer.named_parameters(recurse=False):
                    if (
                        not key.startswith(("bias", "cell_code", "cell_out", "cell_bias"))
                        or name != "decoder"
                    ):
                        weight.fill_(torch.nan)
    initialise(network, seeded())
    assert all(weight.isfinite().all() for weight in network.parameters())


def test_an_untrained_decoder_starts_at_the_frequencies_of_the_table():
    made = networks(MIXED, shaken=False)
    book, decoder = made.book, made.decoder
    rows = book.rows(random_table(MIXED, 4000))
    decoder.start_at_marginals(rows)
    blank = decoder.hidden(decoder.embed.hidden.sum(dim=0, keepdim=True))
    for hidden, bound in ((torch.zeros(1, HIDDEN), 0.002), (blank, 0.12)):
        logits = decoder.code_logits(hidden)[0].split(book.widths)
        for j, logit in enumerate(logits):
            counts = (rows.codes[:, j] - book.starts[j]).bincount(minlength=book.widths[j])
            assert (logit.softmax(0) - counts / 4000).abs().sum() / 2 < bound


def test_an_untrained_decoder_starts_at_the_shares_of_the_cells():
    made = networks(MIXED, shaken=False)
    book, decoder = made.book, made.decoder
    table = random_table(MIXED, 20_000)
    table.alphas[:, 2] = np.abs(table.alphas[:, 2]) * 2 - 1  # all cells
    table.alphas[:, 4] = -np.abs(table.alphas[:, 4])  # only the lower half
    rows = book.rows(table)
    decoder.start_at_marginals(rows)
    probabilities = decoder.cell_logits(
        torch.zeros(len(rows), HIDDEN), rows.codes[:, book.fine_index]
    ).softmax(2)
    for f, j in enumerate(book.fine):
        for code in rows.codes[:, j].unique():
            own = rows.codes[:, j] == code
            n_cells = int(book.cells[code])
            shares = rows.cells[own, f].bincount(minlength=book.n_cells) / own.sum()
            assert (probabilities[own, f][0] - shares).abs().sum() / 2 < 8 * n_cells / own.sum() + 1e-6
            assert probabilities[own, f][0, n_cells:].sum() < 1e-9


def test_a_code_never_seen_starts_unlikely_and_uniform_in_its_cells():
    made = networks(MIXED, shaken=False)
    table = random_table(MIXED, 400)
    table.codes[:, 0] = 0
    made.decoder.start_at_marginals(made.book.rows(table))
    logits = made.decoder.code_logits(torch.zeros(1, HIDDEN))[0].split(made.book.widths)
    assert logits[0].softmax(0)[2] < 0.002
    codes = torch.tensor([[3, 0, 0]]) + made.book.fine_starts
    cells = made.decoder.cell_logits(torch.zeros(1, HIDDEN), codes)[0, 0].softmax(0)
    torch.testing.assert_close(cells[:5], torch.full((5,), 0.2))


def test_without_columns_with_alpha_there_are_no_cells():
    layout = atoms(3, 2)
    book = CodeBook(layout)
    decoder = Decoder(book, HIDDEN, HIDDEN, 1, LATENT)
    initialise(decoder, seeded())
    rows = book.rows(random_table(layout, 10))
    decoder.start_at_marginals(rows)
    assert rows.cells.shape == (10, 0)
    assert book.encoded(rows, torch.zeros(10, 0)).alphas.tolist() == [[0, 0]] * 10


def test_gradients_of_cells_are_the_same_each_time_on_several_threads():
    made = networks(MIXED, 0)
    rows, hidden = (
        made.book.rows(random_table(MIXED, 8192, 0)),
        torch.randn(8192, HIDDEN, generator=seeded(1)),
    )
    weights = [made.decoder.cell_bias, made.decoder.cell_code]
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for _ in range(5):
            made.decoder.zero_grad()
            logits = made.decoder.cell_logits(hidden, rows.codes[:, made.book.fine_index])
            (logits * logits.detach().sin()).sum().backward()
            found.append([weight.grad.clone() for weight in weights])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(*pair) for again in found[1:] for pair in zip(found[0], again, strict=True))
