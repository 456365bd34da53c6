"""Which columns get boosted trees: those in which they foretell held-out cells better than the decoder.

Some tilt the chain on its way, each column given those before it. Others have the last word: they draw a
column once more, given all others. `synthgan.boosting` grows the trees.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from synthgan.boosting import (
    Parts,
    boosted,
    code_log_likelihood,
    decoder_logits,
    joined,
    n_trees_at_once,
    tilted,
)
from synthgan.gan.codebook import CodeBook, Rows
from synthgan.gan.forest import Forest
from synthgan.gan.likelihood import chain_conditional
from synthgan.gan.networks import Decoder
from synthgan.gan.threads import Each, in_threads

__all__ = ["MAX_CLASSES", "grow"]

MAX_CLASSES = 10
_MIN_CLASS = 20  # rows of the rarest class: fewer say nothing of it
_MIN_JUDGES = 20  # held-out rows, likewise
_MAX_ROWS = 50_000
_MAX_WORK = 2e7  # rows times columns times trees of an iteration: some 20 s of one core

_MIN_TILT = 0.005  # nats that trees of a number must save where the chain draws it
_MIN_REDRAW = 0.04  # nats that trees of a number must save against the decoder: drawing it again costs time
_MIN_GAIN = 0.02  # nats that they must save against the chain, which fewer rows tell
_MAX_PASSES = 75_000  # of the decoder, to compare one column with the chain: about a second of one core

ByColumn = Callable[[Callable[[int], Any], list[int]], dict[int, Any]]
"""A function of a column and some columns -> what it returns for each, see `_by_column`."""


def grow(
    decoder: Decoder,
    train: Rows,
    heldout: Rows,
    order: list[int],
    n_trees: int,
    seed: int,
    is_over: Callable[[], bool] = lambda: False,
    each: Each = in_threads,
) -> tuple[Forest, Forest]:
    """Grow trees that tilt the chain, and trees that draw columns once more.

    A column qualifies as a number, with more than `MAX_CLASSES` codes in an order; or, for the second, with 2
    to `MAX_CLASSES` codes, all of them atoms of 20 rows or more. Where there are too many of few codes for
    the time, those come first of which the other cells tell most.

    Parameters
    ----------
    decoder : Decoder
        Trained.
    train, heldout : Rows
        What trees learn from, at most 50,000 rows of it and fewer above 100 columns; and what they are
        judged by: 20 rows at least, or there are no trees.
    order : list of int
        In which the chain draws the columns.
    n_trees : int >= 1
        Most trees of a column. One of k > 2 few codes has k trees an iteration.
    seed : int
    is_over : callable () -> bool
        When it is True, no column is begun.
    each : callable
        Grows several columns.

    Returns
    -------
    tilts : Forest
        For numbers, given the columns before them in `order`.
    forest : Forest
        Given all other columns. Numbers come first, in the chain's order. Columns of few codes come last, and
        among equals those of which the other cells tell most: only the last one keeps all its relations as
        its trees have learned them.
    """
    book, cpu = decoder.book, torch.device("cpu")
    if len(heldout) < _MIN_JUDGES or len(book.widths) == 1:  # trees of a column look at others
        return Forest(book), Forest(book)
    n_rows = min(len(train), _MAX_ROWS, int(_MAX_WORK / 4 / len(book.widths)))
    rng = torch.Generator().manual_seed(seed % 2**64)  # of larger ones torch makes an error
    index = torch.randperm(len(train), generator=rng)[:n_rows]
    train, judge = train.to(cpu).take(index), heldout.to(cpu)
    device, by_column = book.cells.device, partial(_by_column, each, is_over)
    tilts = joined(book, _chain_tilts(decoder, train, judge, order, n_trees, seed, by_column)).to(device)
    numbers = _grown_numbers(decoder, tilts, train, judge, order, n_trees, seed, by_column)
    classes = _grown_classes(decoder, train, judge, n_trees, seed, by_column)
    return tilts, joined(book, numbers + classes).to(device)


def _chain_tilts(
    decoder: Decoder,
    train: Rows,
    judge: Rows,
    order: list[int],
    n_trees: int,
    seed: int,
    by_column: ByColumn,
) -> list[Parts]:
    """Grow trees of numbers given the columns before them, in the order of the chain."""

    def grown(j: int) -> Parts | None:
        known = order[: order.index(j)]
        parts, _, saved = tilted(decoder, train, judge, j, known, n_trees, seed, _MIN_TILT)
        return parts if _save(saved, _MIN_TILT) else None

    numbers = _numbers(decoder.book)
    columns = _affordable([j for j in order[1:] if j in numbers], train)
    return list(by_column(grown, columns).values())


def _grown_numbers(
    decoder: Decoder,
    tilts: Forest,
    train: Rows,
    judge: Rows,
    order: list[int],
    n_trees: int,
    seed: int,
    by_column: ByColumn,
) -> list[Parts]:
    """Grow trees of numbers given all other columns, in the order in which they are to be drawn.

    What is drawn again loses what the chain knew of it by all columns after it (Bayes' rule), which may be
    more than the decoder tells when it is shown them. So trees are kept if they save nats against that, too:
    the likelihood of whole rows then rises by as much. (Measured on california_housing before
    the chain was tilted: saved .06 to .12 in five columns, lost .05 to .11 in longitude. With all nine
    numbers drawn again C2ST .68, with the five .63, with none .65.)

    Only the last third of the chain is tried: what it implies of early columns takes a second of a core
    each to find out, and is known to +-.07 nats only.
    """
    book = decoder.book

    def grown(j: int) -> Parts | None:
        others = [i for i in order if i != j]
        parts, by_trees, saved = tilted(decoder, train, judge, j, others, n_trees, seed, _MIN_REDRAW)
        if not _save(saved, _MIN_REDRAW):
            return None
        n_rows = max(_MIN_JUDGES, _MAX_PASSES // book.widths[j] // (len(order) - order.index(j)))
        some = judge.take(torch.arange(len(judge))[:n_rows])
        by_chain = chain_conditional(decoder, tilts, some.to(book.cells.device), j, order).cpu()
        by_chain = code_log_likelihood(by_chain, book, some, j)
        return parts if _save(by_trees[:n_rows] - by_chain, _MIN_GAIN, n_errors=1) else None

    numbers = _numbers(book)
    late = [j for j in order[len(order) * 2 // 3 :] if j in numbers]
    return list(by_column(grown, _affordable(late, train)).values())


def _grown_classes(
    decoder: Decoder, train: Rows, judge: Rows, n_trees: int, seed: int, by_column: ByColumn
) -> list[Parts]:
    """Grow trees of columns of few codes, in the order in which they are to be drawn."""
    book, n_rows = decoder.book, len(train)
    count = torch.bincount(train.codes.flatten(), minlength=len(book.cells))

    def by_decoder(j: int) -> Tensor:
        others = [i for i in range(len(book.widths)) if i != j]
        return code_log_likelihood(decoder_logits(decoder, judge, j, others), book, judge, j)

    def grown(j: int) -> Parts | None:
        parts = boosted(book, train, j, n_trees, seed)
        by_trees = code_log_likelihood(Forest(book, **parts).logits(0, judge.codes), book, judge, j)
        return parts if (by_trees - found[j]).mean() > 0 else None

    found = by_column(by_decoder, _few_codes(book, count))
    information = {  # nats that all other cells tell of the column
        j: float((found[j] - (count[judge.codes[:, j]] / n_rows).log()).mean()) for j in found
    }
    columns = _affordable(
        sorted(found, key=lambda j: -information[j]), train, lambda j: n_trees_at_once(book, j)
    )
    kept = by_column(grown, columns)
    return [kept[j] for j in sorted(kept, key=lambda j: (-book.widths[j], information[j]))]


def _affordable(columns: list[int], train: Rows, n_at_once: Callable[[int], int] = lambda _: 1) -> list[int]:
    """List the first columns until rows times columns times trees of an iteration are too much work."""
    work = accumulate(train.codes.numel() * n_at_once(j) for j in columns)
    return [j for j, done in zip(columns, work, strict=True) if done <= _MAX_WORK]


def _by_column(
    each: Each, is_over: Callable[[], bool], function: Callable[[int], Any], columns: list[int]
) -> dict[int, Any]:
    """Give what a function returns for each column, without those that are None or that are too late.

    In threads of one core each: a tree of few rows gains little from two. (Measured: ten models of 10 trees,
    27,000 rows and 24 columns on two cores: .75 s, one after the other 1.1 s.)
    """

    def alone(j: int) -> Any:
        if is_over():
            return None
        with threadpool_limits(1, user_api="openmp"):
            return function(j)

    made = zip(columns, each(alone, columns), strict=True)
    return {j: one for j, one in made if one is not None}


def _save(nats: Tensor, least: float, n_errors: int = 2) -> bool:
    """Tell whether the mean of rows is above `least` and so many of its own standard errors."""
    return float(nats.mean()) > max(least, n_errors * float(nats.std()) / math.sqrt(len(nats)))


def _few_codes(book: CodeBook, counts: Tensor) -> list[int]:
    """List the columns of few codes, all of them atoms and not rare."""
    return [
        j
        for j, width in enumerate(book.widths)
        if 2 <= width <= MAX_CLASSES and j not in book.fine and counts[book.span(j)].min() >= _MIN_CLASS
    ]


def _numbers(book: CodeBook) -> list[int]:
    """List the columns of more codes in an order than classes may have."""
    n_ordered = [int((~book.position[book.span(j)].isnan()).sum()) for j in range(len(book.widths))]
    return [j for j, n in enumerate(n_ordered) if n > MAX_CLASSES]
