"""Fully connected layers with ReLU and dropout."""

from collections.abc import Sequence

import keras


@keras.saving.register_keras_serializable(package="tfac")
class FullyConnected(keras.layers.Layer):
    """Fully connected layers one after another, each with ReLU and dropout.

    Args:
        units: widths of the layers.
        dropout: share of the units that training sets to 0, in [0, 1).

    Call arguments:
        features: [B, D].
        training: whether to drop units.

    Returns:
        [B, units[-1]].
    """

    def __init__(self, units: Sequence[int], dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = tuple(units)
        self.dropout = dropout
        self.hidden = []
        for i, width in enumerate(self.units, start=1):
            self.hidden += [
                keras.layers.Dense(
                    width,
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"dense_{i}",
                    dtype=self.dtype_policy,
                ),
                keras.layers.Dropout(dropout, name=f"dropout_{i}", dtype=self.dtype_policy),
            ]

    def build(self, input_shape):
        """Builds the layers for features [B, D]."""
        shape = input_shape
        for layer in self.hidden:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        super().build(input_shape)

    def call(self, features, training=False):
        """Maps [B, D] to [B, units[-1]]."""
        for layer in self.hidden:
            features = layer(features, training=training)  # [B, units]
        return features

    def compute_output_shape(self, input_shape):
        """Returns (B, units[-1])."""
        return (input_shape[0], self.units[-1])

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
