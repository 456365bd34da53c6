import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, pearsonr

from benchmarks.parity.tables import CASES, MIXED, mixed
from synthgan.evaluation.compat import column_pair_trends, column_shapes

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "compat_golden.json").read_text(encoding="utf-8"))


def floats(scores):
    return np.array([np.nan if score is None else score for score in scores])


@pytest.mark.parametrize("name", CASES)
def test_equals_sdmetrics(name):
    real, synthetic, columns = CASES[name]()
    wanted = GOLDEN["quality"][name]
    shapes = column_shapes(real, synthetic, **columns)
    trends = column_pair_trends(real, synthetic, **columns)
    np.testing.assert_allclose(shapes, floats(wanted["shapes"]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(trends, floats(wanted["trends"]), rtol=0, atol=1e-9)
    assert shapes.mean() == pytest.approx(wanted["shape"], abs=1e-9)
    assert trends.mean() == pytest.approx(wanted["trend"], abs=1e-9)


def test_the_golden_file_is_of_the_published_version():
    assert GOLDEN["versions"]["sdmetrics"] == "0.11.1"


def test_shapes_by_hand():
    real = pd.DataFrame({"x": [1.0, 2.0, np.nan, 3.0], "c": ["a", "a", "b", None]})
    synthetic = pd.DataFrame({"x": [1.0, 1.0], "c": ["a", "z"]})
    scores = column_shapes(real, synthetic, numerical=["x"], categorical=["c"])
    # at 1 the distribution functions are 1/3 and 1; missing values are dropped
    assert scores["x"] == pytest.approx(1 / 3)
    # a: 2/3 against 1/2, b: 1/3 against 0, z: 0 against 1/2, but that z counts 1e-6 in real
    n = 3 + 1e-6
    assert scores["c"] == pytest.approx(1 - (2 / n - 1 / 2 + 1 / n + 1 / 2 - 1e-6 / n) / 2, abs=1e-15)
    assert scores["c"] == pytest.approx(0.5, abs=1e-6)


def test_bins_are_those_of_each_table():
    # ten bins of width 1 and the maximum in a cell of its own: 0 | 5 | 10 ...
    real = pd.DataFrame({"x": [0.0, 5.0, 10.0], "c": ["a", "a", "a"]})
    # ... and of width 100: 0 and 5 share the first bin, so that 1/3 of the mass is elsewhere
    synthetic = pd.DataFrame({"x": [0.0, 5.0, 1000.0], "c": ["a", "a", "a"]})
    scores = column_pair_trends(real, synthetic, numerical=["x"], categorical=["c"])
    assert scores["x", "c"] == pytest.approx(2 / 3)


def test_a_missing_number_shares_the_cell_of_the_maximum():
    real = pd.DataFrame({"x": [0.0, 10.0, 10.0], "c": ["a", "a", "a"]})
    synthetic = pd.DataFrame({"x": [0.0, 10.0, np.nan], "c": ["a", "a", "a"]})
    assert column_pair_trends(real, synthetic, numerical=["x"], categorical=["c"]).iloc[0] == 1


def test_base_cases_equal_scipy():
    real, synthetic = mixed(300, 0).dropna(), mixed(300, 1).dropna()
    shapes = column_shapes(real, synthetic, numerical=["size", "price"], categorical=[])
    assert shapes["size"] == 1 - ks_2samp(real["size"], synthetic["size"]).statistic
    r = [pearsonr(frame["size"], frame["price"]).statistic for frame in (real, synthetic)]
    trend = column_pair_trends(real, synthetic, numerical=["size", "price"], categorical=[])
    assert trend["size", "price"] == pytest.approx(1 - abs(r[0] - r[1]) / 2, abs=1e-15)


def test_a_table_equals_itself_in_any_row_order():
    frame = mixed(200, 0)
    turned = frame.iloc[::-1]
    for score in (column_shapes, column_pair_trends):
        assert (score(frame, turned, **MIXED) > 1 - 1e-12).all()


def test_scores_fall_with_growing_corruption():
    real = mixed(1000, 0)
    scores = []
    for share in (0.0, 0.3, 0.6, 0.9):
        synthetic = mixed(1000, 1)
        worse = np.random.default_rng(2).random(1000) < share
        synthetic.loc[worse, "size"] = 100.0
        synthetic.loc[worse, "colour"] = "grey"
        found = column_shapes(real, synthetic, **MIXED), column_pair_trends(real, synthetic, **MIXED)
        scores.append((found[0].mean(), found[1].mean()))
    assert (np.diff(scores, axis=0) < 0).all()


def test_dates_are_numbers():
    real = pd.DataFrame({"when": pd.to_datetime(["2024-01-01", "2024-01-02", None]), "x": [1.0, 2.0, 3.0]})
    scores = column_pair_trends(real, real, numerical=["when", "x"], categorical=[])
    assert scores.iloc[0] == 1


@pytest.mark.parametrize(
    "values",
    [[1.0], [1e300, -1e300], [1.7e308, -1.7e308], [np.inf, 1.0], [np.nan, np.nan], [1e17, 1e17], [5, 5]],
)
def test_odd_columns_are_undefined_rather_than_a_crash(values):
    frame = pd.DataFrame({"x": values, "y": np.arange(len(values)), "c": "a"})
    columns = {"numerical": ["x", "y"], "categorical": ["c"]}
    for found in (column_shapes(frame, frame, **columns), column_pair_trends(frame, frame, **columns)):
        assert (found.isna() | (found == 1)).all()


def test_one_column_has_no_pairs():
    assert (
        len(
            column_pair_trends(
                pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1]}), numerical=["x"], categorical=[]
            )
        )
        == 0
    )
