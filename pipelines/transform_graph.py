"""The graph from records to what a network sees, and whether it does as all other paths do."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines.features import TRAIN
from tfac.data.records.info import RecordsInfo
from tfac.data.records.pipeline import (
    decode_records,
    evaluation_dataset,
    read_batches,
    serialized_records,
    train_dataset,
)
from tfac.errors import DataError
from tfac.inference.signatures import read_each

Batch = dict[str, np.ndarray]


def write_graph(info: RecordsInfo, image_size: tuple[int, int], path: str) -> None:
    """Writes the graph as a SavedModel whose signature takes ``records``, string [B]."""
    module = tf.Module()
    module.transform = tf.function(
        lambda records: decode_records(info, records, image_size),
        input_signature=[tf.TensorSpec([None], tf.string, name="records")],
        autograph=False,
    )
    tf.saved_model.save(module, path, signatures=module.transform)


def check_paths(info: RecordsInfo, image_size: tuple[int, int], graph: str, count: int) -> None:
    """Makes sure that records come out alike by all paths.

    Args:
        info: the data set.
        image_size: height and width.
        graph: what `write_graph` wrote.
        count: how many records of the training split are held against each other.

    Raises:
        DataError: they do not, or a record is broken.
    """
    evaluated = evaluation_dataset(info, TRAIN, image_size=image_size, batch_size=count)
    # With a buffer of one record, training takes them in the order in which they are stored.
    trained = train_dataset(
        info,
        TRAIN,
        image_size=image_size,
        batch_size=count,
        seed=0,
        flip=False,  # without it a training batch is an evaluation batch
        shuffle_buffer=1,
    )
    expected = _first(evaluated, info)
    records = next(read_batches(serialized_records(info, TRAIN).batch(count), info, TRAIN))
    loaded = tf.saved_model.load(graph).signatures["serving_default"](records=records)
    served, _ = read_each(info.parse(records)["image"], image_size)
    paths = {
        "training": _first(trained, info),
        "the saved graph": {name: value.numpy() for name, value in loaded.items()},
        "an export": {"images": served.numpy()},
    }
    for path, batch in paths.items():
        _check_same(path, batch, expected)


def _first(dataset: tf.data.Dataset, info: RecordsInfo) -> Batch:
    batch = next(read_batches(dataset, info, TRAIN))
    return {name: value.numpy() for name, value in batch.items()}


def _check_same(path: str, batch: Mapping[str, np.ndarray], expected: Batch) -> None:
    for name, values in batch.items():
        same = np.array(
            [np.array_equal(*pair) for pair in zip(values, expected[name], strict=True)]
        )
        if not same.all():
            key = expected["key"][np.argmin(same)].decode(errors="replace")
            raise DataError(
                f"{name} of {path}: expected those of evaluation. Received: others for "
                f"{(~same).sum()} of {len(same)} records, the first of them {key}"
            )
