"""Optimizers and learning rates over time."""

import functools

import keras
import tensorflow as tf

from tfac.training.config import TrainConfig

_DROP_FACTOR = 0.1  # Mao et al. (DMM-CNN), section 4.1; Chen et al. (MGG-Net), section 4.1


class PlateauSchedule(tf.Module):
    """Multiplies the learning rate by 0.1 when the validation loss stops falling.

    Args:
        optimizer: the optimizer whose rate is changed.
        patience: validations in a row without a lower loss that count as "stops falling"; the
            paper does not say how many.

    Reference:
        Mao et al. (DMM-CNN), section 4.1.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, patience: int):
        super().__init__()
        self._optimizer = optimizer
        self._patience = patience
        self.lowest_loss = tf.Variable(float("inf"), trainable=False, dtype=tf.float64)
        self.validations_since = tf.Variable(0, trainable=False, dtype=tf.int64)

    def update(self, validation_loss: float) -> None:
        """Takes in the mean validation loss; lowers the learning rate if it is time."""
        if validation_loss < self.lowest_loss.numpy():
            self.lowest_loss.assign(validation_loss)
            self.validations_since.assign(0)
            return
        self.validations_since.assign_add(1)
        if self.validations_since.numpy() >= self._patience:
            self._optimizer.learning_rate = self._optimizer.learning_rate * _DROP_FACTOR
            self.validations_since.assign(0)


class NoPlateau(tf.Module):
    """A learning rate that does not depend on the validation loss."""

    def update(self, validation_loss: float) -> None:
        """Does nothing."""


def create_optimizer(
    config: TrainConfig, steps_per_epoch: int, num_replicas: int, step: tf.Variable | None = None
) -> keras.optimizers.Optimizer:
    """Returns the optimizer; with mixed_float16 inside a `LossScaleOptimizer`.

    Args:
        config: optimizer, rate, schedule and precision.
        steps_per_epoch: training steps an epoch, to place the cosine or the drop.
        num_replicas: devices; see `tfac.training.step` for why clipping depends on it.
        step: training steps done. With mixed_float16 the schedule follows them, so that it reaches
            its end; by default it follows the updates, which leave out steps that overflow.
    """
    learning_rate = config.learning_rate
    if config.schedule == "cosine":
        warmup_steps = round(config.warmup_epochs * steps_per_epoch)
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else config.learning_rate,
            decay_steps=config.epochs * steps_per_epoch - warmup_steps,
            warmup_target=config.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if config.schedule == "step":
        learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [config.drop_epoch * steps_per_epoch - 1],  # the last step at the first rate
            [config.learning_rate, config.learning_rate * _DROP_FACTOR],
        )
    if config.precision == "mixed_float16" and step is not None and callable(learning_rate):
        learning_rate = functools.partial(learning_rate, step)
    options = {"learning_rate": learning_rate}
    if config.gradient_clip_norm:
        options["global_clipnorm"] = config.gradient_clip_norm / num_replicas
    if config.optimizer == "sgd":
        weight_decay = config.weight_decay or None  # None saves the work of taking nothing away
        optimizer = keras.optimizers.SGD(
            momentum=config.momentum, weight_decay=weight_decay, **options
        )
    else:
        optimizer = keras.optimizers.AdamW(weight_decay=config.weight_decay, **options)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_variances"])
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, config.loss_scale)
    return optimizer


def create_plateau(
    config: TrainConfig, optimizer: keras.optimizers.Optimizer
) -> PlateauSchedule | NoPlateau:
    """Returns what the loop tells each validation loss to."""
    if config.schedule == "plateau":
        return PlateauSchedule(optimizer, config.plateau_patience)
    return NoPlateau()


def current_learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns the learning rate of the next step."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
