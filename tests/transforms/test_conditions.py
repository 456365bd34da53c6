import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from synthgan.layout import ATOM, EncodedTable
from synthgan.schema import Schema
from synthgan.transforms import TableCodec
from synthgan.transforms.conditions import NO_CONDITIONS, UNKNOWN, Cells, Conditions, Range
from synthgan.transforms.given import gaps, given_cells
from synthgan.transforms.rules import rules
from tests.strategies import datetimes, floats, integers, timedeltas


def fitted(frame, **options):
    return TableCodec(Schema.infer(frame), **options).fit(frame)


def any_rows(encoded, n_rows, layout, seed=0):
    """Draw codes and alphas at random among those that encoded conditions permit."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((n_rows, len(layout)), np.int32)
    alphas = rng.uniform(-1, 1, codes.shape)
    for j, span in enumerate(layout.spans):
        codes[:, j] = rng.integers(span.n_codes, size=n_rows)
        if j in encoded.permitted:
            part = encoded.permitted[j]
            pick = rng.integers(len(part.codes), size=n_rows)
            codes[:, j] = part.codes[pick]
            place = rng.choice([0, 1, rng.random()], size=n_rows)
            alphas[:, j] = part.low[pick] + place * (part.high[pick] - part.low[pick])
    known = np.broadcast_to(encoded.known, codes.shape)
    codes = np.where(known, encoded.table.codes, codes).astype(np.int32)
    return EncodedTable(codes, np.where(known, encoded.table.alphas, alphas))


def decoded(codec, conditions, n_rows=60, seed=0):
    encoded = conditions.encode(codec)
    return codec.inverse_transform(any_rows(encoded, n_rows, codec.layout_, seed), 0, conditions)


# Exactness, whatever is drawn


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_a_range_holds_for_every_random_number(data):
    kind = data.draw(st.sampled_from([integers, floats, datetimes, timedeltas]))
    series = data.draw(kind(40)).rename("x")
    known = series.dropna()
    if known.nunique() < 2:
        return
    codec = fitted(pd.DataFrame({"x": series}), max_modes=data.draw(st.integers(1, 5)))
    if codec.layout_.columns != ["x"]:
        return  # they look like keys
    low, high = sorted(data.draw(st.sampled_from(list(known))) for _ in range(2))
    ends = [data.draw(st.sampled_from([low, low, None])), data.draw(st.sampled_from([high, high, None]))]
    out = decoded(codec, rules({"x": tuple(ends)}, codec))["x"]
    assert out.dtype == series.dtype
    assert not out.isna().any()
    assert ends[0] is None or (out >= ends[0]).all()
    assert ends[1] is None or (out <= ends[1]).all()


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_values_hold_for_every_random_number(data):
    kind = data.draw(st.sampled_from([integers, floats, datetimes, timedeltas]))
    series = data.draw(kind(40)).rename("x")
    codec = fitted(pd.DataFrame({"x": series}), max_modes=3)
    if codec.layout_.columns != ["x"]:
        return
    wanted = data.draw(st.lists(st.sampled_from(list(series)), min_size=1, max_size=4))
    out = decoded(codec, rules({"x": wanted}, codec))["x"]
    assert out.dtype == series.dtype
    known = {value for value in wanted if not pd.isna(value)}
    assert set(out.dropna()) <= known
    assert not out.isna().any() or any(pd.isna(value) for value in wanted)
    if not known:
        assert out.isna().all()


@pytest.mark.parametrize("integral", [True, False])
def test_gaussian_modes_obey_ranges_and_values_too(integral):
    values = np.random.default_rng(0).normal(50, 20, 3000)
    values = values.astype(int) * 7 if integral else values
    codec = fitted(pd.DataFrame({"x": values}), modes="gaussian", max_modes=4)
    for low, high in ((values[3], values[3]), (np.median(values), None), (None, values.min()), (70, 84)):
        out = decoded(codec, rules({"x": (low, high)}, codec))["x"]
        assert low is None or out.min() >= low
        assert high is None or out.max() <= high


def test_a_tiny_range_between_neighbouring_floats_holds():
    values = np.random.default_rng(0).normal(size=3000)
    codec = fitted(pd.DataFrame({"x": values}))
    low = float(values[5])
    for high in (low, np.nextafter(low, 9), low + 1e-13):
        out = decoded(codec, rules({"x": (low, float(high))}, codec))["x"]
        assert out.between(low, high).all()


def test_any_number_in_a_gap_between_atoms_can_be_asked_for():
    codec = fitted(pd.DataFrame({"age": [20, 30, 50, 60] * 5}))
    assert set(decoded(codec, rules({"age": 40}, codec))["age"]) == {40}  # never seen, but on the grid
    assert set(decoded(codec, rules({"age": (31, 45)}, codec))["age"]) == {40}


def test_groups_of_rare_categories_are_restricted_to_the_members_asked_for():
    rng = np.random.default_rng(0)
    names = np.array([f"town {k:03d}" for k in range(400)])
    frame = pd.DataFrame(
        {"town": np.append(names, rng.choice(names[:200], 3000)), "x": rng.normal(size=3400)}
    )
    codec = fitted(frame)
    assert (codec.codecs_["town"].n_levels_ > ATOM).any()
    wanted = names[[0, 150, 250, 251, 399]].tolist()
    assert set(decoded(codec, rules({"town": wanted}, codec), 400)["town"]) == set(wanted)
    for name in names[::37]:
        assert set(decoded(codec, rules({"town": name}, codec))["town"]) == {name}


def test_numbers_beside_intervals_move_to_the_nearest_end():
    uint = np.array([0, 2**63, 2**64 - 1], np.uint64)
    wanted = Range(np.array([5, 2**63 + 5], np.uint64), np.array([9, 2**63 + 5], np.uint64), False)
    assert wanted.into(uint).tolist() == [5, 2**63 + 5, 2**63 + 5]
    extreme = Range(np.array([-1e308, 1e308]), np.array([-1e307, 1.5e308]), True)
    assert extreme.into(np.array([-1.7e308, 0.0, 1.7e308])).tolist() == [-1e308, -1e307, 1.5e308]


# Encoding


@pytest.fixture(scope="module")
def codec():
    frame = pd.DataFrame(
        {
            "age": [20, 30, 40, 50] * 5,
            "sex": ["F", "M"] * 10,
            "note": [None, "a", "b", "c", "d"] * 4,
            "same": "x",
        }
    )
    return fitted(frame)


def test_a_value_is_known_and_several_are_permitted(codec):
    encoded = rules({"age": 30, "sex": ["F", "M"], "note": None, "same": "x"}, codec).encode(codec)
    assert encoded.known.tolist() == [[True, False, True]]
    assert encoded.table.codes[0].tolist() == [1, 0, 4]
    assert sorted(encoded.permitted[1].codes) == [0, 1]
    assert not encoded.in_order


def test_a_partial_frame_is_known_row_by_row(codec):
    frame = pd.DataFrame({"note": ["a", None, "d"], "age": [50, 20, 20]})
    encoded = given_cells(frame, codec).encode(codec)
    assert encoded.known.tolist() == [[True, False, True]] * 3
    assert encoded.table.codes[:, 0].tolist() == [3, 0, 0]
    assert encoded.permitted == {}


def test_a_gap_may_become_anything_but_missing(codec):
    frame = pd.DataFrame({"age": [50, None], "sex": [None, "F"], "note": [None, "b"], "same": ["x", None]})
    encoded = gaps(frame, codec).encode(codec)
    assert encoded.known.tolist() == [[True, False, False], [False, True, True]]
    assert encoded.in_order
    assert sorted(encoded.permitted) == [2]
    assert encoded.permitted[2].codes.tolist() == [0, 1, 2, 3]


def test_a_category_that_is_unknown_tells_nothing_and_is_kept(codec):
    frame = pd.DataFrame({"age": [35, 90], "sex": ["X", "F"], "note": "a", "same": ["x", "y"]})
    conditions = gaps(frame, codec)
    assert conditions.cells["sex"].plain[0] == UNKNOWN
    assert conditions.encode(codec).known.tolist() == [[True, False, True], [True, True, True]]
    out = decoded(codec, conditions, 2)
    pd.testing.assert_frame_equal(out, frame.astype(out.dtypes))


def test_without_conditions_nothing_is_set():
    values, missing = np.array([1.5]), np.array([True])
    assert NO_CONDITIONS.set_numbers("x", values, missing) == (values, missing)
    assert NO_CONDITIONS.paste("x", values) is values


# Relations


@pytest.fixture(scope="module")
def related():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 10**6, 400)
    b = np.where(rng.random(400) < 0.5, a, rng.integers(0, 10**6, 400))
    c = np.where(rng.random(400) < 0.5, b, rng.integers(0, 10**6, 400))
    frame = pd.DataFrame({"a": a, "b": b, "c": c})
    codec = fitted(frame)
    assert codec.relations_ == {"b": ["a"], "c": ["b"]}
    return frame, codec


def test_a_conditioned_column_repeats_no_other(related):
    _, codec = related
    encoded = rules({"b": (9000, 15000), "c": 777_777}, codec).encode(codec)
    n_own = len(codec.codecs_["b"].n_levels_)
    assert encoded.permitted[1].codes.max() < n_own
    assert encoded.table.codes[0, 2] < len(codec.codecs_["c"].n_levels_)
    out = decoded(codec, rules({"b": (9000, 15000), "c": 777_777}, codec), 300)
    assert out["b"].between(9000, 15000).all()
    assert (out["c"] == 777_777).all()


def test_columns_that_repeat_a_conditioned_one_take_its_final_value(related):
    _, codec = related
    conditions = rules({"a": (5000, 5001)}, codec)
    table = any_rows(conditions.encode(codec), 200, codec.layout_)
    table.codes[:, 1] = table.codes[:, 2] = 10**6  # clipped to the last code: the relation
    out = codec.inverse_transform(table, 0, conditions)
    assert set(out["a"]) <= {5000, 5001}
    assert out["b"].equals(out["a"])
    assert out["c"].equals(out["a"])


def test_given_cells_that_are_equal_have_the_code_of_the_relation(related):
    frame, codec = related
    n_b, n_c = (len(codec.codecs_[name].n_levels_) for name in "bc")
    whole = given_cells(frame, codec).encode(codec).table
    assert (whole.codes == codec.transform(frame).codes).all()
    alone = given_cells(frame[["b"]], codec).encode(codec).table
    assert (alone.codes[:, 1] < n_b).all()
    holes = frame.astype("float64")
    holes.loc[::2, "b"] = np.nan
    codes = gaps(holes, codec).encode(codec).table.codes
    assert (codes[::2, 2] < n_c).all()  # the other value is not known
    assert (codes[1::2, 2] == codec.transform(frame).codes[1::2, 2]).all()


def test_cells_say_where_there_is_no_value():
    cells = Cells(np.array([True, True, False]), np.array([5, 6, 7]), np.array([False, True, False]))
    values, missing = cells.rows(np.array([0, 1, 2]))
    assert missing.tolist() == [False, True, True]
    assert values.tolist() == [5, 6, 7]


def test_conditions_on_nothing_permit_everything(codec):
    encoded = Conditions().encode(codec)
    assert not encoded.known.any()
    assert encoded.permitted == {}
    assert len(encoded.table) == 1
