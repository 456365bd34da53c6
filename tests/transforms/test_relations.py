"""Repeated values are found, strongest first."""

import numpy as np

from synthgan.transforms.relations import find_relations, sample_rows

N = 1000
A, B, C = np.random.default_rng(0).random((3, N))
EVERY = np.ones(N, dtype=bool)


def share(k):
    return np.arange(N) < k


def test_a_repeated_column_is_found():
    assert find_relations([A, np.where(share(50), A, B)], [EVERY, EVERY], "xx") == [[], [0]]


def test_less_than_one_percent_is_no_relation():
    assert find_relations([A, np.where(share(9), A, B)], [EVERY, EVERY], "xx") == [[], []]
    assert find_relations([A, np.where(share(10), A, B)], [EVERY, EVERY], "xx") == [[], [0]]


def test_the_strongest_comes_first_and_the_next_explains_more():
    mixed = np.where(share(100), A, np.where(share(300), B, C))
    assert find_relations([A, B, mixed], [EVERY] * 3, "xxx")[2] == [1, 0]
    assert find_relations([A, A, mixed], [EVERY] * 3, "xxx")[2] == [0]  # the copy explains nothing more


def test_atoms_do_not_count():
    repeated = np.where(share(500), A, B)
    assert find_relations([A, repeated], [EVERY, ~share(500)], "xx") == [[], []]


def test_columns_of_another_meaning_are_not_compared():
    assert find_relations([A, A], [EVERY, EVERY], "xy") == [[], []]


def test_only_earlier_columns_are_repeated():
    assert find_relations([np.where(share(500), B, A), B], [EVERY, EVERY], "xx") == [[], [0]]


def test_at_most_three():
    parts = np.random.default_rng(1).random((5, N))
    mixed = parts[np.arange(N) % 5, np.arange(N)]
    assert len(find_relations([*parts, mixed], [EVERY] * 6, "xxxxxx")[5]) == 3


def test_rows_are_spread_and_few_in_wide_tables():
    assert sample_rows(3, 2).tolist() == [0, 1, 2]
    assert len(sample_rows(10**6, 10)) == 20_000
    assert len(sample_rows(10**6, 5000)) == 1333
    assert sample_rows(10**6, 10)[-1] == 10**6 - 1
