"""The programs, each in a process of its own: their flags may not meet in one."""

import subprocess
import sys

from tests.forks import Fork


def command(program: str, *arguments) -> list[str]:
    """Returns the command line of ``tfac-PROGRAM``."""
    return [sys.executable, "-m", f"tfac.cli.{program}", *map(str, arguments)]


def start(program: str, *arguments, **options) -> Fork:
    """Starts ``tfac-PROGRAM``; `options` are those of `Fork`."""
    return Fork(f"tfac.cli.{program}", arguments, **options)


def run(program: str, *arguments, **options) -> subprocess.CompletedProcess:
    """Runs ``tfac-PROGRAM`` to its end."""
    return start(program, *arguments, **options).wait()
