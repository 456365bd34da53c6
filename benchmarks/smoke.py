"""Fit, sample, save, load and evaluate every table of a folder; warnings are errors.

The folder holds NAME_train.parquet, NAME_test.parquet and NAME.json with "columns" (name to
"numeric", "categorical" or "datetime") and "target". One line a table says how long it took and
how near the synthetic rows came; the exit code is the number of tables that failed.

    python benchmarks/smoke.py FOLDER --max-seconds 20
"""

from __future__ import annotations

import json
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import click
import pandas as pd

from synthgan import IndependentSynthesizer, TabularGAN, evaluate, load

KINDS = {"numeric": "numerical", "categorical": "categorical", "datetime": "datetime"}
HEADER = "table                   rows   fit s  draw s  eval s   shape   trend    c2st"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--max-seconds", default=20.0, show_default=True, help="Training budget of a table.")
@click.option("--seed", default=0, show_default=True)
@click.option("--model", type=click.Choice(["tabular-gan", "independent"]), default="tabular-gan")
@click.option("--only", multiple=True, help="Names of tables; all of them without it.")
@click.option("--traceback", "show_traceback", is_flag=True, help="Print the traceback of a failure.")
def main(folder, max_seconds, seed, model, only, show_traceback):
    """Run every table of FOLDER through the whole way."""
    warnings.simplefilter("error")
    names = sorted(path.stem for path in folder.glob("*.json") if not only or path.stem in only)
    print(HEADER, flush=True)
    failed = 0
    for name in names:
        try:
            print(run_table(folder, name, max_seconds, seed, model), flush=True)
        except Exception as error:
            failed += 1
            print(f"{name:<20} FAILED {type(error).__name__}: {error}", flush=True)
            if show_traceback:
                traceback.print_exc()
    raise SystemExit(failed)


def run_table(folder: Path, name: str, max_seconds: float, seed: int, model_name: str) -> str:
    """Take one table the whole way and describe the result in one line."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    real = pd.read_parquet(folder / f"{name}_train.parquet")
    holdout = pd.read_parquet(folder / f"{name}_test.parquet")
    kinds = {column: KINDS[kind] for column, kind in facts["columns"].items()}
    if model_name == "independent":
        model = IndependentSynthesizer(kinds=kinds, random_state=seed)
    else:
        model = TabularGAN(kinds=kinds, max_seconds=max_seconds, random_state=seed)
    times = [time.monotonic()]
    model.fit(real)
    times.append(time.monotonic())
    synthetic = model.sample(len(real), random_state=seed)
    times.append(time.monotonic())
    with tempfile.TemporaryDirectory() as temporary:
        model.save(Path(temporary) / "m.synthgan")
        again = load(Path(temporary) / "m.synthgan").sample(1000, random_state=seed)
    pd.testing.assert_frame_equal(again.head(len(real)), synthetic.head(1000))
    pd.testing.assert_series_equal(synthetic.dtypes, real.dtypes)
    start = time.monotonic()
    report = evaluate(
        real, synthetic, holdout=holdout, target=facts["target"], kinds=kinds, random_state=seed
    )
    fit, draw, judge = times[1] - times[0], times[2] - times[1], time.monotonic() - start
    figures = [report[metric] for metric in ("shape_error", "trend_error", "c2st_gbm")]
    return f"{name:<20} {len(real):>7} {fit:>7.1f} {draw:>7.1f} {judge:>7.1f} " + " ".join(
        f"{figure:>7.4f}" for figure in figures
    )


if __name__ == "__main__":
    main()
