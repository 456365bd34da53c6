import numpy as np
import pandas as pd
import pytest
import sklearn

from synthgan.evaluation.learners import MAX_CLASSES, MODELS, Task, train_model
from synthgan.evaluation.tables import code_tables

EVERY_MODEL = pytest.mark.parametrize("model", MODELS)


def rule(n_rows, seed):
    """A number, a category and a mixture of both decide; the answer is known."""
    rng = np.random.default_rng(seed)
    x, k = rng.uniform(-1, 1, n_rows), rng.choice(["a", "b"], n_rows)
    z = x + np.where(k == "a", 0.8, -0.8)
    return pd.DataFrame(
        {
            "x": x,
            "k": k,
            "yes": np.where(z > 0, "y", "n"),
            "three": np.digitize(z, [-1, 1]).astype(str),
            "z": z,
        }
    )


def drop(frame, *names):
    return frame.drop(columns=list(names))


@EVERY_MODEL
def test_a_class_is_learned(model):
    train, test = code_tables(*(drop(rule(500, seed), "three", "z") for seed in (0, 1)))
    found = train_model(model, train, Task("yes", "binary"))
    probabilities = found.predict(test)
    assert probabilities.shape == (500, 2)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (found.classes[probabilities.argmax(axis=1)] == test.column("yes")).mean() > 0.95


@EVERY_MODEL
def test_one_of_three_classes_is_learned(model):
    train, test = code_tables(*(drop(rule(500, seed), "yes", "z") for seed in (0, 1)))
    found = train_model(model, train, Task("three", "multiclass"))
    assert (found.classes[found.predict(test).argmax(axis=1)] == test.column("three")).mean() > 0.9


@EVERY_MODEL
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_numbers_of_any_size_are_learned_in_their_own_units(model, scale):
    frames = [drop(rule(500, seed), "yes", "three") for seed in (0, 1)]
    for frame in frames:
        frame["z"] *= scale
        frame["x"] *= scale
    train, test = code_tables(*frames)
    errors = (
        train_model(model, train, Task("z", "regression")).predict(test) / scale - test.numbers("z") / scale
    )
    assert np.sqrt((errors**2).mean()) < 0.15  # z has deviation .99


@EVERY_MODEL
def test_what_is_learned_depends_on_the_training_rows_alone(model):
    train, test = drop(rule(300, 0), "three", "z"), drop(rule(50, 1), "three", "z")
    odd = pd.DataFrame({"x": [1e300, -7.0, 0.123], "k": ["never", "never", "b"], "yes": ["y", "y", "?"]})
    alone, beside = code_tables(train, test), code_tables(train, test, odd)
    scores = [
        train_model(model, tables[0], Task("yes", "binary")).predict(tables[1]) for tables in (alone, beside)
    ]
    assert np.array_equal(*scores)


@EVERY_MODEL
def test_unseen_categories_and_numbers_far_outside_are_no_trouble(model):
    train, odd = code_tables(
        drop(rule(300, 0), "three", "z"),
        pd.DataFrame({"x": [1e308, -1e308, None], "k": ["never", None, "b"], "yes": ["y", "n", "y"]}),
    )
    found = train_model(model, train, Task("yes", "binary")).predict(odd)
    assert np.isfinite(found).all()


@EVERY_MODEL
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_columns_without_values_and_constant_ones_are_no_trouble(model, task):
    frame = rule(200, 0).assign(none=pd.to_timedelta([None] * 200), one=5.0, same="s", half=[1.0, None] * 100)
    (table,) = code_tables(frame)
    found = train_model(model, table, Task("yes", "binary") if task == "binary" else Task("z", "regression"))
    assert np.isfinite(found.predict(table)).all()


@EVERY_MODEL
def test_missing_cells_say_what_they_say(model):
    if model == "forest" and tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8):
        pytest.skip("before scikit-learn 1.8, trees do not split a column of one value and gaps")
    y = np.array(["y", "n"] * 200)
    frames = [pd.DataFrame({"x": np.where(y == "y", np.nan, 1.0), "w": np.arange(400) % 7, "yes": y})] * 2
    train, test = code_tables(*frames)
    found = train_model(model, train, Task("yes", "binary"))
    assert (found.classes[found.predict(test).argmax(axis=1)] == test.column("yes")).all()


@EVERY_MODEL
@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_very_few_rows_are_no_trouble(model, n_rows):
    (table,) = code_tables(rule(40, 0)[["x", "k", "z"]])
    few = table.take(np.arange(n_rows))
    assert np.isfinite(train_model(model, few, Task("z", "regression")).predict(table)).all()


@pytest.mark.parametrize("n_rows", [6, 24, 39, 79])
def test_boosting_splits_few_rows(n_rows):
    (table,) = code_tables(rule(200, 0)[["x"]].assign(y=lambda frame: frame["x"] > 0))
    few = table.take(np.linspace(0, 199, n_rows).astype(int))  # rows stand in the order of x
    found = train_model("boosting", few, Task("y", "binary"))
    assert (found.classes[found.predict(table).argmax(axis=1)] == table.column("y")).mean() > 0.8


def test_boosting_of_many_rows_keeps_leaves_of_twenty():
    # 15 odd rows of 100 are too few for a leaf of their own
    (table,) = code_tables(pd.DataFrame({"x": np.arange(100.0), "y": ["odd"] * 15 + ["even"] * 85}))
    probabilities = train_model("boosting", table, Task("y", "binary")).predict(table)
    assert len(np.unique(probabilities[:20], axis=0)) == 1


@EVERY_MODEL
def test_one_class_cannot_be_learned(model):
    (table,) = code_tables(pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": ["a", "a", None]}))
    assert train_model(model, table, Task("y", "binary")) is None


@pytest.mark.parametrize("model", ["linear", "forest"])
def test_only_the_commonest_classes_are_learned(model):
    names = [f"c{i:02d}" for i in range(MAX_CLASSES)] * 4 + [f"rare{i}" for i in range(50)]
    (table,) = code_tables(pd.DataFrame({"x": np.arange(170) % 17, "y": names}), kinds={"y": "categorical"})
    assert train_model(model, table, Task("y", "multiclass")).classes.tolist() == list(range(MAX_CLASSES))


@EVERY_MODEL
def test_balance_moves_the_threshold_to_the_rare_class(model):
    rng = np.random.default_rng(0)
    rare = rng.random(2000) < 0.05
    frame = pd.DataFrame({"x": rng.normal(0, 1, 2000) + rare, "y": np.where(rare, "b", "a")})
    (table,) = code_tables(frame)
    plain, balanced = (
        train_model(model, table, Task("y", "binary"), balanced=flag).predict(table)[:, 1].mean()
        for flag in (False, True)
    )
    assert plain == pytest.approx(0.05, abs=0.02)
    assert balanced > plain + 0.05


@EVERY_MODEL
def test_many_categories_are_no_trouble(model):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": [f"k{i}" for i in range(20_000)], "y": rng.choice(["a", "b"], 20_000)})
    (table,) = code_tables(frame, kinds={"k": "categorical"})
    assert np.isfinite(train_model(model, table, Task("y", "binary")).predict(table)).all()


@EVERY_MODEL
def test_same_seed_same_model(model):
    (table,) = code_tables(drop(rule(200, 0), "yes", "three"))
    first, again = (train_model(model, table, Task("z", "regression"), 3).predict(table) for _ in range(2))
    assert np.array_equal(first, again)


def test_the_forest_draws_by_the_seed():
    (table,) = code_tables(drop(rule(200, 0), "yes", "three"))
    first, other = (
        train_model("forest", table, Task("z", "regression"), seed).predict(table) for seed in (3, 4)
    )
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("name", "units", "chance"),
    [("binary", "AUC", 0.5), ("multiclass", "macro AUC", 0.5), ("regression", "R2", 0.0)],
)
def test_a_task_names_its_score(name, units, chance):
    assert (Task("y", name).units, Task("y", name).chance) == (units, chance)
