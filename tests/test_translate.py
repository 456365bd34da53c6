import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from synthgan.errors import DataError, ParameterError
from synthgan.translate import TableTranslator, groups_of

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

    def test_history_names_and_attributes(self, translator, source):
        assert translator.fit(source, source.assign(age=source["age"] + 10)) is translator
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


class TestGroups:
    def test_columns_that_split_the_tables_are_passed_over(self):
        rng = np.random.default_rng(0)
        one, other = (np.stack([rng.integers(0, 3, 90), np.arange(90) + 90 * k], axis=1) for k in (0, 1))
        first, second = groups_of(one, other)
        assert len(set(first)) == len(set(second)) == 3
        assert [set(one[first == g, 0]) for g in range(3)] == [set(other[second == g, 0]) for g in range(3)]

    def test_without_columns_there_is_one_group(self):
        first, second = groups_of(np.zeros((3, 0), int), np.zeros((2, 0), int))
        assert (first.tolist(), second.tolist()) == ([0, 0, 0], [0, 0])
