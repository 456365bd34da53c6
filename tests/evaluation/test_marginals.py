import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from synthgan.errors import DataError
from synthgan.evaluation.marginals import (
    column_errors,
    ks_statistic,
    missing_error,
    shape_error,
    total_variation,
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


@given(st.data())
def test_errors_of_any_two_tables_lie_between_0_and_1(data):
    frame = data.draw(frames().filter(lambda frame: len(frame) > 1))
    try:
        tables = code_tables(frame.iloc[::2], frame.iloc[1::2])
    except DataError:
        return
    assert column_errors(*tables)["error"].between(0, 1 + 1e-12).all()


def test_errors_grow_with_corruption(adult):
    real, _ = adult
    rng = np.random.default_rng(0)
    shape = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = real.codes.copy()
        mixed[rng.random(mixed.shape) < share] = 0
        shape.append(shape_error(real, type(real)(real.domain, mixed)))
    assert shape[0] == 0.0
    assert shape == sorted(shape)


def test_the_floor_is_not_far_from_the_ceiling(adult):
    real, holdout = adult
    floor = real.independent(len(real), np.random.default_rng(0))
    assert shape_error(real, floor) < 1.5 * shape_error(
        real, holdout
    )  # single columns say nothing of relations
