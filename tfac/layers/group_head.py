"""One classifier an attribute, on the feature of the attribute's group."""

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfac")
class GroupHead(keras.layers.Layer):
    """A linear binary classifier for each attribute that reads its group's feature.

    ``scores_a = kernel_a . f_group(a) + bias_a``

    MGG-Net calls the same head on group features and on graph features: the classifier's parameters
    in Eq. 3 carry the attribute and the block alone.

    Args:
        group_indices: [A], the group that each attribute reads.

    Call arguments:
        group_features: [B, G, C].

    Returns:
        Scores [B, A] in the layer's dtype; a model gives it ``dtype="float32"``.

    Raises:
        ValueError: `group_indices` is empty or names a group that the input does not have.

    Reference:
        Chen et al. (MGG-Net), Eq. 3.
    """

    def __init__(self, group_indices: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        if not group_indices or min(group_indices) < 0:
            raise ValueError(
                f"group_indices: expected indices from 0. Received: group_indices={group_indices}"
            )
        self.group_indices = tuple(int(index) for index in group_indices)

    def build(self, input_shape):
        """Adds the weights for group features [B, G, C]."""
        if len(input_shape) != 3 or None in input_shape[1:]:
            raise ValueError(f"expected group features [B, G, C]. Received: shape={input_shape}")
        groups, channels = input_shape[1:]
        if max(self.group_indices) >= groups:
            raise ValueError(
                f"group_indices: expected indices below {groups}, the groups of the input. "
                f"Received: group_indices={self.group_indices}"
            )
        attributes = len(self.group_indices)
        self.kernel = self.add_weight(
            shape=(attributes, channels), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(attributes,), initializer="zeros", name="bias")
        super().build(input_shape)

    def call(self, group_features):
        """Maps [B, G, C] to scores [B, A]."""
        # Every attribute of every group, of which its own group's is kept: two to three times as
        # fast as gathering each attribute's features [B, A, C].
        scores = ops.matmul(group_features, ops.transpose(self.kernel))  # [B, G, A]
        own = ops.one_hot(self.group_indices, group_features.shape[1], axis=0, dtype=scores.dtype)
        return ops.sum(scores * own, axis=1) + self.bias

    def compute_output_shape(self, input_shape):
        """Returns (B, A)."""
        return (input_shape[0], len(self.group_indices))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "group_indices": self.group_indices}
