"""Seeded pairs of tables with every trap that the published protocols know: used here and by the tests.

The same numbers come out of every numpy, so that no table needs to be stored.
"""

import numpy as np
import pandas as pd


def mixed(n_rows, seed, shift=0.0):
    """Related columns of every kind, some with missing values."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(shift, 1, n_rows)).round(4)
    price = (3 * size + rng.normal(0, 1, n_rows)).round(2)
    colour = np.array(["red", "green", "blue", "grey"])[rng.choice(4, n_rows, p=[0.5, 0.3, 0.15, 0.05])]
    place = np.where(rng.random(n_rows) < 0.1, None, np.array(["north", "south"])[(price > 5).astype(int)])
    return pd.DataFrame(
        {
            "size": size,
            "price": np.where(rng.random(n_rows) < 0.1, np.nan, price),
            "rooms": rng.integers(1, 6, n_rows),
            "colour": pd.Series(colour, dtype=object),
            "place": pd.Series(place, dtype=object).fillna(np.nan),
            "floor": rng.integers(0, 4, n_rows) * 10,  # a category stored as numbers
            "new": rng.random(n_rows) < 0.4,
        }
    )


MIXED = {"numerical": ["size", "price", "rooms"], "categorical": ["colour", "place", "floor", "new"]}


def _outlier():
    synthetic = mixed(300, 3)
    synthetic.loc[7, "size"] = 1e6
    return mixed(300, 2), synthetic, MIXED


def _odd_columns():
    """Constant in one table or in both, all missing, and a category that only one table has."""
    real, synthetic = mixed(200, 4), mixed(150, 5, shift=0.3)
    real["same"], synthetic["same"] = 5.0, 5.0
    real["fixed"], synthetic["fixed"] = 1.0, synthetic["size"]
    real["gone"], synthetic["gone"] = np.nan, np.nan
    real["one"], synthetic["one"] = "a", "a"
    synthetic.loc[:9, "colour"] = "pink"
    real.loc[:4, "place"] = "west"
    numerical = [*MIXED["numerical"], "same", "fixed", "gone"]
    return real, synthetic, {"numerical": numerical, "categorical": [*MIXED["categorical"], "one"]}


def _numbers():
    rng = np.random.default_rng(6)
    mixing = rng.normal(size=(5, 5))
    names = list("abcde")
    real = pd.DataFrame(rng.normal(size=(500, 5)) @ mixing, columns=names)
    synthetic = pd.DataFrame(rng.standard_t(4, size=(500, 5)) @ mixing + 0.1, columns=names)
    return real, synthetic, {"numerical": names, "categorical": []}


CASES = {
    "mixed": lambda: (mixed(400, 0), mixed(300, 1, shift=0.2), MIXED),
    "outlier": _outlier,
    "odd columns": _odd_columns,
    "numbers": _numbers,
}
DETECTION_CASES = ["mixed", "outlier", "numbers"]  # the published encoder refuses unknown categories
POINT_CASES = ["complete", "numbers"]  # the published distances know no missing number


def points_case(name):
    """A case without missing numbers and with equally many rows."""
    if name == "numbers":
        return _numbers()
    real, synthetic = mixed(300, 7), mixed(300, 8, shift=0.2)
    columns = {"numerical": ["size", "rooms"], "categorical": MIXED["categorical"]}
    return real, synthetic, columns
