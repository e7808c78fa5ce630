"""DMM-CNN: deep multi-task multi-label CNN."""

from collections.abc import Sequence

import keras
from keras import ops

from tfac.attributes import ATTRIBUTES, SUBJECTIVE_ATTRIBUTES, attribute_indices
from tfac.layers.pyramid_branch import PyramidBranch
from tfac.models.backbones import BackboneSource, backbone_config, create_backbone
from tfac.models.landmark_branch import create_landmark_branch
from tfac.models.normalization import create_image_normalization

# Where the normalised branches' features start (see `PyramidBranch`), found on CelebA at 64 pixels.
_ATTRIBUTE_FEATURE_SCALE = 0.3


@keras.saving.register_keras_serializable(package="tfac")
class DMMCNN(keras.Model):
    """A shared backbone with branches for objective attributes, subjective ones and landmarks.

    As printed (every argument at its default): ResNet50 to 2,048 channels; the objective branch
    pools 1x1 and has fully connected layers of 1,024 and 22; the subjective branch pools 1x1, 2x2
    and 3x3 (28,672 features) and has 2,048, 1,024 and 18; the landmark branch pools 1x1 and has
    1,024 and 144. 88.7 M weights.

    Args:
        backbone: see `tfac.models.create_backbone`.
        attributes: attribute names, in the order of the scores.
        subjective_attributes: those of `attributes` that the subjective branch answers; names that
            are not among `attributes` are an error. The objective branch answers the others.
        attribute_grouping: False answers every attribute with the subjective branch's architecture
            (the paper's DMM-SPP).
        num_landmarks: K; 0 leaves the landmark branch out (the paper's DMM-FAC).
        output_stride: see `tfac.models.create_backbone`.
        branch_normalization: see `tfac.layers.PyramidBranch`; False is the paper.
        branch_shortcut: the attribute branches' heads read the mean of the feature map too, as the
            plain network's head does; False is the paper.

    Call arguments:
        images: uint8 or float [B, H, W, 3] in [0, 255], any size.
        training: batch statistics in training, moving statistics otherwise.

    Returns:
        ``{"scores": float32 [B, A], "landmarks": float32 [B, K, 2]}``; landmarks are x and y in
        [0, 1] of the picture, not clipped. Without a landmark branch there are only scores.

    Raises:
        ConfigError: an unknown backbone, output stride or attribute.

    Reference:
        Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute
        Classification", section 3.2 and figure 2.
    """

    def __init__(
        self,
        backbone: BackboneSource = "resnet50",
        attributes: Sequence[str] = ATTRIBUTES,
        subjective_attributes: Sequence[str] = SUBJECTIVE_ATTRIBUTES,
        attribute_grouping: bool = True,
        num_landmarks: int = 72,
        output_stride: int = 32,
        branch_normalization: bool = False,
        branch_shortcut: bool = False,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.attributes = tuple(attributes)
        self.subjective_attributes = tuple(subjective_attributes)
        self.attribute_grouping = attribute_grouping
        self.num_landmarks = num_landmarks
        self.output_stride = output_stride
        self.branch_normalization = branch_normalization
        self.branch_shortcut = branch_shortcut

        subjective = sorted(attribute_indices(self.subjective_attributes, self.attributes))
        if not attribute_grouping:
            subjective = range(len(self.attributes))
        objective = [i for i in range(len(self.attributes)) if i not in subjective]
        grouped = [*objective, *subjective]  # the attribute of each column the branches answer
        self._score_order = sorted(range(len(grouped)), key=grouped.__getitem__)

        options = {"normalization": branch_normalization, "dtype": self.dtype_policy}
        self.normalization = create_image_normalization()
        self.backbone = create_backbone(backbone, output_stride, dtype=self.dtype_policy)
        self.attribute_branches = []
        if objective:
            self.attribute_branches.append(
                PyramidBranch(
                    levels=(1,),
                    hidden_units=(1024,),
                    num_outputs=len(objective),
                    feature_scale=_ATTRIBUTE_FEATURE_SCALE,
                    shortcut=branch_shortcut,
                    name="objective_branch",
                    **options,
                )
            )
        if subjective:
            self.attribute_branches.append(
                PyramidBranch(
                    levels=(1, 2, 3),
                    hidden_units=(2048, 1024),
                    num_outputs=len(subjective),
                    feature_scale=_ATTRIBUTE_FEATURE_SCALE,
                    shortcut=branch_shortcut,
                    name="subjective_branch",
                    **options,
                )
            )
        self.landmark_branch = None
        if num_landmarks:
            self.landmark_branch = create_landmark_branch(num_landmarks, **options)

    def build(self, input_shape):
        """Builds the branches for images [B, H, W, 3]."""
        for branch in [*self.attribute_branches, self.landmark_branch]:
            if branch is not None:
                branch.build(self.backbone.output_shape)
        self.built = True

    def call(self, images, training=False):
        """Figure 2 of the paper: shared features, then the branches."""
        feature_map = self.backbone(self.normalization(images), training=training)  # [B, h, w, C]
        scores = [branch(feature_map, training=training) for branch in self.attribute_branches]
        scores = ops.concatenate(scores, axis=-1)  # [B, A], grouped
        outputs = {"scores": ops.take(scores, self._score_order, axis=-1)}
        if self.landmark_branch is not None:
            coordinates = self.landmark_branch(feature_map, training=training)  # [B, 2 K]
            outputs["landmarks"] = ops.reshape(coordinates, (-1, self.num_landmarks, 2))
        return outputs

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
            "subjective_attributes": self.subjective_attributes,
            "attribute_grouping": self.attribute_grouping,
            "num_landmarks": self.num_landmarks,
            "output_stride": self.output_stride,
            "branch_normalization": self.branch_normalization,
            "branch_shortcut": self.branch_shortcut,
        }
