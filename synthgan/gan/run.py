"""What all training loops stand on: counting steps, recording, going back, stopping, going on later.

A loop asks `Run` for steps and tells it what it measures; the losses and the optimiser's steps are its
own. `Run` keeps the state of everything that changes, as it was at the last interval. That state is what a
training that diverged is put back to, and what a checkpoint holds.
"""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from synthgan.callbacks import Callback, TrainingState
from synthgan.errors import ModelFileError, TrainingDivergedError, listing
from synthgan.seeding import stream

__all__ = [
    "BestWeights",
    "HasState",
    "History",
    "MovingAverage",
    "Run",
    "Snapshot",
    "set_rate",
    "warm_linear",
]

History = list[dict[str, Any]]
"""One dict an interval, with at least ``phase``, ``step``, ``seconds`` since the start and ``rate``."""

Snapshot = dict[str, Any]
"""State of a training at the end of a step: nested dicts and lists of tensors, numbers and text."""

_INTERVALS = 24  # measurements in a phase
_MAX_ROLLBACKS = 3
_COLLAPSED = 0.5  # of the training table's cells: less than half of them have a code that is ever generated


class HasState(Protocol):
    """A network, an optimiser, an average: what changes while a network is trained."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state; it may share memory with what changes."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take over what `state_dict` has returned."""


class Run:
    """The training of one network: its random numbers, its history, and its way back.

    Parameters
    ----------
    network : Module
        All of what is trained, in whatever phases; part of every snapshot.
    seed : int >= 0
        The seed of the fit; two runs of equal seeds draw the same numbers.
    columns : sequence of hashables, optional
        Names of the columns of the encoded table, to say which of them a training diverged at.
    callbacks : iterable of Callback, optional
    save : callable (path, snapshot) -> None, optional
        Writes a checkpoint; without it, callbacks cannot.
    checkpoint : str or Path, optional
        Where a checkpoint is written at each interval.
    saved : Snapshot, optional
        Where to go on.
    verbose : bool, default False
        Whether to show a live line on stderr.

    Attributes
    ----------
    rng : torch Generator
        Source of all draws of the training.
    history : History
    rate : float in (0, 1]
        Factor on all learning rates, halved each time that the training diverged.
    interrupted : bool
        Whether the user pressed Ctrl-C: no steps follow.
    at_interval : bool
        Whether to measure after this step.
    """

    def __init__(
        self,
        network: nn.Module,
        seed: int,
        *,
        columns: Sequence[Hashable] = (),
        callbacks: Iterable[Callback] = (),
        save: Callable[[str | Path, Snapshot], None] | None = None,
        checkpoint: str | Path | None = None,
        saved: Snapshot | None = None,
        verbose: bool = False,
    ) -> None:
        self.network, self.seed, self.columns = network, seed, list(columns)
        self.rng = torch.Generator().manual_seed(int(stream(seed, "training").integers(2**62)))
        self.history: History = []
        self.rate = 1.0
        self.interrupted = self.at_interval = False
        self._callbacks, self._save, self._checkpoint = list(callbacks), save, checkpoint
        self._saved, self._verbose = saved, verbose
        self._phase = ""
        self._finished: list[str] = []
        self._start = time.perf_counter()
        if saved is not None:
            with _refused_if_it_does_not_fit():
                self._finished = list(saved["finished"])
                self._start -= saved["seconds"]

    def steps(
        self,
        phase: str,
        n_steps: int,
        parts: Mapping[str, HasState],
        max_seconds: float | None = None,
    ) -> Iterator[tuple[int, float]]:
        """Count the steps of a phase, and yield with each how far the phase has come, in (0, 1].

        Ends after `n_steps`, when `max_seconds` are over, when a callback says so or on Ctrl-C. A
        budget speeds the learning-rate schedule up, so that training always ends at a low rate.

        Parameters
        ----------
        phase : str
            Each phase of a run has a name of its own.
        n_steps : int >= 1
        parts : dict of str to HasState
            What changes beside the network: optimisers, averages.
        max_seconds : float, optional
        """
        if phase in self._finished:  # in the run that is resumed: its weights are there
            assert self._saved is not None
            with _refused_if_it_does_not_fit():
                self.network.load_state_dict(_copied(self._saved["parts"]["network"]))
            return
        goes_on = self._ended_in(phase)
        if self.interrupted and not goes_on:
            return
        self._phase, self._n_steps, self._step, self._n_due = phase, n_steps, 0, 0
        self._parts: dict[str, HasState] = {"network": self.network, **parts}
        self._phase_start = time.perf_counter()
        self._stopped, self._n_rollbacks = False, 0
        self._by_column: Tensor | None = None
        if goes_on:
            self._go_on()
        self._remember()
        self._write_checkpoint()  # a path that cannot be written to is known before the training
        self._bar = tqdm(
            total=n_steps, initial=self._step, desc=f"{phase:>11}", disable=not self._verbose, unit="step"
        )
        with self._bar, self.interruptible():
            yield from self._count(n_steps, max_seconds)
        self._finished.append(phase)

    def _ended_in(self, phase: str) -> bool:
        """Tell whether a run is resumed that ended in this phase."""
        ended_in = None
        if self._saved is not None:
            with _refused_if_it_does_not_fit():
                ended_in = self._saved["phase"]
        return bool(phase == ended_in)

    def _go_on(self) -> None:
        """Take over the run that is resumed."""
        assert self._saved is not None
        with _refused_if_it_does_not_fit():
            self._put_back(self._saved)
            self.history = _copied(self._saved["history"])
            self._phase_start -= self._saved["phase_seconds"]

    def _count(self, n_steps: int, max_seconds: float | None) -> Iterator[tuple[int, float]]:
        while not (self._stopped or self._step >= n_steps):
            if self.interrupted:
                if self._is_finite():
                    self._remember()
                else:  # the next loss would tell
                    self._put_back_to_interval()
                self._write_checkpoint()
                return
            progress = (self._step + 1) / n_steps
            if max_seconds is not None:
                progress = max(progress, (time.perf_counter() - self._phase_start) / max_seconds)
            n_due = max((self._step + 1) * _INTERVALS // n_steps, int(progress * _INTERVALS))
            self.at_interval = progress >= 1 or n_due > self._n_due
            self._n_due = n_due
            self._went_back = False
            yield self._step, min(progress, 1.0)
            if self._went_back:
                continue
            self._step += 1
            self._bar.update()
            if (self._stopped or progress >= 1) and not self._is_finite():  # and no loss follows that tells
                self._go_back(f"weights of the {self._phase} phase are not finite after step {self._step:,}")
                continue
            if self.at_interval:
                self._end_interval()
            if progress >= 1:
                return

    def record(self, **measures: float) -> None:
        """Write down what was measured; the interval ends with the step."""
        seconds = time.perf_counter() - self._start
        line = {"phase": self._phase, "step": self._step + 1, "seconds": seconds, "rate": self.rate}
        self.history.append(line | measures)
        self._bar.set_postfix({name: f"{value:.3g}" for name, value in measures.items()})
        lately = [
            line["diversity"] for line in self.history if line["phase"] == self._phase and "diversity" in line
        ]
        if has_collapsed(lately) and not has_collapsed(lately[:-1]):
            warnings.warn(
                f"The generator reaches {lately[-1]:.0%} of the training table's categories and modes "
                f"at step {self._step + 1:,}: it lacks diversity (mode collapse). "
                "Lower generator_lr, raise pac_size, or set moment_weight where the model has it.",
                stacklevel=2,
            )

    @property
    def progress_text(self) -> str:
        """Say how far the run came, for a message."""
        if not self._phase:
            return "preparation, before the first step"
        return f"{self._phase} phase after {self._step:,} of {self._n_steps:,} steps"

    def stop(self) -> None:
        """End this phase after the present step."""
        self._stopped = True

    def is_lost(self, loss: Tensor, by_column: Tensor | None = None) -> bool:
        """Tell whether a loss is NaN or infinite; if so, put everything back to the last interval.

        The rates are halved then; the loop goes on with the next step. Also a gradient that is not
        finite comes to light here, since the next loss is not finite either.

        Parameters
        ----------
        loss : Tensor of shape ()
        by_column : Tensor of shape (b, g), optional
            Its parts for each column, to name those where it was highest.

        Raises
        ------
        TrainingDivergedError
            At the fourth time in a phase.
        """
        if torch.isfinite(loss):
            self._by_column = None if by_column is None else by_column.detach()
            return False
        self._go_back(f"loss of the {self._phase} phase is {float(loss.detach())} at step {self._step + 1:,}")
        return True

    def _go_back(self, found: str) -> None:
        """Put everything back to the last interval and halve the rates, unless it was done too often."""
        if self._n_rollbacks == _MAX_ROLLBACKS:
            raise TrainingDivergedError(
                f"Training diverged: the {found}, and so it was after going back {_MAX_ROLLBACKS} times "
                f"with halved learning rates.{self._suspects()} Lower the learning rates, or check the table "
                "for extreme values."
            )
        rate, n_rollbacks = self.rate / 2, self._n_rollbacks + 1
        self._put_back_to_interval()
        self.rate, self._n_rollbacks, self._went_back = rate, n_rollbacks, True
        warnings.warn(
            f"The {found}: training went back to step {self._step:,} and goes on with {self.rate:.3g} times "
            "the learning rates.",
            stacklevel=3,
        )

    def _suspects(self) -> str:
        """Name up to three columns of the highest loss in the last step that went well."""
        if self._by_column is None or not self.columns:
            return ""
        mean = self._by_column.mean(dim=0).nan_to_num(torch.inf)
        worst = mean.argsort(descending=True)[:3].tolist()
        names = listing([self.columns[j] for j in worst])
        return f" The loss's largest parts before were those of {names}."

    def _is_finite(self) -> bool:
        return all(bool(torch.isfinite(weights).all()) for weights in self.network.parameters())

    def _end_interval(self) -> None:
        """Remember the state, and show it to those who watch."""
        if not self._is_finite():
            return  # the next loss will tell
        self._remember()
        if self.history and self.history[-1]["step"] == self._step:
            line = dict(self.history[-1])
            phase, step, seconds, _ = (line.pop(key) for key in ("phase", "step", "seconds", "rate"))
            state = TrainingState(phase, step, self._n_steps, seconds, line, self.stop, self._save_to)
            for callback in self._callbacks:
                callback.on_interval(state)
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        if self._checkpoint is not None:
            self._save_to(self._checkpoint)

    def _save_to(self, path: str | Path) -> None:
        if self._save is not None:
            self._snapshot["stopped"] = self._stopped  # a callback may have said so since
            self._save(path, self._snapshot)

    def _remember(self) -> None:
        """Take a snapshot, after the last one has been let go: two of them would be most of all memory."""
        self._snapshot = {}
        self._snapshot = self._take()

    def _take(self) -> Snapshot:
        now = time.perf_counter()
        state = {
            "phase": self._phase,
            "finished": self._finished,
            "step": self._step,
            "seconds": now - self._start,
            "phase_seconds": now - self._phase_start,
            "stopped": self._stopped,
            "rate": self.rate,
            "n_rollbacks": self._n_rollbacks,
            "history": self.history,
            "rng": self.rng.get_state(),
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
        }
        snapshot: Snapshot = _copied(state)
        return snapshot

    def _put_back_to_interval(self) -> None:
        """Take over the last snapshot, and forget what was recorded since."""
        self._put_back(self._snapshot)
        del self.history[len(self._snapshot["history"]) :]

    def _put_back(self, snapshot: Snapshot) -> None:
        """Take over a snapshot; optimisers would share its memory."""
        for name, part in self._parts.items():
            part.load_state_dict(_copied(snapshot["parts"][name]))
        self.rng.set_state(snapshot["rng"].cpu())
        self._step, self._stopped = snapshot["step"], snapshot["stopped"]
        self._n_due = self._step * _INTERVALS // self._n_steps
        self.rate, self._n_rollbacks = snapshot["rate"], snapshot["n_rollbacks"]

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C end the training after the present step; the second one is as ever.

        `steps` does so itself. Held around a whole training, it keeps what was learned also where Ctrl-C
        comes between two phases or after the last one; phases that follow have no steps then.
        """
        is_ours = threading.current_thread() is threading.main_thread()
        if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield  # another program's way of dealing with it
            return

        def interrupt(*_: object) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _copied(state: Any) -> Any:
    """Copy a state of nested containers and tensors, faster than `copy.deepcopy` does."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(_copied, state))
    return state


@contextmanager
def _refused_if_it_does_not_fit() -> Iterator[None]:
    """Name what a checkpoint provokes that somebody has changed."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(
            f"The checkpoint does not fit the training ({type(error).__name__}). Start anew without resume."
        ) from error


def has_collapsed(diversities: Sequence[float]) -> bool:
    """Tell mode collapse: two measurements in a row below one half, after the first quarter of the phase.

    >>> [has_collapsed([0.9] * 6 + end) for end in ([0.4], [0.4, 0.6], [0.4, 0.3])]
    [False, False, True]
    """
    return len(diversities) > _INTERVALS // 4 and max(diversities[-2:]) < _COLLAPSED


def warm_linear(step: int, progress: float) -> float:
    """Factor of the learning rate: 100 steps of warm-up, linear decay to 2 %."""
    return min(1.0, (step + 1) / 100) * max(0.02, 1 - progress)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate


class MovingAverage:
    """Exponential moving average of a network's weights, shorter at the start."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.weights = [p.detach() for p in network.parameters()]
        self.average = [p.clone() for p in self.weights]
        self.decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take one step of the network into the average."""
        decay = min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    @torch.no_grad()
    def keep(self) -> None:
        """Leave the average in the network."""
        for weight, mean in zip(self.weights, self.average, strict=True):
            weight.copy_(mean)

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return {"average": self.average}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over an average."""
        for mean, saved in zip(self.average, state_dict["average"], strict=True):
            mean.copy_(saved)

    def swapped_in(self) -> _Swap:
        """Context in which the network holds the average."""
        return _Swap(self)


class _Swap:
    def __init__(self, average: MovingAverage) -> None:
        self.average = average

    def __enter__(self) -> None:
        self.saved = [w.clone() for w in self.average.weights]
        self.average.keep()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for weight, saved in zip(self.average.weights, self.saved, strict=True):
            weight.copy_(saved)


class BestWeights:
    """The weights of the lowest held-out loss, and when to stop looking for lower ones."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss = math.inf
        self.since = 0
        self.state: dict[str, Tensor] = {}

    def offer(self, loss: float, network: nn.Module) -> bool:
        """Remember the weights if they are the best so far; False when patience is over."""
        if loss < self.loss:
            self.loss, self.since = loss, 0
            self.state = {name: value.clone() for name, value in network.state_dict().items()}
        else:
            self.since += 1
        return self.since < self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights, their loss, and since how many offers they are the best."""
        return {"loss": self.loss, "since": self.since, "state": self.state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.loss, self.since, self.state = (state_dict[key] for key in ("loss", "since", "state"))

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back."""
        if self.state:
            network.load_state_dict(self.state)
