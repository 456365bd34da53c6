import numpy as np
import pandas as pd
import pytest

from benchmarks.parity.tables import mixed
from synthgan.errors import DataError, ParameterError
from synthgan.evaluation.compat import mle
from synthgan.evaluation.compat.utility import _features, _split

COLUMNS = {"numerical": ["size", "price", "rooms"], "categorical": ["colour", "floor", "new"]}


def complete(n_rows, seed):
    return mixed(n_rows, seed).fillna({"price": 0.0}).drop(columns="place")


def test_features_by_hand():
    synthetic = pd.DataFrame({"a": [2.0, 4.0], "c": ["x", "y"], "b": [0.0, 2000.0]})
    test = pd.DataFrame({"a": [3.0, 6.0], "c": ["y", "z"], "b": [100.0, 0.0]})
    x, x_test = _features(synthetic, test, ["a", "b"], ["c"], quirks=False)
    # a: (a - 2) / 2 * 5; c one-hot; b is >= 0 and reaches 1,000: log(max(b, .01))
    np.testing.assert_allclose(x, [[0, 1, 0, np.log(0.01)], [5, 0, 1, np.log(2000)]], rtol=1e-6)
    np.testing.assert_allclose(x_test, [[2.5, 0, 1, np.log(100)], [10, 0, 0, np.log(0.01)]], rtol=1e-6)


def test_quirk_the_first_range_serves_all_columns():
    synthetic, test = (
        pd.DataFrame({"a": [2.0, 4.0], "b": [0.0, 2000.0]}),
        pd.DataFrame({"a": [3.0], "b": [100.0]}),
    )
    x, x_test = _features(synthetic, test, ["a", "b"], [], quirks=True)
    np.testing.assert_allclose(x[:, 1], [-5, 4995])  # (b - 2) / 2 * 5, not the logarithm
    np.testing.assert_allclose(x_test, [[2.5, 245]])


def test_quirk_a_bound_of_0_is_set_again():
    # a has the range [0, 4]; 0 counts as not set, so that b takes its own minimum 1 beside the maximum 4
    synthetic, test = pd.DataFrame({"a": [0.0, 4.0], "b": [1.0, 9.0]}), pd.DataFrame({"a": [4.0], "b": [1.0]})
    x, x_test = _features(synthetic, test, ["a", "b"], [], quirks=True)
    np.testing.assert_allclose(x, [[0, 0], [5, 8 / 3 * 5]])
    # the test rows begin with the last range of training: a is (4 - 1) / 3 * 5 there, though 5 in training
    np.testing.assert_allclose(x_test, [[5, 0]])
    shifted = _features(synthetic, pd.DataFrame({"a": [2.5], "b": [1.0]}), ["a", "b"], [], quirks=True)[1]
    np.testing.assert_allclose(shifted, [[2.5, 0]])


def test_the_split_is_a_ninth_and_seeded():
    held, rest = _split(100, 0)
    assert len(held) == 11
    assert sorted([*held, *rest]) == list(range(100))
    assert (held != _split(100, 1)[0]).any()


def test_the_target_must_be_a_named_column():
    pytest.importorskip("xgboost")
    with pytest.raises(ParameterError, match="target must be one of"):
        mle(complete(50, 0), complete(50, 1), **COLUMNS, target="place")


def test_a_related_target_is_learned_and_an_unrelated_one_is_not():
    pytest.importorskip("xgboost")
    synthetic, test = complete(900, 0), complete(900, 1)
    for frame in (synthetic, test):
        frame["dear"] = np.where(frame["size"] > 1, "yes", "no")
    columns = {"numerical": COLUMNS["numerical"], "categorical": ["dear", "new"]}
    assert mle(synthetic, test, **columns, target="dear", n_jobs=1) > 0.95
    assert mle(synthetic, test, **columns, target="new", n_jobs=1) == pytest.approx(0.5, abs=0.08)


def test_several_classes_and_numbers_can_be_targets():
    pytest.importorskip("xgboost")
    synthetic, test = complete(500, 0), complete(500, 1)
    assert 0.4 < mle(synthetic, test, **COLUMNS, target="colour", n_jobs=1) < 0.7
    synthetic["size"], test["size"] = 1000 * synthetic["size"], 1000 * test["size"]  # follows the price
    error = mle(synthetic, test, **COLUMNS, target="size", n_jobs=1)
    assert 0 < error < 0.7 * np.log(test["size"]).std()


def test_quirk_validation_without_the_logarithm_chooses_otherwise():
    """Raw targets near 15,000 against logarithms near 9.6: the largest predictions win."""
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({"x": rng.random(400), "y": 15_000 * rng.random(400) + 1}) for _ in range(2)]
    columns = {"numerical": ["x", "y"], "categorical": [], "target": "y", "n_jobs": 1}
    honest, quirky = (mle(*frames, **columns, quirks=quirks) for quirks in (False, True))
    assert honest < quirky
    # the same by hand, for the setting that the mistake chooses
    x, y = (np.array([f[name] for f in frames], dtype=np.float32) for name in ("x", "y"))
    held, rest = _split(400, 0)
    scaled = (x - x[0].min()) / (x[0].max() - x[0].min()) * 5
    target = np.log(np.clip(y, 1, 20000))
    found = []
    for gamma in (0.0, 1.0):
        for depth in (5, 10, 20):
            for weight in (1, 10):
                for trees in (10, 50, 100):
                    model = xgboost.XGBRegressor(
                        n_estimators=trees,
                        max_depth=depth,
                        min_child_weight=weight,
                        gamma=gamma,
                        tree_method="hist",
                        n_jobs=1,
                    ).fit(scaled[0][rest][:, None], target[0][rest])
                    validation, error = (
                        np.sqrt(np.mean((model.predict(a[:, None]) - b) ** 2, dtype=np.float64))
                        for a, b in ((scaled[0][held], y[0][held]), (scaled[1], target[1]))
                    )
                    found.append((validation, error))
    assert quirky == pytest.approx(min(found, key=lambda pair: pair[0])[1], rel=1e-5)


def test_a_class_that_cannot_be_learned_is_refused_and_a_lone_class_undefined():
    pytest.importorskip("xgboost")
    synthetic, test = complete(90, 0), complete(90, 1)
    columns = {"numerical": COLUMNS["numerical"], "categorical": ["colour"], "target": "colour", "n_jobs": 1}
    with pytest.raises(DataError, match="'colour' has classes in test that synthetic lacks"):
        mle(synthetic[synthetic["colour"] != "red"], test, **columns)
    red = synthetic[synthetic["colour"] == "red"]
    assert np.isnan(mle(red, test[test["colour"] == "red"], **columns))


def test_too_little_is_refused_or_undefined():
    pytest.importorskip("xgboost")
    frame = complete(8, 0)
    assert np.isnan(mle(frame, frame, numerical=["size", "price"], categorical=[], target="size", n_jobs=1))
    with pytest.raises(DataError, match="no column from which 'size' could be predicted"):
        mle(frame, frame, numerical=["size"], categorical=[], target="size")
