"""Which families of metrics are measured on which tables.

Frames enter, are checked against each other and coded; a `Report` leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import pandas as pd
from tqdm import tqdm

from synthgan.errors import DataError, listing, suggestion
from synthgan.evaluation.associations import association_errors
from synthgan.evaluation.families import N_STEPS, Findings, augmentation, fidelity, privacy, utility
from synthgan.evaluation.marginals import column_errors
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.profiles import profile_columns
from synthgan.evaluation.report import Report
from synthgan.evaluation.tables import code_tables
from synthgan.evaluation.trial import Trial
from synthgan.evaluation.utility import Task, task_of
from synthgan.io import read_table
from synthgan.params import Choice, check_parameter
from synthgan.seeding import RandomState, draw_seed

__all__ = ["PARTS", "evaluate"]

PARTS = ("fidelity", "utility", "privacy")
"""What `evaluate` measures if it is not told otherwise."""

_ALL_PARTS = (*PARTS, "augmentation")


def evaluate(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: Hashable | None = None,
    kinds: Mapping[Any, str] | None = None,
    parts: Collection[str] = PARTS,
    random_state: RandomState = 0,
    progress: bool = False,
) -> Report:
    """Judge a synthetic table against the real one that it imitates.

    Parameters
    ----------
    real : DataFrame, or whatever `read_table` reads
        The rows that the model saw.
    synthetic : DataFrame, or whatever `read_table` reads
        The rows that it made: the same columns, in any order.
    holdout : DataFrame, or whatever `read_table` reads, optional
        Real rows that the model never saw, drawn at random from where the real
        rows come from. Gives every metric its ceiling, is what models are
        tested on, and without it nothing can be said about privacy.
    target : column name, optional
        What models are trained to predict.
    kinds : mapping of column name to kind, optional
        Overrides what `Schema.infer` finds in `real`; say "categorical" for
        categories that are stored as numbers.
    parts : collection of {"fidelity", "utility", "privacy", "augmentation"}
        What to measure. "augmentation" (does adding the synthetic rows to the
        real ones help a model?) takes minutes and is left out by default.
    random_state : int, numpy generator or None
        Of samples, folds and models.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the tables cannot be compared, see `code_tables`, or the target is
        no column.
    ParameterError
        If `parts` names something else.

    Examples
    --------
    >>> real = pd.DataFrame({"size": [1.5, 2.0, 4.0, 8.0], "colour": ["red", "blue", "blue", "red"]})
    >>> report = evaluate(real, real.iloc[::-1], parts=["fidelity"])
    >>> report["shape_error"], report["trend_error"]
    (0.0, 0.0)
    """
    wanted = _check_parts(parts)
    frames = [read_table(table) for table in (real, synthetic, *([] if holdout is None else [holdout]))]
    _check_target(frames[0], target)
    coded = code_tables(*frames, kinds=kinds)
    seed = draw_seed(random_state)
    task = None if target is None else task_of(coded[0], target)
    n_steps = sum(N_STEPS[part] for part in wanted)
    with tqdm(total=n_steps, disable=not progress, file=sys.stderr, leave=False) as bar:
        trial = Trial.of(coded, seed, bar)
        judges: dict[str, Callable[[], Findings]] = {
            "fidelity": lambda: fidelity(trial),
            "utility": lambda: utility(trial, task),
            "privacy": lambda: privacy(trial),
            "augmentation": lambda: augmentation(trial, task),
        }
        found = [judges[part]() for part in wanted]
    left_out = [name for name in frames[0].columns if name not in coded[0].domain.names]
    if left_out:
        trial.notes.append(f"Identifiers are not compared: {listing(left_out)}.")
    details = {
        "columns": column_errors(*coded[:2]),
        "pairs": association_errors(*coded[:2]),
    }
    facts = {
        "rows": trial.n_rows(),
        "n_columns": frames[0].shape[1],
        "target": None if target is None else str(target),
        "task": task.name if isinstance(task, Task) else None,
        "parts": list(wanted),
        "seed": seed,
    }
    for findings in found:
        details |= findings.tables
        facts |= findings.facts
    known = {row["metric"]: row for findings in found for row in findings.rows}
    return Report(
        frame=pd.DataFrame([known[name] for name in METRICS if name in known]),
        details=details,
        notes=tuple(trial.notes),
        facts=facts,
        profiles=profile_columns(*coded[:2]),
    )


def _check_parts(parts: Collection[str]) -> tuple[str, ...]:
    """Give the parts in the order of the report, each once."""
    rule = (Choice(_ALL_PARTS),)
    for part in [parts] if isinstance(parts, str) or not parts else parts:
        check_parameter("evaluate", "parts", part, rule)
    return tuple(part for part in _ALL_PARTS if part in parts)


def _check_target(real: pd.DataFrame, target: Hashable | None) -> None:
    """Refuse a target that is no column of the real table."""
    if target is not None and target not in list(real.columns):
        raise DataError(
            f"target must be a column of real. Got {target!r}.{suggestion(target, real.columns)} "
            f"real has: {listing(real.columns)}."
        )
