import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.evaluation.profiles import N_BARS, Bars, Histogram, profile_columns
from synthgan.evaluation.tables import code_tables


def profile(real, synthetic, kind=None):
    tables = code_tables(
        pd.DataFrame({"c": real}), pd.DataFrame({"c": synthetic}), kinds=kind and {"c": kind}
    )
    return profile_columns(*tables)[0].shape


def test_bars_by_hand():
    # observed: real y 10/15, x 5/15; synthetic x, y, z, z: 1/4 1/4 2/4
    bars = profile(["x", "y", "y", None] * 5, ["x", "y", "z", "z"])
    assert bars.labels == ("y", "x")
    assert bars.real == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert bars.synthetic == (0.25, 0.25)
    assert bars.rest == (1, 0.0, 0.5)


def test_values_of_fewer_than_five_people_are_not_named():
    real = ["flu"] * 5 + ["gout"] * 4 + ["rare"]
    bars = profile(real, ["gout"] * 90 + ["rare"] * 10, "categorical")
    assert bars.labels == ("flu",)
    assert bars.rest == (2, pytest.approx(0.5), pytest.approx(1.0))
    nobody = profile([f"name {i % 30}" for i in range(60)], ["name 1"] * 60, "categorical")
    assert nobody.labels == nobody.real == nobody.synthetic == ()
    assert nobody.rest == (30, pytest.approx(1.0), pytest.approx(1.0))


def test_further_categories_are_pooled():
    values = [f"c{i:02d}" for i in range(20) for _ in range(40 - i)]
    bars = profile(values, values)
    assert bars.labels == tuple(f"c{i:02d}" for i in range(N_BARS))
    assert bars.rest[0] == 20 - N_BARS
    assert sum(bars.real) + bars.rest[1] == pytest.approx(1.0)


def test_whole_numbers_get_bins_of_their_own():
    histogram = profile([1, 2, 3, 3], [1, 1, 1, 4])
    assert histogram.edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert histogram.real.tolist() == [0.25, 0.25, 0.5, 0.0]
    assert histogram.synthetic.tolist() == [0.75, 0.0, 0.0, 0.25]


def test_wide_whole_numbers_share_bins_evenly():
    histogram = profile(list(range(1000)) * 2, list(range(1000)), "numerical")
    assert np.ptp(histogram.real[:-1]) == pytest.approx(0, abs=0.01)
    assert len(set(np.diff(histogram.edges))) == 1


@given(st.lists(st.floats(-1e90, 1e90), min_size=2, max_size=50), st.data())
def test_shares_add_up_to_one(values, data):
    other = data.draw(st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=50))
    histogram = profile(values, other, "numerical")
    assert isinstance(histogram, Histogram)
    assert histogram.real.sum() == pytest.approx(1.0)
    assert histogram.synthetic.sum() == pytest.approx(1.0)
    assert (np.diff(histogram.edges) > 0).all()


def test_dates_and_durations_keep_their_unit():
    days = pd.date_range("2024-01-01", periods=50)
    assert profile(days, days).edges.dtype.kind == "M"
    assert profile(days - days[0], days - days[0]).edges.dtype.kind == "m"


def test_what_cannot_be_drawn_is_none():
    assert profile([1e200, -1e200], [0.0, 1.0], "numerical") is None
    assert profile([None, None], [None, None]) is None
    early = pd.Series(np.array(["0001-02-01", "2024-01-01"], "M8[s]"))
    assert profile(early, early) is None


def test_dates_that_nearly_agree_get_an_axis_of_days():
    moments = pd.Series(np.array(["2024-01-01T00:00:00.000001", "2024-01-01T00:00:00.000002"], "M8[us]"))
    edges = profile(moments, moments).edges
    assert edges[-1] - edges[0] > np.timedelta64(1, "D")


def test_booleans_are_bars():
    assert isinstance(profile([True, False], [True, True]), Bars)
