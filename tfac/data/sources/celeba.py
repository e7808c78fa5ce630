"""CelebA's official layout: where its files are, and what its annotation files say.

| file | where | rows |
|---|---|---|
| `img_align_celeba.zip` or `img_align_celeba/` | flat, `Img/` | the pictures |
| `list_attr_celeba.txt` | flat, `Anno/` | their number; 40 names; name and 40 of -1 and 1 |
| `list_eval_partition.txt` | flat, `Eval/` | name and 0 (train), 1 (validation) or 2 (test) |
| `list_landmarks_align_celeba.txt` | flat, `Anno/` | their number; 10 names; name and 10 numbers |

Landmarks are pixels of the official aligned picture of 178x218, whatever size the pictures have.

Reference:
    Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.landmark_annotation import Alignment
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLITS, Source, SourceSplit, filled
from tfac.errors import DataError
from tfac.landmarks import CELEBA_5
from tfac.photos.face_crops import ALIGNED
from tfac.photos.pictures import PictureFiles

PICTURE_SIZE = (218, 178)  # height and width of an official aligned picture, pixels

PICTURE_NAMES = ("img_align_celeba.zip", "img_align_celeba")
LABELS_NAME = "list_attr_celeba.txt"
PARTITION_NAME = "list_eval_partition.txt"
LANDMARKS_NAME = "list_landmarks_align_celeba.txt"
LANDMARK_COLUMNS = tuple(
    f"{point}_{axis}"
    for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    for axis in "xy"
)

_FOLDERS = ("", "Anno", "Eval", "Img")

Row = tuple[int, bytes]  # line number from 1, parsed values
Rows = dict[str, Row]


# The median of dlib's rectangles.
ALIGNMENT = Alignment(face=(0.253, 0.427, 0.742, 0.826), aspect=178 / 218)


class CelebASource(Source):
    """A copy of CelebA in its official layout.

    Where both the archive and the extracted folder are there, the archive is read.

    Args:
        source_dir: the folder with its files.

    Raises:
        DataError: the folder, the pictures or a required annotation file is missing.
    """

    name = "celeba"
    description = "CelebA (Liu et al., ICCV 2015): aligned faces with 40 attributes."
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attributes = ATTRIBUTES
    alignment = ALIGNMENT
    faces = ALIGNED

    def __init__(self, source_dir: str | os.PathLike):
        source_dir = Path(source_dir)
        if not source_dir.is_dir():
            raise DataError(f"expected a folder with CelebA's files. Received: {source_dir}")
        self.pictures = PictureFiles(_find(source_dir, *PICTURE_NAMES))
        self._labels = _find(source_dir, LABELS_NAME)
        self._partition = _find(source_dir, PARTITION_NAME)
        self._landmarks = _find(source_dir, LANDMARKS_NAME, required=False)
        self.own_landmarks = CELEBA_5 if self._landmarks else None
        files = (self._labels, self._partition, self._landmarks)
        self.annotation_files = [path for path in files if path]

    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads the annotation files and checks them against each other and the pictures.

        Of a row that occurs twice the first counts. A row that is skipped leaves its picture out, a
        skipped row of landmarks leaves the picture without landmarks. Pictures are sorted by name,
        splits are in the order of SPLITS. See `Source.read_splits`.
        """
        labels, refused = _read_rows(self._labels, _parse_labels, problems, ATTRIBUTES)
        partition, refused_too = _read_rows(self._partition, _parse_partition, problems)
        refused |= refused_too
        landmarks: Rows | None = None
        if with_landmarks:
            landmarks, without = _read_rows(
                self._landmarks, _parse_landmarks, problems, LANDMARK_COLUMNS
            )
        self._check_against_each_other(labels, partition, refused, problems)
        names = sorted(labels.keys() & partition.keys() & self.pictures.names)
        if landmarks is not None:
            for name in names:
                if name not in landmarks and name not in without:
                    problems.report(
                        "picture without a landmarks row",
                        f"{self._landmarks}: expected a row for {name} ({self._labels} line "
                        f"{labels[name][0]}), found none",
                    )
        by_split: list[list[str]] = [[], [], []]
        for name in names:
            by_split[partition[name][1][0]].append(name)
        splits = [self._to_arrays(members, labels, landmarks) for members in by_split]
        return filled(dict(zip(SPLITS, splits, strict=True)), self._labels)

    def _check_against_each_other(
        self, labels: Rows, partition: Rows, refused: set[str], problems: Problems
    ) -> None:
        """Reports each picture and row that is alone, once."""
        pictures = self.pictures.names
        for name in sorted(pictures - labels.keys() - refused):
            problems.report(
                "picture without a row",
                f"{self.pictures.describe(name)}: expected a row in {self._labels}, found none",
            )
        for name, (line, _) in labels.items():
            where = f"{self._labels} line {line}: {name} is missing from"
            if name not in pictures:
                problems.report("row without a picture", f"{where} {self.pictures.path}")
            elif name not in partition and name not in refused:
                problems.report("row in one file alone", f"{where} {self._partition}")
        for name, (line, _) in partition.items():
            if name not in labels and name not in pictures and name not in refused:
                problems.report(
                    "row in one file alone",
                    f"{self._partition} line {line}: {name} is missing from {self._labels}",
                )

    def _to_arrays(self, names: list[str], labels: Rows, landmarks: Rows | None) -> SourceSplit:
        missing = np.full((5, 2), np.nan, np.float32).tobytes()
        points = None
        if landmarks is not None:
            rows = [landmarks[name][1] if name in landmarks else missing for name in names]
            points = np.frombuffer(b"".join(rows), np.float32).reshape(-1, 5, 2)
        packed = b"".join(labels[name][1] for name in names)
        return SourceSplit(
            names=names,
            file=self._labels,
            lines=np.array([labels[name][0] for name in names], np.int32),
            labels=np.frombuffer(packed, np.uint8).reshape(-1, len(ATTRIBUTES)),
            landmarks=points,
        )


def _find(source_dir: Path, *names: str, required: bool = True) -> Path | None:
    for name in names:
        for folder in _FOLDERS:
            if (source_dir / folder / name).exists():
                return source_dir / folder / name
    if required:
        raise DataError(
            f"{source_dir}: expected {' or '.join(names)} there or under Anno/, Eval/ or Img/, "
            "found none"
        )
    return None


def _read_rows(
    path: Path,
    parse: Callable[[list[str]], bytes],
    problems: Problems,
    header: tuple[str, ...] = (),
) -> tuple[Rows, set[str]]:
    """Returns the rows of an annotation file by name, and the names of its refused rows."""
    rows: Rows = {}
    refused: set[str] = set()
    with _open_text(path) as file:
        announced = _read_header(file, path, header) if header else None
        first_line = 3 if header else 1
        count = 0
        for line, text in enumerate(file, first_line):
            columns = text.split()
            if not columns:
                continue
            count += 1
            name, where = columns[0], f"{path} line {line}"
            if name in rows:
                problems.report(
                    "doubled row",
                    f"{where}: expected each picture once. Received: {name} again, first on line "
                    f"{rows[name][0]}",
                )
                continue
            try:
                rows[name] = line, parse(columns[1:])
            except ValueError as error:
                problems.report("malformed row", f"{where}: {error} (row of {name})")
                refused.add(name)
    if announced is not None and announced != count:
        problems.report(
            "wrong number of rows",
            f"{path} line 1: expected the number of rows that follow, {count}. "
            f"Received: {announced}",
        )
    return rows, refused - rows.keys()


def _open_text(path: Path):
    try:
        return path.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror}") from error


def _read_header(file, path: Path, header: tuple[str, ...]) -> int:
    first, second = file.readline().strip(), tuple(file.readline().split())
    if not first.isdecimal():
        raise DataError(f"{path} line 1: expected the number of rows. Received: {first[:80]!r}")
    if second != header:
        differing = [pair for pair in zip(header, second, strict=False) if pair[0] != pair[1]]
        detail = f", {differing[0][1]!r} in the place of {differing[0][0]!r}" if differing else ""
        raise DataError(
            f"{path} line 2: expected the {len(header)} column names of CelebA in their order. "
            f"Received: {len(second)} names{detail}"
        )
    return int(first)


def _parse_labels(values: list[str]) -> bytes:
    _check_number(values, len(ATTRIBUTES), "labels")
    if not set(values) <= {"-1", "1"}:
        wrong = next(i for i, value in enumerate(values) if value not in ("-1", "1"))
        raise ValueError(f"expected -1 or 1 for {ATTRIBUTES[wrong]}. Received: {values[wrong]!r}")
    return bytes(value == "1" for value in values)


def _parse_partition(values: list[str]) -> bytes:
    _check_number(values, 1, "partition number")
    if values[0] not in ("0", "1", "2"):
        raise ValueError(f"expected partition 0, 1 or 2. Received: {values[0]!r}")
    return bytes([int(values[0])])


def _parse_landmarks(values: list[str]) -> bytes:
    _check_number(values, len(LANDMARK_COLUMNS), "coordinates")
    height, width = PICTURE_SIZE
    points = np.array(values, np.float32).reshape(5, 2) / np.array([width, height], np.float32)
    if not np.all((points >= 0) & (points <= 1)):
        raise ValueError(
            f"expected coordinates inside a picture of {width}x{height}. "
            f"Received: {' '.join(values)}"
        )
    return points.tobytes()


def _check_number(values: list[str], expected: int, what: str) -> None:
    if len(values) != expected:
        raise ValueError(f"expected {expected} {what} after the name. Received: {len(values)}")
