"""Hypothesis strategies of columns and frames in every dtype that the library keeps."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
NULLABLE_INTEGERS = [name.replace("i", "I", 1).replace("u", "U", 1) for name in INTEGERS]
ZONES = ["UTC", "Europe/Berlin", "America/New_York"]
UNITS = ["s", "ms", "us", "ns"]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)


def _values(draw, strategy, n_rows, missing=None):
    """Draw a list of values, often from a small pool; with `missing` some of it is that value."""
    pool = draw(st.lists(strategy, min_size=1, max_size=draw(st.sampled_from([1, 3, n_rows]))))
    picks = st.sampled_from(pool) if missing is None else st.sampled_from(pool) | st.sampled_from(missing)
    return draw(st.lists(picks, min_size=n_rows, max_size=n_rows))


def _bounds(name):
    info = np.iinfo(name.lower())
    return st.integers(int(info.min), int(info.max)) | st.integers(0, 9)


@st.composite
def integers(draw, n_rows):
    """Integer columns: numpy, nullable, Arrow-backed."""
    name = draw(st.sampled_from(INTEGERS))
    style = draw(st.sampled_from(["numpy", "nullable", "arrow"]))
    if style == "numpy":
        return pd.Series(_values(draw, _bounds(name), n_rows), dtype=name)
    values = _values(draw, _bounds(name), n_rows, [None])
    if style == "nullable":
        return pd.Series(pd.array(values, dtype=NULLABLE_INTEGERS[INTEGERS.index(name)]))
    return pd.Series(pd.array(values, dtype=pd.ArrowDtype(getattr(pa, name)())))


@st.composite
def floats(draw, n_rows):
    """Float columns of every width, some with few decimals, with NaN or NA."""
    width = draw(st.sampled_from([16, 32, 64]))
    few_decimals = st.integers(-999, 999).map(lambda i: float(np.float16(i / 8)))
    any_float = st.floats(width=width, allow_nan=False, allow_infinity=False)
    values = _values(draw, draw(st.sampled_from([any_float, few_decimals])), n_rows, [None])
    style = draw(st.sampled_from(["numpy", "nullable", "arrow"]))
    if style == "nullable" and width > 16:
        return pd.Series(pd.array(values, dtype=f"Float{width}"))
    if style == "arrow" and width > 16:
        return pd.Series(pd.array(values, dtype=pd.ArrowDtype(getattr(pa, f"float{width}")())))
    return pd.Series([np.nan if v is None else v for v in values], dtype=f"float{width}")


@st.composite
def booleans(draw, n_rows):
    """Truth values in every dtype that holds them."""
    dtype = draw(st.sampled_from(["bool", "object", "boolean", pd.ArrowDtype(pa.bool_())]))
    missing = (
        None if dtype == "bool" else [draw(st.sampled_from([None, np.nan])) if dtype == "object" else None]
    )
    return pd.Series(_values(draw, st.booleans(), n_rows, missing), dtype=dtype)


@st.composite
def texts(draw, n_rows):
    """Text in every string dtype, or as objects with None or NaN."""
    style = draw(st.sampled_from(["default", "string", "arrow", "none", "nan"]))
    missing = {"none": None, "nan": np.nan}.get(style)
    values = _values(draw, TEXT, n_rows, [missing])
    if style == "default":
        return pd.Series(values, dtype="str" if pd.__version__ >= "3" else "object")
    dtype = {"string": "string", "arrow": pd.ArrowDtype(pa.string())}.get(style, object)
    return pd.Series(values, dtype=dtype)


@st.composite
def categories(draw, n_rows):
    """The category dtype: ordered or not, with unused levels, over several types."""
    pools = [
        ["a", "b", "", "ü"],
        [3, 1, 2],
        [0.5, 2.5],
        [True, False],
        pd.to_datetime(["2020-01-01", "2021-01-01"]),
        pd.interval_range(0, 3),
        ["a", 1, None][:2],
        [dt.date(2020, 1, 1), dt.date(2021, 1, 1)],
    ]
    dtype = pd.CategoricalDtype(draw(st.sampled_from(pools)), ordered=draw(st.booleans()))
    codes = draw(st.lists(st.integers(-1, len(dtype.categories) - 1), min_size=n_rows, max_size=n_rows))
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))


@st.composite
def objects(draw, n_rows):
    """Object columns whose values have different types."""
    pool = [
        1,
        1.0,
        True,
        "1",
        b"1",
        Decimal("1.10"),
        dt.date(2020, 1, 1),
        dt.time(1, 2),
        (1, "a"),
        np.int8(1),
    ]
    pool += [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timedelta("1s"), 2**70]
    return pd.Series(_values(draw, st.sampled_from(pool), n_rows, [None]), dtype=object)


@st.composite
def datetimes(draw, n_rows):
    """Datetimes of every unit, naive, with a zone, or Arrow-backed; dates."""
    unit, zone = draw(st.sampled_from(UNITS)), draw(st.sampled_from([None, *ZONES]))
    style = draw(st.sampled_from(["numpy", "arrow", "date32"]))
    low, high = (dt.datetime(1690, 1, 1), dt.datetime(2250, 1, 1))
    if unit != "ns" and (zone is None or pd.__version__ >= "3"):  # pandas 2 dies of old times in a zone
        low, high = dt.datetime(2, 1, 1), dt.datetime(9990, 1, 1)
    near = st.integers(0, 10**6).map(lambda s: dt.datetime(2020, 1, 1) + dt.timedelta(seconds=s))
    values = _values(draw, draw(st.sampled_from([st.datetimes(low, high), near])), n_rows, [None])
    if style == "date32":
        days = [None if v is None else v.date() for v in values]
        return pd.Series(pd.array(days, dtype=pd.ArrowDtype(pa.date32())))
    if style == "arrow":
        seconds = [None if v is None else v.replace(microsecond=0) for v in values]
        array = pa.array(seconds, type=pa.timestamp("us")).cast(pa.timestamp(unit))
        if zone:
            array = pa.compute.assume_timezone(array, "UTC").cast(pa.timestamp(unit, zone))
        return pd.Series(pd.arrays.ArrowExtensionArray(array))
    ticks = np.array(
        [np.datetime64("NaT") if v is None else np.datetime64(v, "us") for v in values], "M8[us]"
    )
    series = pd.Series(ticks.astype(f"M8[{unit}]"))
    return series.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else series


@st.composite
def timedeltas(draw, n_rows):
    """Timedeltas of every unit, numpy or Arrow-backed."""
    unit = draw(st.sampled_from(UNITS))
    ticks = _values(draw, st.integers(-(2**40), 2**40), n_rows, [None])
    if draw(st.booleans()):
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(ticks, type=pa.duration(unit))))
    return pd.Series(np.array(["NaT" if v is None else v for v in ticks], dtype=f"m8[{unit}]"))


KINDS = [integers, floats, booleans, texts, categories, objects, datetimes, timedeltas]
NAMES = st.one_of(TEXT, st.integers(-5, 5), st.none(), st.just((1, "a")), st.dates())


@st.composite
def columns(draw, kinds=None, min_rows=1, max_rows=40):
    """One column of one of the given strategies."""
    n_rows = draw(st.integers(min_rows, max_rows))
    return draw(draw(st.sampled_from(kinds or KINDS))(n_rows)).rename(draw(NAMES))


@st.composite
def frames(draw, max_rows=40, max_columns=5):
    """Frames of columns of any dtype under any names."""
    n_rows = draw(st.integers(1, max_rows))
    names = draw(st.lists(NAMES, min_size=1, max_size=max_columns, unique=True))
    parts = [draw(draw(st.sampled_from(KINDS))(n_rows)) for _ in names]
    frame = pd.DataFrame(dict(enumerate(parts)))
    frame.columns = pd.Index(names, tupleize_cols=False, dtype=object)
    return frame


def assert_same_column(real, back, exact=True):
    """Same dtype and missing cells; values equal, floats up to 1e-12 of their range unless exact."""
    assert back.dtype == real.dtype
    if isinstance(real.dtype, pd.CategoricalDtype):
        assert list(back.cat.categories) == list(real.cat.categories)
        assert back.cat.ordered == real.cat.ordered
    absent = real.isna().to_numpy(dtype=bool)
    assert (back.isna().to_numpy(dtype=bool) == absent).all()
    old, new = real[~absent], back[~absent]
    if real.dtype.kind == "f" and not exact:
        old, new = old.to_numpy(dtype=np.float64) / 4, new.to_numpy(dtype=np.float64) / 4
        if len(old):
            slack = 1e-12 * (old.max() - old.min())
            ulp = {2: 1e-3, 4: 1e-7}.get(real.dtype.itemsize, 1e-15)
            assert (np.abs(old - new) <= slack + ulp * np.abs(old)).all()
        return
    assert [(type(v), v) for v in old] == [(type(v), v) for v in new]


def assert_same_frame(real, back):
    """Same names in the same order, and each column the same."""
    assert [(type(a), a) for a in back.columns] == [(type(a), a) for a in real.columns]
    assert isinstance(back.index, pd.RangeIndex)
    for position in range(real.shape[1]):
        assert_same_column(real.iloc[:, position].reset_index(drop=True), back.iloc[:, position], exact=False)
