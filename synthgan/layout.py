"""Where each column sits in the encoded table: the one owner of every offset.

An encoded table holds, for every modelled column, one integer *code* and one
scalar *alpha* a row. A code is an atom (one value with point mass: a category, a
spike, the missing value), a *mode* (an interval of numbers) or a *group* (a few
rare categories). Alpha in [-1, 1] says where in the mode, or which member of the
group; an atom's alpha is 0 and without meaning.

The networks see all codes of all columns side by side: span j tiles
``[start, start + n_codes)`` of ``[0, width)``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["ATOM", "CONTINUOUS", "EncodedTable", "Layout", "Span"]

ATOM = 1  # a code without alpha
CONTINUOUS = 0  # a code whose alpha may be any number in [-1, 1]
# any other level count m >= 2: alpha is one of m equal cells of [-1, 1]


@dataclass(frozen=True, eq=False)
class Span:
    """The run of codes of one column.

    Parameters
    ----------
    column : hashable
        Name of the column.
    n_levels : int array of shape (n_codes,)
        For each code `ATOM`, `CONTINUOUS`, or the number of members of a group.
    position : float array of shape (n_codes,)
        Rank of the code in [0, 1] where codes are ordered (numbers), NaN where
        they are not (categories, the missing value).
    start : int
        Offset of the first code among all codes of the table.
    """

    column: Hashable
    n_levels: NDArray[np.int32]
    position: NDArray[np.float32]
    start: int = 0

    @property
    def n_codes(self) -> int:
        """Number of codes of the column."""
        return len(self.n_levels)

    @property
    def stop(self) -> int:
        """Offset after the last code."""
        return self.start + self.n_codes


@dataclass(frozen=True, eq=False)
class Layout:
    """The spans of all modelled columns, in table order, tiling ``[0, width)``.

    Examples
    --------
    >>> atoms = lambda name, k: Span(name, np.full(k, ATOM, np.int32), np.full(k, np.nan, np.float32))
    >>> layout = Layout.of([atoms("sex", 2), atoms("race", 5)])
    >>> layout.width, [span.start for span in layout.spans]
    (7, [0, 2])
    """

    spans: tuple[Span, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Layout:
        """Lay spans side by side, setting each one's `start`."""
        placed, start = [], 0
        for span in spans:
            placed.append(Span(span.column, span.n_levels, span.position, start))
            start += span.n_codes
        return cls(tuple(placed))

    @property
    def width(self) -> int:
        """Number of codes of all columns together."""
        return self.spans[-1].stop if self.spans else 0

    @property
    def starts(self) -> NDArray[np.int64]:
        """Offset of each span, shape (n_spans,)."""
        return np.array([span.start for span in self.spans], dtype=np.int64)

    @property
    def columns(self) -> list[Hashable]:
        """Names of the modelled columns, in span order."""
        return [span.column for span in self.spans]

    def __len__(self) -> int:
        return len(self.spans)


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """A table as codes and alphas, both of shape (n_rows, n_spans).

    Parameters
    ----------
    codes : int32 array
        Code within the column's span, in [0, n_codes).
    alphas : float64 array
        Position inside the code's mode or group, in [-1, 1]; 0 for atoms.
    """

    codes: NDArray[np.int32]
    alphas: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, index: NDArray[np.int64] | slice) -> EncodedTable:
        """Take rows by index or slice."""
        return EncodedTable(self.codes[index], self.alphas[index])
