"""Locks by name between processes on one root; the system frees those of a process that dies."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import filelock


class Locks:
    """The locks of a root, an empty file each.

    They are of the process alone: the programs that it starts, which may outlive it, do not hold
    them.

    Args:
        folder: of the files; made if it is not there.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def hold(
        self, name: str, on_wait: Callable[[], None] = lambda: None
    ) -> contextlib.AbstractContextManager:
        """Waits for a lock and returns it, held to the end of a block; says that it has to wait."""
        held = self.take(name)
        if held is None:
            on_wait()
            held = self._lock(name).acquire()
        return held

    def take(self, name: str) -> contextlib.AbstractContextManager | None:
        """Returns a lock, held to the end of a block, or None if another process has it."""
        try:
            return self._lock(name).acquire(blocking=False)
        except filelock.Timeout:
            return None

    def _lock(self, name: str) -> filelock.FileLock:
        return filelock.FileLock(self._folder / hashlib.sha256(name.encode()).hexdigest())
