import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan.constraints import FixedCombinations, FunctionalDependency, Inequality, Product, Sum, detect
from synthgan.schema import Schema
from tests import strategies

SEEDS = st.integers(0, 10**6)


def noise(rng, n_rows):
    """One column that knows nothing of the others: categories, numbers, times, with spikes and gaps."""
    kind = rng.integers(7)
    levels = int(rng.integers(2, 30))
    shares = rng.dirichlet(np.full(levels, rng.choice([0.1, 0.5, 5.0])))
    codes = rng.choice(levels, n_rows, p=shares)
    return {
        0: lambda: pd.Series(codes).map(lambda k: f"level {k}"),
        1: lambda: pd.Series(codes),
        2: lambda: pd.Series(rng.integers(0, 10 ** int(rng.integers(1, 6)), n_rows)),
        3: lambda: pd.Series(rng.lognormal(3, 1, n_rows).round(2) * (rng.random(n_rows) < 0.4)),
        4: lambda: pd.Series(rng.normal(0, 50, n_rows).round(1)).where(rng.random(n_rows) < 0.8),
        5: lambda: (
            pd.Timestamp("2024-01-01") + pd.Series(pd.to_timedelta(rng.integers(0, 9999, n_rows), "h"))
        ),
        6: lambda: pd.Series(rng.random(n_rows) < shares[0]),
    }[int(kind)]()


@given(SEEDS, st.sampled_from([5, 60, 400, 3000]))
def test_independent_columns_give_no_constraints(seed, n_rows):
    rng = np.random.default_rng(seed)
    assert detect(pd.DataFrame({f"x{j}": noise(rng, n_rows) for j in range(6)})) == []


@given(SEEDS, st.sampled_from([500, 4000]))
def test_dependent_but_unruly_columns_give_no_constraints(seed, n_rows):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 12, n_rows)
    x = rng.gamma(2, 100, n_rows).round(2)
    frame = pd.DataFrame(
        {
            "a": a,
            "nearly a": np.where(rng.random(n_rows) < 0.97, a, rng.integers(0, 12, n_rows)),
            "rare a": np.where(a == 0, rng.integers(0, 2, n_rows), 0),  # 0 for all but one value
            "x": x,
            "x with errors": x + rng.choice([0, 0.01, -0.01], n_rows, p=[0.97, 0.015, 0.015]),
            "far above x": (x * 3 + rng.normal(5000, 400, n_rows)).round(2),  # never below, by 10 sigma
            "above x, nearly": (x + rng.normal(80, 20, n_rows)).round(2),  # below it at 4 sigma
            "zero": np.where(rng.random(n_rows) < 0.9, 0.0, rng.gamma(2, 100, n_rows).round(2)),
        }
    )
    frame["zero too"] = np.where(
        frame["zero"] == 0, 0.0, frame["zero"] * 3 + rng.normal(900, 50, n_rows)
    ).round(2)
    frame["mixture"] = (a + rng.poisson(1, n_rows)) % 12
    assert detect(frame) == []


@settings(max_examples=15)
@given(SEEDS)
def test_small_numbers_are_not_below_large_ones_by_rule(seed):
    """Few of many large numbers are small enough to be below: where none is, that is an accident."""
    rng = np.random.default_rng(seed)
    small = {f"small {k}": rng.integers(0, 10**k, 2000) for k in (1, 2)}
    large = {f"large {k}": rng.integers(0, 10**k, 2000) for k in (4, 5)}
    assert detect(pd.DataFrame(small | large)) == []


@settings(max_examples=15)
@given(SEEDS)
def test_no_dependency_from_many_looks_at_little_data(seed):
    """Two hundred pairs of rare flags: some agree in every row by chance."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"flag {k}": rng.random(300) < 0.01 for k in range(20)})
    assert detect(frame) == []


@given(SEEDS, st.sampled_from([60, 800, 3000]))
def test_independent_columns_without_zeros_give_no_constraints(seed, n_rows):
    """What products are made of: quantities, often 1, prices and rates."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(1, int(rng.integers(3, 60)), n_rows) for _ in range(4)]
    columns += [rng.integers(1, 10 ** int(rng.integers(1, 4)), n_rows) / 100 for _ in range(3)]
    columns += [rng.choice([-1, 1, 2], n_rows), rng.geometric(0.5, n_rows)]
    assert detect(pd.DataFrame({f"x{j}": column for j, column in enumerate(columns)})) == []


@settings(max_examples=10)
@given(SEEDS)
def test_totals_with_errors_give_no_constraints(seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.integers(2, 99_999, (3, 4000)) / 100
    quantity = rng.integers(1, 9, 4000)
    wrong = np.where(rng.random(4000) < 0.03, 0.01, 0)
    frame = pd.DataFrame({"a": a, "b": b, "c": c, "quantity": quantity})
    frame["total"] = (a + b + c + wrong).round(2)
    frame["cost"] = (a * quantity + wrong).round(2)
    frame["rounded"] = (b * c / 100).round(2)
    assert [rule for rule in detect(frame) if not isinstance(rule, Inequality)] == []


def ruled_table(seed, n_rows=5000):
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 9, n_rows)
    start = pd.Timestamp("2024-01-01") + pd.Series(pd.to_timedelta(rng.integers(0, 5000, n_rows), unit="h"))
    length = pd.Series(pd.to_timedelta(rng.integers(1, 300, n_rows), unit="h"))
    cents = rng.integers(1, 99_999, (2, n_rows))
    low = rng.integers(0, 1000, n_rows)
    side = rng.integers(0, 5, n_rows)
    return pd.DataFrame(
        {
            "city": pd.Series(code).map(lambda k: f"city {k}"),
            "country": pd.Series(code // 3).map(lambda k: f"country {k}"),
            "start": start.where(rng.random(n_rows) < 0.9),
            "length": length,
            "end": start + length,
            "arrival": start + pd.Timedelta("9h"),
            "net": cents[0] / 100,
            "tax": cents[1] / 100,
            "gross": cents.sum(axis=0) / 100,
            "low": low,
            "high": low + rng.integers(0, 150, n_rows),
            "side": side,
            "shade": (side * 2 + rng.integers(0, 5, n_rows)) % 10,
        }
    )


@settings(max_examples=5)
@given(SEEDS)
def test_rules_are_found(seed):
    found = detect(ruled_table(seed))
    assert FunctionalDependency("city", "country") in found
    assert {(rule.total, rule.terms) for rule in found if isinstance(rule, Sum)} >= {
        ("end", ("start", "length")),
        ("arrival", ("start",)),
        ("gross", ("net", "tax")),
    }
    assert Inequality("low", "high") in found
    assert FixedCombinations(["side", "shade"]) in found
    assert all(rule.holds(ruled_table(seed)).all() for rule in found)


def orders(seed=0, n_rows=4000):
    """Articles have prices, rows quantities, and totals follow."""
    rng = np.random.default_rng(seed)
    article = rng.integers(0, 30, n_rows)
    price = rng.permutation(30)[article] * 7 + 199
    quantity = rng.integers(1, 12, n_rows)
    fee, tip = rng.integers(1, 999, (2, n_rows))
    cost = price * quantity
    cents = {"price": price, "cost": cost, "fee": fee, "tip": tip, "due": cost + fee + tip}
    frame = pd.DataFrame({"article": [f"article {k}" for k in article], "quantity": quantity})
    return frame.assign(**{name: values / 100 for name, values in cents.items()})


def test_a_product_and_a_sum_of_three_are_found_and_solved_one_after_the_other():
    found = detect(orders())
    assert found[:3] == [
        FunctionalDependency("article", "price"),
        Product("cost", ["quantity", "price"], 2),
        Sum("due", ["cost", "fee", "tip"], 0, 2),
    ]
    assert all(rule.holds(orders()).all() for rule in found)


def test_a_sum_of_three_times_is_found():
    frame = ruled_table(0)[["start", "length"]].dropna().reset_index(drop=True)
    pause = pd.to_timedelta(np.random.default_rng(1).integers(1, 99, len(frame)), unit="h")
    frame = frame.assign(pause=pause, end=frame["start"] + frame["length"] + pause)
    assert Sum("end", ["start", "length", "pause"], 0) in detect(frame)


def test_what_follows_from_two_sums_is_no_third_one():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(1, 9999, (3000, 3)), columns=["net", "tax", "fee"])
    frame = frame.assign(gross=frame["net"] + frame["tax"], due=frame.sum(axis=1))
    sums = [(rule.total, set(rule.terms)) for rule in detect(frame) if isinstance(rule, Sum)]
    assert sums == [("gross", {"net", "tax"}), ("due", {"fee", "gross"})]


def test_factors_of_one_and_zeros_prove_no_product():
    rng = np.random.default_rng(0)
    price = rng.integers(100, 999, 4000)
    few = rng.choice([2, 1, 3], 4000, p=[0.5, 0.45, 0.05])  # 400 rows with 3 would do
    assert Product("total", ["price", "few"], 0) not in detect(
        pd.DataFrame({"price": price, "few": few, "total": price * few})
    )
    flag = few % 2
    found = detect(pd.DataFrame({"price": price, "flag": flag, "total": price * flag}))
    assert not any(isinstance(rule, Product) for rule in found)


def test_a_sum_of_three_and_a_product_need_enough_rows():
    """With four columns log(4 / .001) / .02 = 415 rows, with three log(3 / .001) / .02 = 400."""
    a, b, c = np.random.default_rng(0).integers(2, 10**6, (3, 500))
    added = pd.DataFrame({"a": a, "b": b, "c": c, "total": a + b + c})
    multiplied = pd.DataFrame({"a": a, "b": b, "total": a * b})
    for frame, kind in ((added, Sum), (multiplied, Product)):
        assert [type(rule) for rule in detect(frame)] == [kind]
        assert not any(isinstance(rule, kind) for rule in detect(frame.head(390)))


def test_twice_a_column_is_no_sum_of_three():
    a, b = np.random.default_rng(0).integers(2, 10**6, (2, 900))
    rules = detect(pd.DataFrame({"a": a, "b": b, "total": 2 * a + b}))
    assert not any(isinstance(rule, Sum) for rule in rules)


def test_of_columns_that_determine_each_other_the_category_is_free():
    code = np.arange(2000) % 7
    frame = pd.DataFrame({"weight": code * 2.5, "name": code.astype(str), "heavy": code > 3})
    assert detect(frame) == [FunctionalDependency("name", "weight"), FunctionalDependency("name", "heavy")]


def test_the_finer_column_determines_the_coarser_one_whatever_its_kind():
    number = np.random.default_rng(0).integers(0, 40, 4000)
    frame = pd.DataFrame({"region": (number // 10).astype(str), "area": number})
    assert detect(frame) == [FunctionalDependency("area", "region")]


def test_what_follows_from_other_orders_is_left_out():
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 300, (3, 3000)).cumsum(axis=0)
    found = detect(pd.DataFrame(dict(zip("abc", steps, strict=True))))
    assert found == [Inequality("a", "b"), Inequality("b", "c")]


def test_a_dependency_that_tells_what_goes_with_a_rare_value_is_left_alone():
    """It would be stored, and say which country the one person of a city comes from."""
    frame = pd.DataFrame({"city": np.arange(3000) % 30}).astype(str)
    frame["country"] = (np.arange(3000) % 30 // 5).astype(str)
    for n_rows, rules in ((1, []), (2, []), (3, [FunctionalDependency("city", "country")])):
        rare = pd.DataFrame({"city": ["rare"] * n_rows, "country": ["0"] * n_rows})
        table = pd.concat([frame, rare], ignore_index=True)
        assert [rule for rule in detect(table) if isinstance(rule, FunctionalDependency)] == rules
    assert FunctionalDependency("city", "country").bound(table.head(3001)).combinations is not None


def test_a_dependency_needs_enough_repeats():
    """With one pair of columns log(1 / .001) / .02 = 345 repeats; half of the rows are of the usual value."""
    code = np.arange(1000) % 2
    frame = pd.DataFrame({"a": code.astype(str), "b": code * 2})
    assert detect(frame.head(1000)) != []
    assert detect(frame.head(600)) == []


def test_missing_values_are_refused_in_a_determined_column_and_kept_in_a_determining_one():
    frame = ruled_table(0)[["city", "country"]]
    assert detect(frame.assign(country=frame["country"].where(frame["city"] != "city 0"))) == []
    gaps = frame.assign(city=frame["city"].where(frame["city"] != "city 0"))
    assert detect(gaps) == [FunctionalDependency("city", "country")]


@given(strategies.frames())
def test_any_table_is_searched_and_keeps_what_is_found(frame):
    try:
        schema = Schema.infer(frame)
    except ValueError:
        return
    assert all(rule.holds(frame).all() for rule in detect(frame, schema))


@pytest.mark.parametrize("n_rows", [1, 2])
def test_tiny_tables_have_no_constraints(n_rows):
    assert detect(ruled_table(0).head(n_rows)) == []


def test_numbers_at_the_ends_of_floats_obey_the_same_rules():
    rng = np.random.default_rng(0)
    low, step = rng.random(600), rng.integers(0, 40, 600) / 64
    real = pd.DataFrame({"low": low, "high": low + step})
    rules = detect(real)
    assert rules == [Inequality("low", "high")]
    assert detect(real * 2.0**1023) == rules


def test_what_adds_up_in_the_first_rows_only_is_no_rule_and_no_error():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 9999, 5000)
    parts_later = a + 7
    parts_later[3000:] += np.arange(2000)
    empty_at_first = rng.integers(0, 9999, 5000).astype(float)
    empty_at_first[:1000] = np.nan
    table = pd.DataFrame({"a": a, "b": parts_later, "c": empty_at_first})
    assert not [rule for rule in detect(table) if isinstance(rule, Sum)]


@pytest.mark.parametrize("offset", [0.0, 273.15])
def test_numbers_of_many_decimals_may_come_twice(offset):
    x = np.random.default_rng(0).normal(size=2000)
    assert detect(pd.DataFrame({"x": x, "again": x + offset})) == []


def test_times_may_come_twice_as_numbers():
    ticks = np.random.default_rng(0).integers(0, 10**15, 2000)
    table = pd.DataFrame({"time": ticks.astype("datetime64[ns]"), "ticks": ticks})
    assert detect(table) == []


def test_a_price_that_an_article_determines_may_be_a_term():
    rng = np.random.default_rng(0)
    article, fee, tip = rng.integers(0, 30, 3000), rng.integers(1, 900, 3000), rng.integers(1, 900, 3000)
    price = np.random.default_rng(1).integers(100, 9_000, 30)[article]
    table = pd.DataFrame({"article": [f"article {k}" for k in article], "price": price, "fee": fee})
    dependency = FunctionalDependency("article", "price")
    assert detect(table.assign(due=price + fee)) == [dependency, Sum("due", ["price", "fee"], offset=0)]
    table = table.assign(tip=tip, due=price + fee + tip)
    assert detect(table) == [dependency, Sum("due", ["price", "fee", "tip"], offset=0)]


def test_missing_cells_hide_neither_a_product_nor_a_sum_of_three():
    rng = np.random.default_rng(0)
    a, b, c, e, f = (pd.Series(rng.integers(2, 900, 3000), dtype="Int64") for _ in range(5))
    table = pd.DataFrame({"a": a, "b": b, "c": c, "all": a + b + c, "e": e, "f": f, "area": e * f})
    rules = {Product("area", ["e", "f"]), Sum("all", ["a", "b", "c"], offset=0)}
    assert set(detect(table)) == rules
    assert set(detect(table.mask(rng.random(table.shape) < 0.02))) == rules


def test_money_of_32_bits_adds_up_if_that_is_said():
    cents = np.random.default_rng(0).integers(1, 9_999, (2, 3000))
    table = pd.DataFrame({"net": cents[0] / 100, "tax": cents[1] / 100, "gross": cents.sum(axis=0) / 100})
    rule = Sum("gross", ["net", "tax"]).bound(table.astype("float32"))
    assert (rule.offset, rule.decimals) == (0, 2)
    assert rule.holds(table.astype("float32")).all()
