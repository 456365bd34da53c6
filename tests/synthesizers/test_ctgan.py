import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from synthgan import IndependentSynthesizer, load
from synthgan.constraints import Predicate
from synthgan.errors import ModelFileError, ParameterError
from synthgan.evaluation.associations import trend_error
from synthgan.evaluation.tables import code_tables
from synthgan.synthesizers.ctgan import CTGAN

SMALL = {  # networks that learn next to nothing, in no time
    "max_modes": 3,
    "noise_dim": 4,
    "generator_dim": 16,
    "critic_dim": 16,
    "n_epochs": 2,
    "batch_size": 40,
    "pac_size": 2,
    "device": "cpu",
    "precision": "float32",  # the same rows on every machine
    "random_state": 0,
}
CHANGES = {  # for each parameter other values, which must change the rows
    "kinds": {"count": "categorical"},
    "max_modes": 2,
    "modes": "gaussian",
    "generator": "style",
    "noise_dim": 5,
    "generator_dim": 24,
    "critic_dim": 24,
    "n_layers": 3,
    "generator_conditioning": "film",
    "critic_conditioning": "projection",
    "pac_size": 4,
    "dropout": 0.1,
    "statistics": "deviation",
    "spectral_norm": True,
    "temperature": 0.5,
    "loss": "relativistic",
    "gradient_penalty": 1.0,
    "condition_weight": 0.0,
    "moment_weight": 1.0,
    "log_frequency": False,
    "n_epochs": 3,
    "batch_size": 60,
    "n_critic": 2,
    "generator_lr": 1e-3,
    "critic_lr": 1e-2,
    "weight_decay": 10.0,
    "precision": "bfloat16",
    "random_state": 1,
}
TOGETHER = {  # and those that need others
    "truncation": ({"generator": "style"}, {"truncation": 0.2}),
    "weight_clip": ({"penalty": None, "spectral_norm": True}, {"spectral_norm": False, "weight_clip": 0.01}),
    "growing": ({"modes": "gaussian"}, {"growing": True}),
    "penalty": ({"loss": "hinge"}, {"penalty": "dragan"}),
    "constraints": ({}, {"constraints": [Predicate(lambda rows: rows["count"] > 10)]}),
}


def related_table(n_rows, seed=0):
    """Four columns that all follow from one hidden number."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "level": np.array(list("abcd"))[np.digitize(hidden, [-0.7, 0, 0.7])],
            "positive": np.where(hidden > 0, "yes", "no"),
            "count": np.round(hidden * 3 + 12).astype("int16"),
            "size": np.where(rng.random(n_rows) < 0.1, np.nan, hidden + rng.normal(0, 0.2, n_rows)),
        }
    )


@pytest.fixture(scope="module")
def real():
    return related_table(120)


@pytest.fixture(scope="module")
def model(real):
    return CTGAN(**SMALL).fit(real)


@pytest.fixture(scope="module")
def learned():
    """A model that has learned its table."""
    sizes = {
        "generator_dim": 64,
        "critic_dim": 64,
        "noise_dim": 16,
        "batch_size": 200,
        "n_epochs": 60,
        "max_modes": 5,
    }
    return CTGAN(**SMALL | sizes, generator_lr=2e-3, critic_lr=2e-3, dropout=0.0).fit(related_table(1500))


def rows_of(model):
    return model.sample(40, random_state=0).to_csv()


def test_the_defaults_are_those_of_the_paper():
    got = CTGAN().get_params()
    paper = {
        "max_modes": 10,
        "noise_dim": 128,
        "generator_dim": 256,
        "critic_dim": 256,
        "n_layers": 2,
        "pac_size": 10,
        "dropout": 0.5,
        "temperature": 0.2,
        "loss": "wasserstein",
        "penalty": "gradient",
        "n_epochs": 300,
        "batch_size": 500,
        "n_critic": 1,
        "generator_lr": 2e-4,
        "critic_lr": 2e-4,
        "weight_decay": 1e-6,
        "log_frequency": True,
        "constraints": None,
    }
    assert {name: got[name] for name in paper} == paper
    assert CTGAN()._plan(32_561).gradient_penalty == 10  # lambda
    assert CTGAN()._plan(32_561).n_steps == 300 * 65


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_has_an_effect(model, real, name):
    changed = clone(model).set_params(**{name: CHANGES[name]}).fit(real)
    assert rows_of(changed) != rows_of(model)


@pytest.mark.parametrize("name", TOGETHER)
def test_every_parameter_that_needs_others_has_an_effect(model, real, name):
    base, change = TOGETHER[name]
    one = clone(model).set_params(**base).fit(real)
    other = clone(model).set_params(**base | change).fit(real)
    assert rows_of(one) != rows_of(other)


def test_all_parameters_have_been_changed():
    silent = {"device", "verbose", "max_seconds"}  # where and how long, not what
    assert set(CHANGES) | set(TOGETHER) | silent == set(CTGAN().get_params())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"batch_size": 40, "pac_size": 7}, r"batch_size=40, pac_size=7\. Use 35 or 42\."),
        ({"penalty": None}, "loss='wasserstein' needs a critic"),
        ({"weight_clip": 0.01}, "Clipped weights cannot"),
        ({"loss": "hinge", "penalty": None, "gradient_penalty": 1.0}, "gradient_penalty=1"),
        ({"loss": "hinge", "penalty": None, "weight_clip": 0.01, "spectral_norm": True}, "clipping void"),
        ({"generator": "style", "generator_conditioning": "film"}, "'film'"),
        ({"truncation": 0.5}, "truncation=0.5"),
        ({"statistics": "deviation", "n_layers": 1}, "hidden layer"),
        ({"statistics": "deviation", "pac_size": 40}, "two packs"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(real, bad, words):
    with pytest.raises(ParameterError, match=words):
        CTGAN(**SMALL | bad).fit(real)


def test_truncation_can_be_chosen_after_the_fit(real):
    model = CTGAN(**SMALL, generator="style").fit(real)
    free = rows_of(model)
    assert rows_of(model.set_params(truncation=0.0)) != free
    assert rows_of(model.set_params(truncation=1.0)) == free


def test_the_critics_scores_follow_the_truncation_at_once(real):
    """It judges rows beside generated ones, whether others have been drawn before or not."""
    model = CTGAN(**SMALL, generator="style").fit(real)
    free = model.critic_score(real)
    scores = model.set_params(truncation=0.0).critic_score(real)
    assert not np.array_equal(scores, free)
    model.sample(5, random_state=0)
    np.testing.assert_array_equal(model.critic_score(real), scores)
    np.testing.assert_array_equal(model.set_params(truncation=1.0).critic_score(real), free)


def test_a_file_keeps_rows_scores_and_history(model, real, tmp_path):
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    pd.testing.assert_frame_equal(model.sample(50, random_state=1), again.sample(50, random_state=1))
    np.testing.assert_array_equal(model.critic_score(real), again.critic_score(real))
    pd.testing.assert_frame_equal(model.history_, again.history_)


@pytest.mark.parametrize("bad", [-0.1, 2.0])
def test_a_file_with_impossible_frequencies_is_refused(real, tmp_path, bad):
    model = CTGAN(**SMALL).fit(real)
    model.model_.frequency[1] = bad
    model.save(tmp_path / "m.synthgan")
    with pytest.raises(ModelFileError, match="frequencies of codes"):
        load(tmp_path / "m.synthgan")


@pytest.mark.parametrize("conditions", [None, {"level": "a", "count": (10, 14)}])
def test_any_weights_give_rows_within_the_bounds(real, conditions):
    model = CTGAN(**SMALL).fit(real)
    for weight in model.model_.generator.parameters():
        weight.data.fill_(np.nan)
    rows = model.sample(50, conditions=conditions, random_state=0)
    assert rows["count"].between(real["count"].min(), real["count"].max()).all()


def test_a_training_that_is_resumed_ends_in_the_same_weights(model, real, tmp_path):
    class KilledError(Exception):
        pass

    class Kill:
        def on_interval(self, state):
            if state.step == 3:
                raise KilledError

    path = tmp_path / "training"
    with pytest.raises(KilledError):
        clone(model).fit(real, callbacks=[Kill()], checkpoint=path)
    resumed = clone(model).fit(real, checkpoint=path, resume=True)
    assert rows_of(resumed) == rows_of(model)
    assert resumed.history_["step"].tolist() == model.history_["step"].tolist()


def test_numbers_have_no_atoms_but_the_missing_value(model, real):
    for span in model.codec_.layout_.spans:
        is_number = span.column in ("count", "size")
        assert (span.n_levels[:-1] == 0).all() == is_number
    assert model.codec_.codecs_["size"].has_missing_
    synthetic = model.sample(2000, random_state=0)
    assert synthetic.dtypes.equals(real.dtypes)
    for name in ("count", "size"):
        assert synthetic[name].dropna().between(real[name].min(), real[name].max()).all()
    assert synthetic["size"].isna().any()


def test_relations_between_columns_are_learned(learned):
    real = related_table(1500)
    made = learned.sample(1500, random_state=0)
    independent = IndependentSynthesizer(random_state=0).fit(real).sample(1500, random_state=0)
    error, floor = (trend_error(*code_tables(real, rows), shared_bins=True) for rows in (made, independent))
    assert floor > 0.25
    assert error < 0.6 * floor
    assert learned.history_["diversity"].iloc[-1] > 0.9


def test_all_conditions_hold_and_the_other_columns_go_with_them(learned):
    for level, positive in zip("abcd", ["no", "no", "yes", "yes"], strict=True):
        rows = learned.sample(200, conditions={"level": level}, random_state=0)
        assert (rows["level"] == level).all()
        assert (rows["positive"] == positive).mean() > 0.8
    rows = learned.sample(100, conditions={"count": (15, None), "size": (0.5, 3.0)}, random_state=0)
    assert (rows["count"] >= 15).all()
    assert rows["size"].between(0.5, 3.0).all()
    assert (rows["positive"] == "yes").mean() > 0.8
    given = pd.DataFrame({"level": list("aabbccdd") * 20, "count": [8, 9, 10, 11, 13, 14, 15, 16] * 20})
    rows = learned.sample(conditions=given, random_state=0)
    pd.testing.assert_frame_equal(rows[["level", "count"]].astype({"count": "int64"}), given)
    assert ((rows["positive"] == "yes") == (rows["level"] > "b")).mean() > 0.85


def test_gaps_are_filled_with_what_goes_with_the_rest(learned):
    complete = related_table(300, seed=1).dropna()
    holes = complete.assign(positive=None, size=np.nan)
    filled = learned.impute(holes, random_state=0)
    pd.testing.assert_series_equal(filled["count"], complete["count"])
    assert (filled["positive"] == complete["positive"]).mean() > 0.7
    assert np.corrcoef(filled["size"], complete["size"])[0, 1] > 0.4


def test_the_critic_finds_rows_real_whose_columns_agree(learned):
    real = related_table(400, seed=2)
    torn = pd.DataFrame({name: np.roll(real[name].to_numpy(), 40 * j) for j, name in enumerate(real)})
    assert learned.critic_score(real).mean() > learned.critic_score(torn).mean()


def test_a_critic_that_sees_the_batch_scores_no_rows(real):
    model = CTGAN(**SMALL, statistics="discrimination").fit(real)
    with pytest.raises(ParameterError, match="statistics=None"):
        model.critic_score(real)


def test_a_budget_ends_the_training(real):
    model = CTGAN(**SMALL | {"n_epochs": 10**6}, max_seconds=0.3).fit(real)
    assert model.history_["step"].iloc[-1] < 10**5
    assert model.history_["seconds"].iloc[-1] < 5
