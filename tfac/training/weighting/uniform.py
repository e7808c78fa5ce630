"""The weighting that leaves every attribute alone."""

import tensorflow as tf

from tfac.training.weighting.base import Weighting


class UniformWeighting(Weighting):
    """Every attribute weighs 1.

    Args:
        num_attributes: A.
    """

    def __init__(self, num_attributes: int):
        super().__init__()
        self.attribute_weights = tf.Variable(
            tf.ones([num_attributes]), trainable=False, name="attribute_weights"
        )
