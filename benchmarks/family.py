"""How do the members of the GAN family compare, each with the same time? How do they fail, and what helps?

    python -m benchmarks.family compare           # 60 s for each member on Adult: benchmarks/family.csv, and
                                                  # the table of docs/gans-for-tables.md
    python -m benchmarks.family compare --table   # that table only, from the file
    python -m benchmarks.family study clipping    # a study of docs/training-curves.md: its table, and its
                                                  # picture in docs/images

Members are fitted one after another on one thread. `compare` skips what stands in the file already, a
failure is a line with its error. A study takes a fixed number of steps on a small table, so that its
figures do not depend on the machine's load.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import click
import matplotlib as mpl
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from benchmarks.run import stamp
from synthgan import CTGAN, IndependentSynthesizer, TabularDiffusion, TabularGAN, datasets
from synthgan.curves import plot_history
from synthgan.errors import SynthganError
from synthgan.evaluation import evaluate
from synthgan.evaluation.associations import trend_error
from synthgan.evaluation.detection import c2st_boosting
from synthgan.evaluation.marginals import shape_error
from synthgan.evaluation.plots import PHASE_COLOURS, STYLE
from synthgan.evaluation.tables import code_tables
from synthgan.io import atomic_write

ROOT = Path(__file__).parent.parent
CSV, PAGE, IMAGES = ROOT / "benchmarks/family.csv", ROOT / "docs/gans-for-tables.md", ROOT / "docs/images"
BEGIN, END = "<!-- family: made by `python -m benchmarks.family compare` -->\n", "\n<!-- end of family -->"

ALONE = {"pac_size": 1}  # rows are judged one by one
FREE = {"pac_size": 1, "penalty": None}
MEMBERS: dict[str, tuple[Any, dict[str, Any]]] = {  # title: class, options
    "independent columns (floor)": (IndependentSynthesizer, {}),
    "minimax": (CTGAN, {"loss": "minimax", **FREE}),
    "non-saturating": (CTGAN, {"loss": "non-saturating", **FREE}),
    "non-saturating, R1": (CTGAN, {"loss": "non-saturating", "penalty": "r1", **ALONE}),
    "non-saturating, DRAGAN": (CTGAN, {"loss": "non-saturating", "penalty": "dragan", **ALONE}),
    "Wasserstein, clipped to 0.01": (CTGAN, {"weight_clip": 0.01, **FREE}),
    "Wasserstein, gradient penalty": (CTGAN, ALONE),
    "hinge, spectral norm": (CTGAN, {"loss": "hinge", "spectral_norm": True, **FREE}),
    "relativistic, R1 + R2": (CTGAN, {"loss": "relativistic", "penalty": "r1+r2", **ALONE}),
    "`CTGAN` of the paper": (CTGAN, {}),
    "with minibatch discrimination": (CTGAN, {"statistics": "discrimination", **ALONE}),
    "with minibatch deviation": (CTGAN, {"statistics": "deviation", **ALONE}),
    "with moment matching": (CTGAN, {"moment_weight": 1.0, **ALONE}),
    "with a projection critic": (CTGAN, {"critic_conditioning": "projection"}),
    "with FiLM": (CTGAN, {"generator_conditioning": "film"}),
    "with a convolutional generator": (CTGAN, {"generator": "convolutional"}),
    "with a style generator": (CTGAN, {"generator": "style"}),
    "growing": (CTGAN, {"growing": True}),
    "with quantile modes": (CTGAN, {"modes": "quantile", "max_modes": 50}),
    "`TabularDiffusion`": (TabularDiffusion, {}),
    "`TabularGAN`, one pass": (TabularGAN, {"n_passes": 1}),
    "`TabularGAN`": (TabularGAN, {}),
}
KEY = ["member", "seed", "rows", "seconds"]
SHOWN = {  # column of the page: column of the file, decimals, factor
    "steps": ("n_steps", 0, 1),
    "fit, s": ("fit_seconds", 0, 1),
    "sample, s": ("sample_seconds", 1, 1),
    "Shape error, %": ("shape_error", 1, 100),
    "Trend error, %": ("trend_error_shared", 1, 100),
    "C2ST": ("c2st_gbm", 3, 1),
    "TSTR": ("tstr", 3, 1),
}

_SMALL = ["age", "education", "occupation", "relationship", "hours_per_week", "sex", "income"]
_QUICK: dict[str, Any] = {  # 800 steps of 100 rows, on networks that are small like the table
    "n_epochs": 20,
    "batch_size": 100,
    "generator_dim": 64,
    "critic_dim": 64,
    "noise_dim": 32,
    "modes": "quantile",
}
_FRAGILE = {"condition_weight": 0.0, "dropout": 0.0, "generator_lr": 2e-3, **ALONE}  # ten times the rate
STUDIES: dict[str, dict[str, dict[str, Any]]] = {  # study: title of a run to options
    "clipping": {
        "clipped to 0.01": {"weight_clip": 0.01, "critic_lr": 1e-3, **FREE},
        "clipped to 0.1": {"weight_clip": 0.1, "critic_lr": 1e-3, **FREE},
        "clipped to 0.5": {"weight_clip": 0.5, "critic_lr": 1e-3, **FREE},
        "gradient penalty": {"critic_lr": 1e-3, **ALONE},
    },
    "collapse": {
        "pac_size=1": _FRAGILE,
        "pac_size=10": _FRAGILE | {"pac_size": 10},
        "minibatch discrimination": _FRAGILE | {"statistics": "discrimination"},
        "condition loss": _FRAGILE | {"condition_weight": 1.0},
        "moment matching": _FRAGILE | {"moment_weight": 1.0},
        "minibatch deviation": _FRAGILE | {"statistics": "deviation"},
        "rate 2e-4": _FRAGILE | {"generator_lr": 2e-4},
    },
    "rates": {
        f"{title}, {factor:g} x rates": options | {rate: factor * value for rate, value in rates.items()}
        for title, options, rates in (
            ("non-saturating", {"loss": "non-saturating", **FREE}, {"generator_lr": 2e-4, "critic_lr": 2e-4}),
            ("gradient penalty", ALONE, {"generator_lr": 2e-4, "critic_lr": 2e-4}),
            (
                "`TabularGAN`",
                {"kind": TabularGAN, "hidden_dim": 64, "n_steps": 400, "n_gan_steps": 800},
                {"learning_rate": 2e-3, "generator_lr": 9e-5, "critic_lr": 1.2e-3},
            ),
        )
        for factor in (0.2, 1, 5, 25)
    },
}
SUBJECTS = {"clipping": "gradient_norm", "collapse": "diversity"}  # what the picture of a study shows


@click.group()
def main() -> None:
    """Measure the family."""
    torch.set_num_threads(1)


@main.command()
@click.option("--seconds", default=60.0, show_default=True, help="For the training of each member.")
@click.option("--rows", default=32_561, show_default=True, help="Of the training part of Adult.")
@click.option("--seed", default=0, show_default=True)
@click.option("--member", multiple=True, type=click.Choice(list(MEMBERS)), help="Only these; repeatable.")
@click.option("--table", is_flag=True, help="Write the table of the page from the file, run nothing.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=CSV, show_default=True)
def compare(seconds: float, rows: int, seed: int, member: tuple[str, ...], table: bool, output: Path) -> None:
    """Give every member the same time on the same rows."""
    done = pd.read_csv(output) if output.exists() else pd.DataFrame(columns=KEY)
    real, holdout = datasets.load_adult()
    real = real.head(rows)
    for title in () if table else member or MEMBERS:
        key = {"member": title, "seed": seed, "rows": len(real), "seconds": seconds}
        if (done[KEY] == pd.Series(key)).all(axis=1).any():
            continue
        line = {**key, **stamp(1), **measure(title, real, holdout, seconds, seed)}
        done = pd.concat([done, pd.DataFrame([line])], ignore_index=True)
        atomic_write(output, done.to_csv(index=False).encode())
        click.echo(f"{title}: {line.get('error') or ', '.join(_cells(line))}", err=True)
    click.echo(page_table(done))
    if output == CSV and PAGE.exists():
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        atomic_write(PAGE, (before + BEGIN + page_table(done) + END + rest.split(END)[1]).encode())


def measure(
    title: str, real: pd.DataFrame, holdout: pd.DataFrame, seconds: float, seed: int
) -> dict[str, Any]:
    """Fit one member, sample as many rows and judge them; what goes wrong becomes "error"."""
    kind, options = MEMBERS[title]
    trained = kind is not IndependentSynthesizer
    model = kind(
        **options, **({"max_seconds": seconds, "device": "cpu"} if trained else {}), random_state=seed
    )
    found: dict[str, Any] = {}
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(real)
    except SynthganError as error:
        return {"error": str(error)[:200]}
    found["fit_seconds"], start = time.perf_counter() - start, time.perf_counter()
    made = model.sample(len(real), random_state=seed)
    found["sample_seconds"] = time.perf_counter() - start
    if trained:
        found["n_steps"] = model.history_.groupby("phase")["step"].max().sum()
        found["diversity"] = model.history_.get("diversity", pd.Series([float("nan")])).iloc[-1]
    found["warnings"] = "; ".join(str(one.message)[:80] for one in caught)
    report = evaluate(
        real, made, holdout=holdout, target="income", parts=("fidelity", "utility"), random_state=seed
    )
    frame = report.frame.set_index("metric")
    shown = [column for column, *_ in SHOWN.values() if column in frame.index]
    ceilings = {f"{column}_ceiling": frame.loc[column, "ceiling"] for column in shown}
    return found | frame["value"].to_dict() | ceilings


def page_table(done: pd.DataFrame) -> str:
    """Give the runs of the last budget as Markdown: means over seeds, the ceiling at the end."""
    rows, seconds = done[["rows", "seconds"]].iloc[-1]
    done = done[(done["rows"] == rows) & (done["seconds"] == seconds)]
    seeds = ", ".join(map(str, sorted(done["seed"].unique())))
    lines = [
        f"{seconds:g} s of training for each on one thread, {rows:,.0f} rows of Adult, seed {seeds}:\n",
        f"| | options | {' | '.join(SHOWN)} |",
        f"|---|---|{'--:|' * len(SHOWN)}",
    ]
    for title, (_, options) in MEMBERS.items():
        runs = done[done["member"] == title]
        if len(runs):
            said = f"`{', '.join(f'{k}={v!r}' for k, v in options.items())}`" if options else ""
            lines.append(
                f"| {title} | {said} | {' | '.join(_cells(runs.mean(numeric_only=True).to_dict()))} |"
            )
    ceiling = {
        column: done.get(f"{column}_ceiling", pd.Series(dtype=float)).mean() for column, *_ in SHOWN.values()
    }
    return "\n".join([*lines, f"| real holdout (ceiling) | | {' | '.join(_cells(ceiling))} |"])


def _cells(line: dict[str, Any]) -> list[str]:
    values = [(line.get(column), decimals, factor) for column, decimals, factor in SHOWN.values()]
    return ["-" if v is None or v != v else f"{factor * v:,.{decimals}f}" for v, decimals, factor in values]


@main.command()
@click.argument("name", type=click.Choice([*STUDIES, "healthy"]))
@click.option("--seeds", default=3, show_default=True)
def study(name: str, seeds: int) -> None:
    """Make one study: print its table, and draw its picture."""
    IMAGES.mkdir(exist_ok=True)
    if name == "healthy":
        _healthy()
        return
    real = datasets.load_adult()[0].head(4_000)[_SMALL]
    runs: dict[str, list[Run]] = {}
    click.echo("| | diversity, lowest | at the end | gradient norm | distinct rows | Shape | Trend | C2ST |")
    click.echo("|---|--:|--:|--:|--:|--:|--:|--:|")
    for title, options in STUDIES[name].items():
        runs[title] = [_run(real, options, seed) for seed in range(seeds)]
        click.echo(f"| {title} | {' | '.join(_ranges(runs[title]))} |")
    if name in SUBJECTS:
        draw(real, runs, SUBJECTS[name], IMAGES / f"{name}.png")


def _healthy() -> None:
    """Draw a training with the defaults; tell how well likelihood and critic know real rows."""
    real, holdout = datasets.load_adult()
    real, holdout = real.head(4_000), holdout.head(4_000)
    model = TabularGAN(device="cpu", random_state=0).fit(real)
    plot_history(model).savefig(IMAGES / "healthy.png", dpi=100, metadata={"Software": None})
    shuffled = IndependentSynthesizer(random_state=0).fit(real).sample(len(holdout), random_state=0)
    truth = [1] * len(holdout) + [0] * len(shuffled)
    for score in (model.score_samples, model.critic_score):
        auc = roc_auc_score(truth, [*score(holdout), *score(shuffled)])
        click.echo(f"{score.__name__}: AUC {auc:.3f} of unseen real rows against independent columns")


class Run(NamedTuple):
    """A fit of a study: its curves, what it made, and figures of that."""

    history: pd.DataFrame
    made: pd.DataFrame
    figures: dict[str, float]


def _run(real: pd.DataFrame, options: dict[str, Any], seed: int) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the collapse that is looked for
        model = _model(**options, device="cpu", random_state=seed).fit(real)
    made = model.sample(len(real), random_state=seed)
    history, tables = model.history_, code_tables(real, made)
    figures = {
        "lowest": history["diversity"].min(),
        "end": history["diversity"].iloc[-1],
        "norm": history["gradient_norm"].iloc[-1],
        "distinct": len(made.drop_duplicates()),
        "shape": 100 * shape_error(*tables),
        "trend": 100 * trend_error(*tables, shared_bins=True),
        "c2st": c2st_boosting(*tables, seed=seed).value,
    }
    return Run(history, made, figures)


def _model(kind: Any = CTGAN, **options: Any) -> Any:
    """Build the model of a study; a small one if it is a CTGAN."""
    return kind(**_QUICK | options) if kind is CTGAN else kind(**options)


def _ranges(runs: list[Run]) -> list[str]:
    """Write the range over the seeds of what varies most, and means."""
    wide = {"lowest": "{:.2f}", "end": "{:.2f}", "norm": "{:.3g}", "distinct": "{:,.0f}"}
    figures = pd.DataFrame([run.figures for run in runs])
    low, high, mean = figures.min(), figures.max(), figures.mean()
    cells = [
        " to ".join(dict.fromkeys([text.format(low[k]), text.format(high[k])])) for k, text in wide.items()
    ]
    return cells + [f"{mean['shape']:.1f}", f"{mean['trend']:.1f}", f"{mean['c2st']:.3f}"]


def draw(real: pd.DataFrame, runs: dict[str, list[Run]], subject: str, path: Path) -> None:
    """Draw one measure of all runs, and which pairs of education and occupation the first of each makes."""
    titles = list(runs)[:5]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.0), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1, 1.35])
        _draw_curves(left.subplots(), {title: runs[title] for title in titles}, subject)
        panels = right.subplots(2, 3).ravel()
        tables = {"real rows": real, **{title: runs[title][0].made for title in titles}}
        for axes, (title, table), colour in zip(
            panels, tables.items(), ("#555", *PHASE_COLOURS), strict=False
        ):
            axes.imshow(_pairs(table, real) ** 0.5, cmap="Greys", aspect="auto", vmin=0, vmax=0.27)
            axes.set_title(title, color=colour, fontsize=7, fontweight="bold")
            axes.set(xticks=[], yticks=[])
        for axes in panels[len(tables) :]:
            axes.set_axis_off()
        right.supylabel("education", fontsize=7.5)
        right.supxlabel("occupation (made rows of one fit each; darker: more)", fontsize=7.5)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_curves(axes: Axes, runs: dict[str, list[Run]], subject: str) -> None:
    for several, colour in zip(runs.values(), PHASE_COLOURS, strict=False):
        for run in several:
            axes.plot(run.history["step"], run.history[subject], color=colour, linewidth=1.1)
    if subject == "diversity":
        axes.set_ylim(-0.03, 1.03)
    else:
        axes.set_yscale("log")
        axes.axhline(1, color="#999", linestyle="--", linewidth=0.9)
    axes.set_title(
        {"gradient_norm": "norm of the critic's gradient"}.get(subject, subject),
        loc="left",
        fontweight="bold",
    )
    axes.set_xlabel("step")
    axes.grid(axis="y", color="#eee", linewidth=0.7)


def _pairs(table: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Share of each pair, the most frequent values of the real table first."""
    order = {name: real[name].value_counts().index for name in ("education", "occupation")}
    shares = pd.crosstab(table["education"], table["occupation"], normalize=True)
    return shares.reindex(index=order["education"], columns=order["occupation"], fill_value=0.0)


if __name__ == "__main__":
    main()
