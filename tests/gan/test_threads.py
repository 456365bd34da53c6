import threading

import pytest
import torch

from synthgan.gan.threads import both, in_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_calls_run_side_by_side_and_results_keep_the_order_of_the_items(two_threads):
    both_are_running = threading.Barrier(2, timeout=60)

    def wait(item):
        both_are_running.wait()  # breaks unless two calls are running
        return item

    assert in_threads(wait, range(4)) == [0, 1, 2, 3]


def test_each_call_uses_one_thread_of_torch_and_all_are_there_again_afterwards(two_threads):
    assert in_threads(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
    assert torch.get_num_threads() == 2
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [2]


def test_with_one_thread_of_torch_nothing_leaves_the_callers_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert in_threads(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3
    finally:
        torch.set_num_threads(before)


def test_the_first_error_is_raised_and_threads_are_given_back(two_threads):
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 / item, [1, 0, 1])
    assert torch.get_num_threads() == 2


def test_one_function_runs_beside_another_that_has_a_core_of_its_own(two_threads):
    both_are_running = threading.Barrier(2, timeout=60)

    def here():
        both_are_running.wait()
        return torch.get_num_threads(), threading.get_ident()

    def beside(each):
        both_are_running.wait()
        return each(lambda item: (item, torch.get_num_threads()), range(3))

    assert both(here, beside) == ((1, threading.get_ident()), [(0, 1), (1, 1), (2, 1)])
    assert torch.get_num_threads() == 2


def test_what_runs_beside_gets_the_core_of_the_other_when_that_is_done(two_threads):
    n_running, most, lock, is_done = 0, [], threading.Lock(), threading.Event()
    two_are_running = threading.Barrier(2, timeout=60)

    def call(item):
        nonlocal n_running
        with lock:
            n_running += 1
            most.append(n_running)
        if item < 4:
            is_done.wait(0.02)
        else:
            two_are_running.wait()
        with lock:
            n_running -= 1

    def here():
        while len(most) < 4:  # calls that began beside it
            is_done.wait(0.01)

    both(here, lambda each: each(call, range(8)))
    assert max(most[:4]) == 1
    assert max(most) == 2


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("which", ["here", "beside"])
def test_an_error_of_either_function_is_raised_and_threads_are_given_back(n_threads, which):
    def fail(*_):
        raise ZeroDivisionError

    functions = {"here": lambda: None, "beside": lambda _: None} | {which: fail}
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with pytest.raises(ZeroDivisionError):
            both(**functions)
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
