import inspect
import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgan import IndependentSynthesizer, __version__, load
from synthgan.cli import main
from synthgan.constraints import Inequality
from synthgan.synthesizers.checkpoint import read_checkpoint


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 300)
    rich = np.where(rng.random(300) < age / 100, "yes", "no")
    return pd.DataFrame({"age": age, "rich": rich, "height": rng.normal(170, 9, 300).round(1)})


@pytest.fixture
def folder(tmp_path, monkeypatch, real):
    """A working folder with real.csv and holdout.parquet."""
    monkeypatch.chdir(tmp_path)
    real.to_csv("real.csv", index=False)
    real.sample(200, replace=True, random_state=0).to_parquet("holdout.parquet", index=False)
    return tmp_path


@pytest.fixture
def model(folder):
    run("fit", "real.csv", "-o", "m.synthgan", "--model", "independent", "--seed", "0")
    return "m.synthgan"


# Since click 8.2 the two outputs are kept apart anyway.
SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def run(*arguments, code=0, **options):
    result = CliRunner(**SEPARATE).invoke(main, list(arguments), **options)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_fit_writes_a_model_and_talks_on_stderr_only(folder):
    result = run("fit", "real.csv", "-o", "m.synthgan", "--model", "independent", "--kind", "age=numerical")
    assert result.stdout == ""
    assert "Fitting independent to 300 rows and 3 columns" in result.stderr
    assert "Wrote m.synthgan" in result.stderr
    assert load("m.synthgan").kinds == {"age": "numerical"}


def test_quiet_is_quiet_and_json_is_json(folder):
    command = ("fit", "real.csv", "-o", "m.synthgan", "--model", "independent", "--seed", "5", "--quiet")
    assert run(*command).output == ""
    facts = json.loads(run(*command, "--json").stdout)
    assert facts.pop("seconds") > 0
    assert facts == {
        "model": "m.synthgan", "estimator": "independent", "n_rows": 300, "n_columns": 3, "seed": 5,
    }  # fmt: skip


def test_sample_writes_csv_to_stdout_and_tables_to_files(model, real):
    result = run("sample", model, "-n", "20", "--seed", "1")
    assert result.stderr == ""
    assert result.stdout.splitlines()[0] == "age,rich,height"
    assert len(result.stdout.splitlines()) == 21
    run("sample", model, "-n", "20", "--seed", "1", "-o", "s.parquet")
    synthetic = pd.read_parquet("s.parquet")
    assert synthetic.to_csv(index=False) == result.stdout
    assert synthetic.dtypes.equals(real.dtypes)


def test_no_rows_give_the_header(model):
    assert run("sample", model, "-n", "0").stdout == "age,rich,height\n"


def test_conditions_are_read_by_kind_and_hold(model):
    where = ("--where", "rich=yes", "--where", "age=30..40", "--where", "height=..170")
    result = run("sample", model, "-n", "50", "--seed", "1", *where)
    rows = pd.read_csv(StringIO(result.stdout))
    assert len(rows) == 50
    assert (rows["rich"] == "yes").all()
    assert rows["age"].between(30, 40).all()
    assert (rows["height"] <= 170).all()
    assert result.stdout == run("sample", model, "-n", "50", "--seed", "1", *where).stdout


def test_a_table_of_given_cells_is_completed(model, real):
    real[["rich", "age"]].head(30).to_csv("part.csv", index=False)
    result = run("sample", model, "--given", "part.csv", "--seed", "1", "-o", "out.parquet")
    assert "Wrote 30 rows to out.parquet" in result.stderr
    completed = pd.read_parquet("out.parquet")
    assert completed.dtypes.equals(real.dtypes)
    pd.testing.assert_frame_equal(completed[["rich", "age"]], real[["rich", "age"]].head(30))
    assert len(run("sample", model, "--given", "part.csv", "-n", "30").stdout.splitlines()) == 31


def test_a_folder_gets_parts_and_a_second_run_goes_on(model, real):
    command = ("sample", model, "-n", "150000", "--part-rows", "65536", "--where", "rich=yes", "-o", "out/")
    result = run(*command, "--seed", "1")
    assert "Wrote 150,000 rows to out/." in result.stderr
    parts = sorted(path.name for path in Path("out").iterdir())
    assert parts == ["_synthgan.json", *(f"part-0000{k}.parquet" for k in range(3))]
    rows = pd.read_parquet("out")
    assert rows.dtypes.equals(real.dtypes)
    assert (rows["rich"] == "yes").all()
    before = Path("out/part-00001.parquet").read_bytes()
    Path("out/part-00001.parquet").unlink()
    assert "out/ has 2 part(s) already. Going on ..." in run(*command).stderr  # with the seed written there
    assert Path("out/part-00001.parquet").read_bytes() == before
    assert "not the same in 'seed'" in run(*command, "--seed", "2", code=1).stderr


def test_gaps_are_filled_and_counted(model, real):
    holes = real.mask(np.random.default_rng(0).random(real.shape) < 0.2)
    holes.to_csv("holes.csv", index=False)
    result = run("impute", model, "holes.csv", "-o", "filled.parquet", "--seed", "1")
    assert f"Filled {holes.isna().sum().sum()} gaps in 300 rows. Wrote filled.parquet." in result.stderr
    filled = pd.read_parquet("filled.parquet")
    assert filled.dtypes.equals(real.dtypes)
    assert filled.notna().all(axis=None)
    assert (filled == real)[holes.notna()].fillna(True).all(axis=None)
    assert run("impute", model, "holes.csv", "--seed", "1").stdout == filled.to_csv(index=False)


def test_standard_input_is_read(folder, real):
    run("fit", "-", "-o", "m.synthgan", "--model", "independent", input=real.to_csv(index=False))
    assert load("m.synthgan").n_rows_ == 300


def test_several_files_are_fitted_together(folder, real):
    real.to_csv("real2.csv", index=False)
    run("fit", "real.csv", "real2.csv", "-o", "m.synthgan", "--model", "independent")
    assert load("m.synthgan").n_rows_ == 600
    run("fit", "real*.csv", "-o", "m.synthgan", "--model", "independent")
    assert load("m.synthgan").n_rows_ == 600


def test_augment_adds_rows_below_the_real_ones(folder, real):
    real = real.assign(rich=np.where(np.arange(300) % 6, "no", "yes"))
    real.to_parquet("rare.parquet", index=False)
    command = ("augment", "rare.parquet", "--target", "rich", "--max-seconds", "0.5", "--seed", "0")
    result = run(*command, "-o", "more.parquet")
    more = pd.read_parquet("more.parquet")
    pd.testing.assert_frame_equal(more.iloc[:300], real)
    assert more["rich"].value_counts().to_dict() == {"no": 250, "yes": 250}
    assert result.stdout == ""
    assert "Added 200 rows." in result.stderr
    assert len(run(*command, "--strategy", "0.3", "--quiet").stdout.splitlines()) == 326


def test_augment_takes_a_fitted_model_and_ranges_of_a_numeric_target(model, real):
    command = ("augment", "real.csv", "--model", model, "--seed", "0", "-q")
    run(*command, "--target", "height", "--strategy", "185..=100", "--strategy", "..150=40", "-o", "more.csv")
    more = pd.read_csv("more.csv")
    pd.testing.assert_frame_equal(more.iloc[:300], real)
    assert (more["height"] >= 185).sum() == 100
    assert (more["height"] <= 150).sum() == 40
    run(*command, "--target", "rich", "--strategy", "yes=400", "--kept-share", "0", "-o", "more.csv")
    assert (pd.read_csv("more.csv")["rich"] == "yes").sum() == 400


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


def test_a_gate_on_a_figure_that_is_missing_fails(model):
    command = ("evaluate", "--real", "real.csv", "--synthetic", "real.csv", "--part", "utility", "--fail-if")
    result = run(*command, "tstr<0.8", code=1)
    assert "Error: --fail-if tstr<0.8: tstr was not computed" in result.stderr
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "none.csv", "-o", "m"], "There is no file 'none.csv'"),
        (["fit", "rael.csv", "-o", "m"], "Did you mean 'real.csv'?"),
        (["fit", "real.csv", "-o", "no/m"], "the folder 'no' does not exist"),
        (["fit", "real.csv", "-o", "m", "--kind", "agee=numerical", "--model", "independent"], "'agee'"),
        (["fit", "real.csv", "-o", "m", "--seed", "-1", "--model", "independent"], "random_state"),
        (["fit", "empty.csv", "-o", "m"], "'empty.csv' is empty"),
        (["fit", "header.csv", "-o", "m", "--model", "independent"], "row"),
        (["sample", "real.csv", "-n", "5"], "'real.csv' is not a synthgan model file"),
        (["sample", "none", "-n", "5"], "There is no model file 'none'"),
        (["sample", "m.synthgan", "-n", "-5"], "'n_samples' parameter"),
        (["sample", "m.synthgan", "-n", "5", "-o", "x.docx"], "must end in one of .csv"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rich=ja"], "column 'rich' has no category 'ja'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rihc=yes"], "Did you mean 'rich'?"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rich=no..yes"], "no category 'no..yes'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "age=old"], "is numerical and cannot be 'old'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "age=40..30"], "empty range"),
        (["sample", "m.synthgan", "-n", "5", "--where", "age"], "must look like column=value"),
        (
            ["sample", "m.synthgan", "-n", "5", "--given", "real.csv"],
            "n_samples=5 and conditions with 300 rows",
        ),
        (["sample", "m.synthgan", "--given", "none.csv"], "There is no file 'none.csv'"),
        (["sample", "m.synthgan", "-n", "5", "-o", "."], "holds other files"),
        (["sample", "m.synthgan", "-n", "5", "-o", "out/", "--part-rows", "7"], "Use 65,536"),
        (["sample", "m.synthgan", "-n", "5", "--part-rows", "65536"], "part_rows has no effect"),
        (["impute", "m.synthgan", "none.csv"], "There is no file 'none.csv'"),
        (["impute", "m.synthgan", "other.csv", "-o", "x.csv"], "X lacks 2 of 3 columns"),
        (["inspect", "real.csv"], "is not a synthgan model file"),
        (["augment", "real.csv", "--target", "poor"], "no column 'poor'. Columns: 'age', 'rich', 'height'"),
        (["augment", "real.csv", "--target", "rich", "--strategy", "most"], "'sampling_strategy' parameter"),
        (["augment", "real.csv", "--target", "rich", "--strategy", "yes=3"], "removes none"),
        (["augment", "real.csv", "--target", "rich", "--strategy", "maybe=3"], "Classes: 'no', 'yes'"),
        (["augment", "real.csv", "--target", "rich", "-o", "x.docx"], "must end in one of .csv"),
        (["evaluate", "--real", "real.csv", "--synthetic", "none.csv"], "There is no file 'none.csv'"),
        (["evaluate", "--real", "real.csv", "--synthetic", "real.csv", "--target", "x"], "'x'"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing_behind(model, folder, arguments, message):
    (folder / "empty.csv").touch()
    (folder / "header.csv").write_text("a,b\n")
    (folder / "other.csv").write_text("age\n30\n")
    before = sorted(path.name for path in folder.iterdir())
    result = run(*arguments, code=1)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit"],
        ["fit", "real.csv"],
        ["fit", "real.csv", "-o", "-"],
        ["fit", "real.csv", "-o", "m", "--model", "vae"],
        ["fit", "real.csv", "-o", "m", "--kind", "age"],
        ["fit", "real.csv", "-o", "m", "--model", "independent", "--max-seconds", "3"],
        ["fit", "real.csv", "-o", "m", "--model", "independent", "--checkpoint", "c"],
        ["fit", "real.csv", "-o", "m", "--resume"],
        ["fit", "real.csv", "-o", "m", "--curves", "c.jpg"],
        ["sample", "m.synthgan"],
        ["sample", "m.synthgan", "-n", "many"],
        ["sample", "m.synthgan", "-n", "1", "--n-passes", "2"],
        ["sample", "m.synthgan", "-n", "1", "--where", "rich=yes", "--given", "real.csv"],
        ["sample", "m.synthgan", "--given", "real.csv", "-o", "out/"],
        ["impute"],
        ["impute", "m.synthgan"],
        ["evaluate", "--real", "real.csv"],
        ["evaluate", "--real", "real.csv", "--synthetic", "real.csv", "--fail-if", "c2st_gbm=1"],
        ["evaluate", "--real", "real.csv", "--synthetic", "real.csv", "--fail-if", "c2st_gmb>1"],
        ["augment", "real.csv"],
        ["augment", "real.csv", "--target", "rich", "--strategy", "yes=many"],
        ["augment", "real.csv", "--target", "age", "--strategy", "a..b=400"],
        ["augment", "real.csv", "--target", "age", "--kind", "age=categorical"],
        ["augment", "real.csv", "--target", "age", "--model", "m.synthgan", "--max-seconds", "3"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(model, arguments):
    assert "Usage:" in run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["fit"], ["sample"], ["impute"], ["evaluate"], ["inspect"]]
)
def test_every_command_explains_itself(command):
    text = run(*command, "--help").stdout
    assert "Usage: main" in text
    assert command or "synthgan fit real.csv" in text


def test_the_version_is_shown():
    assert __version__ in run("--version").stdout


# --- as a process ----------------------------------------------------------------------


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "synthgan", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_inspect_is_light(model):
    code = f"""
import sys
from pathlib import Path
from synthgan.cli import main
main(["inspect", {model!r}], standalone_mode=False)
assert not {{"torch", "pandas", "sklearn"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_that_goes_away_is_no_error(model):
    with process("sample", model, "-n", "50000") as child:
        assert child.stdout.readline() == "age,rich,height\n"
        child.stdout.close()
        assert child.stderr.read() == ""


@pytest.mark.skipif(os.name == "nt", reason="signals are delivered differently on Windows")
def test_an_interruption_exits_with_130_and_leaves_nothing(folder):
    # A job in the background of a script ignores interruptions, and its children inherit that.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with process("fit", "-", "-o", "m.synthgan", stdin=subprocess.PIPE, **heed) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(2)  # it waits for its input
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
        assert child.stderr.read() == "Interrupted.\n"
    assert not (folder / "m.synthgan").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals are delivered differently on Windows")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_and_ends_in_the_same_files(model, folder, blow):
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    command = ("sample", model, "-n", "2000000", "--part-rows", "65536", "--seed", "4", "-o")
    with process(*command, "out", **heed) as child:
        while not (folder / "out/part-00001.parquet").exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(blow)
        assert child.wait(60) == (130 if blow == signal.SIGINT else -signal.SIGKILL)
        if blow == signal.SIGINT:
            assert "parts in out are complete. Run the same command again to go on." in child.stderr.read()
            assert not list((folder / "out").glob(".*"))
    made = {path.name: path.read_bytes() for path in (folder / "out").glob("part-*")}
    assert 2 <= len(made) < 31
    few = ("sample", model, "-n", str(65536 * (len(made) + 1)), "--part-rows", "65536", "--seed", "4", "-o")
    run(*few, "new")
    for name, content in made.items():
        assert (folder / "new" / name).read_bytes() == content
    text = (folder / "out/_synthgan.json").read_text()
    (folder / "out/_synthgan.json").write_text(
        text.replace("2000000", few[3])
    )  # so that little is left to do
    run(*few, "out")
    assert not list((folder / "out").glob(".*"))
    for path in (folder / "new").iterdir():
        assert (folder / "out" / path.name).read_bytes() == path.read_bytes(), path.name


# --- with the network ------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals are delivered differently on Windows")
@pytest.mark.parametrize(("blow", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_writes_its_model_and_goes_on(folder, blow, code):
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    command = ("fit", "real.csv", "-o", "m.synthgan", "--seed", "0", "--checkpoint", "c", "--resume")
    came = []
    for begins in (True, False):
        before = (folder / "c").stat().st_mtime_ns if not begins else 0
        with process(*command, **heed) as child:
            while not (folder / "c").exists() or (folder / "c").stat().st_mtime_ns == before:
                assert child.poll() is None
                time.sleep(0.01)
            time.sleep(1)
            child.send_signal(blow)
            assert child.wait(60) == code
            told = child.stderr.read()
        assert ("starts from the beginning" in told) == begins
        assert "interrupted in the autoencoder phase after" in told
        assert told.endswith("Run the same command with --resume to go on.\n")
        rows = run("sample", "m.synthgan", "-n", "5").stdout
        assert rows.startswith("age,rich,height\n")
        _, snapshot = read_checkpoint("c")
        came.append((snapshot["step"], snapshot["seconds"]))
    assert came[0] < came[1]
    assert {path.name for path in folder.iterdir()} == {"real.csv", "holdout.parquet", "m.synthgan", "c"}


def test_a_network_is_fitted_sampled_and_inspected(folder):
    train = ("--max-seconds", "1", "--seed", "0", "--device", "cpu", "--curves", "curves.png")
    run("fit", "real.csv", "-o", "m.synthgan", *train)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "tabular-gan, format 1" in run("inspect", "m.synthgan").stdout
    rows = run("sample", "m.synthgan", "-n", "30", "--seed", "1").stdout
    assert rows == run("sample", "m.synthgan", "-n", "30", "--seed", "1").stdout
    assert len(run("sample", "m.synthgan", "-n", "30", "--n-passes", "1").stdout.splitlines()) == 31


@pytest.mark.slow
def test_the_demo_writes_its_three_files(folder):
    result = run("demo", "--max-seconds", "5", "-o", "out")
    assert "c2st_gbm" in result.stdout
    assert {path.name for path in Path("out").iterdir()} == {
        "adult.synthgan",
        "synthetic.parquet",
        "report.html",
    }
    assert len(pd.read_parquet("out/synthetic.parquet")) == 32_561
