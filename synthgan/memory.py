"""How much memory a fit will need above its table, and how much there is: said before it is too late.

The kernel ends a process that takes more than there is without a word, an hour into a training. So the
need is estimated from the sizes of what is about to be built, when the columns are known and before the
training starts.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from synthgan.errors import DataError, quantity
from synthgan.layout import ATOM, CONTINUOUS, Layout

__all__ = ["available_bytes", "check_memory", "estimate_bytes"]

WARN_SHARE = 0.8  # of what is available: the estimate may be a fifth too low
REFUSE_SHARE = 1.5  # even if it is a third too high, the fit cannot end well

_UNLIMITED = 2**60  # a control group without limit says "max", or a number near 2^63

# What a fit holds, by its reasons
_BASE = 240_000_000  # code that is loaded on first use, work space of the linear algebra
_CELL = 17  # int32 code and float64 alpha; as tensors int32 offset and, in part of the columns, int16 cell
_ROW = 140  # place in the order of the rows; 32 latent float32
_COPIES = 12  # weights, gradients, 2 moments, average, best and swapped ones; a snapshot of 5 of these
_LOGITS = 5  # times that logits stand side by side: products, biases, softmax, gradients
_DRAWN_ROWS, _DRAWN_CELL = 16_384, 40  # rows that are drawn to calibrate; uniform numbers, codes, cells
_CONTINUOUS_CELLS = 16


def estimate_bytes(n_rows: int, layout: Layout, n_parameters: int, batch_size: int) -> int:
    """Estimate how many bytes a fit needs above its table and what the program had before.

    Peaks of `TabularGAN` with its default sizes, in MB, measured by ``benchmarks/memory.py``:

    ===================================  ========  =========
    table                                measured  estimated
    ===================================  ========  =========
    Adult, 32,561 x 15                        341        333
    Adult resampled, 1,000,000 x 15           694        699
    100,000 x 500, 40 M parameters          3,447      3,402
    ===================================  ========  =========

    Parameters
    ----------
    n_rows : int >= 1
    layout : Layout
    n_parameters : int >= 0
        Of all networks together.
    batch_size : int >= 1
        Rows of the largest batch.

    Returns
    -------
    int
        Right within about 30 % where it was compared.

    Examples
    --------
    >>> estimate_bytes(10**6, Layout(), 0, 1) - estimate_bytes(0, Layout(), 0, 1)
    140000000
    """
    return sum(_parts(n_rows, layout, n_parameters, batch_size).values())


def _parts(n_rows: int, layout: Layout, n_parameters: int, batch_size: int) -> dict[str, int]:
    """Estimate the bytes that go to each reason."""
    logits = 4 * _LOGITS * batch_size * (layout.width + _n_cell_logits(layout))
    return {
        "base": _BASE,
        "rows": n_rows * (_CELL * len(layout) + _ROW),
        "networks": 4 * _COPIES * n_parameters,
        "batch": max(logits, _DRAWN_ROWS * _DRAWN_CELL * len(layout)),  # one after the other
    }


def _n_cell_logits(layout: Layout) -> int:
    """Count the cells of alpha that are told apart in a row: as many in each column as in the finest one."""
    most = [_CONTINUOUS_CELLS if (k == CONTINUOUS).any() else 0 for k in (s.n_levels for s in layout.spans)]
    members = [int(span.n_levels.max(initial=ATOM)) for span in layout.spans]
    fine = [max(pair) for pair in zip(most, members, strict=True) if max(pair) > ATOM]
    return len(fine) * max(fine, default=0)


def check_memory(n_rows: int, layout: Layout, n_parameters: int, batch_size: int) -> None:
    """Warn where a fit takes most of the memory there is, refuse where it cannot end well.

    Parameters
    ----------
    n_rows, layout, n_parameters, batch_size
        See `estimate_bytes`.

    Raises
    ------
    DataError
        If the estimate is more than 1.5 times what is available.

    Warns
    -----
    UserWarning
        If it is more than 0.8 times that.
    """
    available = available_bytes()
    parts = _parts(n_rows, layout, n_parameters, batch_size)
    needed = sum(parts.values())
    if available is None or needed <= WARN_SHARE * available:
        return
    message = (
        f"Fitting {quantity(n_rows, 'row')} of {quantity(len(layout), 'column')} needs about "
        f"{_gigabytes(needed)} of memory, and "
        f"{_gigabytes(available)} are available. {_advice(parts, n_rows, layout, available)}"
    )
    if needed > REFUSE_SHARE * available:
        raise DataError(message)
    warnings.warn(message, stacklevel=5)  # the line that called fit


def _gigabytes(n_bytes: int) -> str:
    """Write a number of bytes; decimal units, as the measurements do.

    >>> _gigabytes(1_234_000_000), _gigabytes(90_000_000)
    ('1.2 GB', '0.09 GB')
    """
    return f"{n_bytes / 1e9:.2g} GB" if n_bytes < 1e10 else f"{n_bytes / 1e9:,.0f} GB"


def _advice(parts: dict[str, int], n_rows: int, layout: Layout, available: int) -> str:
    """Say what would take less, the largest part first."""
    total = sum(parts.values())
    spare = WARN_SHARE * available - (total - parts["rows"])
    n_fitting = int(spare * n_rows / max(parts["rows"], 1))
    advice = {
        "rows": f"Take a sample of {_rounded(n_fitting):,} rows."
        if n_fitting >= 1000
        else "Take fewer rows.",
        "networks": "Take smaller networks (hidden_dim) or fewer modes (max_modes).",
        "batch": "Take a smaller batch_size.",
    }
    parts = {part: size for part, size in parts.items() if part in advice}
    large = [part for part in parts if parts[part] > 0.1 * total] or [max(parts, key=parts.__getitem__)]
    sentences = [advice[part] for part in sorted(large, key=parts.__getitem__, reverse=True)]
    return " ".join(sentences + ([] if large == ["rows"] else _about_widest(layout)))


def _about_widest(layout: Layout) -> list[str]:
    """Name the column that most codes belong to, if it has a good part of all."""
    span = max(layout.spans, key=lambda span: span.n_codes, default=None)
    if span is None or span.n_codes < max(layout.width / 10, 200):
        return []
    return [
        f"Column {span.column!r} has {span.n_codes:,} of {layout.width:,} codes: merge its rare values, "
        f'drop it, or declare it an identifier, kinds={{{span.column!r}: "identifier"}}.'
    ]


def _rounded(n: int) -> int:
    """Round down to two digits.

    >>> _rounded(123_456)
    120000
    """
    unit: int = 10 ** max(len(str(n)) - 2, 0)
    return n // unit * unit


def available_bytes(root: str | Path = "/") -> int | None:
    """Say how many bytes this process can still take; None if the system does not tell.

    The least of what the machine has left (MemAvailable of ``/proc/meminfo``, or free pages) and what
    the control groups of the process leave it (``memory.max`` in version 2, ``memory.limit_in_bytes`` in
    version 1), of which page cache that can be dropped does not count as taken.

    Parameters
    ----------
    root : str or Path
        Where ``proc`` and ``sys`` lie.
    """
    root = Path(root)
    found = [left for left in (_machine(root), *_groups(root)) if left is not None]
    return max(min(found), 0) if found else None


def _machine(root: Path) -> int | None:
    """Return what the machine has left."""
    line = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if line:
        return int(line[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _groups(root: Path) -> Iterator[int | None]:
    """Return what each control group of the process, and those above it, have left."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = (
                "sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        top = root / names[0]
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(
                top
            ):  # in a container the path may lead nowhere, and the top be the group
                yield _left(folder, *names[1:])


def _left(folder: Path, limit: str, used: str, cache: str) -> int | None:
    """Return what one control group has left, None if it has no limit."""
    most, taken = _text(folder / limit).strip(), _text(folder / used).strip()
    if not (most.isdigit() and taken.isdigit()) or int(most) > _UNLIMITED:
        return None
    droppable = re.search(rf"^{cache} (\d+)", _text(folder / "memory.stat"), re.MULTILINE)
    return int(most) - int(taken) + (int(droppable[1]) if droppable else 0)


def _text(path: Path) -> str:
    """Read a file, "" if there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
