"""Runs a module in a process that ends with its parent: ``-m pipelines.engine.child MODULE ...``.

The parent holds the other end of this process's standard input. However the parent ends, nothing
that it has started stays behind.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading


def start(module: str, *arguments: str, **options) -> subprocess.Popen:
    """Starts a module that ends when its `stdin` is closed, or with this process.

    Args:
        module: its name.
        *arguments: of its command line.
        **options: `subprocess.Popen`'s.
    """
    command = [sys.executable, "-m", "pipelines.engine.child", module, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, **options)


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
