import numpy as np
import pytest
from PIL import Image

from tfac.attributes import ATTRIBUTES
from tfac.experiments.figures import (
    draw_attribute_bars,
    draw_attribute_weights,
    draw_thresholds,
    draw_validation_losses,
)

STEPS = np.array([0, 10, 20])
SERIES = {
    f"{group}/{name}": (STEPS, np.array([0.5, 0.3, 0.1 * number]))
    for group in ("validation/loss", "attribute_weights", "threshold_probabilities")
    for number, name in enumerate(ATTRIBUTES[-20:])
} | {"validation/mean_loss": (STEPS, np.array([0.7, 0.5, 0.4]))}


@pytest.mark.parametrize("count", [1, 12])
def test_bars_of_any_number_of_systems(tmp_path, count):
    values = {f"system {i}": dict.fromkeys(ATTRIBUTES, 40.0 + i) for i in range(count)}
    draw_attribute_bars(values, "accuracy", tmp_path / "bars.png")
    with Image.open(tmp_path / "bars.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("draw", "series"),
    [
        (draw_validation_losses, {"FIX": SERIES, "DW": SERIES}),
        (draw_attribute_weights, SERIES),
        (draw_thresholds, SERIES),
        (draw_thresholds, {"threshold_probabilities/Young": (STEPS, np.zeros(3))}),
    ],
)
def test_curves_are_drawn(tmp_path, draw, series):
    draw(series, "a title", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500
