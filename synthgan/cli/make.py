"""Commands that make something: a model, rows, a table without gaps, a table with more of a rare class."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from synthgan.cli.console import (
    Number,
    as_json_option,
    bars,
    hint,
    kind_option,
    max_seconds_option,
    printable,
    quiet_option,
    require_different,
    rules_kept,
    say,
    seed_option,
    wrong_usage,
)
from synthgan.errors import DataError, ParameterError, listing, quantity, suggestion

__all__ = ["augment", "fit", "impute", "new_model", "sample"]

_MODELS = {  # the names in model files, see `synthesizers.archive`, which is slow to import
    "tabular-gan": "TabularGAN",
    "ctgan": "CTGAN",
    "tabular-diffusion": "TabularDiffusion",
    "independent": "IndependentSynthesizer",
}


@click.command()
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="The model file to write, such as model.synthgan.")
@click.option("--model", type=click.Choice(list(_MODELS)), default="tabular-gan", show_default=True)
@max_seconds_option
@click.option("--checkpoint", metavar="FILE", help="Keep the state of the training in this file.")
@click.option("--resume", is_flag=True, help="Go on from the file of --checkpoint, if there is one.")
@click.option(
    "--curves", metavar="FILE", help="Draw the curves of the training, to a .png, .svg or .pdf file."
)
@kind_option
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@seed_option("Makes the result reproducible.")
@as_json_option
@quiet_option
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

    if "-" in (output, checkpoint):
        raise click.UsageError("A model cannot be written to standard output. Give a file name.")
    if model == "independent" and ({max_seconds, checkpoint, curves} != {None} or device != "auto"):
        raise click.UsageError(
            "--max-seconds, --checkpoint, --curves and --device are for a training, and --model independent "
            "takes none."
        )
    if curves is not None and Path(curves).suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise click.UsageError(f"The file of --curves must end in .png, .svg or .pdf. Got {curves!r}.")
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs the file to go on from. Give --checkpoint FILE, too.")
    require_different(data, (output, checkpoint, curves))
    for path in (output, checkpoint, curves):
        check_destination(path or output)
    frame = read_table(list(data))
    size = f"{quantity(len(frame), 'row')} and {quantity(len(frame.columns), 'column')}"
    say(f"Fitting {model} to {size} ...", quiet)
    start = time.monotonic()
    estimator = new_model(model, kinds, seed, max_seconds=max_seconds, device=device, verbose=bars(quiet))
    if model == "independent":
        estimator.fit(frame)
    else:
        with _terminated_as_interrupted() as was_terminated:
            estimator.fit(frame, checkpoint=checkpoint, resume=resume)
    estimator.save(output)
    seconds = time.monotonic() - start
    say(f"Wrote {output} after {seconds:.0f} s.", quiet)
    if as_json:
        facts = {"model": output, "estimator": model, "n_rows": len(frame), "n_columns": len(frame.columns)}
        click.echo(json.dumps({**facts, "seed": estimator.seed_, "seconds": round(seconds, 3)}))
    if curves is not None:
        _draw_curves(estimator, curves, quiet)
    if getattr(estimator, "interrupted_", False):
        say("Run the same command with --resume to go on." if checkpoint else "", quiet or not checkpoint)
        raise click.exceptions.Exit(143 if was_terminated() else 130)


def _draw_curves(estimator: Any, path: str, quiet: bool) -> None:
    """Draw the curves of a training, if there are any: one that was interrupted early may have none."""
    from synthgan.curves import plot_history

    try:
        plot_history(estimator, path)
    except DataError as error:
        say(f"Warning: '{path}' was not drawn. {error}", quiet)


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
    except KeyboardInterrupt:
        if not came:
            raise
        click.echo("Terminated.", err=True)
        raise click.exceptions.Exit(143) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def new_model(model: str, kinds: dict[str, str] | None, seed: int | None, **training: Any) -> Any:
    """Construct a model; only one that trains takes the training options."""
    import synthgan

    options = {} if model == "independent" else training
    return getattr(synthgan, _MODELS[model])(kinds=kinds, random_state=seed, **options)


@click.command()
@click.argument("model")
@click.option("-n", "--rows", type=click.IntRange(0), help="How many rows to make; left out with --given.")
@click.option(
    "-o",
    "--output",
    default="-",
    show_default=True,
    help="A table file, a folder such as out/ for Parquet parts, or - for CSV on stdout.",
)
@click.option(
    "--part-rows", type=click.IntRange(1), help="Rows of each file in a folder.  [default: 1048576]"
)
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="What all rows must meet: 'income=>50K', a range 'age=30..40' or 'age=30..', several values "
    "'sex=Female,Male', or 'note=' for missing. Repeat for more columns.",
)
@click.option("--given", help="A table of some columns, kept as they are: one row out for each row in.")
@click.option(
    "--n-passes", type=click.IntRange(1), help="Passes per row: 1 is fastest, more are more faithful."
)
@seed_option("Makes the rows reproducible.")
@quiet_option
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
    from synthgan.io import read_table, write_table
    from synthgan.synthesizers.archive import ESTIMATORS, load, read_manifest
    from synthgan.synthesizers.parts import is_folder
    from synthgan.transforms.where import parse_where

    if n_passes is not None and (estimator := read_manifest(model)["estimator"]) != "tabular-gan":
        raise click.UsageError(
            f"--n-passes is for models of TabularGAN. This is one of {ESTIMATORS[estimator][1]}."
        )
    if rows is None and given is None:
        raise click.UsageError("Missing option '-n' / '--rows' (it may be left out with --given).")
    if where and given is not None:
        raise click.UsageError("--where and --given exclude each other. Add the columns to the table given.")
    if given is not None and is_folder(output):
        raise click.UsageError("--given is completed at once, to one file. Give -o a file name.")
    if not is_folder(output):
        if part_rows is not None:
            raise click.UsageError("--part-rows is for a folder of parts. Leave it out, or give -o a folder.")
        _check_table_file(output)
    require_different([given], [output])
    fitted: Any = load(model)
    if n_passes is not None:
        fitted.set_params(n_passes=n_passes)
    if given is not None:
        frame = fitted.sample(rows, conditions=read_table(given), random_state=seed)
        write_table(frame, output)
        rows = len(frame)
    else:
        with wrong_usage(ParameterError, "--where"):
            conditions = parse_where(where, fitted.codec_) or None
        with _resumable(output, quiet), hint("(low, high)", "--where 'age=30..40' or 'age=30,35'"):
            fitted.sample_to(
                output,
                rows,
                conditions=conditions,
                random_state=seed,
                part_rows=part_rows,
                progress=bars(quiet) and output != "-",
            )
    if output != "-":
        say(f"Wrote {quantity(rows or 0, 'row')} to {output}.", quiet)


def _check_table_file(output: str) -> None:
    """Refuse a file that no table can be written to; that its name says no format is wrong usage."""
    from synthgan.io import check_destination, table_extension

    if output != "-":
        with wrong_usage(DataError, "-o"):
            table_extension(output)
        check_destination(output)


@contextmanager
def _resumable(output: str, quiet: bool) -> Iterator[None]:
    """Say how many parts a folder has at the start, and how to go on after an interruption."""
    from synthgan.synthesizers.parts import is_folder

    def n_parts() -> int:
        return len(list(Path(output).glob("part-*.parquet"))) if is_folder(output) else 0

    if n_parts():
        say(f"{output} has {quantity(n_parts(), 'part')} already. Going on ...", quiet)
    try:
        yield
    except KeyboardInterrupt:
        if is_folder(output):
            ready = quantity(n_parts(), "complete part")
            say(f"{output} has {ready}. Run the same command again to go on.", quiet)
        raise


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", default="-", show_default=True, help="A table file, or - for CSV on stdout.")
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Fill with the median of so many draws, and categories with the most frequent one: nearer to what "
    "is missing (take 20 or more), but columns lose spread.",
)
@seed_option("Makes the result reproducible.")
@quiet_option
def impute(model: str, data: tuple[str, ...], output: str, draws: int, seed: int | None, quiet: bool) -> None:
    """Fill the gaps of the table DATA by the file MODEL.

    DATA has the columns of the table that the model was fitted to. Missing cells are drawn
    given the other cells of their row; all else is kept.

    \b
    synthgan impute model.synthgan gaps.csv -o filled.csv --seed 0
    synthgan impute model.synthgan gaps.csv --draws 21 -o filled.csv
    """
    from synthgan.impute import combine
    from synthgan.io import read_table, write_table
    from synthgan.synthesizers.archive import load

    _check_table_file(output)
    require_different(data, [output])
    frame = read_table(list(data))
    fitted: Any = load(model)
    filled = combine(fitted.impute(frame, random_state=seed, n_draws=draws), frame, fitted)
    write_table(filled, output)
    n_gaps, n_left = (int(table.isna().to_numpy().sum()) for table in (frame, filled))
    if n_left:
        say(f"{quantity(n_left, 'gap')} left, in columns of which the model has seen no value.", quiet)
    for rule in fitted.constraints_:
        if n_broken := int((~rule.holds(filled)).sum()):
            where = f"broken in {quantity(n_broken, 'row')}, as the cells given there ask for"
            say(printable(f"{rule} is {where}."), quiet)
    if output != "-":
        filled_gaps = f"{quantity(n_gaps - n_left, 'gap')} in {quantity(len(frame), 'row')}"
        say(f"Filled {filled_gaps}. Wrote {output}.", quiet)


@click.command()
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
    type=Number(0, 1),
    default=0.7,
    show_default=True,
    help="Share of the cells of a real row of the same class that each new row keeps; 0 draws whole rows.",
)
@click.option("--model", "fitted", help="A model file fitted to DATA before, instead of training one now.")
@max_seconds_option
@kind_option
@seed_option("Makes the result reproducible.")
@quiet_option
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

    The output has the rows of DATA, then the new ones, in the same columns and types. Rules
    found in DATA, which are printed, hold in every new row. The output contains real data: it
    is for training models, not for publication.

    \b
    synthgan augment real.csv --target income -o balanced.parquet
    synthgan augment real.csv --target income --strategy 0.5 --max-seconds 60 -o more.csv
    synthgan augment houses.csv --target price --strategy '400000..=3000' -o more.csv
    """
    from synthgan.io import read_table, write_table

    if fitted is not None and (max_seconds is not None or kinds):
        raise click.UsageError(
            "--max-seconds and --kind have no effect with --model, which is fitted already."
        )
    if target in (kinds or {}):
        raise click.UsageError(
            "--kind cannot name the target: --strategy says if it holds classes or numbers."
        )
    _check_table_file(output)
    require_different(data, [output])
    frame = read_table(list(data))
    if target not in frame.columns:
        raise click.ClickException(
            f"The table has no column {target!r}.{suggestion(target, frame.columns)} "
            f"Columns: {listing(frame.columns)}."
        )
    options = {"sampling_strategy": _strategy(strategies, frame[target]), "kept_share": kept_share}
    say(f"Read {quantity(len(frame), 'row')}. Making more ...", quiet)
    with hint("sampling_strategy", "--strategy 'yes=5000', or '30..40=5000' for a range of numbers"):
        if fitted is None:
            model = new_model(
                "tabular-gan", kinds, seed, max_seconds=max_seconds, n_gan_steps=1, verbose=bars(quiet)
            )
            augmented, rules = _augmented(frame, target, seed, generator=model, **options)
        else:
            augmented, rules = _augmented_by(fitted, frame, target, seed, **options)
    write_table(augmented, output)
    n_new = len(augmented) - len(frame)
    told = rules_kept(rules, "every new row") if n_new else []
    wrote = "" if output == "-" else f" Wrote {output}."
    for line in (f"Added {quantity(n_new, 'row')}.{wrote}", *told):
        say(printable(line), quiet)


def _strategy(texts: tuple[str, ...], target: Any) -> Any:
    """Read a sampling strategy: a name, a ratio, or numbers of rows of classes or ranges."""
    if len(texts) == 1 and "=" not in texts[0]:
        return _named_or_ratio(texts[0])
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
    if len(strategy) < len(texts):
        raise click.UsageError("--strategy must name each class and each range once.")
    return strategy


def _named_or_ratio(text: str) -> str | float:
    """Read a strategy that has a name, or the ratio of the rarer class to the other."""
    from synthgan.demands import STRATEGIES

    if text in STRATEGIES:
        return text
    with suppress(ValueError):
        if 0 < float(text) <= 1:
            return float(text)
    raise click.UsageError(
        f"--strategy must be {', '.join(map(repr, STRATEGIES))}, a ratio above 0 and up to 1, or tell how "
        f"many rows, as 'yes=5000' or '30..40=5000'. Got {text!r}."
    )


def _augmented(frame: Any, target: str, seed: int | None, **options: Any) -> tuple[Any, list[Any]]:
    """Train a generator and add its rows; returns the table and the rules that they keep."""
    from synthgan.augment import GANOverSampler

    sampler = GANOverSampler(random_state=seed, **options)
    augmented, y = sampler.fit_resample(frame.drop(columns=target), frame[target])
    augmented.insert(frame.columns.get_loc(target), target, y)
    return augmented, sampler.constraints_


def _augmented_by(
    path: str, frame: Any, target: str, seed: int | None, sampling_strategy: Any, kept_share: float
) -> tuple[Any, list[Any]]:
    """Add rows of a model that is fitted already; returns the table and the rules that they keep."""
    import pandas as pd

    from synthgan.augment import new_rows
    from synthgan.demands import demands
    from synthgan.seeding import draw_seed
    from synthgan.synthesizers.archive import load

    model = load(path)
    table = model.schema_.check(frame)
    wanted = demands(sampling_strategy, table[target])
    made, _ = new_rows(model, table, target, wanted, kept_share, draw_seed(seed))
    return pd.concat([table, made], ignore_index=True)[list(frame.columns)], model.constraints_
