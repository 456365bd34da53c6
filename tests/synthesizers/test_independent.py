import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthgan import IndependentSynthesizer, load


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    n = 3000
    base = rng.normal(size=n)
    return pd.DataFrame(
        {
            "x": base,
            "twice": 2 * base,
            "spiky": np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n)),
            "level": pd.Categorical(rng.choice(["a", "b", "c"], n, p=[0.8, 0.15, 0.05])),
            "code": [f"c{k}" for k in rng.zipf(1.6, n).clip(max=900)],
            "gaps": pd.Series(rng.integers(0, 5, n)).where(rng.random(n) < 0.6).astype("Int64"),
        }
    )


@pytest.fixture(scope="module")
def model(real):
    return IndependentSynthesizer(random_state=0).fit(real)


@pytest.fixture(scope="module")
def synthetic(model):
    return model.sample(20_000, random_state=1)


def test_every_column_keeps_its_distribution(real, synthetic):
    assert stats.ks_2samp(real["x"], synthetic["x"]).statistic < 0.03
    assert stats.ks_2samp(real["spiky"], synthetic["spiky"]).statistic < 0.03
    for name in ("level", "gaps", "code"):
        shares = [frame[name].value_counts(normalize=True, dropna=False) for frame in (real, synthetic)]
        assert shares[0].sub(shares[1], fill_value=0).abs().sum() / 2 < 0.04


def test_no_relation_between_columns_is_left(synthetic):
    assert abs(stats.spearmanr(synthetic["x"], synthetic["twice"]).statistic) < 0.03


def test_frequencies_are_those_of_the_table():
    real = pd.DataFrame({"a": ["x", "y", "x", "x"], "b": [True, False, None, None]})
    model = IndependentSynthesizer(random_state=0).fit(real)
    assert sorted(model.frequencies_[0]) == [0.25, 0.75]  # y once, x three times
    assert sorted(model.frequencies_[1]) == [0.25, 0.25, 0.5]  # True, False, twice missing


def test_members_of_a_group_keep_their_shares(model, tmp_path, real):
    grouped = model.cells_[model.codec_.layout_.columns.index("code")]
    assert grouped, "the test needs a column with a group of rare values"
    assert all(shares.sum() == pytest.approx(1) for shares in grouped.values())
    model.save(tmp_path / "m.synthgan")
    again = load(tmp_path / "m.synthgan")
    for before, after in zip(model.cells_, again.cells_, strict=True):
        assert {k: v.tolist() for k, v in before.items()} == {k: v.tolist() for k, v in after.items()}


def test_the_score_is_the_sum_of_log_frequencies():
    real = pd.DataFrame({"a": ["x", "y", "x", "x"], "b": [True, False, None, None]})
    model = IndependentSynthesizer(random_state=0).fit(real)
    rows = pd.DataFrame({"a": ["x", "y", "z"], "b": [None, True, True]})
    # 3/4 * 2/4, 1/4 * 1/4, and 1 / (4 + 1) for a category never seen
    assert np.exp(model.score_samples(rows)) == pytest.approx([3 / 8, 1 / 16, 1 / 20])


def test_members_of_a_group_are_scored_by_their_own_share(model, real):
    shares = real["code"].value_counts(normalize=True)
    rows = real.drop_duplicates("code").head(60)
    scores = model.score_samples(rows)
    first = rows.assign(code=rows["code"].iloc[0])
    expected = np.log(rows["code"].map(shares) / shares[rows["code"].iloc[0]])
    np.testing.assert_allclose(scores - model.score_samples(first), expected, atol=1e-9)


def test_numbers_are_scored_by_their_density(real):
    model = IndependentSynthesizer(random_state=0).fit(real[["x"]])
    at = pd.DataFrame({"x": np.linspace(-2, 2, 41)})
    # log of the normal density times a piece, a thousandth of the range; a cell of 1 / 800 caps it
    expected = stats.norm.logpdf(at["x"]) + np.log(np.ptp(real["x"]) / 1000)
    error = model.score_samples(at) - np.minimum(expected, np.log(1 / 50 / 16))
    assert np.abs(error).mean() < 0.4
