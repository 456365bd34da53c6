"""Which metrics are computed, on which tables, beside which references.

Frames enter, a `Report` leaves. The ceiling of a metric is its value with the
holdout in the role of the synthetic table, its floor the value of independent
columns, drawn from the real ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from synthgan.errors import DataError, listing, suggestion
from synthgan.evaluation.copies import identical_share
from synthgan.evaluation.detection import c2st_boosting, c2st_logistic
from synthgan.evaluation.fidelity import column_errors, missing_error, pair_errors, shape_error, trend_error
from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.report import Report
from synthgan.evaluation.tables import CodedTable, code_tables
from synthgan.evaluation.utility import Task, holdout_score, task_of
from synthgan.seeding import RandomState, draw_seed, stream

__all__ = ["evaluate"]

Measure = Callable[[CodedTable, CodedTable], Estimate]


def evaluate(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    holdout: pd.DataFrame | None = None,
    target: Hashable | None = None,
    kinds: Mapping[str, str] | None = None,
    random_state: RandomState = 0,
    progress: bool = False,
) -> Report:
    """Judge a synthetic table against the real one that it imitates.

    Parameters
    ----------
    real : DataFrame
        The rows that the model saw.
    synthetic : DataFrame
        The rows that it made: the same columns, in any order.
    holdout : DataFrame, optional
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
        If the tables cannot be compared; see `code_tables`.
    """
    _check_target(real, target)
    seed = draw_seed(random_state)
    frames = [real, synthetic] if holdout is None else [real, synthetic, holdout]
    coded = code_tables(*frames, kinds=kinds)
    notes: list[str] = []
    tables = _Tables.of(coded, seed, notes)
    measures = _measures(seed)
    with tqdm(total=len(measures) + 1, disable=not progress, file=sys.stderr, leave=False) as bar:
        rows = []
        for name, measure in measures.items():
            bar.set_description(METRICS[name].title)
            rows.append(_row(name, *tables.apply(measure)))
            bar.update()
        bar.set_description(METRICS["tstr"].title)
        task, utility = _utility(tables, target, seed, notes)
        rows.extend(utility)
        bar.update()
    order = {name: place for place, name in enumerate(METRICS)}
    frame = pd.DataFrame(rows).sort_values("metric", key=lambda m: m.map(order), ignore_index=True)
    facts = {
        "rows": {
            role: len(table) for role, table in zip(("real", "synthetic", "holdout"), coded, strict=False)
        },
        "target": None if target is None else str(target),
        "task": task.name if task else None,
        "seed": seed,
    }
    columns = column_errors(tables.real, tables.synthetic)
    return Report(frame, columns, pair_errors(tables.real, tables.synthetic), tuple(notes), facts)


def _check_target(real: object, target: Hashable | None) -> None:
    """Refuse a target that is no column of the real table."""
    if target is None or not isinstance(real, pd.DataFrame) or target in real.columns:
        return
    raise DataError(
        f"target must be a column of real. Got {target!r}.{suggestion(target, real.columns)} "
        f"real has: {listing(real.columns)}."
    )


@dataclass(frozen=True)
class _Tables:
    """The tables of one evaluation with those that stand in for the references."""

    real: CodedTable
    synthetic: CodedTable
    holdout: CodedTable | None
    ceiling: CodedTable | None
    floor: CodedTable

    @classmethod
    def of(cls, coded: list[CodedTable], seed: int, notes: list[str]) -> _Tables:
        """Draw the references at the size of the synthetic table, as far as rows reach."""
        real, synthetic = coded[:2]
        holdout = coded[2] if len(coded) > 2 else None
        floor = real.independent(len(synthetic), stream(seed, "floor"))
        if holdout is None:
            notes.append("There is no holdout: ceilings, tstr and trtr are not computed.")
            return cls(real, synthetic, None, None, floor)
        if len(holdout) < len(synthetic):
            notes.append(
                f"The holdout has {len(holdout):,} rows, fewer than the {len(synthetic):,} of the synthetic table: "
                "ceilings are those of a smaller table, and distances a little too large."
            )
        return cls(real, synthetic, holdout, holdout.sampled(len(synthetic), stream(seed, "ceiling")), floor)

    def apply(self, measure: Measure) -> tuple[Estimate, float, float]:
        """Give a metric with its ceiling and its floor."""
        ceiling = measure(self.real, self.ceiling).value if self.ceiling is not None else float("nan")
        return measure(self.real, self.synthetic), ceiling, measure(self.real, self.floor).value


def _measures(seed: int) -> dict[str, Measure]:
    """Give the metrics that compare two tables."""
    return {
        "shape_error": lambda real, other: Estimate(shape_error(real, other)),
        "missing_error": lambda real, other: Estimate(missing_error(real, other)),
        "trend_error": lambda real, other: Estimate(trend_error(real, other)),
        "trend_error_shared": lambda real, other: Estimate(trend_error(real, other, shared_bins=True)),
        "c2st_gbm": lambda real, other: c2st_boosting(real, other, seed),
        "c2st_logistic": lambda real, other: c2st_logistic(real, other, seed),
        "identical_share": identical_share,
    }


def _row(name: str, estimate: Estimate, ceiling: float, floor: float, **changed: object) -> dict[str, object]:
    """Give one row of the report's frame."""
    metric = METRICS[name]
    row = {
        "metric": name,
        "family": metric.family,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "ceiling": ceiling,
        "floor": floor,
        "best": ceiling if metric.direction == "match" else metric.best,
        "direction": metric.direction,
        "units": metric.units,
        "source": metric.source,
    }
    return row | changed


def _utility(
    tables: _Tables, target: Hashable | None, seed: int, notes: list[str]
) -> tuple[Task | None, list[dict[str, object]]]:
    """Give TSTR and TRTR, or note why there are none."""
    unknown = Estimate(float("nan")), float("nan"), float("nan")
    nothing = [_row("tstr", *unknown), _row("trtr", *unknown)]
    if target is None:
        notes.append("There is no target: tstr and trtr are not computed.")
        return None, nothing
    task = task_of(tables.real, target)
    if isinstance(task, str):
        notes.append(f"tstr and trtr are not computed: {task}.")
        return None, nothing
    if tables.holdout is None:
        return task, nothing
    tstr, trtr, floor = (
        holdout_score(table, tables.holdout, task, seed)
        for table in (tables.synthetic, tables.real, tables.floor)
    )
    for name, estimate in (("tstr", tstr), ("trtr", trtr)):
        if np.isnan(estimate.value):
            notes.append(f"{name} is not computed: one class only in its training rows or in the holdout.")
    return task, [
        _row("tstr", tstr, trtr.value, floor.value, units=task.units),
        _row("trtr", trtr, trtr.value, floor.value, units=task.units),
    ]
