"""What a model says about a face; needs NumPy alone."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Picture = str | os.PathLike | bytes | np.ndarray

_IN_REPR = 4  # attributes


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says about one face.

    Attributes:
        scores: attribute name to the model's raw output.
        probabilities: attribute name to a value in [0, 1].
        predictions: attribute name to True where the score passes the attribute's threshold.
        landmarks: float32 [K, 2], x and y in [0, 1] of the picture, of the model's landmark scheme;
            None where the model has no landmark branch.
    """

    scores: dict[str, float]
    probabilities: dict[str, float]
    predictions: dict[str, bool]
    landmarks: np.ndarray | None

    @classmethod
    def from_outputs(
        cls, attributes: Sequence[str], outputs: Mapping[str, np.ndarray], row: int
    ) -> "Prediction":
        """Returns what an export's outputs say about one picture of a batch.

        Args:
            attributes: names of the A attributes, in the order of the scores.
            outputs: "scores", "probabilities" and "predictions" [B, A], perhaps "landmarks"
                [B, K, 2].
            row: which picture.
        """

        def by_attribute(values: np.ndarray) -> dict:  # [B, A]
            return dict(zip(attributes, values[row].tolist(), strict=True))

        return cls(
            scores=by_attribute(outputs["scores"]),
            probabilities=by_attribute(outputs["probabilities"]),
            predictions=by_attribute(outputs["predictions"] == 1),
            landmarks=outputs["landmarks"][row] if "landmarks" in outputs else None,
        )

    @property
    def shown(self) -> tuple[str, ...]:
        """The attributes predicted to be shown, the most probable first."""
        names = [name for name, is_shown in self.predictions.items() if is_shown]
        return tuple(sorted(names, key=lambda name: -self.probabilities[name]))

    def __repr__(self) -> str:
        """Returns the attributes predicted to be shown, in a line."""
        names = [f"{name} {self.probabilities[name]:.0%}" for name in self.shown[:_IN_REPR]]
        more = ["..."] if len(self.shown) > _IN_REPR else []
        return f"Prediction({', '.join(names + more) or 'nothing shown'})"


def has_a_threshold_each(metadata: Mapping[str, Any]) -> bool:
    """Returns whether the contents of ``tfac.json`` have a threshold for each attribute.

    Raises:
        KeyError, TypeError: they are something else altogether.
    """
    attributes, cuts = metadata["attributes"], metadata["threshold_probabilities"]
    return len(attributes) == len(cuts) and all(
        isinstance(name, str) and isinstance(cut, float)
        for name, cut in zip(attributes, cuts, strict=True)
    )
