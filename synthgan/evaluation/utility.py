"""Does it work like the data: models trained on synthetic rows, judged on real ones.

Coded tables enter, one score on the holdout leaves: TSTR when the training rows
are synthetic, TRTR when they are real.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from synthgan.evaluation.features import boosting_features, trainable
from synthgan.evaluation.intervals import Estimate, auc_with_variance
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["MAX_CLASSES", "Task", "holdout_score", "task_of"]

MAX_CLASSES = 30  # more classes cost minutes, one set of trees for each
_N_RESAMPLES = 200


@dataclass(frozen=True)
class Task:
    """What a model is to predict.

    Parameters
    ----------
    target : column name
    name : {"binary", "multiclass", "regression"}
    """

    target: Hashable
    name: str

    @property
    def units(self) -> str:
        """Name the score: area under the ROC curve, or share of variance explained."""
        return {"binary": "AUC", "multiclass": "macro AUC", "regression": "R2"}[self.name]

    @property
    def chance(self) -> float:
        """Give the score of a constant prediction."""
        return 0.0 if self.name == "regression" else 0.5


def task_of(real: CodedTable, target: Hashable) -> Task | str:
    """Tell the task that a target sets, or why it sets none.

    Numbers with more than two values are a regression; two values of any kind
    a binary task; other categories a multiclass task.
    """
    if target not in real.domain.names:
        return f"the target {target!r} is an identifier"
    if len(real.domain.names) == 1:
        return f"there is no column from which {target!r} could be predicted"
    present = int((real.counts(target)[1:] > 0).sum())
    if present < 2:
        return f"the target {target!r} has {present} distinct values in the real table and needs two"
    if present == 2:
        return Task(target, "binary")
    if real.domain.is_ordered(target):
        return Task(target, "regression")
    if present > MAX_CLASSES:
        return f"the target {target!r} has {present} classes, more than the {MAX_CLASSES} that are feasible"
    return Task(target, "multiclass")


def holdout_score(train: CodedTable, holdout: CodedTable, task: Task, seed: int = 0) -> Estimate:
    """Train gradient-boosted trees on one table and score them on the holdout.

    With synthetic training rows this is TSTR (train on synthetic, test on
    real), with real ones TRTR, the ceiling.

    Parameters
    ----------
    train, holdout : CodedTable
        Tables of one domain; rows without a target are dropped.
    task : Task
        Says target and score: ROC AUC, the mean over the classes of the
        one-versus-rest AUC, or R2.
    seed : int
        Of model and resampling.

    Returns
    -------
    Estimate
        AUC in [0, 1], 0.5 is chance; R2 <= 1, 0 is chance; higher is better.
        The interval is DeLong's (binary) or a percentile bootstrap over the
        holdout rows, both given the trained model. NaN if the training rows or
        the holdout hold one class only.
    """
    train = train.take(train.column(task.target) >= 0)
    holdout = holdout.take(holdout.column(task.target) >= 0)
    if _n_distinct(train, task.target) < 2 or _n_distinct(holdout, task.target) < 2:
        return Estimate(float("nan"))
    rng = stream(seed, "utility")
    if task.name == "regression":
        return _regression(train, holdout, task.target, rng)
    return _classification(train, holdout, task, rng)


def _n_distinct(table: CodedTable, name: Hashable) -> int:
    return int((table.counts(name)[1:] > 0).sum())


def _classification(train: CodedTable, holdout: CodedTable, task: Task, rng: np.random.Generator) -> Estimate:
    """Score a classifier by AUC, one class against the rest."""
    names = [name for name in train.domain.names if name != task.target]
    (x, x_test), categorical = boosting_features([train, holdout], names)
    y, y_test = train.column(task.target), holdout.column(task.target)
    model = HistGradientBoostingClassifier(
        categorical_features=categorical, early_stopping=False, random_state=int(rng.integers(2**31))
    )
    learned = model.fit(trainable(x), y).predict_proba(x_test)
    scores = np.zeros((len(y_test), len(train.domain.levels[task.target])))  # a class never seen scores 0
    scores[:, model.classes_] = learned
    classes = np.unique(y_test)
    if task.name == "binary":
        positive = classes[-1]
        auc, variance = auc_with_variance(y_test == positive, scores[:, positive])
        return Estimate.around(auc, float(np.sqrt(variance)))

    def macro(rows: NDArray[np.intp]) -> float:
        present = [k for k in classes if 0 < (y_test[rows] == k).sum() < len(rows)]
        areas = [auc_with_variance(y_test[rows] == k, scores[rows, k])[0] for k in present]
        return float(np.mean(areas)) if areas else float("nan")

    return _bootstrapped(macro, len(y_test), rng)


def _regression(
    train: CodedTable, holdout: CodedTable, target: Hashable, rng: np.random.Generator
) -> Estimate:
    """Score a regressor by the share of the variance that it explains."""
    names = [name for name in train.domain.names if name != target]
    (x, x_test), categorical = boosting_features([train, holdout], names)
    y, y_test = train.numbers(target), holdout.numbers(target)
    model = HistGradientBoostingRegressor(
        categorical_features=categorical, early_stopping=False, random_state=int(rng.integers(2**31))
    )
    missed = (y_test - model.fit(trainable(x), y).predict(x_test)) ** 2

    def r2(rows: NDArray[np.intp]) -> float:
        around = ((y_test[rows] - y_test[rows].mean()) ** 2).sum()
        return float(1 - missed[rows].sum() / around) if around > 0 else float("nan")

    return _bootstrapped(r2, len(y_test), rng)


def _bootstrapped(
    score: Callable[[NDArray[np.intp]], float], n_rows: int, rng: np.random.Generator
) -> Estimate:
    """Give a score with the percentiles of its bootstrap over the rows."""
    drawn = np.array([score(rng.integers(n_rows, size=n_rows)) for _ in range(_N_RESAMPLES)])
    known = drawn[~np.isnan(drawn)]  # a resample may hold one class only
    low, high = np.percentile(known, [2.5, 97.5]).tolist() if len(known) else (float("nan"), float("nan"))
    return Estimate(score(np.arange(n_rows)), low, high)
