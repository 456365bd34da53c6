import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import DataError
from synthgan.evaluation.associations import pair_errors, trend_error
from synthgan.evaluation.copies import identical_share
from synthgan.evaluation.marginals import shape_error
from synthgan.evaluation.tables import code_tables
from synthgan.schema import Schema
from tests.strategies import frames


@given(st.data())
def test_every_frame_equals_itself_in_any_order(data):
    frame = data.draw(frames())
    if set(Schema.infer(frame).kinds.values()) == {"identifier"}:
        return
    real, other = code_tables(frame, frame.iloc[::-1, ::-1])
    assert np.array_equal(real.codes, other.codes)
    assert shape_error(real, other) == 0.0
    assert pair_errors(real, other)["error"].dropna().abs().max() in (0.0, pytest.approx(np.nan, nan_ok=True))
    assert identical_share(real, other).value == 1.0


def test_rows_stand_in_lexicographic_order():
    (table,) = code_tables(pd.DataFrame({"a": [3, 1, None], "b": ["x", "y", "x"]}))
    assert table.codes.tolist() == [[-1, 0], [0, 1], [1, 0]]


def test_columns_follow_the_real_table_and_identifiers_are_left_out():
    real = pd.DataFrame({"b": [1, 2] * 50, "key": [f"k{i}" for i in range(100)], "a": ["x", "y"] * 50})
    _, synthetic = code_tables(real, real[["a", "b", "key"]])
    assert synthetic.domain.names == ("b", "a")


def test_kinds_override_what_is_inferred():
    frame = pd.DataFrame({"code": [1, 2, 3, 3]})
    assert code_tables(frame)[0].domain.is_ordered("code")
    assert not code_tables(frame, kinds={"code": "categorical"})[0].domain.is_ordered("code")


def test_numbers_restores_values_and_missing_cells():
    (table,) = code_tables(pd.DataFrame({"a": [2.5, None, -1.0]}))
    assert np.array_equal(table.numbers("a"), [np.nan, -1.0, 2.5], equal_nan=True)


def test_independent_keeps_columns_and_loses_their_relation(adult):
    real, _ = adult
    drawn = real.independent(20_000, np.random.default_rng(0))
    assert len(drawn) == 20_000
    assert shape_error(real, drawn) < 0.01
    assert trend_error(real, drawn) > 0.06


def test_sampled_draws_rows_without_repeating_them():
    (table,) = code_tables(pd.DataFrame({"a": range(-40, 0), "b": ["x", "y"] * 20}))
    drawn = table.sampled(10, np.random.default_rng(0)).column("a")
    assert len(set(drawn.tolist())) == 10
    assert table.sampled(99, np.random.default_rng(0)) is table


GOOD = pd.DataFrame({"age": [30, 20], "income": ["low", "high"]})


@pytest.mark.parametrize(
    ("real", "synthetic", "words"),
    [
        (GOOD, GOOD.rename(columns={"income": "incom"}), "lacks 1 column of real: 'income'"),
        (GOOD, GOOD.rename(columns={"income": "incom"}), "Did you mean 'incom'?"),
        (GOOD, GOOD.assign(extra=1), "synthetic has 1 column that real lacks: 'extra'"),
        (GOOD, GOOD.iloc[:0], "synthetic must have at least one row and one column. Got 0 rows"),
        (GOOD[[]], GOOD, "real must have at least one row and one column"),
        (GOOD, GOOD.iloc[:, [0, 0]], "synthetic doubles 'age'"),
        (GOOD, [1, 2], "synthetic must be a pandas DataFrame. Got list"),
        (GOOD.assign(age=np.inf), GOOD, "real: Column 'age' has 2 infinite values"),
        (GOOD, GOOD.assign(age=["a", "b"]), "Column 'age' holds numbers in real"),
        (
            pd.DataFrame({"key": [f"k{i}" for i in range(99)]}),
            pd.DataFrame({"key": ["k"]}),
            "Every column of real is an identifier and nothing is left to compare: 'key'",
        ),
    ],
)
def test_tables_that_cannot_be_compared_are_named(real, synthetic, words):
    with pytest.raises(DataError) as caught:
        code_tables(real, synthetic)
    assert words in str(caught.value)


def test_an_unknown_kind_is_named():
    with pytest.raises(DataError, match="kinds"):
        code_tables(GOOD, kinds={"age": "number"})
