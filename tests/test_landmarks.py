import numpy as np
import pytest

from tfac.errors import ConfigError
from tfac.landmarks import LANDMARK_SCHEMES, get_landmark_scheme


@pytest.mark.parametrize(("name", "count"), [("dlib_72", 72), ("dlib_68", 68), ("celeba_5", 5)])
def test_number_of_landmarks(name, count):
    scheme = get_landmark_scheme(name)
    assert scheme.num_landmarks == len(scheme.source_indices) == count


@pytest.mark.parametrize("scheme", LANDMARK_SCHEMES.values(), ids=LANDMARK_SCHEMES)
def test_mirroring_twice_changes_nothing(scheme):
    flip = scheme.flip_indices
    np.testing.assert_array_equal(flip[flip], np.arange(scheme.num_landmarks))


def test_mirror_swaps_the_sides_point_by_point():
    scheme = get_landmark_scheme("dlib_72")
    # Corners of the mouth in dlib's 68 points: 48 left, 54 right; each occurs in both lips.
    top, bottom = scheme.slices["top_lip"].start, scheme.slices["bottom_lip"].start
    assert scheme.flip_indices[top] == top + 6
    assert scheme.flip_indices[bottom] == bottom + 6
    # Outer corner of the left eye (36) and of the right eye (45).
    left, right = scheme.slices["left_eye"].start, scheme.slices["right_eye"].start
    assert scheme.flip_indices[left] == right + 3
    assert scheme.flip_indices[0] == 16  # the chin's ends


def test_four_lip_points_occur_twice():
    points, counts = np.unique(get_landmark_scheme("dlib_72").source_indices, return_counts=True)
    assert len(points) == 68
    assert points[counts == 2].tolist() == [48, 54, 60, 64]


def test_eye_centres_are_the_means_of_the_eyes():
    scheme = get_landmark_scheme("celeba_5")
    landmarks = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.4, 0.8], [0.6, 0.8]])
    left, right = scheme.eye_centres(landmarks)
    assert left.tolist() == [0.3, 0.4] and right.tolist() == [0.7, 0.4]


def test_unknown_scheme_is_refused():
    with pytest.raises(ConfigError, match="expected one of dlib_72"):
        get_landmark_scheme("dlib_99")
