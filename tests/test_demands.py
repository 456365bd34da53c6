from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.demands import demands
from synthgan.errors import DataError, ParameterError


def added(strategy, y):
    return {one.group: one.n_new for one in demands(strategy, y)}


LETTERS = list("aaabbbbbc") + ["c"]  # a 3, b 5, c 2


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("auto", {"a": 2, "c": 3}),
        ("not majority", {"a": 2, "c": 3}),
        ("minority", {"c": 3}),
        ("not minority", {"a": 2, "b": 0}),
        ("all", {"a": 2, "b": 0, "c": 3}),
        ({"c": 9, "b": 5}, {"b": 0, "c": 7}),
        (lambda y: {"a": 2 * int((y == "a").sum())}, {"a": 3}),
    ],
)
def test_strategies_say_what_imbalanced_learn_makes_of_them(strategy, wanted):
    assert added(strategy, LETTERS) == wanted
    validation = pytest.importorskip("imblearn.utils")
    assert wanted == validation.check_sampling_strategy(strategy, np.array(LETTERS), "over-sampling")


def test_a_ratio_is_one_of_the_rarer_class_to_the_other():
    y = [0] * 40 + [1] * 8
    assert added(0.5, y) == {1: 12}  # 20 of 40
    assert added(1, y) == {1: 32}
    assert added(0.2, y) == {1: 0}


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_every_named_strategy_ends_at_the_size_of_the_largest_class(y):
    sizes = Counter(y)
    if len(sizes) < 2 or min(sizes.values()) < 2:
        return
    for strategy in ("minority", "not minority", "not majority", "all"):
        assert {sizes[k] + n for k, n in added(strategy, y).items()} == {max(sizes.values())}


def test_of_equal_classes_the_first_is_the_extreme():
    assert added("auto", list("bbaa")) == {"b": 0}
    assert added("minority", list("bbaa")) == {"a": 0}


def test_labels_may_be_of_any_type():
    assert added("all", [True, True, False, False, False]) == {False: 0, True: 1}
    assert added("all", pd.Series(pd.Categorical(["x", "y", "x", "x", "y"], ["y", "x", "z"]))) == {
        "x": 0,
        "y": 1,
    }
    assert added("all", np.array([1.0, 1.0, 2.0, 2.0])) == {1.0: 0, 2.0: 0}
    assert added("all", [1, 1, "a", "a", "a"]) == {1: 1, "a": 0}


def test_ranges_take_in_both_ends():
    y = np.array([1.0, 2.0, 3.0, 4.5, 10.0])
    assert added({(2, 3): 5, (4, None): 2}, y) == {(2, 3): 3, (4, None): 0}
    assert added({(None, 1.5): 1}, y) == {(None, 1.5): 0}


@pytest.mark.parametrize(
    ("strategy", "y", "message"),
    [
        ("most", LETTERS, "sampling_strategy' parameter of GANOverSampler must be"),
        (0, LETTERS, "must be a float in"),
        (1.2, LETTERS, "must be a float in"),
        (lambda y: 3, LETTERS, "must be a dict of class or range to number of rows. Got 3"),
        (0.5, LETTERS, "only if y has 2 classes. Got 0.5 and 3 classes"),
        (0.1, [0] * 4 + [1] * 2, "asks for 0 rows of the class 1, which has 2.* Give a ratio above 0.5"),
        ({"d": 9}, LETTERS, "names the class 'd', which y does not have.* Classes: 'a', 'b', 'c'"),
        ({"a": 2}, LETTERS, "asks for 2 rows of the class 'a', which has 3.* Ask for 3 or more"),
        ({"a": 7.5}, LETTERS, "must be an int"),
        ({"a": -1}, LETTERS, "must be an int in"),
        ({(2, 1): 9}, [1, 2, 3], "lower end is above"),
        ({(0, 2): 9, (1, 3): 9}, [1, 2, 3], "may share an end, but not more"),
        ({(0, 2): 1}, [1, 2, 3], "asks for 1 row of the range"),
        ({("a", 2): 9}, [1, 2, 3], "must be a float"),
        ("auto", [0.5, 1.5, 1.5], "numbers with fractions.*low, high"),
    ],
)
def test_a_strategy_that_does_not_fit_is_refused(strategy, y, message):
    with pytest.raises(ParameterError, match=message):
        demands(strategy, y)


@pytest.mark.parametrize(
    ("strategy", "y", "message"),
    [
        ("auto", list("aabbc"), "class 'c' has 1. Collect more rows, or leave it out"),
        ({(2.5, None): 9}, [1.0, 2.0, 3.0], r"range \(2.5, None\) has 1"),
        ({(7, 8): 9}, [1.0, 2.0, 3.0], r"range \(7, 8\) has 0"),
        ("auto", list("aaa"), "at least 2 classes. Got 1"),
        ("auto", ["a", None, "b", None], r"2 missing values \(first at row 1\)"),
        ("auto", [[1, 0], [0, 1]], r"one-dimensional.* Got the shape \(2, 2\)"),
    ],
)
def test_a_target_that_does_not_do_is_refused(strategy, y, message):
    with pytest.raises(DataError, match=message):
        demands(strategy, y)


def test_a_class_with_one_row_may_stay_as_it_is():
    assert added({"a": 5}, list("aabbc")) == {"a": 3}
