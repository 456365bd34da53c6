"""Three models that learn a column from the others: linear, gradient-boosted trees, random forest.

A task and a coded table enter, a `Predictor` leaves. What a model learns, the
numbering of categories and the scale of numbers included, depends on its
training rows alone, so that a score of one table never moves with another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from synthgan.evaluation.features import MAX_CATEGORIES, standardised
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["MAX_CLASSES", "MODELS", "Predictor", "Task", "train_model"]

MODELS = ("linear", "boosting", "forest")
MAX_CLASSES = 30  # more classes cost minutes, one set of boosted trees for each
_TREES = 100
_LEAF_ROWS = 20  # least rows of a leaf of boosting, scikit-learn's default; no tree of 39 rows could split
_TREE_ROWS = 10_000  # rows drawn for each tree of the forest: at 50,000 x 20 a fifth of the time, .003 of AUC


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


@dataclass(frozen=True)
class Predictor:
    """A trained model.

    Parameters
    ----------
    classes : array of shape (n_classes,), int
        Codes of the target that it learned, ascending; none for a regression.
    predict : callable
        Gives for the rows of a table the probabilities of the classes, shape
        (n_rows, n_classes), or numbers in the units of the target, shape
        (n_rows,).
    """

    classes: NDArray[np.integer]
    predict: Callable[[CodedTable], NDArray[np.float64]]

    def of_class(self, predicted: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """Take the probabilities of one class; 0 for one that it did not learn."""
        place = np.flatnonzero(self.classes == k)
        return predicted[:, place[0]] if len(place) else np.zeros(len(predicted))


def train_model(
    model: str, table: CodedTable, task: Task, seed: int = 0, *, balanced: bool = False
) -> Predictor | None:
    """Train one of the three models on the rows of a table that have a target.

    "linear": logistic regression (C = 1) or ridge regression (alpha = 1) on
    standardised numbers, missing marked, beside one-hot categories.
    "boosting": scikit-learn's histogram gradient boosting, 100 trees, leaves of
    at least 20 rows, or of a quarter of all where that is less, missing values
    and categories taken natively. "forest": 100 random trees, each on a
    bootstrap sample of at most 10,000 rows, leaves of at least 3 rows;
    categories are numbered by their frequency, missing values taken natively.

    Parameters
    ----------
    model : {"linear", "boosting", "forest"}
    table : CodedTable
        The training rows. Of more than 30 classes the 30 commonest are
        learned; of more than 254 categories of a column the 254 commonest are
        told apart. Categories never seen count as missing, numbers outside the
        range seen as its ends.
    task : Task
    seed : int
        Of the model.
    balanced : bool
        Weigh each row by the inverse frequency of its class.

    Returns
    -------
    Predictor or None
        None if the target has fewer than two distinct values.
    """
    counts = table.counts(task.target)[1:]
    regression = task.name == "regression"
    if not regression:
        counts = np.where(np.argsort(np.argsort(-counts, kind="stable")) < MAX_CLASSES, counts, 0)
    if (counts > 0).sum() < 2:
        return None
    table = table.take(np.append(counts > 0, False)[table.column(task.target)])  # -1, missing, picks the last
    encode, categorical = _encoder(model, table, task)
    estimator = _estimator(model, task, categorical, len(table), seed, balanced)
    truth, restore = _scaled(table.numbers(task.target)) if regression else (table.column(task.target), None)
    with warnings.catch_warnings():  # noise leaves little to converge to; few rows may be mostly classes
        warnings.simplefilter("ignore", UserWarning)
        estimator.fit(encode(table), truth)
    if restore is not None:
        return Predictor(np.empty(0, dtype=int), lambda rows: restore(estimator.predict(encode(rows))))
    return Predictor(estimator.classes_, lambda rows: estimator.predict_proba(encode(rows)))


def _estimator(
    model: str, task: Task, categorical: NDArray[np.bool_], n_rows: int, seed: int, balanced: bool
) -> Any:
    """Give the scikit-learn estimator, not yet fitted."""
    draw = int(stream(seed, "utility").integers(2**31))
    forest = {"n_estimators": _TREES, "max_samples": min(n_rows, _TREE_ROWS), "random_state": draw}
    boosting = {"categorical_features": categorical, "early_stopping": False, "random_state": draw}
    boosting["min_samples_leaf"] = min(_LEAF_ROWS, max(1, n_rows // 4))
    if task.name == "regression":
        return {
            "linear": partial(Ridge, alpha=1.0),
            "boosting": partial(HistGradientBoostingRegressor, **boosting),
            "forest": partial(RandomForestRegressor, min_samples_leaf=3, max_features=1 / 3, **forest),
        }[model]()
    weight = "balanced" if balanced else None
    return {
        "linear": partial(LogisticRegression, max_iter=200, tol=1e-3),
        "boosting": partial(HistGradientBoostingClassifier, **boosting),
        "forest": partial(RandomForestClassifier, min_samples_leaf=3, **forest),
    }[model](class_weight=weight)


def _encoder(
    model: str, train: CodedTable, task: Task
) -> tuple[Callable[[CodedTable], Any], NDArray[np.bool_]]:
    """Learn from training rows how rows become features; tell which features are categories."""
    names = [name for name in train.domain.names if name != task.target]
    categorical = np.array([not train.domain.is_ordered(name) for name in names])
    learned = [(name, _lookup(train, name, ranks=model != "linear")) for name in names]

    def encode(table: CodedTable) -> NDArray[np.float64]:
        return np.column_stack([lookup[table.column(name)] for name, lookup in learned])

    if model != "linear":
        return encode, categorical
    widths = [2 + int(np.nanmax(lookup, initial=-1)) for _, lookup in learned]
    return lambda table: _linear_matrix(encode(table), categorical, widths), categorical


def _lookup(train: CodedTable, name: Hashable, *, ranks: bool) -> NDArray[np.float64]:
    """Give the number that stands for each code of a column, shape (n_levels + 1,); the last, -1, is missing.

    Categories are numbered by their frequency. Numbers become their place among
    the values seen (all that trees look at, and exact in the 32 bits of a
    forest), or mean 0 and deviation 1.
    """
    counts = train.counts(name)[1:]
    seen = np.flatnonzero(counts)
    if not len(seen):
        return np.zeros(len(counts) + 1)  # of a column without any value nothing is learned
    number = np.full(len(counts) + 1, np.nan)
    if not train.domain.is_ordered(name):
        commonest = seen[np.argsort(-counts[seen], kind="stable")]
        number[commonest] = np.minimum(np.arange(len(seen)), MAX_CATEGORIES - 1)
        return number
    points = np.arange(len(seen), dtype=float)
    if not ranks:
        number[train.column(name)] = standardised(train.numbers(name))
        points = number[seen]
    values = train.domain.numbers(name)
    number[:-1] = np.interp(values, values[seen], points)  # outside the range seen: its ends
    number[-1] = np.nan
    return number


def _linear_matrix(
    features: NDArray[np.float64], categorical: NDArray[np.bool_], widths: list[int]
) -> sparse.csr_array:
    """Put numbers, their missing marks and one-hot categories side by side."""
    numbers, rows = features[:, ~categorical], np.arange(len(features))
    blocks = [sparse.csr_array(np.hstack([np.nan_to_num(numbers), np.isnan(numbers)]))]
    for place in np.flatnonzero(categorical):
        cells = np.nan_to_num(features[:, place] + 1).astype(int)  # missing, and never seen, is cell 0
        shape = (len(features), widths[place])
        blocks.append(sparse.csr_array((np.ones(len(features)), (rows, cells)), shape=shape))
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def _scaled(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Give values of mean 0 and deviation 1, so that squares are finite, and the way back."""
    scaled = standardised(values)
    low, high = np.argmin(values), np.argmax(values)
    reach = scaled[high] - scaled[low]
    if not reach > 0:  # values that differ by less than a float of their size can tell
        return scaled, lambda found: np.full(len(found), values[low])
    spread = values[high] / reach - values[low] / reach
    return scaled, lambda found: values[low] + spread * (found - scaled[low])
