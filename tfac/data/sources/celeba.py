"""CelebA's official layout: where its files are, and what its annotation files say.

| file | rows |
|---|---|
| `img_align_celeba.zip`, `img_align_celeba/` | the pictures; also `img_align_celeba_png` |
| `list_attr_celeba.txt` | their number; 40 names; name and 40 of -1 and 1 |
| `list_eval_partition.txt` | name and 0 (train), 1 (validation) or 2 (test) |
| `list_landmarks_align_celeba.txt` | their number; 10 names; name and 10 numbers |

They are in one folder or in folders below it (`Img/`, `Anno/` and `Eval/`, or others), and the
pictures may be in a folder inside their folder. Tables may be Kaggle's, `list_attr_celeba.csv` and
so on: names of the columns, then rows with commas. Pictures may be PNG where tables say .jpg.

Landmarks are pixels of the official aligned picture of 178x218, whatever size the pictures have.

Reference:
    Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfac.attributes import ATTRIBUTES, celeba_name
from tfac.data.preparing.landmark_annotation import Alignment
from tfac.data.sources.keys import PictureKeys
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLITS, Source, SourceSplit, filled
from tfac.errors import DataError
from tfac.landmarks import CELEBA_5
from tfac.photos.face_crops import ALIGNED
from tfac.photos.pictures import PictureFiles

PICTURE_SIZE = (218, 178)  # height and width of an official aligned picture, pixels

PICTURE_NAMES = (
    "img_align_celeba.zip",
    "img_align_celeba",
    "img_align_celeba_png.zip",
    "img_align_celeba_png",
)
LABELS_NAMES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
PARTITION_NAMES = ("list_eval_partition.txt", "list_eval_partition.csv")
LANDMARKS_NAMES = ("list_landmarks_align_celeba.txt", "list_landmarks_align_celeba.csv")
LANDMARK_COLUMNS = tuple(
    f"{point}_{axis}"
    for point in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    for axis in "xy"
)

_DEPTH = 2  # folders below the given one that are searched
_SHOWN = 10  # names of a folder in an error

Row = tuple[int, bytes]  # line number from 1, parsed values
Rows = dict[str, Row]


# The median of dlib's rectangles.
ALIGNMENT = Alignment(face=(0.253, 0.427, 0.742, 0.826), aspect=178 / 218)


class CelebASource(Source):
    """A copy of CelebA in its official layout.

    Where both the archive and the extracted folder are there, the archive is read.

    Args:
        source_dir: the folder with its files.
        resized_whole: pictures of another shape than 178x218 show all of it nevertheless, resized
            to that shape and not cropped, so that its landmarks are theirs.

    Raises:
        DataError: the folder, the pictures or a required annotation file is missing.
    """

    name = "celeba"
    description = "CelebA (Liu et al., ICCV 2015): aligned faces with 40 attributes."
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attributes = ATTRIBUTES
    alignment = ALIGNMENT
    faces = ALIGNED

    def __init__(self, source_dir: str | os.PathLike, resized_whole: bool = False):
        source_dir = Path(source_dir)
        self.landmark_aspect = None if resized_whole else PICTURE_SIZE[1] / PICTURE_SIZE[0]
        if resized_whole:
            self.settings = {"resized_whole": True}
        self.pictures = PictureFiles(_innermost(find_file(source_dir, *PICTURE_NAMES)))
        self._labels = find_file(source_dir, *LABELS_NAMES)
        self._partition = find_file(source_dir, *PARTITION_NAMES)
        self._landmarks = find_file(source_dir, *LANDMARKS_NAMES, required=False)
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
        keys = PictureKeys(self.pictures)
        labels, refused = _read_rows(self._labels, _parse_labels, problems, keys, ATTRIBUTES)
        partition, refused_too = _read_rows(self._partition, _parse_partition, problems, keys)
        refused |= refused_too
        landmarks: Rows | None = None
        if with_landmarks:
            landmarks, without = _read_rows(
                self._landmarks, _parse_landmarks, problems, keys, LANDMARK_COLUMNS
            )
        self._check_against_each_other(labels, partition, refused, problems, keys)
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
        self,
        labels: Rows,
        partition: Rows,
        refused: set[str],
        problems: Problems,
        keys: PictureKeys,
    ) -> None:
        """Reports each picture and row that is alone, once."""
        pictures = self.pictures.names
        for name in sorted(pictures - labels.keys() - refused):
            problems.report(
                "picture without a row",
                f"{self.pictures.describe(name)}: expected a row in {self._labels}, found none",
            )
        for name, (line, _) in labels.items():
            where = f"{self._labels} line {line}"
            if name not in pictures:
                problems.report("row without a picture", f"{where}: {keys.missing(name)}")
            elif name not in partition and name not in refused:
                problems.report(
                    "row in one file alone", f"{where}: {name} is missing from {self._partition}"
                )
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


def find_file(source_dir: Path, *names: str, required: bool = True) -> Path | None:
    """Returns the first of `names` that is there, in the uppermost folder that has it.

    Args:
        source_dir: the folder to look into, and into those below it, _DEPTH deep.
        *names: files or folders, the preferred first.
        required: False gives None where there is none.

    Raises:
        DataError: there is none, or no folder `source_dir`.
    """
    if not source_dir.is_dir():
        raise DataError(f"expected a folder with {names[0]}. Received: {source_dir}")
    folders = [source_dir]
    for folder in folders:
        if len(folder.relative_to(source_dir).parts) < _DEPTH:
            folders += _folders_in(folder)
    for name in names:
        for folder in folders:
            if (folder / name).exists():
                return folder / name
    if required:
        there = ", ".join(sorted(path.name for path in source_dir.iterdir())[:_SHOWN])
        raise DataError(
            f"{source_dir}: expected {' or '.join(names)} there or in a folder below, such as "
            f"Anno/, Eval/ or Img/, found none. There: {there or 'nothing'}"
        )
    return None


def _folders_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if entry.is_dir() and not entry.name.startswith((".", "__", *PICTURE_NAMES[1::2]))
        )


def _innermost(pictures: Path) -> Path:
    """Returns the folder that has the pictures of an archive that was extracted into a folder."""
    while pictures.is_dir():
        with os.scandir(pictures) as entries:
            inner = [e.name for e in entries if not e.name.startswith((".", "__"))][:2]
        if len(inner) != 1 or not (pictures / inner[0]).is_dir():
            break
        pictures /= inner[0]
    return pictures


def _read_rows(
    path: Path,
    parse: Callable[[list[str]], bytes],
    problems: Problems,
    keys: PictureKeys,
    header: tuple[str, ...] = (),
) -> tuple[Rows, set[str]]:
    """Returns the rows of an annotation file by picture, and the pictures of its refused rows.

    A row of a picture that is not there is kept under the name that it has in the file.
    """
    rows: Rows = {}
    refused: set[str] = set()
    with _open_text(path) as file:
        announced, first_line, has_index = _read_header(file, path, header)
        count = 0
        for line, text in enumerate(file, first_line):
            columns = _split(text)[has_index:]
            if not columns:
                continue
            count += 1
            name, where = _picture(columns[0], keys), f"{path} line {line}"
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


def _split(text: str) -> list[str]:
    """Returns the values of a row: between spaces or, in Kaggle's tables, commas."""
    return re.sub(r'[,;"]', " ", text).split()


def _picture(name: str, keys: PictureKeys) -> str:
    """Returns the picture that a row is about; in the PNG edition rows say .jpg."""
    found = keys.find(name) or keys.find(name.removesuffix(".jpg"))
    return found[0] if len(found) == 1 else name


def _open_text(path: Path):
    try:
        return path.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror}") from error


def _read_header(file, path: Path, header: tuple[str, ...]) -> tuple[int | None, int, bool]:
    """Returns the number of rows where the file says it, the line of the first row, and an index.

    Reads up to that row. Kaggle's tables have a line of names, and the official ones of `header`
    their number and a line of names. An index is pandas's, a first column without a name.
    """
    start = file.tell()
    first = file.readline()
    has_index = first.startswith((",", ";"))
    names, announced = _split(first)[1:], None
    if not header:
        if names and not names[-1].isdecimal():
            return None, 2, has_index
        file.seek(start)
        return None, 1, False
    line = 1
    if len(names) < 2:
        if not first.strip().isdecimal():
            raise DataError(
                f"{path} line 1: expected the number of rows. Received: {first.strip()[:80]!r}"
            )
        names, announced, line = _split(file.readline()), int(first), 2
    if tuple(celeba_name(name) or name for name in names) != header:
        differing = [pair for pair in zip(header, names, strict=False) if pair[0] != pair[1]]
        detail = f", {differing[0][1]!r} in the place of {differing[0][0]!r}" if differing else ""
        raise DataError(
            f"{path} line {line}: expected the {len(header)} column names of CelebA in their "
            f"order. Received: {len(names)} names{detail}"
        )
    return announced, line + 1, has_index


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
