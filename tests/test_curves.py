"""Pictures of trainings: which panels there are, and what stands in them."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from synthgan import IndependentSynthesizer, TabularDiffusion, TabularGAN
from synthgan.curves import plot_history
from synthgan.errors import DataError, ParameterError


def history(phase="gan", n=4, **measures):
    """A history of n intervals of 10 steps."""
    steps = np.arange(1, n + 1) * 10
    return pd.DataFrame({"phase": phase, "step": steps, "seconds": steps / 10, **measures})


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def curves(axes):
    """The measured lines of a panel: those of more than the two points of a mark."""
    return [line for line in axes.lines if line.get_marker() == "o"]


def marks(axes):
    return [line for line in axes.lines if line.get_marker() != "o"]


def test_each_phase_has_panels_of_its_own_and_what_belongs_together_shares_one():
    first = history("autoencoder", loss=4.0, heldout_loss=5.0, reconstruction=1.0)
    second = history("gan", critic_loss=-1.0, generator_loss=1.0, wasserstein=0.5, diversity=0.9)
    figure = plot_history(pd.concat([first, second]))
    assert titles(figure) == ["loss, nats", "losses of the players", "Wasserstein distance", "diversity"]
    assert [len(curves(axes)) for axes in figure.axes] == [3, 2, 1, 1]
    assert "autoencoder" in figure.axes[0].get_xlabel()
    assert all("gan" in axes.get_xlabel() for axes in figure.axes[1:])
    assert curves(figure.axes[0])[0].get_color() != curves(figure.axes[1])[0].get_color()
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "held-out rows", "from z alone"]


def test_a_measure_of_another_name_is_not_dropped():
    assert titles(plot_history(history(cycle=1.0, my_auc=0.6))) == ["cycle", "my auc"]


def test_curves_stand_at_their_steps_with_gaps_where_nothing_was_measured():
    [axes] = plot_history(history(wasserstein=[3.0, np.nan, np.inf, 1.0])).axes
    [curve] = curves(axes)
    assert curve.get_xdata().tolist() == [10, 20, 30, 40]
    np.testing.assert_array_equal(curve.get_ydata(), [3.0, np.nan, np.nan, 1.0])


def test_a_measure_without_any_value_has_no_panel():
    figure = plot_history(history(wasserstein=[1.0, 2.0, 3.0, 4.0], gradient_norm=np.nan))
    assert titles(figure) == ["Wasserstein distance"]


def test_the_norm_stands_beside_one_and_diversity_between_zero_and_one():
    norm, diversity = plot_history(history(gradient_norm=[1e-3, 1e-2, 1.0, 2.0], diversity=0.4)).axes
    assert norm.get_yscale() == "log"
    assert [line.get_ydata()[0] for line in marks(norm)] == [1]
    low, high = norm.get_ylim()
    assert low < 1e-3
    assert high > 2
    low, high = diversity.get_ylim()
    assert -0.1 < low < 0
    assert 1 < high < 1.1


def test_a_training_that_was_put_back_is_marked_where_the_rate_fell():
    [axes] = plot_history(history(wasserstein=1.0, rate=[1.0, 1.0, 0.5, 0.5])).axes
    dotted = [line.get_xdata()[0] for line in marks(axes) if line.get_linestyle() == ":"]
    assert dotted == [20]
    assert plot_history(history(wasserstein=1.0, rate=1.0)).axes[0].get_legend() is None


def test_a_training_that_was_put_back_to_the_start_of_a_phase_is_marked_there():
    def dotted(figure):
        return [
            [line.get_xdata()[0] for line in marks(axes) if line.get_linestyle() == ":"]
            for axes in figure.axes
        ]

    first = history("autoencoder", loss=1.0, rate=[0.5, 0.5, 0.5, 0.25])
    calm, shaken = history("gan", diversity=1.0, rate=0.25), history("gan", diversity=1.0, rate=0.125)
    assert dotted(plot_history(pd.concat([first, calm]))) == [[0, 30], []]
    assert dotted(plot_history(pd.concat([first, shaken]))) == [[0, 30], [0]]
    assert dotted(plot_history(shaken.drop(columns=["phase", "step"]))) == [[0]]


def test_a_table_without_phases_and_steps_counts_its_rows():
    [axes] = plot_history(pd.DataFrame({"diversity": [0.5, 0.7]}, index=[7, 7])).axes
    assert curves(axes)[0].get_xdata().tolist() == [1, 2]
    assert axes.get_xlabel() == "step"


@pytest.mark.parametrize(("ending", "head"), [("png", b"\x89PNG"), ("SVG", b"<?xml"), ("pdf", b"%PDF")])
def test_files_are_written_and_equal_curves_give_equal_bytes(tmp_path, ending, head):
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        plot_history(history(wasserstein=1.0, critic_loss=-1.0, generator_loss=2.0), file)
    assert files[0].read_bytes().startswith(head)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_settings_of_matplotlib_are_left_as_they_are():
    before = dict(mpl.rcParams)
    plot_history(history(wasserstein=1.0))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("model", [TabularGAN(), TabularDiffusion()])
def test_a_model_that_was_not_fitted_is_refused(model):
    with pytest.raises(NotFittedError):
        plot_history(model)


@pytest.mark.parametrize("nothing", [pd.DataFrame(), history(n=0, loss=[]), history(loss=np.nan)])
def test_an_empty_history_is_refused(nothing):
    with pytest.raises(DataError, match="no finite measurement"):
        plot_history(nothing)


def test_what_keeps_no_history_is_refused():
    model = IndependentSynthesizer().fit(pd.DataFrame({"a": [1.0, 2.0, 3.0]}))
    with pytest.raises(ParameterError, match="IndependentSynthesizer, which has none"):
        plot_history(model)
    with pytest.raises(ParameterError, match="list"):
        plot_history([history(loss=1.0)])


def test_a_file_of_another_kind_or_place_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"'curves\.jpeg'"):
        plot_history(history(loss=1.0), tmp_path / "curves.jpeg")
    with pytest.raises(DataError, match="does not exist"):
        plot_history(history(loss=1.0), tmp_path / "nowhere" / "curves.png")


def test_a_fitted_model_is_drawn_phase_by_phase():
    frame = pd.DataFrame({"a": np.arange(60) % 7, "b": list("xyz") * 20})
    model = TabularGAN(
        hidden_dim=8, n_steps=24, n_gan_steps=24, batch_size=16, gan_batch_size=16, random_state=0
    )
    figure = plot_history(model.fit(frame))
    assert titles(figure) == [
        "loss, nats",
        "losses of the players",
        "Wasserstein distance",
        "norm of the critic's gradient",
        "diversity",
    ]
    n_intervals = model.history_["phase"].value_counts()
    for axes, phase in zip(figure.axes, ["autoencoder"] + ["gan"] * 4, strict=True):
        assert {len(curve.get_xdata()) for curve in curves(axes)} == {n_intervals[phase]}
