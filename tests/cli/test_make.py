import json
import os
import re
import signal
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgan import IndependentSynthesizer, load
from synthgan.constraints import Inequality
from synthgan.synthesizers.checkpoint import read_checkpoint
from tests.cli.commands import process, run


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


def test_one_row_is_one_row(model, real):
    assert "Wrote 1 row to s.csv." in run("sample", model, "-n", "1", "-o", "s.csv").stderr
    real[["age"]].head(1).to_csv("one.csv", index=False)
    told = run("fit", "one.csv", "-o", "one.synthgan", "--model", "independent").stderr
    assert "to 1 row and 1 column ..." in told
    assert "1 row, 1 column, seed" in run("inspect", "one.synthgan").stdout


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
    assert "out/ has 2 parts already. Going on ..." in run(*command).stderr  # with the seed written there
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


def test_gaps_are_filled_with_the_middle_of_several_draws(model, real):
    real.assign(height=None).to_csv("holes.csv", index=False)
    spread = {}
    for draws in (1, 21):
        run("impute", model, "holes.csv", "-o", "filled.csv", "--draws", str(draws), "--seed", "0")
        spread[draws] = pd.read_csv("filled.csv")["height"].std()
    assert spread[1] > 7  # of the column it is 9, of a median of 21 about 1.25 * 9 / 21 ** 0.5 = 2.5
    assert 1 < spread[21] < 4
    run("impute", model, "holes.csv", "--draws", "0", code=2)


def test_gaps_that_cannot_be_filled_are_told(folder, real):
    real.assign(note=None).to_parquet("real.parquet", index=False)
    run("fit", "real.parquet", "-o", "m.synthgan", "--model", "independent")
    real.assign(note=None, age=[None, *real["age"][1:]]).to_parquet("holes.parquet", index=False)
    told = run("impute", "m.synthgan", "holes.parquet", "-o", "filled.parquet").stderr
    assert "300 gaps left, in columns of which the model has seen no value." in told
    assert "Filled 1 gap in 300 rows." in told


def test_filled_rows_that_break_a_rule_are_told(folder, real):
    rule = Inequality("age", "height")
    IndependentSynthesizer(constraints=[rule]).fit(real).save("m.synthgan")
    holes = real.assign(rich=None, height=[10.0, 20.0, *real["height"][2:]])
    holes.to_csv("holes.csv", index=False)
    n_broken = int((~rule.holds(holes)).sum())
    assert n_broken in (1, 2)
    told = run("impute", "m.synthgan", "holes.csv", "-o", "filled.csv").stderr
    rows = "1 row" if n_broken == 1 else "2 rows"
    assert f"{rule} is broken in {rows}, as the cells given there ask for." in told
    real.to_csv("holes.csv", index=False)
    assert "broken" not in run("impute", "m.synthgan", "holes.csv", "-o", "filled.csv").stderr


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


def test_augment_tells_which_rules_every_new_row_keeps(folder, real):
    real = real.assign(rich=np.where(np.arange(300) % 6, "no", "yes"))
    real.to_parquet("rare.parquet", index=False)
    rule = Inequality("age", "height")
    IndependentSynthesizer(constraints=[rule]).fit(real).save("m.synthgan")
    command = ("augment", "rare.parquet", "--target", "rich", "--seed", "0", "-o", "more.parquet")
    told = run(*command, "--model", "m.synthgan").stderr
    assert told.endswith(f"Added 200 rows. Wrote more.parquet.\n  every new row keeps\n    {rule}\n")
    assert rule.holds(pd.read_parquet("more.parquet")).all()
    assert "keeps" not in run(*command, "--model", "m.synthgan", "--strategy", "0.2").stderr  # none is new
    assert "keeps" not in run(*command, "--max-seconds", "0.3").stderr  # no rule was found


def test_augment_finds_rules_about_the_target(folder):
    label = np.where(np.arange(6000) % 6, "no", "yes")
    pd.DataFrame({"label": label, "code": np.where(label == "no", 3, 8), "x": np.arange(6000) % 50}).to_csv(
        "coded.csv", index=False
    )
    command = ("augment", "coded.csv", "--target", "label", "--seed", "0", "--max-seconds", "0.3")
    result = run(*command, "-o", "more.csv")
    assert "FunctionalDependency(determinant='code', dependent='label')" in result.stderr
    more = pd.read_csv("more.csv")
    assert more.groupby("label")["code"].unique().map(list).to_dict() == {"no": [3], "yes": [8]}


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
            told = child.stderr.read()
            assert re.search(r"out has \d+ complete parts?\. Run the same command again to go on\.", told)
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
            time.sleep(0.3)
            child.send_signal(blow)
            assert child.wait(60) == code
            told = child.stderr.read()
        assert ("starts from the beginning" in told) == begins
        assert (
            "interrupted in the autoencoder phase after" in told
            or "interrupted in the gan phase after" in told
        )
        assert told.endswith("Run the same command with --resume to go on.\n")
        rows = run("sample", "m.synthgan", "-n", "5").stdout
        assert rows.startswith("age,rich,height\n")
        _, snapshot = read_checkpoint("c")
        came.append((snapshot["phase"], snapshot["step"], snapshot["seconds"]))
    assert came[0] < came[1]  # the autoencoder's phase comes first, in the alphabet, too
    assert {path.name for path in folder.iterdir()} == {"real.csv", "holdout.parquet", "m.synthgan", "c"}


def test_a_network_is_fitted_sampled_and_inspected(folder):
    train = ("--max-seconds", "1", "--seed", "0", "--device", "cpu", "--curves", "curves.png")
    run("fit", "real.csv", "-o", "m.synthgan", *train)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "tabular-gan, format 1" in run("inspect", "m.synthgan").stdout
    rows = run("sample", "m.synthgan", "-n", "30", "--seed", "1").stdout
    assert rows == run("sample", "m.synthgan", "-n", "30", "--seed", "1").stdout
    assert len(run("sample", "m.synthgan", "-n", "30", "--n-passes", "1").stdout.splitlines()) == 31
