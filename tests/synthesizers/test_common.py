"""The common checks: what every synthesizer does. They are the definition of the API."""

import inspect
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from synthgan import CTGAN, IndependentSynthesizer, TabularDiffusion, TabularGAN, evaluate, load
from synthgan.constraints import Predicate
from synthgan.errors import ConditionError, DataError, ParameterError, SynthganError
from synthgan.synthesizers.base import BLOCK_ROWS

SMALL = {  # a network that learns next to nothing, in no time
    "hidden_dim": 16,
    "n_blocks": 1,
    "latent_dim": 4,
    "noise_dim": 4,
    "n_steps": 8,
    "n_gan_steps": 4,
    "batch_size": 32,
    "gan_batch_size": 16,
    "device": "cpu",
    "precision": "float32",
}
SMALL_DIFFUSION = {
    "hidden_dim": 16,
    "n_blocks": 1,
    "n_steps": 8,
    "n_diffusion_steps": 4,
    "batch_size": 32,
    "device": "cpu",
    "precision": "float32",
}
SMALL_CTGAN = {
    "noise_dim": 4,
    "generator_dim": 16,
    "critic_dim": 16,
    "n_epochs": 2,
    "batch_size": 40,
    "pac_size": 2,
    "device": "cpu",
}
SCORED = [
    pytest.param(IndependentSynthesizer(random_state=0), id="independent"),
    pytest.param(TabularGAN(**SMALL, random_state=0), id="tabular-gan"),
]
SYNTHESIZERS = [
    *SCORED,
    pytest.param(CTGAN(**SMALL_CTGAN, random_state=0), id="ctgan"),
    pytest.param(TabularDiffusion(**SMALL_DIFFUSION, random_state=0), id="tabular-diffusion"),
]
CHANGES = {  # for each estimator and parameter another value, which must change the rows
    "IndependentSynthesizer": {
        "kinds": {"single": "categorical"},
        "constraints": [Predicate(lambda rows: rows["single"] > 0)],
    },
    "TabularGAN": {
        "kinds": {"single": "categorical"},
        "constraints": [Predicate(lambda rows: rows["single"] > 0)],
        "max_modes": 3,
        "modes": "gaussian",
        "hidden_dim": 24,
        "n_blocks": 2,
        "latent_dim": 5,
        "noise_dim": 5,
        "n_steps": 12,
        "batch_size": 48,
        "learning_rate": 0.01,
        "weight_decay": 10.0,
        "latent_share": 0.9,
        "heldout_fraction": 0.3,
        "n_gan_steps": 6,
        "gan_batch_size": 24,
        "gan_loss": "wgan-gp",
        "n_critic": 3,
        "gradient_penalty": 100.0,
        "penalty_interval": 1,
        "generator_lr": 0.01,
        "critic_lr": 0.01,
        "pac_size": 2,
        "conditional_share": 0.9,
        "n_passes": 1,
        "precision": "bfloat16",
        "random_state": 1,
    },
    "TabularDiffusion": {
        "kinds": {"single": "categorical"},
        "constraints": [Predicate(lambda rows: rows["single"] > 0)],
        "max_modes": 3,
        "hidden_dim": 24,
        "n_blocks": 2,
        "n_diffusion_steps": 5,
        "n_steps": 12,
        "batch_size": 48,
        "learning_rate": 0.01,
        "weight_decay": 10.0,
        "conditional_share": 0.9,
        "heldout_fraction": 0.3,
        "precision": "bfloat16",
        "random_state": 1,
    },
}
NO_CHANGE = {  # and why the rows stay the same
    "random_state": "an independent model draws nothing while it is fitted",
    "verbose": "shows a progress bar",
    "device": "says where the work is done; needs a second device",
    "max_seconds": "a limit in time; tested with the budget",
    "patience": "a limit that a run of eight steps does not reach",
    "n_trees": "a limit of trees, of which so few rows grow none; see test_tabular_gan",
}
BAD_VALUES = [object(), -1.5, "no such value", [1, 2], ()]


def mixed_table(n_rows=120):
    """A small table with every kind of column and missing values in most."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "float": rng.normal(size=n_rows).round(2),
            "single": rng.normal(size=n_rows).astype("float32"),
            "int8": rng.integers(-100, 100, n_rows).astype("int8"),
            "uint64": (rng.integers(0, 5, n_rows).astype("uint64") + np.uint64(2**63 + 7)),
            "Int64": pd.Series(rng.integers(0, 9, n_rows)).astype("Int64").where(rng.random(n_rows) < 0.7),
            "text": pd.Series(rng.choice(["ä", "b", "c,\n"], n_rows)).where(rng.random(n_rows) < 0.9),
            "bool": rng.random(n_rows) < 0.3,
            "boolean": pd.Series(rng.random(n_rows) < 0.3).astype("boolean").where(rng.random(n_rows) < 0.5),
            "level": pd.Categorical(rng.choice(["lo", "hi"], n_rows), ["lo", "mid", "hi"], ordered=True),
            "when": pd.Timestamp("2024-01-01", tz="Europe/Paris")
            + pd.to_timedelta(rng.integers(0, 10**6, n_rows), unit="s"),
            "span": pd.to_timedelta(rng.integers(0, 10**4, n_rows), unit="min"),
            "id": [f"id-{k:05d}" for k in rng.permutation(n_rows)],
            "same": "only",
            "none": np.full(n_rows, np.nan),
            "arrow": pd.Series(rng.integers(0, 3, n_rows)).astype("int32[pyarrow]"),
        }
    )
    frame.loc[::11, ["float", "when"]] = None
    return frame


TINY = {
    "one row": pd.DataFrame({"a": [1.5], "b": ["x"]}),
    "two rows": pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}),
    "one column": pd.DataFrame({"a": range(40)}),
    "constant": pd.DataFrame({"a": [3] * 20, "b": ["x"] * 20}),
    "identifiers only": pd.DataFrame({"a": [f"key{k}" for k in range(100)]}),
    "all missing": pd.DataFrame({"a": [None] * 20, "b": [np.nan] * 20}),
    "all numerical": pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc")),
    "all categorical": pd.DataFrame({"a": list("xyzz") * 10, "b": list("uuvw") * 10}),
    "odd names": pd.DataFrame({"": [1, 2] * 9, "a b\n": [1, 3] * 9, "日本": list("xy") * 9, 0: 0.5}),
    "odd index": pd.DataFrame({"a": [1, 2, 2] * 9}, index=[5] * 27),
}


@pytest.fixture(scope="module", params=SYNTHESIZERS)
def unfitted(request):
    return request.param


@pytest.fixture(scope="module")
def real():
    return mixed_table()


@pytest.fixture(scope="module")
def fitted(unfitted, real):
    return clone(unfitted).fit(real)


@pytest.fixture(scope="module", params=SCORED)
def unfitted_scored(request):
    return request.param


@pytest.fixture(scope="module")
def scored(unfitted_scored, real):
    return clone(unfitted_scored).fit(real)


def assert_same_schema(synthetic, real):
    assert synthetic.columns.equals(real.columns)
    assert synthetic.dtypes.equals(real.dtypes)
    assert synthetic.index.equals(pd.RangeIndex(len(synthetic)))


def test_the_constructor_only_stores(unfitted):
    for name, parameter in inspect.signature(type(unfitted)).parameters.items():
        marker = object()
        model = type(unfitted)(**{name: marker})
        assert getattr(model, name) is marker
        assert parameter.default is not inspect.Parameter.empty
    assert set(vars(type(unfitted)())) == set(unfitted.get_params())


def test_a_clone_is_unfitted_and_has_the_same_parameters(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.sample(1)


def test_every_parameter_has_a_rule_and_a_bad_value_is_named(unfitted, real):
    rules = unfitted._parameter_rules
    assert set(rules) | {"random_state"} == set(unfitted.get_params())
    for name, rule in rules.items():
        bad = next(value for value in BAD_VALUES if not any(part.admits(value) for part in rule))
        with pytest.raises(ParameterError, match=f"'{name}' parameter of {type(unfitted).__name__} must be"):
            clone(unfitted).set_params(**{name: bad}).fit(real)
    with pytest.raises(ParameterError, match="random_state must be"):
        clone(unfitted).set_params(random_state="x").fit(real)


def test_every_parameter_has_an_effect(unfitted, real):
    real = real[["single", "text"]]
    if isinstance(unfitted, CTGAN):
        return  # some of its parts need others: see test_ctgan
    changes = CHANGES[type(unfitted).__name__]
    assert set(changes) | set(NO_CHANGE) >= set(unfitted.get_params())
    baseline = fingerprint(clone(unfitted).fit(real))
    without = [
        name
        for name, value in changes.items()
        if fingerprint(clone(unfitted).set_params(**{name: value}).fit(real)) == baseline
    ]
    assert without == []


def fingerprint(model):
    """What was learned, to the last bit, and what is drawn from it."""
    arrays = sorted(model._state()[1].items())
    return [array.tobytes() for _, array in arrays], model.sample(30, random_state=0).to_csv()


def test_every_parameter_is_documented(unfitted):
    documented = inspect.getdoc(type(unfitted)).partition("Parameters\n")[2].partition("Attributes\n")[0]
    names = [line.split(":")[0] for line in documented.splitlines() if line[:1].isalpha()]
    assert {name.strip() for part in names for name in part.split(",")} >= set(unfitted.get_params())


def test_fit_returns_self_and_leaves_input_and_parameters_alone(unfitted, real):
    model, before = clone(unfitted), real.copy(deep=True)
    params = model.get_params()
    assert model.fit(real) is model
    pd.testing.assert_frame_equal(real, before)
    assert model.get_params() == params


def test_learned_names_end_with_an_underscore(unfitted, fitted):
    learned = set(vars(fitted)) - set(unfitted.get_params())
    assert {name for name in learned if not name.endswith("_")} == set()
    assert fitted.n_features_in_ == 15
    assert fitted.feature_names_in_.tolist() == mixed_table().columns.tolist()


def test_an_unfitted_model_says_so(unfitted, tmp_path):
    with pytest.raises(NotFittedError):
        clone(unfitted).sample(3)
    with pytest.raises(NotFittedError):
        clone(unfitted).save(tmp_path / "m.synthgan")
    assert not list(tmp_path.iterdir())


def test_refitting_forgets(unfitted, real):
    other = pd.DataFrame({"z": [1, 2, 3] * 10})
    model = clone(unfitted).fit(real).fit(other)
    fresh = clone(unfitted).fit(other)
    pd.testing.assert_frame_equal(model.sample(20, random_state=1), fresh.sample(20, random_state=1))


@pytest.mark.parametrize("n_samples", [0, 1, 7, BLOCK_ROWS + 1])
def test_a_sample_has_exactly_the_rows_and_the_schema_asked_for(fitted, real, n_samples):
    synthetic = fitted.sample(n_samples, random_state=0)
    assert len(synthetic) == n_samples
    assert_same_schema(synthetic, real)


def test_values_stay_within_what_was_seen(fitted, real):
    synthetic = fitted.sample(500, random_state=0)
    for name in ("float", "single", "int8", "uint64", "Int64", "when", "span"):
        values = synthetic[name].dropna()
        assert values.between(real[name].min(), real[name].max()).all(), name
    for name in ("text", "level", "same", "arrow"):
        assert set(synthetic[name].dropna()) <= set(real[name].dropna()), name


def test_missing_values_come_at_their_rate(fitted, real):
    synthetic = fitted.sample(2000, random_state=0)
    if not isinstance(fitted, CTGAN):  # it is not calibrated, and has hardly learned anything here
        assert (synthetic.isna().mean() - real.isna().mean()).abs().max() < 0.12
    complete = real.columns[~real.isna().any()]
    assert not synthetic[complete].isna().any().any()


def test_identifiers_are_made_up_and_unique(fitted, real):
    synthetic = fitted.sample(300, random_state=0)
    assert synthetic["id"].is_unique
    assert not set(synthetic["id"]) & set(real["id"])


@pytest.mark.parametrize("bad", [-1, 1.5, "3", True])
def test_a_bad_number_of_rows_is_refused(fitted, bad):
    with pytest.raises(ParameterError, match="'n_samples' parameter"):
        fitted.sample(bad)


def test_one_seed_gives_one_result(unfitted, fitted, real):
    again = clone(unfitted).fit(real)
    expected = fitted.sample(40, random_state=3)
    pd.testing.assert_frame_equal(again.sample(40, random_state=3), expected)
    pd.testing.assert_frame_equal(fitted.sample(40, random_state=3), expected)


def test_other_seeds_give_other_rows(fitted):
    drawn = [fitted.sample(40, random_state=seed) for seed in (3, 4, None, None)]
    assert not any(one.equals(other) for k, one in enumerate(drawn) for other in drawn[:k])


@pytest.mark.parametrize("options", [{}, {"conditions": {"text": ["b", None], "int8": (-50, None)}}], ids=str)
def test_the_first_rows_do_not_depend_on_how_many_are_drawn(fitted, options):
    many = fitted.sample(3 * BLOCK_ROWS + 300, random_state=5, **options)
    for blocks, rows in [(0, 1), (0, 100), (1, -1), (1, 0), (1, 1), (2, 0), (2, 7), (3, -1), (3, 0)]:
        k = blocks * BLOCK_ROWS + rows
        pd.testing.assert_frame_equal(fitted.sample(k, random_state=5, **options), many.head(k))


@pytest.mark.parametrize("n_passes", [1, 3])
def test_nor_do_they_where_a_network_draws_in_fewer_passes(n_passes, real):
    model = TabularGAN(**SMALL, random_state=0).fit(real[["float", "text", "level", "when"]])
    many = model.sample(2 * BLOCK_ROWS + 9, random_state=5, n_passes=n_passes)
    for k in (3, BLOCK_ROWS + 1, 2 * BLOCK_ROWS):
        pd.testing.assert_frame_equal(model.sample(k, random_state=5, n_passes=n_passes), many.head(k))


def fit_save_and_sample(folder):
    """Do all that one seed decides, for every synthesizer."""
    for number, ((unfitted,), *_) in enumerate(SYNTHESIZERS):
        model = clone(unfitted).fit(mixed_table())
        model.save(folder / f"{number}.synthgan")
        model.sample(50, random_state=2).to_csv(folder / f"{number}.csv")


def test_one_seed_gives_the_same_bytes_in_another_process(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    fit_save_and_sample(here)
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.synthesizers.test_common import fit_save_and_sample
fit_save_and_sample(Path("."))
"""
    environment = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=there, env=os.environ | environment)
    assert contents(here) == contents(there)


def contents(folder):
    """All bytes in the files of a folder, but for how many seconds a training has taken."""
    found = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    for path in folder.glob("*.synthgan"):
        with zipfile.ZipFile(path) as file:
            entries = {name: file.read(name) for name in file.namelist()}
        history = json.loads(entries.pop("history.json", b"[]"))
        entries["history"] = [{**row, "seconds": None} for row in history]
        del entries["manifest.json"]  # the hashes of the others
        found[path.name] = entries
    assert len(found) == 2 * len(SYNTHESIZERS)
    return found


def global_states():
    """Where the generators stand that belong to everybody."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), (kind, keys.tolist(), *rest), torch.get_rng_state().tolist()


def test_global_generators_are_neither_read_nor_advanced(unfitted, real, tmp_path):
    def everything():
        model = clone(unfitted).fit(real)
        model.save(tmp_path / "m.synthgan")
        again = load(tmp_path / "m.synthgan")
        drawn = again.sample(60, conditions={"text": "b"}, random_state=0)
        figures = evaluate(real, again.sample(60, random_state=0), parts=["privacy"], random_state=0)
        filled = again.impute(real, random_state=0)
        scores = again.score_samples(real).tolist() if hasattr(again, "score_samples") else []
        return drawn, filled, scores, figures.to_json()

    before = global_states()
    first = everything()
    assert global_states() == before
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    second = everything()
    pd.testing.assert_frame_equal(first[0], second[0])
    pd.testing.assert_frame_equal(first[1], second[1])
    assert first[2:] == second[2:]


@pytest.mark.slow
def test_nor_does_any_metric_touch_them(real):
    before = global_states()
    for _ in range(2):
        evaluate(real, real[::-1], holdout=real[:50], target="bool", random_state=0)
        assert global_states() == before


def test_threads_may_share_a_model(fitted, real):
    """Each of many calls at a time gives what it gives alone."""
    calls = [
        lambda seed: fitted.sample(300 + seed, random_state=seed),
        lambda seed: fitted.sample(40, conditions={"text": "b"}, random_state=seed),
        lambda seed: fitted.impute(real, random_state=seed),
    ]
    if hasattr(fitted, "score_samples"):
        calls.append(lambda seed: pd.DataFrame(fitted.score_samples(real[seed:])))
    jobs = [(call, seed) for seed in range(4) for call in calls]
    alone = [call(seed) for call, seed in jobs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            together = list(pool.map(lambda job: job[0](job[1]), jobs))
            for one, other in zip(together, alone, strict=True):
                pd.testing.assert_frame_equal(one, other)


def test_a_saved_model_samples_the_same_rows(fitted, tmp_path):
    fitted.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    assert type(again) is type(fitted)
    assert again.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(again.sample(50, random_state=2), fitted.sample(50, random_state=2))
    again.save(tmp_path / "again.synthgan")
    assert (tmp_path / "m.synthgan").read_bytes() == (tmp_path / "again.synthgan").read_bytes()


def test_a_fitted_model_can_be_pickled_by_its_owner(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.sample(10, random_state=2), fitted.sample(10, random_state=2))


@pytest.mark.parametrize("name", TINY)
def test_tiny_tables_come_back_with_their_schema(unfitted, name, tmp_path):
    real = TINY[name]
    model = clone(unfitted).fit(real)
    synthetic = model.sample(25, random_state=0)
    assert_same_schema(synthetic, real)
    model.save(tmp_path / "m.synthgan")
    pd.testing.assert_frame_equal(load(tmp_path / "m.synthgan").sample(25, random_state=0), synthetic)


def test_kinds_override_what_is_inferred(unfitted):
    real = pd.DataFrame({"zip": np.random.default_rng(0).choice([10115, 99999], 60), "x": 1.0})
    model = clone(unfitted).set_params(kinds={"zip": "categorical"}).fit(real)
    assert model.schema_.kinds["zip"] == "categorical"
    assert set(model.sample(50, random_state=0)["zip"]) <= {10115, 99999}


def test_paths_and_arrow_tables_are_read(unfitted, tmp_path):
    import pyarrow as pa

    real = pd.DataFrame({"a": [1, 2, 3] * 10, "b": list("xyz") * 10})
    real.to_csv(tmp_path / "t.csv", index=False)
    expected = clone(unfitted).fit(real).sample(9, random_state=0)
    for source in (tmp_path / "t.csv", str(tmp_path / "t.csv"), pa.Table.from_pandas(real)):
        pd.testing.assert_frame_equal(clone(unfitted).fit(source).sample(9, random_state=0), expected)


def test_an_array_is_a_table_with_numbered_columns(unfitted):
    real = pd.DataFrame({0: [0.5, 1.0, np.nan] * 10, 1: [3.0, 3.0, 4.0] * 10})
    model, framed = clone(unfitted).fit(real.to_numpy()), clone(unfitted).fit(real)
    pd.testing.assert_frame_equal(model.sample(9, random_state=0), framed.sample(9, random_state=0))
    assert model.n_features_in_ == 2
    assert not hasattr(model, "feature_names_in_")


def test_an_array_is_scored_by_its_numbered_columns(unfitted_scored):
    real = pd.DataFrame({0: [0.5, 1.0, np.nan] * 10, 1: [3.0, 3.0, 4.0] * 10})
    model, framed = clone(unfitted_scored).fit(real.to_numpy()), clone(unfitted_scored).fit(real)
    scores = framed.score_samples(real)
    assert model.score_samples(real) == pytest.approx(scores)
    assert framed.score_samples(real.to_numpy()) == pytest.approx(scores)
    assert framed.score_samples(real.to_numpy().tolist()) == pytest.approx(scores)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (pd.DataFrame(), "column"),
        (pd.DataFrame({"a": []}), "row"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame({"big": [1.0, np.inf, 2.0]}), "'big'"),
        (pd.DataFrame({"nested": [[1], [2, 3]]}), "'nested'"),
        (pd.DataFrame({"odd": [1 + 2j, 3j]}), "'odd'"),
        (np.zeros(3), "Expected 2D array"),
        (3, "DataFrame"),
        ("no/such/file.csv", "no/such"),
    ],
)
def test_a_bad_table_is_refused_by_name(unfitted, bad, words):
    with pytest.raises(DataError, match=words):
        clone(unfitted).fit(bad)


def test_a_failed_refit_keeps_the_old_model_or_none(unfitted, fitted):
    model = pickle.loads(pickle.dumps(fitted))
    expected = model.sample(5, random_state=0)
    with pytest.raises(SynthganError):
        model.fit(pd.DataFrame())
    pd.testing.assert_frame_equal(model.sample(5, random_state=0), expected)


# Conditions


def wide_table(n_rows=900):
    """A table with a column of so many categories that the rare ones share codes."""
    rng = np.random.default_rng(3)
    town = np.append(np.arange(300), np.minimum(rng.geometric(0.02, n_rows - 300), 299))
    return pd.DataFrame({"town": [f"town {k}" for k in town], "size": rng.normal(size=n_rows), "x": town % 3})


def test_each_category_of_each_column_can_be_asked_for(fitted, real):
    for name in ("text", "bool", "boolean", "level", "same", "none", "Int64", "arrow", "uint64"):
        for value in [*real[name].dropna().unique(), *([None] if real[name].isna().any() else [])]:
            drawn = fitted.sample(9, conditions={name: value}, random_state=0)
            assert_same_schema(drawn, real)
            kept = drawn[name].isna() if value is None else drawn[name] == value
            assert kept.all(), (name, value)


def test_each_member_of_a_group_of_rare_categories_can_be_asked_for(unfitted):
    real = wide_table()
    model = clone(unfitted).fit(real)
    assert model.codec_.layout_.spans[0].n_levels.max() > 1
    for value in real["town"].unique()[::29]:
        assert (model.sample(9, conditions={"town": value}, random_state=0)["town"] == value).all()
    some = real["town"].unique()[10:300:45].tolist()
    drawn = model.sample(300, conditions={"town": some, "size": (0, None)}, random_state=0)
    assert set(drawn["town"]) <= set(some)
    assert len(set(drawn["town"])) > 1
    assert (drawn["size"] >= 0).all()


@pytest.mark.parametrize("kind", ["float", "single", "int8", "uint64", "Int64", "when", "span", "arrow"])
def test_ranges_hold_also_where_they_are_open(fitted, real, kind):
    low, high = (real[kind].dropna().sort_values().iloc[k] for k in (30, 50))
    for ends in ((low, high), (low, None), (None, high), (low, low)):
        drawn = fitted.sample(60, conditions={kind: ends}, random_state=0)
        assert_same_schema(drawn, real)
        assert ends[0] is None or (drawn[kind] >= ends[0]).all()
        assert ends[1] is None or (drawn[kind] <= ends[1]).all()
        assert not drawn[kind].isna().any()


EVERYTHING = {
    "float": (-0.5, 0.5),
    "int8": [-100, 3, 99, 7],
    "text": ["b", None],
    "bool": True,
    "level": ["lo", "hi"],
    "Int64": None,
    "when": (pd.Timestamp("2024-01-05"), "2024-01-09"),
    "same": "only",
}


def test_many_conditions_hold_together_though_never_seen_together(fitted, real):
    known = {"int8": [v for v in range(-100, 100) if v in set(real["int8"])][:3]}
    conditions = EVERYTHING | known
    drawn = fitted.sample(300, conditions=conditions, random_state=0)
    assert_same_schema(drawn, real)
    assert drawn["float"].between(-0.5, 0.5).all()
    assert set(drawn["int8"]) <= set(known["int8"])
    assert set(drawn["text"].dropna()) <= {"b"}
    assert drawn["bool"].all()
    assert drawn["Int64"].isna().all()
    assert drawn["when"].dt.tz_localize(None).between("2024-01-05", "2024-01-09").all()
    assert drawn["id"].is_unique


def test_conditional_rows_are_reproducible_and_do_not_depend_on_how_many(fitted):
    conditions = {"float": (-0.5, 0.5), "text": ["b", None], "level": "hi"}
    many = fitted.sample(BLOCK_ROWS + 70, conditions=conditions, random_state=5)
    for k in (1, 50, BLOCK_ROWS):
        again = fitted.sample(k, conditions=conditions, random_state=5)
        pd.testing.assert_frame_equal(again, many.head(k))
    assert not fitted.sample(50, conditions=conditions, random_state=6).equals(many.head(50))
    assert fitted.sample(0, conditions=conditions).dtypes.equals(many.dtypes)
    assert len(fitted.sample(conditions=conditions)) == 1


def test_batches_are_the_rows_of_a_sample_wherever_they_begin(fitted):
    size = fitted.batch_rows_
    assert size == 2**16  # of 15 columns
    for conditions in (None, {"level": "hi", "float": (-0.5, None)}):
        options = {"conditions": conditions, "random_state": 3}
        whole = fitted.sample(size + 60, **options)
        first, last = fitted.sample_batches(size + 60, **options)
        assert_same_schema(first, whole)
        pd.testing.assert_frame_equal(first, whole.head(size))
        pd.testing.assert_frame_equal(last, whole.tail(60).reset_index(drop=True))
        (alone,) = fitted.sample_batches(size + 60, first_row=size, **options)
        pd.testing.assert_frame_equal(alone, last)
    assert whole["id"].is_unique


def test_batches_that_cannot_be_drawn_are_refused_at_once(unfitted, fitted, real):
    (none,) = fitted.sample_batches(0)
    assert_same_schema(none, real.head(0))
    for options, words in [
        ({"n_samples": -1}, "'n_samples' parameter"),
        ({"n_samples": 9, "first_row": 10}, "'first_row' parameter"),
        ({"n_samples": 9, "first_row": 5}, "multiple of 65,536"),
        ({"n_samples": 9, "conditions": real[["level"]]}, "must be a dict"),
    ]:
        with pytest.raises(ParameterError, match=words):
            fitted.sample_batches(**options)
    with pytest.raises(ConditionError, match="no category"):
        fitted.sample_batches(9, conditions={"level": "?"})
    with pytest.raises(NotFittedError):
        clone(unfitted).sample_batches(9)


def test_a_partial_frame_is_completed_row_by_row(fitted, real):
    part = real[["boolean", "float", "text", "int8", "when", "level", "arrow", "same"]].sample(
        frac=1, random_state=0
    )
    drawn = fitted.sample(conditions=part, random_state=0)
    assert_same_schema(drawn, real)
    pd.testing.assert_frame_equal(drawn[part.columns], part.reset_index(drop=True))
    assert fitted.sample(len(part), conditions=part, random_state=0).equals(drawn)
    assert not fitted.sample(conditions=part, random_state=1).equals(drawn)
    assert len(fitted.sample(conditions=part.head(0))) == 0
    assert len(fitted.sample(conditions=pd.DataFrame(index=range(7)))) == 7
    with pytest.raises(ParameterError, match="n_samples=3 and conditions with 120 rows"):
        fitted.sample(3, conditions=part)


def test_more_rows_than_a_block_can_be_given(fitted, real):
    part = pd.DataFrame({"text": ["b", "c,\n"] * BLOCK_ROWS})
    drawn = fitted.sample(conditions=part, random_state=0)
    assert (drawn["text"] == part["text"]).all()
    assert drawn["id"].is_unique


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"flaot": 1}, "Did you mean 'float'"),
        ({"text": "bb"}, "has no category 'bb'"),
        ({"text": ("a", "b")}, "takes no range"),
        ({"float": (1, -1)}, "empty range"),
        ({"int8": 1.5}, "cannot be 1.5"),
        ({"int8": 10**6}, "known values lie between"),
        ({"bool": None}, "no missing values"),
        ({"id": "id-00001"}, "is an identifier"),
        ({"same": "other"}, "is constant"),
        (pd.DataFrame({"text": [1]}), "has no category 1"),
        (pd.DataFrame({"int8": ["x"]}), "but has the dtype"),
        (pd.DataFrame({"id": ["x"]}), "is an identifier"),
    ],
)
def test_conditions_that_no_row_can_meet_are_refused(fitted, conditions, words):
    with pytest.raises(ConditionError) as error:
        fitted.sample(conditions=conditions)
    assert words in str(error.value)


@pytest.mark.parametrize("bad", ["text", 3, [("text", "b")]])
def test_conditions_of_another_type_are_refused(fitted, bad):
    with pytest.raises(ParameterError, match="'conditions' parameter"):
        fitted.sample(conditions=bad)


def with_gaps(real, share=0.3):
    """The table with cells removed at random, in the dtypes that then hold them."""
    exact = real.astype({"uint64": object})  # its digits would be lost in a float
    holes = exact.mask(np.random.default_rng(1).random(real.shape) < share)
    holes.index = range(1000, 1000 + len(real))
    return holes


def test_gaps_are_filled_and_given_cells_are_kept(fitted, real):
    holes = with_gaps(real)
    filled = fitted.impute(holes, random_state=0)
    assert filled.columns.equals(real.columns)
    assert filled.dtypes.equals(real.dtypes)
    assert filled.index.equals(holes.index)
    assert filled.notna().drop(columns="none").all(axis=None)
    for name in real.columns.drop("none"):
        kept = holes[name].notna().to_numpy()
        pd.testing.assert_series_equal(filled[name][kept], real[name].set_axis(holes.index)[kept])
    assert filled["id"].is_unique
    assert filled.equals(fitted.impute(holes[holes.columns[::-1]], random_state=0))


def test_several_imputations_differ_in_the_gaps_only(fitted, real):
    holes = with_gaps(real)
    draws = fitted.impute(holes, random_state=0, n_draws=3)
    assert len(draws) == 3
    assert draws[0].equals(fitted.impute(holes, random_state=0))
    assert not draws[0].equals(draws[1])
    assert not draws[1].equals(draws[2])
    assert all(fitted.impute(holes.head(0), n_draws=2)[k].dtypes.equals(real.dtypes) for k in (0, 1))


def test_a_complete_column_stays_and_bad_tables_are_refused(fitted, real):
    filled = fitted.impute(real, random_state=0)
    for name in real.columns[~real.isna().any()]:
        pd.testing.assert_series_equal(filled[name], real[name])
    with pytest.raises(DataError, match="lacks 1 of 15"):
        fitted.impute(real.drop(columns="text"))
    with pytest.raises(DataError, match="does not know: 'more'"):
        fitted.impute(real.assign(more=1))
    with pytest.raises(ConditionError, match="'int8' is numerical"):
        fitted.impute(real.assign(int8="x"))
    for bad in (0, 1.5, "2"):
        with pytest.raises(ParameterError, match="'n_draws' parameter"):
            fitted.impute(real, n_draws=bad)


def test_a_saved_model_meets_conditions_with_the_same_rows(fitted, real, tmp_path):
    fitted.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    conditions = {"float": (-0.5, None), "text": ["b", "ä"], "int8": (0, 20)}
    for options in ({"n_samples": 60, "conditions": conditions}, {"conditions": real[["text", "when"]]}):
        one, other = (model.sample(**options, random_state=2) for model in (fitted, again))
        pd.testing.assert_frame_equal(one, other)
    holes = with_gaps(real)
    pd.testing.assert_frame_equal(fitted.impute(holes, random_state=1), again.impute(holes, random_state=1))


def test_an_unfitted_model_takes_no_conditions(unfitted, real):
    with pytest.raises(NotFittedError):
        clone(unfitted).sample(conditions={"text": "b"})
    with pytest.raises(NotFittedError):
        clone(unfitted).impute(real)


@pytest.mark.parametrize("name", TINY)
def test_tiny_tables_are_completed_too(unfitted, name):
    real = TINY[name]
    model = clone(unfitted).fit(real)
    filled = model.impute(real.reset_index(drop=True), random_state=0)
    assert filled.dtypes.equals(real.dtypes)
    part = real.loc[:, [model.schema_[column].kind != "identifier" for column in real.columns]]
    drawn = model.sample(conditions=part, random_state=0)
    pd.testing.assert_frame_equal(drawn[part.columns], part.reset_index(drop=True), check_column_type=False)


# Scores


def test_every_row_has_a_finite_score_that_other_rows_do_not_change(scored, real):
    scores = scored.score_samples(real)
    assert scores.shape == (len(real),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert (scores <= 0).all()
    some = real.iloc[20:40][real.columns[::-1]]
    np.testing.assert_allclose(scored.score_samples(some), scores[20:40], rtol=1e-4)
    assert scored.score(real) == pytest.approx(scores.mean())
    assert scored.score(real, y=real["bool"]) == scored.score(real)
    assert scored.score_samples(real.head(0)).shape == (0,)


def test_scores_are_reproducible_and_survive_a_file(scored, real, tmp_path):
    scored.save(tmp_path / "m.synthgan")
    scores = scored.score_samples(real)
    np.testing.assert_array_equal(scores, scored.score_samples(real))
    np.testing.assert_array_equal(scores, load(tmp_path / "m.synthgan").score_samples(real))


def test_what_was_never_seen_lowers_the_score(scored, real):
    rows = real.head(5).astype({"text": object, "bool": object, "same": object})
    base = scored.score_samples(rows)
    changes = {"text": "never seen", "bool": None, "same": "another", "int8": 127, "none": 1.0}
    for name, value in changes.items():
        scores = scored.score_samples(rows.assign(**{name: value}))
        assert np.isfinite(scores).all(), name
        assert (scores < base).mean() >= 0.6, name
    assert scored.score_samples(rows.assign(same="x", none=1.0)) == pytest.approx(base - 2 * np.log(121))


def test_scores_of_bad_tables_are_refused(unfitted_scored, scored, real):
    with pytest.raises(NotFittedError):
        clone(unfitted_scored).score_samples(real)
    with pytest.raises(DataError, match="lacks 1 of 15"):
        scored.score_samples(real.drop(columns="text"))
    with pytest.raises(ConditionError, match="'int8' is numerical"):
        scored.score_samples(real.assign(int8="x"))


@pytest.mark.parametrize("name", TINY)
def test_tiny_tables_are_scored(unfitted_scored, name):
    scores = clone(unfitted_scored).fit(TINY[name]).score_samples(TINY[name])
    assert np.isfinite(scores).all()
    assert (scores <= 1e-6).all()


def test_a_search_for_parameters_can_choose_by_the_score(unfitted_scored, real):
    grid = {"kinds": [None, {"single": "categorical"}]}
    search = GridSearchCV(clone(unfitted_scored), grid, cv=2, error_score="raise").fit(
        real[["single", "text"]]
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_ in [{"kinds": value} for value in grid["kinds"]]
