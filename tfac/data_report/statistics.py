"""One pass over a split: what is kept of each picture, some 150 bytes."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from tfac.data.records.info import RecordsInfo, check_shards
from tfac.data.records.pipeline import dataset_options, read_batches
from tfac.photos.preprocessing import decode_picture
from tfac.progress import progress

HASH_SIDE = 16  # a hash has this squared bits
_BATCH = 256


@dataclasses.dataclass(frozen=True, eq=False)
class SplitStatistics:
    """What is known of the N pictures of a split.

    Attributes:
        keys: what each is called, unique in the data set.
        sizes: int32 [N, 2], height and width, pixels.
        labels: uint8 [N, A] in {0, 1}.
        label_mask: bool [N, A], False where nobody annotated the attribute.
        landmarks_valid: bool [N].
        mean_landmarks: float64 [K, 2], of the pictures that have landmarks; NaN if none has.
        checksums: SHA-256 of each picture's bytes.
        hashes: uint16 [N, 16], see `tfac.data_report.duplicates`.
        contrasts: float32 [N], standard deviation of the picture's brightness in [0, 255].
        num_bytes: of the encoded pictures.
    """

    keys: list[str]
    sizes: np.ndarray
    labels: np.ndarray
    label_mask: np.ndarray
    landmarks_valid: np.ndarray
    mean_landmarks: np.ndarray
    checksums: list[bytes]
    hashes: np.ndarray
    contrasts: np.ndarray
    num_bytes: int

    @property
    def num_pictures(self) -> int:
        """How many pictures there are."""
        return len(self.keys)

    @property
    def annotated_counts(self) -> np.ndarray:
        """int64 [A], pictures where each attribute is annotated."""
        return self.label_mask.sum(axis=0)

    @property
    def size_range(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The lowest and the highest height, and width, pixels."""
        return tuple((int(side.min()), int(side.max())) for side in self.sizes.T)


def read_statistics(info: RecordsInfo, split: str) -> SplitStatistics:
    """Reads a split once, with a progress bar.

    Raises:
        ConfigError: there is no such split, or it is empty.
        DataError: a record or picture is broken.
    """
    check_shards(info, split)
    records = tf.data.TFRecordDataset(info.shards(split))
    records = records.map(lambda record: _look_at(info.parse(record)), tf.data.AUTOTUNE)
    batches = records.batch(_BATCH).prefetch(1).with_options(dataset_options())
    keys, checksums, num_bytes = [], [], 0
    gathered = {name: [] for name in ("size", "labels", "label_mask", "landmarks_valid")}
    hashes, contrasts = [], []
    landmark_sum = np.zeros((info.landmark_scheme.num_landmarks, 2))
    with progress(total=info.splits[split], desc=f"reading {split}", unit=" pictures") as bar:
        for batch in read_batches(batches, info, split):
            batch = {name: value.numpy() for name, value in batch.items()}
            keys += [key.decode(errors="replace") for key in batch["key"]]
            checksums += [hashlib.sha256(encoded).digest() for encoded in batch["image"]]
            num_bytes += sum(map(len, batch["image"]))
            for name, parts in gathered.items():
                parts.append(batch[name])
            hashes.append(_hashes(batch["brightness"]))
            contrasts.append(batch["contrast"])
            landmark_sum += batch["landmarks"][batch["landmarks_valid"]].sum(axis=0)
            bar.update(len(batch["key"]))
    whole = {name: np.concatenate(parts) for name, parts in gathered.items()}
    count = np.sum(whole["landmarks_valid"])
    return SplitStatistics(
        keys=keys,
        sizes=whole["size"],
        labels=whole["labels"],
        label_mask=whole["label_mask"],
        landmarks_valid=whole["landmarks_valid"],
        mean_landmarks=landmark_sum / count if count else np.full_like(landmark_sum, np.nan),
        checksums=checksums,
        hashes=np.concatenate(hashes),
        contrasts=np.concatenate(contrasts),
        num_bytes=num_bytes,
    )


def read_pictures(info: RecordsInfo, split: str, keys: set[str]) -> dict[str, np.ndarray]:
    """Returns the pictures of a split that have these keys, uint8 [H, W, 3]."""
    pictures = {}
    for record in tf.data.TFRecordDataset(info.shards(split)) if keys else ():
        features = info.parse(record)
        key = features["key"].numpy().decode(errors="replace")
        if key in keys:
            pictures[key] = decode_picture(features["image"]).numpy()
    return pictures


def _look_at(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    picture = tf.cast(decode_picture(features["image"]), tf.float32)
    grey = tf.image.rgb_to_grayscale(picture)
    brightness = tf.image.resize(grey, (HASH_SIDE, HASH_SIDE + 1), method="area")[..., 0]
    return {**features, "brightness": brightness, "contrast": tf.math.reduce_std(grey)}


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
