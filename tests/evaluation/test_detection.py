import sys

import numpy as np
import pandas as pd
import pytest

from synthgan.errors import ParameterError
from synthgan.evaluation.detection import ENGINES, c2st_boosting, c2st_logistic, pmse_ratio
from synthgan.evaluation.tables import code_tables

BOTH = pytest.mark.parametrize("c2st", [c2st_boosting, c2st_logistic])


@pytest.fixture(params=ENGINES)
def engine(request):
    """Each engine that is installed."""
    if request.param != "hist":
        pytest.importorskip(request.param)
    return request.param


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
    assert c2st_boosting(real, floor, n_scored=1).value > 0.9
    assert c2st_logistic(real, floor).value < 0.55
    assert abs(c2st_boosting(real, holdout, n_scored=2).value - 0.5) < 0.04


def test_corruption_makes_telling_apart_easier(adult):
    real, holdout = (table.sampled(2000, np.random.default_rng(0)) for table in adult)
    floor = real.independent(2000, np.random.default_rng(1))
    found = []
    for share in (0.0, 0.3, 0.6, 1.0):
        rows = np.random.default_rng(2).random(2000) < share
        codes = np.where(rows[:, None], floor.codes, holdout.codes)
        found.append(c2st_boosting(real, type(real)(real.domain, codes), n_scored=1).value)
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.3


@BOTH
def test_fewer_scored_folds_widen_the_interval_and_keep_the_auc(c2st):
    tables = code_tables(normal(1000, 0), normal(1000, 1, 1.0))
    whole, part = c2st(*tables), c2st(*tables, n_scored=2)
    assert part.value == pytest.approx(whole.value, abs=0.04)
    assert part.value != whole.value
    assert (part.high - part.low) / (whole.high - whole.low) == pytest.approx(np.sqrt(5 / 2), rel=0.1)
    assert c2st(*tables, n_scored=5) == whole


@BOTH
def test_more_folds_than_rows_are_no_trouble(c2st):
    found = c2st(*code_tables(normal(2, 0), normal(2, 1)), n_scored=5)
    assert np.isnan(found.value) if c2st is c2st_boosting else 0 <= found.value <= 1


@pytest.mark.parametrize("n_scored", [1, 5])
def test_trees_that_cannot_split_say_nothing(n_scored):
    # 4/5 of 2 x 24 rows are at most 39: no two leaves of 20 rows. Of 2 x 25 they are 40
    for n_rows in (10, 24):
        found = c2st_boosting(*code_tables(normal(n_rows, 0), normal(90, 1, 99.0)), n_scored=n_scored)
        assert np.isnan([found.value, found.low, found.high]).all()
    found = c2st_boosting(*code_tables(normal(25, 0), normal(90, 1, 99.0)), n_scored=n_scored)
    assert found.value > 0.99


def test_single_precision_gives_nothing_away():
    real, synthetic = normal(1000, 0).round(1), normal(1000, 1).round(1)
    plain = c2st_boosting(*code_tables(real, synthetic))
    assert c2st_boosting(*code_tables(real.astype("float32"), synthetic)) == plain
    assert c2st_boosting(*code_tables(real, synthetic.astype("float32"))) == plain
    assert abs(plain.value - 0.5) < 0.05


@BOTH
@pytest.mark.parametrize("n_scored", [0, 6, True, 2.0])
def test_only_the_folds_that_there_are_can_be_scored(c2st, n_scored):
    with pytest.raises(ParameterError, match=r"'n_scored' .* must be an int in \[1, 5\]"):
        c2st(*code_tables(normal(20, 0), normal(20, 1)), n_scored=n_scored)


def test_an_unknown_engine_is_refused():
    with pytest.raises(ParameterError, match="'hist' or 'lightgbm' or 'xgboost'"):
        c2st_boosting(*code_tables(normal(20, 0), normal(20, 1)), engine="catboost")


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_an_engine_that_is_not_there_says_how_to_get_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # what Python does for a module that must not be found
    with pytest.raises(ParameterError, match=f"pip install {name}"):
        c2st_boosting(*code_tables(normal(20, 0), normal(20, 1)), engine=name)


def test_every_engine_finds_the_law_of_a_shift(engine):
    tables = code_tables(normal(3000, 0), normal(3000, 1, 1.0))
    found = c2st_boosting(*tables, engine=engine, n_scored=1)
    assert found.value == pytest.approx(0.76, abs=0.04)
    assert c2st_boosting(*tables, engine=engine, n_scored=1) == found
    assert engine == "hist" or found != c2st_boosting(*tables, n_scored=1)


def test_every_engine_sees_independent_columns(engine, adult):
    real, holdout = (table.sampled(2000, np.random.default_rng(0)) for table in adult)
    floor = real.independent(2000, np.random.default_rng(1))
    assert c2st_boosting(real, floor, engine=engine, n_scored=1).value > 0.85
    assert abs(c2st_boosting(real, holdout, engine=engine, n_scored=2).value - 0.5) < 0.05


def test_every_engine_takes_categories_as_categories(engine):
    # odd categories are real, even ones synthetic: no split of an order of 200 tells them apart
    odd = pd.DataFrame({"k": [f"{2 * (i % 100) + 1}" for i in range(4000)]})
    even = pd.DataFrame({"k": [f"{2 * (i % 100)}" for i in range(4000)]})
    assert c2st_boosting(*code_tables(odd, even), engine=engine, n_scored=1).value > 0.95


def test_every_engine_survives_odd_tables(engine):
    real = pd.DataFrame({"n": [1e300, -1e300, np.nan, 5e-324] * 20, "k": [f"r{i}" for i in range(80)]})
    other = pd.DataFrame({"n": [np.nan] * 80, "k": [f"s{i}" for i in range(80)]})
    kinds = {"n": "numerical", "k": "categorical"}
    for first, second in ((real, other), (other, real), (real, real.iloc[:30]), (other.iloc[:25], other)):
        assert 0 <= c2st_boosting(*code_tables(first, second, kinds=kinds), engine=engine).value <= 1
    for n_rows in (1, 4, 7):
        value = c2st_boosting(*code_tables(real.iloc[:n_rows], real, kinds=kinds), engine=engine).value
        assert np.isnan(value) or (engine == "xgboost" and 0 <= value <= 1)


def test_pmse_of_one_binary_column_by_hand():
    # 600 real rows, half of them "a", and 400 synthetic ones, all "a". The model is saturated: p = 400/700
    # for "a", 0 for "b"; c = .4. pMSE = .7 (4/7 - .4)^2 + .3 .4^2; expected by chance 1 * .4 * .6 / 1000
    real, synthetic = pd.DataFrame({"k": ["a", "b"] * 300}), pd.DataFrame({"k": ["a"] * 400})
    expected = (0.7 * (4 / 7 - 0.4) ** 2 + 0.3 * 0.4**2) / (0.24 / 1000)
    found = pmse_ratio(*code_tables(real, synthetic))
    assert found.value == pytest.approx(expected, rel=1e-4)  # the 0 is approached, not reached
    assert found.low < found.value < found.high


def test_pmse_of_a_copy_is_nothing(mixed):
    assert pmse_ratio(*code_tables(mixed(300, 0), mixed(300, 0))).value == pytest.approx(0, abs=1e-6)


def test_pmse_counts_collinear_columns_once():
    def doubled(seed):
        frame = normal(600, seed).assign(k=["x", "y"] * 300)
        return frame.assign(b=3 * frame["a"] + 1, same=frame["k"].str.upper(), constant=1.0)

    first, second = doubled(0), doubled(1)
    assert pmse_ratio(*code_tables(first, second)).value == pytest.approx(
        pmse_ratio(*code_tables(first[["a", "k"]], second[["a", "k"]])).value, rel=1e-4
    )


@pytest.mark.parametrize(("n_rows", "n_tables"), [(40, 10), (400, 30)])  # by permutations, by the closed form
def test_pmse_of_fresh_draws_is_one_on_average(mixed, n_rows, n_tables):
    pairs = [code_tables(mixed(n_rows, k), mixed(n_rows, 1000 + k)) for k in range(n_tables)]
    # about 14 parameters: deviation of one ratio sqrt(2 / 14) = .38, of the mean of 10 .12
    assert np.mean([pmse_ratio(*pair).value for pair in pairs]) == pytest.approx(1, abs=0.3)


def test_half_of_the_noise_is_that_of_the_real_rows(adult):
    # columns drawn from the real ones keep their distribution: the null of Snoke et al., (1 - c) times ours
    real, _ = adult
    floors = [pmse_ratio(real, real.independent(len(real), np.random.default_rng(k))).value for k in range(3)]
    assert np.mean(floors) == pytest.approx(0.5, abs=0.1)


def test_pmse_grows_with_corruption(adult):
    real, holdout = (table.sampled(2000, np.random.default_rng(0)) for table in adult)
    found = []
    for share in (0.0, 0.1, 0.3, 1.0):
        rows = np.random.default_rng(2).random((2000, 1)) < share
        codes = np.where(rows, holdout.codes[:1], holdout.codes)  # one row again and again
        found.append(pmse_ratio(real, type(real)(real.domain, codes)).value)
    assert found == sorted(found)
    assert found[0] < 1.5
    assert found[1] > 2
    assert found[-1] > 60  # one row only is told apart: N over the rank, 4,000 / 60


def test_only_permutations_use_the_seed_of_pmse(mixed):
    few, many = code_tables(mixed(60, 0), mixed(60, 1)), code_tables(mixed(400, 0), mixed(400, 1))
    assert pmse_ratio(*few, seed=1) == pmse_ratio(*few, seed=1) != pmse_ratio(*few, seed=2)
    assert pmse_ratio(*many, seed=1) == pmse_ratio(*many, seed=2)


def test_pmse_is_that_of_any_row_order(mixed):
    first, second = mixed(60, 0), mixed(60, 1)
    assert pmse_ratio(*code_tables(first, second)) == pmse_ratio(
        *code_tables(first.iloc[::-1], second.iloc[::-1])
    )


def test_pmse_of_separate_tables_is_the_greatest_there_is():
    real = pd.DataFrame({"a": np.linspace(0, 1, 500), "k": ["r"] * 500})
    synthetic = pd.DataFrame({"a": np.linspace(9e300, 1e301, 500), "k": ["s"] * 500})
    # every p is 0 or 1: pMSE = c (1 - c), and the ratio N / rank
    assert pmse_ratio(*code_tables(real, synthetic)).value == pytest.approx(1000 / 2, rel=0.01)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.0]}),
        pd.DataFrame({"a": [1.0] * 50, "k": ["x"] * 50}),
        pd.DataFrame({"a": [np.nan] * 50, "k": [None] * 50}),
    ],
)
def test_pmse_without_anything_to_learn_is_not_known(frame):
    assert np.isnan(
        pmse_ratio(*code_tables(frame, frame, kinds={"a": "numerical"} if "a" in frame else {})).value
    )


def test_pmse_of_few_rows_and_many_columns_is_not_known():
    first, second = (pd.DataFrame(np.random.default_rng(k).normal(size=(5, 20))) for k in (0, 1))
    assert np.isnan(pmse_ratio(*code_tables(first, second)).value)


def test_pmse_pools_rare_categories():
    # 3,000 categories, each too rare to be learned, and one that is not: rank 1
    names = [f"{i}" for i in range(3000)]
    real = pd.DataFrame({"k": names + ["often"] * 1000})
    synthetic = pd.DataFrame({"k": names[::-1] + ["often"] * 1000})
    assert pmse_ratio(*code_tables(real, synthetic, kinds={"k": "categorical"})).value == pytest.approx(
        0, abs=1e-6
    )
