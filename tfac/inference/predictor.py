"""Predictions of an exported model on face crops."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfac.errors import DataError
from tfac.files import version_folders
from tfac.inference.prediction import Picture, Prediction
from tfac.photos.pictures import MAX_PIXELS, read_as_record


class Predictor:
    """Answers for face crops, from an exported SavedModel; needs TensorFlow alone.

    ::

        predictor = tfac.Predictor("saved_models/dmm_cnn")
        for prediction in predictor(["face.jpg", "other.png"]):
            print(prediction.shown, prediction.probabilities["Smiling"])

    Pictures are taken to be crops as those the model was trained on: CelebA's aligned crops for the
    models of tfac. `tfac-predict` finds and crops the faces of ordinary photos
    (`tfac.photos.alignment`).

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

    def __call__(self, images: Sequence[Picture] | np.ndarray) -> list[Prediction]:
        """Returns one prediction a picture, in their order.

        Args:
            images: JPEG or PNG files by path or as bytes, arrays uint8 [H, W, 3] in [0, 255]
                (sizes may differ), or one array uint8 [B, H, W, 3]. Files are decoded inside the
                model exactly as in training; those that are not upright by their EXIF orientation,
                not in sRGB or of another format are converted first, as tfac-prepare does
                (`tfac.photos.pictures.as_record`).

        Raises:
            DataError: a file is missing or no JPEG or PNG that can be decoded, or an array is no
                picture; the message names it.
        """
        if isinstance(images, str | os.PathLike | bytes):
            raise DataError("expected a list of pictures. Received one picture: put it in a list")
        pictures = [_checked(picture, i) for i, picture in enumerate(images)]
        results: list[Prediction | None] = [None] * len(pictures)
        for batch in self._batches(pictures):
            answers = self._run(
                [pictures[i] for i in batch], [_name(pictures[i], i) for i in batch]
            )
            for row, i in enumerate(batch):
                if not answers["valid"][row]:
                    raise DataError(
                        f"{_name(pictures[i], i)}: expected a whole JPEG or PNG picture of at most "
                        f"{MAX_PIXELS} pixels. Received: a file that cannot be decoded as one"
                    )
                results[i] = Prediction.from_outputs(self.attributes, answers, row)
        return results

    def _batches(self, pictures: Sequence[Picture]) -> Iterator[list[int]]:
        """Yields the positions of pictures that can run together: files, or arrays of one size."""
        groups: dict[tuple | None, list[int]] = {}
        for i, picture in enumerate(pictures):
            shape = picture.shape if isinstance(picture, np.ndarray) else None
            groups.setdefault(shape, []).append(i)
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _run(self, pictures: Sequence[Picture], names: Sequence[str]) -> dict[str, np.ndarray]:
        """Runs one batch: arrays of one size, or files."""
        if isinstance(pictures[0], np.ndarray):
            images = np.stack([self._resized(picture) for picture in pictures])
            return self._engine.run("images", {"images": images})
        encoded = np.array(list(map(read_as_record, pictures, names)), object)
        return self._engine.run("serving_default", {"image_bytes": encoded})

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


def _checked(picture: Picture, position: int) -> Picture:
    if not isinstance(picture, np.ndarray):
        return picture
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise DataError(
            f"picture {position}: expected uint8 [H, W, 3] in [0, 255]. "
            f"Received: {picture.dtype} {list(picture.shape)}"
        )
    if 0 in picture.shape:
        raise DataError(f"picture {position}: expected at least one pixel")
    return picture


def _name(picture: Picture, position: int) -> str:
    return str(picture) if isinstance(picture, str | os.PathLike) else f"picture {position}"
