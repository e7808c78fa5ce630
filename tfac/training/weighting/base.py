"""What every weighting scheme has."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import ops


class Weighting(tf.Module):
    """The base of all schemes.

    A scheme turns the attributes' losses into one number (`total`), inside the training step, and
    is told of what happens by the other methods. All its state is in variables, so a checkpoint
    holds it.

    Attributes:
        attribute_weights: float32 [A], what the attributes weigh now.
        compares_gradients: whether `observe_gradients` needs a tape that can be used again.
    """

    attribute_weights: tf.Variable | tf.Tensor
    compares_gradients = False

    @property
    def learnt_variables(self) -> list[keras.Variable]:
        """Variables that the model's optimizer trains along with the model's."""
        return []

    def total(self, attribute_losses):
        """Returns the loss [] to minimise for attribute losses [A], summed over all loss terms.

        Under several replicas these are one replica's share, and so is what is returned.
        """
        return ops.sum(self.attribute_weights * attribute_losses)

    def observe_gradients(self, tape: tf.GradientTape, scaled_losses, losses, loss_scale) -> None:
        """Is called in the training step after the forward pass; only with `compares_gradients`.

        Args:
            tape: it recorded the forward pass.
            scaled_losses: [A], attribute losses times `loss_scale`, on the tape.
            losses: [A], attribute losses.
            loss_scale: [], what mixed_float16 multiplies losses by; 1 otherwise.
        """

    def after_step(
        self, attribute_losses: tf.Tensor, validation_samples: Iterator[tuple[tf.Tensor, tf.Tensor]]
    ) -> None:
        """Is called after each training step, with values that are on the device still.

        Args:
            attribute_losses: [A], those of the model's answer in the step.
            validation_samples: for each step, the sums of the losses [A] of a few validation
                pictures and how many of them are annotated [A]; computed only when asked for.
        """

    def update(self, validation_losses: np.ndarray) -> None:
        """Is called after each validation with its losses [A]."""
