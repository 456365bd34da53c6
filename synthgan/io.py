"""Tables in, tables out: frames, Arrow data, CSV, Parquet and Feather files.

Whatever a user calls a table enters through `read_table` and becomes one pandas frame; a
frame leaves through `write_table`. Every file of synthgan is written by `atomic_write`: it
is complete or it is not there.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import secrets
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from glob import glob
from gzip import GzipFile
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from synthgan.arrow import check_names, from_arrow, to_arrow
from synthgan.dtypes import natural_kind
from synthgan.errors import DataError, listing, suggestion

__all__ = [
    "atomic_write",
    "check_destination",
    "files_of",
    "read_table",
    "table_extension",
    "write_csv",
    "write_table",
]

_READABLE = (".csv", ".csv.gz", ".parquet", ".feather", ".arrow")
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT_FLOATS: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"


def read_table(source: Any) -> pd.DataFrame:
    """Read a table from memory or from files into one frame.

    Parameters
    ----------
    source : DataFrame, Arrow data, str, Path or list of paths
        A frame is returned as it is. Arrow data is any object with ``__arrow_c_stream__``
        (pyarrow tables and readers, polars frames, duckdb results). A path ends in .csv,
        .csv.gz, .parquet, .feather or .arrow and may hold ``*``; several files are put
        one below the other. ``"-"`` reads CSV from standard input.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)

    Raises
    ------
    DataError
        If a file is missing, broken, of an unknown type or differs from the others. The
        message names the file.

    Notes
    -----
    CSV files are UTF-8 with a header. Empty cells and pandas' usual words for them ("NA",
    "N/A", "NaN", "None", "null", ...) are missing values. Integers and booleans with
    missing cells become ``Int64`` and ``boolean``. A text column becomes datetimes when
    every value is an ISO 8601 date; in UTC where their offsets differ, as a zone's do
    when the clocks change.
    """
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, str | Path):
        return _read_files(files_of(str(source)))
    if hasattr(source, "__arrow_c_stream__"):
        return _from_stream(source)
    if isinstance(source, list | tuple) and all(isinstance(path, str | Path) for path in source):
        return _read_files([file for path in source for file in files_of(str(path))])
    raise DataError(
        f"A table must be a DataFrame, Arrow data or path(s) of files ({', '.join(_READABLE)}). "
        f"Got {type(source).__name__}. Wrap it in a pandas DataFrame with column names."
    )


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame to a file by its extension, or to standard output as CSV.

    Parameters
    ----------
    frame : DataFrame
        The index is not written.
    path : str or Path
        Ends in .csv, .csv.gz, .parquet, .feather or .arrow, or is ``"-"``. The file is
        replaced in one step: a failure leaves what was there before.

    Raises
    ------
    DataError
        If the extension is unknown, the folder does not exist or the format cannot hold
        the frame.
    """
    if str(path) == "-":
        write_csv(frame, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    kind = table_extension(str(path))
    try:
        atomic_write(path, lambda file: _WRITERS[kind](frame, file))
    except (pa.ArrowException, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error.args[-1]).strip()  # Arrow's last argument names the column, not the value
        raise DataError(f"Cannot write the table to '{path}': {reason}.") from None


def check_destination(path: str | Path, *, table: bool = False) -> None:
    """Raise `DataError` if a file cannot be written to `path`, before hours of work are lost.

    Parameters
    ----------
    path : str or Path
        Where a file is going to be written; ``"-"`` always passes.
    table : bool
        Whether the extension must be one that `write_table` knows.
    """
    target = Path(path)
    if str(path) == "-":
        return
    if table:
        table_extension(str(path))
    if target.is_dir():
        raise DataError(f"Cannot write to '{path}': it is a folder. Give the name of a file in it.")
    if not target.parent.is_dir():
        raise DataError(
            f"Cannot write '{path}': the folder '{target.parent}' does not exist. Create it first."
        )


def table_extension(path: str) -> str:
    """Return the extension that says in which format a table file is; raise `DataError` if none is known.

    >>> table_extension("Real.CSV.gz")
    '.csv.gz'
    """
    for extension in sorted(_READABLE, key=len, reverse=True):
        if path.lower().endswith(extension):
            return extension
    raise DataError(f"'{path}' must end in one of {', '.join(_READABLE)}.")


def atomic_write(path: str | Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that `path` holds either the old or the complete new content.

    Parameters
    ----------
    path : str or Path
        Where to; its folder must exist. Devices and pipes are written to directly.
    data : bytes or callable (binary file) -> None
        The content, or what writes it.

    Raises
    ------
    DataError
        If the folder does not exist, `path` is one, or the operating system refuses, for example
        because the disk is full. What was there before is then unchanged, and nothing else is left.
    OSError
        If a device or pipe refuses.
    """
    check_destination(path)
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            _fill(file, data)
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            _fill(file, data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise DataError(
            f"Cannot write '{path}': {error.strerror or error}. What was there before is unchanged. "
            "Make room, or choose another place."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file survive a power failure, where the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some network drives sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _fill(file: BinaryIO, data: bytes | Callable[[BinaryIO], object]) -> None:
    if callable(data):
        data(file)
    else:
        file.write(data)


def files_of(path: str) -> list[str]:
    """Resolve a glob to the sorted files it matches; an existing file wins over its pattern.

    Raises
    ------
    DataError
        If there is no such file.
    """
    if path == "-" or Path(path).is_file():
        return [path]
    if Path(path).is_dir():
        raise DataError(f"'{path}' is a folder. Give its files, for example '{path.rstrip('/')}/*.parquet'.")
    if any(character in path for character in "*?["):
        if found := sorted(glob(path, recursive=True)):  # noqa: PTH207 (patterns may be absolute)
            return found
        raise DataError(f"No file matches '{path}'.")
    folder = Path(path).parent
    if not folder.is_dir():
        raise DataError(f"There is no file '{path}': the folder '{folder}' does not exist.")
    near = suggestion(Path(path).name, [entry.name for entry in folder.iterdir()])
    raise DataError(f"There is no file '{path}'.{near}")


def _read_files(paths: Sequence[str]) -> pd.DataFrame:
    if not paths:
        raise DataError("The list of files is empty. Give at least one.")
    frames = [_read_file(path) for path in paths]
    return frames[0] if len(frames) == 1 else _stack(paths, frames)


def _read_file(path: str) -> pd.DataFrame:
    if path == "-":
        return _read_csv(BytesIO(sys.stdin.buffer.read()), "standard input")
    kind = table_extension(path)
    if kind.startswith(".csv"):
        return _read_csv(path, f"'{path}'")
    read = pa.parquet.read_table if kind == ".parquet" else pa.feather.read_table
    try:
        table = read(path)
    except PermissionError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"'{path}' is not a {kind[1:]} file that can be read ({str(error).splitlines()[0]}). "
            "Check that it is complete and that its extension is right."
        ) from error
    return from_arrow(table, f"'{path}'")


def _read_csv(file: str | BytesIO, name: str) -> pd.DataFrame:
    """Read one CSV; `name` is what messages call it."""
    try:
        header = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False)
        check_names(header.iloc[0], name)
        if isinstance(file, BytesIO):
            file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                file,
                dtype_backend="numpy_nullable",
                **_EXACT_FLOATS,
                index_col=False,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{name} is empty: a CSV table starts with a line of column names.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text (byte {error.start}). Convert it to UTF-8.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip()
        raise DataError(
            f"{name} is not a regular CSV table ({reason}). Give every line as many cells as the header."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, PermissionError):
            raise
        raise DataError(f"{name} cannot be read ({error}). Check that it is complete.") from error
    narrow: pd.DataFrame = frame.apply(_narrow)
    return narrow


def _narrow(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give a nullable CSV column the plain dtype that holds it, and dates their type."""
    kind = str(values.dtype).lower()
    if kind.startswith("float") or values.isna().all():
        return values.astype("float64")
    if kind.startswith("string"):
        return _parse_dates(values.astype("str" if _PANDAS >= (3, 0) else "object"))
    return values if values.hasnans else values.astype(kind.replace("boolean", "bool"))  # type: ignore[call-overload]


def _parse_dates(values: pd.Series[Any]) -> pd.Series[Any]:
    """Turn text into datetimes if all of it is ISO dates; else leave it."""
    observed = values.dropna()
    if not re.fullmatch(_ISO_DATE, str(observed.iloc[0])) or not observed.str.fullmatch(_ISO_DATE).all():
        return values
    offsets = observed.str.extract(r"(Z|[+-]\d{2}:?\d{2})$", expand=False)
    try:
        if len(offsets.unique()) > 1 and offsets.notna().all():  # one zone, whose clocks change
            return pd.to_datetime(values, format="ISO8601", utc=True)
        return pd.to_datetime(values, format="ISO8601")
    except ValueError:  # no such day, or times with a zone and without
        return values


def _from_stream(source: Any) -> pd.DataFrame:
    name = type(source).__name__
    try:
        table = pa.RecordBatchReader.from_stream(source).read_all()
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"The {name} does not hold a table with columns ({error}).") from error
    return from_arrow(table, f"the {name}")


def _stack(paths: Sequence[str], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put frames with the same columns one below the other."""
    first = frames[0]
    for path, frame in zip(paths, frames, strict=True):
        if set(frame.columns) != set(first.columns):
            differ = sorted(map(str, set(frame.columns) ^ set(first.columns)))
            raise DataError(
                f"'{path}' and '{paths[0]}' differ in their columns: {listing(differ)}. "
                "Files that are read together need the same columns."
            )
    columns = {name: [frame[name] for frame in frames] for name in first.columns}
    return pd.DataFrame({name: _stack_column(name, parts) for name, parts in columns.items()})


def _stack_column(name: str, parts: list[pd.Series[Any]]) -> pd.Series[Any]:
    """Join one column of several files; a part without any value takes the type of the others."""
    observed = [part for part in parts if not part.isna().all()]
    kinds = {_broad_type(part) for part in observed}
    if len(kinds) > 1:
        raise DataError(
            f"Column {name!r} has different types in the files: {listing(sorted(kinds))}. "
            "Bring them to one type."
        )
    if kinds == {"category"}:
        levels = [part.cat.categories for part in observed]
        known = pd.Index(pd.unique(pd.concat([level.to_series() for level in levels])))
        ordered = all(
            part.cat.ordered and level.equals(known) for part, level in zip(observed, levels, strict=True)
        )
        parts = [part.astype(pd.CategoricalDtype(known, ordered)) for part in parts]
    elif observed:
        nullable: Any = {"b": "boolean", "i": "Int64", "u": "UInt64"}.get(observed[0].dtype.kind)
        parts = [part.astype(nullable or observed[0].dtype) if part.isna().all() else part for part in parts]
    return pd.concat(parts, ignore_index=True)


def _broad_type(values: pd.Series[Any]) -> str:
    if values.dtype.kind in "iuf":
        return "number"
    return (
        "category"
        if isinstance(values.dtype, pd.CategoricalDtype)
        else str(values.dtype).replace("boolean", "bool")
    )


def write_csv(frame: pd.DataFrame, file: BinaryIO | GzipFile, header: bool = True) -> None:
    """Write a frame to an open file as CSV, with all text in quotes where a carriage return is in it.

    At one without quotes, readers break the line; Python's ``csv`` before 3.11.9 and 3.12.3 leaves them out.
    """
    quoting: Any = csv.QUOTE_NONNUMERIC if _has_carriage_return(frame) else csv.QUOTE_MINIMAL
    frame.to_csv(file, index=False, header=header, lineterminator="\n", quoting=quoting)


def _has_carriage_return(frame: pd.DataFrame) -> bool:
    columns = (frame.iloc[:, at] for at in range(frame.shape[1]))
    texts = [
        pd.Series(one.cat.categories) if isinstance(one.dtype, pd.CategoricalDtype) else one
        for one in columns
        if natural_kind(one.dtype) == "categorical"
    ]
    return any(
        one.astype(str).str.contains("\r", regex=False).any()
        for one in (pd.Series(map(str, frame.columns), dtype=object), *texts)
    )


def _write_csv_gz(frame: pd.DataFrame, file: BinaryIO) -> None:
    with GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # no name, no clock
        write_csv(frame, packed)


def _write_parquet(frame: pd.DataFrame, file: BinaryIO) -> None:
    pa.parquet.write_table(to_arrow(frame), file)


def _write_feather(frame: pd.DataFrame, file: BinaryIO) -> None:
    pa.feather.write_feather(to_arrow(frame), file)


_WRITERS: dict[str, Callable[[pd.DataFrame, BinaryIO], None]] = {
    ".csv": write_csv,
    ".csv.gz": _write_csv_gz,
    ".parquet": _write_parquet,
    ".feather": _write_feather,
    ".arrow": _write_feather,
}
