import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.neighbours import embed, mean_ranks, nearest
from synthgan.evaluation.tables import code_tables


def squared(points, first, second):
    return float(((points[first].astype(float) - points[second]) ** 2).sum())


def test_distances_of_mixed_rows_are_the_mean_over_columns():
    frame = pd.DataFrame({"size": [1.0, 2.0, np.nan, 1.0], "colour": ["red", "red", "blue", None]})
    (points,) = embed(
        *code_tables(frame)
    )  # in order of codes: (missing, blue), (1, missing), (1, red), (2, red)
    # mean ranks of the sizes 1, 1, 2 as shares: 1/3 and 5/6; missing lies at 1/2 with a mark of its own
    assert squared(points, 1, 2) == pytest.approx((0 + 1) / 2)
    assert squared(points, 2, 3) == pytest.approx((0.5**2 + 0) / 2)
    assert squared(points, 0, 3) == pytest.approx(((5 / 6 - 1 / 2) ** 2 + 1 + 1) / 2)


def test_equal_rows_of_two_tables_meet_and_the_order_of_tables_is_no_matter(mixed):
    tables = code_tables(mixed(60, 0), mixed(60, 0), mixed(50, 1))
    first, same, other = embed(*tables)
    assert np.array_equal(first, same)
    again, turned = embed(tables[2], tables[0], tables[1])[:2]
    assert np.array_equal(again, other)
    assert np.array_equal(turned, first)


def test_many_categories_keep_equal_at_zero_and_unequal_near_one():
    frame = pd.DataFrame({"zip": [f"z{i % 500}" for i in range(1000)]})
    (points,) = embed(*code_tables(frame, kinds={"zip": "categorical"}))
    assert points.shape == (1000, 64)
    apart = [squared(points, 0, k) for k in range(2, 1000, 2)]  # rows stand in order of their codes
    assert squared(points, 0, 1) == 0
    assert min(apart) > 0.4
    assert max(apart) < 1.6


def test_names_choose_the_columns(mixed):
    (table,) = code_tables(mixed(30, 0))
    (points,) = embed(table, names=["rooms", "new"])
    assert points.shape[1] == 2 + 3
    assert embed(table, names=[])[0].shape == (30, 1)


def test_neighbours_are_those_of_a_plain_search(mixed):
    first, second = embed(*code_tables(mixed(80, 0), mixed(50, 1)))
    distances, places = nearest(first, second, k=3)
    plain = np.sqrt(((first[:, None].astype(float) - second[None]) ** 2).sum(axis=2))
    assert np.allclose(distances, np.sort(plain, axis=1)[:, :3], atol=1e-6)
    assert np.allclose(np.take_along_axis(plain, places, axis=1), distances, atol=1e-6)


def test_a_point_is_not_its_own_neighbour():
    points = np.float32([[0.0], [0.0], [5.0]])
    distances, places = nearest(points)
    assert distances.ravel().tolist() == [0.0, 0.0, 5.0]
    assert places.ravel().tolist()[:2] == [1, 0]


def test_a_small_reference_gives_what_it_has():
    points = np.float32([[0.0], [1.0]])
    assert nearest(points, points[:1], k=5)[0].shape == (2, 1)
    assert nearest(points[:1], k=5)[0].shape == (1, 0)


def test_a_level_that_the_ranked_rows_lack_lies_between_its_neighbours():
    real = pd.DataFrame({"gain": [0.0] * 8 + [100.0, 200.0]})
    known, drawn = code_tables(real, pd.DataFrame({"gain": [1.0, 150.0, 900.0]}))
    # mean ranks of 0, 100, 200: .4, .85, .95; 1 lies a hundredth of the way from .4 to .85; 900 stays at 200
    assert mean_ranks([known], "gain") == pytest.approx([0.4, 0.4045, 0.85, 0.9, 0.95, 0.95])
    near, points = embed(known, drawn, ranked=[known])
    assert float(np.abs(near[0] - points[0]).max()) == pytest.approx(0.0045, abs=1e-6)
    assert mean_ranks([drawn], "gain") == pytest.approx([1 / 6, 1 / 6, 0.3887, 0.5, 0.5222, 5 / 6], abs=1e-3)
