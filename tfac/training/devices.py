"""Which devices a run uses."""

import tensorflow as tf

from tfac.errors import ConfigError
from tfac.training.config import TrainConfig


def create_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """Returns TensorFlow's default strategy, or a mirrored one over several devices.

    Without a GPU, the CPU is cut into `num_devices` logical devices: nothing gets faster, but a
    distributed run can be tried.

    With several devices the batch is shared out, losses and gradients are those of the whole batch,
    but batch normalisation takes its statistics from each device's own share.

    Raises:
        ConfigError: fewer devices than asked for, or a batch that does not divide over them.
    """
    if config.strategy == "one_device":
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        _split_cpu(max(config.num_devices, 1))
    devices = tf.config.list_logical_devices(kind)
    count = config.num_devices or len(devices)
    if count > len(devices):
        raise ConfigError(f"num_devices={count}: there are {len(devices)} {kind} devices")
    if config.batch_size % count:
        raise ConfigError(
            f"batch_size={config.batch_size} does not divide evenly over {count} devices"
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices[:count]])


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started already and keeps the devices it has
        pass
