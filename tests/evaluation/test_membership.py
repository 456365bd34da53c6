import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.alarms import LEVEL
from synthgan.evaluation.membership import (
    blind_baseline,
    classifier_score,
    density_ratio_score,
    membership_attacks,
    monte_carlo_score,
    nearest_score,
    tpr_at,
)
from synthgan.evaluation.tables import CodedTable, code_tables

ATTACKS = ["nearest", "monte_carlo", "density_ratio", "classifier", "supervised"]


@pytest.fixture(scope="module")
def split(adult):
    """Split rows of Adult at random: members, fresh rows of the same law, non-members."""
    pool = adult[1].stacked_on(adult[0])

    def make(n_rows, seed):
        rows = np.random.default_rng(seed).permutation(len(pool))[: 3 * n_rows]
        return [pool.take(np.sort(part)) for part in np.split(rows, 3)]

    return make


def partly_copied(real, fresh, share):
    """The first rows of a shuffled real table in place of fresh ones."""
    n = int(share * len(real))
    rng = np.random.default_rng(0)
    return real.sampled(n, rng).stacked_on(fresh.sampled(len(fresh) - n, rng)) if n else fresh


def with_noise(table, seed):
    """Move age and weight by at most one level up or down."""
    rng = np.random.default_rng(seed)
    codes = table.codes.copy(order="F")
    for name in ("age", "fnlwgt"):
        place = table.domain.names.index(name)
        moved = codes[:, place] + rng.integers(-1, 2, len(table))
        codes[:, place] = np.clip(moved, 0, len(table.domain.levels[name]) - 1)
    return CodedTable(table.domain, codes)


def test_scores_by_hand():
    to_synthetic, to_others = np.array([[0.1, 0.4], [0.2, 0.3]]), np.array([[0.2, 0.4], [0.1, 0.2]])
    assert nearest_score(to_synthetic).tolist() == [-0.1, -0.2]
    assert monte_carlo_score(to_synthetic).tolist() == [1.0, 0.0]  # radius .15, between the two
    # log(.4 / .1) = log 4; log(.2 / .2) = 0
    assert density_ratio_score(to_synthetic, to_others) == pytest.approx([np.log(4), 0.0], abs=1e-4)


def test_equal_rows_tie_in_spite_of_rounding():
    assert len(set(nearest_score(np.array([[0.0], [1e-8], [3e-8]])).tolist())) == 1


def test_tpr_by_hand():
    score, member = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]), np.array([True, True, False, True, False, True])
    assert tpr_at(0.0, score, member).value == 0.5  # above 7: two of four
    assert tpr_at(0.5, score, member).value == 0.75  # one of two others may be accused: above 5
    assert tpr_at(1.0, score, member).value == 1.0
    tied = np.array([9.0, 7.0, 7.0, 6.0, 7.0, 4.0])
    assert tpr_at(0.5, tied, member).value == 0.25  # both others tie at 7: accusing one accuses two


@pytest.mark.parametrize("make", [lambda real: real, lambda real: with_noise(real, 0)])
def test_a_copier_is_flagged_by_every_attack(split, make):
    real, _, holdout = split(2000, 0)
    found = membership_attacks(real, make(real), holdout)
    whole = found[found["records"] == "all"].set_index("attack")
    assert list(whole.index) == ATTACKS
    near = whole.drop(index="classifier")  # 40 trees see regions, not single rows
    assert (near["p"] <= LEVEL).all()
    assert (near["auc"] > 0.95).all()
    assert near.loc["nearest", "tpr_at_0.01"] > 0.8
    outlying = found[found["records"] == "outlying"].set_index("attack")
    assert (outlying.drop(index="classifier")["auc"] > 0.95).all()
    assert outlying["n_members"].max() + outlying["n_others"].max() < 300


def test_the_classifier_flags_a_copier_too(split):
    real, _, holdout = split(2000, 0)
    found = (
        membership_attacks(real, real, holdout).set_index(["records", "attack"]).loc[("all", "classifier")]
    )
    assert found["auc"] > 0.6
    assert found["p"] <= LEVEL


def test_copies_of_one_row_in_twenty_are_flagged_and_more_is_found_the_more_is_copied(split):
    real, fresh, holdout = split(2000, 1)
    areas = []
    for share in (0.0, 0.05, 0.3, 1.0):
        found = membership_attacks(real, partly_copied(real, fresh, share), holdout)
        nearest = found.iloc[0]
        areas.append(nearest["auc"])
        assert (found["p"].min() <= LEVEL) == (share > 0)
        assert nearest["tpr_at_0.01"] == pytest.approx(share, abs=0.02)
        assert nearest["auc_low"] <= nearest["auc"] <= nearest["auc_high"]
    assert areas == sorted(areas)


def test_a_leak_of_outliers_alone_is_found_among_them(split):
    real, fresh, holdout = split(2000, 2)
    apart = -np.sort(-membership_distance(real))[100]
    outliers = real.take(membership_distance(real) > apart)
    leaky = with_noise(outliers, 0).stacked_on(fresh)
    found = membership_attacks(real, leaky, holdout).set_index(["records", "attack"])
    assert found.loc[("outlying", "nearest"), "auc"] > found.loc[("all", "nearest"), "auc"] + 0.1
    assert found.loc[("outlying", "nearest"), "p"] <= LEVEL


def membership_distance(table):
    from synthgan.evaluation.neighbours import embed, nearest

    return nearest(embed(table)[0], k=5)[0][:, -1]


def test_the_classifier_scores_where_synthetic_rows_are_too_many():
    rng = np.random.default_rng(0)
    records, synthetic = code_tables(
        pd.DataFrame({"a": rng.uniform(0, 1, 1000)}), pd.DataFrame({"a": rng.uniform(0.5, 1, 1000)})
    )
    score = classifier_score(records, synthetic, rng)
    # density 2 over 1 above one half, 0 over 1 below; 1,000 synthetic rows to 500 records: log-odds log 4
    above = records.numbers("a") > 0.52
    assert np.median(score[above]) == pytest.approx(np.log(4), abs=0.3)
    assert score[records.numbers("a") < 0.48].max() < -2


def test_the_blind_baseline_finds_a_holdout_that_is_none(split):
    real, _, holdout = split(2000, 3)
    auc, p = blind_baseline(real, holdout)
    assert auc.low < 0.5 < auc.high
    assert p > LEVEL
    place = real.domain.names.index("age")
    older = holdout.codes.copy(order="F")
    older[:, place] = np.minimum(older[:, place] + 5, len(real.domain.levels["age"]) - 1)
    auc, p = blind_baseline(real, CodedTable(real.domain, older))
    assert auc.value > 0.52
    assert p <= LEVEL


def test_the_power_is_said_and_grows_with_the_records(split):
    tables = split(2000, 4)
    found = membership_attacks(*tables)
    fewer = membership_attacks(*tables, max_targets=500)
    assert fewer["n_members"].tolist()[:4] == [500] * 4
    assert (found["detectable_auc"] < fewer["detectable_auc"]).all()
    assert 0.5 < found["detectable_auc"][0] < 0.55
    assert 0.01 < found["detectable_tpr"][0] < 0.03
    assert np.isnan(fewer["detectable_tpr"][5])  # one outlying record in a hundred proves nothing


def test_the_seed_and_nothing_else_decides(mixed):
    frames = [mixed(300, k) for k in range(3)]
    first = membership_attacks(*code_tables(*frames), seed=1)
    again = membership_attacks(*code_tables(*(frame.iloc[::-1] for frame in frames)), seed=1)
    pd.testing.assert_frame_equal(again, first)
    assert not membership_attacks(*code_tables(*frames), seed=2).equals(first)


@pytest.mark.parametrize("n_rows", [1, 2, 9, 40])
def test_small_tables_give_no_result_and_no_error(mixed, n_rows):
    tables = code_tables(mixed(n_rows, 0), mixed(n_rows, 1), mixed(n_rows, 2))
    found = membership_attacks(*tables)
    assert len(found) == 10
    assert found["auc"].isna().all() == (n_rows < 8)
    assert found.loc[found["auc"].isna(), ["detectable_auc", "detectable_tpr"]].isna().all(axis=None)
    auc, p = blind_baseline(tables[0], tables[2])
    assert np.isnan(auc.value) == np.isnan(p)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.0] * 60}),
        pd.DataFrame({"a": ["x", "y", None] * 20}),
        pd.DataFrame({"a": [1e300, -1e300, np.nan] * 20, "b": [None] * 60}),
        pd.DataFrame({"a": [f"k{i % 50}" for i in range(60)]}),
    ],
)
def test_odd_tables_raise_no_alarm(frame):
    kinds = (
        {"b": "categorical"} if "b" in frame else {"a": "categorical"} if frame["a"].dtype == object else {}
    )
    tables = code_tables(frame, frame, frame, kinds=kinds)
    assert membership_attacks(*tables)["p"].min() > LEVEL
