import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.detection import c2st_boosting, c2st_logistic
from synthgan.evaluation.tables import code_tables

BOTH = pytest.mark.parametrize("c2st", [c2st_boosting, c2st_logistic])


def normal(n_rows, seed, shift=0.0):
    return pd.DataFrame({"a": np.random.default_rng(seed).normal(shift, 1, n_rows)})


@BOTH
def test_separate_tables_are_always_told_apart(c2st):
    found = c2st(*code_tables(normal(200, 0), normal(200, 1, 99.0)))
    assert found.value > 0.999  # a bin of the trees may straddle the gap


@BOTH
def test_draws_of_one_distribution_are_not_told_apart(c2st):
    found = c2st(*code_tables(normal(1500, 0), normal(1500, 1)))
    assert abs(found.value - 0.5) < 0.04  # deviation of an AUC of 2 x 1,500 rows: .0105
    assert found.low < 0.5 < found.high or abs(found.value - 0.5) < 0.03


@BOTH
def test_the_auc_of_a_shift_is_near_its_law(c2st):
    # the best AUC for two normals d apart is Phi(d / sqrt 2): .760 for d = 1
    found = c2st(*code_tables(normal(3000, 0), normal(3000, 1, 1.0)))
    assert found.value == pytest.approx(0.76, abs=0.03)
    assert found.high - found.low == pytest.approx(0.024, abs=0.008)


@BOTH
def test_same_seed_same_result_in_any_row_order(c2st):
    real, synthetic = normal(300, 0).round(1), normal(200, 1, 0.5).round(1)
    first = c2st(*code_tables(real, synthetic), seed=3)
    assert c2st(*code_tables(real.iloc[::-1], synthetic.iloc[::-1]), seed=3) == first
    assert c2st(*code_tables(real, synthetic), seed=4) != first


@BOTH
def test_unseen_and_many_categories_are_no_trouble(c2st):
    real = pd.DataFrame({"k": [f"r{i % 400}" for i in range(800)], "n": [1.0, None] * 400})
    synthetic = pd.DataFrame({"k": [f"s{i % 400}" for i in range(800)], "n": [None] * 800})
    found = c2st(*code_tables(real, synthetic, kinds={"k": "categorical"}))
    assert found.value > (0.95 if c2st is c2st_logistic else 0.7)  # trees see 254 of the 800 categories


@BOTH
def test_a_column_without_values_is_no_trouble(c2st):
    real = pd.DataFrame({"n": [None] * 50, "m": np.arange(50.0)})
    synthetic = real.assign(n=[1.0] + [None] * 49)
    found = c2st(*code_tables(real, synthetic, kinds={"n": "categorical"}))
    assert 0 <= found.value <= 1
    late = synthetic.assign(n=pd.to_timedelta(synthetic["n"]))
    assert 0 <= c2st(*code_tables(late, late.iloc[1:])).value <= 1


@BOTH
def test_one_row_cannot_be_judged(c2st):
    assert np.isnan(c2st(*code_tables(normal(1, 0), normal(5, 1))).value)


def test_only_trees_see_independent_columns(adult):
    real, holdout = (table.sampled(3000, np.random.default_rng(0)) for table in adult)
    floor = real.independent(3000, np.random.default_rng(1))
    assert c2st_boosting(real, floor).value > 0.9
    assert c2st_logistic(real, floor).value < 0.55
    assert abs(c2st_boosting(real, holdout).value - 0.5) < 0.04


def test_corruption_makes_telling_apart_easier(adult):
    real, holdout = (table.sampled(2000, np.random.default_rng(0)) for table in adult)
    floor = real.independent(2000, np.random.default_rng(1))
    found = []
    for share in (0.0, 0.3, 0.6, 1.0):
        rows = np.random.default_rng(2).random(2000) < share
        codes = np.where(rows[:, None], floor.codes, holdout.codes)
        found.append(c2st_boosting(real, type(real)(real.domain, codes)).value)
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.3
