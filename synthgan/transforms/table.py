"""The codec of a table: one column codec each, and the relations between columns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthgan.dtypes import Array, from_numbers, to_numbers
from synthgan.errors import DataError
from synthgan.layout import ATOM, EncodedTable, Layout, Span
from synthgan.params import Choice, Interval, Rule, check_parameters
from synthgan.schema import Column, Schema, table
from synthgan.transforms.categorical import MAX_ATOMS, CategoricalCodec
from synthgan.transforms.conditions import NO_CONDITIONS, Conditions
from synthgan.transforms.determined import Map, as_array, fit_maps, plain_numbers
from synthgan.transforms.generated import ConstantCodec, IdentifierCodec
from synthgan.transforms.numeric import NumericCodec
from synthgan.transforms.relations import find_relations, sample_rows

__all__ = ["TableCodec"]

Codec = NumericCodec | CategoricalCodec
Generator = ConstantCodec | IdentifierCodec
_Data = dict[Hashable, "pd.Series[Any]"]

N_ROUNDS = 2  # columns of many levels are grouped by each other's groups
_NUMERIC = ("numerical", "datetime", "timedelta")
_RULES: dict[str, Rule] = {
    "max_modes": (Interval(int, 1),),
    "modes": (Choice(("quantile", "gaussian", "mixture")),),
    "random_state": (Interval(int, 0),),
    "relations": (Choice((True, False)),),
}


class TableCodec:
    """Turn a table into codes and alphas, and back.

    Parameters
    ----------
    schema : Schema
    max_modes : int, default 50
        Most modes of a column of numbers.
    modes : {"quantile", "gaussian", "mixture"}, default "quantile"
        What lies between the atoms is cut into intervals of equal mass, or into the components of a Gaussian
        mixture. "mixture" describes all values of a column of numbers by the components: none is an atom.
    random_state : int, default 0
        Seed of the mixture fits and of the draws of Gaussian modes.
    relations : bool, default True
        Whether to look for columns that often repeat another one.
    determined : mapping of column to column, optional
        Columns that have no codes, since the column that each is mapped to determines them. That
        one has codes, and every value of it is an atom or a level.

    Attributes
    ----------
    layout_ : Layout
        One span for each column that is neither constant, nor an identifier, nor determined.
    codecs_ : dict
        Fitted codec of each column by name.
    relations_ : dict
        For a column that often repeats earlier ones, their names; each is one more
        code of the column, after those of its codec.
    maps_ : list of Map
        What the determined columns are.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [31, 50, 31], "sex": ["F", "M", "M"], "year": 2026})
    >>> codec = TableCodec(Schema.infer(frame)).fit(frame)
    >>> codec.layout_.columns, codec.layout_.width
    (['age', 'sex'], 4)
    >>> codec.inverse_transform(codec.transform(frame)).equals(frame)
    True
    """

    layout_: Layout
    codecs_: dict[Hashable, Codec | Generator]
    relations_: dict[Hashable, list[Hashable]]
    maps_: list[Map]

    def __init__(
        self,
        schema: Schema,
        *,
        max_modes: int = 50,
        modes: str = "quantile",
        random_state: int = 0,
        relations: bool = True,
        determined: Mapping[Hashable, Hashable] | None = None,
    ) -> None:
        self.schema = schema
        self.max_modes = max_modes
        self.modes = modes
        self.random_state = random_state
        self.relations = relations
        self.determined = determined

    def fit(self, frame: pd.DataFrame) -> TableCodec:
        """Fit a codec for each column, then look for relations.

        Raises
        ------
        DataError
            If the frame does not follow the schema, or breaks what `determined` says.
        """
        check_parameters("TableCodec", vars(self), _RULES)
        data = self._split(frame)
        self.codecs_, self.maps_ = {}, []
        wide = []
        for position, column in enumerate(self.schema):
            codec = self._new_codec(column, position)
            self.codecs_[column.name] = codec
            if isinstance(codec, CategoricalCodec) and codec.count_levels(data[column.name]) > MAX_ATOMS:
                wide.append(codec)
            else:
                codec.fit(data[column.name])
        if wide:
            self._fit_wide(data, wide)
        self.maps_ = fit_maps(self.determined or {}, self.codecs_, data)
        self._find_relations(data)
        self._lay_out()
        return self

    def _split(self, frame: pd.DataFrame) -> _Data:
        """Check a frame and take it apart; its names need not be good for indexing."""
        frame = self.schema.check(frame)
        return {column.name: frame.iloc[:, position] for position, column in enumerate(self.schema)}

    def _new_codec(self, column: Column, position: int) -> Codec | Generator:
        """Choose the codec of a column."""
        if column.kind == "constant":
            return ConstantCodec(column)
        if column.kind == "identifier":
            return IdentifierCodec(column, position)
        if column.kind in _NUMERIC:
            return NumericCodec(column, self.max_modes, self.modes, self.random_state)
        return CategoricalCodec(column)

    def _fit_wide(self, data: _Data, wide: list[CategoricalCodec]) -> None:
        """Fit columns of many levels, whose rare ones are grouped by the codes of the other columns."""
        context = {}
        for codec in map(self._codec, self._modelled()):
            if codec not in wide:
                context[codec.column.name] = _context(codec, data)
        for _ in range(N_ROUNDS):
            for codec in wide:
                name = codec.column.name
                codec.fit(data[name], [others for other, others in context.items() if other != name])
                context[name] = _context(codec, data)

    def _modelled(self) -> list[Column]:
        left_out = {name for one in self.maps_ for name in one.effects}
        return [
            column
            for column in self.schema
            if column.kind not in ("constant", "identifier") and column.name not in left_out
        ]

    def _codec(self, column: Column) -> Any:
        return self.codecs_[column.name]

    def _find_relations(self, data: _Data) -> None:
        """Look for repeated values, and fit the modes of such columns to the rows that are left."""
        columns = [column for column in self._modelled() if column.kind in _NUMERIC and self.relations]
        rows = sample_rows(len(next(iter(data.values()))), len(columns))
        some = [data[column.name].iloc[rows] for column in columns]
        values = [to_numbers(series)[0] for series in some]
        loose = [self._is_loose(column, series) for column, series in zip(columns, some, strict=True)]
        groups = [_meaning(column, v.dtype.kind) for column, v in zip(columns, values, strict=True)]
        found = zip(columns, find_relations(values, loose, groups), strict=True)
        self.relations_ = {
            column.name: [columns[k].name for k in others] for column, others in found if others
        }
        for name in self.relations_:
            codec: Any = self.codecs_[name]
            codes, alphas = codec.transform(data[name])
            self.mark_relations(codec, _numbers_of(data), codes, alphas)
            codec.fit(data[name], repeats=codes >= len(codec.n_levels_))

    def _is_loose(self, column: Column, series: pd.Series[Any]) -> NDArray[np.bool_]:
        """Tell where a value is neither missing nor an atom."""
        codec = self._codec(column)
        codes, _ = codec.transform(series)
        is_loose: NDArray[np.bool_] = codec.n_levels_[codes] != ATOM
        return is_loose

    def _lay_out(self) -> None:
        spans = []
        for column in self._modelled():
            codec, n_relations = self._codec(column), len(self.relations_.get(column.name, []))
            n_levels = np.append(codec.n_levels_, np.full(n_relations, ATOM)).astype(np.int32)
            position = np.append(codec.position_, np.full(n_relations, np.nan)).astype(np.float32)
            missing = len(codec.n_levels_) - 1 if codec.has_missing_ else -1
            spans.append(Span(column.name, n_levels, position, missing=missing))
        self.layout_ = Layout.of(spans)

    def transform(self, frame: pd.DataFrame) -> EncodedTable:
        """Encode a table that follows the schema.

        Raises
        ------
        DataError
            If it does not, or holds categories or missing values that the fitted table did not.
        """
        data = self._split(frame)
        codes = np.zeros((len(frame), len(self.layout_)), dtype=np.int32)
        alphas = np.zeros((len(frame), len(self.layout_)))
        for j, name in enumerate(self.layout_.columns):
            codec: Any = self.codecs_[name]
            code, alpha = codec.transform(data[name])
            self.mark_relations(codec, _numbers_of(data), code, alpha)
            codes[:, j], alphas[:, j] = code, alpha
        return EncodedTable(codes, alphas)

    def mark_relations(
        self,
        codec: Any,
        numbers: Callable[[Hashable, NDArray[np.int64]], tuple[NDArray[Any], NDArray[np.bool_]]],
        codes: NDArray[Any],
        alphas: NDArray[np.float64],
    ) -> None:
        """Overwrite the code of rows that repeat another column's value, in place.

        ``numbers(name, rows)`` returns plain numbers of a column, and where they are missing.
        """
        name, n_levels = codec.column.name, codec.n_levels_
        if name not in self.relations_:
            return
        rows = np.flatnonzero(n_levels[codes] != ATOM)
        own, _ = numbers(name, rows)
        for r, other in enumerate(self.relations_[name]):
            values, missing = numbers(other, rows)
            same = (values == own) & ~missing
            codes[rows[same]], alphas[rows[same]] = len(n_levels) + r, 0.0
            rows, own = rows[~same], own[~same]

    def inverse_transform(
        self,
        encoded: EncodedTable,
        seed: int = 0,
        conditions: Conditions = NO_CONDITIONS,
        first_row: int = 0,
    ) -> pd.DataFrame:
        """Decode to a table with exactly the columns and dtypes of the schema.

        Any codes and alphas have a decoding: codes are clipped into their span, alphas
        into [-1, 1], NaN counts as 0.

        Parameters
        ----------
        encoded : EncodedTable
        seed : int
            Source of the identifiers.
        conditions : Conditions, optional
            Met exactly if the codes are those that `Conditions.encode` permits.
        first_row : int
            Where in a longer table the rows stand, which numbers the identifiers.
        """
        n_rows = len(encoded)
        plain: dict[Hashable, tuple[NDArray[Any], NDArray[np.bool_]]] = {}
        decoded: dict[Hashable, Array] = {}
        drawn: dict[Hashable, Array] = {}  # categories, before those that were never seen are set
        for j, span in enumerate(self.layout_.spans):
            codec: Any = self.codecs_[span.column]
            codes = np.clip(encoded.codes[:, j], 0, span.n_codes - 1).astype(np.int64)
            alphas = np.clip(np.nan_to_num(encoded.alphas[:, j], nan=0.0), -1.0, 1.0)
            if isinstance(codec, NumericCodec):
                numbers = self._decode_numbers(codec, codes, alphas, plain)
                plain[span.column] = conditions.set_numbers(span.column, *numbers)
                decoded[span.column] = from_numbers(*plain[span.column], codec.column.dtype)
            else:
                drawn[span.column] = codec.inverse_transform(codes, alphas)
                decoded[span.column] = conditions.paste(span.column, drawn[span.column])
        for one in self.maps_:
            decoded |= self._look_up(one, drawn, plain, conditions)
        for column in self.schema:
            codec = self._codec(column)
            if isinstance(codec, ConstantCodec):
                decoded[column.name] = conditions.paste(column.name, codec.generate(n_rows))
            elif isinstance(codec, IdentifierCodec):
                decoded[column.name] = self._identifiers(codec, n_rows, seed, conditions, first_row)
        return table([decoded[name] for name in self.schema.names], self.schema.names, n_rows)

    def _look_up(
        self,
        one: Map,
        drawn: dict[Hashable, Array],
        plain: dict[Hashable, tuple[NDArray[Any], NDArray[np.bool_]]],
        conditions: Conditions,
    ) -> dict[Hashable, Array]:
        """Find the columns that a decoded one determines; a number between its values becomes the nearest."""
        key: Any = self.codecs_[one.key]
        found: dict[Hashable, Array] = {}
        if one.key in drawn:
            entry = one.find(*plain_numbers(key, pd.Series(drawn[one.key], dtype=key.column.dtype)))
        else:
            values, missing = plain[one.key]
            entry = one.find(values, missing)
            if len(one.plain):
                nearest = one.plain[np.minimum(entry, len(one.plain) - 1)]
                plain[one.key] = conditions.set_numbers(one.key, nearest, missing)
                found[one.key] = from_numbers(*plain[one.key], key.column.dtype)
        for name, values in one.effects.items():
            codec = self.codecs_[name]
            if isinstance(codec, NumericCodec):
                kept = conditions.set_numbers(name, values[entry], np.zeros(len(entry), dtype=bool))
                found[name] = from_numbers(*kept, codec.column.dtype)
            else:
                found[name] = conditions.paste(name, as_array(codec, values[entry]))
        return found

    def _identifiers(
        self, codec: IdentifierCodec, n_rows: int, seed: int, conditions: Conditions, first_row: int
    ) -> Array:
        """Make identifiers, or those that are to be filled in between others."""
        name = codec.column.name
        if name not in conditions.pasted:
            return codec.generate(n_rows, seed, first_row=first_row)
        rows, kept = conditions.pasted[name]
        fresh = codec.generate_beside(kept, n_rows - len(kept), seed)
        at = np.zeros(n_rows, dtype=np.intp)
        at[np.setdiff1d(np.arange(n_rows), rows)] = np.arange(len(fresh))
        return conditions.paste(name, fresh.take(at) if len(fresh) else kept.take(at))

    def _decode_numbers(
        self,
        codec: NumericCodec,
        codes: NDArray[np.int64],
        alphas: NDArray[np.float64],
        plain: dict[Hashable, tuple[NDArray[Any], NDArray[np.bool_]]],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Decode one column, taking values of earlier ones where the code says so.

        A row that repeats a missing value has no value to take: it gets the middle of the column.
        """
        n_own, relations = len(codec.n_levels_), self.relations_.get(codec.column.name, [])
        middle = int(np.nanargmin(np.abs(codec.position_ - 0.5))) if relations else 0
        values, missing = codec.decode(np.where(codes < n_own, codes, middle), alphas)
        for r, other in enumerate(relations):
            theirs, absent = plain[other]
            rows = np.flatnonzero((codes == n_own + r) & ~absent)
            values[rows] = codec.snap(theirs[rows])
        return values, missing

    def to_dict(self) -> dict[str, Any]:
        """Describe the fitted codec in JSON, columns by position."""
        names = self.schema.names
        return {
            "max_modes": self.max_modes,
            "modes": self.modes,
            "random_state": self.random_state,
            "columns": [self.codecs_[name].to_dict() for name in names],
            "relations": [[names.index(k) for k in self.relations_.get(name, [])] for name in names],
            "maps": [one.to_dict(names) for one in self.maps_],
        }

    @classmethod
    def from_dict(cls, schema: Schema, data: Any) -> TableCodec:
        """Read what `to_dict` wrote.

        Raises
        ------
        DataError
            If `data` does not describe a codec of this schema.
        """
        try:
            codec = cls(
                schema, max_modes=data["max_modes"], modes=data["modes"], random_state=data["random_state"]
            )
            check_parameters("TableCodec", vars(codec), _RULES)
            names = schema.names
            codec.codecs_ = {}
            for position, (column, part) in enumerate(zip(schema, data["columns"], strict=True)):
                codec.codecs_[column.name] = codec._read_codec(column, part, position)
            codec.relations_ = {
                names[j]: [names[k] for k in ks] for j, ks in enumerate(data["relations"]) if ks
            }
            codec.maps_ = [Map.from_dict(part, names, codec.codecs_) for part in data["maps"]]
            codec.determined = {name: one.key for one in codec.maps_ for name in one.effects}
            codec._lay_out()
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"The description of a table codec is malformed: {error}") from error
        return codec

    def _read_codec(self, column: Column, data: dict[str, Any], position: int) -> Codec | Generator:
        """Read the codec of one column."""
        if column.kind == "constant":
            return ConstantCodec.from_dict(column, data)
        if column.kind == "identifier":
            return IdentifierCodec.from_dict(column, data, position)
        if column.kind in _NUMERIC:
            return NumericCodec.from_dict(column, data, self.modes, self.random_state)
        return CategoricalCodec.from_dict(column, data)


def _context(codec: Codec, data: _Data) -> tuple[NDArray[np.integer[Any]], int]:
    """Return the codes of a column, in the smallest type that holds them: all columns are kept at once."""
    n_codes = len(codec.n_levels_)
    return codec.transform(data[codec.column.name])[0].astype(np.min_scalar_type(n_codes)), n_codes


def _numbers_of(
    data: _Data,
) -> Callable[[Hashable, NDArray[np.int64]], tuple[NDArray[Any], NDArray[np.bool_]]]:
    return lambda name, rows: to_numbers(data[name].iloc[rows])


def _meaning(column: Column, plain_kind: str) -> tuple[str, str]:
    """Say what equal plain numbers of two columns have to share to mean the same."""
    if column.kind == "numerical":
        return column.kind, plain_kind
    return column.kind, str(getattr(column.dtype, "pyarrow_dtype", column.dtype))
