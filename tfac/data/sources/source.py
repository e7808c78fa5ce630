"""What a data set is before it is prepared: pictures, labels and splits in some layout."""

import abc
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfac.attributes import AttributeGroups
from tfac.data.preparing.landmark_annotation import Alignment
from tfac.data.sources.problems import Problems
from tfac.errors import DataError
from tfac.landmarks import LandmarkScheme
from tfac.photos.pictures import PictureFiles

SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {
    "train": ("train", "training", "0"),
    "validation": ("validation", "val", "valid", "dev", "1"),
    "test": ("test", "testing", "2"),
}
# How a split is written, in lower case -> its name; 0, 1 and 2 are CelebA's.
SPLIT_OF_WORD = {word: split for split, words in _SPLIT_WORDS.items() for word in words}


@dataclasses.dataclass(frozen=True, eq=False)
class SourceSplit:
    """The annotated pictures of one split, N of them.

    Attributes:
        names: what the pictures are called in `Source.pictures`.
        file: the file with their labels.
        lines: int32 [N], where each picture's labels stand in `file`, from 1.
        labels: uint8 [N, A] in {0, 1}, 0 where nobody annotated the attribute.
        label_mask: bool [N, A], False there; None where all are annotated.
        landmarks: float32 [N, K, 2] in [0, 1] of the picture, NaN where there are none; None where
            they were not read.
    """

    names: list[str]
    file: Path
    lines: np.ndarray
    labels: np.ndarray
    label_mask: np.ndarray | None = None
    landmarks: np.ndarray | None = None

    def take(self, rows: Sequence[int]) -> "SourceSplit":
        """Returns the pictures `rows` alone, in that order."""
        return dataclasses.replace(
            self,
            names=[self.names[row] for row in rows],
            lines=self.lines[rows],
            labels=self.labels[rows],
            label_mask=None if self.label_mask is None else self.label_mask[rows],
            landmarks=None if self.landmarks is None else self.landmarks[rows],
        )


def filled(splits: Mapping[str, SourceSplit], file: Path) -> dict[str, SourceSplit]:
    """Returns the splits that have pictures.

    Raises:
        DataError: none has; names `file`, which has the labels.
    """
    splits = {name: split for name, split in splits.items() if split.names}
    if not splits:
        raise DataError(f"{file}: expected pictures with labels, found none")
    return splits


class Source(abc.ABC):
    """A data set in some layout, found and not read yet.

    Attributes:
        name: the prepared data set's name, a valid Python name.
        version: the prepared data set's version, three numbers.
        description: what it is, a sentence or two.
        homepage: where it is from; empty if nowhere.
        attributes: names of the A attributes, in the order of the labels.
        groups: how the attributes are grouped; None for the default.
        pictures: its pictures; of some sources, once `read_splits` has been called.
        annotation_files: the files with labels, splits and landmarks that are there.
        own_landmarks: the scheme of the landmarks that it brings; None if it brings none.
        landmark_aspect: width over height of the pictures that its landmarks are fractions of; None
            if they are of the pictures as they are.
        alignment: where the faces are; None if they may be anywhere.
        faces: what the pictures are, of `tfac.photos.face_crops.FACES`; None if it does not say.
        boxed: it says where in a photo each face is; names are then those of
            `tfac.data.preparing.landmark_annotation.boxed_name`.
        settings: what else its records follow from, as JSON can hold it.
        notes: what was read otherwise than it is written, a sentence each.
    """

    name: str
    version: str = "1.0.0"
    description: str
    homepage: str = ""
    attributes: tuple[str, ...]
    groups: AttributeGroups | None = None
    pictures: PictureFiles
    annotation_files: list[Path]
    own_landmarks: LandmarkScheme | None = None
    landmark_aspect: float | None = None
    alignment: Alignment | None = None
    faces: str | None = None
    boxed: bool = False
    settings: Mapping[str, Any] = {}
    notes: Sequence[str] = ()

    @abc.abstractmethod
    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads the annotation files and checks them against each other and the pictures.

        Args:
            problems: told of all that is wrong with single rows and pictures.
            with_landmarks: read the landmarks that the source brings, too.

        Returns:
            The splits that have pictures.

        Raises:
            DataError: a file cannot be read or is of another layout; or a problem, where `problems`
                says stop; or nothing is left.
        """

    def clean_up(self) -> None:  # noqa: B027
        """Removes what reading has left behind; called when the records are whole."""

    def checksums(self) -> dict[str, str]:
        """Returns each annotation file's SHA-256 by its name."""
        checksums = {}
        for path in self.annotation_files:
            with path.open("rb") as file:
                checksums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return checksums
