"""Rows and conditions as vectors: what the generator and the critic of `CTGAN` see.

A row is all its alphas, then the one-hot codes of all its columns. Rows are kept as integers, and become
vectors batch by batch: the one-hot matrix of a whole table never exists. A condition is one code of one
discrete column, and stays an integer: its slot, the place of the one in its one-hot vector.

**Shapes**: b rows, g spans (columns), f spans that have an alpha, w codes of all spans, d discrete spans,
c codes of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.layout import ATOM, CONTINUOUS, EncodedConditions, EncodedTable, Layout

__all__ = [
    "ConditionVectors",
    "RowVectors",
    "TrainingBySampling",
    "VectorRows",
    "cumulative",
    "draw_slots",
    "gumbel_noise",
]

_RARE = 1e-12  # frequency of a code that was never seen, where it is asked for
_TINY = 1e-20  # below all uniform numbers but 0: logs must be finite


@dataclass(frozen=True)
class VectorRows:
    """Rows that are still to become vectors.

    Parameters
    ----------
    codes : int Tensor of shape (b, g)
        Offset of each cell's code among all codes, in [0, w).
    alphas : float32 Tensor of shape (b, f)
        In [-1, 1]; 0 for atoms.
    """

    codes: Tensor
    alphas: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, index: Tensor) -> VectorRows:
        """Take rows by index."""
        return VectorRows(self.codes[index], self.alphas[index])

    def to(self, device: torch.device) -> VectorRows:
        """Move to a device."""
        return VectorRows(self.codes.to(device), self.alphas.to(device))


class RowVectors(nn.Module):
    """The way from rows to vectors, and from what a generator puts out to vectors and to rows.

    The vector of a row is (alpha_1, ..., alpha_f, one-hot_1, ..., one-hot_g): Xu et al. (2019), section
    4.2, but for the order, which dense layers do not see.

    Parameters
    ----------
    layout : Layout
    temperature : float > 0
        Of the Gumbel softmax: the lower, the nearer to one-hot.

    Attributes
    ----------
    widths : list of int
        Number of codes of each span.
    fine : list of int
        Spans that have an alpha, f of them.
    width : int
        Length of a vector, f + w.
    ordered : list of (start, stop)
        Where in a vector the ordered codes of a column of numbers lie.
    """

    starts: Tensor
    fine_index: Tensor
    is_atom: Tensor

    def __init__(self, layout: Layout, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.widths = [span.n_codes for span in layout.spans]
        self.fine = [j for j, span in enumerate(layout.spans) if (span.n_levels != ATOM).any()]
        self.width = len(self.fine) + layout.width
        self.ordered = []
        for span in layout.spans:
            start, n_ordered = len(self.fine) + span.start, int((~np.isnan(span.position)).sum())
            if n_ordered > 1:  # they come first: what has no order is the missing value, at the end
                self.ordered.append((start, start + n_ordered))
        levels = np.concatenate([np.zeros(0, np.int32), *(span.n_levels for span in layout.spans)])
        for name, value in {
            "starts": layout.starts,
            "fine_index": np.array(self.fine, dtype=np.int64),
            "is_atom": levels == ATOM,
        }.items():
            self.register_buffer(name, torch.as_tensor(value), persistent=False)

    def rows(self, encoded: EncodedTable) -> VectorRows:
        """Turn codes and alphas into offsets and the alphas of the spans that have one."""
        codes = torch.from_numpy(encoded.codes.astype(np.int32)) + self.starts.int().cpu()
        return VectorRows(codes, torch.from_numpy(encoded.alphas[:, self.fine].astype(np.float32)))

    def encoded(self, rows: VectorRows) -> EncodedTable:
        """Turn offsets and alphas back; an atom has no alpha, whatever was generated, and NaN counts as 0."""
        alphas = torch.zeros(rows.codes.shape, dtype=torch.float64, device=rows.alphas.device)
        is_atom = self.is_atom[rows.codes[:, self.fine_index]]
        alphas[:, self.fine_index] = rows.alphas.double().nan_to_num(0.0).masked_fill(is_atom, 0.0)
        return EncodedTable((rows.codes - self.starts).int().cpu().numpy(), alphas.cpu().numpy())

    def forward(self, rows: VectorRows) -> Tensor:
        """Write rows as vectors, (b, f + w)."""
        vectors = rows.alphas.new_zeros(len(rows), self.width)
        vectors[:, : len(self.fine)] = rows.alphas
        return vectors.scatter_(1, rows.codes.long() + len(self.fine), 1.0)

    def activate(self, raw: Tensor, noise: Tensor) -> Tensor:
        """Turn the output of a generator into vectors: tanh for alphas, Gumbel softmax for codes.

        softmax((x + g) / temperature) in each span, with Gumbel noise g: Jang et al. (2017), "Categorical
        Reparameterization with Gumbel-Softmax", eq. (2).

        Parameters
        ----------
        raw : Tensor of shape (b, f + w)
        noise : Tensor of shape (b, w)
            From the standard Gumbel distribution, see `gumbel_noise`.

        Returns
        -------
        Tensor of shape (b, f + w)
            Alphas in (-1, 1); the codes of each span sum to 1.
        """
        alphas, logits = raw.tensor_split([len(self.fine)], dim=1)
        logits = ((logits + noise) / self.temperature).T.contiguous()  # (w, b): half the time of columns
        weights = torch.cat([part.softmax(dim=0) for part in logits.split(self.widths)]).T  # (b, w)
        return torch.cat([alphas.tanh(), weights], dim=1)

    def decide(self, raw: Tensor, noise: Tensor) -> VectorRows:
        """Draw rows from the output of a generator: the codes that `activate` puts most weight on.

        They are draws from the softmax of the logits at any temperature (Gumbel-max).
        """
        alphas, logits = raw.tensor_split([len(self.fine)], dim=1)
        logits = logits + noise
        local = [part.argmax(dim=1) for part in logits.split(self.widths, dim=1)]
        return VectorRows(torch.stack(local, dim=1) + self.starts, alphas.tanh())


class ConditionVectors(nn.Module):
    """The codes that a condition may name, side by side: its vector would have a slot for each.

    These are the codes of the discrete columns, which are those without an interval of numbers: Xu et al.
    (2019), section 4.3. All offsets come from the layout.

    Parameters
    ----------
    layout : Layout

    Attributes
    ----------
    spans : list of int
        The discrete spans of at least two codes, d of them.
    widths : list of int
        Number of slots of each.
    codes : int64 Tensor of shape (c,)
        Offset among all codes of the code of each slot.
    n_codes, first : int64 Tensors of shape (c,)
        Number of codes of each slot's column, and offset of the first of them.

    Examples
    --------
    >>> from synthgan.layout import Span
    >>> atoms = lambda name, k: Span(name, np.full(k, ATOM, np.int32), np.full(k, np.nan, np.float32))
    >>> number = Span("age", np.full(3, CONTINUOUS, np.int32), np.linspace(0, 1, 3, dtype=np.float32))
    >>> conditions = ConditionVectors(Layout.of([number, atoms("sex", 2), atoms("race", 5)]))
    >>> conditions.spans, conditions.codes.tolist()
    ([1, 2], [3, 4, 5, 6, 7, 8, 9])
    """

    codes: Tensor
    n_codes: Tensor
    first: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        discrete = [span.n_codes > 1 and not (span.n_levels == CONTINUOUS).any() for span in layout.spans]
        self.spans = [j for j, is_discrete in enumerate(discrete) if is_discrete]
        self.widths = [layout.spans[j].n_codes for j in self.spans]
        starts = [layout.spans[j].start for j in self.spans]
        ranges = (np.arange(start, start + n) for start, n in zip(starts, self.widths, strict=True))
        for name, value in {
            "codes": np.concatenate([np.zeros(0, np.int64), *ranges]),
            "n_codes": np.repeat(self.widths, self.widths).astype(np.int64),
            "first": np.repeat(starts, self.widths).astype(np.int64),
        }.items():
            self.register_buffer(name, torch.as_tensor(value), persistent=False)

    @property
    def width(self) -> int:
        """Number of slots, c."""
        return len(self.codes)

    def draw(
        self,
        frequency: NDArray[np.float64],
        n_rows: int,
        rng: np.random.Generator,
        given: EncodedConditions | None = None,
    ) -> Tensor:
        """Draw the condition that each row is to be generated under, int64 (n_rows,).

        A column is drawn uniformly, one of its codes by its frequency. With conditions, it is one of the
        known cells of the row, or else one of the columns of which some codes are permitted.

        Parameters
        ----------
        frequency : float array of shape (w,)
            How often each code occurs.
        n_rows : int
        rng : numpy Generator
        given : EncodedConditions of 1 row or of `n_rows`, optional
        """
        if not self.spans:
            return torch.zeros(n_rows, dtype=torch.int64)
        weight = frequency[self.codes.cpu().numpy()] + _RARE  # (c,)
        choice, uniform = rng.random((n_rows, len(self.spans))), rng.random(n_rows)
        first = np.cumsum([0, *self.widths])
        if given is not None:
            known = np.broadcast_to(given.known[:, self.spans], choice.shape)
            choice = choice + 2 * known
            for i, j in enumerate(self.spans):
                if j in given.permitted:
                    choice[:, i] += 1
                    wanted = np.isin(np.arange(self.widths[i]), given.permitted[j].codes)
                    weight[first[i] : first[i + 1]] *= wanted
        column = choice.argmax(axis=1)
        table = cumulative(torch.from_numpy(weight), self.widths)
        slots = draw_slots(table, torch.from_numpy(column), torch.from_numpy(uniform)).numpy()
        if given is not None:
            codes = np.broadcast_to(given.table.codes[:, self.spans], choice.shape)
            at = np.arange(n_rows), column
            slots = np.where(known[at], first[column] + codes[at], slots)
        return torch.from_numpy(slots)

    def met(self, table: EncodedTable) -> Iterator[Tensor]:
        """For each discrete span, the slots of the codes that rows have in it, int64 (n,).

        Without discrete spans, slots that mean nothing.
        """
        first = np.cumsum([0, *self.widths])
        for i, j in enumerate(self.spans):
            yield torch.from_numpy(first[i] + table.codes[:, j].astype(np.int64))
        if not self.spans:
            yield torch.zeros(len(table), dtype=torch.int64)

    def loss(self, logits: Tensor, slots: Tensor) -> Tensor:
        """Cross-entropy between the condition and what is generated in its column, in nats, >= 0.

        The generator's third task in Xu et al. (2019), section 4.3, "Generator loss": it must make
        what it is asked for. The columns beside that of the condition cost nothing.

        Parameters
        ----------
        logits : Tensor of shape (b, w)
            Of all codes.
        slots : int64 Tensor of shape (b,)
        """
        if not self.width:
            return logits.new_zeros(())
        first, last = self.first[slots], self.n_codes[slots] - 1  # (b,)
        place = torch.arange(max(self.widths), device=slots.device)  # (k,): those of the widest column
        column = logits.gather(1, first[:, None] + place.minimum(last[:, None]))  # (b, k)
        column = column.masked_fill(place > last[:, None], -torch.inf)
        return F.cross_entropy(column, self.codes[slots] - first)


def gumbel_noise(n_rows: int, n_columns: int, rng: torch.Generator) -> Tensor:
    """Draw from the standard Gumbel distribution, -log(-log u), on the CPU.

    By two logs of uniform numbers: torch's exponential ones take three times as long.
    """
    uniform = torch.rand(n_rows, n_columns, generator=rng)
    return uniform.clamp_min_(_TINY).log_().neg_().log_().neg_()


def cumulative(weight: Tensor, widths: list[int]) -> Tensor:
    """Cumulate weights within each column, behind the number of the column: the table of `draw_slots`.

    Parameters
    ----------
    weight : Tensor of shape (c,), >= 0
    widths : list of int, sum c
        Number of slots of each column, none of which has the weight 0 throughout.

    Returns
    -------
    float64 Tensor of shape (c,)

    Examples
    --------
    >>> cumulative(torch.tensor([1.0, 3.0, 5.0, 0.0, 5.0]), [2, 3]).tolist()
    [0.25, 1.0, 1.5, 1.5, 2.0]
    """
    parts = []
    for column, part in enumerate(weight.double().split(widths)):
        share = part.cumsum(0) / part.sum()
        parts.append(column + torch.where(share >= share[-1], 1.0, share))
    return torch.cat([weight.new_zeros(0, dtype=torch.float64), *parts])


def draw_slots(table: Tensor, columns: Tensor, uniform: Tensor) -> Tensor:
    """Draw a slot of each column by inverting its distribution, (b,) and (b,) in [0, 1) -> (b,).

    >>> table = cumulative(torch.tensor([1.0, 3.0, 5.0, 0.0, 5.0]), [2, 3])
    >>> draw_slots(table, torch.tensor([0, 0, 1, 1]), torch.tensor([0.2, 0.3, 0.2, 0.5])).tolist()
    [0, 1, 2, 4]
    """
    inside = uniform.double().clamp(max=1 - 1e-12)  # a sum would be rounded up to the next column
    return torch.searchsorted(table, columns + inside, right=True)


class TrainingBySampling:
    """Conditions of which rare ones come often, and for each a real row that meets it.

    A column is drawn uniformly, one of its codes with the logarithm of its count, a row that has the
    code uniformly: Xu et al. (2019), section 4.3. The rows of a code stand side by side in an index, so that
    a batch costs three random numbers a row and no loop.

    Parameters
    ----------
    conditions : ConditionVectors
    codes : int Tensor of shape (n, g)
        Codes of the training rows, as in `VectorRows`.
    log_frequency : bool
        Whether codes are drawn with log(1 + count), or else with their count.
    """

    def __init__(self, conditions: ConditionVectors, codes: Tensor, log_frequency: bool) -> None:
        self.n_rows, self.n_columns = len(codes), len(conditions.spans)
        n_codes = int(conditions.codes.max()) + 1 if conditions.width else 0
        self.counts = torch.bincount(codes.flatten(), minlength=n_codes)[conditions.codes]
        self.first = self.counts.cumsum(0) - self.counts
        order = [codes[:, j].argsort(stable=True).int() for j in conditions.spans]
        self.order = torch.cat([codes.new_zeros(0), *order])  # (d * n,): each row once for each column
        weight = self.counts.double()
        self.table = cumulative(weight.log1p() if log_frequency else weight, conditions.widths)

    def draw(self, n_rows: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw slots, and rows of the table that have their codes, both of shape (n_rows,).

        Without discrete columns, all slots are 0 and mean nothing.
        """
        device = self.order.device
        column, code, place = torch.rand(3, n_rows, generator=rng, dtype=torch.float64).to(device)
        if not self.n_columns:
            return torch.zeros_like(place, dtype=torch.int64), (place * self.n_rows).long()
        slots = draw_slots(self.table, (column * self.n_columns).floor(), code)
        index = self.first[slots] + (place * self.counts[slots]).long()
        return slots, self.order[index].long()
