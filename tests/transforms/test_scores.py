"""Normal scores: round trips over any layout, normal marginals, what conditions permit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout, Permitted
from synthgan.transforms.scores import LEAST_SHARE, MARGIN, MAX_LEVELS, NormalScores
from tests.gan.tables import MIXED, layouts, random_table, span


def seeded(seed=0):
    return np.random.default_rng(seed)


def members(layout, table):
    """The member of each cell whose code is a group, -1 elsewhere."""
    levels = np.column_stack([part.n_levels[table.codes[:, j]] for j, part in enumerate(layout.spans)])
    cell = np.floor((table.alphas + 1) / 2 * levels).clip(0, levels - 1)
    return np.where(levels > ATOM, cell, -1)


def long_line(n_atoms, missing=False):
    """One column of ordered atoms."""
    return Layout.of([span("n", [ATOM] * (n_atoms + missing), ordered=True, missing=missing)])


class TestRoundTrip:
    @given(layouts(), st.integers(0, 2**32))
    def test_codes_members_and_alphas_come_back(self, layout, seed):
        learned, other = random_table(layout, 60, seed), random_table(layout, 40, seed + 1)
        view = NormalScores.of(layout, learned)
        for table in (learned, other):
            scores, codes = view.encode(table, seeded(seed))
            back = view.decode(scores, codes)
            np.testing.assert_array_equal(back.codes, table.codes)
            np.testing.assert_array_equal(members(layout, back), members(layout, table))
            flat = table.codes + layout.starts
            levels = np.concatenate([part.n_levels for part in layout.spans])[flat]
            slack = np.where(levels == CONTINUOUS, 4 * MARGIN / np.maximum(view.shares[flat], LEAST_SHARE), 0)
            is_close = np.abs(back.alphas - table.alphas) <= np.minimum(slack, 0.9)
            assert is_close[levels <= ATOM].all()

    @given(layouts(), st.integers(0, 2**32))
    def test_parts_are_of_the_stated_types_and_ranges(self, layout, seed):
        view = NormalScores.of(layout, random_table(layout, 30, seed))
        scores, codes = view.encode(random_table(layout, 20, seed + 1), seeded())
        assert scores.dtype == np.float32
        assert scores.shape == (20, len(view.score_spans))
        assert np.abs(scores).max(initial=0) < 5.21
        assert codes.shape == (20, len(view.sizes)) == (20, len(view.part_spans))
        assert ((codes >= 0) & (codes < np.array(view.sizes, dtype=int))).all()

    @given(layouts(), st.integers(0, 2**32))
    def test_any_scores_and_categories_make_a_table(self, layout, seed):
        rng = seeded(seed)
        view = NormalScores.of(layout, random_table(layout, 10, seed))
        codes = np.column_stack([rng.integers(0, k, 50) for k in view.sizes] or [np.zeros((50, 0), int)])
        table = view.decode(100 * rng.normal(size=(50, len(view.score_spans))).astype(np.float32), codes)
        assert (table.codes >= 0).all()
        assert (table.codes < [part.n_codes for part in layout.spans]).all()
        assert (np.abs(table.alphas) <= 1).all()

    def test_the_shares_are_the_whole_state(self):
        table = random_table(MIXED, 200)
        view = NormalScores.of(MIXED, table)
        again = NormalScores(MIXED, view.shares.copy())
        scores, codes = view.encode(table, seeded(3))
        for one, other in zip(again.encode(table, seeded(3)), (scores, codes), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(again.decode(scores, codes).alphas, view.decode(scores, codes).alphas)
        assert view.shares.shape == (MIXED.width,)


class TestScores:
    @pytest.mark.parametrize("layout", [MIXED, long_line(30, missing=True)], ids=["mixed", "atoms"])
    def test_they_are_standard_normal_whatever_the_codes(self, layout):
        """Alphas are uniform in `random_table`, as quantile modes make them."""
        table = random_table(layout, 20_000)
        scores, _ = NormalScores.of(layout, table).encode(table, seeded(1))
        for column in scores.T.astype(np.float64):
            assert kstest(column, norm.cdf).pvalue > 1e-3

    def test_a_rank_is_what_share_lies_below(self):
        """Three of four rows at the first atom: the others have ranks from 3/4 to 1."""
        layout = long_line(11)
        table = EncodedTable(np.array([[0], [0], [0], [10]], np.int32), np.zeros((4, 1)))
        scores, _ = NormalScores.of(layout, table).encode(table, seeded())
        border = norm.ppf(0.75)
        assert (scores[:3] < border).all()
        assert (scores[3] > border).all()

    def test_few_ordered_atoms_are_categories(self):
        table = random_table(long_line(MAX_LEVELS), 50)
        view = NormalScores.of(long_line(MAX_LEVELS), table)
        assert (len(view.score_spans), view.sizes) == (0, [MAX_LEVELS])
        layout = long_line(MAX_LEVELS + 1)
        view = NormalScores.of(layout, random_table(layout, 50))
        assert (len(view.score_spans), view.sizes) == (1, [])

    def test_a_missing_value_is_a_state_beside_the_score(self):
        layout = long_line(12, missing=True)
        table = EncodedTable(np.array([[0], [12]], np.int32), np.zeros((2, 1)))
        view = NormalScores.of(layout, table)
        assert view.sizes == [2]
        assert view.encode(table, seeded())[1].tolist() == [[0], [1]]

    def test_groups_have_a_part_for_their_members(self):
        view = NormalScores.of(MIXED, random_table(MIXED, 50))
        named = [(MIXED.spans[j].column, size) for j, size in zip(view.part_spans, view.sizes, strict=True)]
        assert named == [("town", 7), ("sex", 2), ("height", 2), ("rooms", 4), ("wage", 2)] + [
            ("town", 5),
            ("wage", 4),
        ]

    def test_atoms_are_spread_by_the_rng_alone(self):
        table = random_table(MIXED, 50)
        view = NormalScores.of(MIXED, table)
        one, same, other = (view.encode(table, seeded(k))[0] for k in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


def is_permitted(layout, table, permitted):
    """Tell for each row whether all permitted cells are, members by their cells."""
    met = np.ones(len(table), dtype=bool)
    for j, one in permitted.items():
        codes, alphas = table.codes[:, j, None], table.alphas[:, j, None]
        levels = layout.spans[j].n_levels[table.codes[:, j]][:, None]
        inside = (levels == ATOM) | ((one.low <= alphas) & (alphas <= one.high))
        met &= ((one.codes == codes) & inside).any(axis=1)
    return met


TOWN, HEIGHT = 0, 2
PERMITTED = {
    HEIGHT: Permitted(np.array([1, 2, 4]), np.array([-0.5, -1.0, 0.0]), np.array([1.0, 0.25, 0.0])),
    TOWN: Permitted(np.array([0, 3]), np.array([0.0, -0.2]), np.array([0.0, 0.2])),
}


class TestConditions:
    def test_scores_and_categories_say_what_is_permitted(self):
        table = random_table(MIXED, 500)
        view = NormalScores.of(MIXED, table)
        parts = view.permitted(HEIGHT, PERMITTED[HEIGHT])
        assert len(parts.low) == 1  # two neighbouring modes: one interval
        assert {k: mask.tolist() for k, mask in parts.categories.items()} == {2: [True, True]}
        inside = table.codes[:, HEIGHT]
        met = is_permitted(MIXED, table, {HEIGHT: PERMITTED[HEIGHT]}) & (inside != 4)
        score = view.encode(table, seeded())[0][:, parts.score]
        on_line = (inside > 0) & (inside < 4)
        within = (score >= parts.low[0] - 1e-6) & (score <= parts.high[0] + 1e-6)
        np.testing.assert_array_equal(within[on_line], met[on_line])

    def test_members_are_permitted_one_by_one(self):
        view = NormalScores.of(MIXED, random_table(MIXED, 100))
        parts = view.permitted(TOWN, PERMITTED[TOWN])
        assert parts.score is None
        assert len(parts.low) == 0
        assert parts.categories[0].tolist() == [True, False, False, True, False, False, False]
        assert parts.categories[5].tolist() == [
            True,
            False,
            True,
            False,
            False,
        ]  # no member, or the third of five

    @given(st.integers(0, 2**32))
    def test_imposing_makes_any_table_permitted_and_keeps_what_is(self, seed):
        table = random_table(MIXED, 200, seed)
        view = NormalScores.of(MIXED, random_table(MIXED, 100))
        made = view.impose(table, PERMITTED)
        assert is_permitted(MIXED, made, PERMITTED).all()
        met = is_permitted(MIXED, table, PERMITTED)
        np.testing.assert_array_equal(made.codes[met], table.codes[met])
        np.testing.assert_allclose(made.alphas[met], table.alphas[met], atol=1e-12)

    def test_a_number_moves_to_the_nearest_rank(self):
        layout = long_line(12)
        view = NormalScores.of(layout, random_table(layout, 100))
        table = EncodedTable(np.array([[0], [5], [11]], np.int32), np.zeros((3, 1)))
        only = {0: Permitted(np.array([2, 4, 9]), np.full(3, -1.0), np.full(3, 1.0))}
        assert view.impose(table, only).codes[:, 0].tolist() == [2, 4, 9]

    def test_whether_the_value_is_missing_is_a_matter_of_the_state(self):
        view = NormalScores.of(MIXED, random_table(MIXED, 100))
        present = Permitted(np.array([3]), np.array([0.0]), np.array([1.0]))
        missing = Permitted(np.array([4]), np.zeros(1), np.zeros(1))
        assert view.permitted(HEIGHT, present).categories[2].tolist() == [True, False]
        parts = view.permitted(HEIGHT, missing)
        assert parts.categories[2].tolist() == [False, True]
        assert len(parts.low) == 0
