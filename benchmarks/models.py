"""Fit one model to one table and sample from it, inside the environment of that model.

Started by ``run.py`` as a process of its own, once for each (table, model, seed), so that
libraries with clashing requirements can be compared and peak memory is that of one model:

    python benchmarks/models.py MODEL REAL.parquet FACTS.json FOLDER --seed 0

Each model is used through its public interface with its default settings. For each way in which it
samples, FOLDER gets NAME.parquet, and the last line on standard output, which is JSON, tells seconds,
memory and versions under NAME.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

Sampler = Callable[[int], pd.DataFrame]
Fit = Callable[[pd.DataFrame, dict[str, str], int], Sampler | dict[str, Sampler]]


def tabular_gan(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from synthgan import TabularGAN

    model = TabularGAN(kinds=_ours(kinds), random_state=seed).fit(real)
    return lambda n: model.sample(n, random_state=seed)


def few_passes(
    real: pd.DataFrame, kinds: dict[str, str], seed: int, loss: str = "relativistic"
) -> dict[str, Sampler]:
    from synthgan import TabularGAN

    model = TabularGAN(kinds=_ours(kinds), gan_loss=loss, random_state=seed).fit(real)
    name = "tabular_gan" if loss == "relativistic" else f"tabular_gan by {loss}"
    return {
        f"{name}, 4 passes": lambda n: model.sample(n, random_state=seed, n_passes=4),
        f"{name}, 1 pass": lambda n: model.sample(n, random_state=seed, n_passes=1),
    }


def own_ctgan(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from synthgan import CTGAN

    model = CTGAN(kinds=_ours(kinds), random_state=seed).fit(real)  # 300 epochs
    return lambda n: model.sample(n, random_state=seed)


def tabular_diffusion(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from synthgan import TabularDiffusion

    model = TabularDiffusion(kinds=_ours(kinds), random_state=seed).fit(real)
    return lambda n: model.sample(n, random_state=seed)


def independent(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from synthgan import IndependentSynthesizer

    model = IndependentSynthesizer(kinds=_ours(kinds), random_state=seed).fit(real)
    return lambda n: model.sample(n, random_state=seed)


def bootstrap(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:  # noqa: ARG001
    rng = np.random.default_rng(seed)
    return lambda n: real.iloc[rng.integers(len(real), size=n)].reset_index(drop=True)


def ctgan(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from ctgan import CTGAN

    return _ctgan_family(CTGAN, real, kinds, seed)


def tvae(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from ctgan import TVAE

    return _ctgan_family(TVAE, real, kinds, seed)


def _ctgan_family(model_class: Any, real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    table, restore = _plain(real, kinds)
    model = model_class()  # 300 epochs
    model.set_random_state(seed)
    model.fit(table, [name for name, kind in kinds.items() if kind == "categorical"])
    return lambda n: restore(model.sample(n))


def gaussian_copula(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from sdv.metadata import Metadata
    from sdv.single_table import GaussianCopulaSynthesizer

    words = {"numeric": "numerical", "categorical": "categorical", "datetime": "datetime"}
    columns = {name: {"sdtype": words[kind]} for name, kind in kinds.items()}
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}, "relationships": []})
    np.random.seed(seed)  # noqa: NPY002 - its only seed
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"table": real})  # since sdv 2.0, a dict of one table
    return lambda n: model.sample(n)["table"]


def tabular_argn(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from mostlyai.engine import TabularARGN, set_random_state

    set_random_state(seed)
    model = TabularARGN(
        tgt_encoding_types={
            name: {
                "numeric": "TABULAR_NUMERIC_AUTO",
                "categorical": "TABULAR_CATEGORICAL",
                "datetime": "TABULAR_DATETIME",
            }[kind]
            for name, kind in kinds.items()
        },
        random_state=seed,
    )
    model.fit(real)
    return lambda n: _retyped(model.sample(n_samples=n), real)


def adversarial_forest(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    from arfpy import arf

    table, restore = _plain(real, kinds)
    for name, kind in kinds.items():
        table[name] = table[name].astype("category" if kind == "categorical" else float)
    np.random.seed(seed)  # noqa: NPY002 - what its sampler reads
    model = arf.arf(x=table, random_state=seed)
    model.forde()
    return lambda n: restore(model.forge(n=n))


def smote(real: pd.DataFrame, kinds: dict[str, str], seed: int) -> Sampler:
    """SMOTE-NC as a synthesizer: neighbours of a column of one class for all rows are interpolated."""
    from imblearn.over_sampling import SMOTENC

    table, restore = _plain(real, kinds)
    categorical = [name for name, kind in kinds.items() if kind == "categorical"]

    def draw(n: int) -> pd.DataFrame:
        doubled = pd.concat([table, table.iloc[: 1 + len(table) // 2]], ignore_index=True)
        label = np.r_[np.zeros(len(table), int), np.ones(1 + len(table) // 2, int)]
        made, _ = SMOTENC(categorical, sampling_strategy={0: len(table) + n}, random_state=seed).fit_resample(
            doubled, label
        )
        return restore(made.iloc[len(doubled) : len(doubled) + n])

    return draw


def _ours(kinds: dict[str, str]) -> dict[str, str]:
    return {name: "numerical" if kind == "numeric" else kind for name, kind in kinds.items()}


def _retyped(made: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Turn categories that became text back into the numbers that they were; others stay."""
    texts = [name for name in real if is_numeric_dtype(real[name]) and not is_numeric_dtype(made[name])]
    known = {name: {str(value): value for value in real[name].dropna().unique()} for name in texts}
    return made.assign(**{name: made[name].map(known[name]) for name in texts})


def _plain(
    real: pd.DataFrame, kinds: dict[str, str]
) -> tuple[pd.DataFrame, Callable[[pd.DataFrame], pd.DataFrame]]:
    """Write a table as text and floats without gaps, for models that take nothing else.

    A missing number is the column's median (such a model cannot make it missing again), a missing
    category is a category, a date a number. Returns the table and the way back.
    """
    table = pd.DataFrame(index=range(len(real)))
    for name, kind in kinds.items():
        column = real[name].reset_index(drop=True)
        if kind == "categorical":
            table[name] = column.astype(object).where(column.notna(), "missing").astype(str)
        elif kind == "datetime":
            stamps = pd.to_datetime(column)
            table[name] = stamps.fillna(stamps.median()).astype("int64").astype(float)
        else:
            numbers = column.astype(float)
            table[name] = numbers.fillna(numbers.median())

    def restore(made: pd.DataFrame) -> pd.DataFrame:
        back = pd.DataFrame(index=range(len(made)))
        for name, kind in kinds.items():
            values = made[name].reset_index(drop=True)
            if kind == "categorical":
                known = {str(value): value for value in real[name].dropna().unique()}
                back[name] = values.astype(str).map(known)
            elif kind == "datetime":
                back[name] = pd.to_datetime(values.round().astype("int64"))
            else:
                whole = (real[name].dropna() % 1 == 0).all()
                back[name] = values.astype(float).round() if whole else values.astype(float)
        return back

    return table, restore


MODELS: dict[str, tuple[str, Fit]] = {  # name: environment, way to fit
    "tabular_gan": ("synthgan", tabular_gan),
    "few_passes": ("synthgan", few_passes),
    "few_passes_wgan": ("synthgan", partial(few_passes, loss="wgan-gp")),
    "own_ctgan": ("synthgan", own_ctgan),
    "tabular_diffusion": ("synthgan", tabular_diffusion),
    "independent": ("synthgan", independent),
    "bootstrap": ("synthgan", bootstrap),
    "ctgan": ("ctgan", ctgan),
    "tvae": ("ctgan", tvae),
    "gaussian_copula": ("sdv", gaussian_copula),
    "tabular_argn": ("mostlyai-engine", tabular_argn),
    "arf": ("arfpy", adversarial_forest),
    "smote": ("imbalanced-learn", smote),
}
"""All models of the benchmark. The environment is also the name of the package that is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("real", type=Path)
    parser.add_argument("facts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    package, fit = MODELS[options.model]
    real = pd.read_parquet(options.real)
    kinds = json.loads(options.facts.read_text(encoding="utf-8"))["columns"]
    wall, cpu = time.perf_counter(), time.process_time()
    samplers = fit(real, kinds, options.seed)
    if not isinstance(samplers, dict):
        samplers = {options.model: samplers}
    common = {
        "fit_seconds": time.perf_counter() - wall,
        "fit_cpu_seconds": time.process_time() - cpu,
        "version": importlib.metadata.version(package),
        "python": platform.python_version(),
    }
    found = {}
    for name, sample in samplers.items():
        start = time.perf_counter()
        made = sample(len(real))
        seconds = time.perf_counter() - start
        made[list(real.columns)].to_parquet(options.folder / f"{name}.parquet")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[name] = {**common, "sample_seconds": seconds, "peak_memory_mb": peak}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
