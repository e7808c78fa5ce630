"""AlexNet's convolutions."""

import keras
from keras import layers


def create_alexnet(dtype=None) -> keras.Model:
    """Returns AlexNet without its fully connected layers: images [B, H, W, 3] to [B, h, w, 256].

    The layout is the one of a single tower: 64, 192, 384, 256 and 256 filters of 11x11 with stride
    4, 5x5, and three times 3x3, a ReLU after each, and max pooling of 3x3 with stride 2 after the
    first, second and fifth. 2.47 M weights.

    Departure: every layer pads so that a side is its input's divided by the stride, rounded up.
    The last map is 7x7 at 224 pixels, not 6x6, and pictures of any size will do.

    Args:
        dtype: Keras dtype policy.

    References:
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012;
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    """

    def convolution(filters, kernel_size, strides, name):
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=dtype,
            name=name,
        )

    def pooling(name):
        return layers.MaxPooling2D(3, strides=2, padding="same", dtype=dtype, name=name)

    images = keras.Input((None, None, 3))
    feature_map = images
    for layer in (
        convolution(64, 11, 4, "block1_conv"),  # [B, H / 4, W / 4, 64]
        pooling("block1_pool"),
        convolution(192, 5, 1, "block2_conv"),  # [B, H / 8, W / 8, 192]
        pooling("block2_pool"),
        convolution(384, 3, 1, "block3_conv"),  # [B, H / 16, W / 16, 384]
        convolution(256, 3, 1, "block4_conv"),
        convolution(256, 3, 1, "block5_conv"),
        pooling("block5_pool"),  # [B, H / 32, W / 32, 256]
    ):
        feature_map = layer(feature_map)
    return keras.Model(images, feature_map, name="alexnet")
