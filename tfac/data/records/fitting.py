"""A prepared data set for the `fit` of Keras itself."""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from tfac.data.records.info import check_shards, read_info
from tfac.data.records.pipeline import (
    PREFETCHED_BATCHES,
    dataset_options,
    decode_records,
    serialized_records,
)
from tfac.errors import ConfigError

_LANDMARKS = "landmarks"


def load(
    data_dir: str | os.PathLike,
    split: str,
    *,
    image_size: tuple[int, int] = (224, 224),
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int | None = None,
    outputs: Sequence[str] = (),
) -> tf.data.Dataset:
    """Returns a split for `fit` and `evaluate` of any Keras model: images, labels and weights.

    ::

        train = tfac.data.load("data", "train", shuffle=True)
        loss = tfac.losses.BinaryCrossentropy().per_element
        model.compile("adam", loss, weighted_metrics=[keras.metrics.AUC(from_logits=True)])
        model.fit(train, epochs=3)

    Images are uint8 [B, height, width, 3] in [0, 255]; labels float32 [B, A] in {0, 1}; weights
    float32 [B, A], 0 where nobody annotated the attribute and else 1, which `fit` takes as sample
    weights. So the loss has to give a value for each attribute, as `per_element` of
    `tfac.losses.BinaryCrossentropy` and `tfac.losses.SquaredError` does. Keras's own
    `binary_crossentropy` gives one a picture: it fits neither the weights nor their shape, which
    Keras notices only where B is not A.

    Args:
        data_dir: where `tfac-prepare` wrote it.
        split: such as "train".
        image_size: height and width of the images, pixels.
        batch_size: pictures a batch; the last one has what is left over.
        shuffle: in another order each epoch, every order equally likely. The split's files, still
            encoded, are then held in memory.
        seed: of the orders; None makes others each time.
        outputs: of a model that returns a dictionary, those that have a loss. Labels and weights
            are then dictionaries with these keys: of "landmarks" the landmarks, float32 [B, K, 2]
            as shares of width and height, and whether they are known, [B]; of names that end in
            "scores" the labels and weights above. The networks of tfac answer so.

    Raises:
        ConfigError: a value cannot be used.
        DataError: there is no data set, or a file of the split is missing or too short.
    """
    info = read_info(Path(data_dir))
    check_shards(info, split)
    if min(*image_size, batch_size) < 1:
        raise ConfigError(
            "expected an image size and batch size of at least 1. "
            f"Received: {image_size}, {batch_size}"
        )
    unknown = [name for name in outputs if name != _LANDMARKS and not name.endswith("scores")]
    if unknown:
        raise ConfigError(
            f"outputs: expected {_LANDMARKS} or names that end in scores. Received: "
            f"{', '.join(unknown)}"
        )

    def to_fit(records: tf.Tensor) -> tuple:
        batch = decode_records(info, records, image_size)
        labels = batch["labels"], batch["label_mask"]
        landmarks = batch["landmarks"], batch["landmarks_valid"]
        if not outputs:
            return batch["images"], *labels
        wanted = {name: landmarks if name == _LANDMARKS else labels for name in outputs}
        targets, weights = ({name: pair[i] for name, pair in wanted.items()} for i in (0, 1))
        return batch["images"], targets, weights

    records = serialized_records(info, split)
    if shuffle:
        records = records.shuffle(info.splits[split], seed=seed)
    batches = records.batch(batch_size).map(
        to_fit, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return batches.prefetch(PREFETCHED_BATCHES).with_options(dataset_options())
