import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from synthgan import IndependentSynthesizer, __version__
from synthgan.constraints import Inequality
from tests.cli.commands import run


def test_evaluate_prints_a_table_or_json_and_writes_html(model):
    run("sample", model, "-n", "200", "-o", "s.csv", "--seed", "0")
    command = ("evaluate", "--real", "real.csv", "--synthetic", "s.csv")
    table = run(*command, "--holdout", "holdout.parquet", "--target", "rich", "--html", "r.html")
    assert "c2st_gbm" in table.stdout
    assert "Wrote r.html" in table.stderr
    assert "Does it leak the data?" in table.stdout
    report = json.loads(run(*command, "--json", "--part", "fidelity").stdout)
    assert report["parts"] == ["fidelity"]
    metrics = {row["metric"]: row["value"] for row in report["metrics"]}
    assert 0 <= metrics["shape_error"] < 0.2
    assert Path("r.html").stat().st_size > 1000


def test_a_gate_that_is_met_exits_with_3(model):
    run("sample", model, "-n", "200", "-o", "s.csv", "--seed", "0")
    command = ("evaluate", "--real", "real.csv", "--synthetic", "s.csv", "--part", "fidelity", "--fail-if")
    result = run(*command, "shape_error > -1", "--fail-if", "shape_error>=2", code=3)
    assert result.stderr.count("Gate:") == 1
    assert "shape_error" in result.stdout
    run(*command, "shape_error>0.9")
    both = ("--part", "privacy", "--fail-if", "membership_auc>0.6")
    result = run(*command, "shape_error>-1", *both, code=3)  # what was not computed hides no gate that is met
    assert "Gate: shape_error" in result.stderr
    assert "membership_auc was not computed" in result.stderr


def test_a_gate_on_a_figure_that_is_missing_fails(model):
    command = ("evaluate", "--real", "real.csv", "--synthetic", "real.csv", "--part", "utility", "--fail-if")
    result = run(*command, "tstr<0.8", code=1)
    assert "--fail-if tstr<0.8: tstr was not computed. Give --holdout and --target." in result.stderr
    result = run(*command, "tstr<0.8", "--holdout", "real.csv", "--fail-if", "tstr>0", code=1)
    assert result.stderr.count("was not computed. Give --target.") == 2
    pd.read_csv("real.csv").head(20).to_csv("few.csv", index=False)
    few = ("evaluate", "--real", "few.csv", "--synthetic", "few.csv", "--part", "fidelity", "--fail-if")
    assert "c2st_gbm was not computed. The report says why." in run(*few, "c2st_gbm>0.6", code=1).stderr
    result = run(*command, "c2st_gbm>0.6", code=2)
    assert "c2st_gbm is measured by --part fidelity only" in result.stderr


def test_inspect_shows_the_manifest(model):
    text = run("inspect", model).stdout
    assert "m.synthgan: independent, format 1" in text
    assert "300 rows, 3 columns, seed 0" in text
    assert "age     numerical" in text
    assert "every row keeps" not in text
    manifest = json.loads(run("inspect", model, "--json").stdout)
    assert manifest["versions"]["synthgan"] == __version__
    assert len(manifest["sha256"]) == 64


def test_inspect_shows_what_every_row_keeps(folder, real):
    model = IndependentSynthesizer(constraints=[Inequality("age", "height")]).fit(real)
    model.save("m.synthgan")
    assert run("inspect", "m.synthgan").stdout.endswith(f"  every row keeps\n    {model.constraints_[0]!r}\n")


def test_inspect_prints_no_control_characters(folder):
    pd.DataFrame({"\x1b[2Jname": [1, 2, 2] * 9}).to_csv("odd.csv", index=False)
    run("fit", "odd.csv", "-o", "m.synthgan", "--model", "independent")
    assert "\x1b" not in run("inspect", "m.synthgan").stdout


def test_inspect_is_light(model):
    code = f"""
import sys
from pathlib import Path
from synthgan.cli import main
main(["inspect", {model!r}], standalone_mode=False)
assert not {{"torch", "pandas", "sklearn"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
