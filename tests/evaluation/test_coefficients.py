import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.metrics import normalized_mutual_info_score

from synthgan.evaluation.coefficients import (
    correlation_ratio,
    correlations,
    cramers_v,
    normalised_information,
)
from synthgan.evaluation.features import standardised

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=60)


def contingency(pairs):
    """Places and counts of the cells that occur."""
    cells, counts = np.unique(np.array(pairs), axis=0, return_counts=True)
    return cells[:, 0], cells[:, 1], counts


class TestCramersV:
    @pytest.mark.parametrize(
        ("counts", "expected"),
        [
            # chi2 = 10 over n = 10: phi2 1 - 1/9 = 8/9; 2 - 1/9 - 1 = 8/9
            ([5, 0, 0, 5], 1.0),
            # chi2 = 0, below what chance gives
            ([5, 5, 5, 5], 0.0),
            # chi2 = 4 * 3**2 / 5 = 7.2 over n = 20: phi2 = .36 - 1/19 = .30737; 2 - 1/19 - 1 = .94737
            ([8, 2, 2, 8], (0.30737 / 0.94737) ** 0.5),
        ],
    )
    def test_by_hand(self, counts, expected):
        rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        assert cramers_v(rows, columns, np.array(counts)) == pytest.approx(expected, abs=1e-5)

    def test_nears_scipy_in_large_tables(self):
        table = np.array([[30, 10, 5], [4, 20, 40]]) * 10_000
        rows, columns = np.indices(table.shape)
        expected = association(table, method="cramer")
        assert cramers_v(rows.ravel(), columns.ravel(), table.ravel()) == pytest.approx(expected, abs=1e-5)

    def test_independent_rare_categories_look_unrelated(self):
        rng = np.random.default_rng(0)
        pairs = rng.integers(0, 40, (500, 2))
        table = pd.crosstab(pairs[:, 0], pairs[:, 1])
        assert association(table, method="cramer") > 0.25
        assert cramers_v(*contingency(pairs)) < 0.1

    def test_a_constant_column_has_none(self):
        assert np.isnan(cramers_v(np.array([0, 0]), np.array([0, 1]), np.array([3, 4])))

    def test_categories_of_their_own_have_none(self):
        assert np.isnan(cramers_v(np.arange(50), np.arange(50), np.ones(50, dtype=int)))

    @given(LABELS)
    def test_symmetric_and_in_range(self, pairs):
        rows, columns, counts = contingency(pairs)
        value = cramers_v(rows, columns, counts)
        assert value == pytest.approx(cramers_v(columns, rows, counts), abs=1e-9, nan_ok=True)
        assert np.isnan(value) or 0 <= value <= 1


class TestCorrelationRatio:
    def test_by_hand(self):
        # -1 0 | 0 1: means -1/2 and 1/2, between 4/4 = 1, around 2: eta2 = 1/2; 1 - 1/2 * 3/2 = 1/4
        values = standardised(np.array([-1.0, 0.0, 0.0, 1.0]))
        assert correlation_ratio(np.array([0, 0, 1, 1]), values) == pytest.approx(0.5)

    def test_rows_without_a_number_are_left_out(self):
        values = standardised(np.array([-1.0, np.nan, 0.0, 0.0, 1.0, np.nan]))
        assert correlation_ratio(np.array([0, 7, 0, 1, 1, 1]), values) == pytest.approx(0.5)

    def test_equals_the_analysis_of_variance(self):
        rng = np.random.default_rng(0)
        groups = rng.integers(0, 4, 300)
        values = standardised(rng.normal(size=300) + groups)
        parts = [values[groups == k] for k in range(4)]
        within = sum(((part - part.mean()) ** 2).sum() for part in parts) / 296
        assert correlation_ratio(groups, values) ** 2 == pytest.approx(1 - within / values.var(ddof=1))

    def test_independent_rare_categories_look_unrelated(self):
        rng = np.random.default_rng(0)
        groups, values = rng.integers(0, 200, 5000), standardised(rng.normal(size=5000))
        means = np.bincount(groups, values) / np.bincount(groups)
        assert means[groups].std() > 0.18  # eta without the correction
        assert correlation_ratio(groups, values) < 0.05

    @pytest.mark.parametrize(
        ("groups", "values"),
        [
            ([0, 0, 0], [1.0, 2.0, 3.0]),
            ([0, 1, 1], [5.0, 5.0, 5.0]),
            ([0, 1, 2], [1.0, 2.0, 3.0]),
            ([0, 1, 1], [np.nan, np.nan, np.nan]),
            ([0], [1.0]),
        ],
    )
    def test_none_where_nothing_can_be_told(self, groups, values):
        assert np.isnan(correlation_ratio(np.array(groups), standardised(np.array(values))))


class TestInformation:
    @given(LABELS)
    def test_equals_scikit_learn(self, pairs):
        first, second = np.array(pairs).T
        found = normalised_information(contingency(pairs)[2], np.bincount(first), np.bincount(second))
        if len(set(first)) + len(set(second)) > 2:  # which calls two constant columns 1
            assert found == pytest.approx(normalized_mutual_info_score(first, second), abs=1e-9)
        else:
            assert found == 0.0


class TestCorrelations:
    def test_equal_numpy(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
        matrix = np.column_stack([standardised(column) for column in values.T])
        assert correlations(matrix) == pytest.approx(np.corrcoef(values.T))

    def test_equal_pandas_where_cells_are_missing(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
        values[rng.random(values.shape) < 0.3] = np.nan
        matrix = np.column_stack([standardised(column) for column in values.T])
        assert correlations(matrix) == pytest.approx(pd.DataFrame(values).corr().to_numpy())

    def test_undefined_for_constants(self):
        assert np.isnan(correlations(np.array([[0.0, 1.0], [0.0, -1.0]]))[0, 1])
