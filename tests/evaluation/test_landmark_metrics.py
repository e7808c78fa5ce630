import numpy as np
import pytest

from tfac.evaluation.landmark_metrics import landmark_errors
from tfac.landmarks import CELEBA_5, DLIB_72

# Eyes, nose and corners of the mouth in a picture 200 wide and 100 high: the eyes are 50 px apart.
PIXELS = np.array([[75, 40], [125, 40], [100, 60], [80, 80], [120, 80]], float)
SIZE = np.array([[100, 200]])
LANDMARKS = (PIXELS / [200, 100])[np.newaxis]


def test_golden_number():
    # One of five landmarks is off by 3 px and 4 px, 5 px together: 5 / 5 / 50.
    predicted = LANDMARKS.copy()
    predicted[0, 2] += [3 / 200, 4 / 100]
    assert landmark_errors(LANDMARKS, predicted, SIZE, CELEBA_5) == pytest.approx([0.02])


def test_equals_plain_loops():
    rng = np.random.default_rng(0)
    true, predicted = rng.uniform(size=(2, 3, 72, 2))
    sizes = rng.integers(20, 300, (3, 2))
    expected = []
    for n in range(3):
        height, width = sizes[n]
        distances = []
        for k in range(72):
            dx = (true[n, k, 0] - predicted[n, k, 0]) * width
            dy = (true[n, k, 1] - predicted[n, k, 1]) * height
            distances.append((dx**2 + dy**2) ** 0.5)
        # dlib's points 36-41 and 42-47, 17+5+5+4+5 = 36 landmarks in.
        left = [np.mean(true[n, 36:42, axis]) for axis in (0, 1)]
        right = [np.mean(true[n, 42:48, axis]) for axis in (0, 1)]
        apart = ((left[0] - right[0]) * width) ** 2 + ((left[1] - right[1]) * height) ** 2
        expected.append(np.mean(distances) / apart**0.5)
    np.testing.assert_allclose(landmark_errors(true, predicted, sizes, DLIB_72), expected)


def test_picture_without_landmarks_has_no_error():
    unknown = np.full((1, 5, 2), 0.5)
    assert np.isnan(landmark_errors(unknown, LANDMARKS, SIZE, CELEBA_5)).all()
