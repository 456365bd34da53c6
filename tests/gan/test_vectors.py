"""Rows and conditions as vectors: what stands where, and what is drawn how often."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from synthgan.gan.vectors import (
    ConditionVectors,
    RowVectors,
    TrainingBySampling,
    cumulative,
    draw_slots,
    gumbel_noise,
)
from synthgan.layout import ATOM, CONTINUOUS, EncodedConditions, EncodedTable, Layout, Permitted
from tests.gan.tables import MIXED, atoms, layouts, random_table, seeded, span

NUMBERS = Layout.of([span("x", [CONTINUOUS] * 3, ordered=True)])
P_VALUE = 1e-4  # of each test of frequencies, seeds are fixed


def shares(layout, table):
    """Share of the rows that have each code."""
    codes = table.codes + layout.starts
    return np.bincount(codes.ravel(), minlength=layout.width) / len(table)


def permit(*codes):
    return Permitted(np.array(codes), np.full(len(codes), -1.0), np.ones(len(codes)))


class TestRows:
    @given(layouts(), st.integers(0, 99))
    def test_vectors_hold_the_alphas_and_one_code_a_column(self, layout, seed):
        table, vectors = random_table(layout, 7, seed), RowVectors(layout, 0.2)
        found = vectors(vectors.rows(table))
        n_fine = len(vectors.fine)
        assert found.shape == (7, vectors.width)
        np.testing.assert_allclose(found[:, :n_fine], table.alphas[:, vectors.fine], rtol=1e-6)
        assert found[:, n_fine:].sum() == 7 * len(layout)
        at = torch.from_numpy(table.codes + layout.starts + n_fine)
        assert (found.gather(1, at) == 1).all()

    @given(layouts(), st.integers(0, 99))
    def test_rows_come_back(self, layout, seed):
        table, vectors = random_table(layout, 7, seed), RowVectors(layout, 0.2)
        back = vectors.encoded(vectors.rows(table))
        assert (back.codes == table.codes).all()
        np.testing.assert_allclose(back.alphas, table.alphas, atol=1e-7)

    def test_vectors_are_made_of_alphas_in_the_range_and_codes_that_sum_to_one(self):
        vectors = RowVectors(MIXED, 0.2)
        made = vectors.activate(10 * torch.randn(50, vectors.width, generator=seeded()), noise(50))
        assert made[:, : len(vectors.fine)].abs().max() <= 1
        for part in made[:, len(vectors.fine) :].split(vectors.widths, dim=1):
            torch.testing.assert_close(part.sum(dim=1), torch.ones(50))
            assert part.min() >= 0

    def test_what_is_drawn_has_most_weight_and_nearly_all_at_a_low_temperature(self):
        raw, gumbel = torch.randn(200, RowVectors(MIXED, 1).width, generator=seeded()), noise(200)
        for temperature, least in ((1.0, 1 / 7), (1e-4, 0.999)):
            vectors = RowVectors(MIXED, temperature)
            weights = vectors.activate(raw, gumbel)[:, len(vectors.fine) :]
            codes = vectors.decide(raw, gumbel).codes
            heaviest = torch.stack([part.max(dim=1).values for part in weights.split(vectors.widths, 1)], 1)
            assert torch.equal(weights.gather(1, codes), heaviest)
            assert heaviest.median() > least

    def test_codes_are_drawn_from_the_softmax_of_the_logits(self):
        vectors = RowVectors(atoms(3), 0.2)
        raw = torch.tensor([0.1, 0.3, 0.6]).log().expand(5000, -1)
        counts = torch.bincount(vectors.decide(raw, gumbel_noise(5000, 3, seeded())).codes[:, 0])
        assert chisquare(counts, [500, 1500, 3000]).pvalue > P_VALUE

    def test_an_atom_has_no_alpha_whatever_was_generated(self):
        vectors = RowVectors(MIXED, 0.2)
        table = vectors.encoded(
            vectors.decide(3 + torch.randn(300, vectors.width, generator=seeded()), noise(300))
        )
        for j, part in enumerate(MIXED.spans):
            is_atom = part.n_levels[table.codes[:, j]] == ATOM
            assert (table.alphas[is_atom, j] == 0).all()
            assert (table.alphas[~is_atom, j] != 0).all()

    def test_the_ordered_codes_of_numbers_are_found(self):
        vectors = RowVectors(MIXED, 0.2)  # town 7, sex 2, height 4 and a missing one, rooms 4, wage 3
        n_fine = 3  # town, height, wage
        assert vectors.ordered == [
            (n_fine + 9, n_fine + 13),
            (n_fine + 14, n_fine + 18),
            (n_fine + 18, n_fine + 21),
        ]


def noise(n_rows):
    return gumbel_noise(n_rows, MIXED.width, seeded(1))


def test_gumbel_noise_has_its_moments_and_is_finite():
    drawn = gumbel_noise(2000, 100, seeded())
    assert torch.isfinite(drawn).all()
    assert drawn.mean().item() == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert drawn.var().item() == pytest.approx(math.pi**2 / 6, rel=0.02)


class TestConditions:
    def test_discrete_columns_are_those_without_intervals(self):
        conditions = ConditionVectors(MIXED)
        assert conditions.spans == [0, 1, 3]  # town, sex, rooms
        assert conditions.codes.tolist() == [*range(9), *range(14, 18)]
        assert conditions.n_codes.tolist() == [7] * 7 + [2] * 2 + [4] * 4
        assert conditions.first.tolist() == [0] * 7 + [7] * 2 + [14] * 4
        assert ConditionVectors(NUMBERS).width == 0
        assert ConditionVectors(atoms(1, 2)).spans == [1]  # one code is no choice

    def test_the_loss_is_zero_for_each_code_of_each_column_when_it_is_generated(self):
        conditions = ConditionVectors(MIXED)
        slots = torch.arange(conditions.width)
        logits = torch.full((conditions.width, MIXED.width), -50.0)
        logits[slots, conditions.codes] = 50.0
        assert conditions.loss(logits, slots) == 0
        assert conditions.loss(logits.roll(1, dims=0), slots) > 50

    def test_the_loss_is_that_of_the_column_of_the_condition_alone(self):
        conditions = ConditionVectors(atoms(2, 3))
        logits = torch.tensor([[9.0, -9.0, 1.0, 1.0, 1.0]], requires_grad=True)
        loss = conditions.loss(logits, torch.tensor([3]))
        assert loss.item() == pytest.approx(math.log(3))  # three codes alike
        loss.backward()
        assert logits.grad[0].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3 - 1, 1 / 3])
        assert ConditionVectors(NUMBERS).loss(torch.ones(1, 3), torch.tensor([0])) == 0

    @given(layouts(), st.integers(0, 99))
    def test_the_loss_and_its_slope_are_those_of_a_softmax_over_the_column(self, layout, seed):
        conditions, rng = ConditionVectors(layout), seeded(seed)
        assume(conditions.width)
        slots = torch.randint(conditions.width, (6,), generator=rng)
        logits = (9 * torch.randn(6, layout.width, generator=rng)).double().requires_grad_()
        starts = torch.from_numpy(layout.starts)
        expected = 0.0
        for row, code in zip(logits, conditions.codes[slots], strict=True):
            j = int((starts <= code).sum()) - 1
            column = row[starts[j] : starts[j] + layout.spans[j].n_codes]
            expected = expected + (column.logsumexp(dim=0) - row[code]) / 6
        loss = conditions.loss(logits, slots)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(*(torch.autograd.grad(x, logits)[0] for x in (loss, expected)))

    def test_the_slots_that_rows_meet_are_their_codes(self):
        table = EncodedTable(np.array([[1, 0], [0, 2]], np.int32), np.zeros((2, 2)))
        assert [slots.tolist() for slots in ConditionVectors(atoms(2, 3)).met(table)] == [[1, 0], [2, 4]]
        assert [slots.tolist() for slots in ConditionVectors(NUMBERS).met(random_table(NUMBERS, 2))] == [
            [0, 0]
        ]


class TestDrawing:
    def draw(self, layout, table, n_rows=6000, given=None):
        rng = np.random.default_rng(0)
        return ConditionVectors(layout).draw(shares(layout, table), n_rows, rng, given).numpy()

    def test_without_conditions_columns_are_uniform_and_codes_have_their_frequency(self):
        layout, table = atoms(2, 3), random_table(atoms(2, 3), 900)
        counts = np.bincount(self.draw(layout, table), minlength=5)
        assert chisquare(counts, 3000 * shares(layout, table)).pvalue > P_VALUE

    def test_a_known_cell_comes_before_a_permitted_one_and_that_before_others(self):
        layout, table = atoms(2, 3, 4), random_table(atoms(2, 3, 4), 900)
        cells = EncodedTable(np.array([[1, 2, 3]], np.int32), np.zeros((1, 3)))

        def given(known, permitted):
            return EncodedConditions(cells, np.array([known]), permitted)

        assert set(self.draw(layout, table, 500, given([True, False, True], {1: permit(0)}))) == {1, 8}
        assert set(self.draw(layout, table, 500, given([False] * 3, {1: permit(0, 2)}))) == {2, 4}
        assert set(self.draw(layout, table, 500, given([False] * 3, {}))) == set(range(9))
        none = given([False, True, False], {1: permit(0)})  # it is known, whatever else is permitted
        assert set(self.draw(layout, table, 500, none)) == {4}

    def test_each_row_gets_its_own_condition(self):
        cells = EncodedTable(np.array([[0, 1], [1, 2], [1, 0]], np.int32), np.zeros((3, 2)))
        known = np.array([[True, False], [False, True], [True, False]])
        given = EncodedConditions(cells, known, {})
        assert self.draw(atoms(2, 3), random_table(atoms(2, 3), 9), 3, given).tolist() == [0, 4, 1]

    def test_a_permitted_code_that_was_never_seen_can_be_drawn(self):
        table = EncodedTable(np.zeros((5, 1), np.int32), np.zeros((5, 1)))
        nothing = EncodedTable(np.zeros((1, 1), np.int32), np.zeros((1, 1)))
        given = EncodedConditions(nothing, np.array([[False]]), {0: permit(2)})
        assert set(self.draw(atoms(3), table, 50, given)) == {2}

    def test_the_table_of_slots_is_never_left(self):
        table = cumulative(torch.tensor([0.1] * 10 + [0.3] * 3), [10, 3])
        top = torch.tensor([1 - 2**-53] * 2, dtype=torch.float64)
        assert draw_slots(table, torch.tensor([0, 1]), top).tolist() == [9, 12]


class TestTrainingBySampling:
    def of(self, layout, n_rows=400, log_frequency=True):
        vectors, conditions = RowVectors(layout, 0.2), ConditionVectors(layout)
        codes = vectors.rows(random_table(layout, n_rows)).codes
        return codes, conditions, TrainingBySampling(conditions, codes, log_frequency)

    @given(layouts(), st.integers(0, 99))
    def test_every_row_meets_its_condition(self, layout, seed):
        codes, conditions, sampler = self.of(layout, n_rows=30)
        slots, rows = sampler.draw(50, seeded(seed))
        assert rows.min() >= 0
        assert rows.max() < 30
        if conditions.spans:
            span_of_slot = torch.tensor(conditions.spans).repeat_interleave(torch.tensor(conditions.widths))
            own = codes[rows, span_of_slot[slots]]
            assert torch.equal(own.long(), conditions.codes[slots])

    @pytest.mark.parametrize("log_frequency", [True, False])
    def test_columns_are_uniform_and_codes_follow_the_law(self, log_frequency):
        codes, conditions, sampler = self.of(MIXED, log_frequency=log_frequency)
        slots, _ = sampler.draw(9000, seeded())
        counts = torch.bincount(codes.flatten(), minlength=MIXED.width)[conditions.codes].double()
        weight = counts.log1p() if log_frequency else counts
        expected = torch.cat([3000 * part / part.sum() for part in weight.split(conditions.widths)])
        assert chisquare(torch.bincount(slots, minlength=13), expected).pvalue > P_VALUE

    def test_the_rows_of_a_code_are_drawn_alike(self):
        codes, _, sampler = self.of(atoms(2), n_rows=60)
        slots, rows = sampler.draw(6000, seeded())
        drawn = torch.bincount(rows[slots == 1], minlength=60)[codes[:, 0] == 1]
        assert chisquare(drawn).pvalue > P_VALUE

    def test_without_discrete_columns_all_rows_are_drawn_alike(self):
        _, _, sampler = self.of(NUMBERS, n_rows=40)
        slots, rows = sampler.draw(4000, seeded())
        assert (slots == 0).all()
        assert chisquare(torch.bincount(rows, minlength=40)).pvalue > P_VALUE
