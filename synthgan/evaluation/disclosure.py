"""Does it leak what is in the data: attacks on the cells of a record, and on its uniqueness.

Attribute inference: who knows all of a record but one cell reads that cell from
the nearest synthetic rows. Singling out: who has the synthetic table writes
down conditions that fit exactly one real record. Coded tables enter; success
rates leave: on real records (main), on holdout records (control) and without
what is attacked (baseline). A population may be predictable and its outliers
easy to describe: only what main has over control is a leak. The tests are those
of `synthgan.evaluation.alarms`, exact for exchangeable records.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.evaluation.alarms import at_once, excess_p, least_p
from synthgan.evaluation.intervals import Estimate, wilson
from synthgan.evaluation.neighbours import embed, mean_ranks, nearest
from synthgan.evaluation.tables import CodedTable
from synthgan.seeding import stream

__all__ = ["MAX_SECRETS", "MAX_TARGETS", "TOLERANCE", "attribute_inference", "singling_out"]

TOLERANCE = 0.05  # a guessed number is right if its rank is at most this share of all rows away
MAX_SECRETS = 20
MAX_TARGETS = 2_000  # records of each table that are attacked
_N_NEIGHBOURS = 5
_FLOOR = 1e-6  # below it distances are rounding
_HALF_WIDTH = 0.005  # of an interval around a number, in ranks as shares of all rows
_SIZES = (2, 4, 8)  # conditions in a predicate; many see copies, few see outliers
_TRIES = 3  # predicates drawn for each one wanted
_CELLS = 1 << 22  # compared at a time

Values = NDArray[np.float64]


def attribute_inference(
    real: CodedTable,
    synthetic: CodedTable,
    holdout: CodedTable,
    secrets: Sequence[Hashable] | None = None,
    seed: int = 0,
    max_targets: int = MAX_TARGETS,
) -> pd.DataFrame:
    """Guess one cell of a record from all its other cells and the synthetic table.

    The guess is the value, among those of the 5 nearest synthetic rows (by the
    other columns), on which most of them agree, each with the weight of its
    inverse distance: a copy of the record decides alone, equally near rows
    vote. Success is an equal category, or a number at most 5 % of all rows away
    in rank; a missing cell is a value.

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain.
    secrets : sequence of column names, optional
        The columns to guess; if not given all, or 20 of more drawn by the seed.
    seed : int
        Of the records attacked.
    max_targets : int
        How many real and how many holdout records are attacked at most. The
        synthetic table is never sampled.

    Returns
    -------
    DataFrame with a row for each secret
        ``secret``; ``main``, ``control`` and ``baseline``, the success rates on
        real records, on holdout records, and on real records with one guess
        for all, the mode or median of the synthetic column, each with ``_low``
        and ``_high`` (Wilson); ``excess`` = main - control with Newcombe's
        interval; ``raw_p`` of main > control; ``p``, the same corrected for
        all secrets: a leak if <= `synthgan.evaluation.alarms.LEVEL`. No rows
        with fewer than two columns.

    References
    ----------
    Taub et al. (2018), "Differential correct attribution probability for
    synthetic data"; Stadler, Oprisanu and Troncoso (2022), "Synthetic data:
    anonymisation groundhog day".
    """
    rng = stream(seed, "attribute inference")
    names = real.domain.names
    if secrets is None:
        chosen = np.sort(rng.permutation(len(names))[:MAX_SECRETS])
        secrets = [names[k] for k in chosen] if len(names) > 1 else []
    tables = (real.sampled(max_targets, rng), holdout.sampled(max_targets, rng), synthetic)
    blocks = {name: embed(*tables, names=[name], ranked=tables[:2]) for name in names}
    rows = []
    for secret in secrets:
        ordered = synthetic.domain.is_ordered(secret)
        known = [np.hstack([blocks[name][k] for name in names if name != secret]) for k in range(3)]
        rows.append({"secret": secret, **_inferred(known, _secret_values(tables, secret), ordered)})
    frame = pd.DataFrame(
        rows, columns=["secret", *_RATES, "excess", "excess_low", "excess_high", "raw_p", "_least"]
    )
    frame["secret"] = pd.Series(list(secrets), dtype=object)
    return _with_corrected(frame)


def singling_out(
    real: CodedTable, synthetic: CodedTable, holdout: CodedTable, seed: int = 0, n_predicates: int = 1_000
) -> pd.DataFrame:
    """Write down conditions from synthetic rows that fit exactly one record.

    A predicate takes a synthetic row and 2, 4 or 8 of its columns at random:
    the category must be equal, the number lie within 0.5 % of all rows in rank.
    Those that fit exactly one synthetic row are the attacker's guess at what
    fits exactly one real record. Real and holdout records are sampled to equal
    numbers, since what is unique depends on the size.

    Several predicates may point at one outlier, so that they are no independent
    trials (McNemar's test would take them for such). The test therefore counts
    distinct records: of those that some predicate singles out of real and
    holdout records *together*, how many are real.

    Parameters
    ----------
    real, synthetic, holdout : CodedTable
        Tables of one domain. The synthetic table is never sampled.
    seed : int
        Of samples and predicates.
    n_predicates : int
        How many to use of each number of columns; fewer are used where three
        times as many draws do not yield them.

    Returns
    -------
    DataFrame with a row for each number of columns
        ``n_columns``, ``n_predicates``, ``n_records`` (sampled of each table);
        ``main``, ``control`` and ``baseline``, the shares of predicates that
        fit exactly one real record, one holdout record, one row of independent
        real columns, with ``_low`` and ``_high`` (Wilson, as if predicates were
        independent); ``excess`` = main - control with Newcombe's interval;
        ``real_records`` and ``holdout_records``, how many distinct ones are
        singled out; ``raw_p``; ``p``, the same corrected for the numbers of
        columns.

    References
    ----------
    Cohen and Nissim (2020), "Towards formalizing the GDPR's notion of singling
    out": predicate singling out.
    """
    rng = stream(seed, "singling out")
    n = min(len(real), len(holdout))
    targets = real.sampled(n, rng), holdout.sampled(n, rng), real.independent(n, rng)
    boxes = _boxes(synthetic, [real, holdout])
    rows = []
    for size in sorted({min(size, len(real.domain.names)) for size in _SIZES}):
        predicates = _unique_predicates(synthetic, boxes, size, n_predicates, rng)
        rows.append({"n_columns": size, "n_predicates": len(predicates), "n_records": n})
        rows[-1] |= _singled_out(predicates, targets)
    return _with_corrected(pd.DataFrame(rows))


_RATES = [f"{name}{end}" for name in ("main", "control", "baseline") for end in ("", "_low", "_high")]


def _secret_values(tables: Sequence[CodedTable], name: Hashable) -> list[Values]:
    """Give a column of real, holdout, synthetic as values that agree if `TOLERANCE` apart; missing is -1."""
    domain = tables[0].domain
    values = (
        mean_ranks(tables, name) if domain.is_ordered(name) else np.arange(float(len(domain.levels[name])))
    )
    return [np.append(values, -1.0)[table.column(name)] for table in tables]  # code -1 picks the last


def _inferred(known: list[NDArray[np.float32]], values: list[Values], ordered: bool) -> dict[str, Any]:
    """Attack one secret: known cells and secret values of real, holdout and synthetic rows."""
    hits = []
    for k in (0, 1):
        distances, places = nearest(known[k], known[2], _N_NEIGHBOURS)
        hits.append(_agree(_guess(distances, values[2][places]), values[k]))
    constant = _agree(_typical(values[2], ordered), values[0])
    main, control, baseline = (_rate(hit) for hit in (*hits, constant))
    n, m, found, other = len(hits[0]), len(hits[1]), int(hits[0].sum()), int(hits[1].sum())
    return {
        **_as_columns(main=main, control=control, baseline=baseline, excess=_difference(main, control)),
        "raw_p": excess_p(found, n, other, m),
        "_least": least_p(found + other, n, m),
    }


def _agree(first: Values | float, second: Values) -> NDArray[np.bool_]:
    return np.asarray(np.abs(first - second) <= TOLERANCE + 1e-12)


def _guess(distances: Values, values: Values) -> Values:
    """Pick the neighbour's value with the most weight in agreement, shapes (n, k) to (n,)."""
    weight = 1 / np.maximum(distances, _FLOOR)
    support = (_agree(values[:, :, None], values[:, None, :]) * weight[:, None, :]).sum(axis=2)
    return np.asarray(np.take_along_axis(values, support.argmax(axis=1)[:, None], axis=1)[:, 0])


def _typical(values: Values, ordered: bool) -> float:
    """Give the one guess that needs no record: the median of ranks, or the mode of categories."""
    if ordered:
        return float(np.median(values))
    levels, counts = np.unique(values, return_counts=True)
    return float(levels[counts.argmax()])


def _rate(hits: NDArray[np.bool_]) -> Estimate:
    return wilson(int(hits.sum()), len(hits)) if len(hits) else Estimate(float("nan"))


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """Subtract two shares; the interval is Newcombe's, from those of the shares (1998, method 10)."""
    gap = first.value - second.value
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(gap, float(gap - below), float(gap + above))


def _as_columns(**estimates: Estimate) -> dict[str, float]:
    """Spread estimates over columns."""
    found: dict[str, float] = {}
    for name, estimate in estimates.items():
        found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return found


def _with_corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Put the corrected p-values beside the raw ones."""
    p_values, least = frame["raw_p"].to_numpy(float), frame["_least"].to_numpy(float)
    return frame.drop(columns="_least").assign(p=at_once(p_values, least))


def _boxes(synthetic: CodedTable, tables: Sequence[CodedTable]) -> NDArray[np.int32]:
    """Give the least and greatest code that each synthetic cell stands for, shape (n_rows, n_columns, 2).

    `tables` give the ranks.
    """
    boxes = np.stack([synthetic.codes, synthetic.codes], axis=2)
    for place, name in enumerate(synthetic.domain.names):
        if synthetic.domain.is_ordered(name):
            ranks, codes = mean_ranks(tables, name), synthetic.column(name)
            first = np.append(np.searchsorted(ranks, ranks - _HALF_WIDTH), -1)
            last = np.append(np.searchsorted(ranks, ranks + _HALF_WIDTH, side="right") - 1, -1)
            boxes[:, place, 0], boxes[:, place, 1] = (
                first[codes],
                last[codes],
            )  # code -1, missing, picks the last
    return boxes


def _unique_predicates(
    synthetic: CodedTable, boxes: NDArray[np.int32], size: int, n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw up to n different predicates that fit one synthetic row.

    Returns
    -------
    array of shape (n_predicates, size, 3)
        Column, least and greatest code of each condition.
    """
    rows = rng.integers(len(synthetic), size=_TRIES * n)
    columns = np.sort(rng.random((len(rows), boxes.shape[1])).argsort(axis=1)[:, :size], axis=1)
    drawn = np.dstack([columns, boxes[rows[:, None], columns]])
    _, first = np.unique(drawn.reshape(len(rows), -1), axis=0, return_index=True)
    drawn = drawn[np.sort(first)]
    counts, _ = _fitting(drawn, synthetic)
    return np.asarray(drawn[counts == 1][:n])


def _fitting(predicates: NDArray[np.intp], table: CodedTable) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the rows that each predicate fits and give the first of them, both of shape (n_predicates,)."""
    counts, places = np.zeros((2, len(predicates)), dtype=np.intp)
    step = max(1, _CELLS // len(table))
    for start in range(0, len(predicates), step):
        part = predicates[start : start + step]
        fits = np.ones((len(part), len(table)), dtype=bool)
        for columns, low, high in part.transpose(1, 2, 0):
            cells = table.codes.T[columns]
            fits &= (cells >= low[:, None]) & (cells <= high[:, None])
        counts[start : start + step], places[start : start + step] = fits.sum(axis=1), fits.argmax(axis=1)
    return counts, places


def _singled_out(
    predicates: NDArray[np.intp], targets: tuple[CodedTable, CodedTable, CodedTable]
) -> dict[str, Any]:
    """Count the predicates that fit exactly one record of each table, and the records of the first two."""
    counts, places = zip(*(_fitting(predicates, table) for table in targets), strict=True)
    main, control, baseline = (_rate(count == 1) for count in counts)
    alone = counts[0] + counts[1] == 1  # of real and holdout records together
    found, other = (len(np.unique(places[k][alone & (counts[k] == 1)])) for k in (0, 1))
    n, m = len(targets[0]), len(targets[1])
    return {
        **_as_columns(main=main, control=control, baseline=baseline, excess=_difference(main, control)),
        "real_records": found,
        "holdout_records": other,
        "raw_p": excess_p(found, n, other, m),
        "_least": least_p(found + other, n, m),
    }
