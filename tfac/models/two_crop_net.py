"""The two-crop network: the whole picture and a close-up of the face."""

from collections.abc import Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES
from tfac.layers.spatial_pyramid_pooling import bins
from tfac.models.backbones import (
    FEATURE_LEVELS,
    BackboneSource,
    backbone_config,
    create_backbone,
    create_feature_extractor,
)
from tfac.models.normalization import create_image_normalization
from tfac.models.own_backbone import copy_backbone

# Top, bottom, left and right of the close-up, as shares of a picture aligned as CelebA's: where
# dlib's face chips lie, which its network was trained on: from (34.6, 78.3) to (144.1, 187.8) of
# 178x218 pixels.
CLOSE_UP = (0.359, 0.861, 0.194, 0.809)


@keras.saving.register_keras_serializable(package="tfac")
class TwoCropNet(keras.Model):
    """Two crops of a picture, each through a backbone of its own, and one linear head.

    This project's own. A network that was trained on faces knows them cut out closely, and hair,
    hat and neck are outside; so one backbone sees the face as it was trained to, and the other the
    whole picture. The head reads of each the means of all levels, and of P4 the means over a grid,
    since an aligned face has its parts in known places.

    Whatever the size of the pictures, the crops are resized to `whole_size` and `close_up_size`, so
    that the cost is always the same and the close-up has the picture's own detail.

    Args:
        backbone: see `tfac.models.create_backbone`; of a Keras model the close-up has a copy.
        attributes: attribute names, in the order of the scores.
        whole_size: height and width that the whole picture is resized to, pixels.
        close_up_size: height and width of the close-up, pixels.
        grid: rows and columns of the grid over P4.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], aligned as CelebA's, any size.
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        ``{"scores": float32 [B, A]}``.

    Raises:
        ConfigError: an unknown backbone, or one without one of the levels.
    """

    def __init__(
        self,
        backbone: BackboneSource = "dlib_resnet29",
        attributes: Sequence[str] = ATTRIBUTES,
        whole_size: Sequence[int] = (150, 122),
        close_up_size: Sequence[int] = (130, 130),
        grid: Sequence[int] = (4, 4),
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.whole_size = tuple(whole_size)
        self.close_up_size = tuple(close_up_size)
        self.grid = tuple(grid)
        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.backbones = [create_backbone(backbone, dtype=policy)]
        if isinstance(backbone, keras.Model):
            backbone = copy_backbone(backbone)
        self.backbones.append(create_backbone(backbone, dtype=policy))
        self.feature_extractors = [create_feature_extractor(b) for b in self.backbones]
        self.head = keras.layers.Dense(len(self.attributes), name="head", dtype="float32")

    def build(self, input_shape):
        """Builds the head."""
        shapes = self.feature_extractors[0].compute_output_shape((*input_shape[:3], 3))
        means = sum(shapes[level][-1] for level in FEATURE_LEVELS)
        cells = self.grid[0] * self.grid[1]
        self.head.build((None, 2 * (means + cells * shapes["P4"][-1])))
        self.built = True

    def call(self, images, training=False):
        """Crops, backbones, head."""
        return {"scores": self.head(self.features(images, training=training))}

    def features(self, images, training=False):
        """Maps images [B, H, W, 3] to what the head reads, float32 [B, F]."""
        features = []
        for view, extractor in zip(self._views(images), self.feature_extractors, strict=True):
            feature_maps = extractor(self.normalization(view), training=training)
            for level in FEATURE_LEVELS:
                features.append(_grid_means(feature_maps[level], (1, 1)))  # [B, C]
            features.append(_grid_means(feature_maps["P4"], self.grid))  # [B, rows * columns * C]
        return ops.concatenate(features, axis=-1)

    def _views(self, images):
        """The whole picture and the close-up, float32, each at its size."""
        images = ops.cast(images, "float32")
        height, width = ops.shape(images)[1:3]
        top, bottom, left, right = (
            _share(side, share)
            for side, share in zip((height, height, width, width), CLOSE_UP, strict=True)
        )
        close_up = images[:, top:bottom, left:right]
        return (
            ops.image.resize(images, self.whole_size, interpolation="bilinear"),
            ops.image.resize(close_up, self.close_up_size, interpolation="bilinear"),
        )

    def compute_output_shape(self, input_shape):
        """Returns ``{"scores": (B, A)}``."""
        return {"scores": (input_shape[0], len(self.attributes))}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "backbone": backbone_config(self.backbones[0]),
            "attributes": self.attributes,
            "whole_size": self.whole_size,
            "close_up_size": self.close_up_size,
            "grid": self.grid,
        }


def _share(side, share: float):
    """The pixel at a share of a side, counted in whole thousandths."""
    return side * round(1000 * share) // 1000


def _grid_means(maps, grid: tuple[int, int]):
    """The means of [B, H, W, C] over the cells of a grid, float32 [B, rows * columns * C].

    The cells are the bins of `tfac.layers.SpatialPyramidPooling`.
    """
    maps = ops.cast(maps, "float32")
    height, width = ops.shape(maps)[1:3]
    means = [
        ops.mean(maps[:, top:bottom, left:right], axis=(1, 2))
        for top, bottom in bins(height, grid[0])
        for left, right in bins(width, grid[1])
    ]
    return ops.concatenate(means, axis=-1)
