import numpy as np
import pandas as pd
import pytest

from synthgan import evaluate
from synthgan.errors import DataError, ParameterError
from synthgan.evaluation.metrics import METRICS

COMPARED = ["value", "low", "high", "ceiling", "floor", "best"]


def test_every_metric_stands_beside_its_references(report):
    assert report.frame["metric"].tolist() == list(METRICS)
    frame = report.frame.set_index("metric")
    assert frame["value"].notna().all()
    assert frame["ceiling"].notna().all()
    assert frame["floor"].notna().all()
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()


def test_a_fresh_draw_is_near_the_ceiling_and_far_from_the_floor(report):
    frame = report.frame.set_index("metric")
    for name in ("trend_error", "c2st_gbm", "tstr"):
        row = frame.loc[name]
        assert abs(row["value"] - row["ceiling"]) < 0.4 * abs(row["floor"] - row["ceiling"]), name
    assert frame.loc["tstr", "ceiling"] == frame.loc["trtr", "value"]


def test_a_table_beside_itself_has_the_best_errors(mixed):
    real = mixed(300, 0)
    report = evaluate(real, real)
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
    tables = {"real": mixed(150, 0), "synthetic": mixed(120, 1), "holdout": mixed(100, 2)}
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
    assert any("no holdout" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        ({}, None, "There is no target"),
        ({"label": "cheap"}, "label", "has 1 distinct values"),
        ({"label": [f"k{i}" for i in range(100)]}, "label", "is an identifier"),
    ],
)
def test_a_skipped_test_is_stated(mixed, change, target, words):
    real = mixed(100, 0).assign(**change)
    report = evaluate(real, real.copy(), holdout=real.copy(), target=target)
    assert np.isnan(report["tstr"])
    assert any(words in note for note in report.notes)
    assert report.answers[1].verdict == "Not tested"


def test_a_collapsed_target_is_stated(mixed):
    report = evaluate(
        mixed(100, 0), mixed(100, 1).assign(label="dear"), holdout=mixed(100, 2), target="label"
    )
    assert np.isnan(report["tstr"])
    assert report["trtr"] > 0.8
    assert any(note.startswith("tstr is not computed") for note in report.notes)


def test_sampling_and_identifiers_are_stated(mixed):
    real = mixed(200, 0).assign(key=[f"k{i}" for i in range(200)])
    report = evaluate(real, real.iloc[:80], holdout=real.iloc[:50])
    assert any("draws 80 rows of each" in note for note in report.notes)
    assert any("Identifiers are not compared: 'key'" in note for note in report.notes)
    assert any("holdout has 50 rows" in note for note in report.notes)
    assert "key" not in set(report.columns["column"])


def test_kinds_have_an_effect(mixed):
    report = evaluate(mixed(100, 0), mixed(100, 1), kinds={"rooms": "categorical"})
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
    report = evaluate(frame, frame)
    assert np.isnan(report["trend_error"])
    assert len(report.pairs) == 0


def test_files_are_read(mixed, tmp_path):
    mixed(50, 0).drop(columns="wait").to_csv(tmp_path / "real.csv", index=False)
    mixed(50, 1).drop(columns="wait").to_parquet(tmp_path / "synthetic.parquet")
    report = evaluate(tmp_path / "real.csv", str(tmp_path / "synthetic.parquet"))
    assert report.facts["rows"] == {"real": 50, "synthetic": 50}


def test_progress_goes_to_stderr_only_when_asked_for(mixed, capsys):
    evaluate(mixed(30, 0), mixed(30, 1))
    assert capsys.readouterr() == ("", "")
    evaluate(mixed(30, 0), mixed(30, 1), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "boosted trees" in err


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
        reports.append(evaluate(real, spoiled, holdout=holdout, target="label"))
    for name in ("shape_error", "trend_error", "trend_error_shared", "c2st_gbm"):
        values = [report[name] for report in reports]
        assert values == sorted(values), name
    assert [report["tstr"] for report in reports] == sorted((r["tstr"] for r in reports), reverse=True)


@pytest.mark.slow
def test_boosting_on_real_adult_rows_reaches_its_known_auc():
    from synthgan.datasets import load_adult

    train, test = load_adult()
    drawn = train.sample(frac=1, replace=True, random_state=0)
    report = evaluate(train, drawn, holdout=test, target="income")
    assert report["trtr"] == pytest.approx(0.927, abs=0.003)
