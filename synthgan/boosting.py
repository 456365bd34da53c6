"""Gradient-boosted trees for columns of few categories and for numbers, kept where they beat the decoder.

scikit-learn grows them; what is kept of them are arrays, see `synthgan.gan.forest.Forest`.
"""

from __future__ import annotations

import math
import time
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor

from synthgan.gan.forest import MAX_LEAVES, Forest
from synthgan.gan.likelihood import chain_conditional
from synthgan.gan.networks import CodeBook, Decoder, Rows

__all__ = ["MAX_CLASSES", "grow"]

# The column that a node looks at, the threshold, and as bits the leaves that are not on its left.
Node = tuple[int, float, int]

MAX_CLASSES = 10
_MIN_CLASS = 20  # rows of the rarest class: fewer say nothing of it
_MIN_JUDGES = 20  # held-out rows, likewise
_MAX_ROWS = 50_000
_MAX_WORK = 2e7  # rows times columns times trees of an iteration: some 20 s of one core
_SMOOTHING = 20.0  # rows of the whole table that a category's rate is mixed with

_MAX_NUMBERS = 6  # columns of numbers that are compared with the chain
_MIN_TILT = 0.06  # nats that trees of a number must save against the decoder: drawing it again costs time
_MIN_GAIN = 0.02  # nats that they must save against the chain, which fewer rows tell
_MIN_STEP = 0.002  # nats that a round of trees must save
_ROUND = 20  # trees between two linearisations of the loss
_MAX_PASSES = 75_000  # of the decoder, to compare one column with the chain: about a second of one core
_BATCH_ROWS = 4096
_MAX_LOGITS = 1_000_000  # rows that trees of a number learn from, times its codes


def grow(
    decoder: Decoder,
    train: Rows,
    heldout: Rows,
    order: list[int],
    n_trees: int,
    seed: int,
    max_seconds: float = math.inf,
) -> Forest:
    """Grow trees for the columns in which they foretell held-out cells better than what the chain draws.

    A column qualifies with 2 to `MAX_CLASSES` codes, all of them atoms of 20 rows or more; or as a number,
    with more codes than that in an order. Where there are too many of few codes for the time, those come
    first of which the other cells tell most.

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
    max_seconds : float
        After so many, no column is begun.

    Returns
    -------
    Forest
        Numbers come first, in the chain's order. Columns of few codes come last, and among equals those of
        which the other cells tell most: only the last one keeps all its relations as its trees have learned
        them.
    """
    book, cpu, end = decoder.book, torch.device("cpu"), time.perf_counter() + max_seconds
    if len(heldout) < _MIN_JUDGES:
        return Forest(book)
    n_rows = min(len(train), _MAX_ROWS, int(_MAX_WORK / 4 / len(book.widths)))
    index = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:n_rows]
    train, judge = train.to(cpu).take(index), heldout.to(cpu)
    classes = _grown_classes(decoder, train, judge, n_trees, seed, end)
    numbers = _grown_numbers(decoder, train, judge, order, n_trees, seed, end)
    return _joined(book, numbers + classes).to(book.cells.device)


def _grown_classes(
    decoder: Decoder, train: Rows, judge: Rows, n_trees: int, seed: int, end: float
) -> list[dict[str, Tensor]]:
    """Grow trees of columns of few codes, in the order in which they are to be drawn."""
    book, n_rows = decoder.book, len(train)
    count = torch.bincount(train.codes.flatten(), minlength=len(book.cells))
    by_decoder = {j: decoder_log_likelihood(decoder, judge, j) for j in _few_codes(book, count)}
    information = {  # nats that all other cells tell of the column
        j: float((found - (count[judge.codes[:, j]] / n_rows).log()).mean())
        for j, found in by_decoder.items()
    }
    grown, work = {}, 0
    for j in sorted(by_decoder, key=lambda j: -information[j]):
        work += n_rows * len(book.widths) * _n_trees_at_once(book, j)
        if work > _MAX_WORK or time.perf_counter() > end:
            break
        parts = _boosted(book, train, j, n_trees, seed)
        by_trees = _log_likelihood(Forest(book, **parts).logits(0, judge.codes), book, judge, j)
        if (by_trees - by_decoder[j]).mean() > 0:
            grown[j] = parts
    return [grown[j] for j in sorted(grown, key=lambda j: (-book.widths[j], information[j]))]


def _grown_numbers(
    decoder: Decoder, train: Rows, judge: Rows, order: list[int], n_trees: int, seed: int, end: float
) -> list[dict[str, Tensor]]:
    """Grow trees of numbers, in the order in which they are to be drawn.

    What is drawn again loses what the chain knew of it by all columns after it (Bayes' rule), which may be
    more than the decoder tells when it is shown them. So trees are kept if they save nats against that,
    beyond chance: the likelihood of whole rows then rises by as much. (Measured on california_housing: saved
    .06 to .12 in five columns, lost .05 to .11 in longitude. With all nine numbers drawn again C2ST .68, with
    the five .63, with none .65.)
    """
    book, work, found = decoder.book, 0, []
    for j in _numbers(book):
        work += len(train) * len(book.widths)
        if work > _MAX_WORK or time.perf_counter() > end:
            break
        parts, by_trees, saved = _tilted(decoder, train, judge, j, n_trees, seed)
        if _save(saved, _MIN_TILT):
            found.append((float(saved.mean()), j, parts, by_trees))
    kept = {}
    for _, j, parts, by_trees in sorted(found, key=lambda one: -one[0])[:_MAX_NUMBERS]:
        if time.perf_counter() > end:
            break
        n_after = len(order) - order.index(j)
        some = judge.take(
            torch.arange(len(judge))[: max(_MIN_JUDGES, _MAX_PASSES // book.widths[j] // n_after)]
        )
        on_device = some.to(book.cells.device)
        by_chain = _log_likelihood(chain_conditional(decoder, on_device, j, order).cpu(), book, some, j)
        if _save(by_trees[: len(some)] - by_chain, _MIN_GAIN):
            kept[j] = parts
    return [kept[j] for j in order if j in kept]


def _save(nats: Tensor, least: float) -> bool:
    """Tell whether the mean of rows is above `least` and twice its own standard error."""
    return float(nats.mean()) > max(least, 2 * float(nats.std()) / math.sqrt(len(nats)))


def _n_trees_at_once(book: CodeBook, j: int) -> int:
    """Trees that an iteration grows for column j: one for two classes, else one for each."""
    return 1 if book.widths[j] == 2 else book.widths[j]


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


def _boosted(book: CodeBook, train: Rows, j: int, n_trees: int, seed: int) -> dict[str, Tensor]:
    """Grow the trees of column j; a tenth of the rows tells when to stop."""
    span = book.span(j)
    local = train.codes[:, j] - span.start
    values = code_values(book, train, torch.nn.functional.one_hot(local, book.widths[j]).double())
    features = _features(values, train, j)
    model = HistGradientBoostingClassifier(
        max_iter=max(1, n_trees // _n_trees_at_once(book, j)),
        learning_rate=0.2,
        max_leaf_nodes=MAX_LEAVES,
        max_depth=6,
        l2_regularization=10.0,  # at 0, rare classes run away: online_shoppers' visitors 4.9 nats, not .28
        early_stopping=True,
        random_state=seed % 2**32,
    )
    model.fit(features, local.numpy())
    return _parts(book, model, j) | {"columns": torch.tensor([j]), "values": values[None]}


def _tilted(
    decoder: Decoder, train: Rows, judge: Rows, j: int, n_trees: int, seed: int
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Grow trees F(x) that tilt the decoder's logits of column j to l + F d, d the direction of its codes.

    With d(k) the value of the code of a row and E, V the mean and variance of d under the tilted logits, the
    derivatives of the row's log probability by F are d(k) - E and -V: each round fits trees to the step of
    Newton, (d(k) - E) / V, weighted by V (Friedman et al. 2000, "Additive logistic regression", section 4.3).
    Returns the trees, the log probability of the judging rows, and what they save against the decoder, (b,).
    """
    book, span = decoder.book, decoder.book.span(j)
    train = train.take(torch.arange(min(len(train), _MAX_LOGITS // book.widths[j])))
    direction = normal_scores(book, train, j)
    heights = direction[train.codes[:, j] - span.start].double()
    values = code_values(book, train, heights[:, None] / 4)  # in [-1, 1], as shares are
    features, judged = _features(values, train, j), _features(values, judge, j)
    logits, judge_logits = (decoder_logits(decoder, rows, j) for rows in (train, judge))
    models: list[HistGradientBoostingRegressor] = []
    first = best = _log_likelihood(judge_logits, book, judge, j)
    for _ in range(max(1, n_trees // _ROUND)):
        probability = logits.softmax(dim=1).double()  # (n, k)
        mean = probability @ direction.double()
        variance = (probability @ direction.double().square() - mean.square()).clamp(min=1e-3)
        model = HistGradientBoostingRegressor(
            max_iter=min(_ROUND, n_trees),
            learning_rate=0.2,
            max_leaf_nodes=MAX_LEAVES,
            max_depth=6,
            early_stopping=False,
            random_state=seed % 2**32,
        )
        step = ((heights - mean) / variance).clamp(-4, 4)
        model.fit(features, step.numpy(), sample_weight=variance.numpy())
        logits += torch.from_numpy(model.predict(features)).float()[:, None] * direction
        judge_logits += torch.from_numpy(model.predict(judged)).float()[:, None] * direction
        now = _log_likelihood(judge_logits, book, judge, j)
        if (now - best).mean() < _MIN_STEP:
            break
        models, best = [*models, model], now
        if (best - first).mean() < 0.4 * _MIN_TILT:
            break  # the first round saves most: the column will not be kept
    parts = _tilting_parts(book, models, j, direction)
    return parts | {"columns": torch.tensor([j]), "values": values[None]}, best, best - first


def normal_scores(book: CodeBook, train: Rows, j: int) -> Tensor:
    """Give the codes of column j the quantiles of a normal distribution at their ranks, shape (k,).

    Of mean 0 and variance 1 over the rows that have them; 0 where a code has no rank.

    Parameters
    ----------
    book : CodeBook
    train : Rows
    j : int
    """
    span = book.span(j)
    share = torch.bincount(train.codes[:, j] - span.start, minlength=book.widths[j]) / len(train)
    position = book.position[span].cpu()
    has_rank = ~position.isnan()
    share = share.double() * has_rank
    by_rank = torch.where(has_rank, position, 2.0).argsort(stable=True)
    middle = torch.empty_like(share)
    middle[by_rank] = share[by_rank].cumsum(0) - share[by_rank] / 2
    total = share.sum().clamp(min=1e-9)
    score = torch.special.ndtri((middle / total).clamp(1e-3, 1 - 1e-3))
    score = score - (share * score).sum() / total
    deviation = ((share * score.square()).sum() / total).sqrt().clamp(min=1e-3)
    return torch.where(has_rank, score / deviation, 0.0).float()


def _features(values: Tensor, rows: Rows, j: int) -> NDArray[np.float32]:
    """Look up the numbers that the trees of column j compare, (n, g)."""
    features = values[rows.codes].numpy()
    features[:, j] = 0.0  # what is to be told tells nothing
    return features


def code_values(book: CodeBook, train: Rows, responses: Tensor) -> Tensor:
    """Give each code of the table the number that the trees of a column compare, shape (w,).

    The rank in [0, 1] where codes have an order. Others get their place along the first principal component
    of the mean responses of the rows with that code, for classes their shares: an order of categories in
    which trees split well (Coppersmith et al. 1999, "Partitioning Nominal Attributes in Decision Trees"). For
    two classes that is the order by the share of one, in which the best split is found (Breiman et al. 1984).

    Parameters
    ----------
    book : CodeBook
    train : Rows of n rows
    responses : float64 Tensor of shape (n, m)
        In [-1, 1]: what the trees are to foretell.
    """
    width = len(book.cells)
    count, mean = torch.zeros(width).double(), responses.mean(dim=0)
    total = torch.zeros(width, responses.shape[1]).double()
    for codes in train.codes.T:
        count += torch.bincount(codes, minlength=width)
        total.index_add_(0, codes, responses)
    excess = (total + _SMOOTHING * mean) / (count + _SMOOTHING)[:, None] - mean  # (w, m)
    values = book.position.cpu().clone()
    for other in map(book.span, range(len(book.widths))):
        weighted = excess[other] * count[other, None].sqrt()
        axis = torch.linalg.svd(weighted, full_matrices=False).Vh[0]
        axis = axis * axis[axis.abs().argmax()].sign()  # either sign is right: always the same
        place = (excess[other] @ axis).float() - 2  # below 0: no rank
        values[other] = torch.where(values[other].isnan(), place, values[other])
    return values


def _parts(book: CodeBook, model: HistGradientBoostingClassifier, j: int) -> dict[str, Tensor]:
    """Take the trees of classes out of scikit-learn's model."""
    span, two = book.span(j), len(model.classes_) == 2
    codes = span.start + torch.from_numpy(model.classes_[1:] if two else model.classes_)
    bias = torch.zeros(len(book.cells))
    bias[codes] = torch.from_numpy(model._baseline_prediction).float().flatten()
    trees = [tree for iteration in model._predictors for tree in iteration]
    return _arrays(trees) | {
        "bias": bias,
        "direction": torch.zeros(len(book.cells)),
        "code": codes.repeat(len(model._predictors)),
    }


def _tilting_parts(
    book: CodeBook, models: list[HistGradientBoostingRegressor], j: int, direction: Tensor
) -> dict[str, Tensor]:
    """Take the trees that tilt out of scikit-learn's models, whose sum they are."""
    span = book.span(j)
    trees = [tree for model in models for (tree,) in model._predictors]
    everywhere = torch.zeros(len(book.cells))
    everywhere[span] = direction
    return _arrays(trees) | {
        "bias": everywhere * sum(float(model._baseline_prediction.item()) for model in models),
        "direction": everywhere,
        "code": torch.full((len(trees),), span.start),
    }


def _arrays(trees: list[Any]) -> dict[str, Tensor]:
    """Turn scikit-learn's trees into arrays.

    Its node arrays are no public interface, but there is no other way to save them without pickle; a test
    compares what is made of them with what the model itself predicts.
    """
    found = [_as_bits(tree.nodes) for tree in trees]
    leaves = [values + [0.0] * (MAX_LEAVES - len(values)) for values, _ in found]
    nodes = [(number, *node) for number, (_, below) in enumerate(found) for node in below]
    tree, feature, threshold, mask = torch.tensor(nodes, dtype=torch.float64).reshape(-1, 4).T
    return {
        "leaves": torch.tensor(leaves).reshape(-1, MAX_LEAVES),
        "tree": tree,
        "feature": feature,
        "threshold": threshold,
        "mask": mask,
    }


def _as_bits(tree: NDArray[Any], place: int = 0, n_before: int = 0) -> tuple[list[float], list[Node]]:
    """List the values of the leaves below a node from the left, and of each node what a `Forest` needs."""
    node = tree[place]
    if node["is_leaf"]:
        return [float(node["value"])], []
    left, nodes = _as_bits(tree, node["left"], n_before)
    right, others = _as_bits(tree, node["right"], n_before + len(left))
    on_left = (2 ** len(left) - 1) << n_before
    mask = 2**MAX_LEAVES - 1 - on_left
    return left + right, [*nodes, (int(node["feature_idx"]), float(node["num_threshold"]), mask), *others]


def _joined(book: CodeBook, found: list[dict[str, Tensor]]) -> Forest:
    """Put the trees of several columns into one forest."""
    if not found:
        return Forest(book)
    first = accumulate([len(one["code"]) for one in found], initial=0)
    found = [one | {"tree": one["tree"] + n} for one, n in zip(found, first, strict=False)]
    flat = {name: torch.stack([one.pop(name) for one in found]).sum(dim=0) for name in ("bias", "direction")}
    return Forest(book, **flat, **{name: torch.cat([one[name] for one in found]) for name in found[0]})


@torch.no_grad()
def decoder_logits(decoder: Decoder, rows: Rows, j: int) -> Tensor:
    """Logits of the decoder over the codes of column j given all other cells, (b, k), of rows on the CPU."""
    book, device = decoder.book, decoder.book.cells.device
    tables, weight, parts = decoder.embed.tables(), decoder.code_weight(), []
    for index in torch.arange(len(rows)).split(_BATCH_ROWS):
        some = rows.take(index).to(device)
        known = torch.ones_like(some.codes, dtype=torch.bool)
        known[:, j] = False
        hidden = decoder.hidden(decoder.embed(some, known, tables))
        parts.append(decoder.column_logits(hidden, j, weight).cpu())
    return torch.cat(parts) if parts else torch.zeros(0, book.widths[j])


def decoder_log_likelihood(decoder: Decoder, rows: Rows, j: int) -> Tensor:
    """Log probability of the code of column j given all other cells, shape (b,)."""
    return _log_likelihood(decoder_logits(decoder, rows, j), decoder.book, rows, j)


def _log_likelihood(logits: Tensor, book: CodeBook, rows: Rows, j: int) -> Tensor:
    codes = rows.codes[:, j] - book.span(j).start
    return logits.log_softmax(dim=1).gather(1, codes[:, None]).squeeze(1)
