import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from synthgan.constraints.combinations import (
    combinations_from_json,
    combinations_to_json,
    distinct,
    keys,
    occurs,
)
from tests import strategies


def test_missing_values_are_alike_and_values_of_different_types_are_not():
    series = pd.Series([1, True, None, np.nan, "1", 1], dtype=object)
    codes = keys([series])[0].tolist()
    assert codes[2] == codes[3] == -1
    assert len({codes[0], codes[1], codes[4]}) == 3
    assert codes[5] == codes[0]


def test_distinct_combinations_keep_the_order_of_their_first_row():
    frame = pd.DataFrame({"a": [2, 1, 2, 2], "b": ["x", "y", "x", None]})
    found = distinct([frame["a"], frame["b"]])
    assert found["a"].tolist() == [2, 1, 2]
    assert occurs([pd.Series([1, 2]), pd.Series(["x", None])], found).tolist() == [False, True]


@given(strategies.columns(max_rows=12), strategies.columns(max_rows=12))
def test_combinations_of_any_dtype_go_to_json_and_back(a, b):
    n = min(len(a), len(b))
    frame = distinct([a.iloc[:n].reset_index(drop=True), b.iloc[:n].reset_index(drop=True)])
    again = combinations_from_json(combinations_to_json(frame), 2)
    for k in (0, 1):
        strategies.assert_same_column(frame.iloc[:, k], again.iloc[:, k])


@pytest.mark.parametrize("spoil", [{"codes": [0, 9]}, {"codes": [0, -2]}, {"codes": [0]}, {"levels": []}])
def test_combinations_that_name_no_level_are_refused(spoil):
    data = combinations_to_json(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    with pytest.raises(ValueError, match="its combinations"):
        combinations_from_json([data[0] | spoil, data[1]], 2)
