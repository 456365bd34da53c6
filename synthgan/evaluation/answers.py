"""The three answers that a reader needs first, in plain words.

A report's frame enters; for each of the questions "does it look like the data,
does it work like the data, does it leak the data" a verdict and a sentence with
the figures behind it leave. The words follow from fixed bands, stated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthgan.evaluation.metrics import FAMILIES

__all__ = ["Answer", "answer_all", "misled", "show"]

_LOOKS = (  # AUC of the classifier from which on the words hold
    (0.95, "No: a classifier picks out almost every synthetic row"),
    (0.80, "Only roughly: a classifier tells most rows apart"),
    (0.65, "Partly: a classifier tells many rows apart"),
    (0.55, "Closely: a classifier does somewhat better than guessing"),
    (0.00, "Very closely: a classifier can hardly tell the rows apart"),
)
_NO_LOOK = "Cannot be said: rows that equal or closely follow single real rows mislead the classifier"
_MISLED = 0.48  # an AUC below this is no noise: the classifier takes copies for what they copy
_WORKS = (  # share of the real model's advantage over guessing that the synthetic one keeps
    (0.95, "As well as the real data, or nearly so"),
    (0.80, "Mostly: a model learns a little less from it"),
    (0.50, "Partly: a model learns much less from it"),
    (-np.inf, "Hardly: a model learns little from it"),
)


_NOT_ASKED = ("Not measured", "This part of the report was left out.")
_NO_PROOF = (
    "The attacks know the synthetic table and some records, not the model: finding nothing is no proof of "
    "privacy."
)


@dataclass(frozen=True)
class Answer:
    """One question with its verdict and the figures behind it."""

    question: str
    verdict: str
    text: str


def show(value: float, units: str) -> str:
    """Write a figure as people read it: ratios in percent.

    >>> show(0.0123, "ratio"), show(0.5, "AUC"), show(float("nan"), "R2")
    ('1.23 %', '0.500', '-')
    """
    if np.isnan(value):
        return "-"
    return f"{100 * value:.2f} %" if units == "ratio" else f"{value:.3f}"


def misled(row: Mapping[str, Any]) -> bool:
    """Tell whether rows that share more than a distribution mislead the classifier two-sample test.

    Parameters
    ----------
    row : mapping
        The row of the report of ``c2st_gbm``. Not its value but the upper end of
        its interval counts: small tables fall below 0.5 by chance.
    """
    return bool(row["high"] < _MISLED)


def answer_all(frame: pd.DataFrame, facts: Mapping[str, Any]) -> tuple[Answer, Answer, Answer]:
    """Answer the three questions from the frame and the facts of a report."""
    rows = {row["metric"]: row for row in frame.to_dict("records")}
    answers = []
    for (family, question), judge in zip(FAMILIES.items(), (_looks, _works, _leaks), strict=True):
        verdict, text = judge(rows, facts) if family in facts["parts"] else _NOT_ASKED
        answers.append(Answer(question, verdict, text))
    first, second, third = answers
    return first, second, third


def _looks(rows: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, str]:  # noqa: ARG001
    """Judge the likeness by the classifier that sees all columns together."""
    row, shape, trend = rows["c2st_gbm"], rows["shape_error"], rows["trend_error_shared"]
    columns = (
        f"Single columns differ by {show(shape['value'], 'ratio')} on average{_in_brackets(shape)}"
        f"{_pairs(trend)}."
    )
    if np.isnan(row["value"]):
        return "Too few rows to tell", f"A classifier that tells the rows apart needs more of them. {columns}"
    verdict = next(words for least, words in _LOOKS if row["value"] >= least)
    text = (
        "A classifier that learns to tell synthetic from real rows reaches an AUC of "
        f"{show(row['value'], 'AUC')} (0.5 is guessing{_references(row, 'AUC')}). {columns}"
    )
    return _NO_LOOK if misled(row) else verdict, text


def _works(rows: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, str]:
    """Judge the use by how much of the real model's advantage over guessing is kept."""
    tstr, trtr = rows["tstr"], rows["trtr"]
    if np.isnan(tstr["value"]) or np.isnan(trtr["value"]):
        reason = facts["utility"]["untested"]
        return "Not tested", f"The test trains models on each table and judges them on the holdout: {reason}."
    units = tstr["units"]
    chance = 0.0 if units == "R2" else 0.5
    text = (
        f"A model trained on the synthetic table predicts {facts['target']!r} in real rows that nobody has "
        f"seen with {'an R2' if units == 'R2' else 'an AUC'} of {show(tstr['value'], units)}; trained on the "
        f"real table it reaches {show(trtr['value'], units)} (guessing: {chance})."
    )
    if trtr["value"] - chance < 0.02:
        return "Cannot be said: the real table does not predict this target either", text
    kept = (tstr["value"] - chance) / (trtr["value"] - chance)
    return next(words for least, words in _WORKS if kept >= least), text


def _leaks(rows: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, str]:
    """Say what the attacks found and what they could have found; never more than that."""
    privacy, row = facts["privacy"], rows["identical_share"]
    n_same = round(row["value"] * facts["rows"]["synthetic"])
    copies = (
        f"{show(row['value'], 'ratio')} of the synthetic rows ({n_same:,} of {facts['rows']['synthetic']:,}) "
        f"are identical to a real row{_in_brackets(row)}."
    )
    verdict = privacy["verdict"]
    words = verdict[0].upper() + verdict[1:]
    if "detectable_auc" not in privacy:
        return words, f"{copies} {_NO_PROOF}"
    attack = rows["membership_auc"]
    if np.isnan(attack["value"]):
        return words, f"There are too few records to attack their membership. {copies} {_NO_PROOF}"
    text = (
        f"The best of five attacks tells real rows from rows that the model never saw with an AUC of "
        f"{show(attack['value'], 'AUC')} (0.5 is guessing; {show(privacy['detectable_auc'], 'AUC')} would be "
        f"found with probability 0.8). {copies} {_NO_PROOF}"
    )
    return words, text


def _references(row: Mapping[str, Any], units: str) -> str:
    """Add what real rows and independent columns reach."""
    ceiling = "" if np.isnan(row["ceiling"]) else f", unseen real rows reach {show(row['ceiling'], units)}"
    return f"{ceiling}, independent columns {show(row['floor'], units)}"


def _pairs(row: Mapping[str, Any]) -> str:
    """Add how far pairs of columns differ, if there are any."""
    if np.isnan(row["value"]):
        return ""
    return f", pairs of columns by {show(row['value'], 'ratio')}{_in_brackets(row)}"


def _in_brackets(row: Mapping[str, Any]) -> str:
    return "" if np.isnan(row["ceiling"]) else f" (unseen real rows: {show(row['ceiling'], 'ratio')})"
