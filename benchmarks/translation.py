"""Translate a table after a shift that is known, against matching quantiles column by column.

    python -m benchmarks.translation --rows 6000 --seeds 0,1

Source and target are different rows of Adult; the target's have gone through a shift that depends on the
row alone, so that the true translation of each source row is known:

- marginal: three numbers in other units, the same for all rows;
- conditional: the same numbers move up or down, by sex and by marital status;
- relabelled: a category becomes another one where age or education are high;
- both: the last two together;
- random: a third of a category's rows, drawn at random, become another one; there is no true translation
  of a row, only of the table.

Printed are the error against the true translation (of numbers the root mean squared one over the
standard deviation; of categories the share that is right; means over the columns that the shift touches, and
over the others), the distance of the translated table from the target (`evaluate`: Shape, Trend and the
AUC of a classifier), and the AUC of gradient-boosted trees that learn ``income`` from the translated
source and are tested on other rows of the target. ``income`` is kept. "matched by sex" matches quantiles
within each sex: what one would do if one knew on what the shift depends.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from synthgan import datasets, evaluate
from synthgan.translate import TableTranslator

LABEL = "income"
Method = Callable[[], pd.DataFrame]


@click.command()
@click.option("--rows", default=6000, show_default=True, help="Rows of source and target, each.")
@click.option("--shifts", default="marginal,conditional,relabelled,both,random", show_default=True)
@click.option("--seeds", default="0", show_default=True)
@click.option("--n-steps", default=800, show_default=True)
@click.option("--set", "settings", multiple=True, help="NAME=VALUE of TableTranslator, in JSON.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("benchmarks/results/translation.csv")
)
def main(rows, shifts, seeds, n_steps, settings, output):
    """Compare translations."""
    output.parent.mkdir(parents=True, exist_ok=True)
    options = {name: json.loads(value) for name, value in (one.split("=") for one in settings)}
    options |= {"keep": [LABEL], "n_steps": n_steps, "device": "cpu"}
    lines = []
    for seed in map(int, seeds.split(",")):
        for shift in shifts.split(","):
            source, before, test = split(rows, seed)
            target, truth, test = (SHIFTS[shift](table, seed) for table in (before, source, test))
            for name, translated, seconds in methods(source, target, truth, seed, options):
                line = {"shift": shift, "seed": seed, "method": name}
                line |= errors(translated, truth, source) | distances(translated, target, seed)
                line |= {"auc": downstream(translated, test), "seconds": round(seconds, 1)}
                print(json.dumps(line), flush=True)
                lines.append(line)
                pd.DataFrame(lines).to_csv(output, index=False)
    table = pd.DataFrame(lines).drop(columns="seed").groupby(["shift", "method"], sort=False).mean()
    print(table.round(3).to_string())


def split(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return source, target before the shift, and rows to test on."""
    train, test = datasets.load_adult()
    table = train.sample(2 * rows, random_state=seed)
    parts = table.iloc[:rows], table.iloc[rows:], test.sample(rows, random_state=seed)
    return tuple(part.reset_index(drop=True) for part in parts)


# The shifts, each a function of the row (and of a seed where it is random)


def marginal(table: pd.DataFrame, _: int = 0) -> pd.DataFrame:
    return numbers(
        table,
        hours_per_week=table["hours_per_week"] * 1.3 + 4,
        age=table["age"] + 6,
        fnlwgt=table["fnlwgt"] * 0.6,
    )


def conditional(table: pd.DataFrame, _: int = 0) -> pd.DataFrame:
    female = table["sex"] == "Female"
    married = table["marital_status"].astype(str).str.startswith("Married")
    return numbers(
        table,
        hours_per_week=table["hours_per_week"] + np.where(female, 12, -6),
        age=table["age"] + np.where(married, -6, 10),
        fnlwgt=table["fnlwgt"] * np.where(female, 0.6, 1.3),
    )


def relabelled(table: pd.DataFrame, _: int = 0) -> pd.DataFrame:
    single = (table["marital_status"] == "Never-married") & (table["age"] > 30)
    private = (table["workclass"] == "Private") & (table["education_num"] >= 13)
    table = relabel(table, "marital_status", single, "Divorced")
    return relabel(table, "workclass", private, "Self-emp-inc")


def both(table: pd.DataFrame, _: int = 0) -> pd.DataFrame:
    return conditional(relabelled(table))


def random(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    drawn = np.random.default_rng([seed, len(table)]).random(len(table)) < 1 / 3
    return relabel(table, "workclass", (table["workclass"] == "Private") & drawn, "Self-emp-inc")


def numbers(table: pd.DataFrame, **columns: pd.Series) -> pd.DataFrame:
    return table.assign(
        **{name: values.round().astype(table[name].dtype) for name, values in columns.items()}
    )


def relabel(table: pd.DataFrame, column: str, rows: pd.Series, label: str) -> pd.DataFrame:
    values = table[column].astype(object).mask(rows.fillna(False).astype(bool), label)
    return table.assign(**{column: values.astype(table[column].dtype)})


SHIFTS = {
    "marginal": marginal,
    "conditional": conditional,
    "relabelled": relabelled,
    "both": both,
    "random": random,
}


# The methods


def methods(
    source: pd.DataFrame, target: pd.DataFrame, truth: pd.DataFrame, seed: int, options: dict
) -> Iterator[tuple[str, pd.DataFrame, float]]:
    """Translate the source in every way."""
    groups = (source[["sex"]], target[["sex"]])
    ways: dict[str, Method] = {
        "as it is": lambda: source,
        "quantiles matched": lambda: matched(source, target, np.random.default_rng(seed)),
        "matched by sex": lambda: matched_within(source, target, *groups, np.random.default_rng(seed)),
        "TableTranslator": lambda: (
            TableTranslator(**options, random_state=seed).fit(source, target).transform(source)
        ),
        "true translation": lambda: truth,
    }
    for name, way in ways.items():
        start = time.perf_counter()
        translated = way()
        yield name, translated, time.perf_counter() - start


def matched(source: pd.DataFrame, target: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Match every column but the label: numbers by rank, categories with the fewest changes."""
    columns = {
        name: match_ranks(source[name], target[name])
        if pd.api.types.is_numeric_dtype(source[name])
        else match_shares(source[name], target[name], rng)
        for name in source.columns.drop(LABEL)
    }
    return source.assign(**columns)


def match_ranks(values: pd.Series, others: pd.Series) -> pd.Series:
    """Give each value the value of the same rank among the others; equal ones share their middle rank."""
    ranks = (values.rank() - 0.5) / len(values)
    found = np.quantile(others, ranks, method="nearest")
    return pd.Series(found, index=values.index).astype(values.dtype)


def match_shares(values: pd.Series, others: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Move rows, drawn at random, from categories that have too many to those that have too few."""
    made = values.astype(object).where(values.notna(), None)
    shares = [
        s.astype(object).where(s.notna(), None).value_counts(normalize=True, dropna=False)
        for s in (values, others)
    ]
    labels = shares[0].index.union(shares[1].index, sort=False)
    have, want = (share.reindex(labels, fill_value=0.0).to_numpy() for share in shares)
    code = labels.get_indexer(made)
    leaves = rng.random(len(made)) < np.clip(1 - want / np.maximum(have, 1e-12), 0, 1)[code]
    lack = np.clip(want - have, 0, None)
    if leaves.any():
        made[leaves] = labels.to_numpy()[rng.choice(len(labels), int(leaves.sum()), p=lack / lack.sum())]
    return made.astype(values.dtype)


def matched_within(
    source: pd.DataFrame,
    target: pd.DataFrame,
    source_groups: pd.DataFrame,
    target_groups: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Match within groups of rows."""
    keys = [groups.astype(str).agg("|".join, axis=1) for groups in (source_groups, target_groups)]
    parts = [matched(source[keys[0] == key], target[keys[1] == key], rng) for key in sorted(set(keys[0]))]
    return pd.concat(parts).loc[source.index]


# What is measured


def errors(translated: pd.DataFrame, truth: pd.DataFrame, source: pd.DataFrame) -> dict[str, float]:
    """Compare with the true translation; columns that the shift touches, and the others."""
    found: dict[str, list[float]] = {"rmse": [], "rmse_others": [], "right": [], "right_others": []}
    for name in truth.columns.drop(LABEL):
        if pd.api.types.is_numeric_dtype(truth[name]):
            touched = not truth[name].equals(source[name])
            error = (translated[name].astype(float) - truth[name].astype(float)) / truth[name].std()
            found["rmse" if touched else "rmse_others"].append(float(np.sqrt((error**2).mean())))
        else:
            made, true, old = (t[name].astype(object).fillna("missing") for t in (translated, truth, source))
            found["right" if (true != old).any() else "right_others"].append(float((made == true).mean()))
    return {name: round(float(np.mean(values)), 4) if values else np.nan for name, values in found.items()}


def distances(translated: pd.DataFrame, target: pd.DataFrame, seed: int) -> dict[str, float]:
    """Compare with the target as tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = evaluate(target, translated, parts=["fidelity"], random_state=seed)
    return {name: round(report[name], 4) for name in ("shape_error", "trend_error", "c2st_gbm")}


def downstream(translated: pd.DataFrame, test: pd.DataFrame) -> float:
    """Learn the label from the translated source; AUC on rows of the target."""
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0, max_iter=60)
    y, y_test = (frame[LABEL].astype(str) == ">50K" for frame in (translated, test))
    model.fit(translated.drop(columns=LABEL), y)
    return round(float(roc_auc_score(y_test, model.predict_proba(test.drop(columns=LABEL))[:, 1])), 4)


if __name__ == "__main__":
    main()
