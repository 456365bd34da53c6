import numpy as np
import pandas as pd
import pytest

from tests.cli.commands import run


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 300)
    rich = np.where(rng.random(300) < age / 100, "yes", "no")
    return pd.DataFrame({"age": age, "rich": rich, "height": rng.normal(170, 9, 300).round(1)})


@pytest.fixture
def folder(tmp_path, monkeypatch, real):
    """A working folder with real.csv and holdout.parquet."""
    monkeypatch.chdir(tmp_path)
    real.to_csv("real.csv", index=False)
    real.sample(200, replace=True, random_state=0).to_parquet("holdout.parquet", index=False)
    return tmp_path


@pytest.fixture
def model(folder):
    run("fit", "real.csv", "-o", "m.synthgan", "--model", "independent", "--seed", "0")
    return "m.synthgan"
