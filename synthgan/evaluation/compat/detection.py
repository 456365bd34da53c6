"""Logistic and XGBoost detection (C2ST) as SDMetrics 0.11.1 and the TabPC tables compute them.

Two frames enter, one score leaves: 1 if the classifier does no better than
chance, 0 if it tells the tables apart without fail.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

from synthgan.evaluation.compat.inputs import Names, check_columns, import_xgboost, numbers, one_hot

__all__ = ["logistic_detection", "xgboost_detection"]

_N_FOLDS = 3


def logistic_detection(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, numerical: Names, categorical: Names, seed: int = 0
) -> float:
    """Tell the tables apart by logistic regression, as `LogisticDetection` of SDMetrics.

    ``1 - mean over 3 folds of (2 max(AUC, 0.5) - 1)``. A missing number is the
    mean of the real column. Categories are one-hot if they are stored as text;
    *categories stored as numbers count as numbers*, and booleans as 0 and 1.
    Each fold: mean imputation of what is infinite, scaling by median and
    quartiles, logistic regression of at most 100 iterations. Where these do not
    suffice (columns whose quartiles are equal), rounding moves the third digit.

    Parameters
    ----------
    real, synthetic : DataFrame
        With the named columns; the numbers of rows may differ.
    numerical, categorical : sequence of column names
        Features stand in this order.
    seed : int
        Of the folds. The published code draws them from numpy's global
        generator: `seed` gives the folds that ``numpy.random.seed(seed)`` gives
        there.

    Returns
    -------
    float
        In [0, 1], 1 is best; NaN with fewer than three rows in a table.

    Raises
    ------
    DataError
        If a synthetic category does not occur in `real`; the published encoder
        refuses it, too.

    References
    ----------
    SDMetrics 0.11.1, `LogisticDetection`; `eval/eval_detection.py` of TabSyn.
    """
    columns = (numerical, categorical)
    return _detection(real, synthetic, columns, seed, lambda: LogisticRegression(solver="lbfgs"))


def xgboost_detection(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, numerical: Names, categorical: Names, seed: int = 0
) -> float:
    """Tell the tables apart by XGBoost with its default 100 trees of depth 6.

    Features, folds and score as for `logistic_detection`. Other versions of
    XGBoost give other trees: name the version beside the figure.

    Parameters
    ----------
    real, synthetic, numerical, categorical, seed
        As for `logistic_detection`.

    Returns
    -------
    float
        In [0, 1], 1 is best; NaN with fewer than three rows in a table.

    Raises
    ------
    ModuleNotFoundError
        If XGBoost is not installed.

    References
    ----------
    TabPC (arXiv 2603.23016), `XGBoostDetection`.
    """
    xgboost = import_xgboost()

    def classifier() -> Any:
        return xgboost.XGBClassifier(eval_metric="logloss", enable_categorical=True, random_state=0)

    return _detection(real, synthetic, (numerical, categorical), seed, classifier)


def _detection(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: tuple[Names, Names],
    seed: int,
    classifier: Callable[[], Any],
) -> float:
    """Score a classifier over the folds."""
    names = [*columns[0], *columns[1]]
    check_columns(names, real=real, synthetic=synthetic)
    if min(len(real), len(synthetic)) < _N_FOLDS:
        return float("nan")
    features = np.concatenate(_features(real, synthetic, names))
    features[np.isinf(features)] = np.nan
    truth = np.repeat([1.0, 0.0], [len(real), len(synthetic)])
    scores = []
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # 100 iterations are the protocol, converged or not
        warnings.simplefilter("ignore")
        for train, test in folds.split(features, truth):
            model = make_pipeline(SimpleImputer(keep_empty_features=True), RobustScaler(), classifier())
            found = model.fit(features[train], truth[train]).predict_proba(features[test])[:, 1]
            scores.append(2 * max(float(roc_auc_score(truth[test], found)), 0.5) - 1)
    return 1 - float(np.mean(scores))


def _features(real: pd.DataFrame, synthetic: pd.DataFrame, names: Names) -> list[NDArray[np.float64]]:
    """Code both tables as the real one says: numbers first, then the one-hot categories."""
    plain: list[list[NDArray[np.float64]]] = []
    coded: list[list[NDArray[np.float64]]] = []
    for name in names:
        kind = real[name].dropna().infer_objects().dtype.kind
        if kind in "iufbmM":
            plain.append(_filled(real[name], synthetic[name], by_mode=kind == "b"))
        else:
            coded.append(one_hot(real[name], synthetic[name]))
    return [np.column_stack(blocks) for blocks in zip(*plain, *coded, strict=True)]


def _filled(real: pd.Series, synthetic: pd.Series, *, by_mode: bool) -> list[NDArray[np.float64]]:
    """Put the mean (booleans: the mode) of the real column into the gaps of both."""
    known = pd.Series(numbers(real))
    fill = known.mode().iloc[0] if by_mode else known.mean()
    return [np.where(np.isnan(values := numbers(column)), fill, values) for column in (real, synthetic)]
