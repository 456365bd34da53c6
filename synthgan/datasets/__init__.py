"""Real tables that come with the package, for examples and tests; nothing is downloaded.

Adult ("Census Income") was donated by Barry Becker and Ronny Kohavi (1996) to the UCI
Machine Learning Repository, doi:10.24432/C5XW20, under the Creative Commons Attribution
4.0 International licence; see ``ADULT.md`` beside this file.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
import pyarrow.parquet

__all__ = ["load_adult"]


def load_adult() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Load the Adult census table in its official split.

    Returns
    -------
    train : DataFrame of shape (32561, 15)
        Persons of the 1994 US census: 6 integer columns, 9 categorical ones, three of them
        with missing values. The usual target is ``income`` ("<=50K" or ">50K").
    test : DataFrame of shape (16281, 15)
        Other persons of the same survey, same columns, dtypes and categories.

    Examples
    --------
    >>> train, test = load_adult()
    >>> train.shape, test.shape
    ((32561, 15), (16281, 15))
    """
    train, test = _load("adult_train.parquet"), _load("adult_test.parquet")
    return train, test.astype(train.dtypes)  # one country has a person in the training part only


def _load(name: str) -> pd.DataFrame:
    with files("synthgan.datasets").joinpath(name).open("rb") as file:
        return pyarrow.parquet.read_table(file).to_pandas()  # type: ignore[no-any-return]
