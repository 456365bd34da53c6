"""How probable rows are, for the synthesizers that can tell; a GAN alone cannot."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from synthgan.layout import EncodedTable
from synthgan.synthesizers.base import BaseSynthesizer

__all__ = ["LikelihoodMixin"]


class LikelihoodMixin(BaseSynthesizer):
    """Adds `score_samples` and `score` to a synthesizer that has `_log_likelihood`."""

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Say how probable rows are.

        The log-likelihood of a row is the log of a probability, of what the model resolves of it:
        every category, every value that has point mass, the missing value and a value told by
        another column count as they are. Any other number counts as the piece it lies in: its
        mode has 16 cells, and a cell wider than a thousandth of the column's learned range (or the
        step of its values, if that is more) is cut into pieces of that width. The scores of two
        models may be compared if they cut columns alike: same table, same `kinds` and modes.

        What was never seen has a score too. A number outside the learned range counts as the nearest one
        that is known, at a density that falls off with the square of the distance. An unknown
        category, a missing value in a column without any, another value in a constant column and one
        that is not what another column determines have the probability 1 / (n_rows_ + 1) each, and tell
        nothing about the other columns.
        Identifiers do not count.

        Parameters
        ----------
        X : DataFrame, array, Arrow table or stream, or path(s) of CSV or Parquet files
            Rows with the columns of the fitted table, in any order; those of an array in its order.

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
        """
        check_is_fitted(self)
        return self._score_samples(X, self._log_likelihood)

    def _score_samples(
        self,
        X: Any,
        log_likelihood: Callable[[EncodedTable, NDArray[np.bool_]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Add what codes do not say to ``log_likelihood(table, known)``."""
        seen = self._observed(X)
        in_codes = log_likelihood(seen.table, seen.known)
        scores: NDArray[np.float64] = in_codes - seen.log_pieces - seen.n_unseen * np.log(self.n_rows_ + 1)
        return scores

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002
        """Return the mean of `score_samples`, by which a search for parameters may choose.

        Parameters
        ----------
        X : as in `score_samples`, with at least one row
        y : ignored
            Present for scikit-learn.

        Returns
        -------
        float
            In nats a row, <= 0, higher is better. Not comparable between values of `kinds`,
            `max_modes` and `modes`, which say how finely columns are cut.
        """
        return float(self.score_samples(X).mean())

    @abstractmethod
    def _log_likelihood(self, table: EncodedTable, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the log probability of the known cells of each row, shape (n_rows,).

        The probability of a cell is that of its code and, where the code is no atom, of one of
        `_n_cells` equal cells of alpha, or of the member of the group.
        """
