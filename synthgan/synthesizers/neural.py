"""What the synthesizers that train networks share: a fit that can be watched, stopped and resumed."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from synthgan.callbacks import Callback, check_callbacks
from synthgan.errors import ModelFileError, ParameterError
from synthgan.gan.run import Run, Snapshot
from synthgan.gan.threads import in_threads
from synthgan.layout import EncodedConditions, EncodedTable, Layout
from synthgan.memory import check_memory
from synthgan.params import Choice, check_parameter, check_parameters
from synthgan.seeding import draw_seed
from synthgan.synthesizers.base import BaseSynthesizer, DrawBlock, State, drawn_in_blocks
from synthgan.synthesizers.checkpoint import check_identity, identity_of, read_checkpoint, write_checkpoint

__all__ = ["NeuralSynthesizer"]


class NeuralSynthesizer(BaseSynthesizer):
    """Base of the synthesizers that train networks; see `TabularGAN`.

    A subclass says what the network is (`_network`), how it is trained (`_train`) and how it draws (`_draw`).
    """

    batch_size: int
    device: str
    verbose: bool
    model_: Any
    history_: pd.DataFrame

    def fit(
        self,
        X: Any,
        y: object = None,  # noqa: ARG002
        *,
        callbacks: Iterable[Callback] = (),
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn the table.

        Ctrl-C ends the training after the present step and keeps the best of what has been learned, with a
        warning; a second one stops at once. A loss that is no longer finite is put back to the last
        interval, up to three times in a phase, with half the learning rates.

        Parameters
        ----------
        X : DataFrame, array, Arrow table or stream, or path(s) of CSV or Parquet files
            The real table, shape (n_rows, n_columns); left as it is. The columns of an array are
            numbered from 0.
        y : ignored
            Present for scikit-learn. A target is a column of `X` like any other.
        callbacks : iterable of Callback, optional
            Objects with a method ``on_interval(state)``, called 24 times in each phase; see
            `synthgan.callbacks`.
        checkpoint : str or Path, optional
            A file to which the state of the training is written at each interval, in one step; a file that
            is there is replaced. It is two to four times as large as the model and holds no rows.
        resume : bool, default False
            Go on from `checkpoint`; from the beginning if there is no such file yet. On CPU and with one
            number of threads, a fit that was killed and resumed, however often, gives the same weights as
            one that was not, unless it has a budget in seconds.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the table is empty, holds values that cannot be modelled, or breaks a constraint; if the
            fit would need far more memory than there is; if `checkpoint` cannot be written, or is of
            another table or of other parameters.
        ModelFileError
            If the checkpoint to go on from is damaged.
        ParameterError
            If a parameter is out of its range.
        TrainingDivergedError
            If a loss, or a weight at the end, became NaN or infinite four times in a phase.
        """
        owner = type(self).__name__
        check_parameters(owner, self.get_params(deep=False), self._parameter_rules)
        callbacks = list(callbacks) if isinstance(callbacks, Iterable) else callbacks
        check_callbacks(callbacks)
        check_parameter(f"{owner}.fit", "resume", resume, (Choice((True, False)),))
        found = self._found(checkpoint) if resume else None
        seed = draw_seed(self.random_state) if found is None else self._resumed_seed(found)

        def learn(encoded: EncodedTable, layout: Layout, seed: int) -> None:
            identity = identity_of(owner, self.get_params(deep=False), seed, encoded, layout)
            if found is not None:
                check_identity(str(checkpoint), found[0], identity)
            device, network = torch_device(owner, self.device), self._network(layout)
            n_parameters = sum(weights.numel() for weights in network.parameters())
            check_memory(len(encoded), layout, n_parameters * (device.type == "cpu"), self.batch_size)
            network = network.to(device)
            run = Run(
                network,
                seed,
                columns=layout.columns,
                callbacks=callbacks,
                save=partial(write_checkpoint, identity),
                checkpoint=checkpoint,
                saved=None if found is None else found[1],
                verbose=self.verbose,
            )
            with run.interruptible():
                self._train(network, encoded, run)
            if run.interrupted:
                _tell_interrupted(run, checkpoint)
            self.interrupted_ = run.interrupted
            self.history_ = pd.DataFrame(run.history)
            self.model_ = network.eval()

        return self._fit(X, seed, learn)

    def _found(self, checkpoint: str | Path | None) -> tuple[dict[str, Any], Snapshot] | None:
        """Read the checkpoint to go on from."""
        if checkpoint is None:
            raise ParameterError("resume=True needs the checkpoint to go on from. Pass checkpoint=path, too.")
        found = read_checkpoint(checkpoint)
        if found is None:
            warnings.warn(
                f"There is no checkpoint '{checkpoint}' yet: the fit starts from the beginning.", stacklevel=3
            )
        return found

    def _resumed_seed(self, found: tuple[dict[str, Any], Snapshot]) -> int:
        """Take the seed of the checkpoint where the estimator has none of its own."""
        if self.random_state is None:
            return int(found[0]["seed"])
        return draw_seed(self.random_state)

    @abstractmethod
    def _network(self, layout: Layout) -> nn.Module:
        """Build the untrained network of the constructor's parameters; `load` calls it, too."""

    @abstractmethod
    def _train(self, network: Any, encoded: EncodedTable, run: Run) -> None:
        """Train the network, all draws from `run`."""

    def _in_blocks(
        self, draw: DrawBlock, rows: int | range, seed: int, conditions: EncodedConditions | None
    ) -> EncodedTable:
        """Draw by `drawn_in_blocks`, on a CPU one block on each core."""
        is_cpu = torch_device(type(self).__name__, self.device).type == "cpu"
        return drawn_in_blocks(draw, rows, seed, conditions, each=in_threads if is_cpu else map)

    def _state(self) -> State:
        arrays = {name: value.detach().cpu().numpy() for name, value in self.model_.state_dict().items()}
        return {"history": self.history_.to_dict("records"), "interrupted": self.interrupted_}, arrays

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        network = self._network(self.codec_.layout_)
        try:
            network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        except (RuntimeError, TypeError) as error:
            raise ModelFileError(
                "The weights do not fit the networks that the parameters describe."
            ) from error
        self.interrupted_ = bool(facts.get("interrupted", False))
        self.history_ = pd.DataFrame(facts.get("history", []))
        self.model_ = network.to(torch_device(type(self).__name__, self.device)).eval()


def _tell_interrupted(run: Run, checkpoint: str | Path | None) -> None:
    go_on = (
        "With a checkpoint it could go on from there."
        if checkpoint is None
        else f"Resume from the checkpoint '{checkpoint}' to go on."
    )
    warnings.warn(
        f"Training was interrupted in the {run.progress_text}: the model is what was learned until then. "
        + go_on,
        stacklevel=5,
    )


def torch_device(owner: str, device: str) -> torch.device:
    """Find the device of a name; "auto" takes a GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ParameterError(
            f"The 'device' parameter of {owner} must name a device that torch can use here. "
            f"Got {device!r}. Use 'auto' or 'cpu'."
        ) from error
    return found
