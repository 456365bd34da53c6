import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.constraints import Product, Sum
from synthgan.errors import DataError

START = pd.to_datetime(["2024-01-01", "2024-01-05", None])
FRAME = pd.DataFrame(
    {
        "net": [0.1, 1.1, 2.2],
        "tax": [0.2, 2.2, None],
        "gross": [0.3, 3.3, 7.0],
        "start": START,
        "later": START + pd.Timedelta("9h"),
        "price": [0.35, 1.1, 3.0],
        "quantity": [3, 3, 2],
        "cost": [1.05, 3.3, None],
    }
)


def test_sums_are_exact_in_decimals_and_times():
    money = Sum("gross", ["net", "tax"]).bound(FRAME)
    assert (money.offset, money.decimals) == (0, 1)
    assert money.holds(FRAME.assign(gross=[0.3, 3.4, 7.0])).tolist() == [True, False, True]
    assert Sum("later", ["start"]).bound(FRAME).offset == pd.Timedelta("9h") // pd.Timedelta(1, START.unit)


@pytest.mark.parametrize("name", ["gross", "net", "tax"])
def test_any_column_of_a_sum_can_be_solved_for(name):
    rule = Sum("gross", ["net", "tax"]).bound(FRAME)
    values, present = rule.solve(FRAME.assign(**{name: 5.0}), name)
    expected = FRAME[name].to_numpy()
    assert (values[:2] == expected[:2]).all()  # 0.3, not 0.30000000000000004
    assert present[:2].all()


def test_integers_are_added_beyond_the_precision_of_floats():
    frame = pd.DataFrame({"a": [2**60, 2**60 - 1], "b": [1, 2]}).assign(c=lambda f: f["a"] + f["b"])
    rule = Sum("c", ["a", "b"]).bound(frame)
    assert rule.holds(frame).all()
    assert not rule.holds(frame.assign(c=frame["c"] + 1)).any()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1, 3]}), "not that of the first row in 1 row"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "do not add up"),
        (pd.DataFrame({"a": [1 / 3, 2 / 3], "b": [1 / 3, 2 / 3]}), "more than 10 decimals"),
        (pd.DataFrame({"a": [2**62, 1], "b": [2**62, 1]}), "too large"),
        (pd.DataFrame({"a": [1.0, None], "b": [None, 1.0]}), "no row has a value"),
    ],
)
def test_what_cannot_be_added_exactly_is_refused(frame, words):
    with pytest.raises(DataError, match=words):
        Sum("b", ["a"]).bound(frame)


def test_a_sum_may_have_many_terms():
    frame = pd.DataFrame({"a": [1.5, 2.0], "b": [1, 2], "c": [0.25, 3.0]}).assign(
        total=lambda f: f.sum(axis=1)
    )
    rule = Sum("total", ["a", "b", "c"]).bound(frame)
    assert (rule.offset, rule.decimals) == (0, 2)
    assert rule.solve(frame.assign(b=0), "b")[0].tolist() == [1, 2]


def test_products_are_exact_in_decimals():
    rule = Product("cost", ["price", "quantity"]).bound(FRAME)  # in floats 3 * .35 is 1.0499999999999998
    assert rule.decimals == 2
    assert rule.holds(FRAME.assign(cost=[1.05, 3.31, 0])).tolist() == [True, False, False]


@pytest.mark.parametrize("name", ["cost", "price", "quantity"])
def test_any_column_of_a_product_can_be_solved_for(name):
    rule = Product("cost", ["price", "quantity"]).bound(FRAME)
    other = FRAME.assign(**{name: FRAME[name] * 0})
    values, is_solved = rule.solve(other, name)
    assert values[:2].tolist() == FRAME[name].iloc[:2].tolist()
    assert is_solved[:2].all()
    assert not rule.solve(FRAME, name)[1][2]  # a cell is missing


def test_a_factor_without_an_exact_value_is_not_solved_for():
    rule = Product("cost", ["price", "quantity"]).bound(FRAME)
    odd = FRAME.assign(cost=[1.06, 3.3, 6.0], quantity=[3, 0, 2])
    assert rule.solve(odd, "price")[1].tolist() == [False, False, True]


@given(
    st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(-999, 999)), min_size=1), st.integers(0, 3)
)
def test_solving_a_product_gives_back_what_it_was_made_of(rows, decimals):
    a, b = np.array(rows, dtype=np.int64).T
    frame = pd.DataFrame({"a": a / 10**decimals, "b": b, "ab": a * b / 10**decimals})
    rule = Product("ab", ["a", "b"]).bound(frame)
    assert rule.holds(frame).all()
    for name, other in (("a", "b"), ("b", "a")):
        values, is_solved = rule.solve(frame.assign(**{name: frame[name] * 0}), name)
        assert is_solved.tolist() == (frame[other] != 0).tolist()
        assert (values[is_solved] == frame.loc[is_solved, name]).all()
    values, is_solved = rule.solve(frame.assign(ab=0.0), "ab")
    assert is_solved.all()
    assert (values == frame["ab"]).all()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 5]}), "another one in 1 row"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1, 4]}), "not all of these columns are numbers"),
        (pd.DataFrame({"a": [1.1, 2.2], "b": [0.15, 0.1], "c": [0.16, 0.22]}), "another one in 1 row"),
        (
            pd.DataFrame({"a": [2**40 + 1, 1], "b": [2**30, 1], "c": [2**30, 1]}),
            "another one in 1 row",
        ),
        (pd.DataFrame({"a": [2**62, 1], "b": [1, 1], "c": [2**62, 1]}), "too large"),
        (pd.DataFrame({"a": [None, 2.0], "b": [1, 2], "c": [1.0, None]}), "no row has a value"),
        (pd.DataFrame({"a": [1 / 3, 2], "b": [1, 2], "c": [1 / 3, 4]}), "more than 10 decimals"),
    ],
)
def test_what_is_no_exact_product_is_refused(frame, words):
    with pytest.raises(DataError, match=words):
        Product("c", ["a", "b"]).bound(frame)


def test_three_factors_of_many_decimals_are_refused_instead_of_overflowing():
    frame = pd.DataFrame({"a": [1e-10, 0.0], "b": [2.0, 1.0], "c": [1.0, 1.0], "d": [2e-10, 0.0]})
    with pytest.raises(DataError, match="the product is another one in 1 row"):
        Product("d", ["a", "b", "c"]).bound(frame)
