"""Constants are kept, identifiers are made anew."""

import json
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.schema import Column
from synthgan.transforms import ConstantCodec, IdentifierCodec
from tests.strategies import assert_same_column, columns


def fitted(series, index=0):
    series = pd.Series(series)
    return IdentifierCodec(Column("id", "identifier", series.dtype), index).fit(series)


@given(columns(max_rows=3), st.integers(0, 5))
def test_constants_come_back(series, n_rows):
    series = series.iloc[:1].reset_index(drop=True)
    missing = series.iloc[0] if series.isna()[0] and series.dtype == object else None
    codec = ConstantCodec(Column("c", "constant", series.dtype, missing)).fit(series)
    data = json.loads(json.dumps(codec.to_dict(), allow_nan=False))
    for each in (codec, ConstantCodec.from_dict(codec.column, data)):
        assert_same_column(pd.concat([series] * n_rows) if n_rows else series.iloc[:0],
                           pd.Series(each.generate(n_rows), dtype=series.dtype))  # fmt: skip


class TestIntegers:
    def test_sparse_keys_go_on_after_the_last(self):
        assert fitted([500, 7, 12]).generate(3, 0).tolist() == [501, 502, 503]

    def test_row_numbers_begin_again(self):
        assert fitted([12, 10, 11]).generate(4, 0).tolist() == [10, 11, 12, 13]

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "UInt8", "int64", "uint64"])
    def test_ends_of_the_dtype_are_not_crossed(self, dtype):
        top = np.iinfo(dtype.lower()).max
        made = pd.Series(fitted(pd.Series([0, top - 1], dtype=dtype)).generate(200, 0))
        assert made.dtype == dtype
        assert made.is_unique
        assert made[0] == top

    def test_missing_rate_is_kept(self):
        made = pd.Series(fitted(pd.Series([3, None, 9, 11], dtype="Int64")).generate(8000, 0))
        assert made.dtype == "Int64"
        assert abs(made.isna().mean() - 0.25) < 0.02  # four standard errors
        assert made.dropna().is_unique


class TestText:
    def test_numbered_text_goes_on(self):
        made = fitted([f"CUST-{i:06d}" for i in range(90)]).generate(2, 0)
        assert list(made) == ["CUST-000090", "CUST-000091"]

    @pytest.mark.parametrize("texts", [["Alice"], ["Alice", "Alice2", "Alice Smith"]])
    def test_what_all_begin_with_is_forgotten_if_it_is_an_identifier(self, texts):
        assert "Alice" not in str(fitted(texts).to_dict())

    def test_other_text_is_numbered_in_the_same_length(self):
        assert list(fitted(["anna", "bo", "cara"]).generate(2, 0)) == ["0001", "0002"]

    def test_uuids_are_drawn(self):
        rng = np.random.default_rng(0)
        real = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(60)]
        made = list(fitted(real).generate(50, 1))
        assert len({uuid.UUID(text) for text in made} - set(map(uuid.UUID, real))) == 50
        assert all(uuid.UUID(text).version == 4 for text in made)
        assert list(fitted(real).generate(50, 2)) != made
        assert list(fitted(real, index=1).generate(50, 1)) != made

    @pytest.mark.parametrize("dtype", ["string", object])
    def test_dtype_and_missing_values_are_kept(self, dtype):
        series = pd.Series(["a1", None, "a3", "a4"], dtype=dtype)
        made = pd.Series(fitted(series).generate(400, 0), dtype=series.dtype)
        assert made.isna().any()
        assert made.dropna().is_unique
        assert made.dropna().str.startswith("a").all()


@pytest.mark.parametrize(
    "values", [[5, 9], ["a1", "a7"], [str(uuid.UUID(int=1)), None]], ids=["int", "text", "uuid"]
)
def test_first_rows_do_not_depend_on_the_number(values):
    codec = fitted(values)
    long, short = (pd.Series(codec.generate(n, 4)) for n in (100, 30))
    pd.testing.assert_series_equal(long[:30], short)
    late = pd.Series(codec.generate(30, 4, first_row=51))
    pd.testing.assert_series_equal(long[51:81].reset_index(drop=True), late)


@pytest.mark.parametrize("values", [[5, 2**63 - 2], ["a1", None]], ids=["int", "text"])
def test_json_keeps_the_codec(values):
    codec = fitted(values)
    back = IdentifierCodec.from_dict(codec.column, json.loads(json.dumps(codec.to_dict())))
    assert list(pd.isna(back.generate(9, 0))) == list(pd.isna(codec.generate(9, 0)))
    assert back.to_dict() == codec.to_dict()


def test_no_identifier_of_the_table_is_made():
    real = [f"X{n}" for n in np.random.default_rng(0).choice(10**6, 300, replace=False)]
    assert not set(fitted(real).generate(1000, 0)) & set(real)


@pytest.mark.parametrize("pattern", ["{:020d}", "ID-{:025d}", "{:05000d}"])
def test_no_long_padded_number_of_the_table_is_made(pattern):
    real = [pattern.format(n) for n in range(1, 101)]
    made = fitted(real).generate(100, 0)
    assert not set(made) & set(real)
    assert len(set(made)) == 100


def test_identifiers_are_made_beside_those_that_are_kept():
    series = pd.Series([f"C-{i:03d}" for i in range(90)] + [None] * 10, dtype="string")
    codec = IdentifierCodec(Column("id", "identifier", series.dtype)).fit(series)
    first = codec.generate(300, seed=0).dropna()[:2]
    made = codec.generate_beside(first, 300, seed=0)
    assert len(made) == 300
    assert made.isna().sum() == 0  # though a tenth was missing
    assert len(set(made) | set(first)) == 302
    assert made.dtype == series.dtype
