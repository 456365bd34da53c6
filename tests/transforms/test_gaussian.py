"""Gaussian modes: mode-specific normalization."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.transforms.gaussian import GaussianCodes, fit_gaussian_codes


def fit(x, is_atom=(), max_modes=5, seed=0):
    distinct, counts = np.unique(x, return_counts=True)
    rng = np.random.default_rng(seed)
    return fit_gaussian_codes(distinct, counts.astype(float), np.isin(distinct, is_atom), max_modes, rng)


@pytest.fixture(scope="module")
def two_hills():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(-10, 1, 600), rng.normal(10, 2, 400), np.zeros(100)])


def test_hills_become_components_in_order(two_hills):
    codes = fit(two_hills, is_atom=[0.0])
    center = codes.components[:, 0]
    assert (np.diff(center) > 0).all()
    assert np.abs(center + 10).min() < 0.5
    assert np.abs(center - 10).min() < 1.0
    assert codes.components[:, 2].sum() == pytest.approx(1)


def test_values_come_back_within_four_deviations(two_hills):
    codes = fit(two_hills, is_atom=[0.0])
    code, alpha = codes.encode(two_hills, np.random.default_rng(1))
    back = codes.decode(code, alpha)
    inside = np.abs(alpha) < 1
    assert inside.mean() > 0.99
    np.testing.assert_allclose(back[inside], two_hills[inside], atol=1e-9)


def test_alpha_is_the_distance_in_four_deviations(two_hills):
    codes = fit(two_hills, is_atom=[0.0])
    code, alpha = codes.encode(np.array([-9.0]), np.random.default_rng(1))
    mean, std, _ = codes.components[codes.mode[code[0]]]
    assert alpha[0] == pytest.approx((-9.0 - mean) / (4 * std))  # Xu et al. 2019, section 4.2


def test_atoms_are_exact(two_hills):
    codes = fit(two_hills, is_atom=[0.0])
    code, alpha = codes.encode(np.zeros(3), np.random.default_rng(0))
    assert (codes.mode[code] == -1).all()
    assert (alpha == 0).all()
    assert (codes.decode(code, alpha) == 0).all()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30), st.integers(0, 100))
def test_decoding_is_total_and_bounded(values, seed):
    x = np.array(values, dtype=np.uint64)
    codes, rng = fit(x, max_modes=2), np.random.default_rng(seed)
    back = codes.decode(rng.integers(0, len(codes), 50), rng.uniform(-1, 1, 50))
    assert back.dtype == np.uint64
    assert back.min() >= x.min()
    assert back.max() <= x.max()


def test_json_keeps_every_bit(two_hills):
    codes = fit(two_hills, is_atom=[0.0])
    back = GaussianCodes.from_dict(json.loads(json.dumps(codes.to_dict())), np.float64)
    for name in ("point", "mode", "components", "low", "high"):
        np.testing.assert_array_equal(getattr(back, name), getattr(codes, name))


def test_all_draws_come_from_the_generator(two_hills):
    big = np.repeat(two_hills, 20) + np.arange(22_000) / 1e6
    same = [fit(big, seed=s).components for s in (0, 0, 1)]
    np.testing.assert_array_equal(same[0], same[1])
    assert same[0].shape != same[2].shape or (same[0] != same[2]).any()
