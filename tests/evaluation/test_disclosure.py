import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.alarms import LEVEL
from synthgan.evaluation.disclosure import attribute_inference, singling_out
from synthgan.evaluation.tables import CodedTable, code_tables


def population(n_rows, seed):
    """Rows whose secret is a coin: nobody can guess it who has not seen it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 4)), columns=list("wxyz"))
    return frame.assign(
        kind=rng.choice(["a", "b", "c"], n_rows),
        secret=rng.choice(["yes", "no"], n_rows),
        wage=rng.lognormal(0, 1, n_rows),
    )


def test_eight_rows_by_hand():
    real = pd.DataFrame({"k": list("abcd"), "s": ["x", "x", "y", "y"]})
    synthetic = pd.DataFrame({"k": list("aabbc"), "s": ["x", "x", "y", "y", "y"]})
    holdout = pd.DataFrame({"k": list("aabb"), "s": ["x", "y", "x", "y"]})
    kinds = {"k": "categorical", "s": "categorical"}
    found = attribute_inference(*code_tables(real, synthetic, holdout, kinds=kinds), secrets=["s"]).iloc[0]
    # a -> x, b -> y, c -> y; d is as far from all: three y of five. Right: a, c, d; the mode is y
    assert found["main"] == 0.75
    # of the holdout a-x and b-y
    assert found["control"] == 0.5
    assert found["baseline"] == 0.5
    assert found["excess"] == 0.25
    assert found["p"] == 1.0  # 8 records can prove nothing


def test_newcombes_interval_by_hand():
    # Newcombe (1998), table II, example (a), method 10: 56/70 - 48/80 = .2, .0524 to .3339
    from synthgan.evaluation.disclosure import _difference
    from synthgan.evaluation.intervals import wilson

    gap = _difference(wilson(56, 70), wilson(48, 80))
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_numbers_are_right_within_a_twentieth_of_the_rows():
    numbers = pd.DataFrame({"key": [f"k{i}" for i in range(100)], "n": np.arange(100.0)})
    # real and holdout hold each number twice: 4 numbers are 8 of 200 ranks, .04, and 6 numbers .06
    for shift, expected in ((0, 1.0), (4, 1.0), (6, 0.0)):
        moved = numbers.assign(n=(numbers["n"] + shift).clip(upper=99))
        tables = code_tables(numbers, moved, numbers, kinds={"key": "categorical"})
        found = attribute_inference(*tables, secrets=["n"]).iloc[0]
        assert found["main"] == pytest.approx(expected, abs=0.1)  # the last ones stop at 99


def test_a_planted_leak_is_found_where_it_is():
    real, fresh, holdout = (population(1500, k) for k in range(3))
    leaky = real.assign(wage=fresh["wage"])  # keeps the secret and forgets the wage
    found = attribute_inference(*code_tables(real, leaky, holdout)).set_index("secret")
    assert found.loc["secret", "p"] <= LEVEL
    assert found.loc["secret", "main"] > 0.6  # the wage misleads in who is nearest
    assert found.loc["secret", "control"] == pytest.approx(0.5, abs=0.05)
    assert found.loc["secret", "baseline"] == pytest.approx(0.5, abs=0.05)
    assert found.loc["wage", "p"] > LEVEL
    row = found.loc["secret"]
    assert row["excess_low"] < row["excess"] == pytest.approx(row["main"] - row["control"])
    assert row["excess"] < row["excess_high"]


def test_what_the_population_gives_away_is_no_leak(adult):
    pool = adult[1].stacked_on(adult[0])
    rows = np.random.default_rng(0).permutation(16000)[:6000].reshape(3, 2000)
    found = attribute_inference(*(pool.take(np.sort(part)) for part in rows), max_targets=1000)
    assert found["p"].min() > LEVEL
    sex = found.set_index("secret").loc["sex"]
    assert sex["main"] > sex["baseline"] + 0.05  # predictable, from husband and wife
    assert sex["control"] > sex["baseline"] + 0.05


def test_more_copies_more_excess():
    real, fresh, holdout = (population(1200, k) for k in range(3))
    excess = []
    for share in (0.0, 0.3, 0.6, 1.0):
        synthetic = pd.concat([real.iloc[: int(share * 1200)], fresh.iloc[int(share * 1200) :]])
        found = attribute_inference(*code_tables(real, synthetic, holdout), secrets=["secret"]).iloc[0]
        excess.append(found["excess"])
        assert (found["p"] <= LEVEL) == (share > 0)
    assert excess == sorted(excess)


def test_copies_of_outliers_are_singled_out(adult):
    pool = adult[1].stacked_on(adult[0])
    rows = np.random.default_rng(1).permutation(16000)[:6000].reshape(3, 2000)
    real, fresh, holdout = (pool.take(np.sort(part)) for part in rows)
    gain = real.numbers("capital_gain") + 5 * real.numbers("capital_loss")
    outliers = real.take(np.argsort(-gain, kind="stable")[:150])
    leaky = singling_out(real, outliers.stacked_on(fresh.take(np.arange(1850))), holdout)
    assert leaky["p"].min() <= LEVEL
    assert leaky["n_columns"].tolist() == [2, 4, 8]
    assert (leaky["real_records"] > leaky["holdout_records"]).all()
    honest = singling_out(real, fresh, holdout)
    assert honest["p"].min() > LEVEL
    assert (honest["excess_low"] < 0).all()


def test_five_rows_by_hand():
    frame = pd.DataFrame({"a": ["p", "p", "q", "q", "r"], "b": ["x", "y", "x", "y", "x"]})
    kinds = {"a": "categorical", "b": "categorical"}
    real, holdout = frame.iloc[[0, 1, 2, 3]], frame.iloc[[0, 1, 2, 2]]
    found = singling_out(*code_tables(real, frame, holdout, kinds=kinds), n_predicates=50)
    # both columns: five predicates. In real (p,x) (p,y) (q,x) (q,y) fit one each, in the holdout (p,x) (p,y)
    assert found["n_columns"].tolist() == [2]
    assert found["n_predicates"].tolist() == [5]
    assert (found["main"][0], found["control"][0]) == (0.8, 0.4)
    # of both tables together only (q,y) is alone
    assert (found["real_records"][0], found["holdout_records"][0]) == (1, 0)


def test_many_predicates_on_one_record_are_one_proof():
    # 600 rows that are alike but one, unlike in each of eight columns: hundreds of predicates single it out
    same = np.zeros((600, 8))
    odd = same.copy()
    odd[0] = np.arange(1.0, 9.0)
    frames = [pd.DataFrame(values).add_prefix("c") for values in (odd, odd, same)]
    found = singling_out(*code_tables(*frames), n_predicates=200)
    assert found["real_records"].max() == 1
    assert found["p"].min() == 1.0


def test_seed_samples_and_row_order(mixed):
    frames = [mixed(250, k) for k in range(3)]
    for attack in (attribute_inference, singling_out):
        first = attack(*code_tables(*frames), seed=1)
        again = attack(*code_tables(*(frame.iloc[::-1] for frame in frames)), seed=1)
        pd.testing.assert_frame_equal(first, again)
    assert not singling_out(*code_tables(*frames), seed=2).equals(first)
    tables = code_tables(*frames)
    assert not attribute_inference(*tables, seed=1, max_targets=100).equals(
        attribute_inference(*tables, seed=1)
    )
    assert singling_out(*tables, n_predicates=10)["n_predicates"].max() == 10


def test_of_very_many_columns_twenty_are_guessed():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 30))).add_prefix("c")
    found = attribute_inference(*code_tables(frame, frame, frame))
    assert len(found) == 20
    assert len(set(found["secret"])) == 20


def test_the_independent_table_is_the_baseline(adult):
    real, holdout = adult
    floor = real.independent(3000, np.random.default_rng(0))
    found = attribute_inference(real, floor, holdout, secrets=["relationship"], max_targets=500).iloc[0]
    assert found["main"] < found["baseline"] + 0.05


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.0]}),
        pd.DataFrame({"a": [1.0], "b": ["x"]}),
        pd.DataFrame({"a": [np.nan] * 9, "b": [5.0] * 9}),
        pd.DataFrame({"a": [1e300, -1e300, 0.0] * 9, "b": [f"k{i}" for i in range(27)]}),
        pd.DataFrame({None: ["x", None] * 9, ("t", 1): [True, False] * 9}),
    ],
)
def test_odd_tables_raise_no_alarm(frame):
    kinds = {"b": "categorical"} if "b" in frame and frame["b"].dtype == object else None
    tables = code_tables(frame, frame, frame, kinds=kinds)
    found = attribute_inference(*tables)
    assert len(found) == (frame.shape[1] if frame.shape[1] > 1 else 0)
    assert list(found["secret"]) == (list(frame.columns) if len(found) else [])
    assert (found["p"] > LEVEL).all()
    assert (singling_out(*tables, n_predicates=20)["p"] > LEVEL).all()


def test_a_missing_secret_is_a_value():
    frame = pd.DataFrame({"k": [f"k{i % 40}" for i in range(80)], "s": [1.0, None] * 40})
    tables = code_tables(frame, frame, frame, kinds={"k": "categorical"})
    assert attribute_inference(*tables, secrets=["s"])["main"].tolist() == [1.0]
    codes = np.where(tables[1].codes < 0, 0, tables[1].codes)
    filled = CodedTable(tables[0].domain, np.asfortranarray(codes))
    assert attribute_inference(tables[0], filled, tables[2], secrets=["s"])["main"].tolist() == [0.5]


def test_raw_p_values_stand_beside_the_corrected_ones(mixed):
    tables = code_tables(*(mixed(250, k) for k in range(3)))
    for frame in (attribute_inference(*tables), singling_out(*tables)):
        assert (frame["raw_p"] <= frame["p"]).all()
        assert (frame["raw_p"] < 1).any()
