import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from synthgan import boosting
from synthgan.boosting import code_log_likelihood, code_values, decoder_logits, normal_scores, tilted
from synthgan.gan.codebook import CodeBook
from synthgan.gan.forest import MAX_LEAVES, Forest, tilts_of
from synthgan.layout import ATOM, EncodedTable, Layout
from tests.gan.tables import (
    MIXED,
    PARITY,
    SIZES,
    atoms,
    networks,
    parity_table,
    random_table,
    span,
    sum_table,
)


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
    others = [4, 2, 0, 3, 1]  # in any order
    features = values[rows.codes[:, others]].numpy()
    model = HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=MAX_LEAVES).fit(
        features, table.codes[:, j]
    )
    parts = boosting._parts(book, model, j, others) | {"columns": torch.tensor([j]), "values": values[None]}
    made = Forest(book, **parts).logits(0, rows.codes).softmax(dim=1)
    np.testing.assert_allclose(made.numpy(), model.predict_proba(features), atol=1e-5)


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


def test_the_decoder_is_shown_the_known_columns_only():
    decoder = networks(PARITY).decoder
    rows = decoder.book.rows(parity_table(50))
    found = decoder_logits(decoder, rows, 2, [3, 0])
    other = rows.take(torch.arange(50))
    other.codes[:, 1:3] = decoder.book.starts[1:3]
    assert torch.equal(decoder_logits(decoder, other, 2, [3, 0]), found)
    other.codes[:, 0] = 0
    assert not torch.equal(decoder_logits(decoder, other, 2, [3, 0]), found)
    assert found.shape == (50, 2)
    by_code = [code_log_likelihood(found, decoder.book, some, 2) for some in (rows, other)]
    shares = found.softmax(dim=1)
    torch.testing.assert_close(by_code[0].exp(), shares[range(50), rows.codes[:, 2] - decoder.book.starts[2]])
    torch.testing.assert_close(by_code[1].exp(), shares[:, 0])


# Numbers


def test_normal_scores_are_quantiles_at_the_ranks():
    layout = Layout.of([span("n", [ATOM] * 4, ordered=True, missing=True)])
    codes = np.array([[0]] * 10 + [[1]] * 20 + [[2]] * 10 + [[3]] * 8, np.int32)
    rows = CodeBook(layout).rows(EncodedTable(codes, np.zeros(codes.shape)))
    score = normal_scores(CodeBook(layout), rows, 0)
    # The quantiles at 1/8, 1/2 and 7/8 are -1.15, 0 and 1.15; half of the 40 rows have another than 0.
    torch.testing.assert_close(score, torch.tensor([-(2**0.5), 0.0, 2**0.5, 0.0]), atol=1e-4, rtol=0)


def test_the_sum_of_tilts_is_the_sum_of_what_scikit_learn_foretells():
    book, rng = CodeBook(SIZES), np.random.default_rng(0)
    rows = book.rows(sum_table(600))
    direction = normal_scores(book, rows, 2)
    values = book.position.nan_to_num(-1.0)
    features = values[rows.codes[:, [3, 0]]].numpy()
    rounds = [
        [
            HistGradientBoostingRegressor(max_iter=5, max_leaf_nodes=MAX_LEAVES).fit(
                features, rng.normal(size=600)
            )
            for _ in range(2)
        ]
        for _ in range(3)
    ]
    parts = boosting._tilting_parts(book, rounds, 2, direction, [3, 0])
    forest = Forest(book, columns=torch.tensor([2]), values=values[None], **parts)
    votes = [sum(torch.from_numpy(two[axis].predict(features)) for two in rounds) for axis in (0, 1)]
    expected = torch.stack(votes, dim=1).float() @ tilts_of(direction, book.position[book.span(2)])
    torch.testing.assert_close(forest.logits(0, rows.codes), expected, rtol=1e-4, atol=1e-5)


def beside_marginals(table, layout=SIZES):
    """A decoder that knows nothing but frequencies, and rows to learn from and to judge by."""
    decoder = networks(layout, shaken=False).decoder
    rows = decoder.book.rows(table)
    decoder.start_at_marginals(rows)
    half = torch.arange(len(rows) // 2)
    return decoder, rows.take(half), rows.take(half + len(half))


def test_trees_move_the_logits_to_what_the_known_cells_tell_of_a_number():
    decoder, train, judge = beside_marginals(sum_table(4000))
    parts, found, saved = tilted(decoder, train, judge, 2, [0, 1], 100, 0)
    forest = Forest(decoder.book, **parts)
    assert forest.is_sound
    logits = decoder_logits(decoder, judge, 2, [0, 1])
    before, after = (
        code_log_likelihood(some, decoder.book, judge, 2)
        for some in (logits, logits + forest.logits(0, judge.codes))
    )
    torch.testing.assert_close(after, found, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after - before, saved, rtol=1e-4, atol=1e-4)
    assert float(saved.mean()) > 0.5
    assert set(parts["feature"].tolist()) == {0, 1}


def test_a_number_that_spreads_as_another_column_says_is_given_the_spread():
    table = random_table(SIZES, 4000)
    wide = table.codes[:, 3] >= 8  # the number is the same in the mean
    rng = np.random.default_rng(0)
    table.codes[:, 2] = np.where(wide, rng.integers(0, 22, 4000), rng.integers(9, 13, 4000))
    decoder, train, judge = beside_marginals(table)
    parts, _, saved = tilted(decoder, train, judge, 2, [3], 100, 0)
    assert float(saved.mean()) > 0.25
    tilts = Forest(decoder.book, **parts).logits(0, judge.codes)
    is_wide = judge.codes[:, 3] - decoder.book.starts[3] >= 8
    ends, middle = tilts[:, [0, 21]].mean(dim=1), tilts[:, [10, 11]].mean(dim=1)
    assert (ends > middle)[is_wide].all()
    assert (ends < middle)[~is_wide].all()


def test_no_more_trees_are_grown_than_are_worth_their_time():
    decoder, train, judge = beside_marginals(sum_table(3000))
    counts = [
        len(tilted(decoder, train, judge, 2, [0, 1], n_trees, 0, least)[0]["code"])
        for n_trees, least in ((1, 0), (5, 0), (50, 0), (50, 50))
    ]
    # One of the first axis; two of each; two rounds of 20; and one round where two would not save enough.
    assert counts == [1, 4, 40, 20]


def test_trees_that_tilt_learn_from_fewer_rows_of_more_codes(monkeypatch):
    decoder, train, judge = beside_marginals(sum_table(3000))
    monkeypatch.setattr(boosting, "_MAX_LOGITS", 23 * 400)
    few = tilted(decoder, train, judge, 2, [0, 1], 20, 0)[1]
    same = tilted(decoder, train.take(torch.arange(400)), judge, 2, [0, 1], 20, 0)[1]
    assert torch.equal(few, same)
