"""Samples on disk are those in memory, whatever stops the writing on the way."""

import json
import shutil
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from synthgan import IndependentSynthesizer, TabularDiffusion, load, read_table
from synthgan.constraints import Inequality, Predicate, Unique
from synthgan.errors import ConditionError, DataError, ParameterError
from synthgan.synthesizers.parts import MANIFEST, is_folder, model_digest

N_ROWS, PART_ROWS = 200_000, 65_536


def table(n_rows=400):
    rng = np.random.default_rng(0)
    low = rng.integers(0, 90, n_rows)
    return pd.DataFrame(
        {
            "low": low,
            "high": low + rng.integers(0, 9, n_rows),
            "text": rng.choice(["a", "b", "c,\n"], n_rows),
            "rare": pd.Series(rng.choice([1, 5], n_rows, p=[0.01, 0.99]), dtype="Int64").replace(1, pd.NA),
            "price": [Decimal(int(cents)) / 100 for cents in rng.integers(0, 30, n_rows)],
            "id": [f"{k:032x}-"[:8] + f"-{k:04d}" for k in rng.permutation(n_rows)],
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**6, n_rows), unit="s"),
        }
    )


@pytest.fixture(scope="module")
def model():
    return IndependentSynthesizer(constraints=[Inequality("low", "high")], random_state=0).fit(table())


@pytest.fixture(scope="module")
def whole(model):
    return model.sample(N_ROWS, random_state=1)


@pytest.fixture(scope="module")
def complete(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "out"
    model.sample_to(folder, N_ROWS, random_state=1, part_rows=PART_ROWS)
    return folder


@pytest.fixture
def folder(complete, tmp_path):
    return shutil.copytree(complete, tmp_path / "out")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_parts_are_the_sample(complete, whole):
    assert [path.name for path in sorted(complete.iterdir())] == [
        MANIFEST, "part-00000.parquet", "part-00001.parquet", "part-00002.parquet", "part-00003.parquet",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(read_table(complete / "*.parquet"), whole)
    assert len(pd.read_parquet(complete)) == N_ROWS  # the manifest is in nobody's way
    assert whole["id"].is_unique
    assert (whole["low"] <= whole["high"]).all()


def test_the_manifest_says_what_the_rows_come_from(complete, model, tmp_path):
    facts = json.loads((complete / MANIFEST).read_text())
    model.save(tmp_path / "m.synthgan")
    assert facts.pop("model") == model_digest(model) == model_digest(load(tmp_path / "m.synthgan"))
    assert facts.pop("written_by").startswith("synthgan ")
    assert facts == {
        "format": "synthgan-parts", "seed": 1, "n_passes": None, "conditions": [], "part_rows": PART_ROWS,
        "n_rows": N_ROWS,
    }  # fmt: skip


def test_what_is_missing_or_broken_is_made_again_with_the_same_bytes(model, folder):
    before = contents(folder)
    kept = (folder / "part-00000.parquet").stat().st_mtime_ns
    (folder / "part-00001.parquet").unlink()
    (folder / "part-00003.parquet").write_bytes(b"PAR1 cut off")
    (folder / ".part-00002.parquet.0011aabb.tmp").write_bytes(b"left by a run that was killed")
    model.sample_to(folder, N_ROWS, part_rows=PART_ROWS)  # with the seed that the folder names
    assert contents(folder) == before
    assert (folder / "part-00000.parquet").stat().st_mtime_ns == kept


def test_rows_can_be_added_but_not_taken_away(model, folder, complete):
    with pytest.raises(DataError, match="is to hold 200,000 rows already"):
        model.sample_to(folder, 10, random_state=1)
    model.sample_to(folder, N_ROWS + 100_000, random_state=1)
    assert contents(folder)["part-00002.parquet"] == contents(complete)["part-00002.parquet"]
    pd.testing.assert_frame_equal(
        read_table(folder / "*.parquet"), model.sample(N_ROWS + 100_000, random_state=1)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"random_state": 2}, "not the same in 'seed'"),
        ({"conditions": {"text": ["a", "b"]}}, "not the same in 'conditions'"),
        ({"part_rows": 2 * PART_ROWS}, "not the same in 'part_rows'"),
    ],
)
def test_parts_of_another_sample_are_refused(model, folder, options, words):
    before = contents(folder)
    with pytest.raises(DataError, match=words):
        model.sample_to(folder, N_ROWS, **{"random_state": 1, **options})
    assert contents(folder) == before


def test_parts_of_another_way_of_sampling_are_refused(tmp_path):
    real = table().drop(columns=["id", "when", "price"])
    model = TabularDiffusion(n_steps=1, hidden_dim=8, n_diffusion_steps=2, random_state=0).fit(real)
    model.sample_to(tmp_path / "out", 10, random_state=1)
    with pytest.raises(DataError, match="not the same in 'n_diffusion_steps'"):
        model.set_params(n_diffusion_steps=1).sample_to(tmp_path / "out", 20, random_state=1)


def test_numpy_integers_are_numbers_of_rows(model, folder, complete):
    model.sample_to(folder, np.int64(N_ROWS), part_rows=np.int64(PART_ROWS), random_state=np.int64(1))
    assert contents(folder) == contents(complete)


def test_a_predicate_cannot_be_written_down(tmp_path):
    rule = Predicate(lambda rows: rows["low"] >= 0)
    model = IndependentSynthesizer(constraints=[rule], random_state=0).fit(table())
    with pytest.raises(ParameterError, match="Predicate cannot be written down"):
        model.sample_to(tmp_path / "out", 10)
    assert not list(tmp_path.iterdir())
    model.sample_to(tmp_path / "rows.csv", 10, random_state=0)
    assert len(read_table(tmp_path / "rows.csv")) == 10


def test_parts_of_another_model_are_refused(folder):
    other = IndependentSynthesizer(random_state=0).fit(table(300))
    with pytest.raises(DataError, match="not the same in 'model'"):
        other.sample_to(folder, N_ROWS, random_state=1)


def test_other_files_are_not_touched(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        model.sample_to(tmp_path, 10)
    (tmp_path / "plain").write_text("")
    with pytest.raises(DataError, match="is a file"):
        model.sample_to(tmp_path / "plain", 10)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MANIFEST).write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        model.sample_to(tmp_path / "odd", 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "odd", "plain"]


def test_conditions_hold_in_every_part_and_are_written_down(model, tmp_path):
    asked = {
        "text": ["a", "b"],
        "low": (10, None),
        "when": (pd.Timestamp("2024-01-02"), None),
        "rare": np.int64(5),
    }
    model.sample_to(tmp_path / "out", 1000, conditions=asked, random_state=0)
    rows = read_table(tmp_path / "out" / "*.parquet")
    pd.testing.assert_frame_equal(rows, model.sample(1000, conditions=asked, random_state=0))
    assert rows["text"].isin(["a", "b"]).all()
    written = json.loads((tmp_path / "out" / MANIFEST).read_text())["conditions"]
    assert written[:2] == [["text", {"any_of": ["a", "b"]}], ["low", {"range": [10, None]}]]
    assert written[3] == ["rare", 5]


def test_nothing_is_written_for_what_cannot_be_drawn(model, tmp_path):
    with pytest.raises(ConditionError, match="no category"):
        model.sample_to(tmp_path / "out", 10, conditions={"text": "x"})
    with pytest.raises(ParameterError, match=r"multiple of 65,536.* Use 65,536 or 131,072"):
        model.sample_to(tmp_path / "out", 10, part_rows=100_000)
    with pytest.raises(ParameterError, match="'part_rows' parameter"):
        model.sample_to(tmp_path / "out", 10, part_rows=0)
    with pytest.raises(ParameterError, match="'n_samples' parameter"):
        model.sample_to(tmp_path / "out", -1)
    with pytest.raises(ParameterError, match="part_rows has no effect"):
        model.sample_to(tmp_path / "t.csv", 10, part_rows=PART_ROWS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", [".csv", ".csv.gz", ".parquet", ".feather"])
def test_one_file_holds_the_sample(model, whole, tmp_path, extension):
    model.sample_to(tmp_path / f"t{extension}", 70_000, random_state=1)
    found = read_table(tmp_path / f"t{extension}")
    expected = whole.head(70_000)
    for name in ("low", "high", "text", "rare", "id", "when"):
        assert found[name].equals(expected[name].astype(found[name].dtype)), name
    assert (found["price"].astype(float) == expected["price"].astype(float)).all()


def test_no_rows_make_an_empty_table(model, tmp_path):
    for name in ("out", "t.parquet", "t.csv"):
        model.sample_to(tmp_path / name, 0)
    assert len(pd.read_parquet(tmp_path / "out")) == len(pd.read_parquet(tmp_path / "t.parquet")) == 0
    assert (tmp_path / "t.csv").read_text() == "low,high,text,rare,price,id,when\n"


def test_a_rule_among_all_rows_is_kept_in_a_file_and_refused_for_a_folder(tmp_path):
    model = IndependentSynthesizer(constraints=[Unique(["low", "text"])], random_state=0).fit(table())
    model.sample_to(tmp_path / "t.parquet", 150, random_state=0)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), model.sample(150, random_state=0))
    with pytest.raises(ConditionError, match="as Unique does"):
        model.sample_to(tmp_path / "out", 150)
    assert not (tmp_path / "out").exists()


def test_objects_stay_objects(tmp_path):
    real = pd.DataFrame({"text": pd.Series(["a", "b", np.nan] * 20, dtype=object), "x": range(60)})
    model = IndependentSynthesizer(random_state=0).fit(real)
    model.sample_to(tmp_path / "t.parquet", 50, random_state=1)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), model.sample(50, random_state=1))


def test_objects_of_several_types_go_to_csv_only(tmp_path):
    mixed = IndependentSynthesizer(random_state=0).fit(pd.DataFrame({"a": [1, "x", None] * 20, "b": 1}))
    mixed.sample_to(tmp_path / "t.csv", 30, random_state=0)
    assert len(read_table(tmp_path / "t.csv")) == 30
    for name in ("t.parquet", "out"):
        with pytest.raises(DataError, match="Column 'a' holds values"):
            mixed.sample_to(tmp_path / name, 30)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_column_that_is_missing_in_most_parts_has_one_type(tmp_path):
    rare = pd.DataFrame({"a": pd.Series([None] * 399 + ["x"], dtype=object), "b": range(400)})
    model = IndependentSynthesizer(random_state=0, kinds={"a": "categorical"}).fit(rare)
    for seed in range(2):
        model.sample_to(tmp_path / f"{seed}", 20, random_state=seed)
    assert len({read_table(tmp_path / f"{seed}/*.parquet").dtypes["a"] for seed in range(2)}) == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [("out/", True), ("out", True), ("out.d/", True), ("-", False), ("t.csv", False), ("x.docx", False)],
)
def test_a_name_without_extension_is_a_folder(path, expected, tmp_path):
    assert is_folder(path) == expected
    assert is_folder(tmp_path)
