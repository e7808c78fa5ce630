"""`crop_faces` is tested where it predicts, in tests/inference/test_photo_prediction.py."""

import io

import numpy as np
import pytest
from PIL import Image

from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.photos import pictures
from tfac.photos.face_crops import crop_faces, faces_of, overlap, shows_face_elsewhere
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import OpenedPhoto, open_photo


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 2, 4, 4)) == 0
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0


def test_faces_of_a_photo_decoded_at_half_are_in_pixels_of_the_photo():
    picture = np.full((300, 300, 3), 90, np.uint8)
    picture[50:250, 50:250], _ = draw_face(sample_face(0, "train", 3, 0), 200)
    photo = Image.fromarray(picture).resize((600, 600), Image.Resampling.BICUBIC)
    detector = FaceDetector(name="dlib")
    [half] = faces_of(OpenedPhoto(picture, scale=2.0), detector)
    [full] = faces_of(OpenedPhoto(np.asarray(photo)), detector)
    np.testing.assert_allclose(half.rectangle, full.rectangle, atol=30)
    np.testing.assert_allclose(half.dlib_landmarks, full.dlib_landmarks, atol=12)
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    found, expected = half.aligned.to_photo(corners), full.aligned.to_photo(corners)
    np.testing.assert_allclose(found, expected, atol=30)
    [whole] = faces_of(OpenedPhoto(picture, scale=2.0), None)
    assert whole.rectangle == (0, 0, 600, 600) and whole.image.shape == (300, 300, 3)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("choice", [("dlib", "dlib"), ("mtcnn", "dlib"), ("mtcnn", "points")])
def test_faces_of_a_photo_on_its_side_are_in_its_own_pixels(choice, quarters):
    name, align_by = choice
    picture = np.full((260, 330, 3), 90, np.uint8)
    picture[20:220, 60:260], _ = draw_face(sample_face(0, "train", 4, 0), 200)
    detector = OnlyUpright(name=name, align_by=align_by)
    [upright] = crop_faces(picture, detector)
    turned = np.ascontiguousarray(np.rot90(picture, quarters))
    [found] = crop_faces(turned, detector, search_size=330)
    np.testing.assert_allclose(found.image, upright.image, atol=70)
    assert np.abs(found.image.astype(int) - upright.image).mean() < 2
    left, top, right, bottom = found.rectangle
    marked = np.zeros(turned.shape[:2], bool)
    marked[top:bottom, left:right] = True
    left, top, right, bottom = upright.rectangle
    assert np.argwhere(np.rot90(marked, -quarters)).min(axis=0).tolist() == [top, left]
    assert marked.sum() == (right - left) * (bottom - top)
    assert (found.dlib_landmarks is None) == (align_by == "points")


class OnlyUpright(FaceDetector):
    """Finds no face that lies on its side."""

    def find(self, picture):
        return [
            face
            for face in super().find(picture)
            if face.points is None or face.points[3, 1] > face.points[0, 1] + 20
        ]


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


def jpeg_of(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize(("side", "decoded"), [(800, 1), (300, 2)])
def test_a_large_jpeg_is_decoded_whole_for_small_faces_alone(side, decoded, monkeypatch):
    picture = np.full((1200, 1600, 3), 90, np.uint8)
    picture[200 : 200 + side, 500 : 500 + side], _ = draw_face(sample_face(0, "train", 3, 0), side)
    encoded, detector = jpeg_of(picture), FaceDetector()
    photo = open_photo(encoded, search_size=1000)
    assert photo.image.shape == (600, 800, 3) and photo.scale == 2
    opened = []
    monkeypatch.setattr(
        "tfac.photos.pictures._open",
        lambda *arguments, original=pictures._open: (
            opened.append(arguments),
            original(*arguments),
        )[1],
    )
    [found] = faces_of(photo, detector, 1000)
    assert len(opened) == decoded - 1
    [whole] = faces_of(open_photo(encoded), detector, 1000)
    np.testing.assert_allclose(found.rectangle, whole.rectangle, atol=side / 20)
    np.testing.assert_allclose(found.dlib_landmarks, whole.dlib_landmarks, atol=side / 40)
    assert np.abs(found.image.astype(int) - whole.image).mean() < 4


def test_what_is_searched_whole_is_decoded_whole():
    encoded = jpeg_of(np.full((300, 400, 3), 90, np.uint8))
    for search_size in (None, 300):
        photo = open_photo(encoded, search_size=search_size)
        assert photo.image.shape == (300, 400, 3) and photo.whole is None
    assert open_photo(encoded, search_size=64).image.shape == (75, 100, 3)
