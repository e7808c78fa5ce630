"""How far predicted landmarks are from the true ones."""

import numpy as np

from tfac.landmarks import LandmarkScheme


def landmark_errors(
    landmarks: np.ndarray, predicted: np.ndarray, sizes: np.ndarray, scheme: LandmarkScheme
) -> np.ndarray:
    """Returns each picture's mean distance of the landmarks, in distances between the eyes.

    Distances are measured in the picture's own pixels, so that its aspect counts.

    Args:
        landmarks: true landmarks [N, K, 2], x and y in [0, 1] of the picture's width and height.
        predicted: predicted landmarks [N, K, 2].
        sizes: height and width of the pictures [N, 2], pixels.
        scheme: the landmarks' scheme, which knows the eyes.

    Returns:
        float64 [N]; NaN where the true eyes are in one place, as in records without landmarks.
    """
    width_height = np.asarray(sizes, np.float64)[:, np.newaxis, ::-1]  # [N, 1, 2]
    true_pixels = landmarks * width_height  # [N, K, 2]
    distances = np.linalg.norm(predicted * width_height - true_pixels, axis=-1)  # [N, K]
    left_eye, right_eye = scheme.eye_centres(true_pixels)
    between_eyes = np.linalg.norm(left_eye - right_eye, axis=-1)  # [N]
    error = distances.mean(axis=-1)
    return np.divide(error, between_eyes, out=np.full(error.shape, np.nan), where=between_eyes > 0)
