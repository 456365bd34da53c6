"""The four networks, over the integer codes of a table.

::

    E  encoder     row                     -> z            what the latent space means
    D  decoder     z, observed, mask       -> logits       codes of the hidden columns
    G  generator   noise, observed, mask   -> z            the GAN's one forward pass
    C  critic      z, observed, mask       -> score        realism of a latent vector

Rows enter as sums of embeddings (one for each code, plus alpha times a slope where
the code is an interval), never as one-hot vectors. Two levels leave: logits over
the codes of a column and, given its code, logits over `CELLS` cells of alpha.

**Shapes**: b rows, g spans (columns), f spans that have an alpha, w width of the
layout, c cells, h `hidden_dim`, z `latent_dim`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgan.gan.codebook import CodeBook, Rows
from synthgan.gan.games import Score
from synthgan.gan.layers import SLOPE, through_slope
from synthgan.gan.mixture import MAX_COMPONENTS, Mixture
from synthgan.gan.precision import widened

__all__ = ["Critic", "Decoder", "Encoder", "Generator", "initialise"]

_CELL_DIM = 32  # width of a column's head over cells
_MEMBER_DIM = 64  # numbers that tell the members of groups apart
_MAX_FACTORS = 2**22  # numbers of the mixture's Cholesky factors that are multiplied at a time: 16 MB


def _linear(n_in: int, n_out: int, bias: bool = True) -> nn.Linear:
    """Make a linear layer without drawing its weights from torch's global generator."""
    layer: nn.Linear = torch.nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias)
    return layer


def _low_rank(n_in: int, n_out: int) -> nn.Sequential:
    """Make a linear map through 32 dimensions: a condition costs an eighth of a full layer."""
    return nn.Sequential(_linear(n_in, 32, bias=False), _linear(32, n_out, bias=False))


def initialise(network: nn.Module, rng: torch.Generator) -> None:
    """Draw all weights of a network from `rng`, in the order of its modules.

    Linear layers get uniform weights and biases in +-1/sqrt(fan_in) (torch's default);
    modules with weights of their own draw them in ``reset``.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=rng)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=rng)
    for module in network.modules():
        if isinstance(module, RowEmbedding | ResidualBlock | Decoder | Generator):
            module.reset(rng)


class RowEmbedding(nn.Module):
    """Sum of the embeddings of a row's observed cells, and of a token for each hidden one.

    Members of groups are told apart by few numbers each, which one map makes embeddings of.
    """

    def __init__(self, book: CodeBook, dim: int) -> None:
        super().__init__()
        self.book = book
        width, n_spans = len(book.cells), len(book.widths)
        self.codes = nn.Parameter(torch.empty(width, dim))
        self.ordinal = nn.Parameter(torch.empty(book.n_ramps, dim))
        self.slopes = nn.Parameter(torch.empty(book.n_slopes, dim))
        self.hidden = nn.Parameter(torch.empty(n_spans, dim))
        self.members: nn.Parameter | None = None
        if book.n_members:
            self.members = nn.Parameter(torch.empty(book.n_members, _MEMBER_DIM))
            self.of_member = _linear(_MEMBER_DIM, dim, bias=False)

    def reset(self, rng: torch.Generator) -> None:
        """Draw embeddings such that the sum over all spans has variance of about one."""
        scale = 1 / math.sqrt(max(len(self.hidden), 1))
        nn.init.normal_(self.codes, std=scale, generator=rng)
        nn.init.normal_(self.ordinal, std=scale, generator=rng)
        nn.init.normal_(self.slopes, std=scale / 4, generator=rng)
        nn.init.normal_(self.hidden, std=scale, generator=rng)
        if self.members is not None:
            nn.init.normal_(self.members, std=scale, generator=rng)

    def tables(self) -> Tensor:
        """Stack the effective embedding of each code, each hidden token, each slope and each member."""
        tables = self._tables_without_members()
        return tables if self.members is None else torch.cat([tables, self.of_member(self.members)])

    def _tables_without_members(self) -> Tensor:
        return torch.cat([self.codes + self.book.ordinal(self.ordinal), self.hidden, self.slopes])

    def forward(self, rows: Rows, observed: Tensor, tables: Tensor | None = None) -> Tensor:
        """Embed rows, shape (b, h); ``observed`` is a bool mask of shape (b, g).

        `tables` saves computing them again where the weights stand still. Without them, the members of a
        row are summed up before they are mapped: a batch meets few of all.
        """
        book = self.book
        of_members: Tensor | float = 0.0
        members = self.members if tables is None else None
        tables = self._tables_without_members() if tables is None else tables
        width, n_spans = len(self.codes), len(self.hidden)
        tokens = width + torch.arange(n_spans, device=observed.device)
        index = torch.where(observed, rows.codes, tokens)
        weight = torch.ones_like(index, dtype=torch.float32)
        if book.fine:
            row, scale = book.slopes(rows.codes[:, book.fine_index], rows.cells)
            scale = scale * observed[:, book.fine_index]
            row = width + n_spans + row
            if members is not None:
                member = row - len(tables)
                of_members = self.of_member(
                    _weighted_sum(members, member.clamp(min=0), scale * (member >= 0))
                )
                row, scale = row.masked_fill(member >= 0, 0), scale * (member < 0)
            index = torch.cat([index, row], dim=1)  # (b, g + f)
            weight = torch.cat([weight, scale], dim=1)
        return _weighted_sum(tables, index, weight) + of_members


def _weighted_sum(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum rows of a table times weights, (n, h), (b, k), (b, k) -> (b, h)."""
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)


class ResidualBlock(nn.Module):
    """x + W2 silu(W1 norm(x)), the identity at the start of training."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = _linear(dim, inner)
        self.down = _linear(inner, dim)

    def reset(self, _: torch.Generator) -> None:
        """Start as the identity."""
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to rows of shape (b, dim)."""
        change: Tensor = self.down(F.silu(self.up(self.norm(x))))
        return x + change


class Decoder(nn.Module):
    """D(z, observed, mask) -> logits over codes, and over the cells of alpha given a code."""

    def __init__(
        self, book: CodeBook, hidden_dim: int, inner_dim: int, n_blocks: int, latent_dim: int
    ) -> None:
        super().__init__()
        self.book = book
        self.embed = RowEmbedding(book, hidden_dim)
        self.latent = _linear(latent_dim, hidden_dim, bias=False)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, inner_dim) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(hidden_dim)
        width = len(book.cells)
        self.weight = nn.Parameter(torch.empty(width, hidden_dim))
        self.ordinal = nn.Parameter(torch.empty(book.n_ramps, hidden_dim))
        self.bias = nn.Parameter(torch.zeros(width))
        n_fine = len(book.fine)
        self.cell_in = nn.Parameter(torch.empty(n_fine, hidden_dim, _CELL_DIM))
        self.cell_code = nn.Parameter(torch.zeros(width if n_fine else 0, _CELL_DIM))
        self.cell_out = nn.Parameter(torch.zeros(n_fine, _CELL_DIM, book.n_cells))
        self.cell_bias = nn.Parameter(torch.zeros(width if n_fine else 0, book.n_cells))

    def reset(self, rng: torch.Generator) -> None:
        """Draw the output weights; small, so that training starts near the biases."""
        scale = 1 / math.sqrt(self.weight.shape[1])
        nn.init.normal_(self.weight, std=0.1 * scale, generator=rng)
        nn.init.normal_(self.ordinal, std=0.1 * scale, generator=rng)
        nn.init.normal_(self.cell_in, std=scale, generator=rng)

    @torch.no_grad()
    def start_at_marginals(self, rows: Rows) -> None:
        """Set the output biases to log frequencies, so that training starts at independent columns."""
        book = self.book
        counts = torch.bincount(rows.codes.flatten(), minlength=len(self.bias)).float()
        self.bias.copy_((counts + 0.5).log() - math.log(len(rows)))
        if book.fine:
            fine_codes = rows.codes[:, book.fine_index]
            flat = (fine_codes * book.n_cells + rows.cells).flatten()
            cells = torch.bincount(flat, minlength=self.cell_bias.numel()).float().view_as(self.cell_bias)
            mean = cells.sum(1, keepdim=True) / book.cells[:, None]
            valid = torch.arange(book.n_cells, device=cells.device) < book.cells[:, None]
            smoothed = (
                (cells + 8.0 * mean.clamp(max=1.0) + 1e-3) / (cells.sum(1, keepdim=True) + 1e-3)
            ).log()
            self.cell_bias.copy_(torch.where(valid, smoothed, -30.0))

    def hidden(self, embedded: Tensor) -> Tensor:
        """Run the residual trunk on embedded rows, (b, h) -> (b, h)."""
        hidden: Tensor = self.norm(self.blocks(embedded))
        return hidden

    def code_weight(self) -> Tensor:
        """Effective output weights, one row for each code, shape (w, h)."""
        return self.weight + self.book.ordinal(self.ordinal)

    def code_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the codes of all columns, (b, h) -> (b, w)."""
        return F.linear(hidden, self.code_weight()) + self.bias  # the sum in float32 in any precision

    def blank(self) -> Tensor:
        """Embedded row of which nothing is observed, shape (1, h)."""
        return self.embed.hidden.sum(dim=0, keepdim=True)

    def column_logits(self, hidden: Tensor, j: int, weight: Tensor) -> Tensor:
        """Logits over the codes of column j, (b, h) -> (b, k), with the weights of `code_weight`."""
        span = self.book.span(j)
        return F.linear(hidden, weight[span], self.bias[span])

    def column_cell_logits(self, hidden: Tensor, i: int, codes: Tensor) -> Tensor:
        """Logits over cells of the i-th fine column given its codes, (b, h), (b,) -> (b, c)."""
        return self.cell_logits_of(hidden @ self.cell_in[i], i, codes)

    def cell_logits_of(self, inner: Tensor, i: int, codes: Tensor) -> Tensor:
        """Finish `column_cell_logits` from its inner product with the trunk, (b, 32) -> (b, c)."""
        inner = F.silu(inner + F.embedding(codes, self.cell_code))
        return torch.addmm(F.embedding(codes, self.cell_bias), inner, self.cell_out[i])

    def cell_logits(self, hidden: Tensor, fine_codes: Tensor) -> Tensor:
        """Logits over cells given the codes of the fine columns, (b, h), (b, f) -> (b, f, c)."""
        n_fine = len(self.book.fine)
        flat = self.cell_in.permute(1, 0, 2).reshape(hidden.shape[1], -1)  # (h, f * 32)
        inner = (hidden @ flat).view(-1, n_fine, _CELL_DIM)
        # Gradients of an index, cell_code[fine_codes], are summed up by several threads in any order.
        inner = F.silu(inner + F.embedding(fine_codes, self.cell_code))
        logits = torch.einsum("bfe,fec->bfc", inner, self.cell_out)
        return logits + F.embedding(fine_codes, self.cell_bias)


class Encoder(nn.Module):
    """E(row) -> z, normalised to mean 0 and variance 1 in each dimension."""

    def __init__(self, book: CodeBook, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.embed = RowEmbedding(book, hidden_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, hidden_dim) for _ in range(2)))
        self.out = _linear(hidden_dim, latent_dim)
        self.normalise = nn.BatchNorm1d(latent_dim, affine=False, momentum=0.02)

    def forward(self, rows: Rows) -> Tensor:
        """Encode rows, shape (b, z)."""
        observed = torch.ones_like(rows.codes, dtype=torch.bool)
        latent: Tensor = self.normalise(self.out(self.blocks(self.embed(rows, observed))))
        return latent


class Generator(nn.Module):
    """G(noise, observed) -> z, with ``observed`` as the decoder embeds it.

    z = A (z_0 + f(noise, z_0, observed)) + b, with f = 0, A = I, b = 0 at the start. The first number of the
    noise chooses a component of a mixture of Gaussians, those that follow are z_0 within it.
    """

    bounds: Tensor
    means: Tensor
    factors: Tensor
    colour: Tensor
    shift: Tensor

    def __init__(
        self, noise_dim: int, condition_dim: int, hidden_dim: int, n_blocks: int, latent_dim: int
    ) -> None:
        super().__init__()
        self.noise = _linear(noise_dim, hidden_dim)
        self.start = _linear(latent_dim, hidden_dim, bias=False)
        self.condition = _low_rank(condition_dim, hidden_dim)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden_dim, hidden_dim) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(hidden_dim)
        self.out = _linear(hidden_dim, latent_dim)
        k = MAX_COMPONENTS  # of which a small table fills a few
        self.register_buffer("bounds", torch.ones(k - 1))
        self.register_buffer("means", torch.zeros(k, latent_dim))
        self.register_buffer("factors", torch.eye(latent_dim).repeat(k, 1, 1))
        self.register_buffer("colour", torch.eye(latent_dim))
        self.register_buffer("shift", torch.zeros(latent_dim))

    def reset(self, _: torch.Generator) -> None:
        """Start with what is drawn from the mixture."""
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def depart_from(self, mixture: Mixture) -> None:
        """Take a mixture over latent vectors; before, it is one standard Gaussian."""
        k = len(mixture.weights)
        self.bounds[: k - 1], self.bounds[k - 1 :] = mixture.weights.cumsum(0)[:-1], 1.0
        self.means[:k], self.factors[:k] = mixture.means, mixture.factors

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Generate latent vectors, shape (b, z)."""
        start = noise.new_empty(len(noise), self.means.shape[1])
        n_rows = max(1, _MAX_FACTORS // self.factors[0].numel())
        for first in range(0, len(noise), n_rows):
            rows = slice(first, first + n_rows)
            start[rows] = self._from_mixture(noise[rows])
        embedded = self.noise(noise) + self.start(start) + self.condition(condition)
        latent = start + self.out(self.norm(self.blocks(embedded)))
        return widened(F.linear(latent, self.colour, self.shift))

    def _from_mixture(self, noise: Tensor) -> Tensor:
        """Draw from the mixture, (b, z); each row has a factor of its own, (b, z, z)."""
        component = torch.searchsorted(self.bounds, torch.special.ndtr(noise[:, 0].contiguous()))
        within = noise[:, None, 1 : 1 + self.means.shape[1]]  # (b, 1, z), fewer of a short noise
        factors = self.factors[component, :, : within.shape[2]]
        return self.means[component] + (factors * within).sum(dim=2)  # in float32 in any precision


class Critic(nn.Module):
    """C(z, observed) -> score, on packs of ``pac_size`` rows (PacGAN, Lin et al. 2018).

    Plain linear layers with LeakyReLU, so that the gradient with respect to z has a closed form.
    """

    def __init__(
        self, latent_dim: int, condition_dim: int, hidden_dim: int, n_layers: int, pac_size: int
    ) -> None:
        super().__init__()
        self.pac_size = pac_size
        self.first = _linear(latent_dim * pac_size, hidden_dim)
        self.condition = _low_rank(condition_dim * pac_size, hidden_dim)
        self.layers = nn.ModuleList(_linear(hidden_dim, hidden_dim) for _ in range(n_layers - 1))
        self.out = _linear(hidden_dim, 1)

    def forward(self, latent: Tensor, condition: Tensor) -> Tensor:
        """Score packs, shape (b / pac_size,)."""
        return self.given(condition)(latent)

    def given(self, condition: Tensor) -> Score:
        """Fix what the critic sees of the cells, shape (b, h): a score of latent vectors, of shape (b, z).

        With LeakyReLU layers a_l = max(x_l, .2 x_l), x_l = W_l a_{l-1} + b_l, its gradient is
        W_1' M_1 ... W_L' M_L w, with M_l the diagonal of slopes (1 or .2). That is exact wherever no
        unit is at 0, and needs one backward pass where autograd needs a double one.
        """
        fixed = self.condition(condition.reshape(len(condition) // self.pac_size, -1))  # (b / pac, h)

        def score(latent: Tensor) -> Tensor:
            return widened(self.out(self._activations(latent, fixed)[-1]).squeeze(1))

        def gradient(latent: Tensor) -> Tensor:
            activations = self._activations(latent, fixed)
            gradient = through_slope(self.out.weight.expand_as(activations[-1]), activations[-1])
            weights = [layer.get_parameter("weight") for layer in self.layers]
            for weight, activation in zip(reversed(weights), reversed(activations[:-1]), strict=True):
                gradient = through_slope(gradient @ weight, activation)
            return gradient @ self.first.weight  # (b / pac, pac * z)

        return Score(score, self.pac_size, gradient)

    def _activations(self, latent: Tensor, fixed: Tensor) -> list[Tensor]:
        """Run the hidden layers; their outputs, each of shape (b / pac_size, h)."""
        x = self.first(latent.reshape(-1, self.first.in_features))  # (b / pac, pac * z)
        activations = [F.leaky_relu(x + fixed, SLOPE)]
        for layer in self.layers:
            activations.append(F.leaky_relu(layer(activations[-1]), SLOPE))
        return activations
