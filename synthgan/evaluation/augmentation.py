"""Does it help: synthetic rows added to real ones, against the same model without them.

Coded tables enter; for each strategy its scores on unseen real rows leave, with
the paired interval of the difference to training on the real rows alone and a
verdict, which may be that nothing helps. Remedies for rare classes that need no
synthetic table stand beside it as rivals: class weights, over-sampling, SMOTE.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from synthgan.errors import ParameterError
from synthgan.evaluation.features import standardised
from synthgan.evaluation.intervals import Z95, Estimate
from synthgan.evaluation.learners import Predictor, Task, train_model
from synthgan.evaluation.tables import CodedTable
from synthgan.evaluation.utility import Score, score_rows
from synthgan.seeding import stream

__all__ = ["STRATEGIES", "augmentation_lift", "average_precision_parts", "balanced_accuracy_parts", "verdict"]

STRATEGIES = (
    "real",
    "real + synthetic",
    "real + synthetic minority",
    "class weights",
    "random over-sampling",
    "SMOTE-NC",
)
_SHARE = 0.8  # of the rows, in each repeat
_SMOTE_ROWS = 2_000  # of a class, among which neighbours are sought: distances of all pairs are held
_NO_SMOTE = "imbalanced-learn is not installed (pip install 'synthgan[augmentation]')"


def augmentation_lift(
    real: CodedTable,
    synthetic: CodedTable,
    holdout: CodedTable,
    task: Task,
    seed: int = 0,
    *,
    n_repeats: int = 5,
    model: str = "boosting",
) -> pd.DataFrame:
    """Tell whether synthetic rows beside the real ones help a model on unseen real rows.

    In each repeat 80 % of the real and of the synthetic rows are drawn, every
    strategy trains on this draw, and all are scored on the whole holdout: the
    synthetic table was made from all real rows, so that no real row could test
    it.

    "real": the baseline. "real + synthetic": all rows of both. "real +
    synthetic minority": synthetic rows of the rarer classes, up to the size of
    the commonest. "class weights": each class weighs the same. "random
    over-sampling": real rows of rarer classes repeated up to balance.
    "SMOTE-NC": rows between neighbours of a rarer class up to balance, by
    imbalanced-learn (SMOTE without categories, SMOTEN without numbers).

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain; rows without a target are dropped. The holdout
        must be rows that the generator never saw.
    task : Task
        A regression has the first two strategies only.
    seed : int
        Of draws and models.
    n_repeats : int >= 2
    model : {"linear", "boosting", "forest"}
        See `train_model`.

    Returns
    -------
    DataFrame
        A row for each ``strategy`` and ``metric``: AUC, average precision (of
        the class that is rarer in the holdout; the mean over the classes for a
        multiclass task) and balanced accuracy, or R2. ``score`` is the mean
        over the repeats, ``lift`` its difference to "real" with ``low`` and
        ``high``, ``verdict`` see `verdict`, ``note`` why a score is NaN.

    Raises
    ------
    ParameterError
        If there are fewer than 2 repeats.

    Notes
    -----
    The interval is that of another draw of training rows and of holdout rows,
    see `_lift`; each has 95 % on its own, without correction for their number.
    """
    if n_repeats < 2:
        raise ParameterError(f"n_repeats must be an int >= 2. Got {n_repeats!r}.")
    real, synthetic, holdout = (
        table.take(table.column(task.target) >= 0) for table in (real, synthetic, holdout)
    )
    strategies = STRATEGIES[:2] if task.name == "regression" else STRATEGIES
    metrics = _metrics(task, holdout)
    found: dict[str, list[dict[str, Score]]] = {strategy: [] for strategy in strategies}
    for repeat in range(n_repeats):
        rng = stream(seed, "augmentation", repeat)
        draw = [table.sampled(round(_SHARE * len(table)), rng) for table in (real, synthetic)]
        for strategy in strategies:
            rows = _training_rows(strategy, draw[0], draw[1], task, stream(seed, strategy, repeat))
            weighted = strategy == "class weights"
            predictor = None
            if rows is not None and len(holdout):
                predictor = train_model(model, rows, task, seed + repeat, balanced=weighted)
            found[strategy].append(_scores(predictor, holdout, metrics))
    return _frame(found, metrics)


def verdict(lift: Estimate) -> str:
    """Put the interval of a lift into words.

    >>> verdict(Estimate(0.02, 0.01, 0.03)), verdict(Estimate(0.02, -0.01, 0.05))
    ('helps', 'no difference shown')
    """
    if np.isnan(lift.low):
        return "not known"
    if lift.low > 0:
        return "helps"
    return "hurts" if lift.high < 0 else "no difference shown"


def average_precision_parts(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> Score:
    """Give the average precision with the part of each row in its error.

    With ``N_i`` the rows that score at least as high as row i, ``T_i`` the
    positives among them and ``m`` the positives, ``AP = sum(T_i / N_i) / m``
    over the positives. The part of a row is the derivative by its weight: what
    it adds to the sum as a positive, and to every ``T_i`` and ``N_i`` below.

    Parameters
    ----------
    positive : array of shape (n_rows,), bool
        One row at least must be positive; with a single one the parts are NaN.
    score : array of shape (n_rows,)
        Higher means more probably positive.

    Examples
    --------
    >>> found = average_precision_parts(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
    >>> round(found.value, 4)    # precisions 1 and 2/3
    0.8333
    """
    order = np.argsort(-score, kind="stable")
    truth, ranked = positive[order].astype(float), score[order]
    last = np.searchsorted(-ranked, -ranked, side="right") - 1  # of the rows with this score
    first = np.searchsorted(-ranked, -ranked, side="left")
    above, hits, m = last + 1.0, np.cumsum(truth)[last], truth.sum()
    precision = hits / above
    value = float((truth * precision).sum() / m)
    gain, loss = truth / above, truth * precision / above  # of T_i, and of N_i, by one more row above i
    gain, loss = (np.cumsum(one[::-1])[::-1][first] for one in (gain, loss))
    parts = np.empty(len(score))
    parts[order] = (truth * (precision - value + gain) - loss) / m
    return Score(value, parts if m > 1 else parts * np.nan)


def balanced_accuracy_parts(truth: NDArray[np.integer], guess: NDArray[np.integer]) -> Score:
    """Give the mean recall of the classes with the part of each row in its error.

    Classes with a single row are left out if others remain. The part of a row
    of class k is ``(hit - recall_k) / sqrt(n_k (n_k - 1))``, over the number of
    classes.

    Parameters
    ----------
    truth, guess : array of shape (n_rows,), int

    Examples
    --------
    >>> balanced_accuracy_parts(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0, 1])).value
    0.625
    """
    classes, own, counts = np.unique(truth, return_inverse=True, return_counts=True)
    hit = (truth == guess).astype(float)
    recall = np.bincount(own, weights=hit, minlength=len(classes)) / counts
    kept = counts > 1 if (counts > 1).any() else counts > 0
    size = np.where(counts > 1, np.sqrt(counts * (counts - 1.0)), np.nan)[own]
    parts = np.where(kept[own], (hit - recall[own]) / size, 0.0) / kept.sum()
    return Score(float(recall[kept].mean()), parts)


Metric = Callable[[Predictor, NDArray[np.float64], CodedTable], Score]


def _metrics(task: Task, holdout: CodedTable) -> dict[str, Metric]:
    """Name the scores of a task; each is a function of model, predictions and rows."""
    main: dict[str, Metric] = {task.units: partial(_main, task=task)}
    if task.name == "regression":
        return main
    counts = holdout.counts(task.target)[1:]
    classes = np.flatnonzero(counts > 1)
    if task.name == "binary" and len(classes):
        classes = classes[::-1][[counts[classes[::-1]].argmin()]]  # the rarer
    name = "average precision" if task.name == "binary" else "macro average precision"
    return {
        **main,
        name: partial(_average_precision, task=task, classes=classes),
        "balanced accuracy": partial(_balanced_accuracy, task=task),
    }


def _main(predictor: Predictor, predicted: NDArray[np.float64], test: CodedTable, task: Task) -> Score:
    return score_rows(predictor, predicted, test, task)


def _average_precision(
    predictor: Predictor,
    predicted: NDArray[np.float64],
    test: CodedTable,
    task: Task,
    classes: NDArray[np.intp],
) -> Score:
    if not len(classes):
        return Score(float("nan"), np.full(len(test), np.nan))
    truth = test.column(task.target)
    scores = [average_precision_parts(truth == k, predictor.of_class(predicted, k)) for k in classes.tolist()]
    return Score(
        float(np.mean([score.value for score in scores])), np.mean([score.parts for score in scores], axis=0)
    )


def _balanced_accuracy(
    predictor: Predictor, predicted: NDArray[np.float64], test: CodedTable, task: Task
) -> Score:
    return balanced_accuracy_parts(test.column(task.target), predictor.classes[predicted.argmax(axis=1)])


def _scores(predictor: Predictor | None, holdout: CodedTable, metrics: dict[str, Metric]) -> dict[str, Score]:
    """Score one model by all metrics; NaN if there is no model."""
    if predictor is None:
        return {name: Score(float("nan"), np.full(len(holdout), np.nan)) for name in metrics}
    predicted = predictor.predict(holdout)
    return {name: metric(predictor, predicted, holdout) for name, metric in metrics.items()}


def _frame(found: dict[str, list[dict[str, Score]]], metrics: dict[str, Metric]) -> pd.DataFrame:
    """Summarise the repeats, a row for each strategy and metric."""
    rows = []
    for strategy, repeats in found.items():
        for name in metrics:
            scores = [repeat[name] for repeat in repeats]
            score, lift, word, note = (
                float(np.mean([one.value for one in scores])),
                Estimate(0.0, 0.0, 0.0),
                "",
                "",
            )
            if strategy != "real":
                lift = _lift(scores, [repeat[name] for repeat in found["real"]])
                word = verdict(lift)
            if np.isnan(score):
                note = (
                    "a draw of training rows, or the holdout, holds too few classes or values of the target"
                )
                note = _NO_SMOTE if strategy == "SMOTE-NC" and not _has_smote() else note
            rows.append((strategy, name, score, lift.value, lift.low, lift.high, word, note))
    names = ["strategy", "metric", "score", "lift", "low", "high", "verdict", "note"]
    return pd.DataFrame(rows, columns=names)


def _lift(scores: list[Score], baseline: list[Score]) -> Estimate:
    """Give the mean difference over the repeats with its 95 % interval.

    The variance has two sources. (1) The holdout: the parts of the rows in the
    difference, averaged over the repeats and squared (all repeats share the
    rows). (2) The training rows: with ``s^2`` the variance of the differences
    between repeats that each keep a share f of the rows, another draw of all
    rows would move their mean by ``s^2 (f / (1 - f) + 1 / n_repeats)``; the
    first term is the delete-d jackknife. Over fresh tables of 500 and 2,000 rows
    the variance of the mean of 4 repeats was 1.8 to 2.7 s^2 for the AUC and 3.6
    s^2 for balanced accuracy; this gives 4.25, the correction of Nadeau and
    Bengio (2003) 0.5. The quantile is Student's with the degrees of freedom of
    Welch and Satterthwaite.

    References
    ----------
    Shao and Wu (1989), "A general theory for jackknife variance estimation".
    """
    pairs = list(zip(scores, baseline, strict=True))
    gaps = np.array([one.value - other.value for one, other in pairs])
    parts = np.mean([one.parts - other.parts for one, other in pairs], axis=0)
    training = float(gaps.var(ddof=1)) * (_SHARE / (1 - _SHARE) + 1 / len(gaps))
    variance = training + float((parts**2).sum())
    mean = float(gaps.mean())
    if not training > 0:  # equal in all repeats, or not known
        half = Z95 * np.sqrt(variance)
    else:
        half = student.ppf(0.975, (len(gaps) - 1) * (variance / training) ** 2) * np.sqrt(variance)
    return Estimate(mean, mean - float(half), mean + float(half))


def _training_rows(
    strategy: str, real: CodedTable, synthetic: CodedTable, task: Task, rng: np.random.Generator
) -> CodedTable | None:
    """Give the rows on which a strategy trains; None where it cannot be followed."""
    match strategy:
        case "real + synthetic":
            return synthetic.stacked_on(real)
        case "real + synthetic minority":
            return _topped_up(real, synthetic, task.target, rng, replace=False)
        case "random over-sampling":
            return _topped_up(real, real, task.target, rng, replace=True)
        case "SMOTE-NC":
            return _smote(real, task.target, rng) if _has_smote() else None
    return real


def _lacking(table: CodedTable, target: Hashable) -> dict[int, int]:
    """Count the rows that each class of a table lacks to be as large as the commonest."""
    counts = table.counts(target)[1:]
    return {int(k): int(counts.max() - counts[k]) for k in np.flatnonzero(counts) if counts[k] < counts.max()}


def _topped_up(
    table: CodedTable, source: CodedTable, target: Hashable, rng: np.random.Generator, *, replace: bool
) -> CodedTable:
    """Add rows of the rarer classes from another table, up to balance or as far as they reach."""
    drawn = [np.empty(0, dtype=np.intp)]
    for k, lacking in _lacking(table, target).items():
        rows = np.flatnonzero(source.column(target) == k)
        drawn.append(rng.choice(rows, lacking if replace else min(lacking, len(rows)), replace=replace))
    return source.take(np.concatenate(drawn)).stacked_on(table)


def _has_smote() -> bool:
    return find_spec("imblearn") is not None


def _smote(table: CodedTable, target: Hashable, rng: np.random.Generator) -> CodedTable:
    """Add rows between neighbours of each rarer class up to balance.

    For new rows only, a missing number is the mean and a missing category a
    category; a new number is put on the nearest value that the table has. Of
    each class at most 2,000 rows, drawn at random, are neighbours; a class with
    one row has none and stays as it is.
    """
    classes = table.column(target)
    rows = [np.flatnonzero(classes == k) for k in np.unique(classes)]
    pool = table.take(np.concatenate([rng.permutation(own)[:_SMOTE_ROWS] for own in rows]))
    sizes = pool.counts(target)[1:]
    wanted = {k: int(sizes[k]) + n for k, n in _lacking(table, target).items() if sizes[k] > 1}
    if not wanted:
        return table
    names = [name for name in table.domain.names if name != target]
    ordered = np.array([table.domain.is_ordered(name) for name in names])
    sampler = _sampler(~ordered, wanted, min(5, min(int(sizes[k]) for k in wanted) - 1), rng)
    points = np.column_stack(
        [
            np.nan_to_num(standardised(pool.numbers(name))) if numeric else pool.column(name)
            for name, numeric in zip(names, ordered, strict=True)
        ]
    )
    with warnings.catch_warnings():  # of few rows it suspects that the classes are numbers
        warnings.simplefilter("ignore")
        made, labels = sampler.fit_resample(points, pool.column(target))
    made, labels = made[len(pool) :], labels[len(pool) :]
    columns = {target: labels}
    for place, name in enumerate(names):
        columns[name] = _nearest(pool, name, made[:, place]) if ordered[place] else made[:, place]
    codes = np.column_stack([columns[name] for name in table.domain.names]).astype(np.int32)
    return CodedTable(table.domain, np.asfortranarray(codes)).stacked_on(table)


def _sampler(categorical: NDArray[np.bool_], wanted: dict[int, int], k: int, rng: np.random.Generator) -> Any:
    """Give the SMOTE of imbalanced-learn that suits the columns."""
    library = import_module("imblearn.over_sampling")
    options = {"sampling_strategy": wanted, "k_neighbors": k, "random_state": int(rng.integers(2**31))}
    if categorical.all():
        return library.SMOTEN(**options)
    if categorical.any():
        return library.SMOTENC(categorical_features=np.flatnonzero(categorical).tolist(), **options)
    return library.SMOTE(**options)


def _nearest(pool: CodedTable, name: Hashable, points: NDArray[np.float64]) -> NDArray[np.integer]:
    """Give the codes of the values nearest to standardised numbers."""
    codes, values = pool.column(name), standardised(pool.numbers(name))
    seen, first = np.unique(codes[codes >= 0], return_index=True)
    if not len(seen):
        return np.full(len(points), -1)
    values = values[codes >= 0][first]
    right = np.minimum(np.searchsorted(values, points), len(values) - 1)
    left = np.maximum(right - 1, 0)
    lower = points - values[left] <= values[right] - points
    return np.asarray(np.where(lower, seen[left], seen[right]))
