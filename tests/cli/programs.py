"""The programs, each in a process of its own: their flags may not meet in one."""

import subprocess
import sys


def command(program: str, *arguments) -> list[str]:
    """Returns the command line of ``tfac-PROGRAM``."""
    return [sys.executable, "-m", f"tfac.cli.{program}", *map(str, arguments)]


def run(program: str, *arguments, **options) -> subprocess.CompletedProcess:
    """Runs ``tfac-PROGRAM`` to its end; `options` are those of `subprocess.run`."""
    return subprocess.run(command(program, *arguments), capture_output=True, text=True, **options)
