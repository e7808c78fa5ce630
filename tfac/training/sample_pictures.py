"""A picture of what the network says about a few validation faces, for TensorBoard."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tfac.training.validation import ValidationResult

RIGHT, WRONG = "#1a7f37", "#c62828"
_MOST_NAMES = 16  # that fit under a picture
_DPI = 80


def draw_samples(
    result: ValidationResult, thresholds: np.ndarray, attributes: Sequence[str]
) -> np.ndarray:
    """Returns one picture, uint8 [H, W, 3], of the samples of a validation.

    Under each face are the attributes it shows or is said to show: green where prediction and
    label agree, red with a + where only the prediction says so and with a - where only the label
    does. Landmarks are drawn as white (annotated) and orange (predicted) points.
    """
    samples = result.samples
    count = len(samples.images)
    figure = Figure(figsize=(2.6 * count, 5.6), dpi=_DPI)
    for i in range(count):
        face = figure.add_axes(((i + 0.03) / count, 0.52, 0.94 / count, 0.47))
        height, width = samples.images[i].shape[:2]
        face.imshow(samples.images[i], extent=(0, width, height, 0))
        face.set(xlim=(0, width), ylim=(height, 0))  # points outside are cut off
        face.set_axis_off()
        if samples.predicted_landmarks is not None:
            if samples.landmarks_valid[i]:
                _points(face, samples.landmarks[i] * (width, height), "white")
            _points(face, samples.predicted_landmarks[i] * (width, height), "#ff9800")
        annotated = result.label_mask[i] > 0.5
        shown = (result.labels[i] > 0.5) & annotated
        predicted = (result.scores[i] > thresholds) & annotated
        named = np.flatnonzero(shown | predicted)
        for row, j in enumerate(named[:_MOST_NAMES]):
            mark = " " if shown[j] == predicted[j] else "+" if predicted[j] else "-"
            figure.text(
                (i + 0.05) / count,
                0.5 * (1 - row / _MOST_NAMES),
                f"{mark} {attributes[j]}",
                color=RIGHT if shown[j] == predicted[j] else WRONG,
                size=9,
                va="top",
                family="monospace",
            )
    return figure_pixels(figure)


def figure_pixels(figure: Figure) -> np.ndarray:
    """Returns what a figure looks like, uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        return np.asarray(picture.convert("RGB"))


def _points(axes, points: np.ndarray, colour: str) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=3, color=colour, linewidths=0)
