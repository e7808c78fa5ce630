"""LGA-Net: landmark-guided group attention."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES, PART_GROUPS, assign_groups
from tfac.layers.group_attention import GroupAttention
from tfac.layers.group_head import GroupHead
from tfac.models.backbones import (
    BackboneSource,
    backbone_config,
    check_levels,
    create_backbone,
    create_feature_extractor,
)
from tfac.models.landmark_branch import create_landmark_branch
from tfac.models.normalization import create_image_normalization


@keras.saving.register_keras_serializable(package="tfac")
class LGANet(keras.Model):
    """The plain network, corrected by what group attention sees of each part of the face.

    This project's own, of what paid in both papers' networks. As in MGG-Net, each part group has a
    mask and each attribute a classifier on its group's feature; as in DMM-CNN, a branch learns the
    landmarks. Unlike MGG-Net, an attribute's score is the sum of the plain head's and its
    classifiers' on every level, with one loss on the sum, and there is no graph. In training the
    landmarks also say where a group's mask should be: see `tfac.losses.PartGuidance`.
    docs/results.md has what each of these is worth.

    Args:
        backbone: see `tfac.models.create_backbone`.
        attributes: attribute names, in the order of the scores.
        part_groups: as in `tfac.models.MGGNet`.
        levels: the backbone's levels that have group attention, some of "P3", "P4" and "P5"; see
            `tfac.models.create_feature_extractor`. None leaves the plain head.
        num_landmarks: K; 0 leaves the landmark branch out.
        attention_width: see `tfac.layers.GroupAttention`.
        output_stride: see `tfac.models.create_backbone`.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics in training, moving statistics otherwise.
        explain: give masks too.

    Returns:
        All float32. ``"scores"`` [B, A]; with a landmark branch ``"landmarks"`` [B, K, 2], x and y
        in [0, 1] of the picture, not clipped; with `explain` for each level
        ``"P4_attention_mask"`` [B, h, w, G], groups in the order of `group_names`.

    Raises:
        ConfigError: an unknown backbone, output stride or level; a level that the backbone does not
            have; an attribute that is not in exactly one group.
    """

    def __init__(
        self,
        backbone: BackboneSource = "resnet18",
        attributes: Sequence[str] = ATTRIBUTES,
        part_groups: Mapping[str, Sequence[str]] = PART_GROUPS,
        levels: Sequence[str] = ("P4", "P5"),
        num_landmarks: int = 72,
        attention_width: int = 32,
        output_stride: int = 32,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.part_groups = {name: tuple(members) for name, members in part_groups.items()}
        self.levels = check_levels(levels) if levels else ()
        self.num_landmarks = num_landmarks
        self.attention_width = attention_width
        self.output_stride = output_stride
        self.group_names, group_indices = assign_groups(self.part_groups, self.attributes)

        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.backbone = create_backbone(backbone, output_stride, dtype=policy)
        self.feature_extractor = create_feature_extractor(self.backbone, self.levels)
        self.pooling = keras.layers.GlobalAveragePooling2D(name="pooling", dtype=policy)
        self.base_head = keras.layers.Dense(len(self.attributes), name="base_head", dtype="float32")
        self.attentions, self.heads = {}, {}
        for level in self.levels:
            self.attentions[level] = GroupAttention(
                len(self.group_names),
                width=attention_width,
                name=f"{level}_attention",
                dtype=policy,
            )
            self.heads[level] = GroupHead(group_indices, name=f"{level}_head", dtype="float32")
        self.landmark_branch = None
        if num_landmarks:
            self.landmark_branch = create_landmark_branch(num_landmarks, True, policy)

    def build(self, input_shape):
        """Builds the heads and branches for images [B, H, W, 3]."""
        shapes = self.feature_extractor.compute_output_shape((*input_shape[:3], 3))
        self.base_head.build(self.pooling.compute_output_shape(shapes["P5"]))
        for level in self.levels:
            self.attentions[level].build(shapes[level])
            features, _ = self.attentions[level].compute_output_shape(shapes[level])
            self.heads[level].build(features)
        if self.landmark_branch is not None:
            self.landmark_branch.build(shapes["P5"])
        self.built = True

    def call(self, images, training=False, explain=False):
        """The plain head's scores, and on top of them those of the groups on each level."""
        feature_maps = self.feature_extractor(self.normalization(images), training=training)
        scores = self.base_head(self.pooling(feature_maps["P5"]))  # [B, A]
        explanations = {}
        for level in self.levels:
            features, mask = self.attentions[level](feature_maps[level], training=training)
            scores += self.heads[level](features)
            explanations[f"{level}_attention_mask"] = ops.cast(mask, "float32")
        outputs = {"scores": scores}
        if self.landmark_branch is not None:
            coordinates = self.landmark_branch(feature_maps["P5"], training=training)  # [B, 2 K]
            outputs["landmarks"] = ops.reshape(coordinates, (-1, self.num_landmarks, 2))
        return outputs | explanations if explain else outputs

    def compute_output_shape(self, input_shape):
        """Returns the shapes of scores and, where there is a branch for them, landmarks."""
        shapes = {"scores": (input_shape[0], len(self.attributes))}
        if self.landmark_branch is not None:
            shapes["landmarks"] = (input_shape[0], self.num_landmarks, 2)
        return shapes

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "backbone": backbone_config(self.backbone),
            "attributes": self.attributes,
            "part_groups": dict(self.part_groups),
            "levels": self.levels,
            "num_landmarks": self.num_landmarks,
            "attention_width": self.attention_width,
            "output_stride": self.output_stride,
        }
