"""Two or three tables as integer codes: what every metric of this package reads.

Frames enter (real, synthetic, perhaps a holdout), are checked against each
other, and leave as `CodedTable`: one integer matrix each, over levels that all
of them share. Codes of a numerical column keep the order of its values, -1 is
a missing cell. Distances between distributions, joint counts, identical rows
and the features of a classifier all follow from codes, exactly and fast.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.errors import DataError, listing, quantity, suggestion
from synthgan.evaluation.columns import ORDERED_KINDS, code_column
from synthgan.schema import Schema

__all__ = ["CodedTable", "Domain", "code_tables", "name_series"]


@dataclass(frozen=True)
class Domain:
    """What the tables of one comparison share.

    Parameters
    ----------
    names : tuple of column names
        In the order of the real table, without identifiers.
    kinds : dict of name to kind
        The kinds of `synthgan.schema`.
    levels : dict of name to array
        Distinct observed values of all tables, sorted; a code is a place in it.
    """

    names: tuple[Hashable, ...]
    kinds: dict[Hashable, str]
    levels: dict[Hashable, NDArray[Any]]

    def is_ordered(self, name: Hashable) -> bool:
        """Tell whether distances between the values of a column have a meaning."""
        return self.kinds[name] in ORDERED_KINDS

    def numbers(self, name: Hashable) -> NDArray[np.float64]:
        """Give the levels of an ordered column as floats; dates count from the first."""
        levels = self.levels[name]
        if levels.dtype.kind in "mM":
            levels = levels.astype(np.int64) - levels.astype(np.int64)[:1]
        return levels.astype(np.float64)


@dataclass(frozen=True)
class CodedTable:
    """One table as codes.

    Rows stand in lexicographic order of their codes, because no metric may
    depend on the order in which rows arrive.

    Parameters
    ----------
    domain : Domain
        Names, kinds and levels, shared with the tables it is compared with.
    codes : array of shape (n_rows, n_columns), int32, column-major
        Level of each cell; -1 is missing.
    """

    domain: Domain
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def _place(self) -> dict[Hashable, int]:
        return {name: place for place, name in enumerate(self.domain.names)}

    def column(self, name: Hashable) -> NDArray[np.int32]:
        """Give the codes of one column, shape (n_rows,)."""
        return self.codes[:, self._place[name]]

    def counts(self, name: Hashable) -> NDArray[np.int64]:
        """Count the missing cells (first) and each level, shape (1 + n_levels,)."""
        return np.bincount(self.column(name) + 1, minlength=1 + len(self.domain.levels[name]))

    def numbers(self, name: Hashable) -> NDArray[np.float64]:
        """Give one ordered column as floats with NaN where missing, shape (n_rows,)."""
        return np.append(self.domain.numbers(name), np.nan)[self.column(name)]

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> CodedTable:
        """Keep some rows, given by place or by mask."""
        return CodedTable(self.domain, np.asfortranarray(self.codes[rows]))

    def sampled(self, n_rows: int, rng: np.random.Generator) -> CodedTable:
        """Draw `n_rows` rows without replacement; the table itself if it has no more."""
        if n_rows >= len(self):
            return self
        return self.take(np.sort(rng.choice(len(self), size=n_rows, replace=False)))

    def independent(self, n_rows: int, rng: np.random.Generator) -> CodedTable:
        """Draw each column on its own, with replacement: all marginals, no relation."""
        rows = rng.integers(len(self), size=(len(self.domain.names), n_rows))
        drawn = [column[row] for column, row in zip(self.codes.T, rows, strict=True)]
        return CodedTable(self.domain, np.column_stack(drawn).copy(order="F"))

    def stacked_on(self, other: CodedTable) -> CodedTable:
        """Put the rows of `other` first, then the rows of this table."""
        return CodedTable(self.domain, np.asfortranarray(np.vstack([other.codes, self.codes])))


def code_tables(
    real: pd.DataFrame,
    *others: pd.DataFrame,
    kinds: Mapping[Any, str] | None = None,
    roles: tuple[str, ...] = ("real", "synthetic", "holdout"),
) -> list[CodedTable]:
    """Check tables against each other and code them over shared levels.

    Parameters
    ----------
    real : DataFrame of shape (n_rows, n_columns)
        Says which columns there are, in which order and of which kinds.
    *others : DataFrame
        Tables with the same columns, in any order; rows may differ in number.
    kinds : mapping of column name to kind, optional
        Overrides what `Schema.infer` finds.
    roles : tuple of str
        What the messages call the tables.

    Returns
    -------
    list of CodedTable
        One per table, in the order given; identifier columns are left out.

    Raises
    ------
    DataError
        If a table is empty, columns differ, a name is doubled, or a column
        holds another sort of values than in `real`.

    Examples
    --------
    >>> real = pd.DataFrame({"age": [30, 20, 30], "sex": ["F", "M", None]})
    >>> table, other = code_tables(real, real.iloc[::-1])
    >>> table.codes.tolist()
    [[0, 1], [1, -1], [1, 0]]
    """
    frames = [real, *others]
    for frame, role in zip(frames, roles, strict=False):
        _check_frame(frame, role)
    for frame, role in zip(others, roles[1:], strict=False):
        _check_names(real, frame, role)
    found = _find_kinds(real, roles[0], kinds)
    names = tuple(name for name in real.columns if found[name] != "identifier")
    if not names:
        raise DataError(
            f"Every column of real is an identifier and nothing is left to compare: {listing(real.columns)}. "
            "Declare other kinds."
        )
    places = [{name: place for place, name in enumerate(frame.columns)} for frame in frames]
    coded = {}
    for name in names:
        series = [frame.iloc[:, place[name]] for frame, place in zip(frames, places, strict=True)]
        coded[name] = code_column(series, found[name], roles)
    domain = Domain(names, {name: found[name] for name in names}, {name: coded[name][1] for name in names})
    tables = []
    for place in range(len(frames)):
        codes = np.column_stack([coded[name][0][place] for name in names])
        tables.append(CodedTable(domain, np.asfortranarray(codes[np.lexsort(codes.T[::-1])])))
    return tables


def name_series(names: Sequence[Hashable]) -> pd.Series[Any]:
    """Put names of columns into a column of a frame as the objects that they are.

    pandas would turn None into NaN and a tuple into several cells.

    >>> name_series([None, ("a", 1)]).tolist()
    [None, ('a', 1)]
    """
    objects = np.empty(len(names), dtype=object)
    objects[:] = names
    return pd.Series(objects, dtype=object)


def _check_frame(frame: object, role: str) -> None:
    """Refuse what is no table, an empty one, and doubled names."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{role} must be a pandas DataFrame. Got {type(frame).__name__}.")
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise DataError(
            f"{role} must have at least one row and one column. "
            f"Got {quantity(frame.shape[0], 'row')} and {quantity(frame.shape[1], 'column')}."
        )
    doubled = frame.columns[frame.columns.duplicated()].unique()
    if len(doubled):
        raise DataError(f"Column names must be unique. {role} doubles {listing(doubled)}. Rename them.")


def _check_names(real: pd.DataFrame, frame: pd.DataFrame, role: str) -> None:
    """Refuse columns that only one of two tables has."""
    lacking = [name for name in real.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in real.columns]
    if lacking:
        near = suggestion(lacking[0], extra)
        raise DataError(
            f"{role} lacks {quantity(len(lacking), 'column')} of real: {listing(lacking)}. "
            f"{role} has: {listing(frame.columns)}.{near} Both tables must have the same columns."
        )
    if extra:
        raise DataError(
            f"{role} has {quantity(len(extra), 'column')} that real lacks: {listing(extra)}. "
            "Drop what real does not have."
        )


def _find_kinds(frame: pd.DataFrame, role: str, kinds: Mapping[Any, str] | None) -> dict[Hashable, str]:
    """Infer the kinds of a table, and name the table in what goes wrong."""
    try:
        return Schema.infer(frame, kinds=kinds).kinds
    except DataError as error:
        raise DataError(f"{role}: {error}") from None
