import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from synthgan.errors import DataError
from synthgan.evaluation.marginals import (
    column_errors,
    column_summary,
    jensen_shannon,
    ks_statistic,
    missing_error,
    quantile_cells,
    shape_error,
    total_variation,
    wasserstein,
)
from synthgan.evaluation.tables import code_tables
from tests.strategies import frames

NUMBERS = st.lists(st.integers(-5, 5), min_size=1, max_size=20)


def coded(real, synthetic, **kinds):
    return code_tables(pd.DataFrame(real), pd.DataFrame(synthetic), kinds=kinds or None)


class TestColumns:
    def test_four_rows_by_hand(self):
        # a: F_real = 1/4 2/4 3/4 1, F_synthetic = 2/4 3/4 3/4 1 at 1, 2, 3, 4: the largest gap is 1/4.
        # c: real x 2/4, y 2/4; synthetic x 1/4, y 2/4, missing 1/4: half of 1/4 + 1/4 is 1/4.
        tables = coded(
            {"a": [1, 2, 3, 4], "c": list("xxyy")}, {"a": [1, 1, 2, 4], "c": ["x", "y", "y", None]}
        )
        assert column_errors(*tables)["error"].tolist() == [0.25, 0.25]
        assert column_errors(*tables)["method"].tolist() == ["ks", "tv"]
        assert shape_error(*tables) == 0.25
        assert missing_error(*tables) == 0.125  # 0 and 1/4

    @pytest.mark.filterwarnings("ignore:ks_2samp")  # of its p-value
    @given(NUMBERS, NUMBERS)
    def test_ks_equals_scipy(self, first, second):
        counts = [np.bincount(np.array(x) + 5, minlength=11) for x in (first, second)]
        assert ks_statistic(*counts) == pytest.approx(ks_2samp(first, second).statistic, abs=1e-12)
        assert ks_statistic(*counts) == ks_statistic(*counts[::-1])

    @given(NUMBERS, NUMBERS)
    def test_total_variation_is_a_distance(self, first, second):
        counts = [np.bincount(np.array(x) + 5, minlength=11) for x in (first, second)]
        assert total_variation(*counts) == total_variation(*counts[::-1])
        assert ks_statistic(*counts) <= total_variation(*counts) + 1e-12 <= 1 + 1e-12
        assert total_variation(counts[0], counts[0]) == 0.0

    def test_dates_and_durations_are_ordered(self):
        days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"])
        real = {"t": days, "d": days - days[0]}
        synthetic = {"t": days[[0, 0, 1, 3]], "d": (days - days[0])[[0, 0, 1, 3]]}
        assert column_errors(*coded(real, synthetic))["error"].tolist() == [0.25, 0.25]

    def test_missing_numbers_are_dropped_and_counted(self):
        tables = coded({"a": [1.0, 2.0, None, None]}, {"a": [1.0, 2.0, 1.0, 2.0]})
        assert shape_error(*tables) == 0.0
        assert missing_error(*tables) == 0.5

    def test_a_column_that_lost_all_values_is_all_wrong(self):
        assert shape_error(*coded({"a": [1.0, 2.0]}, {"a": [None, None]})) == 1.0

    def test_a_new_category_counts_in_full(self):
        assert shape_error(*coded({"c": ["x", "y"]}, {"c": ["new", "newer"]})) == 1.0

    def test_symmetric(self, adult):
        assert shape_error(*adult) == pytest.approx(shape_error(*adult[::-1]), abs=1e-12)


class TestWasserstein:
    @given(NUMBERS, NUMBERS)
    def test_equals_scipy_over_the_interquartile_range(self, first, second):
        counts = [np.bincount(np.array(x) + 5, minlength=11) for x in (first, second)]
        lower, upper = np.quantile(first, [0.25, 0.75], method="inverted_cdf")
        assume(upper > lower)
        expected = wasserstein_distance(first, second) / (upper - lower)
        assert wasserstein(np.arange(-5.0, 6.0), *counts) == pytest.approx(expected, abs=1e-12)

    def test_a_range_of_zero_by_hand(self):
        # real 0 0 0 0 8: quartiles 0 and 0, mean distance from the median 8/5; synthetic all 0: moved 8/5
        assert wasserstein(np.array([0.0, 8.0]), np.array([4, 1]), np.array([5, 0])) == pytest.approx(1.0)
        # real all 0, synthetic 0 and 8: moved 4, the range of both is 8
        assert wasserstein(np.array([0.0, 8.0]), np.array([2, 0]), np.array([1, 1])) == 0.5
        assert wasserstein(np.array([0.0, 8.0]), np.array([2, 0]), np.array([9, 0])) == 0.0

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1.7e308])
    def test_does_not_depend_on_the_scale(self, scale):
        values = np.array([-1.0, 0.0, 0.5, 1.0]) * scale
        moved = wasserstein(values, np.array([1, 1, 1, 1]), np.array([0, 1, 1, 2]))
        # quartiles -1 and 1/2; a quarter of the rows moves by 2
        assert moved == pytest.approx(0.5 / 1.5)

    def test_one_absurd_value_stays_finite(self):
        found = column_errors(*coded({"a": [0.0, 1e-9, 2e-9, 3e-9]}, {"a": [0.0, 1e-9, 2e-9, 1e308]}))
        assert found["wasserstein"].item() == 1e100


class TestJensenShannon:
    @given(NUMBERS, NUMBERS)
    def test_equals_scipy(self, first, second):
        counts = [np.bincount(np.array(x) + 5, minlength=11) for x in (first, second)]
        expected = jensenshannon(*counts, base=2)
        assert jensen_shannon(*counts) == pytest.approx(np.nan_to_num(expected), abs=1e-7)
        assert jensen_shannon(*counts) ** 2 <= total_variation(*counts) + 1e-12  # Lin (1991), theorem 3
        assert jensen_shannon(counts[0], counts[0]) == 0.0

    def test_numbers_are_compared_in_bins_of_the_real_table(self):
        # 0..39 in 20 bins of two: 0, 2, 4, ... doubled fill the same bins
        real = np.arange(40)
        found = column_errors(*coded({"a": real}, {"a": real // 2 * 2}, a="numerical"))
        assert found["jensen_shannon"].item() == 0.0
        assert found["error"].item() == pytest.approx(0.025)


class TestQuantileCells:
    def test_bins_of_distinct_values_are_equally_full(self):
        assert np.bincount(quantile_cells(np.ones(100, dtype=int), 10)).tolist() == [10] * 10

    def test_equal_values_stay_together(self):
        # 0 has 8 of 10 values and its middle at 0.4, 1 and 2 theirs at 0.85 and 0.95
        assert quantile_cells(np.array([8, 1, 1]), 10).tolist() == [4, 8, 9]

    @given(st.lists(st.integers(0, 9), min_size=1), st.integers(1, 20))
    def test_ascending_and_in_range(self, counts, n_bins):
        cells = quantile_cells(np.array(counts), n_bins)
        assert (np.diff(cells) >= 0).all()
        assert cells.min() >= 0
        assert cells.max() < n_bins


class TestCoverage:
    def test_ranges_by_hand(self):
        # real 0..10, synthetic 5..20: half of the range is covered, 5 and 10 of 5 10 20 20 lie in it
        found = column_errors(*coded({"a": [0, 3, 10, 7]}, {"a": [5, 10, 20, 20]}, a="numerical")).iloc[0]
        assert found["coverage"] == 0.5
        assert found["adherence"] == 0.5

    def test_ranges_that_do_not_meet(self):
        found = column_errors(*coded({"a": [0.0, 1.0]}, {"a": [5.0, 6.0]}, a="numerical")).iloc[0]
        assert found["coverage"] == found["adherence"] == 0.0

    def test_a_constant_is_covered_or_not(self):
        found = [
            column_errors(*coded({"a": [1.0, 1.0]}, {"a": values}, a="numerical"))["coverage"].item()
            for values in ([0.0, 2.0], [2.0, 3.0])
        ]
        assert found == [1.0, 0.0]

    def test_integers_that_are_equal_as_floats_count_as_one_value(self):
        large = np.iinfo(np.int64).max - np.arange(3)
        found = column_errors(*coded({"a": large}, {"a": large[1:]}, a="numerical"))["coverage"].item()
        assert found == 1.0

    def test_categories_by_hand(self):
        # x and z of x y z occur; 3 of the 4 cells that hold something hold a real category
        real, synthetic = {"c": ["x", "x", "y", "z", "z"]}, {"c": ["x", "x", "z", "new", None]}
        found = column_errors(*coded(real, synthetic)).iloc[0]
        assert found["coverage"] == pytest.approx(2 / 3)
        assert found["adherence"] == 0.75

    def test_missing_cells_do_not_count(self):
        real, synthetic = {"c": ["x", None], "a": [1.0, 2.0]}, {"c": ["x", "x"], "a": [np.nan, np.nan]}
        found = column_errors(*coded(real, synthetic, c="categorical")).set_index("column")
        assert found["coverage"].tolist() == [1.0, 0.0]
        assert found["adherence"].isna().tolist() == [False, True]
        back = column_errors(*coded(synthetic, real, c="categorical", a="numerical")).set_index("column")
        assert np.isnan(back.loc["a", "coverage"])
        assert back.loc["a", "adherence"] == 0.0


class TestSummary:
    def test_by_hand(self):
        # a: as in test_ranges_by_hand; c and d: one of two categories occurs, alone
        real = {"a": [0, 3, 10, 7], "c": list("xxyy"), "d": list("xxyy")}
        synthetic = {"a": [5, 10, 20, 20], "c": list("xxxx"), "d": list("yyyy")}
        found = column_summary(column_errors(*coded(real, synthetic)))
        assert found["range_coverage"] == found["category_coverage"] == 0.5
        assert found["adherence"] == pytest.approx((0.5 + 1 + 1) / 3)
        assert found["shape_error"] == pytest.approx((0.5 + 0.5 + 0.5) / 3)
        # sorted real 0 3 7 10 against 5 10 20 20: moved 5 + 7 + 13 + 10 over 4, quartiles 0 and 7
        assert found["wasserstein_error"] == pytest.approx(35 / 4 / 7)

    def test_equals_the_functions_of_the_same_name(self, adult):
        found = column_summary(column_errors(*adult))
        assert found["shape_error"] == shape_error(*adult)
        assert found["missing_error"] == missing_error(*adult)

    def test_a_table_equals_itself(self, adult):
        found = column_summary(column_errors(adult[0], adult[0]))
        best = {"range_coverage": 1.0, "category_coverage": 1.0, "adherence": 1.0}
        assert found == dict.fromkeys(found, 0.0) | best

    def test_what_no_column_defines_is_nan(self):
        found = column_summary(column_errors(*coded({"c": ["x", "y"]}, {"c": ["x", "y"]})))
        assert [name for name, value in found.items() if np.isnan(value)] == [
            "wasserstein_error",
            "range_coverage",
        ]


@given(st.data())
def test_errors_of_any_two_tables_lie_between_0_and_1(data):
    frame = data.draw(frames().filter(lambda frame: len(frame) > 1))
    try:
        tables = code_tables(frame.iloc[::2], frame.iloc[1::2])
    except DataError:
        return
    found = column_errors(*tables)
    for name in ("error", "jensen_shannon", "coverage", "adherence"):
        assert found[name].dropna().between(0, 1 + 1e-12).all()
    assert found[["error", "jensen_shannon"]].notna().all(axis=None)
    assert (found["wasserstein"].dropna() >= 0).all()
    assert np.isfinite(found["wasserstein"].dropna()).all()


def test_errors_grow_with_corruption(adult):
    real, _ = adult
    rng = np.random.default_rng(0)
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = real.codes.copy()
        mixed[rng.random(mixed.shape) < share] = 0
        found.append(column_summary(column_errors(real, type(real)(real.domain, mixed))))
    for name in ("shape_error", "wasserstein_error", "jensen_shannon_error"):
        values = [summary[name] for summary in found]
        assert values[0] == 0.0
        assert values == sorted(values)
    for name in ("range_coverage", "category_coverage"):
        assert found[-1][name] < found[0][name] == 1.0


def test_the_order_of_rows_does_not_matter(mixed):
    frame, other = mixed(200, 0), mixed(200, 1)
    shuffled = other.iloc[np.random.default_rng(0).permutation(200)]
    first = column_errors(*code_tables(frame, other))
    pd.testing.assert_frame_equal(first, column_errors(*code_tables(frame, shuffled)))


def test_the_floor_is_not_far_from_the_ceiling(adult):
    real, holdout = adult
    floor = real.independent(len(real), np.random.default_rng(0))
    below, above = (column_summary(column_errors(real, table)) for table in (floor, holdout))
    for name in ("shape_error", "wasserstein_error", "jensen_shannon_error"):
        assert below[name] < 1.5 * above[name]  # single columns say nothing of relations


def test_tens_of_thousands_of_categories():
    frame = pd.DataFrame({"c": pd.Series(np.arange(30_000).astype(str), dtype="category")})
    found = column_errors(*code_tables(frame.iloc[:20_000], frame.iloc[10_000:], kinds={"c": "categorical"}))
    assert found[["error", "coverage", "adherence"]].iloc[0].tolist() == pytest.approx([0.5, 0.5, 0.5])
