"""`CTGAN`: the conditional GAN of Xu et al. (2019), and the other parts that its family is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from synthgan.constraints import Constraint
from synthgan.errors import ModelFileError, ParameterError
from synthgan.gan.adversarial import AdversarialPlan, ConditionalGAN, Players, realism, train_adversarial
from synthgan.gan.critics import STATISTICS
from synthgan.gan.games import GAMES, PENALTIES, check_game, check_packs
from synthgan.gan.generators import StyleGenerator
from synthgan.gan.players import CONDITIONINGS, GENERATORS
from synthgan.gan.precision import PRECISIONS, mixed_precision
from synthgan.gan.run import Run
from synthgan.layout import EncodedConditions, EncodedTable, Layout
from synthgan.params import Choice, Instance, Interval, Rule
from synthgan.seeding import RandomState
from synthgan.synthesizers.base import CONSTRAINTS_RULE
from synthgan.synthesizers.neural import NeuralSynthesizer

__all__ = ["CTGAN"]

_PENALTY_WEIGHTS = {"gradient": 10.0, "dragan": 10.0, "r1": 1.0, "r1+r2": 1.0}  # of the papers


class CTGAN(NeuralSynthesizer):
    """Conditional GAN on the cells of rows: Xu et al. (2019), "Modeling Tabular data using Conditional GAN".

    A number is a component of a Gaussian mixture and a place in it, a category is one-hot. The generator
    makes whole rows in one pass, given one category of one column; rare categories are asked for often in
    training. A critic judges packs of rows. With the defaults, all is as in the paper; each part can be
    exchanged for others of the literature, whose equations stand in `synthgan.gan`: `games`, `generators`,
    `critics`.

    `TabularGAN` is more faithful in less time. This is the classic, to compare with and to learn from.

    Parameters
    ----------
    kinds : dict, optional
        Column name to kind ("numerical", "categorical", "boolean", "datetime", "timedelta",
        "identifier", "constant") where the inferred kind is wrong, for example for integer codes.
    constraints : "auto", list of Constraint or None, default None
        Rules that every sampled row keeps exactly: those that the table supports beyond chance (see
        `synthgan.constraints.detect`), or exactly these. The paper has none.
    max_modes : int in [1, 1000], default 10
        Most components of a column of numbers.
    modes : "mixture", "gaussian" or "quantile", default "mixture"
        "mixture": all numbers belong to components of a Gaussian mixture, as in the paper. "gaussian":
        frequent values are categories of their own. "quantile": the rest is cut into intervals of equal
        mass instead.
    generator : "residual", "convolutional" or "style", default "residual"
        The paper's; that of table-GAN (Park et al. 2018); or one whose layers are modulated by a mapping of
        the noise (Karras et al. 2019).
    noise_dim : int >= 1, default 128
        Dimensions of the generator's noise.
    generator_dim, critic_dim : int >= 8, default 256
        Units of a hidden layer.
    n_layers : int in [1, 16], default 2
        Hidden layers of either player.
    generator_conditioning : "concatenation" or "film", default "concatenation"
        How the condition enters the generator: beside the noise, or as a scale and a shift of each layer
        (Perez et al. 2018; for the residual generator).
    truncation : float in [0, 1], default 1
        Below 1, a style generator makes more typical and less diverse rows. Also works on a fitted model.
    critic_conditioning : "concatenation" or "projection", default "concatenation"
        How the condition enters the critic: beside the rows, or as a projection (Miyato & Koyama 2018).
    pac_size : int >= 1, default 10
        Rows that the critic judges together (PacGAN), against mode collapse.
    dropout : float in [0, 0.95], default 0.5
        Share of the critic's hidden units that are left out in a step.
    statistics : "discrimination", "deviation" or None, default None
        What else the critic sees of a batch, against mode collapse: minibatch discrimination (Salimans et al.
        2016) or the standard deviation (Karras et al. 2018).
    spectral_norm : bool, default False
        Divide the critic's weights by their spectral norms (Miyato et al. 2018).
    temperature : float > 0, default 0.2
        Of the Gumbel softmax: the lower, the nearer are categories in training to one-hot.
    loss : "wasserstein", "minimax", "non-saturating", "hinge" or "relativistic", default "wasserstein"
        The game; see `synthgan.gan.games`.
    penalty : "gradient", "r1", "r1+r2", "dragan" or None, default "gradient"
        On the gradient of the critic; "gradient" is that of WGAN-GP.
    gradient_penalty : float >= 0, optional
        Weight of the penalty. By default 10, or 1 for R1 and R1 + R2.
    weight_clip : float > 0, optional
        Clip the critic's weights to this size (Arjovsky et al. 2017: 0.01), in place of a penalty.
    condition_weight : float >= 0, default 1
        Weight of the cross-entropy between the condition and what is generated in its column.
    moment_weight : float >= 0, default 0
        Weight of the squared distance of first and second moments in the generator's loss, against mode
        collapse.
    log_frequency : bool, default True
        Whether categories are asked for in training by the logarithm of their frequency, or else by their
        frequency.
    growing : bool, default False
        Show the components of numbers from coarse to fine in the first half of the training (after Karras et
        al. 2018).
    n_epochs : int >= 1, default 300
        An epoch is as many steps as the table has whole batches.
    batch_size : int >= 2, default 500
        Rows in a step; a multiple of `pac_size`.
    n_critic : int >= 1, default 1
        Critic steps for each generator step.
    generator_lr, critic_lr : float > 0, default 2e-4
        Learning rates of Adam.
    weight_decay : float >= 0, default 1e-6
        Of the generator.
    max_seconds : float > 0, optional
        Stop training after so long. With a budget, equal seeds no longer give equal models.
    device : str, default "auto"
        "cpu", "cuda" or another torch device; "auto" takes a GPU if there is one.
    precision : "auto", "float32" or "bfloat16", default "auto"
        Of matrix products in training. "auto" takes bfloat16 on a CPU that has an instruction
        for it (AVX512_BF16, AMX) and float32 elsewhere.
    verbose : bool, default False
        Show a progress bar on stderr.
    random_state : int, numpy generator or None
        Seed of `fit`. The same int gives the same model on CPU at one number of threads.

    Attributes
    ----------
    schema_ : Schema
        Columns, kinds and dtypes of the fitted table.
    constraints_ : list of Constraint
        The rules that every sampled row keeps, bound to the fitted table.
    history_ : DataFrame
        The training curves, one row an interval: ``step``, ``seconds`` since the start, ``rate``
        (factor on the learning rates, halved each time that training went back), ``critic_loss``,
        ``generator_loss``, ``condition_loss`` in nats (the generator makes what it is asked for at 0),
        ``wasserstein`` (E[C(real)] - E[C(fake)]), ``gradient_norm`` of the critic and ``diversity`` in
        [0, 1] (share of the table's cells whose category or mode the generator reaches; a fall means mode
        collapse).
    n_rows_, seed_ : int
        Rows seen by `fit`, and the seed used.

    Notes
    -----
    Conditions of `sample`, and the cells that `impute` is given: the generator knows one category of one
    column. It makes eight candidates for each row, under one such condition if there is any; the row takes
    the candidate that agrees best with all that is asked for; what still differs is set. All conditions hold
    exactly. But how well the other columns fit to several conditions at once, or to numbers, depends on how
    often such rows come among the candidates; where they are rare, a candidate serves several rows.

    Where the paper is silent: a missing number is a category beside the components; a category is asked for
    by log(1 + its count); numbers are clipped to the learned range and rounded like the column.

    References
    ----------
    Xu et al. (2019), "Modeling Tabular data using Conditional GAN"; Gulrajani et al. (2017), "Improved
    Training of Wasserstein GANs"; Lin et al. (2018), "PacGAN: The power of two samples in generative
    adversarial networks"; Jang et al. (2017), "Categorical Reparameterization with Gumbel-Softmax".

    Examples
    --------
    >>> from synthgan import CTGAN, datasets
    >>> real, holdout = datasets.load_adult()
    >>> model = CTGAN(random_state=0).fit(real)                                  # doctest: +SKIP
    >>> model.sample(5, conditions={"sex": "Female"}, random_state=1)            # doctest: +SKIP
    >>> collapsing = CTGAN(penalty=None, weight_clip=0.01, pac_size=1)           # doctest: +SKIP
    """

    _codec_parameters = ("max_modes", "modes")
    _codec_options: ClassVar[dict[str, Any]] = {"relations": False}
    _n_cells = 1

    def __init__(
        self,
        *,
        kinds: Mapping[Any, str] | None = None,
        constraints: str | Sequence[Constraint] | None = None,
        max_modes: int = 10,
        modes: str = "mixture",
        generator: str = "residual",
        noise_dim: int = 128,
        generator_dim: int = 256,
        critic_dim: int = 256,
        n_layers: int = 2,
        generator_conditioning: str = "concatenation",
        truncation: float = 1.0,
        critic_conditioning: str = "concatenation",
        pac_size: int = 10,
        dropout: float = 0.5,
        statistics: str | None = None,
        spectral_norm: bool = False,
        temperature: float = 0.2,
        loss: str = "wasserstein",
        penalty: str | None = "gradient",
        gradient_penalty: float | None = None,
        weight_clip: float | None = None,
        condition_weight: float = 1.0,
        moment_weight: float = 0.0,
        log_frequency: bool = True,
        growing: bool = False,
        n_epochs: int = 300,
        batch_size: int = 500,
        n_critic: int = 1,
        generator_lr: float = 2e-4,
        critic_lr: float = 2e-4,
        weight_decay: float = 1e-6,
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
        self.generator = generator
        self.noise_dim = noise_dim
        self.generator_dim = generator_dim
        self.critic_dim = critic_dim
        self.n_layers = n_layers
        self.generator_conditioning = generator_conditioning
        self.truncation = truncation
        self.critic_conditioning = critic_conditioning
        self.pac_size = pac_size
        self.dropout = dropout
        self.statistics = statistics
        self.spectral_norm = spectral_norm
        self.temperature = temperature
        self.loss = loss
        self.penalty = penalty
        self.gradient_penalty = gradient_penalty
        self.weight_clip = weight_clip
        self.condition_weight = condition_weight
        self.moment_weight = moment_weight
        self.log_frequency = log_frequency
        self.growing = growing
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.n_critic = n_critic
        self.generator_lr = generator_lr
        self.critic_lr = critic_lr
        self.weight_decay = weight_decay
        self.max_seconds = max_seconds
        self.device = device
        self.precision = precision
        self.verbose = verbose
        self.random_state = random_state

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "kinds": (Instance((Mapping,), "a mapping of column to kind"), Choice((None,))),
        "constraints": CONSTRAINTS_RULE,
        "max_modes": (Interval(int, 1, 1000),),
        "modes": (Choice(("mixture", "gaussian", "quantile")),),
        "generator": (Choice(GENERATORS),),
        "noise_dim": (Interval(int, 1),),
        "generator_dim": (Interval(int, 8),),
        "critic_dim": (Interval(int, 8),),
        "n_layers": (Interval(int, 1, 16),),
        "generator_conditioning": (Choice(CONDITIONINGS["generator"]),),
        "truncation": (Interval(float, 0, 1),),
        "critic_conditioning": (Choice(CONDITIONINGS["critic"]),),
        "pac_size": (Interval(int, 1),),
        "dropout": (Interval(float, 0, 0.95),),
        "statistics": (Choice((*STATISTICS, None)),),
        "spectral_norm": (Choice((True, False)),),
        "temperature": (Interval(float, 0, open_low=True),),
        "loss": (Choice(tuple(GAMES)),),
        "penalty": (Choice((*PENALTIES, None)),),
        "gradient_penalty": (Interval(float, 0), Choice((None,))),
        "weight_clip": (Interval(float, 0, open_low=True), Choice((None,))),
        "condition_weight": (Interval(float, 0),),
        "moment_weight": (Interval(float, 0),),
        "log_frequency": (Choice((True, False)),),
        "growing": (Choice((True, False)),),
        "n_epochs": (Interval(int, 1),),
        "batch_size": (Interval(int, 2),),
        "n_critic": (Interval(int, 1),),
        "generator_lr": (Interval(float, 0, open_low=True),),
        "critic_lr": (Interval(float, 0, open_low=True),),
        "weight_decay": (Interval(float, 0),),
        "max_seconds": (Interval(float, 0, open_low=True), Choice((None,))),
        "device": (Instance((str,), "'auto', 'cpu' or a torch device such as 'cuda'"),),
        "precision": (Choice(PRECISIONS),),
        "verbose": (Choice((True, False)),),
    }

    def critic_score(self, X: Any) -> NDArray[np.float64]:
        """Score the realism of rows by the critic.

        The scale has no zero and no unit, and another model has another one: only the ranks of rows of one
        model mean something. A row is judged in packs beside generated ones, once given its category in
        each discrete column; the score is the mean.

        Parameters
        ----------
        X : DataFrame, array, Arrow table or stream, or path(s) of CSV or Parquet files
            Rows with the columns of the fitted table, in any order. What was never seen counts as the first
            value that is known of the column.

        Returns
        -------
        float64 array of shape (n_rows,)
            Higher is more real.

        Raises
        ------
        ParameterError
            If the critic sees statistics of a batch.
        """
        check_is_fitted(self)
        if self.statistics is not None:
            raise ParameterError(
                f"critic_score judges rows one by one, and a critic with statistics={self.statistics!r} does "
                "not: fit with statistics=None."
            )
        return realism(self._truncated(), self._observed(X).table, self.seed_)

    def _network(self, layout: Layout) -> ConditionalGAN:
        return ConditionalGAN(layout, self._players())

    def _train(self, network: ConditionalGAN, encoded: EncodedTable, run: Run) -> None:
        plan = self._plan(len(encoded))
        if len(network.layout):
            mixed = mixed_precision(self.precision, network.frequency.device)
            train_adversarial(network, network.vectors.rows(encoded), plan, run, mixed)

    def _draw(self, rows: int | range, seed: int, conditions: EncodedConditions | None) -> EncodedTable:
        return self._in_blocks(self._truncated().draw, rows, seed, conditions)

    def _truncated(self) -> ConditionalGAN:
        """Give the model, its truncation that of the parameter: it may have been set after `fit`."""
        model: ConditionalGAN = self.model_
        if isinstance(model.generator, StyleGenerator):
            model.generator.truncation = self.truncation
        return model

    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        super()._restore(facts, arrays)
        frequency = self.model_.frequency
        if not ((frequency >= 0) & (frequency <= 1)).all():
            raise ModelFileError("The frequencies of codes must lie between 0 and 1.")

    def _players(self) -> Players:
        return Players(
            generator=self.generator,
            noise_dim=self.noise_dim,
            generator_dims=(self.generator_dim,) * self.n_layers,
            generator_conditioning=self.generator_conditioning,
            truncation=self.truncation,
            critic_dims=(self.critic_dim,) * self.n_layers,
            critic_conditioning=self.critic_conditioning,
            pac_size=self.pac_size,
            dropout=self.dropout,
            statistics=self.statistics,
            spectral_norm=self.spectral_norm,
            temperature=self.temperature,
        )

    def _plan(self, n_rows: int) -> AdversarialPlan:
        """Refuse what does not go together, and fill in what depends on the table or on other parameters."""
        check_packs("batch_size", self.batch_size, self.pac_size)
        check_game(self.loss, self.penalty, clip=self.weight_clip, spectral_norm=self.spectral_norm)
        if self.penalty is None and self.gradient_penalty is not None:
            raise ParameterError(
                f"gradient_penalty={self.gradient_penalty:g} is the weight of a penalty, but penalty=None. "
                "Leave it out, or choose a penalty."
            )
        weight = self.gradient_penalty
        if weight is None:
            weight = _PENALTY_WEIGHTS.get(self.penalty or "", 0.0)
        return AdversarialPlan(
            n_steps=self.n_epochs * max(1, n_rows // self.batch_size),
            batch_size=self.batch_size,
            n_critic=self.n_critic,
            loss=self.loss,
            penalty=self.penalty,
            gradient_penalty=weight,
            weight_clip=self.weight_clip,
            condition_weight=self.condition_weight,
            moment_weight=self.moment_weight,
            generator_lr=self.generator_lr,
            critic_lr=self.critic_lr,
            weight_decay=self.weight_decay,
            log_frequency=self.log_frequency,
            growing=self.growing,
            max_seconds=self.max_seconds,
        )
