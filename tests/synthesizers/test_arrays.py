import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from synthgan import IndependentSynthesizer
from synthgan.errors import DataError
from synthgan.synthesizers.arrays import array_to_frame, is_array

ROWS = [[1.5, "a", 3], [None, "b", 4]]


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.zeros((2, 2)), True),
        (np.zeros(2), True),
        (csr_array(np.eye(2)), True),
        (ROWS, True),
        (tuple(ROWS), True),
        (pd.DataFrame(ROWS), False),
        (pa.table({"a": [1]}), False),
        ("a.csv", False),
        (["a.csv"], False),
        ([], False),
        (None, False),
        (3, False),
    ],
)
def test_arrays_are_told_from_tables_and_paths(X, expected):
    assert is_array(X) == expected


def test_columns_are_numbered_and_objects_get_the_type_of_their_values():
    frame = array_to_frame(np.array(ROWS, dtype=object), BaseEstimator())
    assert frame.columns.tolist() == [0, 1, 2]
    assert frame[0].isna().tolist() == [False, True]
    assert frame[2].dtype == "int64"
    assert frame[1].tolist() == ["a", "b"]
    assert (
        array_to_frame(np.zeros((2, 3), dtype="float32"), BaseEstimator()).dtypes.tolist() == ["float32"] * 3
    )


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "Expected 2D array, got 1D array"),
        (np.zeros((2, 2, 2)), "dim 3"),
        (np.zeros((0, 2)), "0 sample"),
        (np.zeros((2, 0)), r"0 feature\(s\)"),
        (np.array([[1j]]), "Complex data not supported"),
        (np.array([[1.0], [np.inf]]), "infinity"),
        (csr_array(np.eye(2)), "Sparse data"),
    ],
)
def test_what_scikit_learn_refuses_is_refused(X, message):
    with pytest.raises(DataError, match=message):
        array_to_frame(X, BaseEstimator())


def test_an_array_after_fit_has_the_names_of_the_fitted_columns():
    real = pd.DataFrame({"x": [1.0, 2.0] * 9, "c": list("ab") * 9})
    model = IndependentSynthesizer(random_state=0).fit(real)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        frame = array_to_frame(real.to_numpy(dtype=object), model, model.schema_.names)
    assert frame.columns.tolist() == ["x", "c"]
    assert frame["x"].dtype == "float64"
    with (
        pytest.warns(UserWarning, match="feature names"),
        pytest.raises(DataError, match=r"X has 1 features, but .* expecting 2"),
    ):
        array_to_frame(np.zeros((2, 1)), model, model.schema_.names)
