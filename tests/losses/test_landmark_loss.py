import numpy as np

from tfac.losses import landmark_squared_error


def test_equals_plain_loops():
    rng = np.random.default_rng(0)
    landmarks, predicted = rng.uniform(size=(2, 3, 72, 2)).astype(np.float32)
    expected = []
    for picture in range(3):
        total = 0.0
        for point in range(72):
            for axis in range(2):
                total += (predicted[picture, point, axis] - landmarks[picture, point, axis]) ** 2
        expected.append(total)
    np.testing.assert_allclose(landmark_squared_error(landmarks, predicted), expected, rtol=1e-5)
