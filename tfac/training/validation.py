"""Scores and losses over a whole validation split."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from tfac.evaluation.split_scores import gather_scores
from tfac.losses import landmark_squared_error

_NUM_SAMPLES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """The first n pictures of the split, to look at; row i belongs to row i of the result.

    Attributes:
        images: uint8 [n, H, W, 3].
        landmarks: float32 [n, K, 2].
        landmarks_valid: float32 [n].
        predicted_landmarks: float32 [n, K, 2]; None without a landmark branch.
    """

    images: np.ndarray
    landmarks: np.ndarray
    landmarks_valid: np.ndarray
    predicted_landmarks: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class ValidationResult:
    """What one pass over the V pictures of the validation split gives.

    Attributes:
        labels: float32 [V, A] in {0, 1}.
        label_mask: float32 [V, A] in {0, 1}.
        scores: float32 [V, A].
        attribute_losses: float64 [A], Eq. 2 as a mean over the annotated pictures; 0 for an
            attribute without any.
        landmark_loss: Eq. 1 as a mean over the pictures with landmarks; None without a landmark
            branch, and if no picture has landmarks.
        has_landmarks: whether any picture has landmarks.
        samples: a few of the pictures.
    """

    labels: np.ndarray
    label_mask: np.ndarray
    scores: np.ndarray
    attribute_losses: np.ndarray
    landmark_loss: float | None
    has_landmarks: bool
    samples: Samples

    @property
    def mean_loss(self) -> float:
        """The mean of the attributes' losses, "mean validation loss" of the paper's figure 5."""
        return float(self.attribute_losses.mean())


def validate(
    predict_step: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    batches: Iterable[dict[str, Any]],
    attribute_loss,
    gather: Callable[[tf.Tensor], np.ndarray] = np.asarray,
) -> ValidationResult:
    """Runs the model over all batches and gathers its scores and losses.

    Args:
        predict_step: see `tfac.inference.predict_step.create_predict_step`.
        batches: finite.
        attribute_loss: see `tfac.losses.get_attribute_loss`.
        gather: makes one array of a batch's values, see `tfac.training.devices.Devices`.
    """
    batches = iter(batches)
    first = next(batches)
    images, landmarks = (gather(first[name])[:_NUM_SAMPLES] for name in ("images", "landmarks"))
    gathered = gather_scores(predict_step, itertools.chain([first], batches), gather)
    valid = gathered["landmarks_valid"] > 0.5
    predicted = gathered.get("predicted_landmarks")
    landmark_loss = None
    if predicted is not None and valid.any():
        per_picture = landmark_squared_error(gathered["landmarks"], predicted)
        landmark_loss = float(ops.convert_to_numpy(per_picture)[valid].mean(dtype=np.float64))
    per_element = attribute_loss.per_element(gathered["labels"], gathered["scores"])
    per_element = ops.convert_to_numpy(per_element).astype(np.float64)
    annotated = np.maximum(gathered["label_mask"].sum(axis=0, dtype=np.float64), 1)
    return ValidationResult(
        labels=gathered["labels"],
        label_mask=gathered["label_mask"],
        scores=gathered["scores"],
        attribute_losses=(per_element * gathered["label_mask"]).sum(axis=0) / annotated,
        landmark_loss=landmark_loss,
        has_landmarks=bool(valid.any()),
        samples=Samples(
            images,
            landmarks,
            gathered["landmarks_valid"][:_NUM_SAMPLES],
            None if predicted is None else predicted[:_NUM_SAMPLES],
        ),
    )
