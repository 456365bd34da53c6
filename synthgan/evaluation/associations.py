"""Does it look like the data, pair by pair: distances between the relations of columns.

Coded tables enter, errors in [0, 1] leave, 0 is best. ``trend_error`` is one
minus the score "Column Pair Trends" that the literature reports (SDMetrics
0.11.1), written from its definition. One reading differs from it on purpose: a
missing cell of a joint table is a value of its own.

A coefficient that neither table defines (constant columns) gives NaN, which the
means leave out; one that a single table does not define counts as 0 there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import comb

from synthgan.evaluation.coefficients import (
    correlation_ratio,
    correlations,
    cramers_v,
    normalised_information,
)
from synthgan.evaluation.features import standardised
from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.marginals import quantile_cells, total_variation
from synthgan.evaluation.tables import CodedTable, name_series
from synthgan.seeding import stream

__all__ = [
    "MAX_PAIRS",
    "MAX_TRIPLES",
    "association_errors",
    "association_summary",
    "pair_errors",
    "threeway_error",
    "trend_error",
]

MAX_PAIRS = 20_000  # every pair of 200 columns; of more columns as many are drawn
MAX_TRIPLES = 1200  # every triple of 20 columns; of more columns as many are drawn
N_BINS = 10  # bins of a number in a joint table of two columns
_N_COARSE = 5  # cells of a column in a joint table of three, beside the missing one
_DENSE_CELLS = 1 << 18  # joint tables up to this size are counted densely
_MEASURES = [
    *("error", "error_shared", "spearman", "cramers_v", "correlation_ratio", "contingency"),
    *("nmi_real", "nmi_synthetic"),
]


def association_errors(real: CodedTable, synthetic: CodedTable) -> pd.DataFrame:
    """Compare each pair of columns in every way that suits their kinds.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain. Of more than 200 columns 20,000 pairs (`MAX_PAIRS`) are drawn, the
        same ones for all tables of so many columns.

    Returns
    -------
    DataFrame of shape (n_pairs, 11)
        ``first``, ``second`` and ``method`` ("pearson" for two ordered columns,
        "tv" for all others), then figures in [0, 1], NaN where one does not
        apply:

        ``error``, ``error_shared``
            `pair_errors` with the bins of each table, and with shared ones.
        ``spearman``
            Two ordered columns: half the difference of Pearson's r of their
            ranks. Ranks count within each column, r over the rows that have
            both.
        ``cramers_v``
            Two categories: difference of Cramer's V, corrected for bias as by
            Bergsma (2013).
        ``correlation_ratio``
            A category and an ordered column: difference of the correlation
            ratio, corrected for bias as by Kelley (1935). Uncorrected, both
            coefficients grow with the number of rare categories and shrink with
            the number of rows.
        ``contingency``
            Any pair: total variation distance of the joint table, ordered
            columns in 10 quantile bins of the real table.
        ``nmi_real``, ``nmi_synthetic``
            Any pair: normalised mutual information ``2 I / (H_first +
            H_second)`` in each table; see `association_summary`.

    References
    ----------
    Bergsma (2013), "A bias-correction for Cramer's V and Tschuprow's T".
    Kelley (1935), "An unbiased correlation ratio measure".
    """
    names = real.domain.names
    places = [place for place, name in enumerate(names) if real.domain.is_ordered(name)]
    ordered = {place: k for k, place in enumerate(places)}
    pairs = _subsets(len(names), 2, MAX_PAIRS, seed=0).tolist()
    numbers, ranks = (
        [[given(table, names[place]) for place in places] for table in (real, synthetic)]
        for given in (_numbers, _ranks)
    )
    binnings = _all_binnings(real, synthetic)
    singles = [[np.bincount(column) for column in columns] for columns in binnings.interval.cells]
    found = {measure: np.full(len(pairs), np.nan) for measure in _MEASURES}
    for k, (a, b) in enumerate(pairs):
        n_ordered = (a in ordered) + (b in ordered)
        for measure, figure in _joint_figures(binnings, singles, a, b, n_ordered).items():
            found[measure][k] = figure
        if n_ordered == 1:
            group, number = (b, a) if a in ordered else (a, b)
            columns = zip(binnings.own.cells, numbers, strict=True)
            ratios = [correlation_ratio(cells[group], own[ordered[number]]) for cells, own in columns]
            found["correlation_ratio"][k] = _gap(*ratios)
    both = np.array([a in ordered and b in ordered for a, b in pairs], dtype=bool)
    at = np.array(
        [(ordered[a], ordered[b]) for a, b in pairs if a in ordered and b in ordered], dtype=np.int64
    )
    found["error"][both] = found["error_shared"][both] = _correlation_gaps(at, *numbers)
    found["spearman"][both] = _correlation_gaps(at, *ranks)
    first, second = (name_series([names[pair[k]] for pair in pairs]) for k in (0, 1))
    method = np.where(both, "pearson", "tv")
    return pd.DataFrame({"first": first, "second": second, "method": method, **found})


def association_summary(pairs: pd.DataFrame) -> dict[str, float]:
    """Average what `association_errors` found.

    Parameters
    ----------
    pairs : DataFrame
        As `association_errors` gives it.

    Returns
    -------
    dict of name to float
        ``trend_error``, ``trend_error_shared``, ``pearson_error``,
        ``spearman_error``, ``cramers_v_error``, ``correlation_ratio_error`` and
        ``contingency_error``: unweighted means over the pairs for which the
        figure is defined. ``mutual_information_error``: the mean of
        ``|nmi_real - nmi_synthetic|`` weighted by ``nmi_real + nmi_synthetic``,
        so that pairs without relation do not drown the others. All in [0, 1],
        0 is best, NaN without any pair of the sort.

    References
    ----------
    The weighted NMI error is that of TabPC (arXiv 2603.23016,
    ``src/metrics/metrics.py`` of its repository), bins included: an ordered
    column has 10 bins of equal width between the least and the greatest real
    value, closed above, and one more cell for what lies beyond or is missing; a
    column with at most 11 distinct values in a table is taken there as it is.
    Independent columns of Adult get 0.281, as published for them.
    """
    apart = (pairs["nmi_real"] - pairs["nmi_synthetic"]).abs()
    weight = pairs["nmi_real"] + pairs["nmi_synthetic"]
    means = {
        "trend_error": pairs["error"],
        "trend_error_shared": pairs["error_shared"],
        "pearson_error": pairs["error"][pairs["method"] == "pearson"],
        "spearman_error": pairs["spearman"],
        "cramers_v_error": pairs["cramers_v"],
        "correlation_ratio_error": pairs["correlation_ratio"],
        "contingency_error": pairs["contingency"],
        # without any relation all weights are 0, and so are all errors
        "mutual_information_error": apart * weight / (weight.mean() or 1.0),
    }
    return {name: float(values.mean()) for name, values in means.items()}


def pair_errors(real: CodedTable, synthetic: CodedTable, *, shared_bins: bool = False) -> pd.DataFrame:
    """Compare each pair of columns as published.

    Two ordered columns: ``|r_real - r_synthetic| / 2`` with Pearson's r over the
    rows that have both. Any other pair: the total variation distance of the joint
    table, ordered columns cut into 10 bins of equal width.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.
    shared_bins : bool
        False, as published: bins lie between the least and the greatest value
        *of each table*, the greatest value a cell of its own
        (``numpy.digitize``), so that one outlier moves every bin. True: bins
        of the real table serve both.

    Returns
    -------
    DataFrame of shape (n_pairs, 4)
        ``first``, ``second``, ``method`` ("pearson" or "tv"), ``error`` in [0, 1].
        A correlation that neither table defines (constant columns) is NaN; one
        that a single table does not define counts as 0 there.
    """
    found = association_errors(real, synthetic)
    found["error"] = found["error_shared" if shared_bins else "error"]
    return found[["first", "second", "method", "error"]]


def trend_error(real: CodedTable, synthetic: CodedTable, *, shared_bins: bool = False) -> float:
    """Average the error of the pairs of columns; see `pair_errors`.

    Returns
    -------
    float
        In [0, 1], 0 is best; NaN with fewer than two columns.

    References
    ----------
    SDMetrics 0.11.1, "Column Pair Trends": one minus that score.
    """
    return float(pair_errors(real, synthetic, shared_bins=shared_bins)["error"].mean())


def threeway_error(real: CodedTable, synthetic: CodedTable, seed: int = 0) -> Estimate:
    """Compare triples of columns: what pairs do not tell of the joint distribution.

    The mean over triples of the total variation distance of their joint table.
    A column has six cells: five quantile bins of the real table, or its four
    most frequent real categories and all others; and the missing cell.

    Parameters
    ----------
    real, synthetic : CodedTable
        Two tables of one domain.
    seed : int
        Of the draw of 1,200 triples (`MAX_TRIPLES`), where there are more.

    Returns
    -------
    Estimate
        In [0, 1], 0 is best; NaN with fewer than three columns. The interval
        takes each row to move the distance by half the mean sign of the gaps
        in its cells (infinitesimal jackknife). It is about that of a bootstrap
        of the rows, and like it on the wide side: up to twice the deviation
        between fresh tables where most gaps are chance.
    """
    names = real.domain.names
    triples = _subsets(len(names), 3, MAX_TRIPLES, seed)
    if not len(triples):
        return Estimate(float("nan"))
    places = {name: _coarse_places(real, name) for name in names}
    tables = [[places[name][table.column(name)] for name in names] for table in (real, synthetic)]
    pull = [np.zeros(len(table), dtype=np.int64) for table in (real, synthetic)]
    base, total = _N_COARSE + 1, 0.0
    for a, b, c in triples:
        cells = [(table[a] * base + table[b]) * base + table[c] for table in tables]
        counts = [np.bincount(own, minlength=base**3) for own in cells]
        total += total_variation(counts[0], counts[1])
        gap = np.sign(counts[0] * len(synthetic) - counts[1] * len(real))
        for own, sum_of_signs in zip(cells, pull, strict=True):
            sum_of_signs += gap[own]
    variance = sum(float((own / (2 * len(triples))).var()) / len(own) for own in pull)
    return Estimate.around(total / len(triples), float(np.sqrt(variance)))


def _subsets(n_columns: int, size: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Give all pairs or triples of columns in order, or `limit` of them, shape (n_subsets, size).

    >>> _subsets(3, 2, 9, seed=0).tolist(), len(_subsets(100, 3, 9, seed=0))
    ([[0, 1], [0, 2], [1, 2]], 9)
    """
    n_subsets = comb(n_columns, size, exact=True)
    if n_subsets <= limit:
        return np.array(list(combinations(range(n_columns), size)), dtype=np.int64).reshape(-1, size)
    rank = stream(seed, {2: "pairs", 3: "triples"}[size]).choice(n_subsets, size=limit, replace=False)
    columns = np.arange(n_columns + 1)
    subsets = []
    for k in range(size, 0, -1):  # rank = C(c, 3) + C(b, 2) + C(a, 1) with a < b < c, in one way only
        below = comb(columns, k)
        place = np.searchsorted(below, rank, side="right") - 1
        rank = rank - below[place].astype(np.int64)
        subsets.append(place)
    return np.column_stack(subsets[::-1])


def _coarse_places(real: CodedTable, name: Hashable) -> NDArray[np.uint8]:
    """Give the cell of each level, and of the missing cell last, in a joint table of three columns."""
    counts = real.counts(name)[1:]
    if real.domain.is_ordered(name):
        return np.append(1 + quantile_cells(counts, _N_COARSE), 0).astype(np.uint8)
    place = np.empty(len(counts), dtype=np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.append(1 + np.minimum(place, _N_COARSE - 1), 0).astype(np.uint8)


class _Joint(NamedTuple):
    """How often each cell of a joint table occurs, in the real and in the synthetic table."""

    cells: NDArray[np.int64]  # first * width + second
    width: int
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]


class _Binning(NamedTuple):
    """The cell of each row in each column, 0 if missing, in the real and in the synthetic table."""

    cells: tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]
    sizes: list[int]  # how many cells the columns have

    def joint(self, a: int, b: int) -> _Joint:
        """Count the joint table of two columns."""
        width, n_cells = self.sizes[b], self.sizes[a] * self.sizes[b]
        if n_cells <= _DENSE_CELLS:
            found = np.arange(n_cells)
            real, synthetic = (own[a] * width + own[b] for own in self.cells)
        else:  # thousands of categories: count the cells that occur
            both = np.concatenate([own[a].astype(np.int64) * width + own[b] for own in self.cells])
            found, places = np.unique(both, return_inverse=True)
            real, synthetic = np.split(places, [len(self.cells[0][a])])
        counts = np.bincount(real, minlength=len(found)), np.bincount(synthetic, minlength=len(found))
        return _Joint(found, width, counts)


class _Binnings(NamedTuple):
    """All binnings that the figures need; they differ in ordered columns only."""

    own: _Binning  # bins of equal width between the ends of each table
    shared: _Binning  # the same between the ends of the real table
    quantile: _Binning  # bins of equal mass in the real table
    interval: _Binning  # bins of equal width as TabPC has them


def _all_binnings(real: CodedTable, synthetic: CodedTable) -> _Binnings:
    """Bin two tables in every way."""
    domain = real.domain
    sizes = [2 + N_BINS if domain.is_ordered(name) else 1 + len(domain.levels[name]) for name in domain.names]

    def binning(places: Callable[[CodedTable, Hashable], NDArray[np.int32]]) -> _Binning:
        real_cells, cells = (
            [_cells(table, name, places) for name in domain.names] for table in (real, synthetic)
        )
        return _Binning((real_cells, cells), sizes)

    return _Binnings(
        own=binning(_width_places),
        shared=binning(lambda _, name: _width_places(real, name)),
        quantile=binning(lambda _, name: _quantile_places(real, name)),
        interval=binning(lambda table, name: _interval_places(table, name, real)),
    )


def _cells(
    table: CodedTable, name: Hashable, places: Callable[[CodedTable, Hashable], NDArray[np.int32]]
) -> NDArray[np.int32]:
    """Give the cell of each row; `places` gives that of each level and, last, of the missing cell."""
    codes = table.column(name)
    return places(table, name)[codes] if table.domain.is_ordered(name) else codes + 1


def _quantile_places(model: CodedTable, name: Hashable) -> NDArray[np.int32]:
    """Cut levels into bins of equal mass in `model`."""
    return np.append(1 + quantile_cells(model.counts(name)[1:], N_BINS), 0).astype(np.int32)


def _width_places(model: CodedTable, name: Hashable) -> NDArray[np.int32]:
    """Cut levels into bins [low, high) between the ends of `model`, the greatest value alone."""
    values, edges = _edges(model, name)
    if not len(edges):
        return np.append(np.ones(len(values), dtype=np.int32), np.int32(0))
    return np.append(np.digitize(values, edges).clip(1, N_BINS + 1), 0).astype(np.int32)


def _interval_places(table: CodedTable, name: Hashable, real: CodedTable) -> NDArray[np.int32]:
    """Cut levels into bins (low, high] between the ends of `real`, or leave the few that a table has."""
    counts = table.counts(name)
    seen = np.flatnonzero(counts[1:])
    places = np.zeros(len(counts), dtype=np.int32)
    if len(seen) + (counts[0] > 0) <= N_BINS + 1:
        places[seen] = 1 + np.arange(len(seen))
        return places
    values, edges = _edges(real, name)
    if len(edges):
        place = np.searchsorted(edges, values)
        place[values == edges[0]] = 1
        places[:-1] = np.where(place > N_BINS, 0, place)
    return places


def _edges(model: CodedTable, name: Hashable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the levels, and the edges of 10 bins between the ends of `model`, none if it has no value."""
    values = model.domain.numbers(name)
    seen = np.flatnonzero(model.counts(name)[1:])
    if not len(seen):
        return values, np.empty(0)
    if np.abs(values).max() > 1e300:
        values = values * 2.0**-10  # the width of the range must be a float
    return values, np.linspace(values[seen[0]], values[seen[-1]], N_BINS + 1)


def _joint_figures(
    binnings: _Binnings, singles: list[list[NDArray[np.int64]]], a: int, b: int, n_ordered: int
) -> dict[str, float]:
    """Give all figures of a pair that follow from joint tables."""
    joint = binnings.quantile.joint(a, b)
    found = dict.fromkeys(("contingency", "error", "error_shared"), total_variation(*joint.counts))
    if n_ordered == 0:
        places = np.divmod(joint.cells, joint.width)
        found["cramers_v"] = _gap(*(cramers_v(*places, counts) for counts in joint.counts))
    if n_ordered == 1:
        found["error"] = total_variation(*binnings.own.joint(a, b).counts)
        found["error_shared"] = total_variation(*binnings.shared.joint(a, b).counts)
    if n_ordered:
        joint = binnings.interval.joint(a, b)
    for measure, counts, single in zip(("nmi_real", "nmi_synthetic"), joint.counts, singles, strict=True):
        found[measure] = normalised_information(counts, single[a], single[b])
    return found


def _numbers(table: CodedTable, name: Hashable) -> NDArray[np.float64]:
    """Give an ordered column with mean 0 and deviation 1, NaN where missing, shape (n_rows,)."""
    return standardised(table.numbers(name))


def _ranks(table: CodedTable, name: Hashable) -> NDArray[np.float64]:
    """Give the mean ranks of an ordered column with mean 0 and deviation 1, NaN where missing."""
    counts = table.counts(name)[1:]
    return standardised(np.append(np.cumsum(counts) - counts / 2, np.nan)[table.column(name)])


def _correlation_gaps(
    pairs: NDArray[np.int64], real: list[NDArray[np.float64]], synthetic: list[NDArray[np.float64]]
) -> list[float]:
    """Give half the differences of Pearson's r of pairs of columns, shape (n_pairs, 2)."""
    if not len(pairs):
        return []
    at = tuple(pairs.T)
    matrices = (correlations(np.column_stack(columns))[at] for columns in (real, synthetic))
    return [_gap(*pair) / 2 for pair in zip(*matrices, strict=True)]


def _gap(real: float, synthetic: float) -> float:
    """Give the difference of two coefficients; undefined in one table counts as 0, in both as NaN."""
    if np.isnan(real) and np.isnan(synthetic):
        return float("nan")
    return float(abs(np.nan_to_num(real) - np.nan_to_num(synthetic)))
