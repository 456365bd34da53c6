import numpy as np
import pandas as pd
import pytest

from synthgan.evaluation.answers import answer_all, show
from synthgan.evaluation.metrics import METRICS

FACTS = {
    "target": "y",
    "rows": {"real": 1000, "synthetic": 1000, "holdout": 1000, "ceiling": 1000},
    "parts": ["fidelity", "utility", "privacy"],
    "utility": {"untested": "there is no holdout"},
    "privacy": {"verdict": "no leak found by these attacks at this power", "detectable_auc": 0.53},
}


def answers(facts=FACTS, ceiling=0.5, **values):
    rows = [
        {"metric": name, "value": values.get(name, 0.5), "low": values.get(name, 0.5),
         "high": values.get(f"{name}_high", 0.6), "ceiling": ceiling, "floor": 0.9, "units": metric.units}
        for name, metric in METRICS.items()
    ]  # fmt: skip
    return answer_all(pd.DataFrame(rows), facts)


@pytest.mark.parametrize(
    ("auc", "word"),
    [
        (0.4, "Very closely"),
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
    ("auc", "high", "word"),
    [
        (0.40, 0.479, "Cannot be said"),
        (0.47, 0.479, "Cannot be said"),
        (0.40, 0.481, "Very closely"),
        (0.20, 0.60, "Very closely"),
        (0.40, np.nan, "Very closely"),
    ],
)
def test_copies_are_named_only_if_the_whole_interval_lies_below_chance(auc, high, word):
    assert answers(c2st_gbm=auc, c2st_gbm_high=high)[0].verdict.startswith(word)


def test_the_look_of_too_few_rows_is_not_judged():
    answer = answers(c2st_gbm=np.nan)[0]
    assert answer.verdict == "Too few rows to tell"
    assert "AUC" not in answer.text
    assert "Single columns differ by 50.00 %" in answer.text


def test_what_was_not_measured_is_not_told():
    assert "pairs" in answers()[0].text
    assert "pairs" not in answers(trend_error_shared=np.nan)[0].text
    text = answers(membership_auc=np.nan)[2].text
    assert "attacks tells" not in text
    assert "probability" not in text
    assert "identical to a real row" in text
    assert answers(tstr=np.nan)[1].text.endswith("there is no holdout.")


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
    "verdict", ["leak found: membership", "no leak found by these attacks at this power", "no verdict: why"]
)
def test_the_verdict_on_leaks_is_that_of_the_attacks_and_never_a_promise(verdict):
    answer = answers(FACTS | {"privacy": FACTS["privacy"] | {"verdict": verdict}})[2]
    assert answer.verdict == verdict[0].upper() + verdict[1:]
    assert "no proof of privacy" in answer.text
    assert "0.530 would be found with probability 0.8" in answer.text
    assert "safe" not in answer.text + answer.verdict


def test_without_attacks_only_copies_are_told():
    answer = answers(FACTS | {"privacy": {"verdict": "no verdict: there is no holdout"}}, ceiling=np.nan)[2]
    assert "identical to a real row." in answer.text
    assert "AUC" not in answer.text


def test_a_part_that_was_left_out_is_said_to_be():
    verdicts = [answer.verdict for answer in answers(FACTS | {"parts": ["fidelity"]})]
    assert verdicts[0] != "Not measured"
    assert verdicts[1:] == ["Not measured", "Not measured"]


@pytest.mark.parametrize(
    ("value", "units", "text"),
    [(0.00046, "ratio", "0.05 %"), (0.5301, "AUC", "0.530"), (-1.5, "R2", "-1.500")],
)
def test_figures_are_written_in_their_units(value, units, text):
    assert show(value, units) == text
