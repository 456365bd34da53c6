import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.copies import identical_rows, identical_share
from synthgan.evaluation.tables import code_tables


def test_four_rows_by_hand():
    real = pd.DataFrame({"a": [1.0, 2.0, None, 0.1 + 0.2], "b": ["x", "y", "z", None]})
    synthetic = pd.DataFrame({"a": [1.0, 1.0, None, 0.3], "b": ["x", "y", "z", None]})
    # (1, x) and (missing, z) stand in real; (1, y) mixes two rows; .3 is not .1 + .2: 2 of 4
    found = identical_share(*code_tables(real, synthetic))
    assert found.value == 0.5
    assert (found.low, found.high) == (pytest.approx(0.150, abs=1e-3), pytest.approx(0.850, abs=1e-3))
    assert identical_rows(*code_tables(real, synthetic)).sum() == 2


def test_a_table_copies_itself_and_independent_columns_do_not(adult):
    real, holdout = adult
    assert identical_share(real, real).value == 1.0
    assert identical_share(real, real.independent(8000, np.random.default_rng(0))).value == 0.0
    assert identical_share(real, holdout).value < 0.005


def test_the_share_of_copies_is_found(adult):
    real, holdout = adult
    both = real.sampled(400, np.random.default_rng(0)).stacked_on(
        holdout.sampled(7600, np.random.default_rng(1))
    )
    assert identical_share(real, both).value == pytest.approx(0.05, abs=0.005)


def test_it_is_not_symmetric():
    one, two = pd.DataFrame({"a": [1, 1, 1, 2]}), pd.DataFrame({"a": [1, 3, 4, 5]})
    assert identical_share(*code_tables(one, two)).value == 0.25
    assert identical_share(*code_tables(two, one)).value == 0.75
