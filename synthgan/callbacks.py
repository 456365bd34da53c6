"""Watching a training: what is called at each interval of `fit`, and may stop it.

>>> from synthgan import TabularGAN                                                    # doctest: +SKIP
>>> TabularGAN().fit(real, callbacks=[EarlyStopping("diversity", goal="rise")])        # doctest: +SKIP

Anything with a method ``on_interval(state)`` is a callback.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from synthgan.errors import ParameterError
from synthgan.params import Choice, Interval, check_parameter

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "MLflow", "TensorBoard", "TrainingState"]


@dataclass(frozen=True)
class TrainingState:
    """A training at one of its intervals, as callbacks see it.

    Parameters
    ----------
    phase : str
        Part of the training: "autoencoder" and then "gan" in `TabularGAN`.
    step, n_steps : int
        Steps done in this phase, and how many it has at most.
    seconds : float
        Since `fit` began to train; time before a resumed checkpoint counts.
    measures : dict of str to float
        What was measured now, by the names of the columns of `history_`.
    stop : callable () -> None
        End this phase after the present step. Those that come after it follow.
    save : callable (path) -> None
        Write a checkpoint, from which ``fit(X, checkpoint=path, resume=True)`` goes on.
    """

    phase: str
    step: int
    n_steps: int
    seconds: float
    measures: Mapping[str, float]
    stop: Callable[[], None]
    save: Callable[[str | Path], None]


class Callback(Protocol):
    """What `fit` accepts in `callbacks`."""

    def on_interval(self, state: TrainingState) -> None:
        """Look at the training; 24 times in each phase."""


class EarlyStopping:
    """End a phase when a measure gets no better any more.

    Parameters
    ----------
    measure : str
        A column of `history_`, for example "heldout_loss". Phases that do not measure it are left alone.
    goal : "fall" or "rise", default "fall"
        What counts as better.
    patience : int >= 1, default 3
        How many intervals in a row without a better value end the phase.
    min_change : float >= 0, default 0
        By how much a value must be better to count.
    """

    def __init__(
        self,
        measure: str,
        *,
        goal: Literal["fall", "rise"] = "fall",
        patience: int = 3,
        min_change: float = 0.0,
    ) -> None:
        check_parameter("EarlyStopping", "goal", goal, (Choice(("fall", "rise")),))
        check_parameter("EarlyStopping", "patience", patience, (Interval(int, 1),))
        check_parameter("EarlyStopping", "min_change", min_change, (Interval(float, 0),))
        self.measure, self.goal, self.patience, self.min_change = measure, goal, patience, min_change
        self._seen: tuple[str, int, int, float] | None = None  # the last interval of a phase that goes on
        self._best, self._since = math.inf, 0

    def on_interval(self, state: TrainingState) -> None:
        """Compare with the best value of the phase so far."""
        if self.measure not in state.measures:
            return
        if not self._goes_on(state):  # another phase, or another fit
            self._best, self._since = math.inf, 0
        self._seen = state.phase, state.n_steps, state.step, state.seconds
        value = state.measures[self.measure] * (1 if self.goal == "fall" else -1)
        if value < self._best - self.min_change:
            self._best, self._since = value, 0
        else:
            self._since += 1
        if self._since >= self.patience:
            state.stop()
            self._seen = None

    def _goes_on(self, state: TrainingState) -> bool:
        """Tell whether an interval follows the one seen last, in the same phase of the same fit."""
        if self._seen is None:
            return False
        phase, n_steps, step, seconds = self._seen
        is_same = (state.phase, state.n_steps) == (phase, n_steps)
        return is_same and state.step > step and state.seconds >= seconds


class Checkpoint:
    """Write a checkpoint, as ``fit(checkpoint=path)`` does, but not at each interval.

    Parameters
    ----------
    path : str or Path
        Replaced in one step each time.
    every_seconds : float >= 0, default 60
        Least time between two of them.
    """

    def __init__(self, path: str | Path, *, every_seconds: float = 60.0) -> None:
        check_parameter("Checkpoint", "every_seconds", every_seconds, (Interval(float, 0),))
        self.path, self.every_seconds = path, every_seconds
        self._last = -math.inf

    def on_interval(self, state: TrainingState) -> None:
        """Write one if it is time."""
        if time.monotonic() - self._last >= self.every_seconds:
            state.save(self.path)
            self._last = time.monotonic()


class TensorBoard:
    """Write the curves for TensorBoard, as ``phase/measure``; needs ``pip install tensorboard``.

    Parameters
    ----------
    folder : str or Path
        Where the event files go; `tensorboard --logdir folder` shows them.
    """

    def __init__(self, folder: str | Path) -> None:
        writer = _imported("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer = writer(log_dir=str(folder))

    def on_interval(self, state: TrainingState) -> None:
        """Write one point of each curve."""
        for name, value in state.measures.items():
            self._writer.add_scalar(f"{state.phase}/{name}", value, state.step)
        self._writer.flush()


class MLflow:
    """Log the curves to the active MLflow run, as ``phase.measure``; needs ``pip install mlflow``.

    Where none is active, MLflow begins one, which stays active after the training: wrap `fit` in
    ``with mlflow.start_run():``. If MLflow fails, a warning says so and the training goes on without it.
    """

    def __init__(self) -> None:
        self._mlflow = _imported("mlflow", "mlflow")
        self._failed = False

    def on_interval(self, state: TrainingState) -> None:
        """Log one point of each curve."""
        if self._failed:  # a server that is gone costs minutes of tries each time
            return
        metrics = {f"{state.phase}.{name}": value for name, value in state.measures.items()}
        try:
            self._mlflow.log_metrics(metrics, step=state.step)
        except Exception as error:  # a service, a database or a disk: each has errors of its own
            self._failed = True
            warnings.warn(
                f"MLflow takes no more points of the curves: {error} The training goes on, and history_ "
                "will have them all.",
                stacklevel=2,
            )


def _imported(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ParameterError(f"This callback needs the package {package}: pip install {package}") from error


def check_callbacks(callbacks: Any) -> None:
    """Refuse what is no sequence of callbacks."""
    try:
        wrong = [one for one in callbacks if not callable(getattr(one, "on_interval", None))]
    except TypeError:
        wrong = [callbacks]
    if wrong:
        raise ParameterError(
            "callbacks must be a list of objects with a method on_interval(state). Got "
            f"{type(wrong[0]).__name__}."
        )
