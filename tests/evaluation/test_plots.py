import base64
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from synthgan.evaluation.plots import draw_curves, draw_histogram
from synthgan.evaluation.profiles import Histogram


def svg(uri):
    head, data = uri.split(",")
    assert head == "data:image/svg+xml;base64"
    return ET.fromstring(base64.b64decode(data))


def histogram(edges, shares=None):
    real = np.full(len(edges) - 1, 1 / (len(edges) - 1)) if shares is None else np.array(shares)
    return Histogram(np.asarray(edges), real, real[::-1])


@pytest.mark.parametrize(
    "edges",
    [
        [0.0, 1.0],
        np.linspace(-1e99, 1e99, 5),
        np.linspace(0, 1e-12, 5),
        np.array(["2024-01-01", "2024-03-01", "2025-01-01"], "M8[us]"),
        np.array([0, 60, 7200], "m8[s]"),
        np.array([0, 1, 2], "m8[ns]"),
    ],
)
def test_every_axis_is_drawn(edges):
    assert svg(draw_histogram(histogram(edges))).tag.endswith("svg")


def test_a_spike_is_drawn_on_a_logarithmic_scale():
    flat = draw_histogram(histogram(range(11)))
    spiky = draw_histogram(histogram(range(11), [0.991] + [0.001] * 9))
    assert len(spiky) != len(flat)
    assert svg(spiky).tag.endswith("svg")


def test_equal_data_give_equal_bytes_and_no_setting_is_left_changed():
    before = dict(mpl.rcParams)
    assert draw_histogram(histogram([0.0, 1.0, 2.0])) == draw_histogram(histogram([0.0, 1.0, 2.0]))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("n_points", [1, 2, 500])
def test_curves_are_drawn(n_points):
    x = np.arange(float(n_points))
    assert svg(draw_curves([(x, x**2, "#0072b2")], "seconds")).tag.endswith("svg")
