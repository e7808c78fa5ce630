"""The programs, each in a process of its own: their flags may not meet in one."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing.reduction import DupFd

from tfac.cli import import_tensorflow_quietly

# A program is forked from a process that has imported what takes seconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["tfac.training.run", "tfac.export", "tfac.data.preparing.preparation", "tests.cli.programs"]
)
_LONGEST = 300  # seconds


def command(program: str, *arguments) -> list[str]:
    """Returns the command line of ``tfac-PROGRAM``."""
    return [sys.executable, "-m", f"tfac.cli.{program}", *map(str, arguments)]


def run(program: str, *arguments, cwd=None) -> subprocess.CompletedProcess:
    """Runs ``tfac-PROGRAM`` to its end, in the folder `cwd`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        files = DupFd(out.fileno()), DupFd(err.fileno())
        where = os.fspath(cwd or os.getcwd()), dict(os.environ)
        process = _FORKS.Process(
            target=_run, args=(program, list(map(str, arguments)), *files, *where)
        )
        process.start()
        process.join(_LONGEST)
        assert process.exitcode is not None, f"tfac-{program} takes over {_LONGEST} s"
        texts = [file.seek(0) or file.read() for file in (out, err)]
    return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def _run(program: str, arguments: list[str], out, err, folder: str, environment: dict) -> None:
    import_tensorflow_quietly()
    for number, file in ((1, out), (2, err)):
        os.dup2(file.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [f"tfac.cli.{program}", *arguments]
    runpy.run_module(f"tfac.cli.{program}", run_name="__main__", alter_sys=True)
