"""GradNorm."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfac.training.weighting.base import Weighting

_ALPHA = 1.5
_LEARNING_RATE = 0.025


class GradNormWeighting(Weighting):
    """Makes attributes that train slowly pull harder at the last layer that all of them share.

    With ``G_j = weights_j |grad L_j|`` at that layer and r_j the attribute's loss over its first
    loss, divided by the mean of that over the attributes, Adam lowers
    ``sum_j |G_j - mean(G) r_j^1.5|`` in the weights alone, the second part held constant; then the
    weights are rescaled to the sum A. Each training step ends with one such step.

    The gradients are taken one attribute after the other, from the heads to the shared layer.

    Departures: the layer is the backbone's last one with weights, which in a ResNet is a batch
    normalisation with its scale and shift (cheap; the last convolution is right before it), and
    weights do not fall below 0.

    Args:
        num_attributes: A.
        shared_layer: a layer that every attribute's loss passes through.

    Reference:
        Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
        Networks", 2018, Eq. 1 and 2, Algorithm 1; alpha 1.5 and a rate of 0.025 of section 5.
    """

    compares_gradients = True

    def __init__(self, num_attributes: int, shared_layer: keras.layers.Layer):
        super().__init__()
        self._layer_weights = [weight.value for weight in shared_layer.trainable_weights]
        self._weights = keras.Variable(ops.ones([num_attributes]), name="attribute_weights")
        self._optimizer = keras.optimizers.Adam(_LEARNING_RATE)
        self._optimizer.build([self._weights])
        self.first_losses = tf.Variable(  # NaN: no step yet
            tf.fill([num_attributes], np.float32(np.nan)), trainable=False
        )

    @property
    def attribute_weights(self):
        """Float32 [A], sum A."""
        return self._weights.value

    def observe_gradients(self, tape, scaled_losses, losses, loss_scale) -> None:
        """Changes the weights; see the class. A gradient that is not finite changes nothing."""
        num_attributes = losses.shape[0]
        norms = tf.map_fn(
            lambda one_hot: tf.linalg.global_norm(
                tape.gradient(scaled_losses, self._layer_weights, output_gradients=one_hot)
            ),
            tf.eye(num_attributes),
        )
        norms = norms / loss_scale  # [A]
        first_losses = self.first_losses
        first_losses.assign(tf.where(tf.math.is_nan(first_losses), losses, first_losses))
        gradient = weight_gradient(self.attribute_weights, norms, losses, first_losses)
        finite = ops.all(ops.isfinite(gradient))
        before = ops.copy(self.attribute_weights)
        self._optimizer.apply([ops.where(finite, gradient, 0.0)], [self._weights])
        weights = ops.maximum(self.attribute_weights, 0.0)
        weights = weights * (num_attributes / ops.sum(weights))
        self._weights.assign(ops.where(finite, weights, before))


def weight_gradient(weights, norms, losses, first_losses):
    """Returns the gradient [A] of ``sum_j |G_j - target_j|`` in the weights: Eq. 2.

    Args:
        weights: [A].
        norms: [A], lengths of the gradients of the losses without their weights.
        losses: [A].
        first_losses: [A]; where one is 0, that loss counts as unchanged.
    """
    known = first_losses > 0
    ratios = ops.where(known, losses / ops.where(known, first_losses, 1.0), 1.0)
    weighted_norms = weights * norms  # G
    targets = ops.mean(weighted_norms) * (ratios / ops.mean(ratios)) ** _ALPHA
    return norms * ops.sign(weighted_norms - targets)


def last_shared_layer(backbone: keras.Model) -> keras.layers.Layer:
    """Returns the last of the backbone's layers that has weights to train."""
    return [layer for layer in backbone.layers if layer.trainable_weights][-1]
