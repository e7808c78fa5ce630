"""Programs in processes of their own, forked from one that has imported what takes seconds."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing.reduction import DupFd

from tfac.cli import import_tensorflow_quietly

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("tfac.training.run", "tfac.export", "tfac.data.preparing.preparation"),
        *("apache_beam", "tests.forks"),
    ]
)


class Fork:
    """A running program.

    Args:
        program: name of a module, or path of a file.
        arguments: what stands behind it on its command line.
        cwd: its folder; by default this process's.
        environment: variables added to this process's.
    """

    def __init__(self, program: str, arguments, cwd=None, environment=()):
        self._arguments = [str(argument) for argument in arguments]
        self._files = [tempfile.TemporaryFile("w+") for _ in range(2)]
        self._process = _FORKS.Process(
            target=_run,
            args=(program, self._arguments, *(DupFd(file.fileno()) for file in self._files)),
            kwargs={
                "folder": os.fspath(cwd or os.getcwd()),
                "environment": {**os.environ, **dict(environment)},
            },
        )
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Returns the exit status, minus the signal's number where it was killed."""
        return self._process.exitcode

    def wait(self, timeout: float = 300) -> subprocess.CompletedProcess:
        """Returns how it ended, and kills it after `timeout` seconds."""
        self._process.join(timeout)
        if self.poll() is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(self._arguments, timeout)
        texts = []
        for file in self._files:
            with file:
                file.seek(0)
                texts.append(file.read())
        return subprocess.CompletedProcess(self._arguments, self.poll(), *texts)


def _run(program: str, arguments: list[str], *files, folder: str, environment: dict) -> None:
    import_tensorflow_quietly()
    for number, file in enumerate(files, start=1):
        os.dup2(file.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *arguments]
    run = runpy.run_path if os.path.exists(program) else runpy.run_module
    run(program, run_name="__main__", **({} if run is runpy.run_path else {"alter_sys": True}))
