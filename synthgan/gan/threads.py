"""Work side by side, each piece in a thread of its own that uses one core.

Products of some 2,000 rows gain little from being divided between cores, blocks of rows divide freely. And
what a block holds then does not depend on the number of cores, down to the last bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

__all__ = ["Each", "both", "in_threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Other = TypeVar("Other")

Each = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""A `map` that gives a list, such as `in_threads`."""


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


def both(here: Callable[[], Result], beside: Callable[[Each], Other]) -> tuple[Result, Other]:
    """Call two functions at once, one in this thread on one core, the other beside it on those that are left.

    With one thread of torch, one is called after the other.

    Parameters
    ----------
    here : callable () -> Result
        torch has one thread in it.
    beside : callable (each) -> Other
        Gets a map like `in_threads`, whose calls wait until a core is free for them: one more as soon as
        `here` has returned.

    Returns
    -------
    tuple
        What the two return. If both raise an error, it is that of `here`.

    Examples
    --------
    >>> both(lambda: 1, lambda each: each(len, ["a", "bb"]))
    (1, [1, 2])
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        return here(), beside(in_threads)
    free = threading.Semaphore(n_threads - 1)

    def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        def once_free(item: Item) -> Result:
            with free:
                return function(item)

        return in_threads(once_free, items)

    try:
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(n_threads,)) as pool:
            other = pool.submit(beside, each)
            torch.set_num_threads(1)
            try:
                made = here()
            finally:
                free.release()
            return made, other.result()
    finally:
        torch.set_num_threads(n_threads)
