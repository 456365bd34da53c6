"""What a table is: for each column its name, its kind and the dtype in which its values come back.

A frame enters `Schema.infer`; the schema that leaves it decides how each column is modelled and
what a synthetic table looks like. It goes to JSON and back without loss.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

from synthgan.dtypes import Dtype, dtype_from_json, dtype_to_json, natural_kind, object_keys, to_numbers
from synthgan.errors import DataError, listing, quantity, suggestion
from synthgan.scalars import has_name, is_supported, scalar_from_json, scalar_to_json

__all__ = ["KINDS", "Column", "Schema", "check_column_names"]

KINDS = ("numerical", "categorical", "boolean", "datetime", "timedelta", "identifier", "constant")
FORMAT_VERSION = 1

_MIN_IDENTIFIERS = 50  # up to this many rows, values may well differ by chance
_MAX_CHANCE_EXPONENT = 20.0  # integers are keys if exp(-20) is the chance that as many draws all differ
_SIMPLE = (str, int, float, bool, bytes, type(None))
_NESTED = "Turn nested values into columns of their own, or drop the column."
_HINTS: dict[str | tuple[str, ...], str] = {  # by the beginning of the name of a dtype
    "complex": "Split it into a real and an imaginary part.",
    ("list", "large_list", "fixed_size_list", "struct", "map"): _NESTED,
    "Sparse": "Convert it with .sparse.to_dense().",
    ("decimal", "float128", "longdouble"): "Convert it with .astype('float64').",
    "dictionary": "Convert it with .astype('category').",
    (">", "<"): "Convert it to the byte order of this machine with .astype(dtype.newbyteorder('=')).",
    "": "Convert it to numbers, text, dates or a category, or drop it.",
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : hashable
        Name of the column.
    kind : str
        One of `KINDS`.
    dtype : numpy or pandas dtype
        Dtype in which the values come back, categories included.
    missing : object
        How an object column spells a missing value: None, NaN, NA or NaT.
    """

    name: Hashable
    kind: str
    dtype: Dtype
    missing: object = None

    def empty(self) -> pd.Series[Any]:
        """Return a series of this dtype without rows."""
        return pd.Series([], dtype=self.dtype, name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """Describe the column in JSON."""
        return {
            "name": scalar_to_json(self.name),
            "kind": self.kind,
            "dtype": dtype_to_json(self.dtype),
            "missing": scalar_to_json(self.missing),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Column:
        """Read what `to_dict` wrote; DataError if it is malformed."""
        if not isinstance(data, dict) or set(data) != {"name", "kind", "dtype", "missing"}:
            raise DataError("A column of the schema must have exactly name, kind, dtype and missing.")
        if data["kind"] not in KINDS:
            raise DataError(f"The schema names the kind {data['kind']!r}. Known kinds: {listing(KINDS, 7)}.")
        return cls(
            scalar_from_json(data["name"]),
            data["kind"],
            dtype_from_json(data["dtype"]),
            scalar_from_json(data["missing"]),
        )


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [31, 50, 31], "sex": ["F", "M", None]})
    >>> schema = Schema.infer(frame)
    >>> schema.kinds
    {'age': 'numerical', 'sex': 'categorical'}
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    columns: tuple[Column, ...]

    @classmethod
    def infer(cls, frame: pd.DataFrame, kinds: Mapping[Any, str] | None = None) -> Schema:
        """Find out what each column of a frame is.

        Parameters
        ----------
        frame : DataFrame with at least one row and one column
            It is not changed; its index is ignored.
        kinds : mapping of column name to kind, optional
            Kinds that are known better than they can be inferred.

        Raises
        ------
        DataError
            If the table cannot be modelled as it is; all problems in one message.
        """
        _check_shape(frame)
        kinds = dict(kinds or {})
        problems = [_check_declared(name, kind, frame) for name, kind in kinds.items()]
        columns = []
        for position, name in enumerate(frame.columns):
            series = frame.iloc[:, position]
            problem = find_problem(series)
            if not problem:
                column, problem = _infer_column(name, series, kinds.get(name))
                columns.append(column)
            problems.append(problem and f"Column {name!r} {problem}")
        _raise_all(problems)
        return cls(tuple(columns))

    @property
    def names(self) -> list[Hashable]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def kinds(self) -> dict[Hashable, str]:
        """Kind of each column."""
        return {column.name: column.kind for column in self.columns}

    def __getitem__(self, name: Hashable) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"The schema has no column {name!r}.{suggestion(name, self.names)}")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def check(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with its columns in schema order, or say how it departs from the schema.

        Raises
        ------
        DataError
            If a column is missing, unknown or of another dtype; all problems in one message.
        """
        self.check_names(frame)
        where: dict[Hashable, int] = {name: position for position, name in enumerate(frame.columns)}
        checked = [_conform(frame.iloc[:, where[column.name]], column) for column in self.columns]
        _raise_all([problem and f"Column {series.name!r} {problem}" for series, problem in checked])
        return table([series.array for series, _ in checked], self.names, len(frame))

    def check_names(self, frame: pd.DataFrame) -> None:
        """Raise `DataError` unless the frame has the columns of the schema, in any order."""
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"X must be a pandas DataFrame. Got {type(frame).__name__}.")
        check_column_names(frame)
        present, known = set(frame.columns), set(self.names)
        lacking = [name for name in self.names if name not in present]
        extra = [name for name in frame.columns if name not in known]
        problems = []
        if lacking:
            near = suggestion(lacking[0], extra)
            problems.append(
                f"X lacks {len(lacking)} of {len(self)} columns of the schema: {listing(lacking)}.{near}"
            )
        if extra:
            problems.append(f"X has columns that the schema does not know: {listing(extra)}. Drop them.")
        _raise_all(problems)

    def empty(self) -> pd.DataFrame:
        """Return a frame without rows, with every column and dtype."""
        return table([column.empty().array for column in self.columns], self.names, 0)

    def to_dict(self) -> dict[str, Any]:
        """Describe the schema in strict JSON: names and categories keep their types."""
        return {"version": FORMAT_VERSION, "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, data: Any) -> Schema:
        """Read what `to_dict` wrote; DataError if it is malformed or of a later version."""
        if not isinstance(data, dict) or not isinstance(data.get("columns"), list):
            raise DataError("A schema must be an object with a version and a list of columns.")
        if data.get("version") != FORMAT_VERSION:
            raise DataError(
                f"The schema has version {data.get('version')!r}; this synthgan reads {FORMAT_VERSION}."
            )
        return cls(tuple(Column.from_dict(column) for column in data["columns"]))

    def to_json(self, path: str | Path | None = None) -> str:
        """Write the schema as JSON text, also to a file if a path is given."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> Schema:
        """Read a schema from JSON text (it starts with a brace) or from a file."""
        try:
            is_text = isinstance(source, str) and source.lstrip().startswith("{")
            text = str(source) if is_text else Path(source).read_text(encoding="utf-8")
            data = json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"The schema cannot be read: {error}") from error
        return cls.from_dict(data)


def table(arrays: list[Any], names: list[Hashable], n_rows: int) -> pd.DataFrame:
    """Put arrays side by side under any hashable names, with a RangeIndex."""
    index = pd.RangeIndex(n_rows)  # the dtype is given, or objects that are all text would become str
    parts = [pd.Series(array, index=index, dtype=array.dtype, copy=False) for array in arrays]
    frame = pd.DataFrame(dict(enumerate(parts)), index=index, copy=False)
    alike = len({type(name) for name in names}) == 1 and isinstance(names[0], str | int)
    frame.columns = pd.Index(names, dtype=None if alike else object, tupleize_cols=False)
    return frame


def joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put frames of equal columns and dtypes one below the other, with a RangeIndex.

    >>> joined([pd.DataFrame({0: [1]}), pd.DataFrame({0: [2]})])[0].tolist()
    [1, 2]
    """
    if len(frames) == 1:
        return frames[0]
    columns = [pd.concat([frame.iloc[:, k] for frame in frames]).array for k in range(frames[0].shape[1])]
    return table(columns, list(frames[0].columns), sum(map(len, frames)))


def _raise_all(problems: list[str]) -> None:
    """Raise one DataError with every problem found."""
    found = [problem for problem in problems if problem]
    if found:
        raise DataError("\n".join(found))


def _check_shape(frame: pd.DataFrame) -> None:
    """Refuse what is no table with rows, columns and distinct names."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"X must be a pandas DataFrame. Got {type(frame).__name__}.")
    check_column_names(frame)
    if frame.shape[1] == 0:
        raise DataError("X must have at least one column. Got a table without columns.")
    if len(frame) == 0:
        raise DataError(f"X must have at least one row. Got 0 rows and {quantity(frame.shape[1], 'column')}.")


def check_column_names(frame: pd.DataFrame) -> None:
    """Refuse names that do not tell the columns apart or cannot be kept."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "X must have one level of column names. Got a MultiIndex; flatten it, for example "
            "with X.columns = ['_'.join(map(str, c)) for c in X.columns]."
        )
    names: list[Any] = list(frame.columns)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"Column names must differ. Found more than once: {listing(twice)}. Rename them.")
    odd = [name for name in names if not is_supported(name) or name is pd.NA or name != name]  # NaN, NaT
    if odd:
        raise DataError(f"Column names must be text, numbers or dates. Rename: {listing(odd)}.")


def _check_declared(name: Hashable, kind: str, frame: pd.DataFrame) -> str:
    """Say what is wrong with an entry of `kinds`, or nothing."""
    if name not in frame.columns:
        return f"kinds names {name!r}, which is not a column.{suggestion(name, frame.columns)}"
    if kind not in KINDS:
        return f"kinds[{name!r}] must be one of {listing(KINDS, 7)}. Got {kind!r}.{suggestion(kind, KINDS)}"
    return ""


def find_problem(series: pd.Series[Any]) -> str:
    """Say why the values of a column cannot be modelled, or nothing.

    >>> find_problem(pd.Series([1.0, float("inf")]))
    'has 1 infinite value (first at row 1). Replace it by a missing value or a bound.'
    """
    dtype = series.dtype.categories.dtype if isinstance(series.dtype, pd.CategoricalDtype) else series.dtype
    kind = natural_kind(dtype)
    if not kind:
        hint = next(hint for start, hint in _HINTS.items() if str(dtype).startswith(start))
        return f"has the dtype {dtype}, which cannot be modelled. {hint}"
    if isinstance(dtype, pd.DatetimeTZDtype) and not has_name(dtype.tz):
        return (
            f"has the time zone {dtype.tz}, which has no name by which it could be found again. Convert it "
            "to one of the tz database, for example with .dt.tz_convert('Europe/Berlin')."
        )
    if kind == "numerical" and series.dtype.kind == "f":
        infinite = np.flatnonzero(np.isinf(to_numbers(series)[0]))
        if len(infinite):
            pronoun = "it" if len(infinite) == 1 else "them"
            return (
                f"has {quantity(len(infinite), 'infinite value')} (first at row {infinite[0]}). "
                f"Replace {pronoun} by a missing value or a bound."
            )
    if is_object_dtype(dtype):
        values = series.dtype.categories if isinstance(series.dtype, pd.CategoricalDtype) else series
        return _find_odd_objects(values)
    if isinstance(dtype, pd.StringDtype) and dtype.storage == "python":
        return _find_broken_text(series)
    return ""


def _find_odd_objects(values: Any) -> str:
    """Say which objects cannot be kept in JSON, or nothing."""
    types = set(map(type, values)) - set(_SIMPLE)
    if not types:
        return _find_broken_text(values)
    odd = [type(v).__name__ for v in values if type(v) in types and not is_supported(v)]
    if not odd:
        return _find_broken_text(values)
    name, count = Counter(odd).most_common(1)[0]
    nested = name in ("list", "dict", "set", "ndarray", "tuple")
    return f"holds values of type {name} ({count:,} of them), which cannot be modelled. " + (
        _NESTED if nested else "Convert them to numbers, text or dates, or drop the column."
    )


def _find_broken_text(values: Any) -> str:
    """Say how many texts no file can hold, or nothing."""
    texts = [value for value in values if isinstance(value, str)]
    if is_supported("".join(texts)):
        return ""
    count = sum(not is_supported(text) for text in texts)
    verb, pronoun = ("is", "it") if count == 1 else ("are", "them")
    return (
        f"holds {quantity(count, 'text')} that {verb} not valid Unicode (half of a surrogate pair). "
        f"Mend {pronoun}, or drop it."
    )


def _infer_column(name: Hashable, series: pd.Series[Any], declared: str | None) -> tuple[Column, str]:
    """Find the kind of a column, and what speaks against the declared one."""
    natural = natural_kind(series.dtype)
    kind = declared if declared in KINDS else None
    column = Column(name, kind or _infer_kind(series, natural), series.dtype, missing_value(series))
    return column, _check_kind(series, natural, kind) if kind else ""


def _infer_kind(series: pd.Series[Any], natural: str) -> str:
    """Name the kind that a column seems to have."""
    if _count_states(series, 2) <= 1:
        return "constant"
    if natural == "numerical" and series.dtype.kind in "iu" and _looks_like_key(series):
        return "identifier"
    if natural == "categorical" and is_text(series) and _all_differ(series.dropna()):
        return "identifier"
    return natural


def _count_states(series: pd.Series[Any], enough: int) -> int:
    """Count distinct values, missing included, exactly only if below `enough`."""
    for part in (series.iloc[:1000], series):
        values = object_keys(part)
        count = int(values.nunique()) + bool(values.isna().any())
        if count >= enough:
            return count
    return count


def _looks_like_key(series: pd.Series[Any]) -> bool:
    """Tell whether integers differ too regularly to have been drawn.

    That n draws from m numbers all differ has the chance exp(-n^2 / 2m).
    """
    values, missing = to_numbers(series)
    n = len(values)
    if n <= _MIN_IDENTIFIERS or missing.any():
        return False
    width = int(values.max()) - int(values.min()) + 1
    return width >= n and n * n / (2 * width) > _MAX_CHANCE_EXPONENT and bool(series.is_unique)


def _all_differ(values: pd.Series[Any]) -> bool:
    """Tell whether there are many values, all different."""
    return len(values) > _MIN_IDENTIFIERS and bool(values.iloc[:1000].is_unique) and bool(values.is_unique)


def is_text(series: pd.Series[Any]) -> bool:
    """Tell whether a column holds text, in whatever dtype but category."""
    if is_object_dtype(series.dtype):
        return pd.api.types.infer_dtype(series, skipna=True) == "string"
    return not isinstance(series.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(series.dtype)


def _check_kind(series: pd.Series[Any], natural: str, kind: str) -> str:
    """Say why a column cannot have the declared kind, or nothing."""
    if kind in (natural, "categorical"):
        return ""
    if kind == "constant":
        return (
            ""
            if _count_states(series, 2) <= 1
            else "is declared constant but has several values. Declare another kind."
        )
    if kind == "boolean":
        n_values = _count_states(series.dropna(), 3)
        return (
            ""
            if n_values <= 2
            else "is declared boolean but has more than two values. Declare it categorical."
        )
    if kind == "identifier":
        if is_text(series) or (natural == "numerical" and series.dtype.kind in "iu"):
            return ""
        return f"is declared identifier but has the dtype {series.dtype}. Identifiers are integers or text."
    reader = {"numerical": "to_numeric", "datetime": "to_datetime", "timedelta": "to_timedelta"}[kind]
    return (
        f"is declared {kind} but has the dtype {series.dtype}. "
        f"Convert it with pd.{reader}, or declare it {natural}."
    )


def missing_value(series: pd.Series[Any]) -> object:
    """Find how an object column most often spells a missing value.

    >>> missing_value(pd.Series(["a", None], dtype=object)) is None
    True
    """
    if not is_object_dtype(series.dtype):
        return None
    spellings = Counter(type(value).__name__ for value in series[series.isna()])
    known = {"NoneType": None, "float": np.nan, "NAType": pd.NA, "NaTType": pd.NaT}
    return known.get(spellings.most_common(1)[0][0]) if spellings else None


def _conform(series: pd.Series[Any], column: Column) -> tuple[pd.Series[Any], str]:
    """Give a column the dtype of the schema where only categories differ; say what else is wrong."""
    wanted, found = column.dtype, series.dtype
    if isinstance(wanted, pd.CategoricalDtype) and isinstance(found, pd.CategoricalDtype):
        unknown = ~series.cat.remove_unused_categories().cat.categories.isin(wanted.categories)
        if unknown.any():
            return series, f"has categories that the schema does not know ({int(unknown.sum()):,} of them)."
        return series.cat.set_categories(wanted.categories, ordered=wanted.ordered), ""
    if wanted != found:
        return series, f"has the dtype {found} but {wanted} in the schema. Convert it with .astype()."
    return series, find_problem(series)
