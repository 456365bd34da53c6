import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.parity.tables import POINT_CASES, mixed, points_case
from synthgan.errors import DataError
from synthgan.evaluation.compat import alpha_precision_beta_recall, dcr_share, distances

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "compat_golden.json").read_text(encoding="utf-8"))
COMPLETE = {"numerical": ["size", "rooms"], "categorical": ["colour", "place", "floor", "new"]}


@pytest.mark.parametrize("name", POINT_CASES)
def test_alpha_precision_equals_synthcity(name):
    real, synthetic, columns = points_case(name)
    found = alpha_precision_beta_recall(real, synthetic, **columns)
    assert found == pytest.approx(tuple(GOLDEN["points"][name]), abs=1e-9)


def test_alpha_precision_of_two_rows_by_hand():
    real, synthetic = pd.DataFrame({"x": [0.0, 8.0]}), pd.DataFrame({"x": [4.0, 4.0]})
    precision, recall = alpha_precision_beta_recall(real, synthetic, numerical=["x"], categorical=[])
    # every radius is 1/2 and both synthetic points lie at the centre: P = 1 for all a,
    # and sum |a - 1| = sum a
    assert precision == pytest.approx(0)
    # every real point has a synthetic one within 1/2 <= 1, all of them at the synthetic centre: R = 1, too
    assert recall == pytest.approx(0)


def test_a_copy_is_perfect_and_far_points_are_not():
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=500)})
    columns = {"numerical": ["x"], "categorical": []}
    assert alpha_precision_beta_recall(frame, frame, **columns) == pytest.approx((1, 1), abs=0.01)
    precision, recall = alpha_precision_beta_recall(frame, frame + 100, **columns)
    assert precision == pytest.approx(0, abs=0.01)  # P = 0 for all a
    assert recall < 0.1


def test_an_independent_sample_has_beta_recall_about_half():
    columns = {"numerical": list("abcd"), "categorical": []}
    real, synthetic = (
        pd.DataFrame(np.random.default_rng(seed).normal(size=(2000, 4)), columns=list("abcd"))
        for seed in (0, 1)
    )
    precision, recall = alpha_precision_beta_recall(real, synthetic, **columns)
    assert precision > 0.95
    assert recall == pytest.approx(0.5, abs=0.05)


def test_rows_must_be_equally_many():
    frame = mixed(20, 0)
    with pytest.raises(DataError, match="Got 20 and 19"):
        alpha_precision_beta_recall(frame, frame.iloc[:19], **COMPLETE)


def slow_share(real, synthetic, holdout, numerical, categorical):
    """The definition word for word: L1 over numbers by range and over one-hot categories."""
    spread = [real[name].max() - real[name].min() for name in numerical]

    def distance(a, b):
        apart = sum(abs(a[name] - b[name]) / s for name, s in zip(numerical, spread, strict=True))
        return apart + sum(2 for name in categorical if str(a[name]) != str(b[name]))

    def nearest(row, frame):
        return min(distance(row, other) for other in frame.to_dict("records"))

    return np.mean([nearest(row, real) < nearest(row, holdout) for row in synthetic.to_dict("records")])


def test_dcr_share_equals_its_definition():
    tables = [mixed(n, seed) for n, seed in ((40, 0), (30, 1), (40, 2))]
    assert dcr_share(*tables, **COMPLETE) == slow_share(*tables, **COMPLETE)
    numbers = {"numerical": ["size", "rooms"], "categorical": []}
    assert dcr_share(*tables, **numbers) == slow_share(*tables, **numbers)


def test_a_tie_is_not_nearer():
    frame = mixed(50, 0)
    assert dcr_share(frame, mixed(50, 1), frame, **COMPLETE) == 0
    categories = {"numerical": [], "categorical": ["new"]}
    assert dcr_share(frame, frame, mixed(50, 1), **categories) == 0


def test_copies_are_nearer_and_fresh_rows_are_not():
    real, holdout = mixed(1000, 0), mixed(1000, 1)
    assert dcr_share(real, real, holdout, **COMPLETE) > 0.95
    assert dcr_share(real, mixed(1000, 2), holdout, **COMPLETE) == pytest.approx(0.5, abs=0.05)
    shares = [
        dcr_share(real, pd.concat([real.iloc[:n], holdout.iloc[n:]]), holdout, **COMPLETE)
        for n in (0, 300, 600)
    ]
    assert shares == sorted(shares)


def test_chunks_change_nothing(monkeypatch):
    tables = [mixed(n, seed) for n, seed in ((40, 0), (31, 1), (40, 2))]
    whole = dcr_share(*tables, **COMPLETE)
    monkeypatch.setattr(distances, "_CHUNK_CELLS", 100)
    assert dcr_share(*tables, **COMPLETE) == whole


def test_constant_numbers_and_unknown_categories_count():
    real = pd.DataFrame({"x": [1.0, 1.0], "c": ["a", "b"]})
    synthetic = pd.DataFrame({"x": [1.0, 3.0], "c": ["a", "z"]})
    holdout = pd.DataFrame({"x": [3.0], "c": ["a"]})
    # (1, a): 0 against 2. (3, z): 2 + 2 against 0 + 2
    assert dcr_share(real, synthetic, holdout, numerical=["x"], categorical=["c"]) == 0.5


def test_a_missing_number_is_refused():
    frame = mixed(20, 0)
    with pytest.raises(DataError, match="'price' of real has missing"):
        dcr_share(frame, frame, frame, numerical=["price"], categorical=[])
