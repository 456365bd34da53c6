"""The numbers of the literature: published protocols, reproduced in every detail.

Figures in papers on synthetic tables depend on details of the code that made
them, such as bins, folds, scalers and mistakes. These functions follow those
details, so that a figure can be set beside a published one. For a judgement of
a table use `synthgan.evaluate`, which makes none of the mistakes and gives
each figure a ceiling, a floor and an interval.

All functions take plain frames and the names of the columns to read as numbers
and as categories; the target belongs to one of the two lists like any other
column. The files: `quality` (Shape and Trend), `detection` (C2ST), `utility`
(MLE), `distances` (alpha-precision, beta-recall, DCR share), `inputs` (what the
others read columns with).
"""

from synthgan.evaluation.compat.detection import logistic_detection, xgboost_detection
from synthgan.evaluation.compat.distances import alpha_precision_beta_recall, dcr_share
from synthgan.evaluation.compat.quality import column_pair_trends, column_shapes
from synthgan.evaluation.compat.utility import mle

__all__ = [
    "alpha_precision_beta_recall",
    "column_pair_trends",
    "column_shapes",
    "dcr_share",
    "logistic_detection",
    "mle",
    "xgboost_detection",
]
