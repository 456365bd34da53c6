"""What trained networks say of rows that exist: how probable they are, and how real.

The decoder gives the probability of a row by the chain rule, in any order of its columns; the
critic gives the realism of the row's latent vector. Neither draws a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from synthgan.gan.codebook import CodeBook, Rows
from synthgan.gan.forest import Forest
from synthgan.gan.losses import column_nll
from synthgan.gan.model import LatentGAN
from synthgan.gan.networks import Decoder
from synthgan.layout import EncodedTable
from synthgan.seeding import stream

__all__ = ["chain_conditional", "chain_log_likelihood", "log_likelihood", "realism"]

BATCH_ROWS = 8192  # what is worked on at a time: about 100 MB at the default sizes


def log_likelihood(
    model: LatentGAN, table: EncodedTable, known: np.ndarray, n_orders: int, seed: int
) -> np.ndarray:
    """Log probability of the known cells of each row under a mixture of chains.

        log p(x) = log (1 / n_orders) sum_o p_o(x)

    Every order o of the columns gives a distribution of its own, p_o, and the mean of distributions
    is one (Uria et al. 2014, section 4.3: an ensemble of orders). The first is the canonical order,
    in which rows are drawn; the others are drawn at random, the same for all rows.

    Parameters
    ----------
    model : LatentGAN
    table : EncodedTable of n rows
    known : bool array of shape (n, g)
        The other cells are neither shown nor asked for.
    n_orders : int >= 1
    seed : int
        Source of the random orders.

    Returns
    -------
    float64 array of shape (n,)
        In nats, <= 0; without the calibration and the trees of `Sampler`, which belong to one order.
    """
    rng = stream(seed, "orders")
    orders = [model.order, *(rng.permutation(model.order).tolist() for _ in range(n_orders - 1))]

    def mixture(rows: Rows, shown: Tensor) -> Tensor:
        found = torch.stack([chain_log_likelihood(model.decoder, rows, shown, order) for order in orders])
        return found.logsumexp(dim=0) - math.log(len(orders))

    return _in_batches(mixture, model.book, table, known)


@torch.no_grad()
def chain_log_likelihood(decoder: Decoder, rows: Rows, known: Tensor, order: list[int]) -> Tensor:
    """Log probability of the known cells by the chain rule, z withheld, shape (b,), in nats.

        log p_o(x) = sum_i log p(x_o(i) | x_o(1), ..., x_o(i-1))

    Uria et al. (2014), "A Deep and Tractable Density Estimator", eq. (2). The probability of a cell is
    that of its code times, where the code has alpha, that of the cell of alpha. Rows that are alike so far
    share one pass of the decoder.

    Parameters
    ----------
    rows : Rows of b rows
    known : bool Tensor of shape (b, g)
    order : list of int
    """
    book, tables, weight = decoder.book, decoder.embed.tables(), decoder.code_weight()
    total = torch.zeros(len(rows), dtype=torch.float64, device=known.device)
    shown = torch.zeros_like(known)
    context = torch.zeros(len(rows), dtype=torch.int64, device=known.device)  # number of what is shown, (b,)
    for j in order:
        first, place = _distinct(context)
        hidden = decoder.hidden(decoder.embed(rows.take(first), shown[first], tables))[place]  # (b, h)
        total -= column_nll(decoder, hidden, rows, j, weight).double() * known[:, j]
        shown[:, j] = known[:, j]
        code = rows.codes[:, j] - book.starts[j]
        cell = rows.cells[:, book.fine.index(j)] if j in book.fine else 0
        value = 1 + code * book.n_cells + cell  # 0 is for what is not known
        context = place * (1 + book.widths[j] * book.n_cells) + value * known[:, j]
    return total


@torch.no_grad()
def chain_conditional(decoder: Decoder, tilts: Forest, rows: Rows, j: int, order: list[int]) -> Tensor:
    """Log probability of each code of column j given all other cells, as a chain implies it, (b, k).

        p_o(x_j | others) = p_o(x) / sum_k p_o(x with x_j = k)

    What the rows of a chain follow: not what the decoder says of column j when it is shown all others,
    except of the last column in `order`. Where a code has alpha, the columns after it are asked with its most
    frequent cell; how probable that cell is does not count.

    Parameters
    ----------
    decoder : Decoder
    tilts : Forest
        Trees that tilt it where a column is drawn after those before it.
    rows : Rows of b rows
    j : int
    order : list of int
        Of all columns.
    """
    book, tables, weight = decoder.book, decoder.embed.tables(), decoder.code_weight()
    votes = tilts.by_column()
    span, place, parts = book.span(j), order.index(j), []
    codes = torch.arange(span.start, span.stop, device=weight.device)
    for index in torch.arange(len(rows), device=weight.device).split(max(1, BATCH_ROWS // len(codes))):
        some, each = rows.take(index), rows.take(index.repeat_interleave(len(codes)))
        each.codes[:, j] = codes.repeat(len(some))
        if j in book.fine:
            each.cells[:, book.fine.index(j)] = decoder.cell_bias[each.codes[:, j]].argmax(dim=1)
        shown = torch.zeros(1, len(order), dtype=torch.bool, device=weight.device)
        shown[:, order[:place]] = True
        hidden = decoder.hidden(decoder.embed(some, shown.expand(len(some), -1), tables))
        joint = decoder.column_logits(hidden, j, weight)  # (b, k)
        if j in votes:
            joint = joint + votes[j](some.codes)
        for later, i in enumerate(order[place + 1 :], place + 1):
            shown[:, order[:later]] = True
            hidden = decoder.hidden(decoder.embed(each, shown.expand(len(each), -1), tables))
            tilt = votes[i](each.codes) if i in votes else 0.0
            joint = joint - column_nll(decoder, hidden, each, i, weight, tilt).view_as(joint)
        parts.append(joint.log_softmax(dim=1))
    return torch.cat(parts)


def _distinct(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return a row of each distinct number, (m,), and which of them each row has, (b,)."""
    unique, place = torch.unique(numbers, return_inverse=True)
    rows = torch.arange(len(numbers), device=numbers.device)
    return torch.empty_like(unique).scatter_(0, place, rows), place


def realism(model: LatentGAN, table: EncodedTable, seed: int) -> np.ndarray:
    """Score of the critic for the latent vector of each row, shape (n,), without condition.

    A critic of packs sees each row beside the same few vectors of the generator: copies of one row
    would look like mode collapse.
    """
    blank, n_others = model.decoder.blank(), model.critic.pac_size - 1
    noise = stream(seed, "realism").standard_normal((n_others, model.generator.noise.in_features))

    def score(rows: Rows, _: Tensor) -> Tensor:
        others = model.generator(torch.from_numpy(noise).float().to(blank.device), blank.expand(n_others, -1))
        latent = model.encoder(rows)[:, None]  # (b, 1, z)
        packs = torch.cat([latent, others.expand(len(rows), -1, -1)], dim=1).flatten(0, 1)
        scores: Tensor = model.critic(packs, blank.expand(len(packs), -1))
        return scores

    return _in_batches(score, model.book, table, np.ones(table.codes.shape, dtype=bool))


@torch.no_grad()
def _in_batches(
    function: Callable[[Rows, Tensor], Tensor], book: CodeBook, table: EncodedTable, known: np.ndarray
) -> np.ndarray:
    """Apply a function of rows and of which cells are known, (b,), to all rows, (n,)."""

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(table), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            rows = book.rows(table.rows(part)).to(book.cells.device)
            found = function(rows, torch.from_numpy(known[part]).to(book.cells.device))
            yield found.double().cpu().numpy()

    return np.concatenate([np.zeros(0), *parts()])
