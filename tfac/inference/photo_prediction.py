"""From an ordinary photo to predictions: find the faces, crop them as CelebA's, predict."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from tfac.inference.prediction import Picture, Prediction
from tfac.landmarks import DLIB_68
from tfac.photos.alignment import AlignedFace, align_face
from tfac.photos.face_detection import FaceDetector, Rectangle

Photo = TypeVar("Photo")


class FacePredictor(Protocol):
    """What answers for face crops: `tfac.Predictor`, or a client of a server."""

    batch_size: int

    def __call__(self, images: Sequence[Picture]) -> list[Prediction]:
        """Returns one prediction a picture, in their order."""
        ...


_MAX_WAITING_BYTES = 2**28  # of crops that wait for a full batch


@dataclasses.dataclass(frozen=True, eq=False)
class FoundFace:
    """A face in a photo.

    Attributes:
        rectangle: left, top, right and bottom in pixels of the photo; may reach beyond it.
        landmarks: float32 [K, 2], x and y in pixels of the photo: the model's, or dlib's 68 where
            the model has no landmark branch (None then for a picture that was a crop already).
        prediction: what the model says.
    """

    rectangle: Rectangle
    landmarks: np.ndarray | None
    prediction: Prediction


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

    def with_prediction(self, prediction: Prediction) -> FoundFace:
        """Returns the face with what the model says, its landmarks moved into the photo."""
        landmarks = prediction.landmarks
        if landmarks is None:
            landmarks = self.dlib_landmarks
        elif self.aligned is None:
            landmarks = landmarks * self.image.shape[1::-1]
        else:
            landmarks = self.aligned.to_photo(landmarks)
        return FoundFace(self.rectangle, landmarks, prediction)


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


def predict_crops(
    photos: Iterable[tuple[Photo, list[FaceCrop]]], predictor: FacePredictor
) -> Iterator[tuple[Photo, list[FoundFace]]]:
    """Predicts the faces of photos, a full batch at a time.

    Args:
        photos: what each photo is called (anything) and its faces.
        predictor: the model, here or on a server; its `batch_size` says how many faces are
            gathered.

    Yields:
        The photos in the order received, each with its predicted faces.
    """
    waiting: list[tuple[Photo, list[FaceCrop]]] = []
    for photo in photos:
        waiting.append(photo)
        crops = [crop for _, crops in waiting for crop in crops]
        enough = max(len(crops), len(waiting)) >= predictor.batch_size
        if enough or sum(crop.image.nbytes for crop in crops) > _MAX_WAITING_BYTES:
            yield from _predicted(waiting, predictor)
            waiting = []
    yield from _predicted(waiting, predictor)


def faces_as_json(faces: Sequence[FoundFace]) -> list[dict[str, Any]]:
    """Returns faces as JSON can hold them: rectangles and landmarks in pixels of the photo."""
    sides = ("left", "top", "right", "bottom")
    return [
        {
            "rectangle": dict(zip(sides, face.rectangle, strict=True)),
            "landmarks": None if face.landmarks is None else face.landmarks.round(2).tolist(),
            "attributes": {
                name: {
                    "shown": face.prediction.predictions[name],
                    "probability": round(face.prediction.probabilities[name], 4),
                    "score": round(face.prediction.scores[name], 4),
                }
                for name in face.prediction.scores
            },
        }
        for face in faces
    ]


def _predicted(
    photos: list[tuple[Photo, list[FaceCrop]]], predictor: FacePredictor
) -> Iterator[tuple[Photo, list[FoundFace]]]:
    predictions = iter(predictor([crop.image for _, crops in photos for crop in crops]))
    for photo, crops in photos:
        yield photo, [crop.with_prediction(next(predictions)) for crop in crops]
