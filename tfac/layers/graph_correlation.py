"""Graph correlation learning (GCL) of MGG-Net."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfac")
class GraphCorrelation(keras.layers.Layer):
    """Refines each group's feature with messages from the other groups, over a directed graph.

    With one transfer matrix w_gi and one edge vector w_ei for each receiving group i::

        e'_ij = w_ei^T relu(w_gi f_j)
        e_i   = softmax of e'_ij over the other groups j != i
        f'_i  = relu((1 - alpha) f_i + alpha sum_j e_ij w_gi f_j)

    Readings: the paper's sum has K - 1 terms, so a group sends itself no message; both weights
    carry the index i, so they belong to the group that receives; alpha is "a constant number" that
    the paper does not give, 0.5 here.

    Args:
        alpha: share of a group's feature that comes from the others, in [0, 1].

    Call arguments:
        group_features: [B, G, C], G of at least 2.

    Returns:
        ``(graph_features [B, G, C], affinity [B, G, G])``; row i of the affinity is what group i
        receives from each group j. Rows sum to 1 and the diagonal is 0.

    Raises:
        ValueError: `alpha` is outside [0, 1], or the input is not of rank 3 with known C and two
            groups or more.

    Reference:
        Chen et al. (MGG-Net), section 3.2, Eq. 2 and figure 1 (c).
    """

    def __init__(self, alpha: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha: expected a number from 0 to 1. Received: {alpha}")
        self.alpha = alpha

    def build(self, input_shape):
        """Adds the weights for group features [B, G, C]."""
        if len(input_shape) != 3 or None in input_shape[1:] or input_shape[1] < 2:
            raise ValueError(
                "expected group features [B, G, C] with two groups or more. "
                f"Received: shape={input_shape}"
            )
        groups, channels = input_shape[1:]
        # Keras counts the first axis into the fans; scale=groups takes it out again, which leaves
        # Glorot's range for each matrix.
        self.transfer = self.add_weight(
            shape=(groups, channels, channels),
            initializer=keras.initializers.VarianceScaling(
                scale=groups, mode="fan_avg", distribution="uniform"
            ),
            name="transfer",
        )
        self.edge = self.add_weight(
            shape=(groups, channels), initializer="glorot_uniform", name="edge"
        )
        super().build(input_shape)

    def call(self, group_features):
        """Maps [B, G, C] to graph features [B, G, C] and affinity [B, G, G]."""
        groups, channels = self.edge.shape
        # Products of matrices throughout: einsum takes half as long again on TensorFlow.
        senders = ops.reshape(group_features, (1, -1, channels))
        senders = ops.repeat(senders, groups, axis=0)  # [G, B * G, C]
        messages = ops.relu(ops.matmul(senders, self.transfer))  # [G, B * G, C], receivers first
        edges = ops.matmul(messages, ops.expand_dims(self.edge, -1))  # [G, B * G, 1]
        edges = ops.transpose(ops.reshape(edges, (groups, -1, groups)), (1, 0, 2))  # [B, G, G]
        to_itself = ops.eye(groups, dtype="bool")  # [G, G]
        edges = ops.where(to_itself, -float("inf"), ops.cast(edges, "float32"))
        affinity = ops.cast(ops.softmax(edges, axis=-1), self.compute_dtype)  # [B, G, G]
        # sum_j e_ij w_gi f_j = w_gi sum_j e_ij f_j
        mixed = ops.transpose(ops.matmul(affinity, group_features), (1, 0, 2))  # [G, B, C]
        received = ops.transpose(ops.matmul(mixed, self.transfer), (1, 0, 2))  # [B, G, C]
        graph_features = ops.relu((1 - self.alpha) * group_features + self.alpha * received)
        return graph_features, affinity

    def compute_output_shape(self, input_shape):
        """Returns ((B, G, C), (B, G, G))."""
        batch, groups, channels = input_shape
        return (batch, groups, channels), (batch, groups, groups)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha}
