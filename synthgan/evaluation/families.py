"""The three families of metrics, and the augmentation test, measured on one trial.

A `Trial` enters; rows of the report, tables with the detail and facts leave.
What cannot be measured is a row of NaN and a note that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from synthgan.errors import quantity
from synthgan.evaluation.alarms import LEVEL
from synthgan.evaluation.answers import misled
from synthgan.evaluation.associations import (
    MAX_PAIRS,
    MAX_TRIPLES,
    association_errors,
    association_summary,
    threeway_error,
)
from synthgan.evaluation.augmentation import augmentation_lift
from synthgan.evaluation.copies import MAX_ROWS as MAX_ROWS_CLOSEST
from synthgan.evaluation.copies import closest_records, identical_share, near_identical_share
from synthgan.evaluation.detection import c2st_boosting, c2st_logistic, pmse_ratio
from synthgan.evaluation.disclosure import MAX_TARGETS, attribute_inference, singling_out
from synthgan.evaluation.geometry import MAX_ROWS, MAX_ROWS_MMD, geometry
from synthgan.evaluation.intervals import Estimate, bootstrapped
from synthgan.evaluation.marginals import column_errors, column_summary
from synthgan.evaluation.membership import membership_attacks
from synthgan.evaluation.metrics import METRICS
from synthgan.evaluation.privacy import THREAT_MODEL, audit, verdict
from synthgan.evaluation.tables import CodedTable
from synthgan.evaluation.trial import UNKNOWN, Row, Trial, metric_row
from synthgan.evaluation.utility import (
    Task,
    fit_models,
    holdout_score,
    importance_agreement,
    model_rank_agreement,
    tstr_gap,
    utility_table,
)
from synthgan.seeding import stream

__all__ = ["N_STEPS", "Findings", "augmentation", "fidelity", "privacy", "utility"]

N_STEPS = {"fidelity": 18, "utility": 3, "privacy": 13, "augmentation": 1}
"""How often each family reports progress."""

_REFERENCE_FOLDS = 2  # of the five: the same expected AUC in less time
_FLOOR_MEMBERS, _FLOOR_TARGETS = 5_000, 500  # records attacked by way of independent columns
_CERTAIN = {"membership_auc": 0.5, "membership_outlier_auc": 0.5, "membership_tpr": 0.01}
"""What rows that were never members score in expectation: known without measuring."""


class Findings(NamedTuple):
    """What one family found: rows of the frame, tables of detail by name, facts."""

    rows: list[Row]
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]


def fidelity(trial: Trial) -> Findings:
    """Compare columns, pairs and triples of columns, and whole rows."""
    seed = trial.seed
    rows = list(
        trial.referenced(
            "columns and pairs",
            lambda real, other: bootstrapped(_distances, real, other, stream(seed, "bootstrap")),
            ceiling=lambda real, other: _certain(_distances(real, other)),
        )
    )
    rows += trial.referenced(
        "triples", lambda real, other: {"threeway_error": threeway_error(real, other, seed)}
    )
    rows += trial.referenced(
        "telling apart by boosted trees",
        lambda real, other: {"c2st_gbm": c2st_boosting(real, other, seed)},
        ceiling=lambda real, other: {"c2st_gbm": c2st_boosting(real, other, seed, n_scored=_REFERENCE_FOLDS)},
        floor=lambda real, other: {"c2st_gbm": c2st_boosting(real, other, seed, n_scored=1)},
    )
    if misled(rows[-1]):
        trial.notes.append(
            "c2st_gbm lies below 0.5: synthetic rows that equal single real rows, or lie nearer to them than "
            "other real rows do, mislead the classifier. The tables share more than a distribution; see "
            "identical_share and the attacks on membership."
        )
    rows += trial.referenced(
        "telling apart by regression",
        lambda real, other: {"c2st_logistic": c2st_logistic(real, other, seed)},
        ceiling=lambda real, other: {
            "c2st_logistic": c2st_logistic(real, other, seed, n_scored=_REFERENCE_FOLDS)
        },
    )
    rows += trial.referenced(
        "propensities", lambda real, other: {"pmse_ratio": pmse_ratio(real, other, seed)}
    )
    rows += trial.referenced("distances of rows", lambda real, other: geometry(real, other, seed))
    _note_samples(trial)
    _note_undefined(trial, rows)
    return Findings(rows, {}, {})


def _distances(real: CodedTable, other: CodedTable) -> dict[str, float]:
    """Give the distances whose interval is a bootstrap over rows."""
    return column_summary(column_errors(real, other)) | association_summary(association_errors(real, other))


def _certain(figures: Mapping[str, float]) -> dict[str, Estimate]:
    return {name: Estimate(figure) for name, figure in figures.items()}


def _note_samples(trial: Trial) -> None:
    """Say which metrics of the family saw a part of the rows or of the columns."""
    n, n_columns = min(len(trial.real), len(trial.synthetic)), len(trial.real.domain.names)
    if len(trial.real) != len(trial.synthetic):
        trial.notes.append(f"c2st draws {n:,} rows of each table, so that both classes are equally large.")
    if trial.holdout is not None:
        trial.notes.append(
            f"The ceiling of c2st is the mean of {_REFERENCE_FOLDS} of its 5 folds, the floor of c2st_gbm "
            "that of one."
        )
    if max(len(trial.real), len(trial.synthetic)) > MAX_ROWS:
        trial.notes.append(
            "energy_distance, precision, recall, density, coverage, alpha_precision, beta_recall and "
            f"authenticity draw {MAX_ROWS:,} rows of each table, mmd {MAX_ROWS_MMD:,}."
        )
    if n_columns * (n_columns - 1) // 2 > MAX_PAIRS:
        trial.notes.append(f"The metrics of pairs of columns draw {MAX_PAIRS:,} pairs.")
    if n_columns * (n_columns - 1) * (n_columns - 2) // 6 > MAX_TRIPLES:
        trial.notes.append(f"threeway_error draws {MAX_TRIPLES:,} triples of columns.")


def utility(trial: Trial, task: Task | str | None) -> Findings:
    """Train three models on each table and test them on the holdout, or note why not."""
    if trial.holdout is None or not isinstance(task, Task):
        reason = _untestable(task)
        trial.notes.append(f"The utility is not measured: {reason}.")
        return Findings(_unmeasured("utility"), {}, _untested(reason))
    seed, holdout = trial.seed, trial.holdout
    trial.step("training three models on each table")
    fitted = fit_models(trial.real, trial.synthetic, task, seed)
    trial.step("testing the models")
    models = utility_table(fitted, trial.synthetic, holdout, task)
    trial.step("training on independent columns")
    floor = holdout_score(trial.floor, holdout, task, seed)
    for note in dict.fromkeys(models["note"][models["note"] != ""]):
        trial.notes.append(f"A model is not scored: {note}.")
    figures = {
        "tstr_gap": tstr_gap(fitted, holdout, task),
        "model_rank_agreement": Estimate(model_rank_agreement(fitted, holdout, task)),
        "importance_agreement": Estimate(importance_agreement(fitted, holdout, task, seed)),
    }
    rows = [metric_row(name, figure, UNKNOWN, UNKNOWN) for name, figure in figures.items()]
    rows[0]["units"] = f"{task.units} difference"
    _note_undefined(trial, rows)
    rows += _scores(models, floor)
    main = models[(models["model"] == "boosting") & (models["test"] == "holdout")]
    missing = main[main["score"].isna()]
    return Findings(rows, {"models": models}, _untested(missing["note"].iloc[0]) if len(missing) else {})


def augmentation(trial: Trial, task: Task | str | None) -> Findings:
    """Test whether the synthetic rows help beside the real ones, or note why not."""
    name = "augmentation_lift"
    if trial.holdout is None or not isinstance(task, Task):
        trial.notes.append(f"Augmentation is not tested: {_untestable(task)}.")
        return Findings([metric_row(name, UNKNOWN, UNKNOWN, UNKNOWN)], {}, {})
    trial.step("training with and without synthetic rows")
    table = augmentation_lift(trial.real, trial.synthetic, trial.holdout, task, trial.seed)
    for note in dict.fromkeys(table["note"][table["note"] != ""]):
        trial.notes.append(f"A way of augmentation is not scored: {note}.")
    both = table[table["strategy"] == "real + synthetic"].to_dict("records")[0]
    row = metric_row(
        name,
        Estimate(both["lift"], both["low"], both["high"]),
        UNKNOWN,
        UNKNOWN,
        f"{both['metric']} difference",
    )
    return Findings([row], {"augmentation": table}, {})


def _untestable(task: Task | str | None) -> str:
    """Say why no model can be tested."""
    if isinstance(task, str):
        return task
    return "there is no target" if task is None else "there is no holdout"


def _untested(reason: str) -> dict[str, Any]:
    """Give the fact that says why `tstr` or `trtr` is missing."""
    return {"utility": {"untested": reason}}


def _scores(models: pd.DataFrame, floor: Estimate) -> Iterable[Row]:
    """Turn the table of models into rows of the report."""
    found = {
        (row["model"], row["train"], row["test"]): Estimate(row["score"], row["low"], row["high"])
        for row in models.to_dict("records")
    }
    units = models["units"].iloc[0]
    for model, ending in (("boosting", ""), ("linear", "_linear"), ("forest", "_forest")):
        real, synthetic = found[model, "real", "holdout"], found[model, "synthetic", "holdout"]
        lowest = floor if model == "boosting" else UNKNOWN
        yield metric_row(f"tstr{ending}", synthetic, real, lowest, units)
        yield metric_row(f"trtr{ending}", real, real, lowest, units)
    yield metric_row("trts", found["boosting", "real", "synthetic"], real, UNKNOWN, units)


def _unmeasured(family: str) -> list[Row]:
    """Give rows of NaN for all metrics of a family."""
    return [
        metric_row(name, UNKNOWN, UNKNOWN, UNKNOWN)
        for name, metric in METRICS.items()
        if metric.family == family and name != "augmentation_lift"
    ]


def _note_undefined(trial: Trial, rows: Iterable[Row]) -> None:
    """Say which of the metrics that were measured have no value."""
    names = [row["metric"] for row in rows if row["value"] != row["value"]]
    if names:
        trial.notes.append(f"Not defined for want of rows, values or columns: {', '.join(names)}.")


def privacy(trial: Trial) -> Findings:
    """Look for copies and attack the real records; with a holdout only, there is a verdict."""
    rows = [*_copies(trial)]
    if trial.holdout is None:
        trial.notes.append("There is no holdout: membership, attributes and singling out are not attacked.")
        measured = {row["metric"] for row in rows}
        rows += [row for row in _unmeasured("privacy") if row["metric"] not in measured]
        words = verdict({}, float("nan"), len(trial.real), 0)
        return Findings(rows, {}, {"privacy": {"verdict": words}})
    found = audit(
        trial.real,
        trial.synthetic,
        trial.holdout,
        trial.seed,
        tick=lambda name: trial.step(f"attack: {name}"),
    )
    membership, attributes = found.frames["membership"], found.frames["attributes"]
    everyone = membership[membership["records"] == "all"]
    figures = _excesses(membership, attributes, found.frames["singling out"])
    trial.step("attacks on independent columns")
    lowest = _excesses(
        membership_attacks(trial.real, trial.floor, trial.holdout, trial.seed, _FLOOR_MEMBERS),
        attribute_inference(
            trial.real, trial.floor, trial.holdout, seed=trial.seed, max_targets=_FLOOR_TARGETS
        ),
        singling_out(trial.real, trial.floor, trial.holdout, trial.seed),
    )
    rows += [
        metric_row(name, figure, Estimate(_CERTAIN.get(name, 0.0)), lowest[name])
        for name, figure in figures.items()
    ]
    facts: dict[str, Any] = {
        "threat_model": THREAT_MODEL,
        "verdict": found.verdict,
        "alarms": list(found.alarms),
        "level": LEVEL,
        "p_values": found.p_values,
        "blind_auc": found.blind.value,
        "blind_p": found.blind_p,
        "n_members": int(everyone["n_members"].max()),
        "n_others": int(everyone["n_others"].max()),
        "detectable_auc": float(everyone["detectable_auc"].min()),
        "detectable_tpr": float(everyone["detectable_tpr"].min()),
    }
    _note_targets(trial, facts, attributes)
    _note_undefined(trial, rows)
    return Findings(rows, found.frames, {"privacy": facts})


def _copies(trial: Trial) -> Iterable[Row]:
    """Look for rows that stand, or nearly stand, in the real table."""
    records = [trial.real] if trial.holdout is None else [trial.real, trial.holdout]
    yield from trial.referenced(
        "identical rows", lambda real, other: {"identical_share": identical_share(real, other)}
    )
    yield from trial.referenced(
        "nearly identical rows",
        lambda real, other: {"near_identical_share": near_identical_share(real, other, records)},
    )
    trial.step("closest records")
    closest = closest_records(trial.real, trial.synthetic, trial.holdout, trial.seed)
    trial.step("closest records, floor")
    floor = closest_records(trial.real, trial.floor, None, trial.seed)
    for name in ("dcr_p05", "nndr_p05", "dcr_share"):
        value, ceiling = closest.get(name, (UNKNOWN, UNKNOWN))
        yield metric_row(name, value, ceiling, floor.get(name, (UNKNOWN, UNKNOWN))[0])


def _excesses(
    membership: pd.DataFrame, attributes: pd.DataFrame, predicates: pd.DataFrame
) -> dict[str, Estimate]:
    """Give what the most successful attack of each sort reaches."""
    everyone, outlying = (membership[membership["records"] == name] for name in ("all", "outlying"))
    # of the excesses the least probable one: the largest is chance where conditions or records are few.
    # By the p before the correction, which cuts at 1: of those that tie there the largest would come first
    return {
        "membership_auc": _first(everyone.sort_values("auc", ascending=False), "auc"),
        "membership_outlier_auc": _first(outlying.sort_values("auc", ascending=False), "auc"),
        "membership_tpr": _first(everyone.sort_values("tpr_at_0.01", ascending=False), "tpr_at_0.01"),
        "attribute_excess": _first(attributes.sort_values("raw_p", kind="stable"), "excess"),
        "singling_out_excess": _first(
            predicates.sort_values(["raw_p", "n_predicates"], ascending=[True, False]), "excess"
        ),
    }


def _first(frame: pd.DataFrame, name: str) -> Estimate:
    """Give a figure of the first row that has it, with its interval."""
    for row in frame.to_dict("records"):
        if row[name] == row[name]:
            return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return UNKNOWN


def _note_targets(trial: Trial, facts: Mapping[str, Any], attributes: pd.DataFrame) -> None:
    """Say which records were attacked; what they are compared with is never a sample."""
    n_real, n_holdout = len(trial.real), len(trial.holdout or ())
    if facts["n_members"] < n_real or facts["n_others"] < n_holdout:
        trial.notes.append(
            f"Membership is attacked for {quantity(facts['n_members'], 'real row')} and "
            f"{quantity(facts['n_others'], 'holdout row')}, against all synthetic rows."
        )
    if len(attributes) and max(n_real, n_holdout) > MAX_TARGETS:
        trial.notes.append(
            f"Attribute inference attacks {quantity(min(n_real, MAX_TARGETS), 'real row')} and "
            f"{quantity(min(n_holdout, MAX_TARGETS), 'holdout row')}, with all synthetic rows."
        )
    if n_real != n_holdout:
        trial.notes.append(
            f"Singling out draws {quantity(min(n_real, n_holdout), 'row')} of the real table and of the "
            "holdout, because what is unique depends on their number."
        )
    if max(len(trial.synthetic), n_holdout) > MAX_ROWS_CLOSEST:
        trial.notes.append(
            f"DCR, NNDR and their share are measured for at most {MAX_ROWS_CLOSEST:,} synthetic rows, "
            "against all records."
        )
    if 1 < len(trial.real.domain.names) > len(attributes):
        trial.notes.append(
            f"Attribute inference attacks {quantity(len(attributes), 'column')}, drawn at random."
        )
