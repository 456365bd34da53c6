import numpy as np
import pandas as pd
import pytest

from synthgan.errors import ConditionError, DataError
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.observed import observed

N_CELLS = 16


def fitted(frame, **options):
    return TableCodec(Schema.infer(frame, kinds=options.pop("kinds", None)), **options).fit(frame)


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": rng.exponential(size=800),
            "rooms": rng.integers(1, 6, 800),
            "town": pd.Categorical(rng.choice(["a", "b"], 800), ["a", "b", "c"]),
            "note": pd.Series(rng.choice(["x", "y"], 800)).where(rng.random(800) < 0.9),
            "year": 2026,
            "key": [f"k{i}" for i in range(800)],
        }
    )


@pytest.fixture(scope="module")
def codec(real):
    return fitted(real)


def test_rows_of_the_fitted_table_are_what_the_codec_encodes(codec, real):
    seen = observed(real[real.columns[::-1]], codec, N_CELLS)
    expected = codec.transform(real)
    np.testing.assert_array_equal(seen.table.codes, expected.codes)
    np.testing.assert_allclose(seen.table.alphas, expected.alphas)
    assert seen.known.all()
    assert (seen.n_unseen == 0).all()
    assert (seen.log_pieces >= 0).all()


def test_what_was_never_seen_is_counted(codec, real):
    rows = real.head(6).astype({"town": object, "rooms": object})
    rows.loc[0, "town"] = "z"  # no category at all
    rows.loc[1, "town"] = "c"  # a category that the dtype names, but no row had
    rows.loc[2, "town"] = None  # missing where nothing was
    rows.loc[3, "year"] = 1999  # another constant
    rows.loc[4, ["town", "note"]] = ["z", "z"]
    rows.loc[5, "note"] = None  # missing where some were
    seen = observed(rows, codec, N_CELLS)
    assert seen.n_unseen.tolist() == [1, 1, 1, 1, 2, 0]
    assert seen.known.sum(axis=1).tolist() == [3, 3, 3, 4, 2, 4]


def test_identifiers_say_nothing(codec, real):
    one, other = (observed(real.head(3).assign(key=key), codec, N_CELLS) for key in (["q", None, "k1"], "k"))
    assert (one.n_unseen == 0).all()
    np.testing.assert_array_equal(one.table.codes, other.table.codes)


def test_wide_cells_are_cut_into_pieces_of_the_resolution():
    # 1,000 even steps from 0 to 999.001 and one far value: all but the last mode have cells of about
    # 1,000 / 50 / 16 = 1.25, and a piece is a thousandth of the range, 100
    values = np.append(np.arange(1000) * 1.0000001, 100_000.0)
    codec = fitted(pd.DataFrame({"x": values}))
    pieces = np.exp(observed(pd.DataFrame({"x": values}), codec, N_CELLS).log_pieces)
    assert pieces[:900] == pytest.approx(np.ones(900))
    assert pieces[-1] > 100


def test_integers_are_never_cut_below_their_step():
    values = np.append(np.repeat(np.arange(400), 2), [401, 402])
    codec = fitted(pd.DataFrame({"x": values}))
    pieces = np.exp(observed(pd.DataFrame({"x": values}), codec, N_CELLS).log_pieces)
    assert pieces.max() <= 2  # 8 numbers a mode, 16 cells


def test_numbers_out_of_range_count_as_their_bound_ever_less_dense(codec, real):
    top, spread = real["amount"].max(), np.ptp(real["amount"])
    beyond = [top, top + spread / 100, top + spread, top + 100 * spread, np.inf]
    rows = pd.concat([real.head(1)] * 5, ignore_index=True).assign(amount=beyond)
    seen = observed(rows, codec, N_CELLS)
    assert (seen.table.codes[:, 0] == seen.table.codes[0, 0]).all()
    assert seen.known.all()
    assert (np.diff(seen.log_pieces) > 0).all()
    # far away the cell does not matter: w = (w + d)^2 / w, so that 100 times as far is 100^2 times as rare
    assert seen.log_pieces[3] - seen.log_pieces[2] == pytest.approx(2 * np.log(100), abs=2)
    assert seen.log_pieces[4] == np.inf


def test_a_number_between_atoms_is_nearly_as_rare_as_it_is_far_away(codec, real):
    rows = pd.concat([real.head(1)] * 3, ignore_index=True).assign(rooms=[5, 6, 15])
    seen = observed(rows, codec, N_CELLS)
    # the range is 4, a piece is the step of 1: d = 0, 1 and 10 pieces beyond an atom of one piece
    np.testing.assert_allclose(seen.log_pieces - seen.log_pieces[0], 2 * np.log([1, 2, 11]))


def test_the_scale_of_a_column_makes_no_difference(real):
    sizes = real[["amount"]]
    one, other = (
        observed(frame, fitted(frame), N_CELLS)
        for frame in (sizes, sizes * 1024.0)  # exact in binary
    )
    np.testing.assert_array_equal(one.table.codes, other.table.codes)
    np.testing.assert_allclose(one.log_pieces, other.log_pieces, atol=1e-6)


def test_a_value_told_by_another_column_is_one_piece():
    rng = np.random.default_rng(0)
    a = rng.normal(size=900)
    frame = pd.DataFrame({"a": a, "b": np.where(rng.random(900) < 0.5, a, rng.normal(size=900) * 50)})
    codec = fitted(frame)
    assert codec.relations_ == {"b": ["a"]}
    alike = observed(frame.assign(b=frame["a"]), codec, N_CELLS)
    alone = fitted(frame[["a"]])
    np.testing.assert_allclose(alike.log_pieces, observed(frame[["a"]], alone, N_CELLS).log_pieces, atol=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        [1e308, -1e308, 0.0, 3.0] * 100,
        [2**63 - 1, -(2**63), 0, 5] * 100,
        [1.5, None] * 200,
        [None, None],
        list(pd.date_range("2020-01-01", periods=400, freq="h", tz="Europe/Paris")),
        list(pd.to_timedelta(range(400), unit="us")),
        list(np.random.default_rng(0).normal(size=400).astype("float32")),
    ],
    ids=["huge floats", "huge integers", "one value", "nothing", "times", "spans", "float32"],
)
def test_odd_columns_are_observed(values):
    frame = pd.DataFrame({"x": values, "y": range(len(values))})
    kinds = {} if all(value is None for value in values) else {"y": "numerical"}
    seen = observed(frame, fitted(frame, kinds=kinds), N_CELLS)
    assert np.isfinite(seen.log_pieces).all()
    assert (seen.log_pieces >= 0).all()
    assert (seen.n_unseen == 0).all()


def test_numbers_beyond_a_gaussian_mode_are_observed():
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=300)})
    codec = fitted(frame, modes="gaussian", max_modes=2)
    seen = observed(pd.DataFrame({"x": [0.0, 3.0, 30.0]}), codec, N_CELLS)
    assert np.isfinite(seen.log_pieces).all()
    assert seen.log_pieces[2] > seen.log_pieces[1]


def test_a_number_in_a_column_that_never_had_one_is_unseen():
    frame = pd.DataFrame({"x": np.full(30, np.nan), "y": [1, 2] * 15})
    codec = fitted(frame, kinds={"x": "numerical"})
    seen = observed(frame.head(2).assign(x=[np.nan, 3.0]), codec, N_CELLS)
    assert seen.n_unseen.tolist() == [0, 1]
    assert np.isfinite(seen.log_pieces).all()


def test_a_table_of_other_columns_or_types_is_refused(codec, real):
    with pytest.raises(DataError, match="lacks 1 of 6"):
        observed(real.drop(columns="town"), codec, N_CELLS)
    with pytest.raises(ConditionError, match="'rooms' is numerical"):
        observed(real.assign(rooms="many"), codec, N_CELLS)
    assert len(observed(real.head(0), codec, N_CELLS).known) == 0


def test_a_cell_that_is_not_what_another_column_determines_is_unseen():
    frame = pd.DataFrame({"town": list("abcd") * 20, "land": list("xxyy") * 20, "zone": [1, 2, 3, 3] * 20})
    schema = Schema.infer(frame)
    codec = TableCodec(schema, determined={"land": "town", "zone": "town"}).fit(frame)
    rows = pd.DataFrame({"town": list("aacq"), "land": list("xyxx"), "zone": [1, 1, 1, 1]})
    seen = observed(rows, codec, N_CELLS)
    # all as determined; another land; land and zone of a; an unknown town, of which nothing is known
    assert seen.n_unseen.tolist() == [0, 1, 2, 1]
