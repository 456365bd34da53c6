"""Atoms and quantile modes: exact where they can be, total, in order."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthgan.transforms.modes import QuantileCodes, choose_atoms, fit_quantile_codes

WHOLE = st.lists(st.integers(0, 2**46) | st.integers(0, 500), min_size=1, max_size=200)
REAL = st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.5]), min_size=1, max_size=200)
COORDINATES = WHOLE.map(lambda v: np.array(v, dtype=np.uint64)) | REAL.map(np.array)


def fit(x, max_modes=50, is_atom=None):
    distinct, counts = np.unique(x, return_counts=True)
    is_atom = choose_atoms(counts, max_modes) if is_atom is None else np.isin(distinct, is_atom)
    return fit_quantile_codes(distinct, counts.astype(float), is_atom, max_modes)


@given(COORDINATES, st.integers(1, 60))
def test_coordinates_come_back(x, max_modes):
    codes = fit(x, max_modes)
    back = codes.decode(*codes.encode(x))
    if x.dtype.kind == "u":
        np.testing.assert_array_equal(back, x)
    else:
        np.testing.assert_allclose(back, x, rtol=1e-15, atol=1e-12 * np.ptp(x))


@given(WHOLE, st.integers(0, 2**46))
def test_integers_inside_a_mode_come_back_though_never_seen(values, other):
    x = np.array(values, dtype=np.uint64)
    codes = fit(x)
    new = np.array([other], dtype=np.uint64)
    code, alpha = codes.encode(new)
    assume(codes.low[code[0]] <= other <= codes.high[code[0]])
    assert codes.decode(code, alpha) == new


@given(COORDINATES, st.integers(0, 1000))
def test_decoding_stays_inside_the_code(x, seed):
    codes, rng = fit(x), np.random.default_rng(seed)
    code, alpha = rng.integers(0, len(codes), 100), rng.uniform(-1, 1, 100)
    back = codes.decode(code, alpha)
    assert back.dtype == x.dtype
    assert (back >= codes.low[code]).all()
    assert (back <= codes.high[code]).all()
    assert back.min() >= x.min()
    assert back.max() <= x.max()


@given(COORDINATES)
def test_codes_are_disjoint_and_in_order(x):
    codes = fit(x)
    assert (codes.low <= codes.high).all()
    assert (codes.high[:-1] <= codes.low[1:]).all()
    for piece in map(slice, codes.starts[:-1], codes.starts[1:]):
        assert (np.diff(codes.ranks[piece]) >= 0).all()
        assert (np.diff(codes.knots[piece]) >= 0).all()
        assert codes.ranks[piece][[0, -1]].tolist() == [0, 1]


@given(COORDINATES)
def test_alphas_rise_with_the_coordinate(x):
    codes = fit(x, max_modes=3)
    code, alpha = codes.encode(np.sort(x))
    assert (np.diff(code) >= 0).all()
    assert (np.diff(alpha)[np.diff(code) == 0] >= 0).all()
    assert (np.abs(alpha) <= 1).all()


@given(COORDINATES)
def test_json_keeps_every_bit(x):
    codes = fit(x)
    back = QuantileCodes.from_dict(json.loads(json.dumps(codes.to_dict())), x.dtype.type)
    for name in ("low", "high", "mode", "starts", "ranks", "knots"):
        np.testing.assert_array_equal(getattr(back, name), getattr(codes, name))


def test_uniform_alphas_bring_back_the_distribution():
    rng = np.random.default_rng(0)
    x = rng.lognormal(0, 2, 100_000)
    codes = fit(x, max_modes=10)
    code, _ = codes.encode(x)
    back = codes.decode(code, rng.uniform(-1, 1, len(x)))
    grid = np.quantile(x, np.linspace(0.001, 0.999, 500))
    distance = np.abs(np.searchsorted(np.sort(x), grid) - np.searchsorted(np.sort(back), grid)).max() / len(x)
    assert distance < 0.008  # two samples of 100,000 differ by 0.006 in 95 % of cases


def test_modes_of_a_long_tail_are_halved():
    x = np.random.default_rng(1).lognormal(sigma=1.5, size=60_000)
    codes = fit(x, max_modes=24)
    counts = np.bincount(codes.encode(x)[0])
    assert len(codes) == 24  # 20 of equal mass, and 4 halvings, all in the tail
    assert counts[:19] == pytest.approx(np.full(19, 3000), rel=0.01)
    assert counts[19:] == pytest.approx([1500, 750, 375, 188, 188], rel=0.02)


def test_a_mode_of_few_rows_is_not_halved():
    codes = fit(np.random.default_rng(1).lognormal(sigma=2, size=700), max_modes=24)
    x = np.random.default_rng(1).lognormal(sigma=2, size=700)
    assert np.bincount(codes.encode(x)[0]).min() >= 28  # about ROWS_PER_MODE


def test_alphas_of_the_fitted_values_are_uniform():
    x = np.random.default_rng(1).uniform(size=60_000)
    codes = fit(x, max_modes=20)
    code, alpha = codes.encode(x)
    assert len(codes) == 20
    assert np.bincount(code).max() / np.bincount(code).min() < 1.01
    assert np.abs(np.histogram(alpha, bins=16, range=(-1, 1))[0] / len(x) * 16 - 1).max() < 0.01


def test_modes_lie_on_either_side_of_a_spike():
    x = np.concatenate([np.zeros(300), np.linspace(-5, 5, 600)])
    codes = fit(x, max_modes=10, is_atom=[0.0])
    spike = np.flatnonzero(codes.mode < 0)
    assert codes.low[spike] == codes.high[spike] == 0
    code, alpha = (
        np.repeat(np.flatnonzero(codes.mode >= 0), 50),
        np.tile(np.linspace(-1, 1, 50), len(codes) - 1),
    )
    assert (codes.decode(code, alpha) != 0).all()


def test_a_tiny_table_by_hand():
    # 0, 4, 8: one mode whose distribution function is linear between -1/2, 2, 6 and 8 1/2.
    codes = fit(np.array([0, 4, 8], dtype=np.uint64), is_atom=[])
    assert codes.low.tolist() == [0]
    assert codes.high.tolist() == [8]
    np.testing.assert_allclose(codes.knots[[0, 8, 16]], [-0.5, 4.0, 8.5])
    np.testing.assert_allclose(codes.ranks, np.linspace(0, 1, 17))
    assert codes.decode(np.zeros(3, int), np.array([-1, 0, 1.0])).tolist() == [0, 4, 8]


def test_values_of_many_rows_have_a_step_by_hand():
    # 12 rows hold 5, 4 rows hold something else: ranks 1/8 to 7/8 are the step at 5.
    x = np.array([0, 2] + [5] * 12 + [100, 200], dtype=np.uint64)
    codes = fit(x, is_atom=[])
    at = np.flatnonzero(codes.knots == 4.5)[0]
    np.testing.assert_allclose(codes.ranks[at : at + 2], [1 / 8, 7 / 8])
    np.testing.assert_allclose(codes.knots[at : at + 2], [4.5, 5.5])
    code, alpha = codes.encode(np.array([5], dtype=np.uint64))
    assert alpha[0] == pytest.approx(0)
    assert (codes.decode(np.repeat(code, 50), np.linspace(-0.74, 0.74, 50)) == 5).all()


@pytest.mark.parametrize("unit", [1, np.pi])
def test_gaps_between_frequent_values_stay_empty(unit):
    # Times of day as HHMM: nothing lies between 1259 and 1300.
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 24 * 60, 100_000)
    x = (minutes // 60 * 100 + minutes % 60).astype(np.uint64 if unit == 1 else float) * unit
    codes = fit(x)
    back = codes.decode(rng.integers(0, len(codes), 5000), rng.uniform(-1, 1, 5000))
    assert np.isin(np.round(back / unit) % 100, np.arange(60)).mean() > 0.999


def test_values_between_codes_go_to_the_nearest():
    codes = fit(np.array([0] * 9 + [10] * 9 + [11] * 9, dtype=np.uint64))
    code, _ = codes.encode(np.array([4, 6, 200], dtype=np.uint64))
    assert code.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("n_rows", "n_modes"), [(40, 1), (300, 10), (5000, 50)])
def test_few_rows_make_few_modes(n_rows, n_modes):
    assert len(fit(np.random.default_rng(0).random(n_rows))) == n_modes


class TestAtoms:
    def test_columns_of_few_values_are_atoms_altogether(self):
        assert choose_atoms(np.full(150, 4), 50).all()
        assert not choose_atoms(np.full(151, 40), 50).any()

    def test_values_that_hardly_repeat_are_none(self):
        assert not choose_atoms(np.ones(100, dtype=int), 50).any()
        assert choose_atoms(np.ones(3, dtype=int), 50).all()

    def test_one_percent_is_enough(self):
        counts = np.array([10, 9, *[1] * 981])
        assert np.flatnonzero(choose_atoms(counts, 50)).tolist() == [0]

    def test_the_most_frequent_are_kept(self):
        counts = np.array([20, 40, 30, *[1] * 910])
        assert np.flatnonzero(choose_atoms(counts, 2)).tolist() == [1, 2]
