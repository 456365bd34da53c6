"""Tables larger than the memory: frames that are written one below the other to one file.

Each frame is written before the next one is made. The file appears complete or not at all,
like every file of synthgan, see `synthgan.io`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from gzip import GzipFile
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from synthgan.errors import DataError
from synthgan.io import atomic_write, check_destination, write_csv

__all__ = ["write_batches"]

Batches = Iterable[pd.DataFrame]


def write_batches(batches: Batches, path: str | Path, schema: pa.Schema | None = None) -> None:
    """Write frames of equal columns one below the other.

    Parameters
    ----------
    batches : iterable of DataFrame, one or more
        Their indexes are not written. In Parquet each becomes a row group.
    path : str or Path
        Ends in .csv, .csv.gz, .parquet, .feather or .arrow and is replaced in one step; or ``"-"``
        for CSV on standard output.
    schema : pyarrow.Schema, optional
        Types of the columns in binary formats, which hold the values of all frames. CSV needs none.

    Raises
    ------
    DataError
        If the extension is unknown, the folder does not exist or a column does not fit its type.
    """
    if str(path) == "-":
        _write_csv(batches, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    check_destination(path, table=True)
    write = next(write for end, write in _WRITERS.items() if str(path).lower().endswith(end))
    atomic_write(path, lambda file: write(batches, file, schema))


def _to_arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = []
    for position, field in enumerate(schema):
        try:
            columns.append(pa.array(frame.iloc[:, position], type=field.type, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise DataError(
                f"Column {frame.columns[position]!r} holds values that do not fit the Arrow type "
                f"{field.type}. Write CSV, or convert the column before fitting."
            ) from None  # Arrow's message quotes the value
    return pa.Table.from_arrays(columns, schema=schema)


def _write_csv(batches: Batches, file: BinaryIO | GzipFile, schema: pa.Schema | None = None) -> None:  # noqa: ARG001
    for number, frame in enumerate(batches):
        write_csv(frame, file, header=number == 0)


def _write_csv_gz(batches: Batches, file: BinaryIO, schema: pa.Schema | None) -> None:  # noqa: ARG001
    with GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # no name, no clock
        _write_csv(batches, packed)


def _write_parquet(batches: Batches, file: BinaryIO, schema: pa.Schema) -> None:
    with pa.parquet.ParquetWriter(file, schema) as writer:
        for frame in batches:
            writer.write_table(_to_arrow(frame, schema))


def _write_feather(batches: Batches, file: BinaryIO, schema: pa.Schema) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")  # as pyarrow.feather does
    with pa.ipc.new_file(file, schema, options=options) as writer:
        for frame in batches:
            writer.write_table(_to_arrow(frame, schema))


_WRITERS: dict[str, Callable[[Batches, BinaryIO, Any], None]] = {
    ".csv": _write_csv,
    ".csv.gz": _write_csv_gz,
    ".parquet": _write_parquet,
    ".feather": _write_feather,
    ".arrow": _write_feather,
}
