"""Finding faces and their 68 landmarks with dlib: the one place where dlib is used.

The detector (`dlib.get_frontal_face_detector`) is part of dlib and free for any use. The 68-point
predictor comes with the `face_recognition_models` distribution and was trained on iBUG 300-W
(Sagonas et al., "300 faces in-the-wild challenge", 2016), **whose licence excludes commercial
use**: whoever uses tfac commercially must do without landmarks or bring a predictor of their own.
"""

import importlib.util
from functools import cached_property
from pathlib import Path

import numpy as np

from tfac.errors import ConfigError, DataError

PREDICTOR_FILE = "shape_predictor_68_face_landmarks.dat"

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom, pixels; right and bottom excluded


def predictor_path() -> Path:
    """Returns where the installed 68-point predictor lies.

    The package that carries it is located, not imported: its import needs `pkg_resources`, which
    recent setuptools no longer has.

    Raises:
        ConfigError: `face_recognition_models` is not installed or lacks the file.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "landmarks need dlib's 68-point predictor: expected the package "
            "face_recognition_models to be installed, and it is not. "
            "Run: pip install face_recognition_models"
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / PREDICTOR_FILE
    if not path.is_file():
        raise ConfigError(
            f"landmarks need dlib's 68-point predictor: expected the file {path}, and it is "
            "missing. Run: pip install --force-reinstall face_recognition_models"
        )
    return path


class FaceDetector:
    """Finds faces and their landmarks in pictures.

    dlib and its models are loaded when first used, so a detector may be created early and sent to
    worker processes.

    Args:
        upsample: how often the picture is doubled in size before the search. The smallest face
            found is about 80 pixels wide at 0, 40 at 1, 20 at 2; each step takes four times as
            long.

    Raises:
        ConfigError: `upsample` is negative.
    """

    def __init__(self, upsample: int = 1):
        if upsample < 0:
            raise ConfigError(f"expected upsample to be 0 or more. Received: upsample={upsample}")
        self.upsample = upsample

    def __getstate__(self) -> dict:
        """Leaves the loaded models out: the receiving process loads its own."""
        return {"upsample": self.upsample}

    @cached_property
    def _find(self):
        import dlib

        return dlib.get_frontal_face_detector()

    @cached_property
    def _predict(self):
        import dlib

        return dlib.shape_predictor(str(predictor_path()))

    def detect(self, picture: np.ndarray) -> list[Rectangle]:
        """Returns the faces in `picture`, the largest first.

        Args:
            picture: uint8 [H, W, 3], RGB.

        Returns:
            (left, top, right, bottom) of each face in pixels; a face cut by the picture's edge may
            reach beyond it.

        Raises:
            DataError: `picture` is no uint8 [H, W, 3].
        """
        found = self._find(_checked(picture), self.upsample)
        boxes = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in found]
        return sorted(boxes, key=_area, reverse=True)

    def landmarks(self, picture: np.ndarray, rectangle: Rectangle) -> np.ndarray:
        """Returns the 68 landmarks of the face in `rectangle`.

        Args:
            picture: uint8 [H, W, 3], RGB.
            rectangle: (left, top, right, bottom) in pixels, from `detect` or known otherwise.

        Returns:
            float32 [68, 2], x and y in pixels, in the order of iBUG 300-W. Points may lie outside
            the picture.

        Raises:
            ConfigError: the predictor's file is missing.
            DataError: `picture` is no uint8 [H, W, 3].
        """
        import dlib

        left, top, right, bottom = (round(side) for side in rectangle)
        shape = self._predict(_checked(picture), dlib.rectangle(left, top, right - 1, bottom - 1))
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)


def _checked(picture: np.ndarray) -> np.ndarray:
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8:
        raise DataError(
            f"expected a picture of uint8 [H, W, 3]. Received: {picture.dtype} {picture.shape}"
        )
    return np.ascontiguousarray(picture)


def _area(box: Rectangle) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)
