"""Group attention learning (GAL) of MGG-Net."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfac")
class GroupAttention(keras.layers.Layer):
    """Looks at a feature map through one learned mask a group.

    ``M_i = phi_i(F)``, ``f_i = mean over H, W of F M_i``. The module phi_i of each group is a 3x3
    convolution to `width` channels, batch normalisation, ReLU, a 1x1 convolution to one channel,
    batch normalisation and ReLU. All groups are computed together.

    Readings: the paper gives "a set of convolution, batch normalization and ReLU activation layers"
    and a mask of one channel; how many, of which sizes and widths is left open.

    Args:
        num_groups: G, at least 1.
        width: D, channels inside each group's module.

    Call arguments:
        feature_maps: [B, H, W, C], any H and W.
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        ``(group_features [B, G, C], attention_mask [B, H, W, G])``; the mask is not negative.

    Raises:
        ValueError: an argument is out of range, or the input is not of rank 4 with known C.

    Reference:
        Chen et al. (MGG-Net), section 3.2, Eq. 1 and figure 1 (b).
    """

    def __init__(self, num_groups: int, width: int = 32, **kwargs):
        super().__init__(**kwargs)
        if num_groups < 1 or width < 1:
            raise ValueError(
                "num_groups and width: expected 1 or more. "
                f"Received: num_groups={num_groups}, width={width}"
            )
        self.num_groups = num_groups
        self.width = width
        policy = self.dtype_policy
        normalization = {"momentum": 0.9, "epsilon": 1e-5, "dtype": policy}
        self.convolution = keras.layers.Conv2D(
            num_groups * width,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name="convolution",
            dtype=policy,
        )
        self.normalization = keras.layers.BatchNormalization(name="normalization", **normalization)
        self.mask_normalization = keras.layers.BatchNormalization(
            name="mask_normalization", **normalization
        )

    def build(self, input_shape):
        """Builds the sublayers for feature maps [B, H, W, C]."""
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                f"expected feature maps [B, H, W, C] with known C. Received: shape={input_shape}"
            )
        self.convolution.build(input_shape)
        self.normalization.build(self.convolution.compute_output_shape(input_shape))
        self.projection = self.add_weight(
            shape=(self.num_groups, self.width), initializer="glorot_uniform", name="projection"
        )
        self.mask_normalization.build((*input_shape[:3], self.num_groups))
        super().build(input_shape)

    def call(self, feature_maps, training=False):
        """Maps [B, H, W, C] to group features [B, G, C] and the attention mask [B, H, W, G]."""
        hidden = self.normalization(self.convolution(feature_maps), training=training)
        hidden = ops.relu(hidden)  # [B, H, W, G * D]
        # One product with a block-diagonal matrix: six times as fast as one by groups.
        blocks = ops.expand_dims(ops.eye(self.num_groups, dtype=self.compute_dtype), 1)  # [G, 1, G]
        projection = ops.expand_dims(self.projection, -1) * blocks  # [G, D, G]
        projection = ops.reshape(projection, (self.num_groups * self.width, self.num_groups))
        mask = ops.einsum("bhwn,ng->bhwg", hidden, projection)  # [B, H, W, G]
        mask = ops.relu(self.mask_normalization(mask, training=training))
        return ops.cast(_masked_mean(feature_maps, mask), self.compute_dtype), mask

    def compute_output_shape(self, input_shape):
        """Returns ((B, G, C), (B, H, W, G))."""
        batch, height, width, channels = input_shape
        return (batch, self.num_groups, channels), (batch, height, width, self.num_groups)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_groups": self.num_groups,
            "width": self.width,
        }


def _masked_mean(feature_maps, mask):
    """The mean of [B, H, W, C] times [B, H, W, G], [B, G, C]; in float32, as sums can be large."""
    feature_maps, mask = ops.cast(feature_maps, "float32"), ops.cast(mask, "float32")
    batch, height, width, channels = ops.shape(feature_maps)
    maps = ops.reshape(feature_maps, (batch, height * width, channels))
    masks = ops.reshape(mask, (batch, height * width, mask.shape[-1]))
    # A product of matrices: einsum takes twice as long on TensorFlow.
    total = ops.matmul(ops.transpose(masks, (0, 2, 1)), maps)  # [B, G, C]
    return total / ops.cast(height * width, "float32")
