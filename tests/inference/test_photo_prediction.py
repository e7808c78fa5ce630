import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.fixed_detector import FixedDetector
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.inference.photo_prediction import found_face, predict_crops
from tfac.inference.prediction import Prediction
from tfac.landmarks import DLIB_68
from tfac.photos.alignment import (
    CROP_HEIGHT,
    CROP_WIDTH,
    LEFT_EYE,
    RIGHT_EYE,
    align_face,
    apply,
    invert,
)
from tfac.photos.face_crops import FaceCrop, crop_faces, faces_of, whole_crop
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import open_photo, open_picture


class CountingPredictor:
    """Answers with each picture's mean and remembers the batches it was given."""

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.batches = []

    def __call__(self, pictures):
        self.batches.append(len(pictures))
        means = [float(picture.mean()) for picture in pictures]
        return [Prediction({"mean": m}, {"mean": 0.5}, {"mean": True}, None) for m in means]


@pytest.fixture(scope="module")
def portraits(real_faces):
    """Sixty LFW pictures from all over the alphabet."""
    pictures = {}
    with tarfile.open(real_faces / "lfw" / "lfw-deepfunneled.tgz") as archive:
        members = [member for member in archive if member.name.endswith(".jpg")]
        for member in members[:: len(members) // 60]:
            pictures[member.name] = open_picture(archive.extractfile(member).read())
    return pictures


def grey(value):
    return whole_crop(np.full((4, 6, 3), value, np.uint8))


def test_photos_keep_their_order_and_faces():
    photos = [("a", [grey(1), grey(2)]), ("b", []), ("c", [grey(3)]), ("d", [grey(4), grey(5)])]
    found = list(predict_crops(photos, CountingPredictor(batch_size=3)))
    assert [name for name, _ in found] == ["a", "b", "c", "d"]
    means = [[face.prediction.scores["mean"] for face in faces] for _, faces in found]
    assert means == [[1, 2], [], [3], [4, 5]]


def test_faces_of_several_photos_share_a_batch():
    predictor = CountingPredictor(batch_size=3)
    list(predict_crops([(str(i), [grey(i)]) for i in range(7)], predictor))
    assert predictor.batches == [3, 3, 1]


def test_photos_without_faces_do_not_wait_for_ever():
    photos = ((i, []) for i in range(100))
    first = next(iter(predict_crops(photos, CountingPredictor(batch_size=4))))
    assert first == (0, []) and next(photos)[0] == 4


def test_large_photo_is_shrunk_for_the_search_alone():
    picture = np.full((800, 1200, 3), 99, np.uint8)
    detector = FixedDetector()
    crop = crop_faces(picture, detector, search_size=300)[0]
    assert detector.searched == (200, 300, 3)
    assert crop.rectangle == (300, 200, 900, 600)
    assert crop.image.shape == (CROP_HEIGHT, CROP_WIDTH, 3)
    eyes = np.array([LEFT_EYE, RIGHT_EYE]) / (CROP_WIDTH, CROP_HEIGHT)
    np.testing.assert_allclose(crop.aligned.to_photo(eyes), [(450, 360), (750, 360)], atol=1e-3)


def predicted(landmarks):
    return Prediction({}, {}, {}, landmarks)


def test_landmarks_of_a_crop_return_to_the_photo():
    picture = np.zeros((300, 400, 3), np.uint8)
    crop = FaceCrop(picture, (0, 0, 9, 9), align_face(picture, (100, 150), (200, 160)))
    landmarks = np.array([LEFT_EYE, RIGHT_EYE]) / (CROP_WIDTH, CROP_HEIGHT)
    face = found_face(crop, predicted(landmarks))
    np.testing.assert_allclose(face.landmarks, [(100, 150), (200, 160)], atol=1e-3)


def test_landmarks_of_a_whole_picture_are_scaled_by_its_size():
    face = found_face(
        whole_crop(np.zeros((20, 10, 3), np.uint8)), predicted(np.array([(0.5, 0.25)], np.float32))
    )
    np.testing.assert_allclose(face.landmarks, [(5, 5)])
    assert face.rectangle == (0, 0, 10, 20)


def test_model_without_landmarks_shows_those_of_the_detector():
    crop = crop_faces(np.full((80, 120, 3), 99, np.uint8), FixedDetector())[0]
    np.testing.assert_array_equal(found_face(crop, predicted(None)).landmarks, crop.dlib_landmarks)
    assert found_face(grey(0), predicted(None)).landmarks is None


SIDE = 250  # of the drawn faces, pixels


@pytest.fixture(scope="module")
def drawn_faces():
    """Two drawn faces [250, 250, 3], each with the eyes of its crop in pixels of the picture."""
    pictures = [draw_face(sample_face(0, "train", number, 0), SIDE)[0] for number in (3, 4)]
    return [(picture, eyes_of_crop(picture)) for picture in pictures]


def eyes_of_crop(picture):
    """Where the eyes of the one face lie, [2, 2], as it is cropped."""
    (crop,) = crop_faces(picture, FaceDetector())
    return apply(invert(crop.aligned.to_crop), [LEFT_EYE, RIGHT_EYE])


@pytest.mark.parametrize("right, down", [(1, 0), (3, -5)])
def test_crop_follows_a_photo_that_is_moved_by_whole_pixels(drawn_faces, right, down):
    apart = []
    for picture, eyes in drawn_faces:
        padded = np.pad(picture, [(8, 8), (8, 8), (0, 0)], mode="edge")
        moved = padded[8 - down : 8 - down + SIDE, 8 - right : 8 - right + SIDE]
        apart.append(eyes_of_crop(moved) - (right, down) - eyes)
    assert eye_distances(apart, drawn_faces).max() < 0.02


def test_crop_of_a_mirrored_photo_is_mirrored(drawn_faces):
    apart = []
    for picture, eyes in drawn_faces:
        mirrored = eyes_of_crop(np.flip(picture, axis=1))[::-1]
        apart.append((SIDE - 1, 0) + mirrored * (-1, 1) - eyes)
    assert eye_distances(apart, drawn_faces).max() < 0.02


def eye_distances(apart, faces):
    """Lengths of `apart`, [faces, 2, 2], over the distance between the eyes of each face."""
    between = [np.linalg.norm(eyes[1] - eyes[0]) for _, eyes in faces]
    return np.linalg.norm(apart, axis=-1) / np.array(between)[:, None]


@pytest.mark.slow
def test_most_portraits_have_a_face_that_is_aligned(portraits):
    detector = FaceDetector(upsample=1)
    again = FaceDetector(upsample=0)
    crops = [crop_faces(picture, detector) for picture in portraits.values()]
    assert sum(map(bool, crops)) >= 0.95 * len(portraits)
    distances = []
    for crop in (found[0] for found in crops if found):
        rectangle = (45, 93, 132, 180)  # where aligned pictures have the face
        eyes = DLIB_68.eye_centres(again.landmarks(crop.image, rectangle))
        distances.append(np.abs(np.array(eyes) - (LEFT_EYE, RIGHT_EYE)).max())
    assert np.median(distances) < 2.5  # pixels


def test_a_group_of_96_faces_is_found(real_faces):
    photo = np.full((3000, 4000, 3), 128, np.uint8)
    with tarfile.open(real_faces / "lfw" / "lfw-deepfunneled.tgz") as archive:
        members = [member for member in archive if member.name.endswith(".jpg")]
        for number, member in enumerate(members[:: len(members) // 96][:96]):
            face = open_picture(archive.extractfile(member).read())[35:215, 35:215]
            left, top = 14 + 333 * (number % 12), 30 + 366 * (number // 12)
            photo[top : top + 300, left : left + 300] = Image.fromarray(face).resize((300, 300))
    encoded = io.BytesIO()
    Image.fromarray(photo).save(encoded, "JPEG", quality=90)
    detector = FaceDetector(align_by="points")
    found = faces_of(open_photo(encoded.getvalue(), search_size=detector.search_size), detector)
    boxes = np.array([crop.rectangle for crop in found])
    cells = (boxes[:, :2] + boxes[:, 2:]) / 2 - (14 + 150, 30 + 150)
    inside = np.abs(cells - np.round(cells / (333, 366)) * (333, 366)).max(axis=1) < 75
    places = {tuple(place) for place in np.round(cells[inside] / (333, 366)).astype(int)}
    assert len(places) >= 94
    # What else is found are mostly people behind those pictured.
    assert len(boxes) - len(places) <= 8
