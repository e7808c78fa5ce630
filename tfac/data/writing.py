"""Writing data sets: one writer at a time, whole or not at all, quietly."""

import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

from tfac.data.beam import BeamExecution
from tfac.errors import ConfigError, DataError

_WRITING_ERRORS = (OSError, tf.errors.OpError)


@contextlib.contextmanager
def only_writer(data_dir: str | os.PathLike) -> Iterator[None]:
    """Makes `data_dir` where it is missing, and holds it against other writers.

    Raises:
        DataError: the folder cannot be made or written to.
        ConfigError: another process is writing to it.
    """
    path = Path(data_dir) / ".preparing.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise DataError(f"data_dir {data_dir}: cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"data_dir {data_dir}: another process is writing to it") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def write_records(
    builder: tfds.core.DatasetBuilder,
    *,
    num_shards: int | None = None,
    beam: BeamExecution | None = None,
) -> None:
    """Writes what `builder` generates to its folder, which appears whole or not at all.

    Call it under `only_writer`: what killed writers left behind is removed.

    Args:
        builder: shows its own progress.
        num_shards: files for each split, at most the number of its records; by default as many as
            TFDS finds fit.
        beam: where a builder that generates on Beam runs.

    Raises:
        DataError: the folder cannot be written, for example because the disk is full.
    """
    folder = Path(builder.data_path).parent
    downloads = folder / "incomplete.downloads"  # TFDS makes one even where there are none
    try:
        for leftover in folder.glob("incomplete.*"):
            shutil.rmtree(leftover)
        with _quiet():
            builder.download_and_prepare(
                download_dir=downloads,
                download_config=tfds.download.DownloadConfig(
                    num_shards=num_shards,
                    beam_options=beam and beam.pipeline_options(),
                ),
            )
        shutil.rmtree(downloads)
    except _WRITING_ERRORS as error:
        raise DataError(f"{folder}: records cannot be written: {error}") from error
    except RuntimeError as error:
        if isinstance(error.__cause__, _WRITING_ERRORS):  # as TFDS raises it again
            raise DataError(f"{folder}: records cannot be written: {error}") from error
        raise
    except Exception as error:
        if beam is None:
            raise
        raise DataError(f"{folder}: the Beam pipeline failed: {error!r}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS from telling at length what it does; builders show their own progress."""
    tfds.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.display_progress_bar(True)
