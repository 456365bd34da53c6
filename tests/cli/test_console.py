import os
import signal
import subprocess

import pytest

from synthgan import __version__
from tests.cli.commands import process, run


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
        (
            ["augment", "real.csv", "--target", "height"],
            "On the command line: --strategy 'yes=5000', or '30..",
        ),
        (
            ["sample", "m.synthgan", "-n", "5", "--where", "age=30-40"],
            "On the command line: --where 'age=30..",
        ),
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
        ["sample", "m.synthgan", "-n", "-5"],
        ["sample", "m.synthgan", "-n", "1", "--n-passes", "0"],
        ["fit", "real.csv", "-o", "m", "--max-seconds", "0"],
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
        ["augment", "real.csv", "--target", "rich", "--strategy", "most"],
        ["augment", "real.csv", "--target", "rich", "--strategy", "50%"],
        ["augment", "real.csv", "--target", "rich", "--strategy", "1.5"],
        ["augment", "real.csv", "--target", "rich", "--strategy", "auto", "--strategy", "yes=400"],
        ["augment", "real.csv", "--target", "rich", "--kept-share", "7", "--model", "m.synthgan"],
        ["augment", "real.csv", "--target", "age", "--strategy", "a..b=400"],
        ["augment", "real.csv", "--target", "age", "--kind", "age=categorical"],
        ["augment", "real.csv", "--target", "age", "--model", "m.synthgan", "--max-seconds", "3"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(model, arguments):
    assert "Usage:" in run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["fit"], ["sample"], ["impute"], ["augment"], ["evaluate"], ["inspect"]]
)
def test_every_command_explains_itself(command):
    text = run(*command, "--help").stdout
    assert "Usage: main" in text
    assert command or "synthgan fit real.csv" in text


def test_the_version_is_shown():
    assert __version__ in run("--version").stdout


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
