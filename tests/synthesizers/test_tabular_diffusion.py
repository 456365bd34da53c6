import time

import numpy as np
import pandas as pd
import pytest

from synthgan import IndependentSynthesizer, load
from synthgan.datasets import load_adult
from synthgan.evaluation.associations import trend_error
from synthgan.evaluation.tables import code_tables
from synthgan.synthesizers.tabular_diffusion import TabularDiffusion

SMALL = {  # a network that learns next to nothing, in no time
    "hidden_dim": 16,
    "n_blocks": 1,
    "n_diffusion_steps": 4,
    "n_steps": 48,
    "batch_size": 32,
    "device": "cpu",
    "precision": "float32",  # the same model on every machine
    "random_state": 0,
}
LEARNS = SMALL | {  # one that learns a small table in two seconds
    "hidden_dim": 48,
    "n_blocks": 2,
    "n_diffusion_steps": 20,
    "n_steps": 400,
    "batch_size": 128,
    "learning_rate": 5e-3,
}


def related_table(n_rows, seed=0):
    """Two correlated normal numbers, one of them with gaps, and what follows from them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "level": pd.Categorical.from_codes(np.digitize(hidden, [-0.7, 0, 0.7]), list("abcd")),
            "one": hidden,
            "other": np.where(rng.random(n_rows) < 0.1, np.nan, hidden + rng.normal(0, 0.3, n_rows)),
            "count": np.round(hidden * 3 + 12).astype("int16"),
        }
    )


@pytest.fixture(scope="module")
def real():
    return related_table(300)


@pytest.fixture(scope="module")
def model(real):
    return TabularDiffusion(**SMALL).fit(real)


@pytest.fixture(scope="module")
def learned():
    return TabularDiffusion(**LEARNS).fit(related_table(1500))


def trend(real, synthetic):
    return trend_error(*code_tables(real, synthetic), shared_bins=True)


def test_the_schema_of_the_table_comes_back(model, real):
    drawn = model.sample(100, random_state=0)
    assert drawn.dtypes.equals(real.dtypes)
    assert list(drawn.columns) == list(real.columns)
    assert drawn["other"].isna().any()


def test_relations_between_columns_are_learned(learned):
    real, holdout = related_table(1500), related_table(1500, seed=1)
    independent = IndependentSynthesizer(random_state=0).fit(real).sample(3000, random_state=0)
    drawn = learned.sample(3000, random_state=0)
    assert trend(real, holdout) < 0.05
    assert trend(real, independent) > 0.3
    assert trend(real, drawn) < 0.3 * trend(real, independent)
    assert abs(drawn["one"].corr(drawn["other"]) - real["one"].corr(real["other"])) < 0.12
    assert abs(drawn["other"].isna().mean() - 0.1) < 0.03


def test_conditions_and_imputation_use_what_was_learned(learned):
    real = related_table(1500)
    for name in "abcd":
        drawn = learned.sample(400, conditions={"level": name}, random_state=0)
        assert abs(drawn["count"].mean() - real.loc[real["level"] == name, "count"].mean()) < 1.5
    low = learned.sample(400, conditions={"count": (None, 9)}, random_state=0)
    assert (low["level"] == "a").mean() > 0.7
    holes = real.assign(count=real["count"].astype("float64"))
    holes.loc[::2, "count"] = np.nan
    error = (learned.impute(holes, random_state=0)["count"] - real["count"])[::2].abs().mean()
    blind = (real["count"] - real["count"].median()).abs().mean()
    assert error < 0.5 * blind


def test_conditions_hold_exactly(model, real):
    conditions = {"level": ["a", "b"], "count": (8, 12), "one": (0.25, 0.5)}
    drawn = model.sample(300, conditions=conditions, random_state=0)
    assert drawn.dtypes.equals(real.dtypes)
    assert set(drawn["level"]) <= {"a", "b"}
    assert drawn["count"].between(8, 12).all()
    assert drawn["one"].between(0.25, 0.5).all()
    assert drawn["one"].nunique() > 100  # not put to the ends of the range
    part = real[["level", "other"]]
    pd.testing.assert_frame_equal(model.sample(conditions=part, random_state=0)[["level", "other"]], part)


def test_gaps_are_filled_and_all_else_is_kept(model, real):
    holes = real.mask(np.random.default_rng(0).random(real.shape) < 0.4)
    filled = model.impute(holes, random_state=0)
    assert filled.notna().all(axis=None)
    for name in real:
        kept = holes[name].notna().to_numpy()
        assert filled[name][kept].tolist() == holes[name][kept].tolist()


def test_the_number_of_diffusion_steps_is_a_matter_of_sampling(model, real):
    drawn = model.sample(60, random_state=0)
    try:
        model.set_params(n_diffusion_steps=7)
        assert not model.sample(60, random_state=0).equals(drawn)
    finally:
        model.set_params(n_diffusion_steps=4)
    assert model.sample(60, random_state=0).equals(drawn)


def test_a_saved_model_samples_the_same_rows(model, tmp_path):
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    pd.testing.assert_frame_equal(again.sample(200, random_state=2), model.sample(200, random_state=2))
    pd.testing.assert_frame_equal(again.history_, model.history_)


def test_it_has_no_likelihood(model):
    assert not hasattr(model, "score_samples")
    assert not hasattr(model, "score")


def test_the_history_has_one_row_an_interval(model):
    assert list(model.history_) == ["phase", "step", "seconds", "rate", "loss", "heldout_loss"]
    assert model.history_["step"].tolist() == list(range(2, 49, 2))
    assert set(model.history_["phase"]) == {"diffusion"}
    assert model.history_["seconds"].is_monotonic_increasing


def test_a_training_that_was_stopped_goes_on_to_the_same_model(model, real, tmp_path):
    class Stop:
        def on_interval(self, state):
            if state.step == 24:
                state.save(tmp_path / "half")

    TabularDiffusion(**SMALL).fit(real, callbacks=[Stop()])
    again = TabularDiffusion(**SMALL).fit(real, checkpoint=tmp_path / "half", resume=True)
    pd.testing.assert_frame_equal(again.sample(50, random_state=0), model.sample(50, random_state=0))


def test_where_no_row_is_kept_out_no_single_row_judges(real):
    of_one_row, of_all = (
        TabularDiffusion(**SMALL | {"heldout_fraction": share}).fit(real).history_["heldout_loss"]
        for share in (1e-9, 0.0)
    )
    # Times and noise are the same each time: of one row they matter more than what is learned.
    assert of_all.iloc[-1] < of_all.iloc[0]
    assert not np.array_equal(of_one_row, of_all)


def test_a_budget_in_time_is_kept(real):
    start = time.perf_counter()
    model = TabularDiffusion(**SMALL | {"n_steps": 10**7, "max_seconds": 1.0}).fit(real)
    assert time.perf_counter() - start < 1.0 + 4.0  # the rest is encoding
    assert len(model.sample(10)) == 10


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": list("xyzz") * 10, "b": list("uuvw") * 10}),
        pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc")),
        pd.DataFrame({"id": [f"key{k}" for k in range(60)], "same": 1}),
        pd.DataFrame({"rare": [f"name {k % 200}" for k in range(600)], "x": range(600)}),
    ],
    ids=["categories", "numbers", "nothing to learn", "groups of rare categories"],
)
def test_tables_of_one_sort_of_columns(table):
    model = TabularDiffusion(**SMALL | {"n_steps": 6}).fit(table)
    drawn = model.sample(70, random_state=0)
    assert drawn.dtypes.equals(table.dtypes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relations_of_adult_are_learned(seed):
    real = load_adult()[0].sample(2000, random_state=seed, ignore_index=True)
    model = TabularDiffusion(
        hidden_dim=64, n_steps=400, n_diffusion_steps=20, learning_rate=5e-3, device="cpu", random_state=seed
    ).fit(real)
    independent = IndependentSynthesizer(random_state=seed).fit(real).sample(4000, random_state=0)
    assert trend(real, model.sample(4000, random_state=0)) < 0.7 * trend(real, independent)
