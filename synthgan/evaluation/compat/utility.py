"""MLE, the utility score of the TabSyn code: XGBoost trained on synthetic rows, tested on real ones.

A synthetic frame and a frame of real test rows enter, one score leaves.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.model_selection import ParameterGrid
from sklearn.utils import check_random_state

from synthgan.errors import DataError, ParameterError
from synthgan.evaluation.compat.inputs import (
    Names,
    check_columns,
    import_xgboost,
    number_matrix,
    one_hot,
    texts,
)

__all__ = ["mle"]

_GRID = {  # 36 models
    "n_estimators": [10, 50, 100],
    "min_child_weight": [1, 10],
    "max_depth": [5, 10, 20],
    "gamma": [0.0, 1.0],
}


def mle(
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    *,
    numerical: Names,
    categorical: Names,
    target: Hashable,
    quirks: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
) -> float:
    """Train XGBoost on synthetic rows and test it on real ones, tuned over 36 settings.

    A random ninth of the synthetic rows validates, the others train. The setting
    best in validation is tested. Categories are one-hot, unknown ones zeros;
    a number is ``log(max(x, 0.01))`` if its synthetic values are >= 0 and reach
    1,000, else scaled to [0, 5]. A numerical target is a regression on
    ``log(clip(y, 1, 20000))``, made for the two published tables.

    Parameters
    ----------
    synthetic, test : DataFrame
        With the named columns, without missing numbers; features stand in the order
        of `synthetic`.
    numerical, categorical : sequence of column names
        Including the target.
    target : column name
    quirks : bool
        Reproduce two mistakes of the published code. (1) The range of the first number
        with a non-zero minimum and maximum serves all later numbers, too. (2) The logarithm of
        a regression target is left out in validation, so that the largest
        predictions win.
    seed : int
        Of the split. The published code draws it from numpy's global generator;
        `seed` gives what ``numpy.random.seed(seed)`` gives there.
    n_jobs : int
        Threads of XGBoost; -1 is all.

    Returns
    -------
    float
        Categorical target: area under the ROC curve, over more than two classes the mean of
        one against the rest; in [0, 1], higher is better. Numerical target: root
        mean squared error of the logarithm; >= 0, lower is better. NaN if a class is
        missing in a part of the rows, where the published code fails or gives 0.5, and with
        fewer than 9 synthetic rows.

    Raises
    ------
    ModuleNotFoundError
        If XGBoost is not installed.

    References
    ----------
    Zhang et al. (2024), TabSyn (arXiv 2310.09656), `eval/mle/mle.py`; tree method "hist"
    in place of "gpu_hist", which XGBoost no longer has.
    """
    xgboost = import_xgboost()
    if target not in [*numerical, *categorical]:
        raise ParameterError(f"target must be one of the numerical or categorical columns. Got {target!r}.")
    check_columns([*numerical, *categorical], synthetic=synthetic, test=test)
    regression = target in list(numerical)
    if len(numerical) + len(categorical) < 2:
        raise DataError(f"There is no column from which {target!r} could be predicted. Name more columns.")
    features = [[name for name in names if name != target] for names in (numerical, categorical)]
    x, x_test = _features(synthetic, test, *features, quirks=quirks)
    y, y_test = _targets(synthetic, test, target, regression=regression)
    held, rest = _split(len(x), seed)
    if len(held) == 0:
        return float("nan")
    parts = [_Part(x[rest], y[rest]), _Part(x[held], y[held]), _Part(x_test, y_test)]
    if not regression and any(len(np.unique(part.y)) < max(2, len(np.unique(y))) for part in parts):
        return float("nan")
    if regression:
        logged = [part.logged() for part in parts]
        parts = [logged[0], parts[1] if quirks else logged[1], logged[2]]
    make = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
    return _tuned_score(make, parts, n_jobs)


@dataclass(frozen=True)
class _Part:
    """Features of shape (n_rows, width) and targets of shape (n_rows,)."""

    x: NDArray[np.float64]
    y: NDArray[Any]

    def logged(self) -> _Part:
        return _Part(self.x, np.log(np.clip(self.y, 1, 20_000)))

    def score(self, model: Any) -> float:
        """Give the AUC, or minus the error of a regression: higher is better."""
        if not hasattr(model, "predict_proba"):
            return -float(root_mean_squared_error(self.y, model.predict(self.x)))
        found = model.predict_proba(self.x)
        return float(roc_auc_score(np.eye(found.shape[1])[self.y], found))


def _tuned_score(make: Any, parts: list[_Part], n_jobs: int) -> float:
    """Test the model that is best in validation, the first of equals."""
    train, validation, test = parts
    best, chosen = -np.inf, None
    for setting in ParameterGrid(_GRID):
        model = make(**setting, tree_method="hist", n_jobs=n_jobs).fit(train.x, train.y)
        found = validation.score(model)
        if found > best:
            best, chosen = found, model  # training again on the same rows would give the same model
    return abs(test.score(chosen))


def _split(n_rows: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the rows of validation and of training, shuffled."""
    rows = np.arange(n_rows)
    check_random_state(seed).shuffle(rows)
    return rows[: n_rows // 9], rows[n_rows // 9 :]


def _targets(
    synthetic: pd.DataFrame, test: pd.DataFrame, target: Hashable, *, regression: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the targets as float32, or as places among the sorted classes."""
    if regression:
        (y,), (y_test,) = (matrix.T for matrix in number_matrix([target], synthetic=synthetic, test=test))
        return y.astype(np.float32), y_test.astype(np.float32)
    classes, y = np.unique(texts(synthetic[target]), return_inverse=True)
    asked = np.array(texts(test[target]))
    if not np.isin(asked, classes).all():
        raise DataError(
            f"The target {target!r} has classes in test that synthetic lacks; none can be learned."
        )
    return y, np.searchsorted(classes, asked)


def _features(
    synthetic: pd.DataFrame, test: pd.DataFrame, numerical: Names, categorical: Names, *, quirks: bool
) -> list[NDArray[np.float64]]:
    """Code the features of both tables, ranges and categories from the synthetic one."""
    names = [name for name in synthetic.columns if name in {*numerical, *categorical}]
    numerical = [name for name in names if name in {*numerical}]
    columns = [
        list(matrix.astype(np.float32).T)
        for matrix in number_matrix(numerical, synthetic=synthetic, test=test)
    ]
    ranges = [[(column.min(), column.max()) for column in columns[0]]] * 2
    if quirks:
        ranges[0] = _carried_ranges(columns[0], (0.0, 0.0))
        ranges[1] = _carried_ranges(columns[1], ranges[0][-1] if numerical else (0.0, 0.0))
    blocks: list[list[NDArray[np.float64]]] = []
    for name in names:
        if name in {*numerical}:
            k = numerical.index(name)
            blocks.append([_scaled(columns[part][k], *ranges[part][k]) for part in (0, 1)])
        else:
            blocks.append(one_hot(synthetic[name], test[name], "ignore"))
    return [np.column_stack(block) for block in zip(*blocks, strict=True)]


def _carried_ranges(
    columns: list[NDArray[np.float32]], carried: tuple[float, float]
) -> list[tuple[float, float]]:
    """Give the ranges that the published code uses: a bound that is not 0 is never set again."""
    ranges = []
    low, high = carried
    for column in columns:
        low, high = low or float(column.min()), high or float(column.max())
        ranges.append((low, high))
    return ranges


def _scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float64]:
    """Take the logarithm of a long positive range, scale any other to [0, 5]."""
    if low >= 0 and high >= 1_000:
        return np.log(np.maximum(values, 1e-2)).astype(np.float64)
    return ((values - np.float32(low)) / (np.float32(high - low) or np.float32(1)) * 5).astype(np.float64)
