"""Does it look like the data as a whole: distances between two clouds of points.

Coded tables enter, become points (see `embed`), and leave as named figures with
intervals. Unlike a classifier these need no training; unlike single columns
they see the joint distribution. What each is at best, and what an honest
sampler reaches (fresh draws of the same distribution, as many as real rows):

================ ==== ====== ===================================================
name             best better honest sampler
================ ==== ====== ===================================================
mmd              0    lower  0 on average
energy_distance  0    lower  of the order of 2 E|X - X'| / n_rows
precision        1    higher 1 (one column), .9 (ten), .8 (hundreds)
recall           1    higher the same as precision
density          1    higher 1
coverage         1    higher 1 - 2^-5 = .97
alpha_precision  1    higher 1 - O(1 / sqrt(n_rows))
beta_recall      -    match  .5 (one column), .65 (ten); copies 1
authenticity     -    match  1/3 (one column), .6 (ten), .75 (hundreds); copies 0
================ ==== ====== ===================================================

The last column holds for numbers that do not repeat. Categories alone put rows
at equal distances: that raises precision, recall, density, coverage and
beta_recall and lowers authenticity and, where there are dozens of columns,
alpha_precision, for a holdout as for a synthetic table. So all of them are to
be read beside the holdout, not against the best value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.metrics import euclidean_distances

from synthgan.evaluation.intervals import Z95, Estimate, wilson
from synthgan.evaluation.neighbours import embed
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["MAX_ROWS", "MAX_ROWS_MMD", "N_NEIGHBOURS", "compare_points", "geometry", "mmd"]

MAX_ROWS = 5000  # of each table; all distances are computed
MAX_ROWS_MMD = 50_000  # of each table; with random features
N_NEIGHBOURS = 5
_N_FREQUENCIES = 256  # the error of a squared MMD that they cause is about 10 % of it
_N_MEDIAN = 500  # rows of each table for the median distance
_ALPHAS = np.linspace(0, 1, 30)
_BLOCK = 256  # rows of a distance matrix held at a time
_TIE = 1e-12  # squared distances this close are equal: they are sums of the same terms
_NAMES = (
    *("energy_distance", "precision", "recall", "density", "coverage"),
    *("alpha_precision", "beta_recall", "authenticity"),
)

Floats = NDArray[np.float64]
Points = NDArray[np.float32]


def geometry(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> dict[str, Estimate]:
    """Compare two tables as clouds of points.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain. Beyond `MAX_ROWS` rows each is drawn down to
        that many, for ``mmd`` to `MAX_ROWS_MMD`.
    seed : int
        Of these draws and of the random features of ``mmd``.

    Returns
    -------
    dict of name to Estimate
        ``mmd`` and what `compare_points` gives. In tables that were drawn down
        few copies meet their originals: ``authenticity`` and ``beta_recall``
        are no search for copies there.
    """
    drawn = (
        real.sampled(MAX_ROWS, stream(seed, "geometry", "real")),
        synthetic.sampled(MAX_ROWS, stream(seed, "geometry", "synthetic")),
    )
    x, y = embed(*drawn)
    return {"mmd": mmd(real, synthetic, seed), **compare_points(x, y)}


def mmd(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> Estimate:
    """Give the squared maximum mean discrepancy, without bias.

    ``E k(x, x') + E k(y, y') - 2 E k(x, y)`` over pairs of different rows, with
    ``k(x, y) = exp(-|x - y|^2 / (2 s^2))`` and s the median distance between
    different points of both tables. Exact up to `MAX_ROWS` rows in each table;
    beyond, the kernel is a mean over 256 random Fourier features, and up to
    `MAX_ROWS_MMD` rows count.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.
    seed : int
        Of rows and features beyond `MAX_ROWS`.

    Returns
    -------
    Estimate
        In [-2 / n_rows, 2]; 0 is best and what an honest sampler reaches on
        average, so that chance may take it below 0. The interval is the normal
        one of a U-statistic, about 1.4 times too wide at 0; the noise of the
        features is in it. NaN with a single row in a table.

    References
    ----------
    Gretton et al. (2012), "A kernel two-sample test", eq. (3); Rahimi and Recht
    (2007), "Random features for large-scale kernel machines".
    """
    if min(len(real), len(synthetic)) < 2:
        return Estimate(float("nan"))
    if max(len(real), len(synthetic)) > MAX_ROWS:
        return _mmd_by_features(real, synthetic, stream(seed, "mmd"))
    x, y = embed(real, synthetic)
    slope = -0.5 / _median_distance(real, synthetic) ** 2
    xy = np.empty(len(x))
    yx = np.zeros(len(y))
    for rows, squared in _blocks(x, y):
        kernel = np.exp(slope * squared)
        xy[rows] = kernel.mean(axis=1)
        yx += kernel.sum(axis=0) / len(x)
    within = []
    for points in (x, y):
        sums = np.concatenate([np.exp(slope * squared).sum(axis=1) for _, squared in _blocks(points, points)])
        within.append((sums - 1) / (len(points) - 1))
    return _discrepancy(within[0], xy, within[1], yx)


def compare_points(real: Points, synthetic: Points, k: int = N_NEIGHBOURS) -> dict[str, Estimate]:
    """Compare two clouds of points by their distances, in one pass over all pairs.

    With r(x) the distance from a point to the k-th nearest other point of its
    own cloud:

    * ``energy_distance``: ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` over all pairs,
      a point with itself included, so that it is >= 0. The square of what
      `scipy.stats.energy_distance` gives for a single column.
    * ``precision``: share of synthetic points within r(x) of some real x.
    * ``recall``: share of real points within r(y) of some synthetic y.
    * ``density``: how many real x have the synthetic point within r(x), over k;
      the mean. May exceed 1.
    * ``coverage``: share of real x with a synthetic point within r(x).
    * ``alpha_precision``: the share P(a) of synthetic points within the radius
      around the real mean that holds a share a of the real points; ``1 -
      sum_a |a - P(a)| / sum_a a`` over 30 values of a.
    * ``beta_recall``: likewise with the share R(b) of real points whose nearest
      synthetic point is no farther than the nearest other real one, and lies
      within the radius around the synthetic mean that holds a share b.
    * ``authenticity``: share of synthetic points whose nearest real x has
      another real point that is nearer still.

    Parameters
    ----------
    real, synthetic : array of shape (n, width) and (m, width)
        As `embed` gives them.
    k : int >= 1
        Cut down to the number of other points.

    Returns
    -------
    dict of name to Estimate
        Best values and ceilings stand above, in the head of this module.
        Intervals are those of a U-statistic (``energy_distance``), Wilson's for
        shares and normal for the rest, for ``1 / (1 / n + 1 / m)`` trials, so
        that the noise of both clouds counts. Approximate, because neighbours are
        not independent: with normal clouds they held the mean value in 86 to
        100 % of the draws, those of density in 77 % at worst. All NaN with a single point in a cloud.

    References
    ----------
    Szekely and Rizzo (2013), "Energy statistics"; Kynkaanniemi et al. (2019),
    "Improved precision and recall metric"; Naeem et al. (2020), "Reliable
    fidelity and diversity metrics"; Alaa et al. (2022), "How faithful is your
    synthetic data?", on points as they are (no one-class embedding), with the
    score over 30 radii that is in use for it.

    Examples
    --------
    >>> near, far = np.float32([[0.0], [1.0], [3.0]]), np.float32([[1.0], [9.0]])
    >>> found = compare_points(near, far, k=1)   # balls of radius 1, 1 and 2 hold the 1, none the 9
    >>> found["precision"].value, found["density"].value, found["coverage"].value
    (0.5, 1.5, 1.0)
    """
    if min(len(real), len(synthetic)) < 2:
        return dict.fromkeys(_NAMES, Estimate(float("nan")))
    x, y = _own(real, k), _own(synthetic, k)
    cross = _cross(real, synthetic, x.radius, y.radius)
    n, m, k = len(real), len(synthetic), min(k, len(real) - 1)
    energy = _discrepancy(-x.mean, -cross.mean_of_real, -y.mean, -cross.mean_of_synthetic)
    density = cross.holders / k
    mean, half = float(density.mean()), float(Z95 * density.std() * np.sqrt(1 / n + 1 / m))
    return {
        "energy_distance": Estimate(max(energy.value, 0.0), max(energy.low, 0.0), energy.high),
        "precision": _share(cross.holders > 0, n),
        "recall": _share(cross.held, m),
        "density": Estimate(mean, max(mean - half, 0.0), mean + half),
        "coverage": _share(cross.to_synthetic <= x.radius + _TIE, m),
        "alpha_precision": _alpha_precision(real, synthetic),
        "beta_recall": _beta_recall(synthetic, cross, cross.to_synthetic <= x.nearest + _TIE),
        "authenticity": _share(cross.to_real > x.nearest[cross.nearest_real] + _TIE, n),
    }


class _Own(NamedTuple):
    """What the points of a cloud find in their own cloud, each of shape (n,)."""

    mean: Floats  # mean distance to all, itself included
    nearest: Floats  # squared distance to the nearest other
    radius: Floats  # squared distance to the k-th nearest other


class _Cross(NamedTuple):
    """What real and synthetic points find in each other; the first four of shape (n,), the others (m,)."""

    mean_of_real: Floats  # mean distance to the synthetic points
    to_synthetic: Floats  # squared distance to the nearest synthetic point
    nearest_synthetic: NDArray[np.intp]  # which it is
    held: NDArray[np.bool_]  # lies in the ball of some synthetic point
    mean_of_synthetic: Floats
    to_real: Floats
    nearest_real: NDArray[np.intp]
    holders: NDArray[np.int64]  # real points whose balls hold it


def _blocks(x: Points, y: Points) -> Iterator[tuple[slice, Floats]]:
    """Give the squared distances of all pairs, some rows at a time, 0 from a point to itself."""
    y64 = y.astype(np.float64)
    norms = np.einsum("ij,ij->i", y64, y64)
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(x)))
        squared = euclidean_distances(
            x[rows].astype(np.float64), y64, Y_norm_squared=norms[None, :], squared=True
        )
        if x is y:
            squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = 0.0
        yield rows, squared


def _own(points: Points, k: int) -> _Own:
    """Find the neighbours of each point among the others."""
    n = len(points)
    k = min(k, n - 1)
    mean, nearest, radius = np.empty(n), np.empty(n), np.empty(n)
    for rows, squared in _blocks(points, points):
        mean[rows] = np.sqrt(squared).mean(axis=1)
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf
        squared.partition(k - 1, axis=1)
        nearest[rows] = squared[:, :k].min(axis=1)
        radius[rows] = squared[:, k - 1]
    return _Own(mean, nearest, radius)


def _cross(real: Points, synthetic: Points, ball: Floats, other_ball: Floats) -> _Cross:
    """Find what the points of two clouds are to each other, given their squared radii."""
    n, m = len(real), len(synthetic)
    mean, to_synthetic, place = np.empty(n), np.empty(n), np.empty(n, dtype=np.intp)
    held = np.empty(n, dtype=np.bool_)
    total, holders = np.zeros(m), np.zeros(m, dtype=np.int64)
    to_real, nearest_real = np.full(m, np.inf), np.zeros(m, dtype=np.intp)
    for rows, squared in _blocks(real, synthetic):
        place[rows] = squared.argmin(axis=1)
        to_synthetic[rows] = squared.min(axis=1)
        held[rows] = (squared <= other_ball + _TIE).any(axis=1)
        holders += (squared <= ball[rows, None] + _TIE).sum(axis=0)
        least = squared.min(axis=0)
        nearer = least < to_real
        nearest_real[nearer] = rows.start + squared[:, nearer].argmin(axis=0)
        to_real = np.minimum(to_real, least)
        distances = np.sqrt(squared)
        mean[rows] = distances.mean(axis=1)
        total += distances.sum(axis=0)
    return _Cross(mean, to_synthetic, place, held, total / n, to_real, nearest_real, holders)


def _discrepancy(xx: Floats, xy: Floats, yy: Floats, yx: Floats, variance: float = 0.0) -> Estimate:
    """Give ``E k(x, x') + E k(y, y') - 2 E k(x, y)`` from the mean kernel of each row, with its interval.

    A row moves the value by twice its own part, hence the 4. `variance` is what
    does not come from the rows.
    """
    x, y = xx - xy, yy - yx
    value = float(x.mean() + y.mean())
    rows = 4 * (x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    half = Z95 * float(np.sqrt(rows + variance))
    return Estimate(value, value - half, value + half)


def _median_distance(*tables: CodedTable) -> float:
    """Give the median distance of different points, over evenly spaced rows of each table."""
    parts = [table.take(np.arange(0, len(table), -(-len(table) // _N_MEDIAN))) for table in tables]
    distances = pdist(np.vstack(embed(*parts)))
    distances = distances[distances > 1e-6]
    return float(np.median(distances)) if len(distances) else 1.0


def _mmd_by_features(real: CodedTable, synthetic: CodedTable, rng: np.random.Generator) -> Estimate:
    """Give the squared MMD with random Fourier features in place of the kernel.

    A frequency w turns a row into ``z = (cos w.x, sin w.x)``, of norm 1, and
    ``k(x, y) = E z(x).z(y)``: the mean kernel of a row is its product with the
    mean of the others.
    """
    tables = [table.sampled(MAX_ROWS_MMD, rng) for table in (real, synthetic)]
    x, y = (np.hstack([np.cos(phase), np.sin(phase)]) for phase in _phases(tables, rng))
    mean_x, mean_y = (z.mean(axis=0, dtype=np.float64) for z in (x, y))
    per_frequency = ((mean_x - mean_y) ** 2).reshape(2, -1).sum(axis=0)
    mean_x, mean_y = mean_x / _N_FREQUENCIES, mean_y / _N_FREQUENCIES
    return _discrepancy(
        (len(x) * _product(x, mean_x) - 1) / (len(x) - 1),  # without the row itself
        _product(x, mean_y),
        (len(y) * _product(y, mean_y) - 1) / (len(y) - 1),
        _product(y, mean_x),
        variance=float(per_frequency.var(ddof=1) / _N_FREQUENCIES),
    )


def _phases(tables: list[CodedTable], rng: np.random.Generator) -> list[Points]:
    """Give ``w.x`` for each row and frequency; columns are embedded one at a time, to spare memory."""
    names = tables[0].domain.names
    scale = 1 / (_median_distance(*tables) * np.sqrt(len(names)))
    phases = [np.zeros((len(table), _N_FREQUENCIES), dtype=np.float32) for table in tables]
    for name in names:
        columns = embed(*tables, names=[name])
        frequencies = (scale * rng.normal(size=(columns[0].shape[1], _N_FREQUENCIES))).astype(np.float32)
        for phase, column in zip(phases, columns, strict=True):
            phase += column @ frequencies
    return phases


def _product(features: Points, mean: Floats) -> Floats:
    """Multiply in single precision, which is what the features have."""
    return np.asarray(features @ mean.astype(np.float32), dtype=np.float64)


def _share(hits: NDArray[np.bool_], n_other: int) -> Estimate:
    """Give a share with Wilson's interval for n m / (n + m) trials: both clouds are random."""
    trials = len(hits) * n_other / (len(hits) + n_other)
    share = float(hits.mean())
    known = wilson(round(share * trials), max(round(trials), 1))
    return Estimate(share, min(known.low, share), max(known.high, share))


def _alpha_precision(real: Points, synthetic: Points) -> Estimate:
    """Compare how the two clouds lie around the mean of the real one."""
    centre = real.mean(axis=0, dtype=np.float64)
    radii = np.quantile(np.linalg.norm(real - centre, axis=1), _ALPHAS)
    inside = np.linalg.norm(synthetic - centre, axis=1)[:, None] <= radii + _TIE
    return _curve_score(inside, len(real))


def _beta_recall(synthetic: Points, cross: _Cross, covered: NDArray[np.bool_]) -> Estimate:
    """Count covered real points by how central the synthetic point is that covers them."""
    radius = np.linalg.norm(synthetic - synthetic.mean(axis=0, dtype=np.float64), axis=1)
    inside = radius[cross.nearest_synthetic][:, None] <= np.quantile(radius, _ALPHAS) + _TIE
    return _curve_score(inside & covered[:, None], len(synthetic))


def _curve_score(inside: NDArray[np.bool_], n_reference: int) -> Estimate:
    """Give ``1 - sum |a - P(a)| / sum a`` with P(a) the mean of a column, shape (n, 30).

    Radii are quantiles of a reference, whose noise adds to that of the rows.
    """
    gap = inside.mean(axis=0) - _ALPHAS
    parts = inside @ np.sign(gap) / _ALPHAS.sum()  # of the sum; linear where no gap changes its sign
    deviation = parts.std() * np.sqrt(1 / len(inside) + 1 / n_reference)
    return Estimate.around(float(1 - np.abs(gap).sum() / _ALPHAS.sum()), float(deviation))
