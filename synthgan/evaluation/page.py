"""The report as one HTML page: what the template shows, computed.

A `Report` enters, the text of a page leaves. It holds no script and asks for
nothing from outside; names and categories are escaped by the template.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd

from synthgan.errors import quantity
from synthgan.evaluation import plots
from synthgan.evaluation.answers import show
from synthgan.evaluation.metrics import FAMILIES, METRICS
from synthgan.evaluation.profiles import Bars, Histogram

if TYPE_CHECKING:
    from synthgan.evaluation.report import Report

__all__ = ["render"]

_MAX_CARDS = 40  # columns that get a picture, the worst first
_MAX_CELLS = 30  # columns of the heat map, the worst first
_MAX_CURVES = 16
_CHANCE = {"AUC": 0.5, "macro AUC": 0.5, "R2": 0.0}  # where the scale of a score begins; it ends at 1
_PALE, _DARK = np.array([247, 249, 251]), np.array([8, 69, 126])


def render(report: Report, history: pd.DataFrame | None = None) -> str:
    """Make the page.

    Parameters
    ----------
    report : Report
    history : DataFrame, optional
        See `Report.to_html`.

    Returns
    -------
    str
        A complete HTML document.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("synthgan.evaluation", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        report=report,
        metrics=[_metric(row) for row in report.frame.to_dict("records")],
        families=[family for family in FAMILIES if family in report.facts["parts"]],
        tables=list(_tables(report)),
        cards=_cards(report),
        n_hidden=max(0, len(report.columns) - _MAX_CARDS),
        map=_heat_map(report),
        curves=[] if history is None else list(_curves(history)),
        phases=[] if history is None else _phases(history),
        colours={"real": plots.REAL, "synthetic": plots.SYNTHETIC},
    )


def _metric(row: dict[Hashable, Any]) -> dict[str, Any]:
    """Give a metric as text, with the places of its marks on a scale from 0 to 100."""
    metric, units = METRICS[row["metric"]], row["units"]
    figures = {name: row[name] for name in ("value", "low", "high", "ceiling", "floor")}
    known = [figure for figure in figures.values() if not np.isnan(figure)]
    start, end = min([_CHANCE.get(units, 0.0), *known]), 1.0 if units in _CHANCE else max([1e-9, *known])
    place = {name: 2 + 96 * (figure - start) / (end - start) for name, figure in figures.items()}
    return {
        "name": metric.name,
        "title": metric.title,
        "family": metric.family,
        "headline": metric.headline,
        "better": {
            "lower": "lower is better",
            "higher": "higher is better",
            "match": "like the ceiling is best",
        }[metric.direction],
        "source": metric.source,
        "text": {name: show(figure, units) for name, figure in figures.items()},
        "place": {name: None if np.isnan(at) else round(at, 2) for name, at in place.items()},
        "ends": (show(start, units), show(end, units)),
    }


def _tables(report: Report) -> Iterator[dict[str, Any]]:
    """Give the tables of models, attacks and augmentation as titles and rows of text."""
    for name, (title, text, columns) in _DETAILS.items():
        table = report.details.get(name)
        if name == "membership" and "threat_model" in report.facts.get("privacy", {}):
            text = f"{report.facts['privacy']['threat_model']} {text}"
        if table is not None and len(table):
            rows = [[write(row) for write in columns.values()] for row in table.to_dict("records")]
            words = {k for k, write in enumerate(columns.values()) if isinstance(write, _Text)}
            yield {"title": title, "text": text, "titles": list(columns), "rows": rows, "words": words}


Cell = Callable[[dict[Hashable, Any]], str]


@dataclass(frozen=True)
class _Text:
    """Writes a cell as it is: a word, which stands on the left of its column."""

    name: str

    def __call__(self, row: dict[Hashable, Any]) -> str:
        return str(row[self.name])


def _count(name: str) -> Cell:
    return lambda row: f"{row[name]:,}"


def _figure(name: str, units: str = "") -> Cell:
    """Write a figure in the units given, or in those of the row."""
    return lambda row: show(row[name], units or row["units"])


def _ranged(name: str, units: str = "", low: str = "", high: str = "") -> Cell:
    """Write a figure with its interval."""

    def write(row: dict[Hashable, Any]) -> str:
        ends = row[low or f"{name}_low"], row[high or f"{name}_high"]
        figures = [show(figure, units or row["units"]) for figure in (row[name], *ends)]
        if figures[1] == "-":
            return figures[0]
        return f"{figures[0]} ({figures[1].removesuffix(' %')} to {figures[2].removesuffix(' %')})"

    return write


def _p(row: dict[Hashable, Any]) -> str:
    """Write a p-value."""
    if np.isnan(row["p"]):
        return "-"
    return "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"


_RATES: dict[str, Cell] = {
    "real": _ranged("main", "ratio"),
    "holdout": _ranged("control", "ratio"),
}
_DETAILS: dict[str, tuple[str, str, dict[str, Cell]]] = {
    "models": (
        "Models",
        "Each model, trained on one table and tested on another, with its score and 95 % interval.",
        {
            "model": _Text("model"),
            "trained on": _Text("train"),
            "tested on": _Text("test"),
            "score": _ranged("score", low="low", high="high"),
            "in": _Text("units"),
            "second score": _figure("second", "plain"),
            "in ": _Text("second_units"),
        },
    ),
    "augmentation": (
        "Augmentation",
        "The same model trained on the real rows and on what is added to them, tested on the holdout; lift "
        "is the difference to the real rows alone.",
        {
            "trained on": _Text("strategy"),
            "metric": _Text("metric"),
            "score": _figure("score", "plain"),
            "lift": _ranged("lift", "plain", low="low", high="high"),
            "verdict": _Text("verdict"),
        },
    ),
    "membership": (
        "Attacks on membership",
        "Each attack scores real and holdout records by the synthetic table; a table that tells nothing "
        "about who was in the real one gives an AUC of 0.5. p is corrected for all tests of this table; a "
        "leak is found at 0.01.",
        {
            "attack": _Text("attack"),
            "records": _Text("records"),
            "members": _count("n_members"),
            "others": _count("n_others"),
            "AUC": _ranged("auc", "AUC"),
            "found at 1 % false": _ranged("tpr_at_0.01", "ratio"),
            "at 0.1 % false": _ranged("tpr_at_0.001", "ratio"),
            "p": _p,
        },
    ),
    "attributes": (
        "Guessing a cell from the others",
        "How often the nearest synthetic rows give away a cell of a record whose other cells are known. Only "
        "what real records have over holdout records is a leak.",
        {
            "column": _Text("secret"),
            **_RATES,
            "one guess for all": _figure("baseline", "ratio"),
            "excess": _ranged("excess", "ratio"),
            "p": _p,
        },
    ),
    "singling out": (
        "Singling out",
        "How often conditions that fit exactly one synthetic row fit exactly one record. Only what real "
        "records have over holdout records is a leak.",
        {
            "columns": _count("n_columns"),
            "conditions": _count("n_predicates"),
            **_RATES,
            "independent": _figure("baseline", "ratio"),
            "excess": _ranged("excess", "ratio"),
            "p": _p,
        },
    ),
    "copies": (
        "Copied records",
        "The share of records that have a copy among the synthetic rows.",
        {"copy": _Text("copy"), **_RATES, "p": _p},
    ),
}
"""Title, explanation and columns of each table of detail."""


def _cards(report: Report) -> list[dict[str, Any]]:
    """Give each column as text and a picture, the worst first."""
    profiles = {profile.name: profile.shape for profile in report.profiles}
    worst = report.columns.sort_values("error", ascending=False, kind="stable").head(_MAX_CARDS)
    cards = []
    for row in worst.to_dict("records"):
        shape, missing = profiles[row["column"]], (row["missing_real"], row["missing_synthetic"])
        card = {
            "name": str(row["column"]),
            "kind": row["kind"],
            "error": show(row["error"], "ratio"),
            "missing": [show(share, "ratio") for share in missing] if any(missing) else None,
            "bars": list(_bars(shape)) if isinstance(shape, Bars) else None,
            "image": plots.draw_histogram(shape) if isinstance(shape, Histogram) else None,
        }
        cards.append(card)
    return cards


def _bars(shape: Bars) -> Iterator[dict[str, Any]]:
    """Give each category with the widths of its bars in percent of the longest; pooled ones have none."""
    longest = max([1e-9, *shape.real, *shape.synthetic])
    for label, real, synthetic in zip(shape.labels, shape.real, shape.synthetic, strict=True):
        widths = [round(100 * share / longest, 2) for share in (real, synthetic)]
        yield {"label": label, "widths": widths, "text": f"{100 * real:.1f} / {100 * synthetic:.1f}"}
    n_more, real, synthetic = shape.rest
    if n_more:
        text = f"{100 * real:.1f} / {100 * synthetic:.1f}"
        label = f"{n_more:,} more" if shape.labels else quantity(n_more, "rare value")
        yield {"label": label, "widths": None, "text": text}


def _heat_map(report: Report) -> dict[str, Any] | None:
    """Give the errors of the pairs, whose mean is `trend_error_shared`, as a square of coloured cells."""
    pairs = report.pairs.dropna(subset=["error_shared"])
    if not len(pairs):
        return None
    errors: dict[Hashable, dict[Hashable, float]] = defaultdict(dict)
    for first, second, error in zip(pairs["first"], pairs["second"], pairs["error_shared"], strict=True):
        errors[first][second] = errors[second][first] = error
    mean = {name: float(np.mean(list(found.values()))) for name, found in errors.items()}
    shown = set(sorted(mean, key=lambda name: -mean[name])[:_MAX_CELLS])
    names = [name for name in report.columns["column"] if name in shown]
    top = float(pairs["error_shared"].max()) or 1.0
    rows = []
    for first in names:
        cells = [_cell(errors[first].get(second), top, f"{first} and {second}") for second in names]
        rows.append({"name": str(first), "mean": show(mean[first], "ratio"), "cells": cells})
    worst = pairs.sort_values("error_shared", ascending=False, kind="stable").head(5)
    return {
        "rows": rows,
        "hidden": len(mean) - len(names),
        "top": show(top, "ratio"),
        "ramp": [_colour(k / 10) for k in range(11)],
        "worst": [
            (str(row["first"]), str(row["second"]), show(row["error_shared"], "ratio"))
            for row in worst.to_dict("records")
        ],
    }


def _cell(error: float | None, top: float, title: str) -> dict[str, str]:
    """Give one cell of the heat map."""
    if error is None:
        return {"text": "", "colour": "#fff", "ink": "#fff", "title": ""}
    text = f"{100 * error:.0f}" if error >= 0.0995 else f"{100 * error:.1f}"
    ink = "#fff" if error / top > 0.5 else "#223"
    return {
        "text": text,
        "colour": _colour(error / top),
        "ink": ink,
        "title": f"{title}: {show(error, 'ratio')}",
    }


def _colour(share: float) -> str:
    """Blend from pale to dark blue: one hue, so that only lightness tells."""
    red, green, blue = (_PALE + share * (_DARK - _PALE)).round().astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _phases(history: pd.DataFrame) -> list[tuple[str, str]]:
    """Give the phases of the training with their colours."""
    names = history["phase"].astype(str).unique() if "phase" in history else ["training"]
    return [(name, plots.PHASE_COLOURS[k % len(plots.PHASE_COLOURS)]) for k, name in enumerate(names)]


def _curves(history: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Draw each numeric column of the history against the time."""
    clock = next((name for name in ("seconds", "step") if name in history), None)
    x = history[clock].to_numpy(dtype=np.float64) if clock else np.arange(len(history), dtype=np.float64)
    phase = history["phase"].astype(str) if "phase" in history else pd.Series("training", index=history.index)
    numbers = history.drop(columns=["seconds", "step", "phase"], errors="ignore").select_dtypes("number")
    for name in list(numbers.columns)[:_MAX_CURVES]:
        y = numbers[name].to_numpy(dtype=np.float64, na_value=np.nan)
        lines = []
        for value, colour in _phases(history):
            rows = (phase == value).to_numpy() & np.isfinite(y) & np.isfinite(x)
            if rows.any():
                lines.append((x[rows], y[rows], colour))
        if lines:
            yield {"name": str(name), "image": plots.draw_curves(lines, clock or "row")}
