import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.features import MAX_CATEGORIES, boosting_features, linear_features, standardised
from synthgan.evaluation.tables import code_tables


def test_boosting_features_by_hand():
    # b occurs three times, a twice, c once: 0, 1, 2
    real, other = code_tables(
        pd.DataFrame({"n": [1.5, None, 2.5], "k": ["a", "b", None]}),
        pd.DataFrame({"n": [0.5, 0.5, 1.5, 2.5], "k": ["b", "b", "c", "a"]}),
    )
    (first, second), categorical = boosting_features([real, other], ["n", "k"])
    assert np.array_equal(first, [[np.nan, 0], [1.5, 1], [2.5, np.nan]], equal_nan=True)
    assert np.array_equal(second, [[0.5, 0], [0.5, 0], [1.5, 2], [2.5, 1]])
    assert categorical.tolist() == [False, True]


def test_rare_categories_are_pooled():
    names = [f"c{i}" for i in range(1000)] + ["often"] * 2
    (table,) = code_tables(pd.DataFrame({"k": names}))
    (matrix,), _ = boosting_features([table], ["k"])
    assert matrix.max() == MAX_CATEGORIES - 1
    assert (matrix == 0).sum() == 2
    assert (matrix == MAX_CATEGORIES - 1).sum() == 1001 - (MAX_CATEGORIES - 1)


def test_linear_features_by_hand():
    (table,) = code_tables(pd.DataFrame({"n": [1.0, 3.0, None], "k": ["x", None, "x"]}))
    # rows in order of codes: missing first. n: mean 2, deviation 1, indicator; k: missing, x
    expected = [[0, 1, 0, 1], [-1, 0, 0, 1], [1, 0, 1, 0]]
    assert linear_features(table, ["n", "k"]).toarray() == pytest.approx(np.array(expected))


@pytest.mark.parametrize("values", [[5.0, 5.0], [np.nan, np.nan], [1e308, -1e308]])
def test_standardised_is_finite_wherever_the_column_is(values):
    found = standardised(np.array(values))
    assert np.array_equal(np.isfinite(found), np.isfinite(values))
