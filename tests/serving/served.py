"""A `tfac-serve` that runs as a program."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def serve_program(*saved_models: Path, **flags) -> Iterator[dict[str, str]]:
    """Yields the addresses of a server of exported models: "grpc" and "rest"."""
    flags = {"port": 0, "rest_api_port": 0, "file_system_poll_wait_seconds": 0.2} | flags
    command = [sys.executable, "-m", "tfac.cli.serve"]
    command += [f"--saved_model={path}" for path in saved_models]
    command += [f"--{name}={value}" for name, value in flags.items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = [server.stdout.readline() for _ in saved_models]
            match = re.search(r"(grpc://\S+) and (http://\S+)", lines[-1])
            assert match, "the server did not start"
            yield {"grpc": match[1], "rest": match[2]}
        finally:
            server.terminate()
            assert server.wait(60) == 0
