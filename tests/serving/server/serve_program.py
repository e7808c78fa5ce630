"""The program tfac-serve in a process of its own."""

import contextlib
import dataclasses
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LINE = re.compile(r"Serving (\S+) version (.*) at grpc://(\S+) and (http://\S+)")


@dataclasses.dataclass
class Program:
    """A server that answers.

    Attributes:
        process: it.
        lines: what it printed, (name, versions) a model.
        grpc_address: host and port.
        url: of REST.
        log: file of its standard error.
    """

    process: subprocess.Popen
    lines: list[tuple[str, str]]
    grpc_address: str
    url: str
    log: Path

    @property
    def addresses(self) -> dict[str, str]:
        """As a client takes them."""
        return {"grpc": self.grpc_address, "rest": self.url}


@contextlib.contextmanager
def serve_program(*arguments: str | Path) -> Iterator[Program]:
    """Starts ``tfac-serve`` on free ports; ends it if it still runs.

    Args:
        *arguments: folders of models, and flags.
    """
    flags = ["--port=0", "--rest_api_port=0", "--file_system_poll_wait_seconds=0.2"]
    models = [each for each in arguments if isinstance(each, Path)]
    flags += [f"--saved_model={path}" for path in models]
    flags += [each for each in arguments if each not in models]
    command = [sys.executable, "-m", "tfac.cli.serve", *flags]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        with open(log, "w") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            matches = [_LINE.match(process.stdout.readline()) for _ in models or [None]]
            if not all(matches):
                raise AssertionError(f"the server did not start: {log.read_text()}")
            lines = [(match[1], match[2]) for match in matches]
            yield Program(process, lines, matches[0][3], matches[0][4], log)
        finally:
            if process.poll():
                print(f"the server ended with {process.returncode}: {log.read_text()}")
            process.kill()
            process.wait()
            process.stdout.close()
