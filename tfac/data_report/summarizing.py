"""Records read and summed up; `tfac.data_report.summary` alone needs no TensorFlow."""

import functools
from pathlib import Path

import tensorflow as tf

from tfac.data.records.info import RecordsInfo
from tfac.data.records.pipeline import dataset_options, read_batches
from tfac.data_report.summary import SplitSummary
from tfac.photos.preprocessing import decode_picture

_BATCH = 64


def summarize(info: RecordsInfo, split: str, shard: Path) -> SplitSummary:
    """Reads the records of one file of a split.

    Raises:
        DataError: a record or picture is broken.
    """
    records = tf.data.TFRecordDataset(str(shard))
    pictures = records.map(lambda record: _look_at(info.parse(record)), tf.data.AUTOTUNE)
    batches = pictures.batch(_BATCH).prefetch(1).with_options(dataset_options())
    summaries = (
        SplitSummary.of({name: value.numpy() for name, value in batch.items()})
        for batch in read_batches(batches, info, split)
    )
    return functools.reduce(SplitSummary.__add__, summaries)


def _look_at(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    brightness, contrast = _brightness_and_contrast(features["image"])
    return {
        "labels": features["labels"],
        "label_mask": features["label_mask"],
        "landmarks": features["landmarks"],
        "landmarks_valid": features["landmarks_valid"],
        "bytes": tf.strings.length(features["image"]),
        "image/height": features["size"][0],
        "image/width": features["size"][1],
        "image/brightness": brightness,
        "image/contrast": contrast,
    }


# Traced once, not for each file.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _brightness_and_contrast(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    grey = tf.image.rgb_to_grayscale(tf.cast(decode_picture(encoded), tf.float32))
    return tf.reduce_mean(grey), tf.math.reduce_std(grey)
