"""Files outside of the pipeline that components read."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Yields a file itself, or all files below a folder, by name."""
    if not root.is_dir():
        if root.exists():
            yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def files_fingerprint(root: str | os.PathLike, files: Iterable[Path] | None = None) -> str:
    """Returns a text that changes when a file is added, removed or replaced.

    Files count by name, size and time of change: pictures of gigabytes are not read.

    Args:
        root: a file, or the folder that names start at.
        files: those that count, by default all.
    """
    digest = hashlib.sha256()
    for path in files_below(Path(root)) if files is None else files:
        name, status = path.relative_to(root), path.stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
