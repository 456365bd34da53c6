"""Translate rows of one table into rows of another one of the same schema: between sites, or years."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from synthgan.callbacks import Callback, check_callbacks
from synthgan.errors import ModelFileError, ParameterError, suggestion
from synthgan.gan.run import Run
from synthgan.gan.translation import (
    CycleGAN,
    Pairs,
    TranslationPlan,
    train_cycle_gan,
)
from synthgan.layout import Layout
from synthgan.params import Choice, Instance, Interval, Rule, check_parameters
from synthgan.schema import Schema, table
from synthgan.seeding import RandomState, draw_seed, stream
from synthgan.synthesizers.archive import read_model, save_model
from synthgan.synthesizers.base import State
from synthgan.synthesizers.neural import torch_device
from synthgan.transforms import TableCodec
from synthgan.transforms.scores import NormalScores
from synthgan.unpaired import Split, groups_of, pooled

__all__ = ["TableTranslator"]

_BATCH_ROWS = 8192
_PENALTY = {"wgan-gp": 10.0, "relativistic": 1.0}


class TableTranslator(BaseEstimator):  # type: ignore[misc]
    """Learn what rows of one table would look like in another, without pairs of rows (CycleGAN).

    For covariate shift: the same columns recorded at two sites or in two years, where units, habits or codes
    differ, perhaps by an amount that depends on other columns. Two mappings are learned, one in each
    direction; critics see to it that translated rows look like the other table, and a row that is translated
    there and back has to return to what it was. Of all mappings that do so the nearest ones are looked for:
    what does not differ stays as it is.

    No data tell *which* row of the target a row would be. Where the shift is more than moving
    values, as little as needed, given the other columns of their row, the translation is wrong in a way that
    no comparison of the two tables shows.

    Parameters
    ----------
    keep : list of column names, default ()
        Columns that stay as they are and that the translation is learned given: keys, labels, groups
        whose shares differ between the tables for reasons of their own. Identifiers and constants
        always stay, and are not looked at.
    kinds : dict, optional
        Column name to kind where the inferred kind is wrong, as in `TabularGAN`.
    hidden_dim : int >= 8, default 128
        Width of mappings and critics.
    n_blocks : int in [1, 64], default 2
        Residual blocks of a mapping.
    n_steps : int >= 1, default 800
        Steps of the mappings.
    batch_size : int >= 2, default 256
        Rows of each table in a step.
    gan_loss : "wgan-gp" or "relativistic", default "wgan-gp"
        Wasserstein loss with gradient penalty (Gulrajani et al. 2017), or the relativistic loss
        with R1 and R2 (Huang et al. 2024), whose gradients are smaller: it wants smaller weights.
    n_critic : int >= 1, default 2
        Steps of the critics for each step of the mappings.
    gradient_penalty : float >= 0, optional
        Weight of the penalty: lambda of WGAN-GP (default 10) or gamma of R1 + R2 (default 1).
    penalty_interval : int >= 1, default 4
        The critics pay the penalty in one of so many steps, and then so many times.
    cycle_weight : float >= 0, default 0.1
        Weight of the distance between a row and itself, translated there and back (Zhu et al. 2017, eq. (2)).
    identity_weight : float >= 0, default 0
        Weight of the distance between a target row and its translation to the target, and vice versa
        (Zhu et al. 2017, section 5.2). Tables whose values overlap are hindered by it: the same row may
        belong to both, and have to move in one of them.
    movement_weight : float >= 0, default 0.02
        Weight of the distance between a row and its translation (self-regularisation, Shrivastava et al.
        2017, section 2.1).
    least_movement : float >= 0, default 0.05
        Numbers that are to move by less stay as they are, and all others move by so much less;
        in standard deviations of normal scores.
    least_chance : float in [0, 1], default 0.2
        Categories that a cell is to become with a smaller probability are left out; it becomes one of the
        others at random. 0 lets everything happen that the mapping holds possible, 1 only what is likeliest.
    generator_lr, critic_lr : float > 0, default 5e-4 and 1e-3
        Learning rates of Adam, constant for the first half and then falling linearly.
    max_seconds : float > 0, optional
        Budget for the training. With a budget, equal seeds no longer give equal models.
    device : str, default "auto"
        "cpu", "cuda" or another torch device; "auto" takes a GPU if there is one.
    verbose : bool, default False
        Show a live line on stderr.
    random_state : int, numpy generator or None
        Seed of `fit`. The same int gives the same translation on CPU at one number of threads.

    Attributes
    ----------
    schema_ : Schema
        Columns, kinds and dtypes of both tables.
    history_ : DataFrame
        The training curves, one row an interval: ``phase``, ``step``, ``seconds``, ``critic_loss``,
        ``generator_loss``, ``wasserstein`` (sum of the two critics' estimates), ``gradient_norm``,
        ``cycle`` and ``movement`` (distances that the weights below multiply).
    interrupted_ : bool
        Whether Ctrl-C ended the training.
    seed_ : int
        The seed used. Translating the same rows twice gives the same.
    n_rows_ : int
        Rows of both tables.
    n_features_in_ : int
    feature_names_in_ : array of str
        If all names of columns are text.

    Notes
    -----
    Where a shift is the same for all rows, as a change of units, matching the quantiles of each column is
    nearer to the truth, and takes no training. It does nothing for a shift that depends on other columns,
    and it changes columns that did not shift. See ``benchmarks/translation.py``.

    References
    ----------
    Zhu et al. (2017), "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks";
    Shrivastava et al. (2017), "Learning from Simulated and Unsupervised Images through Adversarial
    Training"; Gulrajani et al. (2017), "Improved Training of Wasserstein GANs".

    Examples
    --------
    >>> translator = TableTranslator(keep=["diagnosis"], random_state=0)
    >>> translator.fit(hospital_a, hospital_b)                                  # doctest: +SKIP
    >>> translator.transform(hospital_a)       # as hospital b would have recorded them     # doctest: +SKIP
    """

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "keep": (Instance((list, tuple), "a list of column names"),),
        "kinds": (Instance((Mapping,), "a mapping of column to kind"), Choice((None,))),
        "hidden_dim": (Interval(int, 8),),
        "n_blocks": (Interval(int, 1, 64),),
        "n_steps": (Interval(int, 1),),
        "batch_size": (Interval(int, 2),),
        "gan_loss": (Choice(("wgan-gp", "relativistic")),),
        "n_critic": (Interval(int, 1),),
        "gradient_penalty": (Interval(float, 0), Choice((None,))),
        "penalty_interval": (Interval(int, 1),),
        "cycle_weight": (Interval(float, 0),),
        "identity_weight": (Interval(float, 0),),
        "movement_weight": (Interval(float, 0),),
        "least_movement": (Interval(float, 0),),
        "least_chance": (Interval(float, 0, 1),),
        "generator_lr": (Interval(float, 0, open_low=True),),
        "critic_lr": (Interval(float, 0, open_low=True),),
        "max_seconds": (Interval(float, 0, open_low=True), Choice((None,))),
        "device": (Instance((str,), "'auto', 'cpu' or a torch device such as 'cuda'"),),
        "verbose": (Choice((True, False)),),
    }

    def __init__(
        self,
        *,
        keep: Sequence[Hashable] = (),
        kinds: Mapping[Any, str] | None = None,
        hidden_dim: int = 128,
        n_blocks: int = 2,
        n_steps: int = 800,
        batch_size: int = 256,
        gan_loss: str = "wgan-gp",
        n_critic: int = 2,
        gradient_penalty: float | None = None,
        penalty_interval: int = 4,
        cycle_weight: float = 0.1,
        identity_weight: float = 0.0,
        movement_weight: float = 0.02,
        least_movement: float = 0.05,
        least_chance: float = 0.2,
        generator_lr: float = 5e-4,
        critic_lr: float = 1e-3,
        max_seconds: float | None = None,
        device: str = "auto",
        verbose: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.keep = keep
        self.kinds = kinds
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.gan_loss = gan_loss
        self.n_critic = n_critic
        self.gradient_penalty = gradient_penalty
        self.penalty_interval = penalty_interval
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.movement_weight = movement_weight
        self.least_movement = least_movement
        self.least_chance = least_chance
        self.generator_lr = generator_lr
        self.critic_lr = critic_lr
        self.max_seconds = max_seconds
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, source: pd.DataFrame, target: pd.DataFrame, *, callbacks: Iterable[Callback] = ()) -> Self:
        """Learn the mappings between two tables.

        Ctrl-C ends the training after the present step and keeps what has been learned, with a warning.

        Parameters
        ----------
        source, target : DataFrames
            Rows of either table; the same columns, in any order, and dtypes. Both are left as they are.
        callbacks : iterable of Callback, optional
            Objects with a method ``on_interval(state)``, called 24 times; see `synthgan.callbacks`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a table is empty or holds values that cannot be modelled, or `target` has not the columns
            and dtypes of `source`.
        ParameterError
            If a constructor parameter is out of its range, or `keep` names no column or leaves none.
        TrainingDivergedError
            If a loss became NaN or infinite four times.
        """
        owner = type(self).__name__
        check_parameters(owner, self.get_params(deep=False), self._parameter_rules)
        callbacks = list(callbacks) if isinstance(callbacks, Iterable) else callbacks
        check_callbacks(callbacks)
        device, seed = torch_device(owner, self.device), draw_seed(self.random_state)
        schema, both = pooled(source, target, self.kinds)
        _check_keep(self.keep, schema)
        codec = TableCodec(schema, relations=False, random_state=seed).fit(both)
        encoded = codec.transform(both)
        moves = np.array([name not in self.keep for name in codec.layout_.columns], dtype=bool)
        split = Split(NormalScores.of(codec.layout_, encoded), moves)
        scores, codes = split.view.encode(encoded, stream(seed, "places"))
        parts = [(scores[rows], codes[rows]) for rows in (slice(0, len(source)), slice(len(source), None))]

        rng = _torch_generator(seed, "weights")
        network = self._network(split, rng).to(device)
        run = Run(network, seed, callbacks=callbacks, save=_refuse_checkpoint, verbose=self.verbose)
        pairs = Pairs(*map(torch.from_numpy, groups_of(*(split.classes(*part) for part in parts))))
        tables = [split.rows(*part).to(device) for part in parts]
        train_cycle_gan(network, tables[0], tables[1], pairs, self._plan(), run)
        if run.interrupted:
            warnings.warn(
                f"Training was interrupted in the {run.progress_text}: the translation is what was learned "
                "until then.",
                stacklevel=2,
            )
        self.schema_, self.codec_, self.split_ = schema, codec, split
        self.mappings_ = network.mappings().eval()  # the critics have done their work
        self.history_, self.interrupted_ = pd.DataFrame(run.history), run.interrupted
        self.seed_, self.n_rows_ = seed, len(both)
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Translate rows of the source into rows as they would look in the target.

        Parameters
        ----------
        frame : DataFrame
            Rows with the columns of the fitted tables, in any order; it need not be the source itself.

        Returns
        -------
        DataFrame of the same shape
            Index and order of the columns as in `frame`, dtypes of the fitted tables.

        Raises
        ------
        DataError
            If a column is missing, unknown or of another dtype, or holds categories or missing values that
            neither table held.
        sklearn.exceptions.NotFittedError
            If there was no `fit`.
        """
        check_is_fitted(self)
        return self._translate(frame, self.mappings_["to_target"])

    def inverse_transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Translate rows of the target into rows as they would look in the source, see `transform`."""
        check_is_fitted(self)
        return self._translate(frame, self.mappings_["to_source"])

    def save(self, path: str | Path) -> None:
        """Write the fitted translator to one file without pickle.

        It holds no row of either table, and the mappings without their critics.

        Parameters
        ----------
        path : str or Path
            Conventionally ending in ``.synthgan``. Replaced in one step: a failure leaves
            what was there before.

        Raises
        ------
        DataError
            If the file cannot be written, or a parameter has no form in JSON.
        """
        check_is_fitted(self)
        save_model(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a translator that `save` has written.

        Parameters
        ----------
        path : str or Path
            It may come from an untrusted source: no code of it is run.

        Returns
        -------
        TableTranslator
            Fitted; it translates as the saved one, to the last digit.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, of a newer format or holds something else, such as a
            synthesizer, which `synthgan.load` reads.
        """
        translator: Self = read_model(path, "TableTranslator.load")
        return translator

    @property
    def n_features_in_(self) -> int:
        """Number of columns of the fitted tables."""
        return len(self.schema_)

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Names of the columns, shape (n_columns,); only if all are text."""
        names = self.schema_.names
        if not all(isinstance(name, str) for name in names):
            raise AttributeError("feature_names_in_ exists only if all names of columns are text.")
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "mappings_")

    def _network(self, split: Split, rng: torch.Generator) -> CycleGAN:
        return CycleGAN(split.form, self.hidden_dim, self.n_blocks, rng)

    def _state(self) -> State:
        """Return what `fit` has learned beside schema, codec and seed, for `save`."""
        weights = {name: value.cpu().numpy() for name, value in self.mappings_.state_dict().items()}
        arrays = {"shares": self.split_.view.shares, "moves": self.split_.moves, **weights}
        return {"history": self.history_.to_dict("records"), "interrupted": self.interrupted_}, arrays

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Set what `_state` has returned."""
        split = _split_of(self.codec_.layout_, arrays)
        mappings = self._network(split, torch.Generator()).mappings()
        learned = {name: torch.from_numpy(arrays[name]) for name in arrays if name not in ("shares", "moves")}
        try:
            mappings.load_state_dict(learned)
        except (RuntimeError, TypeError) as error:
            raise ModelFileError(
                "The weights do not fit the mappings that the parameters describe."
            ) from error
        self.interrupted_ = bool(facts.get("interrupted", False))
        self.history_ = pd.DataFrame(facts.get("history", []))
        self.split_ = split
        self.mappings_ = mappings.to(torch_device(type(self).__name__, self.device)).eval()

    def _plan(self) -> TranslationPlan:
        penalty = self.gradient_penalty
        return TranslationPlan(
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            loss=self.gan_loss,  # type: ignore[arg-type]  # checked by the rules
            n_critic=self.n_critic,
            gradient_penalty=_PENALTY[self.gan_loss] if penalty is None else penalty,
            penalty_interval=self.penalty_interval,
            cycle_weight=self.cycle_weight,
            identity_weight=self.identity_weight,
            movement_weight=self.movement_weight,
            generator_lr=self.generator_lr,
            critic_lr=self.critic_lr,
            max_seconds=self.max_seconds,
        )

    def _translate(self, frame: pd.DataFrame, mapping: nn.Module) -> pd.DataFrame:
        """Encode, map, decode; put back what stays."""
        known = self.schema_.check(frame)
        encoded = self.codec_.transform(known)
        scores, codes = self.split_.view.encode(encoded, stream(self.seed_, "places"))
        new_scores, new_codes = self._mapped(scores, codes, mapping)
        decoded = self.split_.view.decode(new_scores, new_codes)
        made = self.codec_.inverse_transform(decoded, seed=self.seed_)
        stays = self.split_.stays(encoded.codes == decoded.codes, new_scores == scores)
        arrays = {
            column.name: _mixed(made.iloc[:, k], known.iloc[:, k], stays.get(column.name))
            for k, column in enumerate(self.schema_)
        }
        translated = table([arrays[name] for name in frame.columns], list(frame.columns), len(frame))
        return translated.set_axis(frame.index, axis=0)

    @torch.no_grad()
    def _mapped(
        self, scores: NDArray[np.float32], codes: NDArray[np.int64], mapping: nn.Module
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Map scores and codes; numbers move by `least_movement` less, or not at all."""
        split, new_scores, new_codes = self.split_, scores.copy(), codes.copy()
        device, rng = next(mapping.parameters()).device, _torch_generator(self.seed_, "categories")
        for start in range(0, len(scores), _BATCH_ROWS):
            rows = slice(start, start + _BATCH_ROWS)
            vectors = split.form.vectors(split.rows(scores[rows], codes[rows]).to(device))
            cells = split.form.decide(mapping(vectors), self.least_chance, rng)
            moved, drawn = (part.cpu().numpy() for part in cells)
            old = scores[rows][:, split.scores]
            change = np.sign(moved - old) * np.maximum(np.abs(moved - old) - self.least_movement, 0)
            new_scores[rows, split.scores] = old + change
            new_codes[rows, split.parts] = drawn
        return new_scores, new_codes


def _split_of(layout: Layout, arrays: Mapping[str, NDArray[Any]]) -> Split:
    """Read the split off the arrays of a model file."""
    shares, moves = arrays["shares"], arrays["moves"]
    is_shares = shares.dtype == np.float64 and shares.shape == (layout.width,)
    is_choice = moves.dtype == np.bool_ and moves.shape == (len(layout),)
    if not (is_shares and is_choice and ((shares >= 0) & (shares <= 1)).all()):
        raise ModelFileError("The shares of its values do not fit its columns.")
    return Split(NormalScores(layout, shares), moves)


def _check_keep(keep: Sequence[Hashable], schema: Schema) -> None:
    """Refuse names that are no columns, and to keep everything."""
    for name in keep:
        if name not in schema.names:
            raise ParameterError(
                f"keep names {name!r}, which is not a column.{suggestion(name, schema.names)}"
            )
    fixed = ("identifier", "constant")
    if all(column.name in keep or column.kind in fixed for column in schema):
        raise ParameterError(
            "No column is left to translate: identifiers, constants and those of keep stay as they are. "
            "Keep fewer columns."
        )


def _torch_generator(seed: int, key: str) -> torch.Generator:
    """Open a random stream of a seed for torch."""
    return torch.Generator().manual_seed(int(stream(seed, key).integers(2**62)))


def _refuse_checkpoint(*_: object) -> NoReturn:
    raise ParameterError("A TableTranslator has no checkpoints to write. Leave the callback Checkpoint out.")


def _mixed(made: pd.Series[Any], known: pd.Series[Any], stays: NDArray[np.bool_] | None) -> Any:
    """Take the known value where it stays, everywhere if `stays` is None, and else the one that was made."""
    if stays is None:
        return known.array
    array = made.array.copy()
    array[stays] = known.array[stays]
    return array
