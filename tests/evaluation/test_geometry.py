import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from synthgan.evaluation.geometry import MAX_ROWS, compare_points, geometry, mmd
from synthgan.evaluation.neighbours import embed
from synthgan.evaluation.tables import code_tables


def points(*values):
    return np.float32(values)[:, None]


def cloud(n_points, width, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (n_points, width)).astype(np.float32)


def numbers(n_rows, seed, shift=0.0, width=3):
    return pd.DataFrame(cloud(n_rows, width, seed, shift)).rename(columns=str).astype(float)


def values(found):
    return {name: estimate.value for name, estimate in found.items()}


def test_four_points_by_hand():
    found = values(compare_points(points(0, 1, 3, 6), points(2, 3.5, 20, 21), k=1))
    # distance to the nearest other: real 1, 1, 2, 3; synthetic 1.5, 1.5, 1, 1
    assert found["precision"] == 2 / 4  # 2 in the ball of 1, 3.5 in that of 3
    assert found["recall"] == 2 / 4  # 1 and 3 in the ball of 2
    assert found["density"] == (2 + 2 + 0 + 0) / 4  # 2 in those of 1 and 3, 3.5 in those of 3 and 6
    assert found["coverage"] == 3 / 4  # nearest synthetic at 2, 1, .5, 2.5: all but the first in reach
    assert found["authenticity"] == 2 / 4  # only 20 and 21 are farther from 6 than 3 is
    # between: 161 / 16; within: 2 * 20 / 16 and 2 * 73.5 / 16
    assert found["energy_distance"] == pytest.approx(2 * 161 / 16 - 40 / 16 - 147 / 16)


def test_alpha_precision_and_beta_recall_of_four_points_by_hand():
    found = values(compare_points(points(0, 1, 3, 6), points(2, 3.5, 20, 21)))
    # radii around 2.5: real .5, 1.5, 2.5, 3.5, so that the quantile a is .5 + 3 a; synthetic .5, 1, 17.5,
    # 18.5. P(a) = 1/4 up to 4/29, then 1/2. Sum of |a - P|: (5/4 - 10/29) + (5 - 95/29) + (330/29 - 7.5)
    assert found["alpha_precision"] == pytest.approx(1 - (225 / 29 - 1.25) / 15)
    # 3 and 6 are covered by 3.5, the most central of the synthetic points around 11.625, and 1 by 2, the
    # least central: R(b) = 1/2, and 3/4 at b = 1. Sum: (7.5 - 105/29) + (301/29 - 7) + 1/4
    assert found["beta_recall"] == pytest.approx(1 - (196 / 29 + 0.75) / 15)


def test_neighbours_beyond_the_nearest_count():
    # second nearest other of the real points at 3, 2, 3, 5: 2 lies in all four balls, 3.5 in those of 3 and 6
    found = values(compare_points(points(0, 1, 3, 6), points(2, 3.5, 20, 21), k=2))
    assert found["density"] == (4 + 2) / (2 * 4)
    assert found["coverage"] == 1.0


def test_the_precision_of_one_cloud_is_the_recall_of_the_other():
    first, second = cloud(90, 3, 0), cloud(60, 3, 1, 0.5)
    there, back = values(compare_points(first, second)), values(compare_points(second, first))
    assert there["precision"] == back["recall"]
    assert there["recall"] == back["precision"]
    assert there["energy_distance"] == pytest.approx(back["energy_distance"])


def test_a_copy_is_recognised():
    real = cloud(400, 4, 0)
    found = values(compare_points(real, real))
    assert found["energy_distance"] == pytest.approx(0, abs=1e-12)
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert found["density"] == 6 / 5  # five neighbours and the point itself, over five
    assert found["authenticity"] == 0
    assert found["alpha_precision"] > 0.99
    assert found["beta_recall"] > 0.99
    near = values(compare_points(real, real + cloud(400, 4, 1, 0, 1e-3)))
    assert near["authenticity"] < 0.02


def test_fresh_draws_reach_the_ceilings():
    found = compare_points(cloud(2000, 1, 0), cloud(2000, 1, 1))
    ceilings = {
        "precision": 1.0,
        "recall": 1.0,
        "density": 1.0,
        "coverage": 1 - 2**-5,  # each of the five nearest of two clouds is as likely a real one
        "alpha_precision": 1.0,
        "beta_recall": 0.5,  # as likely the nearest
        "authenticity": 1 / 3,  # of two points on a line, nearest to each other with probability 2/3
    }
    for name, ceiling in ceilings.items():
        assert found[name].value == pytest.approx(ceiling, abs=0.05), name
        assert found[name].low <= found[name].value <= found[name].high, name
    assert found["energy_distance"].value < 0.003


def test_few_columns_raise_what_many_columns_lower():
    few, many = (values(compare_points(cloud(800, width, 0), cloud(800, width, 1))) for width in (1, 10))
    assert many["precision"] < few["precision"]
    assert many["authenticity"] > 0.5 > few["authenticity"]


def test_a_lost_mode_lowers_recall_and_coverage_and_not_precision():
    def two_modes(seed, share):
        return cloud(1000, 4, seed) + 8 * (np.random.default_rng(seed).random((1000, 1)) < share).astype("f4")

    whole = values(compare_points(two_modes(0, 0.5), two_modes(1, 0.5)))
    lost = values(compare_points(two_modes(0, 0.5), two_modes(1, 0.0)))
    assert lost["precision"] == pytest.approx(whole["precision"], abs=0.03)
    for name in ("recall", "coverage"):
        assert lost[name] == pytest.approx(whole[name] / 2, abs=0.05)
    assert lost["beta_recall"] < 0.7 * whole["beta_recall"]


def test_noise_lowers_precision_and_density_and_not_recall():
    real = cloud(1000, 4, 0)
    found = [values(compare_points(real, cloud(1000, 4, 1, 0, scale))) for scale in (1.0, 1.5, 2.5)]
    for name in ("precision", "density", "coverage", "alpha_precision"):
        assert found[0][name] > found[1][name] > found[2][name], name
    assert found[2]["recall"] > 0.97
    assert found[2]["precision"] < 0.6
    assert found[0]["authenticity"] < found[1]["authenticity"] < found[2]["authenticity"]


def test_the_energy_distance_is_the_square_of_that_of_scipy():
    first, second = cloud(70, 1, 0), cloud(40, 1, 1, 0.7)
    expected = energy_distance(first[:, 0], second[:, 0]) ** 2  # scipy takes the root
    assert compare_points(first, second)["energy_distance"].value == pytest.approx(expected, rel=1e-6)


def test_intervals_are_about_as_wide_as_draws_vary():
    found = [compare_points(cloud(200, 3, k), cloud(200, 3, 500 + k)) for k in range(60)]
    for name in found[0]:
        mean = np.mean([draw[name].value for draw in found])
        assert np.mean([draw[name].low <= mean <= draw[name].high for draw in found]) > 0.8, name


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 10**6))
def test_every_figure_keeps_its_range(n, m, width, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = (rng.integers(0, 4, (rows, width)).astype(np.float32) for rows in (n, m))
    found = compare_points(real, synthetic)
    for name, estimate in found.items():
        if min(n, m) < 2:
            assert np.isnan(estimate.value)
            continue
        assert 0 <= estimate.low <= estimate.value + 1e-12, name
        assert estimate.value <= estimate.high + 1e-12, name
        assert name in ("density", "energy_distance") or estimate.high <= 1, name
    turned = compare_points(real[::-1], synthetic[::-1])
    for name in ("precision", "recall", "density", "coverage", "energy_distance"):
        assert turned[name].value == pytest.approx(found[name].value, nan_ok=True)


def plain_mmd(x, y):
    """The definition, written down once more with every pair in memory."""
    pooled = np.vstack([x, y]).astype(np.float64)
    distances = cdist(pooled, pooled)
    spread = np.median(distances[np.triu_indices(len(pooled), 1)])
    kernel = np.exp(-(distances**2) / (2 * spread**2))
    n, m = len(x), len(y)
    xx, yy, xy = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    return (xx.sum() - n) / (n * (n - 1)) + (yy.sum() - m) / (m * (m - 1)) - 2 * xy.mean()


@pytest.mark.parametrize("shift", [0.0, 0.4, 3.0])
def test_mmd_is_that_of_a_plain_computation(shift):
    tables = code_tables(numbers(300, 0), numbers(200, 1, shift))
    assert mmd(*tables).value == pytest.approx(plain_mmd(*embed(*tables)), abs=1e-7)


def test_mmd_of_two_rows_by_hand():
    # ranks of 0, 1 | 2, 3 over all four: 1/8, 3/8, 5/8, 7/8; distances 1/4 (3 times), 1/2 (twice), 3/4;
    # median 3/8: k = exp(-2/9), exp(-8/9), exp(-2)
    one, two, three = np.exp([-2 / 9, -8 / 9, -2.0])
    tables = code_tables(pd.DataFrame({"a": [0.0, 1.0]}), pd.DataFrame({"a": [2.0, 3.0]}))
    assert mmd(*tables).value == pytest.approx(one + one - 2 * (one + two + two + three) / 4)


def test_mmd_of_fresh_draws_is_zero_on_average():
    found = [mmd(*code_tables(numbers(150, k), numbers(150, 500 + k))) for k in range(40)]
    drawn = np.array([estimate.value for estimate in found])
    assert abs(drawn.mean()) < 3 * drawn.std() / np.sqrt(40)
    assert drawn.min() < 0
    assert np.mean([estimate.low <= 0 <= estimate.high for estimate in found]) > 0.9


def test_mmd_of_many_rows_by_features_is_near_the_exact_one():
    first, second = numbers(2 * MAX_ROWS, 0), numbers(2 * MAX_ROWS, 1, 0.3)
    found = mmd(*code_tables(first, second))
    exact = mmd(*code_tables(first.iloc[:MAX_ROWS], second.iloc[:MAX_ROWS]))
    assert found.value == pytest.approx(exact.value, rel=0.3)
    assert found.low < exact.high
    assert exact.low < found.high
    assert mmd(*code_tables(first, second), seed=1).value != found.value
    chance = mmd(*code_tables(first, numbers(2 * MAX_ROWS, 2)))
    assert chance.low < 0 < chance.high
    assert abs(chance.value) < 0.02 * found.value


def test_mmd_of_equal_tables_is_the_least_there_is(mixed):
    first, second = code_tables(mixed(200, 0), mixed(200, 0))
    assert -2 / 200 <= mmd(first, second).value <= 0
    assert geometry(first, second)["authenticity"].value == 0


def test_corruption_raises_distances_and_lowers_cover(adult):
    real, holdout = (table.sampled(1500, np.random.default_rng(0)) for table in adult)
    floor = real.independent(1500, np.random.default_rng(1))
    found = []
    for share in (0.0, 0.4, 1.0):
        rows = np.random.default_rng(2).random((1500, 1)) < share
        found.append(
            values(geometry(real, type(real)(real.domain, np.where(rows, floor.codes, holdout.codes))))
        )
    for name in ("mmd", "energy_distance", "authenticity"):
        assert found[0][name] < found[1][name] < found[2][name], name
    for name in ("precision", "density", "coverage", "beta_recall"):
        assert found[0][name] > found[1][name] > found[2][name], name
    assert found[2]["coverage"] < 0.6 * found[0]["coverage"]


def test_large_tables_are_drawn_down_by_the_seed():
    tables = code_tables(numbers(MAX_ROWS + 500, 0, width=1), numbers(300, 1, width=1))
    first = geometry(*tables, seed=1)
    assert geometry(*tables, seed=1) == first
    assert geometry(*tables, seed=2)["coverage"] != first["coverage"]


def test_the_order_of_rows_is_no_matter(mixed):
    first, second = mixed(80, 0), mixed(60, 1)
    assert geometry(*code_tables(first, second)) == geometry(
        *code_tables(first.sample(frac=1, random_state=0), second.iloc[::-1])
    )


@pytest.mark.parametrize(
    ("real", "synthetic"),
    [
        (pd.DataFrame({"a": [1.0] * 9}), pd.DataFrame({"a": [1.0] * 7})),
        (pd.DataFrame({"a": [np.nan] * 9}), pd.DataFrame({"a": [np.nan] * 9})),
        (pd.DataFrame({"a": [1.0, 2.0]}), pd.DataFrame({"a": [1e300, -1e300]})),
        (pd.DataFrame({"k": list("abab")}), pd.DataFrame({"k": list("cdcc")})),
        (
            pd.DataFrame({"a": [1.0, np.nan] * 5, "k": ["x", None] * 5}),
            pd.DataFrame({"a": [3.0], "k": ["y"]}),
        ),
        (
            pd.DataFrame({"k": [f"r{i}" for i in range(300)]}),
            pd.DataFrame({"k": [f"s{i}" for i in range(300)]}),
        ),
    ],
)
def test_odd_tables_are_no_trouble(real, synthetic):
    kinds = {"k": "categorical"} if "k" in real else None
    found = geometry(*code_tables(real, synthetic, kinds=kinds))
    for name, estimate in found.items():
        assert np.isnan(estimate.value) == (len(synthetic) < 2), name
