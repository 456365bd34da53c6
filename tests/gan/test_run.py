"""Counting, recording, going back, stopping and going on."""

import copy
import math
import os
import signal
import threading
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgan.errors import ModelFileError, TrainingDivergedError
from synthgan.gan.networks import Generator, initialise
from synthgan.gan.run import BestWeights, MovingAverage, Run, has_collapsed, set_rate, warm_linear
from tests.gan.tables import HIDDEN, LATENT, MIXED, NOISE, networks, seeded


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def line(weight=0.0):
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(weight)
    return network


def walk(run, n_steps=48, extra=lambda step: 0.0, each=lambda step: None):
    """Let a weight take random steps by Adam; ``extra(step)`` is added to the loss that is looked at."""
    network = run.network
    optimiser = torch.optim.Adam(network.parameters(), 0.1)
    average = MovingAverage(network, 0.9)
    for step, _ in run.steps("walk", n_steps, {"optimiser": optimiser, "average": average}):
        set_rate(optimiser, 0.1 * run.rate)
        loss = (network.weight * torch.randn(1, generator=run.rng)).sum()
        if run.is_lost(loss + extra(step)):
            continue
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(step)
        each(step)
        if run.at_interval:
            run.record(loss=loss.item(), mean=float(average.average[0]))
    return network.weight.item()


class Watcher:
    """Keeps all that it is shown."""

    def __init__(self, stop_at=math.inf):
        self.seen, self.stop_at = [], stop_at

    def on_interval(self, state):
        self.seen.append(state)
        if state.step >= self.stop_at:
            state.stop()


def untimed(history):
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


# Counting


def steps_of(n_steps, max_seconds=None):
    return list(Run(line(), 0).steps("gan", n_steps, {}, max_seconds))


def test_a_schedule_ends_after_its_steps():
    steps = steps_of(5)
    assert steps == [(k, pytest.approx((k + 1) / 5)) for k in range(5)]


def test_a_schedule_ends_early_when_time_is_over():
    seen = []
    for step, progress in Run(line(), 0).steps("gan", 10**6, {}, 0.1):
        seen.append((step, progress))
        time.sleep(0.01)
    assert 2 <= len(seen) <= 12
    assert [step for step, _ in seen] == list(range(len(seen)))
    assert [p for _, p in seen] == sorted(p for _, p in seen)
    assert seen[-1][1] == 1.0
    assert len(steps_of(3, 1e-9)) == 1  # one step, however short the time


def test_a_budget_has_as_many_intervals_as_steps_have():
    run, marked = Run(line(), 0), []
    for step, _ in run.steps("gan", 10**6, {}, 0.5):
        time.sleep(0.001)
        if run.at_interval:
            marked.append(step)
    assert 15 <= len(marked) <= 25  # a slow machine may miss some


def test_a_generous_budget_changes_nothing():
    assert steps_of(4, 1e9) == steps_of(4)


def test_the_learning_rate_warms_up_and_falls():
    assert warm_linear(0, 0.0) == 0.01
    assert warm_linear(99, 0.0) == 1.0
    assert warm_linear(500, 0.5) == 0.5
    assert warm_linear(500, 1.0) == 0.02


@pytest.mark.parametrize("n_steps", [1, 7, 24, 100, 4000])
def test_intervals_end_with_the_last_step(n_steps):
    run = Run(line(), 0)
    marked = [step for step, _ in run.steps("gan", n_steps, {}) if run.at_interval]
    assert marked[-1] == n_steps - 1
    assert len(marked) == min(n_steps, 24)


def test_the_moving_average_is_short_at_the_start():
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    average = MovingAverage(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(1.0)
    average.update(0)  # decay 1 / 10
    assert float(average.average[0]) == pytest.approx(0.9)
    average.update(990)  # decay 0.5
    assert float(average.average[0]) == pytest.approx(0.95)
    assert network.weight.item() == 1.0


def test_swapping_the_average_in_restores_the_weights_exactly():
    made = networks(MIXED)
    network = made.generator
    average, first = MovingAverage(network, 0.9), state(network)
    initialise(network, seeded(3))
    average.update(100)
    weights = state(network)
    with average.swapped_in():
        inside = state(network)
    assert same(weights, state(network))
    assert not same(inside, weights)
    assert not same(inside, first)
    average.keep()
    assert same(inside, state(network))


def test_the_best_weights_come_back():
    network = Generator(NOISE, HIDDEN, HIDDEN, 1, LATENT)
    best, states, answers = BestWeights(patience=2), [], []
    for k, loss in enumerate([3.0, 1.0, 2.0, math.nan, 0.5]):
        initialise(network, seeded(k))
        states.append(state(network))
        answers.append(best.offer(loss, network))
        if k == 3:
            best.restore(network)
            assert same(state(network), states[1])
    assert answers == [True, True, True, False, True]
    best.restore(network)
    assert same(state(network), states[4])


# Watching and stopping


def test_callbacks_see_each_line_of_the_history():
    watcher = Watcher()
    run = Run(line(), 0, callbacks=[watcher])
    walk(run)
    assert [seen.step for seen in watcher.seen] == list(range(2, 49, 2))
    assert [dict(seen.measures) for seen in watcher.seen] == [
        {key: entry[key] for key in ("loss", "mean")} for entry in run.history
    ]
    assert {(seen.phase, seen.n_steps) for seen in watcher.seen} == {("walk", 48)}


def test_a_callback_ends_the_phase_and_the_next_one_follows():
    run = Run(line(), 0, callbacks=[Watcher(stop_at=10)])
    walk(run)
    assert run.history[-1]["step"] == 10
    assert [step for step, _ in run.steps("next", 3, {})] == [0, 1, 2]


def test_a_live_line_shows_what_was_measured(capsys):
    walk(Run(line(), 0, verbose=True))
    assert "mean=" in capsys.readouterr().err
    walk(Run(line(), 0))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("last", [[0.3, 0.6], [0.6, 0.3]])
def test_one_low_measurement_is_no_collapse(last):
    assert not has_collapsed([1.0] * 10 + last)


def test_a_collapse_is_told_once_while_it_goes_on():
    run = Run(line(), 0)

    def collapse():
        for step, _ in run.steps("gan", 24, {}):
            run.record(diversity=0.2 if step > 6 else 0.9)

    with pytest.warns(UserWarning, match="reaches 20% .* at step 9: .*mode collapse") as told:
        collapse()
    assert len(told) == 1


# Going back


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_puts_everything_back_and_halves_the_rate(value):
    weights, once = {}, {5: value}
    run = Run(line(1.0), 0)

    def keep(step):
        weights.setdefault(step, []).append(run.network.weight.item())

    with pytest.warns(UserWarning, match="went back to step 4 and goes on with 0.5 times"):
        walk(run, extra=lambda step: once.pop(step, 0.0), each=keep)
    assert run.rate == 0.5
    assert [entry["rate"] for entry in run.history[:4]] == [1.0, 1.0, 0.5, 0.5]
    assert [len(weights[step]) for step in (3, 4, 5, 6)] == [1, 2, 1, 1]
    before, (first, second) = weights[3][0], weights[4]
    assert 0 < abs(second - before) < abs(first - before)  # the same draw, half as far
    assert [entry["step"] for entry in run.history] == list(range(2, 49, 2))


def test_what_was_recorded_after_the_last_interval_is_forgotten():
    run = Run(line(), 0)
    steps = run.steps("gan", 240, {})
    for _ in range(8):
        assert next(steps)[0] < 8
    run.record(loss=1.0)
    with pytest.warns(UserWarning, match="went back to step 0"):
        assert run.is_lost(torch.tensor(math.nan))
    assert next(steps)[0] == 0
    assert run.history == []


def test_the_fourth_loss_in_a_phase_that_is_not_finite_is_an_error():
    run = Run(line(1.0), 0)
    with (
        pytest.warns(UserWarning, match="went back") as told,
        pytest.raises(TrainingDivergedError, match=r"walk phase is nan at step 6, .* going back 3 times"),
    ):
        walk(run, extra=lambda step: math.nan if step == 5 else 0.0)
    assert len(told) == 3
    assert run.rate == 1 / 8


def test_weights_that_are_not_finite_are_never_kept():
    network = line(1.0)
    run = Run(network, 0)

    def spoil(step):
        if step == 5 and run.rate == 1.0:  # the last step of an interval; its loss was finite
            with torch.no_grad():
                network.weight.fill_(math.nan)

    with pytest.warns(UserWarning, match="went back to step 4"):
        walk(run, each=spoil)
    assert math.isfinite(network.weight.item())


def spoilt_at_the_end(run, n_steps=48, max_seconds=None, stop_at=None, rates=(1.0,)):
    """Play a phase whose weights are 2 in all steps, but NaN in the last one at some rates."""
    for step, progress in run.steps("gan", n_steps, {}, max_seconds):
        time.sleep(0.001 if max_seconds else 0)
        is_last = progress == 1 or step == stop_at
        with torch.no_grad():
            run.network.weight.fill_(math.nan if is_last and run.rate in rates else 2.0)
        if run.at_interval:
            run.record(loss=1.0)
        if step == stop_at:
            run.stop()


@pytest.mark.parametrize(
    ("end", "steps"),
    [
        ({}, (48, 46)),
        ({"n_steps": 1}, (1, 0)),
        ({"stop_at": 9}, (10, 8)),
        ({"stop_at": 8}, (9, 8)),  # between two intervals
        ({"n_steps": 10**6, "max_seconds": 0.1}, (r"\d+", r"\d+")),
    ],
)
def test_weights_that_are_not_finite_after_the_last_step_are_not_kept(end, steps):
    """No loss follows that would tell."""
    run = Run(line(1.0), 0)
    told = "weights of the gan phase are not finite after step {}: training went back to step {} .* 0.5 times"
    with pytest.warns(UserWarning, match=told.format(*steps)):
        spoilt_at_the_end(run, **end)
    assert run.network.weight.item() == 2.0
    seen = [entry["step"] for entry in run.history]
    assert seen == sorted(set(seen))


def test_weights_that_are_never_finite_at_the_end_are_an_error():
    with (
        pytest.warns(UserWarning, match="went back to step 46") as told,
        pytest.raises(TrainingDivergedError, match=r"weights of the gan phase are .* going back 3 times"),
    ):
        spoilt_at_the_end(Run(line(1.0), 0), rates=(1, 1 / 2, 1 / 4, 1 / 8))
    assert len(told) == 3


def test_a_network_that_learns_recovers_from_a_bad_start():
    """A rate at which gradient descent on a parabola explodes, and half of which contracts."""
    network = line(1.0)
    run = Run(network, 0)
    optimiser = torch.optim.SGD(network.parameters(), 0.0)

    def descend():
        for _ in run.steps("parabola", 200, {"optimiser": optimiser}):
            set_rate(optimiser, 3.0 * run.rate)
            loss = network.weight.square().sum()
            if not run.is_lost(loss if loss < 1e6 else loss + math.inf):
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

    with pytest.warns(UserWarning, match="went back"):
        descend()
    assert run.rate < 0.5
    assert abs(network.weight.item()) < 1e-6


# Going on


class BlownError(Exception):
    """Stands for the end of the process."""


@given(st.integers(0, 47), st.integers(0, 3))
def test_a_run_that_is_cut_off_anywhere_goes_on_as_if_nothing_had_happened(end, seed):
    whole = Run(line(1.0), seed)
    weight = walk(whole)
    disk = {}

    def blow(step):
        if step == end:
            raise BlownError

    first = Run(line(1.0), seed, save=lambda path, snapshot: disk.update({path: snapshot}), checkpoint="c")
    with pytest.raises(BlownError):
        walk(first, each=blow)
    assert disk["c"]["step"] == end // 2 * 2
    second = Run(line(-5.0), seed, saved=copy.deepcopy(disk["c"]))
    assert walk(second) == weight
    assert untimed(second.history) == untimed(whole.history)


def test_a_finished_phase_is_skipped_and_its_weights_are_there():
    disk = {}
    run = Run(line(1.0), 0, save=lambda path, snapshot: disk.update({path: snapshot}), checkpoint="c")
    after = walk(run)
    steps = run.steps("next", 5, {})
    next(steps)
    again = Run(line(-5.0), 0, saved=disk["c"])
    assert walk(again) == after
    assert [step for step, _ in again.steps("next", 5, {})] == [0, 1, 2, 3, 4]
    assert untimed(again.history) == untimed(run.history)


def test_a_stop_is_remembered():
    disk = {}
    run = Run(
        line(1.0),
        0,
        callbacks=[Watcher(stop_at=10)],
        save=lambda path, snapshot: disk.update({path: snapshot}),
        checkpoint="c",
    )
    weight = walk(run)
    assert walk(Run(line(-5.0), 0, saved=disk["c"])) == weight


def test_a_callback_saves_that_one_before_it_has_stopped_the_phase():
    disk = {}

    class Saver:
        def on_interval(self, state):
            state.save("c")

    def save(path, snapshot):
        disk.update({path: copy.deepcopy(snapshot)})

    run = Run(line(1.0), 0, callbacks=[Watcher(stop_at=10), Saver()], save=save)
    weight = walk(run)
    assert disk["c"]["step"] == 10
    again = Run(line(-5.0), 0, saved=disk["c"])
    assert walk(again) == weight
    assert untimed(again.history) == untimed(run.history)


def test_snapshots_share_no_memory_with_what_is_trained():
    disk = {}
    run = Run(line(1.0), 0, save=lambda path, snapshot: disk.setdefault(path, snapshot), checkpoint="c")
    walk(run)
    assert disk["c"]["parts"]["network"]["weight"].item() == 1.0
    second = Run(line(-5.0), 0, saved=disk["c"])
    walk(second)
    assert disk["c"]["parts"]["network"]["weight"].item() == 1.0


@pytest.mark.parametrize("key", ["finished", "seconds", "phase", "step", "rng", "parts", "history", "rate"])
def test_a_snapshot_that_somebody_has_changed_is_refused(key):
    disk = {}
    walk(Run(line(), 0, save=lambda path, snapshot: disk.update({path: snapshot}), checkpoint="c"))
    saved = {name: value for name, value in disk["c"].items() if name != key}
    with pytest.raises(ModelFileError, match="does not fit"):
        walk(Run(line(), 0, saved=saved))


# Ctrl-C


@pytest.fixture
def heeded():
    """The handler of an interactive Python, whatever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_an_interruption_ends_the_training_after_the_step_and_can_go_on():
    weight, disk = walk(Run(line(1.0), 0)), {}

    def interrupt(step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    run = Run(line(1.0), 0, save=lambda path, snapshot: disk.update({path: snapshot}), checkpoint="c")
    walk(run, each=interrupt)
    assert run.interrupted
    assert list(run.steps("next", 5, {})) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert disk["c"]["step"] == 7
    assert walk(Run(line(-5.0), 0, saved=disk["c"])) == weight


@pytest.mark.usefixtures("heeded")
def test_an_interruption_between_two_phases_or_after_them_ends_no_process():
    run = Run(line(1.0), 0)
    with run.interruptible():
        weight = walk(run)
        assert not run.interrupted
        os.kill(os.getpid(), signal.SIGINT)
        assert run.interrupted
        assert list(run.steps("next", 5, {})) == []
        assert run.progress_text == "walk phase after 48 of 48 steps"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert run.network.weight.item() == weight
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeded")
def test_an_interruption_before_the_first_step_leaves_a_resumed_run_where_it_was():
    weight, disk = walk(Run(line(1.0), 0)), {}

    def blow(step):
        if step == 25:
            raise BlownError

    options = {"save": lambda path, snapshot: disk.update({path: snapshot}), "checkpoint": "c"}
    with pytest.raises(BlownError):
        walk(Run(line(1.0), 0, **options), each=blow)
    saved = disk.pop("c")
    for run, learned in ((Run(line(-5.0), 0), -5.0), (Run(line(-5.0), 0, saved=saved, **options), None)):
        with run.interruptible():
            os.kill(os.getpid(), signal.SIGINT)
            found = walk(run)
        assert found == (saved["parts"]["network"]["weight"].item() if learned is None else learned)
        assert "24 of 48" in run.progress_text or "before the first step" in run.progress_text
    assert disk["c"]["step"] == 24
    assert walk(Run(line(-5.0), 0, saved=disk["c"])) == weight


@pytest.mark.usefixtures("heeded")
def test_an_interrupted_run_remembers_no_weights_that_are_not_finite():
    weight, disk, network = walk(Run(line(1.0), 0)), {}, line(1.0)

    def spoil(step):
        if step == 6:
            with torch.no_grad():
                network.weight.fill_(math.nan)
            os.kill(os.getpid(), signal.SIGINT)

    run = Run(network, 0, save=lambda path, snapshot: disk.update({path: snapshot}), checkpoint="c")
    assert math.isfinite(walk(run, each=spoil))
    assert run.interrupted
    assert run.progress_text == "walk phase after 6 of 48 steps"
    assert disk["c"]["step"] == 6
    assert walk(Run(line(-5.0), 0, saved=disk["c"])) == weight


@pytest.mark.usefixtures("heeded")
def test_a_second_interruption_is_as_ever():
    def interrupt(step):
        if step in (6, 7):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        walk(Run(line(), 0), each=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeded")
def test_other_handlers_and_other_threads_are_left_alone():
    def ours(*_):
        pass

    signal.signal(signal.SIGINT, ours)
    seen = []
    walk(Run(line(), 0), n_steps=2, each=lambda _: seen.append(signal.getsignal(signal.SIGINT)))
    assert set(seen) == {ours}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=walk, args=[Run(line(), 0)])
    thread.start()
    thread.join()
