"""The codec of categories: exact, with rare levels pooled."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError
from synthgan.layout import ATOM
from synthgan.schema import Column
from synthgan.transforms import CategoricalCodec
from tests.strategies import assert_same_column, booleans, categories, columns, integers, objects, texts

CATEGORIES = columns([booleans, categories, objects, texts, integers])


def fitted(series, context=()):
    missing = next((v for v in series if v is None or v is pd.NA), np.nan) if series.dtype == object else None
    return CategoricalCodec(Column("x", "categorical", series.dtype, missing)).fit(series, context)


def there_and_back(codec, series):
    return pd.Series(codec.inverse_transform(*codec.transform(series)), dtype=series.dtype)


def many_levels(n_levels=1000, n_rows=20_000, seed=0):
    """Level k has about 1 / (k + 1) of the rows of level 0."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_levels + 1)
    drawn = rng.choice(n_levels, n_rows - n_levels, p=weights / weights.sum())
    return pd.Series([f"L{i:04d}" for i in np.r_[np.arange(n_levels), drawn]])


@given(CATEGORIES)
def test_columns_come_back(series):
    assert_same_column(series, there_and_back(fitted(series), series))


@given(CATEGORIES, st.integers(0, 1000))
def test_any_code_decodes_to_a_level_of_the_column(series, seed):
    codec, rng = fitted(series), np.random.default_rng(seed)
    n_codes = len(codec.n_levels_)
    back = pd.Series(
        codec.inverse_transform(rng.integers(0, n_codes, 40), rng.uniform(-1, 1, 40)), dtype=series.dtype
    )
    known = {(type(v), v) for v in series.dropna()}
    assert {(type(v), v) for v in back.dropna()} <= known
    assert series.isna().any() or back.notna().all()


@given(CATEGORIES)
def test_json_keeps_the_codec(series):
    codec = fitted(series)
    data = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
    back = CategoricalCodec.from_dict(codec.column, data)
    assert_same_column(series, there_and_back(back, series))
    assert back.to_dict() == codec.to_dict()


@given(CATEGORIES)
def test_order_of_rows_does_not_matter(series):
    shuffled = series.sample(frac=1, random_state=0)
    assert fitted(series).to_dict() == fitted(shuffled).to_dict()


def test_levels_come_by_frequency():
    codec = fitted(pd.Series(["b", "a", "a", "c", None]))
    assert list(codec.levels_) == ["a", "b", "c"]
    assert codec.n_levels_.tolist() == [ATOM] * 4
    assert np.isnan(codec.position_).all()


def test_ordered_levels_come_in_order():
    dtype = pd.CategoricalDtype(["low", "mid", "unused", "high"], ordered=True)
    codec = fitted(pd.Series(["high", "low", "mid", "high"], dtype=dtype))
    assert list(codec.levels_) == ["low", "mid", "high"]
    assert codec.position_.tolist() == [0, 0.5, 1]


def test_unused_levels_have_no_code():
    codec = fitted(pd.Series(pd.Categorical(["a"], categories=["a", "b"])))
    assert len(codec.n_levels_) == 1


class TestManyLevels:
    def test_rare_levels_share_codes(self):
        series = many_levels()
        codec = fitted(series)
        sizes = codec.sizes_
        frequent = int((series.value_counts() >= 100).sum())
        assert (sizes[:frequent] == 1).all()
        rare = 1000 - frequent
        assert sizes[frequent:].sum() == rare
        assert set(sizes[frequent:]) <= {15, 16}
        assert_same_column(series, there_and_back(codec, series))

    def test_cells_of_a_group_are_equal(self):
        codec = fitted(many_levels())
        group = len(codec.sizes_) - 1
        size = codec.sizes_[group]
        alphas = (2 * np.arange(size) + 1) / size - 1
        names = codec.inverse_transform(np.full(size, group), alphas)
        assert list(names) == list(codec.levels_[-size:])
        edges = np.array([-1.0, 1.0])
        assert list(codec.inverse_transform(np.full(2, group), edges)) == list(codec.levels_[[-size, -1]])

    def test_128_levels_are_atoms(self):
        few, many = (fitted(pd.Series([f"{i}" for i in range(n)] * 2)) for n in (128, 256))
        assert few.sizes_.tolist() == [1] * 128
        assert many.sizes_.tolist() == [16] * 16  # each level has 0.4 % of the rows

    @pytest.mark.parametrize(("n_levels", "size"), [(250, 16), (8_192, 16), (40_000, 78), (200_000, 256)])
    def test_groups_are_as_small_as_the_number_of_codes_allows(self, n_levels, size):
        sizes = fitted(pd.Series(np.arange(n_levels).astype(str))).sizes_
        assert sizes.sum() == n_levels
        assert set(sizes) <= {size - 1, size}

    def test_members_of_a_group_behave_alike(self):
        # The parity of a level decides the other column, so that groups should not mix parities.
        series = pd.Series([f"L{i:04d}" for i in np.repeat(np.arange(400), 4)])
        parity = np.repeat(np.arange(400), 4) % 2
        codec = fitted(series, context=[(parity, 2)])
        odd = np.array([int(name[1:]) % 2 for name in codec.levels_])
        shares = np.add.reduceat(odd, np.cumsum(codec.sizes_) - codec.sizes_) / codec.sizes_
        assert np.isin(shares, [0, 1]).mean() > 0.9

    def test_ordered_levels_stay_in_order(self):
        names = [f"{i:03d}" for i in range(300)]
        dtype = pd.CategoricalDtype(names, ordered=True)
        codec = fitted(pd.Series(names * 2, dtype=dtype))
        assert list(codec.levels_) == names
        assert (np.diff(codec.position_) > 0).all()
        assert codec.position_.min() >= 0
        assert codec.position_.max() <= 1


class TestRefusals:
    def test_unknown_levels(self):
        with pytest.raises(DataError, match="Column 'x' has 2 values that did not occur") as caught:
            fitted(pd.Series(["a", "b"])).transform(pd.Series(["secret", "secret", "a"]))
        assert "secret" not in str(caught.value)

    def test_new_missing_values(self):
        with pytest.raises(DataError, match="Column 'x' has 1 missing value, but had none"):
            fitted(pd.Series(["a", "b"])).transform(pd.Series(["a", None]))

    def test_part_of_a_mixed_column_is_known(self):
        codec = fitted(pd.Series([1, "a", True, 1.0], dtype=object))
        part = pd.Series(["a", "a"], dtype=object)
        assert_same_column(part, there_and_back(codec, part))
        with pytest.raises(DataError):
            codec.transform(pd.Series(["1"], dtype=object))


# Conditions


def test_single_values_are_found_among_the_levels():
    series = pd.Series([1, True, "1", 2.5, pd.Timestamp("2024-01-01")] * 3, dtype=object)
    codec = CategoricalCodec(Column("x", "categorical", series.dtype)).fit(series)
    levels = list(codec.levels_)
    for value in (1, True, "1", 2.5, pd.Timestamp("2024-01-01")):
        assert type(levels[codec.find([value])[0]]) is type(value)
    assert levels[codec.find([np.datetime64("2024-01-01")])[0]] == pd.Timestamp("2024-01-01")
    assert levels[codec.find([np.float32(2.5)])[0]] == 2.5
    assert codec.find([False, 3, "x", None, [1], {"a": 1}, (1, [2])]).tolist() == [-1] * 7


def test_permitted_levels_are_codes_and_places_of_members():
    series = pd.Series([f"k{i}" for i in range(400)] * 2)
    codec = CategoricalCodec(Column("x", "categorical", series.dtype)).fit(series)
    some = np.array([5, 77, 399])
    part = codec.permit(some)
    decoded = codec.inverse_transform(part.codes, (part.low + part.high) / 2)
    assert list(decoded) == list(codec.levels_[some])


def test_the_same_categories_in_another_order_are_the_same():
    codec = fitted(pd.Series(pd.Categorical(["F", "M"] * 60)))
    other = pd.Series(pd.Categorical(["M", "M", "F"], ["M", "F"]))
    assert list(codec.inverse_transform(*codec.transform(other))) == ["M", "M", "F"]


def test_one_long_text_among_many_is_no_trouble():
    texts = pd.Series([f"review {k}" for k in range(500)] + ["x" * 100_000], dtype=object)
    tracemalloc.start()
    fitted(texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # bytes; 200 MB where all are as wide as the longest


@pytest.mark.parametrize("kind", ["boolean", "categorical"])
def test_numbers_of_16_bits_can_be_categories(kind):
    series = pd.Series(np.array([0, 1, 0.1] * 9, "float16"))
    codec = CategoricalCodec(Column("c", kind, series.dtype)).fit(series)
    assert pd.Series(codec.inverse_transform(*codec.transform(series))).equals(series)
