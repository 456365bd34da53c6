"""The codec of a table: round trips, totality, relations, JSON."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError, ParameterError
from synthgan.layout import ATOM, CONTINUOUS, EncodedTable
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from tests.strategies import assert_same_frame, frames


def fitted(frame, **options):
    return TableCodec(Schema.infer(frame), **options).fit(frame)


def random_codes(layout, n_rows, rng):
    codes = np.column_stack(
        [rng.integers(0, s.n_codes, n_rows) for s in layout.spans] or [np.zeros((n_rows, 0))]
    )
    return EncodedTable(codes.astype(np.int32), rng.uniform(-1, 1, codes.shape))


def through_json(codec):
    schema = Schema.from_json(codec.schema.to_json())
    return TableCodec.from_dict(schema, json.loads(json.dumps(codec.to_dict(), allow_nan=False)))


@pytest.fixture
def payments():
    """Bills, and payments that repeat a bill in every fifth row."""
    rng = np.random.default_rng(0)
    bill = rng.integers(0, 10**6, 2000)
    pay = np.where(rng.random(2000) < 0.2, bill, rng.integers(0, 10**5, 2000))
    return pd.DataFrame({"bill": bill, "pay": pay})


class TestRoundTrip:
    @given(frames())
    def test_every_dtype_comes_back(self, frame):
        before = frame.copy()
        codec = fitted(frame)
        assert_same_frame(frame, codec.inverse_transform(codec.transform(frame)))
        pd.testing.assert_frame_equal(frame, before)

    @given(frames(), st.randoms(use_true_random=False))
    def test_order_of_rows_does_not_matter(self, frame, random):
        order = list(range(len(frame)))
        random.shuffle(order)
        codec, shuffled = fitted(frame), fitted(frame.iloc[order])
        assert json.dumps(codec.to_dict()["relations"]) == json.dumps(shuffled.to_dict()["relations"])
        encoded = codec.transform(frame).rows(np.array(order))
        for other in (codec, shuffled):
            again = other.transform(frame.iloc[order])
            np.testing.assert_array_equal(again.codes, encoded.codes)
            np.testing.assert_array_equal(again.alphas, encoded.alphas)

    @given(frames())
    def test_fitting_again_changes_nothing(self, frame):
        codec = fitted(frame)
        once = json.dumps(codec.to_dict())
        assert json.dumps(codec.fit(frame).to_dict()) == once

    def test_index_is_ignored(self):
        frame = pd.DataFrame({"a": [1.5, 2.0, 9.0]}, index=[7, 7, 1])
        codec = fitted(frame)
        back = codec.inverse_transform(codec.transform(frame))
        assert back["a"].tolist() == [1.5, 2.0, 9.0]
        assert back.index.equals(pd.RangeIndex(3))

    def test_without_modelled_columns_only_the_rows_are_counted(self):
        frame = pd.DataFrame({"c": ["x"] * 3, "n": [None] * 3})
        codec = fitted(frame)
        assert codec.layout_.width == 0
        assert_same_frame(frame, codec.inverse_transform(codec.transform(frame)))


class TestDecoding:
    @given(frames(), st.integers(0, 2**32))
    def test_any_codes_make_a_frame_of_the_schema(self, frame, seed):
        codec = fitted(frame)
        encoded = random_codes(codec.layout_, 30, np.random.default_rng(seed))
        back = codec.inverse_transform(encoded)
        codec.schema.check(back)
        for position, column in enumerate(codec.schema):
            real, fake = frame.iloc[:, position], back.iloc[:, position]
            if column.kind in ("numerical", "datetime", "timedelta"):
                assert fake.dropna().empty or fake.min() >= real.min()
                assert fake.dropna().empty or fake.max() <= real.max()
            assert real.isna().any() or not fake.isna().any()

    def test_wild_codes_and_alphas_are_clipped(self, payments):
        codec = fitted(payments)
        codes = np.array([[-5, 10**6], [2**31 - 1, 0]], dtype=np.int32)
        alphas = np.array([[np.nan, np.inf], [-np.inf, 1e300]])
        back = codec.inverse_transform(EncodedTable(codes, alphas))
        assert back["bill"].between(payments["bill"].min(), payments["bill"].max()).all()

    @given(frames())
    def test_json_decodes_the_same(self, frame):
        codec = fitted(frame)
        encoded = random_codes(codec.layout_, 20, np.random.default_rng(0))
        pd.testing.assert_frame_equal(
            through_json(codec).inverse_transform(encoded), codec.inverse_transform(encoded)
        )

    @given(frames())
    def test_no_rows_keep_columns_and_dtypes(self, frame):
        codec = fitted(frame)
        empty = codec.inverse_transform(random_codes(codec.layout_, 0, np.random.default_rng(0)))
        pd.testing.assert_frame_equal(empty, codec.schema.empty())

    def test_first_rows_do_not_depend_on_the_number_of_rows(self):
        frame = pd.DataFrame({"id": [f"u{i}" for i in range(80)], "x": np.arange(80) % 7})
        codec = fitted(frame)
        encoded = codec.transform(frame)
        pd.testing.assert_frame_equal(
            codec.inverse_transform(encoded, seed=3).head(9),
            codec.inverse_transform(encoded.rows(slice(9)), seed=3),
        )


class TestLayout:
    def test_spans_tell_atoms_modes_and_missing(self):
        values = np.r_[np.zeros(500), np.arange(1, 500) / 7, np.nan]
        codec = fitted(pd.DataFrame({"x": values, "s": ["a", "b"] * 500}))
        x, s = codec.layout_.spans
        assert x.n_levels[0] == ATOM  # zero
        assert (x.n_levels[1:-1] == CONTINUOUS).all()
        assert x.n_levels[-1] == ATOM  # missing
        assert x.position[0] == 0
        assert x.position[-2] == 1
        assert np.isnan(x.position[-1])
        assert s.n_levels.tolist() == [ATOM, ATOM]
        assert np.isnan(s.position).all()
        assert s.start == x.n_codes

    def test_constants_and_identifiers_have_no_span(self):
        frame = pd.DataFrame({"id": np.arange(100), "c": 1, "x": np.arange(100) % 3})
        assert fitted(frame).layout_.columns == ["x"]

    @given(frames())
    def test_codes_and_alphas_stay_in_range(self, frame):
        codec = fitted(frame)
        encoded = codec.transform(frame)
        assert encoded.codes.dtype == np.int32
        assert (encoded.codes >= 0).all()
        assert (np.abs(encoded.alphas) <= 1).all()
        for j, span in enumerate(codec.layout_.spans):
            assert (encoded.codes[:, j] < span.n_codes).all()
            assert (encoded.alphas[span.n_levels[encoded.codes[:, j]] == ATOM, j] == 0).all()


class TestRelations:
    def test_repeated_values_are_a_code_of_their_own(self, payments):
        codec = fitted(payments)
        assert codec.relations_ == {"pay": ["bill"]}
        encoded = codec.transform(payments)
        same = encoded.codes[:, 1] == codec.layout_.spans[1].n_codes - 1
        assert (same == (payments["pay"] == payments["bill"])).all()
        assert np.isnan(codec.layout_.spans[1].position[-1])
        pd.testing.assert_frame_equal(codec.inverse_transform(encoded), payments)

    def test_decoding_copies_the_decoded_value(self, payments):
        codec = fitted(payments)
        encoded = random_codes(codec.layout_, 50, np.random.default_rng(1))
        encoded.codes[:, 1] = codec.layout_.spans[1].n_codes - 1
        back = codec.inverse_transform(encoded)
        assert (back["pay"] == back["bill"].clip(upper=payments["pay"].max())).all()

    def test_modes_are_those_of_the_other_rows(self, payments):
        codec = fitted(payments)
        codes = codec.transform(payments).codes[:, 1]
        own = np.bincount(codes)[:-1]
        assert own.max() <= 1.5 * own.min()

    def test_chains_resolve(self):
        rng = np.random.default_rng(0)
        a = rng.random(1000)
        b = np.where(rng.random(1000) < 0.5, a, rng.random(1000))
        c = np.where(rng.random(1000) < 0.5, b, rng.random(1000))
        frame = pd.DataFrame({"a": a, "b": b, "c": c})
        codec = fitted(frame)
        assert codec.relations_["c"][0] == "b"
        assert_same_frame(frame, codec.inverse_transform(codec.transform(frame)))

    def test_a_missing_value_cannot_be_repeated(self):
        x = np.random.default_rng(0).random(400)
        frame = pd.DataFrame({"a": np.where(np.arange(400) % 4, x, np.nan), "b": x})
        codec = fitted(frame)
        encoded = codec.transform(frame)
        encoded.codes[:, 0] = codec.layout_.spans[0].n_codes - 1  # a is missing
        encoded.codes[:, 1] = codec.layout_.spans[1].n_codes - 1  # b says: as a
        assert codec.inverse_transform(encoded)["b"].notna().all()


class TestErrors:
    def test_unfit_frames_are_refused(self, payments):
        codec = fitted(payments)
        with pytest.raises(DataError, match="lacks 1 of 2 columns of the schema: 'pay'"):
            codec.transform(payments[["bill"]])
        with pytest.raises(DataError, match="'pay' has the dtype float64 but int64"):
            codec.transform(payments.astype({"pay": float}))

    @pytest.mark.parametrize("options", [{"max_modes": 0}, {"modes": "vgm"}, {"random_state": -1}])
    def test_parameters_are_checked(self, payments, options):
        with pytest.raises(ParameterError, match=next(iter(options))):
            fitted(payments, **options)

    def test_every_parameter_has_an_effect(self, payments):
        base = fitted(payments, modes="gaussian", max_modes=9).to_dict()["columns"]
        for options in ({"modes": "quantile"}, {"max_modes": 2}, {"random_state": 1}):
            other = {"modes": "gaussian", "max_modes": 9} | options
            assert fitted(payments, **other).to_dict()["columns"] != base

    @pytest.mark.parametrize("damage", [None, [], {}, {"columns": 1}, {"columns": [{}]}])
    def test_malformed_descriptions_are_refused(self, payments, damage):
        codec = fitted(payments)
        data = damage if not damage else codec.to_dict() | damage
        with pytest.raises(DataError, match="malformed"):
            TableCodec.from_dict(codec.schema, data)


def test_spans_know_the_code_of_the_missing_value():
    frame = pd.DataFrame(
        {"number": [1.5, None, 2.0, 4.0] * 9, "text": ["u", "v", None, "u"] * 9, "full": [1, 2, 3, 5] * 9}
    )
    codec = TableCodec(Schema.infer(frame)).fit(frame)
    codes = codec.transform(frame).codes
    for j, span in enumerate(codec.layout_.spans):
        is_missing = frame[span.column].isna().to_numpy()
        assert ((codes[:, j] == span.missing) == is_missing).all()
    assert codec.layout_.spans[2].missing == -1


def test_no_training_value_is_kept_but_atoms_and_bounds():
    rng = np.random.default_rng(0)
    real = np.unique(rng.integers(10**9, 10**12, 3000)) * 2 + 1
    frame = pd.DataFrame({"i": real, "f": rng.lognormal(10, 2, len(real)), "g": rng.random(len(real))})
    frame.loc[:400, "g"] = 0.0
    codec = fitted(frame.sample(frac=1, random_state=0))
    numbers = {float(n) for n in _numbers(codec.to_dict())}
    numbers |= {n + real.min() for n in numbers}  # integers are kept as offsets
    for name in frame:
        inner = frame[name][~frame[name].isin([frame[name].min(), frame[name].max(), 0.0])]
        assert not numbers & set(inner.astype(float))


def _numbers(data):
    """All numbers in a JSON document, also those written as text."""
    if isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _numbers(part)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield data
    elif isinstance(data, str) and data.lstrip("-").isdigit():
        yield int(data)


def test_columns_of_many_levels_are_grouped_by_each_other():
    # 400 shops of 20 towns each sell 400 goods of 20 makers, one maker a town: groups should follow that.
    rng = np.random.default_rng(0)
    town = rng.integers(0, 20, 20_000)
    shop, good = (town + 20 * rng.integers(0, 20, 20_000) for _ in range(2))
    frame = pd.DataFrame({"shop": [f"s{i:03d}" for i in shop], "good": [f"g{i:03d}" for i in good]})
    codec = fitted(frame)
    assert_same_frame(frame, codec.inverse_transform(codec.transform(frame)))
    for name in frame:
        part = codec.codecs_[name]
        towns = np.array([int(level[1:]) % 20 for level in part.levels_])
        kinds = [len(set(group)) for group in np.split(towns, np.cumsum(part.sizes_)[:-1])]
        assert np.mean(kinds) < 4  # about 13 of 20 towns by chance
    again = fitted(frame.sample(frac=1, random_state=1))
    assert again.to_dict() == codec.to_dict()
