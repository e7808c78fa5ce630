"""Dynamic Weight Average."""

import tensorflow as tf
from keras import ops

from tfac.training.weighting.uniform import UniformWeighting

_TEMPERATURE = 2.0


class DynamicWeightAverage(UniformWeighting):
    """Weighs an attribute more the slower its training loss falls from epoch to epoch.

    ``rate_j = L_j(t-1) / L_j(t-2)`` of the means over the two epochs before epoch t;
    ``weights = A softmax(rate / 2)``. All weights are 1 in the first two epochs.

    Args:
        num_attributes: A.
        steps_per_epoch: training steps an epoch.

    Reference:
        Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", 2019, Eq. 7, with
        their temperature of 2.
    """

    def __init__(self, num_attributes: int, steps_per_epoch: int):
        super().__init__(num_attributes)
        self._steps_per_epoch = steps_per_epoch
        self.steps = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.epoch_losses = tf.Variable(tf.zeros([num_attributes]), trainable=False)  # sum so far
        self.previous_losses = tf.Variable(tf.zeros([num_attributes]), trainable=False)

    def after_step(self, attribute_losses, validation_samples) -> None:
        """Adds up the training losses [A]; sets the weights at an epoch's end."""
        self.epoch_losses.assign_add(attribute_losses)
        self.steps.assign_add(1)
        epochs, steps = divmod(int(self.steps.numpy()), self._steps_per_epoch)
        if steps:
            return
        losses = self.epoch_losses / self._steps_per_epoch
        if epochs >= 2:
            self.attribute_weights.assign(average_weights(self.previous_losses, losses))
        self.previous_losses.assign(losses)
        self.epoch_losses.assign(ops.zeros_like(self.epoch_losses))


def average_weights(previous_losses, losses):
    """Returns ``A softmax(losses / previous_losses / 2)`` [A]; rate 1 where there was no loss."""
    known = previous_losses > 0
    rates = ops.where(known, losses / ops.where(known, previous_losses, 1.0), 1.0)
    return losses.shape[0] * ops.softmax(rates / _TEMPERATURE)
