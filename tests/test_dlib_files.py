import sys

import pytest

from tfac import dlib_files
from tfac.dlib_files import FACE_RECOGNITION, LANDMARK_PREDICTOR, dlib_file
from tfac.errors import ConfigError


@pytest.mark.parametrize("name", [FACE_RECOGNITION, LANDMARK_PREDICTOR])
def test_file_is_found_without_importing_its_package(name):
    assert dlib_file(name, "a test").is_file()
    assert "face_recognition_models" not in sys.modules


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(dlib_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="landmarks: .* package face_recognition_models"):
        dlib_file(LANDMARK_PREDICTOR, "landmarks")


def test_missing_file_is_named():
    with pytest.raises(ConfigError, match="absent.dat"):
        dlib_file("absent.dat", "landmarks")
