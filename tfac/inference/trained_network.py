"""What a trained network is, wherever it comes from: a workdir, an export, a network in memory."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfac.attributes import AttributeGroups, Mirroring, default_groups
from tfac.errors import ConfigError, DataError
from tfac.inference.calibration import Calibration
from tfac.inference.consistency import ConsistentAnswers
from tfac.inference.predict_step import create_predict_step
from tfac.landmarks import LandmarkScheme, get_landmark_scheme
from tfac.losses import AttributeLoss, get_attribute_loss
from tfac.models import predict
from tfac.photos.face_crops import ALIGNED
from tfac.speed import accelerate

_LEAST_CUT = 1e-3  # a threshold's probability, and 1 less it, as losses count it


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network with all that its scores need to become answers.

    Attributes:
        model: images uint8 [B, H, W, 3] to "scores" [B, A] and perhaps "landmarks" [B, K, 2]: a
            Keras model, or another callable that takes `training`.
        attribute_loss: what the scores were trained by.
        thresholds: float32 [A]; a score above its threshold predicts the attribute.
        attributes: names in the order of the scores.
        groups: how they are grouped.
        landmark_scheme: what the landmarks are; None without a landmark branch.
        image_size: (height, width) that it takes, pixels.
        faces: what the pictures are that it was trained on, of `tfac.photos.face_crops.FACES`.
        test_time_flip: the answer is the mean of the scores of a picture and its mirror image.
        accelerated: `predict_step` runs the model on the faster operations of `tfac.speed`.
        source: the folder that it is from, for messages and reports.
        calibration: turns scores into probabilities; None where `attribute_loss` does.
        consistent: answers break no rule of `groups.label_rules`.
        step: training steps done.
        training: the options that it was trained with, as `TrainConfig.to_dict` has them.
        data: the data set it was trained on, as ``config.json`` has it; None where unknown.
        versions: the libraries it was trained with; None where unknown.
    """

    model: Callable[..., Mapping[str, Any]]
    attribute_loss: AttributeLoss
    thresholds: np.ndarray
    attributes: tuple[str, ...]
    groups: AttributeGroups
    landmark_scheme: LandmarkScheme | None
    image_size: tuple[int, int]
    faces: str = ALIGNED
    test_time_flip: bool = False
    accelerated: bool = True
    source: str = ""
    calibration: Calibration | None = None
    consistent: bool = False
    step: int = 0
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    versions: Mapping[str, str] | None = None

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], model: Callable[..., Mapping[str, Any]], source: str
    ) -> "TrainedNetwork":
        """Returns what the ``tfac.json`` of an export describes.

        Args:
            metadata: its contents.
            model: gives the answers; a test-time flip is inside of it.
            source: the export's folder.

        Raises:
            DataError: the contents are not what tfac-export writes.
        """
        try:
            attributes, size = tuple(metadata["attributes"]), metadata["image_size"]
            groups = default_groups(attributes)
            if "part_groups" in metadata:
                by_kind = {
                    "subjective_attributes": metadata["attribute_groups"]["subjective"],
                    # Exports of earlier versions have no rules: CelebA's, as for their data.
                    **{k: metadata[k] for k in ("part_groups", "label_rules") if k in metadata},
                }
                groups = AttributeGroups.from_dict(by_kind, attributes)
            scheme = metadata["landmark_scheme"]
            return cls(
                model=model,
                attribute_loss=get_attribute_loss(metadata["attribute_loss"]),
                thresholds=np.array(metadata["thresholds"], np.float32),
                attributes=attributes,
                groups=groups,
                landmark_scheme=None if scheme is None else get_landmark_scheme(scheme),
                image_size=(size["height"], size["width"]),
                faces=metadata.get("faces", ALIGNED),
                source=source,
                calibration=metadata.get("calibration")
                and Calibration.from_dict(metadata["calibration"], len(attributes)),
                consistent=metadata.get("consistent", False),
                step=metadata["step"],
                training=metadata["training"],
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise DataError(
                f"{source}: expected thresholds, image_size and landmark_scheme as tfac-export "
                f"writes them. Received: {error!r}"
            ) from error

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores [..., A], of the same shape."""
        return (self.calibration or self.attribute_loss).probabilities(scores)

    def answers(self, scores):
        """Returns what scores [B, A] are answered with, bool [B, A]; an array or a tensor.

        An attribute is shown where its score is above its threshold (DMM-CNN, Eq. 5). Where answers
        are to be consistent, those that break a rule are turned into the ones that break none and
        of which, by the probabilities, most is expected to be right: in accuracy where thresholds
        have a probability of one half, in balanced accuracy where they have the attribute's
        frequency.
        """
        given = scores > ops.cast(self.thresholds, scores.dtype)
        if not self.consistent:
            return given
        cuts = ops.clip(self.probabilities(self.thresholds), _LEAST_CUT, 1 - _LEAST_CUT)
        losses = ops.abs(self.probabilities(scores) - cuts) / (2 * cuts * (1 - cuts))
        return self._consistent_answers(given, losses) > 0.5

    @functools.cached_property
    def _consistent_answers(self) -> ConsistentAnswers:
        return ConsistentAnswers(self.attributes, self.groups.label_rules)

    @property
    def flip(self) -> bool | Mirroring:
        """What test-time flip does to the scores; False where there is none."""
        return self.test_time_flip and self.groups.mirroring(self.attributes)

    def predict(self, images, **arguments) -> Mapping[str, Any]:
        """Returns the outputs for images [B, H, W, 3], the scores with the flip if there is one.

        `arguments` are the model's own, such as `explain`.
        """
        return predict(self.model, images, self.flip, **arguments)

    @functools.cached_property
    def predict_step(self) -> Callable[[Any], Mapping[str, Any]]:
        """From images [B, H, W, 3] to the outputs; a Keras model is accelerated and compiled."""
        if not isinstance(self.model, keras.Model):
            return self.predict
        if self.accelerated:
            accelerate(self.model)
        return create_predict_step(self.model, self.flip)
