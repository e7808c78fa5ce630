"""TFDS's own `celeb_a`, as `tfds.load("celeb_a")` leaves it: read without a download.

TFDS keeps no file names, so a picture is called after its split and its place in it. Its records
cannot be read out of order, so pictures pass through a zip archive.
"""

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from tfac.attributes import ATTRIBUTES
from tfac.data.sources.celeba import ALIGNMENT, LANDMARK_COLUMNS, PICTURE_SIZE
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLITS, Source, SourceSplit, filled
from tfac.errors import DataError
from tfac.files import read_json, whole_file
from tfac.landmarks import CELEBA_5
from tfac.photos.face_crops import ALIGNED
from tfac.photos.pictures import PictureFiles
from tfac.progress import progress

_FEATURES = "tensorflow_datasets.core.features"
_FEATURE_CLASS = rf"{re.escape(_FEATURES)}(\.\w+)+"


class TFDSCelebASource(Source):
    """CelebA as TFDS has prepared it.

    Args:
        tfds_dir: the folder of a version, such as ``tensorflow_datasets/celeb_a/2.1.0``, or one of
            those above it.
        archive: the zip archive that pictures pass through; removed when all is done.

    Raises:
        DataError: `celeb_a` is not there, or has other features.
    """

    name = "celeb_a"
    description = "CelebA (Liu et al., ICCV 2015) from TFDS: aligned faces with 40 attributes."
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attributes = ATTRIBUTES
    own_landmarks = CELEBA_5
    alignment = ALIGNMENT
    faces = ALIGNED

    def __init__(self, tfds_dir: str | os.PathLike, archive: str | os.PathLike):
        folder = _find_version(Path(tfds_dir))
        _check_classes(folder / "features.json")
        self._archive = Path(archive)
        try:
            self._builder = tfds.builder_from_directory(folder)
        except (ValueError, OSError, KeyError, json_format.ParseError) as error:
            raise DataError(f"{folder}: expected a data set of TFDS. {error}") from error
        self._check_features(folder)
        self.annotation_files = [folder / "dataset_info.json"]

    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads the records and copies their pictures; see `Source.read_splits`."""
        splits = {}
        try:
            with (
                whole_file(self._archive) as aside,
                zipfile.ZipFile(aside, "w") as archive,  # pictures are compressed already
            ):
                for split in SPLITS:
                    if split in self._builder.info.splits:
                        splits[split] = self._copy(split, archive, with_landmarks)
        except (OSError, tf.errors.OpError) as error:
            raise DataError(
                f"{self._builder.data_path} to {self._archive}: the pictures cannot be copied: "
                f"{error}"
            ) from error
        self.pictures = PictureFiles(self._archive)
        return filled(splits, Path(self._builder.data_path))

    def clean_up(self) -> None:
        """Removes the archive."""
        self._archive.unlink(missing_ok=True)

    def _copy(self, split: str, archive: zipfile.ZipFile, with_landmarks: bool) -> SourceSplit:
        count = self._builder.info.splits[split].num_examples
        labels = np.zeros((count, len(ATTRIBUTES)), np.uint8)
        landmarks = np.zeros((count, CELEBA_5.num_landmarks, 2), np.float32)
        names = [f"{split}-{i:06d}.jpg" for i in range(count)]
        records = self._builder.as_dataset(
            split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),  # always in the same order
        )
        bar = progress(records, f"reading {split}", count, unit=" pictures")
        for i, record in enumerate(bar):
            archive.writestr(names[i], record["image"].numpy())
            labels[i] = [record["attributes"][name].numpy() for name in ATTRIBUTES]
            points = [record["landmarks"][name].numpy() for name in LANDMARK_COLUMNS]
            landmarks[i] = np.reshape(points, (-1, 2)) / np.array(PICTURE_SIZE[::-1])
        landmarks[((landmarks < 0) | (landmarks > 1)).any(axis=(1, 2))] = np.nan
        return SourceSplit(
            names=names,
            file=Path(self._builder.data_path),
            lines=np.arange(1, count + 1, dtype=np.int32),
            labels=labels,
            landmarks=landmarks if with_landmarks else None,
        )

    def _check_features(self, folder: Path) -> None:
        features = self._builder.info.features
        expected = {"image": (), "attributes": ATTRIBUTES, "landmarks": LANDMARK_COLUMNS}
        for name, parts in expected.items():
            there = features[name] if name in features else ()
            missing = [part for part in parts if part not in there]
            if name not in features or missing:
                raise DataError(
                    f"{folder}: expected the features of celeb_a. Missing: {name} "
                    f"{', '.join(missing)}"
                )


def _check_classes(file: Path) -> None:
    """Refuses features of other classes than TFDS's own: TFDS would import, and so run, them."""
    waiting = [read_json(file, "the features of celeb_a, as TFDS has them")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = value.get("pythonClassName")
            if name is not None and not re.fullmatch(_FEATURE_CLASS, str(name)):
                raise DataError(
                    f"{file}: expected features of {_FEATURES} alone, as others are programs. "
                    f"Received: {name}"
                )
        if isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value


def _find_version(folder: Path) -> Path:
    if (folder / "dataset_info.json").is_file():
        return folder
    found = sorted({path.parent for path in folder.glob("**/celeb_a/*/dataset_info.json")})
    found += sorted({path.parent for path in folder.glob("*/dataset_info.json")} - set(found))
    if len(found) != 1:
        raise DataError(
            f"{folder}: expected exactly one version of celeb_a, as TFDS has it, here or below. "
            f"Received: {', '.join(map(str, found)) or 'none'}"
        )
    return found[0]
