"""`crop_faces` is tested where it predicts, in tests/inference/test_photo_prediction.py."""

import pytest

from tfac.photos.face_crops import overlap


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 2, 4, 4)) == 0
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0
