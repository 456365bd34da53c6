from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from synthgan import GANOverSampler, IndependentSynthesizer, TabularGAN
from synthgan.augment import new_rows
from synthgan.constraints import Inequality, Predicate, Unique
from synthgan.demands import demands
from synthgan.errors import ConditionError, ParameterError, SynthganError

TINY = {
    "hidden_dim": 16, "n_blocks": 1, "latent_dim": 4, "noise_dim": 4, "n_steps": 8, "n_gan_steps": 1,
    "batch_size": 32, "gan_batch_size": 16, "device": "cpu",
}  # fmt: skip
NETWORK = TabularGAN(**TINY)
INDEPENDENT = IndependentSynthesizer()


def table(n_rows=200):
    """Columns of many kinds, in an odd order of the index, and a rare class."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "float": rng.normal(size=n_rows),
            "int8": rng.integers(0, 9, n_rows).astype("int8"),
            "level": pd.Categorical(rng.choice(["lo", "hi"], n_rows), ["lo", "mid", "hi"], ordered=True),
            "bool": rng.random(n_rows) < 0.5,
            "text": pd.Series(rng.choice(["u", "v"], n_rows)).where(rng.random(n_rows) < 0.8),
            "when": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 999, n_rows), unit="h"),
            "Int64": pd.Series(rng.integers(0, 5, n_rows)).astype("Int64").where(rng.random(n_rows) < 0.7),
            "id": [f"id-{k:04d}" for k in rng.permutation(n_rows)],
            "same": 1.5,
        }
    ).set_axis(rng.permutation(n_rows))
    y = pd.Series(np.where(np.arange(n_rows) % 8, "no", "yes"), name="target", index=frame.index)
    return frame, y


# --- rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("kept_share", [0, 0.7])
@pytest.mark.parametrize("generator", [NETWORK, INDEPENDENT], ids=["network", "independent"])
def test_real_rows_come_first_and_everything_keeps_its_type(generator, kept_share):
    X, y = table()
    before = X.copy(), y.copy()
    sampler = GANOverSampler(generator=generator, kept_share=kept_share, random_state=0)
    X_res, y_res = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X_res.iloc[:200], X.reset_index(drop=True))
    pd.testing.assert_series_equal(y_res.iloc[:200], y.reset_index(drop=True))
    assert X_res.index.equals(pd.RangeIndex(350))
    assert X_res.dtypes.equals(X.dtypes)
    assert y_res.iloc[200:].tolist() == ["yes"] * 150
    assert sampler.sampling_strategy_ == {"yes": 150}
    assert sampler.feature_names_in_.tolist() == X.columns.tolist()
    assert X_res["id"].is_unique
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_series_equal(y, before[1])


def test_a_new_row_keeps_cells_of_a_real_row_of_its_class():
    X, y = table()
    sampler = GANOverSampler(generator=NETWORK, kept_share=0.5, random_state=0)
    X_res, _ = sampler.fit_resample(X, y)
    starts = sampler.sample_indices_
    assert starts[:200].tolist() == list(range(200))
    assert (y.iloc[starts[200:]] == "yes").all()
    uses = np.unique(starts[200:], return_counts=True)[1]
    assert uses.tolist() == [6] * 25  # 150 new rows from 25
    new, start = X_res.iloc[200:].reset_index(drop=True), X.iloc[starts[200:]].reset_index(drop=True)
    changed = (new != start) & start.notna()
    assert changed["id"].all()
    n_changed = changed.drop(columns="id").sum(axis=1)
    assert n_changed.between(0, 4).all()  # of 8 columns; what is drawn may be what it was
    assert n_changed.mean() > 1
    pd.testing.assert_frame_equal(new.isna(), start.isna())


def test_large_integers_and_single_precision_are_kept_to_the_last_digit():
    big = np.array([2**63 - 1, 2**62 + 1] * 20)
    X = pd.DataFrame({"big": big, "small": np.linspace(0, 1, 40, dtype="float32"), "x": [1, 2, 3, 4] * 10})
    sampler = GANOverSampler(generator=INDEPENDENT, kept_share=0.5, random_state=0)
    X_res, _ = sampler.fit_resample(X, [0] * 30 + [1] * 10)
    assert X_res.dtypes.equals(X.dtypes)
    assert set(X_res["big"]) == {2**63 - 1, 2**62 + 1}
    assert (X_res["small"].iloc[40:].to_numpy() == X["small"].iloc[sampler.sample_indices_[40:]]).any()


def test_without_kept_cells_no_row_starts_from_a_real_one():
    X, y = table()
    sampler = GANOverSampler(generator=INDEPENDENT, kept_share=0, random_state=0)
    sampler.fit_resample(X, y)
    assert (sampler.sample_indices_[200:] == -1).all()


def test_columns_depend_on_the_class():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [300, 60])
    X = pd.DataFrame({"same": rng.normal(size=360), "sign": np.where(y, "+", "-")})
    for kept_share in (0, 0.5):
        model = TabularGAN(**TINY | {"n_steps": 300, "learning_rate": 0.02, "weight_decay": 0.0})
        sampler = GANOverSampler(generator=model, kept_share=kept_share, random_state=0)
        X_res, _ = sampler.fit_resample(X, y)
        assert (X_res["sign"].iloc[360:] == "+").mean() > 0.85


def test_all_classes_of_a_multiclass_target_grow():
    X, _ = table()
    y = pd.Categorical(np.repeat(["a", "b", "c"], [120, 60, 20]), ["c", "b", "a", "unused"])
    sampler = GANOverSampler({"a": 130, "c": 50}, generator=INDEPENDENT, random_state=0)
    X_res, y_res = sampler.fit_resample(X, pd.Series(y))
    assert Counter(y_res) == {"a": 130, "b": 60, "c": 50}
    assert X_res["id"].is_unique
    assert y_res.dtype == y.dtype
    assert len(X_res) == 240


@pytest.mark.parametrize("kept_share", [0, 0.7])
def test_targets_of_new_rows_lie_in_their_range(kept_share):
    X, _ = table()
    y = X.pop("float").rename("amount")
    n_high = int((y >= 1).sum())
    strategy = {(1, None): n_high + 40, (None, -2): int((y <= -2).sum()) + 3}
    sampler = GANOverSampler(strategy, generator=NETWORK, kept_share=kept_share, random_state=0)
    _, y_res = sampler.fit_resample(X, y)
    new = y_res.iloc[200:]
    assert (new >= 1).sum() == 40
    assert (new <= -2).sum() == 3
    assert len(new) == 43
    assert y_res.dtype == y.dtype
    assert y_res.name == "amount"
    assert sampler.sampling_strategy_ == {(1, None): 40, (None, -2): 3}


def test_identifiers_differ_between_ranges():
    X, _ = table()
    y = X.pop("float")
    sampler = GANOverSampler(
        {(0, None): 120, (None, 0): 130}, generator=INDEPENDENT, kept_share=0, random_state=0
    )
    assert sampler.fit_resample(X, y)[0]["id"].is_unique


def test_distinct_integers_are_a_numeric_target_and_no_identifier():
    X, y = table()[0][["float"]], np.arange(200)
    _, y_res = GANOverSampler({(150, None): 60}, generator=INDEPENDENT, random_state=0).fit_resample(X, y)
    assert (y_res[200:] >= 150).all()


def test_arrays_and_lists_stay_what_they_are():
    X, y = table()
    array = X[["float", "int8"]].to_numpy(dtype="float32")
    sampler = GANOverSampler(generator=INDEPENDENT, random_state=0)
    X_res, y_res = sampler.fit_resample(array, y.tolist())
    assert X_res.dtype == np.float32
    assert X_res.shape == (350, 2)
    assert not hasattr(sampler, "feature_names_in_")
    assert isinstance(y_res, list)
    objects = X[["float", "text"]].to_numpy(dtype=object)
    X_res, y_res = sampler.fit_resample(objects, y.to_numpy(dtype="U3"))
    assert X_res.dtype == object
    assert y_res.dtype == np.dtype("U3")
    assert [a is b or a == b for a, b in zip(X_res[:200].ravel(), objects.ravel(), strict=True)]
    X_res, _ = sampler.fit_resample(array.tolist(), y)
    assert isinstance(X_res, list)


def test_lists_of_numbers_beside_text_keep_both():
    X = [["a", 1.5], ["b", 2]] * 20
    X_res, y_res = GANOverSampler(generator=INDEPENDENT, random_state=0).fit_resample(X, [0] * 30 + [1] * 10)
    assert X_res[:40] == X
    assert [type(cell) for cell in X_res[1]] == [str, int]
    assert {type(row[0]) for row in X_res[40:]} == {str}
    assert {type(row[1]) for row in X_res[40:]} <= {float, int}
    assert y_res == [0] * 30 + [1] * 30


def test_a_target_of_one_column_stays_one():
    X, y = table()
    sampler = GANOverSampler(generator=INDEPENDENT, random_state=0)
    frame = sampler.fit_resample(X, y.to_frame())[1]
    array = sampler.fit_resample(X, y.to_numpy()[:, None])[1]
    assert frame.columns.tolist() == ["target"]
    assert frame["target"].tolist() == array.ravel().tolist() == sampler.fit_resample(X, y)[1].tolist()
    assert array.shape == (350, 1)


def test_a_column_may_have_the_name_of_the_target():
    X, y = table()
    X = X[["float", "int8"]].set_axis(["target", "target_"], axis=1)
    X_res, _ = GANOverSampler(generator=INDEPENDENT, random_state=0).fit_resample(X, y)
    assert X_res.columns.tolist() == ["target", "target_"]


def test_nothing_to_add_needs_no_training():
    X, _ = table()
    y = np.arange(200) % 2
    sampler = GANOverSampler(TabularGAN(n_steps=10**9), random_state=0).set_params(sampling_strategy="auto")
    X_res, y_res = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X_res, X.reset_index(drop=True))
    assert y_res.tolist() == y.tolist()
    assert sampler.generator_ is None
    assert sampler.sampling_strategy_ == {1: 0}


def test_rows_can_be_made_by_a_model_that_is_fitted_already():
    X, y = table()
    both = X.reset_index(drop=True).assign(target=y.to_numpy())
    model = clone(INDEPENDENT).fit(both)
    for kept_share in (0, 0.7):
        made, starts = new_rows(model, both, "target", demands("auto", y), kept_share, seed=0)
        assert made["target"].tolist() == ["yes"] * 150
        assert made.dtypes.equals(both.dtypes)
        assert len(starts) == 150


def test_a_share_that_is_none_is_refused_with_a_fitted_model_too():
    with pytest.raises(ParameterError, match="'kept_share' parameter of new_rows must be a float"):
        new_rows(clone(INDEPENDENT), pd.DataFrame(), "target", [], 7, seed=0)


# --- rules -----------------------------------------------------------------------------


def ruled_table(n_rows=400):
    """`low` is above `high` in a few rows of the rare class."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 60, n_rows)
    X = pd.DataFrame({"low": low, "high": low + rng.integers(-3, 50, n_rows), "x": rng.normal(size=n_rows)})
    X["id"] = [f"id-{k:03d}" for k in rng.permutation(n_rows)]
    return X, pd.Series(np.where(np.arange(n_rows) % 8, "no", "yes"), name="bought")


@pytest.mark.parametrize(
    "rule",
    [Inequality("low", "high"), Predicate(lambda rows: rows["low"] % 7 == 0), Unique(["low", "high"])],
    ids=["inequality", "predicate", "unique"],
)
@pytest.mark.parametrize("kept_share", [0, 0.7])
def test_every_new_row_keeps_rules_that_real_ones_break(rule, kept_share):
    X, y = ruled_table()
    sampler = GANOverSampler(generator=IndependentSynthesizer(), kept_share=kept_share, random_state=0)
    assert not rule.holds(sampler.fit_resample(X, y)[0].iloc[400:]).all()
    sampler.set_params(generator__constraints=[rule])
    X_res, y_res = sampler.fit_resample(X, y)
    new = X_res.iloc[400:]
    assert rule.holds(new).all()
    assert (y_res.iloc[400:] == "yes").all()
    assert X_res["id"].is_unique
    assert sampler.constraints_ == [rule]
    pd.testing.assert_frame_equal(X_res.iloc[:400], X)
    if kept_share:
        starts = sampler.sample_indices_[400:]
        assert 0 < (starts == -1).mean() < 1
        shared = (new.to_numpy() == X.iloc[starts].to_numpy())[starts >= 0]
        assert shared.any(axis=1).all()


def test_rows_that_keep_their_rules_are_those_of_a_model_without_any():
    X, y = ruled_table()
    rule = Inequality("low", "high")
    with_rule, without = (
        GANOverSampler(generator=IndependentSynthesizer(constraints=rules), random_state=0)
        for rules in ([rule], None)
    )
    kept, free = (one.fit_resample(X, y)[0].iloc[400:] for one in (with_rule, without))
    both = (with_rule.sample_indices_[400:] >= 0) & rule.holds(free)
    assert without.constraints_ == []
    pd.testing.assert_frame_equal(kept[both], free[both])


def test_rules_may_name_the_target():
    X, _ = ruled_table()
    rule = Inequality("low", "high")
    X, y = X[["low", "x"]], X["high"]
    sampler = GANOverSampler(
        {(80, None): int((y >= 80).sum()) + 30},
        generator=IndependentSynthesizer(constraints=[rule]),
        random_state=0,
    )
    X_res, y_res = sampler.fit_resample(X, y)
    assert rule.holds(X_res.assign(high=y_res).iloc[400:]).all()
    assert sampler.constraints_ == [rule]


def test_a_class_that_cannot_keep_a_rule_is_refused():
    X, y = ruled_table()
    generator = IndependentSynthesizer(constraints=[Predicate(lambda rows: rows["bought"] == 1, max_tries=2)])
    with pytest.raises(ConditionError, match=r"Predicate.* is broken in 300 of 300 rows"):
        GANOverSampler(generator=generator, random_state=0).fit_resample(X, y)
    few = IndependentSynthesizer(constraints=[Unique(["bought"], max_tries=2)])
    with pytest.raises(ConditionError, match="Ask for fewer rows"):
        GANOverSampler(generator=few, random_state=0).fit_resample(X, y)


def test_no_new_rows_keep_no_rules():
    X, _ = ruled_table()
    sampler = GANOverSampler(generator=IndependentSynthesizer(constraints="auto"))
    sampler.fit_resample(X, np.arange(400) % 2)
    assert sampler.constraints_ == []


# --- the estimator ---------------------------------------------------------------------


def test_one_seed_gives_one_result():
    X, y = table()
    X = X[["float", "text"]]
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        GANOverSampler(generator=NETWORK, random_state=seed).fit_resample(X, y)[0] for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_the_default_generator_draws_what_a_fully_trained_one_would():
    X, y = table()
    X = X[["float", "text"]]
    less, more = (
        GANOverSampler(generator=clone(NETWORK).set_params(n_gan_steps=n), kept_share=0, random_state=0)
        for n in (1, 20)
    )
    pd.testing.assert_frame_equal(less.fit_resample(X, y)[0], more.fit_resample(X, y)[0])


def test_it_is_a_scikit_learn_estimator():
    sampler = GANOverSampler(0.5, generator=TabularGAN(n_steps=7), kept_share=0.2, random_state=1)
    copy = clone(sampler)
    assert copy.get_params()["generator__n_steps"] == 7
    assert copy.generator is not sampler.generator
    tags = sampler.__sklearn_tags__()
    assert tags.estimator_type == "sampler"
    assert tags.target_tags.required


def test_fit_checks_and_trains_nothing():
    X, y = table()
    sampler = GANOverSampler(generator=TabularGAN(n_steps=10**9))
    assert sampler.fit(X, y) is sampler
    assert sampler.sampling_strategy_ == {"yes": 150}
    assert sampler.n_features_in_ == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": 3}, "'generator' parameter of GANOverSampler must be a synthesizer or None"),
        ({"kept_share": 1.5}, "'kept_share' parameter"),
        ({"sampling_strategy": []}, "'sampling_strategy' parameter"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        GANOverSampler().set_params(**change).fit_resample(*table())


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (table()[0], [0, 1], "the same number of rows. Got 200 and 2"),
        (np.zeros(9), [0, 1] * 4, "Expected 2D array, got 1D array"),
        (csr_array(np.eye(4)), [0, 0, 1, 1], "dense data is required"),
        (np.zeros((9, 2, 2)), [0, 1] * 4, "dim 3"),
        (np.zeros((4, 2)), None, "requires y to be passed"),
        (np.eye(3), list("abb"), "The class 'a' has 1"),
        (pd.DataFrame(np.zeros((5, 2)), columns=["a", "a"]), list("aabbb"), "more than once: 'a'"),
        (pd.DataFrame({"a": [1, 2, np.inf, 0, 1]}), list("aabbb"), "'a' has 1 infinite value"),
    ],
)
def test_bad_data_is_refused_and_nothing_is_learned(X, y, message):
    sampler = GANOverSampler()
    with pytest.raises(SynthganError, match=message):
        sampler.fit_resample(X, y)
    assert set(vars(sampler)) == set(sampler.get_params(deep=False))


# --- with imbalanced-learn -------------------------------------------------------------


def test_it_works_in_a_pipeline_and_in_cross_validation():
    pipeline = pytest.importorskip("imblearn.pipeline")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.preprocessing import StandardScaler

    X, y = table()
    X = X[["float", "int8"]]
    steps = pipeline.make_pipeline(
        StandardScaler(), GANOverSampler(generator=INDEPENDENT, random_state=0), LogisticRegression()
    )
    assert steps.fit(X, y).predict(X).shape == (200,)  # rows are added in fit only
    assert np.isfinite(cross_val_score(steps, X, y, cv=3, scoring="balanced_accuracy")).all()
    search = GridSearchCV(steps, {"ganoversampler__sampling_strategy": [0.5, 1.0]}, cv=2).fit(X, y)
    assert search.best_estimator_[1].generator_.n_rows_ == 200


# --- does it help ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_rare_class_is_found_more_often():
    from sklearn.datasets import make_classification
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import balanced_accuracy_score

    X, y = make_classification(
        9000, 8, n_informative=5, weights=[0.97], flip_y=0, class_sep=1.0, random_state=0
    )
    train, test = slice(0, 2000), slice(2000, None)

    def found(X_train, y_train):
        model = HistGradientBoostingClassifier(early_stopping=False, random_state=0).fit(X_train, y_train)
        return balanced_accuracy_score(y[test], model.predict(X[test]))

    sampler = GANOverSampler(generator=TabularGAN(n_gan_steps=1, device="cpu"), random_state=0)
    assert found(*sampler.fit_resample(X[train], y[train])) > found(X[train], y[train]) + 0.03
