import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from synthgan.arrow import to_arrow
from synthgan.batches import write_batches
from synthgan.errors import DataError
from synthgan.io import read_table, write_table

FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3, 4],
        "x": [0.1, np.nan, -2.5, 1e300],
        "text": ["a,", 'b"', None, "ü\n"],
        "level": pd.Categorical(["s", "m", None, "s"], ["s", "m", "l"], ordered=True),
        "when": pd.to_datetime(["2024-02-29 10:00", "2020-01-01 00:00", None, "2021-01-01 01:02"]),
        "Int64": pd.array([1, None, 3, 2**60], dtype="Int64"),
    }
)
SCHEMA = to_arrow(FRAME).schema


def pieces():
    yield from (FRAME.iloc[start : start + 2].set_axis([7, 7]) for start in (0, 2))


@pytest.mark.parametrize("extension", [".csv", ".csv.gz", ".parquet", ".feather", ".arrow"])
def test_pieces_are_written_as_one_table(tmp_path, extension):
    write_batches(pieces(), tmp_path / f"pieces{extension}", SCHEMA)
    write_table(FRAME, tmp_path / f"whole{extension}")
    found, expected = (read_table(tmp_path / f"{name}{extension}") for name in ("pieces", "whole"))
    pd.testing.assert_frame_equal(found, expected)


def test_each_piece_is_a_row_group(tmp_path):
    write_batches(pieces(), tmp_path / "t.parquet", SCHEMA)
    assert parquet.read_metadata(tmp_path / "t.parquet").num_row_groups == 2


def test_standard_output_takes_csv(capfdbinary):
    write_batches(pieces(), "-")
    assert capfdbinary.readouterr().out == FRAME.to_csv(index=False, lineterminator="\n").encode()


def test_no_rows_give_the_header(tmp_path):
    write_batches([FRAME.head(0)], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "n,x,text,level,when,Int64\n"


@pytest.mark.parametrize("extension", [".csv", ".parquet", ".feather"])
def test_a_failure_on_the_way_leaves_the_old_file(tmp_path, extension):
    path = tmp_path / f"t{extension}"
    path.write_text("old")

    def broken():
        yield FRAME
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batches(broken(), path, SCHEMA)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_value_that_does_not_fit_is_refused_by_its_column(tmp_path):
    odd = FRAME.assign(text=[1.5, "secret", 3, 4])
    with pytest.raises(DataError, match="Column 'text' holds values that do not fit") as error:
        write_batches([FRAME, odd], tmp_path / "t.parquet", SCHEMA)
    assert "secret" not in str(error.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"must end in one of \.csv"):
        write_batches([FRAME], tmp_path / "t.docx", SCHEMA)
