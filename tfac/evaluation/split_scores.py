"""A network's scores on every picture of a split, with what they are compared to."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tfac.attributes import attribute_indices
from tfac.data.records.info import RecordsInfo
from tfac.errors import ConfigError, DataError
from tfac.evaluation.landmark_metrics import landmark_errors
from tfac.inference.trained_network import TrainedNetwork

_FEATURES = ("labels", "label_mask", "landmarks_valid", "size")


@dataclasses.dataclass(frozen=True, eq=False)
class SplitScores:
    """Scores and truth of N pictures, in the order of the network's A attributes.

    Attributes:
        labels: float32 [N, A] in {0, 1}.
        label_mask: float32 [N, A] in {0, 1}.
        scores: float32 [N, A].
        landmark_errors: [N] in distances between the eyes, NaN for a picture without landmarks;
            None if the network has no landmarks or has others than the data set.
        probabilities: float32 [N, A], the network's; None where they are unknown.
        uncalibrated: those without its calibration; None where it has none.
        answers: bool [N, A], what the network answers; None where scores above thresholds are it.
    """

    labels: np.ndarray
    label_mask: np.ndarray
    scores: np.ndarray
    landmark_errors: np.ndarray | None
    probabilities: np.ndarray | None = None
    uncalibrated: np.ndarray | None = None
    answers: np.ndarray | None = None

    def of(self, rows) -> "SplitScores":
        """Returns those of some rows."""
        parts = {name: v if v is None else v[rows] for name, v in vars(self).items()}
        return SplitScores(**parts)


def gather_scores(
    predict_step: Callable[[Any], Mapping[str, Any]],
    batches: Iterable[Mapping[str, Any]],
    whole: Callable[[Any], np.ndarray] = np.asarray,
) -> dict[str, np.ndarray]:
    """Runs a network over all batches: the one way that a split is scored.

    Args:
        predict_step: images [B, H, W, 3] to "scores" [B, A] and perhaps "landmarks" [B, K, 2].
        batches: one or more, see `tfac.data.records.pipeline`.
        whole: turns a batch's value into an array; for values on several devices or processes.

    Returns:
        "scores" float32 [N, A]; of a network that has them, "predicted_landmarks" and the true
        "landmarks", float32 [N, K, 2]; and "labels", "label_mask", "landmarks_valid" and "size", as
        far as the batches have them.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        outputs = predict_step(batch["images"])
        values = {name: batch[name] for name in _FEATURES if name in batch}
        values["scores"] = outputs["scores"]
        if "landmarks" in outputs:
            values["landmarks"] = batch["landmarks"]
            values["predicted_landmarks"] = outputs["landmarks"]
        for name, value in values.items():
            parts.setdefault(name, []).append(whole(value))
    return {name: np.concatenate(part) for name, part in parts.items()}


def score_split(
    network: TrainedNetwork, batches: Iterable[Mapping[str, Any]], info: RecordsInfo
) -> SplitScores:
    """Runs a trained network over the batches of a split.

    Raises:
        ConfigError: the data set lacks one of the network's attributes.
        DataError: a score is NaN or infinite; names the attributes.
    """
    columns = _columns(network, info)
    gathered = gather_scores(network.predict_step, batches)
    scores = gathered["scores"].astype(np.float32)
    _check_finite(network, scores)
    errors = None
    if network.landmark_scheme is not None and network.landmark_scheme == info.landmark_scheme:
        errors = landmark_errors(
            gathered["landmarks"],
            gathered["predicted_landmarks"],
            gathered["size"],
            info.landmark_scheme,
        )
        errors = np.where(gathered["landmarks_valid"] > 0, errors, np.nan)
    calibrated = network.calibration is not None
    return SplitScores(
        gathered["labels"][:, columns],
        gathered["label_mask"][:, columns],
        scores,
        errors,
        np.asarray(network.probabilities(scores)),
        np.asarray(network.attribute_loss.probabilities(scores)) if calibrated else None,
        np.asarray(network.answers(scores)) if network.consistent else None,
    )


def _columns(network: TrainedNetwork, info: RecordsInfo) -> list[int]:
    try:
        return attribute_indices(network.attributes, info.attributes)
    except ConfigError as error:
        raise ConfigError(
            f"{info.path} lacks attributes that the model {network.source} predicts: {error}"
        ) from error


def _check_finite(network: TrainedNetwork, scores: np.ndarray) -> None:
    broken = ~np.isfinite(scores)
    if broken.any():
        names = [network.attributes[a] for a in np.flatnonzero(broken.any(axis=0))]
        raise DataError(
            f"{network.source}: expected finite scores. Received NaN or infinite ones for "
            f"{broken.any(axis=1).sum()} of {len(scores)} pictures, attributes {', '.join(names)}"
        )
