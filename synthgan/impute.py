"""Fill gaps inside a scikit-learn pipeline: a generator that has learned a table draws what is missing."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from synthgan.dtypes import from_numbers, object_keys, to_numbers
from synthgan.params import Choice, Instance, Interval, Rule, check_parameters
from synthgan.schema import table
from synthgan.seeding import RandomState, draw_seed
from synthgan.synthesizers.arrays import array_to_frame
from synthgan.synthesizers.base import BaseSynthesizer
from synthgan.synthesizers.tabular_gan import TabularGAN
from synthgan.transforms.numeric import NumericCodec

__all__ = ["Imputer", "combine"]


class Imputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fill the gaps of a table with values drawn given the other cells of the row.

    The table that it is fitted to may have gaps itself, in any columns: a missing cell counts as one more
    value of its column while the generator learns, and is never drawn to fill a gap. Rows to be filled
    may have gaps also where the fitted table had none.

    Parameters
    ----------
    generator : synthesizer, optional
        It is cloned; `kinds`, `max_seconds` or `device` are set there. By default
        ``TabularGAN(n_gan_steps=1)``: gaps are drawn by the decoder alone, column by column, so that
        training the generator and the critic would have no effect on them.
    n_draws : int >= 1, default 1
        1: every gap gets one draw, and the filled table keeps the spread of its columns. More: numbers and
        times get the mean of so many draws, as a value that the column can have, and everything
        else the most frequent draw. That is nearer to the missing value on average, but columns lose spread.
    random_state : int, numpy generator or None
        Seed of training and drawing; overrides that of `generator` unless it is None.

    Attributes
    ----------
    generator_ : synthesizer
        Fitted to `X`.
    seed_ : int
        Of the draws: filling the same rows twice gives the same table.
    n_features_in_ : int
    feature_names_in_ : array of str
        If all names of columns are text.

    See Also
    --------
    BaseSynthesizer.impute : The draws themselves, for multiple imputation.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> imputer = Imputer(n_draws=20, random_state=0).set_output(transform="pandas")
    >>> make_pipeline(imputer, encoder, classifier).fit(X_train, y_train)        # doctest: +SKIP
    """

    _parameter_rules: ClassVar[dict[str, Rule]] = {
        "generator": (Instance((BaseSynthesizer,), "a synthesizer"), Choice((None,))),
        "n_draws": (Interval(int, 1),),
    }

    def __init__(
        self,
        generator: BaseSynthesizer | None = None,
        *,
        n_draws: int = 1,
        random_state: RandomState = None,
    ) -> None:
        self.generator = generator
        self.n_draws = n_draws
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Learn the table, gaps included.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            Left as it is.
        y : ignored
            Present for scikit-learn: what fills a gap should not know the target.

        Raises
        ------
        DataError
            If the table holds values that cannot be modelled.
        ParameterError
            If a parameter is out of its range.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False), self._parameter_rules)
        frame = self._frame(X, reset=True)
        generator = TabularGAN(n_gan_steps=1) if self.generator is None else clone(self.generator)
        seed = draw_seed(self.random_state)
        if self.random_state is not None or generator.random_state is None:
            generator.set_params(random_state=seed)
        self.generator_ = generator.fit(frame)
        self.seed_ = seed
        return self

    def transform(self, X: Any) -> Any:
        """Fill the gaps; all other cells stay as they are.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            Rows with the columns of the fitted table.

        Returns
        -------
        DataFrame or array of shape (n_rows, n_features)
            Like `X`; a frame has the dtypes of the fitted table. No cell is missing but in
            columns of which no value was ever seen.

        Raises
        ------
        ConditionError
            If a column holds values of another type than the fitted one.
        """
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        draws = self.generator_.impute(frame, random_state=self.seed_, n_draws=self.n_draws)
        filled = combine(cast("list[pd.DataFrame]", draws), frame, self.generator_)
        if isinstance(X, pd.DataFrame):
            return filled
        array = np.asarray(X)
        return filled.to_numpy(dtype=array.dtype if array.dtype.kind in "fO" else None)

    def _frame(self, X: Any, reset: bool) -> pd.DataFrame:
        """Check columns as scikit-learn does, and take an array as a frame."""
        names = None if reset else self.generator_.schema_.names
        frame = X if isinstance(X, pd.DataFrame) else array_to_frame(X, self, names)
        validate_data(self, frame, reset=reset, skip_check_array=True)
        return frame

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.non_deterministic = self.random_state is None
        return tags


def combine(draws: list[pd.DataFrame], gaps: pd.DataFrame, model: BaseSynthesizer) -> pd.DataFrame:
    """Make one table of several imputations: means of numbers and times, otherwise the most frequent value.

    Parameters
    ----------
    draws : list of DataFrames
        What ``model.impute`` returned.
    gaps : DataFrame
        The table with gaps.
    model : fitted synthesizer

    Returns
    -------
    DataFrame
        Differs from the first draw in the gaps only. Identifiers are those of the first draw.
    """
    first = draws[0]
    if len(draws) == 1:
        return first
    arrays: list[Any] = []
    for name in first.columns:
        rows = np.flatnonzero(gaps[name].isna().to_numpy(dtype=bool))
        is_drawn = len(rows) and model.schema_.kinds[name] not in ("constant", "identifier")
        arrays.append(_middle(draws, name, rows, model) if is_drawn else first[name].array)
    return table(arrays, list(first.columns), len(first)).set_axis(first.index)


def _middle(draws: list[pd.DataFrame], name: Hashable, rows: NDArray[np.intp], model: BaseSynthesizer) -> Any:
    """Return one column with the middle of the draws in some rows."""
    drawn = pd.concat([draw[name].iloc[rows] for draw in draws], ignore_index=True)
    codec = model.codec_.codecs_[name]
    if isinstance(codec, NumericCodec):
        values, missing = to_numbers(drawn)
        shape = len(draws), len(rows)
        middle = codec.snap(_mean(values.reshape(shape)))
        array = from_numbers(middle, missing.reshape(shape)[0], codec.column.dtype)
    else:
        keys, _ = pd.factorize(object_keys(drawn))
        array = drawn.array.take(_most_frequent(np.asarray(keys).reshape(len(draws), -1)))
    both = pd.concat([draws[0][name], pd.Series(array, dtype=draws[0][name].dtype)], ignore_index=True)
    source = np.arange(len(draws[0]))
    source[rows] = len(source) + np.arange(len(rows))
    return both.array.take(source)


def _mean(values: NDArray[Any]) -> NDArray[Any]:
    """Return means over the first axis in the type of the numbers, without overflow.

    >>> _mean(np.array([[1, -7], [2, -8], [5, -9]]))
    array([ 3, -8])
    """
    if values.dtype.kind == "f":
        return np.asarray((values / len(values)).sum(axis=0))
    low = values.min(axis=0)
    above = values.view(np.uint64) - low.view(np.uint64)  # exact, also where a difference of int64 is not
    mean = np.minimum(np.rint(above.mean(axis=0)), np.nextafter(2.0**64, 0)).astype(np.uint64)
    return np.asarray((low.view(np.uint64) + np.minimum(mean, above.max(axis=0))).view(values.dtype))


def _most_frequent(keys: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the flat position of the most frequent key of each column, the first of several.

    >>> _most_frequent(np.array([[4, 1], [7, 1], [7, 2]]))
    array([2, 1])
    """
    counts = np.stack([(keys == draw).sum(axis=0) for draw in keys])
    best: NDArray[np.intp] = counts.argmax(axis=0) * keys.shape[1] + np.arange(keys.shape[1])
    return best
