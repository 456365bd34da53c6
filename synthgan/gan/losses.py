"""Losses of the autoencoder: what the reconstruction of hidden cells costs.

Each loss is a pure function of tensors. Those of the game between generator and critic are
in `synthgan.gan.games`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgan.gan.codebook import Rows
from synthgan.gan.networks import Decoder
from synthgan.gan.threads import in_threads

__all__ = ["chain_nll", "column_nll", "hidden_nll"]


def hidden_nll(decoder: Decoder, hidden: Tensor, rows: Rows, observed: Tensor) -> Tensor:
    """Negative log-likelihood of each hidden cell given what the decoder saw.

    -log p(code | observed, z) - log p(cell of alpha | code, observed, z)

    Parameters
    ----------
    decoder : Decoder
    hidden : Tensor of shape (b, h)
        Output of the decoder's trunk.
    rows : Rows of b rows
        The true codes and cells.
    observed : bool Tensor of shape (b, g)
        Cells that the decoder was shown; they cost nothing.

    Returns
    -------
    Tensor of shape (b, g)
        In nats, >= 0; 0 where observed.
    """
    book = decoder.book
    local = rows.codes - book.starts
    logits = torch.split(decoder.code_logits(hidden), book.widths, dim=1)
    nll = torch.stack(
        [F.cross_entropy(logit, local[:, j], reduction="none") for j, logit in enumerate(logits)], dim=1
    )  # (b, g)
    if book.fine:
        cell_logits = decoder.cell_logits(hidden, rows.codes[:, book.fine_index])  # (b, f, c)
        cell_nll = F.cross_entropy(cell_logits.flatten(0, 1), rows.cells.flatten(), reduction="none")
        nll = nll.index_add(1, book.fine_index, cell_nll.view_as(rows.cells))
    return nll * ~observed


def column_nll(
    decoder: Decoder, hidden: Tensor, rows: Rows, j: int, weight: Tensor, tilt: Tensor | float = 0.0
) -> Tensor:
    """One column of `hidden_nll`, shape (b,), at the cost of that column's logits only.

    `weight` is `Decoder.code_weight`, which serves all columns; `tilt`, (b, k), is added to the logits of its
    codes.
    """
    book = decoder.book
    logits = decoder.column_logits(hidden, j, weight) + tilt
    nll = F.cross_entropy(logits, rows.codes[:, j] - book.starts[j], reduction="none")
    if j in book.fine:
        i = book.fine.index(j)
        cell_logits = decoder.column_cell_logits(hidden, i, rows.codes[:, j])
        nll = nll + F.cross_entropy(cell_logits, rows.cells[:, i], reduction="none")
    return nll


def chain_nll(
    decoder: Decoder,
    rows: Rows,
    order: list[int],
    mixed: AbstractContextManager[Any] = nullcontext(),  # noqa: B008
) -> Tensor:
    """Mean negative log-likelihood of each column given those before it in `order`, (g,), in nats."""
    with torch.no_grad():
        tables, weight = decoder.embed.tables(), decoder.code_weight()

    @torch.no_grad()
    def of_column(place: int) -> Tensor:
        observed = torch.zeros_like(rows.codes, dtype=torch.bool)
        observed[:, order[:place]] = True
        with mixed:
            hidden = decoder.hidden(decoder.embed(rows, observed, tables))
            return column_nll(decoder, hidden, rows, order[place], weight).mean()

    each = in_threads if rows.codes.device.type == "cpu" else map
    nll = torch.zeros(len(order))
    nll[order] = torch.stack(list(each(of_column, range(len(order))))).cpu()
    return nll
