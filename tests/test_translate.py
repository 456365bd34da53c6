import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as write_arrays
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from benchmarks import fuzz_model_file as fuzz
from synthgan import IndependentSynthesizer, load
from synthgan.errors import DataError, ModelFileError, ParameterError, SynthganError
from synthgan.synthesizers.archive import read_manifest
from synthgan.translate import TableTranslator
from tests.synthesizers.test_archive import everything_in, unique_values

SMALL = {"hidden_dim": 16, "n_blocks": 1, "n_steps": 8, "batch_size": 32, "n_critic": 1, "device": "cpu"}


def site(n_rows=200, seed=0):
    """A table of several kinds; income and level follow from age."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, n_rows)
    return pd.DataFrame(
        {
            "id": [f"r{seed}-{k}" for k in range(n_rows)],
            "age": age,
            "income": age * 50 + rng.normal(0, 200, n_rows),
            "visits": pd.Series(rng.poisson(20, n_rows), dtype="Int64").mask(rng.random(n_rows) < 0.1),
            "level": pd.Categorical.from_codes(np.digitize(age, [30, 50]), list("abc")),
            "sex": rng.choice(["F", "M"], n_rows),
            "ill": rng.random(n_rows) < 0.3,
            "country": "X",
        }
    )


@pytest.fixture(scope="module")
def source():
    return site()


@pytest.fixture(scope="module")
def target():
    return site(seed=1).assign(age=lambda t: t["age"] + 10)


@pytest.fixture(scope="module")
def translator(source, target):
    model = TableTranslator(
        keep=["ill", "sex"], **SMALL, generator_lr=1e-2, least_movement=0.0, random_state=0
    )
    return model.fit(source, target)


class TestTheFrame:
    @pytest.mark.parametrize("method", ["transform", "inverse_transform"])
    def test_columns_dtypes_index_and_what_is_kept_come_back(self, translator, source, method):
        frame = source.set_index(np.arange(len(source)) * 2)[source.columns[::-1]]
        before = frame.copy()
        made = getattr(translator, method)(frame)
        pd.testing.assert_frame_equal(frame, before)
        assert made.columns.equals(frame.columns)
        assert made.index.equals(frame.index)
        assert made.dtypes.equals(frame.dtypes)
        for name in ("id", "country", "ill", "sex"):
            pd.testing.assert_series_equal(made[name], frame[name])
        assert (made["age"] != frame["age"]).mean() > 0.9
        assert not made["age"].isna().any()

    def test_rows_translated_twice_give_the_same_and_seeds_differ(self, translator, source, target):
        made = translator.transform(source)
        assert made.equals(translator.transform(source))
        again = clone(translator).fit(source, target)
        assert made.equals(again.transform(source))
        other = clone(translator).set_params(random_state=1).fit(source, target)
        assert not made.equals(other.transform(source))

    def test_few_rows_none_and_unseen_numbers_are_translated(self, translator, source):
        one = source.head(1).assign(age=1000.0)
        assert translator.transform(one).shape == (1, 8)
        none = translator.transform(source.head(0))
        assert none.dtypes.equals(source.dtypes)
        assert len(none) == 0

    def test_global_generators_are_left_alone(self, source, target):
        state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        TableTranslator(**SMALL, random_state=0).fit(source, target).transform(source)
        assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), torch_state)


class TestWhatStays:
    def test_an_untrained_translation_changes_nothing(self, source, target):
        model = TableTranslator(**SMALL | {"n_steps": 1}, generator_lr=1e-12, random_state=0)
        model.fit(source, target)
        frame = source.assign(age=source["age"] * 100)  # far outside of what was fitted
        pd.testing.assert_frame_equal(model.transform(frame), frame)

    def test_numbers_that_move_by_less_than_asked_for_stay(self, translator, source):
        made = translator.transform(source)
        still = clone_of_fitted(translator, least_movement=9.0).transform(source)
        assert (made["age"] != source["age"]).any()
        pd.testing.assert_series_equal(still["age"], source["age"])
        pd.testing.assert_series_equal(still["visits"], source["visits"])

    def test_a_column_that_identifies_rows_within_one_table_passes_through(self, source, target):
        numbered = [t.assign(key=np.arange(len(t))) for t in (source, target)]  # the same keys in both
        made = TableTranslator(**SMALL, random_state=0).fit(*numbered).transform(numbered[0])
        assert made["key"].equals(numbered[0]["key"])

    def test_categories_of_a_group_are_told_apart(self):
        rng = np.random.default_rng(0)
        towns = [f"t{k}" for k in range(300)]  # rare ones share codes
        one, other = (
            pd.DataFrame({"town": rng.choice(towns, 900), "x": rng.normal(size=900)}) for _ in range(2)
        )
        other["town"] = towns + list(other["town"][300:])
        model = TableTranslator(**SMALL | {"n_steps": 1}, random_state=0).fit(one, other)
        assert len(model.split_.view.sizes) == 2  # the code, and the member of the group
        made = model.transform(one)
        assert made["town"].equals(one["town"])
        model.least_chance = 0.0  # an untrained mapping draws another member with the probability .05
        drawn = model.transform(one)
        assert 0.03 < (drawn["town"] != one["town"]).mean() < 0.2


def clone_of_fitted(model, **parameters):
    """The same fitted translator with other parameters of drawing."""
    other = TableTranslator()
    vars(other).update(vars(model) | parameters)
    return other


class TestWhatIsLearned:
    def test_a_shift_that_depends_on_another_column_is_undone(self):
        def table(seed):
            rng = np.random.default_rng(seed)
            sex = rng.choice(["F", "M"], 800)
            return pd.DataFrame({"x": rng.normal(size=800), "z": rng.normal(size=800), "sex": sex})

        def shifted(frame):
            return frame.assign(x=frame["x"] + np.where(frame["sex"] == "F", 1.0, -1.0))

        source, target = table(0), shifted(table(1))
        model = TableTranslator(keep=["sex"], hidden_dim=32, n_steps=250, batch_size=128, device="cpu")
        model.set_params(generator_lr=2e-3, critic_lr=4e-3, random_state=0).fit(source, target)
        made, truth = model.transform(source), shifted(source)
        there = rmse(made["x"], truth["x"])
        assert there < 0.5 * rmse(matched(source["x"], target["x"]), truth["x"])
        assert there < 0.5 * rmse(source["x"], truth["x"])
        assert rmse(made["z"], source["z"]) < 0.35
        back = model.inverse_transform(truth)
        assert rmse(back["x"], source["x"]) < 0.5 * rmse(truth["x"], source["x"])
        assert rmse(model.inverse_transform(made)["x"], source["x"]) < 0.3


def matched(values, others):
    """Match quantiles: the value of the same rank among others."""
    return np.quantile(others, (values.rank() - 0.5) / len(values))


def rmse(found, truth):
    return np.sqrt(((found - truth) ** 2).mean())


class TestRefusals:
    def test_tables_that_differ_are_refused_by_name(self, source, target):
        model = TableTranslator(**SMALL)
        with pytest.raises(DataError, match=r"target must be a table like the source.*'age'"):
            model.fit(source, target.drop(columns="age"))
        with pytest.raises(DataError, match=r"does not know: 'more'"):
            model.fit(source, target.assign(more=1))
        with pytest.raises(DataError, match=r"'income' has the dtype"):
            model.fit(source, target.astype({"income": "float32"}))
        with pytest.raises(DataError, match="at least one row"):
            model.fit(source, target.head(0))

    def test_rows_of_other_tables_are_refused_by_name(self, translator, source):
        with pytest.raises(DataError, match=r"lacks 1 of 8 columns.*'age'"):
            translator.transform(source.drop(columns="age"))
        with pytest.raises(DataError, match="'more'"):
            translator.transform(source.assign(more=1))
        with pytest.raises(DataError, match="'age' has the dtype"):
            translator.transform(source.astype({"age": "float32"}))
        with pytest.raises(DataError, match="'sex' has 200 values that did not occur"):
            translator.transform(source.assign(sex="Q"))
        with pytest.raises(DataError, match="'age' has 200 missing values"):
            translator.transform(source.assign(age=np.nan))

    def test_an_unfitted_translator_says_so(self, source):
        with pytest.raises(NotFittedError):
            TableTranslator().transform(source)
        with pytest.raises(NotFittedError):
            TableTranslator().inverse_transform(source)

    def test_keep_must_name_columns_and_leave_some(self, source, target):
        with pytest.raises(ParameterError, match=r"'agee', which is not a column. Did you mean 'age'"):
            TableTranslator(keep=["agee"]).fit(source, target)
        with pytest.raises(ParameterError, match="No column is left"):
            TableTranslator(keep=list(source.columns)).fit(source, target)

    @pytest.mark.parametrize("name", sorted(TableTranslator._parameter_rules))
    def test_bad_parameters_are_refused(self, source, target, name):
        with pytest.raises(ParameterError, match=f"'{name}' parameter of TableTranslator must be"):
            TableTranslator(**{name: object()}).fit(source, target)


OTHER = {
    "keep": ["level"],
    "kinds": {"level": "categorical", "visits": "categorical"},
    "hidden_dim": 24,
    "n_blocks": 2,
    "n_steps": 20,
    "batch_size": 16,
    "gan_loss": "relativistic",
    "n_critic": 2,
    "gradient_penalty": 1.0,
    "penalty_interval": 1,
    "cycle_weight": 5.0,
    "identity_weight": 1.0,
    "movement_weight": 3.0,
    "least_movement": 0.2,
    "least_chance": 0.0,
    "generator_lr": 3e-2,
    "critic_lr": 1e-2,
}


class TestTheEstimator:
    @pytest.mark.parametrize("name", sorted(OTHER))
    def test_every_parameter_has_an_effect(self, translator, source, target, name):
        other = clone(translator).set_params(**{name: OTHER[name]}).fit(source, target)
        assert not other.transform(source).equals(translator.transform(source))

    def test_no_parameter_is_without_a_test(self):
        untested = {"max_seconds", "device", "verbose", "random_state"}
        assert set(OTHER) | untested == set(TableTranslator().get_params())

    def test_the_constructor_only_stores(self):
        keep = ["a"]
        model = TableTranslator(keep=keep)
        assert model.keep is keep
        assert not [name for name in vars(model) if name.endswith("_")]

    def test_history_names_and_attributes(self, source, target):
        translator = TableTranslator(**SMALL, random_state=0)
        assert translator.fit(source, target) is translator
        assert len(translator.history_) == 8
        curves = {"critic_loss", "generator_loss", "wasserstein", "gradient_norm", "cycle", "movement"}
        assert curves <= set(translator.history_)
        assert np.isfinite(translator.history_[sorted(curves)]).all(axis=None)
        assert translator.n_features_in_ == 8
        assert list(translator.feature_names_in_) == list(source.columns)
        assert not translator.interrupted_

    def test_a_callback_watches_and_stops(self, source, target):
        steps = []

        class Stop:
            def on_interval(self, state):
                steps.append(state.step)
                if state.step == 3:
                    state.stop()

        TableTranslator(**SMALL, random_state=0).fit(source, target, callbacks=[Stop()])
        assert steps == [1, 2, 3]

    def test_a_checkpoint_is_refused(self, source, target, tmp_path):
        class Save:
            def on_interval(self, state):
                state.save(tmp_path / "file")

        with pytest.raises(ParameterError, match="no checkpoints"):
            TableTranslator(**SMALL).fit(source, target, callbacks=[Save()])

    def test_a_budget_ends_the_training(self, source, target):
        model = TableTranslator(**SMALL | {"n_steps": 10**6}, max_seconds=0.3, random_state=0)
        assert model.fit(source, target).history_["step"].iloc[-1] < 10**5

    def test_tables_of_one_kind_and_odd_names_are_translated(self):
        rng = np.random.default_rng(0)
        for values in (rng.normal(size=(60, 2)), rng.integers(0, 3, (60, 2)).astype(str)):
            frame = pd.DataFrame(values, columns=[0, "a b"])
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                made = TableTranslator(**SMALL, random_state=0).fit(frame, frame[::-1]).transform(frame)
            assert made.dtypes.equals(frame.dtypes)


@pytest.fixture(scope="module")
def content(translator, tmp_path_factory):
    """The file of a translator."""
    path = tmp_path_factory.mktemp("translator") / "m.synthgan"
    translator.save(path)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    (tmp_path / "m.synthgan").write_bytes(content)
    return tmp_path / "m.synthgan"


class TestFiles:
    def test_a_loaded_translator_translates_to_the_last_digit(self, translator, path, source, target):
        again = TableTranslator.load(path)
        assert again.get_params() == translator.get_params()
        unseen = site(3000, seed=7).assign(age=lambda t: t["age"] * 3)  # also beyond what was fitted
        for frame in (source, target, unseen.assign(level=unseen["level"].astype(source["level"].dtype))):
            pd.testing.assert_frame_equal(
                again.transform(frame), translator.transform(frame), check_exact=True
            )
            pd.testing.assert_frame_equal(
                again.inverse_transform(frame), translator.inverse_transform(frame), check_exact=True
            )
        assert (again.seed_, again.n_rows_, again.n_features_in_) == (0, 400, 8)
        assert again.interrupted_ is translator.interrupted_
        pd.testing.assert_frame_equal(again.history_, translator.history_)

    @pytest.mark.parametrize("name", ["least_movement", "least_chance"])
    def test_parameters_of_drawing_still_have_their_effect(self, translator, path, source, name):
        again = TableTranslator.load(path).set_params(**{name: OTHER[name]})
        other = clone_of_fitted(translator, **{name: OTHER[name]}).transform(source)
        pd.testing.assert_frame_equal(again.transform(source), other)

    def test_columns_are_kept_that_were_kept_in_fit(self, translator, source, path):
        clone_of_fitted(translator, keep=["level"]).save(path)
        made = TableTranslator.load(path).transform(source)
        pd.testing.assert_frame_equal(made, translator.transform(source))

    def test_odd_names_and_what_is_kept_come_back(self, path):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=[0, "a b", "ü"])
        for keep in ([0], ("ü", 0)):
            model = TableTranslator(**SMALL, keep=keep, random_state=0).fit(frame, frame[::-1] + 1)
            model.save(path)
            again = TableTranslator.load(path)
            assert again.keep == keep
            assert again.transform(frame).equals(model.transform(frame))

    def test_equal_translators_give_equal_files(self, source, target, tmp_path):
        first, second = tmp_path / "1.synthgan", tmp_path / "2.synthgan"
        TableTranslator(**SMALL, random_state=0).fit(source, target).save(first)
        TableTranslator.load(first).save(second)
        assert first.read_bytes() == second.read_bytes()
        TableTranslator(**SMALL, random_state=0).fit(source, target).save(second)
        one, other = (fuzz.entries_of(path.read_bytes()) for path in (first, second))
        clocks = {"history.json", "manifest.json"}  # seconds, and the hash of them
        assert {name for name in one if one[name] != other[name]} <= clocks

    def test_the_manifest_says_what_it_is(self, path):
        manifest = read_manifest(path)
        assert (manifest["estimator"], manifest["format_version"]) == ("table-translator", 1)
        assert manifest["train"] == {"n_rows": 400, "n_columns": 8, "seed": 0}

    def test_critics_are_not_in_it(self, content):
        weights = fuzz.entries_of(content)["weights.safetensors"]
        assert b'"to_source.first.weight"' in weights
        assert b"critic" not in weights

    def test_it_is_told_from_synthesizers(self, path, source, tmp_path):
        with pytest.raises(
            ModelFileError, match=r"m.synthgan' holds a model of TableTranslator. Read it with TableTra"
        ):
            load(path)
        IndependentSynthesizer(random_state=0).fit(source).save(path)
        with pytest.raises(
            ModelFileError, match=r"holds a model of IndependentSynthesizer. Read it with synthgan.load"
        ):
            TableTranslator.load(path)
        with pytest.raises(ModelFileError, match="There is no model file"):
            TableTranslator.load(tmp_path / "none.synthgan")

    def test_an_unfitted_translator_has_nothing_to_save(self, tmp_path):
        with pytest.raises(NotFittedError):
            TableTranslator().save(tmp_path / "m.synthgan")
        assert not list(tmp_path.iterdir())

    def test_every_truncation_is_refused(self, path, content):
        for part in range(32):
            path.write_bytes(content[: len(content) * part // 32])
            with pytest.raises(ModelFileError, match="synthgan"):
                TableTranslator.load(path)

    @pytest.mark.parametrize("name", ["shares", "moves"])
    @pytest.mark.parametrize("spoil", [lambda a: a[:-1], lambda a: a.astype(np.float32), lambda a: a[None]])
    def test_arrays_that_do_not_fit_are_refused(self, path, content, name, spoil):
        forge(path, content, lambda arrays: arrays | {name: np.ascontiguousarray(spoil(arrays[name]))})
        with pytest.raises(ModelFileError, match="do not fit its columns"):
            TableTranslator.load(path)

    def test_shares_and_weights_that_cannot_be_are_refused(self, path, content):
        for change, message in [
            (lambda a: a | {"shares": -a["shares"]}, "do not fit its columns"),
            (lambda a: a | {"to_source.out.bias": np.zeros(1, np.float32)}, "do not fit the mappings"),
            (lambda a: {key: a[key] for key in a if key != "to_source.out.bias"}, "do not fit the mappings"),
            (lambda a: {key: a[key] for key in a if key != "moves"}, "damaged"),
        ]:
            forge(path, content, change)
            with pytest.raises(ModelFileError, match=message):
                TableTranslator.load(path)

    @pytest.mark.filterwarnings("ignore")  # of what overflows in mutants that work
    @pytest.mark.parametrize("n_mutants", [60, pytest.param(2000, marks=pytest.mark.slow)])
    def test_a_mutant_is_refused_or_works(self, path, content, source, n_mutants):
        found = set()
        for k in range(n_mutants):
            what, changed = fuzz.mutant(content, np.random.default_rng(k))
            path.write_bytes(changed)
            try:
                made = TableTranslator.load(path).transform(source.head(3))
            except ModelFileError:
                found.add("refused")
            except SynthganError:
                found.add("cannot translate")  # rows of another schema
            except Exception as error:
                pytest.fail(f"mutant {k}, {what}: {error!r}")
            else:
                assert made.shape == (3, 8), f"mutant {k}, {what}"
                found.add("works")
        assert {"refused", "works"} <= found

    def test_it_holds_no_value_of_a_row_but_extremes(self, tmp_path):
        real = unique_values()
        kinds = {"cents": "numerical", "large": "numerical", "time": "datetime"}
        model = TableTranslator(**SMALL, kinds=kinds, random_state=0)
        model.fit(real.iloc[::2], real.iloc[1::2]).save(tmp_path / "m.synthgan")
        held = everything_in((tmp_path / "m.synthgan").read_bytes())
        assert not held & set(real["name"])
        for name in ("amount", "cents", "large", "time"):
            plain = real[name].astype("int64") if name == "time" else real[name]
            own = set(plain.tolist()) - {plain.min(), plain.max()}
            assert not {value for value in held & own if abs(value) >= 10_000 or value % 1}, name


def forge(path, content, change):
    """Change the arrays of a file and make the hashes agree."""
    entries = fuzz.entries_of(content)
    entries["weights.safetensors"] = write_arrays(change(read_arrays(entries["weights.safetensors"])))
    path.write_bytes(fuzz.archive_of(entries, json.loads(entries["manifest.json"])))
