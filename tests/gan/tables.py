"""Layouts, encoded tables and small networks: what the tests of the GAN share."""

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import strategies as st

from synthgan.gan.codebook import CodeBook
from synthgan.gan.conditions import canonical_order
from synthgan.gan.forest import MAX_LEAVES, Forest
from synthgan.gan.networks import Critic, Decoder, Encoder, Generator, initialise
from synthgan.layout import ATOM, CONTINUOUS, EncodedTable, Layout, Span

LATENT, NOISE, HIDDEN = 3, 4, 16


def span(name, levels, ordered=False, missing=False):
    """A span of codes with these levels, in order or not; `missing`: the last code has no rank."""
    position = np.linspace(0, 1, len(levels), dtype=np.float32) if ordered else np.full(len(levels), np.nan)
    if missing:
        position[-1] = np.nan
    return Span(name, np.array(levels, np.int32), position.astype(np.float32))


def atoms(*sizes):
    """A layout of categories only."""
    return Layout.of(span(f"c{j}", [ATOM] * size) for j, size in enumerate(sizes))


MIXED = Layout.of(
    [
        span("town", [ATOM, ATOM, 3, 5, ATOM, ATOM, 5]),
        span("sex", [ATOM, ATOM]),
        span("height", [ATOM, CONTINUOUS, CONTINUOUS, CONTINUOUS, ATOM], ordered=True, missing=True),
        span("rooms", [ATOM] * 4, ordered=True),
        span("wage", [CONTINUOUS, 4, ATOM], ordered=True),
    ]
)
"""Every kind of code: atoms, intervals, groups, with order and without."""

PARITY = atoms(2, 2, 2, 12)
"""The third column says whether the first two differ; the last has too many codes for trees of classes."""

SIZES = Layout.of(
    [
        span("one", [ATOM] * 12, ordered=True),
        span("two", [ATOM] * 12, ordered=True),
        span("sum", [CONTINUOUS] * 22 + [ATOM], ordered=True, missing=True),
        span("sort", [ATOM] * 12),
    ]
)
"""Three numbers, of which the third is the sum of the first two, and many categories."""


def order_of(layout):
    """The canonical order where all codes of a column are as frequent: few codes first."""
    widths = [part.n_codes for part in layout.spans]
    return canonical_order(torch.cat([torch.full((k,), 1 / k) for k in widths]), widths)


def ramps_of(layout):
    """The ramps over the rank of ordered codes, as one block-diagonal matrix of shape (w, n_ramps)."""
    blocks = []
    for part in layout.spans:
        ordered = ~np.isnan(part.position)
        if ordered.sum() > 2:
            k = min(16, int(ordered.sum()) - 1)
            block = np.zeros((layout.width, k), np.float32)
            ramps = np.clip(part.position[:, None] * k - np.arange(k), 0, 1)
            block[part.start : part.stop] = np.where(ordered[:, None], ramps, 0)
            blocks.append(block)
    return torch.from_numpy(np.concatenate([np.zeros((layout.width, 0), np.float32), *blocks], axis=1))


@st.composite
def layouts(draw, max_spans=5):
    """Layouts of any codes."""
    level = st.sampled_from([ATOM, ATOM, CONTINUOUS, 2, 3, 7, 40])
    spans = draw(
        st.lists(
            st.tuples(st.lists(level, min_size=1, max_size=6), st.booleans()), min_size=1, max_size=max_spans
        )
    )
    return Layout.of(span(j, levels, ordered) for j, (levels, ordered) in enumerate(spans))


def random_table(layout, n_rows, seed=0):
    """Codes with unequal frequencies and independent alphas; atoms have alpha 0."""
    rng = np.random.default_rng(seed)
    codes = np.empty((n_rows, len(layout)), np.int32)
    alphas = np.zeros((n_rows, len(layout)))
    for j, part in enumerate(layout.spans):
        weight = np.arange(1, part.n_codes + 1) / np.arange(1, part.n_codes + 1).sum()
        codes[:, j] = rng.choice(part.n_codes, n_rows, p=weight)
        alphas[:, j] = np.where(part.n_levels[codes[:, j]] == ATOM, 0, rng.uniform(-1, 1, n_rows))
    return EncodedTable(codes, alphas)


def parity_table(n_rows, seed=0):
    table = random_table(PARITY, n_rows, seed)
    table.codes[:, 2] = table.codes[:, 0] != table.codes[:, 1]
    return table


def sum_table(n_rows, seed=0):
    table = random_table(SIZES, n_rows, seed)
    table.codes[:, 2] = np.minimum(table.codes[:, 0] + table.codes[:, 1], 21)
    return table


def tilting(book, j, other, steps):
    """Trees that tilt column j: each axis down by a step at the first code of another column, else up."""
    direction = torch.zeros(len(book.cells))
    direction[book.span(j)] = torch.linspace(-1.5, 1.5, book.widths[j])
    n_trees = len(steps)
    leaves = torch.zeros(n_trees, MAX_LEAVES)
    leaves[:, 0], leaves[:, 1] = -torch.tensor(steps), torch.tensor(steps)
    values = torch.zeros(1, len(book.cells))
    values[0, book.span(other)] = torch.arange(book.widths[other]).float()
    return Forest(
        book,
        columns=torch.tensor([j]),
        values=values,
        bias=torch.linspace(-1, 1, len(book.cells)),
        direction=direction,
        code=torch.full((n_trees,), book.span(j).start),
        axis=torch.arange(1, n_trees + 1),
        leaves=leaves,
        tree=torch.arange(n_trees),
        feature=torch.full((n_trees,), other),
        threshold=torch.full((n_trees,), 0.5),
        mask=torch.full((n_trees,), 2**MAX_LEAVES - 2),
    )


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def networks(layout, seed=0, pac_size=1, shaken=True):
    """Small networks; `shaken`: with noise on every weight, so that no part is silent as at the start."""
    rng = seeded(seed)
    book = CodeBook(layout)
    made = SimpleNamespace(
        book=book,
        decoder=Decoder(book, HIDDEN, HIDDEN, 2, LATENT),
        encoder=Encoder(book, HIDDEN, LATENT),
        generator=Generator(NOISE, HIDDEN, HIDDEN, 2, LATENT),
        critic=Critic(LATENT, HIDDEN, HIDDEN, 3, pac_size),
    )
    for network in (made.decoder, made.encoder, made.generator, made.critic):
        initialise(network, rng)
        if shaken:
            with torch.no_grad():
                for weight in network.parameters():
                    weight += 0.3 * torch.randn(weight.shape, generator=rng)
    return made
