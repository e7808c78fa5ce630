"""MCNN-AUX: a network that splits twice by groups of attributes, and a layer between scores."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES, MCNN_AUX_GROUPS, assign_groups
from tfac.layers.conv_block import ConvBlock
from tfac.layers.fully_connected import FullyConnected
from tfac.layers.group_head import GroupHead
from tfac.layers.spatial_pyramid_pooling import SpatialPyramidPooling
from tfac.models.normalization import create_image_normalization

# Of the nine groups, those that read one third convolution together.
_REST = ("around_head", "facial_hair", "cheeks", "fat")
_POOLED_SIDE = 3


@keras.saving.register_keras_serializable(package="tfac")
class MCNNAUX(keras.Model):
    """Two convolutions for all attributes, a third for some, fully connected layers for each group.

    Shared: 75 filters of 7x7 and 200 of 5x5, each with a 3x3 max pooling. Then 300 filters of 3x3
    each for gender, nose, mouth, eyes and face, and one for the rest (around head, facial hair,
    cheeks, fat); then two fully connected layers of 512 for each of the nine groups, and the MCNN
    scores. AUX, one fully connected layer from all scores to all scores, gives the answer.
    18.5 M weights.

    Departures: batch normalisation before each ReLU for the local response normalisation after each
    pooling; the third convolution's map is pooled to 3x3 bins, not by 5x5 windows, so that the
    network takes any image size (windows would leave 4x4 of 224x224 pixels, and 28.1 M weights);
    AUX is trained together with MCNN, not after it. As there, AUX's loss does not reach MCNN: the
    gradient stops at the MCNN scores. AUX starts as the identity, and reads scores, not sigmoids.

    The paper's text was not at hand. Groups, filters, kernels, poolings, widths and dropout are
    those of two public reimplementations, of which one leaves five attributes out. A public summary
    confirms the layers but for the third pooling's window, 3x3 there.

    Args:
        attributes: attribute names, in the order of the scores.
        groups: which attributes share fully connected layers, by group name; see
            `tfac.attributes.assign_groups`. Groups named around_head, facial_hair, cheeks and fat
            share one third convolution, each other one has its own.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics and dropout in training, moving statistics otherwise.

    Returns:
        ``{"scores": float32 [B, A], "mcnn_scores": float32 [B, A]}``: the answer, AUX's, and what
        AUX reads. Each is one term of the loss.

    Raises:
        ConfigError: an attribute that is not in exactly one group.

    Reference:
        Hand and Chellappa, "Attributes for Improved Attributes: A Multi-Task Network Utilizing
        Implicit and Explicit Relationships for Facial Attribute Classification", AAAI 2017.
    """

    def __init__(
        self,
        attributes: Sequence[str] = ATTRIBUTES,
        groups: Mapping[str, Sequence[str]] = MCNN_AUX_GROUPS,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.groups = {name: tuple(members) for name, members in groups.items()}
        group_names, group_indices = assign_groups(self.groups, self.attributes)
        # The third convolution that each group reads.
        self._conv3_names = {name: "rest" if name in _REST else name for name in group_names}

        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.conv1 = ConvBlock(75, kernel_size=7, pool_size=3, name="conv1", dtype=policy)
        self.conv2 = ConvBlock(200, kernel_size=5, pool_size=3, name="conv2", dtype=policy)
        self.conv3 = {
            name: ConvBlock(300, pool_size=1, name=f"{name}_conv3", dtype=policy)
            for name in dict.fromkeys(self._conv3_names.values())
        }
        self.pooling = SpatialPyramidPooling((_POOLED_SIDE,), name="pooling", dtype=policy)
        self.fully_connected = {
            name: FullyConnected((512, 512), dropout=0.5, name=f"{name}_dense", dtype=policy)
            for name in group_names
        }
        self.head = GroupHead(group_indices, name="head", dtype="float32")
        self.aux = keras.layers.Dense(
            len(self.attributes), kernel_initializer="identity", name="aux", dtype="float32"
        )

    def build(self, input_shape):
        """Builds the layers for images [B, H, W, 3]."""
        self.conv1.build(input_shape)
        shape = self.conv1.compute_output_shape(input_shape)
        self.conv2.build(shape)
        shape = self.conv2.compute_output_shape(shape)
        for layer in self.conv3.values():
            layer.build(shape)
        shape = self.pooling.compute_output_shape(layer.compute_output_shape(shape))
        for layer in self.fully_connected.values():
            layer.build(shape)
        width = layer.compute_output_shape(shape)[-1]
        self.head.build((input_shape[0], len(self.fully_connected), width))
        self.aux.build((input_shape[0], len(self.attributes)))
        self.built = True

    def call(self, images, training=False):
        """Shared convolutions, then the groups', then the layer between scores."""
        shared = self.conv1(self.normalization(images), training=training)  # [B, h, w, 75]
        shared = self.conv2(shared, training=training)  # [B, h, w, 200]
        pooled = {
            name: self.pooling(layer(shared, training=training))  # [B, bins * 300]
            for name, layer in self.conv3.items()
        }
        features = [
            layer(pooled[self._conv3_names[name]], training=training)  # [B, 512]
            for name, layer in self.fully_connected.items()
        ]
        mcnn_scores = self.head(ops.stack(features, axis=1))  # [B, A] from [B, G, 512]
        scores = self.aux(ops.stop_gradient(mcnn_scores))  # [B, A]
        return {"scores": scores, "mcnn_scores": mcnn_scores}

    def compute_output_shape(self, input_shape):
        """Returns the shapes of both scores."""
        shape = (input_shape[0], len(self.attributes))
        return {"scores": shape, "mcnn_scores": shape}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "attributes": self.attributes,
            "groups": dict(self.groups),
        }
