import math

from synthgan.evaluation.metrics import METRICS


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.family in ("fidelity", "utility", "copies")
        assert metric.direction in ("lower", "higher", "match")
        assert metric.units in ("ratio", "AUC", "R2")
        assert len(metric.source) > 20
        assert math.isnan(metric.best) == (metric.direction == "match")
