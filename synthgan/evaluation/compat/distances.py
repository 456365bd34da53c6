"""Naive alpha-precision and beta-recall, and the DCR share, as the TabSyn code computes them.

Frames enter, scores between rows as points leave.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler

from synthgan.errors import DataError
from synthgan.evaluation.compat.inputs import (
    Names,
    check_columns,
    number_matrix,
    one_hot,
    shared_codes,
    texts,
)

__all__ = ["alpha_precision_beta_recall", "dcr_share"]

_N_ALPHAS = 30
_CHUNK_CELLS = 4_000_000  # distances held at a time: 32 MB


def alpha_precision_beta_recall(
    real: pd.DataFrame, synthetic: pd.DataFrame, *, numerical: Names, categorical: Names
) -> tuple[float, float]:
    """Measure how much of each table lies where the other one does.

    "Naive": points are numbers scaled to the real range beside one-hot categories.
    For 30 shares a in [0, 1]: P(a) is the share of synthetic points within the
    a-quantile of the real distances from the real centre. R(a) is the share of
    real points whose nearest synthetic point is no further than the nearest other
    real point and lies within the a-quantile, over those nearest points, of the
    distances from the synthetic centre. Each score is
    ``1 - sum |a - curve(a)| / sum a``.

    Parameters
    ----------
    real, synthetic : DataFrame
        With equally many rows and without missing numbers.
    numerical, categorical : sequence of column names
        How to read each column.

    Returns
    -------
    alpha_precision : float
        At most 1, which is best; independent columns reach it almost. Below 0 where
        the curve is further from the diagonal than 0 is.
    beta_recall : float
        At most 1. An independent sample of the same population scores
        about 0.5, a copy of the table 1: what lies above 0.5 is no merit.

    Raises
    ------
    DataError
        If the numbers of rows differ, a number is missing, or a synthetic
        category does not occur in `real`; the published code fails there, too.

    References
    ----------
    Alaa et al. (2022), "How Faithful is your Synthetic Data?"; `AlphaPrecision`
    of synthcity 0.2.12 ("naive"), called by `eval/eval_quality.py` of TabSyn.
    """
    check_columns([*numerical, *categorical], real=real, synthetic=synthetic)
    if len(real) != len(synthetic) or len(real) < 2:
        raise DataError(
            "real and synthetic must have equally many rows, at least 2. "
            f"Got {len(real)} and {len(synthetic)}. Draw as many from the larger table."
        )
    x, y = _points(real, synthetic, numerical, categorical)
    alphas = np.linspace(0, 1, _N_ALPHAS)
    centre = x.mean(axis=0)
    radii = np.quantile(_norms(x - centre), alphas)
    precision = (_norms(y - centre)[:, None] <= radii).mean(axis=0)

    to_real = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)[0][:, 1]  # the first is the point itself
    to_synthetic, places = NearestNeighbors(n_neighbors=1).fit(y).kneighbors(x)
    covered = to_synthetic[:, 0] <= to_real
    depth = _norms(y[places[:, 0]] - y.mean(axis=0))
    recall = (covered[:, None] & (depth[:, None] <= np.quantile(depth, alphas))).mean(axis=0)
    return _closeness(alphas, precision), _closeness(alphas, recall)


def dcr_share(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    numerical: Names,
    categorical: Names,
) -> float:
    """Give the share of synthetic rows that are nearer to the training rows than to the holdout.

    The distance is the sum of ``|x - y| / (real maximum - real minimum)`` over numbers and
    of 2 for each category that differs (one-hot, L1). "Nearer" is strict: ties
    count for the holdout. No table is sampled; memory stays below 200 MB.

    Parameters
    ----------
    real, synthetic, holdout : DataFrame
        Training rows, rows made from them, rows never seen; without missing
        numbers. A number that is constant in `real` is divided by 1, a category that
        only one table has differs from all others; the published code fails there.
    numerical, categorical : sequence of column names
        How to read each column.

    Returns
    -------
    float
        In [0, 1]. Best is ``n_real / (n_real + n_holdout)``, 0.5 with tables of equal
        size; far above it rows were copied. No evidence of privacy.

    References
    ----------
    TabSyn, `eval/eval_dcr.py`; TabDiff, `evaluate_dcr`.

    Examples
    --------
    >>> real, holdout = pd.DataFrame({"x": [0.0, 10.0]}), pd.DataFrame({"x": [4.0]})
    >>> synthetic = pd.DataFrame({"x": [1.0, 2.0, 9.0, 5.0]})   # real, tie, real, holdout
    >>> dcr_share(real, synthetic, holdout, numerical=["x"], categorical=[])
    0.5
    """
    frames = {"real": real, "synthetic": synthetic, "holdout": holdout}
    check_columns([*numerical, *categorical], **frames)
    numbers = number_matrix(numerical, **frames)
    spread = np.ptp(numbers[0], axis=0)
    spread[spread == 0] = 1
    coded = [shared_codes(*[texts(frame[name]) for frame in frames.values()]) for name in categorical]
    known, made, unseen = (
        (matrix / spread, np.array([codes[k] for codes in coded]).reshape(-1, len(matrix)).T)
        for k, matrix in enumerate(numbers)
    )
    return float((_nearest(made, known) < _nearest(made, unseen)).mean())


_Rows = tuple[NDArray[np.float64], NDArray[np.intp]]
"""Scaled numbers of shape (n_rows, n_numerical) and codes of shape (n_rows, n_categorical)."""


def _nearest(rows: _Rows, reference: _Rows) -> NDArray[np.float64]:
    """Give the distance of each row to the nearest one of the reference, shape (n_rows,)."""
    step = max(1, _CHUNK_CELLS // len(reference[0]))
    found = []
    for start in range(0, len(rows[0]), step):
        numbers, codes = (block[start : start + step] for block in rows)
        distance = np.zeros((len(numbers), len(reference[0])))
        if numbers.shape[1]:
            distance += cdist(numbers, reference[0], "cityblock")
        if codes.shape[1]:  # the share of categories that differ
            distance += 2 * codes.shape[1] * cdist(codes, reference[1], "hamming")
        found.append(distance.min(axis=1))
    return np.concatenate(found)


def _points(
    real: pd.DataFrame, synthetic: pd.DataFrame, numerical: Names, categorical: Names
) -> list[NDArray[np.float64]]:
    """Place both tables where each real column spans [0, 1]."""
    blocks = number_matrix(numerical, real=real, synthetic=synthetic)
    for name in categorical:
        known, asked = (pd.Series(texts(frame[name]), name=name) for frame in (real, synthetic))
        blocks = [np.hstack(pair) for pair in zip(blocks, one_hot(known, asked), strict=True)]
    scaler = MinMaxScaler().fit(blocks[0])
    return [scaler.transform(block) for block in blocks]


def _norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt((vectors**2).sum(axis=1)))


def _closeness(alphas: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    return 1 - float(np.abs(alphas - curve).sum() / alphas.sum())
