import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from synthgan.evaluation.intervals import auc_with_variance
from synthgan.evaluation.learners import MODELS, Predictor
from synthgan.evaluation.tables import CodedTable, code_tables
from synthgan.evaluation.utility import (
    MAX_CLASSES,
    Score,
    Task,
    auc_parts,
    fit_models,
    holdout_score,
    importance_agreement,
    model_rank_agreement,
    r2_parts,
    score_rows,
    task_of,
    tstr_gap,
    utility_table,
)


def labelled(n_rows, seed, label):
    x = np.random.default_rng(seed).uniform(-1, 1, n_rows)
    return pd.DataFrame({"x": x, "y": label(x)})


def sign(x):
    return np.where(x > 0, "yes", "no")


def thirds(x):
    return np.digitize(x, [-1 / 3, 1 / 3]).astype(str)


def score(label, synthetic_label=None, task="binary", **kinds):
    tables = [labelled(600, 0, label), labelled(600, 1, synthetic_label or label), labelled(400, 2, label)]
    _, synthetic, holdout = code_tables(*tables, kinds=kinds or None)
    return holdout_score(synthetic, holdout, Task("y", task))


def test_a_rule_that_holds_is_learned():
    assert score(sign).value > 0.999
    assert score(thirds, task="multiclass").value > 0.999
    assert score(lambda x: 2 * x, task="regression").value > 0.99


def test_a_rule_that_is_turned_round_scores_zero():
    assert score(sign, lambda x: sign(-x)).value < 0.001
    assert score(lambda x: 2 * x, lambda x: -2 * x, task="regression").value < -1


def test_noise_scores_chance_and_the_interval_holds_it():
    rng = np.random.default_rng(0)
    found = score(sign, lambda x: rng.choice(["yes", "no"], len(x)))
    assert found.low < found.value < found.high
    assert abs(found.value - 0.5) < 0.12  # trees of noise on one column: wide


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_intervals_hold_the_value(task):
    rng = np.random.default_rng(0)
    label = (
        (lambda x: thirds(x + rng.normal(0, 0.4, len(x))))
        if task == "multiclass"
        else (lambda x: x + rng.normal(0, 1, len(x)))
    )
    found = score(label, task=task)
    assert found.low < found.value < found.high


def test_a_class_that_synthetic_rows_lack_counts_against_them():
    assert score(thirds, lambda x: np.where(x > 0, "2", "0"), task="multiclass").value < 0.9


def test_rows_without_a_target_are_dropped():
    def gaps(x):
        return np.where(np.abs(x) < 0.2, None, sign(x))

    assert score(gaps).value > 0.999


@pytest.mark.parametrize("constant", ["synthetic", "holdout"])
def test_one_class_cannot_be_scored(constant):
    frames = {name: labelled(200, seed, sign) for seed, name in enumerate(("real", "synthetic", "holdout"))}
    frames[constant]["y"] = "yes"
    _, synthetic, holdout = code_tables(*frames.values())
    assert np.isnan(holdout_score(synthetic, holdout, Task("y", "binary")).value)


def test_same_seed_same_score():
    noisy = lambda x: thirds(x + np.random.default_rng(5).normal(0, 0.4, len(x)))  # noqa: E731
    assert score(noisy, task="multiclass") == score(noisy, task="multiclass")


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 30, Task("y", "binary")),
        ([0, 1] * 30, Task("y", "binary")),
        ([True, False] * 30, Task("y", "binary")),
        (["a", "b", "c"] * 20, Task("y", "multiclass")),
        ([1.0, 2.0, 3.5] * 20, Task("y", "regression")),
        (["a"] * 60, "the target 'y' has 1 distinct value in the real table and needs two"),
        ([f"k{i}" for i in range(60)], "the target 'y' is an identifier"),
        (
            [f"k{i % 50}" for i in range(60)],
            f"the target 'y' has 50 classes, more than the {MAX_CLASSES} that are feasible",
        ),
    ],
)
def test_the_task_follows_from_the_target(values, task):
    (table,) = code_tables(pd.DataFrame({"x": [1, 1, 2] * 20, "y": values}))
    assert task_of(table, "y") == task


def test_a_lone_target_sets_no_task():
    (table,) = code_tables(pd.DataFrame({"y": ["a", "b", "a"]}))
    assert task_of(table, "y") == "there is no column from which 'y' could be predicted"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=40))
def test_the_parts_of_an_auc_add_up_to_the_variance_of_delong(rows):
    truth, scores = np.array([t for t, _ in rows]), np.array([s for _, s in rows], float)
    if 1 < truth.sum() < len(truth) - 1:
        found, (auc, variance) = auc_parts(truth, scores), auc_with_variance(truth, scores)
        assert found.value == pytest.approx(auc)
        assert (found.parts**2).sum() == pytest.approx(variance)


def test_paired_parts_by_hand():
    # positives .4, .8 of the first score lie above 1/2, 2/2 of the negatives .1, .6; the second ranks all
    # right: shares 1, 1, AUC 1, parts 0. The difference has the variance of the first alone, 1/8
    truth = np.array([0, 0, 1, 1]) > 0
    first, second = auc_parts(truth, np.array([0.1, 0.6, 0.4, 0.8])), auc_parts(truth, np.arange(4.0))
    gap = second.minus(first)
    assert (gap.value, gap.high) == (0.25, pytest.approx(0.25 + 1.96 * np.sqrt(1 / 8), abs=1e-4))
    assert first.minus(first) == type(gap)(0.0, 0.0, 0.0)


def test_the_paired_interval_covers_the_truth():
    # two scores of equal law that share half of their noise: the difference of their AUC is 0
    rng, covered = np.random.default_rng(0), 0
    truth = np.arange(200) < 60
    for _ in range(300):
        shared, own = rng.normal(size=200), rng.normal(size=(2, 200))
        first, second = (auc_parts(truth, truth + shared + noise) for noise in own)
        gap = first.minus(second)
        covered += gap.low <= 0 <= gap.high
    assert 0.91 <= covered / 300 <= 0.99  # 95 %, declared failure rate below 1 in 1,000


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=20))
def test_the_parts_of_r2_are_its_derivatives(rows):
    truth, predicted = np.array(rows, float).T
    if np.ptp(truth) == 0:
        return
    found = r2_parts(truth, predicted)
    assert found.value == pytest.approx(r2_score(truth, predicted))
    weight = np.ones(len(truth))
    weight[0] += 1e-6
    moved = (r2_score(truth, predicted, sample_weight=weight) - found.value) / 1e-6
    assert found.parts[0] == pytest.approx(moved, rel=1e-3, abs=1e-3)


def test_the_interval_of_r2_covers_the_truth():
    # y = x + e with deviations 1 and 1, predicted by x: R2 = 1/2
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        x, noise = rng.normal(size=(2, 300))
        found = r2_parts(x + noise, x).estimate()
        covered += found.low <= 0.5 <= found.high
    assert 0.91 <= covered / 300 <= 0.99


def test_r2_of_any_size_is_finite():
    assert r2_parts(np.array([1e308, -1e308]), np.array([1e308, -1e308])).value == 1.0
    assert np.isfinite(r2_parts(np.array([1e-300, 0.0]), np.array([1e300, 0.0])).value)
    assert np.isnan(r2_parts(np.ones(3), np.zeros(3)).value)


def test_macro_auc_equals_scikit_learn():
    rng = np.random.default_rng(0)
    (table,) = code_tables(pd.DataFrame({"x": np.arange(90.0), "y": rng.choice(["a", "b", "c"], 90)}))
    predicted = rng.dirichlet(np.ones(3), 90)
    found = score_rows(Predictor(np.arange(3), None), predicted, table, Task("y", "multiclass"))
    assert found.value == pytest.approx(roc_auc_score(table.column("y"), predicted, multi_class="ovr"))


def test_a_class_with_one_test_row_is_left_out():
    (table,) = code_tables(pd.DataFrame({"x": np.arange(9.0), "y": ["a", "b"] * 4 + ["once"]}))
    predicted = np.eye(3)[table.column("y")]
    predicted[table.column("y") == 2] = [1.0, 0.0, 0.0]
    predictor = Predictor(np.arange(3), None)
    found = score_rows(predictor, predicted, table, Task("y", "multiclass"))
    # class a: its 4 rows tie with the one of the third class, so 4.5 of 5 below; class b: all right
    assert found.value == pytest.approx((0.9 + 1.0) / 2)
    assert np.isfinite(found.estimate().low)
    (pair,) = code_tables(pd.DataFrame({"x": np.arange(9.0), "y": ["a"] * 8 + ["b"]}))
    alone = score_rows(Predictor(np.arange(2), None), predicted[:, :2], pair, Task("y", "binary")).estimate()
    assert 0 <= alone.value <= 1
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)


@pytest.fixture(scope="module")
def trio():
    """Two draws of a noisy rule and a holdout, with targets of every task."""

    def draw(n_rows, seed):
        rng = np.random.default_rng(seed)
        x, k = rng.normal(size=(4, n_rows)), rng.choice(["p", "q"], n_rows)
        z = 2 * x[0] + x[1] * (k == "p") + 0.5 * x[2] + rng.normal(0, 0.7, n_rows)
        frame = pd.DataFrame({f"x{i}": x[i] for i in range(4)}).assign(k=k, z=z)
        return frame.assign(two=np.where(z > 1.5, "hi", "lo"), three=np.digitize(z, [-1, 1]).astype(str))

    return [draw(400, 0), draw(400, 1), draw(500, 2)]


TARGETS = [("two", "binary"), ("three", "multiclass"), ("z", "regression")]


def coded(trio, target):
    others = [name for name, _ in TARGETS if name != target]
    return code_tables(*(frame.drop(columns=others) for frame in trio))


@pytest.mark.parametrize(("target", "name"), TARGETS)
def test_the_table_tells_trtr_tstr_and_trts(trio, target, name):
    real, synthetic, holdout = coded(trio, target)
    task = Task(target, name)
    fitted = fit_models(real, synthetic, task)
    frame = utility_table(fitted, synthetic, holdout, task)
    assert frame.shape == (9, 10)
    assert frame["score"].gt(0.7).all()
    assert (frame["low"] < frame["score"]).all()
    assert (frame["score"] < frame["high"]).all()
    assert frame["note"].eq("").all()
    rows = frame.set_index(["model", "train", "test"])
    for model, test in (("boosting", "holdout"), ("linear", "synthetic")):
        alone = holdout_score(real, holdout if test == "holdout" else synthetic, task, model=model)
        assert rows.loc[(model, "real", test), "score"] == alone.value
    gap = tstr_gap(fitted, holdout, task)
    both = rows["score"]
    assert gap.value == both["boosting", "real", "holdout"] - both["boosting", "synthetic", "holdout"]
    assert gap.low < 0 < gap.high


def test_second_scores_by_hand():
    # linear rules that predict "no", "no", "yes", "yes" and 1, 1, 1, 1
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": ["no", "yes", "no", "yes"], "w": [1, 3, 1, 1]})
    frame = pd.concat([frame, frame.assign(y="no", x=0.5)[:1]])  # one more "no": "yes" is the rarer class
    (table,) = code_tables(frame)
    guess = Predictor(np.array([0, 1]), lambda t: np.eye(2)[(t.numbers("x") > 1.5).astype(int)])
    ones = Predictor(np.empty(0, int), lambda t: np.ones(len(t)))
    every = [(model, train) for model in MODELS for train in ("real", "synthetic")]
    found = utility_table(dict.fromkeys(every, guess), table, table, Task("y", "binary"))
    assert found["second"].tolist() == [0.5] * 9  # 1 hit of 2 guesses and of 2 rows
    assert set(found["second_units"]) == {"F1"}
    numbers = utility_table(dict.fromkeys(every, ones), table, table, Task("w", "regression"))
    assert numbers["second"].to_numpy() == pytest.approx(np.sqrt(4 / 5))  # one error of 2 in 5 rows
    many = utility_table(dict.fromkeys(every, guess), table, table, Task("y", "multiclass"))
    truth, said = table.column("y"), (table.numbers("x") > 1.5).astype(int)
    assert many["second"][0] == pytest.approx(f1_score(truth, said, average="macro"))


def test_the_rmse_of_dates_is_in_seconds():
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta([0, 10, 20, 30], unit="s")
    (table,) = code_tables(pd.DataFrame({"x": [1, 2, 1, 2], "when": when}))
    first = Predictor(np.empty(0, int), lambda t: np.zeros(len(t)))
    every = dict.fromkeys([(m, t) for m in MODELS for t in ("real", "synthetic")], first)
    found = utility_table(every, table, table, Task("when", "regression"))
    assert found["second"].to_numpy() == pytest.approx(np.sqrt((100 + 400 + 900) / 4))


@pytest.mark.parametrize(("target", "name"), [TARGETS[0], TARGETS[2]])
def test_a_copy_agrees_in_everything(trio, target, name):
    real, _, holdout = coded(trio, target)
    task = Task(target, name)
    fitted = fit_models(real, real, task)
    gap = tstr_gap(fitted, holdout, task)
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)
    assert model_rank_agreement(fitted, holdout, task) == 1
    assert importance_agreement(fitted, holdout, task) == pytest.approx(1)


def test_corruption_widens_the_gap(trio):
    real, synthetic, holdout = coded(trio, "two")
    task, place = Task("two", "binary"), real.domain.names.index("two")
    shuffled = np.random.default_rng(3).permutation(synthetic.column("two"))
    gaps = []
    for share in (0.0, 0.5, 1.0):
        codes = synthetic.codes.copy(order="F")
        rows = np.random.default_rng(4).random(len(codes)) < share
        codes[rows, place] = shuffled[rows]
        fitted = fit_models(real, CodedTable(real.domain, codes), task)
        gaps.append(tstr_gap(fitted, holdout, task))
    values = [gap.value for gap in gaps]
    assert values == sorted(values)
    assert gaps[-1].low > 0.3


def test_rows_may_come_in_any_order(trio):
    def found(frames):
        real, synthetic, holdout = coded([frame[:150] for frame in frames], "two")
        task = Task("two", "binary")
        fitted = fit_models(real, synthetic, task, 1)
        agreement = importance_agreement(fitted, holdout, task, 1)
        return agreement, utility_table(fitted, synthetic, holdout, task)

    first, again = found(trio), found([frame[:150].iloc[::-1] for frame in trio])
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])


def ranked(orders, n_rows=2000):
    """Fake no model: predictors whose scores are the truth and known noise, one amount for each model."""
    rng = np.random.default_rng(0)
    (table,) = code_tables(pd.DataFrame({"x": np.arange(n_rows), "y": rng.choice(["a", "b"], n_rows)}))
    fitted = {}
    for train, noises in orders.items():
        for model, noise in zip(MODELS, noises, strict=True):
            score = table.column("y") + noise * np.random.default_rng(1).normal(size=n_rows)
            fitted[model, train] = Predictor(
                np.arange(2), lambda t, score=score: np.column_stack([-score, score])
            )
    return model_rank_agreement(fitted, table, Task("y", "binary"))


@pytest.mark.parametrize(
    ("real", "synthetic", "agreement"),
    [
        ((1.0, 2.0, 4.0), (1.0, 2.0, 4.0), 1.0),
        ((1.0, 2.0, 4.0), (4.0, 2.0, 1.0), -1.0),
        ((1.0, 2.0, 4.0), (2.0, 1.0, 4.0), 1 / 3),  # one of three pairs is turned round
        ((1.0, 2.0, 4.0), (1.0, 4.0, 4.0), 2 / 3),  # one of three pairs is tied
        ((2.0, 2.0, 2.0), (4.0, 4.0, 4.0), 1.0),  # tied here, tied there
    ],
)
def test_rank_agreement_by_hand(real, synthetic, agreement):
    assert ranked({"real": real, "synthetic": synthetic}) == pytest.approx(agreement)


def test_importance_agreement_by_hand():
    # one model looks at 3a + 2b + c, the other at a + 2b + 3c: the ranks are turned round, Spearman's rho -1
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 1000))
    (table,) = code_tables(pd.DataFrame({"a": x[0], "b": x[1], "c": x[2], "y": x.sum(axis=0)}))

    def looking(weights):
        return Predictor(
            np.empty(0, int), lambda t: sum(w * t.numbers(n) for n, w in zip("abc", weights, strict=True)) / 2
        )

    def found(real, synthetic):
        fitted = {("boosting", "real"): looking(real), ("boosting", "synthetic"): looking(synthetic)}
        return importance_agreement(fitted, table, Task("y", "regression"))

    assert found((3, 2, 1), (3, 2, 1)) == pytest.approx(1)
    assert found((3, 2, 1), (1, 2, 3)) == pytest.approx(-1)
    assert np.isnan(found((3, 2, 1), (0, 0, 0)))  # all columns alike


def odd_tables():
    base = pd.DataFrame({"x": np.arange(60) % 11 / 2, "k": ["a", "b", None] * 20, "n": [np.nan] * 60})
    y = pd.Series(np.where(base["x"] > 2, "yes", "no"))
    plain = base.assign(y=y)
    many = base.assign(y=["a", "b", "c"] * 20)
    number = base.assign(y=base["x"] * 2)
    alone = pd.DataFrame({"x": base["x"], "y": y})
    return {
        "constant synthetic": (plain, plain.assign(y="yes"), plain),
        "constant holdout": (plain, plain, plain.assign(y="yes")),
        "target missing in synthetic": (plain, plain.assign(y=None), plain),
        "target missing in the holdout": (plain, plain, plain.assign(y=None)),
        "some cells missing": (plain, plain.assign(y=y.where(y.index % 3 > 0, None)), plain),
        "new classes": (plain, plain.assign(y="new"), plain),
        "a third class": (plain, plain.assign(y=["yes", "no", "?"] * 20), plain),
        "one row": (plain, plain[:1], plain[:1]),
        "two rows": (plain, plain[:4], plain[2:6]),
        "new categories": (plain, plain.assign(k="z"), plain.assign(k="w")),
        "one feature": (alone, alone[:50], alone[10:]),
        "many: lacking a class": (many, many[many["y"] != "c"], many),
        "many: one row of a class": (
            many,
            many.drop(index=many.index[5::3]),
            many.drop(index=many.index[5::3]),
        ),
        "many: one class": (many, many.assign(y="a"), many),
        "many: a thousand new": (many, many.assign(y=[f"n{i}" for i in range(60)]), many),
        "number: constant": (number, number.assign(y=1.0), number),
        "number: missing": (number, number.assign(y=np.nan), number),
        "number: huge": (number, number.assign(y=number["y"] * 1e300), number),
        "number: two rows": (number, number[:2], number[:2]),
    }


@pytest.mark.parametrize("name", odd_tables())
def test_odd_tables_are_no_trouble(name):
    real, synthetic, holdout = code_tables(
        *odd_tables()[name], kinds={"y": "categorical"} if "number" not in name else None
    )
    task = task_of(real, "y")
    fitted = fit_models(real, synthetic, task)
    frame = utility_table(fitted, synthetic, holdout, task)
    assert (frame["score"].notna() | frame["note"].ne("")).all()
    assert frame["score"].isna().eq(frame["note"].ne("")).all()
    assert not frame["score"].gt(1).any()
    tstr_gap(fitted, holdout, task)
    assert not abs(model_rank_agreement(fitted, holdout, task)) > 1
    assert not abs(importance_agreement(fitted, holdout, task)) > 1 + 1e-9


def test_why_a_score_is_missing_is_said():
    tables = code_tables(*odd_tables()["constant synthetic"])
    task = Task("y", "binary")
    frame = utility_table(fit_models(tables[0], tables[1], task), tables[1], tables[2], task)
    assert set(frame["note"]) == {"", "the synthetic rows hold fewer than two classes of the target"}


def test_an_r2_is_not_cut_at_zero():
    found = Score(-3.0, np.array([1.0])).estimate()
    assert (found.low, found.high) == (pytest.approx(-4.96, abs=1e-2), pytest.approx(-1.04, abs=1e-2))
    assert Score(0.999, np.array([1.0])).estimate().high == 1.0
