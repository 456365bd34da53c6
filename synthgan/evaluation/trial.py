"""The tables of one evaluation, beside those that stand in for the references of every metric.

Coded tables enter; a metric leaves as one row of the report with its ceiling
(the holdout in the role of the synthetic table) and its floor (columns drawn
from the real ones independently of each other).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from synthgan.errors import quantity
from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["UNKNOWN", "Measure", "Row", "Trial", "metric_row"]

Measure = Callable[[CodedTable, CodedTable], Mapping[str, Estimate]]
Row = dict[str, Any]

UNKNOWN = Estimate(float("nan"))


@dataclass(frozen=True)
class Trial:
    """What every family of metrics is given.

    Parameters
    ----------
    real, synthetic : CodedTable
    holdout : CodedTable or None
        Real rows that the model never saw.
    ceiling : CodedTable or None
        The holdout, drawn down to the size of the synthetic table where it is larger.
    floor : CodedTable
        Independent columns, as many rows as the synthetic table.
    seed : int
    bar : tqdm
        Progress; a step for each call of `step`.
    notes : list of str
        What was skipped, sampled or left out, and why.
    """

    real: CodedTable
    synthetic: CodedTable
    holdout: CodedTable | None
    ceiling: CodedTable | None
    floor: CodedTable
    seed: int
    bar: tqdm[Any]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, coded: list[CodedTable], seed: int, bar: tqdm[Any]) -> Trial:
        """Draw the references at the size of the synthetic table, as far as rows reach."""
        real, synthetic = coded[:2]
        holdout = coded[2] if len(coded) > 2 else None
        floor = real.independent(len(synthetic), stream(seed, "floor"))
        ceiling = None if holdout is None else holdout.sampled(len(synthetic), stream(seed, "ceiling"))
        trial = cls(real, synthetic, holdout, ceiling, floor, seed, bar)
        if holdout is None:
            trial.notes.append("There is no holdout: ceilings are not known.")
        elif len(holdout) < len(synthetic):
            trial.notes.append(
                f"The holdout has {quantity(len(holdout), 'row')}, fewer than the {len(synthetic):,} "
                "synthetic ones: the ceilings of errors are those of a smaller table and a little too large."
            )
        return trial

    def n_rows(self) -> dict[str, int]:
        """Count the rows of each table; "ceiling" is the part of the holdout that gives ceilings."""
        tables = {
            "real": self.real,
            "synthetic": self.synthetic,
            "holdout": self.holdout,
            "ceiling": self.ceiling,
        }
        return {role: len(table) for role, table in tables.items() if table is not None}

    def step(self, label: str) -> None:
        """Say what comes next, and that what came before is done."""
        self.bar.set_description(label)
        self.bar.update()

    def referenced(
        self,
        label: str,
        measure: Measure,
        *,
        ceiling: Measure | None = None,
        floor: Measure | None = None,
    ) -> Iterator[Row]:
        """Give the metrics of `measure` with their references, a row each.

        References may be measured in a cheaper way with the same expectation.
        """
        self.step(label)
        value = measure(self.real, self.synthetic)
        best: Mapping[str, Estimate] = {}
        if self.ceiling is not None:
            self.step(f"{label}, ceiling")
            best = (ceiling or measure)(self.real, self.ceiling)
        self.step(f"{label}, floor")
        worst = (floor or ceiling or measure)(self.real, self.floor)
        for name, estimate in value.items():
            yield metric_row(name, estimate, best.get(name, UNKNOWN), worst.get(name, UNKNOWN))


def metric_row(
    name: str, estimate: Estimate, ceiling: Estimate, floor: Estimate, units: str | None = None
) -> Row:
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
