"""Remove a fifth of the cells of a table and fill them, against scikit-learn's imputers.

    python -m benchmarks.imputation FOLDER --datasets adult,california_housing --rows 8000

FOLDER holds NAME_train.parquet and NAME.json ("columns": name to "numeric" or "categorical"). Cells
go at random, or with a chance that grows with the rank of another column, which stays
complete. Every imputer is fitted to the table with the gaps and fills these. Errors are those of the
removed cells: of numbers the root mean squared and the mean absolute one over the column's standard
deviation, of categories the share that is wrong; means over the columns. The interval of 19
draws is that between the lowest and the highest: it should hold 18 / 20 of the numbers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from synthgan import Imputer, IndependentSynthesizer, TabularGAN
from synthgan.impute import combine, sweep

KINDS = {"numeric": "numerical", "categorical": "categorical"}
SHARE = 0.2
N_DRAWS = 19
Filled = tuple[str, list[pd.DataFrame]]  # one table to be judged; several: the draws of an interval


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--datasets", default="adult,california_housing", show_default=True)
@click.option("--mechanisms", default="random,dependent", show_default=True)
@click.option("--rows", default=8000, show_default=True, help="Rows of each table, drawn at random.")
@click.option("--n-steps", type=int, help="Of TabularGAN; its default without it.")
@click.option("--seeds", default="0", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("benchmarks/results/imputation.csv")
)
def main(folder, datasets, mechanisms, rows, n_steps, seeds, output):
    """Compare imputers."""
    output.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in datasets.split(","):
        for seed in map(int, seeds.split(",")):
            complete, others, kinds = read(folder, name, rows, seed)
            for mechanism in mechanisms.split(","):
                removed = holes(complete, kinds, mechanism, seed)
                gaps = with_gaps(complete, removed)
                start = time.perf_counter()
                for imputer, filled in imputers(gaps, others, kinds, n_steps, seed):
                    seconds = time.perf_counter() - start
                    line = {"dataset": name, "mechanism": mechanism, "seed": seed, "imputer": imputer}
                    line |= errors(filled, complete, removed, kinds) | {"seconds": round(seconds, 1)}
                    print(json.dumps(line), flush=True)
                    lines.append(line)
                    pd.DataFrame(lines).to_csv(output, index=False)
                    start = time.perf_counter()
    print(pd.DataFrame(lines).round(3).to_string(index=False))


def read(folder: Path, name: str, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Return a table, as many other rows where there are, and the kinds of the columns."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    table = pd.read_parquet(folder / f"{name}_train.parquet").sample(frac=1, random_state=seed)
    kinds = {column: KINDS[kind] for column, kind in facts["columns"].items()}
    for column, kind in kinds.items():  # a dtype that holds gaps
        table[column] = table[column].astype(float if kind == "numerical" else object)
    return table.iloc[:rows].reset_index(drop=True), table.iloc[rows : 2 * rows].reset_index(drop=True), kinds


def holes(complete: pd.DataFrame, kinds: dict[str, str], mechanism: str, seed: int) -> np.ndarray:
    """Choose cells to remove, of those that are there."""
    chance = np.full(complete.shape, SHARE)
    if mechanism == "dependent":
        driver = next(column for column, kind in kinds.items() if kind == "numerical")
        chance[:] = 2 * SHARE * complete[driver].rank(pct=True).to_numpy()[:, None]
        chance[:, complete.columns.get_loc(driver)] = 0
    return (np.random.default_rng(seed).random(complete.shape) < chance) & complete.notna().to_numpy()


def with_gaps(complete: pd.DataFrame, removed: np.ndarray) -> pd.DataFrame:
    return complete.mask(removed)


def errors(filled: list[pd.DataFrame], complete: pd.DataFrame, removed: np.ndarray, kinds: dict) -> dict:
    """Judge the first table, and the interval of all."""
    rmse, mae, wrong, covered = [], [], [], []
    for j, (column, kind) in enumerate(kinds.items()):
        rows = removed[:, j]
        if not rows.any():
            continue
        truth = complete[column][rows]
        if kind == "categorical":
            wrong.append((filled[0][column][rows] != truth).mean())
            continue
        error = (filled[0][column][rows] - truth) / complete[column].std()
        rmse.append(np.sqrt((error**2).mean()))
        mae.append(error.abs().mean())
        draws = np.stack([table[column][rows] for table in filled[1:]] or [truth * np.nan])
        covered.append(((draws.min(axis=0) <= truth) & (truth <= draws.max(axis=0))).mean())
    found = {"rmse": np.mean(rmse), "mae": np.mean(mae), "wrong": np.mean(wrong)}
    return found | {"coverage": np.mean(covered) if len(filled) > 1 else np.nan}


def imputers(
    gaps: pd.DataFrame, others: pd.DataFrame, kinds: dict[str, str], n_steps: int | None, seed: int
) -> Iterator[Filled]:
    """Fit every imputer to the table with gaps and fill it."""
    yield "mean, most frequent", [simple(gaps, kinds)]
    yield "k nearest neighbours", [encoded(KNNImputer(), gaps, kinds)]
    yield "iterative", [encoded(IterativeImputer(random_state=seed, max_iter=5), gaps, kinds)]
    if set(kinds.values()) == {"numerical"} or gaps.select_dtypes(object).nunique().sum() < 10:
        draw = lambda k: encoded(  # noqa: E731
            IterativeImputer(random_state=k, max_iter=5, sample_posterior=True), gaps, kinds
        )
        draws = [draw(k) for k in range(N_DRAWS)]
        yield "iterative, one draw", [draws[0], *draws]
    floor = IndependentSynthesizer(kinds=kinds, random_state=seed).fit(gaps)
    draws = floor.impute(gaps, random_state=seed, n_draws=N_DRAWS)
    yield "independent columns, one draw", [draws[0], *draws]
    generator = TabularGAN(  # as the default of Imputer
        kinds=kinds, n_steps=n_steps, n_gan_steps=1, max_modes=20, device="cpu", random_state=seed
    )
    imputer = Imputer(generator, random_state=seed).fit(gaps)
    yield from both(imputer.generator_, gaps, seed, "TabularGAN")
    if len(others) == len(gaps):
        yield from both(generator.fit(others), gaps, seed, "TabularGAN fitted to other, complete rows")


def both(model: TabularGAN, gaps: pd.DataFrame, seed: int, name: str) -> Iterator[Filled]:
    """Fill with one draw, and with the median and the mean of several, without and with a sweep."""
    draws = model.impute(gaps, random_state=seed, n_draws=N_DRAWS)
    yield from _combined(draws, gaps, model, name)
    draws = [sweep(draw, gaps, model, np.random.default_rng(k)) for k, draw in enumerate(draws)]
    yield from _combined(draws, gaps, model, f"{name}, swept")


def _combined(
    draws: list[pd.DataFrame], gaps: pd.DataFrame, model: TabularGAN, name: str
) -> Iterator[Filled]:
    yield f"{name}, one draw", [draws[0], *draws]
    for statistic in ("median", "mean"):
        yield f"{name}, {statistic} of {N_DRAWS}", [combine(draws, gaps, model, statistic)]


def simple(gaps: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """Fill with the mean, or the most frequent category."""
    filled = gaps.copy()
    for column, kind in kinds.items():
        strategy = "mean" if kind == "numerical" else "most_frequent"
        imputer = SimpleImputer(strategy=strategy, missing_values=np.nan)
        values = gaps[[column]].where(gaps[[column]].notna(), np.nan)
        filled[column] = imputer.fit_transform(values)[:, 0]
    return filled


def encoded(
    imputer: KNNImputer | IterativeImputer, gaps: pd.DataFrame, kinds: dict[str, str]
) -> pd.DataFrame:
    """Scale numbers and one-hot encode categories, missing in all columns of theirs; fill; turn back.

    The most frequent category has no column for `IterativeImputer`: the others would tell each of them,
    their first guesses would tell the first guess, and it would not learn anything.
    """
    first = int(isinstance(imputer, IterativeImputer))
    parts, back = [], []
    for column, kind in kinds.items():
        series = gaps[column]
        if kind == "numerical":
            mean, std = series.mean(), series.std() or 1.0
            parts.append(((series - mean) / std).to_numpy()[:, None])
            back.append(lambda block, mean=mean, std=std: block[:, 0] * std + mean)
        else:
            names = series.value_counts().index.to_numpy()
            hot = (series.to_numpy()[:, None] == names[first:]).astype(float)
            hot[series.isna()] = np.nan
            parts.append(hot)
            back.append(lambda block, names=names: names[_whole(block, len(names)).argmax(axis=1)])
    return _turned_back(imputer.fit_transform(np.concatenate(parts, axis=1)), parts, back, gaps)


def _whole(block: np.ndarray, n_names: int) -> np.ndarray:
    """Add the column that was left out."""
    return block if block.shape[1] == n_names else np.column_stack([1 - block.sum(axis=1), block])


def _turned_back(
    matrix: np.ndarray, parts: list[np.ndarray], back: list[Callable], gaps: pd.DataFrame
) -> pd.DataFrame:
    """Decode blocks of columns, and keep the cells that were there."""
    ends = np.cumsum([part.shape[1] for part in parts])
    filled = gaps.copy()
    for column, end, part, decode in zip(gaps.columns, ends, parts, back, strict=True):
        values = decode(matrix[:, end - part.shape[1] : end])
        filled[column] = gaps[column].where(gaps[column].notna(), pd.Series(values, index=gaps.index))
    return filled


if __name__ == "__main__":
    main()
