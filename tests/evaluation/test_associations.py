import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import normalized_mutual_info_score

from synthgan.datasets import load_adult
from synthgan.errors import DataError
from synthgan.evaluation.associations import (
    MAX_PAIRS,
    MAX_TRIPLES,
    _subsets,
    association_errors,
    association_summary,
    pair_errors,
    threeway_error,
    trend_error,
)
from synthgan.evaluation.intervals import bootstrapped
from synthgan.evaluation.tables import code_tables
from tests.strategies import frames


def coded(real, synthetic, **kinds):
    return code_tables(pd.DataFrame(real), pd.DataFrame(synthetic), kinds=kinds or None)


class TestPairs:
    @pytest.mark.parametrize(
        ("b", "error"), [([1, 2, 3, 4], 0.0), ([4, 3, 2, 1], 1.0), ([1, -1, -1, 1], 0.5)]
    )
    def test_correlations_by_hand(self, b, error):
        # r_real = 1; r_synthetic = 1, -1 and 0: with deviations -3/2 -1/2 1/2 3/2 of a the products cancel
        a = [1, 2, 3, 4]
        pairs = pair_errors(*coded({"a": a, "b": a}, {"a": a, "b": b}))
        assert pairs["method"].tolist() == ["pearson"]
        assert pairs["error"].item() == pytest.approx(error, abs=1e-12)

    def test_joint_table_by_hand(self):
        # real: xu 1/2, yv 1/2; synthetic: xu xv yu yv 1/4 each: half of 4 times 1/4
        tables = coded({"c": list("xxyy"), "d": list("uuvv")}, {"c": list("xxyy"), "d": list("uvuv")})
        assert trend_error(*tables) == 0.5

    def test_bins_of_each_table_by_hand(self):
        # real bins of width 1 up to 10: 0 is in the first, 10 (the greatest) alone: (1,x) 1/2, (11,y) 1/2.
        # synthetic bins of width 10 up to 100: (1,x) 1/2, (2,y) 1/4, (11,y) 1/4: half of 1/4 + 1/4.
        # With the real bins in both, 10 and 100 are beyond the last edge alike: no error.
        tables = coded({"a": [0, 0, 10, 10], "c": list("xxyy")}, {"a": [0, 0, 10, 100], "c": list("xxyy")})
        assert trend_error(*tables) == 0.25
        assert trend_error(*tables, shared_bins=True) == 0.0

    def test_a_missing_number_is_a_bin_of_its_own(self):
        # real: missing with x; synthetic: missing with y: (11,x) (0,x) against (11,x) (0,y)
        real = {"a": [1.0, None, 1.0, None], "c": list("xxxx")}
        tables = coded(real, real | {"c": list("xyxy")}, c="categorical")
        assert trend_error(*tables) == 0.5

    def test_correlation_uses_the_rows_that_have_both(self):
        # the first three rows have both, and correlate perfectly
        real = {"a": [1.0, 2.0, 3.0, 9.0], "b": [1.0, 2.0, 3.0, None]}
        tables = coded(real, {"a": [1.0, 2.0, 3.0, 4.0], "b": [3.0, 2.0, 1.0, 0.0]})
        assert trend_error(*tables) == pytest.approx(1.0)

    def test_equals_numpy_and_pandas_on_adult(self, adult):
        real, other = adult
        pairs = pair_errors(real, other).set_index(["first", "second"])
        matrices = []
        for table in adult:
            numbers = pd.DataFrame(
                {n: table.numbers(n) for n in table.domain.names if table.domain.is_ordered(n)}
            )
            matrices.append(numbers.corr())
        assert pairs.loc[("age", "fnlwgt"), "error"] == pytest.approx(
            abs(matrices[0] - matrices[1]).loc["age", "fnlwgt"] / 2, abs=1e-12
        )
        joint = []
        for table in adult:
            ages = table.numbers("age")
            bins = np.digitize(ages, np.histogram_bin_edges(ages, bins=10))
            joint.append(pd.crosstab(bins, table.column("education"), normalize=True))
        gap = joint[0].sub(joint[1], fill_value=0).abs().to_numpy().sum() / 2
        assert pairs.loc[("age", "education"), "error"] == pytest.approx(gap, abs=1e-12)

    def test_undefined_correlations_are_left_out(self):
        constant = {"a": [5, 5, 5, 5], "b": [1, 2, 3, 4]}
        tables = coded(constant, constant, a="numerical")
        assert pair_errors(*tables)["error"].isna().all()
        varied = coded(constant, {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, a="numerical")
        assert trend_error(*varied) == 0.5  # 0 against 1

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
    def test_correlations_survive_extreme_scales(self, scale):
        a = np.arange(50.0) * scale
        assert trend_error(*coded({"a": a, "b": a}, {"a": a, "b": a[::-1]})) == pytest.approx(1.0)

    def test_symmetric(self, adult):
        assert trend_error(*adult) == pytest.approx(trend_error(*adult[::-1]), abs=1e-12)

    def test_thousands_of_categories_are_counted_sparsely(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.integers(0, 4000, (30_000, 4)).astype(str)).astype("category")
        tables = code_tables(frame, frame.sample(frac=1, random_state=0))
        start = time.perf_counter()
        assert trend_error(*tables) == 0.0
        assert time.perf_counter() - start < 2.0


def figures(real, synthetic, **kinds):
    """The one pair of two tables of two columns."""
    return association_errors(*coded(real, synthetic, **kinds)).iloc[0]


class TestAssociations:
    def test_ranks_by_hand(self):
        # ranks 1 2 3 4 against 4 3 2 1, however far the values lie apart
        a = [1, 2, 3, 1000]
        assert figures({"a": a, "b": a}, {"a": a, "b": a[::-1]})["spearman"] == pytest.approx(1.0)

    def test_spearman_equals_scipy(self, adult):
        pairs = association_errors(*adult).set_index(["first", "second"])
        rho = [spearmanr(table.numbers("age"), table.numbers("hours_per_week")).statistic for table in adult]
        assert pairs.loc[("age", "hours_per_week"), "spearman"] == pytest.approx(
            abs(rho[0] - rho[1]) / 2, abs=1e-12
        )

    def test_categories_by_hand(self):
        # real: d follows c, V = 1; synthetic: d does not, V = 0; joint as in test_joint_table_by_hand.
        # NMI likewise 1 and 0
        found = figures({"c": list("xxyy"), "d": list("uuvv")}, {"c": list("xxyy"), "d": list("uvuv")})
        assert found["cramers_v"] == pytest.approx(1.0)
        assert found["contingency"] == found["error"] == found["error_shared"] == 0.5
        assert (found["nmi_real"], found["nmi_synthetic"]) == pytest.approx((1.0, 0.0))

    def test_groups_by_hand(self):
        # real: a is 0 in x and 1 in y, ratio 1; synthetic: equal means, ratio 0
        found = figures(
            {"c": list("xxyy"), "a": [0, 0, 1, 1]}, {"c": list("xxyy"), "a": [0, 1, 0, 1]}, a="numerical"
        )
        assert found["correlation_ratio"] == pytest.approx(1.0)
        assert found["contingency"] == 0.5

    def test_quantile_bins_do_not_see_the_scale(self):
        # of two levels each: equal up to an increasing function, except for the bins of equal width
        a, b = np.arange(100.0), np.arange(100.0) ** 9
        c = np.repeat(["x", "y"], 50)
        found = figures({"a": b, "c": c}, {"a": b, "c": c[::-1]})
        same = figures({"a": a, "c": c}, {"a": a, "c": c[::-1]})
        assert found["contingency"] == same["contingency"] == 1.0
        assert found["error"] < 0.6 < same["error"]

    def test_what_does_not_apply_is_nan(self, mixed):
        pairs = association_errors(*code_tables(mixed(200, 0), mixed(200, 1))).set_index(["first", "second"])
        known = {key: set(pairs.columns[row.notna()]) - {"method"} for key, row in pairs.iterrows()}
        always = {"error", "error_shared", "contingency", "nmi_real", "nmi_synthetic"}
        assert known[("size", "price")] == always | {"spearman"}
        assert known[("size", "colour")] == always | {"correlation_ratio"}
        assert known[("colour", "new")] == always | {"cramers_v"}

    def test_a_table_equals_itself(self, adult):
        found = association_summary(association_errors(adult[0], adult[0]))
        assert found == dict.fromkeys(found, 0.0)

    def test_one_column_has_no_pairs(self):
        found = association_summary(association_errors(*coded({"a": [1, 2]}, {"a": [1, 2]})))
        assert np.isnan(list(found.values())).all()

    def test_a_coefficient_that_one_table_lacks_counts_as_0(self):
        real = {"c": list("xxyy"), "d": list("uuvv")}
        assert figures(real, {"c": list("xxxx"), "d": list("uuvv")})["cramers_v"] == pytest.approx(1.0)

    def test_the_pairs_of_the_report_are_those_of_all_figures(self, adult):
        wide = association_errors(*adult)
        for shared, column in ((False, "error"), (True, "error_shared")):
            narrow = pair_errors(*adult, shared_bins=shared)
            assert narrow["error"].equals(wide[column].rename("error"))
        assert association_summary(wide)["trend_error"] == trend_error(*adult)


class TestMutualInformation:
    def test_by_hand(self):
        # c and d are equal in the real table and independent in the synthetic one, c and e the other way
        # round, d and e independent in both: |1 - 0| * 1 + |0 - 1| * 1 over weights 1 + 1 + 0
        real = {"c": list("xxyy"), "d": list("uuvv"), "e": list("stst")}
        synthetic = {"c": list("xxyy"), "d": list("uvuv"), "e": list("sstt")}
        found = association_summary(association_errors(*coded(real, synthetic)))
        assert found["mutual_information_error"] == pytest.approx(1.0)

    def test_the_weight_is_the_information_of_both_tables(self):
        # errors 1 and 0 with weights 1 + 0 and 1 + 1, the third pair is independent in both: 1/3
        real = {"c": list("xxyyxxyy"), "d": list("uuvvuuvv"), "e": list("ssssssss")}
        synthetic = {"c": list("xxyyxxyy"), "d": list("uvuvuvuv"), "e": list("ssssssss")}
        real |= {"f": real["c"]}
        synthetic |= {"f": synthetic["c"]}
        # pairs with information: cd 1/0, cf 1/1, df 1/0: (1 + 0 + 1) / (1 + 2 + 1)
        found = association_summary(association_errors(*coded(real, synthetic)))
        assert found["mutual_information_error"] == pytest.approx(0.5)

    def test_bins_are_those_of_tabpc(self):
        # written anew from its definition with pandas.cut and scikit-learn
        rng = np.random.default_rng(0)
        tables = []
        for slope in (1.0, 0.3):
            a = rng.normal(size=500).round(1)
            b = slope * a + rng.normal(size=500) * slope
            tables.append(
                pd.DataFrame({"a": a, "b": b, "k": np.abs(a).astype(int), "c": np.where(b > 0, "x", "y")})
            )
        binned = [table.copy() for table in tables]
        for name in ("a", "b", "k"):
            edges = np.histogram_bin_edges(tables[0][name], bins=10)
            for table in binned:
                if table[name].nunique() > 11:
                    table[name] = pd.cut(table[name], edges, include_lowest=True)
        pairs = association_errors(*code_tables(*tables, kinds={"k": "numerical"}))
        assert len(pairs) == 6
        for first, second, *found in pairs[["first", "second", "nmi_real", "nmi_synthetic"]].itertuples(
            index=False
        ):
            for table, value in zip(binned, found, strict=True):
                codes = [pd.Categorical(table[name]).codes for name in (first, second)]
                assert value == pytest.approx(normalized_mutual_info_score(*codes), abs=1e-9)

    def test_independent_columns_of_adult_are_as_far_off_as_published(self):
        # TabPC, article_material/our_results/nmi_l1_weighted.csv: FullyFactorizedPreprocessed .2811 +- .0002;
        # trend.csv: .9251 +- .0004
        (real,) = code_tables(load_adult()[0])
        floor = real.independent(len(real), np.random.default_rng(0))
        found = association_summary(association_errors(real, floor))
        assert found["mutual_information_error"] == pytest.approx(0.2811, abs=0.001)
        assert found["trend_error"] == pytest.approx(1 - 0.9251, abs=0.001)

    def test_no_relation_at_all_is_no_error(self):
        table = {"c": list("xxyy"), "d": list("uvuv")}
        assert (
            association_summary(association_errors(*coded(table, table)))["mutual_information_error"] == 0.0
        )


class TestTriples:
    def test_by_hand(self):
        # c, d, e over two values each: e is the parity of c and d in the real table, its opposite in the
        # synthetic one: every pair agrees, no triple does
        c, d = np.array([0, 0, 1, 1] * 2), np.array([0, 1, 0, 1] * 2)
        kinds = dict.fromkeys("cde", "categorical")
        tables = coded({"c": c, "d": d, "e": c ^ d}, {"c": c, "d": d, "e": 1 - (c ^ d)}, **kinds)
        assert threeway_error(*tables).value == 1.0
        assert trend_error(*tables) == 0.0

    def test_cells_by_hand(self):
        # ten real numbers make five bins of two; the fifth and rarer categories are one cell
        a = np.arange(10.0)
        c = list("vvwwxxyyzz")
        real = {"a": a, "c": c, "d": list("ssssssssss")}
        assert threeway_error(*coded(real, real | {"a": a // 2 * 2 + 0.5}, c="categorical")).value == 0.0
        assert threeway_error(*coded(real, real | {"c": list("vvwwxxyy??")}, c="categorical")).value == 0.0
        assert threeway_error(*coded(real, real | {"c": list("vvwwxx??zz")}, c="categorical")).value == 0.2

    def test_a_table_equals_itself(self, adult):
        estimate = threeway_error(adult[0], adult[0])
        assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)

    def test_fewer_than_three_columns_have_none(self):
        table = {"a": [1.0, 2.0], "b": [1.0, 2.0]}
        assert np.isnan(threeway_error(*coded(table, table)).value)

    def test_the_interval_is_about_that_of_a_bootstrap(self, mixed):
        (real,) = code_tables(mixed(1500, 0))
        floor = real.independent(1000, np.random.default_rng(0))
        estimate = threeway_error(real, floor)
        (drawn,) = bootstrapped(
            lambda *tables: {"": threeway_error(*tables).value}, real, floor, np.random.default_rng(0), 40
        ).values()
        assert 0.8 < (estimate.high - estimate.low) / (drawn.high - drawn.low) < 1.3

    def test_all_triples_of_few_columns_and_some_of_many(self):
        assert len(_subsets(20, 3, MAX_TRIPLES, 0)) == 1140
        for n_columns in (21, 1000):  # 1,330 triples and 166 million
            drawn = _subsets(n_columns, 3, MAX_TRIPLES, 0)
            assert len({tuple(triple) for triple in drawn.tolist()}) == MAX_TRIPLES
            assert (np.diff(drawn, axis=1) > 0).all()
            assert drawn.min() >= 0
            assert drawn.max() < n_columns

    def test_the_seed_draws_the_triples(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.integers(0, 3, (60, 25)).astype(str))
        tables = code_tables(frame.iloc[:30], frame.iloc[30:])
        assert threeway_error(*tables, seed=0) == threeway_error(*tables, seed=0)
        assert threeway_error(*tables, seed=0) != threeway_error(*tables, seed=1)


def test_pairs_of_many_columns_are_drawn_and_compared_as_in_a_table_of_two():
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(80, 150))).rename(columns="n{}".format)
    words = pd.DataFrame(rng.integers(0, 3, (80, 60)).astype(str)).rename(columns="w{}".format)
    frame = pd.concat([words.iloc[:, :30], numbers, words.iloc[:, 30:]], axis=1)
    found = association_errors(*code_tables(frame[:40], frame[40:]))
    assert len(found) == len(found[["first", "second"]].drop_duplicates()) == MAX_PAIRS < 210 * 209 / 2
    for row in found[::2500].to_dict("records"):
        pair = frame[[row["first"], row["second"]]]
        alone = association_errors(*code_tables(pair[:40], pair[40:])).to_dict("records")[0]
        assert alone == pytest.approx(row, nan_ok=True)


@given(st.data())
def test_figures_of_any_two_tables_lie_between_0_and_1(data):
    frame = data.draw(frames().filter(lambda frame: len(frame) > 1))
    try:
        tables = code_tables(frame.iloc[::2], frame.iloc[1::2])
    except DataError:
        return
    pairs = association_errors(*tables)
    known = pairs.drop(columns=["first", "second", "method"]).to_numpy()
    assert ((known >= 0) & (known <= 1 + 1e-12) | np.isnan(known)).all()
    assert pairs[["contingency", "nmi_real", "nmi_synthetic"]].notna().all(axis=None)
    assert pairs["error"].notna().sum() >= (pairs["method"] == "tv").sum()
    estimate = threeway_error(*tables)
    assert np.isnan(estimate.value) == (len(tables[0].domain.names) < 3)
    assert np.isnan(estimate.value) or 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def summary(real, synthetic):
    """All distances of pairs and triples."""
    found = association_summary(association_errors(real, synthetic))
    return found | {"threeway_error": threeway_error(real, synthetic).value}


def test_errors_grow_with_corruption(adult):
    real, _ = adult
    rng = np.random.default_rng(0)
    floor = real.independent(len(real), rng)
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = np.where(rng.random(real.codes.shape) < share, floor.codes, real.codes)
        found.append(summary(real, type(real)(real.domain, np.asfortranarray(mixed))))
    for name in found[0]:
        values = [errors[name] for errors in found]
        assert values[0] == 0.0
        assert values == sorted(values), name


def test_the_floor_is_far_from_the_ceiling(adult):
    real, holdout = adult
    floor = summary(real, real.independent(len(real), np.random.default_rng(0)))
    for name, ceiling in summary(real, holdout).items():
        assert floor[name] > 2 * ceiling, name


def test_the_order_of_rows_does_not_matter(mixed):
    frame, other = mixed(200, 0), mixed(200, 1)
    shuffled = other.iloc[np.random.default_rng(0).permutation(200)]
    found = [summary(*code_tables(frame, table)) for table in (other, shuffled)]
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["numerical", "categorical"])
def test_odd_tables(kind):
    tables = [
        {"a": [1.0], "b": [2.0], "c": [3.0]},
        {"a": [1.0, 1.0], "b": [np.nan, np.nan], "c": [1.0, 2.0]},
        {"a": [np.nan, np.nan], "b": [np.nan, 1.0], "c": [-1e308, 1e308]},
    ]
    for real in tables:
        for synthetic in tables:
            found = summary(*coded(real, synthetic, **dict.fromkeys("abc", kind)))
            assert all(np.isnan(value) or 0 <= value <= 1 for value in found.values())


def test_tens_of_thousands_of_categories():
    rng = np.random.default_rng(0)
    keys = pd.Series(np.arange(30_000).astype(str), dtype="category")
    frame = pd.DataFrame({"key": keys, "a": rng.normal(size=30_000), "c": rng.choice(["x", "y"], 30_000)})
    shuffled = frame.assign(key=keys[::-1].to_numpy())
    found = summary(*code_tables(frame, shuffled, kinds={"key": "categorical"}))
    # each row has a key of its own: no coefficient tells more than that, but every joint cell differs
    assert found["contingency_error"] > 0.3
    assert np.isnan(found["cramers_v_error"])
