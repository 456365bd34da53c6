"""Do our numbers equal those of the published code? Two steps, in two environments.

    python benchmarks/parity/run.py reference -o golden.json   # where SDMetrics 0.11.1 is installed
    python benchmarks/parity/run.py compare golden.json        # where synthgan is installed

See README.md beside this file.
"""

import argparse
import ast
import json
import sys
import warnings
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Optional

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import tables

TOLERANCE = 1e-9
UNCONVERGED = 1e-2  # on raw columns of any length, 100 iterations end anywhere: see README.md
SEEDS = [0, 1]


def cases(pair):
    """Name, real, synthetic and columns of each case; then of the files that the caller gave."""
    for name, make in tables.CASES.items():
        yield name, *make()
    if pair:
        yield "files", *read_pair(*pair)


def read_pair(real, synthetic):
    """Read two CSV files; what pandas reads as numbers is numerical."""
    real, synthetic = pd.read_csv(real), pd.read_csv(synthetic)
    numerical = [name for name in real.columns if pd.api.types.is_numeric_dtype(real[name])]
    categorical = [name for name in real.columns if name not in numerical]
    return real, synthetic[real.columns], {"numerical": numerical, "categorical": categorical}


# --- reference: the published code -----------------------------------------------------------------


def reference(pair, synthcity):
    packages = ["sdmetrics", "numpy", "pandas", "scipy", "scikit-learn", "xgboost-cpu"]
    versions = {name: _version(name) for name in packages}
    versions["synthcity"] = synthcity and Path(synthcity).name.split("-")[1]
    result = {"versions": versions, "quality": {}, "detection": {}, "points": {}}
    for name, real, synthetic, columns in cases(pair):
        result["quality"][name] = sdmetrics_quality(real, synthetic, columns)
        if name in tables.DETECTION_CASES or (name == "files" and not _unknown(real, synthetic, columns)):
            result["detection"][name] = sdmetrics_detection(real, synthetic, columns)
    for name in tables.POINT_CASES:
        result["points"][name] = synthcity_points(synthcity, *tables.points_case(name))
    return result


def _unknown(real, synthetic, columns):
    return any(not synthetic[name].isin(real[name]).all() for name in columns["categorical"])


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def sdmetrics_quality(real, synthetic, columns):
    from sdmetrics.reports.single_table import QualityReport

    kinds = {name: {"sdtype": kind} for kind in ("numerical", "categorical") for name in columns[kind]}
    report = QualityReport()
    report.generate(real, synthetic, {"columns": kinds}, verbose=False)
    shapes, trends = (report.get_details(f"Column {part}") for part in ("Shapes", "Pair Trends"))
    return {
        "shape": float(report.get_properties()["Score"][0]),
        "trend": float(report.get_properties()["Score"][1]),
        "shapes": _listed(shapes["Score"]),
        "trends": _listed(trends["Score"]),
    }


def sdmetrics_detection(real, synthetic, columns):
    from sdmetrics.single_table import LogisticDetection
    from sdmetrics.single_table.detection.sklearn import ScikitLearnClassifierDetectionMetric

    class XGBoostDetection(ScikitLearnClassifierDetectionMetric):
        @staticmethod
        def _get_classifier():
            from xgboost import XGBClassifier

            return XGBClassifier(eval_metric="logloss", enable_categorical=True, random_state=0)

    names = [*columns["numerical"], *columns["categorical"]]
    metrics = {"logistic": LogisticDetection, "xgboost": XGBoostDetection}
    if _version("xgboost-cpu") is None:
        del metrics["xgboost"]
    found = {}
    for key, metric in metrics.items():
        found[key] = []
        for seed in SEEDS:
            np.random.seed(seed)  # noqa: NPY002  the published folds come from the global generator
            found[key].append(float(metric.compute(real[names].copy(), synthetic[names].copy())))
    return found


def synthcity_points(wheel, real, synthetic, columns):
    """Scale and code as the TabSyn code does, and leave the metric itself to synthcity; null without it."""
    if wheel is None:
        return None
    from sklearn.preprocessing import MinMaxScaler

    both = pd.concat([real, synthetic])
    points = both[columns["numerical"]].to_numpy(dtype=float)
    if columns["categorical"]:
        coded = pd.get_dummies(both[columns["categorical"]].astype(str), dtype=float)
        points = np.hstack([points, coded.to_numpy()])
    scaler = MinMaxScaler().fit(points[: len(real)])
    x, y = scaler.transform(points[: len(real)]), scaler.transform(points[len(real) :])
    _, _, _, precision, recall, _ = _alpha_precision(wheel)(None, x, y)
    return [float(precision), float(recall)]


def _alpha_precision(wheel):
    """Take the method `AlphaPrecision.metrics` out of a wheel; it needs numpy and scikit-learn only."""
    from sklearn.neighbors import NearestNeighbors

    with zipfile.ZipFile(wheel) as archive:
        tree = ast.parse(archive.read("synthcity/metrics/eval_statistical.py"))
    kind = next(node for node in tree.body if getattr(node, "name", "") == "AlphaPrecision")
    method = next(node for node in kind.body if getattr(node, "name", "") == "metrics")
    method.decorator_list.clear()
    names = {"np": np, "NearestNeighbors": NearestNeighbors, "Optional": Optional, "Tuple": tuple}
    exec(compile(ast.Module([method], type_ignores=[]), str(wheel), "exec"), names)
    return names["metrics"]


def _listed(scores):
    return [None if np.isnan(score) else float(score) for score in scores]


# --- compare: ours ---------------------------------------------------------------------------------


def ours(pair, wanted):
    """The same figures in the same shape, as far as the reference has them."""
    from synthgan.evaluation import compat

    result = {"quality": {}, "detection": {}, "points": {}}
    for name, real, synthetic, columns in cases(pair):
        shapes = compat.column_shapes(real, synthetic, **columns)
        trends = compat.column_pair_trends(real, synthetic, **columns)
        result["quality"][name] = {
            "shape": float(shapes.mean()),
            "trend": float(trends.mean()),
            "shapes": _listed(shapes),
            "trends": _listed(trends),
        }
        detectors = {"logistic": compat.logistic_detection, "xgboost": compat.xgboost_detection}
        for key in wanted["detection"].get(name, ()):
            try:
                scores = [detectors[key](real, synthetic, **columns, seed=seed) for seed in SEEDS]
            except ModuleNotFoundError as error:
                print(f"{name}: {key} not compared: {error}")
                continue
            result["detection"].setdefault(name, {})[key] = scores
    for name in tables.POINT_CASES:
        real, synthetic, columns = tables.points_case(name)
        result["points"][name] = [*compat.alpha_precision_beta_recall(real, synthetic, **columns)]
    return result


def largest_gap(found, wanted):
    """The largest difference of two nested results; infinite where only one of them is undefined."""
    if wanted is None or found is None:
        return 0.0 if wanted is found else np.inf
    if isinstance(wanted, list):
        return max((largest_gap(a, b) for a, b in zip(found, wanted, strict=True)), default=0.0)
    return abs(found - wanted)


def compare(pair, path):
    """Print the largest difference of each part; 1 if one is too large."""
    wanted = json.loads(Path(path).read_text(encoding="utf-8"))
    found = ours(pair, wanted)
    parts = [
        (family, name, key, value, wanted[family][name][key])
        for family in ("quality", "detection")
        for name, figures in found[family].items()
        for key, value in figures.items()
    ]
    parts += [
        ("points", name, "both", value, wanted["points"][name]) for name, value in found["points"].items()
    ]
    failed = False
    for family, name, key, value, reference_value in parts:
        if reference_value is None:
            print(f"{family:10} {name:12} not compared: the reference was made without synthcity")
            continue
        gap = largest_gap(value, reference_value)
        allowed = UNCONVERGED if (name, key) == ("files", "logistic") else TOLERANCE
        failed |= gap > allowed
        print(f"{family:10} {name:12} {key:9} largest difference {gap:.1e}, allowed {allowed:.0e}")
    return int(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["reference", "compare"])
    parser.add_argument("golden", nargs="?", help="compare: the file that `reference` wrote")
    parser.add_argument("-o", "--output", default="golden.json")
    parser.add_argument(
        "--pair", nargs=2, metavar=("REAL", "SYNTHETIC"), help="two CSV files to compare as well"
    )
    parser.add_argument("--synthcity", metavar="WHEEL", help="reference: its wheel, not installed")
    arguments = parser.parse_args()
    if arguments.step == "compare":
        return compare(arguments.pair, arguments.golden)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = reference(arguments.pair, arguments.synthcity)
    Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
