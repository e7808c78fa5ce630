"""A branch of DMM-CNN: spatial pyramid pooling, fully connected layers, head."""

from collections.abc import Sequence

import keras
from keras import ops

from tfac.layers.spatial_pyramid_pooling import SpatialPyramidPooling


@keras.saving.register_keras_serializable(package="tfac")
class PyramidBranch(keras.layers.Layer):
    """Spatial pyramid pooling, hidden fully connected layers with ReLU, and a linear head.

    Departure: the paper's branches have no normalisation and do not name their activation; ReLU is
    taken, and `normalization` puts a batch normalisation before each, which training from scratch
    needs (docs/papers.md). A step of gradient descent moves the head's output in proportion to the
    squared length of the features it reads: about D / 2 for D normalised units after ReLU, far more
    than the backbone's own features have. `feature_scale` shortens them.

    Without normalisation kernels start as the paper's framework, PyTorch, starts dense layers:
    uniformly within 1 / sqrt(fan_in), and biases at 0. From He's and Glorot's starts, which the
    normalised branches have, the printed recipe is not finite within five steps.

    Args:
        levels: grid sizes of the pyramid.
        hidden_units: widths of the hidden layers.
        num_outputs: width of the head.
        normalization: batch-normalise each hidden layer before its ReLU; False is the paper.
        feature_scale: where the scale (gamma) of the last normalisation starts, above 0; it is
            learnt from there. Without normalisation it means nothing.
        head_bias: where the head's bias starts.
        shortcut: the head reads the mean of the feature map too; False is the paper.

    Call arguments:
        feature_maps: [B, H, W, C].
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        float32 [B, num_outputs], also under mixed precision.

    Reference:
        Mao et al. (DMM-CNN), sections 3.2.1 to 3.2.3 and figure 2.
    """

    def __init__(
        self,
        levels: Sequence[int],
        hidden_units: Sequence[int],
        num_outputs: int,
        normalization: bool = False,
        feature_scale: float = 1.0,
        head_bias: float = 0.0,
        shortcut: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_outputs < 1:
            raise ValueError(f"num_outputs: expected 1 or more. Received: {num_outputs}")
        if feature_scale <= 0:
            raise ValueError(f"feature_scale: expected a number above 0. Received: {feature_scale}")
        self.levels = tuple(levels)
        self.hidden_units = tuple(hidden_units)
        self.num_outputs = num_outputs
        self.normalization = normalization
        self.feature_scale = feature_scale
        self.head_bias = head_bias
        self.shortcut = shortcut
        policy = self.dtype_policy
        hidden_initializer, head_initializer = "he_normal", "glorot_uniform"
        if not normalization:
            hidden_initializer = head_initializer = keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform"
            )
        self.pooling = SpatialPyramidPooling(self.levels, name="pooling", dtype=policy)
        self.hidden = []
        for i, units in enumerate(self.hidden_units, start=1):
            dense = keras.layers.Dense(
                units,
                use_bias=not normalization,
                kernel_initializer=hidden_initializer,
                name=f"dense_{i}",
                dtype=policy,
            )
            self.hidden.append(dense)
            if normalization:
                last = i == len(self.hidden_units)
                self.hidden.append(
                    keras.layers.BatchNormalization(
                        momentum=0.9,
                        epsilon=1e-5,
                        gamma_initializer=keras.initializers.Constant(feature_scale if last else 1),
                        name=f"normalization_{i}",
                        dtype=policy,
                    )
                )
            self.hidden.append(keras.layers.ReLU(name=f"relu_{i}", dtype=policy))
        self.head = keras.layers.Dense(
            num_outputs,
            kernel_initializer=head_initializer,
            bias_initializer=keras.initializers.Constant(head_bias),
            name="head",
            dtype="float32",
        )

    def build(self, input_shape):
        """Builds the sublayers for feature maps [B, H, W, C]."""
        self.pooling.build(input_shape)
        shape = self.pooling.compute_output_shape(input_shape)
        for layer in self.hidden:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.head.build((shape[0], shape[-1] + self.shortcut * input_shape[-1]))
        super().build(input_shape)

    def call(self, feature_maps, training=False):
        """Maps [B, H, W, C] to float32 [B, num_outputs]."""
        features = self.pooling(feature_maps)  # [B, bins * C]
        for layer in self.hidden:
            features = layer(features, training=training)  # [B, units]
        if self.shortcut:
            mean = ops.mean(feature_maps, axis=(1, 2))  # [B, C]
            features = ops.concatenate([features, mean], axis=-1)
        return self.head(features)

    def compute_output_shape(self, input_shape):
        """Returns (B, num_outputs)."""
        return (input_shape[0], self.num_outputs)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "levels": self.levels,
            "hidden_units": self.hidden_units,
            "num_outputs": self.num_outputs,
            "normalization": self.normalization,
            "feature_scale": self.feature_scale,
            "head_bias": self.head_bias,
            "shortcut": self.shortcut,
        }
