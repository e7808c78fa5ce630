"""Which devices and processes a run uses."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfac.errors import ConfigError, TrainingError
from tfac.training.config import TrainConfig

# What TensorFlow raises in a worker when another one is gone.
_LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def create_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """Returns TensorFlow's default strategy, or one over several devices or processes.

    `mirrored` takes the devices of this process. Without a GPU, the CPU is cut into `num_devices`
    logical devices: nothing gets faster, but a distributed run can be tried. `multi_worker` takes
    those of every process that the environment's TF_CONFIG names, and waits for all of them.

    With several devices the batch is shared out, losses and gradients are those of the whole batch,
    but batch normalisation takes its statistics from each device's own share.

    Raises:
        ConfigError: fewer devices than asked for, a batch that does not divide over them, or no
            usable TF_CONFIG.
    """
    if config.strategy == "one_device":
        return tf.distribute.get_strategy()
    if config.strategy == "multi_worker":
        _read_tf_config()
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        _require_even_shares(config.batch_size, strategy.num_replicas_in_sync)
        return strategy
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        _split_cpu(max(config.num_devices, 1))
    devices = tf.config.list_logical_devices(kind)
    count = config.num_devices or len(devices)
    if count > len(devices):
        raise ConfigError(f"num_devices={count}: there are {len(devices)} {kind} devices")
    _require_even_shares(config.batch_size, count)
    return tf.distribute.MirroredStrategy([device.name for device in devices[:count]])


def is_chief(config: TrainConfig) -> bool:
    """Says whether this process writes the run's files: with several workers, one of them does.

    Raises:
        ConfigError: no usable TF_CONFIG.
    """
    if config.strategy != "multi_worker":
        return True
    cluster, task = _read_tf_config()
    return task["type"] == "chief" or ("chief" not in cluster and int(task["index"]) == 0)


@functools.lru_cache(maxsize=1)
def create_gather(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], np.ndarray]:
    """Returns a function from a per-replica value [B_r, ...] to all replicas' as one array.

    With several workers every one has to call it, in the same order, and each gets the whole.
    """
    if not _has_other_workers(strategy):
        return lambda value: np.concatenate(
            [part.numpy() for part in strategy.experimental_local_results(value)]
        )

    def all_gather(value):
        # The collective ops know no uint8. `identity` puts a value on this replica's device.
        sent = tf.cast(value, tf.int32) if value.dtype == tf.uint8 else tf.identity(value)
        gathered = tf.distribute.get_replica_context().all_gather(sent, axis=0)
        return tf.cast(gathered, value.dtype)

    # One function a dtype and rank: TensorFlow warns when one is traced often.
    @functools.cache
    def create(dtype, rank):
        return tf.function(lambda v: strategy.run(all_gather, args=(v,)), reduce_retracing=True)

    def gather(value):
        first = strategy.experimental_local_results(value)[0]
        gathered = create(first.dtype, first.shape.rank)(value)
        return strategy.experimental_local_results(gathered)[0].numpy()

    return gather


def require_same(strategy: tf.distribute.Strategy, what: str, value: object) -> None:
    """Makes sure that a value, such as the options, is the same in every worker.

    Raises:
        ConfigError: it is not; names `what`.
    """
    digest = hashlib.sha256(repr(value).encode()).digest()[:7]
    every = create_gather(strategy)(tf.constant([int.from_bytes(digest)]))
    if len(set(every.tolist())) > 1:
        raise ConfigError(f"{what} must be the same for every worker. Here: {value}")


def create_agreement(strategy: tf.distribute.Strategy) -> Callable[[int], int]:
    """Returns a function from a number of this worker's to the largest of any worker's."""
    if not _has_other_workers(strategy):
        return int
    gather = create_gather(strategy)
    return lambda number: int(gather(tf.constant([number])).max())


@contextlib.contextmanager
def end_with_others(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says so when the block fails because another worker has ended.

    Raises:
        TrainingError: another worker has ended or cannot be reached.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not (_has_other_workers(strategy) and isinstance(error, _LOST_WORKER)):
            raise
        raise TrainingError(
            "another worker has ended or cannot be reached. Start all workers again: they go on "
            f"from the last checkpoint. TensorFlow says: {error.message.splitlines()[0]}"
        ) from error


def _has_other_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _require_even_shares(batch_size: int, count: int) -> None:
    if batch_size % count:
        raise ConfigError(f"batch_size={batch_size} does not divide evenly over {count} devices")


def _read_tf_config() -> tuple[dict, dict]:
    """Returns TF_CONFIG's cluster and task; `tf.distribute` takes none for a run of one process."""
    text = os.environ.get("TF_CONFIG")
    wanted = (
        "strategy=multi_worker needs the environment variable TF_CONFIG, such as "
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", '
        '"index": 0}} with an index of its own for each process. Received: '
    )
    try:
        record = json.loads(text)
        cluster, task = record["cluster"], record["task"]
        cluster[task["type"]][int(task["index"])]
    except (TypeError, ValueError, LookupError) as error:
        raise ConfigError(f"{wanted}{text}") from error
    return cluster, task


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started already and keeps the devices it has
        pass
