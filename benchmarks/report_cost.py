"""How long a full report takes, and how much memory: 50,000 x 20 real against 50,000 synthetic rows.

    python benchmarks/report_cost.py
    python benchmarks/report_cost.py --part fidelity --part utility

The tables are resampled rows of the bundled Adult table with five numeric columns added; the
synthetic one has slightly weaker relations. The holdout has 10,000 rows.
"""

from __future__ import annotations

import resource
import time

import click
import numpy as np
import pandas as pd

from synthgan import datasets, evaluate


@click.command()
@click.option("--rows", default=50_000, show_default=True)
@click.option("--part", "parts", multiple=True, default=["fidelity", "utility", "privacy"], show_default=True)
def main(rows, parts):
    """Measure one report in this process."""
    rng = np.random.default_rng(0)
    adult = pd.concat(datasets.load_adult(), ignore_index=True)
    real, synthetic = draw(adult, rows, 0.0, rng), draw(adult, rows, 0.2, rng)
    holdout = draw(adult, rows // 5, 0.0, rng)
    before = peak_gb()
    start, cpu = time.perf_counter(), time.process_time()
    report = evaluate(real, synthetic, holdout=holdout, target="income", parts=parts, progress=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(report)
    print(
        f"\n{rows:,} x {real.shape[1]}, {', '.join(parts)}: {seconds:.1f} s ({cpu:.1f} s of CPU), "
        f"peak memory {peak_gb():.2f} GB, of which {before:.2f} GB before the report"
    )


def draw(adult: pd.DataFrame, n: int, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Resample rows, move two columns a little, and add five numeric columns that depend on others."""
    frame = adult.iloc[rng.integers(len(adult), size=n)].reset_index(drop=True)
    frame["fnlwgt"] = (frame["fnlwgt"] * np.exp(rng.normal(0, 0.05, n))).astype(int)
    frame["age"] = (frame["age"] + rng.integers(-1, 2, n)).clip(17, 90)
    hidden = rng.normal(size=n)
    rich = (frame["income"].astype(str) == ">50K").to_numpy()
    frame["wealth"] = 0.1 * frame["age"] + hidden
    frame["spending"] = 2 * hidden + rng.normal(size=n) * (1 + noise)
    frame["savings"] = np.exp(hidden / 2 + rng.normal(size=n) / 3)
    frame["bonus"] = rng.gamma(2, 1, n) + rich * (1 - noise)
    frame["bonus_class"] = (10 * frame["bonus"]).round()
    return frame


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
