import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from synthgan import boosting
from synthgan.boosting import code_values, decoder_log_likelihood, decoder_logits, grow, normal_scores
from synthgan.gan.forest import MAX_LEAVES, Forest
from synthgan.gan.networks import CodeBook
from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout
from tests.gan.tables import MIXED, atoms, networks, order_of, random_table, span

PARITY = atoms(2, 2, 2, 12)  # the third column says whether the first two differ; too many codes in the last


def parity_table(n_rows, seed=0):
    table = random_table(PARITY, n_rows, seed)
    table.codes[:, 2] = table.codes[:, 0] != table.codes[:, 1]
    return table


def grown(table, layout=PARITY, n_trees=60, seed=0):
    """Trees beside a decoder that knows nothing but frequencies."""
    decoder = networks(layout, shaken=False).decoder
    rows = decoder.book.rows(table)
    decoder.start_at_marginals(rows)
    half = torch.arange(len(rows) // 2)
    return grow(
        decoder, rows.take(half), rows.take(half + len(half)), order_of(layout), n_trees, seed
    ), decoder


def shares_of(rows, book, j):
    """Which class of column j each row has, as rows of an identity matrix."""
    return torch.eye(book.widths[j], dtype=torch.float64)[rows.codes[:, j] - book.span(j).start]


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_arrays_foretell_what_scikit_learn_foretells(n_classes):
    layout = Layout.of([*MIXED.spans, span("target", [ATOM] * n_classes)])
    book, table, rng = CodeBook(layout), random_table(layout, 800), np.random.default_rng(0)
    j = len(layout) - 1
    table.codes[:, j] = (table.codes[:, 0] + table.codes[:, 2] + rng.integers(2, size=800)) % n_classes
    rows = book.rows(table)
    values = code_values(book, rows, shares_of(rows, book, j))
    features = values[rows.codes].numpy()
    features[:, j] = 0
    model = HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=MAX_LEAVES).fit(
        features, table.codes[:, j]
    )
    parts = boosting._parts(book, model, j) | {"columns": torch.tensor([j]), "values": values[None]}
    made = Forest(book, **parts).logits(0, rows.codes).softmax(dim=1)
    np.testing.assert_allclose(made.numpy(), model.predict_proba(features), atol=1e-5)


def test_trees_learn_what_no_column_tells_on_its_own():
    forest, _ = grown(parity_table(2000))
    table = parity_table(500, seed=1)
    rows = forest.book.rows(table)
    for number, j in enumerate(forest.columns.tolist()):
        right = forest.logits(number, rows.codes).softmax(dim=1)[torch.arange(500), table.codes[:, j]]
        assert right.mean() > 0.95
    assert sorted(forest.columns.tolist()) == [0, 1, 2]


def test_columns_that_nothing_tells_of_have_no_trees():
    forest, _ = grown(random_table(PARITY, 2000))
    assert forest.columns.tolist() == []
    assert forest.is_sound


def test_columns_of_rare_codes_of_many_codes_or_of_intervals_have_no_trees():
    layout = Layout.of(
        [
            span("rare", [ATOM] * 2),
            span("many", [ATOM] * 11),
            span("interval", [ATOM, CONTINUOUS]),
            span("group", [ATOM, 3]),
            span("one", [ATOM]),
            span("good", [ATOM] * 3),
        ]
    )
    table = random_table(layout, 1000)
    table.codes[:, 0] = 0
    table.codes[:19, 0] = 1
    rows = CodeBook(layout).rows(table)
    counts = torch.bincount(rows.codes.flatten(), minlength=layout.width)
    assert boosting._few_codes(CodeBook(layout), counts) == [5]


def test_columns_of_few_codes_come_last():
    layout = atoms(3, 2)
    table = random_table(layout, 2000)
    table.codes[:, 1] = table.codes[:, 0] == 2
    forest, _ = grown(table, layout)
    assert forest.columns.tolist() == [0, 1]


@pytest.mark.parametrize("n_rows", [1000, 250])
def test_where_time_is_short_fewer_columns_have_trees_of_fewer_rows(n_rows, monkeypatch):
    layout = atoms(2, 2, 2, 2, 2, 2)
    table = random_table(layout, 2000)
    table.codes[:] = table.codes[:, :1]  # each column tells all others
    assert len(grown(table, layout)[0].columns) == 6
    monkeypatch.setattr(boosting, "_MAX_WORK", 4 * n_rows * 6)  # four columns
    assert len(grown(table, layout)[0].columns) == 4


def test_few_judges_let_no_trees_grow():
    decoder = networks(PARITY, shaken=False).decoder
    rows = decoder.book.rows(parity_table(1000))
    decoder.start_at_marginals(rows)
    assert len(grow(decoder, rows, rows.take(torch.arange(20)), [0, 1, 2, 3], 20, 0).columns) == 3
    assert len(grow(decoder, rows, rows.take(torch.arange(19)), [0, 1, 2, 3], 20, 0).columns) == 0


def test_after_its_time_no_column_is_begun():
    rows = CodeBook(PARITY).rows(parity_table(1000))
    decoder = networks(PARITY, shaken=False).decoder
    assert len(grow(decoder, rows, rows, [0, 1, 2, 3], 20, 0, max_seconds=0.0).columns) == 0


def test_one_seed_gives_one_forest_and_no_global_generator_is_advanced():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    states = [grown(parity_table(2000), seed=seed)[0].state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_no_column_has_more_trees_than_permitted():
    layout = atoms(5, 2)
    table = random_table(layout, 2000)
    table.codes[:, 1] = table.codes[:, 0] > 2
    forest, _ = grown(table, layout, n_trees=12)
    five = forest.code < 5
    assert int(five.sum()) == 10  # two iterations of five trees
    assert int((~five).sum()) <= 12


def test_categories_lie_in_the_order_of_the_share_that_they_have_of_a_class():
    layout = atoms(3, 2)
    codes = np.array([[0, 0]] * 10 + [[0, 1]] * 30 + [[1, 0]] * 40 + [[2, 0]] * 20 + [[2, 1]] * 20, np.int32)
    rows = CodeBook(layout).rows(EncodedTable(codes, np.zeros(codes.shape)))
    values = code_values(CodeBook(layout), rows, shares_of(rows, CodeBook(layout), 1))[:3]
    shares = (torch.tensor([30, 0, 20]) + 20 * 50 / 120) / (torch.tensor([40, 40, 40]) + 20)
    assert set(values.argsort().tolist()[::2]) == {0, 1}  # the category between the others is in the middle
    gaps = (values - values[1]) / (values[0] - values[1])
    torch.testing.assert_close(gaps, (shares - shares[1]) / (shares[0] - shares[1]))


def test_codes_of_an_order_are_numbered_by_their_rank_below_no_category():
    rows = CodeBook(MIXED).rows(random_table(MIXED, 500))
    values = code_values(CodeBook(MIXED), rows, shares_of(rows, CodeBook(MIXED), 1))
    start = MIXED.spans[2].start  # height: four ranks, and the missing value
    torch.testing.assert_close(values[start : start + 4], torch.linspace(0, 1, 5)[:4])
    assert (values[: MIXED.spans[2].start] < 0).all()
    assert values[start + 4] < 0


def test_the_decoder_is_asked_with_all_other_cells_known():
    decoder = networks(PARITY).decoder
    rows = decoder.book.rows(parity_table(5))
    other = rows.take(torch.arange(5))
    other.codes[:, 2] = decoder.book.span(2).start
    probability = decoder_log_likelihood(decoder, other, 2).exp()
    other.codes[:, 2] += 1
    torch.testing.assert_close(probability + decoder_log_likelihood(decoder, other, 2).exp(), torch.ones(5))


# Numbers


SIZES = Layout.of(
    [
        span("one", [ATOM] * 12, ordered=True),
        span("two", [ATOM] * 12, ordered=True),
        span("sum", [CONTINUOUS] * 22 + [ATOM], ordered=True, missing=True),
        span("sort", [ATOM] * 12),
    ]
)


def sum_table(n_rows, seed=0):
    table = random_table(SIZES, n_rows, seed)
    table.codes[:, 2] = np.minimum(table.codes[:, 0] + table.codes[:, 1], 21)
    return table


def test_numbers_are_columns_of_many_codes_in_an_order():
    assert boosting._numbers(CodeBook(SIZES)) == [0, 1, 2]
    assert boosting._numbers(CodeBook(MIXED)) == []


def test_trees_tilt_the_decoder_towards_what_the_other_cells_tell_of_a_number():
    forest, decoder = grown(sum_table(3000), SIZES, n_trees=100)
    assert forest.is_sound
    assert 2 in forest.columns.tolist()
    number = forest.columns.tolist().index(2)
    assert forest.tilts(number)
    rows = forest.book.rows(sum_table(500, seed=1))
    logits = decoder_logits(decoder, rows, 2)
    tilted = logits + forest.logits(number, rows.codes)
    codes = torch.arange(23).float()
    error = [
        ((some.softmax(dim=1) @ codes - rows.codes[:, 2] + 24).square().mean()) for some in (logits, tilted)
    ]
    assert error[1] < 0.2 * error[0]


def test_numbers_that_nothing_tells_of_have_no_trees():
    assert grown(random_table(SIZES, 2000), SIZES)[0].columns.tolist() == []


def test_numbers_are_left_alone_that_the_chain_knows_already():
    """The last column of the chain tells the other two: only by Bayes' rule does the chain know of them."""
    table = sum_table(3000)
    decoder = networks(SIZES, shaken=False).decoder
    rows = decoder.book.rows(table)
    decoder.start_at_marginals(rows)
    half = torch.arange(1500)

    def kept(order):
        return grow(decoder, rows.take(half), rows.take(half + 1500), order, 60, 0).columns.tolist()

    assert kept([3, 0, 1, 2]) == [0, 1, 2]  # in the order of the chain
    assert kept([2, 3, 1, 0]) == [2, 1, 0]


def test_the_sum_of_tilts_is_the_sum_of_what_scikit_learn_foretells():
    book, rng = CodeBook(SIZES), np.random.default_rng(0)
    rows = book.rows(sum_table(600))
    direction = normal_scores(book, rows, 2)
    values = book.position.nan_to_num(-1.0)
    features = values[rows.codes].numpy()
    models = [
        HistGradientBoostingRegressor(max_iter=5, max_leaf_nodes=MAX_LEAVES).fit(
            features, rng.normal(size=600)
        )
        for _ in range(2)
    ]
    parts = boosting._tilting_parts(book, models, 2, direction)
    forest = Forest(book, columns=torch.tensor([2]), values=values[None], **parts)
    heights = sum(torch.from_numpy(model.predict(features)) for model in models).float()
    torch.testing.assert_close(
        forest.logits(0, rows.codes), heights[:, None] * direction, rtol=1e-4, atol=1e-5
    )


def test_normal_scores_are_quantiles_at_the_ranks():
    layout = Layout.of([span("n", [ATOM] * 4, ordered=True, missing=True)])
    codes = np.array([[0]] * 10 + [[1]] * 20 + [[2]] * 10 + [[3]] * 8, np.int32)
    rows = CodeBook(layout).rows(EncodedTable(codes, np.zeros(codes.shape)))
    score = normal_scores(CodeBook(layout), rows, 0)
    # The quantiles at 1/8, 1/2 and 7/8 are -1.15, 0 and 1.15; half of the 40 rows have another than 0.
    torch.testing.assert_close(score, torch.tensor([-(2**0.5), 0.0, 2**0.5, 0.0]), atol=1e-4, rtol=0)


def test_no_number_has_more_trees_than_permitted():
    for n_trees, most in ((5, 5), (50, 40)):  # two rounds of 20
        forest, _ = grown(sum_table(3000), SIZES, n_trees=n_trees)
        owner = torch.bucketize(forest.code, forest.book.starts, right=True)
        assert 0 < int(owner.bincount().max()) <= most


def test_where_time_is_short_fewer_numbers_are_tried(monkeypatch):
    layout = Layout.of([span(f"c{j}", [ATOM] * 12, ordered=True) for j in range(6)])
    table = random_table(layout, 2000)
    table.codes[:] = table.codes[:, :1]  # each column tells all others
    assert len(grown(table, layout)[0].columns) == 6
    monkeypatch.setattr(boosting, "_MAX_WORK", 4 * 500 * 6)
    assert grown(table, layout)[0].columns.tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(boosting, "_MAX_NUMBERS", 2)
    assert len(grown(table, layout)[0].columns) == 2


def test_numbers_that_few_rows_judge_need_more_than_luck(monkeypatch):
    monkeypatch.setattr(boosting, "_MIN_TILT", 0.01)  # two of the fifteen save .03 and .05 nats by luck
    rows = CodeBook(SIZES).rows(random_table(SIZES, 3000))
    decoder = networks(SIZES, shaken=False).decoder
    decoder.start_at_marginals(rows)
    for seed in range(5):
        judge = rows.take(torch.arange(20 * seed, 20 * seed + 20))
        learn = rows.take(torch.arange(100, 1600))
        assert grow(decoder, learn, judge, order_of(SIZES), 40, seed).columns.tolist() == []
