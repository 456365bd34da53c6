"""Matrix products in bfloat16, where the processor multiplies it natively: about twice as many a second.

The factors and the result of a product are rounded, to 8 bits of mantissa; it is summed up in float32, as are
weights, normalisations, likelihoods and optimisers. Measured on three tables: the held-out likelihood of
training in bfloat16 is that of training in float32, and so is that of one decoder used in both.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PRECISIONS", "mixed_precision", "widened"]

PRECISIONS = ("auto", "float32", "bfloat16")

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def mixed_precision(precision: str, device: torch.device) -> torch.autocast:
    """Make the context in which matrix products run in bfloat16, if they are to.

    Enter it for one forward pass at a time: it rounds each weight once until it is left.

    Parameters
    ----------
    precision : str of PRECISIONS
        "auto" means bfloat16 on a CPU that has an instruction for its products, and float32 elsewhere.
    device : torch device

    References
    ----------
    Micikevicius et al. (2018), "Mixed Precision Training"; Kalamkar et al. (2019), "A Study of BFLOAT16
    for Deep Learning Training".
    """
    is_rounded = precision == "bfloat16" or (precision == "auto" and device.type == "cpu" and _is_native())
    return torch.autocast(device.type, torch.bfloat16, enabled=is_rounded)


def widened(x: Tensor) -> Tensor:
    """Give a product of bfloat16 as float32; float32 and float64 stay.

    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype, widened(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _is_native() -> bool:
    """Tell whether this CPU multiplies bfloat16; older versions of torch do not say."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(found.get(instruction, False) for instruction in _INSTRUCTIONS)
