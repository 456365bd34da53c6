import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, mannwhitneyu

from synthgan.evaluation.alarms import able, at_once, detectable_auc, detectable_tpr, excess_p, least_p

SMALL = st.integers(1, 30)


def test_excess_p_by_hand():
    # 3 marks on 3 members and 4 others: all on members in C(3, 3) = 1 of C(7, 3) = 35 ways
    assert excess_p(3, 3, 0, 4) == pytest.approx(1 / 35)
    # two or more on members: (C(3, 2) C(4, 1) + 1) / 35 = 13 / 35
    assert excess_p(2, 3, 1, 4) == pytest.approx(13 / 35)
    assert excess_p(0, 3, 2, 4) == 1.0


@given(SMALL, SMALL, st.data())
def test_excess_p_is_fishers_exact_test(n, m, data):
    hit, other = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    expected = fisher_exact([[hit, n - hit], [other, m - other]], alternative="greater").pvalue
    assert excess_p(hit, n, other, m) == pytest.approx(expected, rel=1e-9)
    assert least_p(hit + other, n, m) <= excess_p(hit, n, other, m) * (1 + 1e-12)


def test_labels_drawn_at_random_are_called_a_leak_as_often_as_allowed():
    rng = np.random.default_rng(0)
    marked = rng.random(300) < 0.2
    found = []
    for _ in range(4000):
        member = rng.permutation(300) < 120
        found.append(excess_p(int((marked & member).sum()), 120, int((marked & ~member).sum()), 180))
    for level in (0.01, 0.05, 0.2):  # three deviations of a share of 4,000
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level / 4000)


def test_correction_counts_the_tests_that_can_speak():
    # level .01 over 4 tests is .0025: the third cannot reach it, the fourth was not made and does not count
    assert able([0.0, 0.001, 0.004, np.nan]).tolist() == [True, True, False, False]
    corrected = at_once([0.002, 0.3, 0.004, np.nan], [0.0, 0.001, 0.004, np.nan])
    assert corrected[:3].tolist() == [0.004, 0.6, 1.0]
    assert np.isnan(corrected[3])
    assert at_once([0.1, 0.4]).tolist() == [0.2, 0.8]
    assert at_once([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_correction_never_makes_a_p_value_smaller(p_values):
    corrected = at_once(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= 1).all()


def test_the_detectable_auc_is_found_eight_times_in_ten():
    n, m, level = 150, 100, 0.01
    auc = detectable_auc(n, m, level)
    shift = np.sqrt(2) * 0.4415  # Phi(shift / sqrt 2) = .6706 for normal scores
    assert auc == pytest.approx(0.6706 - 0.0525, abs=0.002)  # 1/2 + (2.326 + .842) x .03735 = .6183
    shift = np.sqrt(2) * 0.3011  # Phi(.3011) = .6183
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(600):
        test = mannwhitneyu(rng.normal(shift, 1, n), rng.normal(0, 1, m), alternative="greater")
        found += test.pvalue <= level
    assert found / 600 == pytest.approx(0.8, abs=0.06)
    assert np.isnan(detectable_auc(0, 5, 0.01))


def test_the_detectable_tpr_is_found_eight_times_in_ten():
    n, m, top, level = 1000, 1000, 100, 0.001
    share = detectable_tpr(top, n, m, level) * n / top  # of the top records, those that are members
    hits = np.random.default_rng(0).binomial(top, share, size=2000)
    found = np.mean([excess_p(int(hit), n, top - int(hit), m) <= level for hit in hits])
    assert found == pytest.approx(0.8, abs=0.03)
    assert np.isnan(detectable_tpr(2, n, m, level))
    assert detectable_tpr(100, 20, 1000, level) <= 1.0
