"""Randomness as an argument: from a user's ``random_state`` to independent streams.

A seed (one integer) names a whole experiment. Streams are derived from it by
keys, ``stream(seed, "sample", block)``, so that parts of the work may run in
any order, or on other machines, and still draw the same numbers. No global
generator is read or advanced.
"""

from __future__ import annotations

import zlib

import numpy as np

from synthgan.errors import ParameterError

__all__ = ["RandomState", "draw_seed", "stream"]

RandomState = int | np.random.Generator | np.random.RandomState | None

_SEED_BITS = 62  # a seed fits a signed 64-bit integer, as JSON readers and torch expect


def draw_seed(random_state: RandomState) -> int:
    """Turn scikit-learn's ``random_state`` into one integer seed.

    Parameters
    ----------
    random_state : int >= 0, numpy Generator, numpy RandomState or None
        An int is the seed itself; a generator is advanced by one draw; None
        takes fresh entropy from the operating system.

    Returns
    -------
    int
        In [0, 2**62) unless an int was given.

    Raises
    ------
    ParameterError
        If `random_state` is of another type or negative.

    Examples
    --------
    >>> draw_seed(7)
    7
    >>> draw_seed(-1)
    Traceback (most recent call last):
    synthgan.errors.ParameterError: random_state must be an int >= 0, a numpy generator or None. Got -1.
    """
    match random_state:
        case None:
            return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(64 - _SEED_BITS))
        case np.random.Generator():
            return int(random_state.integers(2**_SEED_BITS))
        case np.random.RandomState():
            return int(random_state.randint(2**_SEED_BITS, dtype=np.int64))
        case bool():
            pass
        case int() | np.integer() if random_state >= 0:
            return int(random_state)
    raise ParameterError(
        f"random_state must be an int >= 0, a numpy generator or None. Got {random_state!r}."
    )


def stream(seed: int, *keys: str | int, skip: int = 0) -> np.random.Generator:
    """Open the random stream of a seed that belongs to `keys`.

    Equal arguments give equal numbers; different keys give independent ones (but a last key of 0 is as none).

    Parameters
    ----------
    seed : int >= 0
        The seed of the experiment, see `draw_seed`.
    *keys : str or int >= 0
        What the stream is for, for example ``"sample", 3``.
    skip : int >= 0, default 0
        How many of its 64-bit numbers to leave out, which takes no time: a float64 in [0, 1) uses one.

    Examples
    --------
    >>> bool(stream(0, "a").integers(100) == stream(0, "a").integers(100))
    True
    >>> bool(stream(0, "a", skip=2).random() == stream(0, "a").random(3)[2])
    True
    """
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    philox = np.random.Philox(np.random.SeedSequence([seed, *words]))
    if skip:
        philox.advance(skip // 4)  # each step of its counter makes four numbers
        philox.random_raw(skip % 4)
    return np.random.Generator(philox)
