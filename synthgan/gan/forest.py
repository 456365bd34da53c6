"""Boosted trees beside the decoder: they stand in for its logits, or tilt them.

To tell a few classes apart given everything else, trees are better than a network that has learned all
columns at once. Of a number the network knows the neighbours better and the trees the height: there they tilt
the network's logits towards low or high codes, towards the middle or the ends. `synthgan.trees` says where;
here they are tensors.

All nodes of a tree are followed at once (Lucchese et al. 2015, "QuickScorer", section 3). Its leaves are
bits, numbered from the left. Where a row goes to the right, the leaves on the left are out of reach; of
those that no node puts out of reach, the first is the row's. A cell being one of few codes, what the
nodes that look at one column leave in reach is looked up by the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthgan.gan.codebook import CodeBook

__all__ = ["MAX_LEAVES", "Forest", "tilts_of"]

MAX_LEAVES = 31  # as many bits of an int32 are free of its sign
_ALL = 2**MAX_LEAVES - 1
_LAST = 2 ** (MAX_LEAVES - 1)  # never on the left of a node
_MAX_COMBINATIONS = 128  # of codes in one table of lookups
_BLOCK_LEAVES = 2**18  # rows times trees that are followed at once: what they need stays in the cache
_PARTS = {
    "columns": torch.int64,
    "values": torch.float32,
    "bias": torch.float32,
    "direction": torch.float32,
    "code": torch.int64,
    "axis": torch.int64,
    "leaves": torch.float32,
    "tree": torch.int32,
    "feature": torch.int32,
    "threshold": torch.float32,
    "mask": torch.int32,
}


def tilts_of(direction: Tensor, position: Tensor) -> Tensor:
    """Return what a height and a spread of one add to the logits of k codes, shape (2, k).

    The Hermite polynomials of the first and second degree of a direction of mean 0 and variance 1: a normal
    distribution over the codes stays one, its mean moved by the first and its variance changed by the second.

    Parameters
    ----------
    direction : Tensor of shape (k,)
    position : Tensor of shape (k,)
        NaN where a code has no rank: it is left alone.

    Examples
    --------
    >>> height, spread = tilts_of(torch.tensor([-1.0, 3.0, 0.0]), torch.tensor([0.0, 1.0, torch.nan]))
    >>> (spread * 2**0.5).round().tolist()
    [0.0, 8.0, 0.0]
    """
    spread = (direction.square() - 1) / math.sqrt(2)
    return torch.stack([direction, torch.where(position.isnan(), 0.0, spread)])


class Forest(nn.Module):
    """Trees for several columns: each adds to the logit of one code, or tilts those of all codes.

    Where a column has a direction d, its trees vote for a height F and a spread G, and its logits are those
    of the decoder plus the bias plus F d + G (d^2 - 1) / sqrt(2); see `tilts_of`. Without parts there are no
    trees.

    Attributes
    ----------
    columns : int64 Tensor of shape (c,)
        Spans that have trees, in the order in which they are drawn.
    values : float32 Tensor of shape (c, w)
        For the trees of each of them, the number that stands for each code of the table.
    bias : float32 Tensor of shape (w,)
        Logits before the trees, and for some columns the decoder, add to them.
    direction : float32 Tensor of shape (w,)
        What a height of one adds to the logit of each code; 0 in columns whose trees add to single codes.
    code : int64 Tensor of shape (t,)
        Offset of the code to whose logit each tree adds, in [0, w); any of the column's where trees tilt.
    axis : int64 Tensor of shape (t,)
        0 where a tree adds to the logit of its code alone, 1 where it votes for a height, 2 for a spread.
    leaves : float32 Tensor of shape (t, MAX_LEAVES)
        What the leaves of each tree add, from the left.
    tree, feature : int32 Tensors of shape (n,)
        Of each node the tree, in order, and the span that it looks at.
    threshold : float32 Tensor of shape (n,)
        To the right if the row's number is higher.
    mask : int32 Tensor of shape (n,)
        The leaves that are not on the left of the node, as bits.
    """

    columns: Tensor
    values: Tensor
    bias: Tensor
    direction: Tensor
    code: Tensor
    axis: Tensor
    leaves: Tensor
    tree: Tensor
    feature: Tensor
    threshold: Tensor
    mask: Tensor

    def __init__(self, book: CodeBook, **parts: Tensor) -> None:
        super().__init__()
        self.book = book
        for name, dtype in _PARTS.items():
            self.register_buffer(name, parts.get(name, torch.zeros(0)).to(dtype))

    def logits(self, number: int, codes: Tensor) -> Tensor:
        """Logits over the codes of the column ``columns[number]`` given all other cells of b rows.

        Where `tilts`, the decoder's are still to be added.

        Parameters
        ----------
        number : int
        codes : int64 Tensor of shape (b, g)
            Offsets of the rows' codes.

        Returns
        -------
        float32 Tensor of shape (b, k)
        """
        return self.bias[self.book.span(int(self.columns[number]))] + self.votes(number)(codes)

    def tilts(self, number: int) -> bool:
        """Whether the trees of a column tilt the decoder's logits instead of standing in for them."""
        return bool(self.direction[self.book.span(int(self.columns[number]))].any())

    def votes(self, number: int) -> Callable[[Tensor], Tensor]:
        """Prepare `logits` without the bias: a function of codes, (b, g) -> (b, k)."""
        span = self.book.span(int(self.columns[number]))
        trees = torch.nonzero((self.code >= span.start) & (self.code < span.stop)).flatten()
        code, leaves = self.code[trees] - span.start, self.leaves[trees].flatten()
        tables = self._tables(number, trees)
        strides = self._strides([columns for columns, _ in tables])
        first = (MAX_LEAVES * torch.arange(len(trees), device=code.device) - 127).int()
        alone = torch.nn.functional.one_hot(code, span.stop - span.start).float()  # (t, k)
        tilts, axis = tilts_of(self.direction[span], self.book.position[span]), self.axis[trees]
        adds_to = torch.where(axis[:, None] == 0, alone, tilts[axis - 1])
        n_rows = max(1, _BLOCK_LEAVES // max(1, len(trees)))

        def votes(codes: Tensor) -> Tensor:
            added, combinations = [], (strides @ (codes - self.book.starts).T.double()).long()  # (n, b)
            for rows in combinations.split(n_rows, dim=1):
                left = leaves.new_full((rows.shape[1], len(trees)), _ALL, dtype=torch.int32)  # (r, t)
                for combination, (_, table) in zip(rows.unbind(), tables, strict=True):
                    left &= table.index_select(0, combination)
                lowest = left.neg().bitwise_and_(left)  # bit
                leaf = (lowest.float().view(torch.int32) >> 23).add_(first)  # its exponent, from 127 on
                added.append(leaves.index_select(0, leaf.flatten()).view(leaf.shape) @ adds_to)
            return torch.cat(added)

        return votes

    def by_column(self) -> dict[int, Callable[[Tensor], Tensor]]:
        """Prepare `logits` of each column that has trees: functions of codes, (b, g) -> (b, k)."""

        def prepared(number: int, j: int) -> Callable[[Tensor], Tensor]:
            bias, votes = self.bias[self.book.span(j)], self.votes(number)
            return lambda codes: bias + votes(codes)

        return {j: prepared(number, j) for number, j in enumerate(self.columns.tolist())}

    def _strides(self, groups: list[list[int]]) -> Tensor:
        """Factors that make one number of the local codes of each group of spans, (n, g).

        In float64, which is exact here: a GPU does not multiply matrices of integers.
        """
        strides = np.zeros((len(groups), len(self.book.widths)))
        for group, columns in enumerate(groups):
            stride = 1
            for j in reversed(columns):
                strides[group, j] = stride
                stride *= self.book.widths[j]
        return torch.from_numpy(strides).to(self.code.device)

    def _tables(self, number: int, trees: Tensor) -> list[tuple[list[int], Tensor]]:
        """Group the spans that some of the trees look at; the leaves that each combination leaves, (k, t).

        A lookup takes as long for a combination of several columns of few codes as for a single one.
        """
        found = self._tables_of_spans(number, trees)
        tables: list[tuple[list[int], Tensor]] = []
        for j in sorted(found, key=lambda j: len(found[j])):
            if tables and len(tables[-1][1]) * len(found[j]) <= _MAX_COMBINATIONS:
                columns, table = tables.pop()
                tables.append(([*columns, j], (table[:, None] & found[j]).flatten(0, 1)))
            else:
                tables.append(([j], found[j]))
        return tables

    def _tables_of_spans(self, number: int, trees: Tensor) -> dict[int, Tensor]:
        """For each span that some of the trees look at, the leaves that each of its codes leaves, (k, t)."""
        place = torch.full((len(self.code),), -1, device=trees.device)
        place[trees] = torch.arange(len(trees), device=trees.device)
        nodes = torch.nonzero(place[self.tree.long()] >= 0).flatten()
        tables = {}
        for j in self.feature[nodes].unique().tolist():
            mine = nodes[self.feature[nodes] == j]
            is_right = self.values[number, self.book.span(j), None] > self.threshold[mine]  # (k, m)
            left = torch.where(is_right, self.mask[mine] | _LAST, _ALL).cpu().numpy()
            owner, start = np.unique(place[self.tree[mine].long()].cpu().numpy(), return_index=True)
            table = np.full((len(left), len(trees)), _ALL, dtype=np.int32)
            table[:, owner] = np.bitwise_and.reduceat(left, start, axis=1)
            tables[j] = torch.from_numpy(table).to(trees.device)
        return tables

    @property
    def is_sound(self) -> bool:
        """Whether all indices are of something that there is: a file can hold anything."""
        if all(getattr(self, name).numel() == 0 for name in _PARTS):
            return True
        n_columns, width = len(self.book.widths), len(self.book.cells)
        n_trees, nodes = len(self.code), self.tree.shape
        shapes = {
            "columns": (len(self.columns),),
            "values": (len(self.columns), width),
            "bias": (width,),
            "direction": (width,),
            "code": (n_trees,),
            "axis": (n_trees,),
            "leaves": (n_trees, MAX_LEAVES),
            "feature": nodes,
            "threshold": nodes,
            "mask": nodes,
        }
        limits = {"columns": n_columns, "code": width, "axis": 3, "tree": n_trees, "feature": n_columns}
        return (
            all(getattr(self, name).shape == shape for name, shape in shapes.items())
            and all(
                bool(((self.get_buffer(k) >= 0) & (self.get_buffer(k) < n)).all()) for k, n in limits.items()
            )
            and bool((self.tree.diff() >= 0).all())
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if prefix + "bias" in state_dict:  # forests once had no directions, and then no axes
            zeros = torch.zeros_like(state_dict[prefix + "bias"])
            if not state_dict.setdefault(prefix + "direction", zeros).any():
                state_dict.setdefault(prefix + "axis", torch.zeros_like(state_dict[prefix + "code"]))
        for name, dtype in _PARTS.items():  # as large as the one that was saved, if there is one
            saved = state_dict.setdefault(prefix + name, torch.zeros(0))
            setattr(self, name, torch.empty(saved.shape, dtype=dtype, device=self.book.cells.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
