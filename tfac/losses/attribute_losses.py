"""Attribute losses, and what a score means under each.

A loss knows how its scores become probabilities. Whatever the loss, a score above its threshold (0
unless a rule moved it) predicts that the attribute is shown (DMM-CNN, Eq. 5).

With class weights that balance the classes, scores and probabilities are those of a population in
which both classes of each attribute are equally frequent.
"""

import abc

from keras import ops

from tfac.errors import ConfigError


class AttributeLoss(abc.ABC):
    """The loss of each attribute of each picture.

    Args:
        class_weights: [A, 2], what a negative and what a positive label of each attribute weighs;
            None for 1.
    """

    name: str

    def __init__(self, class_weights=None):
        self.class_weights = class_weights

    def per_element(self, labels, scores):
        """Returns the loss [B, A] of scores [B, A] for labels [B, A] in {0, 1}."""
        losses = self._unweighted(labels, scores)
        if self.class_weights is None:
            return losses
        negative, positive = ops.unstack(ops.cast(self.class_weights, "float32"), axis=1)
        return losses * ops.where(labels > 0.5, positive, negative)

    @abc.abstractmethod
    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores, of the same shape."""

    @abc.abstractmethod
    def _unweighted(self, labels, scores):
        """Returns the loss [B, A] with both classes weighing 1."""


class SquaredError(AttributeLoss):
    """(score - label)^2 with labels mapped to {-1, 1}: Eq. 2 of Mao et al. (DMM-CNN).

    Least squares on {-1, 1} labels estimates 2 p - 1, so a probability is (score + 1) / 2, clipped.
    """

    name = "squared_error"

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores, of the same shape."""
        return ops.clip((scores + 1.0) / 2.0, 0.0, 1.0)

    def _unweighted(self, labels, scores):
        return ops.square(scores - (2.0 * labels - 1.0))


class BinaryCrossentropy(AttributeLoss):
    """Binary cross-entropy of a logit: log(1 + exp(score)) - label * score."""

    name = "binary_crossentropy"

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores, of the same shape."""
        return ops.sigmoid(scores)

    def _unweighted(self, labels, scores):
        return ops.softplus(scores) - labels * scores


ATTRIBUTE_LOSSES = {loss.name: loss for loss in (SquaredError, BinaryCrossentropy)}


def get_attribute_loss(name: str, class_weights=None) -> AttributeLoss:
    """Returns the attribute loss called `name`; `class_weights` [A, 2] are those of its classes.

    Raises:
        ConfigError: there is no such loss.
    """
    if name not in ATTRIBUTE_LOSSES:
        raise ConfigError(
            f"attribute_loss: expected one of {', '.join(ATTRIBUTE_LOSSES)}. Received: {name}"
        )
    return ATTRIBUTE_LOSSES[name](class_weights)
