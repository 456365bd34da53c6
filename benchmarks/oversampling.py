"""Does over-sampling help a classifier: no change, class weights, random, SMOTE-NC, ADASYN and ours.

The folder holds NAME_train.parquet, NAME_test.parquet and NAME.json with "columns" (name to "numeric",
"categorical" or "datetime") and "target", as for smoke.py. Train and test are put together and split anew,
80 to 20 and stratified, in each repeat. Every method then changes the training rows, and gradient boosting
(HistGradientBoosting, defaults without early stopping, which would see made-up rows) is trained and scored
on the rows left out: average precision of the rarer class (mean over the classes if there are several),
balanced accuracy and ROC AUC. Differences to no change are paired, with the 95 % interval of
Nadeau and Bengio (2003), which allows for the overlap of the training rows.

    python benchmarks/oversampling.py FOLDER --table mammography --table online_shoppers:Month -o scores.csv

Needs imbalanced-learn (pip install 'synthgan[augmentation]'). A fit takes minutes; with --models a generator
is fitted once and kept in that folder. ADASYN knows no categories: it takes their codes for numbers, which
are rounded after it.
"""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, RandomOverSampler
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split
from sklearn.preprocessing import OrdinalEncoder

from synthgan import TabularGAN, load
from synthgan.augment import new_rows
from synthgan.demands import demands

KINDS = {"numeric": "numerical", "categorical": "categorical", "datetime": "datetime"}
METRICS = ("average precision", "balanced accuracy", "ROC AUC")
TEST_SHARE = 0.2


class Table(NamedTuple):
    """One classification task; `codes` has the features as numbers, `y` the classes from 0."""

    name: str
    frame: pd.DataFrame
    target: str
    kinds: dict[str, str]
    categorical: list[int]
    encode: Callable[[pd.DataFrame], np.ndarray]
    y: np.ndarray


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--table", "names", multiple=True, required=True, help="NAME or NAME:TARGET. Repeat for more.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--rows", type=int, help="Draw so many of the training rows, stratified; by default all.")
@click.option("--kept-share", "shares", multiple=True, type=float, default=[0.7, 0.0], show_default=True)
@click.option("--max-seconds", type=float, help="Training budget of a generator; by default none.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder where fitted generators are kept.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV file of all scores.")
def main(folder, names, repeats, rows, shares, max_seconds, models, output):
    """Compare ways to deal with rare classes on tables of FOLDER."""
    scores = []
    for name in names:
        table = read(folder, *name.split(":"))
        for split in range(repeats):
            scores += run_split(table, split, rows, shares, max_seconds, models)
            if output:
                pd.DataFrame(scores).assign(**versions()).to_csv(output, index=False)
        own = [row for row in scores if row["table"] == table.name]
        print(f"\n{table.name}, {table.target}, {repeats} splits\n{summary(own)}", flush=True)


def read(folder: Path, name: str, target: str | None = None) -> Table:
    """Read a table and make it a task."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    parts = [pd.read_parquet(folder / f"{name}_{part}.parquet") for part in ("train", "test")]
    frame = pd.concat(parts, ignore_index=True)
    target = target or facts["target"]
    kinds = {column: KINDS[kind] for column, kind in facts["columns"].items()}
    numbers = [c for c, kind in kinds.items() if kind == "numerical" and c != target]
    groups = [c for c, kind in kinds.items() if kind == "categorical" and c != target]
    codes = OrdinalEncoder().fit(frame[groups].astype(str)) if groups else None

    def encode(rows: pd.DataFrame) -> np.ndarray:
        found = [rows[numbers].to_numpy(dtype=float)]
        return np.hstack([*found, codes.transform(rows[groups].astype(str))] if codes else found)

    places = list(range(len(numbers), len(numbers) + len(groups)))
    return Table(name, frame, target, kinds, places, encode, pd.factorize(frame[target], sort=True)[0])


def run_split(table: Table, split: int, rows: int | None, shares, max_seconds, models) -> list[dict]:
    """Score every method on one split."""
    splitter = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=split)
    train, test = next(splitter.split(table.frame, table.frame[table.target].astype(str)))
    if rows and rows < len(train):
        train, _ = train_test_split(train, train_size=rows, random_state=split, stratify=table.y[train])
    X, y = table.encode(table.frame.iloc[train]), table.y[train]
    X_test, y_test = table.encode(table.frame.iloc[test]), table.y[test]
    methods = rivals(X, y, table.categorical, split)
    real = table.frame.iloc[train].reset_index(drop=True)
    model, fit_seconds = generator(table, real, split, max_seconds, models)
    for share in shares:
        methods[f"GAN, kept share {share:g}"] = lambda share=share: ours(table, model, real, y, share, split)
    scores = []
    for method, resample in methods.items():
        start = time.monotonic()
        try:
            X_more, y_more = resample()
        except (ValueError, RuntimeError) as error:  # ADASYN, where no neighbour is of another class
            print(f"{table.name}, split {split}, {method}: {error}", flush=True)
            continue
        seconds = time.monotonic() - start + (fit_seconds if method.startswith("GAN") else 0)
        weight = "balanced" if method == "class weights" else None
        found = score(X_more, y_more, X_test, y_test, table.categorical, weight, split)
        facts = {"table": table.name, "target": table.target, "split": split, "method": method}
        scores.append(facts | found | {"n_train": len(y_more), "seconds": round(seconds, 1)})
    return scores


def rivals(X: np.ndarray, y: np.ndarray, categorical: list[int], seed: int) -> dict[str, Callable]:
    """List the methods of others, each a function that returns training rows."""
    k = min(5, int(np.bincount(y).min()) - 1)
    smote = SMOTENC(categorical, k_neighbors=k, random_state=seed) if categorical else None
    smote = smote or SMOTE(k_neighbors=k, random_state=seed)
    X_full = np.where(np.isnan(X), np.nanmedian(X, axis=0), X)  # neighbours need complete rows

    def adasyn():
        X_more, y_more = ADASYN(n_neighbors=k, random_state=seed).fit_resample(X_full, y)
        X_more[:, categorical] = X_more[:, categorical].round()
        return X_more, y_more

    return {
        "no change": lambda: (X, y),
        "class weights": lambda: (X, y),
        "random over-sampling": lambda: RandomOverSampler(random_state=seed).fit_resample(X, y),
        "SMOTE-NC": lambda: smote.fit_resample(X_full, y),
        "ADASYN": adasyn,
    }


def generator(table: Table, real: pd.DataFrame, split: int, max_seconds: float | None, models: Path | None):
    """Fit the generator that `GANOverSampler` would fit, or take it from the folder."""
    path = models and models / f"{table.name}_{table.target}_{len(real)}_{split}.synthgan"
    if path and path.is_file():
        return load(path), float("nan")
    start = time.monotonic()
    model = TabularGAN(n_gan_steps=1, kinds=table.kinds, max_seconds=max_seconds, random_state=split)
    model.fit(real)
    if path:
        models.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return model, time.monotonic() - start


def ours(table: Table, model, real: pd.DataFrame, y: np.ndarray, kept_share: float, seed: int):
    """Balance the classes with rows of the generator, as `GANOverSampler` does."""
    made, _ = new_rows(model, real, table.target, demands("auto", y), kept_share, seed)
    classes = pd.Series(y, index=real[table.target].astype(str)).groupby(level=0).first()
    y_made = classes[made[table.target].astype(str)].to_numpy()
    return np.vstack([table.encode(real), table.encode(made)]), np.concatenate([y, y_made])


def score(X, y, X_test, y_test, categorical, weight, seed) -> dict[str, float]:
    """Train on (X, y) and score on the test rows."""
    model = HistGradientBoostingClassifier(
        early_stopping=False, categorical_features=categorical or None, class_weight=weight, random_state=seed
    ).fit(X, y)
    chance = model.predict_proba(X_test)
    classes = range(chance.shape[1])
    if len(classes) == 2:
        classes = [int(np.bincount(y_test, minlength=2).argmin())]
    precision = [average_precision_score(y_test == k, chance[:, k]) for k in classes]
    area = [roc_auc_score(y_test == k, chance[:, k]) for k in classes]
    balanced = balanced_accuracy_score(y_test, chance.argmax(axis=1))
    return dict(zip(METRICS, (np.mean(precision), balanced, np.mean(area)), strict=True))


def summary(scores: list[dict]) -> str:
    """Say for each method its mean scores, and the differences to no change with their intervals."""
    frame = pd.DataFrame(scores)
    lines = [f"{'':<22}" + "".join(f"{metric + ', difference':<42}" for metric in METRICS)]
    for method, own in frame.groupby("method", sort=False):
        cells = []
        for metric in METRICS:
            cells.append(f"{own[metric].mean():.4f}  {interval(frame, method, 'no change', metric)}")
        lines.append(f"{method:<22}" + "".join(f"{cell:<42}" for cell in cells))
    ours = next(name for name in frame["method"].unique() if name.startswith("GAN"))
    for metric in METRICS:
        means = frame[~frame["method"].str.startswith("GAN")].groupby("method")[metric].mean()
        best = means.idxmax()
        lines.append(
            f"{metric}: {ours} against the best other, {best}: {interval(frame, ours, best, metric)}"
        )
    return "\n".join(lines)


def interval(frame: pd.DataFrame, method: str, other: str, metric: str) -> str:
    """Give the mean paired difference of two methods over the splits and its 95 % interval."""
    wide = frame.pivot_table(index="split", columns="method", values=metric)
    gaps = (wide[method] - wide[other]).dropna()
    if method == other or len(gaps) < 2:
        return ""
    variance = gaps.var(ddof=1) * (1 / len(gaps) + TEST_SHARE / (1 - TEST_SHARE))
    half = student.ppf(0.975, len(gaps) - 1) * np.sqrt(variance)
    return f"{gaps.mean():+.4f} [{gaps.mean() - half:+.4f}, {gaps.mean() + half:+.4f}]"


def versions() -> dict[str, str]:
    """Name what was measured with."""
    return {
        name: importlib.metadata.version(name) for name in ("synthgan", "scikit-learn", "imbalanced-learn")
    }


if __name__ == "__main__":
    main()
