"""Tables that several tests of the evaluation share."""

import numpy as np
import pandas as pd
import pytest

from synthgan import evaluate
from synthgan.datasets import load_adult
from synthgan.evaluation.tables import code_tables


@pytest.fixture(scope="session")
def adult():
    """8,000 training rows of Adult and 8,000 of its test part, as codes."""
    train, test = load_adult()
    return code_tables(train.iloc[:8000], test.iloc[:8000])


@pytest.fixture(scope="session")
def mixed():
    """Make a table of every kind whose relations are known: price follows size, label follows price."""

    def make(n_rows, seed):
        rng = np.random.default_rng(seed)
        size = rng.gamma(2.0, 10.0, n_rows)
        price = 3 * size + rng.normal(0, 5, n_rows)
        frame = pd.DataFrame(
            {
                "size": size,
                "price": np.where(rng.random(n_rows) < 0.1, np.nan, price),
                "rooms": rng.integers(1, 6, n_rows),
                "colour": rng.choice(["red", "green", "blue"], n_rows, p=[0.5, 0.3, 0.2]),
                "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n_rows), unit="D"),
                "wait": pd.to_timedelta(rng.integers(0, 90, n_rows), unit="min"),
                "new": rng.random(n_rows) < 0.5,
                "label": np.where(price > 60, "dear", "cheap"),
            }
        )
        frame["colour"] = frame["colour"].astype(object).where(rng.random(n_rows) > 0.05, None)
        return frame

    return make


@pytest.fixture(scope="session")
def report(mixed):
    """The report of a fresh draw of the same distribution, with holdout and target."""
    return evaluate(mixed(400, 0), mixed(400, 1), holdout=mixed(400, 2), target="label")
