"""Samples larger than the memory: one file, or a folder of parts that a stopped run goes on with.

A folder holds ``part-00000.parquet``, ``part-00001.parquet``, ... and ``_synthgan.json``: which
model, seed and conditions the rows come from, and how many are in a part. A part depends on these
and its number only, and appears complete or not at all, so that a second run makes those that are not
there. One run at a time may write to a folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm

from synthgan import __version__
from synthgan.arrow import to_arrow
from synthgan.batches import write_batches
from synthgan.constraints import Predicate, Unique
from synthgan.dtypes import take
from synthgan.errors import DataError, ParameterError, listing, quantity
from synthgan.io import atomic_write, check_destination
from synthgan.layout import EncodedTable
from synthgan.params import Interval, check_parameter
from synthgan.scalars import scalar_to_json
from synthgan.seeding import RandomState, draw_seed
from synthgan.synthesizers.archive import read_manifest
from synthgan.transforms import CategoricalCodec, TableCodec

if TYPE_CHECKING:
    from synthgan.synthesizers.base import BaseSynthesizer

__all__ = ["MANIFEST", "PART_ROWS", "arrow_schema", "is_folder", "model_digest", "write_sample"]

MANIFEST = "_synthgan.json"
PART_ROWS = 2**20

_FORMAT = "synthgan-parts"
_OF_SAMPLING = ("n_passes", "n_diffusion_steps", "truncation")
_LEARNED = ("schema.json", "constraints.json", "transform.json", "state.json", "weights.safetensors")


def write_sample(
    model: BaseSynthesizer,
    path: str | Path,
    n_samples: int,
    conditions: Mapping[Any, Any] | None,
    random_state: RandomState,
    part_rows: int | None,
    progress: bool,
) -> None:
    """Write a sample to a file or a folder of parts; see `BaseSynthesizer.sample_to`."""
    if is_folder(path):
        _write_parts(model, Path(path), n_samples, conditions, random_state, part_rows, progress)
        return
    if part_rows is not None:
        raise ParameterError(f"part_rows has no effect on the single file '{path}'. Leave it out.")
    check_destination(path, table=True)
    options: Any = {"conditions": conditions, "random_state": random_state}
    if any(isinstance(rule, Unique) for rule in model.constraints_):
        batches = iter([model.sample(n_samples, **options)])
    else:
        batches = model.sample_batches(n_samples, **options)
    is_text = str(path).lower().endswith(("-", ".csv", ".csv.gz"))
    schema = None if is_text else arrow_schema(model.codec_)
    with _bar(n_samples, progress) as bar:
        write_batches(_counted(batches, bar), path, schema)


def is_folder(path: str | Path) -> bool:
    """Tell whether a path means a folder of parts: one that exists, or a name without extension."""
    return str(path) != "-" and (str(path).endswith("/") or not Path(path).suffix or Path(path).is_dir())


def model_digest(model: BaseSynthesizer) -> str:
    """Return a hash of all that a fitted model has learned, 64 hexadecimal digits."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.synthgan"
        model.save(path)
        files = read_manifest(path)["files"]
    learned = [type(model).__name__, *(files[name]["sha256"] for name in _LEARNED)]
    return hashlib.sha256("\n".join(learned).encode()).hexdigest()


def arrow_schema(codec: TableCodec) -> pa.Schema:
    """Return the Arrow types of a table, which hold whatever can be sampled.

    Raises
    ------
    DataError
        If Arrow has no type for all values of a column.
    """
    objects = {
        name: own
        for name, own in codec.codecs_.items()
        if isinstance(own, CategoricalCodec) and pd.api.types.is_object_dtype(own.column.dtype)
    }
    n_rows = 1 + max((len(own.levels_) for own in objects.values()), default=0)
    nothing = np.zeros((n_rows, len(codec.layout_)))
    frame = codec.inverse_transform(EncodedTable(nothing.astype(np.int32), nothing))
    for name, own in objects.items():  # of objects, every value counts
        codes = np.arange(n_rows) % len(own.levels_)
        codes[-1] = -1 if own.has_missing_ else 0
        values: Any = pd.Series(take(own.levels_, codes, own.column.missing), dtype=own.column.dtype)
        frame.isetitem(codec.schema.names.index(name), values)
    return to_arrow(frame).schema


# --- folders ---------------------------------------------------------------------------


def _write_parts(
    model: BaseSynthesizer,
    folder: Path,
    n_samples: int,
    conditions: Mapping[Any, Any] | None,
    random_state: RandomState,
    part_rows: int | None,
    progress: bool,
) -> None:
    """Write the parts that are not there yet."""
    if any(isinstance(rule, Predicate) for rule in model.constraints_):
        raise ParameterError(
            "A folder of parts says which rules its rows keep, and a Predicate cannot be written down. "
            f"Give one file instead of '{folder}', or fit without the rule."
        )
    old = _read_manifest(folder)
    seed = old["seed"] if old and random_state is None else draw_seed(random_state)
    draw = partial(model.sample_batches, conditions=conditions, random_state=seed)
    draw(n_samples)  # refuses what cannot be drawn, before a folder is made
    n_samples = int(n_samples)  # a numpy integer is none of JSON's
    if part_rows is None:
        part_rows = old["part_rows"] if old else PART_ROWS
    _check_part_rows(model, part_rows)
    part_rows = int(part_rows)
    schema = arrow_schema(model.codec_)
    facts = {
        "format": _FORMAT,
        "written_by": f"synthgan {__version__}",
        "model": model_digest(model),
        "seed": seed,
        "n_passes": None,
        **_sampling(model),
        "conditions": [
            [scalar_to_json(name), _described(value)] for name, value in (conditions or {}).items()
        ],
        "part_rows": part_rows,
    }
    _claim(folder, old, facts, n_samples)
    with _bar(n_samples, progress) as bar:
        for part, first in enumerate(range(0, max(n_samples, 1), part_rows)):
            stop = min(first + part_rows, n_samples)
            path = folder / f"part-{part:05d}.parquet"
            if _n_rows(path) == stop - first:
                bar.update(stop - first)
            else:
                write_batches(_counted(draw(stop, first_row=first), bar), path, schema)


def _sampling(model: BaseSynthesizer) -> dict[str, Any]:
    """Return the parameters that rows depend on and that may be set after the fit."""
    parameters = model.get_params(deep=False)
    found = {name: parameters[name] for name in _OF_SAMPLING if name in parameters}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}


def _check_part_rows(model: BaseSynthesizer, part_rows: int) -> None:
    """Refuse parts that would cut a batch."""
    check_parameter(f"{type(model).__name__}.sample_to", "part_rows", part_rows, (Interval(int, 1),))
    below, rest = divmod(part_rows, model.batch_rows_)
    if rest:
        near = [f"{k * model.batch_rows_:,}" for k in (below, below + 1) if k > 0]
        raise ParameterError(
            f"part_rows must be a multiple of {model.batch_rows_:,}, the rows of a batch. Got {part_rows:,}. "
            f"Use {' or '.join(near)}."
        )


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read what a folder says that it holds; None if there is nothing in it."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"'{folder}' is a file, and parts need a folder. Give another name.")
    path = folder / MANIFEST
    if not path.is_file():
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise DataError(f"The folder '{folder}' holds other files. Give a new or an empty one.")
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        is_known = found["format"] == _FORMAT and found.keys() >= {"n_rows", "written_by"}
        if is_known and all(type(found[name]) is int for name in ("seed", "part_rows", "n_rows")):
            return dict(found)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise DataError(f"'{path}' is damaged. Delete the folder '{folder}' to begin anew.")


def _claim(folder: Path, old: dict[str, Any] | None, facts: dict[str, Any], n_samples: int) -> None:
    """Write down what the folder holds, or refuse to mix parts of two samples."""
    if old is not None:
        other = [name for name, fact in facts.items() if old.get(name) != fact]
        if other:
            raise DataError(
                f"The folder '{folder}' holds parts of another sample, not the same in {listing(other, 7)}. "
                f"Give another folder, or delete this one. '{folder / MANIFEST}' says what it holds."
            )
        if old["n_rows"] > n_samples:
            raise DataError(
                f"The folder '{folder}' is to hold {quantity(old['n_rows'], 'row')} already, more than "
                f"{n_samples:,}. Give another folder, or delete this one."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".part-*.tmp"):  # by a run that was killed
        left.unlink(missing_ok=True)
    manifest = {**facts, "n_rows": n_samples}
    if manifest != old:
        atomic_write(folder / MANIFEST, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


def _n_rows(path: Path) -> int | None:
    """Count the rows of a part; None if there is none that can be read."""
    try:
        return int(pa.parquet.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return None


def _described(wanted: object) -> Any:
    """Write one condition in JSON."""
    match wanted:
        case str() | bytes():
            return scalar_to_json(wanted)
        case tuple():
            return {"range": [_described(end) for end in wanted]}
        case np.generic():
            return scalar_to_json(wanted.item())
        case set() | frozenset():
            return {"any_of": sorted((_described(value) for value in wanted), key=repr)}
    if pd.api.types.is_list_like(wanted):
        return {"any_of": [_described(value) for value in wanted]}  # type: ignore[attr-defined]
    return scalar_to_json(wanted)


# --- progress --------------------------------------------------------------------------


def _bar(n_samples: int, progress: bool) -> Any:
    return tqdm(total=n_samples, unit=" rows", unit_scale=True, disable=not progress)


def _counted(batches: Iterator[pd.DataFrame], bar: Any) -> Iterator[pd.DataFrame]:
    for frame in batches:
        yield frame
        bar.update(len(frame))
