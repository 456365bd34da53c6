"""Does it look like the data as a whole: classifiers that try to tell synthetic rows from real ones.

The classifier two-sample test. Coded tables enter, an AUC with its interval
leaves: 0.5 is chance, 1 is told apart without fail.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from synthgan.evaluation.features import boosting_features, linear_features, trainable
from synthgan.evaluation.intervals import Estimate, auc_with_variance
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["N_FOLDS", "c2st_boosting", "c2st_logistic"]

N_FOLDS = 5

Scorer = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]
"""Learns from the first rows and scores the second."""


def c2st_boosting(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> Estimate:
    """Tell synthetic from real rows by gradient-boosted trees.

    scikit-learn's `HistGradientBoostingClassifier` with its default 100 trees,
    categories and missing values taken natively (see `boosting_features`).

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain; the larger one is sampled down to the smaller.
    seed : int
        Of the sampling and of the folds.

    Returns
    -------
    Estimate
        Mean AUC of 5 stratified folds, each scored by a model that did not see
        it; in [0, 1], 0.5 is best. The interval is DeLong's, given the trained
        models.

    References
    ----------
    Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests".
    """
    both, truth, model_seed = _paired_rows(real, synthetic, seed)
    (features,), categorical = boosting_features([both], both.domain.names)

    def score(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.float64]:
        model = HistGradientBoostingClassifier(
            categorical_features=categorical, early_stopping=False, random_state=model_seed
        )
        model.fit(trainable(features[train]), truth[train])
        return np.asarray(model.decision_function(features[test]), dtype=np.float64)

    return _cross_validated(score, truth, model_seed)


def c2st_logistic(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> Estimate:
    """Tell synthetic from real rows by logistic regression on the columns as they are.

    It sees marginals and nothing of the relations between columns: independent
    columns pass it. Parameters, result and source as for `c2st_boosting`;
    features as in `linear_features`, ridge penalty with C = 1.
    """
    both, truth, model_seed = _paired_rows(real, synthetic, seed)
    features = linear_features(both, both.domain.names)

    def score(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.float64]:
        model = LogisticRegression(max_iter=200, tol=1e-3)
        with warnings.catch_warnings():  # near chance there is little to converge to
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[train], truth[train])
        return np.asarray(model.decision_function(features[test]), dtype=np.float64)

    return _cross_validated(score, truth, model_seed)


def _paired_rows(
    real: CodedTable, synthetic: CodedTable, seed: int
) -> tuple[CodedTable, NDArray[np.bool_], int]:
    """Put equally many real and synthetic rows into one table; True marks synthetic."""
    rng = stream(seed, "c2st")
    n = min(len(real), len(synthetic))
    both = synthetic.sampled(n, rng).stacked_on(real.sampled(n, rng))
    return both, np.arange(2 * n) >= n, int(rng.integers(2**31))


def _cross_validated(score: Scorer, truth: NDArray[np.bool_], seed: int) -> Estimate:
    """Average the AUC of the folds; they are disjoint, so that their variances add up."""
    n_folds = min(N_FOLDS, int(truth.sum()))
    if n_folds < 2:
        return Estimate(float("nan"))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    results = []
    for train, test in folds.split(np.zeros(len(truth)), truth):
        results.append(auc_with_variance(truth[test], score(train, test)))
    auc = float(np.mean([area for area, _ in results]))
    return Estimate.around(auc, float(np.sqrt(np.sum([variance for _, variance in results]))) / n_folds)
