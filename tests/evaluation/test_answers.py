import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.answers import answer_all, show
from synthgan.evaluation.metrics import METRICS

FACTS = {"target": "y", "rows": {"real": 1000, "synthetic": 1000, "holdout": 1000, "ceiling": 1000}}


def answers(facts=FACTS, ceiling=0.5, **values):
    rows = [
        {"metric": name, "value": values.get(name, 0.5), "low": values.get(name, 0.5), "high": 0.6,
         "ceiling": ceiling, "floor": 0.9, "units": metric.units}
        for name, metric in METRICS.items()
    ]  # fmt: skip
    return answer_all(pd.DataFrame(rows), facts)


@pytest.mark.parametrize(
    ("auc", "word"),
    [
        (0.4, "Cannot be said"),
        (0.49, "Very closely"),
        (0.56, "Closely"),
        (0.7, "Partly"),
        (0.9, "Only roughly"),
        (0.99, "No"),
    ],
)
def test_the_look_follows_the_classifier(auc, word):
    assert answers(c2st_gbm=auc)[0].verdict.startswith(word)


@pytest.mark.parametrize(
    ("tstr", "word"),
    [(0.9, "As well"), (0.88, "As well"), (0.85, "Mostly"), (0.75, "Partly"), (0.5, "Hardly")],
)
def test_the_use_follows_what_a_model_keeps_of_its_advantage(tstr, word):
    assert answers(tstr=tstr, trtr=0.9)[1].verdict.startswith(word)


def test_a_target_that_nothing_predicts_says_nothing():
    assert answers(tstr=0.5, trtr=0.51)[1].verdict.startswith("Cannot be said")
    assert answers(tstr=np.nan)[1].verdict == "Not tested"


@pytest.mark.parametrize(
    ("share", "ceiling", "word"),
    [
        (0.01, 0.01, "No more"),
        (0.2, 0.01, "More rows"),
        (0.0, np.nan, "No identical"),
        (0.1, np.nan, "Some rows"),
    ],
)
def test_copies_are_judged_against_the_holdout_and_never_as_privacy(share, ceiling, word):
    answer = answers(identical_share=share, ceiling=ceiling)[2]
    assert answer.verdict.startswith(word)
    assert "no evidence of privacy" in answer.text
    assert "safe" not in answer.text + answer.verdict


@pytest.mark.parametrize(
    ("value", "units", "text"),
    [(0.00046, "ratio", "0.05 %"), (0.5301, "AUC", "0.530"), (-1.5, "R2", "-1.500")],
)
def test_figures_are_written_in_their_units(value, units, text):
    assert show(value, units) == text
