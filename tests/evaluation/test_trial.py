import numpy as np
import pytest
from tqdm import tqdm

from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.marginals import shape_error
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.tables import code_tables
from synthgan.evaluation.trial import UNKNOWN, Trial, metric_row


@pytest.fixture
def trial(mixed):
    bar = tqdm(disable=True)
    return Trial.of(code_tables(mixed(90, 0), mixed(60, 1), mixed(80, 2)), 0, bar)


def test_references_have_the_size_of_the_synthetic_table(trial):
    assert trial.n_rows() == {"real": 90, "synthetic": 60, "holdout": 80, "ceiling": 60}
    assert len(trial.floor) == 60


def test_a_small_holdout_is_used_whole_and_noted(mixed):
    trial = Trial.of(code_tables(mixed(90, 0), mixed(60, 1), mixed(20, 2)), 0, tqdm(disable=True))
    assert len(trial.ceiling) == 20
    assert "holdout has 20 rows, fewer than the 60" in trial.notes[0]


def test_a_metric_gets_the_holdout_as_ceiling_and_independent_columns_as_floor(trial):
    def measure(real, other):
        return {"shape_error": Estimate(shape_error(real, other))}

    (row,) = trial.referenced("shapes", measure)
    assert row["value"] == shape_error(trial.real, trial.synthetic)
    assert row["ceiling"] == shape_error(trial.real, trial.ceiling)
    assert row["floor"] == shape_error(trial.real, trial.floor)
    assert row["source"] == METRICS["shape_error"].source


def test_references_may_be_measured_in_another_way(trial):
    way = {name: (lambda _, __, k=k: {"c2st_gbm": Estimate(k)}) for k, name in enumerate("vcf")}
    (row,) = trial.referenced("auc", way["v"], ceiling=way["c"], floor=way["f"])
    assert (row["value"], row["ceiling"], row["floor"]) == (0, 1, 2)


def test_without_holdout_there_is_no_ceiling(mixed):
    trial = Trial.of(code_tables(mixed(30, 0), mixed(30, 1)), 0, tqdm(disable=True))
    (row,) = trial.referenced("auc", lambda _, __: {"c2st_gbm": Estimate(0.7, 0.6, 0.8)})
    assert np.isnan(row["ceiling"])
    assert (row["low"], row["value"], row["high"]) == (0.6, 0.7, 0.8)


def test_the_best_of_a_matching_metric_is_its_ceiling():
    assert metric_row("identical_share", UNKNOWN, Estimate(0.2), UNKNOWN)["best"] == 0.2
    assert metric_row("shape_error", UNKNOWN, Estimate(0.2), UNKNOWN)["best"] == 0.0
