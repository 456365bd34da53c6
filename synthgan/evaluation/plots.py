"""The pictures of the report: histograms and training curves as small SVG images.

Arrays enter, data URIs leave. No text from the data is drawn (names and
categories are set by the page, as text), no global state of matplotlib.pyplot
is used.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from synthgan.evaluation.profiles import Histogram

__all__ = ["PHASE_COLOURS", "REAL", "STYLE", "SYNTHETIC", "draw_curves", "draw_histogram"]

REAL = "#aebfd0"  # a pale fill against a strong line: told apart without colours, too
SYNTHETIC = "#d55e00"
PHASE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito (2008)
_INK = "#555"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "synthgan",  # equal figures, equal bytes
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.edgecolor": "#bbb",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": _INK,
    "text.usetex": False,
    "path.simplify": True,
}
_DURATIONS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def draw_histogram(histogram: Histogram) -> str:
    """Draw both distributions over the same bins, real as an area, synthetic as a line."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(4.0, 1.7)
        edges = _place(histogram.edges, axes)
        axes.stairs(histogram.real, edges, fill=True, color=REAL)
        axes.stairs(histogram.synthetic, edges, color=SYNTHETIC, linewidth=1.3)
        shares = np.concatenate([histogram.real, histogram.synthetic])
        shown = shares[shares > 0]
        if len(shown) > 4 and shown.max() > 30 * np.median(shown):  # a spike that would flatten all else
            axes.set_yscale("log")
            axes.set_ylim(bottom=shown.min() / 2, top=min(2.0, 2 * shown.max()))
            axes.minorticks_off()
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.margins(x=0.01)
        return _as_uri(figure)


def draw_curves(curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], str]], x_label: str) -> str:
    """Draw training curves, each given as x, y and colour."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(4.0, 1.9)
        for x, y, colour in curves:
            axes.plot(x, y, color=colour, linewidth=1.2, marker="o" if len(x) == 1 else None, markersize=3)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return _as_uri(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure of a size in inches that belongs to no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _place(edges: NDArray[Any], axes: Axes) -> NDArray[np.float64]:
    """Turn bin edges into places on the x axis, and label the axis to suit."""
    if edges.dtype.kind == "M":
        locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        return np.asarray(date2num(edges), dtype=np.float64)  # type: ignore[no-untyped-call]
    between_integers = edges.dtype.kind == "f" and np.all(edges % 1 == 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=bool(between_integers)))
    if edges.dtype.kind == "m":
        seconds = edges / np.timedelta64(1, "s")
        size, unit = next((s for s in _DURATIONS if np.abs(seconds).max() >= 2 * s[0]), _DURATIONS[-1])
        axes.set_xlabel(unit)
        return np.asarray(seconds / size, dtype=np.float64)
    if np.abs(edges).max() >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    return edges.astype(np.float64)


def _as_uri(figure: Figure) -> str:
    """Write a figure as an SVG image inside a data URI."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
