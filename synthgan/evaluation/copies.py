"""Does it copy the data: synthetic rows that are, or nearly are, rows of the real table.

A copy detector, no evidence of privacy: a table without a single near row may
still give away who is in the data. Coded tables enter; shares and distances,
beside those of a holdout, leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from synthgan.evaluation.alarms import at_once, excess_p, least_p
from synthgan.evaluation.intervals import Z95, Estimate, wilson
from synthgan.evaluation.neighbours import embed, mean_ranks, nearest
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = [
    "MAX_ROWS",
    "NEAR",
    "closest_records",
    "copied_records",
    "dcr_share",
    "identical_rows",
    "identical_share",
    "near_identical_rows",
    "near_identical_share",
]

MAX_ROWS = 10_000  # whose closest records are sought
NEAR = 0.01  # root-mean-square difference of ranks, as shares of all rows
_TIED = 1e-6  # distances closer than this differ by rounding
_UNKNOWN = Estimate(float("nan"))


def identical_rows(real: CodedTable, synthetic: CodedTable) -> NDArray[np.bool_]:
    """Mark the synthetic rows that equal some real row.

    All cells must be equal, numbers exactly, missing to missing; identifiers
    are not compared.

    Returns
    -------
    array of shape (n_synthetic,), bool
    """
    known = set(_row_keys(real.codes))
    return np.array([key in known for key in _row_keys(synthetic.codes)], dtype=bool)


def identical_share(real: CodedTable, synthetic: CodedTable) -> Estimate:
    """Give the share of synthetic rows that equal some real row.

    ``#{j : s_j in real} / n_synthetic``. To be read beside the same share of a
    holdout: tables with few columns repeat rows by themselves.

    Returns
    -------
    Estimate
        In [0, 1], with Wilson's interval.
    """
    same = identical_rows(real, synthetic)
    return wilson(int(same.sum()), len(same))


def near_identical_rows(
    real: CodedTable, synthetic: CodedTable, ranked: Sequence[CodedTable] | None = None
) -> NDArray[np.bool_]:
    """Mark the synthetic rows that nearly equal some real row.

    All cells of columns without an order must be equal, and missing must stand
    to missing; the root of the mean, over the ordered columns, of the squared
    difference of ranks (as shares of all rows) must be below 0.01. Without
    ordered columns that is `identical_rows`.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.
    ranked : sequence of CodedTable, optional
        The tables whose rows give the ranks; the real one if not given.

    Returns
    -------
    array of shape (n_synthetic,), bool
    """
    known, drawn = _near_points([real, synthetic], ranked or [real])
    tree = cKDTree(np.unique(known, axis=0), balanced_tree=False)
    distances, _ = tree.query(drawn, distance_upper_bound=NEAR)
    return np.asarray(np.isfinite(distances))


def near_identical_share(
    real: CodedTable, synthetic: CodedTable, ranked: Sequence[CodedTable] | None = None
) -> Estimate:
    """Give the share of synthetic rows that nearly equal some real row.

    ``#{j : min_i rms(s_j - r_i) < 0.01} / n_synthetic``, see
    `near_identical_rows`; to be read beside the same share of a holdout.

    Returns
    -------
    Estimate
        In [0, 1], with Wilson's interval.
    """
    same = near_identical_rows(real, synthetic, ranked)
    return wilson(int(same.sum()), len(same))


def copied_records(real: CodedTable, synthetic: CodedTable, holdout: CodedTable) -> pd.DataFrame:
    """Test whether more real than holdout records have a copy in the synthetic table.

    Seen from the records, not from the synthetic rows: a record is marked by
    the synthetic table alone, so that the test of `excess_p` is exact for
    tables of any sizes. No table is sampled.

    Returns
    -------
    DataFrame with the rows "identical" and "near_identical"
        ``copy``; ``main`` and ``control``, the shares of the real and of the
        holdout records with a copy, with ``_low`` and ``_high`` (Wilson); ``p``,
        corrected for both tests.
    """
    rows, p_values, least = [], [], []
    for name in ("identical", "near_identical"):
        if name == "identical":
            hit, other = identical_rows(synthetic, real), identical_rows(synthetic, holdout)
        else:
            hit = near_identical_rows(synthetic, real, [real, holdout])
            other = near_identical_rows(synthetic, holdout, [real, holdout])
        main, control = wilson(int(hit.sum()), len(hit)), wilson(int(other.sum()), len(other))
        p_values.append(excess_p(int(hit.sum()), len(hit), int(other.sum()), len(other)))
        least.append(least_p(int(hit.sum() + other.sum()), len(hit), len(other)))
        rows.append((name, main.value, main.low, main.high, control.value, control.low, control.high))
    names = ["copy", "main", "main_low", "main_high", "control", "control_low", "control_high"]
    return pd.DataFrame(rows, columns=names).assign(p=at_once(p_values, least))


def closest_records(
    real: CodedTable,
    synthetic: CodedTable,
    holdout: CodedTable | None = None,
    seed: int = 0,
    max_rows: int = MAX_ROWS,
) -> dict[str, tuple[Estimate, Estimate]]:
    """Measure how near the rows of the synthetic table and of the holdout come to the real one.

    DCR is the distance of a row to the closest real record, NNDR that distance
    over the distance to the second closest. Small values beside those of the
    holdout are a sign of copies; anything else is no sign of privacy.

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain.
    seed : int
        Of the sample of rows.
    max_rows : int
        How many rows of the synthetic table and of the holdout are measured at
        most; the records to which they are compared are never sampled.

    Returns
    -------
    dict of name to (synthetic, holdout)
        ``dcr_p05``, ``dcr_median``: 5th percentile and median of the distance,
        that of `synthgan.evaluation.neighbours.embed`, >= 0. ``nndr_p05``,
        ``nndr_median``: in [0, 1], 1 where both distances are 0. With the
        binomial interval of quantiles. With a holdout also ``dcr_share``, see
        there; beside it, its best value.
    """
    records = [real] if holdout is None else [real, holdout]
    known, *others, drawn = embed(*records, synthetic, ranked=records)
    rng = stream(seed, "closest records")
    drawn = _some(drawn, max_rows, rng)
    to_real = nearest(drawn, known, 2)[0]
    found = {name: (value, _UNKNOWN) for name, value in _quantiles(to_real).items()}
    if not others:
        return found
    fresh = _quantiles(nearest(_some(others[0], max_rows, rng), known, 2)[0])
    n_real, n_holdout = len(known), len(others[0])
    share = dcr_share(to_real[:, 0], nearest(drawn, others[0])[0][:, 0], n_real, n_holdout)
    best = Estimate(n_real / (n_real + n_holdout))
    return {name: (found[name][0], fresh[name]) for name in found} | {"dcr_share": (share, best)}


def dcr_share(
    to_real: NDArray[np.float64], to_holdout: NDArray[np.float64], n_real: int, n_holdout: int
) -> Estimate:
    """Give the share of synthetic rows that are nearer to a real record than to any of the holdout.

    A tie counts ``n_real / (n_real + n_holdout)``, which is also what a
    synthetic table scores that is as far from both.

    Parameters
    ----------
    to_real, to_holdout : array of shape (n_synthetic,)
        Distance of each synthetic row to the nearest record.
    n_real, n_holdout : int
        Numbers of records.

    Returns
    -------
    Estimate
        In [0, 1]. The interval is normal, over synthetic rows, both tables of
        records given; it is too narrow where rows share their nearest record.

    References
    ----------
    Platzer and Reutterer (2021), "Holdout-based empirical assessment of
    mixed-type synthetic data". Critique: Yao et al. (2025), "The DCR delusion".

    Examples
    --------
    >>> dcr_share(np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.1, 0.3]), 50, 50).value
    0.5
    """
    nearer, tied = to_real < to_holdout - _TIED, np.abs(to_real - to_holdout) <= _TIED
    credit = nearer + tied * n_real / (n_real + n_holdout)
    return Estimate.around(float(credit.mean()), float(credit.std() / np.sqrt(len(credit))))


def _some(points: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw at most n points."""
    return points if len(points) <= n else points[rng.choice(len(points), size=n, replace=False)]


def _quantiles(distances: NDArray[np.float64]) -> dict[str, Estimate]:
    """Give 5th percentile and median of DCR and NNDR from two ascending distances, shape (n, 2)."""
    closest = distances[:, 0]
    ratio = np.full(len(closest), np.nan)
    if distances.shape[1] > 1:
        ratio = (closest + _TIED) / (distances[:, 1] + _TIED)
    return {
        f"{name}_{word}": _quantile(values, share)
        for name, values in (("dcr", closest), ("nndr", ratio))
        for word, share in (("p05", 0.05), ("median", 0.5))
    }


def _quantile(values: NDArray[np.float64], share: float) -> Estimate:
    """Give a quantile with the order statistics between which it lies with 95 %."""
    half = Z95 * np.sqrt(share * (1 - share) / len(values))
    places = np.clip([share, share - half, share + half], 0.0, 1.0)
    return Estimate(*np.quantile(values, places).tolist())


def _near_points(tables: Sequence[CodedTable], ranked: Sequence[CodedTable]) -> list[NDArray[np.float64]]:
    """Place rows so that `NEAR` bounds the ordered columns and 1 lies between unequal other cells."""
    domain = tables[0].domain
    ordered = [name for name in domain.names if domain.is_ordered(name)]
    codes = np.vstack([table.codes for table in tables])
    at = [place for place, name in enumerate(domain.names) if name in set(ordered)]
    plain = codes.copy()
    plain[:, at] = codes[:, at] < 0  # of an ordered column only whether it is missing
    group, _ = pd.factorize(np.array(_row_keys(plain), dtype=object))
    columns = [group.astype(np.float64)]
    for name in ordered:
        places = np.append(mean_ranks(ranked, name), 0.0) / np.sqrt(len(ordered))
        columns.append(np.concatenate([places[table.column(name)] for table in tables]))
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(np.column_stack(columns), ends)


def _row_keys(codes: NDArray[np.int32]) -> list[bytes]:
    """Give the codes of each row as bytes."""
    rows = np.ascontiguousarray(codes)
    size, data = rows.shape[1] * rows.itemsize, rows.tobytes()
    return [data[start : start + size] for start in range(0, len(data), size)]
