import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthgan import Imputer, IndependentSynthesizer, TabularGAN
from synthgan.constraints import Inequality, Predicate, Sum
from synthgan.errors import DataError, ParameterError
from synthgan.impute import combine, sweep

SMALL = {"hidden_dim": 24, "n_blocks": 1, "latent_dim": 4, "noise_dim": 4, "n_gan_steps": 2, "device": "cpu"}
SMALL |= {"n_steps": 60, "batch_size": 64, "gan_batch_size": 16, "learning_rate": 1e-2}


def complete_table(n_rows=300, seed=0):
    """Columns of several kinds that follow from one hidden number."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "size": hidden + rng.normal(0, 0.1, n_rows),
            "count": np.round(hidden * 3 + 12).astype("int64"),
            "level": pd.Categorical.from_codes(np.digitize(hidden, [-0.7, 0.7]), list("abc")),
            "town": np.where(hidden > 0, "north", "south"),
            "flag": hidden > 1,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.round(hidden * 100), unit="h"),
        }
    )


def holed(frame, share=0.2, seed=1):
    holes = frame.astype({"count": "Int64", "flag": "boolean"})
    return holes.mask(np.random.default_rng(seed).random(frame.shape) < share)


@pytest.fixture(scope="module")
def complete():
    return complete_table()


@pytest.fixture(scope="module")
def gaps(complete):
    return holed(complete)


@pytest.fixture(scope="module")
def imputer(gaps):
    return Imputer(TabularGAN(**SMALL), random_state=0).fit(gaps)


@pytest.mark.parametrize("n_draws", [1, 4])
def test_gaps_are_filled_and_all_else_is_kept(imputer, gaps, complete, n_draws):
    filled = clone_of_fitted(imputer, n_draws=n_draws).transform(gaps)
    assert filled.dtypes.equals(gaps.dtypes)
    assert filled.index.equals(gaps.index)
    assert filled.notna().all(axis=None)
    for name in gaps:
        kept = gaps[name].notna()
        pd.testing.assert_series_equal(filled[name][kept], gaps[name][kept])
        if name in ("level", "town", "flag"):
            assert set(filled[name]) <= set(complete[name])
        else:
            assert filled[name].between(complete[name].min(), complete[name].max()).all()


def clone_of_fitted(imputer, **parameters):
    """The same fitted generator with other parameters of drawing."""
    other = Imputer()
    vars(other).update(vars(imputer) | parameters)
    return other


def test_rows_may_have_gaps_where_the_fitted_table_had_none(complete):
    imputer = Imputer(TabularGAN(**SMALL), random_state=0).fit(complete)
    rows = complete_table(40, seed=5)
    filled = imputer.transform(holed(rows, 0.4))
    assert filled.notna().all(axis=None)
    assert filled.dtypes.equals(complete.dtypes)


def test_filling_twice_gives_the_same_and_seeds_differ(imputer, gaps):
    filled = imputer.transform(gaps)
    assert filled.equals(imputer.transform(gaps))
    again = clone(imputer).fit(gaps)
    assert filled.equals(again.transform(gaps))
    other = clone(imputer).set_params(random_state=1).fit(gaps)
    assert not filled.equals(other.transform(gaps))
    assert imputer.generator_.random_state == 0
    own = Imputer(TabularGAN(**SMALL, random_state=7)).fit(gaps)
    assert own.generator_.random_state == 7


def test_several_draws_are_nearer_to_the_truth_than_one(imputer, gaps, complete):
    errors = {}
    for n_draws in (1, 15):
        filled = clone_of_fitted(imputer, n_draws=n_draws).transform(gaps)
        error = (filled["size"] - complete["size"])[gaps["size"].isna()]
        errors[n_draws] = np.sqrt((error**2).mean())
    assert errors[15] < 0.9 * errors[1]
    # one draw keeps the spread, and the relations learned make it better than a draw of the column alone
    floor = IndependentSynthesizer(random_state=0).fit(gaps).impute(gaps, random_state=0)["size"]
    assert errors[1] < np.sqrt(((floor - complete["size"])[gaps["size"].isna()] ** 2).mean())


def test_a_sweep_draws_the_gaps_anew_and_nothing_else(imputer, gaps):
    model = imputer.generator_
    first = model.impute(gaps, random_state=0)
    swept = sweep(first, gaps, model, np.random.default_rng(0))
    assert swept.dtypes.equals(first.dtypes)
    assert swept.notna().all(axis=None)
    changed = (swept != first).to_numpy()
    is_gap = gaps.isna().to_numpy()
    assert not changed[~is_gap].any()
    assert changed[is_gap].mean() > 0.1
    assert swept.equals(sweep(first, gaps, model, np.random.default_rng(0)))


def test_a_sweep_mends_what_disagrees_with_the_other_cells(complete):
    model = TabularGAN(**SMALL | {"n_steps": 200}, random_state=0).fit(complete)
    gaps = complete.assign(town=None)
    wrong = complete.assign(town=complete["town"].map({"north": "south", "south": "north"}))
    swept = sweep(wrong, gaps, model, np.random.default_rng(0))
    assert (swept["town"] == complete["town"]).mean() > 0.8


def test_the_number_of_sweeps_has_an_effect(imputer, gaps):
    none, one, two = (clone_of_fitted(imputer, n_sweeps=k).transform(gaps) for k in (0, 1, 2))
    assert none.equals(imputer.generator_.impute(gaps, random_state=imputer.seed_))
    assert not none.equals(one)
    assert not one.equals(two)


@pytest.mark.parametrize(
    ("statistic", "n_draws", "middle"),
    [
        ("median", 3, [1.0, 2, 1, "a"]),
        ("median", 4, [2.5, 4, 3, "a"]),  # means of 1 and 4, of 2 and 5 (an even number), of 1 and 5
        ("mean", 3, [1.5, 3, 2, "a"]),  # 5/3, of which the column holds one half as its step; 8/3; 2
    ],
)
def test_combining_takes_middles_of_numbers_and_times_and_the_most_frequent_otherwise(
    statistic, n_draws, middle
):
    real = pd.DataFrame(
        {
            "x": [0.0, 1.0, 2.5, 4.0] * 9,
            "n": pd.Series([1, 2, 5, 9] * 9, dtype="Int64"),
            "t": pd.date_range("2024-01-01", periods=36, freq="h"),
            "c": list("abca") * 9,
            "id": [f"k{i:03}" for i in range(36)],
        }
    )
    model = IndependentSynthesizer(random_state=0).fit(real)
    gaps = real.head(2).copy()
    gaps.loc[0] = None
    draws = []
    cells = [(0.0, 1, 0, "b"), (1.0, 5, 1, "a"), (4.0, 2, 5, "a"), (4.0, 9, 9, "c")]
    for x, n, hour, c in cells[:n_draws]:
        made = real.head(2).copy()
        made.loc[0, ["x", "c", "id"]] = [x, c, f"fresh{n}"]
        made.loc[0, "n"] = n
        made.loc[0, "t"] = pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hour)
        draws.append(made)
    made = combine(draws, gaps, model, statistic)
    assert made.dtypes.equals(real.dtypes)
    x, n, hour, c = middle
    assert made.loc[0].tolist() == [x, n, pd.Timestamp(2024, 1, 1, hour), c, "fresh1"]
    pd.testing.assert_frame_equal(made.iloc[1:], real.iloc[1:2])


def test_the_middle_of_several_draws_keeps_what_a_column_determines():
    town = np.random.default_rng(0).integers(0, 20, 500)
    real = pd.DataFrame({"town": [f"t{k}" for k in town], "land": [f"l{k % 4}" for k in town]})
    real["x"] = np.random.default_rng(2).normal(size=500)
    imputer = Imputer(TabularGAN(**SMALL), n_draws=5, random_state=0).fit(real)
    assert imputer.generator_.codec_.layout_.columns == ["town", "x"]
    filled = imputer.transform(real.mask(np.random.default_rng(1).random(real.shape) < 0.4))
    lands = dict(zip(real["town"], real["land"], strict=True))
    assert (filled["town"].map(lands) == filled["land"]).all()


def priced(n_rows=300):
    cents = np.random.default_rng(0).integers(100, 9_999, (2, n_rows))
    frame = pd.DataFrame({"net": cents[0] / 100, "tax": cents[1] / 100, "gross": cents.sum(axis=0) / 100})
    return frame.assign(low=cents.min(axis=0), high=cents.max(axis=0))


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_middle_of_several_draws_keeps_rules(statistic):
    """The median of sums is no sum of medians; and of even numbers that are drawn the middle may be odd."""
    real = priced()
    rules = [
        Sum("gross", ["net", "tax"]),
        Inequality("low", "high"),
        Predicate(lambda rows: (rows["low"] // 100 + rows["high"] // 100) % 2 == 0),
    ]
    model = IndependentSynthesizer(constraints=rules, random_state=0).fit(real)
    gaps = real.mask(np.random.default_rng(1).random(real.shape) < 0.5)
    draws = model.impute(gaps, random_state=0, n_draws=9)
    made = combine(draws, gaps, model, statistic)
    for rule in model.constraints_:
        assert (rule.holds(made) | ~rule.holds(draws[0])).all(), rule
    assert made.notna().all(axis=None)
    assert made.dtypes.equals(real.dtypes)
    assert made[gaps.notna()].equals(gaps)
    middle = getattr(np, statistic)([draw["net"] for draw in draws], axis=0)
    is_open = (gaps["net"].isna() & gaps["gross"].isna()).to_numpy()
    assert (np.abs(made["net"] - middle) < 0.006)[is_open].mean() > 0.4  # else of the first draw


@pytest.mark.parametrize("low", [0, -(2**63), 2**63 - 12])
def test_middles_of_large_integers_are_exact(low):
    real = pd.DataFrame({"n": np.array([low + k for k in range(12)] * 3)})
    model = IndependentSynthesizer(random_state=0).fit(real)
    draws = [pd.DataFrame({"n": [low + k]}) for k in (1, 3, 8)]
    gaps = pd.DataFrame({"n": pd.Series([None], dtype=object)})
    assert combine(draws, gaps, model, "mean")["n"].tolist() == [low + 4]
    assert combine(draws, gaps, model, "median")["n"].tolist() == [low + 3]


def test_arrays_are_filled_as_arrays(complete):
    array = complete[["size", "count"]].to_numpy()
    array[::5, 0] = np.nan
    imputer = Imputer(IndependentSynthesizer(), random_state=0)
    filled = imputer.fit_transform(array)
    assert isinstance(filled, np.ndarray)
    assert filled.dtype == array.dtype
    assert not np.isnan(filled).any()
    assert (filled[~np.isnan(array)] == array[~np.isnan(array)]).all()
    assert imputer.get_feature_names_out().tolist() == ["x0", "x1"]
    objects = complete[["town", "size"]].to_numpy(dtype=object)
    objects[3, 0] = None
    assert imputer.fit_transform(objects)[3, 0] in ("north", "south")


def test_output_and_names_follow_scikit_learn(gaps):
    imputer = Imputer(IndependentSynthesizer(), random_state=0)
    with pytest.raises(NotFittedError):
        imputer.transform(gaps)
    imputer.set_output(transform="pandas").fit(gaps)
    assert imputer.transform(gaps).columns.equals(gaps.columns)
    assert imputer.get_feature_names_out().tolist() == gaps.columns.tolist()
    assert imputer.n_features_in_ == 6
    frame = imputer.fit_transform(gaps[["size"]].to_numpy(dtype=float))
    assert frame.columns.tolist() == ["x0"]
    with pytest.raises(ValueError, match="feature names"):
        imputer.fit(gaps).transform(gaps.drop(columns="size"))


def test_it_serves_in_a_pipeline_and_in_cross_validation():
    complete = complete_table(200)
    X, y = holed(complete.drop(columns=["flag", "when"]).assign(flag=True)), complete["flag"]
    X = X.drop(columns="flag")
    encode = make_column_transformer((OneHotEncoder(), ["level", "town"]), remainder="passthrough")
    imputer = Imputer(TabularGAN(**SMALL), n_draws=3, random_state=0)
    pipeline = make_pipeline(imputer, encode, LogisticRegression(max_iter=1000))
    assert cross_val_score(pipeline, X, y, cv=2, error_score="raise").mean() > 0.8
    assert clone(pipeline).get_params()["imputer__generator__hidden_dim"] == 24


def test_the_statistic_has_an_effect_on_several_draws_alone(imputer, gaps):
    median, mean = (
        clone_of_fitted(imputer, n_draws=5, statistic=statistic).transform(gaps)
        for statistic in ("median", "mean")
    )
    is_gap = gaps["size"].isna()
    assert (median["size"] != mean["size"])[is_gap].mean() > 0.8
    assert median[["level", "town", "flag"]].equals(mean[["level", "town", "flag"]])
    one = clone_of_fitted(imputer, statistic="mean").transform(gaps)
    assert one.equals(imputer.transform(gaps))


def test_what_was_never_observed_stays_missing():
    frame = pd.DataFrame({"none": np.full(30, np.nan), "x": [1.0, None, 3.0] * 10})
    filled = Imputer(IndependentSynthesizer(), n_draws=3, random_state=0).fit_transform(frame)
    assert filled["none"].isna().all()
    assert filled["x"].notna().all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [("generator", "gan"), ("n_draws", 0), ("n_draws", None), ("n_sweeps", -1), ("statistic", "mode")],
)
def test_bad_parameters_are_refused(complete, name, bad):
    with pytest.raises(ParameterError, match=f"'{name}' parameter of Imputer must be"):
        Imputer(**{name: bad}).fit(complete)


@pytest.mark.slow
def test_by_default_the_generator_is_not_trained_and_modes_are_few():
    generator = Imputer(random_state=0).fit(complete_table(1500)[["size", "town"]]).generator_
    assert (generator.history_["phase"] == "gan").sum() == 1
    assert len(generator.codec_.codecs_["size"].codes_) <= 20


def test_a_table_that_cannot_be_modelled_is_refused():
    with pytest.raises(DataError, match="'odd'"):
        Imputer(IndependentSynthesizer()).fit(pd.DataFrame({"odd": [1 + 2j, 3j]}))
    with pytest.raises(ParameterError, match="random_state"):
        Imputer(random_state="x").fit(complete_table(20))


@parametrize_with_checks([Imputer(IndependentSynthesizer(), random_state=0)])
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)
