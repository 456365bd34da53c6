"""Blocks of rows side by side, each in a thread of its own that uses one core.

Products of some 2,000 rows gain little from being divided between cores, blocks of rows divide freely. And
what a block holds then does not depend on the number of cores, down to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["in_threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Like `map`, with as many threads as torch may use, in each of which it uses one.

    torch releases Python's lock while it computes. The number of threads is torch's alone again in the end.

    Parameters
    ----------
    function : callable
        Changes nothing that calls of it share.
    items : iterable

    Returns
    -------
    list
        What `function` returns for each item, in order. The first error is raised; what had not begun
        by then is left out.

    Examples
    --------
    >>> in_threads(len, ["a", "bb"])
    [1, 2]
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        return list(map(function, items))
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(n_threads)  # a worker's one would be that of all threads to come
