"""`crop_faces` is tested where it predicts, in tests/inference/test_photo_prediction.py."""

import numpy as np
import pytest

from tfac.photos.face_crops import overlap, shows_face_elsewhere
from tfac.photos.face_detection import FaceDetector


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 2, 4, 4)) == 0
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0


class FindsOne:
    def __init__(self, *box):
        self.box = box

    def detect(self, picture):
        height, width = picture.shape[:2]
        return [
            tuple(round(side * of) for side, of in zip(self.box, (width, height) * 2, strict=True))
        ]


def test_face_of_a_crop_is_in_its_place_at_any_size():
    in_crop, in_photo = FindsOne(0.25, 0.42, 0.75, 0.82), FindsOne(0.1, 0.1, 0.3, 0.3)
    for size in ((218, 178), (1744, 1424), (224, 224)):
        picture = np.zeros((*size, 3), np.uint8)
        assert not shows_face_elsewhere(picture, in_crop)
        assert shows_face_elsewhere(picture, in_photo)


def test_nothing_is_said_of_a_picture_without_a_face():
    picture = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    assert not shows_face_elsewhere(picture, FaceDetector(upsample=0))
