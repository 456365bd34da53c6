"""Judge a synthetic table: whether it looks like the data, works like it, copies it.

`evaluate` compares any two tables, whoever made them; no model and no torch is
imported here. Its metrics are plain functions ``f(real, synthetic)`` of tables
that `code_tables` has made comparable.
"""

from synthgan.evaluation.protocol import evaluate
from synthgan.evaluation.report import Report

__all__ = ["Report", "evaluate"]
