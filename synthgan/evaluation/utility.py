"""Does it work like the data: models trained on synthetic rows, judged on real ones.

Coded tables enter; scores leave, of three models trained on real and on
synthetic rows and tested on the holdout, and how far the two trainings agree.
Every score carries one number for each test row, its part in the error
(infinitesimal jackknife; for the AUC DeLong's), so that an interval, and the
interval of a difference on the same rows, are sums of squares.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from synthgan.errors import quantity
from synthgan.evaluation.intervals import Z95, Estimate
from synthgan.evaluation.learners import MAX_CLASSES, MODELS, Predictor, Task, train_model
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = [
    "MAX_CLASSES",
    "Score",
    "Task",
    "auc_parts",
    "fit_models",
    "holdout_score",
    "importance_agreement",
    "model_rank_agreement",
    "r2_parts",
    "score_rows",
    "task_of",
    "tstr_gap",
    "utility_table",
]

_IMPORTANCE_ROWS = 5_000
_PERMUTATIONS = 3
_TRIALS = (("real", "holdout"), ("synthetic", "holdout"), ("real", "synthetic"))  # TRTR, TSTR, TRTS

Fitted = Mapping[tuple[str, str], Predictor | None]
"""Trained models by (model, training table); None where the rows hold one class only."""


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
        return (
            f"the target {target!r} has {quantity(present, 'distinct value')} in the real table and needs two"
        )
    if present == 2:
        return Task(target, "binary")
    if real.domain.is_ordered(target):
        return Task(target, "regression")
    if present > MAX_CLASSES:
        return f"the target {target!r} has {present} classes, more than the {MAX_CLASSES} that are feasible"
    return Task(target, "multiclass")


@dataclass(frozen=True)
class Score:
    """A score with the part of each test row in its error.

    Parameters
    ----------
    value : float
        AUC in [0, 1], or R2 <= 1; higher is better. NaN if not defined.
    parts : array of shape (n_rows,)
        Their sum of squares is the variance of the score over test tables,
        given the trained model. NaN where too few rows tell.
    """

    value: float
    parts: NDArray[np.float64]

    def estimate(self) -> Estimate:
        """Give the score with its normal 95 % interval, cut at the best score, 1."""
        half = Z95 * float(np.sqrt((self.parts**2).sum()))
        return Estimate(self.value, self.value - half, min(self.value + half, 1.0) if half >= 0 else half)

    def minus(self, other: Score) -> Estimate:
        """Give the difference to another score of the same rows, with its paired 95 % interval."""
        gap, half = self.value - other.value, Z95 * float(np.sqrt(((self.parts - other.parts) ** 2).sum()))
        return Estimate(gap, gap - half, gap + half)


def auc_parts(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> Score:
    """Give the area under the ROC curve with the part of each row in its error.

    With ``V_i`` the share of the other class on the right side of row i and
    ``m`` the rows of its own class, the part is ``(V_i - AUC) / sqrt(m (m - 1))``:
    squared and summed the variance of DeLong, and summed over two scores their
    covariance.

    Parameters
    ----------
    positive : array of shape (n_rows,), bool
        Both classes must occur; with a single row of one the parts are NaN.
    score : array of shape (n_rows,)
        Higher means more probably positive.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988); ranks after Sun and Xu (2014).

    Examples
    --------
    >>> found = auc_parts(np.array([False, False, True, True]), np.array([0.1, 0.6, 0.4, 0.8]))
    >>> found.value, round(float((found.parts ** 2).sum()), 12)
    (0.75, 0.125)
    """
    ranks, share = rankdata(score), np.empty(len(score))
    m, n = int(positive.sum()), int((~positive).sum())
    share[positive] = (ranks[positive] - rankdata(score[positive])) / n  # of the negatives, below
    share[~positive] = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    area = float(share[positive].mean())
    own = np.where(positive, m, n)
    return Score(area, (share - area) / np.sqrt(own * (own - 1)) if min(m, n) > 1 else share * np.nan)


def r2_parts(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Score:
    """Give the share of variance explained with the part of each row in its error.

    ``R2 = 1 - mean(e^2) / mean(d^2)`` with the errors ``e`` and the distances
    ``d`` from the mean; its derivative by the weight of row i is
    ``((1 - R2) d_i^2 - e_i^2) / sum(d^2)``.

    Parameters
    ----------
    truth, predicted : array of shape (n_rows,)

    References
    ----------
    Jaeckel (1972), "The infinitesimal jackknife".

    Examples
    --------
    >>> found = r2_parts(np.array([-1.0, 1.0, -1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> found.value, found.parts.tolist()
    (0.5, [-0.125, 0.125, -0.125, 0.125])
    """
    scale = max(float(np.abs(truth).max(initial=0)), np.finfo(float).tiny)
    with np.errstate(over="ignore"):  # a prediction may be of another order: cut where squares are finite
        error = truth / scale - np.clip(predicted / scale, -1e60, 1e60)
    distance = truth / scale - (truth / scale).mean() if len(truth) else truth
    total = float((distance**2).sum())
    if not total > 0:
        return Score(float("nan"), np.full(len(truth), np.nan))
    value = 1 - float((error**2).sum()) / total
    return Score(value, ((1 - value) * distance**2 - error**2) / total)


def score_rows(predictor: Predictor, predicted: NDArray[np.float64], test: CodedTable, task: Task) -> Score:
    """Score predictions by the main score of a task.

    Parameters
    ----------
    predictor : Predictor
        Says what the columns of `predicted` are.
    predicted : array of shape (n_rows, n_classes) or (n_rows,)
    test : CodedTable
        Rows with a target.
    task : Task
        Binary: ROC AUC. Multiclass: mean over the 30 commonest classes with two
        or more test rows of the AUC against the rest. Regression: R2.

    Returns
    -------
    Score
        NaN if the test rows hold one class only. A class that the model did not
        learn is scored as by constant predictions, 0.5.
    """
    if task.name == "regression":
        return r2_parts(test.numbers(task.target), predicted)
    truth, counts = test.column(task.target), test.counts(task.target)[1:]
    classes = np.flatnonzero(counts)
    if len(classes) < 2:
        return Score(float("nan"), np.full(len(test), np.nan))
    if task.name == "binary":
        learned = np.intersect1d(classes, predictor.classes)
        classes = learned[-1:] if len(learned) else classes[-1:]
    else:
        several = classes[(counts[classes] > 1) & (counts[classes] < len(test) - 1)]
        commonest = several[np.argsort(-counts[several], kind="stable")][:MAX_CLASSES]
        classes = commonest if len(commonest) else classes
    scores = [auc_parts(truth == k, predictor.of_class(predicted, k)) for k in classes.tolist()]
    value = float(np.mean([score.value for score in scores]))
    return Score(value, np.mean([score.parts for score in scores], axis=0))


def holdout_score(
    train: CodedTable, holdout: CodedTable, task: Task, seed: int = 0, model: str = "boosting"
) -> Estimate:
    """Train a model on one table and score it on the holdout.

    With synthetic training rows this is TSTR (train on synthetic, test on
    real), with real ones TRTR, the ceiling.

    Parameters
    ----------
    train, holdout : CodedTable
        Tables of one domain; rows without a target are dropped.
    task : Task
        Says target and score, see `score_rows`.
    seed : int
        Of the model.
    model : {"linear", "boosting", "forest"}
        See `train_model`.

    Returns
    -------
    Estimate
        AUC in [0, 1], 0.5 is chance; R2 <= 1, 0 is chance; higher is better.
        The interval is that of other holdout rows, given the trained model. NaN
        if the training rows or the holdout hold one class only.
    """
    predictor, test = train_model(model, train, task, seed), _with_target(holdout, task)
    return _scored(predictor, test, task).estimate()


def fit_models(
    real: CodedTable, synthetic: CodedTable, task: Task, seed: int = 0
) -> dict[tuple[str, str], Predictor | None]:
    """Train the three models on the real and on the synthetic table.

    Returns
    -------
    dict of (model, training table) to Predictor
        Six, with "real" and "synthetic" as training tables; None where the rows
        with a target hold one class only.
    """
    tables = {"real": real, "synthetic": synthetic}
    return {
        (model, train): train_model(model, table, task, seed)
        for model in MODELS
        for train, table in tables.items()
    }


def utility_table(fitted: Fitted, synthetic: CodedTable, holdout: CodedTable, task: Task) -> pd.DataFrame:
    """Score the three models: TRTR, TSTR and TRTS.

    Train on real and test on the holdout (TRTR, the ceiling), train on
    synthetic and test on the holdout (TSTR), train on real and test on
    synthetic (TRTS: are the synthetic rows labelled as real ones would be?).

    Parameters
    ----------
    fitted : mapping
        What `fit_models` gives.
    synthetic, holdout : CodedTable
        The tables to test on; rows without a target are dropped.
    task : Task

    Returns
    -------
    DataFrame of shape (9, 10)
        ``model``, ``train``, ``test``; ``score`` with ``low`` and ``high``, in
        ``units`` (see `score_rows`); ``second`` in ``second_units``: the F1 of
        the class that is rarer in the holdout, the mean F1 of all classes of
        the test rows, or the root of the mean squared error (in units of the
        target, seconds for dates and durations); ``note``, why a score is NaN.

    References
    ----------
    Esteban, Hyland and Raetsch (2017), "Real-valued (medical) time series
    generation with recurrent conditional GANs": TSTR and TRTS.
    """
    tests = {"holdout": _with_target(holdout, task), "synthetic": _with_target(synthetic, task)}
    rare = _rarest(tests["holdout"], task)
    rows = []
    for model in MODELS:
        for train, name in _TRIALS:
            predictor, test = fitted[model, train], tests[name]
            found, second, note = (
                Estimate(float("nan")),
                float("nan"),
                _problem(predictor, train, test, name, task),
            )
            if predictor is not None and not note:
                predicted = predictor.predict(test)
                found = score_rows(predictor, predicted, test, task).estimate()
                second = _second_score(predictor, predicted, test, task, rare)
            rows.append((model, train, name, found.value, found.low, found.high, second, note))
    frame = pd.DataFrame(rows, columns=["model", "train", "test", "score", "low", "high", "second", "note"])
    frame.insert(6, "units", task.units)
    frame.insert(8, "second_units", {"binary": "F1", "multiclass": "macro F1"}.get(task.name, "RMSE"))
    return frame


def tstr_gap(fitted: Fitted, holdout: CodedTable, task: Task, model: str = "boosting") -> Estimate:
    """Give what is lost by training on synthetic instead of real rows: TRTR - TSTR.

    Both models are scored on the same holdout rows, so that the interval is
    that of paired scores (DeLong's for the AUC), narrower than those of the
    two; it is that of other holdout rows, given the trained models.

    Returns
    -------
    Estimate
        0 is best; in [-1, 1] for an AUC. NaN if either score is.
    """
    test = _with_target(holdout, task)
    return _scored(fitted[model, "real"], test, task).minus(_scored(fitted[model, "synthetic"], test, task))


def model_rank_agreement(fitted: Fitted, holdout: CodedTable, task: Task) -> float:
    """Tell whether synthetic and real training order the three models alike.

    For each pair of models, training on real rows says that the first is
    better, worse, or neither (the paired 95 % interval of their difference on
    the holdout holds 0); so does training on synthetic rows. A pair counts 1 if
    both say the same, -1 if they say opposite things, 0 if one of them says
    neither. The mean over the pairs is Kendall's tau if no pair is tied.

    Returns
    -------
    float
        In [-1, 1], 1 is best; NaN if a score is not defined.

    Notes
    -----
    With few holdout rows all pairs tie and the agreement is 1 for want of
    evidence to the contrary.
    """
    test = _with_target(holdout, task)
    orders = []
    for train in ("real", "synthetic"):
        scores = [_scored(fitted[model, train], test, task) for model in MODELS]
        orders.append([_sign(first.minus(second)) for first, second in combinations(scores, 2)])
    real, synthetic = np.array(orders)
    return float(np.mean(1 - np.abs(real - synthetic)))


def _sign(gap: Estimate) -> float:
    """Give 1 or -1 for a difference beyond noise, 0 for none; NaN for a difference not known."""
    if np.isnan(gap.low):
        return float("nan")
    return float((gap.low > 0) - (gap.high < 0))


def importance_agreement(fitted: Fitted, holdout: CodedTable, task: Task, seed: int = 0) -> float:
    """Tell whether real and synthetic training find the same columns important.

    The importance of a column is what the boosting model loses of its score on
    the holdout when the column is permuted: the mean of 3 permutations, on at
    most 5,000 rows (fewer with more than 20 columns or two classes, at least
    1,000), 0 if it is negative. Both models meet the same permutations. The agreement is Spearman's rank
    correlation of the importances.

    Returns
    -------
    float
        In [-1, 1], 1 is best; NaN with fewer than 3 columns beside the target,
        or where one model finds all columns alike.

    References
    ----------
    Breiman (2001), "Random forests", section 10.
    """
    test = _with_target(holdout, task)
    n_columns = len(test.domain.names)
    per_row = n_columns * (
        int((test.counts(task.target)[1:] > 0).sum()) - 1 if task.name == "multiclass" else 1
    )
    n_rows = min(_IMPORTANCE_ROWS, max(1_000, 20 * _IMPORTANCE_ROWS // max(per_row, 1)))
    rows = test.sampled(n_rows, stream(seed, "importance"))
    ranks = []
    for train in ("real", "synthetic"):
        predictor = fitted["boosting", train]
        if predictor is None or n_columns < 4:
            return float("nan")
        ranks.append(rankdata(np.maximum(_importances(predictor, rows, task, seed), 0.0)))
    if np.isnan(ranks).any() or np.ptp(ranks, axis=1).min() == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _importances(predictor: Predictor, rows: CodedTable, task: Task, seed: int) -> NDArray[np.float64]:
    """Give the mean loss of score when a column is permuted, shape (n_columns - 1,)."""
    rng = stream(seed, "permutations")
    whole = _scored(predictor, rows, task).value
    losses = []
    for place, name in enumerate(rows.domain.names):
        if name == task.target:
            continue
        left = []
        for _ in range(_PERMUTATIONS):
            codes = rows.codes.copy(order="F")
            codes[:, place] = rng.permutation(codes[:, place])
            left.append(_scored(predictor, CodedTable(rows.domain, codes), task).value)
        losses.append(whole - np.mean(left))
    return np.array(losses)


def _scored(predictor: Predictor | None, test: CodedTable, task: Task) -> Score:
    """Score a model on rows with a target; NaN if there is no model or no row."""
    if predictor is None or not len(test):
        return Score(float("nan"), np.full(len(test), np.nan))
    return score_rows(predictor, predictor.predict(test), test, task)


def _second_score(
    predictor: Predictor, predicted: NDArray[np.float64], test: CodedTable, task: Task, rare: int
) -> float:
    """Give the F1 of the rare class, the mean F1 of the classes of the test rows, or the RMSE."""
    if task.name == "regression":
        numbers = test.numbers(task.target)
        scale = max(float(np.abs(numbers).max()), float(np.abs(predicted).max()), np.finfo(float).tiny)
        errors = numbers / scale - predicted / scale  # whose squares are finite
        return scale * float(np.sqrt((errors**2).mean())) * _seconds(test, task)
    truth = test.column(task.target)
    labels = [rare] if task.name == "binary" else np.unique(truth)
    guess, n = predictor.classes[predicted.argmax(axis=1)], len(test.domain.levels[task.target])
    hits, either = (
        np.bincount(truth[truth == guess], minlength=n),
        np.bincount(truth, minlength=n) + np.bincount(guess, minlength=n),
    )
    return float((2 * hits[labels] / np.maximum(either[labels], 1)).mean())


def _seconds(table: CodedTable, task: Task) -> float:
    """Give the length in seconds of a tick of a date or duration; 1 for numbers."""
    dtype = table.domain.levels[task.target].dtype
    if dtype.kind not in "mM":
        return 1.0
    return float(np.ones(1, dtype=f"m8[{np.datetime_data(dtype)[0]}]")[0] / np.timedelta64(1, "s"))


def _with_target(table: CodedTable, task: Task) -> CodedTable:
    """Drop the rows whose target is missing."""
    return table.take(table.column(task.target) >= 0)


def _rarest(table: CodedTable, task: Task) -> int:
    """Give the code of the rarest class of a table, the later of equally rare ones."""
    counts = table.counts(task.target)[1:]
    present = np.flatnonzero(counts)
    return int(present[::-1][counts[present][::-1].argmin()]) if len(present) else 0


def _problem(predictor: Predictor | None, train: str, test: CodedTable, name: str, task: Task) -> str:
    """Say why a model cannot be trained or tested; empty if it can."""
    several = "values" if task.name == "regression" else "classes"
    if predictor is None:
        return f"the {train} rows hold fewer than two {several} of the target"
    if (test.counts(task.target)[1:] > 0).sum() < 2:
        return f"the {name} rows hold fewer than two {several} of the target"
    return ""
