"""Rows that meet conditions: how candidates are compared, chosen and corrected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.gan.candidates import PermittedCells, agreement, best_candidates, impose
from synthgan.layout import CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted
from tests.gan.tables import MIXED, atoms, random_table, span

HEIGHT = MIXED.spans[2]  # an atom, three intervals, the missing value


def table_of(*rows, alphas=None):
    codes = np.array(rows, np.int32)
    return EncodedTable(codes, np.zeros(codes.shape) if alphas is None else np.array(alphas))


def permit(codes, low=-1.0, high=1.0):
    codes = np.atleast_1d(codes)
    return Permitted(codes, np.full(len(codes), low), np.full(len(codes), high))


class TestPermittedCells:
    def test_bounds_of_alpha_are_kept(self):
        cells = PermittedCells.of(HEIGHT, permit([0, 2], -0.5, 0.25))
        codes = np.array([0, 1, 2, 2, 2, 2, 4], np.int32)
        alphas = np.array([0, 0, -0.51, -0.49, 0.24, 0.26, 0])
        assert cells.contain(codes, alphas).tolist() == [True, False, False, True, True, False, False]

    @given(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 99))
    def test_what_is_drawn_is_contained(self, a, b, seed):
        cells = PermittedCells.of(HEIGHT, permit([0, 1, 3], min(a, b), max(a, b)))
        codes, alphas = cells.draw(np.full(5, 0.2), 40, np.random.default_rng(seed))
        assert cells.contain(codes, alphas).all()
        assert (alphas[codes == 0] == 0).all()

    def test_codes_are_drawn_by_their_frequency(self):
        cells = PermittedCells.of(HEIGHT, permit([1, 2]))
        codes, _ = cells.draw(np.array([0.4, 0.1, 0.3, 0.1, 0.1]), 4000, np.random.default_rng(0))
        assert (codes == 2).mean() == pytest.approx(0.75, abs=0.03)

    def test_a_member_of_a_group_is_permitted_as_a_whole(self):
        town = MIXED.spans[0]  # its code 3 has five members
        cells = PermittedCells.of(town, permit(3, -0.4, -0.4))  # the middle of the second one
        alphas = np.array([-0.61, -0.59, -0.4, -0.21, -0.19])
        assert cells.contain(np.full(5, 3), alphas).tolist() == [False, True, True, True, False]

    def test_what_was_never_seen_can_be_drawn(self):
        cells = PermittedCells.of(HEIGHT, permit(3))
        assert set(cells.draw(np.zeros(5), 9, np.random.default_rng(0))[0]) == {3}


def slow_agreement(layout, pool, conditions):
    """The same cell by cell."""
    found = np.zeros((len(conditions.table), len(pool)))
    for i, m in np.ndindex(found.shape):
        for j, part in enumerate(layout.spans):
            code, alpha = pool.codes[m, j], pool.alphas[m, j]
            if conditions.known[i, j]:
                if code == conditions.table.codes[i, j]:
                    found[i, m] += 1 - (alpha - conditions.table.alphas[i, j]) ** 2 / 4
            elif j in conditions.permitted:
                cells = PermittedCells.of(part, conditions.permitted[j])
                found[i, m] += cells.contain(np.array([code]), np.array([alpha]))[0]
    return found


@given(st.integers(0, 999))
def test_agreement_counts_cells(seed):
    rng = np.random.default_rng(seed)
    pool, rows = random_table(MIXED, 6, seed), random_table(MIXED, 4, seed + 1)
    permitted = {j: permit([0, 1], -0.5, 0.9) for j in range(5) if rng.random() < 0.5}
    conditions = EncodedConditions(rows, rng.random((4, 5)) < 0.4, permitted)
    expected = slow_agreement(MIXED, pool, conditions)
    np.testing.assert_allclose(agreement(MIXED, pool, conditions), expected, atol=1e-5)


def test_numbers_agree_the_more_the_nearer_they_are():
    layout = Layout.of([span("x", [CONTINUOUS, CONTINUOUS], ordered=True)])
    pool = table_of([0], [0], [0], [1], alphas=[[0.5], [-0.5], [0.4], [0.5]])
    conditions = EncodedConditions(table_of([0], alphas=[[0.5]]), np.array([[True]]), {})
    assert agreement(layout, pool, conditions)[0].tolist() == pytest.approx([1, 0.75, 1 - 0.0025, 0])


class TestChoice:
    def test_one_row_for_all_gets_the_best_candidates_each_once(self):
        pool = table_of([0, 0], [1, 1], [1, 0], [1, 1], [0, 1], [1, 1])
        conditions = EncodedConditions(table_of([1, 1]), np.array([[True, True]]), {})
        assert best_candidates(atoms(2, 2), pool, conditions, 3).tolist() == [1, 3, 5]

    def test_where_few_meet_the_conditions_they_serve_several_rows_but_not_too_many(self):
        conditions = EncodedConditions(table_of([1]), np.array([[True]]), {})
        pool = table_of(*[[0]] * 80)
        pool.codes[[7, 50], 0] = 1
        assert best_candidates(atoms(2), pool, conditions, 10).tolist() == [7, 50] * 5
        pool = table_of(*[[0]] * 800)
        pool.codes[[7, 50], 0] = 1
        chosen = best_candidates(atoms(2), pool, conditions, 100)
        assert np.bincount(chosen).max() <= 9
        assert {7, 50} < set(chosen)

    def test_each_row_gets_its_best_candidate_and_its_own_among_equals(self):
        pool = table_of([0, 0], [1, 1], [1, 1], [0, 1])  # two candidates for each of two rows
        known = np.array([[True, True], [True, True]])
        conditions = EncodedConditions(table_of([1, 1], [1, 1]), known, {})
        assert best_candidates(atoms(2, 2), pool, conditions, 2).tolist() == [1, 2]
        conditions = EncodedConditions(table_of([0, 1], [0, 0]), known, {})
        assert best_candidates(atoms(2, 2), pool, conditions, 2).tolist() == [3, 0]

    @pytest.mark.parametrize("n_rows", [1, 50, 300])
    def test_chunks_do_not_matter(self, monkeypatch, n_rows):
        layout, pool = atoms(3, 4, 5), random_table(atoms(3, 4, 5), 4 * n_rows)
        rows = random_table(layout, n_rows, seed=1)
        conditions = EncodedConditions(rows, np.random.default_rng(0).random((n_rows, 3)) < 0.6, {})
        expected = best_candidates(layout, pool, conditions, n_rows)
        monkeypatch.setattr("synthgan.gan.candidates._CHUNK", 4 * n_rows)
        assert (best_candidates(layout, pool, conditions, n_rows) == expected).all()


class TestImposing:
    def test_known_cells_are_set_and_permitted_ones_moved_into_what_is_permitted(self):
        table, rows = random_table(MIXED, 200), random_table(MIXED, 200, seed=1)
        known = np.random.default_rng(2).random((200, 5)) < 0.3
        conditions = EncodedConditions(rows, known, {2: permit([1, 3], 0.0, 0.5), 3: permit([2])})
        frequency = np.full(MIXED.width, 0.1)
        found = impose(MIXED, table, conditions, frequency, np.random.default_rng(0))
        assert (found.codes[known] == rows.codes[known]).all()
        assert (found.alphas[known] == rows.alphas[known]).all()
        free = ~known[:, 2]
        assert np.isin(found.codes[free, 2], [1, 3]).all()
        assert ((found.alphas[free, 2] >= 0) & (found.alphas[free, 2] <= 0.5)).all()
        assert (found.codes[~known[:, 3], 3] == 2).all()

    def test_what_is_permitted_already_stays(self):
        table = random_table(MIXED, 100)
        one = EncodedTable(np.zeros((1, 5), np.int32), np.zeros((1, 5)))
        everything = {j: permit(np.arange(part.n_codes)) for j, part in enumerate(MIXED.spans)}
        conditions = EncodedConditions(one, np.zeros((1, 5), dtype=bool), everything)
        frequency = np.full(MIXED.width, 0.1)
        found = impose(MIXED, table, conditions, frequency, np.random.default_rng(0))
        assert (found.codes == table.codes).all()
        assert (found.alphas == table.alphas).all()
