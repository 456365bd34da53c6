import sys

import numpy as np
import pandas as pd
import pytest

from synthgan.errors import DataError
from synthgan.evaluation.compat.inputs import (
    check_columns,
    import_xgboost,
    number_matrix,
    numbers,
    one_hot,
    shared_codes,
    texts,
)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2]), [1.0, 2.0]),
        (pd.Series([1, None], dtype="Int64"), [1.0, np.nan]),
        (pd.Series([True, None], dtype=object), [1.0, np.nan]),
        (pd.Series([True, False]), [1.0, 0.0]),
        (pd.Series([1.5, np.inf], dtype="float32"), [1.5, np.inf]),
        (pd.Series(pd.to_datetime(["1970-01-01 00:00:01", None])).astype("datetime64[s]"), [1.0, np.nan]),
        (pd.Series(pd.to_timedelta([2, None], unit="s")).astype("timedelta64[s]"), [2.0, np.nan]),
        (pd.Series([None, None], dtype=object), [np.nan, np.nan]),
        (pd.Series([3, None, 1], dtype="category"), [3.0, np.nan, 1.0]),
        (pd.Series(["3", None]), [3.0, np.nan]),
    ],
)
def test_numbers_of_every_dtype(column, expected):
    np.testing.assert_array_equal(numbers(column), expected)


def test_text_is_no_number():
    with pytest.raises(DataError, match="'age' is named as numerical and holds values that are no numbers"):
        numbers(pd.Series(["1", "two"], name="age"))


def test_texts_as_python_prints_them():
    assert texts(pd.Series([1, 2])) == ["1", "2"]
    assert texts(pd.Series([1.0, np.nan])) == ["1.0", "nan"]
    assert texts(pd.Series([True, "x", None], dtype=object)) == ["True", "x", "None"]
    assert texts(pd.Series(["b", None, "a"], dtype="category")) == ["b", "nan", "a"]


def test_equal_values_get_equal_codes():
    first, second = shared_codes(["b", "a", "b"], ["a", "c"])
    assert first[0] == first[2] != first[1] == second[0]
    assert sorted({*first, *second}) == [0, 1, 2]


def test_columns_are_checked():
    frame = pd.DataFrame({"a": [1], "b": [2]})
    check_columns(["a", "b"], real=frame)
    with pytest.raises(DataError, match=r"synthetic lacks 'c'. synthetic has: 'a', 'b'"):
        check_columns(["a", "c"], real=frame.assign(c=1), synthetic=frame)
    with pytest.raises(DataError, match="Named twice: 'a'"):
        check_columns(["a", "b", "a"], real=frame)
    with pytest.raises(DataError, match="Name at least one"):
        check_columns([], real=frame)
    with pytest.raises(DataError, match="holdout must have at least one row"):
        check_columns(["a"], holdout=frame.iloc[:0])


def test_a_distance_needs_every_number():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [1, 2]})
    assert number_matrix(["b"], real=frame)[0].tolist() == [[1.0], [2.0]]
    assert number_matrix([], real=frame)[0].shape == (2, 0)
    with pytest.raises(DataError, match="'a' of synthetic has missing or infinite"):
        number_matrix(["b", "a"], real=frame.dropna(), synthetic=frame)


def test_one_hot_by_the_first_column():
    real, other = pd.Series(["b", None, "a"], name="c"), pd.Series(["a", "z"], name="c")
    known, asked = one_hot(real, other, "ignore")
    assert known.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]  # a, b, missing
    assert asked.tolist() == [[1, 0, 0], [0, 0, 0]]
    with pytest.raises(DataError, match="'c' has categories that the first table lacks"):
        one_hot(real, other)
    with pytest.raises(DataError, match="mixes texts with other values"):
        one_hot(pd.Series([1, "a"], dtype=object, name="c"), other)


def test_a_missing_xgboost_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)  # what importing finds where it is not installed
    with pytest.raises(ModuleNotFoundError, match="pip install xgboost-cpu"):
        import_xgboost()
