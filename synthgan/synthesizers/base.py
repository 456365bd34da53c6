"""What every synthesizer shares: the way from a frame to codes and back.

``fit`` reads the table, infers its schema, encodes it and hands codes to the
subclass; ``sample`` takes codes from the subclass and decodes them, ``impute`` likewise.
A subclass says only how codes are learned (`_learn`) and drawn (`_draw`), under conditions if there are
any, and how its learned state is written down (`_state`, `_restore`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from synthgan.constraints import Constraint
from synthgan.constraints.keep import Draw, Keeper, bind, determined
from synthgan.errors import ConditionError, ParameterError, quantity
from synthgan.io import read_table
from synthgan.layout import EncodedConditions, EncodedTable, Layout
from synthgan.params import Choice, Instance, Interval, Rule, check_parameter, check_parameters
from synthgan.schema import Schema, joined
from synthgan.seeding import RandomState, draw_seed, stream
from synthgan.synthesizers.arrays import array_to_frame, is_array
from synthgan.transforms import TableCodec
from synthgan.transforms.conditions import NO_CONDITIONS, Conditions
from synthgan.transforms.determined import settle
from synthgan.transforms.given import gaps, given_cells
from synthgan.transforms.observed import Observed, observed
from synthgan.transforms.rules import rules

__all__ = ["BLOCK_ROWS", "CONSTRAINTS_RULE", "BaseSynthesizer", "DrawBlock", "State", "drawn_in_blocks"]

BLOCK_ROWS = 2048
"""Rows are drawn in blocks of this size, each from a random stream of its own. A block
is always drawn whole, so that the first k rows of ``sample(n)`` equal ``sample(k)``."""

_BATCH_CELLS = 2**21  # about 0.1 to 0.3 GB while codes become values

State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Learned state as JSON-able facts and named arrays."""

DrawBlock = Callable[[int, np.random.Generator, EncodedConditions | None], EncodedTable]
"""Draws so many rows, under conditions if there are any."""

CONSTRAINTS_RULE: Rule = (Choice(("auto", None)), Instance((list, tuple), "a list of constraints"))
"""What the parameter `constraints` of a synthesizer may be."""


class BaseSynthesizer(BaseEstimator):  # type: ignore[misc]
    """Base of the synthesizers; see `TabularGAN` and `IndependentSynthesizer`."""

    _parameter_rules: ClassVar[dict[str, Rule]] = {}
    _codec_parameters: ClassVar[tuple[str, ...]] = ()  # constructor parameters that TableCodec takes
    _codec_options: ClassVar[dict[str, Any]] = {}  # and what the class fixes
    _n_cells: ClassVar[int]  # equal cells of alpha that the model tells apart

    kinds: Any
    constraints: Any
    random_state: RandomState
    constraints_: list[Constraint]

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Learn the table.

        Parameters
        ----------
        X : DataFrame, array, Arrow table or stream, or path(s) of CSV or Parquet files
            The real table, shape (n_rows, n_columns); left as it is. The columns of an array are
            numbered from 0.
        y : ignored
            Present for scikit-learn. A target is a column of `X` like any other.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the table is empty, holds values that cannot be modelled, or breaks a constraint.
        ParameterError
            If a constructor parameter is out of its range.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False), self._parameter_rules)
        return self._fit(X, draw_seed(self.random_state), self._learn)

    def _fit(self, X: Any, seed: int, learn: Callable[[EncodedTable, Layout, int], None]) -> Self:
        """Read and encode the table, and let ``learn(encoded, layout, seed)`` do the rest."""
        frame = array_to_frame(X, self) if is_array(X) else read_table(X)
        schema = Schema.infer(frame, kinds=self.kinds)
        constraints = bind(self.constraints, frame, schema)
        options = {name: getattr(self, name) for name in self._codec_parameters} | self._codec_options
        options["determined"] = determined(constraints, frame, schema)
        codec = TableCodec(schema, random_state=seed, **options).fit(frame)
        learn(codec.transform(frame), codec.layout_, seed)
        self.schema_ = schema
        self.constraints_ = constraints
        self.codec_ = codec
        self.seed_ = seed
        self.n_rows_ = len(frame)
        return self

    def sample(
        self,
        n_samples: int | None = None,
        *,
        conditions: Mapping[Any, Any] | pd.DataFrame | None = None,
        random_state: RandomState = None,
    ) -> pd.DataFrame:
        """Draw synthetic rows.

        Parameters
        ----------
        n_samples : int >= 0, optional
            Number of rows; 0 gives an empty frame with all columns and dtypes. By default 1, or
            one for each row of a frame of conditions.
        conditions : dict or DataFrame, optional
            What every row must meet, exactly. A dict maps columns to a value, to a list of values,
            to a range ``(low, high)`` of a numerical, datetime or timedelta column, both ends
            included and either end None, or to None (also NaN, NaT) for the missing value. A
            DataFrame gives cells of some columns, one row for each row out, in order; a missing
            cell in it is given as missing. See `impute` for gaps.
        random_state : int, numpy generator or None
            The same int gives the same rows, and the first k rows of ``sample(n)``
            equal ``sample(k)``.

        Returns
        -------
        DataFrame of shape (n_samples, n_columns)
            Columns, dtypes and categories of the fitted table, a fresh RangeIndex.

        Raises
        ------
        ConditionError
            If no row can meet the conditions: an unknown column or category, a number outside the
            learned range, an empty range, values of another type. Or if a rule in `constraints_` cannot
            be kept: the conditions break it, or rows that keep it were not drawn in so many tries.
        ParameterError
            If `n_samples` is not an int >= 0, or not the number of rows of `conditions`.
        sklearn.exceptions.NotFittedError
            If the model has not been fitted.
        """
        check_is_fitted(self)
        return self._sample(n_samples, conditions, random_state, self._draw)

    def _sample(
        self,
        n_samples: int | None,
        conditions: Mapping[Any, Any] | pd.DataFrame | None,
        random_state: RandomState,
        draw: Draw,
    ) -> pd.DataFrame:
        """Check the arguments, draw codes by ``draw(n_samples, seed, conditions)``, decode them."""
        read = self._read_conditions(conditions)
        n_samples = self._count_rows(n_samples, read)
        seed = draw_seed(random_state)
        return self._rows(n_samples, seed, read, draw)

    def _rows(self, n_samples: int, seed: int, conditions: Conditions, draw: Draw) -> pd.DataFrame:
        """Draw rows that keep the constraints and the conditions."""
        if n_samples == 0:
            return self.schema_.empty()
        conditions = self._chosen(conditions, seed, draw)
        keeper = Keeper.of(self.constraints_, conditions, self.codec_)
        if keeper.spans_rows:
            return keeper.draw(range(n_samples), seed, draw, BLOCK_ROWS)
        return joined(list(self._batches(keeper, range(n_samples), seed, draw)))

    def _batches(self, keeper: Keeper, rows: range, seed: int, draw: Draw) -> Iterator[pd.DataFrame]:
        """Draw rows batch by batch; the first one begins with a batch."""
        for start in rows[:: self.batch_rows_]:
            yield keeper.draw(range(start, min(start + self.batch_rows_, rows.stop)), seed, draw, BLOCK_ROWS)

    @property
    def batch_rows_(self) -> int:
        """Rows of a batch of `sample_batches`, 2,048 to 65,536: fewer, the more columns the table has."""
        n_blocks = _BATCH_CELLS // (BLOCK_ROWS * len(self.schema_))
        return BLOCK_ROWS << min(max(n_blocks, 1), 32).bit_length() - 1

    def sample_batches(
        self,
        n_samples: int,
        *,
        first_row: int = 0,
        conditions: Mapping[Any, Any] | None = None,
        random_state: RandomState = None,
    ) -> Iterator[pd.DataFrame]:
        """Draw synthetic rows batch by batch, for tables that are larger than the memory.

        One below the other, the batches are ``sample(n_samples, random_state=...)`` without the rows
        before `first_row`. Any batch can be drawn by itself, also by another process: it depends on the
        seed and on where it begins.

        Parameters
        ----------
        n_samples : int >= 0
            Number of rows of the whole sample.
        first_row : int, default 0
            Where to begin: a multiple of `batch_rows_`, at most `n_samples`.
        conditions : dict, optional
            What every row must meet, as in `sample`.
        random_state : int, numpy generator or None
            As in `sample`.

        Yields
        ------
        DataFrame of `batch_rows_` rows, the last one of fewer
            As `sample` returns them; a single empty one if there are no rows to draw.

        Raises
        ------
        ConditionError
            As in `sample`. Or if one of the rules is `Unique`, which holds among all rows of a sample.
        ParameterError
            If `n_samples` or `first_row` is out of its range.

        Examples
        --------
        >>> for rows in model.sample_batches(10**9, random_state=0):    # doctest: +SKIP
        ...     load_into_database(rows)
        """
        check_is_fitted(self)
        owner = type(self).__name__
        check_parameters(owner, self.get_params(deep=False), self._parameter_rules)
        check_parameter(f"{owner}.sample_batches", "n_samples", n_samples, (Interval(int, 0),))
        check_parameter(f"{owner}.sample_batches", "first_row", first_row, (Interval(int, 0, n_samples),))
        if first_row % self.batch_rows_:
            raise ParameterError(f"first_row must be a multiple of {self.batch_rows_:,}. Got {first_row:,}.")
        if isinstance(conditions, pd.DataFrame):
            raise ParameterError(
                "conditions must be a dict. Got a DataFrame, which sample completes at once."
            )
        seed = draw_seed(random_state)
        settled = self._chosen(self._read_conditions(conditions), seed, self._draw)
        keeper = Keeper.of(self.constraints_, settled, self.codec_)
        if keeper.spans_rows:
            raise ConditionError(
                "Rows cannot be drawn batch by batch where a rule holds among all rows of a sample, as "
                "Unique does. Call sample, or fit without the rule."
            )
        if first_row == n_samples:
            return iter([self.schema_.empty()])
        return self._batches(keeper, range(first_row, int(n_samples)), seed, self._draw)

    def sample_to(
        self,
        path: str | Path,
        n_samples: int,
        *,
        conditions: Mapping[Any, Any] | None = None,
        random_state: RandomState = None,
        part_rows: int | None = None,
        progress: bool = False,
    ) -> None:
        """Write synthetic rows to a file or a folder; the memory needed does not grow with their number.

        A folder gets the Parquet files ``part-00000.parquet``, ``part-00001.parquet``, ..., each written in
        one step, and ``_synthgan.json``, which says what they are parts of. A run that was stopped goes on
        when it is started again, and ends in the same files: complete parts stay as they are. More rows
        can be added in the same way.

        Parameters
        ----------
        path : str or Path
            A file that ends in .csv, .csv.gz, .parquet, .feather or .arrow, ``"-"`` for CSV on standard
            output, or a folder: one that exists, or a name without extension.
        n_samples : int >= 0
            Number of rows, which are those of ``sample(n_samples, random_state=...)``.
        conditions : dict, optional
            What every row must meet, as in `sample`.
        random_state : int, numpy generator or None
            As in `sample`. None goes on with the seed that is written in the folder, if there is one.
        part_rows : int, optional
            Rows of a part, a multiple of `batch_rows_`; by default 1,048,576. Of no use for a file.
        progress : bool, default False
            Whether to show a bar on standard error.

        Raises
        ------
        ConditionError
            As in `sample`. With a `Unique` rule among all rows of a folder: a file is then drawn in memory.
        DataError
            If the folder holds something else, or parts of another model, seed or conditions.
        ParameterError
            If a parameter is out of its range, or a folder is asked of a model with a `Predicate`, which
            cannot be written down.
        """
        from synthgan.synthesizers.parts import write_sample

        check_is_fitted(self)
        write_sample(self, path, n_samples, conditions, random_state, part_rows, progress)

    def _chosen(self, conditions: Conditions, seed: int, draw: Draw) -> Conditions:
        """Pass conditions on determined columns on; draw what determines them where several values fit."""
        conditions, choices = settle(conditions, self.codec_)
        for k, choice in enumerate(choices):
            part = choice.among(conditions)
            new_seed = int(stream(seed, "choice", k).integers(2**62))
            table = draw(len(choice.rows), new_seed, part.encode(self.codec_))
            drawn = self.codec_.inverse_transform(table, new_seed, part)
            conditions = choice.put(conditions, self.codec_, drawn)
        return conditions

    def _read_conditions(self, conditions: Mapping[Any, Any] | pd.DataFrame | None) -> Conditions:
        """Read what `sample` was given."""
        rule = (Choice((None,)), Instance((Mapping, pd.DataFrame), "a dict or a DataFrame"))
        check_parameter(type(self).__name__ + ".sample", "conditions", conditions, rule)
        if conditions is None:
            return NO_CONDITIONS
        if isinstance(conditions, pd.DataFrame):
            return given_cells(conditions, self.codec_)
        return rules(conditions, self.codec_)

    def _count_rows(self, n_samples: int | None, conditions: Conditions) -> int:
        """Say how many rows to draw."""
        if n_samples is None:
            return 1 if conditions.n_rows is None else conditions.n_rows
        check_parameter(type(self).__name__ + ".sample", "n_samples", n_samples, (Interval(int, 0),))
        if conditions.n_rows is not None and conditions.n_rows != n_samples:
            raise ParameterError(
                "n_samples must be the number of rows of conditions, one row out for each row in. Got "
                f"n_samples={n_samples} and conditions with {quantity(conditions.n_rows, 'row')}. "
                "Leave n_samples out."
            )
        return int(n_samples)

    def impute(
        self, X: pd.DataFrame, *, random_state: RandomState = None, n_draws: int | None = None
    ) -> pd.DataFrame | list[pd.DataFrame]:
        """Fill the gaps of a table: draw every missing cell given the other cells of its row.

        Parameters
        ----------
        X : DataFrame with the columns of the fitted table, in any order
            Every missing cell is a gap. All other cells are kept as they are, also numbers and
            categories that the model has not seen: the nearest number that it knows stands for the
            one, the other tells it nothing.
        random_state : int, numpy generator or None
            The same int gives the same rows.
        n_draws : int >= 1, optional
            Draw so many times, independently (multiple imputation).

        Returns
        -------
        DataFrame, or a list of `n_draws` of them
            Rows and index of `X`; columns and dtypes of the fitted table. No cell is missing but in
            columns of which the model has never seen a value. Rules in `constraints_` are kept where the
            cells of `X` leave room for it.

        Raises
        ------
        ConditionError
            If a column holds values of another type than the fitted one.
        DataError
            If a column is missing or unknown.
        ParameterError
            If `n_draws` is not an int >= 1.
        """
        check_is_fitted(self)
        rule = (Choice((None,)), Interval(int, 1))
        check_parameter(type(self).__name__ + ".impute", "n_draws", n_draws, rule)
        self.schema_.check_names(X)
        seed = draw_seed(random_state)
        conditions = gaps(X, self.codec_)
        seeds = [seed, *(int(stream(seed, "impute", k).integers(2**62)) for k in range(1, n_draws or 1))]
        filled = [self._rows(len(X), seed, conditions, self._draw).set_axis(X.index) for seed in seeds]
        return filled[0] if n_draws is None else filled

    def _observed(self, X: Any) -> Observed:
        """Encode rows that the model may not have seen."""
        frame = array_to_frame(X, self, self.schema_.names) if is_array(X) else read_table(X)
        return observed(frame, self.codec_, self._n_cells)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file without pickle; see `synthgan.load`.

        Parameters
        ----------
        path : str or Path
            Conventionally ending in ``.synthgan``. Replaced in one step: a failure leaves
            what was there before.
        """
        from synthgan.synthesizers.archive import save_model

        check_is_fitted(self)
        save_model(self, path)

    @property
    def n_features_in_(self) -> int:
        """Number of columns seen by ``fit``."""
        return len(self.schema_.columns)

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Names of the columns seen by ``fit``, shape (n_columns,); only if all are text."""
        names = self.schema_.names
        if not all(isinstance(name, str) for name in names):
            raise AttributeError("feature_names_in_ exists only if all names of columns are text.")
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "codec_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    @abstractmethod
    def _learn(self, encoded: EncodedTable, layout: Layout, seed: int) -> None:
        """Learn from codes; sets ``name_`` attributes, and those only when all went well."""

    @abstractmethod
    def _draw(self, rows: Any, seed: int, conditions: EncodedConditions | None) -> EncodedTable:
        """Draw encoded rows that meet the conditions by `drawn_in_blocks`, which says what `rows` may be."""

    @abstractmethod
    def _state(self) -> State:
        """Return what `_learn` has set."""

    @abstractmethod
    def _restore(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Set what `_state` returned; `schema_` and `codec_` stand already.

        Raises `ModelFileError` when something is missing or of the wrong shape.
        """


def drawn_in_blocks(
    draw: DrawBlock,
    rows: int | range,
    seed: int,
    conditions: EncodedConditions | None = None,
    each: Callable[[Callable[[int], EncodedTable], Iterable[int]], Iterable[EncodedTable]] = map,
) -> EncodedTable:
    """Call ``draw(n_rows, rng, conditions)`` for each block of rows and join what it returns.

    Parameters
    ----------
    draw : DrawBlock
    rows : int >= 1 or range
        How many rows are wanted, or which: not none, from the first one of a block on. The last
        block is drawn whole and cut.
    seed : int
        Block i uses the stream ``(seed, "sample", i)``.
    conditions : EncodedConditions, optional
        Those that differ from row to row are cut into blocks, and the last one is filled up.
    each : callable, default map
        Calls a function for each item, in any order, and gives the results in the order of the items.
    """
    rows = rows if isinstance(rows, range) else range(rows)

    def draw_block(start: int) -> EncodedTable:
        part = None if conditions is None else conditions.rows(np.arange(start, start + BLOCK_ROWS))
        return draw(BLOCK_ROWS, stream(seed, "sample", start // BLOCK_ROWS), part)

    blocks = list(each(draw_block, rows[::BLOCK_ROWS]))
    return EncodedTable(
        np.concatenate([block.codes for block in blocks])[: len(rows)],
        np.concatenate([block.alphas for block in blocks])[: len(rows)],
    )
