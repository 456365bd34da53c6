"""Coarse to fine: a game that begins with few codes of each ordered column and ends with all.

Progressive growing (Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability,
and Variation", section 2) for columns instead of images. At level l an ordered column of k codes shows
2^l groups of neighbours. A code is shown as its group, spread evenly over the members, as a coarse
picture is shown in large pixels: real and fake rows keep their width, and so do the players.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["blur", "coarsen", "growth"]


def blur(n_codes: int, level: float) -> Tensor:
    """Matrix that shows codes at a level, shape (k, k): rows of numbers times it are the coarse rows.

    Between two levels, the finer one fades in: (1 - t) M_l + t M_{l+1}, t the fraction of the level,
    M_l[i, j] = 1 / (size of the group) where i and j share one. Sums are kept.

    Parameters
    ----------
    n_codes : int >= 1
    level : float >= 0
        From log2(n_codes), rounded up, every code stands for itself.

    Examples
    --------
    >>> blur(4, 1)
    tensor([[0.5000, 0.5000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000, 0.0000],
            [0.0000, 0.0000, 0.5000, 0.5000],
            [0.0000, 0.0000, 0.5000, 0.5000]])
    >>> blur(2, 0.5)[0]   # halfway from (.5, .5) to (1, 0)
    tensor([0.7500, 0.2500])
    """
    coarse = math.floor(level)
    return torch.lerp(_groups(n_codes, coarse), _groups(n_codes, coarse + 1), level - coarse)


def _groups(n_codes: int, level: int) -> Tensor:
    """Mean over groups of neighbours as a matrix, (k, k); each level halves the groups of the last."""
    n_groups = min(2 ** min(level, 62), n_codes)
    group = torch.arange(n_codes) * n_groups // n_codes
    same = (group[:, None] == group).float()
    mean: Tensor = same / same.sum(dim=1, keepdim=True)
    return mean


def coarsen(rows: Tensor, spans: Sequence[tuple[int, int]], level: float) -> Tensor:
    """Show ordered columns at a level, (b, d) -> (b, d): what the critic sees of real and of fake rows.

    Parameters
    ----------
    rows : Tensor of shape (b, d)
    spans : sequence of (start, stop)
        Where the codes of an ordered column lie, one-hot or as probabilities, in increasing order and
        without overlap; all other numbers pass as they are.
    level : float >= 0

    Examples
    --------
    >>> coarsen(torch.tensor([[7.0, 0.0, 1.0]]), [(1, 3)], level=0)
    tensor([[7.0000, 0.5000, 0.5000]])
    """
    parts, end = [], 0
    for start, stop in spans:
        parts += [rows[:, end:start], rows[:, start:stop] @ blur(stop - start, level).to(rows)]
        end = stop
    return torch.cat([*parts, rows[:, end:]], dim=1)


def growth(progress: float, n_codes: int, until: float = 0.5) -> float:
    """Level to train at: each finer one fades in, and then stays for as long.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the training that is over.
    n_codes : int >= 1
        Codes of the column that has most.
    until : float in (0, 1]
        Progress from which all codes are shown.

    Examples
    --------
    Four codes have two levels above the coarsest:

    >>> [growth(progress, 4) for progress in (0, 0.0625, 0.125, 0.25, 0.375, 1)]
    [0.0, 0.5, 1.0, 1.0, 2.0, 2.0]
    """
    n_levels = math.ceil(math.log2(n_codes))
    done = min(progress / until, 1) * n_levels
    stage = math.floor(done)
    return float(min(stage + min(2 * (done - stage), 1), n_levels))
