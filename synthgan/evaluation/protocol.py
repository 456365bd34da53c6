"""Which metrics are computed, on which tables, beside which references.

Frames enter, a `Report` leaves. The ceiling of a metric is its value with the
holdout in the role of the synthetic table, its floor the value of independent
columns, drawn from the real ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from synthgan.errors import DataError, listing, suggestion
from synthgan.evaluation.associations import pair_errors, trend_error
from synthgan.evaluation.copies import identical_share
from synthgan.evaluation.detection import c2st_boosting, c2st_logistic
from synthgan.evaluation.intervals import Estimate, bootstrapped
from synthgan.evaluation.marginals import column_errors, missing_error, shape_error
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.profiles import profile_columns
from synthgan.evaluation.report import Report
from synthgan.evaluation.tables import CodedTable, code_tables
from synthgan.evaluation.utility import Task, holdout_score, task_of
from synthgan.io import read_table
from synthgan.seeding import RandomState, draw_seed, stream

__all__ = ["evaluate"]

Measure = Callable[[CodedTable, CodedTable], dict[str, Estimate]]
Row = dict[str, Any]

_MISLED = 0.48  # an AUC below this is no noise: the classifier takes copies for what they copy
_UNKNOWN = Estimate(float("nan"))


def evaluate(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: Hashable | None = None,
    kinds: Mapping[Any, str] | None = None,
    random_state: RandomState = 0,
    progress: bool = False,
) -> Report:
    """Judge a synthetic table against the real one that it imitates.

    Parameters
    ----------
    real : DataFrame, or whatever `read_table` reads
        The rows that the model saw.
    synthetic : DataFrame, or whatever `read_table` reads
        The rows that it made: the same columns, in any order.
    holdout : DataFrame, or whatever `read_table` reads, optional
        Real rows that the model never saw. Gives every metric its ceiling, and
        is what TSTR and TRTR are tested on.
    target : column name, optional
        What TSTR and TRTR predict.
    kinds : mapping of column name to kind, optional
        Overrides what `Schema.infer` finds in `real`; say "categorical" for
        categories that are stored as numbers.
    random_state : int, numpy generator or None
        Of samples, folds and models.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the tables cannot be compared, see `code_tables`, or the target is
        no column.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real = pd.DataFrame({"size": rng.normal(size=100), "colour": rng.choice(["red", "blue"], 100)})
    >>> report = evaluate(real, real.iloc[::-1])
    >>> report["shape_error"], report["trend_error"], report["identical_share"]
    (0.0, 0.0, 1.0)
    """
    frames = [read_table(table) for table in (real, synthetic, *([] if holdout is None else [holdout]))]
    _check_target(frames[0], target)
    coded = code_tables(*frames, kinds=kinds)
    seed = draw_seed(random_state)
    with tqdm(total=15, disable=not progress, file=sys.stderr, leave=False) as bar:
        trial = _Trial.of(coded, seed, bar)
        rows = [*trial.distances(), *trial.tests(), *trial.copies()]
        task, utility = trial.utility(target)
    known = {row["metric"]: row for row in (*rows, *utility)}
    left_out = [name for name in frames[0].columns if name not in coded[0].domain.names]
    if left_out:
        trial.notes.append(f"Identifiers are not compared: {listing(left_out)}.")
    return Report(
        frame=pd.DataFrame([known[name] for name in METRICS]),
        columns=column_errors(coded[0], coded[1]),
        pairs=pair_errors(coded[0], coded[1]),
        notes=tuple(trial.notes),
        facts={
            "rows": trial.n_rows(),
            "n_columns": frames[0].shape[1],
            "target": None if target is None else str(target),
            "task": task.name if task else None,
            "seed": seed,
        },
        profiles=profile_columns(coded[0], coded[1]),
    )


def _check_target(real: pd.DataFrame, target: Hashable | None) -> None:
    """Refuse a target that is no column of the real table."""
    if target is not None and target not in list(real.columns):
        raise DataError(
            f"target must be a column of real. Got {target!r}.{suggestion(target, real.columns)} "
            f"real has: {listing(real.columns)}."
        )


@dataclass(frozen=True)
class _Trial:
    """The tables of one evaluation, those that stand in for the references, and what to note."""

    real: CodedTable
    synthetic: CodedTable
    holdout: CodedTable | None
    ceiling: CodedTable | None
    floor: CodedTable
    seed: int
    bar: tqdm[Any]
    notes: list[str]

    @classmethod
    def of(cls, coded: list[CodedTable], seed: int, bar: tqdm[Any]) -> _Trial:
        """Draw the references at the size of the synthetic table, as far as rows reach."""
        real, synthetic = coded[:2]
        holdout = coded[2] if len(coded) > 2 else None
        floor = real.independent(len(synthetic), stream(seed, "floor"))
        if holdout is None:
            note = "There is no holdout: ceilings are not known, and tstr and trtr are not computed."
            return cls(real, synthetic, None, None, floor, seed, bar, [note])
        notes = []
        if len(holdout) < len(synthetic):
            notes.append(
                f"The holdout has {len(holdout):,} rows, fewer than the {len(synthetic):,} synthetic ones: "
                "the ceilings of errors are those of a smaller table and a little too large."
            )
        ceiling = holdout.sampled(len(synthetic), stream(seed, "ceiling"))
        return cls(real, synthetic, holdout, ceiling, floor, seed, bar, notes)

    def n_rows(self) -> dict[str, int]:
        """Count the rows of each table; "ceiling" is the part of the holdout that gives ceilings."""
        tables = {
            "real": self.real,
            "synthetic": self.synthetic,
            "holdout": self.holdout,
            "ceiling": self.ceiling,
        }
        return {role: len(table) for role, table in tables.items() if table is not None}

    def distances(self) -> Iterator[Row]:
        """Compare columns and pairs of columns."""

        def value(real: CodedTable, other: CodedTable) -> dict[str, Estimate]:
            return bootstrapped(_distances, real, other, stream(self.seed, "bootstrap"))

        def reference(real: CodedTable, other: CodedTable) -> dict[str, Estimate]:
            return {name: Estimate(figure) for name, figure in _distances(real, other).items()}

        undefined = int(pair_errors(self.real, self.synthetic)["error"].isna().sum())
        if undefined:
            self.notes.append(
                f"{undefined} pairs have no correlation in either table and are left out of trend_error."
            )
        yield from self._referenced("columns and pairs", value, reference)

    def tests(self) -> Iterator[Row]:
        """Tell the tables apart by two classifiers."""
        n = min(len(self.real), len(self.synthetic))
        if len(self.real) != len(self.synthetic):
            self.notes.append(f"c2st draws {n:,} rows of each table, so that both classes are equally large.")
        seed = self.seed
        (boosted,) = self._referenced(
            "telling apart by boosted trees",
            lambda real, other: {"c2st_gbm": c2st_boosting(real, other, seed)},
        )
        if boosted["high"] < _MISLED:
            self.notes.append(
                "c2st_gbm lies below 0.5: rows that stand in both tables mislead the classifier. The tables "
                "share more than a distribution; see identical_share."
            )
        yield boosted
        yield from self._referenced(
            "telling apart by regression",
            lambda real, other: {"c2st_logistic": c2st_logistic(real, other, seed)},
        )

    def copies(self) -> Iterator[Row]:
        """Look for identical rows."""
        yield from self._referenced(
            "identical rows", lambda real, other: {"identical_share": identical_share(real, other)}
        )

    def utility(self, target: Hashable | None) -> tuple[Task | None, list[Row]]:
        """Train on each table and test on the holdout, or note why not."""
        skipped = [_row(name, _UNKNOWN, _UNKNOWN, _UNKNOWN) for name in ("tstr", "trtr")]
        task = None if target is None else task_of(self.real, target)
        if isinstance(task, str):
            self.notes.append(f"tstr and trtr are not computed: {task}.")
            return None, skipped
        if task is None or self.holdout is None:
            if task is None:
                self.notes.append("There is no target: tstr and trtr are not computed.")
            return task, skipped
        scores = []
        for table in (self.synthetic, self.real, self.floor):
            self.bar.set_description("training on each table")
            scores.append(holdout_score(table, self.holdout, task, self.seed))
            self.bar.update()
        tstr, trtr, floor = scores
        for name, score in (("tstr", tstr), ("trtr", trtr)):
            if np.isnan(score.value):
                self.notes.append(
                    f"{name} is not computed: the training rows or the holdout hold one class only."
                )
        return task, [
            _row("tstr", tstr, trtr, floor, task.units),
            _row("trtr", trtr, trtr, floor, task.units),
        ]

    def _referenced(self, label: str, measure: Measure, reference: Measure | None = None) -> Iterator[Row]:
        """Give metrics with their ceilings and floors, a row each."""
        self.bar.set_description(label)
        value = measure(self.real, self.synthetic)
        self.bar.update()
        ceiling = dict.fromkeys(value, _UNKNOWN)
        if self.ceiling is not None:
            ceiling = (reference or measure)(self.real, self.ceiling)
        self.bar.update()
        floor = (reference or measure)(self.real, self.floor)
        self.bar.update()
        for name, estimate in value.items():
            yield _row(name, estimate, ceiling[name], floor[name])


def _distances(real: CodedTable, other: CodedTable) -> dict[str, float]:
    """Give the distances whose interval is a bootstrap over rows."""
    return {
        "shape_error": shape_error(real, other),
        "missing_error": missing_error(real, other),
        "trend_error": trend_error(real, other),
        "trend_error_shared": trend_error(real, other, shared_bins=True),
    }


def _row(name: str, estimate: Estimate, ceiling: Estimate, floor: Estimate, units: str | None = None) -> Row:
    """Give one row of the report's frame."""
    metric = METRICS[name]
    return {
        "metric": name,
        "family": metric.family,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "ceiling": ceiling.value,
        "floor": floor.value,
        "best": ceiling.value if metric.direction == "match" else metric.best,
        "direction": metric.direction,
        "units": units or metric.units,
        "source": metric.source,
    }
