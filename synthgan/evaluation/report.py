"""What an evaluation found: one frozen object, readable by people and machines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pandas as pd

from synthgan.errors import quantity
from synthgan.evaluation.answers import Answer, answer_all, show
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.profiles import Profile
from synthgan.io import atomic_write

__all__ = ["SCHEMA", "Report"]

SCHEMA = "synthgan-report/2"
"""The version of the JSON: a key may be added within a version, never changed."""

_ESCAPED = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]()#+!|<>~$"} | {"\n": " ", "\r": " "})


@dataclass(frozen=True, eq=False)
class Report:
    """The result of `evaluate`.

    ``report["c2st_gbm"]`` is the value of a metric, ``print(report)`` a short
    table, ``report.frame`` the whole one.

    Parameters
    ----------
    frame : DataFrame, one row per metric
        ``metric``, ``family`` ("fidelity", "utility", "privacy"), ``value`` with
        its 95 % interval ``low`` and ``high``, ``ceiling`` (the holdout in the
        role of the synthetic table; TRTR for utility), ``floor`` (independent
        columns), ``best``, ``direction`` ("lower", "higher", "match": like the
        ceiling), ``units``, ``source``. NaN where a figure is not known or no
        honest interval exists.
    details : mapping of name to DataFrame
        "columns" (see `column_errors`) and "pairs" (`association_errors`)
        always; of the parts that were measured "models" (`utility_table`),
        "membership" (`membership_attacks`), "attributes"
        (`attribute_inference`), "singling out" (`singling_out`), "copies"
        (`copied_records`) and "augmentation" (`augmentation_lift`).
    notes : tuple of str
        What was skipped, sampled or left out, and why.
    facts : mapping
        Rows of each table, number of columns, target, task, parts, seed; under
        "privacy" the verdict with the threat model and the power of the attacks.
    profiles : tuple of Profile
        The distributions that `to_html` draws.
    """

    frame: pd.DataFrame
    details: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]
    profiles: tuple[Profile, ...] = field(repr=False)

    def __getitem__(self, metric: str) -> float:
        """Give the value of a metric by its name."""
        found = self.frame.loc[self.frame["metric"] == metric, "value"]
        if not len(found):
            raise KeyError(f"The report has no metric {metric!r}. It has: {', '.join(self.frame['metric'])}.")
        return float(found.iloc[0])

    @property
    def columns(self) -> pd.DataFrame:
        """Give the figures of each column."""
        return self.details["columns"]

    @property
    def pairs(self) -> pd.DataFrame:
        """Give the figures of each pair of columns."""
        return self.details["pairs"]

    @property
    def answers(self) -> tuple[Answer, Answer, Answer]:
        """Say whether the table looks like the data, works like it, leaks it."""
        return answer_all(self.frame, self.facts)

    def __str__(self) -> str:
        cells = [["", "value", "95 % interval", "ceiling", "floor", "best"], *_cells(self.headlines())]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [self.headline()]
        for row in cells:
            aligned = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            lines.append("  ".join([row[0].ljust(widths[0]), *aligned]).rstrip())
        for answer in self.answers:
            lines.append(f"{answer.question} {answer.verdict}.")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def headlines(self) -> pd.DataFrame:
        """Give the rows of the metrics that a reader needs first."""
        return self.frame[[METRICS[name].headline for name in self.frame["metric"]]]

    def headline(self) -> str:
        """Say in a line what was compared."""
        rows = ", ".join(
            f"{count:,} {role}" for role, count in self.facts["rows"].items() if role != "ceiling"
        )
        target = "" if self.facts["target"] is None else f", target {self.facts['target']!r}"
        return f"{rows} rows, {quantity(self.facts['n_columns'], 'column')}{target}"

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the plots as plain values; NaN becomes None."""
        return {
            "schema": SCHEMA,
            **_plain(self.facts),
            "metrics": _records(self.frame),
            **{name.replace(" ", "_"): _records(table) for name, table in self.details.items()},
            "notes": list(self.notes),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Give the report as strict JSON, and write it to `path` if given.

        Column names that are neither text nor numbers become text.
        """
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
        if path is not None:
            atomic_write(path, text.encode())
        return text

    def to_markdown(self) -> str:
        """Give answers, metrics, worst columns and notes as Markdown, for a pull request."""
        lines = [f"**{_escape(self.headline())}**", ""]
        for answer in self.answers:
            lines += [f"- **{answer.question}** {answer.verdict}. {_escape(answer.text)}"]
        lines += [
            "",
            "| metric | value | 95 % interval | ceiling | floor | best |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        lines += [f"| {' | '.join(row)} |" for row in _cells(self.frame)]
        worst = self.columns.sort_values("error", ascending=False, kind="stable").head(5)
        named = (
            f"{_escape(str(n))} {show(e, 'ratio')}"
            for n, e in zip(worst["column"], worst["error"], strict=True)
        )
        lines += ["", f"Worst columns: {', '.join(named)}.", *(f"\n> {_escape(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def to_html(self, path: str | Path, history: pd.DataFrame | None = None) -> None:
        """Write one self-contained page: no script, no request, all names escaped.

        Parameters
        ----------
        path : str or Path
            The file; written completely or not at all.
        history : DataFrame, optional
            Training curves: a column "seconds" or "step", perhaps "phase", and
            a curve for each further numeric column.
        """
        from synthgan.evaluation.page import render  # matplotlib and jinja2 load only where a page is wanted

        atomic_write(path, render(self, history).encode())


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    """Write each metric as a row of text: name, value, interval, ceiling, floor, best."""
    rows = []
    for row in frame.to_dict("records"):
        figures = ("value", "low", "high", "ceiling", "floor", "best")
        value, low, high, *references = (show(row[name], row["units"]) for name in figures)
        interval = "-" if low == "-" else f"{low.removesuffix(' %')} to {high}"
        rows.append([row["metric"], value, interval, *references])
    return rows


def _escape(text: str) -> str:
    """Make untrusted text plain in Markdown."""
    return text.translate(_ESCAPED)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn rows into dicts of JSON values."""
    return [
        {name: _plain(value) for name, value in zip(frame.columns, row, strict=True)}
        for row in frame.itertuples(index=False)
    ]


def _plain(value: Any) -> Any:
    """Turn a value into one of JSON; names that JSON has no type for become text, NaN becomes None."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value) if math.isfinite(value) else None
    return str(value)
