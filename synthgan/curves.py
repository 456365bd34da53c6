"""Pictures of a training: what `history_` holds, one panel for each thing that was measured.

A fitted synthesizer or its history enters, a figure leaves. It belongs to no window, and no state of
matplotlib.pyplot is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthgan.errors import DataError, ParameterError
from synthgan.evaluation.plots import PHASE_COLOURS, STYLE
from synthgan.io import atomic_write

__all__ = ["plot_history"]

_FORMATS = ("png", "svg", "pdf")
_CLOCKS = ("phase", "step", "seconds", "rate")  # columns of a history that say where it was, not how good
_COLUMNS, _WIDTH, _HEIGHT = 3, 3.1, 2.1  # panels in a row, and the size of one in inches
_INK, _GRID = "#999", "#eee"  # of what is no curve


class Group(NamedTuple):
    """Measures that share a panel, by the names of their columns.

    Parameters
    ----------
    title : str
    labels : dict of str to str
        Column of the history to what its line is called.
    """

    title: str
    labels: dict[str, str]


class Panel(NamedTuple):
    """One panel: a group of measures in one phase.

    Parameters
    ----------
    phase : str
    group : Group
        Of the measures that were taken.
    steps : float64 array of shape (n,)
    curves : dict of str to float64 array of shape (n,)
        By the names of their columns; NaN where there is no finite value.
    went_back : float64 array of shape (k,)
        Steps after which the training diverged and was put back; 0 is the start of the phase.
    """

    phase: str
    group: Group
    steps: NDArray[np.float64]
    curves: dict[str, NDArray[np.float64]]
    went_back: NDArray[np.float64]


_GROUPS = (
    Group(
        "loss, nats",
        {"loss": "training", "heldout_loss": "held-out rows", "reconstruction": "from z alone"},
    ),
    Group("losses of the players", {"critic_loss": "critic", "generator_loss": "generator"}),
    Group("condition loss, nats", {"condition_loss": ""}),
    Group("Wasserstein distance", {"wasserstein": ""}),
    Group("norm of the critic's gradient", {"gradient_norm": ""}),
    Group("diversity", {"diversity": ""}),
)


def plot_history(model_or_history: Any, path: str | Path | None = None) -> Figure:
    """Draw the curves of a training, one panel for each phase and kind of measure.

    What belongs together shares a panel: the loss and that of held-out rows, the two players' losses. The
    norm of the critic's gradient stands on a logarithmic scale beside 1, the aim of WGAN-GP, and diversity
    on one from 0 to 1. Measures of other names get panels of their own. What is missing or infinite is a
    gap. A dotted line marks where the training diverged and was put back, if a column ``rate`` tells so.

    Parameters
    ----------
    model_or_history : fitted synthesizer or DataFrame
        Its ``history_``, or one: the measures, and of ``phase`` and ``step`` what there is.
    path : str or Path, optional
        A file to write, whose ending says in what form: .png, .svg or .pdf.

    Returns
    -------
    Figure
        Shown by a notebook as it is; ``figure.savefig`` writes more files.

    Raises
    ------
    DataError
        If the history holds no measurement, or the file cannot be written.
    ParameterError
        If the model keeps no history, or `path` ends otherwise.
    sklearn.exceptions.NotFittedError
        If the model has not been fitted.

    Examples
    --------
    >>> history = pd.DataFrame({"step": [1, 2], "wasserstein": [0.9, 0.2], "gradient_norm": [1.4, 1.0]})
    >>> [axes.get_title(loc="left") for axes in plot_history(history).axes]
    ['Wasserstein distance', "norm of the critic's gradient"]
    """
    ending = Path(path).suffix.lower().removeprefix(".") if path is not None else "png"
    if ending not in _FORMATS:
        raise ParameterError(
            f"The file of plot_history must end in .png, .svg or .pdf. Got {Path(path or '').name!r}."
        )
    panels = list(_panels(_history_of(model_or_history)))
    if not panels:
        raise DataError(
            "The history holds no finite measurement to draw: the training ended before its first interval."
        )
    with mpl.rc_context(STYLE):
        figure = _draw(panels)
        if path is not None:
            buffer = BytesIO()
            figure.savefig(buffer, format=ending, dpi=160, metadata=_undated(ending))
            atomic_write(path, buffer.getvalue())
    return figure


def _history_of(model_or_history: Any) -> pd.DataFrame:
    """Give the history of a model, or what is one."""
    if isinstance(model_or_history, pd.DataFrame):
        return model_or_history
    if isinstance(model_or_history, BaseEstimator):
        check_is_fitted(model_or_history)
    history = getattr(model_or_history, "history_", None)
    if not isinstance(history, pd.DataFrame):
        raise ParameterError(
            "plot_history draws a fitted synthesizer that keeps a history_, or a DataFrame. Got "
            f"{type(model_or_history).__name__}, which has none."
        )
    return history


def _panels(history: pd.DataFrame) -> Iterator[Panel]:
    """Give what there is to draw, phase by phase, in the order of the groups."""
    phases = history["phase"].astype(str) if "phase" in history else pd.Series("", index=history.index)
    rate = _numbers(history["rate"]) if "rate" in history else np.ones(len(history))
    fell = np.diff(rate, prepend=1.0) < 0  # a phase begins at the rate at which the one before it has ended
    for phase in phases.unique():
        is_here = (phases == phase).to_numpy()
        lines = history[is_here]
        steps = _numbers(lines["step"]) if "step" in lines else np.arange(1.0, len(lines) + 1)
        curves = {str(name): _numbers(lines[name]) for name in lines if name not in _CLOCKS}
        curves = {name: y for name, y in curves.items() if np.isfinite(y).any()}
        went_back = np.append(0.0, steps)[:-1][fell[is_here]]
        for group in _groups(list(curves)):
            yield Panel(phase, group, steps, {name: curves[name] for name in group.labels}, went_back)


def _groups(names: list[str]) -> list[Group]:
    """Share out the measures that there are; the unknown ones get a group each."""
    known = [Group(title, {k: v for k, v in labels.items() if k in names}) for title, labels in _GROUPS]
    grouped = {name for group in known for name in group.labels}
    others = [Group(name.replace("_", " "), {name: ""}) for name in names if name not in grouped]
    return [group for group in known if group.labels] + others


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Read a column as floats; NaN where there is no finite number."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _draw(panels: list[Panel]) -> Figure:
    """Lay the panels out, row by row."""
    phases = list(dict.fromkeys(panel.phase for panel in panels))
    n_columns = min(_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(n_columns * _WIDTH, n_rows * _HEIGHT), layout="constrained")
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(n_rows, n_columns, k + 1)
        _draw_panel(axes, panel, phases.index(panel.phase))
    return figure


def _draw_panel(axes: Axes, panel: Panel, n_phases_before: int) -> None:
    """Draw one panel; its first curve has the colour of the phase."""
    for k, (name, y) in enumerate(panel.curves.items()):
        colour = PHASE_COLOURS[(n_phases_before + 2 * k) % len(PHASE_COLOURS)]
        label = panel.group.labels[name] or None
        axes.plot(panel.steps, y, color=colour, linewidth=1.3, marker="o", markersize=2, label=label)
    _scale(axes, panel.group)
    for k, step in enumerate(panel.went_back):
        axes.axvline(step, color=_INK, linewidth=0.9, linestyle=":", label=None if k else "went back")
    axes.set_title(panel.group.title, loc="left", fontweight="bold", pad=15)
    axes.set_xlabel(f"step of the {panel.phase} phase" if panel.phase else "step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(  # between title and axes, where it hides no curve
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=4,
            frameon=False,
            borderpad=0,
            borderaxespad=0.2,
            columnspacing=1.2,
            handlelength=1.2,
            handletextpad=0.5,
            fontsize=7,
        )


def _scale(axes: Axes, group: Group) -> None:
    """Give the vertical axis the range that its measure is read on."""
    if "diversity" in group.labels:
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    elif "gradient_norm" in group.labels:
        _mark(axes, 1, "aim of WGAN-GP")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.09, low), max(11, high))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    if "wasserstein" in group.labels:
        _mark(axes, 0, None)


def _mark(axes: Axes, y: float, label: str | None) -> None:
    """Draw a value to compare with."""
    axes.axhline(y, color=_INK, linewidth=0.9, linestyle="--", zorder=1, label=label)


def _undated(ending: str) -> dict[str, None]:
    """Leave out what differs between two files of equal curves."""
    return {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}.get(
        ending, {"CreationDate": None}
    )
