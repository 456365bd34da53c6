"""The command line: thin commands around the library.

Data goes to standard output or a file, everything else to standard error, progress bars
only to a terminal. Exit codes: 0 done, 1 failure (``Error: ...``), 2 usage, 3 a
``--fail-if`` gate was met, 130 interrupted. Files appear complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from synthgan import __version__
from synthgan.errors import SynthganError, listing, suggestion

__all__ = ["main"]

# Idle threads of torch's pool spin; beside any other load on the machine that has been measured to slow a
# training step down 15-fold. Read when the pool starts, so it must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

Command = TypeVar("Command", bound=Callable[..., Any])

_MODELS = {  # the names in model files, see `synthesizers.archive`, which is slow to import
    "tabular-gan": "TabularGAN",
    "ctgan": "CTGAN",
    "tabular-diffusion": "TabularDiffusion",
    "independent": "IndependentSynthesizer",
}
_GATE = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


class _Commands(click.Group):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise  # click ends quietly when the reader of a pipe has gone
            except (SynthganError, OSError) as error:
                raise click.ClickException(str(error)) from error
            except KeyboardInterrupt:
                click.echo("Interrupted.", err=True)
                raise click.exceptions.Exit(130) from None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"Warning: {message}", err=True)


def _say(text: str, quiet: bool) -> None:
    """Tell how the work goes; never on standard output, which is for data."""
    if not quiet:
        click.echo(text, err=True)


def _bars(quiet: bool) -> bool:
    return not quiet and sys.stderr.isatty()


def _kinds(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    """Read ``column=kind`` pairs; the column may itself hold an equals sign."""
    pairs = [value.rpartition("=") for value in values]
    for value, (column, equals, kind) in zip(values, pairs, strict=True):
        if not (column and equals and kind):
            raise click.BadParameter(f"must look like column=kind. Got {value!r}.")
    return {column: kind for column, _, kind in pairs} or None


def _gates(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str, float]]:
    """Read conditions such as ``c2st_gbm>0.6``."""
    found = [(value, _GATE.fullmatch(value)) for value in values]
    for value, match in found:
        if match is None:
            raise click.BadParameter(f"must look like 'c2st_gbm>0.6'. Got {value!r}.")
    return [(match[1], match[2], float(match[3])) for _, match in found if match]


_quiet = click.option("-q", "--quiet", is_flag=True, help="No messages and no progress bars.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on standard output.")
_kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar="COLUMN=KIND",
    help="Treat a column as numerical, categorical, boolean, datetime, timedelta, identifier or constant. "
    "Repeat for more columns.",
)
_max_seconds = click.option("--max-seconds", type=float, help="Time budget of the training.")


def _seed(help_text: str, default: int | None = None) -> Callable[[Command], Command]:
    return click.option("--seed", type=int, default=default, show_default=default is not None, help=help_text)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="synthgan")
def main() -> None:
    """Learn a table, make synthetic rows from it, and measure how good they are.

    \b
    synthgan demo
    synthgan fit real.csv -o model.synthgan
    synthgan sample model.synthgan -n 1000 -o synthetic.csv
    synthgan evaluate --real real.csv --synthetic synthetic.csv --html report.html
    """


@main.command()
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="The model file to write, such as model.synthgan.")
@click.option("--model", type=click.Choice(list(_MODELS)), default="tabular-gan", show_default=True)
@_max_seconds
@click.option("--checkpoint", metavar="FILE", help="Keep the state of the training in this file.")
@click.option("--resume", is_flag=True, help="Go on from the file of --checkpoint, if there is one.")
@click.option(
    "--curves", metavar="FILE", help="Draw the curves of the training, to a .png, .svg or .pdf file."
)
@_kind_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@_seed("Makes the result reproducible.")
@_as_json
@_quiet
def fit(
    data: tuple[str, ...],
    output: str,
    model: str,
    max_seconds: float | None,
    checkpoint: str | None,
    resume: bool,
    curves: str | None,
    kinds: dict[str, str] | None,
    device: str,
    seed: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn the table in DATA and write a model file.

    DATA is one or more .csv, .csv.gz, .parquet, .feather or .arrow files with the same
    columns, a pattern such as 'part-*.parquet', or - for CSV on standard input.

    Ctrl-C ends the training and writes what was learned until then. With --checkpoint, the same command
    with --resume goes on where it ended, also after a crash.

    \b
    synthgan fit real.csv -o model.synthgan --seed 0
    synthgan fit real.parquet -o model.synthgan --max-seconds 60 --kind zip=categorical
    synthgan fit real.csv -o model.synthgan --checkpoint model.checkpoint --resume
    """
    from synthgan.io import check_destination, read_table

    if output == "-":
        raise click.UsageError("A model cannot be written to standard output. Give -o a file name.")
    if model == "independent" and {max_seconds, checkpoint, curves} != {None}:
        raise click.UsageError(
            "--max-seconds, --checkpoint and --curves are for a training, and --model independent takes none."
        )
    if curves is not None and Path(curves).suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise click.UsageError(f"The file of --curves must end in .png, .svg or .pdf. Got {curves!r}.")
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs the file to go on from. Give --checkpoint FILE, too.")
    for path in (output, curves or output):
        check_destination(path)
    frame = read_table(list(data))
    _say(f"Fitting {model} to {len(frame):,} rows and {len(frame.columns)} columns ...", quiet)
    start = time.monotonic()
    estimator = _new_model(model, kinds, seed, max_seconds=max_seconds, device=device, verbose=_bars(quiet))
    if model == "independent":
        estimator.fit(frame)
    else:
        with _terminated_as_interrupted() as was_terminated:
            estimator.fit(frame, checkpoint=checkpoint, resume=resume)
    estimator.save(output)
    if curves is not None:
        from synthgan.curves import plot_history

        plot_history(estimator, curves)
    seconds = time.monotonic() - start
    _say(f"Wrote {output} after {seconds:.0f} s.", quiet)
    if as_json:
        facts = {"model": output, "estimator": model, "n_rows": len(frame), "n_columns": len(frame.columns)}
        click.echo(json.dumps({**facts, "seed": estimator.seed_, "seconds": round(seconds, 3)}))
    if getattr(estimator, "interrupted_", False):
        _say("Run the same command with --resume to go on." if checkpoint else "", quiet or not checkpoint)
        raise click.exceptions.Exit(143 if was_terminated() else 130)


@contextmanager
def _terminated_as_interrupted() -> Iterator[Callable[[], bool]]:
    """Let a polite kill end a training as Ctrl-C does; yields a function that tells whether it came."""
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)


def _new_model(model: str, kinds: dict[str, str] | None, seed: int | None, **training: Any) -> Any:
    """Construct a model; only one that trains takes the training options."""
    import synthgan

    options = {} if model == "independent" else training
    return getattr(synthgan, _MODELS[model])(kinds=kinds, random_state=seed, **options)


@main.command()
@click.argument("model")
@click.option("-n", "--rows", type=int, help="How many rows to make; left out with --given.")
@click.option(
    "-o",
    "--output",
    default="-",
    show_default=True,
    help="A table file, a folder such as out/ for Parquet parts, or - for CSV on stdout.",
)
@click.option("--part-rows", type=int, help="Rows of each file in a folder.  [default: 1048576]")
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="What all rows must meet: 'income=>50K', a range 'age=30..40' or 'age=30..', several values "
    "'sex=Female,Male', or 'note=' for missing. Repeat for more columns.",
)
@click.option("--given", help="A table of some columns, kept as they are: one row out for each row in.")
@click.option("--n-passes", type=int, help="Passes per row: 1 is fastest, more are more faithful.")
@_seed("Makes the rows reproducible.")
@_quiet
def sample(
    model: str,
    rows: int | None,
    output: str,
    part_rows: int | None,
    where: tuple[str, ...],
    given: str | None,
    n_passes: int | None,
    seed: int | None,
    quiet: bool,
) -> None:
    """Make synthetic rows from the file MODEL.

    The output has the columns and types of the table that the model was fitted to. Its
    format follows the extension: .csv, .csv.gz, .parquet, .feather or .arrow. A folder gets
    Parquet files; run the same command again to go on with one that was interrupted.

    \b
    synthgan sample model.synthgan -n 1000 -o synthetic.parquet
    synthgan sample model.synthgan -n 500 --where 'income=>50K' --where 'age=30..40'
    synthgan sample model.synthgan --given partial.csv -o completed.csv
    synthgan sample model.synthgan -n 100000000 -o out/ --seed 0
    """
    from synthgan.io import check_destination, read_table, write_table
    from synthgan.synthesizers.archive import load, read_manifest
    from synthgan.synthesizers.parts import is_folder
    from synthgan.transforms.where import parse_where

    if n_passes is not None and (estimator := read_manifest(model)["estimator"]) != "tabular-gan":
        raise click.UsageError(
            f"--n-passes is for models of TabularGAN. This is one of {_MODELS[estimator]}."
        )
    if rows is None and given is None:
        raise click.UsageError("Missing option '-n' / '--rows' (it may be left out with --given).")
    if where and given is not None:
        raise click.UsageError("--where and --given exclude each other. Add the columns to the table given.")
    if given is not None and is_folder(output):
        raise click.UsageError("--given is completed at once, to one file. Give -o a file name.")
    if not is_folder(output):
        check_destination(output, table=True)
    fitted: Any = load(model)
    if n_passes is not None:
        fitted.set_params(n_passes=n_passes)
    if given is not None:
        frame = fitted.sample(rows, conditions=read_table(given), random_state=seed)
        write_table(frame, output)
        rows = len(frame)
    else:
        conditions = parse_where(where, fitted.codec_) or None
        with _resumable(output, quiet):
            fitted.sample_to(
                output,
                rows,
                conditions=conditions,
                random_state=seed,
                part_rows=part_rows,
                progress=_bars(quiet) and output != "-",
            )
    if output != "-":
        _say(f"Wrote {rows:,} rows to {output}.", quiet)


@contextmanager
def _resumable(output: str, quiet: bool) -> Iterator[None]:
    """Say how many parts a folder has at the start, and how to go on after an interruption."""
    from synthgan.synthesizers.parts import is_folder

    def n_parts() -> int:
        return len(list(Path(output).glob("part-*.parquet"))) if is_folder(output) else 0

    if n_parts():
        _say(f"{output} has {n_parts()} part(s) already. Going on ...", quiet)
    try:
        yield
    except KeyboardInterrupt:
        if is_folder(output):
            _say(f"{n_parts()} parts in {output} are complete. Run the same command again to go on.", quiet)
        raise


@main.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", default="-", show_default=True, help="A table file, or - for CSV on stdout.")
@_seed("Makes the result reproducible.")
@_quiet
def impute(model: str, data: tuple[str, ...], output: str, seed: int | None, quiet: bool) -> None:
    """Fill the gaps of the table DATA by the file MODEL.

    DATA has the columns of the table that the model was fitted to. Missing cells are drawn
    given the other cells of their row; all else is kept.

    \b
    synthgan impute model.synthgan gaps.csv -o filled.csv --seed 0
    """
    from synthgan.io import check_destination, read_table, write_table
    from synthgan.synthesizers.archive import load

    check_destination(output, table=True)
    frame = read_table(list(data))
    n_gaps = int(frame.isna().to_numpy().sum())
    filled: Any = load(model).impute(frame, random_state=seed)
    write_table(filled, output)
    if output != "-":
        _say(f"Filled {n_gaps:,} gaps in {len(frame):,} rows. Wrote {output}.", quiet)


@main.command()
@click.argument("data", nargs=-1, required=True)
@click.option("--target", required=True, help="The column whose rare values are to be made more frequent.")
@click.option("-o", "--output", default="-", show_default=True, help="A table file, or - for CSV on stdout.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    default=["auto"],
    show_default=True,
    metavar="STRATEGY",
    help="auto, minority, 'not minority', 'not majority', all; the ratio of the rarer class to the other, as "
    "0.5; or how many rows there are to be of a class, 'yes=5000', or of a range of a numeric target, "
    "'30..40=5000'. Repeat for more classes or ranges.",
)
@click.option(
    "--kept-share",
    type=float,
    default=0.7,
    show_default=True,
    help="Share of the cells of a real row of the same class that each new row keeps; 0 draws whole rows.",
)
@click.option("--model", "fitted", help="A model file fitted to DATA before, instead of training one now.")
@_max_seconds
@_kind_option
@_seed("Makes the result reproducible.")
@_quiet
def augment(
    data: tuple[str, ...],
    target: str,
    output: str,
    strategies: tuple[str, ...],
    kept_share: float,
    fitted: str | None,
    max_seconds: float | None,
    kinds: dict[str, str] | None,
    seed: int | None,
    quiet: bool,
) -> None:
    """Add synthetic rows of rare classes to the table DATA.

    The output has the rows of DATA, then the new ones, in the same columns and types. It
    contains real data: it is for training models, not for publication.

    \b
    synthgan augment real.csv --target income -o balanced.parquet
    synthgan augment real.csv --target income --strategy 0.5 --max-seconds 60 -o more.csv
    synthgan augment houses.csv --target price --strategy '400000..=3000' -o more.csv
    """
    from synthgan.io import check_destination, read_table, write_table

    if fitted is not None and (max_seconds is not None or kinds):
        raise click.UsageError(
            "--max-seconds and --kind have no effect with --model, which is fitted already."
        )
    if target in (kinds or {}):
        raise click.UsageError(
            "--kind cannot name the target: --strategy says if it holds classes or numbers."
        )
    check_destination(output, table=True)
    frame = read_table(list(data))
    if target not in frame.columns:
        raise click.ClickException(
            f"The table has no column {target!r}.{suggestion(target, frame.columns)} "
            f"Columns: {listing(frame.columns)}."
        )
    options = {"sampling_strategy": _strategy(strategies, frame[target]), "kept_share": kept_share}
    _say(f"Read {len(frame):,} rows. Making more ...", quiet)
    if fitted is None:
        model = _new_model(
            "tabular-gan", kinds, seed, max_seconds=max_seconds, n_gan_steps=1, verbose=_bars(quiet)
        )
        augmented = _augmented(frame, target, seed, generator=model, **options)
    else:
        augmented = _augmented_by(fitted, frame, target, seed, **options)
    write_table(augmented, output)
    _say(f"Added {len(augmented) - len(frame):,} rows.", quiet)


def _strategy(texts: tuple[str, ...], target: Any) -> Any:
    """Read a sampling strategy: a name, a ratio, or numbers of rows of classes or ranges."""
    if len(texts) == 1 and "=" not in texts[0]:
        try:
            return float(texts[0])
        except ValueError:
            return texts[0]
    labels = {str(label): label for label in target.dropna().unique().tolist()}
    strategy = {}
    for text in texts:
        name, _, count = text.rpartition("=")
        if not (name and count.isdecimal()):
            raise click.UsageError(f"--strategy must look like 'yes=5000' or '30..40=5000'. Got {text!r}.")
        ends = name.split("..")
        if len(ends) == 2 and name not in labels:
            try:
                strategy[tuple(float(end) if end.strip() else None for end in ends)] = int(count)
            except ValueError:
                raise click.UsageError(f"--strategy: {name!r} is no range of numbers.") from None
        else:
            strategy[labels.get(name, name)] = int(count)
    return strategy


def _augmented(frame: Any, target: str, seed: int | None, **options: Any) -> Any:
    """Train a generator and add its rows."""
    from synthgan.augment import GANOverSampler

    sampler = GANOverSampler(random_state=seed, **options)
    augmented, y = sampler.fit_resample(frame.drop(columns=target), frame[target])
    augmented.insert(frame.columns.get_loc(target), target, y)
    return augmented


def _augmented_by(
    path: str, frame: Any, target: str, seed: int | None, sampling_strategy: Any, kept_share: float
) -> Any:
    """Add rows of a model that is fitted already."""
    import pandas as pd

    from synthgan.augment import new_rows
    from synthgan.demands import demands
    from synthgan.seeding import draw_seed
    from synthgan.synthesizers.archive import load

    model = load(path)
    table = model.schema_.check(frame)
    wanted = demands(sampling_strategy, table[target])
    made, _ = new_rows(model, table, target, wanted, kept_share, draw_seed(seed))
    return pd.concat([table, made], ignore_index=True)[list(frame.columns)]


@main.command()
@click.option("--real", required=True, help="The table that the model was fitted to.")
@click.option("--synthetic", required=True, help="The table that it made.")
@click.option("--holdout", help="Real rows that the model has not seen: the reference for every figure.")
@click.option("--target", help="The column that a classifier or regressor is going to predict.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["fidelity", "utility", "privacy", "augmentation"]),
    default=["fidelity", "utility", "privacy"],
    show_default=True,
    help="What to measure. Repeat for more parts; augmentation takes minutes.",
)
@_kind_option
@click.option("--html", help="Write a report with plots to this file.")
@click.option(
    "--fail-if",
    "gates",
    multiple=True,
    callback=_gates,
    metavar="CONDITION",
    help="Exit with code 3 if a metric meets this, such as 'c2st_gbm>0.6'. Repeat for more gates.",
)
@_seed("Seed of folds, samples and classifiers.", default=0)
@_as_json
@_quiet
def evaluate(
    real: str,
    synthetic: str,
    holdout: str | None,
    target: str | None,
    parts: tuple[str, ...],
    kinds: dict[str, str] | None,
    html: str | None,
    gates: list[tuple[str, str, float]],
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell whether a synthetic table looks, works and leaks like the real one.

    Prints the main metrics, each with its ceiling (another real sample) and its floor
    (columns without any relation); --json and --html have all of them. Any table will do,
    whoever made it. Privacy needs a --holdout, models need a --target, too.

    \b
    synthgan evaluate --real real.csv --synthetic synthetic.csv
    synthgan evaluate --real train.parquet --synthetic synthetic.parquet \\
        --holdout test.parquet --target income --html report.html --fail-if 'c2st_gbm>0.6'
    """
    from synthgan.evaluation import evaluate as compare
    from synthgan.evaluation.metrics import METRICS
    from synthgan.io import check_destination, read_table

    for metric, _, _ in gates:
        if metric not in METRICS:
            raise click.UsageError(
                f"--fail-if: there is no metric {metric!r}.{suggestion(metric, METRICS)} "
                f"Metrics: {', '.join(METRICS)}."
            )
        if _part_of(metric) not in parts:
            raise click.UsageError(f"--fail-if: {metric} is measured by --part {_part_of(metric)} only.")
    if html is not None:
        check_destination(html)
    report = compare(
        read_table(real),
        read_table(synthetic),
        holdout=None if holdout is None else read_table(holdout),
        target=target,
        kinds=kinds,
        parts=parts,
        random_state=seed,
        progress=_bars(quiet),
    )
    click.echo(report.to_json() if as_json else str(report))
    if html is not None:
        report.to_html(html)
        _say(f"Wrote {html}.", quiet)
    if failed := [gate for gate in gates if _met(report[gate[0]], gate)]:
        for name, sign, bound in failed:
            click.echo(f"Gate: {name} is {report[name]:.4g}, which is {sign} {bound:g}.", err=True)
        raise click.exceptions.Exit(3)


def _part_of(metric: str) -> str:
    """Name the part of the report that measures a metric."""
    from synthgan.evaluation.metrics import METRICS

    return "augmentation" if metric == "augmentation_lift" else METRICS[metric].family


def _met(value: float, gate: tuple[str, str, float]) -> bool:
    """Compare a metric with a gate; one that was not computed cannot be passed."""
    name, sign, bound = gate
    if value != value:  # NaN
        raise click.ClickException(
            f"--fail-if {name}{sign}{bound:g}: {name} was not computed. Give --holdout and --target."
        )
    return _COMPARE[sign](value, bound)


@main.command()
@click.argument("model")
@_as_json
def inspect(model: str, as_json: bool) -> None:
    """Show what the file MODEL holds, without loading the model.

    \b
    synthgan inspect model.synthgan
    synthgan inspect model.synthgan --json
    """
    from synthgan.synthesizers.archive import read_manifest

    manifest = read_manifest(model)
    with Path(model).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if as_json:
        click.echo(json.dumps({"sha256": digest, **manifest}, indent=1, sort_keys=True))
        return
    for line in _description(model, digest, manifest):
        click.echo("".join(c if c.isprintable() else "?" for c in line))


def _description(model: str, digest: str, manifest: dict[str, Any]) -> list[str]:
    train, versions = manifest["train"], manifest["versions"]
    params = {name: value for name, value in manifest["params"].items() if value is not None}
    columns = [(str(column["name"]), str(column["kind"])) for column in manifest["columns"]]
    width = max((len(name) for name, _ in columns), default=0)
    return [
        f"{model}: {manifest['estimator']}, format {manifest['format_version']}",
        f"  fitted to   {train['n_rows']:,} rows, {train['n_columns']} columns, seed {train['seed']}",
        f"  written by  {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"  size        {Path(model).stat().st_size:,} bytes",
        f"  sha256      {digest}",
        f"  parameters  {', '.join(f'{name}={value}' for name, value in params.items())}",
        "  columns",
        *(f"    {name:<{width}}  {kind}" for name, kind in columns),
        *(["  every row keeps"] if manifest.get("constraints") else []),
        *(f"    {rule}" for rule in manifest.get("constraints", [])),
    ]


@main.command()
@click.option("-o", "--output", default="demo", show_default=True, help="The folder to write to.")
@_max_seconds
@_seed("Makes the result reproducible.", default=0)
@_quiet
def demo(output: str, max_seconds: float | None, seed: int, quiet: bool) -> None:
    """Fit, sample and evaluate the bundled Adult census table.

    Writes adult.synthgan, synthetic.parquet and report.html and prints a short table.
    With default settings this takes a few minutes.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _say("Loading the bundled Adult table: 32,561 rows to learn from, 16,281 held out.", quiet)
    from synthgan import datasets
    from synthgan.evaluation import evaluate as compare
    from synthgan.io import write_table

    real, holdout = datasets.load_adult()
    start = time.monotonic()
    model = _new_model("tabular-gan", None, seed, max_seconds=max_seconds, verbose=_bars(quiet))
    _say("1/3 Fitting TabularGAN ...", quiet)
    model.fit(real).save(folder / "adult.synthgan")
    fitted = time.monotonic()
    _say(f"2/3 Fitted in {fitted - start:.0f} s. Sampling {len(real):,} rows ...", quiet)
    synthetic = model.sample(len(real), random_state=seed)
    write_table(synthetic, folder / "synthetic.parquet")
    sampled = time.monotonic()
    _say(f"3/3 Sampled in {sampled - fitted:.1f} s. Evaluating ...", quiet)
    report = compare(
        real, synthetic, holdout=holdout, target="income", random_state=seed, progress=_bars(quiet)
    )
    report.to_html(folder / "report.html", history=model.history_)
    click.echo(str(report))
    _say(
        f"Wrote {folder / 'adult.synthgan'}, {folder / 'synthetic.parquet'}, {folder / 'report.html'}.", quiet
    )
