"""Does it copy the data: rows of one table that stand, cell for cell, in another.

A copy detector, no evidence of privacy: a table without identical rows may
still give away who is in the data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthgan.evaluation.intervals import Estimate, wilson
from synthgan.evaluation.tables import CodedTable

__all__ = ["identical_rows", "identical_share"]


def identical_rows(real: CodedTable, synthetic: CodedTable) -> NDArray[np.bool_]:
    """Mark the synthetic rows that equal some real row.

    All cells must be equal, numbers exactly, missing to missing; identifiers
    are not compared.

    Returns
    -------
    array of shape (n_synthetic,), bool
    """
    known = set(_row_keys(real))
    return np.array([key in known for key in _row_keys(synthetic)], dtype=bool)


def identical_share(real: CodedTable, synthetic: CodedTable) -> Estimate:
    """Give the share of synthetic rows that equal some real row.

    ``#{j : s_j in real} / n_synthetic``. To be read beside the same share of a
    holdout: tables with few columns repeat rows by themselves.

    Returns
    -------
    Estimate
        In [0, 1], with Wilson's interval.
    """
    same = identical_rows(real, synthetic)
    return wilson(int(same.sum()), len(same))


def _row_keys(table: CodedTable) -> list[bytes]:
    """Give the codes of each row as bytes."""
    rows = np.ascontiguousarray(table.codes)
    size, data = rows.shape[1] * rows.itemsize, rows.tobytes()
    return [data[start : start + size] for start in range(0, len(data), size)]
