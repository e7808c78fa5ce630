import numpy as np
import pytest

from tfac.errors import DataError
from tfac.photos.alignment import (
    CROP_HEIGHT,
    CROP_WIDTH,
    LEFT_EYE,
    RIGHT_EYE,
    align_face,
    apply,
    cut,
    eye_alignment,
    invert,
)


def ramps(height, width, step=1.0):
    """A picture whose red is x * step and green y * step, so a pixel tells where it came from."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.clip(np.arange(width) * step, 0, 255)
    picture[..., 1] = np.clip(np.arange(height)[:, None] * step, 0, 255)
    return picture


@pytest.mark.parametrize(
    "left, right", [((100, 120), (140, 120)), ((50, 60), (55, 80)), ((900.5, 3), (200, 40))]
)
def test_eyes_come_to_rest_at_their_places(left, right):
    moved = apply(eye_alignment(left, right), [left, right])
    np.testing.assert_allclose(moved, [LEFT_EYE, RIGHT_EYE], atol=1e-9)


def test_transform_turns_and_scales_without_shear():
    linear = eye_alignment((10, 20), (40, 60))[:, :2]
    scale = (RIGHT_EYE[0] - LEFT_EYE[0]) / 50
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-12)
    assert np.linalg.det(linear) > 0


def test_way_back_is_exact():
    transform = eye_alignment((310.2, 95), (402, 131.7))
    points = np.random.default_rng(0).uniform(-50, 500, (7, 2))
    np.testing.assert_allclose(apply(invert(transform), apply(transform, points)), points)


def test_landmarks_return_to_the_photo():
    face = align_face(ramps(200, 250), (100, 90), (130, 96))
    eyes = np.array([LEFT_EYE, RIGHT_EYE]) / (CROP_WIDTH, CROP_HEIGHT)
    np.testing.assert_allclose(face.to_photo(eyes), [(100, 90), (130, 96)], atol=1e-9)


def test_eyes_where_they_belong_leave_the_picture_as_it_is():
    picture = np.random.default_rng(1).integers(0, 256, (CROP_HEIGHT, CROP_WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(align_face(picture, LEFT_EYE, RIGHT_EYE).image, picture)


@pytest.mark.parametrize(
    "left, right", [((90, 100), (128.3, 100)), ((100, 90), (110, 120)), ((95, 125), (115, 118))]
)
def test_pixels_come_from_where_the_transform_says(left, right):
    face = align_face(ramps(256, 256), left, right)
    points = np.array([(x, y) for x in (60, 89, 120) for y in (80, 110, 150)])
    source = apply(invert(face.to_crop), points)
    inside = ((source > 2) & (source < 250)).all(axis=1)
    assert inside.sum() >= 6
    colours = face.image[points[:, 1], points[:, 0], :2].astype(float)
    np.testing.assert_allclose(colours[inside], source[inside], atol=1.0)


def test_cut_of_any_size_is_that_part_of_the_picture():
    picture = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    part = cut(picture, np.array([[1.0, 0, -10], [0, 1, -20]]), (40, 30))
    np.testing.assert_array_equal(part, picture[20:50, 10:50])


def test_large_photo_is_shrunk_without_a_shift():
    face = align_face(ramps(1500, 1500, step=255 / 1500), (600, 700), (850, 700))
    points = np.array([(70, 112), (107, 112), (89, 150)])
    source = apply(invert(face.to_crop), points) * (255 / 1500)
    colours = face.image[points[:, 1], points[:, 0], :2].astype(float)
    np.testing.assert_allclose(colours, source, atol=1.0)


def test_shrinking_does_not_alias():
    checks = (np.indices((1600, 1600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checks[..., None], 3, axis=-1)
    crop = align_face(picture, (700, 800), (900, 810)).image
    assert abs(crop[60:160, 50:130].astype(float) - 127.5).max() < 4


def test_edge_pixels_are_repeated_beyond_the_photo():
    picture = np.random.default_rng(2).integers(0, 256, (60, 178, 3), np.uint8)
    crop = align_face(picture, (LEFT_EYE[0], 30.5), (RIGHT_EYE[0], 30.5)).image  # 82 rows lower
    np.testing.assert_array_equal(crop[82:142], picture)
    np.testing.assert_array_equal(crop[:80], np.repeat(picture[:1], 80, axis=0))
    np.testing.assert_array_equal(crop[144:], np.repeat(picture[-1:], 74, axis=0))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (400, 2, 3)])
def test_tiny_and_narrow_photos_give_a_whole_crop(shape):
    crop = align_face(np.full(shape, 90, np.uint8), (0, 0), (2, 1)).image
    assert crop.shape == (CROP_HEIGHT, CROP_WIDTH, 3) and (crop == 90).all()


@pytest.mark.parametrize("right", [(3.0, 4.0), (float("nan"), 4.0), (float("inf"), 4.0)])
def test_coinciding_or_infinite_eyes_are_refused(right):
    with pytest.raises(DataError, match="two eyes apart"):
        align_face(ramps(20, 20), (3.0, 4.0), right)


def test_eyes_far_outside_the_photo_are_refused():
    with pytest.raises(DataError, match="far outside"):
        align_face(ramps(20, 20), (1e6, 0), (1e6 + 5, 0))
