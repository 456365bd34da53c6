"""Fit models to tables, sample as many rows, judge the rows: one line of CSV for each run.

    python -m benchmarks.run FOLDER --datasets adult --models tabular_gan,ctgan --seeds 0,1,2

FOLDER holds NAME_train.parquet, NAME_test.parquet and NAME.json ("columns": name to "numeric",
"categorical" or "datetime"; "target"). Runs go one after another, each in a process of its own
with the same number of threads; timings are comparable within one run on an idle machine only.
A run that stands in the file already is not repeated, a failure is a line with its error.
``--summary`` prints the table of the means.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd

from benchmarks.models import MODELS
from benchmarks.peers import interpreter
from synthgan.evaluation import evaluate
from synthgan.evaluation.protocol import PARTS
from synthgan.io import atomic_write

KINDS = {"numeric": "numerical", "categorical": "categorical", "datetime": "datetime"}
KEY = ["dataset", "run", "seed"]  # one run may give several lines: the ways in which a model samples
SHOWN = {  # column of the summary: metric, decimals, factor
    "fit s": ("fit_seconds", 0, 1),
    "sample s": ("sample_seconds", 1, 1),
    "Shape err %": ("shape_error", 2, 100),
    "Trend err %": ("trend_error_shared", 2, 100),
    "C2ST AUC": ("c2st_gbm", 3, 1),
    "TSTR": ("tstr", 3, 1),
    "TRTR": ("trtr", 3, 1),
}


def _listed(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--datasets", callback=_listed, default="", help="Comma-separated; all of FOLDER without it.")
@click.option("--models", callback=_listed, default="independent,bootstrap,tabular_gan", show_default=True)
@click.option("--seeds", callback=_listed, default="0,1,2", show_default=True)
@click.option("--threads", default=os.cpu_count(), show_default=True)
@click.option("--part", multiple=True, default=PARTS, show_default=True, help="Of the report; repeatable.")
@click.option("--limit-seconds", default=7200, show_default=True, help="For one model on one table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("benchmarks/results.csv"))
@click.option("--summary", is_flag=True, help="Print the table of the means as Markdown, run nothing.")
def main(folder, datasets, models, seeds, threads, part, limit_seconds, output, summary):
    """Run every model on every table with every seed."""
    unknown = [model for model in models if model not in MODELS]
    if unknown:
        raise click.UsageError(f"There is no model {unknown[0]!r}. Models: {', '.join(MODELS)}.")
    done = pd.read_csv(output) if output.exists() else pd.DataFrame(columns=KEY)
    if summary:
        click.echo(summarise(done))
        return
    names = datasets or sorted(path.stem for path in folder.glob("*.json"))
    for name, seed, model in product(names, map(int, seeds), models):
        if ((done["dataset"] == name) & (done["run"] == model) & (done["seed"] == seed)).any():
            continue
        found = run_model(folder, name, model, seed, threads, limit_seconds, part)
        rows = [
            {"dataset": name, "run": model, "seed": seed, "model": k, **stamp(threads), **v}
            for k, v in found.items()
        ]
        done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
        atomic_write(output, done.to_csv(index=False).encode())
        for row in rows:
            said = row.get("error") or ", ".join(f"{title} {_figure(row, title)}" for title in SHOWN)
            click.echo(f"{name} {row['model']} {seed}: {said}", err=True)


def stamp(threads: int) -> dict[str, Any]:
    """Say when and with what a line was made."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip() or "unknown",
        "processor": platform.processor() or platform.machine(),
        "threads": threads,
    }


def run_model(
    folder: Path, name: str, model: str, seed: int, threads: int, limit: float, parts: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Fit, sample and judge, for each way of sampling; what goes wrong becomes the column "error"."""
    facts = folder / f"{name}.json"
    real, holdout = (folder / f"{name}_{part}.parquet" for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as temporary:
        command = [interpreter(MODELS[model][0]), "benchmarks/models.py", model, real, facts, temporary]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "4000"}
        try:
            found = subprocess.run(
                [*map(str, command), "--seed", str(seed)],
                capture_output=True,
                text=True,
                timeout=limit,
                env=environment,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return {model: {"error": f"more than {limit:.0f} s"}}
        except subprocess.CalledProcessError as error:
            return {model: {"error": (error.stderr.strip().splitlines() or ["no message"])[-1][:200]}}
        measured = json.loads(found.stdout.strip().splitlines()[-1])
        for way, row in measured.items():
            row |= judge(real, Path(temporary) / f"{way}.parquet", holdout, facts, seed, parts)
        return measured


def judge(
    real: Path, made: Path, holdout: Path, facts: Path, seed: int, parts: tuple[str, ...]
) -> dict[str, Any]:
    """Give every metric of some parts of the report."""
    told = json.loads(facts.read_text(encoding="utf-8"))
    kinds = {name: KINDS[kind] for name, kind in told["columns"].items()}
    report = evaluate(
        real, made, holdout=holdout, target=told["target"], kinds=kinds, parts=parts, random_state=seed
    )
    return dict(zip(report.frame["metric"], report.frame["value"], strict=True))


def summarise(done: pd.DataFrame) -> str:
    """Give the means over the seeds as Markdown, a table for each data set."""
    lines = []
    for name, rows in done.groupby("dataset"):
        lines += [
            f"\n**{name}**\n",
            f"| model | seeds | {' | '.join(SHOWN)} |",
            f"|---|--:|{'--:|' * len(SHOWN)}",
        ]
        for model, runs in rows.groupby("model", sort=False):
            mean = runs.mean(numeric_only=True)
            cells = [_figure(mean, title) for title in SHOWN]
            lines.append(f"| {model} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(row: Any, title: str) -> str:
    metric, decimals, factor = SHOWN[title]
    value = row.get(metric)
    return "-" if value is None or value != value else f"{factor * value:.{decimals}f}"


if __name__ == "__main__":
    sys.exit(main())
