import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.engine.child import start

_PARENT = """
import subprocess, time
from pipelines.engine.child import start

child = start("http.server", "--bind=127.0.0.1", "0", stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended; nobody may have waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_module_gets_its_arguments_and_its_status_is_the_processs():
    process = start("json.tool", "--no-such-flag", stderr=subprocess.PIPE, text=True)
    with process:
        assert process.wait(60) == 2
        assert "--no-such-flag" in process.stderr.read()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_child_ends_with_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        assert is_alive(child)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(child):
        os.kill(child, signal.SIGKILL)
        pytest.fail("the child outlived its parent")
