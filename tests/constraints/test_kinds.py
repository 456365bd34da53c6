import json

import pandas as pd
import pytest

from synthgan.constraints import (
    FixedCombinations,
    FunctionalDependency,
    Inequality,
    Predicate,
    Product,
    Sum,
    Unique,
    constraint_from_dict,
)
from synthgan.errors import DataError, ParameterError

START = pd.to_datetime(["2024-01-01", "2024-01-05", None])
FRAME = pd.DataFrame(
    {
        "code": ["a", "b", "a"],
        "weight": [1.5, 2.0, 1.5],
        "net": [0.1, 1.1, 2.2],
        "tax": [0.2, 2.2, None],
        "gross": [0.3, 3.3, 7.0],
        "start": START,
        "length": pd.to_timedelta([1, 2, 3], unit="D"),
        "end": START + pd.to_timedelta([1, 2, 3], unit="D"),
        "later": START + pd.Timedelta("9h"),
        "pieces": [2, 3, 4],
        "cost": [3.0, 6.0, 6.0],
    }
)
RULES = [
    FunctionalDependency("code", "weight"),
    FixedCombinations(["code", "tax"]),
    Sum("gross", ["net", "tax"]),
    Sum("end", ["start", "length"]),
    Sum("later", ["start"]),
    Product("cost", ["weight", "pieces"]),
    Inequality("start", "end"),
    Unique(["net"]),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
class TestEveryRule:
    def test_holds_in_the_table_that_it_is_bound_to(self, rule):
        assert rule.bound(FRAME).holds(FRAME).all()

    def test_goes_to_json_and_back(self, rule):
        for one in (rule, rule.bound(FRAME)):
            again = constraint_from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
            assert again == one
            assert again.to_dict() == one.to_dict()
        assert again.holds(FRAME).all()

    def test_names_a_column_that_does_not_exist(self, rule):
        with pytest.raises(DataError, match="is not a column"):
            rule.bound(FRAME.drop(columns=rule.columns[0]))


def test_a_dependency_is_refused_where_a_value_comes_with_several():
    frame = pd.DataFrame({"a": [1, 1, 2, 2, 3], "b": list("xyxyx")})
    with pytest.raises(DataError, match="several values of 'b' to 2 values of 'a'"):
        FunctionalDependency("a", "b").bound(frame)


def test_a_missing_determinant_is_a_value_and_a_missing_dependent_is_refused():
    frame = pd.DataFrame({"a": ["x", None, None], "b": [1.0, 2.0, 2.0]})
    rule = FunctionalDependency("a", "b").bound(frame)
    assert rule.holds(frame).all()
    assert not rule.holds(frame.assign(b=1.0)).all()
    with pytest.raises(DataError, match="'b' has missing values"):
        FunctionalDependency("a", "b").bound(frame.assign(b=[1.0, None, None]))


def test_a_rule_that_is_not_bound_says_so():
    with pytest.raises(DataError, match="not bound to a table yet"):
        FixedCombinations(["code", "tax"]).holds(FRAME)


def test_times_of_several_units_and_zones_are_compared():
    utc = pd.Series(pd.to_datetime(["2024-01-01 12:00", "2024-01-01 12:00"])).dt.tz_localize("UTC")
    late = utc.dt.tz_convert("Asia/Tokyo").dt.as_unit("s") + pd.to_timedelta([0, -1], unit="s")
    frame = pd.DataFrame({"a": utc.dt.as_unit("ns"), "b": late})
    assert Inequality("a", "b").bound(frame).holds(frame).tolist() == [True, False]


@pytest.mark.parametrize("columns", [("code", "net"), ("start", "net"), ("code", "code2")])
def test_only_numbers_and_times_of_one_kind_are_in_order(columns):
    with pytest.raises(DataError, match="the columns are"):
        Inequality(*columns).bound(FRAME.assign(code2="x"))


def test_missing_values_are_alike_for_unique():
    frame = pd.DataFrame({"a": [None, 1.0, None], "b": ["x", "x", "x"]})
    assert Unique(["a", "b"]).holds(frame).tolist() == [True, True, False]


def test_a_predicate_answers_one_bool_a_row():
    frame = pd.DataFrame({"a": pd.array([1, None, -1], dtype="Int8")})
    assert Predicate(lambda rows: rows["a"] > 0).holds(frame).tolist() == [True, False, False]
    for bad in (lambda rows: [True], lambda rows: [1, 2, 3], lambda rows: ["x"] * 3):
        with pytest.raises(ParameterError, match="must return one bool a row"):
            Predicate(bad).holds(frame)
    with pytest.raises(DataError, match="is code"):
        Predicate(lambda rows: rows["a"] > 0).to_dict()


@pytest.mark.parametrize(
    "data",
    [None, {}, {"rule": "no such rule"}, {"rule": "sum"}, {"rule": "product"}, {"rule": "predicate"}, [1]]
    + [{"rule": "inequality", "columns": ["a"]}, {"rule": "inequality", "columns": [{"odd": 1}, "b"]}]
    + [{"rule": "fixed-combinations", "columns": ["a", "b"], "combinations": [{"codes": [0]}]}],
)
def test_malformed_descriptions_are_refused(data):
    with pytest.raises(DataError):
        constraint_from_dict(data)


def test_a_column_does_not_determine_itself():
    with pytest.raises(ParameterError, match="2 or more different columns"):
        FunctionalDependency("a", "a")
