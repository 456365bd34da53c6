"""Commands run inside this process, and as one of their own."""

import inspect
import subprocess
import sys

from click.testing import CliRunner

from synthgan.cli import main

# Since click 8.2 the two outputs are kept apart anyway.
SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def run(*arguments, code=0, **options):
    result = CliRunner(**SEPARATE).invoke(main, list(arguments), **options)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "synthgan", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
