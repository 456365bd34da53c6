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
        (["fit", "empty.csv", "-o", "m"], "'empty.csv' is empty"),
        (["fit", "header.csv", "-o", "m", "--model", "independent"], "row"),
        (["sample", "real.csv", "-n", "5"], "'real.csv' is not a synthgan model file"),
        (["sample", "none", "-n", "5"], "There is no model file 'none'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rich=ja"], "column 'rich' has no category 'ja'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rihc=yes"], "Did you mean 'rich'?"),
        (["sample", "m.synthgan", "-n", "5", "--where", "rich=no..yes"], "no category 'no..yes'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "age=old"], "is numerical and cannot be 'old'"),
        (["sample", "m.synthgan", "-n", "5", "--where", "age=40..30"], "empty range"),
        (
            ["sample", "m.synthgan", "-n", "5", "--given", "real.csv"],
            "n_samples=5 and conditions with 300 rows",
        ),
        (["sample", "m.synthgan", "--given", "none.csv"], "There is no file 'none.csv'"),
        (["sample", "m.synthgan", "-n", "5", "-o", "."], "holds other files"),
        (["sample", "m.synthgan", "-n", "5", "-o", "out/", "--part-rows", "7"], "Use 65,536"),
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


EVALUATE = ("evaluate", "--real", "real.csv", "--synthetic", "real.csv")
FIT = ("fit", "real.csv", "-o", "m")
SAMPLE = ("sample", "m.synthgan", "-n", "1")
AUGMENT = ("augment", "real.csv", "--target", "rich")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit"], "Missing argument 'DATA"),
        (["fit", "real.csv"], "Missing option '-o'"),
        (["fit", "real.csv", "-o", "-"], "cannot be written to standard output"),
        (["fit", "real.csv", "-o", "real.csv"], "'real.csv' is read or written already"),
        (["fit", "rea*.csv", "-o", "real.csv"], "'real.csv' is read or written already"),
        ([*FIT, "--checkpoint", "./m"], "'./m' is read or written already"),
        ([*FIT, "--checkpoint", "-"], "cannot be written to standard output"),
        ([*FIT, "--model", "independent", "--device", "cpu"], "--model independent takes none"),
        ([*FIT, "--model", "vae"], "'vae' is not one of 'tabular-gan'"),
        ([*FIT, "--kind", "age"], "must look like column=kind. Got 'age'"),
        ([*FIT, "--kind", "age=number"], "'constant'. Got 'number'. Did you mean 'numerical'?"),
        ([*FIT, "--kind", "age=numerical", "--kind", "age=categorical"], "a column has one kind"),
        ([*FIT, "--model", "independent", "--max-seconds", "3"], "--model independent takes none"),
        ([*FIT, "--model", "independent", "--checkpoint", "c"], "--model independent takes none"),
        ([*FIT, "--resume"], "Give --checkpoint FILE, too"),
        ([*FIT, "--curves", "c.jpg"], "must end in .png, .svg or .pdf. Got 'c.jpg'"),
        ([*FIT, "--max-seconds", "0"], "0.0 is not in the range x>0"),
        ([*FIT, "--max-seconds", "nan"], "'nan' is no number"),
        ([*FIT, "--seed", "-1"], "-1 is not in the range x>=0"),
        ([*FIT, "--seed", "1.5"], "'1.5' is not a valid integer"),
        ([*FIT, "--device", "tpu"], "'tpu' is not one of 'auto'"),
        (["sample", "m.synthgan"], "Missing option '-n'"),
        (["sample", "m.synthgan", "-n", "many"], "'many' is not a valid integer"),
        (["sample", "m.synthgan", "-n", "-5"], "-5 is not in the range x>=0"),
        (["sample", "m.synthgan", "--given", "real.csv", "-o", "out/"], "Give -o a file name"),
        ([*SAMPLE, "-o", "x.docx"], "'x.docx' must end in one of .csv"),
        ([*SAMPLE, "--n-passes", "0"], "0 is not in the range x>=1"),
        ([*SAMPLE, "--n-passes", "2"], "This is one of IndependentSynthesizer"),
        ([*SAMPLE, "--part-rows", "65536"], "--part-rows is for a folder of parts"),
        ([*SAMPLE, "--part-rows", "0", "-o", "out/"], "0 is not in the range x>=1"),
        ([*SAMPLE, "--where", "age"], "must look like column=value or column=low..high. Got 'age'"),
        ([*SAMPLE, "--where", "rich=no", "--where", "rich=yes"], "Column 'rich' has two conditions"),
        ([*SAMPLE, "--where", "rich=yes", "--given", "real.csv"], "exclude each other"),
        ([*SAMPLE, "--seed", "-1"], "-1 is not in the range x>=0"),
        (["impute"], "Missing argument 'MODEL'"),
        (["impute", "m.synthgan"], "Missing argument 'DATA"),
        (["impute", "m.synthgan", "real.csv", "--draws", "0"], "0 is not in the range x>=1"),
        (["impute", "m.synthgan", "real.csv", "-o", "x"], "'x' must end in one of .csv"),
        (["evaluate", "--real", "real.csv"], "Missing option '--synthetic'"),
        ([*EVALUATE, "--part", "beauty"], "'beauty' is not one of 'fidelity'"),
        ([*EVALUATE, "--kind", "age=number"], "Got 'number'. Did you mean 'numerical'?"),
        ([*EVALUATE, "--fail-if", "c2st_gbm=1"], "must look like 'c2st_gbm>0.6'"),
        ([*EVALUATE, "--fail-if", "c2st_gmb>1"], "Did you mean 'c2st_gbm'?"),
        ([*EVALUATE, "--html", "./real.csv"], "'./real.csv' is read or written already"),
        ([*EVALUATE, "--html", "-"], "cannot be written to standard output"),
        ([*EVALUATE, "--seed", "-1"], "-1 is not in the range x>=0"),
        (["augment", "real.csv"], "Missing option '--target'"),
        ([*AUGMENT, "-o", "x.docx"], "'x.docx' must end in one of .csv"),
        ([*AUGMENT, "-o", "real.csv"], "'real.csv' is read or written already"),
        (["impute", "m.synthgan", "real.csv", "-o", "real.csv"], "'real.csv' is read or written already"),
        (["sample", "m.synthgan", "--given", "real.csv", "-o", "real.csv"], "is read or written already"),
        ([*AUGMENT, "--strategy", "yes=many"], "must look like 'yes=5000'"),
        ([*AUGMENT, "--strategy", "most"], "--strategy must be 'auto'"),
        ([*AUGMENT, "--strategy", "50%"], "--strategy must be 'auto'"),
        ([*AUGMENT, "--strategy", "1.5"], "a ratio above 0 and up to 1"),
        ([*AUGMENT, "--strategy", "auto", "--strategy", "yes=400"], "must look like 'yes=5000'"),
        ([*AUGMENT, "--strategy", "yes=400", "--strategy", "yes=500"], "each class and each range once"),
        ([*AUGMENT, "--kept-share", "7", "--model", "m.synthgan"], "7.0 is not in the range 0<=x<=1"),
        ([*AUGMENT, "--kept-share", "nan"], "'nan' is no number"),
        ([*AUGMENT, "--model", "m.synthgan", "--max-seconds", "3"], "which is fitted already"),
        (["augment", "real.csv", "--target", "age", "--strategy", "a..b=400"], "'a..b' is no range"),
        (["augment", "real.csv", "--target", "age", "--kind", "age=categorical"], "cannot name the target"),
        (["demo", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["demo", "--max-seconds", "soon"], "'soon' is not a valid float"),
        (["no-such-command"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_leaves_nothing_behind(model, folder, arguments, words):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run(*arguments, code=2)
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    error = result.stderr.partition("Error: ")[2]
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


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
