import time

import numpy as np
import pandas as pd
import pytest
import torch

from synthgan import IndependentSynthesizer, TabularGAN, load
from synthgan.constraints import Inequality
from synthgan.datasets import load_adult
from synthgan.errors import ParameterError
from synthgan.evaluation.associations import trend_error
from synthgan.evaluation.tables import code_tables
from synthgan.gan.losses import chain_nll

SMALL = {  # a network that learns next to nothing, in no time
    "hidden_dim": 16,
    "n_blocks": 1,
    "latent_dim": 4,
    "noise_dim": 4,
    "n_steps": 48,
    "n_gan_steps": 48,
    "batch_size": 32,
    "gan_batch_size": 16,
    "device": "cpu",
    "precision": "float32",  # the same model on every machine
    "random_state": 0,
}
CHAIN = SMALL | {"n_gan_steps": 1}  # where the generator does not matter


def related_table(n_rows, seed=0):
    """Four columns that all follow from one hidden number."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "level": pd.Categorical.from_codes(
                np.digitize(hidden, [-0.7, 0, 0.7]), list("abcd"), ordered=True
            ),
            "positive": hidden > 0,
            "count": np.round(hidden * 3 + 12).astype("int16"),
            "size": np.where(rng.random(n_rows) < 0.1, np.nan, hidden + rng.normal(0, 0.2, n_rows)),
        }
    )


@pytest.fixture(scope="module")
def real():
    return related_table(300)


@pytest.fixture(scope="module")
def model(real):
    return TabularGAN(**SMALL).fit(real)


def trend(real, synthetic):
    return trend_error(*code_tables(real, synthetic), shared_bins=True)


@pytest.mark.parametrize("n_passes", [1, 2, 3, None, 99])
def test_any_number_of_passes_gives_the_schema_of_the_table(model, real, n_passes):
    synthetic = model.sample(100, random_state=0, n_passes=n_passes)
    assert synthetic.dtypes.equals(real.dtypes)
    assert list(synthetic.columns) == list(real.columns)
    assert len(synthetic) == 100


def test_passes_can_be_chosen_at_either_place(model):
    drawn = {k: model.sample(60, random_state=0, n_passes=k) for k in (None, 1, 2, 4)}
    assert drawn[None].equals(drawn[4])  # one column a pass
    assert not drawn[1].equals(drawn[2])
    assert not drawn[1].equals(drawn[4])
    try:
        model.set_params(n_passes=2)
        assert model.sample(60, random_state=0).equals(drawn[2])
        assert model.sample(60, random_state=0, n_passes=1).equals(drawn[1])
    finally:
        model.set_params(n_passes=None)


def test_columns_with_conditions_do_not_count_as_passes(model, real):
    """One pass for the column that is left is one column a pass, as by default."""
    part = real[["level", "positive", "count"]].head(100)
    drawn = [model.sample(conditions=part, random_state=0, n_passes=k) for k in (None, 1)]
    pd.testing.assert_frame_equal(*drawn)
    assert not drawn[0].equals(model.sample(conditions=part, random_state=1, n_passes=1))


@pytest.fixture(scope="module")
def parity():
    """Whether two coins differ: no network learns that in so few steps, but trees do."""
    coins = np.random.default_rng(0).integers(2, size=(2000, 2))
    return pd.DataFrame({"a": coins[:, 0], "b": coins[:, 1], "differ": coins[:, 0] != coins[:, 1]}).astype(
        str
    )


def right(frame):
    return ((frame["a"] != frame["b"]).astype(str) == frame["differ"]).mean()


@pytest.fixture(scope="module")
def grown(parity):
    return TabularGAN(**CHAIN).fit(parity)


def test_trees_have_the_last_word_on_columns_of_few_categories(parity, grown, tmp_path):
    without = TabularGAN(**CHAIN, n_trees=0).fit(parity)
    drawn = grown.sample(1000, random_state=0)
    assert right(without.sample(1000, random_state=0)) < 0.7
    assert right(drawn) > 0.95
    assert right(without.sample(1000, random_state=0, n_passes=1)) < 0.7
    assert right(grown.sample(1000, random_state=0, n_passes=1)) > 0.95
    grown.save(tmp_path / "m.synthgan")
    assert load(tmp_path / "m.synthgan").sample(1000, random_state=0).equals(drawn)
    unjudged = TabularGAN(**CHAIN | {"n_steps": 2}, heldout_fraction=0.0).fit(parity)
    assert len(unjudged.model_.forest.columns) == 0


def test_trees_heed_conditions_and_fill_gaps(parity, grown):
    drawn = grown.sample(500, conditions={"differ": "True", "a": ["0", "1"]}, random_state=0)
    assert (drawn["differ"] == "True").all()
    assert right(drawn) > 0.95
    gaps = parity.head(500).astype(object)
    gaps.loc[:, "differ"] = None
    filled = grown.impute(gaps, random_state=0)
    assert (filled["differ"] == parity["differ"].head(500)).mean() > 0.95


@pytest.fixture(scope="module")
def heights(parity):
    """A number that is higher where two coins differ: neither coin tells of it alone."""
    noise = np.random.default_rng(1).normal(size=len(parity))
    return parity[["a", "b"]].assign(height=noise + 2 * (parity["a"] != parity["b"]))


@pytest.fixture(scope="module")
def tilting(heights):
    return TabularGAN(**SMALL).fit(heights)


def rise(frame):
    """How much higher the mean is where the coins differ; in the table 2."""
    differ = frame["a"] != frame["b"]
    return frame.loc[differ, "height"].mean() - frame.loc[~differ, "height"].mean()


def test_trees_tilt_numbers(heights, tilting, tmp_path):
    assert tilting.model_.tilts.columns.tolist() == [2]
    without = TabularGAN(**SMALL, n_trees=0).fit(heights)
    coins = heights[["a", "b"]]
    assert rise(without.sample(conditions=coins, random_state=0)) < 0.5
    assert rise(tilting.sample(conditions=coins, random_state=0)) > 1.2
    drawn = tilting.sample(1000, random_state=0)
    assert rise(drawn) > 1.2
    assert drawn["height"].between(heights["height"].min(), heights["height"].max()).all()
    pd.testing.assert_frame_equal(tilting.sample(10, random_state=0), drawn.head(10))
    tilting.save(tmp_path / "m.synthgan")
    pd.testing.assert_frame_equal(load(tmp_path / "m.synthgan").sample(1000, random_state=0), drawn)


def test_trees_of_numbers_heed_ranges_and_fill_gaps(heights, tilting):
    drawn = tilting.sample(500, conditions={"height": (0.25, 1.3), "a": "1"}, random_state=0)
    assert drawn["height"].between(0.25, 1.3).all()
    assert (drawn["a"] == "1").all()
    gaps = heights.copy()
    gaps.loc[:999, "height"] = np.nan
    filled = tilting.impute(gaps, random_state=0)
    pd.testing.assert_frame_equal(filled.iloc[1000:], heights.iloc[1000:])
    assert filled[["a", "b"]].equals(heights[["a", "b"]])
    assert rise(filled.head(1000)) > 1.2


def test_trees_of_numbers_keep_rules_and_a_budget_in_time(heights):
    table = heights.assign(top=heights["height"] + np.random.default_rng(2).exponential(size=len(heights)))
    rules = [Inequality("height", "top")]
    model = TabularGAN(**CHAIN, constraints=rules).fit(table)
    assert len(model.model_.tilts.columns) > 0
    drawn = model.sample(500, random_state=0)
    assert (drawn["height"] <= drawn["top"]).all()
    hurried = TabularGAN(**CHAIN, constraints=rules, max_seconds=1e-3).fit(table)
    assert len(hurried.model_.tilts.columns) == 0
    assert len(hurried.sample(10)) == 10


def test_trees_that_grow_beside_the_gan_are_those_that_grow_after_it(heights, tilting):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = (TabularGAN(**SMALL).fit(heights) for _ in range(2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(first.model_.tilts.columns) > 0
    for name, value in first.model_.state_dict().items():
        assert torch.equal(value, second.model_.state_dict()[name]), name
    assert first.model_.tilts.columns.tolist() == tilting.model_.tilts.columns.tolist()


@pytest.mark.parametrize("bad", [0, -1, 1.5, "all", True])
def test_a_bad_number_of_passes_is_refused(model, bad):
    with pytest.raises(ParameterError, match=r"'n_passes' parameter of TabularGAN\.sample must be"):
        model.sample(3, n_passes=bad)


@pytest.mark.parametrize("n_passes", [1, None])
def test_a_saved_model_samples_the_same_rows_in_any_passes(model, tmp_path, n_passes):
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    one, other = (m.sample(200, random_state=2, n_passes=n_passes) for m in (model, again))
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(again.history_, model.history_)


def test_the_history_has_one_row_an_interval(model):
    history = model.history_
    common = {"phase", "step", "seconds", "rate"}
    own = {
        "autoencoder": {"loss", "reconstruction", "heldout_loss"},
        "gan": {"critic_loss", "generator_loss", "wasserstein", "gradient_norm", "diversity"},
    }
    assert set(history) == common | own["autoencoder"] | own["gan"]
    assert list(history["phase"].unique()) == ["autoencoder", "gan"]
    for phase, part in history.groupby("phase"):
        assert part[sorted(common | own[phase])].notna().all(axis=None)
        assert part["step"].tolist() == list(range(2, 2 * len(part) + 1, 2))
        assert len(part) <= 24
    assert (history["phase"] == "gan").sum() == 24
    assert history["seconds"].is_monotonic_increasing
    assert history["diversity"].dropna().between(0, 1).all()


def test_a_budget_in_time_is_kept(real):
    start = time.perf_counter()
    endless = {"n_steps": 10**7, "n_gan_steps": 10**7, "max_seconds": 1.0}
    model = TabularGAN(**SMALL | endless).fit(real)
    assert time.perf_counter() - start < 1.0 + 9.0  # the rest is encoding and calibration, on a busy machine
    assert model.history_.groupby("phase").size().min() >= 1
    assert len(model.sample(10)) == 10


def test_a_batch_that_packs_do_not_divide_is_refused_with_its_neighbours(real):
    model = TabularGAN(**SMALL | {"gan_batch_size": 16, "pac_size": 5})
    with pytest.raises(ParameterError, match=r"gan_batch_size=16, pac_size=5\. Use 15 or 20\."):
        model.fit(real)
    with pytest.raises(ParameterError, match=r"Use 32\."):
        model.set_params(pac_size=32).fit(real)


def test_steps_grow_with_what_the_table_tells():
    steps = [TabularGAN()._plans(10_000, nats)[0].n_steps for nats in (0.01, 9.0, 36.0, 1e6)]
    assert steps == [300, 450, 900, 6000]
    autoencoder, gan = TabularGAN(n_steps=7)._plans(10_000, 36.0)
    assert (autoencoder.n_steps, gan.n_steps) == (7, 300)


def test_weights_decay_more_where_there_are_few_rows():
    decays = [TabularGAN()._plans(n_rows, 10)[0].weight_decay for n_rows in (1, 500, 11_500, 50_000)]
    assert decays == [2.0, 2.0, 1.0, 0.3]
    assert TabularGAN(weight_decay=0.1)._plans(500, 10)[0].weight_decay == 0.1


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "", "cpu:x"])
def test_an_unknown_device_is_refused(real, device):
    with pytest.raises(ParameterError, match="'device' parameter of TabularGAN"):
        TabularGAN(**SMALL | {"device": device}).fit(real)


def test_kinds_say_what_a_column_is(real):
    brief = SMALL | {"n_steps": 1, "n_gan_steps": 1}
    kinds = TabularGAN(**brief, kinds={"count": "categorical"}).fit(real).schema_.kinds
    assert kinds["count"] == "categorical"
    assert kinds["size"] == "numerical"


def test_training_speaks_only_when_asked(real, capsys):
    brief = SMALL | {"n_steps": 2, "n_gan_steps": 2}
    TabularGAN(**brief).fit(real)
    assert capsys.readouterr() == ("", "")
    TabularGAN(**brief, verbose=True).fit(real)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "autoencoder" in captured.err
    assert "gan" in captured.err


def test_relations_between_columns_are_learned():
    real, holdout = related_table(1500), related_table(1500, seed=1)
    learns = SMALL | {
        "hidden_dim": 48,
        "latent_dim": 8,
        "noise_dim": 8,
        "batch_size": 128,
        "gan_batch_size": 64,
    }
    learns |= {"n_steps": 250, "n_gan_steps": 250, "learning_rate": 5e-3}
    model = TabularGAN(**learns).fit(real)
    independent = IndependentSynthesizer(random_state=0).fit(real).sample(3000, random_state=0)
    floor, best = trend(real, independent), trend(real, holdout)
    chain = trend(real, model.sample(3000, random_state=0))
    one_pass = trend(real, model.sample(3000, random_state=0, n_passes=1))
    assert best < 0.05
    assert floor > 0.3
    assert chain < 0.2 * floor
    assert one_pass < 0.4 * floor


def shops(n_rows, city, sort, seed=0):
    """Each of 400 shops is mostly in one city and of one sort, which have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    shop, stray = rng.integers(0, 400, n_rows), rng.random((2, n_rows)) < 0.1
    others = rng.integers(0, 12, (2, n_rows))
    told = np.where(stray, others, [city[shop], sort[shop]])
    table = {"shop": shop, "city": told[0], "sort": told[1]}
    return pd.DataFrame({name: [f"{name} {k}" for k in codes] for name, codes in table.items()})


def test_what_each_of_many_categories_goes_with_is_learned():
    # 16 shops share a code, and groups can be alike in the city or in the sort, not in both: what a shop
    # itself is told by, its embedding, has to tell. (Without embeddings .33 and .40; chance would be .08.)
    city, sort = np.random.default_rng(9).integers(0, 12, (2, 400))
    real = shops(6000, city, sort)
    learns = CHAIN | {
        "hidden_dim": 64,
        "n_steps": 400,
        "batch_size": 256,
        "learning_rate": 5e-3,
        "n_trees": 0,
    }
    rows = TabularGAN(**learns).fit(real).sample(4000, random_state=0)
    shop, *told = (rows[name].str.split().str[1].astype(int) for name in ("shop", "city", "sort"))
    for column, of in zip(told, (city, sort), strict=True):
        assert (column == of[shop]).mean() > 0.5


def test_the_score_prefers_rows_whose_columns_agree():
    real, holdout = related_table(1500), related_table(400, seed=1)
    learns = CHAIN | {"hidden_dim": 48, "batch_size": 128, "n_steps": 250, "learning_rate": 5e-3}
    model = TabularGAN(**learns).fit(real)
    rng = np.random.default_rng(0)
    torn = pd.DataFrame({name: holdout[name].array.take(rng.permutation(400)) for name in holdout})
    independent = IndependentSynthesizer(random_state=0).fit(real)
    assert model.score(holdout) > independent.score(holdout) + 0.5
    assert model.score(torn) < model.score(holdout) - 0.5
    assert abs(independent.score(torn) - independent.score(holdout)) < 1e-9


def test_several_orders_are_averaged_and_drawn_from_the_seed(model, real):
    one, two, other = (
        model.score_samples(real, n_orders=k, random_state=seed) for k, seed in ((1, 0), (2, 0), (2, 5))
    )
    assert not np.allclose(one, two)
    assert not np.allclose(two, other)
    assert np.array_equal(one, model.score_samples(real, random_state=5))  # one order: nothing is drawn
    for bad in (0, 1.5, "2"):
        with pytest.raises(ParameterError, match="'n_orders' parameter"):
            model.score_samples(real, n_orders=bad)


def test_the_score_of_codes_is_what_the_chain_is_trained_for(model, real):
    chain = model.model_
    loss = chain_nll(chain.decoder, chain.book.rows(model.codec_.transform(real)), chain.order).sum()
    pieces = model.score_samples(real) + float(
        loss
    )  # less, on average, by the pieces that cells are cut into
    assert -3 < pieces.mean() < 0
    codes = real.drop(columns="size")  # now no column has cells that could be cut
    model = TabularGAN(**CHAIN).fit(codes)
    chain = model.model_
    loss = chain_nll(chain.decoder, chain.book.rows(model.codec_.transform(codes)), chain.order).sum()
    assert model.score(codes) == pytest.approx(-float(loss), rel=1e-4)


@pytest.mark.parametrize("pac_size", [1, 2])
def test_the_critic_scores_every_row(real, pac_size):
    model = TabularGAN(**SMALL | {"n_steps": 4, "n_gan_steps": 12, "pac_size": pac_size}).fit(real)
    scores = model.critic_score(real)
    assert scores.shape == (300,)
    assert len(np.unique(scores)) > 100
    np.testing.assert_allclose(model.critic_score(real.tail(3)), scores[-3:], rtol=1e-3, atol=1e-4)
    assert np.isfinite(model.critic_score(real.assign(size=1e9, positive=None))).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relations_of_adult_are_learned(seed):
    real = load_adult()[0].sample(2000, random_state=seed, ignore_index=True)
    model = TabularGAN(hidden_dim=64, n_steps=200, n_gan_steps=200, device="cpu", random_state=seed).fit(real)
    independent = IndependentSynthesizer(random_state=seed).fit(real).sample(4000, random_state=0)
    floor = trend(real, independent)
    assert trend(real, model.sample(4000, random_state=0)) < 0.7 * floor
    assert trend(real, model.sample(4000, random_state=0, n_passes=1)) < 0.9 * floor


# Conditions


@pytest.mark.parametrize("n_passes", [1, 2, 3, None])
def test_conditions_hold_in_any_number_of_passes(model, real, n_passes):
    conditions = {"level": ["a", "b"], "count": (8, 12), "positive": False}
    drawn = model.sample(200, conditions=conditions, random_state=0, n_passes=n_passes)
    assert drawn.dtypes.equals(real.dtypes)
    assert set(drawn["level"]) <= {"a", "b"}
    assert drawn["count"].between(8, 12).all()
    assert not drawn["positive"].any()
    part = real[["level", "count"]]
    completed = model.sample(conditions=part, random_state=0, n_passes=n_passes)
    pd.testing.assert_frame_equal(completed[["level", "count"]], part)


def test_gaps_are_filled_in_the_passes_of_the_constructor(model, real):
    holes = real.mask(np.random.default_rng(0).random(real.shape) < 0.4)
    filled = {}
    try:
        for n_passes in (None, 1, 2):
            filled[n_passes] = model.set_params(n_passes=n_passes).impute(holes, random_state=0)
            assert filled[n_passes].notna().all(axis=None)
    finally:
        model.set_params(n_passes=None)
    assert not filled[None].equals(filled[1])
    assert not filled[1].equals(filled[2])


def test_conditions_and_imputation_use_what_was_learned():
    real = related_table(1500)
    learns = SMALL | {"hidden_dim": 48, "latent_dim": 8, "noise_dim": 8, "batch_size": 128}
    learns |= {"n_steps": 250, "n_gan_steps": 30, "learning_rate": 5e-3}
    model = TabularGAN(**learns).fit(real)
    for name in "abcd":
        drawn = model.sample(400, conditions={"level": name}, random_state=0)
        assert abs(drawn["count"].mean() - real.loc[real["level"] == name, "count"].mean()) < 1
    low = model.sample(400, conditions={"count": (None, 9)}, random_state=0)
    assert (low["level"] == "a").mean() > 0.7
    holes = real.assign(count=real["count"].astype("float64"))
    holes.loc[::2, "count"] = np.nan
    error = (model.impute(holes, random_state=0)["count"] - real["count"])[::2].abs().mean()
    blind = (real["count"] - real["count"].median()).abs().mean()
    assert error < 0.5 * blind  # measured: .42
