import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as write_arrays

from benchmarks import fuzz_model_file as fuzz
from synthgan import IndependentSynthesizer, load
from synthgan.constraints import FunctionalDependency, Sum
from synthgan.errors import DataError, ModelFileError
from synthgan.synthesizers.archive import FORMAT_VERSION, read_manifest

CANARY = 48_151_623.42108


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(8, 2, 500),
            "place": rng.choice(["here", "there", "ümläut"], 500),
            "age": rng.integers(18, 70, 500),
        }
    )
    frame.loc[::7, "place"] = None
    frame.loc[250, "amount"] = CANARY
    frame.loc[251, "amount"] = CANARY * 2  # so that the canary is no bound of the column
    return frame


@pytest.fixture(scope="module")
def model(real):
    return IndependentSynthesizer(kinds={"age": "numerical"}, random_state=3).fit(real)


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.synthgan")
    return tmp_path / "model.synthgan"


@pytest.fixture
def entries(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write_zip(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in entries:
            file.writestr(name, content)


def forge(path, entries, changed):
    """Change entries and make the manifest's hashes agree, as an attacker would."""
    entries = entries | changed
    manifest = json.loads(entries["manifest.json"])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in entries.items()
        if name != "manifest.json"
    }
    entries["manifest.json"] = json.dumps(manifest).encode()
    write_zip(path, entries.items())


def assert_refused(path, message="synthgan"):
    with pytest.raises(ModelFileError, match=message) as failure:
        load(path)
    assert str(path) in str(failure.value)
    assert "  " not in str(failure.value)


def test_a_loaded_model_samples_the_same_rows(model, path):
    again = load(path)
    pd.testing.assert_frame_equal(again.sample(700, random_state=5), model.sample(700, random_state=5))
    assert again.get_params() == model.get_params()
    assert (again.seed_, again.n_rows_, again.n_features_in_) == (3, 500, 3)


def test_equal_models_give_equal_bytes(real, model, path, tmp_path):
    load(path).save(tmp_path / "again.synthgan")
    IndependentSynthesizer(kinds={"age": "numerical"}, random_state=3).fit(real).save(
        tmp_path / "fresh.synthgan"
    )
    assert path.read_bytes() == (tmp_path / "again.synthgan").read_bytes()
    assert path.read_bytes() == (tmp_path / "fresh.synthgan").read_bytes()


def values_of(node):
    """Every scalar of a JSON document, text and numbers."""
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from values_of(child)
    else:
        yield node


def everything_in(content):
    """Every text and number of a model file, 64-bit integers included."""
    entries = fuzz.entries_of(content)
    found = set()
    for name, entry in entries.items():
        if name.endswith(".json"):
            found.update(values_of(json.loads(entry)))
    found |= {int(text) for text in found if isinstance(text, str) and text.lstrip("-").isdigit()}
    for array in read_arrays(entries["weights.safetensors"]).values():
        found.update(array.ravel().tolist())
    return found


def unique_values(n_rows=600):
    """A table in which a value of any column but the last belongs to one row."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "name": [f"Name {k:08x}" for k in rng.choice(2**20, n_rows, replace=False)],
            "amount": rng.lognormal(8, 2, n_rows),
            "cents": rng.choice(10**7, n_rows, replace=False) / 100,
            "large": rng.choice(2**20, n_rows, replace=False).astype(np.int64) * 2**40 + 17,
            "float32": rng.normal(size=n_rows).astype(np.float32),
            "time": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.choice(10**8, n_rows, replace=False), unit="s"),
            "group": rng.choice(["a", "b"], n_rows),
        }
    )


@pytest.mark.parametrize("kind", ["independent", "networks"])
def test_the_file_holds_no_value_of_a_row_but_extremes(tmp_path, kind):
    """Of a single row's values it holds the lowest and the highest numbers, which bound the columns."""
    real = unique_values()
    model = (
        IndependentSynthesizer(random_state=0)
        if kind == "independent"
        else fuzz.tiny_gan().set_params(constraints="auto")
    )
    model.set_params(kinds={"cents": "numerical", "large": "numerical", "time": "datetime"}).fit(real).save(
        tmp_path / "m.synthgan"
    )
    content = (tmp_path / "m.synthgan").read_bytes()
    held = everything_in(content)
    assert not held & set(real["name"])
    for name in ("amount", "cents", "large", "float32", "time"):
        plain = real[name].astype("int64") if name == "time" else real[name]
        codec = model.codec_.codecs_[name]
        for values in (plain, codec.grid_.index(plain.to_numpy())):  # as they are, and as coordinates
            own = set(values.tolist()) - {values.min(), values.max()}
            small = {value for value in own if abs(value) < 10_000 and float(value).is_integer()}
            # 600 float32 values and 50,000 float32 weights: two may be the same by chance
            by_chance = 2 if (kind, name) == ("networks", "float32") else 0
            assert len(held & (own - small)) <= by_chance, name
        assert np.float64(plain.sort_values().iloc[len(plain) // 3]).tobytes() not in content


def test_a_generator_as_random_state_is_forgotten_and_its_seed_kept(real, tmp_path):
    model = IndependentSynthesizer(random_state=np.random.default_rng(0)).fit(real)
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    assert again.random_state is None
    assert again.seed_ == model.seed_


def test_the_manifest_says_what_the_file_is(path):
    manifest = read_manifest(path)
    assert manifest["format"] == "synthgan-model"
    assert manifest["format_version"] == FORMAT_VERSION
    assert manifest["estimator"] == "independent"
    assert manifest["train"] == {"n_rows": 500, "n_columns": 3, "seed": 3}
    assert [column["name"] for column in manifest["columns"]] == ["amount", "place", "age"]
    documents = {"schema.json", "constraints.json", "transform.json", "state.json"}
    assert set(manifest["files"]) == {*documents, "weights.safetensors"}


def test_reading_a_model_imports_no_pickle_and_a_manifest_no_torch(path):
    code = f"""
import sys
from synthgan.synthesizers.archive import read_manifest
read_manifest({str(path)!r})
assert not {{'torch', 'pandas', 'sklearn'}} & set(sys.modules)
import synthgan, pickle
def refuse(*args, **kwargs): raise SystemExit("unpickled")
pickle.load = pickle.loads = pickle.Unpickler = refuse
synthgan.load({str(path)!r}).sample(5)
assert 'torch' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_inspecting_a_file_loads_no_heavy_library(path):
    code = f"""
import sys
from synthgan.cli import main
main(["inspect", {str(path)!r}], standalone_mode=False)
assert not {{'torch', 'pandas', 'sklearn', 'scipy', 'pyarrow', 'matplotlib'}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "independent, format 1" in done.stdout


def test_saving_is_complete_or_not_at_all(model, path, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        model.save(tmp_path / "no" / "model.synthgan")
    before = path.read_bytes()
    model.set_params(random_state=object())
    try:
        model.save(path)  # an object has no JSON form: it is no seed, and is left out
    finally:
        model.set_params(random_state=3)
    model.set_params(kinds={"age": object()})
    try:
        with pytest.raises(DataError, match="'kinds' parameter of IndependentSynthesizer is a object"):
            model.save(path)
    finally:
        model.set_params(kinds={"age": "numerical"})
    model.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.synthgan"]


def test_another_machine_need_not_have_the_device(networks, tmp_path):
    path = tmp_path / "m.synthgan"
    path.write_bytes(networks)
    model = load(path)
    assert model.device == "cpu"
    model.set_params(device="cuda:7").save(path)
    assert load(path).device == "auto"


def test_a_disk_that_is_full_leaves_the_old_file(model, path):
    resource = pytest.importorskip("resource")
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(
            DataError, match=r"Cannot write '.*model.synthgan': File too large. What was there"
        ):
            model.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.synthgan"]


KILLER = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from synthgan import load
path, n_kills = Path(sys.argv[1]), int(sys.argv[2])
models = [load(other) for other in sys.argv[3:]]
contents = [Path(other).read_bytes() for other in sys.argv[3:]]
rng, found = np.random.default_rng(0), []
models[0].save(path)
for _ in range(n_kills):
    child = os.fork()
    while child == 0:
        for model in models:
            model.save(path)
    time.sleep(rng.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found.append(contents.index(path.read_bytes()))
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink()
assert set(found) == {0, 1}, found
assert [file.name for file in path.parent.iterdir()] == [path.name]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("n_kills", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_leaves_the_old_or_the_new_file(real, path, tmp_path, n_kills):
    other = tmp_path / "other.synthgan"
    IndependentSynthesizer(random_state=4).fit(real.head(300)).save(other)
    (tmp_path / "folder").mkdir()
    arguments = [str(tmp_path / "folder" / "model.synthgan"), str(n_kills), str(path), str(other)]
    subprocess.run([sys.executable, "-c", KILLER, *arguments], check=True)


# --- the format ------------------------------------------------------------------------

DATA = Path(__file__).parent.parent / "data"
GOLDEN_ROWS = "5e5a2013a5d24d568f4e5b69e47d492d0a093045e819a66ec7b3b08fe2cf97b2"
"""SHA-256 of 50 rows as CSV, of numpy's present generators."""


def golden_table(n_rows=300):
    """A table whose dtypes every supported pandas has."""
    rng = np.random.default_rng(5)
    city, cents = rng.integers(0, 9, n_rows), rng.integers(0, 9000, (2, n_rows))
    return pd.DataFrame(
        {
            "id": pd.Series([f"C-{k:04d}" for k in range(n_rows)], dtype=object),
            "amount": rng.lognormal(3, 2, n_rows),
            "age": pd.array(np.where(rng.random(n_rows) < 0.1, None, rng.integers(18, 70, n_rows)), "Int16"),
            "city": pd.Categorical.from_codes(city, pd.Index([f"city {k}" for k in range(9)], dtype=object)),
            "zone": pd.Categorical.from_codes(city // 3, pd.Index([1, 2, 3]), ordered=True),
            "net": cents[0] / 100,
            "gross": cents.sum(axis=0) / 100,
            "tax": cents[1] / 100,
            "start": (1_700_000_000 + rng.integers(0, 10**7, n_rows)).astype("M8[s]").astype("M8[ns]"),
            "note": pd.Series(["same"] * n_rows, dtype=object),
        }
    )


def write_golden_files():
    """Write the files anew, when the format changes on purpose: python -m tests.synthesizers.test_archive."""
    rules = [FunctionalDependency("city", "zone"), Sum("gross", ["net", "tax"])]
    path = DATA / "independent-1.synthgan"
    IndependentSynthesizer(constraints=rules, random_state=0).fit(golden_table()).save(path)
    print("GOLDEN_ROWS =", rows_hash(load(path)))
    path = DATA / "tabular-gan-1.synthgan"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training collapses
        fuzz.tiny_gan().fit(golden_table()).save(path)
    entries = fuzz.entries_of(path.read_bytes())
    weights = entries["weights.safetensors"]  # too many for a repository: their names and shapes stay
    entries["weights.safetensors"] = weights[: 8 + int.from_bytes(weights[:8], "little")]
    path.write_bytes(fuzz.archive_of(entries, json.loads(entries["manifest.json"])))


def rows_hash(model):
    rows = model.sample(50, random_state=0).to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()


def test_a_file_of_format_1_opens_and_gives_the_same_rows():
    """It was written once and for all: whoever breaks this makes the users' files worthless."""
    path = DATA / "independent-1.synthgan"
    assert path.stat().st_size < 100_000
    assert read_manifest(path)["format_version"] == 1
    model = load(path)
    rows = model.sample(50, random_state=0)
    assert list(rows.dtypes) == list(golden_table().dtypes)
    assert rows["note"].eq("same").all()
    assert all(rule.holds(rows).all() for rule in model.constraints_)
    assert rows_hash(model) == GOLDEN_ROWS


def test_the_same_table_still_gives_the_same_bytes(tmp_path):
    """But for the manifest, which names versions."""
    golden = load(DATA / "independent-1.synthgan")
    golden.fit(golden_table()).save(tmp_path / "m.synthgan")
    new, old = (
        fuzz.entries_of((folder / name).read_bytes())
        for folder, name in [(tmp_path, "m.synthgan"), (DATA, "independent-1.synthgan")]
    )
    assert {name for name in old if new[name] != old[name]} <= {"manifest.json"}


def test_a_file_of_networks_of_format_1_opens_and_samples(tmp_path):
    """The file in the repository has no numbers in its weights; any will do here."""
    entries = fuzz.entries_of((DATA / "tabular-gan-1.synthgan").read_bytes())
    header = entries["weights.safetensors"]
    rng, numbers = np.random.default_rng(0), b""
    for part in sorted(json.loads(header[8:]).values(), key=lambda part: part["data_offsets"]):
        is_order = part["dtype"] == "I64"
        values = np.arange(int(np.prod(part["shape"]))) if is_order else rng.normal(0, 0.05, part["shape"])
        numbers += values.astype("<i8" if is_order else "<f4").tobytes()
    entries["weights.safetensors"] = header + numbers
    path = tmp_path / "m.synthgan"
    path.write_bytes(fuzz.archive_of(entries, json.loads(entries["manifest.json"])))
    model, real = load(path), golden_table()
    rows = model.sample(50, random_state=0)
    assert list(rows.dtypes) == list(real.dtypes)
    assert rows["amount"].between(real["amount"].min(), real["amount"].max()).all()
    assert rows["city"].isin(real["city"]).all()
    assert all(rule.holds(rows).all() for rule in model.constraints_)


# --- hostile files ---------------------------------------------------------------------


def test_a_missing_file_is_a_model_file_error(tmp_path):
    assert_refused(tmp_path / "none.synthgan", "There is no model file")
    assert_refused(tmp_path, "cannot be read")
    with pytest.raises(ModelFileError, match="There is no model file"):
        read_manifest(tmp_path / "none.synthgan")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a model", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.synthgan").write_bytes(content)
    assert_refused(tmp_path / "x.synthgan")


def test_a_renamed_pickle_is_refused_unread(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code of the file was run",))

    bomb = pickle.dumps(Bomb())
    (tmp_path / "x.synthgan").write_bytes(bomb)
    assert_refused(tmp_path / "x.synthgan", "is not a synthgan model file")
    write_zip(tmp_path / "x.synthgan", [("x/data.pkl", bomb), ("x/version", b"3\n")])  # as torch.save does
    assert_refused(tmp_path / "x.synthgan", "it has no manifest")
    (tmp_path / "x.synthgan").write_bytes(zlib.compress(bomb))  # as joblib.dump does
    assert_refused(tmp_path / "x.synthgan", "is not a synthgan model file")


def test_another_zip_is_refused(tmp_path):
    write_zip(tmp_path / "x.synthgan", [("data.pkl", b"x")])
    assert_refused(tmp_path / "x.synthgan", "it has no manifest")
    write_zip(tmp_path / "x.synthgan", [("manifest.json", b'{"format": "other"}')])
    assert_refused(tmp_path / "x.synthgan", "is not a synthgan model file")


def test_every_truncation_is_refused(path):
    content = path.read_bytes()
    for part in range(64):
        path.write_bytes(content[: len(content) * part // 64])
        assert_refused(path)


def test_a_flipped_bit_is_refused_or_without_effect(model, path):
    content = path.read_bytes()
    expected = model.sample(20, random_state=0)
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(len(content), size=400):
        broken = bytearray(content)
        broken[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            sampled = load(path).sample(20, random_state=0)
        except ModelFileError:
            refused += 1
        else:  # a bit of the zip's own bookkeeping that says nothing about the model
            pd.testing.assert_frame_equal(sampled, expected)
    assert refused > 300


def test_a_wrong_hash_is_refused(path, entries):
    write_zip(path, (entries | {"state.json": b"{ }"}).items())
    assert_refused(path, "'state.json' does not match the recorded hash")


def test_a_newer_format_says_what_to_do(path, entries):
    manifest = json.loads(entries["manifest.json"]) | {"format_version": 9, "min_reader": 8}
    manifest["versions"]["synthgan"] = "7.1"
    write_zip(path, (entries | {"manifest.json": json.dumps(manifest).encode(), "new": b""}).items())
    assert_refused(
        path, r"was written by synthgan 7.1, format 9; this version reads format 1. Upgrade synthgan\."
    )
    manifest["min_reader"] = 1
    write_zip(path, (entries | {"manifest.json": json.dumps(manifest).encode()}).items())
    load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": "builtins.eval"},
        {"estimator": ["tabular-gan"]},
        {"format_version": "1"},
        {"min_reader": None},
        {"params": {"unknown": 1}},
        {"params": {"kinds": 3}},
        {"params": None},
        {"files": []},
        {"files": {}},
        {"train": {"seed": "0"}},
        {"train": {"seed": -1, "n_rows": 500, "n_columns": 3}},
        {"columns": [{"name": "amount"}]},
        {"columns": []},
        {"constraints": [1]},
        {"constraints": "age"},
        {"versions": {"synthgan": ["0.1"]}},
    ],
)
def test_a_manifest_that_says_something_else_is_refused(path, entries, change):
    manifest = json.loads(entries["manifest.json"]) | change
    write_zip(path, (entries | {"manifest.json": json.dumps(manifest).encode()}).items())
    assert_refused(path)


@pytest.mark.parametrize("name", ["extra.json", "../evil", "/etc/evil", "history.pkl"])
def test_an_extra_entry_is_refused(path, entries, name):
    write_zip(path, [*entries.items(), (name, b"{}")])
    assert_refused(path, "do not belong")


def test_a_missing_entry_is_refused(path, entries):
    for name in entries:
        write_zip(path, [(other, content) for other, content in entries.items() if other != name])
        assert_refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_entry_is_refused(path, entries):
    for name in ("state.json", "manifest.json"):
        write_zip(path, [*entries.items(), (name, entries[name])])
        assert_refused(path)


def test_a_compressed_entry_is_refused(path, entries):
    write_zip(path, entries.items(), compression=zipfile.ZIP_DEFLATED)
    assert_refused(path, "is compressed, encrypted, a link or too large")


def test_a_zip_bomb_is_refused_unread(path, entries):
    big = entries | {"state.json": b" " * 50_000_000}
    write_zip(path, big.items(), compression=zipfile.ZIP_DEFLATED)
    assert_refused(path, "is compressed")
    write_zip(path, (entries | {"manifest.json": b" " * 5_000_000}).items())
    assert_refused(path, "'manifest.json' is .* too large")


def test_an_encrypted_entry_and_a_link_are_refused(path, entries):
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")  # the first entry of the directory; its flags are 8 bytes further on
    path.write_bytes(content[: at + 8] + b"\x01" + content[at + 9 :])
    assert_refused(path, "encrypted")
    link = zipfile.ZipInfo("state.json")
    link.external_attr = 0o120777 << 16
    write_zip(path, [(link if name == link.filename else name, content) for name, content in entries.items()])
    assert_refused(path, "a link")


def test_too_many_entries_are_refused_unread(path, entries):
    write_zip(path, [*entries.items(), *((f"{k}.json", b"{}") for k in range(20_000))])
    assert_refused(path, "do not belong")


def test_what_stands_before_or_after_the_archive_is_refused(path):
    content = path.read_bytes()
    for more in (b"x", b"PK\x05\x06", content):
        path.write_bytes(content + more)
        assert_refused(path)
        path.write_bytes(more + content)
        assert_refused(path)
    locator = b"PK\x06\x07" + bytes(16)  # promises another directory, of any size
    path.write_bytes(content[:-22] + locator + content[-22:])
    assert_refused(path, "something was added")


def test_a_declared_size_that_is_not_there_is_refused(path):
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        size = file.getinfo("manifest.json").file_size
    bomb = content.replace(size.to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "little"))
    assert bomb != content
    path.write_bytes(bomb)
    assert_refused(path, "too large")


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff",
        b"",
        b"[]",
    ],
)
@pytest.mark.parametrize("name", ["schema.json", "constraints.json", "transform.json", "state.json"])
def test_malformed_documents_are_refused(path, entries, name, document):
    if (name, document) == ("state.json", b""):
        return
    forge(path, entries, {name: document})
    assert_refused(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a[:-1],
        lambda a: a[None],
        lambda a: a.astype(np.float32),
        lambda a: a * np.nan,
        lambda a: a * np.inf,
        lambda a: a * 2,
        lambda a: -a,
    ],
)
def test_weights_that_do_not_fit_are_refused(path, entries, spoil):
    arrays = read_arrays(entries["weights.safetensors"])
    arrays["0.frequencies"] = np.ascontiguousarray(spoil(arrays["0.frequencies"]))
    with np.errstate(all="ignore"):
        forge(path, entries, {"weights.safetensors": write_arrays(arrays)})
    assert_refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, (10**9).to_bytes(8, "little"), (2).to_bytes(8, "little") + b"{}xx"]
)
def test_weights_that_are_no_safetensors_are_refused(path, entries, content):
    forge(path, entries, {"weights.safetensors": content})
    assert_refused(path)


def header(**tensors):
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((17 * 2**20).to_bytes(8, "little") + b" " * 17 * 2**20, "header of its weights is too large"),
        (header(x={"dtype": "F64", "shape": [10**9, 10**9], "data_offsets": [0, 8]}) + bytes(8), "damaged"),
        (header(x={"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}), "damaged"),
        (header(x={"dtype": "F99", "shape": [1], "data_offsets": [0, 8]}) + bytes(8), "damaged"),
    ],
)
def test_weights_of_huge_dimensions_or_headers_are_refused(path, entries, content, message):
    forge(path, entries, {"weights.safetensors": content})
    assert_refused(path, message)


def changed(document, place, value):
    """Set what stands at a place such as "columns/0/sizes" of a JSON document."""
    document = node = json.loads(document)
    *way, last = (int(key) if key.isdigit() else key for key in place.split("/"))
    for key in way:
        node = node[key]
    assert last in node or isinstance(node, list)
    node[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("columns/0/width", 10**9),  # a text of so many digits for each row
        ("columns/0/style", "secret"),
        ("columns/0/missing_rate", 2.0),
        ("columns/1/start", {"int": str(2**70)}),
        ("columns/2/codes/starts/1", 2**62),  # so many copies
        ("columns/2/codes/starts", 4),
        ("columns/2/codes/ranks/3", 2.0),
        ("columns/2/codes/mode/0", 7),
        ("columns/2/codes/knots", []),
        ("columns/2/codes/low/0", {"float": "inf"}),
        ("columns/2/grid/low", 1e300),
        ("columns/2/grid/scale", 3.0),
        ("columns/3/grid/top", 5),
        ("columns/3/grid/step", 0),
        ("columns/3/grid/origin", {"int": str(2**63 - 1)}),
        ("columns/3/grid/unsigned", True),
        ("columns/6/grid/step", 1000),  # beyond int16
        ("columns/9/sizes/0", 10**10),
        ("columns/9/sizes/0", -1),
        ("columns/9/levels", []),
        ("columns/16/grid/decimals", 2**31),
        ("columns/19/value", [1, 2]),
        ("relations/9", [2]),
        ("maps/0/key", 8),
        ("maps/0/effects/0/1", []),
        ("max_modes", 0),
        ("random_state", -1),
    ],
)
def test_a_transform_that_cannot_be_decoded_is_refused(rich, tmp_path, place, value):
    entries = fuzz.entries_of(rich)
    forge(
        tmp_path / "m.synthgan", entries, {"transform.json": changed(entries["transform.json"], place, value)}
    )
    assert_refused(tmp_path / "m.synthgan", "damaged")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("rules/0/columns/0", "no column"),
        ("rules/0/combinations/0/dtype", {"numpy": "float64"}),
        ("rules/1/decimals", 102),
        ("rules/2/columns/1", "city"),
        ("rules/3/max_tries", 2**40),
        ("rules/3/rule", "predicate"),
    ],
)
def test_a_rule_that_does_not_fit_the_columns_is_refused(rich, tmp_path, place, value):
    entries = fuzz.entries_of(rich)
    constraints = changed(entries["constraints.json"], place, value)
    forge(tmp_path / "m.synthgan", entries, {"constraints.json": constraints})
    assert_refused(tmp_path / "m.synthgan", "damaged")


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A file that holds every sort of column and rule."""
    path = tmp_path_factory.mktemp("rich") / "m.synthgan"
    fuzz.floor().save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "m.synthgan"
    fuzz.tiny_gan().save(path)
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore")  # of what overflows in mutants that work
@pytest.mark.parametrize(("original", "n_mutants"), [("rich", 250), ("networks", 50)])
def test_a_mutant_is_refused_or_works(request, tmp_path, original, n_mutants):
    content, path = request.getfixturevalue(original), tmp_path / "mutant.synthgan"
    found = set()
    for k in range(n_mutants):
        what, changed = fuzz.mutant(content, np.random.default_rng(k))
        path.write_bytes(changed)
        try:
            found.add(fuzz.outcome(path).found)
        except Exception as error:
            pytest.fail(f"mutant {k}, {what}: {error!r}")
    assert {"refused", "works"} <= found


def test_hostile_files_cost_little(path, entries):
    size = (2**31 - 1).to_bytes(4, "little")
    whole, n_bytes = path.read_bytes(), len(entries["transform.json"]).to_bytes(4, "little")
    deep = b"[" * 10**6 + b"]" * 10**6
    forged = [
        entries | {"state.json": deep},
        entries | {"state.json": b" " * 65 * 2**20},
        entries | {"weights.safetensors": (2**60).to_bytes(8, "little") + bytes(2**20)},
    ]
    for content in (whole.replace(n_bytes, size), whole[: len(whole) // 2], *forged):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            forge(path, entries, content)
        assert_refused(path)
        end = fuzz.outcome(path)
        assert end.seconds < fuzz.MAX_SECONDS
        assert end.megabytes < fuzz.MAX_MEGABYTES


if __name__ == "__main__":
    write_golden_files()


def test_a_date_that_names_a_column_of_kinds_is_kept(tmp_path):
    day = pd.Timestamp("2024-01-01")
    model = IndependentSynthesizer(kinds={day: "categorical"}, random_state=0)
    model.fit(pd.DataFrame({day: [0, 1] * 50, "x": range(100)})).save(tmp_path / "m.synthgan")
    assert load(tmp_path / "m.synthgan").kinds == {day: "categorical"}
