import math

from synthgan.evaluation.metrics import FAMILIES, METRICS


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.family in FAMILIES
        assert metric.direction in ("lower", "higher", "match")
        assert metric.units
        assert len(metric.source) > 20
        assert len(metric.title) < 60
        if metric.direction == "match":
            assert math.isnan(metric.best)


def test_every_family_has_headlines():
    assert {metric.family for metric in METRICS.values() if metric.headline} == set(FAMILIES)


def test_copy_detectors_are_labelled_as_no_evidence_of_privacy():
    for name in ("dcr_p05", "nndr_p05", "dcr_share"):
        assert "no evidence of privacy" in METRICS[name].source
