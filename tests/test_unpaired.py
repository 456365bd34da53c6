import numpy as np

from synthgan.unpaired import groups_of


class TestGroups:
    def test_columns_that_split_the_tables_are_passed_over(self):
        rng = np.random.default_rng(0)
        one, other = (np.stack([rng.integers(0, 3, 90), np.arange(90) + 90 * k], axis=1) for k in (0, 1))
        first, second = groups_of(one, other)
        assert len(set(first)) == len(set(second)) == 3
        assert [set(one[first == g, 0]) for g in range(3)] == [set(other[second == g, 0]) for g in range(3)]

    def test_without_columns_there_is_one_group(self):
        first, second = groups_of(np.zeros((3, 0), int), np.zeros((2, 0), int))
        assert (first.tolist(), second.tolist()) == ([0, 0, 0], [0, 0])
