"""The estimators in the hands of scikit-learn and imbalanced-learn: their checks, searches, pipelines."""

import pickle
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthgan import CTGAN, GANOverSampler, Imputer, IndependentSynthesizer, TabularDiffusion, TabularGAN

SMALL = {
    "hidden_dim": 8, "n_blocks": 1, "latent_dim": 2, "noise_dim": 2, "n_steps": 5, "n_gan_steps": 2,
    "batch_size": 32, "gan_batch_size": 16, "device": "cpu",
}  # fmt: skip
GAN = TabularGAN(**SMALL, random_state=0)
CLASSIC = CTGAN(
    noise_dim=2,
    generator_dim=8,
    critic_dim=8,
    n_epochs=1,
    batch_size=20,
    pac_size=2,
    device="cpu",
    random_state=0,
)
DIFFUSION = TabularDiffusion(
    hidden_dim=8, n_blocks=1, n_steps=5, n_diffusion_steps=3, batch_size=32, device="cpu", random_state=0
)
INDEPENDENT = IndependentSynthesizer(random_state=0)
IMPUTER = Imputer(INDEPENDENT, random_state=0)
SAMPLER = GANOverSampler(generator=INDEPENDENT, random_state=0)
EXPECTED_FAILURES = {}  # check to reason: none
EXPECTED_FAILURES_OF_SAMPLERS = {
    "check_samplers_multiclass_ova": "a target is one column of classes; one-hot columns are refused",
    "check_samplers_pandas_sparse": "a sparse column is refused by its name, as everywhere in synthgan",
}


def expected_failures(estimator):
    return EXPECTED_FAILURES


def table(n_rows=200, seed=0):
    """Numbers and categories that follow from one hidden number, with gaps, and a target."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n_rows)
    X = pd.DataFrame(
        {
            "size": hidden + rng.normal(0, 0.1, n_rows),
            "count": pd.Series(np.round(hidden * 3 + 12)).astype("Int64"),
            "level": pd.Categorical.from_codes(np.digitize(hidden, [-0.7, 0.7]), list("abc")),
            "town": np.where(hidden > 0, "north", "south"),
        }
    )
    return X.mask(rng.random(X.shape) < 0.15), pd.Series(hidden > 0.6, name="is_large")


# --- scikit-learn's checks -------------------------------------------------------------


@parametrize_with_checks(
    [GAN, CLASSIC, DIFFUSION, INDEPENDENT, IMPUTER, SAMPLER], expected_failed_checks=expected_failures
)
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([Imputer(GAN, n_draws=2, random_state=0)])
def test_the_contract_of_scikit_learn_is_kept_by_an_imputer_with_a_network(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        "check_dataframe_column_names_consistency", "check_get_feature_names_out_error",
        "check_transformer_get_feature_names_out", "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform", "check_inplace_ensure_writeable",
    ],
)  # fmt: skip
def test_frames_and_names_pass_through_the_imputer(check):
    """Checks that scikit-learn has for its own transformers only."""
    getattr(estimator_checks, check)("Imputer", clone(IMPUTER))


def test_output_is_of_the_container_that_was_asked_for():
    X, _ = table(60)
    numbers = X[["size"]].to_numpy()
    imputer = clone(IMPUTER).fit(numbers)
    assert isinstance(imputer.transform(numbers), np.ndarray)
    assert imputer.set_output(transform="pandas").transform(numbers).columns.tolist() == ["x0"]
    imputer = clone(IMPUTER).fit(X)
    with config_context(transform_output="pandas"):
        filled = imputer.transform(X)
    pd.testing.assert_frame_equal(filled, imputer.transform(X))
    with pytest.warns(UserWarning, match="valid feature names"):
        assert (imputer.transform(X.to_numpy())[:, 3] == filled["town"]).all()


@pytest.mark.parametrize("estimator", [GAN, INDEPENDENT, IMPUTER, SAMPLER], ids=lambda e: type(e).__name__)
def test_fit_on_a_frame_keeps_parameters_and_data_and_learns_names(estimator):
    X, y = table(60)
    estimator, before = clone(estimator), X.copy(deep=True)
    params = estimator.get_params()
    assert estimator.fit(X, y) is estimator
    assert estimator.get_params() == params
    pd.testing.assert_frame_equal(X, before)
    assert estimator.n_features_in_ == 4
    assert estimator.feature_names_in_.tolist() == ["size", "count", "level", "town"]
    estimator.fit(X.set_axis([1, 2, 3, 4], axis=1), y)
    assert not hasattr(estimator, "feature_names_in_")
    assert type(estimator).__name__ in repr(estimator)
    assert "<div" in estimator._repr_html_()


# --- imbalanced-learn's checks ---------------------------------------------------------


def sampler_checks():
    """All checks of imbalanced-learn for a sampler that takes frames."""
    checks = pytest.importorskip("imblearn.utils.estimator_checks")
    from imblearn.utils import _tags

    class Sampler(GANOverSampler):
        def __sklearn_tags__(self):  # with the tags that only imbalanced-learn's own classes have
            tags = super().__sklearn_tags__()
            tags = _tags.Tags(**{field.name: getattr(tags, field.name) for field in fields(tags)})
            tags.input_tags = _tags.InputTags(**asdict(tags.input_tags), dataframe=True)
            tags.sampler_tags = _tags.SamplerTags(sample_indices=True)
            return tags

    return checks.estimator_checks_generator(Sampler(**SAMPLER.get_params(deep=False)))


def test_the_contract_of_imbalanced_learn_is_kept():
    failed = {}
    for sampler, check in sampler_checks():
        try:
            check(clone(sampler))
        except Exception as error:
            failed[check.func.__name__] = error
    assert set(failed) == set(EXPECTED_FAILURES_OF_SAMPLERS)


# --- searches --------------------------------------------------------------------------


def test_a_search_chooses_by_the_likelihood_of_held_out_rows():
    X, _ = table(300)
    model = clone(GAN).set_params(learning_rate=1e-2)
    search = GridSearchCV(model, {"n_steps": [1, 60]}, cv=2, error_score="raise").fit(X)
    assert search.best_params_ == {"n_steps": 60}
    assert search.best_score_ < 0
    assert len(search.best_estimator_.sample(5, random_state=0)) == 5
    assert search.score(X) == search.best_estimator_.score(X)


def test_a_random_search_draws_parameters():
    X, _ = table(60)
    grid = {"learning_rate": loguniform(1e-4, 1e-2), "hidden_dim": [8, 12]}
    search = RandomizedSearchCV(clone(GAN), grid, n_iter=2, cv=2, random_state=0, error_score="raise").fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["hidden_dim"] in (8, 12)


def test_the_score_is_the_mean_of_held_out_rows():
    X, y = table(60)
    scores = cross_val_score(clone(INDEPENDENT), X, y, cv=3, error_score="raise")
    first = clone(INDEPENDENT).fit(X[20:])
    assert scores[0] == pytest.approx(first.score_samples(X[:20]).mean())


# --- pipelines -------------------------------------------------------------------------


def encoder():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["level", "town"]), remainder=StandardScaler()
    )


@pytest.mark.parametrize("n_draws", [1, 3])
def test_a_pipeline_fills_gaps_of_numbers_and_categories(n_draws):
    X, y = table()
    imputer = Imputer(clone(GAN), n_draws=n_draws, random_state=0).set_output(transform="pandas")
    pipeline = make_pipeline(imputer, encoder(), LogisticRegression())
    assert cross_val_score(pipeline, X, y, cv=3, error_score="raise").mean() > 0.85
    filled = pipeline[:1].fit(X, y).transform(X)
    assert filled.dtypes.equals(X.dtypes)
    assert not filled.isna().any(axis=None)


def test_a_search_reaches_the_generator_inside_a_pipeline():
    X, y = table(90)
    pipeline = make_pipeline(Imputer(clone(GAN), random_state=0), encoder(), LogisticRegression())
    grid = {"imputer__n_draws": [1, 2], "imputer__generator__n_steps": [2]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_estimator_[0].generator_.n_steps == 2
    assert search.predict(X).shape == (90,)


def test_an_array_of_numbers_with_gaps_goes_through_a_pipeline():
    X, y = table()
    numbers = X[["size", "count"]].to_numpy(dtype=float, na_value=np.nan)
    pipeline = make_pipeline(StandardScaler(), clone(IMPUTER), LogisticRegression())
    assert pipeline.fit(numbers, y).score(numbers, y) > 0.8


def test_over_sampling_happens_in_the_training_folds_only():
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = table()
    steps = pipeline.make_pipeline(
        GANOverSampler(generator=clone(GAN), random_state=0),
        HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5, random_state=0),
    )
    X = X.astype({"town": "category", "count": "float64"})
    scores = cross_val_score(steps, X, y, cv=3, scoring="balanced_accuracy", error_score="raise")
    assert scores.mean() > 0.7
    assert steps.fit(X, y).predict(X).shape == (200,)
    assert len(steps[0].sample_indices_) == 2 * (~y).sum()


# --- pickles ---------------------------------------------------------------------------


def test_fitted_estimators_can_be_pickled():
    X, y = table(60)
    for model in (clone(GAN).fit(X), clone(INDEPENDENT).fit(X)):
        again = pickle.loads(pickle.dumps(model))
        pd.testing.assert_frame_equal(again.sample(9, random_state=0), model.sample(9, random_state=0))
        assert again.score(X) == model.score(X)
    imputer = clone(IMPUTER).fit(X)
    assert pickle.loads(pickle.dumps(imputer)).transform(X).equals(imputer.transform(X))
    sampler = clone(SAMPLER)
    X_res, y_res = sampler.fit_resample(X, y)
    again = pickle.loads(pickle.dumps(sampler))
    assert (again.sample_indices_ == sampler.sample_indices_).all()
    assert again.fit_resample(X, y)[0].equals(X_res)
    assert len(y_res) == len(X_res)
