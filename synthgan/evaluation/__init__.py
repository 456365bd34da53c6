"""Judge a synthetic table: does it look like the data, work like it, copy it?"""

from synthgan.evaluation.protocol import evaluate
from synthgan.evaluation.report import Report

__all__ = ["Report", "evaluate"]
