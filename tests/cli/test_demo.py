from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import run


@pytest.mark.slow
def test_the_demo_writes_its_three_files(folder):
    result = run("demo", "--max-seconds", "5", "-o", "out")
    assert "c2st_gbm" in result.stdout
    assert {path.name for path in Path("out").iterdir()} == {
        "adult.synthgan",
        "synthetic.parquet",
        "report.html",
    }
    assert len(pd.read_parquet("out/synthetic.parquet")) == 32_561
