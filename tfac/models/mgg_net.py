"""MGG-Net: multi-scale group and graph network."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES, PART_GROUPS, assign_groups
from tfac.errors import ConfigError
from tfac.layers.graph_correlation import GraphCorrelation
from tfac.layers.group_attention import GroupAttention
from tfac.layers.group_head import GroupHead
from tfac.models.backbones import (
    BackboneSource,
    backbone_config,
    check_levels,
    create_backbone,
    create_feature_extractor,
)
from tfac.models.normalization import create_image_normalization

BASE_MAPS = ("last", "attention")


@keras.saving.register_keras_serializable(package="tfac")
class MGGNet(keras.Model):
    """Group attention and graph correlation on several levels of a backbone.

    ``MGGNet()`` is the paper's: ResNet18, eight part groups, masks of 28x28 and 14x14 at 224x224
    pixels, 12.8 M weights.

    Readings: the paper's blocks 3 and 4 are conv3_x and conv4_x (P3 and P4), as the sizes of its
    masks say; the base prediction reads the mean of the last map, as the plain network does, or as
    `base_map` says. The paper leaves open which attributes a part holds, alpha and the attention
    module's width, which is taken so that the number of weights is the paper's.

    Args:
        backbone: see `tfac.models.create_backbone`.
        attributes: attribute names, in the order of the scores.
        part_groups: which attributes share a mask, by group name. Names that are not among
            `attributes` are left out, and so are groups left empty. One group an attribute is the
            paper's "Independent".
        levels: the backbone's levels that have group attention, some of "P3", "P4" and "P5"; see
            `tfac.models.create_feature_extractor`.
        graph: graph correlation learning between the groups; False is the paper's "w/o GCL".
        alpha: see `tfac.layers.GraphCorrelation`.
        attention_width: see `tfac.layers.GroupAttention`.
        base_map: whose mean the base prediction reads: "last", P5, or "attention", the last of
            `levels`, whose later blocks are then neither computed nor trained.
        averages_probabilities: the answer's probability is the mean of the predictions'
            probabilities, which are the sigmoids of their scores (cross-entropy). False takes the
            mean of the scores, for a loss whose probability is linear in the score.
        output_stride: see `tfac.models.create_backbone`.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics in training, moving statistics otherwise.
        explain: give masks and affinities too.

    Returns:
        All float32. ``"scores"`` [B, A], the answer (Eq. 4); ``"base_scores"`` [B, A]; for each
        level ``"P3_group_scores"`` [B, A] and, with a graph, ``"P3_graph_scores"`` [B, A]. With
        `explain` for each level ``"P3_attention_mask"`` [B, h, w, G] and, with a graph,
        ``"P3_affinity"`` [B, G, G]; groups in the order of `group_names`. Eq. 5 sums the losses of
        all scores.

    Raises:
        ConfigError: an unknown backbone, output stride or level; a level that the backbone does not
            have; an unknown base map; an attribute that is not in exactly one group; a graph of
            fewer than two groups.

    Reference:
        Chen et al., "Improving Facial Attribute Recognition by Group and Graph Learning", section
        3, Eq. 1 to 5 and figure 1.
    """

    def __init__(
        self,
        backbone: BackboneSource = "resnet18",
        attributes: Sequence[str] = ATTRIBUTES,
        part_groups: Mapping[str, Sequence[str]] = PART_GROUPS,
        levels: Sequence[str] = ("P3", "P4"),
        graph: bool = True,
        alpha: float = 0.5,
        attention_width: int = 32,
        base_map: str = "last",
        averages_probabilities: bool = True,
        output_stride: int = 32,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.part_groups = {name: tuple(members) for name, members in part_groups.items()}
        self.levels = check_levels(levels)
        self.graph = graph
        self.alpha = alpha
        self.attention_width = attention_width
        self.base_map = base_map
        self.averages_probabilities = averages_probabilities
        self.output_stride = output_stride
        self.group_names, group_indices = assign_groups(self.part_groups, self.attributes)
        if base_map not in BASE_MAPS:
            raise ConfigError(f"base_map: expected {' or '.join(BASE_MAPS)}. Received: {base_map}")
        if graph and len(self.group_names) < 2:
            raise ConfigError(
                "graph: expected two part groups or more that hold attributes. "
                f"Received: {', '.join(self.group_names)}. Give --nograph, or prepare the data set "
                "with --attribute_groups"
            )

        policy = self.dtype_policy
        self.normalization = create_image_normalization()
        self.backbone = create_backbone(backbone, output_stride, dtype=policy)
        self.feature_extractor = create_feature_extractor(self.backbone, self.levels)
        self.base_level = "P5" if base_map == "last" else max(self.levels)
        if self.base_level != "P5":
            self.feature_extractor = _up_to(self.base_level, self.feature_extractor, self.backbone)
        self.pooling = keras.layers.GlobalAveragePooling2D(name="pooling", dtype=policy)
        self.base_head = keras.layers.Dense(len(self.attributes), name="base_head", dtype="float32")
        self.attentions, self.graphs, self.heads = {}, {}, {}
        for level in self.levels:
            self.attentions[level] = GroupAttention(
                len(self.group_names),
                width=attention_width,
                name=f"{level}_attention",
                dtype=policy,
            )
            if graph:
                self.graphs[level] = GraphCorrelation(alpha, name=f"{level}_graph", dtype=policy)
            self.heads[level] = GroupHead(group_indices, name=f"{level}_head", dtype="float32")

    def build(self, input_shape):
        """Builds the heads and the levels' layers for images [B, H, W, 3]."""
        shapes = self.feature_extractor.compute_output_shape((*input_shape[:3], 3))
        self.base_head.build(self.pooling.compute_output_shape(shapes[self.base_level]))
        for level in self.levels:
            self.attentions[level].build(shapes[level])
            features, _ = self.attentions[level].compute_output_shape(shapes[level])
            if self.graph:
                self.graphs[level].build(features)
            self.heads[level].build(features)
        self.built = True

    def call(self, images, training=False, explain=False):
        """Figure 1 of the paper: levels, group attention, graph, and the average of the answers."""
        feature_maps = self.feature_extractor(self.normalization(images), training=training)
        outputs = {"base_scores": self.base_head(self.pooling(feature_maps[self.base_level]))}
        averaged = [outputs["base_scores"]]
        explanations = {}
        for level in self.levels:
            features, mask = self.attentions[level](feature_maps[level], training=training)  # Eq. 1
            scores = self.heads[level](features)  # [B, A], Eq. 3
            outputs[f"{level}_group_scores"] = scores
            explanations[f"{level}_attention_mask"] = ops.cast(mask, "float32")
            if self.graph:
                features, affinity = self.graphs[level](features)  # Eq. 2
                scores = self.heads[level](features)  # [B, A], Eq. 3
                outputs[f"{level}_graph_scores"] = scores
                explanations[f"{level}_affinity"] = ops.cast(affinity, "float32")
            averaged.append(scores)
        mean = _score_of_mean_probability if self.averages_probabilities else _mean
        outputs["scores"] = mean(ops.stack(averaged))  # [B, A], Eq. 4
        return outputs | explanations if explain else outputs

    def compute_output_shape(self, input_shape):
        """Returns the shape of each output but for those of `explain`."""
        kinds = ("group_scores", "graph_scores") if self.graph else ("group_scores",)
        names = [f"{level}_{kind}" for level in self.levels for kind in kinds]
        shape = (input_shape[0], len(self.attributes))
        return dict.fromkeys(["base_scores", *names, "scores"], shape)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "backbone": backbone_config(self.backbone),
            "attributes": self.attributes,
            "part_groups": dict(self.part_groups),
            "levels": self.levels,
            "graph": self.graph,
            "alpha": self.alpha,
            "attention_width": self.attention_width,
            "base_map": self.base_map,
            "averages_probabilities": self.averages_probabilities,
            "output_stride": self.output_stride,
        }


def _up_to(level: str, feature_extractor: keras.Model, backbone: keras.Model) -> keras.Model:
    """The feature extractor without what comes after the level; that is not trained either."""
    maps = {name: maps for name, maps in feature_extractor.output.items() if name <= level}
    shorter = keras.Model(feature_extractor.input, maps, name=feature_extractor.name)
    for layer in backbone.layers:
        if all(layer is not kept for kept in shorter.layers):
            layer.trainable = False
    return shorter


def _score_of_mean_probability(scores):
    """The score whose sigmoid is the mean of the sigmoids of [T, ...] over T; for any scores."""
    shown = ops.logsumexp(ops.log_sigmoid(scores), axis=0)  # log of T times the mean probability
    hidden = ops.logsumexp(ops.log_sigmoid(-scores), axis=0)
    return shown - hidden


def _mean(scores):
    return ops.mean(scores, axis=0)
