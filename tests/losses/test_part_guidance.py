import math

import numpy as np
import pytest
from keras import ops

from tfac.attributes import PART_GROUPS
from tfac.errors import ConfigError
from tfac.landmarks import CELEBA_5, DLIB_72, LANDMARK_SCHEMES
from tfac.losses import PartGuidance
from tfac.losses.part_guidance import PART_REGIONS

LEFT, RIGHT, MOUTH = (0.35, 0.4), (0.65, 0.42), (0.48, 0.75)


def face(scheme, left=LEFT, right=RIGHT, mouth=MOUTH):
    """Landmarks [1, K, 2] whose eyes and mouth have the given centres; the rest is far away."""
    points = np.full((1, scheme.num_landmarks, 2), 7.0, np.float32)
    spread = np.random.default_rng(0).normal(0, 0.02, points.shape)
    for names, centre in [((scheme.left_eye,), left), ((scheme.right_eye,), right)]:
        for name in names:
            part = spread[:, scheme.slices[name]]
            points[:, scheme.slices[name]] = centre + part - part.mean(axis=1, keepdims=True)
    lips = np.concatenate([np.arange(scheme.num_landmarks)[scheme.slices[n]] for n in scheme.mouth])
    part = spread[:, lips]
    points[:, lips] = mouth + part - part.mean(axis=1, keepdims=True)
    return points


def target_by_loops(name, left, right, mouth, height, width):
    """The target of one part, cell by cell, with the frame's linear equations solved in each."""
    eyes = np.add(left, right) / 2
    frame = np.stack([np.subtract(right, left), np.subtract(mouth, eyes)], axis=1)
    target = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            cell = np.array([(column + 0.5) / width, (row + 0.5) / height])
            across, along = np.linalg.solve(frame, cell - eyes)
            if name == "around_head":
                oval = (across / 1.3) ** 2 + ((along - 0.3) / 1.6) ** 2
                target[row, column] = 1 - math.exp(-(oval**2))
            else:
                (x, half_width), (y, half_height) = PART_REGIONS[name]
                distance = ((abs(across) - x) / half_width) ** 2 + ((along - y) / half_height) ** 2
                target[row, column] = math.exp(-distance)
    return target


@pytest.mark.parametrize("scheme", LANDMARK_SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_equals_plain_loops(scheme):
    guidance = PartGuidance(scheme, tuple(PART_GROUPS))
    assert guidance.part_names == tuple(PART_GROUPS)
    faces = [(LEFT, RIGHT, MOUTH), ((0.6, 0.3), (0.4, 0.55), (0.2, 0.2))]
    landmarks = np.concatenate([face(scheme, *points) for points in faces])
    mask = np.random.default_rng(1).uniform(0, 2, (2, 5, 7, 8)).astype(np.float32)
    errors = guidance.squared_error(mask, landmarks)
    targets = guidance.targets(landmarks, 5, 7)
    for i, points in enumerate(faces):
        error = 0
        for group, name in enumerate(PART_GROUPS):
            expected = target_by_loops(name, *points, 5, 7)
            np.testing.assert_allclose(targets[i, :, :, group], expected, atol=1e-5)
            error += np.sum((mask[i, :, :, group] - expected) ** 2)
        np.testing.assert_allclose(errors[i], error / (5 * 7 * 8), rtol=1e-4)


def test_a_mirrored_face_has_mirrored_targets():
    guidance, landmarks = PartGuidance(DLIB_72, tuple(PART_GROUPS)), face(DLIB_72)
    mirrored = landmarks[:, DLIB_72.flip_indices] * [-1, 1] + [1, 0]
    targets = ops.convert_to_numpy(guidance.targets(landmarks, 8, 8))
    again = guidance.targets(mirrored.astype(np.float32), 8, 8)
    np.testing.assert_allclose(again, targets[:, :, ::-1], atol=1e-4)


def test_groups_that_are_no_known_part_are_not_guided():
    guidance = PartGuidance(CELEBA_5, ("style", "mouth", "hat", "nose"))
    assert guidance.part_names == ("mouth", "nose")
    landmarks = face(CELEBA_5)
    targets = guidance.targets(landmarks, 4, 4)
    mask = np.full((1, 4, 4, 4), 9.0, np.float32)
    mask[..., 1], mask[..., 3] = targets[..., 0], targets[..., 1]
    np.testing.assert_allclose(guidance.squared_error(mask, landmarks), [0], atol=1e-6)


def test_groups_without_any_known_part_are_refused():
    with pytest.raises(ConfigError, match="guidance: expected a group among eyes.*Received: style"):
        PartGuidance(CELEBA_5, ("style",))


@pytest.mark.parametrize("points", [(0.5, 0.5), (float("1e6"), 0.0)])
def test_landmarks_that_make_no_face_have_finite_targets(points):
    landmarks = np.tile(np.array(points, np.float32), (1, 72, 1))
    targets = PartGuidance(DLIB_72, tuple(PART_GROUPS)).targets(landmarks, 3, 3)
    assert np.all(np.isfinite(targets))
