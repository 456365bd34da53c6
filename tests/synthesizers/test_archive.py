import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as write_arrays

from synthgan import IndependentSynthesizer, load
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
    import hashlib

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


def test_the_file_holds_no_value_of_a_row(path):
    content = path.read_bytes()
    for spelling in (repr(CANARY), str(int(CANARY)), f"{CANARY:.6g}", f"{CANARY:.8e}"):
        assert spelling.encode() not in content
    for dtype in (np.float32, np.float64):
        assert np.array(CANARY, dtype).tobytes() not in content


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

    (tmp_path / "x.synthgan").write_bytes(pickle.dumps(Bomb()))
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
    assert_refused(path, "is compressed, encrypted or too large")


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
