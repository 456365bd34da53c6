"""The command line: thin commands around the library.

Data goes to standard output or a file, everything else to standard error, progress bars
only to a terminal. Exit codes: 0 done, 1 failure (``Error: ...``), 2 usage, 3 a
``--fail-if`` gate was met, 130 interrupted, 143 terminated. Files appear complete or not at all.

`make` has the commands that make models and tables, `judge` those that look at them, `demo` does both;
`console` is how all of them talk.
"""

from __future__ import annotations

import os

import click

from synthgan import __version__
from synthgan.cli import demo, judge, make
from synthgan.cli.console import Commands

__all__ = ["main"]

# Idle threads of torch's pool spin; beside any other load on the machine that has been measured to slow a
# training step down 15-fold. Read when the pool starts, so it must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="synthgan")
def main() -> None:
    """Learn a table, make synthetic rows from it, and measure how good they are.

    \b
    synthgan demo
    synthgan fit real.csv -o model.synthgan
    synthgan sample model.synthgan -n 1000 -o synthetic.csv
    synthgan evaluate --real real.csv --synthetic synthetic.csv --html report.html
    """


for command in (make.fit, make.sample, make.impute, make.augment, judge.evaluate, judge.inspect, demo.demo):
    main.add_command(command)
