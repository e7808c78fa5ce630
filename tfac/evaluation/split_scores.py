"""A model's scores on every picture of a split, with what they are compared to."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tfac.attributes import attribute_indices
from tfac.data.records.info import RecordsInfo
from tfac.errors import ConfigError, DataError
from tfac.evaluation.landmark_metrics import landmark_errors
from tfac.landmarks import LandmarkScheme


@dataclasses.dataclass(frozen=True, eq=False)
class ScoringModel:
    """What evaluation needs of a model, wherever it comes from.

    Attributes:
        source: the folder it was read from, for messages and reports.
        score: takes images uint8 [B, height, width, 3] and returns "scores" [B, A] and, with a
            landmark branch, "landmarks" [B, K, 2].
        attributes: names in the order of the scores.
        thresholds: float32 [A], in the space of the scores.
        image_size: height and width of the images it takes, pixels.
        landmark_scheme: the scheme of its landmarks; None without a landmark branch.
    """

    source: str
    score: Callable[[Any], Mapping[str, Any]]
    attributes: tuple[str, ...]
    thresholds: np.ndarray
    image_size: tuple[int, int]
    landmark_scheme: LandmarkScheme | None


@dataclasses.dataclass(frozen=True, eq=False)
class SplitScores:
    """Scores and truth of N pictures, in the order of the model's A attributes.

    Attributes:
        labels: float32 [N, A] in {0, 1}.
        label_mask: float32 [N, A] in {0, 1}.
        scores: float32 [N, A].
        landmark_errors: [N] in distances between the eyes, NaN for a picture without landmarks;
            None if the model has no landmarks or has others than the data set.
    """

    labels: np.ndarray
    label_mask: np.ndarray
    scores: np.ndarray
    landmark_errors: np.ndarray | None


def score_split(
    model: ScoringModel, batches: Iterable[dict[str, Any]], info: RecordsInfo
) -> SplitScores:
    """Runs the model over the batches (see `tfac.data.records.pipeline`) and gathers its scores.

    Raises:
        ConfigError: the data set lacks one of the model's attributes.
        DataError: a score is NaN or infinite; names the attributes.
    """
    columns = _columns(model, info)
    compare_landmarks = model.landmark_scheme == info.landmark_scheme
    parts: dict[str, list[np.ndarray]] = {"labels": [], "label_mask": [], "scores": []}
    errors = []
    for batch in batches:
        outputs = model.score(batch["images"])
        parts["labels"].append(np.asarray(batch["labels"])[:, columns])
        parts["label_mask"].append(np.asarray(batch["label_mask"])[:, columns])
        parts["scores"].append(np.asarray(outputs["scores"], np.float32))
        if compare_landmarks:
            batch_errors = landmark_errors(
                np.asarray(batch["landmarks"]),
                np.asarray(outputs["landmarks"]),
                np.asarray(batch["size"]),
                info.landmark_scheme,
            )
            valid = np.asarray(batch["landmarks_valid"]) > 0
            errors.append(np.where(valid, batch_errors, np.nan))
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    _check_finite(model, arrays["scores"])
    return SplitScores(
        **arrays, landmark_errors=np.concatenate(errors) if compare_landmarks else None
    )


def _columns(model: ScoringModel, info: RecordsInfo) -> list[int]:
    try:
        return attribute_indices(model.attributes, info.attributes)
    except ConfigError as error:
        raise ConfigError(
            f"{info.path} lacks attributes that the model {model.source} predicts: {error}"
        ) from error


def _check_finite(model: ScoringModel, scores: np.ndarray) -> None:
    broken = ~np.isfinite(scores)
    if broken.any():
        names = [model.attributes[a] for a in np.flatnonzero(broken.any(axis=0))]
        raise DataError(
            f"{model.source}: expected finite scores. Received NaN or infinite ones for "
            f"{broken.any(axis=1).sum()} of {len(scores)} pictures, attributes {', '.join(names)}"
        )
