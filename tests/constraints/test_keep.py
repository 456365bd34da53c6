"""Rules are kept whatever the model knows: the floor, which knows nothing, is the hardest case."""

import numpy as np
import pandas as pd
import pytest

from synthgan import CTGAN, IndependentSynthesizer, TabularGAN, load
from synthgan.constraints import (
    FixedCombinations,
    FunctionalDependency,
    Inequality,
    Predicate,
    Product,
    Sum,
    Unique,
    detect,
)
from synthgan.constraints.keep import BARREN_TRIES, bind, determined
from synthgan.errors import ConditionError, DataError, ParameterError
from synthgan.schema import Schema
from synthgan.synthesizers.base import BLOCK_ROWS
from tests.constraints.test_detect import orders

SMALL = {"hidden_dim": 16, "n_blocks": 1, "latent_dim": 4, "noise_dim": 4, "n_steps": 20, "n_gan_steps": 4}
SMALL |= {"batch_size": 64, "gan_batch_size": 16}


def table(n_rows=900):
    rng = np.random.default_rng(3)
    city = rng.integers(0, 6, n_rows)
    cents = rng.integers(1, 9_999, (2, n_rows))
    low = rng.integers(0, 100, n_rows)
    start = pd.Timestamp("2024-01-01") + pd.Series(pd.to_timedelta(rng.integers(0, 500, n_rows), unit="D"))
    length = pd.Series(pd.to_timedelta(rng.integers(0, 30, n_rows), unit="D"))
    return pd.DataFrame(
        {
            "city": pd.Series(city).map(lambda k: f"city {k}").astype("category"),
            "country": pd.Series(city % 2).map({0: "even", 1: "odd"}),
            "code": (city * 10).astype("int16"),
            "net": cents[0] / 100,
            "tax": cents[1] / 100,
            "gross": cents.sum(axis=0) / 100,
            "start": start.where(rng.random(n_rows) < 0.9),
            "length": length,
            "end": start + length,
            "low": low,
            "high": low + rng.integers(0, 50, n_rows),
            "id": [f"id-{k:05d}" for k in rng.permutation(n_rows)],
        }
    ).astype({"high": "Int64"})


RULES = [
    FunctionalDependency("city", "country"),
    FunctionalDependency("city", "code"),
    Sum("gross", ["net", "tax"]),
    Sum("end", ["start", "length"]),
    Inequality("low", "high"),
]


@pytest.fixture(scope="module")
def real():
    return table()


@pytest.fixture(scope="module", params=[IndependentSynthesizer(), TabularGAN(**SMALL)], ids=["floor", "gan"])
def model(request, real):
    return request.param.set_params(constraints=RULES, random_state=0).fit(real)


def assert_kept(model, rows):
    for rule in model.constraints_:
        assert rule.holds(rows).all(), rule


def test_every_row_keeps_every_rule_and_the_schema(model, real):
    rows = model.sample(1500, random_state=0)
    assert_kept(model, rows)
    assert rows.dtypes.equals(real.dtypes)
    assert rows["id"].is_unique
    for name in ("net", "tax", "gross", "low", "high", "start", "end", "length"):
        assert rows[name].dropna().between(real[name].min(), real[name].max()).all(), name
    assert (rows["gross"] == (rows["gross"]).round(2)).all()
    assert abs(rows["start"].isna().mean() - 0.1) < 0.1


def test_the_first_rows_do_not_depend_on_how_many_are_drawn(model):
    many = model.sample(BLOCK_ROWS + 700, random_state=5)
    for k in (1, 300, BLOCK_ROWS):
        pd.testing.assert_frame_equal(model.sample(k, random_state=5), many.head(k))


@pytest.mark.parametrize(
    "asked",
    [
        {"country": "odd"},
        {"code": [0, 10, 50], "country": "odd"},
        {"code": (20, 40)},
        {"gross": (50, 60)},
        {"gross": (50, 60), "net": (10, 20)},
        {"gross": (50, 60), "net": (10, 20), "tax": (35, 45)},
        {"gross": 70.25, "tax": 20.0},
        {"net": 20.0, "tax": 0.5, "gross": 20.5},
        {"end": ("2024-03-01", "2024-04-01")},
        {"end": ("2024-03-01", "2024-04-01"), "start": None},
        {"high": (10, 20)},
        {"low": 30, "high": [30, 40]},
    ],
    ids=str,
)
def test_rules_and_conditions_hold_together(model, asked):
    rows = model.sample(120, conditions=asked, random_state=1)
    assert len(rows) == 120
    assert_kept(model, rows)
    for name, wanted in asked.items():
        if isinstance(wanted, tuple):
            assert rows[name].between(*wanted).all()
        elif wanted is None:
            assert rows[name].isna().all()
        else:
            assert rows[name].isin(wanted if isinstance(wanted, list) else [wanted]).all()


@pytest.mark.parametrize(
    "asked",
    [
        {"country": "odd", "code": 20},
        {"net": 20.0, "tax": 0.5, "gross": 99.5},
        {"low": 90, "high": 10},
    ],
    ids=str,
)
def test_conditions_that_break_a_rule_are_refused_at_once(model, asked):
    with pytest.raises(ConditionError, match=r"determines|what is given breaks"):
        model.sample(5, conditions=asked)


def test_conditions_that_no_draw_can_meet_are_refused_after_a_bounded_number_of_tries(real):
    model = IndependentSynthesizer(constraints=[Inequality("low", "high")]).fit(real)
    with pytest.raises(ConditionError, match=r"After 5 tries Inequality.* is broken in"):
        model.sample(5, conditions={"low": (90, 99), "high": (0, 20)})


def test_partial_frames_keep_their_cells_and_the_rules(model, real):
    given = real[["end", "country", "high", "gross"]].tail(80)
    rows = model.sample(conditions=given, random_state=2)
    assert_kept(model, rows)
    for name in given:
        assert (rows[name].to_numpy() == given[name].to_numpy()).all()
    assert len(set(rows.loc[rows["country"] == "odd", "city"])) > 1  # several cities fit: one is drawn


def test_gaps_are_filled_by_the_rules(model, real):
    rng = np.random.default_rng(0)
    gaps = real.head(150).astype({"code": "Int16"})
    for name in ("city", "country", "code", "gross", "net", "end", "low"):
        gaps[name] = gaps[name].where(rng.random(150) < 0.6)
    filled = model.impute(gaps, random_state=0)
    assert_kept(model, filled)
    assert not filled.isna().any().any()
    for name in gaps:
        kept = gaps[name].notna()
        assert (filled.loc[kept, name] == gaps.loc[kept, name]).all()


def test_cells_that_break_a_rule_are_kept_where_gaps_are_filled(model, real):
    odd = real.head(3).assign(low=[90, 5, 5], high=pd.array([10, None, 7], dtype="Int64"), code=[0, 10, 77])
    filled = model.impute(odd.astype({"code": "int16"}), random_state=0)
    assert filled["low"].tolist() == [90, 5, 5]
    assert filled["high"].iloc[[0, 2]].tolist() == [10, 7]
    assert filled["high"].iloc[1] >= 5
    assert filled["code"].tolist() == [0, 10, 77]


def test_a_saved_model_keeps_its_rules(model, tmp_path):
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    assert again.constraints == RULES
    assert again.constraints_ == model.constraints_
    pd.testing.assert_frame_equal(again.sample(60, random_state=1), model.sample(60, random_state=1))
    with pytest.raises(ConditionError):
        again.sample(1, conditions={"low": 90, "high": 10})


def test_a_batch_that_is_drawn_by_itself_keeps_the_rules_with_the_same_rows(real):
    model = IndependentSynthesizer(constraints=RULES, random_state=0).fit(real)
    size = model.batch_rows_
    whole = model.sample(size + 3000, random_state=5)
    assert_kept(model, whole)
    (last,) = model.sample_batches(size + 3000, first_row=size, random_state=5)
    pd.testing.assert_frame_equal(last, whole.tail(3000).reset_index(drop=True))
    pd.testing.assert_frame_equal(model.sample(size + 100, random_state=5), whole.head(size + 100))


def test_rows_may_be_unique(real):
    model = IndependentSynthesizer(constraints=[Unique(["low", "city"])], random_state=0).fit(real)
    rows = model.sample(400, random_state=0)
    assert not rows.duplicated(["low", "city"]).any()
    pd.testing.assert_frame_equal(model.sample(150, random_state=0), rows.head(150))
    with pytest.raises(ConditionError, match="as Unique does"):
        model.sample_batches(400)
    few = IndependentSynthesizer(constraints=[Unique(["city"], max_tries=5)], random_state=0).fit(real)
    assert sorted(few.sample(6, random_state=0)["city"]) == sorted(real["city"].cat.categories)
    with pytest.raises(ConditionError, match="Ask for fewer rows"):
        few.sample(7, random_state=0)


def test_rows_that_are_rarely_unique_are_not_given_up_before_all_tries():
    """The last of ten rows gets the one value that is left once in ten draws."""
    real = pd.DataFrame({"level": list("abcdefghij") * 20, "part": ["x", "y"] * 100})
    model = IndependentSynthesizer(constraints=[Unique(["level"])], random_state=0).fit(real)
    for seed in range(5):
        given = model.sample(conditions=real[["part"]].head(10), random_state=seed)
        assert sorted(given["level"]) == list("abcdefghij")
        assert sorted(model.sample(10, random_state=seed)["level"]) == list("abcdefghij")


def unlike(frame, names, **options):
    """A model whose rows are to be unlike each other, and the list of how many rows each draw had."""
    asked = []
    counted = Predicate(lambda rows: asked.append(len(rows)) or np.ones(len(rows), dtype=bool))
    model = IndependentSynthesizer(constraints=[Unique(names, **options), counted], random_state=0).fit(frame)
    asked.clear()
    return model, asked


def test_more_unlike_rows_than_there_are_values_are_refused_at_once():
    frame = pd.DataFrame({"level": list("abcdef") * 50, "part": ["x", "y", None] * 100})
    model, asked = unlike(frame, ["level", "part"])
    with pytest.raises(ConditionError, match=r"hold in 19 rows: .* 18 combinations.* Ask for fewer rows"):
        model.sample(19, random_state=0)
    with pytest.raises(ConditionError, match="hold in 300 rows"):
        model.sample(conditions=frame, random_state=0)
    assert asked == []


def test_more_unlike_rows_than_are_drawn_are_given_up_soon():
    """The six levels are found in a few tries, and then five more find nothing new."""
    frame = pd.DataFrame({"level": list("abcdef") * 50, "part": ["x", "y", "y"] * 100})
    model, asked = unlike(frame, ["level", "part"])
    with pytest.raises(ConditionError, match=r"Unique.* is broken in 1 of 7 rows\. Ask for fewer rows"):
        model.sample(7, conditions={"part": "x"}, random_state=0)
    assert sum(asked) < 12 * BLOCK_ROWS
    model, asked = unlike(frame, ["level", "part"], max_tries=400)
    with pytest.raises(ConditionError, match=r"Unique.* is broken in 6 of 12 rows"):
        model.sample(12, conditions={"part": "x"}, random_state=0)
    assert 20 * BLOCK_ROWS < sum(asked) < 30 * BLOCK_ROWS


def test_given_rows_that_are_alike_are_given_up_soon():
    frame = pd.DataFrame({"level": list("abcdef") * 50, "part": ["x", "y", "y"] * 100})
    model, asked = unlike(frame, ["level"])
    given = pd.DataFrame({"level": list("abbc")})
    with pytest.raises(ConditionError, match=r"Unique.* is broken in 1 of 4 rows"):
        model.sample(conditions=given, random_state=0)
    assert sum(asked) < (BARREN_TRIES + 1) * BLOCK_ROWS
    asked.clear()
    filled = model.impute(given.assign(part=None), random_state=0)
    assert filled["level"].tolist() == list("abbc")
    assert sum(asked) < (BARREN_TRIES + 1) * BLOCK_ROWS


def test_a_level_that_is_rarely_drawn_is_waited_for():
    """One row in 2,000 has the third level: some tries find none, but hardly five in a row."""
    frame = pd.DataFrame({"level": ["a"] * 1000 + ["b"] * 999 + ["c"]})
    model, _ = unlike(frame, ["level"], max_tries=10_000)
    assert sorted(model.sample(3, random_state=0)["level"]) == ["a", "b", "c"]


def test_a_predicate_of_the_user_is_kept_or_refused(real, tmp_path):
    even = IndependentSynthesizer(constraints=[Predicate(lambda rows: rows["low"] % 7 == 0)]).fit(real)
    assert (even.sample(300, random_state=0)["low"] % 7 == 0).all()
    with pytest.raises(DataError, match="A Predicate is code"):
        even.save(tmp_path / "m.synthgan")
    assert not list(tmp_path.iterdir())
    never = IndependentSynthesizer(constraints=[Predicate(lambda rows: rows["low"] < 0, max_tries=3)])
    with pytest.raises(
        ConditionError, match=r"After 3 tries .* is broken in 2,048 of 2,048 rows\. .*give it more max_tries"
    ):
        never.fit(real).sample(5, random_state=0)


def sampled(model, function, n_samples=5, **options):
    """Rows under one predicate, and how many rows it was asked about on the way."""
    asked = []

    def counted(rows):
        asked.append(len(rows))
        return function(rows)

    model.constraints_ = [Predicate(counted, **options)]
    try:
        rows = model.sample(n_samples, random_state=0)
    except ConditionError as error:
        rows = error
    return rows, sum(asked)


@pytest.fixture(scope="module")
def even():
    """A model of a number from 0 to 9999, each as often, and two parts."""
    frame = pd.DataFrame({"k": range(10_000), "part": ["a", "b"] * 5000})
    return IndependentSynthesizer(kinds={"k": "numerical"}, constraints=[], random_state=0).fit(frame)


def test_a_hopeless_predicate_is_given_up_soon_and_later_with_more_tries(even):
    error, n_asked = sampled(even, lambda rows: rows["k"] < 0)
    assert "After 5 tries" in str(error)
    assert n_asked == 5 + BARREN_TRIES * BLOCK_ROWS
    error, n_asked = sampled(even, lambda rows: rows["k"] < 0, max_tries=400)
    assert "After 20 tries" in str(error)
    assert n_asked == 5 + 4 * BARREN_TRIES * BLOCK_ROWS
    assert "After 2 tries" in str(sampled(even, lambda rows: rows["k"] < 0, max_tries=2)[0])


def test_a_predicate_that_one_row_in_a_hundred_keeps_is_kept(even):
    rows, n_asked = sampled(even, lambda rows: rows["k"] < 100, n_samples=1000)
    assert rows["k"].between(0, 99).all()
    assert len(rows) == 1000
    assert 60_000 < n_asked < 160_000


def test_a_predicate_that_too_few_rows_keep_is_given_up_before_all_tries(even):
    """At one row in 2,000 all of 100 tries would give 102 rows."""
    rows, _ = sampled(even, lambda rows: rows["k"] < 5, n_samples=60)
    assert (rows["k"] < 5).all()
    error, n_asked = sampled(even, lambda rows: rows["k"] < 5, n_samples=1000)
    assert "tries Predicate" in str(error)
    assert n_asked < 20 * BLOCK_ROWS


def test_given_rows_that_cannot_keep_a_predicate_are_given_up_soon(even):
    part = pd.DataFrame({"part": ["a", "b"] * 100})
    asked = []
    even.constraints_ = [Predicate(lambda rows: asked.append(len(rows)) or rows["part"] == "a")]
    with pytest.raises(ConditionError, match=r"After 5 tries .* in 100 of 200 rows"):
        even.sample(conditions=part, random_state=0)
    assert sum(asked) < (BARREN_TRIES + 1) * BLOCK_ROWS + 2000
    even.constraints_ = [Predicate(lambda rows: rows["k"] < 100)]
    assert (even.sample(conditions=part, random_state=0)["k"] < 100).all()


@pytest.fixture(
    scope="module",
    params=[IndependentSynthesizer(constraints="auto"), TabularGAN(**SMALL)],
    ids=["floor", "gan"],
)
def shop(request):
    """A model that has found out that cost = price * quantity and due = cost + fee + tip."""
    model = request.param.set_params(random_state=0).fit(orders())
    assert [type(rule) for rule in model.constraints_[:3]] == [FunctionalDependency, Product, Sum]
    return model


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {"quantity": 3},
        {"cost": (20, 40)},
        {"cost": 8.8, "quantity": 4},
        {"article": "article 3", "due": (30, 40)},
        {"price": (2.5, 3.5), "fee": 1.0},
    ],
    ids=str,
)
def test_products_and_sums_of_three_are_kept(shop, asked):
    rows = shop.sample(200, conditions=asked, random_state=0)
    assert_kept(shop, rows)
    for name, wanted in (asked or {}).items():
        assert (rows[name].between(*wanted) if isinstance(wanted, tuple) else rows[name] == wanted).all()


def test_gaps_of_products_are_solved(shop):
    real = orders().head(200)
    gaps = real.assign(cost=None, fee=None).astype({"cost": float, "fee": float})
    filled = shop.impute(gaps, random_state=0)
    assert (filled[["cost", "fee"]] == real[["cost", "fee"]]).all(axis=None)


def test_a_saved_model_keeps_its_products(shop, tmp_path):
    shop.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    assert again.constraints_ == shop.constraints_
    pd.testing.assert_frame_equal(again.sample(60, random_state=1), shop.sample(60, random_state=1))


def test_only_combinations_that_occur_are_drawn(real):
    real = real.assign(part=np.where(real["low"] < 50, "left", "right"), mark=real["low"] // 10)
    model = IndependentSynthesizer(constraints=[FixedCombinations(["part", "mark"])], random_state=0).fit(
        real
    )
    assert_kept(model, model.sample(500, random_state=0))
    with pytest.raises(ConditionError, match="FixedCombinations"):
        model.sample(3, conditions={"part": "left", "mark": 9})


def test_constraints_can_be_found_given_or_switched_off(real):
    frame = real[["city", "country", "low"]]
    schema = Schema.infer(frame)
    assert bind(None, frame, schema) == []
    assert bind("auto", frame, schema) == detect(frame) == [FunctionalDependency("city", "country")]
    assert bind((Unique(["low"]),), frame, schema) == [Unique(["low"])]
    assert TabularGAN().constraints == "auto"
    off = IndependentSynthesizer(random_state=0).fit(frame)
    assert off.constraints_ == []
    assert (
        not FunctionalDependency("city", "country").bound(frame).holds(off.sample(200, random_state=0)).all()
    )


@pytest.mark.parametrize("bad", ["no such value", 3, [Inequality("low", "high"), "low <= high"]])
def test_bad_constraints_are_refused(real, bad):
    with pytest.raises(ParameterError, match="constraints"):
        IndependentSynthesizer(constraints=bad).fit(real)


def test_constraints_that_the_table_breaks_are_refused(real):
    with pytest.raises(DataError, match="several values of 'city' to 4 values of 'country'"):
        IndependentSynthesizer(constraints=[FunctionalDependency("country", "city")]).fit(real)


def test_a_column_that_determines_others_is_learned():
    n = np.arange(400) % 8
    frame = pd.DataFrame({"a": n.astype(str), "b": n // 2, "c": n // 4, "x": np.linspace(0, 1, 400)})
    chain = [FunctionalDependency("b", "c"), FunctionalDependency("a", "b"), FunctionalDependency("a", "c")]
    assert determined(chain, frame, Schema.infer(frame)) == {"c": "b"}
    near = [FunctionalDependency("x", "a")]  # a number in between two values of x would determine nothing
    assert determined(near, frame, Schema.infer(frame)) == {}
    model = IndependentSynthesizer(constraints=chain, random_state=0).fit(frame)
    assert_kept(model, model.sample(300, random_state=0))


# Equations among categories, constants and keys


def test_an_equation_makes_no_category_that_was_never_seen_nor_one_that_is_not_asked_for():
    rng = np.random.default_rng(0)
    b, c = rng.choice([1, 2, 3], 500), rng.integers(0, 60, 500)
    real = pd.DataFrame({"a": b + c, "b": b, "c": c})
    model = IndependentSynthesizer(
        kinds={"b": "categorical"}, constraints=[Sum("a", ["b", "c"])], random_state=0
    ).fit(real)
    rows = model.sample(200, conditions={"a": 50}, random_state=0)
    assert set(rows["b"]) <= {1, 2, 3}
    assert (rows["b"] + rows["c"] == 50).all()
    with pytest.raises(ConditionError, match="'a'"):
        model.sample(5, conditions={"a": 50, "c": 10, "b": [1, 2]}, random_state=0)
    rows = model.sample(50, conditions={"a": (20, 30), "c": (19, 20), "b": [1, 2]}, random_state=0)
    assert rows["b"].isin([1, 2]).all()
    assert (rows["a"] == rows["b"] + rows["c"]).all()


def test_an_equation_leaves_a_constant_alone():
    c = np.random.default_rng(0).integers(0, 60, 300)
    real = pd.DataFrame({"a": c + 7, "fee": 7, "c": c})
    model = IndependentSynthesizer(constraints=[Sum("a", ["fee", "c"])], random_state=0).fit(real)
    rows = model.sample(100, conditions={"a": 30}, random_state=0)
    assert (rows["fee"] == 7).all()
    assert (rows["c"] == 23).all()


def keyed(n_rows=400):
    key = np.random.default_rng(0).choice([1, 2, 9, 40], n_rows)
    return pd.DataFrame({"k": key, "d": pd.Series(key).map({1: "p", 2: "q", 9: "r", 40: "s"})})


def test_a_number_that_determines_others_is_one_that_was_seen_whatever_the_modes():
    rule = FunctionalDependency("k", "d")
    options = {"n_epochs": 1, "batch_size": 40, "pac_size": 2, "generator_dim": 8, "critic_dim": 8}
    model = CTGAN(constraints=[rule], random_state=0, **options).fit(keyed())  # its modes have no atoms
    rows = model.sample(500, random_state=0)
    assert set(rows["k"]) <= {1, 2, 9, 40}
    assert model.constraints_[0].holds(rows).all()
    rows = model.sample(100, conditions={"k": (3, 39)}, random_state=0)
    assert set(rows["k"]) == {9}
    assert model.constraints_[0].holds(rows).all()


@pytest.mark.parametrize("conditions", [{"k": 5}, pd.DataFrame({"k": [1, 5, 5]})])
def test_a_key_between_those_seen_cannot_be_asked_for(conditions):
    model = IndependentSynthesizer(constraints=[FunctionalDependency("k", "d")], random_state=0).fit(keyed())
    with pytest.raises(ConditionError, match=r"'k' determines 'd'.*nearest known value is 2"):
        model.sample(conditions=conditions, random_state=0)
    assert (model.sample(9, conditions={"k": 9}, random_state=0)["d"] == "r").all()


@pytest.mark.parametrize("wanted", [(3, 8), [5, 6], [5, None]])
def test_a_range_without_a_key_that_was_seen_cannot_be_asked_for(wanted):
    real = keyed().astype({"k": "Int64"})
    real.loc[:20, "k"], real.loc[:20, "d"] = pd.NA, "none"
    rules = [FunctionalDependency("k", "d")]
    model = IndependentSynthesizer(constraints=rules, random_state=0).fit(real)
    if wanted == [5, None]:  # missing was seen
        rows = model.sample(9, conditions={"k": wanted}, random_state=0)
        assert rows["k"].isna().all()
        assert (rows["d"] == "none").all()
        return
    with pytest.raises(ConditionError, match=r"'k' determines 'd'.*nearest known value is"):
        model.sample(9, conditions={"k": wanted}, random_state=0)


def test_equations_of_large_unsigned_numbers_round_nothing():
    rng = np.random.default_rng(0)
    start = 1_700_000_000 * 10**9
    s = rng.integers(start, start + 86_400 * 10**9, 2000, dtype="uint64")
    d = rng.integers(1, 10**9, 2000, dtype="uint64")
    model = IndependentSynthesizer(constraints=[Sum("e", ["s", "d"])], random_state=0)
    rows = model.fit(pd.DataFrame({"s": s, "d": d, "e": s + d})).sample(2000, random_state=0)
    assert (rows["e"] == rows["s"] + rows["d"]).all()
    assert (rows["e"] % 256 != 0).any()


def test_many_rows_of_known_keys_are_settled_at_once():
    key = np.arange(20_000) % 5_000
    real = pd.DataFrame({"item": [f"item {k}" for k in key], "brand": [f"brand {k % 90}" for k in key]})
    model = IndependentSynthesizer(constraints=[FunctionalDependency("item", "brand")]).fit(real)
    gaps = real.mask(np.random.default_rng(0).random(real.shape) < 0.3)
    filled = model.impute(gaps, random_state=0)
    assert model.constraints_[0].holds(filled).all()
    assert (filled == gaps)[gaps.notna()].fillna(True).all(axis=None)


def test_an_unknown_key_tells_nothing_of_what_it_would_determine():
    town = np.random.default_rng(0).integers(0, 20, 500)
    real = pd.DataFrame({"town": [f"t{k}" for k in town], "land": [f"l{k % 4}" for k in town]})
    model = IndependentSynthesizer(constraints=[FunctionalDependency("town", "land")]).fit(real)
    gaps = pd.DataFrame({"town": ["new"] * 200, "land": [None] * 200})
    filled = model.impute(gaps, random_state=0)
    assert (filled["town"] == "new").all()
    assert filled["land"].nunique() == 4
