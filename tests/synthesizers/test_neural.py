"""A fit that is watched, stopped, killed and resumed; on networks that learn next to nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from synthgan import CTGAN, TabularDiffusion, TabularGAN, load
from synthgan.callbacks import Checkpoint, EarlyStopping
from synthgan.errors import DataError, ModelFileError, ParameterError, TrainingDivergedError

SMALL = {
    "hidden_dim": 16,
    "n_blocks": 1,
    "latent_dim": 4,
    "noise_dim": 4,
    "n_steps": 12,  # each is an interval, at which everything is copied: most of the time of a test
    "n_gan_steps": 12,
    "batch_size": 32,
    "gan_batch_size": 16,
    "device": "cpu",
    "random_state": 0,
}


def table(n_rows=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=n_rows), "b": rng.choice(list("xyz"), n_rows)})


@pytest.fixture(scope="module")
def whole():
    return TabularGAN(**SMALL).fit(table())


@pytest.mark.parametrize(
    "model",
    [
        TabularGAN(**SMALL),
        TabularGAN(**SMALL, n_passes=1),
        CTGAN(n_epochs=1, batch_size=50, generator_dim=16, critic_dim=16, random_state=0),
        TabularDiffusion(n_steps=5, hidden_dim=16, n_diffusion_steps=4, random_state=0),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'n_passes', None)}",
)
@pytest.mark.parametrize("conditions", [None, {"b": ["x", "y"], "a": (-1, None)}], ids=["free", "given"])
def test_blocks_of_rows_that_are_drawn_side_by_side_do_not_disturb_each_other(model, conditions):
    model = clone(model).fit(table())
    before, drawn = torch.get_num_threads(), []
    try:
        for n_threads in (1, 4):
            torch.set_num_threads(n_threads)
            drawn.append(model.sample(6 * 2048, conditions=conditions, random_state=0))
    finally:
        torch.set_num_threads(before)
    pd.testing.assert_frame_equal(*drawn)


def same_weights(one, other):
    states = [model.model_.state_dict() for model in (one, other)]
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


class Cut(Exception):  # noqa: N818
    """Stands for the end of the process."""


class Cutter:
    def __init__(self, phase, step):
        self.phase, self.step = phase, step

    def on_interval(self, state):
        if (state.phase, state.step) == (self.phase, self.step):
            raise Cut


def cut_off(path, phase, step, **changes):
    with pytest.raises(Cut):
        TabularGAN(**SMALL | changes).fit(table(), checkpoint=path, callbacks=[Cutter(phase, step)])


@pytest.mark.parametrize(  # the GAN is cut where a penalty comes next: its norm until then is not in the file
    ("phase", "step"), [("autoencoder", 2), ("autoencoder", 12), ("gan", 5), ("gan", 9)]
)
def test_a_fit_that_was_cut_off_goes_on_to_the_same_weights(tmp_path, whole, phase, step):
    cut_off(tmp_path / "c", phase, step)
    again = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True)
    assert same_weights(again, whole)
    pd.testing.assert_frame_equal(
        again.history_.drop(columns="seconds"), whole.history_.drop(columns="seconds")
    )
    pd.testing.assert_frame_equal(again.sample(50, random_state=1), whole.sample(50, random_state=1))


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal on Windows")
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path, whole):
    script = f"""
import torch
torch.set_num_threads({torch.get_num_threads()})
from tests.synthesizers.test_neural import SMALL, TabularGAN, table
class Slow:
    def on_interval(self, state):
        import time; time.sleep(.1)
TabularGAN(**SMALL).fit(table(), checkpoint="c", resume=True, callbacks=[Slow()]).save("m.synthgan")
"""
    path = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": path}, "stderr": subprocess.DEVNULL}
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", script], **options)
        before = (tmp_path / "c").stat().st_mtime_ns if (tmp_path / "c").exists() else 0
        while not (tmp_path / "c").exists() or (tmp_path / "c").stat().st_mtime_ns == before:
            time.sleep(0.01)
            assert child.poll() is None
        time.sleep(0.4)
        child.kill()
        assert child.wait() == -signal.SIGKILL
    subprocess.run([sys.executable, "-c", script], check=True, **options)
    assert same_weights(load(tmp_path / "m.synthgan"), whole)


def test_without_a_seed_a_resumed_fit_takes_that_of_the_checkpoint(tmp_path):
    cut_off(tmp_path / "c", "gan", 2, random_state=None)
    changes = {**SMALL, "random_state": None}
    one, other = (
        TabularGAN(**changes).fit(table(), checkpoint=tmp_path / "c", resume=True) for _ in range(2)
    )
    assert same_weights(one, other)


def test_other_tables_and_other_parameters_are_refused(tmp_path):
    cut_off(tmp_path / "c", "autoencoder", 2)
    resume = {"checkpoint": tmp_path / "c", "resume": True}
    with pytest.raises(DataError, match="another table"):
        TabularGAN(**SMALL).fit(table(seed=1), **resume)
    with pytest.raises(DataError, match="another table"):
        TabularGAN(**SMALL).fit(table().rename(columns={"a": "c"}), **resume)
    with pytest.raises(DataError, match="n_steps is 12 there and 15 here"):
        TabularGAN(**SMALL | {"n_steps": 15}).fit(table(), **resume)
    with pytest.raises(DataError, match="seed is 0 there and 1 here"):
        TabularGAN(**SMALL | {"random_state": 1}).fit(table(), **resume)
    TabularGAN(**SMALL | {"verbose": True}).fit(table(), **resume)  # does not matter


def test_a_checkpoint_that_is_not_there_yet_is_no_error(tmp_path, whole):
    with pytest.warns(UserWarning, match="starts from the beginning"):
        model = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True)
    assert same_weights(model, whole)


def test_bad_checkpoints_are_refused_before_the_training(tmp_path, whole):
    (tmp_path / "c").write_bytes(b"something else")
    with pytest.raises(ModelFileError, match="damaged or no checkpoint"):
        TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True)
    start = time.monotonic()
    with pytest.raises(DataError, match="nowhere"):
        TabularGAN(**SMALL | {"n_steps": 10**9}).fit(table(), checkpoint=tmp_path / "nowhere" / "c")
    assert time.monotonic() - start < 20
    with pytest.raises(ParameterError, match="resume=True needs the checkpoint"):
        TabularGAN(**SMALL).fit(table(), resume=True)
    with pytest.raises(ParameterError, match="resume"):
        TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume="yes")
    with pytest.raises(ParameterError, match="callbacks"):
        TabularGAN(**SMALL).fit(table(), callbacks=[print])
    assert (tmp_path / "c").read_bytes() == b"something else"


def test_a_checkpoint_holds_no_rows(tmp_path):
    canary = table().assign(
        secret=[f"canary {k:04d}" for k in range(200)], number=np.arange(200) + 0.123456789
    )
    TabularGAN(**SMALL).fit(canary, checkpoint=tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    assert b"canary" not in content
    assert not any(value.tobytes() in content for value in canary["number"].to_numpy())
    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    held = np.frombuffer(
        tensors[: len(tensors) // 4 * 4], "<f4"
    )  # four bytes across two numbers may be anything
    assert not np.isin(canary["number"].to_numpy().astype("<f4"), held).any()


def test_the_callback_writes_checkpoints_to_go_on_from(tmp_path, whole):
    with pytest.raises(Cut):
        TabularGAN(**SMALL).fit(
            table(), callbacks=[Checkpoint(tmp_path / "c", every_seconds=0), Cutter("gan", 8)]
        )
    assert same_weights(TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True), whole)


def test_a_phase_can_be_stopped_early(whole):
    model = TabularGAN(**SMALL).fit(table(), callbacks=[EarlyStopping("diversity", patience=2, goal="fall")])
    last = model.history_.groupby("phase")["step"].max()
    assert last["autoencoder"] == 12
    assert last["gan"] < 12


@pytest.fixture
def heeded():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupter:
    def __init__(self, phase):
        self.phase = phase

    def on_interval(self, state):
        if (state.phase, state.step) == (self.phase, 10):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("phase", ["autoencoder", "gan"])
def test_an_interrupted_fit_keeps_what_it_has_and_goes_on(tmp_path, whole, phase):
    with pytest.warns(
        UserWarning, match=f"interrupted in the {phase} phase after 1. of 12 steps: .*Resume from"
    ):
        model = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", callbacks=[Interrupter(phase)])
    assert model.interrupted_
    assert model.history_["phase"].iloc[-1] == phase
    assert len(model.sample(20, random_state=0)) == 20
    assert model.sample(20, random_state=0, n_passes=1).shape == (20, 2)
    model.save(tmp_path / "m.synthgan")
    assert load(tmp_path / "m.synthgan").interrupted_
    again = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True)
    assert not again.interrupted_
    assert same_weights(again, whole)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("synthgan.gan.model.initialise", "preparation, before the first step"),
        ("synthgan.gan.model.fit_mixture", "autoencoder phase after 12 of 12 steps"),
        ("synthgan.synthesizers.tabular_gan.grow", "gan phase after 12 of 12 steps"),
        ("synthgan.gan.model.LatentGAN._match_moments", "gan phase after 12 of 12 steps"),
        ("synthgan.gan.model.LatentGAN._calibrate", "gan phase after 12 of 12 steps"),
    ],
)
def test_an_interruption_outside_the_steps_keeps_what_was_learned(tmp_path, whole, place, told, monkeypatch):
    interrupted_in(place, monkeypatch)
    with pytest.warns(UserWarning, match=f"interrupted in the {told}: .*Resume from"):
        model = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c")
    assert model.interrupted_
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same_weights(model, whole) == ("gan" in told)
    for n_passes in (1, None):
        assert model.sample(20, random_state=0, n_passes=n_passes).shape == (20, 2)
    model.save(tmp_path / "m.synthgan")
    assert same_weights(load(tmp_path / "m.synthgan"), model)
    monkeypatch.undo()
    if "before" not in told:
        again = TabularGAN(**SMALL).fit(table(), checkpoint=tmp_path / "c", resume=True)
        assert same_weights(again, whole)


def interrupted_in(place, monkeypatch):
    """Press Ctrl-C when a function is called, which then goes on."""
    before = resolve_name(place)

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return before(*args, **kwargs)

    monkeypatch.setattr(place, interrupted)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("model", "place"),
    [
        (CTGAN(n_epochs=1, batch_size=50, generator_dim=16, critic_dim=16), "ctgan.train_adversarial"),
        (TabularDiffusion(n_steps=5, hidden_dim=16, n_diffusion_steps=4), "tabular_diffusion.train_denoiser"),
    ],
)
def test_an_interruption_before_the_first_step_leaves_a_model_that_samples(model, place, monkeypatch):
    interrupted_in(f"synthgan.synthesizers.{place}", monkeypatch)
    with pytest.warns(UserWarning, match="in the preparation, before the first step: .*With a checkpoint"):
        model = clone(model).fit(table())
    assert model.interrupted_
    assert len(model.history_) == 0
    assert len(model.sample(20, random_state=0)) == 20


def test_a_training_that_diverges_says_where_and_leaves_the_estimator_alone():
    model = TabularGAN(**SMALL | {"learning_rate": 1e30})
    with (
        pytest.warns(UserWarning, match="went back"),
        pytest.raises(
            TrainingDivergedError,
            match=r"autoencoder phase .* going back 3 times .* those of '[ab]', '[ab]'\.",
        ),
    ):
        model.fit(table())
    assert not hasattr(model, "model_")


def test_a_bad_device_is_named():
    with pytest.raises(ParameterError, match="'device' parameter of TabularGAN"):
        clone(TabularGAN(**SMALL)).set_params(device="abacus").fit(table())
