"""The faces of a photo as crops: one way for preparing a data set and for prediction."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from tfac.photos.alignment import AlignedFace
from tfac.photos.face_detection import Detection, FaceDetector, Rectangle
from tfac.photos.pictures import OpenedPhoto

# What the pictures of a data set, and so of a network trained on it, are: faces cropped as CelebA's
# (prediction finds the faces of a photo and crops them so), or pictures as they came (prediction
# takes a picture as it is).
ALIGNED, WHOLE = FACES = ("aligned", "whole")

# The least and the most of a face in a crop: its width, and the middle of dlib's rectangle across
# and down, all in sizes of the crop. Of 83 LFW photos, as crops: 0.41 to 0.70, 0.47 to 0.53 and
# 0.54 to 0.67.
_IN_CROPS = np.array([(0.36, 0.35, 0.42), (0.9, 0.65, 0.75)])
_LOOKED_AT = 640  # longer side of a picture that is looked at for this, pixels

# The least width of a face's rectangle, pixels, to be cut out of a photo that was decoded at a
# fraction: what crops show it at, so that nothing is enlarged.
_LEAST_WIDTH = 95

# Quarters by which a photo is turned, anticlockwise, until a face is found: many lie on their side
# without saying so.
_QUARTERS = (0, 1, 3, 2)


@dataclasses.dataclass(frozen=True, eq=False)
class FaceCrop:
    """A face that is ready to be predicted.

    Attributes:
        image: uint8 [H, W, 3], what the model sees.
        rectangle: where the face is, pixels of the photo.
        aligned: how the crop lies in the photo; None where the crop is the whole picture.
        dlib_landmarks: float32 [68, 2], pixels of the photo, or None.
    """

    image: np.ndarray
    rectangle: Rectangle
    aligned: AlignedFace | None = None
    dlib_landmarks: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class _Face:
    """Where a face is, in pixels of a picture: left, top, right and bottom, and points to align."""

    sides: np.ndarray
    points: np.ndarray


def takes_whole(metadata: Mapping[str, Any], aligned: bool | None) -> bool:
    """Says whether a network takes pictures as they are, or the faces found in them.

    Args:
        metadata: the ``tfac.json`` of its export, which says what it was trained on.
        aligned: whether the pictures are face crops already; None where the user does not say.
    """
    return metadata.get("faces", ALIGNED) == WHOLE if aligned is None else aligned


def faces_of(
    photo: OpenedPhoto, detector: FaceDetector | None, search_size: int | None = None
) -> list[FaceCrop]:
    """Finds the faces of an opened photo, all in pixels of the photo, as `crop_faces` does.

    Args:
        photo: as `tfac.photos.pictures.open_photo` gives it.
        detector: finds faces and their landmarks; None where the photo is a face crop already.
        search_size: as `crop_faces` takes it.
    """
    if detector is None:
        crops = [whole_crop(photo.image)]
    else:
        found = _find(photo.image, detector, search_size)
        if photo.whole and any(_width(face) < _LEAST_WIDTH for face in found):
            small, photo = photo, photo.whole()
            found = [_larger(face, small.scale / photo.scale) for face in found]
        crops = _cut(photo.image, detector, found)
    return crops if photo.scale == 1 else [_enlarged(crop, photo.scale) for crop in crops]


def _enlarged(crop: FaceCrop, scale: float) -> FaceCrop:
    """Returns a crop of a photo decoded at 1 / `scale`, as one of the photo."""
    aligned, landmarks = crop.aligned, crop.dlib_landmarks
    if aligned is not None:
        aligned = AlignedFace(crop.image, aligned.to_crop / (scale, scale, 1))
    return FaceCrop(
        crop.image,
        tuple(round(side * scale) for side in crop.rectangle),
        aligned,
        None if landmarks is None else landmarks * np.float32(scale),
    )


def crop_faces(
    picture: np.ndarray,
    detector: FaceDetector,
    search_size: int | None = None,
    turn: bool = True,
) -> list[FaceCrop]:
    """Finds the faces of a photo and crops each as CelebA's aligned pictures are cropped.

    Args:
        picture: uint8 [H, W, 3], RGB, upright.
        detector: finds faces and their landmarks.
        search_size: a photo whose longer side is longer is shrunk to this for the search, pixels;
            by default the detector's.
        turn: look for faces in the photo turned by quarters where none is upright.

    Returns:
        The faces, the largest first; none where none is found.
    """
    return _cut(picture, detector, _find(picture, detector, search_size, turn))


def _find(
    picture: np.ndarray, detector: FaceDetector, search_size: int | None, turn: bool = True
) -> list[_Face]:
    """Returns where faces are, as `crop_faces` looks for them; the first is placed first."""
    size = detector.search_size if search_size is None else search_size
    scale = min(1.0, size / max(picture.shape[:2]))
    searched = picture
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        searched = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    for quarters in _QUARTERS if turn else (0,):
        turned = np.ascontiguousarray(np.rot90(searched, quarters))
        if found := detector.find(turned):
            break
    size = searched.shape[1::-1]

    def place(face: Detection) -> _Face:
        points = _turned_back(detector.place(turned, face), quarters, size) / scale
        # The corners of rectangles lie between pixels, points on them.
        corners = _turned_back(np.reshape(face.rectangle, (2, 2)) - 0.5, quarters, size) + 0.5
        sides = np.array([*corners.min(axis=0), *corners.max(axis=0)])
        return _Face(sides / scale, points)

    return _each(place, found)


def _cut(picture: np.ndarray, detector: FaceDetector, faces: list[_Face]) -> list[FaceCrop]:
    def cut(face: _Face) -> FaceCrop:
        aligned, landmarks = detector.align(picture, face.points)
        rectangle = tuple(round(float(side)) for side in face.sides)
        return FaceCrop(aligned.image, rectangle, aligned, landmarks)

    return _each(cut, faces)


def _each(function: Callable[[Any], Any], faces: list) -> list:
    """Applies a function to all faces; where they are several, on all cores."""
    if len(faces) < 2:
        return [function(face) for face in faces]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # dlib lets others run meanwhile
        # The first loads the models.
        return [function(faces[0]), *threads.map(function, faces[1:])]


def _width(face: _Face) -> float:
    return face.sides[2] - face.sides[0]


def _larger(face: _Face, times: float) -> _Face:
    """Returns a face of a picture decoded at a fraction as one of the whole."""
    return _Face(face.sides * times, (face.points + 0.5) * times - 0.5)


def _turned_back(points: np.ndarray, quarters: int, size: tuple[int, int]) -> np.ndarray:
    """Returns points [K, 2] of a turned picture as those of the picture, of width and height."""
    right, bottom = size[0] - 1, size[1] - 1
    x, y = np.asarray(points).T
    places = {0: (x, y), 1: (right - y, x), 2: (right - x, bottom - y), 3: (y, bottom - x)}
    return np.column_stack(places[quarters])


def crop_face_in(picture: np.ndarray, detector: FaceDetector, box: Rectangle) -> FaceCrop | None:
    """Crops the face that a box is drawn round, as `crop_faces` does; its image is left out.

    The face is looked for around the box, so that boxes may be drawn tightly or widely.

    Args:
        picture: uint8 [H, W, 3], RGB, upright.
        detector: finds the face and its landmarks.
        box: left, top, right and bottom in pixels of the photo.

    Returns:
        The face that shares most with the box, all in pixels of the photo; None where none is
        found there.
    """
    left, top, right, bottom = box
    across, down = (right - left) // 2 + 1, (bottom - top) // 2 + 1
    corner = np.array([max(0, left - across), max(0, top - down)])
    region = picture[corner[1] : max(0, bottom + down), corner[0] : max(0, right + across)]
    faces = crop_faces(region, detector, turn=False) if region.size else []
    moved = [tuple(int(side) for side in f.rectangle + np.tile(corner, 2)) for f in faces]
    shared = [overlap(rectangle, box) for rectangle in moved]
    if not any(shared):
        return None
    best = int(np.argmax(shared))
    to_crop = faces[best].aligned.to_crop.copy()
    to_crop[:, 2] -= to_crop[:, :2] @ corner
    aligned = AlignedFace(np.empty((0, 0, 3), np.uint8), to_crop)
    landmarks = faces[best].dlib_landmarks
    landmarks = None if landmarks is None else landmarks + corner
    return FaceCrop(aligned.image, moved[best], aligned, landmarks)


def shows_face_elsewhere(picture: np.ndarray, detector: FaceDetector) -> bool:
    """Says whether a picture shows a face, but none where the faces of crops lie.

    Costs some hundredths of a second, and no landmarks. Nothing is said of a picture in which no
    face is found: drawn faces, small pictures, faces in profile.

    Args:
        picture: uint8 [H, W, 3], RGB, upright.
        detector: finds faces; where the picture is shrunk to `_LOOKED_AT` pixels, those of 80.
    """
    small = Image.fromarray(picture)
    small.thumbnail((_LOOKED_AT, _LOOKED_AT))
    boxes = np.array(detector.detect(np.asarray(small))).reshape(-1, 4) / np.tile(small.size, 2)
    middles = np.column_stack([boxes[:, 2] - boxes[:, 0], boxes[:, :2] / 2 + boxes[:, 2:] / 2])
    in_place = np.all((middles >= _IN_CROPS[0]) & (middles <= _IN_CROPS[1]), axis=-1)
    return len(boxes) > 0 and not in_place.any()


def overlap(first: Rectangle, second: Rectangle) -> float:
    """Returns the intersection over union of two rectangles, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared)


def whole_crop(picture: np.ndarray) -> FaceCrop:
    """Returns a picture that is a face crop already, uint8 [H, W, 3], as one."""
    height, width = picture.shape[:2]
    return FaceCrop(picture, (0, 0, width, height))
