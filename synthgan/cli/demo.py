"""The command that shows the others at work."""

from __future__ import annotations

import time
from pathlib import Path

import click

from synthgan.cli.console import bars, max_seconds_option, quiet_option, say, seed_option
from synthgan.cli.make import new_model

__all__ = ["demo"]


@click.command()
@click.option("-o", "--output", default="demo", show_default=True, help="The folder to write to.")
@max_seconds_option
@seed_option("Makes the result reproducible.", default=0)
@quiet_option
def demo(output: str, max_seconds: float | None, seed: int, quiet: bool) -> None:
    """Fit, sample and evaluate the bundled Adult census table.

    Writes adult.synthgan, synthetic.parquet and report.html and prints a short table.
    With default settings this takes a few minutes.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    say("Loading the bundled Adult table: 32,561 rows to learn from, 16,281 held out.", quiet)
    from synthgan import datasets
    from synthgan.evaluation import evaluate as compare
    from synthgan.io import write_table

    real, holdout = datasets.load_adult()
    start = time.monotonic()
    model = new_model("tabular-gan", None, seed, max_seconds=max_seconds, verbose=bars(quiet))
    say("1/3 Fitting TabularGAN ...", quiet)
    model.fit(real).save(folder / "adult.synthgan")
    fitted = time.monotonic()
    say(f"2/3 Fitted in {fitted - start:.0f} s. Sampling {len(real):,} rows ...", quiet)
    synthetic = model.sample(len(real), random_state=seed)
    write_table(synthetic, folder / "synthetic.parquet")
    sampled = time.monotonic()
    say(f"3/3 Sampled in {sampled - fitted:.1f} s. Evaluating ...", quiet)
    report = compare(
        real, synthetic, holdout=holdout, target="income", random_state=seed, progress=bars(quiet)
    )
    report.to_html(folder / "report.html", history=model.history_)
    click.echo(str(report))
    say(
        f"Wrote {folder / 'adult.synthgan'}, {folder / 'synthetic.parquet'}, {folder / 'report.html'}.", quiet
    )
