import numpy as np
import pytest

from tfac.attributes import ATTRIBUTES
from tfac.training.sample_pictures import draw_samples
from tfac.training.validation import Samples, ValidationResult


@pytest.mark.parametrize("landmarks", [True, False])
def test_right_names_are_green_and_wrong_ones_red(landmarks):
    rng = np.random.default_rng(0)
    samples = Samples(
        images=np.zeros((2, 20, 16, 3), np.uint8),
        landmarks=rng.uniform(size=(2, 72, 2)),
        landmarks_valid=np.array([1.0, 0.0]),
        predicted_landmarks=rng.uniform(-1, 2, size=(2, 72, 2)) if landmarks else None,
    )

    def draw(scores):
        result = ValidationResult(
            labels=np.ones((2, 40)),
            label_mask=np.ones((2, 40)),
            scores=np.full((2, 40), scores),
            attribute_losses=np.zeros(40),
            landmark_loss=None,
            has_landmarks=True,
            samples=samples,
        )
        return draw_samples(result, np.zeros(40), ATTRIBUTES).astype(int)

    right, wrong = draw(1.0), draw(-1.0)
    assert right.ndim == 3 and right.shape[2] == 3
    text = slice(right.shape[0] // 2 + 10, None)
    assert (right[text, :, 1] > right[text, :, 0] + 50).any()
    assert not (right[text, :, 0] > right[text, :, 1] + 50).any()
    assert (wrong[text, :, 0] > wrong[text, :, 1] + 50).any()
