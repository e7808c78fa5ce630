"""Which devices and processes a run uses."""

import contextlib
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfac.errors import ConfigError, TfacError, TrainingError
from tfac.training.config import TrainConfig

_CPU_INFO = Path("/proc/cpuinfo")

# What TensorFlow raises in a worker when another one is gone.
_LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class Devices:
    """The devices and processes of a run.

    `mirrored` takes the devices of this process. Without a GPU, the CPU is cut into `num_devices`
    logical devices: nothing gets faster, but a distributed run can be tried. `multi_worker` takes
    those of every process that the environment's TF_CONFIG names, and waits for all of them.

    With several devices the batch is shared out, losses and gradients are those of the whole batch,
    but batch normalisation takes its statistics from each device's own share.

    With several workers every one has to call `gather`, `require_same`, `largest` and
    `refuse_together`, in the same order, and each gets the whole.

    Args:
        config: the options.

    Attributes:
        strategy: TensorFlow's default strategy, or one over several devices or processes.
        writes: whether this process writes the run's files: of several workers one alone does.

    Raises:
        ConfigError: fewer devices than asked for, a batch that does not divide over them, or no
            usable TF_CONFIG.
    """

    def __init__(self, config: TrainConfig):
        self.writes = is_chief(config)
        self.strategy = _create_strategy(config)
        self._has_others = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)
        # One function a dtype and rank: TensorFlow warns when one is traced often.
        self._gather_workers = functools.cache(self._create_gather)

    def gather(self, value: tf.Tensor) -> np.ndarray:
        """Returns a per-replica value [B_r, ...], all replicas' as one array."""
        parts = self.strategy.experimental_local_results(value)
        if not self._has_others:
            return np.concatenate([part.numpy() for part in parts])
        gathered = self._gather_workers(parts[0].dtype, parts[0].shape.rank)(value)
        return self.strategy.experimental_local_results(gathered)[0].numpy()

    def _create_gather(self, dtype, rank):
        def all_gather(value):
            # The collective ops know no uint8. `identity` puts a value on this replica's device.
            sent = tf.cast(value, tf.int32) if dtype == tf.uint8 else tf.identity(value)
            gathered = tf.distribute.get_replica_context().all_gather(sent, axis=0)
            return tf.cast(gathered, dtype)

        return tf.function(
            lambda value: self.strategy.run(all_gather, args=(value,)), reduce_retracing=True
        )

    def require_same(self, what: str, value: object) -> None:
        """Makes sure that a value, such as the options, is the same in every worker.

        Raises:
            ConfigError: it is not; names `what`.
        """
        digest = hashlib.sha256(repr(value).encode()).digest()[:7]
        if len(set(self.gather(tf.constant([int.from_bytes(digest)])).tolist())) > 1:
            raise ConfigError(f"{what} must be the same for every worker. Here: {value}")

    def largest(self, number: int) -> int:
        """Returns the largest of every worker's number."""
        return int(self.gather(tf.constant([number])).max()) if self._has_others else number

    def refuse_together(self, error: TfacError | None) -> None:
        """Raises `error`, if there is any; in the other workers too, which would wait for this one.

        Raises:
            TfacError: `error`.
            TrainingError: another worker has one.
        """
        if self.largest(int(error is not None)):
            raise error or TrainingError("another worker cannot go on, and says why")

    @contextlib.contextmanager
    def end_with_others(self) -> Iterator[None]:
        """Says so when the block fails because another worker has ended.

        Raises:
            TrainingError: another worker has ended or cannot be reached.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if not (self._has_others and isinstance(error, _LOST_WORKER)):
                raise
            raise TrainingError(
                "another worker has ended or cannot be reached. Start all workers again: they go "
                f"on from the last checkpoint. TensorFlow says: {error.message.splitlines()[0]}"
            ) from error


def _create_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    if config.strategy == "one_device":
        return tf.distribute.get_strategy()
    if config.strategy == "multi_worker":
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


def describe_slowness(config: TrainConfig) -> str:
    """Returns why the precision is slow on this machine; "" where it is not known to be."""
    if config.precision != "mixed_bfloat16" or tf.config.list_physical_devices("GPU"):
        return ""
    features = _CPU_INFO.read_text() if _CPU_INFO.exists() else ""
    if not re.search(r"^flags\b", features, re.MULTILINE) or "avx512" in features:
        return ""
    return (
        "this processor has no AVX-512, so that training takes 3 to 4 times as long with precision="
        "mixed_bfloat16 as with float32"
    )


def is_chief(config: TrainConfig) -> bool:
    """Says whether this process writes the run's files: with several workers, one of them does.

    Raises:
        ConfigError: no usable TF_CONFIG.
    """
    if config.strategy != "multi_worker":
        return True
    cluster, task = _read_tf_config()
    return task["type"] == "chief" or ("chief" not in cluster and int(task["index"]) == 0)


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
