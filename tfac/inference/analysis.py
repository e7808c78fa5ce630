"""Ordinary photos from Python: find the faces, predict, and have a table or a drawing of them."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfac.errors import ConfigError, DataError
from tfac.inference.given_pictures import (
    Given,
    answers_given,
    as_predicted,
    check_choices,
    is_one_picture,
    picture_name,
    pictures_in,
)
from tfac.inference.photo_prediction import FoundFace, draw_found, predict_crops
from tfac.inference.predictor import Predictor
from tfac.photos.face_crops import faces_of, takes_whole
from tfac.photos.face_detection import detector_for
from tfac.photos.pictures import OpenedPhoto, open_photo


class PhotoFaces(list[FoundFace]):
    """The faces of one photo, the largest first; a list, empty where none was found.

    Attributes:
        photo: what the photo is called: its path, or its position such as "picture 0".
    """

    def __init__(self, faces: Sequence[FoundFace], photo: str, source: Any):
        super().__init__(faces)
        self.photo, self._source = photo, source

    def __repr__(self) -> str:
        """Returns the photo and its faces, a line each."""
        lines = "".join(f"\n  {face!r}" for face in self)
        return f"{self.photo}: {len(self)} face{'' if len(self) == 1 else 's'}{lines}"

    def draw(self) -> Image.Image:
        """Returns the photo with boxes, landmarks and the attributes shown; the file is read again.

        Raises:
            DataError: the file cannot be read any more.
        """
        return Image.fromarray(draw_found(_opened(self._source, self.photo), self))

    def to_dataframe(self):
        """Returns a pandas.DataFrame as `PhotosFaces.to_dataframe` does.

        Raises:
            ConfigError: pandas is not installed.
        """
        return PhotosFaces([self]).to_dataframe()


class PhotosFaces(list[PhotoFaces | None]):
    """The faces of several photos, in the order of the photos; None for one that was skipped."""

    def to_dataframe(self):
        """Returns a pandas.DataFrame with a row for each face.

        Its columns: `photo`; `face`, from 0; `left`, `top`, `right` and `bottom` in pixels of the
        photo; and of each attribute NAME, bool, whether it is shown, and NAME_probability in
        [0, 1].

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_dataframe needs pandas: pip install pandas") from error
        rows = []
        for faces in self:
            for number, face in enumerate(faces or ()):
                row = {"photo": faces.photo, "face": number}
                row |= zip(("left", "top", "right", "bottom"), face.rectangle, strict=True)
                for name, shown in face.prediction.predictions.items():
                    row[name] = shown
                    row[f"{name}_probability"] = face.prediction.probabilities[name]
                rows.append(row)
        places = ["photo", "face", "left", "top", "right", "bottom"]
        return pandas.DataFrame(rows, columns=None if rows else places)


def analyze(
    photos: Given | Iterable[Given],
    saved_model: str | os.PathLike | Predictor,
    *,
    aligned: bool | None = None,
    upsample: int = 1,
    detector: str | None = None,
    align_by: str | None = None,
    color_order: str = "rgb",
    on_error: str = "raise",
) -> PhotoFaces | PhotosFaces:
    """Finds the faces of ordinary photos and says which attributes they show.

    ::

        faces = tfac.analyze("holiday.jpg", "saved_models/dmm_cnn")
        faces[0].prediction.probabilities["Smiling"], faces[0].rectangle
        faces.draw().save("drawn.jpg")
        tfac.analyze(["a.jpg", "b.jpg"], "saved_models/dmm_cnn").to_dataframe()

    Args:
        photos: one photo or any number of them, in the forms that `Predictor` takes; files also as
            WebP, GIF, BMP or TIFF. They are turned as their EXIF orientation says.
        saved_model: an exported model's folder, or a `Predictor`, which saves loading it again.
        aligned: whether the pictures are face crops already; by default as the model was trained.
        upsample: times a photo is doubled in size for the search, 0 or more; each step takes four
            times as long.
        detector: what finds the faces, of `tfac.photos.face_detection.DETECTORS`; by default what
            the model's training data was prepared with.
        align_by: "dlib" or "points", as `tfac.photos.face_detection.FaceDetector` takes it; by
            default the same.
        color_order: order of the channels of arrays: "rgb", or "bgr" as OpenCV has it.
        on_error: what to do where some photos cannot be read. All others are answered first, then
            "raise" raises an error that has their answers; "skip" warns, and gives None in the
            places of those that have none.

    Returns:
        The faces of one photo, or of several photos in their order. Faces have `rectangle` and
        `landmarks` in pixels of the photo and `prediction`.

    Raises:
        PicturesError: photos are missing or broken; `predictions` has the answers of the others.
        DataError: there is no export, or another argument is none of its values.
        ConfigError: `upsample` is negative, there is no such detector, or its package or that of
            dlib's landmark predictor is missing.
    """
    check_choices(color_order, on_error)
    predictor = saved_model if isinstance(saved_model, Predictor) else Predictor(saved_model)
    finder = detector_for(predictor.metadata, upsample, detector, align_by)
    whole = takes_whole(predictor.metadata, aligned)
    answers: list[PhotoFaces | None] = []
    errors: dict[int, str] = {}

    def look():
        for i, photo in enumerate(pictures_in(photos)):
            answers.append(None)
            name = picture_name(photo, i)
            try:
                source = as_predicted(photo, name, color_order)
                opened = _opened(source, name, None if whole else finder.search_size)
            except DataError as error:
                errors[i] = str(error)
                continue
            yield (i, name, source), faces_of(opened, None if whole else finder)

    for (i, name, source), faces in predict_crops(look(), predictor):
        answers[i] = PhotoFaces(faces, name, source)
    return answers_given(PhotosFaces(answers), errors, is_one_picture(photos), on_error)


def _opened(
    source: str | os.PathLike | bytes | np.ndarray, name: str, search_size: int | None = None
) -> OpenedPhoto:
    if isinstance(source, np.ndarray):
        return OpenedPhoto(source)
    return open_photo(source, name, search_size)
