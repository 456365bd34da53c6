import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.tables import code_tables
from synthgan.evaluation.utility import MAX_CLASSES, Task, holdout_score, task_of


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
def test_bootstrap_intervals_hold_the_value(task):
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
        (["a"] * 60, "the target 'y' has 1 distinct values in the real table and needs two"),
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


@pytest.mark.parametrize(
    ("name", "units", "chance"),
    [("binary", "AUC", 0.5), ("multiclass", "macro AUC", 0.5), ("regression", "R2", 0.0)],
)
def test_a_task_names_its_score(name, units, chance):
    assert (Task("y", name).units, Task("y", name).chance) == (units, chance)
