"""Detect anomalies by how improbable rows are, against scikit-learn's detectors.

    python -m benchmarks.anomalies FOLDER --datasets mammography,german_credit --seeds 0,1,2

FOLDER holds NAME_train.parquet, NAME_test.parquet and NAME.json ("columns": name to "numeric",
"categorical" or "datetime"; "target"). All detectors are fitted to the rows of the most frequent
class of the training part, without the class. They are judged by the rows of that class of the test
part against all other rows of both parts: ROC AUC and average precision. One line of CSV for each
(table, seed, detector), and at the end the means over the seeds and their range.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from synthgan import IndependentSynthesizer, TabularGAN

KINDS = {"numeric": "numerical", "categorical": "categorical", "datetime": "datetime"}
Scores = tuple[str, np.ndarray]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--datasets", default="mammography,german_credit,credit_default", show_default=True)
@click.option("--seeds", default="0,1,2", show_default=True)
@click.option("--rows", default=10_000, show_default=True, help="Most rows to fit to, drawn at random.")
@click.option("--n-steps", type=int, help="Of TabularGAN; its default without it.")
@click.option("--n-gan-steps", type=int, help="Of TabularGAN; its default without it.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("benchmarks/results/anomalies.csv")
)
def main(folder, datasets, seeds, rows, n_steps, n_gan_steps, output):
    """Compare detectors of anomalies."""
    output.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in datasets.split(","):
        for seed in map(int, seeds.split(",")):
            normal, judged, is_anomaly, kinds = read(folder, name, rows, seed)
            model = TabularGAN(kinds=kinds, n_steps=n_steps, n_gan_steps=n_gan_steps, random_state=seed)
            for detector, scores in detectors(normal, judged, kinds, model, seed):
                line = {
                    "dataset": name,
                    "seed": seed,
                    "detector": detector,
                    "auc": roc_auc_score(is_anomaly, scores),
                    "average_precision": average_precision_score(is_anomaly, scores),
                    "n_fitted": len(normal),
                    "n_judged": len(judged),
                    "n_anomalies": int(is_anomaly.sum()),
                }
                print(json.dumps(line), flush=True)
                lines.append(line)
                pd.DataFrame(lines).to_csv(output, index=False)
    print(summary(pd.DataFrame(lines)))


def read(
    folder: Path, name: str, rows: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict[str, str]]:
    """Return normal rows to fit to, rows to judge, which of them are anomalies, and the kinds."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    train, test = (pd.read_parquet(folder / f"{name}_{part}.parquet") for part in ("train", "test"))
    target = facts["target"]
    usual = train[target].mode()[0]
    normal = train[train[target] == usual].drop(columns=target)
    normal = normal.sample(min(rows, len(normal)), random_state=seed).reset_index(drop=True)
    judged = pd.concat([test, train[train[target] != usual]], ignore_index=True)
    kinds = {column: KINDS[kind] for column, kind in facts["columns"].items() if column != target}
    return normal, judged.drop(columns=target), (judged[target] != usual).to_numpy(), kinds


def detectors(
    normal: pd.DataFrame, judged: pd.DataFrame, kinds: dict[str, str], model: TabularGAN, seed: int
) -> Iterator[Scores]:
    """Fit every detector, and score the rows to be judged: the higher, the odder."""
    numeric = [column for column, kind in kinds.items() if kind == "numerical"]
    prepare = make_column_transformer(
        (StandardScaler(), numeric),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [c for c in kinds if c not in numeric]),
    )
    forest = make_pipeline(prepare, IsolationForest(random_state=seed)).fit(normal)
    yield "isolation forest", -forest.score_samples(judged)
    factor = make_pipeline(prepare, LocalOutlierFactor(novelty=True)).fit(normal)
    yield "local outlier factor", -factor.score_samples(judged)
    floor = IndependentSynthesizer(kinds=kinds, random_state=seed).fit(normal)
    yield "independent columns", -floor.score_samples(judged)
    model.fit(normal)
    for n_orders in (1, 8):
        scores = timed(lambda n=n_orders: model.score_samples(judged, n_orders=n), f"{n_orders} orders")
        yield f"score_samples, {n_orders} order{'s' if n_orders > 1 else ''}", -scores
    yield "critic_score", -model.critic_score(judged)


def timed(function: Callable[[], np.ndarray], what: str) -> np.ndarray:
    """Call a function and print how long it took."""
    start = time.perf_counter()
    result = function()
    print(f"# {what}: {time.perf_counter() - start:.1f} s for {len(result):,} rows", flush=True)
    return result


def summary(lines: pd.DataFrame) -> str:
    """Return means over the seeds with the lowest and highest, as a Markdown table."""
    groups = lines.groupby(["dataset", "detector"], sort=False)
    parts = [
        f"| {'table':<16} | {'detector':<24} | ROC AUC (range)      | average precision |",
        "|---|---|---|---|",
    ]
    for (dataset, detector), part in groups:
        auc, precision = part["auc"], part["average_precision"]
        parts.append(
            f"| {dataset:<16} | {detector:<24} | {auc.mean():.3f} ({auc.min():.3f}-{auc.max():.3f})  "
            f"| {precision.mean():.3f}             |"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    main()
