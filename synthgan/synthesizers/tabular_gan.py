"""`TabularGAN`, the flagship: a conditional GAN in the latent space of a masked table autoencoder."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from synthgan.constraints import Constraint
from synthgan.errors import ModelFileError
from synthgan.gan.codebook import CELLS
from synthgan.gan.conditions import Allowed, Given
from synthgan.gan.games import check_packs
from synthgan.gan.likelihood import log_likelihood, realism
from synthgan.gan.model import Architecture, LatentGAN
from synthgan.gan.precision import PRECISIONS
from synthgan.gan.run import Run
from synthgan.gan.training import AutoencoderPlan, GANPlan, Loss
from synthgan.layout import EncodedConditions, EncodedTable, Layout
from synthgan.params import Choice, Instance, Interval, Rule, check_parameter
from synthgan.seeding import RandomState, draw_seed
from synthgan.synthesizers.base import CONSTRAINTS_RULE
from synthgan.synthesizers.likelihood import LikelihoodMixin
from synthgan.synthesizers.neural import NeuralSynthesizer
from synthgan.trees import grow

__all__ = ["TabularGAN"]

# A budget is shared out: the decoder makes the rows of the default chain, so it gets the larger part.
# No trees are begun after the last share; what is left over pays for encoding and calibration.
_AUTOENCODER_SHARE, _GAN_SHARE, _TRAINING_SHARE = 0.65, 0.25, 0.95
_GENERATOR_DIM, _CRITIC_DIM = 192, 256


class TabularGAN(LikelihoodMixin, NeuralSynthesizer):
    """Conditional GAN with gradient penalty in the latent space of a masked table autoencoder.

    A decoder learns every column given any others (cross-entropy of hidden cells), helped by a
    latent vector z that an encoder makes of the whole row. A generator and a critic then learn
    the distribution of z. One fitted model samples in one forward pass of the generator
    (``n_passes=1``, fastest), or column by column with the decoder alone (the default, most
    faithful), or in between.

    Parameters
    ----------
    kinds : dict, optional
        Column name to kind ("numerical", "categorical", "boolean", "datetime", "timedelta",
        "identifier", "constant") where the inferred kind is wrong, for example for integer codes.
    constraints : "auto", list of Constraint or None, default "auto"
        Rules that every sampled row keeps exactly: those that the table supports beyond chance (see
        `synthgan.constraints.detect`), or exactly these: ``[*detect(real), Inequality("start", "end")]``.
    max_modes : int in [1, 1000], default 50
        Most intervals that the values of a numeric column are cut into.
    modes : "quantile" or "gaussian", default "quantile"
        Equal-frequency intervals, or the components of a Gaussian mixture (Xu et al. 2019).
    hidden_dim : int >= 8, default 256
        Width of the decoder and the encoder.
    n_blocks : int in [1, 64], default 2
        Residual blocks of the decoder.
    latent_dim : int >= 1, default 32
        Dimensions of z.
    noise_dim : int >= 1, default 64
        Numbers that the generator makes a row from: one chooses a Gaussian of its mixture, the next
        `latent_dim` a point in it.
    n_steps : int >= 1, optional
        Steps of the autoencoder. By default 1.5 times the root of what the table tells, in nats: the rows
        times the sum of the columns' entropies; but at least 300 and at most 6,000.
    batch_size : int >= 8, default 512
        Rows in a step of the autoencoder.
    learning_rate : float > 0, default 2e-3
        Of AdamW, for the autoencoder; it falls linearly.
    weight_decay : float >= 0, optional
        Of AdamW, for the autoencoder. By default 0.3, and more where fewer than 17,000 rows would be
        learned by heart: (11,500 / rows)^3, but at most 2.
    latent_share : float in [0.05, 0.95], default 0.25
        Share of a batch that goes through z; the rest trains the decoder without it.
    heldout_fraction : float in [0, 0.5], default 0.05
        Share of the rows (at most 2,000) kept out of training, to choose the best weights by. At 0 all rows
        are learned, up to 2,000 of them choose, and there are no trees.
    patience : int >= 1, default 6
        Stop the autoencoder when the held-out loss has not fallen in so many of the 24 intervals.
    n_gan_steps : int >= 1, optional
        Steps of the generator. By default a third of the default of `n_steps`.
    gan_batch_size : int >= 2, default 256
        Rows in a step of the GAN; a multiple of `pac_size`.
    gan_loss : "wgan-gp" or "relativistic", default "relativistic"
        Wasserstein loss with gradient penalty (Gulrajani et al. 2017), or the relativistic loss
        with R1 and R2 (Huang et al. 2024).
    n_critic : int >= 1, default 1
        Critic steps for each generator step.
    gradient_penalty : float >= 0, optional
        Weight of the penalty: lambda of WGAN-GP (default 10) or gamma of R1 + R2 (default 1).
    penalty_interval : int >= 1, default 4
        The critic pays the penalty in one of so many steps, and then so many times (lazy regularisation,
        Karras et al. 2020): a quarter of the time of a step less.
    generator_lr, critic_lr : float > 0, default 9e-5 and 1.2e-3
        Learning rates of Adam, constant for the first half and then falling linearly.
    pac_size : int >= 1, default 1
        Rows that the critic judges together (PacGAN), against mode collapse.
    conditional_share : float in [0, 1], default 0.25
        Share of the GAN's rows of which both players are told some cells. Drawing tells the generator none:
        with conditions, it takes one of several latent vectors made without them, which measured better.
    n_trees : int >= 0, default 200
        Most trees of a boosted model for one column. Where the default chain of passes draws a number or a
        time, given the columns before it, trees tilt what the decoder says towards low or high values,
        towards the middle or the ends, if they clearly save .005 nats of held-out rows. At the end, however
        many the passes, some columns are drawn once more given all others: those of 2 to 10 categories where
        a classifier foretells held-out cells better than the decoder; and of the last third of the chain
        numbers, by trees that tilt, if they clearly save .04 nats against the decoder and .02 against what
        the chain implies. None are grown at 0, nor with fewer than 20 held-out rows.
    n_passes : int >= 1, optional
        Decoder passes of `sample`, see there; None means one for each column.
    max_seconds : float > 0, optional
        Budget for `fit`: 65 % for the autoencoder, 25 % for the GAN, 5 % for trees, the rest for what
        comes before and after. Learning-rate schedules are fitted to it; tables that take long to encode may
        exceed it. With a budget, equal seeds no longer give equal models.
    device : str, default "auto"
        "cpu", "cuda" or another torch device; "auto" takes a GPU if there is one.
    precision : "auto", "float32" or "bfloat16", default "auto"
        Of matrix products, in training and sampling. "auto" takes bfloat16 on a CPU that
        has an instruction for it (AVX512_BF16, AMX), which is as faithful and faster, and float32
        elsewhere. Rows drawn on another kind of CPU then differ in more cells than with "float32".
    verbose : bool, default False
        Show progress bars on stderr.
    random_state : int, numpy generator or None
        Seed of `fit`. The same int gives the same model on CPU at one number of threads.

    Attributes
    ----------
    schema_ : Schema
        Columns, kinds and dtypes of the fitted table.
    constraints_ : list of Constraint
        The rules that every sampled row keeps, bound to the fitted table.
    history_ : DataFrame
        The training curves, one row an interval: ``phase``, ``step``, ``seconds`` since the start,
        ``rate`` (factor on the learning rates, halved each time that training went back),
        and for the autoencoder ``loss``, ``reconstruction`` (from z alone) and ``heldout_loss`` in
        nats a row; for the GAN ``critic_loss``, ``generator_loss``, ``wasserstein``,
        ``gradient_norm`` (of the last step with a penalty) and ``diversity`` in [0, 1] (share of the
        table's cells whose category or mode the generator reaches; a fall means mode collapse).
    n_rows_, seed_ : int
        Rows seen by `fit`, and the seed used.

    References
    ----------
    Xu et al. (2019), "Modeling Tabular Data using Conditional GAN"; Gulrajani et al. (2017),
    "Improved Training of Wasserstein GANs"; Huang et al. (2024), "The GAN is dead; long live the
    GAN!"; Uria et al. (2014), "A Deep and Tractable Density Estimator".

    Examples
    --------
    >>> from synthgan import TabularGAN, datasets
    >>> real, holdout = datasets.load_adult()
    >>> model = TabularGAN(random_state=0).fit(real)             # doctest: +SKIP
    >>> model.sample(5, random_state=1)                          # doctest: +SKIP
    """

    _codec_parameters = ("max_modes", "modes")
    _n_cells = CELLS
    model_: LatentGAN

    def __init__(
        self,
        *,
        kinds: Mapping[Any, str] | None = None,
        constraints: str | Sequence[Constraint] | None = "auto",
        max_modes: int = 50,
        modes: str = "quantile",
        hidden_dim: int = 256,
        n_blocks: int = 2,
        latent_dim: int = 32,
        noise_dim: int = 64,
        n_steps: int | None = None,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        weight_decay: float | None = None,
        latent_share: float = 0.25,
        heldout_fraction: float = 0.05,
        patience: int = 6,
        n_gan_steps: int | None = None,
        gan_batch_size: int = 256,
        gan_loss: str = "relativistic",
        n_critic: int = 1,
        gradient_penalty: float | None = None,
        penalty_interval: int = 4,
        generator_lr: float = 9e-5,
        critic_lr: float = 1.2e-3,
        pac_size: int = 1,
        conditional_share: float = 0.25,
        n_trees: int = 200,
        n_passes: int | None = None,
        max_seconds: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        verbose: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.kinds = kinds
        self.constraints = constraints
        self.max_modes = max_modes
        self.modes = modes
        self.hidden_dim = hidden_dim
        self.n_blocks = n_blocks
        self.latent_dim = latent_dim
        self.noise_dim = noise_dim
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.latent_share = latent_share
        self.heldout_fraction = heldout_fraction
        self.patience = patience
        self.n_gan_steps = n_gan_steps
        self.gan_batch_size = gan_batch_size
        self.gan_loss = gan_loss
        self.n_critic = n_critic
        self.gradient_penalty = gradient_penalty
        self.penalty_interval = penalty_interval
        self.generator_lr = generator_lr
        self.critic_lr = critic_lr
        self.pac_size = pac_size
        self.conditional_share = conditional_share
        self.n_trees = n_trees
        self.n_passes = n_passes
        self.max_seconds = max_seconds
        self.device = device
        self.precision = precision
        self.verbose = verbose
        self.random_state = random_state

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "kinds": (Instance((Mapping,), "a mapping of column to kind"), Choice((None,))),
        "constraints": CONSTRAINTS_RULE,
        "max_modes": (Interval(int, 1, 1000),),
        "modes": (Choice(("quantile", "gaussian")),),
        "hidden_dim": (Interval(int, 8),),
        "n_blocks": (Interval(int, 1, 64),),
        "latent_dim": (Interval(int, 1),),
        "noise_dim": (Interval(int, 1),),
        "n_steps": (Interval(int, 1), Choice((None,))),
        "batch_size": (Interval(int, 8),),
        "learning_rate": (Interval(float, 0, open_low=True),),
        "weight_decay": (Interval(float, 0), Choice((None,))),
        "latent_share": (Interval(float, 0.05, 0.95),),
        "heldout_fraction": (Interval(float, 0, 0.5),),
        "patience": (Interval(int, 1),),
        "n_gan_steps": (Interval(int, 1), Choice((None,))),
        "gan_batch_size": (Interval(int, 2),),
        "gan_loss": (Choice(("wgan-gp", "relativistic")),),
        "n_critic": (Interval(int, 1),),
        "gradient_penalty": (Interval(float, 0), Choice((None,))),
        "penalty_interval": (Interval(int, 1),),
        "generator_lr": (Interval(float, 0, open_low=True),),
        "critic_lr": (Interval(float, 0, open_low=True),),
        "pac_size": (Interval(int, 1),),
        "conditional_share": (Interval(float, 0, 1),),
        "n_trees": (Interval(int, 0),),
        "n_passes": (Interval(int, 1), Choice((None,))),
        "max_seconds": (Interval(float, 0, open_low=True), Choice((None,))),
        "device": (Instance((str,), "'auto', 'cpu' or a torch device such as 'cuda'"),),
        "precision": (Choice(PRECISIONS),),
        "verbose": (Choice((True, False)),),
    }

    def sample(
        self,
        n_samples: int | None = None,
        *,
        conditions: Mapping[Any, Any] | pd.DataFrame | None = None,
        random_state: RandomState = None,
        n_passes: int | None = None,
    ) -> pd.DataFrame:
        """Draw synthetic rows.

        Parameters
        ----------
        n_samples : int >= 0, optional
            Number of rows; 0 gives an empty frame with all columns and dtypes. By default 1, or
            one for each row of a frame of conditions.
        conditions : dict or DataFrame, optional
            What every row must meet, exactly. A dict maps columns to a value, to a list of values,
            to a range ``(low, high)`` of a numerical, datetime or timedelta column, both ends
            included and either end None, or to None (also NaN, NaT) for the missing value. A
            DataFrame gives cells of some columns, one row for each row out, in order; a missing
            cell in it is given as missing. See `impute` for gaps.
        random_state : int, numpy generator or None
            The same int gives the same rows, and the first k rows of ``sample(n)`` equal
            ``sample(k)``.
        n_passes : int >= 1, optional
            Passes of the decoder, instead of the constructor's. 1: all columns at once from one
            forward pass of the generator. As many as columns, or more: one column a pass, each
            given all before, without the generator. Between: groups of columns, given the
            generator's latent vector and the groups before. Columns with conditions come before
            and do not count, nor do those that trees draw once more at the end.

        Returns
        -------
        DataFrame of shape (n_samples, n_columns)
            Columns, dtypes and categories of the fitted table, a fresh RangeIndex.

        Raises
        ------
        ConditionError
            If no row can meet the conditions: an unknown column or category, a number outside the
            learned range, an empty range, values of another type. Or if a rule in `constraints_` cannot
            be kept: the conditions break it, or rows that keep it were not drawn in so many tries.
        ParameterError
            If a parameter is out of its range, or `n_samples` not the number of rows of `conditions`.
        sklearn.exceptions.NotFittedError
            If the model has not been fitted.

        Examples
        --------
        >>> model.sample(500, conditions={"income": ">50K", "age": (30, 40)})     # doctest: +SKIP
        >>> model.sample(conditions=pd.DataFrame({"sex": ["Female", "Male"]}))    # doctest: +SKIP
        """
        check_is_fitted(self)
        if n_passes is None:
            n_passes = self.n_passes
        check_parameter("TabularGAN.sample", "n_passes", n_passes, self._parameter_rules["n_passes"])
        draw = partial(self._draw_in, n_passes)
        return self._sample(n_samples, conditions, random_state, draw)

    def score_samples(
        self, X: Any, *, n_orders: int = 1, random_state: RandomState = 0
    ) -> NDArray[np.float64]:
        """Say how probable rows are: the chain rule over the columns, by the decoder alone.

        What counts in a row, and how values count that were never seen, says
        `BaseSynthesizer.score_samples`. With Gaussian modes, which overlap, a number counts in one of
        them only.

        The calibration of `sample` is left out: it corrects how often drawn rows have each value, at
        the end of a chain of approximations, and is no part of any row's probability.

        Parameters
        ----------
        X : DataFrame, array, Arrow table or stream, or path(s) of CSV or Parquet files
            Rows with the columns of the fitted table, in any order; those of an array in its order.
        n_orders : int >= 1, default 1
            Orders of the columns, whose probabilities are averaged. The first is the one in which
            rows are drawn, which the decoder is trained on most; the others are random. Time
            grows in proportion, the mean score a little.
        random_state : int, numpy generator or None, default 0
            Source of the random orders, which are the same for all rows.

        Returns
        -------
        float64 array of shape (n_rows,)
            In nats, <= 0; the higher, the more like the fitted table. Low scores mark anomalies.

        Raises
        ------
        ConditionError
            If a column of numbers or times holds values of another type.
        DataError
            If a column is missing or unknown.
        ParameterError
            If `n_orders` is not an int >= 1.

        Examples
        --------
        >>> model.score_samples(holdout, n_orders=4).argsort()[:10]    # doctest: +SKIP
        """
        check_is_fitted(self)
        check_parameter("TabularGAN.score_samples", "n_orders", n_orders, (Interval(int, 1),))
        seed = draw_seed(random_state)
        return self._score_samples(X, partial(log_likelihood, self.model_, n_orders=n_orders, seed=seed))

    def critic_score(self, X: Any) -> NDArray[np.float64]:
        """Score the realism of rows by the critic: encoder to latent vector to critic.

        The scale has no zero and no unit, and another model has another one: only the ranks of rows of one
        model mean something. The critic has learned to tell rows from those of one forward
        pass of the generator. A high score says that the generator makes such rows too seldom, a
        low one too often, which is not the same as being an anomaly: see `score_samples` for that.
        After the default number of steps it has seen few such rows: raise `n_gan_steps` for this score.
        (4,000 rows of Adult, unseen rows against independent columns: AUC .543, .671 after 1,500 steps.)

        Parameters
        ----------
        X : as in `score_samples`
            What was never seen counts as the first value that is known of the column.

        Returns
        -------
        float64 array of shape (n_rows,)
            Higher is more real.
        """
        check_is_fitted(self)
        return realism(self.model_, self._observed(X).table, self.seed_)

    def _log_likelihood(self, table: EncodedTable, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        return log_likelihood(self.model_, table, known, n_orders=1, seed=0)

    def _network(self, layout: Layout) -> LatentGAN:
        return LatentGAN(layout, self._architecture(), self.precision)

    def _train(self, network: LatentGAN, encoded: EncodedTable, run: Run) -> None:
        autoencoder, gan = self._plans(len(encoded), network.book.marginal_nats(encoded))
        end = time.perf_counter() + _TRAINING_SHARE * (self.max_seconds or math.inf)

        def is_over() -> bool:
            return run.interrupted or time.perf_counter() > end

        trees = partial(grow, n_trees=self.n_trees, seed=run.seed, is_over=is_over)
        network.train_on(
            encoded, autoencoder, gan, self.heldout_fraction, run, trees if self.n_trees else None
        )

    def _draw(self, rows: int | range, seed: int, conditions: EncodedConditions | None) -> EncodedTable:
        return self._draw_in(self.n_passes, rows, seed, conditions)

    def _draw_in(
        self, n_passes: int | None, rows: int | range, seed: int, conditions: EncodedConditions | None
    ) -> EncodedTable:
        sampler, book = self.model_.sampler(n_passes), self.model_.book
        permitted = {} if conditions is None else conditions.permitted
        allowed = {j: Allowed.of(book, j, part) for j, part in permitted.items()}

        def draw(n_rows: int, rng: np.random.Generator, part: EncodedConditions | None) -> EncodedTable:
            given = None if part is None else Given.of(book, part, allowed)
            return book.encoded(*sampler.draw(n_rows, rng, given))

        return self._in_blocks(draw, rows, seed, conditions)

    def _architecture(self) -> Architecture:
        return Architecture(
            hidden_dim=self.hidden_dim,
            inner_dim=self.hidden_dim,
            n_blocks=self.n_blocks,
            latent_dim=self.latent_dim,
            noise_dim=self.noise_dim,
            generator_dim=_GENERATOR_DIM,
            critic_dim=_CRITIC_DIM,
            pac_size=self.pac_size,
        )

    def _plans(self, n_rows: int, nats: float) -> tuple[AutoencoderPlan, GANPlan]:
        """Fill in the defaults that depend on the table or on each other."""
        check_packs("gan_batch_size", self.gan_batch_size, self.pac_size)
        penalty = self.gradient_penalty
        if penalty is None:
            penalty = 10.0 if self.gan_loss == "wgan-gp" else 1.0
        budget = self.max_seconds
        # What a table can teach before it is learned by heart grows with its rows, and with what a row tells.
        n_steps = min(max(round(1.5 * math.sqrt(n_rows * nats)), 300), 6000)
        weight_decay = self.weight_decay
        if weight_decay is None:
            weight_decay = min(max((11_500 / n_rows) ** 3, 0.3), 2.0)
        autoencoder = AutoencoderPlan(
            n_steps=self.n_steps or n_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=weight_decay,
            latent_share=self.latent_share,
            patience=self.patience,
            max_seconds=None if budget is None else _AUTOENCODER_SHARE * budget,
        )
        gan = GANPlan(
            n_steps=self.n_gan_steps or n_steps // 3,
            batch_size=self.gan_batch_size,
            loss=cast(Loss, self.gan_loss),
            n_critic=self.n_critic,
            gradient_penalty=penalty,
            penalty_interval=self.penalty_interval,
            generator_lr=self.generator_lr,
            critic_lr=self.critic_lr,
            conditional_share=self.conditional_share,
            max_seconds=None if budget is None else _GAN_SHARE * budget,
        )
        return autoencoder, gan

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        super()._restore(facts, arrays)
        if sorted(self.model_.order) != list(range(len(self.model_.order))):
            raise ModelFileError("The drawing order must name each column once.")
        if not (self.model_.tilts.is_sound and self.model_.forest.is_sound):
            raise ModelFileError("The trees must name columns, codes and nodes that there are.")
