"""The metrics of the report as data: what each is, its best value, its source.

The order is the order of the report: looks like the data, works like the data,
copies the data. A new metric is one entry here and one call in ``protocol.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["METRICS", "Metric"]

Family = Literal["fidelity", "utility", "copies"]
Direction = Literal["lower", "higher", "match"]


@dataclass(frozen=True)
class Metric:
    """What a reader must know of one metric.

    Parameters
    ----------
    name : str
        The key in the report.
    family : {"fidelity", "utility", "copies"}
        The question that it helps to answer.
    title : str
        A few plain words.
    best : float
        The value of a perfect table; NaN where the ceiling is the best.
    direction : {"lower", "higher", "match"}
        Which way is better; "match": as near to the ceiling as can be.
    units : str
        "ratio" (in [0, 1]), "AUC" or "R2".
    source : str
        Definition and origin in a sentence.
    """

    name: str
    family: Family
    title: str
    best: float
    direction: Direction
    units: str
    source: str


_ALL = (
    Metric(
        "shape_error",
        "fidelity",
        "error of single columns",
        0.0,
        "lower",
        "ratio",
        "mean over columns of the Kolmogorov-Smirnov statistic (numbers, dates) or the total variation "
        "distance (categories); 1 - 'Column Shapes' of SDMetrics 0.11.1",
    ),
    Metric(
        "missing_error",
        "fidelity",
        "error of missing rates",
        0.0,
        "lower",
        "ratio",
        "mean over columns of the absolute difference of the shares of missing cells",
    ),
    Metric(
        "trend_error",
        "fidelity",
        "error of column pairs",
        0.0,
        "lower",
        "ratio",
        "mean over pairs of half the difference of Pearson's r (two numbers) or the total variation distance "
        "of the joint table, numbers in 10 bins of each table's own range; 1 - 'Column Pair Trends' of "
        "SDMetrics 0.11.1",
    ),
    Metric(
        "trend_error_shared",
        "fidelity",
        "the same with shared bins",
        0.0,
        "lower",
        "ratio",
        "trend_error with the bins of the real table in both tables, so that one outlier does not move all",
    ),
    Metric(
        "c2st_gbm",
        "fidelity",
        "told apart by boosted trees",
        0.5,
        "lower",
        "AUC",
        "classifier two-sample test: mean AUC of 5 held-out folds, histogram gradient boosting (100 trees) "
        "telling synthetic from real rows; Lopez-Paz and Oquab (2017)",
    ),
    Metric(
        "c2st_logistic",
        "fidelity",
        "told apart by logistic regression",
        0.5,
        "lower",
        "AUC",
        "classifier two-sample test by logistic regression on one-hot and standardised columns, 5 held-out "
        "folds; sees single columns only",
    ),
    Metric(
        "tstr",
        "utility",
        "train on synthetic, test on holdout",
        1.0,
        "higher",
        "AUC",
        "score on the holdout of gradient boosting (100 trees) trained on the synthetic table",
    ),
    Metric(
        "trtr",
        "utility",
        "train on real, test on holdout",
        1.0,
        "higher",
        "AUC",
        "score on the holdout of the same model trained on the real table: the ceiling of tstr",
    ),
    Metric(
        "identical_share",
        "copies",
        "rows identical to a real row",
        float("nan"),
        "match",
        "ratio",
        "share of synthetic rows equal to a real row in every column; to be read beside that of the holdout",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
