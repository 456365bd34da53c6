"""The metrics of the report as data: what each is, its best value, its source.

The order is the order of the report: looks like the data, works like the data,
leaks the data. A new metric is one entry here and one call in ``families.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAMILIES", "METRICS", "Metric"]

Family = Literal["fidelity", "utility", "privacy"]
Direction = Literal["lower", "higher", "match"]

FAMILIES: dict[Family, str] = {
    "fidelity": "Does it look like the data?",
    "utility": "Does it work like the data?",
    "privacy": "Does it leak the data?",
}
"""The families of metrics, with the question that each helps to answer."""


@dataclass(frozen=True)
class Metric:
    """What a reader must know of one metric.

    Parameters
    ----------
    name : str
        The key in the report.
    family : {"fidelity", "utility", "privacy"}
        The question that it helps to answer.
    title : str
        A few plain words.
    source : str
        Definition and origin in a sentence.
    best : float
        The value of a perfect table; NaN where the ceiling is the best, or nothing is.
    direction : {"lower", "higher", "match"}
        Which way is better; "match": as near to the ceiling as can be.
    units : str
        "ratio" (in [0, 1]), "AUC", "R2", or what the figure is measured in.
    headline : bool
        Whether the short table has it.
    """

    name: str
    family: Family
    title: str
    source: str
    best: float = 0.0
    direction: Direction = "lower"
    units: str = "ratio"
    headline: bool = False


_NAN = float("nan")
_FIDELITY = (
    Metric(
        "shape_error",
        "fidelity",
        "error of single columns",
        "mean over columns of the Kolmogorov-Smirnov statistic (numbers, dates) or the total variation "
        "distance (categories); 1 - 'Column Shapes' of SDMetrics 0.11.1",
        headline=True,
    ),
    Metric(
        "missing_error",
        "fidelity",
        "error of missing rates",
        "mean over columns of the absolute difference of the shares of missing cells",
    ),
    Metric(
        "wasserstein_error",
        "fidelity",
        "distance of numbers",
        "mean over ordered columns of the Wasserstein-1 distance, in interquartile ranges of the real column",
        units="interquartile ranges",
    ),
    Metric(
        "jensen_shannon_error",
        "fidelity",
        "Jensen-Shannon distance of columns",
        "mean over columns of the Jensen-Shannon distance (base 2); numbers in 20 quantile bins of the "
        "real column",
    ),
    Metric(
        "range_coverage",
        "fidelity",
        "real range that is covered",
        "mean over ordered columns of the share of the real range that the synthetic range covers",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "category_coverage",
        "fidelity",
        "real categories that occur",
        "mean over the other columns of the share of real categories that occur in the synthetic column",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "adherence",
        "fidelity",
        "cells within what is real",
        "mean over columns of the share of synthetic cells within the real range, or among the real "
        "categories",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "trend_error",
        "fidelity",
        "error of column pairs, as published",
        "mean over pairs of half the difference of Pearson's r (two numbers) or the total variation "
        "distance of the joint table, numbers in 10 bins of each table's own range; 1 - 'Column Pair "
        "Trends' of SDMetrics 0.11.1",
    ),
    Metric(
        "trend_error_shared",
        "fidelity",
        "error of column pairs",
        "trend_error with the bins of the real table in both tables, so that one outlier does not move all",
        headline=True,
    ),
    Metric(
        "pearson_error",
        "fidelity",
        "error of linear correlations",
        "mean over pairs of ordered columns of half the difference of Pearson's r",
    ),
    Metric(
        "spearman_error",
        "fidelity",
        "error of rank correlations",
        "mean over pairs of ordered columns of half the difference of Spearman's rho",
    ),
    Metric(
        "cramers_v_error",
        "fidelity",
        "error of category associations",
        "mean over pairs of categories of the difference of Cramer's V; bias-corrected, Bergsma (2013)",
    ),
    Metric(
        "correlation_ratio_error",
        "fidelity",
        "error of category-number relations",
        "mean over pairs of a category and an ordered column of the difference of the correlation ratio; "
        "bias-corrected, Kelley (1935)",
    ),
    Metric(
        "contingency_error",
        "fidelity",
        "distance of two-way tables",
        "mean over pairs of the total variation distance of the joint table, numbers in 10 quantile bins "
        "of the real column",
    ),
    Metric(
        "mutual_information_error",
        "fidelity",
        "error of mutual information",
        "mean over pairs of the difference of normalised mutual information, weighted by it; as defined "
        "by TabPC (2026)",
    ),
    Metric(
        "threeway_error",
        "fidelity",
        "distance of three-way tables",
        "mean over triples of columns of the total variation distance of the joint table, 5 cells a column",
    ),
    Metric(
        "c2st_gbm",
        "fidelity",
        "told apart by boosted trees",
        "classifier two-sample test: mean AUC of 5 held-out folds, histogram gradient boosting (100 "
        "trees) telling synthetic from real rows; Lopez-Paz and Oquab (2017)",
        best=0.5,
        units="AUC",
        headline=True,
    ),
    Metric(
        "c2st_logistic",
        "fidelity",
        "told apart by logistic regression",
        "classifier two-sample test by logistic regression on one-hot and standardised columns, 5 held-"
        "out folds; sees single columns only",
        best=0.5,
        units="AUC",
    ),
    Metric(
        "pmse_ratio",
        "fidelity",
        "propensity error over that of chance",
        "mean squared distance of the propensity scores of a logistic regression from the share of "
        "synthetic rows, over its expectation for two draws of one distribution; after Snoke et al. "
        "(2018)",
        best=1.0,
        units="times chance",
    ),
    Metric(
        "mmd",
        "fidelity",
        "maximum mean discrepancy",
        "squared, unbiased, with a Gaussian kernel of median width on mixed columns; random features "
        "beyond 5,000 rows; Gretton et al. (2012)",
        units="squared distance",
    ),
    Metric(
        "energy_distance",
        "fidelity",
        "energy distance",
        "2 E|X - Y| - E|X - X'| - E|Y - Y'| between mixed rows, on at most 5,000 rows of each table; "
        "Szekely and Rizzo (2013)",
        units="distance",
    ),
    Metric(
        "precision",
        "fidelity",
        "synthetic rows near the real cloud",
        "share of synthetic rows within the 5-neighbour ball of a real row, on at most 5,000 rows of each"
        " table; Kynkaanniemi et al. (2019)",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "recall",
        "fidelity",
        "real rows near the synthetic cloud",
        "share of real rows within the 5-neighbour ball of a synthetic row, on at most 5,000 rows of each"
        " table; Kynkaanniemi et al. (2019)",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "density",
        "fidelity",
        "real balls around a synthetic row",
        "mean number of real 5-neighbour balls that hold a synthetic row, over 5, on at most 5,000 rows "
        "of each table; Naeem et al. (2020)",
        best=_NAN,
        direction="match",
        units="balls / 5",
    ),
    Metric(
        "coverage",
        "fidelity",
        "real rows with a synthetic neighbour",
        "share of real rows with a synthetic row in their 5-neighbour ball, on at most 5,000 rows of each"
        " table; Naeem et al. (2020)",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "alpha_precision",
        "fidelity",
        "synthetic rows spread as real ones",
        "agreement of the shares of rows within growing balls around the real mean, on at most 5,000 rows"
        " of each table; Alaa et al. (2022), without the one-class embedding",
        best=1.0,
        direction="higher",
    ),
    Metric(
        "beta_recall",
        "fidelity",
        "real rows that are covered",
        "agreement of coverage with the mass of growing balls around the synthetic mean; an honest "
        "sampler reaches about half, copies 1; on at most 5,000 rows of each table; Alaa et al. (2022), "
        "without embedding",
        best=_NAN,
        direction="match",
    ),
    Metric(
        "authenticity",
        "fidelity",
        "rows farther from a real row than its neighbour",
        "share of synthetic rows whose nearest real row has a nearer real neighbour; copies reach 0; on "
        "at most 5,000 rows of each table; Alaa et al. (2022), without embedding",
        best=_NAN,
        direction="match",
    ),
)
_UTILITY = (
    Metric(
        "tstr",
        "utility",
        "train on synthetic, test on holdout",
        "score on the holdout of gradient boosting (100 trees) trained on the synthetic table",
        best=1.0,
        direction="higher",
        units="AUC",
        headline=True,
    ),
    Metric(
        "trtr",
        "utility",
        "train on real, test on holdout",
        "score on the holdout of the same model trained on the real table: the ceiling of tstr",
        best=1.0,
        direction="higher",
        units="AUC",
        headline=True,
    ),
    Metric(
        "tstr_gap",
        "utility",
        "what training on synthetic rows costs",
        "trtr - tstr with the paired interval of two models on the same holdout rows",
        units="AUC difference",
    ),
    Metric(
        "trts",
        "utility",
        "train on real, test on synthetic",
        "score on the synthetic rows of gradient boosting trained on the real table: are they labelled as"
        " real ones would be?",
        best=1.0,
        direction="higher",
        units="AUC",
    ),
    Metric(
        "tstr_linear",
        "utility",
        "tstr of a linear model",
        "tstr of logistic or ridge regression",
        best=1.0,
        direction="higher",
        units="AUC",
    ),
    Metric(
        "trtr_linear",
        "utility",
        "trtr of a linear model",
        "trtr of logistic or ridge regression",
        best=1.0,
        direction="higher",
        units="AUC",
    ),
    Metric(
        "tstr_forest",
        "utility",
        "tstr of a random forest",
        "tstr of a random forest",
        best=1.0,
        direction="higher",
        units="AUC",
    ),
    Metric(
        "trtr_forest",
        "utility",
        "trtr of a random forest",
        "trtr of a random forest",
        best=1.0,
        direction="higher",
        units="AUC",
    ),
    Metric(
        "model_rank_agreement",
        "utility",
        "models are ordered alike",
        "Kendall's tau of the three models' order after real and after synthetic training, differences "
        "within noise counted as ties",
        best=1.0,
        direction="higher",
        units="rank agreement",
    ),
    Metric(
        "importance_agreement",
        "utility",
        "columns matter alike",
        "Spearman correlation of the permutation importances on the holdout after real and after "
        "synthetic training; Breiman (2001)",
        best=1.0,
        direction="higher",
        units="rank correlation",
    ),
    Metric(
        "augmentation_lift",
        "utility",
        "what adding the synthetic rows gives",
        "score on the holdout of gradient boosting trained on real and synthetic rows, minus that of the "
        "real rows alone; paired over 5 draws of the training rows, with a delete-d jackknife; Shao "
        "and Wu (1989)",
        best=_NAN,
        direction="higher",
        units="AUC difference",
    ),
)
_PRIVACY = (
    Metric(
        "membership_auc",
        "privacy",
        "best attack on membership",
        "largest AUC of five attacks that tell real from holdout rows by the synthetic table; chosen "
        "after the fact, so that a little above 0.5 is chance: its test is corrected for that",
        best=0.5,
        units="AUC",
        headline=True,
    ),
    Metric(
        "membership_outlier_auc",
        "privacy",
        "the same on the 5 % most outlying rows",
        "largest AUC of five attacks on the records that are farthest from others",
        best=0.5,
        units="AUC",
    ),
    Metric(
        "membership_tpr",
        "privacy",
        "members found at 1 % false accusations",
        "largest share of members that an attack finds while it accuses 1 % of the non-members; Carlini "
        "et al. (2022)",
        best=0.01,
    ),
    Metric(
        "attribute_excess",
        "privacy",
        "cells guessed better for members",
        "how much more often a cell of a real than of a holdout record is guessed from all its other cells, "
        "in the column where that is least probable by chance; Taub et al. (2018), Stadler et al. (2022)",
        units="difference of rates",
    ),
    Metric(
        "singling_out_excess",
        "privacy",
        "members singled out more often",
        "how much more often conditions taken from the synthetic table fit exactly one real than exactly one "
        "holdout record, for the number of columns where that is least probable; Cohen and Nissim (2020)",
        units="difference of rates",
    ),
    Metric(
        "identical_share",
        "privacy",
        "rows identical to a real row",
        "share of synthetic rows equal to a real row in every column; to be read beside that of the holdout",
        best=_NAN,
        direction="match",
        headline=True,
    ),
    Metric(
        "near_identical_share",
        "privacy",
        "rows nearly identical to a real row",
        "share of synthetic rows that agree with a real row in every category and differ by less than 1 %"
        " of all rows in the ranks of the numbers",
        best=_NAN,
        direction="match",
    ),
    Metric(
        "dcr_p05",
        "privacy",
        "distance to the closest real record",
        "5th percentile of the distance to the closest real record (DCR); a copy detector, no evidence of"
        " privacy",
        best=_NAN,
        direction="match",
        units="distance",
    ),
    Metric(
        "nndr_p05",
        "privacy",
        "nearest-neighbour distance ratio",
        "5th percentile of the distance to the closest over that to the second closest real record "
        "(NNDR); a copy detector, no evidence of privacy",
        best=_NAN,
        direction="match",
    ),
    Metric(
        "dcr_share",
        "privacy",
        "rows nearer to real than to holdout records",
        "share of synthetic rows whose closest record is real rather than of the holdout; its best is the"
        " real table's share of all records; a copy detector, no evidence of privacy; Platzer and "
        "Reutterer (2021)",
        best=_NAN,
        direction="match",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_FIDELITY, *_UTILITY, *_PRIVACY)}
