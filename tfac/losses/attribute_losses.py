"""Attribute losses, and what a score means under each.

A loss knows how its scores become probabilities. Whatever the loss, a score above its threshold (0
unless a rule moved it) predicts that the attribute is shown (DMM-CNN, Eq. 5).
"""

from keras import ops

from tfac.errors import ConfigError


class SquaredError:
    """(score - label)^2 with labels mapped to {-1, 1}: Eq. 2 of Mao et al. (DMM-CNN).

    Least squares on {-1, 1} labels estimates 2 p - 1, so a probability is (score + 1) / 2, clipped.
    """

    name = "squared_error"

    def per_element(self, labels, scores):
        """Returns the loss [B, A] of scores [B, A] for labels [B, A] in {0, 1}."""
        return ops.square(scores - (2.0 * labels - 1.0))

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores, of the same shape."""
        return ops.clip((scores + 1.0) / 2.0, 0.0, 1.0)


class BinaryCrossentropy:
    """Binary cross-entropy of a logit: log(1 + exp(score)) - label * score."""

    name = "binary_crossentropy"

    def per_element(self, labels, scores):
        """Returns the loss [B, A] of scores [B, A] for labels [B, A] in {0, 1}."""
        return ops.softplus(scores) - labels * scores

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores, of the same shape."""
        return ops.sigmoid(scores)


ATTRIBUTE_LOSSES = {loss.name: loss for loss in (SquaredError, BinaryCrossentropy)}


def get_attribute_loss(name: str) -> SquaredError | BinaryCrossentropy:
    """Returns the attribute loss called `name`.

    Raises:
        ConfigError: there is no such loss.
    """
    if name not in ATTRIBUTE_LOSSES:
        raise ConfigError(
            f"attribute_loss: expected one of {', '.join(ATTRIBUTE_LOSSES)}. Received: {name}"
        )
    return ATTRIBUTE_LOSSES[name]()
