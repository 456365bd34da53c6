import re

import numpy as np
import pandas as pd
import pytest

from synthgan import evaluate
from synthgan.errors import DataError, ParameterError
from synthgan.evaluation.families import N_STEPS
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.protocol import PARTS

COMPARED = ["value", "low", "high", "ceiling", "floor", "best"]


def test_every_metric_stands_beside_its_references(report):
    assert report.frame["metric"].tolist() == [name for name in METRICS if name != "augmentation_lift"]
    frame = report.frame.set_index("metric")
    assert frame["value"].notna().all()
    assert set(frame.index[frame["ceiling"].isna()]) == {
        *("tstr_gap", "model_rank_agreement", "importance_agreement")
    }
    assert frame["floor"][frame["family"] == "fidelity"].notna().all()
    assert set(frame.index[(frame["family"] == "privacy") & frame["floor"].isna()]) == {"dcr_share"}
    assert frame.loc["tstr", "floor"] < 0.7
    known = frame[frame["low"].notna()]
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    assert set(frame.index[frame["low"].isna()]) == {"model_rank_agreement", "importance_agreement"}


def test_the_details_of_every_part_are_there(report):
    assert list(report.details) == [
        *("columns", "pairs", "models", "membership", "attributes", "singling out", "copies")
    ]
    assert all(len(table) for table in report.details.values())


def test_parts_choose_what_is_measured(mixed):
    report = evaluate(mixed(80, 0), mixed(80, 1), holdout=mixed(80, 2), target="label", parts=["utility"])
    assert set(report.frame["family"]) == {"utility"}
    assert [answer.verdict for answer in report.answers][::2] == ["Not measured", "Not measured"]
    assert list(report.details) == ["columns", "pairs", "models"]
    with pytest.raises(ParameterError, match="'parts' parameter of evaluate must be 'fidelity' or 'utility'"):
        evaluate(mixed(80, 0), mixed(80, 1), parts=["fidelity", "looks"])
    with pytest.raises(ParameterError, match="parts"):
        evaluate(mixed(80, 0), mixed(80, 1), parts=[])


def test_augmentation_is_tested_when_asked_for(mixed):
    tables = {"real": mixed(120, 0), "synthetic": mixed(120, 1), "holdout": mixed(120, 2)}
    report = evaluate(**tables, target="label", parts=["augmentation"])
    assert report.frame["metric"].tolist() == ["augmentation_lift"]
    assert report.frame.loc[0, "low"] < report["augmentation_lift"] < report.frame.loc[0, "high"]
    assert set(report.details["augmentation"]["strategy"]) >= {"real", "real + synthetic", "class weights"}
    report = evaluate(mixed(50, 0), mixed(50, 1), parts=["augmentation"])
    assert np.isnan(report["augmentation_lift"])
    assert "Augmentation is not tested: there is no target." in report.notes


def test_a_fresh_draw_is_near_the_ceiling_and_far_from_the_floor(report):
    frame = report.frame.set_index("metric")
    for name in ("trend_error", "c2st_gbm", "tstr"):
        row = frame.loc[name]
        assert abs(row["value"] - row["ceiling"]) < 0.4 * abs(row["floor"] - row["ceiling"]), name
    assert frame.loc["tstr", "ceiling"] == frame.loc["trtr", "value"]


def test_a_table_beside_itself_has_the_best_errors(mixed):
    real = mixed(300, 0)
    report = evaluate(real, real, parts=["fidelity", "privacy"])
    for name in ("shape_error", "missing_error", "trend_error", "trend_error_shared"):
        assert report[name] == 0.0
    assert report["identical_share"] == 1.0
    assert report["c2st_gbm"] < 0.5
    assert any("share more than a distribution" in note for note in report.notes)


def test_the_order_of_rows_and_columns_does_not_matter(mixed, report):
    turned = [mixed(400, seed).iloc[::-1, ::-1] for seed in (0, 1, 2)]
    other = evaluate(turned[0].iloc[:, ::-1], turned[1], holdout=turned[2], target="label")
    pd.testing.assert_frame_equal(other.frame, report.frame)
    pd.testing.assert_frame_equal(other.pairs, report.pairs)


def test_the_seed_decides_and_the_global_generator_is_left_alone(mixed):
    tables = {"real": mixed(150, 0), "synthetic": mixed(120, 1), "holdout": mixed(100, 2), "target": "label"}
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (evaluate(**tables, random_state=seed).frame for seed in (1, 1, 2))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    pd.testing.assert_frame_equal(first, again)
    assert not first[COMPARED].equals(other[COMPARED])


def test_the_tables_are_left_as_they_are(mixed):
    tables = [mixed(60, seed) for seed in range(3)]
    copies = [table.copy(deep=True) for table in tables]
    evaluate(tables[0], tables[1], holdout=tables[2], target="label")
    for table, copy in zip(tables, copies, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_without_holdout_the_report_says_what_is_missing(mixed):
    report = evaluate(mixed(100, 0), mixed(100, 1), target="label")
    assert np.isnan(report["tstr"])
    assert report.frame["ceiling"].isna().all()
    assert report.frame.set_index("metric").loc["shape_error", "floor"] > 0
    assert sum("no holdout" in note for note in report.notes) == 3
    assert report["identical_share"] == 0
    assert np.isnan(report["membership_auc"])
    assert report.answers[2].verdict == "No verdict: there is no holdout"


@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        ({}, None, "there is no target"),
        ({"label": "cheap"}, "label", "has 1 distinct value"),
        ({"label": [f"k{i}" for i in range(100)]}, "label", "is an identifier"),
    ],
)
def test_a_skipped_test_is_stated(mixed, change, target, words):
    real = mixed(100, 0).assign(**change)
    report = evaluate(real, real.copy(), holdout=real.copy(), target=target, parts=["utility"])
    assert np.isnan(report["tstr"])
    assert any(words in note for note in report.notes)
    assert report.answers[1].verdict == "Not tested"


def test_a_collapsed_target_is_stated(mixed):
    report = evaluate(
        mixed(100, 0),
        mixed(100, 1).assign(label="dear"),
        holdout=mixed(100, 2),
        target="label",
        parts=["utility"],
    )
    assert np.isnan(report["tstr"])
    assert report["trtr"] > 0.8
    assert any("synthetic rows hold fewer than two classes" in note for note in report.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"price": np.nan},
        {"label": None},
        {"colour": "violet"},
        {"size": 1e300, "price": -1e300},
        {"sold": pd.Timestamp("2024-01-01"), "wait": pd.Timedelta(0)},
    ],
)
def test_collapsed_columns_give_a_report_in_which_nothing_is_missing_in_silence(mixed, change):
    real, synthetic, holdout = mixed(60, 0), mixed(60, 1).assign(**change), mixed(60, 2)
    report = evaluate(real, synthetic, holdout=holdout, target="label")
    for name in report.frame["metric"][report.frame["value"].isna()]:
        family = METRICS[name].family
        assert any(name in note or "A model is not scored" in note for note in report.notes), (name, family)
    assert report["shape_error"] > 0.1
    report.to_json()


def test_sampling_and_identifiers_are_stated(mixed):
    real = mixed(200, 0).assign(key=[f"k{i}" for i in range(200)])
    report = evaluate(real, real.iloc[:80], holdout=real.iloc[:50], parts=["fidelity"])
    assert any("draws 80 rows of each" in note for note in report.notes)
    assert any("Identifiers are not compared: 'key'" in note for note in report.notes)
    assert any("holdout has 50 rows" in note for note in report.notes)
    assert "key" not in set(report.columns["column"])


def test_kinds_have_an_effect(mixed):
    report = evaluate(mixed(100, 0), mixed(100, 1), kinds={"rooms": "categorical"}, parts=["utility"])
    assert report.columns.set_index("column").loc["rooms", "method"] == "tv"


@pytest.mark.parametrize("target", ["income", "labels", 3])
def test_a_target_that_is_no_column_is_refused(mixed, target):
    with pytest.raises(DataError, match="target must be a column of real"):
        evaluate(mixed(20, 0), mixed(20, 1), target=target)


def test_bad_input_is_refused(mixed):
    with pytest.raises(DataError, match="synthetic lacks 1 column of real: 'size'"):
        evaluate(mixed(20, 0), mixed(20, 1).drop(columns="size"))
    with pytest.raises(DataError, match="holdout has 1 column that real lacks: 'z'"):
        evaluate(mixed(20, 0), mixed(20, 1), holdout=mixed(20, 2).assign(z=1))
    with pytest.raises(DataError):
        evaluate(mixed(20, 0), None)
    with pytest.raises(ParameterError, match="random_state"):
        evaluate(mixed(20, 0), mixed(20, 1), random_state=-1)


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_tiny_tables_are_no_trouble(mixed, n_rows):
    report = evaluate(mixed(n_rows, 0), mixed(n_rows, 1), holdout=mixed(n_rows, 2), target="rooms")
    assert 0 <= report["shape_error"] <= 1
    assert str(report)


def test_a_single_column_has_no_pairs():
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.5, 3.0]})
    report = evaluate(frame, frame, holdout=frame, target="a")
    assert np.isnan(report["trend_error"])
    assert len(report.pairs) == 0
    assert "pairs of columns" not in report.answers[0].text


@pytest.mark.parametrize("names", [["label"], ["size"], ["size", "price", "rooms"]])
def test_a_figure_that_is_not_known_has_no_interval(mixed, names):
    report = evaluate(mixed(60, 0)[names], mixed(60, 1)[names], parts=["fidelity"])
    unknown = report.frame[report.frame["value"].isna()]
    assert len(unknown)
    assert unknown[["low", "high"]].isna().all(axis=None)
    rows = [
        line
        for line in report.to_markdown().splitlines()
        if line.startswith(f"| {unknown['metric'].iloc[0]} ")
    ]
    assert rows[0].split(" | ")[1:3] == ["-", "-"]


def test_tables_of_too_few_rows_are_not_called_alike(mixed):
    real = mixed(24, 0)
    report = evaluate(real, mixed(24, 1).assign(size=lambda frame: frame["size"] + 1e6), holdout=mixed(24, 2))
    assert np.isnan(report["c2st_gbm"])
    assert report.answers[0].verdict == "Too few rows to tell"
    assert "AUC of" not in report.answers[0].text
    assert any("c2st_gbm" in note for note in report.notes)


def test_models_of_few_rows_learn(mixed):
    tables = [mixed(24, seed)[["size", "rooms"]] for seed in range(3)]
    tables = [table.assign(dear=np.where(table["size"] > 20, "yes", "no")) for table in tables]
    report = evaluate(tables[0], tables[1], holdout=tables[2], target="dear", parts=["utility"])
    assert report["trtr"] > 0.8
    assert report["tstr"] > 0.8


def test_a_table_is_its_own_copy_in_single_precision_too(mixed, tmp_path):
    real = mixed(300, 0)[["size", "price", "rooms"]].astype({"size": "float32", "price": "float32"})
    real.to_csv(tmp_path / "copy.csv", index=False)
    report = evaluate(real, tmp_path / "copy.csv")
    assert report["identical_share"] == 1.0
    assert report["shape_error"] == 0.0
    assert report["c2st_gbm"] < 0.5


@pytest.mark.parametrize(
    ("target", "holdout", "words"),
    [
        (None, True, "there is no target"),
        ("label", False, "there is no holdout"),
        ("key", True, "the target 'key' is an identifier"),
        ("many", True, "the target 'many' has 40 classes, more than the 30 that are feasible"),
        ("gone", True, "the synthetic rows hold fewer than two classes of the target"),
    ],
)
def test_the_answer_says_why_no_model_was_tested(mixed, target, holdout, words):
    names = {"key": [f"k{i}" for i in range(80)], "many": [f"m{i % 40}" for i in range(80)]}
    tables = [mixed(80, seed)[["size", "label"]].assign(**names, gone=["a", "b"] * 40) for seed in range(3)]
    tables[1]["gone"] = "a"
    given = {"holdout": tables[2]} if holdout else {}
    report = evaluate(*tables[:2], **given, target=target, parts=["utility"])
    assert report.answers[1].verdict == "Not tested"
    assert report.answers[1].text.endswith(f"holdout: {words}.")
    assert any(note.endswith(f"{words}.") for note in report.notes)
    assert report.to_dict()["utility"] == {"untested": words}


def test_no_power_is_claimed_for_attacks_that_were_not_made(mixed):
    report = evaluate(mixed(60, 0), mixed(60, 1), holdout=mixed(5, 2), parts=["privacy"])
    assert np.isnan(report["membership_auc"])
    text = report.answers[2].text
    assert "probability" not in text
    assert text.startswith("There are too few records to attack their membership.")
    assert report.to_dict()["privacy"]["detectable_auc"] is None


def test_files_are_read(mixed, tmp_path):
    mixed(50, 0).drop(columns="wait").to_csv(tmp_path / "real.csv", index=False)
    mixed(50, 1).drop(columns="wait").to_parquet(tmp_path / "synthetic.parquet")
    report = evaluate(tmp_path / "real.csv", str(tmp_path / "synthetic.parquet"), parts=["privacy"])
    assert report.facts["rows"] == {"real": 50, "synthetic": 50}


def test_progress_goes_to_stderr_only_when_asked_for(mixed, capsys):
    tables = {"real": mixed(30, 0), "synthetic": mixed(30, 1), "holdout": mixed(30, 2), "target": "label"}
    evaluate(**tables)
    assert capsys.readouterr() == ("", "")
    evaluate(**tables, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "boosted trees" in err
    n_steps = sum(N_STEPS[part] for part in PARTS)
    steps = {int(step) for step in re.findall(rf"(\d+)/{n_steps} ", err)}
    assert max(steps) > n_steps - 6  # the bar shows ten steps a second at most


def test_corruption_makes_every_metric_worse(mixed):
    real, fresh, holdout = mixed(800, 0), mixed(800, 1), mixed(400, 2)
    rng = np.random.default_rng(0)
    reports = []
    for share in (0.0, 0.5, 1.0):
        spoiled = fresh.copy()
        for name in fresh.columns:
            rows = rng.random(len(fresh)) < share
            spoiled[name] = fresh[name].where(~rows, rng.permutation(fresh[name].to_numpy()))
        spoiled["size"] *= 1 + 0.2 * share
        reports.append(evaluate(real, spoiled, holdout=holdout, target="label", parts=PARTS[:2]))
    worse = {"c2st_logistic": False, "category_coverage": False, "missing_error": False}  # blind to this
    for name in reports[0].frame["metric"]:
        values = [report[name] for report in reports]
        if METRICS[name].direction == "lower" and worse.get(name, True):
            assert values[0] < values[2], name
    for name in ("shape_error", "trend_error", "trend_error_shared", "c2st_gbm", "energy_distance"):
        values = [report[name] for report in reports]
        assert values == sorted(values), name
    for name in ("tstr", "tstr_forest", "coverage", "precision"):
        values = [report[name] for report in reports]
        assert values == sorted(values, reverse=True), name


@pytest.mark.slow
def test_boosting_on_real_adult_rows_reaches_its_known_auc():
    from synthgan.datasets import load_adult

    train, test = load_adult()
    drawn = train.sample(frac=1, replace=True, random_state=0)
    report = evaluate(train, drawn, holdout=test, target="income")
    assert report["trtr"] == pytest.approx(0.927, abs=0.003)
