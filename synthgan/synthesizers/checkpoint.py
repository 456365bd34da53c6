"""Checkpoints: a training that was killed goes on as if nothing had happened.

A checkpoint is one safetensors file: tensors (weights, optimisers, averages, the random generator), and
in its metadata one JSON text that says where they belong and what is being fitted. Like a model
file it holds no rows, names no code and is replaced in one step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from synthgan import __version__
from synthgan.errors import DataError, ModelFileError
from synthgan.gan.run import Snapshot
from synthgan.io import atomic_write
from synthgan.layout import EncodedTable, Layout

__all__ = ["check_identity", "identity_of", "read_checkpoint", "write_checkpoint"]

_FORMAT = "synthgan-checkpoint-1"
_FREE = {"device", "max_seconds", "random_state", "verbose"}  # may differ between the two parts of a fit
_FREE |= {"kinds", "constraints"}  # show in the layout and the codes

Identity = dict[str, Any]
"""What is fitted to what: estimator, version, seed, table and each parameter of the training."""


def identity_of(
    owner: str, params: Mapping[str, Any], seed: int, encoded: EncodedTable, layout: Layout
) -> Identity:
    """Say what a fit is; the table enters as a hash of its codes, alphas and layout."""
    digest = hashlib.sha256()
    for span in layout.spans:
        digest.update(repr(span.column).encode())
        digest.update(span.n_levels.tobytes() + span.position.tobytes())
    digest.update(np.ascontiguousarray(encoded.codes).data)
    digest.update(np.ascontiguousarray(encoded.alphas).data)
    plain = {
        name: value
        for name, value in sorted(params.items())
        if name not in _FREE and (value is None or isinstance(value, str | bool | int | float))
    }
    return {"estimator": owner, "version": __version__, "seed": seed, "table": digest.hexdigest(), **plain}


def check_identity(path: str | Path, found: Identity, wanted: Identity) -> None:
    """Refuse to go on with another fit's checkpoint.

    Raises
    ------
    DataError
        Says in what they differ.
    """
    differing = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    if not differing:
        return
    first = differing[0]
    if first == "table":
        raise DataError(
            f"The checkpoint '{path}' is of another table. Fit that table, or start anew without resume."
        )
    raise DataError(
        f"The checkpoint '{path}' is of another fit: {first} is {found.get(first)!r} there and "
        f"{wanted.get(first)!r} here. Use the same parameters, or start anew without resume."
    )


def write_checkpoint(identity: Identity, path: str | Path, snapshot: Snapshot) -> None:
    """Write a snapshot to a file, in one step.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    document = {"identity": identity, "snapshot": _packed(snapshot, tensors)}
    atomic_write(path, save(tensors, {"format": _FORMAT, "document": json.dumps(document)}))


def read_checkpoint(path: str | Path) -> tuple[Identity, Snapshot] | None:
    """Read what `write_checkpoint` wrote; None if there is no such file.

    Raises
    ------
    ModelFileError
        If the file is damaged or no checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ModelFileError(f"'{path}' is no checkpoint of this version of synthgan.")
            document = json.loads(metadata["document"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return document["identity"], _unpacked(document["snapshot"], tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"'{path}' is damaged or no checkpoint ({type(error).__name__}). Start anew without resume."
        ) from error


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Take the tensors out of nested containers: ``{"tensor": name}`` stands where one was.

    >>> _packed({0: [1.5, "a"]}, {})
    {'pairs': [[0, [1.5, 'a']]]}
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _packed(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(item, tensors) for item in value]
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": name}:
            return tensors[name]
        case {"pairs": pairs}:
            return {key: _unpacked(item, tensors) for key, item in pairs}
        case list():
            return [_unpacked(item, tensors) for item in value]
    return value
