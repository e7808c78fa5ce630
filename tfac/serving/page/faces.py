"""What the page asks for: the faces of one photo, and what models say about them."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfac.inference.photo_prediction import faces_as_json, found_face
from tfac.inference.prediction import Prediction
from tfac.photos.alignment import invert
from tfac.photos.face_crops import FaceCrop, faces_of
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import open_photo
from tfac.serving.page.masks import mask_picture
from tfac.serving.server.models import LoadedVersion

Predict = Callable[[str, int | None, str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class FaceFinder:
    """Finds the faces of encoded photos, on any threads; so many at once, and the others wait.

    Args:
        at_once: how many photos are decoded and searched at the same time.
    """

    def __init__(self, at_once: int = 2):
        self._places = threading.BoundedSemaphore(at_once)

    def __call__(
        self, encoded: bytes, name: str, detector: FaceDetector | None
    ) -> tuple[FaceCrop, list[FaceCrop]]:
        """Returns the photo, upright, as one crop, and its faces, the largest first.

        Args:
            encoded: the photo's file.
            name: what to call it in an error.
            detector: finds the faces; None where the photo is a crop as those of the training data.

        Raises:
            DataError: it is no picture, broken or too large.
        """
        with self._places:
            photo = open_photo(encoded, name)
            [whole] = faces_of(photo, None)
            return whole, [whole] if detector is None else faces_of(photo, detector)


def describe_model(model: LoadedVersion) -> dict[str, Any]:
    """Returns what the page needs to know of a model before it asks it."""
    metadata = model.metadata
    return {
        "model": model.name,
        "version": model.version,
        "attributes": metadata["attributes"],
        "part_groups": metadata.get("part_groups", {}),
        "mask_levels": metadata["explain"]["levels"] if _has_masks(model) else [],
        "mask_groups": metadata["explain"]["groups"] if _has_masks(model) else [],
        "data": (metadata.get("data") or {}).get("name"),
    }


def answer_faces(
    crops: Sequence[FaceCrop], model: LoadedVersion, predict: Predict
) -> dict[str, Any]:
    """Returns what a model says about the faces of a photo.

    Each face is as ``tfac-predict --format=json`` writes it; of a model with part masks it has
    also ``masks`` (level and part to a PNG as a data URL) and ``crop``, where they lie: its width
    and height, and ``to_photo``, the six numbers of SVG's ``matrix()`` that take the crop's
    pixels to the photo's.

    Args:
        crops: the faces; may be none.
        model: a version that is being served.
        predict: runs a signature of it.
    """
    metadata = model.metadata
    cuts = [round(cut, 4) for cut in metadata["threshold_probabilities"]]
    return {
        "model": model.name,
        "version": model.version,
        "thresholds": dict(zip(metadata["attributes"], cuts, strict=True)),
        "faces": [_answer_face(crop, model, predict) for crop in crops],
    }


def _answer_face(crop: FaceCrop, model: LoadedVersion, predict: Predict) -> dict[str, Any]:
    # One at a time: a request of several could be more than the server's largest batch.
    encoded = np.array([_encode(crop.image)], object)
    signature = "explain" if _has_masks(model) else "serving_default"
    outputs = predict(model.name, model.version, signature, {"image_bytes": encoded})
    prediction = Prediction.from_outputs(model.metadata["attributes"], outputs, 0)
    found = found_face(crop, prediction)
    [face] = faces_as_json([found])
    by_model = "landmarks" in outputs
    face["landmarks_by"] = "model" if by_model else "dlib" if found.landmarks is not None else None
    if _has_masks(model):
        face["crop"] = _place(crop)
        face["masks"] = _masks(outputs, model.metadata["explain"])
    return face


def _has_masks(model: LoadedVersion) -> bool:
    # The engines other than TensorFlow have no such signature.
    explained = model.metadata.get("explain")
    return bool(explained and explained["levels"] and "explain" in model.engine.signatures)


def _masks(
    outputs: Mapping[str, np.ndarray], explained: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """Returns a picture for each level and group."""
    return {
        level: {
            group: mask_picture(outputs[f"masks_{level}"][0, :, :, g])
            for g, group in enumerate(explained["groups"])
        }
        for level in explained["levels"]
    }


def _place(crop: FaceCrop) -> dict[str, Any]:
    height, width = crop.image.shape[:2]
    to_photo = np.eye(2, 3) * (crop.rectangle[2] / width)
    if crop.aligned is not None:
        to_photo = invert(crop.aligned.to_crop)
        # A pixel's centre has whole coordinates there, in SVG its corner.
        to_photo[:, 2] += 0.5 - to_photo[:, :2] @ (0.5, 0.5)
    return {"width": width, "height": height, "to_photo": to_photo.T.ravel().round(4).tolist()}


def _encode(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=1)  # lossless, and fast
    return stream.getvalue()
