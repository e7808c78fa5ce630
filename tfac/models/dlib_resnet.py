"""dlib's face recognition network, in Keras."""

import keras
from keras import layers, ops

# Stages: (channels, residual blocks). Each but the first begins by halving the maps.
STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))
_MIN_SIDE = 3  # of the maps that a block halves


@keras.saving.register_keras_serializable(package="tfac")
class PaddedSum(layers.Layer):
    """The sum of two maps, the smaller filled up with zeros.

    Call arguments:
        inputs: two maps [B, h, w, C], rows, columns and channels as they may be.

    Returns:
        [B, h, w, C], each side that of the larger: rows are added at the bottom, columns at the
        right, channels at the end.

    Reference:
        dlib's `add_prev` layer.
    """

    def call(self, inputs):
        """Pads both to the larger of each side, then adds."""
        sides = [_sides(maps) for maps in inputs]
        padded = []
        for maps, own, other in zip(inputs, sides, reversed(sides), strict=True):
            missing = [_at_least_0(b - a) for a, b in zip(own, other, strict=True)]
            padded.append(_pad(maps, missing))
        return padded[0] + padded[1]

    def compute_output_shape(self, input_shape):
        """Returns the larger of each side, None where one is unknown."""
        sides = zip(*input_shape, strict=True)
        return tuple(None if None in pair else max(pair) for pair in sides)


@keras.saving.register_keras_serializable(package="tfac")
class MinimumSize(layers.Layer):
    """Maps with rows and columns of zeros at the bottom and right, where they have too few.

    Args:
        side: rows and columns wanted at least.

    Call arguments:
        inputs: [B, h, w, C].

    Returns:
        [B, max(h, side), max(w, side), C].
    """

    def __init__(self, side: int, **kwargs):
        super().__init__(**kwargs)
        self.side = side

    def call(self, inputs):
        """Pads what is too small."""
        height, width, _ = _sides(inputs)
        missing = [_at_least_0(self.side - side) for side in (height, width)]
        return _pad(inputs, [*missing, 0])

    def compute_output_shape(self, input_shape):
        """Returns sides of at least `side`, None where unknown."""
        batch, *sides, channels = input_shape
        return (batch, *(None if n is None else max(n, self.side) for n in sides), channels)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "side": self.side}


@keras.saving.register_keras_serializable(package="tfac")
class AppendMean(layers.Layer):
    """Maps with the mean of other maps in further channels of each cell.

    Call arguments:
        inputs: maps [B, H, W, C] and others [B, h, w, D].

    Returns:
        [B, H, W, C + D].
    """

    def call(self, inputs):
        """Appends the mean of the second to the first."""
        maps, others = inputs
        mean = ops.mean(others, axis=(1, 2), keepdims=True)  # [B, 1, 1, D]
        batch, height, width, _ = ops.shape(maps)
        mean = ops.broadcast_to(mean, (batch, height, width, mean.shape[-1]))
        return ops.concatenate([maps, mean], axis=-1)

    def compute_output_shape(self, input_shape):
        """Returns (B, H, W, C + D)."""
        maps, others = input_shape
        return (*maps[:3], maps[3] + others[3])


def create_dlib_resnet29(dtype=None) -> keras.Model:
    """Returns dlib's 29 convolutions: images [B, H, W, 3] to maps [B, h, w, 512] of stride 32.

    A 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, both without padding, then five
    stages of residual blocks of 32, 64, 128, 256 and 256 channels. A block that begins a stage but
    the first halves: its first convolution has stride 2 and no padding, its shortcut is 2x2 average
    pooling, and the sum fills the smaller up with zeros. The last map has stride 64, 2x2 at 150
    pixels. 5.6 M weights, 271 M multiply-adds at 150 pixels.

    Departures: batch norms stand where dlib's trained network has fixed scales and shifts; a map
    with fewer than three rows or columns is filled up to three before it is halved, so that
    pictures may have any size. Its input is normalised like every other backbone's here
    (`tfac.models.normalization`); `tfac.models.dlib_weights` fits dlib's weights to that.

    Args:
        dtype: Keras dtype policy.

    References:
        King, `dnn_face_recognition_ex.cpp` of dlib; He et al., "Deep Residual Learning for Image
        Recognition", 2016.
    """

    def convolution(maps, filters, name, size=3, strides=1, padding="same"):
        maps = layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=dtype,
            name=f"{name}_conv",
        )(maps)
        # Keras's own momentum of 0.99 forgets the start too late for short runs.
        return layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=dtype, name=f"{name}_norm"
        )(maps)

    def relu(maps, name):
        return layers.ReLU(dtype=dtype, name=f"{name}_relu")(maps)

    images = keras.Input((None, None, 3))
    maps = relu(convolution(images, 32, "stem", size=7, strides=2, padding="valid"), "stem")
    maps = layers.MaxPooling2D(3, strides=2, dtype=dtype, name="stem_pool")(maps)
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            halves = stage > 1 and block == 1
            shortcut = maps
            if halves:
                maps = MinimumSize(_MIN_SIDE, dtype=dtype, name=f"{name}_minimum")(maps)
                shortcut = layers.AveragePooling2D(2, dtype=dtype, name=f"{name}_pool")(maps)
            maps = convolution(
                maps,
                filters,
                f"{name}_1",
                strides=2 if halves else 1,
                padding="valid" if halves else "same",
            )
            maps = convolution(relu(maps, f"{name}_1"), filters, f"{name}_2")
            maps = PaddedSum(dtype=dtype, name=f"{name}_sum")([maps, shortcut])
            maps = relu(maps, name)
        if stage == 4:
            spatial = maps
    maps = AppendMean(dtype=dtype, name="with_context")([spatial, maps])
    return keras.Model(images, maps, name="dlib_resnet29")


def _sides(maps) -> tuple:
    return ops.shape(maps)[1:]


def _at_least_0(number):
    return max(number, 0) if isinstance(number, int) else ops.maximum(number, 0)


def _pad(maps, missing):
    """Adds rows, columns and channels of zeros at their ends."""
    if all(isinstance(number, int) and number == 0 for number in missing):
        return maps
    return ops.pad(maps, [[0, 0], *([0, number] for number in missing)])
