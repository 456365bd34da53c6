import dataclasses
import json

import pandas as pd
import pytest

from synthgan import evaluate
from synthgan.evaluation.report import SCHEMA


def test_a_metric_is_found_by_its_name(report):
    assert report["shape_error"] == report.frame.set_index("metric").loc["shape_error", "value"]
    with pytest.raises(KeyError, match="shape_error"):
        report["shape"]


def test_it_is_frozen(report):
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.notes = ()


def test_the_text_is_aligned_and_holds_the_main_metrics(report):
    lines = str(report).splitlines()
    assert lines[0] == "400 real, 400 synthetic, 400 holdout rows, 8 columns, target 'label'"
    table = lines[1 : 2 + len(report.headlines())]
    assert [line.split()[0] for line in table[1:]] == report.headlines()["metric"].tolist()
    assert len({line.rindex(" ") for line in table[5:7]}) == 1
    assert "Does it leak the data?" in str(report)


def test_json_is_strict_and_complete(report, tmp_path):
    text = report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == text
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["schema"] == SCHEMA == "synthgan-report/2"
    assert found["rows"] == {"real": 400, "synthetic": 400, "holdout": 400, "ceiling": 400}
    assert [row["metric"] for row in found["metrics"]] == report.frame["metric"].tolist()
    assert found["metrics"][0]["value"] == report["shape_error"]
    assert len(found["columns"]) == 8
    assert len(found["pairs"]) == 28
    assert found["parts"] == ["fidelity", "utility", "privacy"]
    assert found["privacy"]["verdict"].startswith("no verdict: 400 real rows, fewer than")
    assert len(found["singling_out"]) == 3


def test_json_takes_unknown_figures_and_odd_names():
    names = [0, "ä\n", pd.Timestamp("2024-01-01"), None]
    frame = pd.DataFrame([[1.0, "x", True, 3], [2.0, "y", False, 4]])
    frame.columns = pd.Index(names, dtype=object)
    report = evaluate(frame, frame, parts=["fidelity"])
    found = json.loads(report.to_json())
    assert report.columns["column"].tolist() == names
    assert [row["column"] for row in found["columns"]] == [0, "ä\n", "2024-01-01 00:00:00", None]
    assert found["metrics"][0]["ceiling"] is None


def test_markdown_holds_the_table_and_escapes_names():
    frame = pd.DataFrame({"a|b<i>`": [1.0, 2.0, 3.0], "[x](y)": ["u", "v", "u"]})
    text = evaluate(frame, frame[::-1], target="[x](y)", parts=["fidelity"]).to_markdown()
    assert "| shape\\_error |" in text or "| shape_error |" in text
    assert "a\\|b\\<i\\>\\`" in text
    assert "[x](y)" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {7}


def test_a_report_without_plots_needs_no_matplotlib():
    import subprocess
    import sys

    code = "import synthgan.evaluation, sys; assert not {'matplotlib', 'jinja2', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_bytes_for_equal_reports(mixed):
    first, second = (evaluate(mixed(60, 0), mixed(60, 1), parts=["fidelity", "privacy"]) for _ in range(2))
    assert first.to_json() == second.to_json()
