import math

import numpy as np
import pytest

from synthgan.errors import ParameterError
from synthgan.params import Choice, Instance, Interval, check_parameter, check_parameters


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Interval(int, 1), [1, 10**9, np.int64(3)], [0, 1.0, "1", True, None, math.nan]),
        (Interval(float, 0, 1, open_low=True), [1, 0.5, np.float32(0.5)], [0, 1.1, math.nan, False, "x"]),
        (Interval(float, 0), [0, 0.0, math.inf], [-1e-9, None]),
        (Choice(("auto", None)), ["auto", None], ["Auto", "", 0]),
        (Choice((1, True)), [1, True], [1.0, False, "1"]),
        (Instance((dict,), "a dict"), [{}], [[], None]),
        (Instance((int,), "an int"), [0], [True]),
    ],
)
def test_a_rule_admits_what_it_says(rule, good, bad):
    assert all(rule.admits(value) for value in good)
    assert not any(rule.admits(value) for value in bad)


def test_the_message_names_owner_parameter_rule_and_value():
    rule = (Interval(int, 1, 10), Choice((None,)))
    with pytest.raises(ParameterError) as failure:
        check_parameter("Model", "size", 11, rule)
    assert str(failure.value) == "The 'size' parameter of Model must be an int in [1, 10] or None. Got 11."


def test_every_parameter_with_a_rule_is_checked():
    rules = {"a": (Interval(int, 0),), "b": (Choice(("x",)),)}
    check_parameters("Model", {"a": 0, "b": "x", "c": object()}, rules)
    with pytest.raises(ParameterError, match="'b'"):
        check_parameters("Model", {"a": 0, "b": "y"}, rules)
