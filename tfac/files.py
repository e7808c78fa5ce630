"""Files and folders: outputs appear whole or not at all, JSON, and versions by number.

What is written lies aside in the same folder until it is whole, and is then renamed.
"""

import contextlib
import fcntl
import functools
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

_ASIDE = ".writing"  # in the name of a file, and at the end of a folder's, that is not whole
_BEGINNING = 60  # seconds in which such a file or folder may not be held yet


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` when the block succeeds.

    The temporary name keeps the suffix of `path`, so libraries that choose a format by suffix work.
    On any error the temporary file is removed and `path` is left as it was. Those that killed
    processes have left in the folder are removed when a process first writes there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_files(path.parent.resolve())
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=_ASIDE + path.suffix, dir=path.parent
    )
    aside = Path(name)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside.chmod(0o666 & ~_umask())
        yield aside
        put_in_place(aside, path)
    finally:
        aside.unlink(missing_ok=True)
        os.close(handle)


@functools.cache  # a folder may get many files
def _clear_files(folder: Path) -> None:
    for rest in folder.glob(f".*{_ASIDE}*"):
        with contextlib.suppress(OSError):
            if rest.is_file() and time.time() - rest.stat().st_mtime > _BEGINNING:
                with open(rest, "rb") as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    rest.unlink()


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
        if path.exists():
            raise FileExistsError(f"expected no file or folder at {path}, but it exists")
        put_in_place(aside, path)


def put_in_place(aside: Path, path: Path) -> None:
    """Renames a file or folder once the disk has all of it, and has the disk hold the new name.

    Otherwise after a power cut the new name might stand for nothing.

    Raises:
        OSError: as of `os.replace`; for one, `path` is a folder with something in it.
    """
    parts = (part for part in aside.rglob("*") if part.is_file() or part.is_dir())
    flush(aside, *parts)
    os.replace(aside, path)
    flush(path.parent)


def flush(*paths: Path) -> None:
    """Has the disk hold what files have, and the names that are in folders."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError:
            if not path.is_dir():  # some file systems cannot do it for folders
                raise
        finally:
            os.close(handle)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
