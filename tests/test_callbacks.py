"""What may watch a training, on a training that is written down."""

import math
import re
import sys
import types

import pytest

from synthgan.callbacks import Checkpoint, EarlyStopping, MLflow, TensorBoard, TrainingState, check_callbacks
from synthgan.errors import ParameterError


def shown(callback, values, measure="loss", phase="gan", first=1, begun=0.0, n_steps=99):
    """Show one value after the other; returns the steps at which the callback said stop."""
    stopped, saved = [], []
    for step, value in enumerate(values, first):
        callback.on_interval(
            TrainingState(
                phase=phase,
                step=step,
                n_steps=n_steps,
                seconds=float(step) - begun,
                measures={measure: value, "other": 0.0},
                stop=lambda step=step: stopped.append(step),
                save=lambda path, step=step: saved.append((path, step)),
            )
        )
    return stopped or saved


@pytest.mark.parametrize(
    ("options", "values", "stops"),
    [
        ({"patience": 2}, [3.0, 2.0, 2.5, 2.0, 1.0], [4]),
        ({"patience": 2}, [3.0, 2.0, 2.5, 1.9, 1.0], []),
        ({"patience": 1, "goal": "rise"}, [0.5, 0.6, 0.6], [3]),
        ({"patience": 1, "min_change": 0.5}, [3.0, 2.0, 1.6], [3]),
        ({"patience": 1}, [3.0, math.nan], [2]),
        ({"patience": 1, "measure": "absent"}, [3.0, 4.0, 5.0], []),
    ],
)
def test_a_phase_ends_when_a_measure_gets_no_better(options, values, stops):
    callback = EarlyStopping(**{"measure": "loss"} | options)
    assert shown(callback, values) == stops


def test_each_phase_and_each_fit_starts_anew():
    callback = EarlyStopping("loss", patience=1)
    assert shown(callback, [1.0], phase="autoencoder") == []
    assert shown(callback, [5.0, 4.0], phase="gan", first=2) == []
    assert shown(callback, [9.0], phase="gan", first=1) == []  # a second fit
    assert shown(callback, [9.5], phase="gan", first=2) == [2]


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ([1.0, 2.0, 3.0], {}),  # the first one was stopped
        ([1.0, 2.0], {"begun": 5.0}),  # it was interrupted, or had a budget; the clock begins anew
        ([1.0, 2.0], {"n_steps": 500}),  # it may have come to its end
    ],
)
def test_a_second_fit_starts_anew_although_its_first_interval_is_later(before, change):
    callback = EarlyStopping("loss", patience=2)
    shown(callback, before)
    first = len(before) + 1
    assert shown(callback, [9.0, 9.5, 9.5], first=first, **change) == [first + 2]


def test_checkpoints_are_written_no_more_often_than_asked():
    assert shown(Checkpoint("c", every_seconds=0), [1.0] * 3) == [("c", 1), ("c", 2), ("c", 3)]
    assert shown(Checkpoint("c", every_seconds=3600), [1.0] * 3) == [("c", 1)]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: EarlyStopping("loss", patience=0), "patience"),
        (lambda: EarlyStopping("loss", goal="up"), "goal"),
        (lambda: EarlyStopping("loss", min_change=-1), "min_change"),
        (lambda: Checkpoint("c", every_seconds=-1), "every_seconds"),
    ],
)
def test_parameters_out_of_range_are_named(make, word):
    with pytest.raises(ParameterError, match=word):
        make()


@pytest.mark.parametrize("callback", [lambda: TensorBoard("runs"), MLflow])
def test_a_package_that_is_missing_is_named(callback, monkeypatch):
    for name in ("torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ParameterError, match=r"pip install (tensorboard|mlflow)"):
        callback()


def test_curves_reach_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown(TensorBoard(tmp_path), [3.0, 2.0])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("gan/loss")] == [(1, 3.0), (2, 2.0)]


@pytest.fixture
def mlflow_store(tmp_path, monkeypatch):
    """A store of files: mlflow-skinny has no other one, and MLflow 3 has to be asked for it."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    yield tmp_path / "store"
    mlflow.set_tracking_uri(before)


@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow")  # that this store is old
def test_curves_reach_mlflow(mlflow_store):
    import mlflow

    with mlflow.start_run() as run:
        shown(MLflow(), [3.0, 2.0])
        shown(MLflow(), [7.0], phase="autoencoder")
    points = {
        name: [
            (point.step, point.value)
            for point in mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
        ]
        for name in mlflow.get_run(run.info.run_id).data.metrics
    }
    assert points == {
        "gan.loss": [(1, 3.0), (2, 2.0)],
        "gan.other": [(1, 0.0), (2, 0.0)],
        "autoencoder.loss": [(1, 7.0)],
        "autoencoder.other": [(1, 0.0)],
    }


@pytest.mark.filterwarnings("ignore::FutureWarning:mlflow")
def test_a_store_of_mlflow_that_is_gone_ends_no_training(mlflow_store):
    import mlflow

    with mlflow.start_run():
        callback = MLflow()
        shown(callback, [3.0])
        away = mlflow_store.rename(mlflow_store.with_name("away"))
        with pytest.warns(UserWarning, match=r"MLflow takes no more points .* The training goes on") as told:
            shown(callback, [2.0, 1.0])
        assert len(told) == 1
        away.rename(mlflow_store)


def test_what_mlflow_is_told(monkeypatch):
    """Without MLflow, which has 35 packages of its own."""
    logged = []
    told = types.SimpleNamespace(log_metrics=lambda metrics, step: logged.append((step, metrics)) or 1 / step)
    monkeypatch.setitem(sys.modules, "mlflow", told)
    callback = MLflow()
    shown(callback, [3.0])
    with pytest.warns(UserWarning, match="division by zero The training goes on"):
        shown(callback, [2.0, 1.0], first=0)
    assert logged == [(1, {"gan.loss": 3.0, "gan.other": 0.0}), (0, {"gan.loss": 2.0, "gan.other": 0.0})]


@pytest.mark.parametrize("bad", [[object()], [print], 3, [EarlyStopping]])
def test_what_is_no_callback_is_refused(bad):
    if bad == [EarlyStopping]:
        check_callbacks(bad)  # a class has the method, too; calling it says what is wrong
        return
    with pytest.raises(ParameterError, match=re.escape("on_interval(state)")):
        check_callbacks(bad)
