"""Records read and summed up; `tfac.data_report.summary` alone needs no TensorFlow."""

import functools
from pathlib import Path

import tensorflow as tf

from tfac.data.records.info import RecordsInfo
from tfac.data.records.pipeline import dataset_options, read_batches
from tfac.data_report.summary import SplitSummary
from tfac.photos.preprocessing import decode_picture

HASH_SIDE = 16  # a hash has this squared bits
_BATCH = 64


def summarize(info: RecordsInfo, split: str, shard: Path) -> SplitSummary:
    """Reads the records of one file of a split.

    Raises:
        DataError: a record or picture is broken.
    """

    def look(record: tf.Tensor) -> dict[str, tf.Tensor]:
        looked = look_at(info.parse(record))
        return {name: looked[name] for name in looked.keys() - {"image", "key", "cells"}}

    pictures = tf.data.TFRecordDataset(str(shard)).map(look, tf.data.AUTOTUNE)
    batches = pictures.batch(_BATCH).prefetch(1).with_options(dataset_options())
    summaries = (
        SplitSummary.of({name: value.numpy() for name, value in batch.items()})
        for batch in read_batches(batches, info, split)
    )
    return functools.reduce(SplitSummary.__add__, summaries)


def look_at(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a parsed record with what `SplitSummary.of` sums up.

    There is also "cells", the brightness float32 [16, 17] of as many parts of the picture.
    """
    brightness, contrast, cells = _measure(features["image"])
    return {
        **features,
        "bytes": tf.strings.length(features["image"]),
        "image/height": features["size"][0],
        "image/width": features["size"][1],
        "image/brightness": brightness,
        "image/contrast": contrast,
        "cells": cells,
    }


# Traced once, not for each file.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _measure(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    grey = tf.image.rgb_to_grayscale(tf.cast(decode_picture(encoded), tf.float32))
    cells = tf.image.resize(grey, (HASH_SIDE, HASH_SIDE + 1), method="area")[..., 0]
    return tf.reduce_mean(grey), tf.math.reduce_std(grey), cells
