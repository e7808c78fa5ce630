"""Locks by name between processes on one root; the system frees those of a process that dies."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


class Locks:
    """The locks of this process; one object a process and root.

    They are of the process alone: its children, which may outlive it, do not hold them. Each is one
    byte of one file, which stays empty.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def close(self) -> None:
        """Frees all locks."""
        os.close(self._file)

    @contextlib.contextmanager
    def hold(self, name: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Waits for a lock and holds it; `on_wait` is called if another process has it."""
        if not self._take(name, wait=False):
            if on_wait:
                on_wait()
            self._take(name, wait=True)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _offset(name))

    @contextlib.contextmanager
    def hold_if_free(self, name: str) -> Iterator[bool]:
        """Holds a lock if no other process has it, and yields whether it does."""
        taken = self._take(name, wait=False)
        try:
            yield taken
        finally:
            if taken:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _offset(name))

    def _take(self, name: str, wait: bool) -> bool:
        try:
            flags = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
            fcntl.lockf(self._file, flags, 1, _offset(name))
        except (BlockingIOError, PermissionError):
            return False
        return True


def _offset(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
