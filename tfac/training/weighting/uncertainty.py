"""Uncertainty weighting."""

import keras
import tensorflow as tf
from keras import ops

from tfac.training.weighting.base import Weighting


class UncertaintyWeighting(Weighting):
    """Learns each attribute's noise: ``total = sum_j exp(-s_j) L_j / 2 + s_j / 2``.

    The log variances s start at 0 and are trained with the model, without weight decay. What an
    attribute weighs is exp(-s) / 2, so half of a uniform weight at first.

    Args:
        num_attributes: A.

    Reference:
        Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", 2018,
        Eq. 7, with s = log(sigma^2).
    """

    def __init__(self, num_attributes: int):
        super().__init__()
        self._log_variances = keras.Variable(
            ops.zeros([num_attributes]), name="log_variances", dtype="float32"
        )

    @property
    def attribute_weights(self):
        """Float32 [A]: ``exp(-s) / 2``."""
        return ops.exp(-self._log_variances.value) / 2

    @property
    def learnt_variables(self) -> list[keras.Variable]:
        """The log variances [A]."""
        return [self._log_variances]

    def total(self, attribute_losses):
        """Returns the loss of Eq. 7, or one replica's share of it."""
        share = 1 / tf.distribute.get_strategy().num_replicas_in_sync
        penalty = share * ops.sum(self._log_variances.value) / 2
        return super().total(attribute_losses) + penalty
