"""What does `load` do with a damaged or hostile model file? It refuses it, or what it loads works.

Each mutant is a change of a valid file: of its raw bytes, which the hashes catch, or of a JSON
document, the manifest or the weights, with sizes and hashes made to agree, as an attacker would. It
must end in `ModelFileError`, or load and sample or translate five rows (a `SynthganError` is an answer
too: rules may have become impossible to keep). Anything else is a failure, and so is a load of more than 2
seconds or 200 MB; it is printed with the seed that makes it.

    python -m benchmarks.fuzz_model_file --mutants 20000
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import signal
import struct
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa

from synthgan import IndependentSynthesizer, TableTranslator, TabularGAN, load
from synthgan.constraints import FunctionalDependency, Inequality, Product, Sum, Unique
from synthgan.errors import ModelFileError, SynthganError

MAX_SECONDS, MAX_MEGABYTES = 2.0, 200
KINDS = ("bytes", "document", "document", "document", "weights", "weights header")
JUNK: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30),
    *(0.5, -0.5, 1e-320, 1e300, -1e308, "", "a", "nan", "float64", "object", "\x00", "x" * 5000),
    *([], {}, [[]], [None], [0] * 1000, {"missing": "nan"}, {"missing": "NA"}, {"int": "9" * 4000}),
    *({"int": str(2**62)}, {"float": "-inf"}, {"tuple": [1, 2]}, {"numpy": "uint8", "value": 300}),
    *({"timestamp": 2**62, "unit": "s", "tz": None}, {"numpy": "float64"}, {"category": {"numpy": "object"}}),
]


# --- models to start from --------------------------------------------------------------


def rich_table(n_rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Make a table with a column of about every kind and dtype, and rules between some."""
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 12, n_rows)
    cents = rng.integers(0, 9000, (2, n_rows))
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n_rows), unit="s")
    frame = pd.DataFrame(
        {
            "id": [f"row-{k:05d}" for k in range(n_rows)],
            "key": np.arange(n_rows) + 10**6,
            "amount": rng.lognormal(3, 2, n_rows),
            "age": rng.integers(18, 70, n_rows),
            "large": rng.integers(2**60, 2**62, n_rows),
            "narrow": rng.normal(size=n_rows).astype(np.float32),
            "gaps": pd.array(np.where(rng.random(n_rows) < 0.2, None, rng.integers(0, 90, n_rows)), "Int16"),
            "city": pd.Categorical.from_codes(city, [f"city {k}" for k in range(12)]),
            "zone": pd.Categorical.from_codes(city // 3, list("abcd"), ordered=True),
            "street": np.char.add("street ", rng.integers(0, 180, n_rows).astype(str)).astype(object),
            "mixed": pd.Series(rng.choice(np.array([1, "1", 2.5, None], dtype=object), n_rows), dtype=object),
            "yes": rng.random(n_rows) < 0.3,
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(0, 9999, n_rows), unit="s"),
            "there": pd.Series(start).dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"),
            "length": pd.to_timedelta(rng.integers(0, 99, n_rows), unit="min"),
            "net": cents[0] / 100,
            "tax": cents[1] / 100,
            "gross": cents.sum(axis=0) / 100,
            "same": "always",
            "void": np.full(n_rows, np.nan),
        }
    )
    ticks = pa.array(rng.integers(0, 10**6, n_rows))
    frame["arrow"] = pd.arrays.ArrowExtensionArray(ticks.cast(pa.timestamp("ms", "UTC")))
    frame["day"] = pd.arrays.ArrowExtensionArray(
        pa.array(rng.integers(0, 9999, n_rows), pa.int32()).cast(pa.date32())
    )
    frame["month"] = pd.PeriodIndex.from_ordinals(rng.integers(600, 650, n_rows), freq="M")
    frame["band"] = pd.cut(rng.random(n_rows), 5).astype(object)
    frame["maybe"] = pd.array(rng.choice(np.array([True, False, None]), n_rows), "boolean")
    frame["huge"] = rng.integers(0, 2**64, n_rows, dtype=np.uint64)
    frame["half"] = rng.normal(size=n_rows).astype(np.float16)
    frame["again"] = np.where(rng.random(n_rows) < 0.5, frame["amount"], rng.lognormal(3, 2, n_rows))
    frame["pieces"] = rng.integers(1, 9, n_rows)
    frame["paid"] = (frame["net"] * frame["pieces"]).round(2)
    return frame


def floor() -> IndependentSynthesizer:
    """Fit a model whose file holds every sort of column and rule that a file may hold."""
    rules = [
        *(FunctionalDependency("city", "zone"), Sum("gross", ["net", "tax"]), Inequality("start", "end")),
        *(Unique(["amount", "key"]), Product("paid", ["net", "pieces"])),
    ]
    kinds = {"age": "numerical"}
    return IndependentSynthesizer(kinds=kinds, constraints=rules, random_state=0).fit(rich_table())


_SIZES: dict[str, Any] = {"hidden_dim": 16, "latent_dim": 4, "noise_dim": 4, "n_blocks": 1, "batch_size": 64}
_TINY = {**_SIZES, "gan_batch_size": 64, "n_steps": 8, "n_gan_steps": 4, "device": "cpu", "random_state": 0}


def tiny_gan(modes: str = "quantile") -> TabularGAN:
    """Fit small networks to some of the columns."""
    columns = ["id", "amount", "gaps", "city", "zone", "street", "start", "again"]
    model = TabularGAN(constraints=[FunctionalDependency("city", "zone")], modes=modes, n_passes=3, **_TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training collapses
        return model.fit(rich_table()[columns].astype({"street": "category"}))


def tiny_forest() -> TabularGAN:
    """Fit small networks, and trees that tell a zone from its city."""
    model = TabularGAN(constraints=None, n_trees=12, **_TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rich_table()[["amount", "city", "zone", "start", "yes"]])
    assert len(model.model_.forest.columns)
    return model


def tiny_translator() -> TableTranslator:
    """Fit mappings between two halves of some of the columns."""
    sizes: dict[str, Any] = {"hidden_dim": 8, "n_blocks": 1, "n_steps": 4, "batch_size": 32}
    model = TableTranslator(keep=["zone"], **sizes, device="cpu", random_state=0)
    return model.fit(_translated(400, 0), _translated(400, 1))


def _translated(n_rows: int, seed: int) -> pd.DataFrame:
    """Make rows that a translator is fitted to, without identifiers and rules."""
    columns = ["amount", "age", "large", "gaps", "city", "zone", "yes", "start", "length", "same", "maybe"]
    return rich_table(n_rows, seed)[columns]


FIVE = _translated(400, 0).head(5)
"""What a translator has to translate."""


# --- mutants ---------------------------------------------------------------------------


def entries_of(content: bytes) -> dict[str, bytes]:
    """Take an archive apart."""
    with zipfile.ZipFile(BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def archive_of(entries: dict[str, bytes], manifest: dict[str, Any]) -> bytes:
    """Put an archive together, its manifest made to agree with the other entries."""
    others = {name: content for name, content in entries.items() if name != "manifest.json"}
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in others.items()
    }
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), **others}.items():
            file.writestr(name, content)
    return packed.getvalue()


def mutant(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Change a valid file; returns what was done, and the file."""
    kind = str(rng.choice(KINDS))
    if kind == "bytes":
        return kind, _change_bytes(content, rng)
    entries = entries_of(content)
    manifest = json.loads(entries["manifest.json"])
    done = []
    if kind == "document":
        name = str(rng.choice([name for name in entries if name.endswith(".json")]))
        document = manifest if name == "manifest.json" else json.loads(entries[name])
        for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
            done.append(_change_node(document, rng))
        entries[name] = json.dumps(document).encode()
        kind = name
    else:
        change = _change_weights if kind == "weights" else _change_header
        done.append(change(entries, rng))
    return f"{kind}: {'; '.join(done)}", archive_of(entries, manifest)


def _change_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, cut out, repeat or cut off."""
    at, other = sorted(int(place) for place in rng.integers(len(content), size=2))
    stop = min(at + int(rng.integers(1, 64)), len(content))
    match int(rng.integers(5)):
        case 0:
            flipped = bytes([content[at] ^ 1 << int(rng.integers(8))])
            return content[:at] + flipped + content[at + 1 :]
        case 1:
            return content[:at] + rng.bytes(stop - at) + content[stop:]
        case 2:
            return content[:at] + content[stop:]
        case 3:
            return content[:other] + content[at:stop] + content[other:]
    return content[:at]


def _nodes(document: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """List every place of a document: its path, the container and the key in it."""
    keys: Any = (
        document.keys()
        if isinstance(document, dict)
        else range(len(document))
        if isinstance(document, list)
        else ()
    )
    for key in list(keys):
        yield f"{path}/{key}", document, key
        yield from _nodes(document[key], f"{path}/{key}")


def _pick(document: Any, rng: np.random.Generator) -> tuple[str, Any, Any]:
    """Choose a place, all depths alike: long lists of numbers hold most places."""
    by_shape: dict[str, list[tuple[str, Any, Any]]] = {}
    for node in _nodes(document):
        shape = "".join("#" if part.isdigit() else part for part in node[0].split("/"))
        by_shape.setdefault(shape, []).append(node)
    if not by_shape:
        return "/", [document], 0
    nodes = by_shape[str(rng.choice(sorted(by_shape)))]
    return nodes[int(rng.integers(len(nodes)))]


def _change_node(document: Any, rng: np.random.Generator) -> str:
    """Change one place of a document, in place."""
    path, holder, key = _pick(document, rng)
    old = holder[key]
    action = int(rng.integers(7))
    if action == 0 or (action in (1, 2) and not isinstance(old, int | float)):
        holder[key] = copy.deepcopy(JUNK[int(rng.integers(len(JUNK)))])
    elif action == 1:
        holder[key] = old + int(rng.choice([-1, 1, 2, 100]))
    elif action == 2:
        holder[key] = old * float(rng.choice([-1, 10, 1e10, 0.5]))
    elif action == 3:
        del holder[key]
        return f"{path} deleted"
    elif action == 4 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(old))
        return f"{path} twice"
    elif action == 5 and isinstance(holder, list):
        other = int(rng.integers(len(holder)))
        holder[key], holder[other] = holder[other], holder[key]
        return f"{path} and {other} swapped"
    else:
        _, source, other = _pick(document, rng)
        holder[key] = copy.deepcopy(source[other])
    return f"{path} = {str(holder[key])[:60]}"


def _split(entries: dict[str, bytes]) -> tuple[dict[str, Any], bytearray]:
    """Return the header and the numbers of the weights."""
    weights = entries["weights.safetensors"]
    size = struct.unpack("<Q", weights[:8])[0]
    return json.loads(weights[8 : 8 + size]), bytearray(weights[8 + size :])


def _join(header: dict[str, Any], numbers: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(numbers)


def _change_weights(entries: dict[str, bytes], rng: np.random.Generator) -> str:
    """Overwrite some numbers of one tensor."""
    header, numbers = _split(entries)
    names = [name for name, part in header.items() if len(set(part["data_offsets"])) > 1]
    name = str(rng.choice(names))
    begin, end = header[name]["data_offsets"]
    dtype = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4"}.get(header[name]["dtype"], "u1")
    values = np.frombuffer(bytes(numbers[begin:end]), dtype).copy()
    where = rng.integers(len(values), size=int(rng.choice([1, 3, len(values)])))
    if rng.random() < 0.5:
        values[where] = np.frombuffer(rng.bytes(values.itemsize * len(where)), dtype)
        what = "random bits"
    else:
        what = float(rng.choice([0, -1, 1, 1e9, 3e38, -3e38, 1e-38]))
        with np.errstate(all="ignore"):
            values[where] = np.float64(what).astype(values.dtype)
    numbers[begin:end] = values.tobytes()
    entries["weights.safetensors"] = _join(header, numbers)
    return f"{name}, {len(where)} of {len(values)}: {what}"


def _change_header(entries: dict[str, bytes], rng: np.random.Generator) -> str:
    """Change what the weights say about their names, types, shapes and places."""
    header, numbers = _split(entries)
    done = _change_node(header, rng)
    entries["weights.safetensors"] = _join(header, numbers)
    return done


# --- judging ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant, and what loading it cost."""

    found: str  # "refused", "works" or "cannot be used"
    seconds: float
    megabytes: int


def outcome(path: Path, read: Callable[[Path], Any] = load) -> Outcome:
    """Load a file and sample or translate; anything but a `SynthganError` is raised."""
    _forget_peak()
    before, start = _memory("VmRSS"), time.perf_counter()
    try:
        model = read(path)
    except ModelFileError:
        model = None
    paid = time.perf_counter() - start, _memory("VmHWM") - before
    if model is None:
        return Outcome("refused", *paid)
    try:
        model.transform(FIVE) if isinstance(model, TableTranslator) else model.sample(5, random_state=0)
    except SynthganError:
        return Outcome("cannot be used", *paid)
    return Outcome("works", *paid)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(name: str) -> int:
    """Return VmRSS (memory now) or VmHWM (the most so far) of this process in MB; 0 but on Linux."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    return int(status.read_text(encoding="ascii").partition(f"{name}:")[2].split()[0]) // 1024


def _give_up(*_: object) -> None:
    raise TimeoutError("it did not end")


@click.command()
@click.option("--mutants", default=20_000, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the first mutant; the next ones count on.")
def main(mutants: int, seed: int) -> None:
    """Try so many mutants; the exit code is 1 if one of them ended in anything unforeseen."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _give_up)
    counts: Counter[str] = Counter()
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.synthgan"
        originals: list[tuple[bytes, Callable[[Path], Any]]] = []
        for model in (floor(), tiny_gan(), tiny_gan("gaussian"), tiny_forest(), tiny_translator()):
            model.save(path)
            originals.append((path.read_bytes(), getattr(type(model), "load", load)))
            assert outcome(path, originals[-1][1]).found == "works"
        for k in range(seed, seed + mutants):
            original, read = originals[k % len(originals)]
            what, content = mutant(original, np.random.default_rng(k))
            path.write_bytes(content)
            signal.alarm(60)
            try:
                end = outcome(path, read)
                costs.append((end.seconds, end.megabytes))
                problem = "" if end.seconds <= MAX_SECONDS and end.megabytes <= MAX_MEGABYTES else str(end)
                counts[end.found] += 1
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:100]}"
            signal.alarm(0)
            if problem:
                print(f"seed {k}, {what}\n    {problem}", flush=True)
                counts["FAILED"] += 1
    seconds, megabytes = np.max(costs, axis=0)
    print(f"{mutants:,} mutants: {', '.join(f'{n:,} {found}' for found, n in sorted(counts.items()))}")
    print(f"dearest load: {seconds:.2f} s, {megabytes:.0f} MB")
    raise SystemExit(counts["FAILED"] > 0)


if __name__ == "__main__":
    main()
