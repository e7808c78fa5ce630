"""PS-MCNN: networks for groups of attributes, connected at every level by a shared one."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES, PS_MCNN_GROUPS, assign_groups
from tfac.layers.conv_block import ConvBlock
from tfac.layers.fully_connected import FullyConnected
from tfac.layers.group_head import GroupHead
from tfac.layers.spatial_pyramid_pooling import SpatialPyramidPooling
from tfac.models.normalization import create_image_normalization

_TASK_WIDTHS = (32, 64, 128, 128, 128)
_SHARED_WIDTHS = (32, 64, 64, 64, 64)
_CHANNELS_SHARED = 32  # of each task's network, which the shared network reads
_HIDDEN_UNITS = (512, 512)


@keras.saving.register_keras_serializable(package="tfac")
class PSMCNN(keras.Model):
    """A network for each group of attributes (TSNet) and a shared one (SNet), partially shared.

    Each has five blocks of a 3x3 convolution and a 2x2 max pooling, then two fully connected layers
    of 512. From the second block on a TSNet reads its own map and SNet's, and SNet reads its own
    and the first 32 channels of every TSNet's. A group's scores come from the last features of its
    TSNet and of SNet. Groups: upper, middle and lower part of the face, and the whole. 5.5 M
    weights.

    Departures: neither the local constraint (PS-MCNN-LC) nor the training of SNet on identities
    before, since both need identity labels; batch normalisation in every block, for training from
    scratch; the last maps are pooled to 2x2 bins, which at 64x64 pixels is the whole map, so that
    the network takes any image size.

    The paper's text was not at hand beyond its abstract. The groups, the number of layers, TSNets
    of 32 to 128 channels, SNet of 32 to 64 and the 32 channels that SNet reads are a public
    reimplementation's reading; its fully connected layers name no activation, ReLU is taken. It
    connects the networks by concatenation; a public summary of the paper speaks of a sum.

    Args:
        attributes: attribute names, in the order of the scores.
        groups: which attributes a TSNet answers, by group name; see
            `tfac.attributes.assign_groups`.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        ``{"scores": float32 [B, A]}``.

    Raises:
        ConfigError: an attribute that is not in exactly one group.

    Reference:
        Cao et al., "Partially Shared Multi-task Convolutional Neural Network with Local Constraint
        for Face Attribute Learning", CVPR 2018.
    """

    def __init__(
        self,
        attributes: Sequence[str] = ATTRIBUTES,
        groups: Mapping[str, Sequence[str]] = PS_MCNN_GROUPS,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.groups = {name: tuple(members) for name, members in groups.items()}
        self.group_names, group_indices = assign_groups(self.groups, self.attributes)

        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.task_blocks = {
            f"{name}_conv{level}": ConvBlock(width, name=f"{name}_conv{level}", dtype=policy)
            for name in self.group_names
            for level, width in enumerate(_TASK_WIDTHS, start=1)
        }
        self.shared_blocks = [
            ConvBlock(width, name=f"shared_conv{level}", dtype=policy)
            for level, width in enumerate(_SHARED_WIDTHS, start=1)
        ]
        self.pooling = SpatialPyramidPooling((2,), name="pooling", dtype=policy)
        self.task_dense = [
            FullyConnected(_HIDDEN_UNITS, name=f"{name}_dense", dtype=policy)
            for name in self.group_names
        ]
        self.shared_dense = FullyConnected(_HIDDEN_UNITS, name="shared_dense", dtype=policy)
        self.head = GroupHead(group_indices, name="head", dtype="float32")

    def build(self, input_shape):
        """Builds the layers for images [B, H, W, 3]."""
        task_shape = shared_shape = input_shape
        for level, shared_block in enumerate(self.shared_blocks, start=1):
            if level > 1:
                read = len(self.group_names) * _CHANNELS_SHARED
                widths = task_shape[-1] + shared_shape[-1], read + shared_shape[-1]
                task_shape = (*task_shape[:-1], widths[0])
                shared_shape = (*shared_shape[:-1], widths[1])
            for task_block in self._blocks(level):
                task_block.build(task_shape)
            shared_block.build(shared_shape)
            task_shape = task_block.compute_output_shape(task_shape)
            shared_shape = shared_block.compute_output_shape(shared_shape)
        for layer in self.task_dense:
            layer.build(self.pooling.compute_output_shape(task_shape))
        self.shared_dense.build(self.pooling.compute_output_shape(shared_shape))
        self.head.build((input_shape[0], len(self.group_names), 2 * _HIDDEN_UNITS[-1]))
        self.built = True

    def call(self, images, training=False):
        """The partially shared blocks, then the fully connected layers and the scores."""
        shared = self.normalization(images)
        tasks = [shared] * len(self.group_names)
        for level, shared_block in enumerate(self.shared_blocks, start=1):
            if level > 1:
                parts = [task[..., :_CHANNELS_SHARED] for task in tasks]
                tasks = [ops.concatenate([task, shared], axis=-1) for task in tasks]
                shared = ops.concatenate([*parts, shared], axis=-1)
            tasks = [
                block(task, training=training)  # [B, h, w, C of the level]
                for block, task in zip(self._blocks(level), tasks, strict=True)
            ]
            shared = shared_block(shared, training=training)  # [B, h, w, C of the level]
        shared = self.shared_dense(self.pooling(shared), training=training)  # [B, 512]
        features = []
        for dense, task in zip(self.task_dense, tasks, strict=True):
            task = dense(self.pooling(task), training=training)  # [B, 512]
            features.append(ops.concatenate([task, shared], axis=-1))  # [B, 1024]
        return {"scores": self.head(ops.stack(features, axis=1))}  # [B, A] from [B, G, 1024]

    def compute_output_shape(self, input_shape):
        """Returns ``{"scores": (B, A)}``."""
        return {"scores": (input_shape[0], len(self.attributes))}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "attributes": self.attributes,
            "groups": dict(self.groups),
        }

    def _blocks(self, level: int) -> list[ConvBlock]:
        return [self.task_blocks[f"{name}_conv{level}"] for name in self.group_names]
