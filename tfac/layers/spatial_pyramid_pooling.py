"""Spatial pyramid pooling."""

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfac")
class SpatialPyramidPooling(keras.layers.Layer):
    """Max-pools a feature map over a pyramid of grids into one vector of fixed length.

    Level n divides a map of height H and width W into n x n bins. Bin i of n over a side of length
    L covers the cells from floor(i L / n) to ceil((i + 1) L / n), so every size is covered whole,
    sizes that n does not divide included; neighbouring bins then share a row or column, and on a
    side shorter than n cells repeat.

    Args:
        levels: grid sizes, each at least 1. The paper's "1-level" layer is ``(1,)``; its "3-level"
            layer is ``(1, 2, 3)``, 14 bins, as its 28,672 features of 2,048 channels say.

    Call arguments:
        feature_maps: [B, H, W, C], any H and W of at least 1, known when traced or not.

    Returns:
        [B, C * sum(n * n for n in levels)]: levels in order, in a level row by row, then channels.

    Raises:
        ValueError: `levels` is empty or holds something other than positive integers, or the input
            is not a rank 4 tensor with known channels.

    Reference:
        He et al., "Spatial Pyramid Pooling in Deep Convolutional Networks", 2015; Mao et al.
        (DMM-CNN), section 3.2.2.
    """

    def __init__(self, levels: Sequence[int] = (1, 2, 3), **kwargs):
        super().__init__(**kwargs)
        if not levels or any(not isinstance(n, int) or n < 1 for n in levels):
            raise ValueError(f"levels: expected positive integers. Received: levels={levels}")
        self.levels = tuple(levels)

    def build(self, input_shape):
        """Checks the input's shape [B, H, W, C]."""
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                f"expected feature maps [B, H, W, C] with known C. Received: shape={input_shape}"
            )
        super().build(input_shape)

    def call(self, feature_maps):
        """Pools [B, H, W, C] to [B, C * bins]."""
        height, width = ops.shape(feature_maps)[1:3]
        pooled = [
            ops.max(feature_maps[:, top:bottom, left:right, :], axis=(1, 2))  # [B, C]
            for n in self.levels
            for top, bottom in bins(height, n)
            for left, right in bins(width, n)
        ]
        return ops.concatenate(pooled, axis=-1)  # [B, C * bins]

    def compute_output_shape(self, input_shape):
        """Returns (B, C * bins)."""
        return (input_shape[0], input_shape[-1] * sum(n * n for n in self.levels))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "levels": self.levels}


def bins(length, n: int) -> list[tuple]:
    """Returns the first cell of each of `n` bins over `length` cells, and the one after its last.

    `length` may be a tensor, where it is not known when traced.
    """
    return [(i * length // n, ((i + 1) * length + n - 1) // n) for i in range(n)]
