"""What an evaluation found: one frozen object, readable by people and machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["SCHEMA", "Report"]

SCHEMA = "synthgan-report/1"


@dataclass(frozen=True, eq=False)
class Report:
    """The result of `evaluate`.

    Parameters
    ----------
    frame : DataFrame, one row per metric
        ``metric``, ``family``, ``value`` with its 95 % interval ``low`` and
        ``high``, ``ceiling`` (the holdout in the role of the synthetic table),
        ``floor`` (independent columns), ``best``, ``direction``, ``units``,
        ``source``. NaN where a figure is not known; `notes` say why.
    columns : DataFrame, one row per column
        See `column_errors`.
    pairs : DataFrame, one row per pair of columns
        See `pair_errors`.
    notes : tuple of str
        What was skipped, sampled or left out, and why.
    facts : mapping
        Rows of each table, target, task, seed and version.

    Examples
    --------
    ``report["c2st_gbm"]`` is the value of a metric.
    """

    frame: pd.DataFrame
    columns: pd.DataFrame
    pairs: pd.DataFrame
    notes: tuple[str, ...]
    facts: Mapping[str, Any]

    def __getitem__(self, metric: str) -> float:
        """Give the value of a metric by its name."""
        found = self.frame.loc[self.frame["metric"] == metric, "value"]
        if not len(found):
            raise KeyError(f"The report has no metric {metric!r}. It has: {', '.join(self.frame['metric'])}.")
        return float(found.iloc[0])

    def __str__(self) -> str:
        return self.frame[["metric", "value", "low", "high", "ceiling", "floor"]].to_string(index=False)

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the plots as plain values; NaN becomes None."""
        return {
            "schema": SCHEMA,
            **self.facts,
            "metrics": _records(self.frame),
            "columns": _records(self.columns),
            "pairs": _records(self.pairs),
            "notes": list(self.notes),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Give the report as strict JSON, and write it to `path` if given."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn rows into dicts of JSON values."""
    return [dict(zip(frame.columns, _plain(row), strict=True)) for row in frame.itertuples(index=False)]


def _plain(values: Iterable[Any]) -> list[Any]:
    """Turn cells into JSON values; names that JSON has no type for become text."""
    plain: list[Any] = []
    for value in values:
        if isinstance(value, float):
            plain.append(None if math.isnan(value) else value)
        else:
            plain.append(value if isinstance(value, str | int | bool) or value is None else str(value))
    return plain
