"""From random numbers to codes: one forward pass, several, or a chain over the columns.

Every cell is drawn by inverting its cumulative distribution at one uniform number, so a row
depends on its own numbers only. Between passes, what was drawn is added to the embedded row
(the first layer is never recomputed), and rows that are alike so far share one computation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthgan.gan.conditions import grouped
from synthgan.gan.networks import Decoder, Generator, Rows

__all__ = ["Sampler", "inverse_cdf"]


def inverse_cdf(logits: Tensor, uniform: Tensor, context: Tensor | None = None) -> Tensor:
    """Draw from categorical distributions, one uniform number a draw.

    Parameters
    ----------
    logits : Tensor of shape (m, k)
        Unnormalised log probabilities of m contexts.
    uniform : Tensor of shape (b,)
        Numbers in [0, 1).
    context : int64 Tensor of shape (b,) or None
        Row of `logits` that each draw uses; None when b = m.

    Returns
    -------
    int64 Tensor of shape (b,)
        In [0, k).

    Examples
    --------
    >>> inverse_cdf(torch.tensor([[0.0, 0.0]]), torch.tensor([0.4, 0.6]), torch.tensor([0, 0])).tolist()
    [0, 1]
    """
    cumulative = (logits - logits.amax(dim=1, keepdim=True)).exp_().cumsum_(dim=1)  # (m, k)
    if context is not None:
        cumulative = cumulative[context]  # (b, k)
    target = uniform[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return drawn.clamp_(max=logits.shape[1] - 1)


class Sampler:
    """Draws blocks of rows from trained networks.

    Parameters
    ----------
    decoder : Decoder
    generator : Generator
    order : list of int
        Canonical order of the spans.
    offsets : Tensor of shape (w,)
        Added to the logits of all codes; see `calibrate`.
    n_passes : int >= 1
        1: one forward pass, all columns at once from the generator's latent vector. As many as
        there are columns: a chain without latent vector. Between: groups of columns, each
        conditioned on the latent vector and on the groups before.
    """

    def __init__(
        self, decoder: Decoder, generator: Generator, order: list[int], offsets: Tensor, n_passes: int
    ) -> None:
        self.decoder, self.generator = decoder, generator
        self.book = decoder.book
        self.groups = grouped(order, n_passes) if order else []
        self.use_latent = n_passes < len(order)
        self.noise_dim = generator.noise.in_features
        with torch.no_grad():
            tables = decoder.embed.tables()
            width, n_spans = len(decoder.bias), len(self.book.widths)
            self.code_table, self.hidden_table, self.slope_table = torch.split(
                tables, [width, n_spans, len(tables) - width - n_spans]
            )
            self.weight = decoder.code_weight()
            self.bias = decoder.bias + offsets

    def calibrate(self, frequency: Tensor, n_rows: int, rng: np.random.Generator) -> Tensor:
        """Find the offsets for which every code is drawn as often as in training.

        Draws `n_rows` rows; before a column is drawn, its offsets are moved until the mean of its
        probabilities over all contexts meets `frequency`, shape (w,). Later columns thus
        see contexts that are right already. Returns the offsets, shape (w,).
        """
        self.draw(n_rows, rng, frequency)
        return self.bias - self.decoder.bias.detach()

    @torch.no_grad()
    def draw(
        self, n_rows: int, rng: np.random.Generator, frequency: Tensor | None = None
    ) -> tuple[Rows, Tensor]:
        """Draw rows, and for each alpha a place within its cell in [0, 1), shape (n_rows, f).

        With `frequency`, the offsets are calibrated on the way.
        """
        device = self.weight.device
        n_spans = len(self.book.widths)
        numbers = torch.from_numpy(rng.random((n_rows, n_spans, 3), dtype=np.float32)).to(device)
        blank = self.decoder.blank()  # (1, h)
        if self.use_latent:
            noise = torch.from_numpy(rng.standard_normal((n_rows, self.noise_dim), dtype=np.float32))
            latent = self.generator(noise.to(device), blank.expand(n_rows, -1))
            embedded = blank + self.decoder.latent(latent)  # (n_rows, h)
            context = None
        else:
            embedded = blank
            context = torch.zeros(n_rows, dtype=torch.int64, device=device)
        drawn = _Drawn(embedded, context, n_rows, n_spans, len(self.book.fine))
        for group in self.groups:
            hidden = self.decoder.hidden(drawn.embedded)  # (m, h), m contexts
            for j in group:
                if frequency is not None:
                    self._match(j, hidden, drawn, frequency)
                self._draw_column(j, hidden, drawn, numbers[:, j])
            if group is not self.groups[-1]:
                self._observe(group, drawn)
        return Rows(drawn.codes, drawn.cells), numbers[:, self.book.fine_index, 2]

    def _draw_column(self, j: int, hidden: Tensor, drawn: _Drawn, numbers: Tensor) -> None:
        """Draw the code of column j, and the cell where its codes have alpha."""
        book = self.book
        codes = inverse_cdf(self._logits(j, hidden), numbers[:, 0], drawn.context) + book.starts[j]
        drawn.codes[:, j] = codes
        if j in book.fine:
            i = book.fine.index(j)
            inner = drawn.of_rows(hidden @ self.decoder.cell_in[i])  # (b, 32)
            cells = inverse_cdf(self.decoder.cell_logits_of(inner, i, codes), numbers[:, 1])
            drawn.cells[:, i] = cells.minimum(book.cells[codes] - 1)

    def _logits(self, j: int, hidden: Tensor) -> Tensor:
        """Logits over the codes of column j, (m, h) -> (m, k)."""
        span = self._span(j)
        return torch.addmm(self.bias[span], hidden, self.weight[span].T)

    def _match(self, j: int, hidden: Tensor, drawn: _Drawn, frequency: Tensor) -> None:
        """Move the offsets of column j until its mean probabilities meet `frequency`."""
        span = self._span(j)
        n_rows = len(drawn.codes)
        share = torch.full((n_rows,), 1 / n_rows, device=hidden.device)
        if drawn.context is not None:
            share = torch.bincount(drawn.context, minlength=len(hidden)) / n_rows  # (m,)
        for _ in range(8):
            made = share @ self._logits(j, hidden).softmax(dim=1)  # (k,)
            self.bias[span] += ((frequency[span] + 1e-6) / (made + 1e-6)).log().clamp(-2, 2)

    def _span(self, j: int) -> slice:
        start = int(self.book.starts[j])
        return slice(start, start + self.book.widths[j])

    def _observe(self, group: list[int], drawn: _Drawn) -> None:
        """Show the decoder the columns just drawn: split contexts that differ, add embeddings."""
        book = self.book
        first: Tensor | slice = slice(None)
        if drawn.context is not None:
            first = drawn.split(drawn.context, self._extended(drawn.context, group, drawn))
        for j in group:
            codes = drawn.codes[first, j]
            drawn.embedded = drawn.embedded + (self.code_table[codes] - self.hidden_table[j])
            if j in book.fine:
                i = book.fine.index(j)
                row, scale = book.slopes(codes[:, None], drawn.cells[first, i : i + 1], [i])
                drawn.embedded = drawn.embedded + self.slope_table[row[:, 0]] * scale

    def _extended(self, context: Tensor, group: list[int], drawn: _Drawn) -> Tensor:
        """Extend context numbers by what `group` has drawn, (b,): equal numbers, equal contexts."""
        book = self.book
        key = context
        for j in group:
            key = key * book.widths[j] + (drawn.codes[:, j] - book.starts[j])
            if j in book.fine:
                key = key * book.n_cells + drawn.cells[:, book.fine.index(j)]
        return key


class _Drawn:
    """What a block has drawn so far: m distinct contexts, and each row's place among them.

    Where `context` is None, every row has a context of its own, in order.
    """

    def __init__(
        self, embedded: Tensor, context: Tensor | None, n_rows: int, n_spans: int, n_fine: int
    ) -> None:
        self.embedded = embedded  # (m, h)
        self.context = context  # (b,), in [0, m)
        self.codes = torch.zeros(n_rows, n_spans, dtype=torch.int64, device=embedded.device)
        self.cells = torch.zeros(n_rows, n_fine, dtype=torch.int64, device=embedded.device)

    def of_rows(self, values: Tensor) -> Tensor:
        """Spread values of the contexts over the rows, (m, ...) -> (b, ...)."""
        return values if self.context is None else values[self.context]

    def split(self, context: Tensor, key: Tensor) -> Tensor | slice:
        """Split the contexts by `key`, (b,); returns one row of each, or all rows if few are alike."""
        n_rows = len(key)
        unique, inverse = torch.unique(key, return_inverse=True)
        if len(unique) > n_rows // 2:  # sharing no longer pays
            self.embedded, self.context = self.embedded[context], None
            return slice(None)
        rows = torch.arange(n_rows, device=key.device)
        first = torch.empty_like(unique).scatter_(0, inverse, rows)
        self.embedded, self.context = self.embedded[context[first]], inverse
        return first
