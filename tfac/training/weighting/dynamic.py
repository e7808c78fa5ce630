"""Dynamic weights from the whole validation set: the scheme of DMM-CNN."""

import numpy as np
import tensorflow as tf

from tfac.training.weighting.uniform import UniformWeighting


class DynamicWeighting(UniformWeighting):
    """Weighs an attribute by how fast its validation loss changes: Mao et al. (DMM-CNN), Eq. 4.

    All weights are 1 until there are two validations.

    Args:
        num_attributes: A.
        mean_one: rescale the weights to mean 1, a departure from the paper: raw weights shrink
            towards 0 as the losses settle, and the learning rate with them.
    """

    def __init__(self, num_attributes: int, mean_one: bool):
        super().__init__(num_attributes)
        self._mean_one = mean_one
        self.previous_losses = tf.Variable(  # NaN: no validation yet
            tf.fill([num_attributes], tf.constant(np.nan, tf.float64)), trainable=False
        )

    def update(self, validation_losses: np.ndarray) -> None:
        """Sets the weights from the validation losses [A] and keeps these for the next time."""
        previous_losses = self.previous_losses.numpy()
        if np.isfinite(previous_losses).all():
            weights = dynamic_weights(previous_losses, validation_losses)
            if self._mean_one:
                weights = rescale_to_mean_one(weights)
            self.attribute_weights.assign(weights.astype(np.float32))
        self.previous_losses.assign(np.asarray(validation_losses, np.float64))


def dynamic_weights(previous_losses: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Returns ``|L(t) - L(t-1)| / L(t-1)`` [A]; 1 where L(t-1) is 0 and there is no trend.

    Reference:
        Mao et al. (DMM-CNN), Eq. 4. A rising loss weighs as much as a falling one, as printed.
    """
    previous_losses = np.asarray(previous_losses, np.float64)
    change = np.abs(losses - previous_losses)
    return np.divide(change, previous_losses, out=np.ones_like(change), where=previous_losses > 0)


def rescale_to_mean_one(weights: np.ndarray) -> np.ndarray:
    """Returns the weights [A] divided by their mean; ones where all are 0."""
    mean = weights.mean()
    return weights / mean if mean > 0 else np.ones_like(weights)
