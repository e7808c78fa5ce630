"""Predictions of an exported model on face crops."""

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfac.errors import DataError
from tfac.files import version_folders
from tfac.inference.given_pictures import (
    Given,
    answers_given,
    as_predicted,
    check_choices,
    is_one_picture,
    picture_name,
    pictures_in,
)
from tfac.inference.prediction import Picture, Prediction
from tfac.photos.face_crops import shows_face_elsewhere, takes_whole
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import MAX_PIXELS, open_photo, read_as_record

_LOOKED_AT = 10  # of the first pictures, for whether they are crops,
_LOOKED_AT_ONCE = 3  # and of one call's


class Predictor:
    """Answers for face crops, from an exported SavedModel; needs TensorFlow alone.

    ::

        predictor = tfac.Predictor("saved_models/dmm_cnn")
        prediction = predictor("face.jpg")
        print(prediction.shown, prediction.probabilities["Smiling"])
        predictions = predictor(["face.jpg", "other.png"])

    Pictures are taken to be crops as those the model was trained on: CelebA's aligned crops for the
    models of tfac. `tfac.analyze` and `tfac-predict` find and crop the faces of ordinary photos.
    Where one of the first few pictures shows a face elsewhere than such crops do, a warning says so
    once.

    Args:
        path: a model's folder (``saved_models/dmm_cnn``; its latest version is taken) or one
            version's (``saved_models/dmm_cnn/3``).
        batch_size: pictures to run at once, 1 or more.

    Attributes:
        path: the version's folder.
        metadata: the contents of its ``assets.extra/tfac.json``.
        attributes: attribute names, in the order of the scores.
        thresholds: attribute name to the probability above which it is predicted.

    Raises:
        DataError: there is no export at `path`, or it is not one of tfac's.
    """

    def __init__(self, path: str | os.PathLike, batch_size: int = 32):
        if batch_size < 1:
            raise DataError(f"batch_size: expected 1 or more. Received: {batch_size}")
        self.path = version_folder(Path(path))
        self._to_look_at = _LOOKED_AT
        self.batch_size = batch_size

        from tfac.inference.engines import load_engine  # imports TensorFlow, which takes seconds

        self._engine = load_engine(self.path)
        self.metadata = self._engine.metadata
        self.attributes: tuple[str, ...] = tuple(self.metadata["attributes"])
        cuts = self.metadata["threshold_probabilities"]
        self.thresholds: dict[str, float] = dict(zip(self.attributes, cuts, strict=True))
        for name in ("serving_default", "images"):
            if "valid" not in self._engine.signatures[name].outputs:
                raise DataError(
                    f"{self.path}: expected {name} to have an output valid. Received: "
                    f"{', '.join(sorted(self._engine.signatures[name].outputs))}. Write the export "
                    "again with tfac-export"
                )

    def __call__(
        self,
        images: Given | Iterable[Given],
        *,
        color_order: str = "rgb",
        on_error: str = "raise",
    ) -> Prediction | list[Prediction | None]:
        """Returns the prediction of one picture, or of several pictures in their order.

        Args:
            images: one picture, or any number of them. A picture is a JPEG or PNG file by path, as
                bytes or open in binary mode; an image of Pillow's; or an array or tensor of whole
                numbers in [0, 255]: [H, W, 3], [H, W, 4] (the alpha channel is dropped), [H, W] or
                [H, W, 1] (grey). One array [B, H, W, C] is B pictures. Floats are refused, as their
                values do not always tell whether they end at 1 or at 255. Files are decoded inside
                the model exactly as in training; those that are not upright by their EXIF
                orientation, not in sRGB or of another format are converted first, as tfac-prepare
                does (`tfac.photos.pictures.as_record`).
            color_order: order of the channels of arrays: "rgb" as Pillow, TensorFlow and matplotlib
                have it, "bgr" as OpenCV does. The wrong one changes the answers and is not noticed.
            on_error: what to do where some pictures cannot be answered. All others are answered
                first, then "raise" raises an error that has their answers; "skip" warns, and gives
                None in the places of those that have none.

        Raises:
            PicturesError: pictures are missing, broken, or none at all; the message names them by
                path or position, `predictions` has the answers of the others.
            DataError: another argument is none of its values.
        """
        check_choices(color_order, on_error)
        pictures, names, errors = {}, [], {}
        for position, picture in enumerate(pictures_in(images)):
            names.append(picture_name(picture, position))
            try:
                pictures[position] = as_predicted(picture, names[position], color_order)
            except DataError as error:
                errors[position] = str(error)
        self._look_for_photos(pictures, names)
        results: list[Prediction | None] = [None] * len(names)
        for batch in self._batches(pictures):
            files = {}
            for i in batch:
                try:
                    files[i] = _encoded(pictures[i], names[i])
                except DataError as error:
                    errors[i] = str(error)
            answers = self._run(list(files.values())) if files else {}
            for row, i in enumerate(files):
                if answers["valid"][row]:
                    results[i] = Prediction.from_outputs(self.attributes, answers, row)
                else:
                    errors[i] = (
                        f"{names[i]}: expected a whole JPEG or PNG picture of "
                        f"at most {MAX_PIXELS} pixels. Received: a file that cannot be decoded as "
                        "one"
                    )
        return answers_given(
            results, dict(sorted(errors.items())), is_one_picture(images), on_error
        )

    def __repr__(self) -> str:
        """Returns what it is of, in a line."""
        return f"Predictor({str(self.path)!r}, {len(self.attributes)} attributes)"

    def _look_for_photos(self, pictures: dict[int, Picture], names: Sequence[str]) -> None:
        """Warns once where one of the first pictures is no crop, as the network expects it.

        What is read and converted for that takes the picture's place in `pictures`.
        """
        if not self._to_look_at or takes_whole(self.metadata, None):
            return
        detector = FaceDetector(0, "dlib")  # `shows_face_elsewhere` was fitted to it
        number = min(_LOOKED_AT_ONCE, self._to_look_at)
        for i in itertools.islice(list(pictures), number):
            self._to_look_at -= 1
            try:
                picture = pictures[i] = _encoded(pictures[i], names[i])
                shown = picture if _is_array(picture) else open_photo(picture).image
            except DataError:
                continue  # said when it is predicted
            if shows_face_elsewhere(shown, detector):
                self._to_look_at = 0
                warnings.warn(
                    f"{names[i]}: expected a face crop as CelebA's, but its face lies elsewhere, "
                    "so the answers mean little. tfac.analyze and tfac-predict find and crop the "
                    "faces of photos",
                    stacklevel=3,
                )
                return

    def _batches(self, pictures: Mapping[int, Picture]) -> Iterator[list[int]]:
        """Yields the positions of pictures that can run together: files, or arrays of one size."""
        groups: dict[tuple | None, list[int]] = {}
        for i, picture in pictures.items():
            shape = picture.shape if _is_array(picture) else None
            groups.setdefault(shape, []).append(i)
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _run(self, pictures: Sequence[bytes | np.ndarray]) -> dict[str, np.ndarray]:
        """Runs one batch: arrays of one size, or files."""
        if _is_array(pictures[0]):
            images = np.stack([self._resized(picture) for picture in pictures])
            return self._engine.run("images", {"images": images})
        return self._engine.run("serving_default", {"image_bytes": np.array(pictures, object)})

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        """Returns a picture in the size that the export takes, where it does not take any."""
        size = self._engine.signatures["images"].inputs["images"].shape[1:3]
        if None in size or picture.shape[:2] == size:
            return picture
        import tensorflow as tf

        from tfac.photos.preprocessing import resize_picture

        return resize_picture(tf.constant(picture), size).numpy()


def version_folder(path: Path) -> Path:
    """Returns `path` if it is an export, else its latest version.

    Raises:
        DataError: there is none.
    """
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        raise DataError(f"expected the folder of an exported model, but there is none at {path}")
    for folder in reversed(version_folders(path).values()):
        if (folder / "saved_model.pb").is_file():
            return folder
    raise DataError(f"expected {path} to hold saved_model.pb or a version such as 1/")


def _is_array(picture: Picture) -> bool:
    return isinstance(picture, np.ndarray)


def _encoded(picture: Picture, name: str) -> bytes | np.ndarray:
    """Returns a file as the model takes it; an array as it is."""
    return picture if _is_array(picture) else read_as_record(picture, name)
