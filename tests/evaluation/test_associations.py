import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError
from synthgan.evaluation.associations import pair_errors, trend_error
from synthgan.evaluation.tables import code_tables
from tests.strategies import frames


def coded(real, synthetic, **kinds):
    return code_tables(pd.DataFrame(real), pd.DataFrame(synthetic), kinds=kinds or None)


class TestPairs:
    @pytest.mark.parametrize(
        ("b", "error"), [([1, 2, 3, 4], 0.0), ([4, 3, 2, 1], 1.0), ([1, -1, -1, 1], 0.5)]
    )
    def test_correlations_by_hand(self, b, error):
        # r_real = 1; r_synthetic = 1, -1 and 0: with deviations -3/2 -1/2 1/2 3/2 of a the products cancel
        a = [1, 2, 3, 4]
        pairs = pair_errors(*coded({"a": a, "b": a}, {"a": a, "b": b}))
        assert pairs["method"].tolist() == ["pearson"]
        assert pairs["error"].item() == pytest.approx(error, abs=1e-12)

    def test_joint_table_by_hand(self):
        # real: xu 1/2, yv 1/2; synthetic: xu xv yu yv 1/4 each: half of 4 times 1/4
        tables = coded({"c": list("xxyy"), "d": list("uuvv")}, {"c": list("xxyy"), "d": list("uvuv")})
        assert trend_error(*tables) == 0.5

    def test_bins_of_each_table_by_hand(self):
        # real bins of width 1 up to 10: 0 is in the first, 10 (the greatest) alone: (1,x) 1/2, (11,y) 1/2.
        # synthetic bins of width 10 up to 100: (1,x) 1/2, (2,y) 1/4, (11,y) 1/4: half of 1/4 + 1/4.
        # With the real bins in both, 10 and 100 are beyond the last edge alike: no error.
        tables = coded({"a": [0, 0, 10, 10], "c": list("xxyy")}, {"a": [0, 0, 10, 100], "c": list("xxyy")})
        assert trend_error(*tables) == 0.25
        assert trend_error(*tables, shared_bins=True) == 0.0

    def test_a_missing_number_is_a_bin_of_its_own(self):
        # real: missing with x; synthetic: missing with y: (11,x) (0,x) against (11,x) (0,y)
        real = {"a": [1.0, None, 1.0, None], "c": list("xxxx")}
        tables = coded(real, real | {"c": list("xyxy")}, c="categorical")
        assert trend_error(*tables) == 0.5

    def test_correlation_uses_the_rows_that_have_both(self):
        # the first three rows have both, and correlate perfectly
        real = {"a": [1.0, 2.0, 3.0, 9.0], "b": [1.0, 2.0, 3.0, None]}
        tables = coded(real, {"a": [1.0, 2.0, 3.0, 4.0], "b": [3.0, 2.0, 1.0, 0.0]})
        assert trend_error(*tables) == pytest.approx(1.0)

    def test_equals_numpy_and_pandas_on_adult(self, adult):
        real, other = adult
        pairs = pair_errors(real, other).set_index(["first", "second"])
        matrices = []
        for table in adult:
            numbers = pd.DataFrame(
                {n: table.numbers(n) for n in table.domain.names if table.domain.is_ordered(n)}
            )
            matrices.append(numbers.corr())
        assert pairs.loc[("age", "fnlwgt"), "error"] == pytest.approx(
            abs(matrices[0] - matrices[1]).loc["age", "fnlwgt"] / 2, abs=1e-12
        )
        joint = []
        for table in adult:
            ages = table.numbers("age")
            bins = np.digitize(ages, np.histogram_bin_edges(ages, bins=10))
            joint.append(pd.crosstab(bins, table.column("education"), normalize=True))
        gap = joint[0].sub(joint[1], fill_value=0).abs().to_numpy().sum() / 2
        assert pairs.loc[("age", "education"), "error"] == pytest.approx(gap, abs=1e-12)

    def test_undefined_correlations_are_left_out(self):
        constant = {"a": [5, 5, 5, 5], "b": [1, 2, 3, 4]}
        tables = coded(constant, constant, a="numerical")
        assert pair_errors(*tables)["error"].isna().all()
        varied = coded(constant, {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, a="numerical")
        assert trend_error(*varied) == 0.5  # 0 against 1

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
    def test_correlations_survive_extreme_scales(self, scale):
        a = np.arange(50.0) * scale
        assert trend_error(*coded({"a": a, "b": a}, {"a": a, "b": a[::-1]})) == pytest.approx(1.0)

    def test_symmetric(self, adult):
        assert trend_error(*adult) == pytest.approx(trend_error(*adult[::-1]), abs=1e-12)

    def test_thousands_of_categories_are_counted_sparsely(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.integers(0, 4000, (30_000, 4)).astype(str)).astype("category")
        tables = code_tables(frame, frame.sample(frac=1, random_state=0))
        start = time.perf_counter()
        assert trend_error(*tables) == 0.0
        assert time.perf_counter() - start < 2.0


@given(st.data())
def test_errors_of_any_two_tables_lie_between_0_and_1(data):
    frame = data.draw(frames().filter(lambda frame: len(frame) > 1))
    try:
        tables = code_tables(frame.iloc[::2], frame.iloc[1::2])
    except DataError:
        return
    for errors in (pair_errors(*tables), pair_errors(*tables, shared_bins=True)):
        assert errors["error"].dropna().between(0, 1 + 1e-12).all()
    assert pair_errors(*tables)["error"].notna().sum() >= (pair_errors(*tables)["method"] == "tv").sum()


def test_errors_grow_with_corruption(adult):
    real, _ = adult
    rng = np.random.default_rng(0)
    floor = real.independent(len(real), rng)
    trend = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = np.where(rng.random(real.codes.shape) < share, floor.codes, real.codes)
        trend.append(trend_error(real, type(real)(real.domain, mixed)))
    assert trend[0] == 0.0
    assert trend == sorted(trend)


def test_the_floor_is_far_from_the_ceiling(adult):
    real, holdout = adult
    floor = real.independent(len(real), np.random.default_rng(0))
    assert trend_error(real, floor) > 2 * trend_error(real, holdout)
