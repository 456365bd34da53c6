import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import ParameterError
from synthgan.seeding import draw_seed, stream

SEEDS = st.integers(0, 2**62 - 1)


@given(SEEDS)
def test_an_int_is_its_own_seed(seed):
    assert draw_seed(seed) == seed
    assert draw_seed(np.int64(seed)) == seed


def test_generators_are_advanced_and_reproducible():
    for make in (np.random.default_rng, np.random.RandomState):
        first, second = make(3), make(3)
        drawn = [draw_seed(first), draw_seed(first)]
        assert drawn == [draw_seed(second), draw_seed(second)]
        assert drawn[0] != drawn[1]


def test_none_gives_fresh_seeds_that_fit_64_bits():
    seeds = {draw_seed(None) for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**62 for seed in seeds)


@pytest.mark.parametrize("bad", [-1, True, 1.5, "0", np.float64(1)])
def test_a_bad_random_state_is_refused(bad):
    with pytest.raises(ParameterError, match="random_state must be an int >= 0"):
        draw_seed(bad)


@given(SEEDS, st.text(max_size=8), st.integers(0, 10**6))
def test_a_stream_depends_on_its_seed_and_its_keys(seed, key, block):
    numbers = stream(seed, key, block).random(3).tolist()
    assert numbers == stream(seed, key, block).random(3).tolist()
    assert numbers != stream(seed, key, block + 1).random(3).tolist()
    assert numbers != stream(seed + 1, key, block).random(3).tolist()


@pytest.mark.parametrize("skip", [0, 1, 4, 7, 2048])
def test_numbers_of_a_stream_can_be_left_out(skip):
    whole = stream(3, "x").random(skip + 5)
    assert stream(3, "x", skip=skip).random(5).tolist() == whole[skip:].tolist()


def test_streams_leave_the_global_generators_alone():
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    draw_seed(None)
    stream(0, "x").random()
    assert before == (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
