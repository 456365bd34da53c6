"""Conditions as text: ``income=>50K``, ``age=30..40``, ``sex=Female,Male``, ``note=`` for missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from synthgan.errors import ParameterError
from synthgan.transforms.known import known_column
from synthgan.transforms.numeric import NumericCodec

if TYPE_CHECKING:
    from synthgan.transforms.table import TableCodec

__all__ = ["parse_where"]


def parse_where(texts: Iterable[str], codec: TableCodec) -> dict[Any, Any]:
    """Read conditions such as a command line holds, by the kinds of the columns.

    Parameters
    ----------
    texts : iterable of str
        Each ``column=value``. A value of a column of numbers or times may be a range
        ``low..high``, either end left out; commas separate several values; nothing stands
        for the missing value.
    codec : TableCodec

    Returns
    -------
    dict
        What `sample` takes as conditions.

    Raises
    ------
    ParameterError
        If a text has another form, or two of them name the same column.
    ConditionError
        If a text names no column of the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from synthgan.schema import Schema
    >>> from synthgan.transforms import TableCodec
    >>> frame = pd.DataFrame({"age": [20, 30, 50], "sex": ["F", "M", "M"]})
    >>> parse_where(["age=25..", "sex=F,M"], TableCodec(Schema.infer(frame)).fit(frame))
    {'age': (25, None), 'sex': ['F', 'M']}
    """
    conditions: dict[Any, Any] = {}
    for text in texts:
        names = [name for name in codec.schema.names if text.startswith(f"{name}=")]
        name = max(names, key=lambda name: len(str(name))) if names else text.partition("=")[0]
        if "=" not in text:
            raise ParameterError(
                f"A condition must look like column=value or column=low..high. Got {text!r}."
            )
        column = known_column(name, codec)
        if name in conditions:
            raise ParameterError(
                f"Column {name!r} has two conditions. Give several values as {name}=a,b and a range as "
                f"{name}=low..high."
            )
        own, value = codec.codecs_[name], text[len(str(name)) + 1 :]
        if isinstance(own, NumericCodec):
            conditions[name] = _number_or_range(value, is_time=column.kind != "numerical")
        else:
            conditions[name] = _one_or_several(value, _levels_by_text(own))
    return conditions


def _number_or_range(text: str, is_time: bool) -> Any:
    """Read a range, several numbers, or one; what is no number stays text, to be refused by name."""

    def number(part: str) -> Any:
        part = part.strip()
        if not part:
            return None
        for read in () if is_time else (int, float):
            with contextlib.suppress(ValueError):
                return read(part)
        return part

    low, is_range, high = text.partition("..")
    if is_range:
        return number(low), number(high)
    found = [number(part) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def _one_or_several(text: str, levels: dict[str, Any]) -> Any:
    """Read a category, which may itself hold a comma, or several."""
    if text in levels:
        return levels[text]
    found = [levels.get(part, part or None) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def _levels_by_text(codec: Any) -> dict[str, Any]:
    """Find the categories of a column by what they look like; truth values also in lower case."""
    levels = list(getattr(codec, "levels_", getattr(codec, "value_", ())))
    return {str(level).lower(): level for level in levels if str(level) in ("True", "False")} | {
        str(level): level for level in levels
    }
