"""Rows, and denoisers that know everything or nothing."""

import numpy as np
import torch
from torch.nn import functional as F

from synthgan.diffusion.denoiser import Denoiser, Rows, signal
from tests.gan.tables import seeded


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def untrained(n_scores=2, sizes=(3, 2), hidden_dim=16, shaken=False):
    """A denoiser as training starts with it; `shaken`: one that predicts something."""
    denoiser = Denoiser(n_scores, sizes, hidden_dim, 2)
    denoiser.reset(seeded())
    if shaken:
        with torch.no_grad():
            for weight in denoiser.parameters():
                weight += 0.3 * torch.randn(weight.shape, generator=seeded(1))
    return denoiser


def frequencies(codes, size):
    return np.bincount(np.asarray(codes), minlength=size) / len(codes)


def some_rows(n_rows, n_scores=2, sizes=(3, 2), seed=0):
    rng = seeded(seed)
    codes = [torch.randint(k, (n_rows,), generator=rng) for k in sizes]
    return Rows(torch.randn(n_rows, n_scores, generator=rng), torch.stack(codes, dim=1))


class Certain(Denoiser):
    """Knows that every row is one and the same."""

    def __init__(self, point, values, sizes):
        super().__init__(len(point), sizes, 8, 1)
        self.point = torch.tensor(point)
        self.errors.zero_()
        self.certain = torch.cat(
            [20.0 * F.one_hot(torch.tensor(v), k) for v, k in zip(values, sizes, strict=True)]
        )

    def forward(self, rows, t, known=None):
        a = signal(t).float()[:, None]
        return (a.sqrt() * rows.scores - self.point) / (1 - a).sqrt(), self.certain.expand(
            len(rows.scores), -1
        )
