import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from synthgan.evaluation.intervals import Estimate, auc_with_variance, bootstrapped, wilson
from synthgan.evaluation.marginals import shape_error
from synthgan.evaluation.tables import code_tables


def test_wilson_by_hand():
    # 10 of 100, z = 1.96: centre (.1 + .0192)/1.0384 = .1148, half .0596
    estimate = wilson(10, 100)
    assert (estimate.low, estimate.high) == (
        pytest.approx(0.05523, abs=1e-5),
        pytest.approx(0.17437, abs=1e-5),
    )


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_share_and_stays_in_range(trials, data):
    estimate = wilson(data.draw(st.integers(0, trials)), trials)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_auc_by_hand():
    # positives .4 and .8 lie above 1/2 and 2/2 of the negatives .1 and .6: mean 3/4.
    # their variance (1/8) and that of the negatives' shares (1, 1/2), each over 2 rows: 1/16 + 1/16
    assert auc_with_variance(np.array([0, 0, 1, 1]) > 0, np.array([0.1, 0.6, 0.4, 0.8])) == (0.75, 0.125)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=40))
def test_auc_equals_scikit_learn(rows):
    truth, score = np.array([t for t, _ in rows]), np.array([s for _, s in rows], float)
    if 0 < truth.sum() < len(truth):
        assert auc_with_variance(truth, score)[0] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


def test_the_auc_interval_covers_the_truth():
    # normal scores one deviation apart: the true AUC is Phi(1 / sqrt 2) = .7602
    rng = np.random.default_rng(0)
    truth = np.arange(200) < 80
    covered = 0
    for _ in range(300):
        auc, variance = auc_with_variance(truth, rng.normal(size=200) + truth)
        covered += abs(auc - 0.7602) <= 1.96 * np.sqrt(variance)
    assert 0.91 <= covered / 300 <= 0.99  # 95 %, declared failure rate below 1 in 1,000


def test_one_row_of_a_class_has_no_variance():
    estimate = Estimate.around(
        *map(float, (0.5, np.sqrt(auc_with_variance(np.array([True, False]), np.zeros(2))[1])))
    )
    assert estimate.value == 0.5
    assert np.isnan(estimate.low)
    assert np.isnan(estimate.high)


def test_bootstrap_matches_the_spread_over_fresh_tables():
    rng = np.random.default_rng(0)
    draws = [
        pd.DataFrame({"a": rng.integers(-50, 50, 400), "b": rng.integers(-9, 9, 400)}) for _ in range(80)
    ]
    tables = code_tables(*draws, roles=("table",) * 80)
    fresh = np.std([shape_error(a, b) for a, b in zip(tables[::2], tables[1::2], strict=True)])
    found = bootstrapped(lambda a, b: {"e": shape_error(a, b)}, tables[0], tables[1], rng, 100)["e"]
    assert found.low <= found.value <= found.high
    assert 0.5 < (found.high - found.value) / 1.96 / fresh < 2.0


def test_what_is_not_defined_in_every_resample_has_no_interval():
    (table,) = code_tables(pd.DataFrame({"a": np.arange(50) % 7}))
    calls = []

    def measure(real, other):
        calls.append(0)
        return {"never": np.nan, "once not": np.nan if len(calls) == 1 else 0.2, "always": 0.2}

    found = bootstrapped(measure, table, table, np.random.default_rng(0))
    assert np.isnan([found["never"].value, found["never"].low, found["never"].high]).all()
    assert found["once not"].value == 0.2
    assert np.isnan([found["once not"].low, found["once not"].high]).all()
    assert (found["always"].low, found["always"].high) == (pytest.approx(0.2), pytest.approx(0.2))
