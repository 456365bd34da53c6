"""Tables that break programs: one function a table, by name. docs/awkward-tables.md says what each ends in.

Beside the awkward column, which is called "odd", most of them have two ordinary ones: they must not suffer.
"""

import datetime as dt
import enum
import fractions
import ipaddress
import pathlib
import uuid
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["LARGE", "TABLES"]

N_ROWS = 60
BIG = np.iinfo(np.int64).max


def beside(odd, n_rows=N_ROWS):
    """A table of two ordinary columns and an awkward one."""
    rng = np.random.default_rng(0)
    plain = {"size": rng.normal(size=n_rows).round(3), "colour": rng.choice(["red", "green"], n_rows)}
    return pd.DataFrame(plain).assign(odd=odd)


def cycle(values, dtype=None):
    """A column that repeats some values, whatever they are."""
    column = np.empty(N_ROWS, dtype=object)
    for row in range(N_ROWS):
        column[row] = values[row % len(values)]
    return pd.Series(column, dtype=dtype or object)


def arrow(values, kind):
    """An Arrow-backed column that repeats some values."""
    array = pa.array([values[row % len(values)] for row in range(N_ROWS)], type=kind)
    return pd.Series(pd.arrays.ArrowExtensionArray(array))


def numbers(dtype="float64", n_rows=N_ROWS):
    return pd.Series(np.random.default_rng(1).normal(size=n_rows) * 40, dtype="float64").astype(dtype)


def integers(low, high, dtype="int64"):
    """Integers from the whole of a range, its two ends included."""
    drawn = np.random.default_rng(2).integers(low, high, N_ROWS, dtype=dtype, endpoint=True)
    drawn[[3, 7]] = low, high
    return drawn


def gaps(series, every=5):
    """The column with every fifth value missing."""
    return pd.Series(series).mask(np.arange(len(series)) % every == 0)


def levels(categories, codes, ordered=False):
    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return pd.Categorical.from_codes([codes[row % len(codes)] for row in range(N_ROWS)], dtype=dtype)


def times(start="2024-03-30", step="7h", unit="us", zone=None):
    ticks = pd.Series(pd.date_range(start, periods=N_ROWS, freq=step)).dt.as_unit(unit)
    return ticks if zone is None else ticks.dt.tz_localize("UTC").dt.tz_convert(zone)


def years(first, last, unit="s"):
    """Dates beyond what nanoseconds can count."""
    span = np.linspace(first - 1970, last - 1970, N_ROWS).astype(np.int64)
    return pd.Series(span.astype("M8[Y]").astype(f"M8[{unit}]"))


def named(*names):
    """Columns of numbers under odd names."""
    values = np.random.default_rng(3).integers(0, 9, (N_ROWS, len(names)))
    frame = pd.DataFrame(values)
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    return frame


def sparse(values):
    return pd.Series(pd.arrays.SparseArray(values))


def wide(n_columns, n_rows):
    rng = np.random.default_rng(4)
    values = np.where(rng.random((n_rows, n_columns)) < 0.3, 0.0, rng.normal(size=(n_rows, n_columns)))
    return pd.DataFrame(values, columns=[f"c{k}" for k in range(n_columns)])


def many_categories(n_categories, n_rows):
    """Every category occurs, the first ones more often."""
    rng = np.random.default_rng(5)
    more = np.minimum(rng.geometric(20 / n_categories, n_rows - n_categories) - 1, n_categories - 1)
    town = rng.permutation(np.append(np.arange(n_categories), more))
    return beside(pd.Series([f"town {k}" for k in town]), n_rows)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


SHAPES = {
    "one row": lambda: pd.DataFrame({"a": [1.5], "b": ["x"], "c": [True]}),
    "two rows": lambda: pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}),
    "one column": lambda: pd.DataFrame({"odd": numbers()}),
    "one column of 2,000 rows": lambda: pd.DataFrame({"odd": numbers(n_rows=2_000)}),
    "one cell": lambda: pd.DataFrame({"odd": [3]}),
    "no rows": lambda: beside(numbers()).head(0),
    "no columns": lambda: pd.DataFrame(index=range(5)),
    "more columns than rows": lambda: wide(40, 12),
    "equal rows": lambda: pd.DataFrame({"a": [2.5] * N_ROWS, "b": "x", "c": [True] * N_ROWS}),
    "two kinds of rows": lambda: pd.DataFrame({"a": [1, 2] * 30, "b": ["x", "y"] * 30, "c": [0.1, 7e9] * 30}),
}

MISSING = {
    "gaps in numbers": lambda: beside(gaps(numbers())),
    "gaps in text": lambda: beside(gaps(cycle(["a", "b"]))),
    "one observed value": lambda: beside(gaps(numbers()).where(np.arange(N_ROWS) == 7)),
    "nothing observed, floats": lambda: beside(np.full(N_ROWS, np.nan)),
    "nothing observed, objects": lambda: beside(cycle([None])),
    "nothing observed, text": lambda: beside(pd.Series([None] * N_ROWS, dtype="string")),
    "nothing observed, Int64": lambda: beside(pd.Series([None] * N_ROWS, dtype="Int64")),
    "nothing observed, dates": lambda: beside(pd.Series([pd.NaT] * N_ROWS, dtype="M8[us]")),
    "nothing observed, category": lambda: beside(levels(["a", "b"], [-1])),
    "nothing observed, no levels": lambda: beside(levels([], [-1])),
    "nothing observed in any column": lambda: pd.DataFrame({"a": [np.nan] * 20, "b": [None] * 20}),
    "rows without any value": lambda: beside(numbers())[lambda rows: rows.index % 3 > 0].reindex(
        range(N_ROWS)
    ),
    "several spellings of missing": lambda: beside(cycle(["a", None, "b", np.nan, pd.NA, pd.NaT, None])),
    "NaN beside NA": lambda: beside(
        pd.Series(pd.arrays.FloatingArray(np.where(np.arange(60) % 7, 1.5, np.nan), np.arange(60) % 5 == 0))
    ),
    "gaps at the same rows": lambda: beside(gaps(numbers())).assign(other=gaps(cycle(["a", "b"]))),
}

CONSTANTS = {
    "constant number": lambda: beside([0.1] * N_ROWS),
    "constant text": lambda: beside([""] * N_ROWS),
    "constant date": lambda: beside(pd.Series([pd.Timestamp("2024-02-29", tz="Asia/Tokyo")] * N_ROWS)),
    "constant category": lambda: beside(levels(["a", "b"], [1])),
    "constant but for gaps": lambda: beside(gaps([7] * N_ROWS)),
    "constant but for one row": lambda: beside([1.0] * 59 + [2.0]),
}

NUMBERS = {
    "infinite": lambda: beside(numbers().replace(numbers()[3], np.inf)),
    "minus infinite": lambda: beside(numbers("float32").where(np.arange(N_ROWS) != 3, -np.inf)),
    "infinite, Float64": lambda: beside(pd.Series([1.5, np.inf, 2.5] * 20, dtype="Float64")),
    "infinite, Arrow": lambda: beside(arrow([1.5, -np.inf, None], pa.float64())),
    "int64, its whole range": lambda: beside(integers(-BIG - 1, BIG)),
    "int64 beyond 2^53": lambda: beside(2**53 + 2 * integers(0, 99) + 1),
    "uint64, its whole range": lambda: beside(integers(0, 2**64 - 1, "uint64")),
    "int8, its whole range": lambda: beside(integers(-128, 127, "int8")),
    "float16": lambda: beside(numbers("float16")),
    "float16, its ends": lambda: beside(cycle([-65504, 65504, 6e-8, 1.0], "float16")),
    "float32": lambda: beside(numbers("float32")),
    "float32, its ends": lambda: beside(cycle([-3.4028235e38, 3.4028235e38, 1e-45], "float32")),
    "float64, its ends": lambda: beside(cycle([-1.7976931348623157e308, 0.0, 1.7976931348623157e308], float)),
    "from 1e-300 to 1e300": lambda: beside(10.0 ** np.linspace(-300, 300, N_ROWS)),
    "one value of 1e300": lambda: beside(numbers().mask(np.arange(N_ROWS) == 9, 1e300)),
    "subnormal numbers": lambda: beside(5e-324 * np.arange(1.0, N_ROWS + 1)),
    "minus zero": lambda: beside(cycle([-0.0, 0.0, 1.0], float)),
    "mostly zero": lambda: beside(numbers().where(np.arange(N_ROWS) % 9 == 0, 0.0)),
    "whole floats": lambda: beside(integers(0, 9).astype(float)),
    "neighbouring floats": lambda: beside(1 + 2.0**-52 * np.arange(N_ROWS)),
    "complex": lambda: beside(numbers() + 1j),
    "long double": lambda: beside(numbers().to_numpy().astype("longdouble")),
    "big-endian": lambda: beside(numbers().to_numpy().astype(">f8")),
    "Decimal": lambda: beside(cycle([Decimal("1.10"), Decimal("-0"), Decimal("1E+30"), None])),
    "Decimal, not a number": lambda: beside(cycle([Decimal("1.10"), Decimal("NaN"), Decimal("Infinity")])),
    "integers beyond 64 bits": lambda: beside(cycle([2**70, -(2**70), 3])),
    "fractions": lambda: beside(cycle([fractions.Fraction(1, 3), fractions.Fraction(2, 3)])),
    "sparse numbers": lambda: beside(sparse(np.arange(N_ROWS) % 4 * 1.0)),
    "sparse booleans": lambda: beside(sparse(np.arange(N_ROWS) % 4 == 0)),
}

PANDAS = {
    f"{dtype} with gaps": lambda dtype=dtype: beside(cycle([1, None, 3, 0, 1, 100], dtype))
    for dtype in [
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
    ]
} | {
    "boolean with gaps": lambda: beside(cycle([True, None, False], "boolean")),
    "booleans as objects": lambda: beside(cycle([True, None, False])),
    "string, Python": lambda: beside(cycle(["a", "b", None], "string[python]")),
    "string, Arrow": lambda: beside(cycle(["a", "b", None], "string[pyarrow]")),
    "period, months": lambda: beside(
        pd.Series(pd.period_range("2020-01", periods=12, freq="M")).sample(
            N_ROWS, replace=True, random_state=0, ignore_index=True
        )
    ),
    "period, quarters": lambda: beside(cycle([pd.Period("2020Q1", "Q-NOV"), pd.NaT], "period[Q-NOV]")),
    "interval": lambda: beside(pd.cut(numbers(), 4).astype(pd.IntervalDtype("float64", "right"))),
    "interval of dates": lambda: beside(
        pd.Series(pd.interval_range(pd.Timestamp("2024-01-01"), periods=N_ROWS, freq="D"))
        .sample(frac=1, random_state=0)
        .to_numpy()
    ),
}

ARROW = {
    f"Arrow {kind}": lambda kind=kind: beside(arrow([1, None, 3, 0, 1, 100], getattr(pa, kind)()))
    for kind in [
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
    ]
} | {
    "Arrow float16": lambda: beside(arrow([np.float16(1), None, np.float16(2.5)], pa.float16())),
    "Arrow bool": lambda: beside(arrow([True, None, False], pa.bool_())),
    "Arrow string": lambda: beside(arrow(["a", None, "b"], pa.string())),
    "Arrow large string": lambda: beside(arrow(["a", None, "b"], pa.large_string())),
    "Arrow string view": lambda: beside(arrow(["a", None, "b"], pa.string_view())),
    "Arrow date": lambda: beside(arrow([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)], pa.date32())),
    "Arrow date64": lambda: beside(arrow([dt.date(2024, 1, 1), None, dt.date(2024, 2, 1)], pa.date64())),
    "Arrow timestamp": lambda: beside(arrow([10**9, None, 2 * 10**9], pa.timestamp("s"))),
    "Arrow timestamp with a zone": lambda: beside(arrow([10**18, None], pa.timestamp("ns", "Europe/Berlin"))),
    "Arrow duration": lambda: beside(arrow([10**9, None, 5], pa.duration("ms"))),
    "Arrow time": lambda: beside(arrow([dt.time(1, 2), None], pa.time64("us"))),
    "Arrow binary": lambda: beside(arrow([b"a", None, b"\xff"], pa.binary())),
    "Arrow decimal": lambda: beside(arrow([Decimal("1.10"), None], pa.decimal128(9, 2))),
    "Arrow dictionary": lambda: beside(arrow(["a", None, "b"], pa.dictionary(pa.int32(), pa.string()))),
    "Arrow list": lambda: beside(arrow([[1, 2], None], pa.list_(pa.int64()))),
    "Arrow struct": lambda: beside(arrow([{"a": 1}, None], pa.struct([("a", pa.int64())]))),
    "Arrow map": lambda: beside(arrow([[("a", 1)], None], pa.map_(pa.string(), pa.int64()))),
    "Arrow null": lambda: beside(arrow([None], pa.null())),
}

CATEGORIES = {
    "category with unused levels": lambda: beside(levels(["a", "b", "never"], [0, 1, -1])),
    "ordered category": lambda: beside(levels(["low", "mid", "high"], [2, 0, 1, 0], ordered=True)),
    "ordered category, unused levels": lambda: beside(levels(["never", "low", "not"], [1, -1], ordered=True)),
    "category of integers": lambda: beside(levels([30, 10, 2**60], [0, 1, 2])),
    "category of floats": lambda: beside(levels([0.1, -np.inf, 2.5], [0, 1, 2])),
    "category of booleans": lambda: beside(levels([True, False], [0, 1])),
    "category of dates": lambda: beside(levels(pd.date_range("2024", periods=3, tz="UTC"), [0, 1, 2])),
    "category of intervals": lambda: beside(pd.cut(numbers(), 5)),
    "category of mixed values": lambda: beside(levels(["a", 1, dt.date(2024, 1, 1)], [0, 1, 2])),
    "category of frozen sets": lambda: beside(levels(pd.Index([frozenset({1}), frozenset()]), [0, 1])),
    "every row a category": lambda: beside(pd.Categorical([f"c{k}" for k in range(N_ROWS)])),
    "2,000 categories": lambda: many_categories(2000, 4000),
}

TEXT = {
    "words for missing": lambda: beside(cycle(["NA", "", "None", "nan", "null", "N/A", " "])),
    "emoji and other scripts": lambda: beside(cycle(["🦜", "日本", "ß", "e\u0301", "\u202e", "é"])),
    "control characters": lambda: beside(cycle(["a\nb", "c\r\n", '"', ",", "\t", "'"])),
    "NUL characters": lambda: beside(cycle(["a\x00b", "a", "\x00"])),
    "half of a surrogate pair": lambda: beside(cycle(["\ud83e", "a"])),
    "numbers as text": lambda: beside(cycle(["1", "1.0", "01", "1e0", "+1"])),
    "dates as text": lambda: beside(cycle(["2024-02-29", "2024-02-30", "yesterday"])),
    "100,000 characters": lambda: beside(cycle(["a" * 100_000, "b" * 100_000, "b"])),
    "spaces at the ends": lambda: beside(cycle(["a", " a", "a ", "A"])),
    "formulas": lambda: beside(cycle(["=1+1", "@SUM(A1)", "-1", "+1"])),
    "bytes": lambda: beside(cycle([b"", b"\xff\x00", b"a"])),
}

TIMES = {
    "dates in seconds": lambda: beside(times(unit="s")),
    "dates in nanoseconds": lambda: beside(gaps(times(unit="ns"))),
    "a time zone with summer time": lambda: beside(times(zone="Europe/Berlin")),
    "a zone of a fixed offset": lambda: beside(times(zone=dt.timezone(dt.timedelta(hours=5, minutes=30)))),
    "a zone of dateutil": lambda: beside(times(zone="dateutil/Europe/Berlin")),
    "a zone of zoneinfo": lambda: beside(times(zone=zoneinfo.ZoneInfo("America/Sao_Paulo"), unit="ns")),
    "dates from 1500 to 2500": lambda: beside(years(1500, 2500)),
    "dates from year 1 to 9999": lambda: beside(years(1, 9999, "us")),
    "dates before Christ": lambda: beside(years(-4000, -3000)),
    "first and last nanosecond": lambda: beside(cycle([pd.Timestamp.min, pd.Timestamp.max], "M8[ns]")),
    "date objects": lambda: beside(cycle([dt.date(2024, 1, 1), dt.date(1, 1, 1), None])),
    "time objects": lambda: beside(cycle([dt.time(1, 2), dt.time(23, 59, 59, 999999), None])),
    "datetime objects": lambda: beside(cycle([dt.datetime(2024, 1, 1, 3), dt.datetime(1, 1, 1), None])),
    "several zones": lambda: beside(
        cycle([pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-01", tz="Asia/Tokyo")])
    ),
    "with and without a zone": lambda: beside(
        cycle([pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-01")])
    ),
    "timedelta": lambda: beside(gaps(times() - times()[9])),
    "timedelta, its ends": lambda: beside(cycle([pd.Timedelta.min, pd.Timedelta.max], "m8[ns]")),
    "timedelta objects": lambda: beside(cycle([dt.timedelta(1), dt.timedelta.max, None])),
}

OBJECTS = {
    "mixed types": lambda: beside(cycle(["a", 1, 2.5, None, True, b"x"])),
    "1, 1.0, True and '1'": lambda: beside(cycle([1, 1.0, True, "1"])),
    "text and numbers": lambda: beside(cycle(["a", 1, 2])),
    "numpy scalars": lambda: beside(cycle([np.int8(1), np.float32(2), np.bool_(True)])),
    "UUID objects": lambda: beside(cycle([uuid.UUID(int=k) for k in range(N_ROWS)])),
    "tuples": lambda: beside(cycle([(1, "a"), (2, "b"), (1, 2, 3)])),
    "lists": lambda: beside(cycle([[1], [2, 3]])),
    "dicts": lambda: beside(cycle([{"a": 1}, {"b": 2}])),
    "sets": lambda: beside(cycle([{1}, {2, 3}])),
    "arrays": lambda: beside(cycle([np.zeros(2), np.ones(3)])),
    "frames": lambda: beside(cycle([pd.DataFrame({"a": [1]})])),
    "enumerations": lambda: beside(cycle([Colour.RED, Colour.BLUE])),
    "enumerations of text": lambda: beside(cycle([Size.SMALL, Size.LARGE])),
    "paths": lambda: beside(cycle([pathlib.PurePosixPath("a"), pathlib.PurePosixPath("b")])),
    "addresses": lambda: beside(cycle([ipaddress.ip_address("::1"), ipaddress.ip_address("10.0.0.1")])),
    "functions": lambda: beside(cycle([len, print])),
}

NAMES = {
    "integers as names": lambda: named(3, 1, 2),
    "floats and booleans as names": lambda: named(0.5, True, 7),
    "0 and '0' as names": lambda: named(0, "0", "size"),
    "None as a name": lambda: named(None, "a"),
    "NaN as a name": lambda: named(np.nan, "a"),
    "NA and NaT as names": lambda: named(pd.NA, pd.NaT, "a"),
    "tuples as names": lambda: named((1, "a"), (1, "b"), "c"),
    "dates as names": lambda: named(pd.Timestamp("2024-01-01"), dt.date(2024, 1, 1), "c"),
    "empty name": lambda: named("", " ", "a"),
    "emoji, dots and breaks in names": lambda: named("🦜", "a.b", "a\nb", "日本", "a\x00b"),
    "half of a surrogate pair as a name": lambda: named("\ud83e", "a"),
    "quotes and markup in names": lambda: named('"', "'; drop table--", "<script>alert(1)</script>", "a,b"),
    "names that differ in case or form": lambda: named("a", "A", "\u00e9", "e\u0301"),
    "names that pandas and Arrow use": lambda: named("__index_level_0__", "index", "level_0", "columns"),
    "a name of 10,000 characters": lambda: named("a" * 10_000, "a" * 9_999 + "b"),
    "a name twice": lambda: named("odd", "a", "odd"),
    "1 and True as names": lambda: named(1, True, "a"),
    "objects as names": lambda: named(Colour.RED, "a"),
    "two levels of names": lambda: pd.DataFrame(
        np.zeros((9, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    ),
    "a category of names": lambda: named("a", "b").set_axis(pd.CategoricalIndex(["a", "b"]), axis=1),
    "a name of the names": lambda: named("a", "b").rename_axis("names", axis=1),
}

INDEXES = {
    "index of repeated values": lambda: beside(numbers()).set_axis([5] * N_ROWS),
    "index of missing values": lambda: beside(numbers()).set_axis([np.nan] * N_ROWS),
    "index of two levels": lambda: beside(numbers()).set_axis(
        pd.MultiIndex.from_product([range(6), range(10)])
    ),
    "index of dates, named as a column": lambda: beside(numbers()).set_axis(
        pd.date_range("2024", periods=N_ROWS, name="odd")
    ),
    "read-only values": lambda: pd.DataFrame(
        np.broadcast_to(np.arange(6.0)[:, None], (6, 3)), columns=list("abc")
    ),
}

KEYS = {
    "numbered rows": lambda: beside(np.arange(N_ROWS) + 1),
    "keys at the end of int64": lambda: beside(BIG - np.arange(N_ROWS)),
    "keys at the end of uint8": lambda: beside((np.arange(N_ROWS) + 196).astype("uint8")),
    "text keys with gaps": lambda: beside(gaps(pd.Series([f"key-{k:04d}" for k in range(N_ROWS)]))),
    "UUIDs": lambda: beside([str(uuid.UUID(int=k * 10**30)) for k in range(N_ROWS)]),
    "keys of 30 digits": lambda: beside([f"{10**29 + k}" for k in range(N_ROWS)]),
    "keys in Arabic digits": lambda: beside(
        [chr(0x0660 + k // 10) + chr(0x0660 + k % 10) for k in range(N_ROWS)]
    ),
    "all text different": lambda: beside([hex(k * 7919 % 1009) for k in range(N_ROWS)]),
    "only keys": lambda: pd.DataFrame({"a": range(N_ROWS), "b": [f"k{k}" for k in range(N_ROWS)]}),
}

RELATED = {
    "a column twice": lambda: beside(numbers()).assign(copy=numbers()),
    "a column twice, 2,000 rows": lambda: pd.DataFrame(
        {"odd": numbers(n_rows=2_000), "copy": numbers(n_rows=2_000)}
    ),
    "a column and its code": lambda: beside(cycle(["a", "b", "c"])).assign(code=cycle([1, 2, 3], "int64")),
    "sums that leave int64": lambda: pd.DataFrame(
        {"a": integers(BIG - 99, BIG), "b": integers(1, 99)}
    ).assign(sum=lambda rows: rows["a"] + rows["b"]),
    "start and end with gaps": lambda: beside(times()).assign(end=gaps(times() + pd.Timedelta("1D"))),
    "one rare class": lambda: beside(["usual"] * 59 + ["rare"]),
}

TABLES = {
    **SHAPES,
    **MISSING,
    **CONSTANTS,
    **NUMBERS,
    **PANDAS,
    **ARROW,
    **CATEGORIES,
    **TEXT,
    **TIMES,
    **OBJECTS,
    **NAMES,
    **INDEXES,
    **KEYS,
    **RELATED,
}
LARGE = {
    "2,000 columns": lambda: wide(2000, 300),
    "5,000 columns": lambda: wide(5000, 300),
    "300,000 categories": lambda: many_categories(300_000, 600_000),
}
"""Tables that take long; tested by -m slow."""
