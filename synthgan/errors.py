"""The exceptions that synthgan raises on purpose.

::

    SynthganError
    ├── DataError (ValueError)               a table cannot be read, modelled or compared
    ├── ParameterError (ValueError)          a parameter is out of its range
    ├── ConditionError (ValueError)          a condition cannot be met
    ├── ModelFileError (ValueError)          a file is no model that this version reads
    └── TrainingDivergedError (RuntimeError) a loss or a gradient stopped being finite

Each class doubles a built-in, so that ``except ValueError`` keeps working. An
estimator that is used before ``fit`` raises scikit-learn's ``NotFittedError``.
Messages say what must hold, what was found and what to do; they name columns
and counts, never the contents of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ConditionError",
    "DataError",
    "ModelFileError",
    "ParameterError",
    "SynthganError",
    "TrainingDivergedError",
    "listing",
    "quantity",
    "suggestion",
]


class SynthganError(Exception):
    """Base class of every error that synthgan raises on purpose."""


class DataError(SynthganError, ValueError):
    """A table cannot be read, modelled or compared as it is."""


class ParameterError(SynthganError, ValueError):
    """A parameter lies outside the values that it can take."""


class ConditionError(SynthganError, ValueError):
    """A condition cannot be met by any row."""


class ModelFileError(SynthganError, ValueError):
    """A file is not a model file that this version can read."""


class TrainingDivergedError(SynthganError, RuntimeError):
    """Training produced values that are not finite."""


def listing(names: Iterable[object], limit: int = 5) -> str:
    """Quote up to `limit` names for a message.

    >>> listing(["age", "sex"])
    "'age', 'sex'"
    >>> listing(range(7))
    '0, 1, 2, 3, 4, ... (7 in all)'
    """
    quoted = [repr(name) for name in names]
    if len(quoted) <= limit:
        return ", ".join(quoted)
    return ", ".join(quoted[:limit]) + f", ... ({len(quoted)} in all)"


def quantity(n: int, noun: str, plural: str = "") -> str:
    """Say how many there are of something; `plural` where it takes more than an s.

    >>> quantity(1, "row"), quantity(2000, "row"), quantity(0, "class", "classes")
    ('1 row', '2,000 rows', '0 classes')
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def suggestion(name: object, known: Iterable[object]) -> str:
    """Say which known name comes nearest to a wrong one, or nothing.

    >>> suggestion("incom", ["age", "income"])
    " Did you mean 'income'?"
    >>> suggestion("x", ["age"])
    ''
    """
    by_text = {str(k).lower(): k for k in known}
    near = get_close_matches(str(name).lower(), by_text, n=1, cutoff=0.6)
    return f" Did you mean {by_text[near[0]]!r}?" if near else ""
