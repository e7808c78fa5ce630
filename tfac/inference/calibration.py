"""Calibrated probabilities: how often an attribute is shown where a network gives its score."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

_NEWTON_STEPS = 25
_MOST_CHANGE = 1.0  # of a slope or an intercept in one step; keeps Newton's method from leaping


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """A probability for each score of each attribute: sigmoid(slope * score + intercept).

    Attributes:
        slope: float32 [A], above 0.
        intercept: float32 [A].

    Reference:
        Platt, Probabilistic outputs for support vector machines (1999).
    """

    slope: np.ndarray
    intercept: np.ndarray

    def probabilities(self, scores):
        """Returns probabilities in [0, 1] of scores [..., A], of the same shape."""
        return ops.sigmoid(ops.add(ops.multiply(scores, self.slope), self.intercept))

    def cuts(self, probabilities: np.ndarray | float) -> np.ndarray:
        """Returns the scores [A] that have these probabilities, each in (0, 1)."""
        cuts = (logit(np.asarray(probabilities, np.float64)) - self.intercept) / self.slope
        return cuts.astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """Returns it as JSON has it."""
        return {"slope": self.slope.tolist(), "intercept": self.intercept.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], num_attributes: int) -> "Calibration":
        """Reads what `to_dict` has written.

        Raises:
            ValueError: it is not that.
        """
        try:
            slope, intercept = (np.array(values[key], np.float32) for key in ("slope", "intercept"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected slope and intercept. Received: {error!r}") from error
        both = np.stack([slope, intercept])
        if both.shape != (2, num_attributes) or not np.isfinite(both).all() or (slope <= 0).any():
            raise ValueError(f"expected {num_attributes} finite slopes above 0 and intercepts")
        return cls(slope, intercept)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Returns the log-odds of probabilities in (0, 1)."""
    return np.log(probabilities) - np.log1p(-probabilities)


def fit_calibration(labels: np.ndarray, scores: np.ndarray, label_mask: np.ndarray) -> Calibration:
    """Returns the calibration that makes a split's labels likeliest.

    An attribute with few labels stays near sigmoid(score): slope and intercept have a normal prior
    around 1 and 0 with a variance of 1, which weighs as little as one label.

    Args:
        labels: [V, A] in {0, 1}.
        scores: [V, A], finite.
        label_mask: [V, A], 1 where the label counts.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels) > 0.5
    counted = np.asarray(label_mask) > 0.5
    slope, intercept = np.ones(scores.shape[1]), np.zeros(scores.shape[1])
    for _ in range(_NEWTON_STEPS):
        shown = 1 / (1 + np.exp(-np.clip(slope * scores + intercept, -500, 500)))
        error, weight = counted * (shown - labels), counted * shown * (1 - shown)
        gradient = np.stack([(error * scores).sum(0) + slope - 1, error.sum(0) + intercept])
        a, b = (weight * scores**2).sum(0) + 1, (weight * scores).sum(0)
        c = weight.sum(0) + 1
        step = np.stack([c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]])
        slope, intercept = [slope, intercept] - np.clip(
            step / (a * c - b**2), -_MOST_CHANGE, _MOST_CHANGE
        )
        slope = np.maximum(slope, 1e-3)  # a score that says nothing, or the opposite
    return Calibration(slope.astype(np.float32), intercept.astype(np.float32))
