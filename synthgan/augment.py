"""Balance a table: synthetic rows of rare classes, or of ranges of a numeric target, after the real ones.

`new_rows` lets a fitted model make the rows that `synthgan.demands` counts, starting from real ones.
`GANOverSampler` puts both behind the contract of imbalanced-learn, ``fit_resample(X, y)``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, clone
from sklearn.utils import Tags

from synthgan.constraints import Constraint
from synthgan.demands import OWNER, STRATEGY_RULE, Demand, check_sizes, counted, target_series
from synthgan.errors import ConditionError, DataError, quantity
from synthgan.impute import replaced
from synthgan.params import Choice, Instance, Interval, Rule, check_parameter, check_parameters
from synthgan.schema import check_column_names
from synthgan.seeding import RandomState, draw_seed, stream
from synthgan.synthesizers.arrays import array_to_frame
from synthgan.synthesizers.base import BaseSynthesizer
from synthgan.synthesizers.tabular_gan import TabularGAN

__all__ = ["GANOverSampler", "new_rows"]

_KEPT_SHARE_RULE: Rule = (Interval(float, 0, 1),)

_ROUNDS = 20
"""How often new rows that break a rule together are drawn again."""


def new_rows(
    model: BaseSynthesizer,
    table: pd.DataFrame,
    target: Hashable,
    wanted: Iterable[Demand],
    kept_share: float,
    seed: int,
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Let a fitted model make rows of the classes or ranges that are wanted.

    With ``kept_share > 0`` each new row starts from a real one of its class: a share of its cells is kept,
    the others are drawn anew, given the target and the kept cells. That is a step of Gibbs sampling, under
    which the distribution of the class stays what it is if the model is right; and where it is not, the kept
    cells hold the row near the real ones. Missing cells stay missing, identifiers are always made anew.
    Where the kept cells leave no way to keep the model's constraints, the whole row is drawn.

    Parameters
    ----------
    model : fitted synthesizer
    table : DataFrame
        The table that it was fitted to.
    target : hashable
        Name of the column that holds the target.
    wanted : iterable of Demand
    kept_share : float in [0, 1]
        0: whole rows are drawn, given the target alone.
    seed : int

    Returns
    -------
    frame : DataFrame
        Columns and dtypes of `table`; the demands one after the other. Every row keeps the rules in
        ``model.constraints_``.
    starts : int array
        Position of the real row that each one started from; -1 for a wholly new one.

    Raises
    ------
    ConditionError
        If rows of the class or range that keep the rules are not found.
    ParameterError
        If `kept_share` is out of its range.
    """
    check_parameter("new_rows", "kept_share", kept_share, _KEPT_SHARE_RULE)
    wanted = [one for one in wanted if one.n_new]
    if not wanted:
        return table.iloc[:0], np.empty(0, dtype=np.intp)
    rng = stream(seed, "augment")
    starts = np.concatenate([_taken_in_turn(one.rows, one.n_new, rng) for one in wanted])
    if kept_share > 0:
        made = _redrawn(model, table.iloc[starts], target, kept_share, rng)
        made, is_whole = _mended(model, made, target, rng)
        return made, np.where(is_whole, -1, starts)
    given = table[[target]].iloc[starts]
    if wanted[0].is_range:
        parts = [
            model.sample(one.n_new, conditions={target: one.group}, random_state=rng)[[target]]
            for one in wanted
        ]
        given = pd.concat(parts, ignore_index=True)
    return model.sample(conditions=given, random_state=rng), np.full(len(starts), -1)


def _mended(
    model: BaseSynthesizer, made: pd.DataFrame, target: Hashable, rng: np.random.Generator
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Replace rows that break a rule by whole ones with the same target; tells which, shape (n_rows,).

    More than one round is needed only where a rule, such as Unique, is about several rows.
    """
    is_whole = np.zeros(len(made), dtype=bool)
    faults = _faults(model, made)
    n_rounds = 0
    while faults and n_rounds < _ROUNDS:
        rows = np.flatnonzero(np.any([broken for _, broken in faults], axis=0))
        whole = model.sample(conditions=made[[target]].iloc[rows], random_state=rng)
        for j, kind in enumerate(model.schema_.kinds.values()):
            if kind != "identifier":  # those of the whole rows need not differ from those of the others
                made.isetitem(j, replaced(made.iloc[:, j], rows, whole.iloc[:, j].array))
        is_whole[rows] = True
        faults = _faults(model, made)
        n_rounds += 1
    if faults:
        rule, broken = max(faults, key=lambda fault: int(fault[1].sum()))
        raise ConditionError(
            f"Every new row must keep {rule}. After {quantity(n_rounds, 'round')} {broken.sum():,} of "
            f"{quantity(len(made), 'row')} did not. Ask for fewer rows, or fit without the rule."
        )
    return made, is_whole


def _faults(model: BaseSynthesizer, made: pd.DataFrame) -> list[tuple[Constraint, NDArray[np.bool_]]]:
    """Return the rules that are broken, and in which rows, shape (n_rows,)."""
    found = [(rule, ~rule.holds(made)) for rule in model.constraints_]
    return [(rule, broken) for rule, broken in found if broken.any()]


def _taken_in_turn(rows: NDArray[np.intp], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw rows so that none is taken twice before all are taken once."""
    rounds = -(-n // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:n]


def _redrawn(
    model: BaseSynthesizer, start: pd.DataFrame, target: Hashable, kept_share: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw some cells of real rows anew, given the others."""
    start = start.reset_index(drop=True)
    is_new = _cells_to_draw(model, start, target, kept_share, rng)
    gapped, made = start.copy(), start.copy()
    for j in range(start.shape[1]):
        gapped.isetitem(j, _with_gaps(start.iloc[:, j], is_new[:, j]).array)
    drawn = cast(pd.DataFrame, model.impute(gapped, random_state=rng))
    for j in range(start.shape[1]):
        rows = np.flatnonzero(is_new[:, j])
        made.isetitem(j, replaced(start.iloc[:, j], rows, drawn.iloc[rows, j].array))
    return made


def _cells_to_draw(
    model: BaseSynthesizer, start: pd.DataFrame, target: Hashable, kept_share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose cells of each row at random, at least one; never the target, nor a missing cell."""
    kinds = list(model.schema_.kinds.values())
    is_key = np.array([kind == "identifier" for kind in kinds])
    is_fixed = np.array([name == target for name in start.columns]) | is_key
    n_new = max(1, round((1 - kept_share) * int((~is_fixed).sum())))
    missing = start.isna().to_numpy()
    place = np.where(is_fixed | missing, 2.0, rng.random(start.shape))  # 2: after all others
    is_new: NDArray[np.bool_] = place.argsort(axis=1).argsort(axis=1) < n_new
    is_new &= place < 1
    is_new |= is_key & ~missing
    return is_new


def _with_gaps(values: pd.Series[Any], gaps: NDArray[np.bool_]) -> pd.Series[Any]:
    """Make cells missing, in a dtype that loses nothing of the others."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iub":
        kind = pd.arrays.BooleanArray if values.dtype.kind == "b" else pd.arrays.IntegerArray
        return pd.Series(kind(values.to_numpy(copy=True), gaps.copy()))
    return values.mask(gaps)


# Containers


def _features(X: Any, sampler: GANOverSampler) -> pd.DataFrame:
    """Take the features as a frame with a fresh index."""
    if isinstance(X, pd.DataFrame):
        check_column_names(X)
        return X.reset_index(drop=True)
    return array_to_frame(X, sampler)


def _free_name(frame: pd.DataFrame, own: Hashable) -> str:
    """Name a column for the target: by its own name, or else as no other is named."""
    name = own if isinstance(own, str) and own not in frame.columns else "target"
    while name in frame.columns:
        name += "_"
    return name


def _below(given: Any, real: Any, made: Any) -> Any:
    """Put new rows below the real ones, in the type in which these were given."""
    if isinstance(given, pd.DataFrame | pd.Series):
        both = pd.concat([real, made], ignore_index=True)
        if isinstance(given, pd.Series):
            return both.rename(given.name)
        return (both.to_frame() if both.ndim == 1 else both).set_axis(given.columns, axis=1)
    if isinstance(given, list):  # which may hold numbers beside text
        return given + made.to_numpy(dtype=object).tolist()
    array = np.asarray(given)
    return np.concatenate([array, made.to_numpy(dtype=array.dtype).reshape(-1, *array.shape[1:])])


# The estimator


class GANOverSampler(OneToOneFeatureMixin, BaseEstimator):  # type: ignore[misc]
    """Over-sample rare classes with a conditional GAN, by the contract of imbalanced-learn.

    One generator learns the whole table, the target as one more column, so that a rare class borrows
    from the common ones what they share. New rows come after the real ones, which stay as they are.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default "auto"
        How many rows there are to be. A float in (0, 1]: the rarer of two classes grows to this share of the
        size of the other. "minority", "not minority", "not majority", "all": these classes grow to the size
        of the largest; "auto" is "not majority". A dict: number of rows of each class in the end, or, for a
        numeric target, of each range ``(low, high)``, both ends included and either end None. A
        callable: takes `y` as an array and returns such a dict.
    generator : synthesizer, optional
        It is cloned; `kinds`, `max_seconds` or `device` are set there. By default
        ``TabularGAN(n_gan_steps=1)``: the decoder alone draws these rows, column by column, and training
        the generator and the critic would have no effect on them.
    kept_share : float in [0, 1], default 0.7
        Share of the cells that a new row keeps of a real row of its class; the others are drawn anew given
        the kept ones and the class, at least one. 0: whole rows are drawn, none starts from a real one.
    random_state : int, numpy generator or None
        Seed of training and drawing; overrides that of `generator` unless it is None.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class, or range, to number of rows to be added.
    generator_ : synthesizer or None
        Fitted to `X` with the target as the last column, classes as their number; None if no rows
        were to be added.
    constraints_ : list of Constraint
        The rules that every new row keeps: those of `generator_`, found in the table unless it was told
        which. Real rows stay as they are.
    sample_indices_ : int array of shape (n_rows out,)
        Position of each row in `X`: its own, or that of the real row that it started from; -1 if none.
    n_features_in_ : int
    feature_names_in_ : array of str
        If all names of columns are text.

    Notes
    -----
    The result contains the real rows, and new ones share cells with them: it is for training models,
    not for publication.

    Examples
    --------
    >>> from synthgan import GANOverSampler
    >>> X_res, y_res = GANOverSampler(random_state=0).fit_resample(X, y)         # doctest: +SKIP
    >>> sampler = GANOverSampler({"yes": 5000}, generator=TabularGAN(max_seconds=60))
    >>> houses = GANOverSampler({(400_000, None): 3000})                     # by range of a numeric target
    """

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "sampling_strategy": STRATEGY_RULE,
        "generator": (Instance((BaseSynthesizer,), "a synthesizer"), Choice((None,))),
        "kept_share": _KEPT_SHARE_RULE,
    }

    def __init__(
        self,
        sampling_strategy: Any = "auto",
        *,
        generator: BaseSynthesizer | None = None,
        kept_share: float = 0.7,
        random_state: RandomState = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.generator = generator
        self.kept_share = kept_share
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Check the input and find out how many rows are to be added; nothing is trained.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
        y : Series, array or list of shape (n_rows,)
        """
        frame, _, wanted = self._read(X, y)
        self._remember(frame, wanted)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Learn the table and add rows to it.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            Any kinds of columns, missing values included.
        y : Series, array or list of shape (n_rows,)
            Classes, or numbers if `sampling_strategy` gives ranges.

        Returns
        -------
        X_resampled, y_resampled : of the types, dtypes and names of `X` and `y`
            The real rows in their order, then the new ones; a fresh RangeIndex.

        Raises
        ------
        DataError
            If `X` and `y` differ in length, `y` has missing values or one class, or a class that is to
            grow has one row.
        ParameterError
            If `sampling_strategy` names an unknown class or asks for fewer rows than there are.
        ConditionError
            If rows that keep `constraints_` are not found.
        """
        seed = draw_seed(self.random_state)
        frame, target, wanted = self._read(X, y)
        check_sizes(wanted)
        starts = np.arange(len(frame))
        made, new_target = frame.iloc[:0], target.iloc[:0]
        generator = None
        if any(one.n_new for one in wanted):
            name = _free_name(frame, target.name)
            table = frame.assign(**{name: target if wanted[0].is_range else pd.factorize(target)[0]})
            generator = self._generator(name, seed, wanted).fit(table)
            rows, from_rows = new_rows(generator, table, name, wanted, self.kept_share, seed)
            made, new_target = rows.iloc[:, :-1].set_axis(frame.columns, axis=1), rows[name]
            if not wanted[0].is_range:
                new_target = target.iloc[np.unique(table[name], return_index=True)[1][new_target]]
            starts = np.concatenate([starts, from_rows])
        self._remember(frame, wanted)
        self.sample_indices_, self.generator_ = starts, generator
        self.constraints_ = [] if generator is None else generator.constraints_
        return _below(X, frame, made), _below(y, target, new_target)

    def _read(self, X: Any, y: Any) -> tuple[pd.DataFrame, pd.Series[Any], list[Demand]]:
        """Check parameters and data; returns features, target and what is wanted."""
        check_parameters(OWNER, self.get_params(deep=False), self._parameter_rules)
        frame, target = _features(X, self), target_series(y)
        if len(frame) != len(target):
            raise DataError(
                f"X and y must have the same number of rows. Got {len(frame):,} and {len(target):,}."
            )
        return frame, target, counted(self.sampling_strategy, target)

    def _generator(self, target: str, seed: int, wanted: list[Demand]) -> BaseSynthesizer:
        """Prepare the generator, and tell it what the target is."""
        generator = TabularGAN(n_gan_steps=1) if self.generator is None else clone(self.generator)
        if self.random_state is not None:
            generator.set_params(random_state=seed)
        kind = "numerical" if wanted[0].is_range else "categorical"
        generator.set_params(kinds={**(generator.kinds or {}), target: kind})
        return generator

    def _remember(self, frame: pd.DataFrame, wanted: list[Demand]) -> None:
        self.sampling_strategy_ = {one.group: one.n_new for one in wanted}
        self.n_features_in_ = frame.shape[1]
        if hasattr(self, "feature_names_in_"):
            delattr(self, "feature_names_in_")  # of an earlier fit
        if all(isinstance(name, str) for name in frame.columns):
            self.feature_names_in_ = np.array(frame.columns, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "sampler"
        tags.target_tags.required = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags
