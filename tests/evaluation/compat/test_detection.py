import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.parity.tables import CASES, DETECTION_CASES, MIXED, mixed
from synthgan.errors import DataError
from synthgan.evaluation.compat import logistic_detection, xgboost_detection

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "compat_golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DETECTION_CASES)
def test_logistic_equals_sdmetrics(name):
    real, synthetic, columns = CASES[name]()
    for seed, wanted in enumerate(GOLDEN["detection"][name]["logistic"]):
        assert logistic_detection(real, synthetic, **columns, seed=seed) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", DETECTION_CASES)
def test_xgboost_equals_the_published_class(name):
    xgboost = pytest.importorskip("xgboost")
    if xgboost.__version__ != GOLDEN["versions"]["xgboost-cpu"]:
        pytest.skip("another version of XGBoost grows other trees")
    real, synthetic, columns = CASES[name]()
    for seed, wanted in enumerate(GOLDEN["detection"][name]["xgboost"]):
        assert xgboost_detection(real, synthetic, **columns, seed=seed) == pytest.approx(wanted, abs=1e-9)


def test_tables_apart_score_0_and_equal_ones_1():
    frame = pd.DataFrame({"x": np.arange(30.0), "c": ["a", "b", "c"] * 10})
    columns = {"numerical": ["x"], "categorical": ["c"]}
    assert logistic_detection(frame, frame.assign(x=frame["x"] + 100), **columns) == 0
    assert logistic_detection(frame, pd.concat([frame] * 20), **columns) > 0.8


def test_it_cannot_see_relations():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    real = pd.DataFrame({"x": x, "y": x})
    synthetic = pd.DataFrame({"x": rng.permutation(x), "y": rng.permutation(x)})
    assert logistic_detection(real, synthetic, numerical=["x", "y"], categorical=[]) > 0.9


def test_categories_stored_as_numbers_count_as_numbers():
    # the middle one of three categories is more frequent in synthetic: nothing that is linear in 0, 1, 2
    real = pd.DataFrame({"c": [0, 1, 2] * 200})
    synthetic = pd.DataFrame({"c": [0, 1, 1, 1, 1, 2] * 100})
    as_text = [frame.astype(str) for frame in (real, synthetic)]
    columns = {"numerical": [], "categorical": ["c"]}
    assert (
        logistic_detection(*as_text, **columns) < 0.7 < 0.9 < logistic_detection(real, synthetic, **columns)
    )


def test_the_score_falls_with_growing_corruption():
    real, scores = mixed(600, 0), []
    for shift in (0.0, 0.5, 1.0, 2.0):
        scores.append(logistic_detection(real, mixed(600, 1, shift=shift), **MIXED))
    assert (np.diff(scores) < 0).all()


def test_the_seed_moves_the_folds_and_nothing_global():
    real, synthetic, columns = CASES["numbers"]()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    scores = [logistic_detection(real, synthetic, **columns, seed=seed) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_an_unknown_category_is_refused():
    real = pd.DataFrame({"c": ["a", "b", "a"]})
    with pytest.raises(DataError, match="'c' has categories that the first table lacks"):
        logistic_detection(real, real.replace("b", "z"), numerical=[], categorical=["c"])


@pytest.mark.parametrize(
    "values", [[1.0], [1.0, 2.0], [5.0] * 9, [np.nan] * 9, [np.inf] * 9, [1e300, -1e300, 0.0] * 3]
)
def test_odd_columns_give_a_score_or_nan(values):
    frame = pd.DataFrame({"x": values})
    found = logistic_detection(frame, frame, numerical=["x"], categorical=[])
    assert np.isnan(found) if len(values) < 3 else 0 <= found <= 1


@settings(max_examples=10)
@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 9))
def test_the_score_is_a_share(n_real, n_synthetic, seed):
    real = mixed(n_real, seed)
    synthetic = (
        mixed(n_real, seed + 1)
        .iloc[: max(3, n_synthetic)]
        .drop(columns="place")
        .assign(colour=real["colour"])
    )
    columns = {"numerical": ["size", "price", "rooms"], "categorical": ["colour", "new"]}
    assert 0 <= logistic_detection(real, synthetic, **columns) <= 1
