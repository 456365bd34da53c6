"""Gradient-boosted trees for columns of few categories, kept where they beat the decoder.

scikit-learn grows them; what is kept of them are arrays, see `synthgan.gan.forest.Forest`.
"""

from __future__ import annotations

import math
import time
from itertools import accumulate
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from synthgan.gan.forest import MAX_LEAVES, Forest
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


def grow(
    decoder: Decoder,
    train: Rows,
    heldout: Rows,
    n_trees: int,
    seed: int,
    max_seconds: float = math.inf,
) -> Forest:
    """Grow trees for the columns in which they foretell held-out cells better than the decoder.

    A column qualifies with 2 to `MAX_CLASSES` codes, all of them atoms of 20 rows or more. Where there
    are too many of them for the time, those come first of which the other cells tell most.

    Parameters
    ----------
    decoder : Decoder
        Trained.
    train, heldout : Rows
        What trees learn from, at most 50,000 rows of it and fewer above 100 columns; and what they are
        judged by: 20 rows at least, or there are no trees.
    n_trees : int >= 1
        Most trees of a column. A column of k > 2 codes has k trees an iteration.
    seed : int
    max_seconds : float
        After so many, no column is begun.

    Returns
    -------
    Forest
        Columns of few codes come last, and among equals those of which the other cells tell most: only
        the last one keeps all its relations as its trees have learned them.
    """
    book, cpu, start = decoder.book, torch.device("cpu"), time.perf_counter()
    if len(heldout) < _MIN_JUDGES:
        return Forest(book)
    n_rows = min(len(train), _MAX_ROWS, int(_MAX_WORK / 4 / len(book.widths)))
    index = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:n_rows]
    train, judge = train.to(cpu).take(index), heldout.to(cpu)
    count = torch.bincount(train.codes.flatten(), minlength=len(book.cells))
    by_decoder = {j: decoder_log_likelihood(decoder, heldout, j).cpu() for j in _few_codes(book, count)}
    information = {  # nats that all other cells tell of the column
        j: float((found - (count[judge.codes[:, j]] / n_rows).log()).mean())
        for j, found in by_decoder.items()
    }
    grown, work = {}, 0
    for j in sorted(by_decoder, key=lambda j: -information[j]):
        work += n_rows * len(book.widths) * _n_trees_at_once(book, j)
        if work > _MAX_WORK or time.perf_counter() - start > max_seconds:
            break
        parts = _boosted(book, train, j, n_trees, seed)
        by_trees = _log_likelihood(Forest(book, **parts).logits(0, judge.codes), book, judge, j)
        if (by_trees - by_decoder[j]).mean() > 0:
            grown[j] = parts
    order = sorted(grown, key=lambda j: (-book.widths[j], information[j]))
    return _joined(book, [grown[j] for j in order]).to(book.cells.device)


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


def _boosted(book: CodeBook, train: Rows, j: int, n_trees: int, seed: int) -> dict[str, Tensor]:
    """Grow the trees of column j; a tenth of the rows tells when to stop."""
    values, span = code_values(book, train, j), book.span(j)
    features = values[train.codes].numpy()  # (n, g)
    features[:, j] = 0.0  # what is to be told tells nothing
    model = HistGradientBoostingClassifier(
        max_iter=max(1, n_trees // _n_trees_at_once(book, j)),
        learning_rate=0.2,
        max_leaf_nodes=MAX_LEAVES,
        max_depth=6,
        l2_regularization=10.0,  # at 0, rare classes run away: online_shoppers' visitors 4.9 nats, not .28
        early_stopping=True,
        random_state=seed % 2**32,
    )
    model.fit(features, (train.codes[:, j] - span.start).numpy())
    return _parts(book, model, j) | {"columns": torch.tensor([j]), "values": values[None]}


def code_values(book: CodeBook, train: Rows, j: int) -> Tensor:
    """Give each code of the table the number that the trees of column j compare, shape (w,).

    The rank in [0, 1] where codes have an order. Others get their place along the first principal component
    of the shares that the classes of column j have among the rows with that code: an order of categories in
    which trees split well (Coppersmith et al. 1999, "Partitioning Nominal Attributes in Decision Trees"). For
    two classes that is the order by the share of one, in which the best split is found (Breiman et al. 1984).

    Parameters
    ----------
    book : CodeBook
    train : Rows
    j : int
    """
    span, width = book.span(j), len(book.cells)
    is_class = torch.nn.functional.one_hot(train.codes[:, j] - span.start, book.widths[j]).double()
    count, mean = torch.zeros(width).double(), is_class.mean(dim=0)
    total = torch.zeros(width, book.widths[j]).double()
    for codes in train.codes.T:
        count += torch.bincount(codes, minlength=width)
        total.index_add_(0, codes, is_class)
    excess = (total + _SMOOTHING * mean) / (count + _SMOOTHING)[:, None] - mean  # (w, k)
    values = book.position.clone()
    for other in map(book.span, range(len(book.widths))):
        weighted = excess[other] * count[other, None].sqrt()
        axis = torch.linalg.svd(weighted, full_matrices=False).Vh[0]
        axis = axis * axis[axis.abs().argmax()].sign()  # either sign is right: always the same
        place = (excess[other] @ axis).float() - 2  # in [-4, 0): no rank
        values[other] = torch.where(values[other].isnan(), place, values[other])
    return values


def _parts(book: CodeBook, model: HistGradientBoostingClassifier, j: int) -> dict[str, Tensor]:
    """Take the trees out of scikit-learn's model.

    Its node arrays are no public interface, but there is no other way to save them without pickle; a test
    compares what is made of them with what the model itself predicts.
    """
    span, two = book.span(j), len(model.classes_) == 2
    codes = span.start + torch.from_numpy(model.classes_[1:] if two else model.classes_)
    bias = torch.zeros(len(book.cells))
    bias[codes] = torch.from_numpy(model._baseline_prediction).float().flatten()
    trees = [_as_bits(tree.nodes) for iteration in model._predictors for tree in iteration]
    leaves = [values + [0.0] * (MAX_LEAVES - len(values)) for values, _ in trees]
    nodes = [(number, *node) for number, (_, nodes) in enumerate(trees) for node in nodes]
    tree, feature, threshold, mask = torch.tensor(nodes, dtype=torch.float64).reshape(-1, 4).T
    return {
        "bias": bias,
        "code": codes.repeat(len(model._predictors)),
        "leaves": torch.tensor(leaves),
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
    parts = {name: torch.cat([one[name] for one in found]) for name in found[0] if name != "bias"}
    return Forest(book, bias=torch.stack([one["bias"] for one in found]).sum(dim=0), **parts)


@torch.no_grad()
def decoder_log_likelihood(decoder: Decoder, rows: Rows, j: int) -> Tensor:
    """Log probability of the code of column j given all other cells, shape (b,)."""
    book = decoder.book
    known = torch.ones(len(rows), len(book.widths), dtype=torch.bool, device=book.cells.device)
    known[:, j] = False
    hidden = decoder.hidden(decoder.embed(rows, known))
    return _log_likelihood(decoder.code_logits(hidden)[:, book.span(j)], book, rows, j)


def _log_likelihood(logits: Tensor, book: CodeBook, rows: Rows, j: int) -> Tensor:
    codes = rows.codes[:, j] - book.span(j).start
    return logits.log_softmax(dim=1).gather(1, codes[:, None]).squeeze(1)
