"""The codec of numbers and times: round trips, bounds, resolution, JSON."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError
from synthgan.layout import ATOM, CONTINUOUS
from synthgan.schema import Column, Schema
from synthgan.transforms import NumericCodec
from tests.strategies import assert_same_column, columns, datetimes, floats, integers, timedeltas

LINES = columns([integers, floats, datetimes, timedeltas])
NARROW = st.sampled_from(["int8", "int16", "int32", "uint8", "uint16", "uint32", "Int16", "UInt32"])


def fitted(series, **options):
    kind = Schema.infer(pd.DataFrame({"x": [1]}))["x"].kind  # the codec looks at the dtype only
    return NumericCodec(Column("x", kind, series.dtype), **options).fit(series)


def there_and_back(codec, series):
    return pd.Series(codec.inverse_transform(*codec.transform(series)))


@given(LINES)
def test_columns_come_back(series):
    assert_same_column(series, there_and_back(fitted(series), series), exact=False)


@given(st.lists(st.integers(-(2**45), 2**45), min_size=1, max_size=300), st.integers(1, 5))
def test_integers_come_back_exactly_whatever_the_modes(values, max_modes):
    series = pd.Series(values)
    assert_same_column(series, there_and_back(fitted(series, max_modes=max_modes), series))


@given(columns([datetimes, timedeltas], min_rows=20))
def test_times_come_back_exactly(series):
    assert_same_column(series, there_and_back(fitted(series), series))


@given(LINES, st.integers(0, 1000))
def test_any_code_decodes_within_the_bounds(series, seed):
    codec, rng = fitted(series), np.random.default_rng(seed)
    codes = rng.integers(0, len(codec.n_levels_), 60)
    back = pd.Series(codec.inverse_transform(codes, rng.uniform(-1, 1, 60)))
    assert back.dtype == series.dtype
    present = series.dropna()
    if len(present):
        assert all(present.min() <= value <= present.max() for value in back.dropna())
    assert series.isna().any() or back.notna().all()


@given(LINES, st.sampled_from(["quantile", "gaussian", "mixture"]))
def test_json_keeps_the_codec(series, modes):
    codec = fitted(series, modes=modes)
    data = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
    back = NumericCodec.from_dict(codec.column, data, modes)
    codes = np.arange(200) % len(codec.n_levels_)
    alphas = np.linspace(-1, 1, 200)
    first, second = (pd.Series(c.inverse_transform(codes, alphas)) for c in (codec, back))
    pd.testing.assert_series_equal(first, second)
    assert back.to_dict() == codec.to_dict()


@given(columns([integers, floats], max_rows=30), st.sampled_from(["gaussian", "mixture"]))
def test_gaussian_modes_decode_within_the_bounds(series, modes):
    codec = fitted(series, modes=modes, max_modes=3)
    back = there_and_back(codec, series)
    assert back.dtype == series.dtype
    assert (back.isna() == series.isna()).all()
    if series.notna().any():
        assert back.dropna().between(series.min(), series.max()).all()


@pytest.mark.parametrize("values", [[0, 0, 0, 1], [5, None, 5, 5], range(400), [0] * 300 + [*range(100)]])
def test_a_mixture_has_no_atom_but_the_missing_value(values):
    series = pd.Series(values, dtype="Int64")
    codec = fitted(series, modes="mixture", max_modes=5)
    n_missing = int(series.isna().any())
    assert (codec.n_levels_ == CONTINUOUS).sum() == len(codec.n_levels_) - n_missing <= 5
    assert (codec.n_levels_[:1] == CONTINUOUS).all()
    back = there_and_back(codec, series)
    assert (back.isna() == series.isna()).all()
    assert (back - series).abs().max() <= 1  # integers come back as such, but for tails


class TestResolution:
    def decoded(self, series, n=4000):
        codec = fitted(series)
        rng = np.random.default_rng(0)
        codes = rng.integers(0, len(codec.n_levels_), n)
        return pd.Series(codec.inverse_transform(codes, rng.uniform(-1, 1, n)))

    def test_decimals_are_kept(self):
        prices = pd.Series(np.random.default_rng(0).integers(100, 10**6, 3000) / 100)
        back = self.decoded(prices)
        assert (back == back.round(2)).all()
        assert not back.isin(prices).all()

    def test_float32_decimals_are_those_of_float32(self):
        values = (np.random.default_rng(0).integers(0, 10**4, 3000) / 10).astype("float32")
        back = self.decoded(pd.Series(values))
        assert back.dtype == np.float32
        assert set(back) <= {np.float32(i / 10) for i in range(10**4 + 1)}

    def test_multiples_stay_multiples(self):
        back = self.decoded(pd.Series(np.random.default_rng(0).integers(1, 900, 3000) * 1000))
        assert (back % 1000 == 0).all()

    def test_dates_stay_dates(self):
        days = pd.Timestamp("2000-01-01") + pd.to_timedelta(
            np.random.default_rng(0).integers(0, 9000, 3000), "D"
        )
        back = self.decoded(pd.Series(days))
        assert (back == back.dt.normalize()).all()

    def test_whole_floats_stay_whole(self):
        back = self.decoded(
            pd.Series([*np.random.default_rng(0).integers(0, 10**6, 500), np.nan], dtype=float)
        )
        assert (back.dropna() % 1 == 0).all()
        assert back.isna().any()


class TestCodes:
    def test_few_integers_are_atoms_in_order(self):
        codec = fitted(pd.Series([30, 10, 20, 20] * 5))
        assert codec.n_levels_.tolist() == [ATOM] * 3
        assert codec.position_.tolist() == [0, 0.5, 1]

    def test_missing_has_the_last_code_and_no_position(self):
        series = pd.Series([1.5, np.nan, 1.5, 2.5])
        codec = fitted(series)
        codes, alphas = codec.transform(series)
        assert codes.tolist() == [0, 2, 0, 1]
        assert alphas.tolist() == [0, 0, 0, 0]
        assert np.isnan(codec.position_[-1])

    def test_max_modes_bounds_the_modes(self):
        series = pd.Series(np.random.default_rng(0).normal(size=5000))
        for max_modes in (1, 7, 50):
            assert fitted(series, max_modes=max_modes).n_levels_.tolist() == [CONTINUOUS] * max_modes

    def test_all_missing_is_one_code(self):
        series = pd.Series([np.nan, np.nan])
        codec = fitted(series)
        assert codec.n_levels_.tolist() == [ATOM]
        assert there_and_back(codec, series).isna().all()
        with pytest.raises(DataError, match="'x' had no observed value"):
            codec.transform(pd.Series([1.0]))

    def test_rows_told_by_another_column_do_not_shape_the_modes(self):
        values = np.r_[np.linspace(0, 1, 1000), np.linspace(0.9, 1, 4000)] + np.arange(5000) / 1e9
        series, repeats = pd.Series(values), np.arange(5000) >= 1000
        codec = fitted(series, max_modes=10).fit(series, repeats=repeats)
        codes, _ = codec.transform(series[~repeats])
        assert np.bincount(codes).max() <= 105
        assert_same_column(series, there_and_back(codec, series), exact=False)


def test_values_outside_become_the_bounds():
    codec = fitted(pd.Series([0.1, 0.25, 7 / 3] * 40))
    assert there_and_back(codec, pd.Series([-5.0, 99.0])).tolist() == [0.1, 7 / 3]


def test_new_missing_values_are_refused():
    codec = fitted(pd.Series([1.0, 2.0]))
    with pytest.raises(DataError, match="Column 'x' has 1 missing value, but had none"):
        codec.transform(pd.Series([1.0, np.nan]))


@given(NARROW, st.integers(0, 100))
def test_snapped_values_fit_the_column(dtype, seed):
    series = pd.Series(np.random.default_rng(seed).integers(0, 100, 30) * 2).astype(dtype)
    wild = np.array([0, 3, 2**62]).astype(np.uint64 if "u" in dtype.lower() else np.int64)
    snapped = fitted(series).snap(wild)
    assert (snapped >= series.min()).all()
    assert (snapped <= series.max()).all()
    assert (snapped % 2 == 0).all()


# Conditions


@pytest.mark.parametrize("modes", ["quantile", "gaussian"])
def test_permitted_alphas_decode_into_the_interval_and_leave_nothing_out(modes):
    values = pd.Series(np.random.default_rng(0).normal(50_000, 20_000, 4000).round())
    codec = NumericCodec(Column("x", "numerical", values.dtype), 6, modes).fit(values)
    low, high = np.array([30_000.0]), np.array([41_234.0])
    part = codec.permit(low, high, missing=False)
    grid = np.linspace(0, 1, 200)
    alphas = (part.low[:, None] + (part.high - part.low)[:, None] * grid * (1 - 1e-12)).ravel()
    decoded, _ = codec.decode(np.repeat(part.codes, 200), alphas)
    assert decoded.min() >= low[0]
    assert decoded.max() <= high[0]
    for code in range(len(codec.n_levels_)):
        every = np.linspace(-1, 1, 2001)
        inside = (codec.decode(np.full(2001, code), every)[0] >= low) & (
            codec.decode(np.full(2001, code), every)[0] <= high
        )
        mine = part.codes == code
        assert mine.any() or not inside.any()
        if mine.any():
            assert every[inside].min() >= part.low[mine][0] - 1e-9
            assert every[inside].max() <= part.high[mine][0] + 1e-9


def test_permitted_codes_hold_the_missing_one_if_asked():
    codec = NumericCodec(Column("x", "numerical", np.dtype(float))).fit(pd.Series([1.0, 2.0, None] * 3))
    part = codec.permit(np.array([2.0]), np.array([2.0]), missing=True)
    assert part.codes.tolist() == [1, 2]
    assert codec.permit(np.zeros(0), np.zeros(0), missing=True).codes.tolist() == [2]


@pytest.mark.parametrize(
    ("values", "dtype", "wanted", "expected"),
    [
        ([0, 2**62, 2**63 - 1], "int64", (2**62 - 1, 2**62 + 1), (2**62 - 1, 2**62 + 1)),
        ([2**63, 2**64 - 1], "uint64", (0, 2**70), (2**63, 2**64 - 1)),
        ([-(2**63), 0, 2**63 - 1], "int64", (-0.5, 0.5), (0, 0)),
        ([0, 10, 40], "int16", (1, 39), (10, 30)),
        ([0.1, 0.2, 0.7], "float64", (0.25, 0.65), (0.3, 0.6)),
        ([1e-20, 0.1, 1 / 3], "float32", (0.1, 0.2), None),
        ([1e-300, 1e300], "float64", (1e299, 1e301), (1e299, 1e300)),
        ([-1.5e308, 1.5e308, 1 / 3], "float64", (-1e308, 1e308), (-1e308, 1e308)),
    ],
)
def test_ends_move_inward_to_what_the_column_can_hold(values, dtype, wanted, expected):
    series = pd.Series(values, dtype=dtype)
    codec = NumericCodec(Column("x", "numerical", series.dtype)).fit(series)
    found = codec.inward(*wanted)
    if expected is None:  # 32 bits: the nearest ones inside
        assert wanted[0] <= found[0] < wanted[0] + 1e-8
        assert wanted[1] - 2e-8 < found[1] <= wanted[1]
    else:
        assert found == pytest.approx(expected, abs=0)
    assert codec.inward(max(values) + 1e302 if dtype == "float64" else 2**80, math.inf) is None
