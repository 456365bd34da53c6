import threading

import pytest
import torch

from synthgan.gan.threads import in_threads


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
