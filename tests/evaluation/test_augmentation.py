from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from synthgan.errors import ParameterError
from synthgan.evaluation.augmentation import (
    STRATEGIES,
    augmentation_lift,
    average_precision_parts,
    balanced_accuracy_parts,
    verdict,
)
from synthgan.evaluation.intervals import Estimate
from synthgan.evaluation.tables import code_tables
from synthgan.evaluation.utility import Task, task_of

BINARY = Task("y", "binary")
needs_imblearn = pytest.mark.skipif(find_spec("imblearn") is None, reason="imbalanced-learn is an extra")


def rare(n_rows, seed, shuffled=False):
    """One row in ten is positive and a curve separates it, with noise: the more rows, the better."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3))
    y = 1.5 * x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(0, 0.5, n_rows) > 2.3
    if shuffled:
        y = rng.permutation(y)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": np.where(y, "yes", "no")})


def lift(real, synthetic, holdout, task=BINARY, **options):
    found = augmentation_lift(*code_tables(real, synthetic, holdout), task, **options)
    return found.set_index(["strategy", "metric"])


def test_more_true_rows_help():
    found = lift(rare(300, 0), rare(4000, 1), rare(3000, 2))
    assert found["verdict"]["real + synthetic", "AUC"] == "helps"
    assert found["lift"]["real + synthetic", "AUC"] > 0.02
    assert found["lift"]["real + synthetic", "average precision"] > 0.05
    assert found["lift"]["real + synthetic minority", "balanced accuracy"] > 0.02


def test_rows_with_random_labels_never_help():
    found = lift(rare(500, 0), rare(500, 1, shuffled=True), rare(2000, 2))
    words = found.loc[["real + synthetic", "real + synthetic minority"], "verdict"]
    auc = found["verdict"]["real + synthetic", "AUC"]
    assert auc == "hurts"
    assert not words.loc[(slice(None), ["AUC", "average precision"])].eq("helps").any()


def test_rows_that_turn_the_rule_round_hurt_a_regression():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 600))
    real = pd.DataFrame({"x": x, "y": x + y / 3})
    found = lift(real[:300], real[:300].assign(y=-real["y"]), real[300:], Task("y", "regression"))
    assert found.index.tolist() == [("real", "R2"), ("real + synthetic", "R2")]
    assert found["verdict"]["real + synthetic", "R2"] == "hurts"


def test_a_strategy_without_effect_makes_no_difference():
    # as many rows of each class, and no synthetic row with a target: nothing is added
    frame = rare(400, 0).assign(y=["yes", "no"] * 200)
    found = lift(frame, frame.assign(y=None), frame, n_repeats=2, model="linear")
    same = found.loc[["real + synthetic", "real + synthetic minority"]]
    assert same[["lift", "low", "high"]].abs().to_numpy().max() == 0
    assert same["verdict"].eq("no difference shown").all()


def test_the_table_is_complete():
    found = augmentation_lift(*code_tables(rare(200, 0), rare(200, 1), rare(200, 2)), BINARY, n_repeats=2)
    assert found["strategy"].unique().tolist() == list(STRATEGIES)
    assert found["metric"].unique().tolist() == ["AUC", "average precision", "balanced accuracy"]
    known = found[found["score"].notna()]
    assert known["score"].between(0, 1).all()
    assert (known["low"] <= known["lift"]).all()
    assert (known["lift"] <= known["high"]).all()
    assert known["note"].eq("").all()
    rest = found[found["score"].isna()]
    assert rest["strategy"].eq("SMOTE-NC").all()
    assert rest["note"].str.contains("imbalanced-learn is not installed").all()
    assert rest["verdict"].eq("not known").all()
    baseline = found[found["strategy"] == "real"]
    assert baseline[["lift", "low", "high"]].eq(0).all(axis=None)
    assert baseline["verdict"].eq("").all()


def test_every_option_has_an_effect_and_row_order_none():
    frames = rare(200, 0), rare(200, 1), rare(200, 2)
    first = lift(*frames, n_repeats=2, model="linear")
    pd.testing.assert_frame_equal(
        first, lift(*(frame.iloc[::-1] for frame in frames), n_repeats=2, model="linear")
    )
    for other in ({"seed": 1}, {"n_repeats": 3}, {"model": "forest"}):
        options = {"n_repeats": 2, "model": "linear", **other}
        assert not first["score"].equals(lift(*frames, **options)["score"])


def test_one_repeat_cannot_be_judged():
    tables = code_tables(rare(50, 0), rare(50, 1), rare(50, 2))
    with pytest.raises(ParameterError, match=r"n_repeats must be an int >= 2. Got 1."):
        augmentation_lift(*tables, BINARY, n_repeats=1)


def test_verdicts_follow_from_the_interval():
    nan = float("nan")
    cases = [(0.01, 0.03), (-0.01, 0.03), (0.0, 0.0), (-0.03, -0.01), (nan, nan)]
    words = [verdict(Estimate(0.0, low, high)) for low, high in cases]
    assert words == ["helps", "no difference shown", "no difference shown", "hurts", "not known"]


LABELLED = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=3, max_size=30)


@given(LABELLED)
def test_parts_of_average_precision_are_its_derivatives(rows):
    truth, score = np.array([t for t, _ in rows]), np.array([s for _, s in rows], float)
    if truth.sum() < 2:
        return
    found = average_precision_parts(truth, score)
    assert found.value == pytest.approx(average_precision_score(truth, score))
    for row in range(3):
        weight = np.ones(len(truth))
        weight[row] += 1e-6
        moved = average_precision_score(truth, score, sample_weight=weight)
        assert found.parts[row] == pytest.approx((moved - found.value) / 1e-6, abs=1e-4)


@given(LABELLED)
def test_balanced_accuracy_equals_scikit_learn(rows):
    truth, guess = np.array([t for t, _ in rows]).astype(int), np.array([s for _, s in rows]) % 2
    if 1 < truth.sum() < len(truth) - 1:
        found = balanced_accuracy_parts(truth, guess)
        assert found.value == pytest.approx(balanced_accuracy_score(truth, guess))
        # recalls p of n rows are independent: their mean has variance sum p (1 - p) / (n - 1) / 4
        p, n = [guess[truth == 1].mean(), (1 - guess[truth == 0]).mean()], [truth.sum(), (truth == 0).sum()]
        law = sum(q * (1 - q) / (m - 1) for q, m in zip(p, n, strict=True)) / 4
        assert (found.parts**2).sum() == pytest.approx(law)


def test_the_interval_of_average_precision_covers_the_truth():
    rng = np.random.default_rng(0)

    def draw(n_rows):
        truth = np.arange(n_rows) < n_rows // 5
        return average_precision_parts(truth, rng.normal(size=n_rows) + 1.5 * truth)

    law = np.mean([draw(20_000).value for _ in range(20)])
    covered = 0
    for _ in range(300):
        found = draw(500).estimate()
        covered += found.low <= law <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def odd_tables():
    base = pd.DataFrame({"x": np.arange(60) % 11 / 2, "k": ["a", "b", None] * 20, "n": [np.nan] * 60})
    plain = base.assign(y=np.where(base["x"] > 3, "yes", "no"))
    many = base.assign(y=["a", "b", "c", "c"] * 15)
    number = base.assign(y=base["x"] * 2)
    lone = plain.assign(y=["yes"] + ["no"] * 59)
    return {
        "constant synthetic": (plain, plain.assign(y="yes"), plain),
        "constant holdout": (plain, plain, plain.assign(y="yes")),
        "target missing in synthetic": (plain, plain.assign(y=None), plain),
        "target missing in the holdout": (plain, plain, plain.assign(y=None)),
        "a third class": (plain, plain.assign(y=["yes", "no", "?"] * 20), plain),
        "one row": (plain, plain[:1], plain[:1]),
        "one row of a class": (lone, lone, lone),
        "two rows of a class": (pd.concat([lone, lone[:1]]), lone, lone),
        "new categories": (plain, plain.assign(k="z"), plain.assign(k="w")),
        "one feature": (plain[["x", "y"]], plain[["x", "y"]], plain[["x", "y"]]),
        "categories only": (plain[["k", "y"]], plain[["k", "y"]], plain[["k", "y"]]),
        "no values": (plain[["n", "y"]], plain[["n", "y"]], plain[["n", "y"]]),
        "many: lacking a class": (many, many[many["y"] != "c"], many),
        "many: new classes": (many, many.assign(y=[f"n{i}" for i in range(60)]), many),
        "number: constant": (number, number.assign(y=1.0), number),
        "number: huge": (number, number.assign(y=number["y"] * 1e300), number),
    }


@pytest.mark.parametrize("name", odd_tables())
def test_odd_tables_are_no_trouble(name):
    kinds = None if "number" in name else {"y": "categorical"}
    tables = code_tables(*odd_tables()[name], kinds=kinds)
    found = augmentation_lift(*tables, task_of(tables[0], "y"), n_repeats=2, model="linear")
    assert found["score"].isna().eq(found["note"].ne("")).all()
    assert found.loc[found["lift"].isna(), "verdict"].eq("not known").all()


@needs_imblearn
@pytest.mark.parametrize("columns", [["a", "b", "c"], ["a", "k"], ["k", "m"]])
def test_smote_suits_the_columns(columns):
    rng = np.random.default_rng(0)

    def draw(n_rows, seed):
        frame = rare(n_rows, seed)
        frame["k"], frame["m"] = np.where(frame["a"] > 1, "high", "low"), rng.choice(["p", "q", None], n_rows)
        return frame[[*columns, "y"]]

    found = lift(draw(400, 0), draw(400, 1), draw(1000, 2), n_repeats=2)
    smote = found.loc["SMOTE-NC"]
    assert smote["score"].gt(0.3).all()  # chance is .1 for the average precision
    assert smote["lift"]["balanced accuracy"] > 0.02
    assert smote["note"].eq("").all()


@needs_imblearn
def test_smote_lies_between_neighbours_on_values_of_the_table():
    from synthgan.evaluation.augmentation import _smote

    frame = pd.DataFrame({"x": np.arange(40.0), "k": ["u"] * 30 + ["v"] * 10, "y": ["a"] * 30 + ["b"] * 10})
    (table,) = code_tables(frame)
    made = _smote(table, "y", np.random.default_rng(0))
    assert made.counts("y").tolist() == [0, 30, 30]
    assert made.numbers("x")[made.column("y") == 1].min() >= 30  # between rows of class b only
    assert set(made.column("k")[made.column("y") == 1]) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "boosting"])
def test_rows_that_teach_nothing_seldom_seem_to_help(model):
    # labels of real rows are noise: no strategy can move an AUC from 1/2. Two-sided 95 % leaves 2.5 % to
    # "helps"; more than 4 of 40 happen in fewer than 1 in 200 runs
    helps = np.zeros(3)
    n_trials = 40
    for trial in range(n_trials):
        rng = np.random.default_rng(trial)
        frames = [
            pd.DataFrame(
                {
                    "a": rng.normal(size=n),
                    "b": rng.normal(size=n),
                    "y": rng.choice(["u", "v"], n, p=[0.3, 0.7]),
                }
            )
            for n in (200, 200, 300)
        ]
        found = lift(*frames, seed=trial, model=model, n_repeats=3)
        helps += [found["verdict"][s, "AUC"] == "helps" for s in STRATEGIES[1:4]]
    assert helps.max() <= 4


@pytest.mark.slow
def test_the_interval_covers_the_mean_lift():
    # fresh draws of one distribution beside as many real rows: what the lift is on average is known from
    # the other trials, each with its own training rows and holdout
    found = []
    for trial in range(60):
        frames = rare(300, 3 * trial), rare(300, 3 * trial + 1), rare(400, 3 * trial + 2)
        found.append(lift(*frames, seed=trial, model="linear").loc[("real + synthetic", "AUC")])
    frame = pd.DataFrame(found)
    mean = frame["lift"].mean()
    assert ((frame["low"] <= mean) & (mean <= frame["high"])).mean() >= 0.9
