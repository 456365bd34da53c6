import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.copies import (
    closest_records,
    copied_records,
    dcr_share,
    identical_rows,
    identical_share,
    near_identical_rows,
    near_identical_share,
)
from synthgan.evaluation.tables import CodedTable, code_tables


def draw(table, n_rows, seed):
    return table.sampled(n_rows, np.random.default_rng(seed))


def test_four_rows_by_hand():
    real = pd.DataFrame({"a": [1.0, 2.0, None, 0.1 + 0.2], "b": ["x", "y", "z", None]})
    synthetic = pd.DataFrame({"a": [1.0, 1.0, None, 0.3], "b": ["x", "y", "z", None]})
    # (1, x) and (missing, z) stand in real; (1, y) mixes two rows; .3 is not .1 + .2: 2 of 4
    found = identical_share(*code_tables(real, synthetic))
    assert found.value == 0.5
    assert (found.low, found.high) == (pytest.approx(0.150, abs=1e-3), pytest.approx(0.850, abs=1e-3))
    assert identical_rows(*code_tables(real, synthetic)).sum() == 2


def test_a_table_copies_itself_and_independent_columns_do_not(adult):
    real, holdout = adult
    assert identical_share(real, real).value == 1.0
    assert identical_share(real, real.independent(8000, np.random.default_rng(0))).value == 0.0
    assert identical_share(real, holdout).value < 0.005
    assert near_identical_share(real, real).value == 1.0


def test_the_share_of_copies_is_found(adult):
    real, holdout = adult
    both = draw(real, 400, 0).stacked_on(draw(holdout, 7600, 1))
    assert identical_share(real, both).value == pytest.approx(0.05, abs=0.005)


def test_it_is_not_symmetric():
    one, two = pd.DataFrame({"a": [1, 1, 1, 2]}), pd.DataFrame({"a": [1, 3, 4, 5]})
    assert identical_share(*code_tables(one, two)).value == 0.25
    assert identical_share(*code_tables(two, one)).value == 0.75


def test_near_rows_by_hand():
    # 240 numbers, each once: two places are 2/240 = .0083 apart in rank, three .0125
    steps = np.arange(0.0, 240.0)
    real = pd.DataFrame({"a": steps[::8], "b": ["x"] * 29 + ["y"]})
    synthetic = pd.DataFrame({"a": np.delete(steps, np.s_[::8]), "b": "x"})
    found = near_identical_rows(*code_tables(real, synthetic))
    # two before and two after each real number but the first: 30 x 4 - 2; those around 232 lack its y: - 4
    assert found.sum() == 114
    assert near_identical_share(*code_tables(real, synthetic)).value == 114 / 210


def test_a_category_or_a_missing_cell_is_never_near():
    real = pd.DataFrame({"a": [1.0, 2.0, np.nan, 4.0], "b": ["x", "y", "x", "x"]})
    synthetic = pd.DataFrame({"a": [1.0, 2.0, 4.0, np.nan], "b": ["y", "y", None, "x"]})
    # sorted by codes: (missing, x) and (2, y) are there, (1, y) and (4, missing) are not
    assert near_identical_rows(*code_tables(real, synthetic)).tolist() == [True, False, True, False]


def test_near_is_the_distance_between_ranks(mixed):
    names = ["size", "price"]
    real, synthetic = code_tables(mixed(3000, 0)[names].dropna(), mixed(200, 1)[names].dropna())
    ranks = [pd.DataFrame({n: np.r_[t.column(n)] for n in names}) for t in (real, synthetic)]
    pooled = pd.concat(ranks).rank() - 0.5
    places = (pooled / len(pooled)).to_numpy()
    apart = places[: len(real), None] - places[None, len(real) :]
    expected = np.sqrt((apart**2).mean(axis=2)).min(axis=0) < 0.01
    assert np.array_equal(near_identical_rows(real, synthetic, [real, synthetic]), expected)
    assert 0 < expected.sum() < len(expected)


def test_copies_are_found_and_fresh_rows_are_not(adult):
    real, pool = adult
    rows = np.random.default_rng(0).permutation(8000)
    fresh, holdout = pool.take(np.sort(rows[:4000])), pool.take(np.sort(rows[4000:]))
    real = draw(real, 4000, 1)
    assert copied_records(real, fresh, holdout)["p"].min() > 0.01
    copier = draw(real, 40, 2).stacked_on(draw(fresh, 3960, 3))  # 1 % of the rows
    found = copied_records(real, copier, holdout).set_index("copy")
    assert found["p"].max() < 1e-4
    assert found.loc["identical", "main"] == pytest.approx(0.01, abs=0.002)
    assert found.loc["identical", "control"] < 0.002


def test_copies_with_noise_are_near(adult):
    real, pool = adult
    real = draw(real, 4000, 1)
    moved = real.codes.copy()
    place = real.domain.names.index("fnlwgt")
    moved[:, place] = np.clip(moved[:, place] + 1, 0, len(real.domain.levels["fnlwgt"]) - 1)
    found = copied_records(real, CodedTable(real.domain, moved), draw(pool, 4000, 0)).set_index("copy")
    assert found.loc["identical", "main"] < 0.01
    assert found.loc["near_identical", "main"] > 0.99
    assert found.loc["near_identical", "p"] < 1e-12


def test_tables_that_repeat_rows_by_themselves_raise_no_alarm():
    rng = np.random.default_rng(0)
    tables = code_tables(*(pd.DataFrame({"a": rng.choice(list("xyz"), n)}) for n in (3000, 900, 700)))
    found = copied_records(*tables)
    assert found["main"].tolist() == [1.0, 1.0]
    assert found["p"].tolist() == [1.0, 1.0]


def test_dcr_and_nndr_by_hand():
    # mean ranks of the real values: 1/6, 1/2, 5/6; between them 1 -> 1/3, 3 -> 11/18, 4 -> 13/18
    real, synthetic = pd.DataFrame({"a": [0.0, 2.0, 5.0]}), pd.DataFrame({"a": [1.0, 3.0, 4.0]})
    found = closest_records(*code_tables(real, synthetic))
    # closest: 1/6, 1/9, 1/9; second closest: 1/6, 2/9, 2/9; ratios 1, 1/2, 1/2
    assert found["dcr_median"][0].value == pytest.approx(1 / 9, abs=1e-6)
    assert found["dcr_p05"][0].value == pytest.approx(1 / 9, abs=1e-6)
    assert found["nndr_median"][0].value == pytest.approx(1 / 2, abs=1e-5)
    assert np.isnan(found["dcr_median"][1].value)
    assert "dcr_share" not in found


def test_copies_come_closer_than_the_holdout_does(adult):
    real, pool = adult
    rows = np.random.default_rng(0).permutation(8000)
    fresh, holdout = pool.take(np.sort(rows[:1500])), pool.take(np.sort(rows[1500:3000]))
    real, shares = draw(real, 1500, 0), []
    for n_copies in (0, 300, 1500):
        synthetic = draw(real, n_copies, 1).stacked_on(draw(fresh, 1500 - n_copies, 2))
        found = closest_records(real, synthetic, holdout)
        shares.append(found["dcr_share"][0].value)
        assert found["dcr_share"][1].value == 0.5
        assert found["dcr_median"][0].low <= found["dcr_median"][0].value <= found["dcr_median"][0].high
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[-1] > 0.99
    assert found["dcr_median"][0].value < 1e-6
    assert found["dcr_median"][1].value > 0.01


def test_ties_count_in_proportion():
    near, far = np.array([0.1, 0.3, 0.2, 0.2]), np.array([0.2, 0.1, 0.2, 0.2])
    # nearer, farther, two ties of 3/4 each: (1 + 0 + 1.5) / 4
    assert dcr_share(near, far, 300, 100).value == pytest.approx(0.625)


def test_a_sample_of_rows_is_taken_and_follows_the_seed(mixed):
    tables = code_tables(mixed(300, 0), mixed(300, 1), mixed(300, 2))
    first = closest_records(*tables, seed=1, max_rows=50)
    assert first == closest_records(*tables, seed=1, max_rows=50)
    assert first != closest_records(*tables, seed=2, max_rows=50)


@pytest.mark.parametrize(
    "column",
    [[1.0], [np.nan, np.nan], ["a", "b"], [None, "b"], [1e300, -1e300, 0.0], [5, 5, 5, 5]],
)
def test_odd_tables_are_no_trouble(column):
    frame = pd.DataFrame({"a": column, "b": 1.0})
    tables = code_tables(
        frame, frame, frame, kinds={"a": "numerical" if column[-1] != "b" else "categorical"}
    )
    assert near_identical_share(*tables[:2]).value == 1.0
    assert (copied_records(*tables)["p"] == 1.0).all()
    found = closest_records(*tables)
    assert found["dcr_median"][0].value == pytest.approx(0.0, abs=1e-6)
    assert found["dcr_share"][0].value == 0.5
