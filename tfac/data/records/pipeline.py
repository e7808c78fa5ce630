"""tf.data input: batches of a prepared data set for training and evaluation.

A batch is a dict:

| key | type | meaning |
|---|---|---|
| images | uint8 [B, height, width, 3] | the pictures at the size asked for |
| labels | float32 [B, A] in {0, 1} | 1 where the attribute is shown |
| label_mask | float32 [B, A] in {0, 1} | 0 where nobody annotated the attribute |
| landmarks | float32 [B, K, 2] in [0, 1] | x and y as shares of the picture's width and height |
| landmarks_valid | float32 [B] in {0, 1} | 0 where the landmarks are unknown |
| key | string [B] | the picture's name in its source |
| size | int32 [B, 2] | height and width of the picture before it was resized, pixels |

Nothing in the path is Python, and the order never depends on the machine.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from tfac.data.records.augmentation import mirror_half
from tfac.data.records.info import RecordsInfo, check_shards, find_damage
from tfac.errors import ConfigError, DataError
from tfac.files import whole_directory
from tfac.photos.preprocessing import read_picture

# How many files are read at a time and how many records from each in turn. The order of records
# depends on both, so they are fixed rather than tuned to the machine.
_FILES_AT_A_TIME = 16
_RECORDS_A_TURN = 16
PREFETCHED_BATCHES = 2  # that wait for whoever uses them
_DECODED_TOGETHER = 16  # for a cache; without one, a batch

# What tf.data raises for a cut off, corrupt, undecodable or missing record, picture or file.
_READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.FailedPreconditionError,
    tf.errors.NotFoundError,
)

_SHUFFLE_STREAM, _FLIP_STREAM = 0, 1

# For functions that tf.data traces. They have no Python branch on a tensor, and AutoGraph takes
# longer to find that out than TensorFlow takes to trace them.
_as_it_is = tf.autograph.experimental.do_not_convert


def train_dataset(
    info: RecordsInfo,
    split: str,
    *,
    image_size: tuple[int, int],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    flip: bool,
    cache: str = "none",
    shuffle_buffer: int,
) -> tf.data.Dataset:
    """Returns an endless data set of full batches, the same for the same arguments.

    An epoch has ``n // batch_size`` batches of the split's n records, which are shuffled anew by
    (seed, epoch); which pictures are mirrored is drawn by (seed, step). So the step number is
    the input's whole state: with `start_step` the batches are bit for bit those of an uninterrupted
    run.

    Args:
        info: the data set.
        split: the split to read.
        image_size: height and width of the images, pixels.
        batch_size: records a batch.
        seed: any integer.
        start_step: how many batches, over all epochs, are already used.
        flip: mirror half of the pictures.
        cache: "none", "memory" or a folder: where decoded pictures are kept after the first pass.
            A folder is filled before the first batch and can be shared by runs.
        shuffle_buffer: records held for shuffling, encoded, or decoded with a cache. With n or more
            every order is equally likely; fewer records bound the memory.

    Raises:
        ConfigError: a value cannot be used.
        DataError: a file of the split is missing or too short.
    """
    num_records = _check_arguments(info, split, image_size, batch_size)
    if batch_size > num_records:
        raise ConfigError(
            f"batch size: expected at most the {num_records} pictures of split {split}. "
            f"Received: {batch_size}"
        )
    if shuffle_buffer < 1 or start_step < 0:
        raise ConfigError(
            "expected a shuffle buffer of at least 1 and a start step of at least 0. "
            f"Received: {shuffle_buffer}, {start_step}"
        )
    cached = cache != "none"
    records = (
        _decoded(info, split, image_size, cache) if cached else serialized_records(info, split)
    )
    steps_per_epoch = num_records // batch_size
    first_epoch, steps_done = divmod(start_step, steps_per_epoch)

    @_as_it_is
    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        # `shuffle` mixes the process-wide seed into its own; here it must not matter. (With 0 it
        # would compare the other seed, a tensor, in Python.)
        tf.compat.v1.set_random_seed(1)
        shuffle_seed = tf.random.stateless_uniform(
            [], _stream(seed, _SHUFFLE_STREAM, epoch), minval=0, maxval=2**31 - 1, dtype=tf.int64
        )
        shuffled = records.shuffle(
            min(shuffle_buffer, num_records), seed=shuffle_seed, reshuffle_each_iteration=False
        )
        first = steps_done * tf.cast(epoch == first_epoch, tf.int64)
        batches = shuffled.batch(batch_size, drop_remainder=True).enumerate()
        # Not `skip`: a cache is complete only once it has been read to its end.
        return batches.filter(lambda step, _: step >= first).map(lambda _, batch: batch)

    dataset = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch_batches)
    if not cached:
        dataset = _decode(dataset, info, image_size)

    mirroring = info.groups.mirroring(info.attributes)

    @_as_it_is
    def mirrored(step: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seeds = _stream(seed, _FLIP_STREAM, step)
        return mirror_half(batch, info.landmark_scheme, mirroring, seeds)

    if flip:
        dataset = dataset.enumerate(start_step).map(mirrored, num_parallel_calls=tf.data.AUTOTUNE)
    # Several workers would otherwise ask each other at each step whether the data set has ended.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return dataset.prefetch(PREFETCHED_BATCHES).with_options(dataset_options())


def evaluation_dataset(
    info: RecordsInfo,
    split: str,
    *,
    image_size: tuple[int, int],
    batch_size: int,
    cache: str = "none",
) -> tf.data.Dataset:
    """Returns a finite data set with every picture of the split once, always in the same order.

    The last batch has what is left over. The arguments are those of `train_dataset`.

    Raises:
        ConfigError: a value cannot be used.
        DataError: a file of the split is missing or too short.
    """
    _check_arguments(info, split, image_size, batch_size)
    if cache == "none":
        dataset = _decode(serialized_records(info, split).batch(batch_size), info, image_size)
    else:
        dataset = _decoded(info, split, image_size, cache).batch(batch_size)
    return dataset.prefetch(PREFETCHED_BATCHES).with_options(dataset_options())


def dataset_options() -> tf.data.Options:
    """Returns how every data set here is run: in order, and without tuning itself.

    Where tf.data tunes itself, an iterator that is dropped waits for the thread that does it, which
    at times sleeps on through the call to end: seen for seconds, and longer the longer it has run.
    So `AUTOTUNE` stands for the number of cores.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    # With several workers each takes its share of every batch; sharding by file would change the
    # number of records that the count at the end expects.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options


def serialized_records(info: RecordsInfo, split: str) -> tf.data.Dataset:
    """Returns the records of a split as they are stored, string [], always in the same order.

    Reading fails at the end if there are not as many as there should.
    """
    shards = tf.data.Dataset.from_tensor_slices(info.shards(split))
    records = shards.interleave(
        tf.data.TFRecordDataset,
        cycle_length=_FILES_AT_A_TIME,
        block_length=_RECORDS_A_TURN,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.apply(tf.data.experimental.assert_cardinality(info.splits[split]))


@_as_it_is
def decode_records(
    info: RecordsInfo, records: tf.Tensor, image_size: tuple[int, int]
) -> dict[str, tf.Tensor]:
    """Returns serialised records, string [B], as a batch; the module says what is in it."""
    image = tf.TensorSpec([*image_size, 3], tf.uint8)
    features = info.parse(records)
    return {
        "images": tf.map_fn(
            lambda encoded: read_picture(encoded, image_size),
            features["image"],
            fn_output_signature=image,
        ),
        "labels": tf.cast(features["labels"], tf.float32),
        "label_mask": tf.cast(features["label_mask"], tf.float32),
        "landmarks": features["landmarks"],
        "landmarks_valid": tf.cast(features["landmarks_valid"], tf.float32),
        "key": features["key"],
        "size": features["size"],
    }


def read_batches(dataset: Iterable[Any], info: RecordsInfo, split: str) -> Iterator[Any]:
    """Yields the batches of `dataset`, which reads `split`; a failure names the file at fault.

    tf.data's own errors do not say where they come from, so the split is read once more to find
    the first record that cannot be used.

    Raises:
        DataError: a record or picture is broken, or a file has too few or too many records.
    """
    batches = iter(dataset)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except _READ_ERRORS as error:
            logging.warning("Reading failed; looking for the record at fault in %s", info.path)
            find_damage(info, split)
            raise DataError(
                f"{info.path}: split {split} could not be read, though all its records can; a "
                f"cache of it may be damaged. {error.message}"
            ) from error
        yield batch


def _check_arguments(info, split: str, image_size: tuple[int, int], batch_size: int) -> int:
    check_shards(info, split)
    if min(image_size) < 1 or batch_size < 1:
        raise ConfigError(
            f"expected an image size and batch size of at least 1. "
            f"Received: {image_size}, {batch_size}"
        )
    return info.splits[split]


def _decode(batches: tf.data.Dataset, info: RecordsInfo, image_size) -> tf.data.Dataset:
    """Batches of serialised records -> batches as the module says."""
    return batches.map(
        lambda records: decode_records(info, records, image_size),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _decoded(info: RecordsInfo, split: str, image_size, cache: str) -> tf.data.Dataset:
    """The records decoded one by one, from the cache "memory" or a folder."""
    batches = serialized_records(info, split).batch(_DECODED_TOGETHER)
    decoded = _decode(batches, info, image_size).unbatch()
    decoded = decoded.apply(tf.data.experimental.assert_cardinality(info.splits[split]))
    if cache == "memory":
        return decoded.cache()
    return _file_cached(decoded, info, split, image_size, Path(cache))


def _file_cached(decoded, info: RecordsInfo, split, image_size, folder: Path) -> tf.data.Dataset:
    """Saves the decoded records whole or not at all, unless they are there, and reads them.

    `Dataset.cache(filename)` leaves a lock behind when its process is killed and does not notice
    when the data set or the image size is another.
    """
    height, width = image_size
    path = folder / f"{info.name}-{split}-{height}x{width}-{info.fingerprint[:16]}"
    if not path.is_dir():
        logging.info("Writing the decoded pictures of split %s to %s", split, path)
        try:
            with whole_directory(path) as aside:
                decoded.save(str(aside / "records"))
        except FileExistsError:
            logging.info("Another process wrote %s in the meantime", path)
        except _READ_ERRORS:
            find_damage(info, split)
            raise
    saved = tf.data.Dataset.load(str(path / "records"), element_spec=decoded.element_spec)
    return saved.apply(tf.data.experimental.assert_cardinality(info.splits[split]))


def _stream(seed: int, stream: int, position: tf.Tensor) -> tf.Tensor:
    """A stateless seed [2] for a position in one of the random streams of `seed`."""
    return tf.random.experimental.stateless_fold_in(
        tf.constant([seed, stream], tf.int64), tf.cast(position, tf.int64)
    )
