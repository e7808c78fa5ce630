"""`crop_faces` is tested where it predicts, in tests/inference/test_photo_prediction.py."""

import numpy as np
import pytest
from PIL import Image

from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.photos.face_crops import faces_of, overlap
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import OpenedPhoto


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 2, 4, 4)) == 0
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0


def test_faces_of_a_photo_decoded_at_half_are_in_pixels_of_the_photo():
    picture = np.full((300, 300, 3), 90, np.uint8)
    picture[50:250, 50:250], _ = draw_face(sample_face(0, "train", 3, 0), 200)
    photo = Image.fromarray(picture).resize((600, 600), Image.Resampling.BICUBIC)
    [half] = faces_of(OpenedPhoto(picture, scale=2.0), FaceDetector())
    [full] = faces_of(OpenedPhoto(np.asarray(photo)), FaceDetector())
    np.testing.assert_allclose(half.rectangle, full.rectangle, atol=30)
    np.testing.assert_allclose(half.dlib_landmarks, full.dlib_landmarks, atol=12)
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    found, expected = half.aligned.to_photo(corners), full.aligned.to_photo(corners)
    np.testing.assert_allclose(found, expected, atol=30)
    [whole] = faces_of(OpenedPhoto(picture, scale=2.0), None)
    assert whole.rectangle == (0, 0, 600, 600) and whole.image.shape == (300, 300, 3)
