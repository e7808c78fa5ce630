"""TensorBoard's view of a run, in ``workdir/tensorboard``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf


class Summaries:
    """Writes scalars, pictures and hyperparameters for TensorBoard.

    Args:
        folder: where the event files go; a run that goes on adds a file. None for nowhere.
    """

    def __init__(self, folder: Path | None):
        if folder:
            self._writer = tf.summary.create_file_writer(str(folder))
        else:
            self._writer = tf.summary.create_noop_writer()

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one scalar a tag."""
        with self._writer.as_default(step=step):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def write_by_attribute(
        self, step: int, attributes: Sequence[str], values: Mapping[str, np.ndarray]
    ) -> None:
        """Writes arrays [A] as ``tag/attribute``; undefined (NaN) values are left out."""
        with self._writer.as_default(step=step):
            for tag, array in values.items():
                for attribute, value in zip(attributes, array, strict=True):
                    if np.isfinite(value):
                        tf.summary.scalar(f"{tag}/{attribute}", value)

    def write_pictures(self, step: int, tag: str, pictures: np.ndarray) -> None:
        """Writes pictures, uint8 [N, H, W, 3], under one tag."""
        with self._writer.as_default(step=step):
            tf.summary.image(tag, pictures, max_outputs=len(pictures))

    def write_hyperparameters(self, options: Mapping[str, object]) -> None:
        """Writes the run's options for TensorBoard's HParams page."""
        from tensorboard.plugins.hparams import api

        with self._writer.as_default(step=0):
            api.hparams({name: _plain(value) for name, value in options.items()})

    def flush(self) -> None:
        """Makes everything written so far readable."""
        self._writer.flush()


def _plain(value: object) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
