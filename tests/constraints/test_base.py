import numpy as np
import pandas as pd
import pytest

from synthgan.constraints import FixedCombinations, Inequality, Product, Sum, Unique
from synthgan.errors import DataError, ParameterError


@pytest.mark.parametrize(
    "make",
    [
        lambda: Unique([]),
        lambda: Inequality("a", "a"),
        lambda: Sum("a", ["a"]),
        lambda: Product("a", ["b"]),
        lambda: Product("a", ["b", "b"]),
    ],
)
def test_too_few_columns_are_refused(make):
    with pytest.raises(ParameterError, match="or more different columns"):
        make()


def test_names_need_not_be_text():
    frame = pd.DataFrame(np.array([[1, 2], [3, 4]]), columns=pd.Index([None, (1, "a")], tupleize_cols=False))
    assert Inequality(None, (1, "a")).bound(frame).holds(frame).all()
    assert Unique([(1, "a")]).holds(frame).all()
    assert FixedCombinations([None, (1, "a")]).bound(frame).holds(frame).all()


def test_a_text_is_one_name():
    assert Unique("code").columns == ("code",)
    with pytest.raises(DataError, match="Did you mean 'code'"):
        Unique("cod").bound(pd.DataFrame({"code": [1], "other": [2]}))
