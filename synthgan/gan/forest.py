"""Boosted trees that draw columns of few categories once more, each given all other cells.

A chain draws such a column early, from a network that has learned all columns at once. To tell a few classes
apart given everything else, trees are better. `synthgan.boosting` grows them; here they are tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from synthgan.gan.networks import CELLS, CodeBook, Rows

__all__ = ["MAX_DEPTH", "Forest", "tree_features"]

MAX_DEPTH = 6
_BLOCK_LEAVES = 2**16  # rows times trees that are followed at once: what they need stays in the cache
_PARTS = {
    "columns": torch.int64,
    "values": torch.float32,
    "bias": torch.float32,
    "code": torch.int64,
    "feature": torch.int16,
    "threshold": torch.float32,
    "branches": torch.int16,
    "value": torch.float32,
}


class Forest(nn.Module):
    """Trees for several columns: each adds to the logit of one code.

    Without parts there are no trees.

    Attributes
    ----------
    columns : int64 Tensor of shape (c,)
        Spans that have trees, in the order in which they are drawn.
    values : float32 Tensor of shape (c, w)
        For the trees of each of them, the number that stands for each code of the table.
    bias : float32 Tensor of shape (w,)
        Logits before the trees add to them.
    code : int64 Tensor of shape (t,)
        Offset of the code to whose logit each tree adds, in [0, w).
    feature, threshold : int16 and float32 Tensor of shape (t, n)
        Span and number that a node compares: to the right if the row's number is higher.
    branches : int16 Tensor of shape (t, n, 2)
        Nodes to the left and to the right, in [0, n); a leaf leads to itself.
    value : float32 Tensor of shape (t, n)
        What a leaf adds.
    """

    columns: Tensor
    values: Tensor
    bias: Tensor
    code: Tensor
    feature: Tensor
    threshold: Tensor
    branches: Tensor
    value: Tensor

    def __init__(self, book: CodeBook, **parts: Tensor) -> None:
        super().__init__()
        self.book = book
        for name, dtype in _PARTS.items():
            self.register_buffer(name, parts.get(name, torch.zeros(0)).to(dtype))

    def logits(self, number: int, rows: Rows) -> Tensor:
        """Logits over the codes of the column ``columns[number]`` given all other cells, shape (b, k)."""
        span = self.book.span(int(self.columns[number]))
        trees = torch.nonzero((self.code >= span.start) & (self.code < span.stop)).flatten()
        code = self.code[trees] - span.start
        n_rows = max(1, _BLOCK_LEAVES // max(1, len(trees)))
        logits = self.bias[span].repeat(len(rows), 1)  # (b, k)
        for block in torch.arange(len(rows), device=code.device).split(n_rows):
            features = tree_features(self.book, rows.take(block), self.values[number])
            logits[block] += logits.new_zeros(len(block), logits.shape[1]).index_add_(
                1, code, self._leaves(trees, features)
            )
        return logits

    def _leaves(self, trees: Tensor, features: Tensor) -> Tensor:
        """Value of the leaf that each row falls into, (b, t); a node's place is twice its number."""
        n_rows, n_nodes, device = len(features), self.feature.shape[1], features.device
        first = 2 * n_nodes * torch.arange(len(trees), dtype=torch.int32, device=device)
        branches = (2 * self.branches[trees].int() + first[:, None, None]).flatten()
        threshold, value, cell = (
            part[trees].flatten().repeat_interleave(2) for part in (self.threshold, self.value, self.feature)
        )
        cell = cell.int() * n_rows  # of the first row, in `by_column`
        by_column, row = features.T.flatten(), torch.arange(n_rows, dtype=torch.int32, device=device)
        row, node = row.repeat(len(trees)), first.repeat_interleave(n_rows)
        for _ in range(MAX_DEPTH):
            number = by_column.index_select(0, cell.index_select(0, node).add_(row))
            goes_right = number > threshold.index_select(0, node)
            node = branches.index_select(0, node.add_(goes_right))
        return value.index_select(0, node).view(len(trees), n_rows).T

    @property
    def is_sound(self) -> bool:
        """Whether all indices are of something that there is: a file can hold anything."""
        n_columns, width = len(self.book.widths), len(self.book.cells)
        n_trees, n_nodes = self.feature.shape if self.feature.ndim == 2 else (0, 0)
        shapes = {
            "columns": (len(self.columns),),
            "values": (len(self.columns), width),
            "bias": (width,),
            "code": (n_trees,),
            "feature": (n_trees, n_nodes),
            "threshold": (n_trees, n_nodes),
            "branches": (n_trees, n_nodes, 2),
            "value": (n_trees, n_nodes),
        }
        if all(getattr(self, name).numel() == 0 for name in _PARTS):
            return True
        limits = {"columns": n_columns, "code": width, "feature": n_columns, "branches": n_nodes}
        return all(getattr(self, name).shape == shape for name, shape in shapes.items()) and all(
            bool(((part >= 0) & (part < limit)).all())
            for part, limit in ((getattr(self, name), limit) for name, limit in limits.items())
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for (
            name,
            dtype,
        ) in _PARTS.items():  # a forest becomes as large as the one that was saved, if there is one
            saved = state_dict.setdefault(prefix + name, torch.zeros(0))
            setattr(self, name, torch.empty(saved.shape, dtype=dtype, device=self.book.cells.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def tree_features(book: CodeBook, rows: Rows, values: Tensor) -> Tensor:
    """Turn cells into the numbers that trees compare.

    Parameters
    ----------
    book : CodeBook
    rows : Rows
        b of them.
    values : float32 Tensor of shape (w,)
        Number that stands for each code.

    Returns
    -------
    float32 Tensor of shape (b, g)
        The number of each cell's code. To that of an interval, alpha adds up to half of the distance
        between codes that lie evenly on [0, 1].
    """
    features = values[rows.codes]  # (b, g)
    if book.fine:
        codes = rows.codes[:, book.fine_index]
        alpha = ((rows.cells + 0.5) / CELLS * 2 - 1) * book.continuous[codes]
        features[:, book.fine_index] += alpha / (2 * book.n_codes[book.fine_index])
    return features
