"""Files and folders: outputs appear whole or not at all, JSON, and versions by number.

What is written lies aside in the same folder until it is whole, and is then renamed.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from tfac.errors import ConfigError, DataError

_ASIDE = ".writing"  # ends the name of a folder that is not whole
_BEGINNING = 60  # seconds in which such a folder may not be held yet


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` when the block succeeds.

    The temporary name keeps the suffix of `path`, so libraries that choose a format by suffix work.
    On any error the temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        aside.chmod(0o666 & ~_umask())
        yield aside
        _flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields an empty folder beside `path` to fill; renames it to `path` when the block succeeds.

    Those that killed processes have left there are removed first.

    Raises:
        FileExistsError: `path` already exists when the block ends; nothing is overwritten.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for rest in path.parent.glob(f".*{_ASIDE}"):
        with contextlib.suppress(OSError, filelock.Timeout):
            if time.time() - rest.stat().st_mtime > _BEGINNING:
                with _writing(rest, timeout=0):
                    shutil.rmtree(rest)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_ASIDE, dir=path.parent))
    with _writing(aside), contextlib.ExitStack() as at_end:
        at_end.callback(shutil.rmtree, aside, ignore_errors=True)
        aside.chmod(0o777 & ~_umask())
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                _flush(file)
        if path.exists():
            raise FileExistsError(f"expected no file or folder at {path}, but it exists")
        os.replace(aside, path)


@contextlib.contextmanager
def _writing(aside: Path, timeout: float = -1) -> Iterator[None]:
    """Shows other processes that this one is writing to a folder; a kill ends it too."""
    lock = Path(f"{aside}.lock")
    with filelock.FileLock(lock, timeout=timeout):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(folder: str | os.PathLike, flag: str) -> Iterator[None]:
    """Makes `folder` where it is missing, and holds it against other writers.

    It is gone again where nothing was written.

    Args:
        folder: what is written to.
        flag: the flag that gave it, for errors.

    Raises:
        DataError: the folder cannot be made or written to.
        ConfigError: another process is writing to it.
    """
    path = Path(folder) / ".writing.lock"
    made = not path.parent.exists()
    lock = filelock.FileLock(path, timeout=0)  # ends with its process, however that ends
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise ConfigError(f"{flag} {folder}: another process is writing to it") from None
    except OSError as error:
        raise DataError(f"{flag} {folder}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        if made:
            with contextlib.suppress(OSError):  # there is something in it
                path.parent.rmdir()


def read_json(path: str | os.PathLike, expected: str = "a JSON object") -> dict[str, Any]:
    """Returns the object in a file of JSON.

    Args:
        path: the file.
        expected: what the file is, for the error.

    Raises:
        DataError: the file cannot be read, is no JSON or holds no object; names it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected {expected}. {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {expected}. Received: JSON without an object")
    return content


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 1) -> None:
    """Writes JSON, whole.

    Raises:
        ValueError: `content` has a number that is NaN or infinite, which JSON has not.
    """
    text = json.dumps(content, indent=indent, allow_nan=False) + "\n"
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def version_number(name: str) -> int | None:
    """Returns the version that a folder's name means, None if it means none."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 19 else None


def version_folders(directory: str | os.PathLike) -> dict[int, Path]:
    """Returns the folders of a model's versions by number, in rising order; the last is newest.

    There are none where `directory` is no folder.
    """
    try:
        folders = [path for path in Path(directory).iterdir() if path.is_dir()]
    except OSError:
        return {}
    numbered = {version_number(path.name): path for path in sorted(folders)}
    return {version: numbered[version] for version in sorted(numbered.keys() - {None})}


def _flush(file: Path) -> None:
    """Has the disk hold what a file has, lest after a power cut its new name stands for nothing."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
