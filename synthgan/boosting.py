"""Gradient-boosted trees that tell a column of few categories from others, or tilt what a decoder says.

scikit-learn grows them; what is kept of them are arrays, see `synthgan.gan.forest.Forest`.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from torch import Tensor

from synthgan.gan.codebook import CodeBook, Rows
from synthgan.gan.forest import MAX_LEAVES, Forest, tilts_of
from synthgan.gan.networks import Decoder

__all__ = [
    "Parts",
    "boosted",
    "code_log_likelihood",
    "decoder_logits",
    "joined",
    "n_trees_at_once",
    "tilted",
]

# The column that a node looks at, the threshold, and as bits the leaves that are not on its left.
Node = tuple[int, float, int]
Parts = dict[str, Tensor]  # of a `Forest` with trees for one column

_SMOOTHING = 20.0  # rows of the whole table that a category's rate is mixed with
_MIN_STEP = 0.001  # nats that a round of trees that tilt must save
_ROUND = 10  # trees of each axis between two linearisations of the loss
_MAX_LOGITS = 2_000_000  # rows that they learn from, times the column's codes
_BATCH_ROWS = 4096


def n_trees_at_once(book: CodeBook, j: int) -> int:
    """Trees that an iteration of `boosted` grows for column j: one for two classes, else one for each."""
    return 1 if book.widths[j] == 2 else book.widths[j]


def boosted(book: CodeBook, train: Rows, j: int, n_trees: int, seed: int) -> Parts:
    """Grow trees that tell the code of column j from all other cells; a tenth of the rows tells when to stop.

    Parameters
    ----------
    book : CodeBook
    train : Rows
    j : int
        All its codes are atoms, and each of them in some rows.
    n_trees : int >= 1
        At most; see `n_trees_at_once`.
    seed : int
    """
    span = book.span(j)
    local = train.codes[:, j] - span.start
    values = code_values(book, train, torch.nn.functional.one_hot(local, book.widths[j]).double())
    others = [i for i in range(len(book.widths)) if i != j]
    features = values[train.codes[:, others]].numpy()
    model = HistGradientBoostingClassifier(
        max_iter=max(1, n_trees // n_trees_at_once(book, j)),
        learning_rate=0.2,
        max_leaf_nodes=MAX_LEAVES,
        max_depth=6,
        l2_regularization=10.0,  # at 0, rare classes run away: online_shoppers' visitors 4.9 nats, not .28
        early_stopping=True,
        random_state=seed % 2**32,
    )
    model.fit(features, local.numpy())
    return _parts(book, model, j, others) | {"columns": torch.tensor([j]), "values": values[None]}


def tilted(
    decoder: Decoder,
    train: Rows,
    judge: Rows,
    j: int,
    known: list[int],
    n_trees: int,
    seed: int,
    least: float = 0.0,
) -> tuple[Parts, Tensor, Tensor]:
    """Grow trees F and G that tilt the decoder's logits of column j given some others to l + F d + G s.

    With d(k) the place of the code of a row along an axis (see `tilts_of`) and E, V the mean and variance of
    d under the tilted logits, the derivatives of the row's log probability by F are d(k) - E and -V: each
    round fits trees to the step of Newton, (d(k) - E) / V, weighted by V (Friedman et al. 2000, "Additive
    logistic regression", section 4.3); likewise for G along s.

    Parameters
    ----------
    decoder : Decoder
    train, judge : Rows
        On the CPU. The judges tell when to stop.
    j : int
    known : list of int
        Columns that the decoder is shown and trees look at.
    n_trees : int >= 1
        At most.
    seed : int
    least : float, default 0
        No more trees are grown once they cannot save as many nats: no round saves more than the one before.

    Returns
    -------
    parts : Parts
    log_likelihood : Tensor
        Log probability of the code of each judging row.
    saved : Tensor
        How much more that is than the decoder's.
    """
    book, span = decoder.book, decoder.book.span(j)
    train = train.take(torch.arange(min(len(train), _MAX_LOGITS // book.widths[j])))
    direction = normal_scores(book, train, j)
    axes = tilts_of(direction, book.position[span].cpu())[:n_trees]  # (2, k), or F alone
    local = train.codes[:, j] - span.start
    values = code_values(book, train, direction[local].double()[:, None] / 4)  # in [-1, 1], as shares are
    features, judged = (values[rows.codes[:, known]].numpy() for rows in (train, judge))
    logits, judge_logits = (decoder_logits(decoder, rows, j, known) for rows in (train, judge))
    rounds: list[list[HistGradientBoostingRegressor]] = []
    first = best = code_log_likelihood(judge_logits, book, judge, j)
    for left in reversed(range(max(1, n_trees // (len(axes) * _ROUND)))):
        probability = logits.softmax(dim=1)
        size = min(_ROUND, n_trees // len(axes))
        models = [_newton_step(features, probability, local, axis, size, seed) for axis in axes]
        for axis, model in zip(axes, models, strict=True):
            logits += torch.from_numpy(model.predict(features)).float()[:, None] * axis
            judge_logits += torch.from_numpy(model.predict(judged)).float()[:, None] * axis
        now = code_log_likelihood(judge_logits, book, judge, j)
        step_saved = (now - best).mean()
        if step_saved < _MIN_STEP:
            break
        rounds, best = [*rounds, models], now
        if (best - first).mean() + left * step_saved < least:
            break
    parts = _tilting_parts(book, rounds, j, direction, known)
    return parts | {"columns": torch.tensor([j]), "values": values[None]}, best, best - first


def _newton_step(
    features: NDArray[np.float32], probability: Tensor, codes: Tensor, axis: Tensor, n_trees: int, seed: int
) -> HistGradientBoostingRegressor:
    """Fit trees to the step along one axis, (k,), from probabilities, (n, k), towards the codes, (n,)."""
    mean = probability @ axis
    variance = (probability @ axis.square() - mean.square()).clamp(min=1e-3)
    step = ((axis[codes] - mean) / variance).clamp(-4, 4)
    model = HistGradientBoostingRegressor(
        max_iter=n_trees,
        max_leaf_nodes=MAX_LEAVES,
        max_depth=6,
        min_samples_leaf=50,  # 20 saves 3 to 7 % less on credit_default and california_housing
        early_stopping=False,
        random_state=seed % 2**32,
    )
    return model.fit(features, step.numpy(), sample_weight=variance.numpy())


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


def _parts(book: CodeBook, model: HistGradientBoostingClassifier, j: int, known: list[int]) -> Parts:
    """Take the trees of classes out of scikit-learn's model."""
    span, two = book.span(j), len(model.classes_) == 2
    codes = span.start + torch.from_numpy(model.classes_[1:] if two else model.classes_)
    bias = torch.zeros(len(book.cells))
    bias[codes] = torch.from_numpy(model._baseline_prediction).float().flatten()
    trees = [tree for iteration in model._predictors for tree in iteration]
    return _arrays(trees, known) | {
        "bias": bias,
        "direction": torch.zeros(len(book.cells)),
        "code": codes.repeat(len(model._predictors)),
        "axis": torch.zeros(len(trees)),
    }


def _tilting_parts(
    book: CodeBook,
    rounds: list[list[HistGradientBoostingRegressor]],
    j: int,
    direction: Tensor,
    known: list[int],
) -> Parts:
    """Take the trees that tilt out of scikit-learn's models, two a round, whose sums they are."""
    span = book.span(j)
    trees = [tree for models in rounds for model in models for (tree,) in model._predictors]
    axis = [number for models in rounds for number, model in enumerate(models, 1) for _ in model._predictors]
    base = torch.zeros(2)
    for models in rounds:
        for number, model in enumerate(models):
            base[number] += float(model._baseline_prediction.item())
    everywhere, bias = torch.zeros(2, len(book.cells))
    everywhere[span] = direction
    bias[span] = base @ tilts_of(direction, book.position[span].cpu())
    return _arrays(trees, known) | {
        "bias": bias,
        "direction": everywhere,
        "code": torch.full((len(trees),), span.start),
        "axis": torch.tensor(axis),
    }


def _arrays(trees: list[Any], known: list[int]) -> dict[str, Tensor]:
    """Turn scikit-learn's trees, whose features are the columns `known`, into arrays.

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
        "feature": torch.tensor(known)[feature.long()],
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


def joined(book: CodeBook, found: list[Parts]) -> Forest:
    """Put the trees of several columns into one forest."""
    if not found:
        return Forest(book)
    first = accumulate([len(one["code"]) for one in found], initial=0)
    found = [one | {"tree": one["tree"] + n} for one, n in zip(found, first, strict=False)]
    flat = {name: torch.stack([one.pop(name) for one in found]).sum(dim=0) for name in ("bias", "direction")}
    return Forest(book, **flat, **{name: torch.cat([one[name] for one in found]) for name in found[0]})


@torch.no_grad()
def decoder_logits(decoder: Decoder, rows: Rows, j: int, known: list[int]) -> Tensor:
    """Logits of the decoder over the codes of column j given others, (b, k), of rows on the CPU."""
    book, device = decoder.book, decoder.book.cells.device
    tables, weight, parts = decoder.embed.tables(), decoder.code_weight(), []
    shown = torch.zeros(1, len(book.widths), dtype=torch.bool, device=device)
    shown[:, known] = True
    for index in torch.arange(len(rows)).split(_BATCH_ROWS):
        some = rows.take(index).to(device)
        hidden = decoder.hidden(decoder.embed(some, shown.expand(len(some), -1), tables))
        parts.append(decoder.column_logits(hidden, j, weight).cpu())
    return torch.cat(parts) if parts else torch.zeros(0, book.widths[j])


def code_log_likelihood(logits: Tensor, book: CodeBook, rows: Rows, j: int) -> Tensor:
    """Log probability of the code of column j, shape (b,), of logits of shape (b, k)."""
    codes = rows.codes[:, j] - book.span(j).start
    return logits.log_softmax(dim=1).gather(1, codes[:, None]).squeeze(1)
