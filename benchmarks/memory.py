"""How much memory does fitting need above the table itself, stage by stage?

    python -m benchmarks.memory                        # all tables
    python -m benchmarks.memory long wide              # some of them

Each table is made in a process of its own, written to Parquet and read by another one, which measures: the
peak of the resident memory (VmHWM of /proc/self/status, reset at the beginning of each stage through
/proc/self/clear_refs, so Linux only) less the resident memory when the table had been read and torch been
loaded. The networks have their default sizes and are trained for a few steps, since the peak does not
depend on their number.
"""

from __future__ import annotations

import ctypes
import gc
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa

from synthgan import TabularGAN, datasets, load
from synthgan.transforms import TableCodec

STAGES = ("schema, rules", "codec", "transform", "training", "sample 4,096", "save", "load")


def adult() -> pd.DataFrame:
    """The bundled training part."""
    return datasets.load_adult()[0]


def long() -> pd.DataFrame:
    """Adult, resampled to 1 M rows and jittered: 15 mixed columns, fnlwgt with many distinct values."""
    rng = np.random.default_rng(0)
    frame = pd.concat(datasets.load_adult(), ignore_index=True)
    frame = frame.iloc[rng.integers(len(frame), size=1_000_000)].reset_index(drop=True)
    frame["fnlwgt"] = (frame["fnlwgt"] * np.exp(rng.normal(0, 0.05, len(frame)))).astype(int)
    frame["age"] = (frame["age"] + rng.integers(-1, 2, len(frame))).clip(17, 90)
    return frame


def wide() -> pd.DataFrame:
    """100,000 rows of 250 floats, 190 integers and 60 categories of 2 to 1,000 levels."""
    rng = np.random.default_rng(0)
    n = 100_000
    columns: dict[str, object] = {}
    for k in range(250):
        columns[f"float_{k}"] = rng.normal(size=n) if k % 2 else rng.lognormal(size=n)
    for k in range(190):
        columns[f"int_{k}"] = rng.integers(0, 10 ** (1 + k % 5), n)
    for k in range(60):
        n_levels = round(np.geomspace(2, 1000, 60)[k])
        levels = np.array([f"level {i}" for i in range(n_levels)])
        columns[f"category_{k}"] = pd.Categorical(rng.choice(levels, n))
    return pd.DataFrame(columns)


def levels() -> pd.DataFrame:
    """600,000 rows, one column of 300,000 categories among three."""
    rng = np.random.default_rng(0)
    codes = np.r_[np.arange(300_000), rng.integers(300_000, size=300_000)]
    return pd.DataFrame(
        {
            "code": pd.Series([f"code {k:06d}" for k in codes], dtype="string"),
            "size": rng.normal(size=len(codes)),
            "side": pd.Categorical(np.where(codes % 2, "left", "right")),
        }
    )


TABLES: dict[str, Callable[[], pd.DataFrame]] = {"adult": adult, "long": long, "wide": wide, "levels": levels}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(TABLES)))
def main(names: tuple[str, ...]) -> None:
    """Print a line for each table, in MB."""
    print(f"| table | input | {' | '.join(STAGES)} | seconds |")
    print(f"|---|{'--:|' * (len(STAGES) + 2)}")
    for name in names or TABLES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            for step in ("make", "measure"):
                code = f"from benchmarks import memory; memory.{step}({name!r}, {str(path)!r})"
                subprocess.run([sys.executable, "-c", code], check=True)


def make(name: str, path: str) -> None:
    """Write a table."""
    TABLES[name]().to_parquet(path)


def measure(name: str, path: str) -> None:
    """Go through all stages with one table, and print a line."""
    frame = pd.read_parquet(path)
    start, meter = time.perf_counter(), Meter()
    meter.begin_at(TableCodec, "fit", "codec")
    meter.begin_at(TableCodec, "transform", "transform")
    meter.begin_at(TabularGAN, "_train", "training")
    meter.begin("schema, rules")
    model = TabularGAN(n_steps=2, n_gan_steps=2, heldout_fraction=1e-3, device="cpu", random_state=0)
    model.fit(frame)
    meter.begin("sample 4,096")
    model.sample(4_096, random_state=0)
    file = Path(path).with_suffix(".synthgan")
    meter.begin("save")
    model.save(file)
    meter.begin("load")
    load(file)
    meter.begin("end")
    cells = [f"{meter.peaks[stage]:,.0f}" for stage in STAGES]
    size, seconds = frame.memory_usage(deep=True).sum() / 1e6, time.perf_counter() - start
    shape = f"{len(frame):,} x {frame.shape[1]}"
    print(f"| {name}, {shape} | {size:,.0f} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


class Meter:
    """Peaks of the resident memory by stage, in MB above where it began."""

    def __init__(self) -> None:
        gc.collect()
        pa.default_memory_pool().release_unused()
        ctypes.CDLL(None).malloc_trim(0)
        self.peaks: dict[str, float] = {}
        self.stage = ""
        self.base = resident("VmRSS")

    def begin(self, stage: str) -> None:
        """End the last stage and begin another one."""
        self.peaks[self.stage] = resident("VmHWM") - self.base
        self.stage = stage
        Path("/proc/self/clear_refs").write_text("5")

    def begin_at(self, owner: type, method: str, stage: str) -> None:
        """Begin a stage wherever a method is called."""
        function = getattr(owner, method)

        @wraps(function)
        def marked(*arguments: Any) -> Any:
            self.begin(stage)
            return function(*arguments)

        setattr(owner, method, marked)


def resident(what: str) -> float:
    """Read the resident memory, VmRSS, or its peak, VmHWM, in MB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
