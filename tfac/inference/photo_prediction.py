"""From an ordinary photo to predictions: find the faces, crop them as CelebA's, predict."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from tfac.inference.prediction import Prediction
from tfac.photos.drawing import DrawnFace, draw_faces
from tfac.photos.face_crops import FaceCrop
from tfac.photos.face_detection import Rectangle
from tfac.photos.pictures import OpenedPhoto

if TYPE_CHECKING:
    import pyarrow as pa

SIDES = ("left", "top", "right", "bottom")

Photo = TypeVar("Photo")


class FacePredictor(Protocol):
    """What answers for face crops: `tfac.Predictor`, or a client of a server."""

    batch_size: int

    def __call__(self, images: Sequence[np.ndarray]) -> list[Prediction]:
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

    @property
    def shown_lines(self) -> list[str]:
        """A line to draw for each attribute that is shown, its probability first."""
        return [
            f"{self.prediction.probabilities[name]:4.0%}  {name.replace('_', ' ')}"
            for name in self.prediction.shown
        ]

    def __repr__(self) -> str:
        """Returns where it is and what it shows, in a line."""
        left, top, right, bottom = self.rectangle
        return f"FoundFace({right - left}x{bottom - top} at {left}, {top}: {self.prediction!r})"


def found_face(crop: FaceCrop, prediction: Prediction) -> FoundFace:
    """Returns a face with what the model says, the model's landmarks moved into the photo."""
    landmarks = prediction.landmarks
    if landmarks is None:
        landmarks = crop.dlib_landmarks
    elif crop.aligned is None:
        landmarks = landmarks * crop.rectangle[2:]
    else:
        landmarks = crop.aligned.to_photo(landmarks)
    return FoundFace(crop.rectangle, landmarks, prediction)


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
    return [
        {
            "rectangle": dict(zip(SIDES, face.rectangle, strict=True)),
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


def draw_found(photo: OpenedPhoto, faces: Sequence[FoundFace]) -> np.ndarray:
    """Returns a photo with boxes, landmarks and the attributes shown, uint8 [H, W, 3].

    Args:
        photo: as `tfac.photos.pictures.open_photo` gives it.
        faces: in pixels of the photo.
    """
    drawn = [
        DrawnFace(
            tuple(side / photo.scale for side in face.rectangle),
            None if face.landmarks is None else face.landmarks / photo.scale,
            face.shown_lines,
        )
        for face in faces
    ]
    return draw_faces(photo.image, drawn)


def face_row(photo: str, face: FoundFace) -> dict[str, Any]:
    """Returns a face as a row of a table.

    Returns:
        ``photo``, as given; ``left``, ``top``, ``right`` and ``bottom``, pixels of the photo; and
        for each attribute ``NAME`` (is it shown) and ``NAME_probability``, in [0, 1].
    """
    said = face.prediction
    row = {"photo": photo, **dict(zip(SIDES, face.rectangle, strict=True))}
    for name, is_shown in said.predictions.items():
        row |= {name: is_shown, f"{name}_probability": said.probabilities[name]}
    return row


def row_schema(attributes: Sequence[str]) -> "pa.Schema":
    """Returns what the columns of `face_row` are in Parquet."""
    import pyarrow as pa

    columns = [("photo", pa.string()), *((side, pa.int32()) for side in SIDES)]
    for name in attributes:
        columns += [(name, pa.bool_()), (f"{name}_probability", pa.float32())]
    return pa.schema(columns)


def _predicted(
    photos: list[tuple[Photo, list[FaceCrop]]], predictor: FacePredictor
) -> Iterator[tuple[Photo, list[FoundFace]]]:
    predictions = iter(predictor([crop.image for _, crops in photos for crop in crops]))
    for photo, crops in photos:
        yield photo, [found_face(crop, next(predictions)) for crop in crops]
