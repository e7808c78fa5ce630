"""A convolution with normalisation, ReLU and max pooling."""

import keras


@keras.saving.register_keras_serializable(package="tfac")
class ConvBlock(keras.layers.Layer):
    """Convolution of stride 1, batch normalisation, ReLU and max pooling, every border padded.

    Args:
        filters: channels out.
        kernel_size: side of the convolution's kernel.
        pool_size: side and stride of the max pooling; 1 leaves it out.

    Call arguments:
        feature_maps: [B, H, W, C].
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        [B, ceil(H / pool_size), ceil(W / pool_size), filters].
    """

    def __init__(self, filters: int, kernel_size: int = 3, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        policy = self.dtype_policy
        self.convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name="convolution",
            dtype=policy,
        )
        self.normalization = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name="normalization", dtype=policy
        )
        self.activation = keras.layers.ReLU(name="activation", dtype=policy)
        self.pooling = None
        if pool_size > 1:
            self.pooling = keras.layers.MaxPooling2D(
                pool_size, padding="same", name="pooling", dtype=policy
            )

    def build(self, input_shape):
        """Builds the convolution and its normalisation for feature maps [B, H, W, C]."""
        self.convolution.build(input_shape)
        self.normalization.build(self.convolution.compute_output_shape(input_shape))
        super().build(input_shape)

    def call(self, feature_maps, training=False):
        """Maps [B, H, W, C] to [B, h, w, filters]."""
        feature_maps = self.convolution(feature_maps)  # [B, H, W, filters]
        feature_maps = self.activation(self.normalization(feature_maps, training=training))
        return feature_maps if self.pooling is None else self.pooling(feature_maps)

    def compute_output_shape(self, input_shape):
        """Returns (B, h, w, filters)."""
        shape = self.convolution.compute_output_shape(input_shape)
        return shape if self.pooling is None else self.pooling.compute_output_shape(shape)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "pool_size": self.pool_size,
        }
