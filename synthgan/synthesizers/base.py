"""What every synthesizer shares: the way from a frame to codes and back.

``fit`` reads the table, infers its schema, encodes it and hands codes to the
subclass; ``sample`` takes codes from the subclass and decodes them. A subclass
says only how codes are learned (`_learn`) and drawn (`_draw`), and how its learned
state is written down (`_state`, `_restore`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from synthgan.io import read_table
from synthgan.layout import EncodedTable, Layout
from synthgan.params import Interval, Rule, check_parameter, check_parameters
from synthgan.schema import Schema
from synthgan.seeding import RandomState, draw_seed, stream
from synthgan.transforms import TableCodec

__all__ = ["BLOCK_ROWS", "BaseSynthesizer", "State", "drawn_in_blocks"]

BLOCK_ROWS = 2048
"""Rows are drawn in blocks of this size, each from a random stream of its own. A block
is always drawn whole, so that the first k rows of ``sample(n)`` equal ``sample(k)``."""

State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Learned state as JSON-able facts and named arrays."""


class BaseSynthesizer(BaseEstimator):  # type: ignore[misc]
    """Base of the synthesizers; see `TabularGAN` and `IndependentSynthesizer`."""

    _parameter_rules: ClassVar[dict[str, Rule]] = {}
    _codec_parameters: ClassVar[tuple[str, ...]] = ()  # constructor parameters that TableCodec takes
    _codec_options: ClassVar[dict[str, Any]] = {}  # and what the class fixes

    kinds: Any
    random_state: RandomState

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Learn the table.

        Parameters
        ----------
        X : DataFrame, Arrow table or stream, or path(s) of CSV or Parquet files
            The real table, shape (n_rows, n_columns); left as it is.
        y : ignored
            Present for scikit-learn. A target is a column of `X` like any other.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the table is empty or holds values that cannot be modelled.
        ParameterError
            If a constructor parameter is out of its range.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False), self._parameter_rules)
        seed = draw_seed(self.random_state)
        frame = read_table(X)
        schema = Schema.infer(frame, kinds=self.kinds)
        options = {name: getattr(self, name) for name in self._codec_parameters} | self._codec_options
        codec = TableCodec(schema, random_state=seed, **options).fit(frame)
        self._learn(codec.transform(frame), codec.layout_, seed)
        self.schema_ = schema
        self.codec_ = codec
        self.seed_ = seed
        self.n_rows_ = len(frame)
        return self

    def sample(self, n_samples: int = 1, *, random_state: RandomState = None) -> pd.DataFrame:
        """Draw synthetic rows.

        Parameters
        ----------
        n_samples : int >= 0
            Number of rows; 0 gives an empty frame with all columns and dtypes.
        random_state : int, numpy generator or None
            The same int gives the same rows, and the first k rows of ``sample(n)``
            equal ``sample(k)``.

        Returns
        -------
        DataFrame of shape (n_samples, n_columns)
            Columns, dtypes and categories of the fitted table, a fresh RangeIndex.

        Raises
        ------
        ParameterError
            If `n_samples` is not an int >= 0.
        sklearn.exceptions.NotFittedError
            If the model has not been fitted.
        """
        check_is_fitted(self)
        return self._sample(n_samples, random_state, self._draw)

    def _sample(
        self, n_samples: int, random_state: RandomState, draw: Callable[[int, int], EncodedTable]
    ) -> pd.DataFrame:
        """Check the arguments, draw codes by ``draw(n_samples, seed)``, decode them."""
        check_parameter(type(self).__name__ + ".sample", "n_samples", n_samples, (Interval(int, 0),))
        seed = draw_seed(random_state)
        if n_samples == 0:
            return self.schema_.empty()
        return self.codec_.inverse_transform(draw(int(n_samples), seed), seed)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file without pickle; see `synthgan.load`.

        Parameters
        ----------
        path : str or Path
            Conventionally ending in ``.synthgan``. Replaced in one step: a failure leaves
            what was there before.
        """
        from synthgan.synthesizers.archive import save_model

        check_is_fitted(self)
        save_model(self, path)

    @property
    def n_features_in_(self) -> int:
        """Number of columns seen by ``fit``."""
        return len(self.schema_.columns)

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Names of the columns seen by ``fit``, shape (n_columns,)."""
        names = np.empty(len(self.schema_.columns), dtype=object)
        names[:] = self.schema_.names
        return names

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "codec_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    @abstractmethod
    def _learn(self, encoded: EncodedTable, layout: Layout, seed: int) -> None:
        """Learn from codes; sets ``name_`` attributes, and those only when all went well."""

    @abstractmethod
    def _draw(self, n_samples: int, seed: int) -> EncodedTable:
        """Draw `n_samples` encoded rows, in blocks; see `drawn_in_blocks`."""

    @abstractmethod
    def _state(self) -> State:
        """Return what `_learn` has set."""

    @abstractmethod
    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Set what `_state` returned; `schema_` and `codec_` stand already.

        Raises `ModelFileError` when something is missing or of the wrong shape.
        """


def drawn_in_blocks(
    draw: Callable[[int, np.random.Generator], EncodedTable], n_samples: int, seed: int
) -> EncodedTable:
    """Call ``draw(n_rows, rng)`` for each block of rows and join what it returns.

    Parameters
    ----------
    draw : callable (int, numpy Generator) -> EncodedTable
        Draws one block.
    n_samples : int >= 1
        Rows wanted; the last block is drawn whole and cut.
    seed : int
        Block i uses the stream ``(seed, "sample", i)``.
    """
    blocks = [draw(BLOCK_ROWS, stream(seed, "sample", block)) for block in range(-(-n_samples // BLOCK_ROWS))]
    return EncodedTable(
        np.concatenate([block.codes for block in blocks])[:n_samples],
        np.concatenate([block.alphas for block in blocks])[:n_samples],
    )
