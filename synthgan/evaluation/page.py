"""The report as one HTML page: what the template shows, computed.

A `Report` enters, the text of a page leaves. It holds no script and asks for
nothing from outside; names and categories are escaped by the template.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd

from synthgan.evaluation import plots
from synthgan.evaluation.answers import show
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.profiles import Bars, Histogram

if TYPE_CHECKING:
    from synthgan.evaluation.report import Report

__all__ = ["render"]

_MAX_CARDS = 40  # columns that get a picture, the worst first
_MAX_CELLS = 30  # columns of the heat map, the worst first
_MAX_CURVES = 16
_CHANCE = {"AUC": 0.5, "macro AUC": 0.5, "R2": 0.0}  # where the scale of a score begins
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
    start, end = (0.0, max([1e-9, *known])) if units == "ratio" else (min([_CHANCE[units], *known]), 1.0)
    place = {name: 2 + 96 * (figure - start) / (end - start) for name, figure in figures.items()}
    return {
        "name": metric.name,
        "title": metric.title,
        "family": metric.family,
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
        yield {"label": f"{n_more:,} more", "widths": None, "text": text}


def _heat_map(report: Report) -> dict[str, Any] | None:
    """Give the errors of the pairs as a square of coloured cells."""
    pairs = report.pairs.dropna(subset=["error"])
    if not len(pairs):
        return None
    errors: dict[Hashable, dict[Hashable, float]] = defaultdict(dict)
    for first, second, error in zip(pairs["first"], pairs["second"], pairs["error"], strict=True):
        errors[first][second] = errors[second][first] = error
    mean = {name: float(np.mean(list(found.values()))) for name, found in errors.items()}
    shown = set(sorted(mean, key=lambda name: -mean[name])[:_MAX_CELLS])
    names = [name for name in report.columns["column"] if name in shown]
    top = float(pairs["error"].max()) or 1.0
    rows = []
    for first in names:
        cells = [_cell(errors[first].get(second), top, f"{first} and {second}") for second in names]
        rows.append({"name": str(first), "mean": show(mean[first], "ratio"), "cells": cells})
    worst = pairs.sort_values("error", ascending=False, kind="stable").head(5)
    return {
        "rows": rows,
        "hidden": len(mean) - len(names),
        "top": show(top, "ratio"),
        "ramp": [_colour(k / 10) for k in range(11)],
        "worst": [
            (str(row["first"]), str(row["second"]), show(row["error"], "ratio"))
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
