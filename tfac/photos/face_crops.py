"""The faces of a photo as crops: one way for preparing a data set and for prediction."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from tfac.landmarks import DLIB_68
from tfac.photos.alignment import AlignedFace, align_face
from tfac.photos.face_detection import FaceDetector, Rectangle

# What the pictures of a data set, and so of a network trained on it, are: faces cropped as CelebA's
# (prediction finds the faces of a photo and crops them so), or pictures as they came (prediction
# takes a picture as it is).
ALIGNED, WHOLE = FACES = ("aligned", "whole")


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


def takes_whole(metadata: Mapping[str, Any], aligned: bool | None) -> bool:
    """Says whether a network takes pictures as they are, or the faces found in them.

    Args:
        metadata: the ``tfac.json`` of its export, which says what it was trained on.
        aligned: whether the pictures are face crops already; None where the user does not say.
    """
    return metadata.get("faces", ALIGNED) == WHOLE if aligned is None else aligned


def crop_faces(
    picture: np.ndarray, detector: FaceDetector, search_size: int = 1600
) -> list[FaceCrop]:
    """Finds the faces of a photo and crops each as CelebA's aligned pictures are cropped.

    Args:
        picture: uint8 [H, W, 3], RGB, upright.
        detector: finds faces and their landmarks.
        search_size: a photo whose longer side is longer is shrunk to this for the search, pixels.

    Returns:
        The faces, the largest first; none where none is found.
    """
    scale = min(1.0, search_size / max(picture.shape[:2]))
    searched = picture
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        searched = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    crops = []
    for rectangle in detector.detect(searched):
        landmarks = detector.refine(picture, detector.landmarks(searched, rectangle) / scale)
        aligned = align_face(picture, *DLIB_68.eye_centres(landmarks))
        rectangle = tuple(round(side / scale) for side in rectangle)
        crops.append(FaceCrop(aligned.image, rectangle, aligned, landmarks))
    return crops


def whole_crop(picture: np.ndarray) -> FaceCrop:
    """Returns a picture that is a face crop already, uint8 [H, W, 3], as one."""
    height, width = picture.shape[:2]
    return FaceCrop(picture, (0, 0, width, height))
