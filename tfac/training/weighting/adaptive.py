"""Adaptive Weighting from a few validation pictures a step."""

import tensorflow as tf
from keras import ops

from tfac.training.weighting.uniform import UniformWeighting

INTERVAL = 200  # steps


class AdaptiveWeighting(UniformWeighting):
    """Weighs an attribute by its validation loss and by how fast that changes.

    Every step takes the losses of a few validation pictures. Every 200 steps, with L the mean over
    these steps and L' that over the 200 before: ``trend = |L - L'| / L`` and
    ``weights = (trend / mean(trend)) (L / mean(L))``, rescaled to mean 1. All weights are 1 until
    step 400.

    Departures: the network looks at the validation pictures in inference mode, apart from the
    training batch, of which they are one half in the authors' code; 10 pictures a step are the
    paper's batch.

    Args:
        num_attributes: A.
        interval: steps that a mean is over.

    Reference:
        He et al., "Adaptively Weighted Multi-task Deep Network for Person Attribute
        Classification", 2017. Divided by the newer mean, and updated once an interval, as the
        authors' code does.
    """

    def __init__(self, num_attributes: int, interval: int = INTERVAL):
        super().__init__(num_attributes)
        self._interval = interval
        self.steps = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.sums = tf.Variable(tf.zeros([num_attributes]), trainable=False)  # in this interval
        self.counts = tf.Variable(tf.zeros([num_attributes]), trainable=False)
        self.previous_losses = tf.Variable(tf.zeros([num_attributes]), trainable=False)

    def after_step(self, attribute_losses, validation_samples) -> None:
        """Takes in the next validation pictures; sets the weights at an interval's end."""
        sums, counts = next(validation_samples)
        self.sums.assign_add(sums)
        self.counts.assign_add(counts)
        self.steps.assign_add(1)
        intervals, steps = divmod(int(self.steps.numpy()), self._interval)
        if steps:
            return
        losses = self.sums / ops.maximum(self.counts, 1.0)
        if intervals >= 2:
            self.attribute_weights.assign(adaptive_weights(self.previous_losses, losses))
        self.previous_losses.assign(losses)
        for variable in (self.sums, self.counts):
            variable.assign(ops.zeros_like(variable))


def adaptive_weights(previous_losses, losses):
    """Returns trend times loss [A], rescaled to mean 1; ones where no loss has changed.

    The trend times the loss is ``|L - L'|`` but for factors that the attributes share, which the
    rescaling takes out: the scheme weighs by the change of the loss, not by its relative change.
    """
    changes = ops.abs(losses - previous_losses)
    mean = ops.mean(changes)
    return ops.where(mean > 0, changes / ops.where(mean > 0, mean, 1.0), ops.ones_like(changes))
