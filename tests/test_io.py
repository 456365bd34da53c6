import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.batches import write_batches
from synthgan.errors import DataError
from synthgan.io import atomic_write, check_destination, read_table, write_table

EXTENSIONS = [".csv", ".csv.gz", ".parquet", ".feather", ".arrow"]


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "count": [1, 2, 3],
            "share": [0.1, -2.5, 1e-300],
            "name": ["a", 'b,"c"', "ü\n"],
            "yes": [True, False, True],
            "gaps": pd.array([1, None, 2**60 + 1], dtype="Int64"),
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2024-02-29 10:00:00", None, "1999-12-31 23:59:59"]),
        }
    )


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_written_table_reads_back_equal(tmp_path, frame, extension):
    path = tmp_path / f"table{extension}"
    write_table(frame, path)
    pd.testing.assert_frame_equal(read_table(path), frame)
    assert listed(tmp_path) == [path.name]


@pytest.mark.parametrize("extension", [".parquet", ".feather"])
def test_binary_formats_keep_categories_zones_and_narrow_types(tmp_path, extension):
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["s", None], ["s", "m", "l"], ordered=True),
            "zone": pd.to_datetime(["2024-01-01", "2024-06-01"]).tz_localize("Europe/Paris"),
            "small": np.array([1, 2], dtype="int8"),
            "large": np.array([2**64 - 1, 0], dtype="uint64"),
        }
    )
    write_table(frame, tmp_path / f"t{extension}")
    pd.testing.assert_frame_equal(read_table(tmp_path / f"t{extension}"), frame)


@pytest.mark.parametrize("extension", [".csv", ".csv.gz"])
def test_a_carriage_return_breaks_no_line_of_a_csv(tmp_path, extension):
    odd = ["a\rb", "c\r", "\rd", "e\r\nf", "\r"]
    frame = pd.DataFrame({"text": odd, "na\rme": pd.Categorical(odd), "n": [1.5, None, 3, 4, 5]})
    write_table(frame, tmp_path / f"t{extension}")
    found = read_table(tmp_path / f"t{extension}")
    assert found["text"].tolist() == odd
    assert found["na\rme"].tolist() == odd
    assert found["n"].equals(frame["n"])
    write_batches(iter([frame.head(2), frame.tail(3)]), tmp_path / f"b{extension}")
    assert read_table(tmp_path / f"b{extension}")["text"].tolist() == odd


def test_the_index_is_not_written(tmp_path, frame):
    for extension in (".csv", ".parquet"):
        write_table(frame.set_index(frame.index + 7), tmp_path / f"t{extension}")
        assert read_table(tmp_path / f"t{extension}").index.equals(pd.RangeIndex(3))


def test_equal_tables_give_equal_bytes(tmp_path, frame):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(frame, tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_csv_keeps_every_bit_of_a_float(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("floats") / "t.csv"
    write_table(pd.DataFrame({"x": values, "y": 0}), path)
    assert read_table(path)["x"].tolist() == values


def read_csv_text(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


def test_csv_words_for_missing_values_are_missing(tmp_path):
    frame = read_csv_text(tmp_path, "a,b\nNA,1\nNone,\nx,2\n")
    assert frame["a"].isna().tolist() == [True, True, False]
    assert str(frame["b"].dtype) == "Int64"


def test_times_of_a_zone_are_dates_when_its_clocks_change(tmp_path):
    times = pd.date_range("2024-03-20", periods=99, freq="7h", tz="Europe/Berlin")
    write_table(pd.DataFrame({"t": times}), tmp_path / "t.csv")
    found = read_table(tmp_path / "t.csv")["t"]
    assert found.dt.tz is not None
    assert (found == times).all()
    write_table(pd.DataFrame({"t": [*map(str, times[:1]), "2024-01-01 00:00:00"]}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["t"].map(type).eq(str).all()  # some with a zone, some without


def test_a_text_column_becomes_dates_only_if_every_value_is_one(tmp_path):
    frame = read_csv_text(tmp_path, "a,b,c\n2024-01-31,2024-01-31,31.1.2024\n,2024-13-01,1.2.2024\n")
    assert frame["a"].dtype.kind == "M"
    assert frame["b"].tolist() == ["2024-01-31", "2024-13-01"]
    assert frame["c"].tolist() == ["31.1.2024", "1.2.2024"]


def test_a_column_without_values_stays_a_column(tmp_path):
    assert read_csv_text(tmp_path, "a,b\n,1\n,2\n")["a"].isna().all()


def test_arrow_integers_with_gaps_stay_exact():
    table = pa.table({"big": pa.array([2**60 + 1, None]), "day": pa.array([0, 1], pa.date32())})
    for source in (table, table.to_reader()):
        frame = read_table(source)
        assert frame["big"][0] == 2**60 + 1
        assert str(frame["big"].dtype) == "Int64"
        assert frame["day"].dtype.kind == "M"


def test_a_frame_passes_through(frame):
    assert read_table(frame) is frame


def test_several_files_are_put_one_below_the_other(tmp_path, frame):
    for part in range(3):
        write_table(frame.iloc[[part]], tmp_path / f"part{part}.parquet")
    whole = read_table(str(tmp_path / "part*.parquet"))
    pd.testing.assert_frame_equal(whole, frame)
    pd.testing.assert_frame_equal(
        read_table([tmp_path / "part1.parquet"]), frame.iloc[[1]].reset_index(drop=True)
    )


def test_categories_of_several_files_are_joined(tmp_path):
    write_table(pd.DataFrame({"a": pd.Categorical(["x"])}), tmp_path / "1.parquet")
    write_table(pd.DataFrame({"a": pd.Categorical(["y"])}), tmp_path / "2.parquet")
    frame = read_table([tmp_path / "1.parquet", tmp_path / "2.parquet"])
    assert frame["a"].tolist() == ["x", "y"]
    assert frame["a"].cat.categories.tolist() == ["x", "y"]


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    (tmp_path / "3.csv").write_text("a,b\n1,x\n")
    with pytest.raises(DataError, match=r"2\.csv' and .*1\.csv' differ in their columns: 'b', 'c'"):
        read_table([tmp_path / "1.csv", tmp_path / "2.csv"])
    with pytest.raises(DataError, match="Column 'b' has different types"):
        read_table([tmp_path / "1.csv", tmp_path / "3.csv"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty: a CSV table starts with"),
        ("twice.csv", b"a,a\n1,2\n", "share a name: 'a'"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "not a regular CSV table"),
        ("wide.csv", b"a,b\n1,2,3\n", "not a regular CSV table"),
        ("latin.csv", b"a,b\n\xe9,2\n", "is not UTF-8 text"),
        ("text.parquet", b"a,b\n1,2\n", "not a parquet file that can be read"),
        ("cut.parquet", b"PAR1" + bytes(50), "not a parquet file that can be read"),
        ("text.feather", b"a,b\n1,2\n", "not a feather file that can be read"),
        ("text.csv.gz", b"a,b\n1,2\n", "cannot be read"),
        ("table.xlsx", b"", "must end in one of .csv"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as failure:
        read_table(tmp_path / name)
    assert str(tmp_path / name) in str(failure.value)


def test_a_missing_file_gets_a_suggestion(tmp_path):
    (tmp_path / "real.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"There is no file '.*raal.csv'. Did you mean 'real.csv'\?"):
        read_table(tmp_path / "raal.csv")
    with pytest.raises(DataError, match=r"the folder '.*nowhere' does not exist"):
        read_table(tmp_path / "nowhere" / "real.csv")
    with pytest.raises(DataError, match="No file matches"):
        read_table(str(tmp_path / "x*.csv"))
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("source", [3, None, {"a": [1]}, np.zeros((2, 2)), [], [1, 2], [[1, 2]]])
def test_what_is_no_table_is_refused(source):
    with pytest.raises(DataError):
        read_table(source)


def test_dash_reads_and_writes_csv_on_the_standard_streams(monkeypatch, frame):
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    write_table(frame, "-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdout.buffer.getvalue())))
    pd.testing.assert_frame_equal(read_table("-"), frame)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert listed(tmp_path) == ["file"]


def test_a_folder_that_takes_no_files_is_named(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        folder = Path("/sys")  # not even root may write there
    if not folder.is_dir():
        pytest.skip("every folder can be written to")
    with pytest.raises(DataError, match=rf"Cannot write '{folder}/t.csv': .*\. What was there before"):
        write_table(pd.DataFrame({"a": [1]}), folder / "t.csv")
    assert not (folder / "t.csv").exists()


def test_a_full_disk_leaves_the_old_table_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for extension in EXTENSIONS:
        path = tmp_path / f"t{extension}"
        write_table(pd.DataFrame({"a": [1]}), path)
        old = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        try:
            with pytest.raises(DataError, match=r"Cannot write .*too large"):
                write_table(pd.DataFrame({"a": np.random.default_rng(0).normal(size=3000)}), path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == old
    assert len(listed(tmp_path)) == len(EXTENSIONS)


def test_an_unwritable_frame_names_the_column_and_leaks_no_value(tmp_path):
    with pytest.raises(DataError, match="Column 'mixed'") as failure:
        write_table(pd.DataFrame({"mixed": [1, "secret", 2.5]}), tmp_path / "t.parquet")
    assert "secret" not in str(failure.value)
    assert not listed(tmp_path)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_device_is_written_to_and_not_replaced():
    atomic_write(os.devnull, b"gone")
    assert not Path(os.devnull).is_file()


def test_destinations_are_checked_before_any_work(tmp_path):
    check_destination(tmp_path / "model.synthgan")
    check_destination("-", table=True)
    with pytest.raises(DataError, match="is a folder"):
        check_destination(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        check_destination(tmp_path / "no" / "model.synthgan")
    with pytest.raises(DataError, match="must end in one of"):
        check_destination(tmp_path / "table.txt", table=True)
