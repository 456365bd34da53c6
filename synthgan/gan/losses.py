"""Losses of the autoencoder: what the reconstruction of hidden cells costs.

Each loss is a pure function of tensors. Those of the game between generator and critic are
in `synthgan.gan.games`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgan.gan.networks import Decoder, Rows

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


@torch.no_grad()
def chain_nll(decoder: Decoder, rows: Rows, order: list[int]) -> Tensor:
    """Mean negative log-likelihood of each column given those before it in `order`, (g,), in nats."""
    n_rows, n_spans = rows.codes.shape
    nll = torch.zeros(n_spans)
    observed = torch.zeros(n_rows, n_spans, dtype=torch.bool, device=rows.codes.device)
    tables, weight = decoder.embed.tables(), decoder.code_weight()
    for j in order:
        hidden = decoder.hidden(decoder.embed(rows, observed, tables))
        nll[j] = column_nll(decoder, hidden, rows, j, weight).mean()
        observed[:, j] = True
    return nll
