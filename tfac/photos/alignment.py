"""Cropping a face as CelebA's aligned pictures are cropped, and finding the way back.

CelebA's aligned pictures are 178x218 crops of the photo, turned, scaled and shifted so that the
eyes come to rest at one place; where the crop reaches beyond the photo, the photo's edge pixels are
repeated outwards.
"""

import dataclasses
import math

import numpy as np
from PIL import Image

from tfac.errors import DataError

# Width and height of CelebA's aligned pictures, pixels.
CROP_WIDTH, CROP_HEIGHT = 178, 218

# Where the centres of the eyes come to rest, x and y in pixels of the crop (a pixel's centre has
# whole coordinates). Means of what dlib's 68-point predictor finds (mean of each eye's six points)
# in 2,417 aligned CelebA training pictures: (69.3, 112.5) and (107.6, 112.6), with a standard
# deviation of 1.7 across and 1.5 down. CelebA's five-point annotation marks the pupils, about one
# pixel higher: near (69.5, 111.2) and (107.7, 111.2).
LEFT_EYE = (69.3, 112.5)
RIGHT_EYE = (107.6, 112.5)

# Where the five points that MTCNN finds (left and right eye, nose, left and right corner of the
# mouth) come to rest when the eyes do so, x and y. Medians over 205 faces of LFW, aligned by dlib;
# their standard deviations are 2 to 6 across and 1.4 to 5.6 down.
FIVE_POINTS = np.array(
    [(71.6, 114.2), (110.9, 114.3), (91.4, 137.3), (73.2, 156.6), (108.4, 156.7)]
)

# Most pixels by which a crop may reach beyond what the photo gives, on any side: more than any face
# near the photo needs.
MAX_PADDING = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face cut out of a photo.

    Attributes:
        image: uint8 [218, 178, 3], RGB.
        to_crop: float64 [2, 3], takes (x, y, 1) in pixels of the photo to pixels of the crop.
    """

    image: np.ndarray
    to_crop: np.ndarray

    def to_photo(self, landmarks: np.ndarray) -> np.ndarray:
        """Returns landmarks [..., 2], in [0, 1] of the crop, as pixels of the photo."""
        pixels = np.asarray(landmarks, np.float64) * (CROP_WIDTH, CROP_HEIGHT)
        return apply(invert(self.to_crop), pixels)


def align_face(
    picture: np.ndarray, left_eye: tuple[float, float], right_eye: tuple[float, float]
) -> AlignedFace:
    """Cuts a face out of a photo as CelebA's aligned pictures are cut.

    Args:
        picture: uint8 [H, W, 3], RGB.
        left_eye: centre of the eye on the left of the picture, x and y in pixels.
        right_eye: centre of the other eye.

    Returns:
        The crop, with the eyes at `LEFT_EYE` and `RIGHT_EYE`.

    Raises:
        DataError: the eyes coincide, or are not finite.
    """
    to_crop = eye_alignment(left_eye, right_eye)
    return AlignedFace(cut(picture, to_crop, (CROP_WIDTH, CROP_HEIGHT)), to_crop)


def eye_alignment(left_eye: tuple[float, float], right_eye: tuple[float, float]) -> np.ndarray:
    """Returns the similarity transform [2, 3] that takes the eyes to `LEFT_EYE` and `RIGHT_EYE`.

    As complex numbers a similarity is z -> turn * z + shift, so two points determine it.

    Raises:
        DataError: the eyes coincide, or are not finite.
    """
    left, right = complex(*left_eye), complex(*right_eye)
    if not abs(right - left) > 0 or not math.isfinite(abs(left) + abs(right)):
        raise DataError(f"expected two eyes apart. Received: {tuple(left_eye)}, {tuple(right_eye)}")
    turn = (complex(*RIGHT_EYE) - complex(*LEFT_EYE)) / (right - left)
    shift = complex(*LEFT_EYE) - turn * left
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def similarity(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns the similarity transform [2, 3] that takes points nearest to places, both [K, 2].

    As `eye_alignment`, by least squares over all points.

    Raises:
        DataError: the points coincide, or are not finite.
    """
    points, places = np.asarray(points, float), np.asarray(places, float)
    start, end = (np.array([1, 1j]) @ each.T for each in (points, places))
    apart = start - start.mean()
    spread = np.vdot(apart, apart).real
    if not 0 < spread < math.inf:
        raise DataError(f"expected points apart. Received: {points.tolist()}")
    turn = np.vdot(apart, end - end.mean()) / spread
    shift = end.mean() - turn * start.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def invert(transform: np.ndarray) -> np.ndarray:
    """Returns the inverse [2, 3] of an affine transform [2, 3]."""
    linear = np.linalg.inv(transform[:, :2])
    return np.column_stack([linear, -linear @ transform[:, 2]])


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns points [..., 2] moved by an affine transform [2, 3]."""
    return np.asarray(points, np.float64) @ transform[:, :2].T + transform[:, 2]


def cut(picture: np.ndarray, to_crop: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resamples a crop of a photo; beyond the photo its edge pixels are repeated.

    Args:
        picture: uint8 [H, W, 3], RGB.
        to_crop: float64 [2, 3], takes (x, y, 1) in pixels of the photo to pixels of the crop.
        size: width and height of the crop, pixels.

    Returns:
        The crop, uint8 [height, width, 3].

    Raises:
        DataError: the crop reaches far beyond the photo.
    """
    # The part needed is shrunk first, then padded, turned and shifted.
    # From here on edges, not centres, have whole coordinates, as Pillow counts.
    from_crop = invert(to_crop)
    from_crop[:, 2] += 0.5 - from_crop[:, :2] @ (0.5, 0.5)

    whole = np.array(picture.shape[1::-1])  # width, height
    margin = 2 * max(1.0, _scale(from_crop))  # what interpolation reaches for
    low, high = _bounds(from_crop, size, margin)
    left, top = np.clip(low, 0, whole - 1)
    right, bottom = np.clip(high, (left + 1, top + 1), whole)
    part = Image.fromarray(np.ascontiguousarray(picture[top:bottom, left:right]))
    from_crop = _moved(from_crop, (-left, -top))

    if (scale := _scale(from_crop)) > 1:  # Image.transform would skip pixels: shrink with a filter
        shrunk = tuple(max(1, round(side / scale)) for side in part.size)
        from_crop = np.divide(shrunk, part.size)[:, None] * from_crop
        part = part.resize(shrunk, Image.Resampling.LANCZOS)

    low, high = _bounds(from_crop, size, margin=2)
    before, after = np.maximum(0, -low), np.maximum(0, high - part.size)
    if max(before.max(), after.max()) > MAX_PADDING:
        raise DataError("expected the eyes near the picture; they are far outside it")
    rows, columns = (before[1], after[1]), (before[0], after[0])
    padded = np.pad(np.asarray(part), [rows, columns, (0, 0)], mode="edge")
    crop = Image.fromarray(padded).transform(
        size,
        Image.Transform.AFFINE,
        _moved(from_crop, before).ravel().tolist(),
        resample=Image.Resampling.BICUBIC,
    )
    return np.asarray(crop)


def _bounds(
    from_crop: np.ndarray, size: tuple[int, int], margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the whole corners, x and y each, of the box that holds the crop and a margin."""
    width, height = size
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    reached = apply(from_crop, corners)
    low, high = reached.min(axis=0) - margin, reached.max(axis=0) + margin
    return np.floor(low).astype(int), np.ceil(high).astype(int)


def _scale(transform: np.ndarray) -> float:
    return math.sqrt(abs(np.linalg.det(transform[:, :2])))


def _moved(transform: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Returns `transform` followed by a shift."""
    moved = transform.copy()
    moved[:, 2] += shift
    return moved
