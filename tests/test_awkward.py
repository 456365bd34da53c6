"""No table ends in a traceback: an exact result, or an error that names the column.

Each table of tests/awkward.py is fitted, sampled, saved and loaded, written to Parquet and read again,
evaluated, and goes through the command line. What becomes of it stands in docs/awkward-tables.md.
"""

import warnings
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from synthgan import IndependentSynthesizer, TabularGAN, evaluate, load
from synthgan.cli import main
from synthgan.dtypes import object_keys, to_numbers
from synthgan.errors import DataError, SynthganError
from synthgan.io import read_table, write_table
from tests.awkward import LARGE, N_ROWS, SHAPES, TABLES
from tests.strategies import frames

PAGE = Path(__file__).parent.parent / "docs" / "awkward-tables.md"
MARK = "<!-- outcomes: made and checked by tests/test_awkward.py -->\n"
STEPS = ("fit and sample", "save and load", "Parquet", "evaluate", "command line")
EXACT, NOT_REACHED = "exact", "-"
N_SAMPLES = 70
ORDERED = ("numerical", "datetime", "timedelta")
TINY = {
    "hidden_dim": 16,
    "n_blocks": 1,
    "latent_dim": 4,
    "noise_dim": 4,
    "n_steps": 10,
    "n_gan_steps": 10,
    "batch_size": 32,
    "gan_batch_size": 16,
    "device": "cpu",
}


# --- what is checked -------------------------------------------------------------------


def assert_exact(synthetic, real, n_rows, kinds):
    """Names, order, dtypes, categories, number of rows; values and gaps only as in the real table."""
    names = [[(type(name), repr(name)) for name in frame.columns] for frame in (synthetic, real)]
    assert names[0] == names[1]
    assert synthetic.index.equals(pd.RangeIndex(n_rows))
    for position, kind in enumerate(kinds):
        assert_column_exact(synthetic.iloc[:, position], real.iloc[:, position], kind)


def assert_column_exact(made, real, kind):
    assert made.dtype == real.dtype, f"{made.name!r}: {made.dtype} instead of {real.dtype}"
    if isinstance(real.dtype, pd.CategoricalDtype):
        levels, known = made.cat.categories, real.cat.categories
        assert (levels.dtype, list(levels), made.cat.ordered) == (known.dtype, list(known), real.cat.ordered)
    assert real.isna().any() or not made.isna().any()
    if kind in ORDERED:
        (values, missing), (known, absent) = to_numbers(made), to_numbers(real)
        values, known = values[~missing], known[~absent]
        if len(values):
            assert known.min() <= values.min()
            assert values.max() <= known.max()
    elif kind != "identifier":
        assert set(object_keys(made.dropna())) <= set(object_keys(real.dropna()))


def assert_names_a_column(message, real):
    """The column at fault is the odd one, where there is one; a table without columns has none to name."""
    if "is not UTF-8" in message:  # so is the whole file
        return
    if "odd" in real.columns and len(real):
        assert "'odd'" in message
    elif len(real) and real.shape[1] and not isinstance(real.columns, pd.MultiIndex):
        assert any(repr(name) in message or repr(str(name)) in message for name in real.columns)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one, other, check_freq=False)  # of categories: pandas drops it at will


class Trial:
    """One table and one model on their way through all steps."""

    def __init__(self, real, model, folder, parts=("privacy",)):
        self.real, self.model, self.folder, self.parts = real, model, folder, parts

    def outcomes(self):
        """What each step ends in."""
        found = {"fit and sample": self.attempt(self.fit_and_sample)}
        for step, action in [
            ("save and load", self.save_and_load),
            ("Parquet", self.parquet),
            ("evaluate", self.evaluate),
        ]:
            found[step] = self.attempt(action) if found["fit and sample"] == EXACT else NOT_REACHED
        found["command line"] = self.attempt(self.command_line)
        return found

    def attempt(self, action):
        try:
            return action() or EXACT
        except SynthganError as error:
            message, name = str(error), type(error).__name__
        assert_names_a_column(message, self.real)
        return f"`{name}`: {message}" if action == self.fit_and_sample else f"`{name}`"

    def fit_and_sample(self):
        before = self.real.copy(deep=True)
        self.model.fit(self.real)
        pd.testing.assert_frame_equal(self.real, before)
        self.synthetic = self.model.sample(N_SAMPLES, random_state=1)
        kinds = list(self.model.schema_.kinds.values())
        assert_exact(self.synthetic, self.real, N_SAMPLES, kinds)
        assert_exact(self.model.sample(0), self.real, 0, kinds)

    def save_and_load(self):
        self.model.save(self.folder / "model.synthgan")
        again = load(self.folder / "model.synthgan").sample(N_SAMPLES, random_state=1)
        assert_same(again, self.synthetic)

    def parquet(self):
        path = self.folder / "synthetic.parquet"
        write_table(self.synthetic, path)
        assert_same(read_table(path), self.synthetic)
        self.model.sample_to(path, N_SAMPLES, random_state=1)
        assert_same(read_table(path), self.synthetic)

    def evaluate(self):
        report = evaluate(self.real, self.synthetic, parts=self.parts)
        assert report.to_json()
        if len(self.parts) > 1:  # drawing takes longer than all the rest
            report.to_html(self.folder / "report.html")

    def command_line(self):
        """A user's file: what pandas writes as Parquet, or else as CSV."""
        path, ending = self.folder / "real.parquet", "parquet"
        try:
            with warnings.catch_warnings(action="ignore"):
                self.real.to_parquet(path, index=False)
        except Exception:  # whatever pandas and Arrow raise
            path, ending = self.folder / "real.csv", "csv"
            self.real.to_csv(path, index=False, errors="surrogatepass")
        model, made = str(self.folder / "cli.synthgan"), str(self.folder / f"made.{ending}")
        invoke("fit", str(path), "-o", model, "--model", "independent", "--seed", "0", "-q")
        invoke("sample", model, "-n", str(N_SAMPLES), "-o", made, "--seed", "1", "-q")
        if ending == "csv":  # cells without types: what is read depends on which values were drawn
            assert read_table(made).shape == (N_SAMPLES, self.real.shape[1])
            return "as CSV"
        kinds = list(load(model).schema_.kinds.values())
        assert_exact(read_table(made), read_table(path), N_SAMPLES, kinds)
        return EXACT


def invoke(*arguments):
    """Run a command; an error that it reports is a SynthganError, any other end a failure."""
    result = CliRunner().invoke(main, list(arguments))
    if result.exit_code == 1 and result.stderr.startswith("Error: "):
        raise DataError(result.stderr)
    assert result.exit_code == 0, result.output


# --- the matrix ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_a_table_ends_exactly_or_in_an_error_that_names_the_column(name, tmp_path):
    found = Trial(TABLES[name](), IndependentSynthesizer(random_state=0), tmp_path).outcomes()
    assert line(name, found) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_takes_the_same_shapes(name, tmp_path):
    assert_network_agrees(name, SHAPES[name](), tmp_path)


def test_a_network_takes_all_columns_side_by_side(tmp_path):
    trial = Trial(side_by_side(), TabularGAN(**TINY, constraints=None, random_state=0), tmp_path)
    trial.fit_and_sample()
    trial.save_and_load()
    kinds = list(trial.model.schema_.kinds.values())
    assert_exact(trial.model.sample(9, random_state=0, n_passes=1), trial.real, 9, kinds)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_network_takes_the_same_tables(name, tmp_path):
    assert_network_agrees(name, TABLES[name](), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_metric_takes_the_same_tables(name, tmp_path):
    real = TABLES[name]()
    trial = Trial(real, IndependentSynthesizer(random_state=0), tmp_path, ("fidelity", "utility", "privacy"))
    if trial.attempt(trial.fit_and_sample) == EXACT:
        found = trial.attempt(trial.evaluate)
        assert found == EXACT or "only keys" in name


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_table_ends_exactly(name, tmp_path):
    found = Trial(LARGE[name](), IndependentSynthesizer(random_state=0), tmp_path).outcomes()
    assert set(found.values()) == {EXACT}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["300,000 categories"])  # thousands of columns take it too long
def test_a_network_takes_a_large_table(name, tmp_path):
    trial = Trial(LARGE[name](), TabularGAN(**TINY, n_passes=1, random_state=0), tmp_path)
    trial.fit_and_sample()
    trial.save_and_load()


def assert_network_agrees(name, real, folder):
    """The network ends where the independent columns do."""
    trial = Trial(real, TabularGAN(**TINY, random_state=0), folder)
    found = trial.attempt(trial.fit_and_sample)
    assert f"| {name} | {cell(found)} |" in PAGE.read_text(encoding="utf-8")
    if found == EXACT:
        trial.save_and_load()


def side_by_side():
    """All columns that can be learned, in one table."""
    columns = {}
    for name, make in TABLES.items():
        real = make()
        try:
            IndependentSynthesizer().fit(real)
        except DataError:
            continue
        if len(real) == N_ROWS and "odd" in real.columns:
            columns[name] = real["odd"].array
    return pd.DataFrame(columns)


# --- any table -------------------------------------------------------------------------


def assert_ends_well(frame):
    """Exactly, or in an error that names a column."""
    model, message = IndependentSynthesizer(random_state=0), None
    try:
        model.fit(frame)
    except DataError as error:
        message = str(error)
    if message is None:
        kinds = list(model.schema_.kinds.values())
        assert_exact(model.sample(30, random_state=0), frame, 30, kinds)
    else:
        assert any(repr(name) in message for name in frame.columns)


@given(frames())
def test_any_table_ends_well(frame):
    assert_ends_well(frame)


@pytest.mark.slow
@settings(max_examples=2000, derandomize=False)
@given(frames())
def test_any_of_many_tables_ends_well(frame):
    assert_ends_well(frame)


# --- the page --------------------------------------------------------------------------


def cell(text):
    """An outcome as a cell of a Markdown table."""
    first = text.splitlines()[0]
    return first if len(first) < 200 else first[:199] + "…"


def line(name, outcomes):
    return f"| {name} | " + " | ".join(cell(outcomes[step]) for step in STEPS) + " |"


def test_the_page_lists_exactly_the_tables():
    """To mend it, from the folder above: python -c "from tests import test_awkward; test_awkward.write()"."""
    rows = PAGE.read_text(encoding="utf-8").partition(MARK)[2].splitlines()
    listed = [row.split(" | ")[0].removeprefix("| ") for row in rows if row.startswith("| ")]
    assert listed == ["table", *TABLES, *LARGE]


def write():
    """Try every table and write what becomes of it to the page; the large ones take minutes."""
    import tempfile

    lines = ["| table | " + " | ".join(STEPS) + " |", "|---|" + "---|" * len(STEPS)]
    for name, make in (TABLES | LARGE).items():
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(make(), IndependentSynthesizer(random_state=0), Path(folder))
            lines.append(line(name, trial.outcomes()))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.partition(MARK)[0] + MARK + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
