import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from tfac.data import face_detection
from tfac.data.face_detection import FaceDetector
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_68


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


def test_predictor_is_found_without_importing_its_package():
    assert face_detection.predictor_path().is_file()


def test_missing_predictor_package_is_named(monkeypatch):
    monkeypatch.setattr(face_detection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="face_recognition_models to be installed"):
        face_detection.predictor_path()


def test_missing_predictor_file_is_named(monkeypatch):
    monkeypatch.setattr(face_detection, "PREDICTOR_FILE", "absent.dat")
    with pytest.raises(ConfigError, match="absent.dat"):
        face_detection.predictor_path()


def test_picture_without_a_face_gives_no_rectangle():
    assert FaceDetector().detect(np.full((64, 80, 3), 127, np.uint8)) == []


@pytest.mark.parametrize("shape, dtype", [((8, 8), np.uint8), ((8, 8, 3), np.float32)])
def test_wrong_array_is_refused(shape, dtype):
    with pytest.raises(DataError, match=r"expected a picture of uint8 \[H, W, 3\]"):
        FaceDetector().detect(np.zeros(shape, dtype))


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


def test_largest_face_comes_first(portraits):
    small = np.asarray(Image.fromarray(portraits[1]).resize((125, 125)))
    canvas = np.zeros((250, 375, 3), np.uint8)
    canvas[60:185, :125], canvas[:, 125:] = small, portraits[0]
    areas = [
        (right - left) * (bottom - top)
        for left, top, right, bottom in FaceDetector(upsample=1).detect(canvas)
    ]
    assert len(areas) >= 2 and areas == sorted(areas, reverse=True)
