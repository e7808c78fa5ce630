"""One pass over a split: its sums, and what is kept of each picture, some 150 bytes."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from tfac.data.records.info import RecordsInfo, check_shards
from tfac.data.records.pipeline import dataset_options, read_batches
from tfac.data_report.summarizing import HASH_SIDE, look_at
from tfac.data_report.summary import SplitSummary
from tfac.photos.preprocessing import decode_picture
from tfac.progress import progress

_BATCH = 256


@dataclasses.dataclass(frozen=True, eq=False)
class SplitStatistics:
    """What is known of the N pictures of a split.

    Attributes:
        summary: of all of them.
        keys: what each is called, unique in the data set.
        sizes: int32 [N, 2], height and width, pixels.
        labels: uint8 [N, A] in {0, 1}.
        label_mask: bool [N, A], False where nobody annotated the attribute.
        checksums: SHA-256 of each picture's bytes.
        hashes: uint16 [N, 16], see `tfac.data_report.duplicates`.
        contrasts: float32 [N], standard deviation of the picture's brightness in [0, 255].
    """

    summary: SplitSummary
    keys: list[str]
    sizes: np.ndarray
    labels: np.ndarray
    label_mask: np.ndarray
    checksums: list[bytes]
    hashes: np.ndarray
    contrasts: np.ndarray


def read_statistics(info: RecordsInfo, split: str) -> SplitStatistics:
    """Reads a split once, with a progress bar.

    Raises:
        ConfigError: there is no such split, or it is empty.
        DataError: a record or picture is broken.
    """
    check_shards(info, split)
    records = tf.data.TFRecordDataset(info.shards(split))
    records = records.map(lambda record: look_at(info.parse(record)), tf.data.AUTOTUNE)
    batches = records.batch(_BATCH).prefetch(1).with_options(dataset_options())
    summary, keys, checksums = None, [], []
    kept = {name: [] for name in ("size", "labels", "label_mask", "image/contrast", "hashes")}
    with progress(total=info.splits[split], desc=f"reading {split}", unit=" pictures") as bar:
        for batch in read_batches(batches, info, split):
            batch = {name: value.numpy() for name, value in batch.items()}
            part = SplitSummary.of(batch)
            summary = part if summary is None else summary + part
            keys += [key.decode(errors="replace") for key in batch["key"]]
            checksums += [hashlib.sha256(encoded).digest() for encoded in batch["image"]]
            batch["hashes"] = _hashes(batch["cells"])
            for name, parts in kept.items():
                parts.append(batch[name])
            bar.update(len(batch["key"]))
    sizes, labels, label_mask, contrasts, hashes = map(np.concatenate, kept.values())
    return SplitStatistics(summary, keys, sizes, labels, label_mask, checksums, hashes, contrasts)


def read_pictures(info: RecordsInfo, split: str, keys: set[str]) -> dict[str, np.ndarray]:
    """Returns the pictures of a split that have these keys, uint8 [H, W, 3]."""
    pictures = {}
    for record in tf.data.TFRecordDataset(info.shards(split)) if keys else ():
        features = info.parse(record)
        key = features["key"].numpy().decode(errors="replace")
        if key in keys:
            pictures[key] = decode_picture(features["image"]).numpy()
    return pictures


def _hashes(brightness: np.ndarray) -> np.ndarray:
    """Difference hashes uint16 [N, 16] of brightness [N, 16, 17]: is it brighter to the right?

    A word has one bit of each row, from columns that move on by 5 a row, so that a plain background
    does not make words alike.
    """
    bits = brightness[:, :, 1:] > brightness[:, :, :-1]  # [N, 16, 16]
    rows = np.arange(HASH_SIDE)
    columns = (np.arange(HASH_SIDE)[:, None] + 5 * rows) % HASH_SIDE  # [word, row]
    words = bits[:, rows, columns]  # [N, word, row]
    return np.packbits(words, axis=-1).view(np.uint16)[..., 0]
