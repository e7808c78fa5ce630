"""The plain network that a method must beat."""

from collections.abc import Sequence

import keras

from tfac.attributes import ATTRIBUTES
from tfac.models.backbones import BackboneSource, backbone_config, create_backbone
from tfac.models.normalization import create_image_normalization


@keras.saving.register_keras_serializable(package="tfac")
class Baseline(keras.Model):
    """A backbone, global average pooling and one linear head for all attributes.

    Args:
        backbone: see `tfac.models.create_backbone`.
        attributes: attribute names, in the order of the scores.
        output_stride: see `tfac.models.create_backbone`.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        ``{"scores": float32 [B, A]}``.

    Reference:
        "Baseline" of Mao et al. (DMM-CNN), table 1: "we only use ResNet50 (with 40 output units)".
    """

    def __init__(
        self,
        backbone: BackboneSource = "resnet50",
        attributes: Sequence[str] = ATTRIBUTES,
        output_stride: int = 32,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.output_stride = output_stride
        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.backbone = create_backbone(backbone, output_stride, dtype=policy)
        self.pooling = keras.layers.GlobalAveragePooling2D(name="pooling", dtype=policy)
        self.head = keras.layers.Dense(len(self.attributes), name="head", dtype="float32")

    def build(self, input_shape):
        """Builds the head for images [B, H, W, 3]."""
        self.head.build(self.pooling.compute_output_shape(self.backbone.output_shape))
        self.built = True

    def call(self, images, training=False):
        """Maps images [B, H, W, 3] to ``{"scores": [B, A]}``."""
        return {"scores": self.head(self.features(images, training=training))}

    def features(self, images, training=False):
        """Maps images [B, H, W, 3] to what the head reads, [B, C]."""
        feature_map = self.backbone(self.normalization(images), training=training)  # [B, h, w, C]
        return self.pooling(feature_map)

    def compute_output_shape(self, input_shape):
        """Returns ``{"scores": (B, A)}``."""
        return {"scores": (input_shape[0], len(self.attributes))}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "backbone": backbone_config(self.backbone),
            "attributes": self.attributes,
            "output_stride": self.output_stride,
        }
