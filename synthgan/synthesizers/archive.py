"""Model files: a fitted synthesizer or translator goes into one file and comes back out of it.

A ``.synthgan`` file is an uncompressed zip archive with a closed list of entries::

    manifest.json         format and library versions, estimator, parameters, a hash for each entry
    schema.json           what the columns are
    constraints.json      which rules every row keeps
    transform.json        how values become codes
    state.json            other learned facts
    history.json          the training curves, where there are any
    weights.safetensors   all learned arrays

It holds JSON and numbers only. Reading one runs no code from it: no pickle, no type or
module named by the file; every size, hash and number is checked first, and what has been read is
tried out: each code is decoded and each rule judged once. Equal models give equal bytes, so that the
hash of the file identifies the model. `read_manifest` needs neither torch nor pandas.

Of the real table a file holds, one column at a time: names, dtypes and the number of rows; categories,
also rare ones; numbers of at least 1 % of the rows, or all of a column of few different ones; quantiles
between numbers, the lowest and the highest number, and values of 10 rows and more that stand out; the
value of a constant column; and what identifiers have in common, with the number after the largest.
Of several columns together it holds what rules say: which values of columns go together, each in at least
`synthgan.constraints.detect.MIN_ROWS` rows where the rule was found, in any number where it was given;
and networks, whose weights may remember more than anyone can list.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
import struct
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from synthgan import __version__
from synthgan.errors import DataError, ModelFileError, SynthganError, listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synthgan.constraints import Constraint
    from synthgan.schema import Schema
    from synthgan.synthesizers.base import BaseSynthesizer, State
    from synthgan.transforms import TableCodec

__all__ = ["ESTIMATORS", "FORMAT_VERSION", "Fitted", "load", "read_manifest", "read_model", "save_model"]

FORMAT = "synthgan-model"
FORMAT_VERSION = 1

ESTIMATORS = {
    "tabular-gan": ("synthgan.synthesizers.tabular_gan", "TabularGAN"),
    "independent": ("synthgan.synthesizers.independent", "IndependentSynthesizer"),
    "ctgan": ("synthgan.synthesizers.ctgan", "CTGAN"),
    "tabular-diffusion": ("synthgan.synthesizers.tabular_diffusion", "TabularDiffusion"),
    "table-translator": ("synthgan.translate", "TableTranslator"),
}
"""What a file may name as its estimator, and the module and class that this stands for."""

_READERS = {"table-translator": "TableTranslator.load"}
_READER = "synthgan.load"  # of all others

_MIB = 2**20
_CAPS = {  # the most bytes that an entry may have; less than 2 GiB together, beyond which zip differs
    "manifest.json": 4 * _MIB,
    "schema.json": 64 * _MIB,
    "constraints.json": 64 * _MIB,
    "transform.json": 512 * _MIB,
    "state.json": 64 * _MIB,
    "history.json": 64 * _MIB,
    "weights.safetensors": 1024 * _MIB,
}
_OPTIONAL = {"history.json"}
_MAX_DEPTH = 64
_MAX_RULE = 200  # characters of a constraint in the manifest
_MAX_HEADER = 16 * _MIB  # names, types and shapes of the weights
_END = struct.Struct("<4s4H2LH")  # the record with which a zip archive ends
_LOCATOR = b"PK\x06\x07"  # what stands 20 bytes before it in archives beyond 2 GiB
_MAX_ENTRIES, _MAX_DIRECTORY = 100, 2**16
_LIBRARIES = ("numpy", "pandas", "torch")


class Fitted(Protocol):
    """What a file can hold: an estimator that has learned a table and can write down what it has learned."""

    schema_: Schema
    codec_: TableCodec
    seed_: int
    n_rows_: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters."""

    def _state(self) -> State:
        """Return what else has been learned; `_restore` takes it back."""


def save_model(estimator: Fitted, path: str | Path) -> None:
    """Write a fitted estimator to one file, in one step.

    Parameters
    ----------
    estimator : TabularGAN, CTGAN, TabularDiffusion, IndependentSynthesizer or TableTranslator
        Fitted.
    path : str or Path
        Conventionally ending in ``.synthgan``.

    Raises
    ------
    DataError
        If the file cannot be written, a parameter has no form in JSON or the model is too large.
    """
    from synthgan.io import atomic_write  # pandas, which reading a manifest does without

    contents = _contents(estimator)
    contents = {"manifest.json": _to_json(_manifest(estimator, contents)), **contents}
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for name, content in contents.items():
            if len(content) > _CAPS[name]:
                raise DataError(
                    f"The model is too large for a file: '{name}' may have {_CAPS[name]:,} bytes. "
                    f"Got {len(content):,}. Fit smaller networks, or leave out columns of many categories."
                )
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # no clock in the bytes
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content)
    atomic_write(path, archive.getvalue())


def load(path: str | Path) -> BaseSynthesizer:
    """Read a synthesizer that `save` has written.

    Parameters
    ----------
    path : str or Path
        A ``.synthgan`` file. It may come from an untrusted source: no code of it is run.

    Returns
    -------
    TabularGAN, CTGAN, TabularDiffusion or IndependentSynthesizer
        Fitted; the same ``sample`` call gives the same rows as before.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of a newer format, no model at all or a translator, which
        `TableTranslator.load` reads.
    """
    synthesizer: BaseSynthesizer = read_model(path, _READER)
    return synthesizer


def read_model(path: str | Path, reader: str) -> Any:
    """Read a fitted estimator if it is one that `reader`, the public name of a function, is for."""
    with _failures_named(path), _opened(path) as file:
        manifest = _checked_manifest(file, path)
        _check_reader(manifest["estimator"], reader)
        contents = _checked_contents(file, manifest)
        documents = {name[:-5]: _from_json(contents[name]) for name in contents if name.endswith(".json")}
        arrays = _arrays(contents["weights.safetensors"])
    estimator_class = _resolve(manifest["estimator"])
    with _failures_named(path):
        return _rebuild(estimator_class, manifest, documents, arrays)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read what a model file says about itself, without its weights and without torch.

    Parameters
    ----------
    path : str or Path
        A ``.synthgan`` file.

    Returns
    -------
    dict
        The manifest: format, versions, estimator, params, train, columns, files.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of a newer format or no model at all.
    """
    with _failures_named(path), _opened(path) as file:
        return _checked_manifest(file, path)


# --- writing ---------------------------------------------------------------------------


def _contents(estimator: Fitted) -> dict[str, bytes]:
    """Return every entry but the manifest."""
    from safetensors.numpy import save

    facts, arrays = estimator._state()
    documents = {
        "schema.json": estimator.schema_.to_dict(),
        "constraints.json": {"rules": [rule.to_dict() for rule in _rules(estimator)]},
        "transform.json": estimator.codec_.to_dict(),
        "state.json": _plain({key: value for key, value in facts.items() if key != "history"}),
    }
    if "history" in facts:
        documents["history.json"] = _plain(facts["history"])
    contents = {name: _to_json(document) for name, document in documents.items()}
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    contents["weights.safetensors"] = save(ordered)
    return contents


def _rules(estimator: Fitted) -> list[Constraint]:
    """Return the rules that every row keeps; a translator has none."""
    return getattr(estimator, "constraints_", [])


def _manifest(estimator: Fitted, contents: Mapping[str, bytes]) -> dict[str, Any]:
    owner = type(estimator).__name__
    columns, params = _columns(estimator.schema_), estimator.get_params(deep=False)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "min_reader": 1,
        "versions": {"synthgan": __version__} | {name: metadata.version(name) for name in _LIBRARIES},
        "estimator": next(key for key, (_, known) in ESTIMATORS.items() if known == owner),
        "params": {key: _param(owner, key, value) for key, value in sorted(params.items())},
        "train": {"n_rows": estimator.n_rows_, "n_columns": len(columns), "seed": estimator.seed_},
        "columns": columns,
        "constraints": [repr(rule)[:_MAX_RULE] for rule in _rules(estimator)],  # for readers, not for us
        "files": {key: _fingerprint(content) for key, content in contents.items()},
    }


def _columns(schema: Schema) -> list[dict[str, str]]:
    return [{"name": str(column.name), "kind": column.kind} for column in schema]


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _param(owner: str, name: str, value: Any) -> Any:
    """Write a constructor parameter as JSON; dicts as pairs, since their keys may be numbers."""
    from synthgan.constraints import Constraint
    from synthgan.scalars import is_supported, scalar_to_json

    if name == "random_state" and not isinstance(value, int | np.integer):
        return None  # a generator has no lasting value; the seed drawn from it stands under "train"
    if name == "device" and value != "cpu":
        return "auto"  # the machine on which the file is read may have no such device
    if isinstance(value, Mapping):
        return {"pairs": [[_param(owner, name, item) for item in pair] for pair in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_param(owner, name, item) for item in value]}
    if isinstance(value, Constraint):
        return {"constraint": value.to_dict()}
    value = _plain(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_supported(value):  # the name of a column may be a date
        return {"scalar": scalar_to_json(value)}
    raise DataError(
        f"The {name!r} parameter of {owner} is a {type(value).__name__} and cannot be saved. "
        "Use numbers, text, lists or dicts."
    )


def _plain(value: Any) -> Any:
    """Turn numpy scalars into Python's, and numbers that are not finite into null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_json(document: Any) -> bytes:
    """Write strict JSON; keys keep their order, which is the same for equal models."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


# --- reading ---------------------------------------------------------------------------


@contextmanager
def _failures_named(path: str | Path) -> Iterator[None]:
    """Turn whatever a hostile file provokes into a `ModelFileError` that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ModelFileError(f"There is no model file '{path}'.") from None
    except ModelFileError as error:
        text = str(error)
        raise ModelFileError(text if str(path) in text else f"'{path}' {text}") from error.__cause__
    except SynthganError as error:
        raise ModelFileError(f"'{path}' is damaged: {error}") from error
    except OSError as error:
        raise ModelFileError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # the parsers of zip, JSON and safetensors raise what they like
        raise ModelFileError(f"'{path}' is damaged ({type(error).__name__}). Get it again.") from error


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    with Path(path).open("rb") as raw:
        if raw.read(4) != b"PK\x03\x04":
            raise ModelFileError("is not a synthgan model file.")
        _check_end(raw)
        with zipfile.ZipFile(raw) as file:
            yield file


def _check_end(raw: BinaryIO) -> None:
    """Refuse an archive that is cut off, or whose directory is not small, before it is read."""
    size = raw.seek(0, 2)
    raw.seek(max(size - _END.size - 20, 0))
    tail = raw.read()
    signature, *_, n_entries, length, start, _ = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or tail.startswith(_LOCATOR) or start + length + _END.size != size:
        raise ModelFileError("is damaged: it is cut off, or something was added. Get it again.")
    if n_entries > _MAX_ENTRIES or length > _MAX_DIRECTORY:
        raise ModelFileError("is damaged: it holds entries that do not belong into a model file.")


def _checked_manifest(file: zipfile.ZipFile, path: str | Path) -> dict[str, Any]:
    """Read the manifest; its version is judged before anything a later version may change."""
    if [entry.filename for entry in file.infolist()].count("manifest.json") != 1:
        raise ModelFileError("is not a synthgan model file: it has no manifest.")
    manifest = _from_json(_entry(file, "manifest.json"))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFileError("is not a synthgan model file.")
    version, min_reader = manifest.get("format_version"), manifest.get("min_reader")
    if type(version) is not int or type(min_reader) is not int:
        raise ModelFileError("is damaged: its manifest names no format version.")
    if min_reader > FORMAT_VERSION:
        writer = _get(manifest, "versions", dict).get("synthgan")
        raise ModelFileError(
            f"'{path}' was written by synthgan {str(writer)[:20]}, format {version}; "
            f"this version reads format {FORMAT_VERSION}. Upgrade synthgan."
        )
    if manifest.get("estimator") not in ESTIMATORS:
        raise ModelFileError(f"is damaged: its estimator must be one of {listing(ESTIMATORS)}.")
    for key in ("params", "files"):
        _get(manifest, key, dict)
    for part, key, kind in (("train", key, int) for key in ("n_rows", "n_columns", "seed")):
        _get(_get(manifest, part, dict), key, kind)
    for column in _get(manifest, "columns", list):
        if not isinstance(column, dict) or {type(column.get(key)) for key in ("name", "kind")} != {str}:
            raise ModelFileError("is damaged: its manifest has no valid 'columns'.")
    if {type(rule) for rule in _get({"constraints": [], **manifest}, "constraints", list)} - {str}:
        raise ModelFileError("is damaged: its manifest has no valid 'constraints'.")
    if {type(version) for version in _get(manifest, "versions", dict).values()} - {str}:
        raise ModelFileError("is damaged: its manifest has no valid 'versions'.")
    return manifest


def _checked_contents(file: zipfile.ZipFile, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Read every entry that the manifest lists and compare size and hash."""
    names = [entry.filename for entry in file.infolist()]
    if len(names) != len(set(names)) or set(names) - set(_CAPS):
        raise ModelFileError("is damaged: it holds entries that do not belong into a model file.")
    listed = manifest["files"]
    if set(names) - {"manifest.json"} != set(listed) or set(_CAPS) - _OPTIONAL - set(names):
        raise ModelFileError("is damaged: its entries are not those that its manifest lists.")
    contents = {name: _entry(file, name) for name in listed}
    for name, content in contents.items():
        if listed[name] != _fingerprint(content):
            raise ModelFileError(f"is damaged: its entry '{name}' does not match the recorded hash.")
    return contents


def _entry(file: zipfile.ZipFile, name: str) -> bytes:
    """Read one stored entry, never more than it declares and never more than its cap."""
    entry = file.getinfo(name)
    plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    if not plain or entry.flag_bits or is_link or entry.file_size > _CAPS[name]:
        raise ModelFileError(f"is damaged: its entry '{name}' is compressed, encrypted, a link or too large.")
    with file.open(entry) as stream:
        return stream.read(entry.file_size)


def _from_json(content: bytes) -> Any:
    document = json.loads(content.decode(), parse_constant=_finite, parse_float=_finite)
    layer = [document]
    for _ in range(_MAX_DEPTH):
        layer = [child for node in layer if isinstance(node, dict | list) for child in _children(node)]
        if not layer:
            return document
    raise ModelFileError(f"is damaged: its JSON is nested deeper than {_MAX_DEPTH}.")


def _children(node: dict[str, Any] | list[Any]) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ModelFileError("is damaged: it holds numbers that are not finite.")
    return number


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load as read_arrays

    if int.from_bytes(content[:8], "little") > _MAX_HEADER:
        raise ModelFileError("is damaged: the header of its weights is too large.")
    arrays: dict[str, NDArray[Any]] = read_arrays(content)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"is damaged: its weights {name!r} are not finite.")
    return arrays


def _get(document: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    value = document.get(key)
    if type(value) is not kind:
        raise ModelFileError(f"is damaged: its manifest has no valid {key!r}.")
    return value


def _check_reader(estimator: str, reader: str) -> None:
    """Refuse a synthesizer where a translator is wanted, and vice versa."""
    wanted = _READERS.get(estimator, _READER)
    if reader != wanted:
        raise ModelFileError(f"holds a model of {ESTIMATORS[estimator][1]}. Read it with {wanted}.")


def _resolve(estimator: str) -> type[Any]:
    module, name = ESTIMATORS[estimator]
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def _rebuild(
    estimator_class: type[Any],
    manifest: dict[str, Any],
    documents: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
) -> Any:
    from synthgan.constraints import constraint_from_dict
    from synthgan.params import Interval, check_parameter, check_parameters
    from synthgan.schema import Schema, check_column_names
    from synthgan.transforms import TableCodec

    estimator = estimator_class(**{name: _read_param(value) for name, value in manifest["params"].items()})
    check_parameters(estimator_class.__name__, estimator.get_params(deep=False), estimator._parameter_rules)
    estimator.schema_ = Schema.from_dict(documents["schema"])
    check_column_names(estimator.schema_.empty())
    if _columns(estimator.schema_) != manifest["columns"]:
        raise ModelFileError("is damaged: its manifest and its schema name different columns.")
    rules = [constraint_from_dict(part) for part in documents["constraints"]["rules"]]
    if hasattr(estimator, "constraints"):  # all but translators have them
        estimator.constraints_ = rules
    estimator.codec_ = TableCodec.from_dict(estimator.schema_, documents["transform"])
    for name, least in (("seed", 0), ("n_rows", 1)):
        check_parameter("the manifest", name, manifest["train"][name], (Interval(int, least),))
        setattr(estimator, f"{name}_", manifest["train"][name])
    facts = documents["state"] | ({"history": documents["history"]} if "history" in documents else {})
    estimator._restore(facts, arrays)
    rows = estimator.codec_.inverse_transform(estimator.codec_.layout_.every_code())
    for rule in rules:
        rule.holds(rows)  # fails here, not in `sample`, if the rule does not fit the columns
    return estimator


def _read_param(value: Any) -> Any:
    match value:
        case {"pairs": list(pairs)}:
            return {_read_param(key): _read_param(item) for key, item in pairs}
        case {"list": list(items)}:
            return [_read_param(item) for item in items]
        case {"tuple": list(items)}:
            return tuple(_read_param(item) for item in items)
        case {"scalar": data}:
            from synthgan.scalars import scalar_from_json

            return scalar_from_json(data)
        case {"constraint": dict(data)}:
            from synthgan.constraints import constraint_from_dict

            return constraint_from_dict(data)
    return value
