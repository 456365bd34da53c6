"""How every command talks: messages, errors and exit codes, and the options that several of them have."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from synthgan.errors import SynthganError, listing, suggestion

__all__ = [
    "Commands",
    "Number",
    "as_json_option",
    "bars",
    "hint",
    "kind_option",
    "max_seconds_option",
    "printable",
    "quiet_option",
    "require_different",
    "rules_kept",
    "say",
    "seed_option",
    "wrong_usage",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise  # click ends quietly when the reader of a pipe has gone
            except SynthganError as error:
                raise click.ClickException(str(error)) from error
            except OSError as error:
                place = "" if error.filename is None else f": '{error.filename}'"
                raise click.ClickException(f"{error.strerror or error}{place}.") from error
            except KeyboardInterrupt:
                click.echo("Interrupted.", err=True)
                raise click.exceptions.Exit(130) from None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"Warning: {message}", err=True)


@contextmanager
def hint(word: str, usage: str) -> Iterator[None]:
    """Add to an error that speaks of Python, as `word` shows, how the same is said on the command line."""
    try:
        yield
    except SynthganError as error:
        if word not in str(error):
            raise
        raise click.ClickException(f"{error} On the command line: {usage}.") from error


@contextmanager
def wrong_usage(kind: type[SynthganError], option: str) -> Iterator[None]:
    """Turn an error of one kind into wrong usage of the option whose value it complains of."""
    try:
        yield
    except kind as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error


def say(text: str, quiet: bool) -> None:
    """Tell how the work goes; never on standard output, which is for data."""
    if not quiet:
        click.echo(text, err=True)


def require_different(read: Iterable[str | None], written: Iterable[str | None]) -> None:
    """Refuse to write over a file that is read, patterns included, or two things to one file.

    None and "-" are no files.
    """
    from synthgan.io import files_of

    sources = {Path(file).resolve() for path in read if path is not None for file in files_of(path)}
    for path in written:
        if path is None or path == "-":
            continue
        place = Path(path).resolve()
        if place in sources:
            raise click.UsageError(f"'{path}' is read or written already. Give another file to write to.")
        sources.add(place)


def rules_kept(rules: Iterable[object], rows: str) -> list[str]:
    """List, in lines of a message, the rules that some rows keep; nothing if there are none."""
    lines = [f"    {rule}" for rule in rules]
    return [f"  {rows} keeps", *lines] if lines else []


def printable(line: str) -> str:
    """Leave out what a name could tell a terminal to do."""
    return "".join(c if c.isprintable() else "?" for c in line)


def bars(quiet: bool) -> bool:
    """Tell whether to show progress bars: to a person only."""
    return not quiet and sys.stderr.isatty()


class Number(click.FloatRange):
    """A range of floats; nan lies in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


def _kinds(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    """Read ``column=kind`` pairs; the column may itself hold an equals sign."""
    if not values:
        return None
    from synthgan.schema import KINDS

    pairs = [value.rpartition("=") for value in values]
    for value, (column, equals, kind) in zip(values, pairs, strict=True):
        if not (column and equals and kind):
            raise click.BadParameter(f"must look like column=kind. Got {value!r}.")
        if kind not in KINDS:
            raise click.BadParameter(
                f"the kind must be one of {listing(KINDS, 7)}. Got {kind!r}.{suggestion(kind, KINDS)}"
            )
    kinds = {column: kind for column, _, kind in pairs}
    if len(kinds) < len(values):
        raise click.BadParameter("a column has one kind. Name each column once.")
    return kinds


quiet_option = click.option("-q", "--quiet", is_flag=True, help="No messages and no progress bars.")
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable result on standard output."
)
kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar="COLUMN=KIND",
    help="Treat a column as numerical, categorical, boolean, datetime, timedelta, identifier or constant. "
    "Repeat for more columns.",
)
max_seconds_option = click.option(
    "--max-seconds", type=Number(min=0, min_open=True), help="Time budget of the training."
)


def seed_option(help_text: str, default: int | None = None) -> Callable[[Command], Command]:
    """Declare ``--seed``, which means something else to each command."""
    return click.option(
        "--seed", type=click.IntRange(0), default=default, show_default=default is not None, help=help_text
    )
