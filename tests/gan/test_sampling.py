import numpy as np
import pytest
import torch
from scipy import stats

from synthgan.gan.categorical import inverse_cdf
from synthgan.gan.codebook import Rows
from synthgan.gan.conditions import Allowed, Given, grouped
from synthgan.gan.drawn import Drawn
from synthgan.gan.forest import MAX_LEAVES, Forest
from synthgan.gan.sampling import Sampler
from synthgan.layout import EncodedConditions, EncodedTable, Permitted
from tests.gan.tables import MIXED, NOISE, atoms, networks, order_of, random_table, seeded, tilting

FAILURE_RATE = 1e-6  # of each chi-squared test, were its seed not fixed


def sampler_of(made, layout, n_passes, seed=0, tilts=None):
    offsets = torch.stack([0.5 * torch.randn(layout.width, generator=seeded(k)) for k in (seed + 1, seed)])
    return Sampler(made.decoder, made.generator, order_of(layout), offsets, n_passes, tilts)


# Blocks of rows


@pytest.mark.parametrize("n_passes", [1, 2, 3, len(MIXED), 99])
def test_any_number_of_passes_draws_valid_rows(n_passes):
    made = networks(MIXED)
    rows, place = sampler_of(made, MIXED, n_passes).draw(500, np.random.default_rng(0))
    starts = made.book.starts
    assert rows.codes.shape == (500, len(MIXED))
    assert ((rows.codes >= starts) & (rows.codes < starts + torch.tensor(made.book.widths))).all()
    assert rows.cells.shape == place.shape == (500, len(made.book.fine))
    assert ((rows.cells >= 0) & (rows.cells < made.book.cells[rows.codes[:, made.book.fine_index]])).all()
    assert ((place >= 0) & (place < 1)).all()
    table = made.book.encoded(rows, place)
    assert (np.abs(table.alphas) <= 1).all()


@pytest.mark.parametrize("n_passes", [1, 2, 3, len(MIXED)])
@pytest.mark.parametrize("n_rows", [3, 40, 600])
def test_sharing_and_increments_change_no_row(n_passes, n_rows):
    """Against the plain algorithm: embed all rows anew before each group, and share nothing."""
    made = networks(MIXED, seed=n_rows)
    sampler = sampler_of(made, MIXED, n_passes)
    rows, _ = sampler.draw(n_rows, np.random.default_rng(3))
    plain = drawn_plainly(made, sampler_of(made, MIXED, n_passes), n_passes, n_rows, np.random.default_rng(3))
    assert torch.equal(rows.codes, plain.codes)
    assert torch.equal(rows.cells, plain.cells)


# The order is sex, wage, rooms, height, town.
@pytest.mark.parametrize(("j", "other"), [(4, 1), (3, 4), (2, 3)])
@pytest.mark.parametrize("n_rows", [3, 600])
def test_trees_tilt_a_column_given_those_before_it(j, other, n_rows):
    made = networks(MIXED, seed=n_rows)
    tilts = tilting(made.book, j, other, [0.8, -0.4])
    sampler = sampler_of(made, MIXED, len(MIXED), tilts=tilts)
    rows, _ = sampler.draw(n_rows, np.random.default_rng(3))
    plain = drawn_plainly(made, sampler, len(MIXED), n_rows, np.random.default_rng(3), tilts)
    assert torch.equal(rows.codes, plain.codes)
    assert torch.equal(rows.cells, plain.cells)
    untilted, _ = sampler_of(made, MIXED, len(MIXED)).draw(n_rows, np.random.default_rng(3))
    assert n_rows == 3 or not torch.equal(rows.codes[:, j], untilted.codes[:, j])


@torch.no_grad()
def drawn_plainly(made, sampler, n_passes, n_rows, rng, tilts=None):
    book, decoder = made.book, made.decoder
    numbers = torch.from_numpy(rng.random((n_rows, len(MIXED), 3), dtype=np.float32))
    rows = Rows(
        book.starts.expand(n_rows, -1).clone(), torch.zeros(n_rows, len(book.fine), dtype=torch.int64)
    )
    observed = torch.zeros(n_rows, len(MIXED), dtype=torch.bool)
    added, bias = 0, sampler.bias[int(n_passes >= len(MIXED))] - decoder.bias
    if n_passes < len(MIXED):
        noise = torch.from_numpy(rng.standard_normal((n_rows, NOISE), dtype=np.float32))
        added = decoder.latent(made.generator(noise, decoder.embed(rows, observed)))
    for group in grouped(order_of(MIXED), n_passes):
        hidden = decoder.hidden(decoder.embed(rows, observed) + added)
        logits = (decoder.code_logits(hidden) + bias).split(book.widths, dim=1)
        for j in group:
            tilt = 0.0 if tilts is None or j not in tilts.columns else tilts.logits(0, rows.codes)
            rows.codes[:, j] = inverse_cdf(logits[j] + tilt, numbers[:, j, 0]) + book.starts[j]
        cell_logits = decoder.cell_logits(hidden, rows.codes[:, book.fine_index])
        for f, j in enumerate(book.fine):
            if j in group:
                cells = inverse_cdf(cell_logits[:, f], numbers[:, j, 1])
                rows.cells[:, f] = cells.minimum(book.cells[rows.codes[:, j]] - 1)
        observed[:, group] = True
    return rows


@pytest.mark.parametrize("n_rows", [30, 4000])
def test_the_embedding_grown_column_by_column_is_that_of_the_decoder(n_rows):
    made = networks(MIXED)
    sampler = sampler_of(made, MIXED, len(MIXED))
    rows = made.book.rows(random_table(MIXED, n_rows))
    drawn = Drawn(
        made.decoder.embed.hidden.detach().sum(dim=0, keepdim=True),
        torch.zeros(n_rows, len(made.book.fine)),
        len(MIXED),
    )
    drawn.codes, drawn.cells = rows.codes, rows.cells
    observed = torch.zeros(n_rows, len(MIXED), dtype=torch.bool)
    shared = []
    for group in [[1], [3], [0, 2], [4]]:
        with torch.no_grad():
            sampler._observe(group, drawn)
            observed[:, group] = True
            expected = made.decoder.embed(rows, observed)
        torch.testing.assert_close(drawn.of_rows(drawn.embedded), expected, rtol=1e-4, atol=1e-5)
        shared.append(len(drawn.embedded))
    pairs = rows.codes[:, [1, 3]].unique(dim=0)
    assert shared[:2] == [2, len(pairs)]  # contexts that differ, not rows
    assert shared[-1] <= n_rows


def test_a_decoder_that_knows_the_marginals_only_draws_them():
    made = networks(MIXED, shaken=False)
    book, decoder = made.book, made.decoder
    table = random_table(MIXED, 4000)
    table.alphas[:, 2] = np.where(table.codes[:, 2] % 4, np.abs(table.alphas[:, 2]), 0)
    train = book.rows(table)
    decoder.start_at_marginals(train)
    with torch.no_grad():  # logits are the biases now, whatever the decoder sees
        decoder.weight.zero_()
        decoder.ordinal.zero_()
    n = 20_000
    sampler = Sampler(decoder, made.generator, order_of(MIXED), torch.zeros(2, MIXED.width), len(MIXED))
    rows, _ = sampler.draw(n, np.random.default_rng(0))
    codes = rows.codes - book.starts
    for j, width in enumerate(book.widths):
        trained = train.codes[:, j].bincount(minlength=int(book.starts[j]) + width)[book.starts[j] :]
        expected = (trained + 0.5).double() / (trained + 0.5).sum() * n
        assert (
            stats.chisquare(codes[:, j].bincount(minlength=width).numpy(), expected.numpy()).pvalue
            > FAILURE_RATE
        )
    cross = np.histogram2d(codes[:, 0].numpy(), codes[:, 3].numpy(), bins=(7, 4))[0]
    assert stats.chi2_contingency(cross).pvalue > FAILURE_RATE
    tall = rows.cells[codes[:, 2] == 2, 1].bincount(minlength=16)
    assert tall[:8].sum() < 0.2 * tall.sum()  # alpha was above 0 in training; the rest is smoothing
    shares = decoder.cell_bias[book.starts[2] + 2].detach().double().softmax(0)
    assert stats.chisquare(tall.numpy(), (shares * tall.sum()).numpy()).pvalue > FAILURE_RATE


@pytest.mark.parametrize("n_passes", [1, 2, 3])
def test_offsets_move_the_draws(n_passes):
    layout = atoms(2, 3, 2)
    made = networks(layout)
    offsets = torch.tensor([0.0, -torch.inf, 0, 0, -torch.inf, 0, 0])
    order = order_of(layout)
    for added, drawn in ((torch.zeros(7), True), (offsets, False)):
        sampler = Sampler(made.decoder, made.generator, order, added.expand(2, -1), n_passes)
        codes = sampler.draw(400, np.random.default_rng(0))[0].codes
        assert torch.isin(torch.tensor([1, 4]), codes).tolist() == [drawn] * 2


@pytest.mark.parametrize("n_passes", [1, 2, len(MIXED)])
def test_calibrated_offsets_give_codes_their_frequencies(n_passes):
    made = networks(MIXED)
    order = order_of(MIXED)
    frequency = torch.cat(
        [torch.arange(1.0, k + 1) / torch.arange(1.0, k + 1).sum() for k in made.book.widths]
    )

    def distance(offsets):
        sampler = Sampler(made.decoder, made.generator, order, offsets.expand(2, -1), n_passes)
        codes = sampler.draw(6000, np.random.default_rng(1))[0].codes
        return (codes.flatten().bincount(minlength=MIXED.width) / 6000 - frequency).abs().max()

    blank = torch.zeros(MIXED.width)
    sampler = Sampler(made.decoder, made.generator, order, blank.expand(2, -1), n_passes)
    offsets = sampler.calibrate(frequency, 6000, np.random.default_rng(0))
    assert distance(blank) > 0.2
    assert distance(offsets) < 0.03  # sampling noise of two times 6,000 rows


@pytest.mark.parametrize("n_passes", [1, 2, len(MIXED)])
def test_numpys_generator_is_the_only_source_of_chance(n_passes):
    sampler = sampler_of(networks(MIXED), MIXED, n_passes)
    before = torch.get_rng_state()
    first, again, other = (sampler.draw(200, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.codes, again.codes)
    assert torch.equal(first.cells, again.cells)
    assert not torch.equal(first.codes, other.codes)


def test_a_table_without_modelled_columns_gives_rows_without_cells():
    layout = atoms()
    made = networks(layout)
    rows, place = Sampler(made.decoder, made.generator, [], torch.zeros(2, 0), 1).draw(
        7, np.random.default_rng(0)
    )
    assert rows.codes.shape == rows.cells.shape == place.shape == (7, 0)


# Conditions


def given_of(book, table, known, permitted=None, in_order=False):
    conditions = EncodedConditions(table, known, permitted or {}, in_order)
    allowed = {j: Allowed.of(book, j, part) for j, part in conditions.permitted.items()}
    return Given.of(book, conditions, allowed)


def any_of(*codes):
    return Permitted(np.array(codes), np.full(len(codes), -1.0), np.ones(len(codes)))


@pytest.mark.parametrize("n_passes", [1, 2, 3, len(MIXED)])
@pytest.mark.parametrize("shared", [True, False])
def test_known_cells_are_kept_and_restricted_ones_obey(n_passes, shared):
    made = networks(MIXED, seed=1)
    table = random_table(MIXED, 1 if shared else 700)
    known = np.zeros(table.codes.shape, bool)
    known[:, [1, 4]] = True
    height = Permitted(np.array([1, 2, 4]), np.array([-0.5, 0.9, 0]), np.array([0.25, 0.9, 0]))
    permitted = {2: height, 3: any_of(0, 3)} if shared else {}
    given = given_of(made.book, table, known, permitted)
    rows, place = sampler_of(made, MIXED, n_passes).draw(700, np.random.default_rng(0), given)
    out = made.book.encoded(rows, place)
    assert (out.codes[:, [1, 4]] == table.codes[:, [1, 4]]).all()
    assert torch.equal(rows.cells[:, 2], given.rows.cells[:, 2].expand(700))
    if shared:
        assert set(out.codes[:, 3]) == {0, 3}
        assert set(out.codes[:, 2]) <= {1, 2, 4}
        first, second = (out.alphas[out.codes[:, 2] == code, 2] for code in (1, 2))
        assert ((first >= -0.5) & (first <= 0.25)).all()
        assert np.allclose(second, 0.9)
    else:
        assert len(set(out.codes[:, 3])) == 4


@pytest.mark.parametrize("n_passes", [1, 2, len(MIXED)])
def test_rows_may_differ_in_what_is_known(n_passes):
    made = networks(MIXED)
    table = random_table(MIXED, 500)
    known = np.random.default_rng(1).random(table.codes.shape) < 0.5
    present = any_of(0, 1, 2, 3)  # of height, without the missing value
    given = given_of(made.book, table, known, {2: present}, in_order=True)
    rows, place = sampler_of(made, MIXED, n_passes).draw(500, np.random.default_rng(0), given)
    out = made.book.encoded(rows, place)
    assert (out.codes == table.codes)[known].all()
    assert (out.codes[~known[:, 2], 2] < 4).all()
    assert (out.codes != table.codes)[~known].any()


# The order is sex, wage, rooms, height, town; trees tilt the height by the wage.
@pytest.mark.parametrize("n_passes", [1, 4, 99])
@pytest.mark.parametrize("of", ["known cells", "narrow sets", "wide sets", "gaps"])
def test_passes_enough_for_the_columns_without_conditions_are_a_chain(n_passes, of):
    """However few they are: the same rows as one column a pass gives, offsets and trees of the chain."""
    made = networks(MIXED, seed=1)
    table, known = random_table(MIXED, 300 if of == "gaps" else 1), np.zeros((1, len(MIXED)), bool)
    permitted = {}
    if of in ("known cells", "gaps"):
        known = np.tile(np.arange(len(MIXED)) != 2, (len(table), 1))
    else:
        codes = [[*range(part.n_codes)] for part in MIXED.spans]
        permitted = {j: any_of(*(codes[j] if of == "wide sets" else codes[j][:1])) for j in (0, 1, 3, 4)}
    given = given_of(made.book, table, known, permitted, in_order=of == "gaps")
    tilts = tilting(made.book, 2, 4, [0.8, -0.4])
    few, chain = (sampler_of(made, MIXED, k, tilts=tilts) for k in (n_passes, len(MIXED)))
    assert few._is_mostly_met(given, few._chain) == (of == "wide sets")
    one, other = (sampler.draw(300, np.random.default_rng(0), given) for sampler in (few, chain))
    assert torch.equal(one[0].codes, other[0].codes)
    assert torch.equal(one[0].cells, other[0].cells)
    assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("kind", [0, 1])
def test_a_pass_too_few_for_the_columns_without_conditions_begins_with_a_latent_vector(kind):
    """And has its offsets, also for columns with conditions, but no trees."""
    made, offsets = networks(MIXED, seed=1), torch.zeros(2, MIXED.width)
    offsets[kind] = 0.5 * torch.randn(MIXED.width, generator=seeded())
    table, known = random_table(MIXED, 1), np.zeros((1, len(MIXED)), bool)
    known[:, [1, 4]] = True
    given = given_of(made.book, table, known, {3: any_of(0, 3)})
    parts = made.decoder, made.generator, order_of(MIXED)
    samplers = [Sampler(*parts, added, 1) for added in (offsets, torch.zeros(2, MIXED.width))]
    samplers.append(Sampler(*parts, offsets, 1, tilts=tilting(made.book, 2, 4, [0.8, -0.4])))
    moved, plain, tilted = (
        sampler.draw(300, np.random.default_rng(0), given)[0].codes for sampler in samplers
    )
    assert torch.equal(moved, plain) == (kind == 1)
    assert torch.equal(moved, tilted)


def test_gaps_are_drawn_as_a_plain_chain_draws_them():
    made = networks(MIXED)
    table = random_table(MIXED, 300)
    known = np.random.default_rng(1).random(table.codes.shape) < 0.5
    sampler = sampler_of(made, MIXED, len(MIXED))
    given = given_of(made.book, table, known, in_order=True)
    rows, _ = sampler.draw(300, np.random.default_rng(3), given)
    plain = filled_plainly(made, sampler, given, np.random.default_rng(3))
    assert torch.equal(rows.codes, plain.codes)
    assert torch.equal(rows.cells, plain.cells)


@torch.no_grad()
def filled_plainly(made, sampler, given, rng):
    book, decoder, n_rows = made.book, made.decoder, len(given.known)
    numbers = torch.from_numpy(rng.random((n_rows, len(MIXED), 3), dtype=np.float32))
    rows, observed = Rows(given.rows.codes.clone(), given.rows.cells.clone()), given.known.clone()
    bias = sampler.bias[1] - decoder.bias
    for j in order_of(MIXED):
        hidden, gap = decoder.hidden(decoder.embed(rows, observed)), ~given.known[:, j]
        logits = (decoder.code_logits(hidden) + bias).split(book.widths, dim=1)[j]
        codes = inverse_cdf(logits, numbers[:, j, 0]) + book.starts[j]
        rows.codes[gap, j] = codes[gap]
        if j in book.fine:
            f = book.fine.index(j)
            cells = inverse_cdf(decoder.column_cell_logits(hidden, f, codes), numbers[:, j, 1])
            rows.cells[gap, f] = cells.minimum(book.cells[codes] - 1)[gap]
        observed[:, j] = True
    return rows


@pytest.mark.parametrize("n_tries", [1, 8])
def test_several_restrictions_hold_jointly(n_tries, monkeypatch):
    """Against every row in which they hold, out of many drawn without any."""
    monkeypatch.setattr("synthgan.gan.sampling.N_CANDIDATES", n_tries)
    layout = atoms(4, 5, 3)
    made = networks(layout, seed=1)
    with torch.no_grad():
        made.decoder.weight *= 2  # strong relations
    sampler = sampler_of(made, layout, 3)
    allowed = {0: [0, 1, 2], 1: [1, 2, 4], 2: [0, 2]}
    parts = {j: Allowed.of(made.book, j, any_of(*codes)) for j, codes in allowed.items()}
    start = Drawn(made.decoder.blank().detach(), torch.zeros(1, 0), 3)
    with torch.no_grad():
        order = sampler._narrowest_first([0, 1, 2], parts, start, sampler._chain)
    plain = Sampler(made.decoder, made.generator, order, sampler.bias - made.decoder.bias.detach(), 3)
    free = (plain.draw(60_000, np.random.default_rng(0))[0].codes - made.book.starts).numpy()
    met = np.all([np.isin(free[:, j], codes) for j, codes in allowed.items()], axis=0)
    blank = EncodedTable(np.zeros((1, 3), np.int32), np.zeros((1, 3)))
    given = given_of(made.book, blank, np.zeros((1, 3), bool), {j: any_of(*c) for j, c in allowed.items()})
    with torch.no_grad():
        rows, _ = sampler._draw(60_000, np.random.default_rng(1), sampler._chain, given)
    drawn = (rows.codes - made.book.starts).numpy()
    joint = [np.bincount(part @ [15, 3, 1], minlength=60) / len(part) for part in (free[met], drawn)]
    distance = np.abs(joint[0] - joint[1]).sum() / 2
    assert (distance > 0.1) if n_tries == 1 else (distance < 0.06)  # measured: .143, .039


def wide(made, layout):
    """Conditions on two columns that most rows meet by themselves, on all of a block."""
    height = Permitted(np.array([0, 1, 2, 4]), np.array([0.0, -1, -1, 0]), np.array([0.0, 1, 0.8, 0]))
    rooms = any_of(0, 1, 2)
    blank = EncodedTable(np.zeros((1, len(layout)), np.int32), np.zeros((1, len(layout))))
    given = given_of(made.book, blank, np.zeros((1, len(layout)), bool), {2: height, 3: rooms})
    bias = torch.zeros(layout.width)
    bias[made.book.span(2).start + 3] = bias[
        made.book.span(3).start + 3
    ] = -3.0  # what is not allowed is rare
    offsets = (bias - made.decoder.bias.detach()).expand(2, -1)
    return given, Sampler(made.decoder, made.generator, order_of(layout), offsets, len(layout))


def test_rows_that_meet_wide_restrictions_by_themselves_are_left_as_they_are():
    made = networks(MIXED, shaken=False)
    given, sampler = wide(made, MIXED)
    assert sampler._is_mostly_met(given, sampler._chain)
    free, free_places = sampler.draw(2000, np.random.default_rng(0))
    drawn, places = sampler.draw(2000, np.random.default_rng(0), given)
    met = given.is_met(made.book, free, free_places)
    assert 0.6 < met.float().mean() < 1
    assert given.is_met(made.book, drawn, places).all()
    assert torch.equal(drawn.codes[met], free.codes[met])
    assert torch.equal(drawn.cells[met], free.cells[met])
    assert torch.equal(places[met], free_places[met])
    height = drawn.codes[:, 2] - made.book.span(2).start
    assert set(height.tolist()) == {0, 1, 2, 4}
    cut = height == 2  # alpha of at most .8
    assert ((drawn.cells[:, 0] + places[:, 0])[cut] / 16 * 2 - 1).max() <= 0.8 + 1e-6


def test_narrow_restrictions_known_cells_and_single_columns_are_not_left_to_chance():
    made = networks(MIXED, shaken=False)
    given, sampler = wide(made, MIXED)
    one = Given(given.rows, given.known, {3: given.allowed[3]}, False)
    narrow = Given(given.rows, given.known, given.allowed | {1: Allowed.of(made.book, 1, any_of(1))}, False)
    known = given.known.clone()
    known[:, 0] = True
    for other in (one, narrow, Given(given.rows, known, given.allowed, False)):
        assert not sampler._is_mostly_met(other, sampler._chain)


def test_the_share_of_an_interval_counts_by_the_row():
    """Codes are weighed by how probable their permitted cells are, in each context."""
    made = networks(MIXED)
    sampler = sampler_of(made, MIXED, len(MIXED))
    rows, place = sampler.draw(60_000, np.random.default_rng(0))
    free = made.book.encoded(rows, place)
    upper = Permitted(np.array([1, 2, 4]), np.array([0.0, -1, 0]), np.array([1.0, 1, 0]))
    first = order_of(MIXED)[0]
    assert first != 2
    met = np.isin(free.codes[:, 2], [2, 4]) | ((free.codes[:, 2] == 1) & (free.alphas[:, 2] >= 0))
    blank = EncodedTable(np.zeros((1, 5), np.int32), np.zeros((1, 5)))
    given = given_of(made.book, blank, np.zeros((1, 5), bool), {2: upper})
    blank_hidden = made.decoder.hidden(made.decoder.blank())
    log_p = sampler._log_probability(2, blank_hidden, given.allowed[2], sampler._chain)
    drawn = sampler.draw(60_000, np.random.default_rng(1), given)[0].codes[:, 2] - made.book.starts[2]
    expected = log_p.softmax(1)[0].detach().double()
    shares = drawn.bincount(minlength=5) / 60_000
    assert (shares - expected).abs().max() < 0.01
    assert abs(float(log_p.logsumexp(1).exp().detach()) - met.mean()) < 0.25  # other contexts, same order


def test_conditions_do_not_depend_on_how_rows_are_shared():
    made = networks(MIXED)
    sampler = sampler_of(made, MIXED, len(MIXED))
    one = random_table(MIXED, 1)
    many = EncodedTable(np.repeat(one.codes, 400, 0), np.repeat(one.alphas, 400, 0))
    known = np.array([[False, True, False, True, False]])
    first, _ = sampler.draw(400, np.random.default_rng(0), given_of(made.book, one, known))
    again, _ = sampler.draw(400, np.random.default_rng(0), given_of(made.book, many, known.repeat(400, 0)))
    assert torch.equal(first.codes, again.codes)
    assert torch.equal(first.cells, again.cells)


def test_restricted_columns_are_shown_by_their_modes_and_then_as_they_are():
    made = networks(MIXED)
    sampler = sampler_of(made, MIXED, len(MIXED))
    blank = EncodedTable(np.zeros((1, 5), np.int32), np.zeros((1, 5)))
    given = given_of(made.book, blank, np.zeros((1, 5), bool), {2: any_of(0, 1, 2), 4: any_of(0, 1)})
    drawn = Drawn(made.decoder.blank().detach(), torch.zeros(500, len(made.book.fine)), len(MIXED))
    with torch.no_grad():
        rest = sampler._meet(given, drawn, np.random.default_rng(0), sampler._chain)
        assert len(drawn.embedded) <= 3 * (1 + 4)  # height has no groups, wage one of four members
        drawn.embedded, drawn.context = drawn.of_rows(drawn.embedded), None
        sampler._refine(drawn)
        observed = torch.tensor([j not in rest for j in range(5)]).expand(500, -1)
        expected = made.decoder.embed(Rows(drawn.codes, drawn.cells), observed)
    assert sorted(rest) == [0, 1, 3]
    assert drawn.coarse == []
    torch.testing.assert_close(drawn.embedded, expected, rtol=1e-4, atol=1e-5)


# Trees have the last word


def with_last_word(made, layout, j, bias, direction=0.0, n_passes=99, offsets=None):
    """Passes after which column j is drawn by the same logits in all rows, or by the decoder and these."""
    book, span = made.book, made.book.span(j)
    flat = torch.zeros(layout.width)
    flat[span] = torch.tensor(bias)
    forest = Forest(
        book,
        columns=torch.tensor([j]),
        values=torch.zeros(1, layout.width),
        bias=flat,
        direction=torch.where(torch.arange(layout.width) == span.start, direction, 0.0),
        code=torch.tensor([span.start]),
        axis=torch.tensor([int(direction != 0)]),
        leaves=torch.zeros(1, MAX_LEAVES),  # one tree of one leaf, that adds nothing
    )
    parts = made.decoder, made.generator, order_of(layout)
    offsets = torch.zeros(layout.width) if offsets is None else offsets
    return tuple(Sampler(*parts, offsets.expand(2, -1), n_passes, forest=last) for last in (None, forest))


@pytest.mark.parametrize("n_passes", [1, 2, len(MIXED)])
def test_only_the_column_with_trees_is_drawn_again(n_passes):
    made = networks(MIXED)
    chain, again = with_last_word(made, MIXED, 1, [0.0, 30.0], n_passes=n_passes)
    before, after = (sampler.draw(200, np.random.default_rng(0)) for sampler in (chain, again))
    assert (after[0].codes[:, 1] == made.book.span(1).stop - 1).all()
    assert not torch.equal(before[0].codes[:, 1], after[0].codes[:, 1])
    others = [0, 2, 3, 4]
    assert torch.equal(before[0].codes[:, others], after[0].codes[:, others])
    assert torch.equal(before[0].cells, after[0].cells)
    assert torch.equal(before[1], after[1])


def test_what_is_known_is_not_drawn_again():
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 1, [0.0, 30.0])
    table = random_table(MIXED, 60)
    table.codes[:, 1] = 0
    known = np.zeros((60, len(MIXED)), bool)
    known[:20, 1] = True
    rows = made.book.rows(table)
    drawn, _ = again.draw(60, np.random.default_rng(0), Given(rows, torch.from_numpy(known), {}, True))
    assert (drawn.codes[:20, 1] == made.book.span(1).start).all()
    assert (drawn.codes[20:, 1] == made.book.span(1).start + 1).all()


def test_what_is_not_allowed_is_not_drawn_by_trees():
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 3, [0.0, 0.0, 0.0, 30.0])
    permitted = Permitted(np.array([0, 1]), np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    known = torch.zeros(1, len(MIXED), dtype=torch.bool)
    rows = made.book.rows(random_table(MIXED, 1))
    given = Given(rows, known, {3: Allowed.of(made.book, 3, permitted)}, False)
    drawn, _ = again.draw(100, np.random.default_rng(0), given)
    assert set((drawn.codes[:, 3] - made.book.span(3).start).tolist()) == {0, 1}


def test_calibration_moves_the_trees_to_the_frequencies_too():
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 1, [0.0, 30.0])
    frequency = torch.cat([torch.full((part.n_codes,), 1 / part.n_codes) for part in MIXED.spans])
    frequency[made.book.span(1)] = torch.tensor([0.8, 0.2])
    for _ in range(3):  # each moves an offset by 16 at the most
        again.calibrate(frequency, 100, np.random.default_rng(0))
    drawn, _ = again.draw(4000, np.random.default_rng(1))
    assert float((drawn.codes[:, 1] == made.book.span(1).start).float().mean()) == pytest.approx(
        0.8, abs=0.03
    )


# Of numbers, by tilting the logits of the decoder


def check_calibrated(made, sampler):
    """Of the third column, whose codes are to have shares of their own."""
    frequency = torch.cat([torch.full((part.n_codes,), 1 / part.n_codes) for part in MIXED.spans])
    span, wanted = made.book.span(2), torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1])
    frequency[span] = wanted
    sampler.calibrate(frequency, 4000, np.random.default_rng(0))
    drawn, _ = sampler.draw(4000, np.random.default_rng(1))
    shares = (drawn.codes[:, 2] - span.start).bincount(minlength=5) / 4000
    assert (shares - wanted).abs().max() < 0.03  # a deviation of shares is .008


def test_calibration_knows_of_the_tilts_in_the_chain():
    made = networks(MIXED)
    check_calibrated(made, sampler_of(made, MIXED, len(MIXED), tilts=tilting(made.book, 2, 4, [2.0, 0.5])))


@pytest.mark.parametrize("known_rows", [0, 100, 300])
@pytest.mark.parametrize("shared", [True, False])
def test_tilts_heed_what_is_known_and_what_is_allowed(known_rows, shared):
    """Height is tilted by wage, whether that is known or drawn, and so much that only an end is drawn."""
    made, table = networks(MIXED), random_table(MIXED, 300)
    if shared:
        table.codes[:, 4], table.alphas[:, 4] = 1, 0.0
    rows = made.book.rows(table)
    sampler = sampler_of(made, MIXED, len(MIXED), tilts=tilting(made.book, 2, 4, [200.0]))
    known = torch.zeros(300, len(MIXED), dtype=torch.bool)
    known[:known_rows, 4] = True
    permitted = Permitted(np.array([1, 2, 3]), np.full(3, -1.0), np.full(3, 1.0))
    for allowed, first, last in (({}, 0, 4), ({2: Allowed.of(made.book, 2, permitted)}, 1, 3)):
        drawn, _ = sampler.draw(300, np.random.default_rng(0), Given(rows, known, allowed, True))
        assert torch.equal(drawn.codes[:known_rows, 4], rows.codes[:known_rows, 4])
        is_low = drawn.codes[:, 4] == made.book.span(4).start
        height = drawn.codes[:, 2] - made.book.span(2).start
        assert (height[is_low] == first).all()
        assert (height[~is_low] == last).all()


def tilted_logits(made, rows, j):
    known = torch.ones_like(rows.codes, dtype=torch.bool)
    known[:, j] = False
    with torch.no_grad():
        return made.decoder.code_logits(made.decoder.hidden(made.decoder.embed(rows, known)))


@pytest.mark.parametrize("n_passes", [1, len(MIXED)])
def test_a_number_is_drawn_by_the_decoder_given_all_other_cells(n_passes):
    made, shift, offsets = networks(MIXED), [0.0, 1.0, -1.0, 0.5, 0.0], torch.zeros(MIXED.width)
    offsets[made.book.span(2).start] = 9.0  # of the passes: the last word goes without
    chain, again = with_last_word(made, MIXED, 2, shift, 1.0, n_passes, offsets)
    before, after = (sampler.draw(20_000, np.random.default_rng(0)) for sampler in (chain, again))
    others = [0, 1, 3, 4]
    assert torch.equal(before[0].codes[:, others], after[0].codes[:, others])
    assert torch.equal(before[0].cells[:, [0, 2]], after[0].cells[:, [0, 2]])
    assert torch.equal(before[1], after[1])  # the place in a cell is uniform, whatever the cell
    assert not torch.equal(before[0].cells[:, 1], after[0].cells[:, 1])
    span = made.book.span(2)
    expected = (tilted_logits(made, before[0], 2)[:, span] + torch.tensor(shift)).softmax(dim=1).mean(dim=0)
    shares = (after[0].codes[:, 2] - span.start).bincount(minlength=5) / 20_000
    assert (shares - expected).abs().max() < 0.012  # a deviation of shares is .0035


def test_the_cell_of_a_number_follows_its_new_code():
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 4, [0.0, 40.0, 0.0], direction=1.0)
    drawn, _ = again.draw(2000, np.random.default_rng(0))
    assert (drawn.codes[:, 4] == made.book.span(4).start + 1).all()  # a group of four
    i = made.book.fine.index(4)
    known = torch.ones_like(drawn.codes, dtype=torch.bool)
    known[:, 4] = False
    with torch.no_grad():
        hidden = made.decoder.hidden(made.decoder.embed(drawn, known))
        cells = made.decoder.column_cell_logits(hidden, i, drawn.codes[:, 4]).softmax(dim=1)
    expected = cells.mean(dim=0)  # those beyond the fourth, which shaken weights know, count as the fourth
    shares = drawn.cells[:, i].bincount(minlength=4) / 2000
    assert len(shares) == 4
    assert (shares[:3] - expected[:3]).abs().max() < 0.04  # a deviation of shares is .009


@pytest.mark.parametrize("n_known", [0, 20, 60])
def test_a_known_number_is_not_drawn_again(n_known):
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 2, [40.0, 0.0, 0.0, 0.0, 0.0], direction=1.0)
    table = random_table(MIXED, 60)
    table.codes[:, 2] = 1
    known = np.zeros((60, len(MIXED)), bool)
    known[:n_known, 2] = True
    rows = made.book.rows(table)
    drawn, _ = again.draw(60, np.random.default_rng(0), Given(rows, torch.from_numpy(known), {}, True))
    start, i = made.book.span(2).start, made.book.fine.index(2)
    assert (drawn.codes[:n_known, 2] == start + 1).all()
    assert torch.equal(drawn.cells[:n_known, i], rows.cells[:n_known, i])
    assert (drawn.codes[n_known:, 2] == start).all()


@pytest.mark.parametrize("in_order", [True, False])
def test_a_number_drawn_again_stays_in_its_range(in_order):
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 2, [0.0, 5.0, 0.0, 0.0, 0.0], direction=1.0)
    permitted = Permitted(np.array([1, 2]), np.array([0.3, -1.0]), np.array([0.4, -0.5]))
    known = torch.zeros(1, len(MIXED), dtype=torch.bool)
    rows = made.book.rows(random_table(MIXED, 1))
    given = Given(rows, known, {2: Allowed.of(made.book, 2, permitted)}, in_order)
    found = made.book.encoded(*again.draw(3000, np.random.default_rng(0), given))
    first = found.codes[:, 2] == 1
    assert (first | (found.codes[:, 2] == 2)).all()
    assert first.any()
    assert ((found.alphas[first, 2] >= 0.3 - 1e-6) & (found.alphas[first, 2] <= 0.4 + 1e-6)).all()
    assert ((found.alphas[~first, 2] >= -1) & (found.alphas[~first, 2] <= -0.5 + 1e-6)).all()


def test_calibration_moves_tilted_numbers_to_the_frequencies_too():
    made = networks(MIXED)
    _, again = with_last_word(made, MIXED, 2, [0.0, 3.0, 0.0, -3.0, 0.0], direction=1.0)
    check_calibrated(made, again)
