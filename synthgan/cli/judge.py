"""Commands that look at what was made: how good a table is, and what a model file holds."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthgan.cli.console import (
    as_json_option,
    bars,
    kind_option,
    printable,
    quiet_option,
    require_different,
    rules_kept,
    say,
    seed_option,
)
from synthgan.errors import quantity, suggestion

if TYPE_CHECKING:
    from synthgan.evaluation import Report

__all__ = ["evaluate", "inspect"]

_GATE = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _gates(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str, float]]:
    """Read conditions such as ``c2st_gbm>0.6``."""
    found = [(value, _GATE.fullmatch(value)) for value in values]
    for value, match in found:
        if match is None:
            raise click.BadParameter(f"must look like 'c2st_gbm>0.6'. Got {value!r}.")
    return [(match[1], match[2], float(match[3])) for _, match in found if match]


@click.command(short_help="Tell how good a synthetic table is.")
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
@kind_option
@click.option("--html", help="Write a report with plots to this file.")
@click.option(
    "--fail-if",
    "gates",
    multiple=True,
    callback=_gates,
    metavar="CONDITION",
    help="Exit with code 3 if a metric meets this, such as 'c2st_gbm>0.6'. Repeat for more gates.",
)
@seed_option("Seed of folds, samples and classifiers.", default=0)
@as_json_option
@quiet_option
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
        if html == "-":
            raise click.UsageError("A page cannot be written to standard output. Give --html a file name.")
        require_different((real, synthetic, holdout), [html])
        check_destination(html)
    report = compare(
        read_table(real),
        read_table(synthetic),
        holdout=None if holdout is None else read_table(holdout),
        target=target,
        kinds=kinds,
        parts=parts,
        random_state=seed,
        progress=bars(quiet),
    )
    click.echo(report.to_json() if as_json else str(report))
    if html is not None:
        report.to_html(html)
        say(f"Wrote {html}.", quiet)
    _pass_gates(report, gates, [("--holdout", holdout), ("--target", target)])


def _part_of(metric: str) -> str:
    """Name the part of the report that measures a metric."""
    from synthgan.evaluation.metrics import METRICS

    return "augmentation" if metric == "augmentation_lift" else METRICS[metric].family


def _pass_gates(
    report: Report, gates: list[tuple[str, str, float]], options: list[tuple[str, str | None]]
) -> None:
    """End in an error where a gate is met, or cannot be passed since its metric was not computed."""
    met = [gate for gate in gates if _COMPARE[gate[1]](report[gate[0]], gate[2])]  # never so for NaN
    for name, sign, bound in met:
        click.echo(f"Gate: {name} is {report[name]:.4g}, which is {sign} {bound:g}.", err=True)
    missing = [gate for gate in gates if math.isnan(report[gate[0]])]
    left_out = [option for option, value in options if value is None]
    for name, sign, bound in missing:
        advice = "The report says why."
        if left_out and _part_of(name) != "fidelity":
            advice = f"Give {' and '.join(left_out)}."
        text = f"Error: --fail-if {name}{sign}{bound:g}: {name} was not computed. {advice}"
        click.echo(text, err=True)
    if met or missing:
        raise click.exceptions.Exit(3 if met else 1)


@click.command()
@click.argument("model")
@as_json_option
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
        click.echo(printable(line))


def _description(model: str, digest: str, manifest: dict[str, Any]) -> list[str]:
    train, versions = manifest["train"], manifest["versions"]
    params = {name: value for name, value in manifest["params"].items() if value is not None}
    columns = [(str(column["name"]), str(column["kind"])) for column in manifest["columns"]]
    size = f"{quantity(train['n_rows'], 'row')}, {quantity(train['n_columns'], 'column')}"
    width = max((len(name) for name, _ in columns), default=0)
    return [
        f"{model}: {manifest['estimator']}, format {manifest['format_version']}",
        f"  fitted to   {size}, seed {train['seed']}",
        f"  written by  {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"  size        {Path(model).stat().st_size:,} bytes",
        f"  sha256      {digest}",
        f"  parameters  {', '.join(f'{name}={value}' for name, value in params.items())}",
        "  columns",
        *(f"    {name:<{width}}  {kind}" for name, kind in columns),
        *rules_kept(manifest.get("constraints", []), "every row"),
    ]
