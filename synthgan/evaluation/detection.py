"""Does it look like the data as a whole: classifiers that try to tell synthetic rows from real ones.

The classifier two-sample test and the propensity score mean squared error.
Coded tables enter, a figure with its interval leaves: an AUC (0.5 is chance, 1
is told apart without fail) or a ratio (1 is what chance gives).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from synthgan.errors import ParameterError
from synthgan.evaluation.features import boosting_features, linear_features, trainable
from synthgan.evaluation.intervals import Z95, Estimate, auc_with_variance
from synthgan.evaluation.tables import CodedTable, Domain
from synthgan.params import Choice, Interval, check_parameter
from synthgan.seeding import stream

__all__ = ["ENGINES", "N_FOLDS", "c2st_boosting", "c2st_logistic", "pmse_ratio"]

N_FOLDS = 5
N_TREES = 100
ENGINES = ("hist", "lightgbm", "xgboost")
_MIN_TRAINED = {"hist": 40, "lightgbm": 40, "xgboost": 8}
"""Training rows of which two leaves can be made: of 20 rows each, or (xgboost) of a hessian of 1, 4 rows."""
_MIN_ROWS_PER_CATEGORY = 10  # five expected in each table: the rule of thumb of the chi-squared test
_MAX_INDICATORS = 1000  # of all categories together
_FEW_ROWS = 500  # of both tables; below, the closed-form null of pMSE is up to 20 % too small
_FEW_PER_PARAMETER = 4  # below 2 any labels can be separated
_N_PERMUTED = 500  # permutations times rank: the mean of the null is known to sqrt(2 / 500) = 6 %

Scorer = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]
"""Learns from the first rows and scores the second."""

Learner = Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]], NDArray[np.float64]]
"""Learns from features and truth and scores other features."""


def c2st_boosting(
    real: CodedTable,
    synthetic: CodedTable,
    seed: int = 0,
    *,
    engine: str = "hist",
    n_scored: int = N_FOLDS,
) -> Estimate:
    """Tell synthetic from real rows by gradient-boosted trees.

    100 trees, categories and missing values taken natively (see
    `boosting_features`), all other settings the defaults of the engine. Figures
    of two engines must not be compared with each other.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain; the larger one is sampled down to the smaller.
    seed : int
        Of the sampling and of the folds.
    engine : {"hist", "lightgbm", "xgboost"}
        scikit-learn's `HistGradientBoostingClassifier`; LightGBM or XGBoost,
        which must be installed.
    n_scored : int in [1, 5]
        How many of the 5 folds are scored. Every model learns from 4/5 of the
        rows all the same: the expected AUC stays, the time is n_scored / 5,
        and the interval about sqrt(5 / n_scored) times as wide.

    Returns
    -------
    Estimate
        Mean AUC of the scored folds, each scored by a model that did not see
        it; in [0, 1], 0.5 is best and what an honest sampler reaches. The
        interval is DeLong's, given the trained models. NaN where a fold leaves
        too few rows to train on for a single split, which would score 0.5
        whatever the tables are: with fewer than 25 rows in a table (5 for
        "xgboost").

    Raises
    ------
    ParameterError
        If the engine is unknown or not installed, or `n_scored` out of range.

    References
    ----------
    Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests".
    """
    check_parameter("c2st_boosting", "engine", engine, (Choice(ENGINES),))
    learners = {"hist": _hist_learner, "lightgbm": _lightgbm_learner, "xgboost": _xgboost_learner}
    both, truth, model_seed = _paired_rows(real, synthetic, seed)
    (features,), categorical = boosting_features([both], both.domain.names)
    learner = learners[engine](categorical, model_seed)

    def score(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.float64]:
        return learner(trainable(features[train]), truth[train], features[test])

    return _cross_validated(score, truth, model_seed, n_scored, _MIN_TRAINED[engine])


def c2st_logistic(
    real: CodedTable, synthetic: CodedTable, seed: int = 0, *, n_scored: int = N_FOLDS
) -> Estimate:
    """Tell synthetic from real rows by logistic regression on the columns as they are.

    It sees marginals and nothing of the relations between columns: independent
    columns pass it. Parameters, result and source as for `c2st_boosting`, but
    NaN with fewer than two rows in a table only; features as in
    `linear_features`, ridge penalty with C = 1.
    """
    both, truth, model_seed = _paired_rows(real, synthetic, seed)
    features = linear_features(both, both.domain.names)

    def score(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.float64]:
        model = LogisticRegression(max_iter=200, tol=1e-3)
        with warnings.catch_warnings():  # near chance there is little to converge to
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[train], truth[train])
        return np.asarray(model.decision_function(features[test]), dtype=np.float64)

    return _cross_validated(score, truth, model_seed, n_scored)


def pmse_ratio(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> Estimate:
    """Give the propensity score mean squared error over what chance alone would give.

    ``pMSE = sum_i (p_i - c)^2 / N`` with p_i the probability of row i of both
    tables to be synthetic, by an unpenalised logistic regression on the main
    effects of all columns, and c the share of synthetic rows. Chance is two
    independent draws of one distribution: ``E[pMSE] = (k - 1) c (1 - c) / N``
    with k - 1 the rank of the centred design. With fewer than 500 rows in all or
    4 for each parameter that is too small, and the mean over permutations of
    the labels stands in.

    Snoke et al. divide by ``(k - 1) (1 - c)^2 c / N``, (1 - c) times as much:
    what a draw from a model would give that was fitted to these very rows and
    is right. Their ratio is this one over (1 - c), and 2 for a holdout as
    large as the table.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain; all rows are used.
    seed : int
        Of the permutations.

    Returns
    -------
    Estimate
        >= 0. 1 is best and what fresh draws of the distribution give; below 1
        the synthetic table keeps to the sampling noise of the real one, as
        copies do. It grows with the number of rows, so that only tables of one
        size can be compared. The interval says how far another synthetic and
        real draw may move it (noncentral chi-squared, for small differences).
        NaN if no column varies or the design is as wide as the tables are long.

    Notes
    -----
    Categories with fewer than 10 rows in both tables together are one, so are
    those beyond the most frequent 1,000 / n_columns of a column. A category of
    one table only separates them: its coefficient is infinite, its
    probabilities and the pMSE are not.

    References
    ----------
    Snoke, Raab, Nowok, Dibben and Slavkovic (2018), "General and specific
    utility measures for synthetic data"; the null of independent draws follows
    from the chi-squared law of the fitted coefficients.
    """
    both = _pooled(synthetic.stacked_on(real))
    truth = np.arange(len(both)) >= len(real)
    design = linear_features(both, both.domain.names)
    basis = _whitening(design)
    n, rank, share = len(both), basis.shape[1], len(synthetic) / len(both)
    if rank == 0 or rank >= n - 1:
        return Estimate(float("nan"))
    null = rank * share * (1 - share) / n
    if n < max(_FEW_ROWS, _FEW_PER_PARAMETER * (rank + 1)):
        rng = stream(seed, "pmse")
        n_permutations = max(5, _N_PERMUTED // rank)
        null = float(np.mean([_pmse(design, basis, rng.permutation(truth)) for _ in range(n_permutations)]))
    ratio = _pmse(design, basis, truth) / null
    deviation = np.sqrt(2 * rank + 4 * rank * max(ratio - 1, 0)) / rank  # rank * ratio is chi-squared
    return Estimate(ratio, float(max(ratio - Z95 * deviation, 0)), float(ratio + Z95 * deviation))


def _hist_learner(categorical: NDArray[np.bool_], seed: int) -> Learner:
    """Give scikit-learn's boosting."""

    def learn(
        x: NDArray[np.float64], y: NDArray[np.bool_], x_test: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        model = HistGradientBoostingClassifier(
            max_iter=N_TREES, categorical_features=categorical, early_stopping=False, random_state=seed
        )
        return np.asarray(model.fit(x, y).decision_function(x_test), dtype=np.float64)

    return learn


def _lightgbm_learner(categorical: NDArray[np.bool_], seed: int) -> Learner:
    """Give LightGBM, with its defaults but for a fixed order of sums."""
    lightgbm = _engine_module("lightgbm")
    settings = {"objective": "binary", "verbosity": -1, "seed": seed}
    settings |= {"deterministic": True, "force_row_wise": True}

    def learn(
        x: NDArray[np.float64], y: NDArray[np.bool_], x_test: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        data = lightgbm.Dataset(x, y, categorical_feature=np.flatnonzero(categorical).tolist())
        model = lightgbm.train(settings, data, num_boost_round=N_TREES)
        return np.asarray(model.predict(x_test, raw_score=True), dtype=np.float64)

    return learn


def _xgboost_learner(categorical: NDArray[np.bool_], seed: int) -> Learner:
    """Give XGBoost on ranks, because it keeps numbers in single precision."""
    xgboost = _engine_module("xgboost")
    settings = {"objective": "binary:logistic", "tree_method": "hist", "verbosity": 0, "seed": seed}
    kinds = ["c" if flag else "q" for flag in categorical]

    def learn(
        x: NDArray[np.float64], y: NDArray[np.bool_], x_test: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        ranks = _ranked(np.vstack([x, x_test]), ~categorical)  # no label enters
        first, second = (
            xgboost.DMatrix(rows, label, feature_types=kinds, enable_categorical=True)
            for rows, label in ((ranks[: len(x)], y), (ranks[len(x) :], None))
        )
        model = xgboost.train(settings, first, num_boost_round=N_TREES)
        return np.asarray(model.predict(second, output_margin=True), dtype=np.float64)

    return learn


def _engine_module(engine: str) -> Any:
    """Import the package of an engine, or say how to get it."""
    try:
        return import_module(engine)
    except (ImportError, OSError):  # OSError: a system library of it is missing
        raise ParameterError(
            f"engine={engine!r} needs the package {engine}, which cannot be imported. "
            f"Run 'pip install {engine}', or use engine='hist'."
        ) from None


def _ranked(features: NDArray[np.float64], columns: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Replace values by their places among the distinct ones; NaN stays.

    >>> _ranked(np.array([[9.0, 9.0], [5.0, 5.0], [np.nan, 5.0]]), np.array([True, False]))
    array([[ 1.,  9.],
           [ 0.,  5.],
           [nan,  5.]])
    """
    ranked = features.copy()
    for k in np.flatnonzero(columns):
        there = ~np.isnan(features[:, k])
        ranked[there, k] = np.unique(features[there, k], return_inverse=True)[1]
    return ranked


def _paired_rows(
    real: CodedTable, synthetic: CodedTable, seed: int
) -> tuple[CodedTable, NDArray[np.bool_], int]:
    """Put equally many real and synthetic rows into one table; True marks synthetic."""
    rng = stream(seed, "c2st")
    n = min(len(real), len(synthetic))
    both = synthetic.sampled(n, rng).stacked_on(real.sampled(n, rng))
    return both, np.arange(2 * n) >= n, int(rng.integers(2**31))


def _cross_validated(
    score: Scorer, truth: NDArray[np.bool_], seed: int, n_scored: int, min_trained: int = 0
) -> Estimate:
    """Average the AUC of the first folds; they are disjoint, so that their variances add up.

    NaN where a fold leaves fewer than `min_trained` rows to train on.
    """
    check_parameter("the classifier two-sample test", "n_scored", n_scored, (Interval(int, 1, N_FOLDS),))
    n_folds = min(N_FOLDS, int(truth.sum()))
    if n_folds < 2:
        return Estimate(float("nan"))
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(truth, truth)
    folds = list(islice(splits, n_scored))
    if min(len(train) for train, _ in folds) < min_trained:
        return Estimate(float("nan"))
    results = [auc_with_variance(truth[test], score(train, test)) for train, test in folds]
    areas, variances = np.array(results).T
    return Estimate.around(float(areas.mean()), float(np.sqrt(variances.sum())) / len(results))


def _pooled(table: CodedTable) -> CodedTable:
    """Make the rare categories of each column one, which comes last."""
    most = max(_MAX_INDICATORS // len(table.domain.names), 2)
    codes, levels = [], {}
    for name in table.domain.names:
        if table.domain.is_ordered(name):
            codes.append(table.column(name))
            levels[name] = table.domain.levels[name]
            continue
        counts = table.counts(name)[1:]
        kept = np.argsort(-counts, kind="stable")[:most]
        kept = kept[counts[kept] >= _MIN_ROWS_PER_CATEGORY]
        number = np.full(len(counts) + 1, len(kept), dtype=np.int32)
        number[kept] = np.arange(len(kept))
        number[-1] = -1  # what code -1 picks
        codes.append(number[table.column(name)])
        levels[name] = np.arange(len(kept) + 1)
    return CodedTable(Domain(table.domain.names, table.domain.kinds, levels), np.column_stack(codes))


def _whitening(design: sparse.csr_array) -> NDArray[np.float64]:
    """Give the map under which the centred columns become uncorrelated, of variance 1.

    Returns
    -------
    array of shape (width, rank)
        Collinear columns share directions, so that the rank counts parameters.
    """
    n = design.shape[0]
    mean = np.asarray(design.mean(axis=0))
    covariance = (design.T @ design).toarray() / n - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-9 * max(values[-1], 1.0 / n)
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _pmse(design: sparse.csr_array, basis: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Fit the propensities by maximum likelihood and give their mean squared distance from the share.

    In whitened coordinates the Hessian at the start is c (1 - c) times the
    identity: L-BFGS needs few steps, and none fails where tables are separated.
    """
    share, n = truth.mean(), len(truth)
    centre = np.asarray(design.mean(axis=0))

    def logits(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        slopes = basis @ theta[1:]
        return np.asarray(theta[0] - centre @ slopes + design @ slopes)

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        eta = logits(theta)
        missed = (special.expit(eta) - truth) / n
        gradient = basis.T @ (design.T @ missed - centre * missed.sum())
        return float(np.mean(np.logaddexp(0, eta) - truth * eta)), np.append(missed.sum(), gradient)

    start = np.append(special.logit(share), np.zeros(basis.shape[1]))
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7}
    )
    return float(np.mean((special.expit(logits(found.x)) - share) ** 2))
