import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

from synthgan.evaluation.families import augmentation, fidelity, privacy, utility
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.tables import code_tables
from synthgan.evaluation.trial import Trial
from synthgan.evaluation.utility import Task


def trial_of(*frames, **options):
    return Trial.of(code_tables(*frames, **options), 0, tqdm(disable=True))


def values(findings):
    return {row["metric"]: row["value"] for row in findings.rows}


@pytest.mark.parametrize("family", [fidelity, privacy])
def test_every_metric_of_a_family_has_a_row(mixed, family):
    found = family(trial_of(mixed(60, 0), mixed(60, 1), mixed(60, 2)))
    assert {row["metric"] for row in found.rows} == {
        name for name, metric in METRICS.items() if metric.family == family.__name__
    }


def test_what_is_drawn_is_noted(mixed):
    wide = pd.concat([mixed(40, 0).add_prefix(f"{k}_") for k in range(3)], axis=1)
    notes = fidelity_notes(wide, wide.iloc[:30])
    assert any("c2st draws 30 rows" in note for note in notes)
    assert any("1,200 triples" in note for note in notes)
    assert not any("rows of each table, mmd" in note for note in notes)
    column = pd.DataFrame({"a": np.arange(5001) % 7, "b": np.arange(5001) % 3})
    assert any("5,000 rows of each table, mmd 50,000" in note for note in fidelity_notes(column, column))


def fidelity_notes(real, synthetic):
    trial = trial_of(real, synthetic)
    fidelity(trial)
    return trial.notes


def test_what_is_undefined_is_noted(mixed):
    trial = trial_of(
        mixed(40, 0)[["label", "new"]], mixed(40, 1)[["label", "new"]], mixed(40, 2)[["label", "new"]]
    )
    undefined = [row["metric"] for row in fidelity(trial).rows if np.isnan(row["value"])]
    assert "threeway_error" in undefined
    assert f"Not defined for want of rows, values or columns: {', '.join(undefined)}." in trial.notes


def test_scores_of_every_model_are_told(mixed):
    trial = trial_of(mixed(150, 0), mixed(150, 1), mixed(100, 2))
    found = utility(trial, Task("label", "binary"))
    figures = values(found)
    assert figures["tstr_gap"] == pytest.approx(figures["trtr"] - figures["tstr"])
    assert {"tstr_linear", "tstr_forest", "trts"} <= set(figures)
    assert set(found.tables["models"]["model"]) == {"linear", "boosting", "forest"}


def test_a_regression_is_scored_in_r2(mixed):
    trial = trial_of(mixed(150, 0), mixed(150, 1), mixed(100, 2))
    units = {row["metric"]: row["units"] for row in utility(trial, Task("price", "regression")).rows}
    assert units["tstr"] == "R2"
    assert units["tstr_gap"] == "R2 difference"


@pytest.mark.parametrize("family", [utility, augmentation])
@pytest.mark.parametrize(
    ("task", "words"), [(None, "there is no target"), ("the target is odd", "the target is odd")]
)
def test_without_a_task_nothing_is_trained(mixed, family, task, words):
    trial = trial_of(mixed(30, 0), mixed(30, 1), mixed(30, 2))
    assert np.isnan(list(values(family(trial, task)).values())).all()
    assert any(note.endswith(f"{words}.") for note in trial.notes)


def test_copies_raise_the_alarm_and_fresh_rows_do_not(mixed):
    real, holdout = mixed(1100, 0), mixed(1100, 2)
    leak = privacy(trial_of(real, real.copy(), holdout))
    assert leak.facts["privacy"]["verdict"].startswith("leak found: membership, ")
    assert values(leak)["membership_auc"] > 0.95
    assert values(leak)["identical_share"] == 1
    fresh = privacy(trial_of(real, mixed(1100, 1), holdout))
    assert fresh.facts["privacy"]["verdict"] == "no leak found by these attacks at this power"
    assert 0.5 < fresh.facts["privacy"]["detectable_auc"] < 0.6


def test_few_records_and_other_populations_allow_no_verdict(mixed):
    small = privacy(trial_of(mixed(80, 0), mixed(80, 1), mixed(80, 2)))
    assert small.facts["privacy"]["verdict"].startswith("no verdict: 80 real rows, fewer")
    shifted = mixed(1100, 2).assign(size=lambda frame: frame["size"] + 30)
    other = privacy(trial_of(mixed(1100, 0), mixed(1100, 1), shifted))
    assert "real and holdout rows differ" in other.facts["privacy"]["verdict"]


@pytest.mark.parametrize(("n_real", "n_holdout"), [(2100, 120), (120, 2100)])
def test_attacked_samples_are_noted_for_each_table(mixed, n_real, n_holdout):
    names = ["size", "colour"]
    trial = trial_of(mixed(n_real, 0)[names], mixed(50, 1)[names], mixed(n_holdout, 2)[names])
    found = privacy(trial)
    attacked = f"{min(n_real, 2000):,} real rows and {min(n_holdout, 2000):,} holdout rows"
    assert f"Attribute inference attacks {attacked}, with all synthetic rows." in trial.notes
    assert found.tables["singling out"]["n_records"].tolist() == [120]
    assert any(note.startswith("Singling out draws 120 rows of the real table") for note in trial.notes)


def test_attacks_on_every_record_need_no_note(mixed):
    trial = trial_of(
        mixed(60, 0)[["size", "colour"]], mixed(60, 1)[["size", "colour"]], mixed(60, 2)[["size", "colour"]]
    )
    privacy(trial)
    assert not any("ttack" in note or "Singling out" in note for note in trial.notes)


@pytest.mark.parametrize(
    ("n_holdout", "table", "metric", "rank"),
    [
        (40, "attributes", "attribute_excess", "excess"),
        (60, "singling out", "singling_out_excess", "n_predicates"),
    ],
)
def test_the_excess_is_that_of_the_least_probable_attack_where_all_are_chance(
    mixed, n_holdout, table, metric, rank
):
    found = privacy(trial_of(mixed(60, 6), mixed(60, 7), mixed(n_holdout, 8)))
    attacks = found.tables[table]
    assert attacks["p"].min() == 1  # corrected, they tie
    least = attacks.loc[attacks["raw_p"].idxmin()]
    assert values(found)[metric] == least["excess"]
    assert least[rank] < attacks[rank].max()  # what would come first among ties
