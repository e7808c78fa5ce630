"""LFWA: the pictures of LFW with attributes, in the forms that are in circulation.

| file | what it holds |
|---|---|
| `lfw/`, `lfw-deepfunneled/` | `PERSON/PERSON_0001.jpg`, original and deep-funneled |
| `lfw_att_40.mat` | MMLab's labels: `AttrName` (40), `name` (13,233), `label` (13,233 x 40) |
| `indices_train_test.mat` | MMLab's split: `indices_img_train` (6,263), `indices_img_test` |
| `indices_img_train.mat`, `indices_img_test.mat` | the same, apart |
| `lfw_attributes.txt` | Kumar's labels: 73 real numbers for 13,143 pictures, above 0 for yes |

MATLAB files may be of version 5 or 7.3.

References:
    Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015 (LFWA).
    Kumar et al., "Attribute and Simile Classifiers for Face Verification", ICCV 2009 (73 columns).
    Huang et al., "Learning to Align from Scratch", NIPS 2012 (deep funneling).
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.landmark_annotation import Alignment
from tfac.data.sources.keys import PictureKeys
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import Source, SourceSplit, filled
from tfac.errors import ConfigError, DataError
from tfac.photos.face_crops import WHOLE
from tfac.photos.pictures import PictureFiles

ORIGINAL, DEEP_FUNNELED = "lfw", "lfw-deepfunneled"
MMLAB_LABELS = "lfw_att_40.mat"
KUMAR_LABELS = "lfw_attributes.txt"
MMLAB_SPLIT = "indices_train_test.mat"

# The median of dlib's rectangles on deep-funneled pictures.
ALIGNMENT = Alignment(face=(0.308, 0.356, 0.728, 0.76), aspect=1.0)

# CelebA's attributes whose column of Kumar's has another name; the others differ in spelling alone.
KUMAR_NAMES: Mapping[str, str] = {"Young": "Youth"}
# CelebA's Attractive is the first column for those that Kumar's Male calls so, else the second.
_ATTRACTIVE = ("Attractive_Man", "Attractive_Woman")

PROTOCOLS = ("mgg_net", "dmm_cnn")


@dataclasses.dataclass(frozen=True, eq=False)
class _Labels:
    """Labels of N pictures: their names below a folder of pictures, their rows, and [N, 40]."""

    file: Path
    names: list[str]
    lines: np.ndarray
    values: np.ndarray


class LFWASource(Source):
    """LFWA under the protocol of one of the papers.

    Readings: DMM-CNN gives 13,144 and 6,571 pictures, which are two and one of each of Kumar's
    13,143, halved; which half and which pictures are tested it does not say. MGG-Net gives the
    numbers of MMLab's split and does not say which pictures.

    Args:
        source_dir: the folder with the files above.
        protocol: "mgg_net" has MMLab's labels and split, 6,263 pictures to train on and 6,970 to
            test on, deep-funneled where they are there, else the originals. "dmm_cnn" has Kumar's
            labels, the first 6,572 rows to train on, original and deep-funneled, and the other
            6,571 to test on, deep-funneled.

    Raises:
        DataError: the folder or a file that the protocol needs is missing.
        ConfigError: an unknown protocol.
    """

    name = "lfwa"
    description = "LFWA (Liu et al., ICCV 2015): Labeled Faces in the Wild with 40 attributes."
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    attributes = ATTRIBUTES
    alignment = ALIGNMENT
    faces = WHOLE

    def __init__(self, source_dir: str | os.PathLike, protocol: str = "mgg_net"):
        if protocol not in PROTOCOLS:
            raise ConfigError(
                f"protocol: expected one of {', '.join(PROTOCOLS)}. Received: {protocol}"
            )
        folder = Path(source_dir)
        if not folder.is_dir():
            raise DataError(f"expected a folder with LFWA's files. Received: {folder}")
        there = [name for name in (DEEP_FUNNELED, ORIGINAL) if (folder / name).is_dir()]
        needed = [DEEP_FUNNELED, ORIGINAL] if protocol == "dmm_cnn" else there[:1]
        if not needed or not set(needed) <= set(there):
            raise DataError(
                f"{folder}: expected the folders {' and '.join(needed or [DEEP_FUNNELED])}, "
                f"extracted (tar -xzf {DEEP_FUNNELED}.tgz). Received: {', '.join(there) or 'none'}"
            )
        self.settings = {"protocol": protocol, "pictures": needed}
        self.pictures = PictureFiles(folder, nested=True)
        self._protocol, self._folders = protocol, needed
        if protocol == "dmm_cnn":
            self._labels = _require(folder, KUMAR_LABELS)
            self.annotation_files = [self._labels]
        else:
            self._labels = _require(folder, MMLAB_LABELS)
            self._splits = {
                split: _require(folder, MMLAB_SPLIT, f"indices_img_{split}.mat")
                for split in ("train", "test")
            }
            self.annotation_files = [self._labels, *dict.fromkeys(self._splits.values())]

    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads labels and split and checks them against the pictures; see `Source.read_splits`."""
        if self._protocol == "dmm_cnn":
            labels = _read_kumar(self._labels, problems)
            cut = (len(labels.names) + 1) // 2
            parts = {
                "train": (range(cut), (ORIGINAL, DEEP_FUNNELED)),
                "test": (range(cut, len(labels.names)), (DEEP_FUNNELED,)),
            }
        else:
            labels = _read_mmlab(self._labels)
            parts = {
                split: (_read_indices(path, split, len(labels.names)), self._folders)
                for split, path in self._splits.items()
            }
            shared = set(parts["train"][0]) & set(parts["test"][0])
            if shared:
                raise DataError(
                    f"{self._splits['test']}: expected other pictures than those to train on. "
                    f"Received: {len(shared)} of both, such as {labels.names[min(shared)]}"
                )
        splits = {
            split: self._split(labels, rows, folders, problems)
            for split, (rows, folders) in parts.items()
        }
        return filled(splits, self._labels)

    def _split(
        self, labels: _Labels, rows: Sequence[int], folders: Sequence[str], problems: Problems
    ) -> SourceSplit:
        names, kept, keys = [], [], PictureKeys(self.pictures)
        for folder in folders:
            for row in rows:
                name = f"{folder}/{labels.names[row]}"
                if name in self.pictures.names:
                    names.append(name)
                    kept.append(row)
                else:
                    problems.report(
                        "row without a picture",
                        f"{labels.file} row {labels.lines[row]}: {keys.missing(name)}",
                    )
        return SourceSplit(
            names=names, file=labels.file, lines=labels.lines[kept], labels=labels.values[kept]
        )


def _require(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: expected {' or '.join(names)}, found none")


def _standard_name(text: str) -> str:
    """Returns a column's name as CelebA spells it: "5 o' Clock Shadow" is 5_o_Clock_Shadow."""
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")


def _columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Returns where the wanted names are among a file's."""
    places = {_standard_name(name).lower(): i for i, name in enumerate(names)}
    missing = [name for name in wanted if name.lower() not in places]
    if missing:
        raise DataError(
            f"{path}: expected columns for {', '.join(missing)}. Received: {', '.join(names)}"
        )
    return [places[name.lower()] for name in wanted]


def _read_kumar(path: Path, problems: Problems) -> _Labels:
    names, lines, values = [], [], []
    try:
        with path.open(encoding="utf-8-sig") as file:
            file.readline()  # a comment
            header = file.readline().lstrip("#").strip("\t\r\n ").split("\t")
            if [column.strip() for column in header[:2]] != ["person", "imagenum"]:
                raise DataError(
                    f"{path} line 2: expected the columns person, imagenum and 73 attributes. "
                    f"Received: {', '.join(header[:3])}"
                )
            wanted = [KUMAR_NAMES.get(name, name) for name in ATTRIBUTES if name != "Attractive"]
            places = _columns(path, header, wanted)
            male, *attractive = _columns(path, header, ("Male", *_ATTRACTIVE))
            for line, text in enumerate(file, 3):
                if not text.strip():
                    continue
                columns = text.rstrip("\r\n").split("\t")
                try:
                    if len(columns) != len(header):
                        raise ValueError(f"expected {len(header)} values. Received: {len(columns)}")
                    number, numbers = int(columns[1]), [0, 0, *map(float, columns[2:])]
                    if not np.isfinite(numbers).all():
                        raise ValueError("expected finite numbers")
                except ValueError as error:
                    problems.report("malformed row", f"{path} line {line}: {error}")
                    continue
                row = [numbers[place] > 0 for place in places]
                looks = numbers[attractive[0 if numbers[male] > 0 else 1]] > 0
                row.insert(ATTRIBUTES.index("Attractive"), looks)
                person = columns[0].strip().replace(" ", "_")
                names.append(f"{person}/{person}_{number:04d}.jpg")
                lines.append(line)
                values.append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the file cannot be read: {error}") from error
    return _Labels(
        path, names, np.array(lines, np.int32), np.array(values, np.uint8).reshape(len(names), 40)
    )


def _read_mmlab(path: Path) -> _Labels:
    contents = _read_matlab(path, ("AttrName", "name", "label"))
    columns = _columns(path, contents["AttrName"], ATTRIBUTES)
    names = [name.replace("\\", "/") for name in contents["name"]]
    values = contents["label"]
    if values.shape != (len(names), len(contents["AttrName"])):
        raise DataError(
            f"{path}: expected label of {len(names)} x {len(contents['AttrName'])}. "
            f"Received: {values.shape}"
        )
    lines = np.arange(1, len(names) + 1, dtype=np.int32)
    return _Labels(path, names, lines, (values[:, columns] > 0).astype(np.uint8))


def _read_indices(path: Path, split: str, count: int) -> list[int]:
    """Returns rows from 0, in rising order."""
    name = f"indices_img_{split}"
    indices = _read_matlab(path, (name,))[name].ravel()
    whole = indices.astype(np.int64)
    if not np.all((whole == indices) & (whole >= 1) & (whole <= count)):
        raise DataError(f"{path}: expected {name} of whole numbers from 1 to {count}")
    if len(np.unique(whole)) < len(whole):
        raise DataError(f"{path}: expected each picture once in {name}")
    return sorted(int(index) - 1 for index in whole)


def _read_matlab(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Returns variables of a MATLAB file: cells of texts as lists, numbers as [rows, columns]."""
    import h5py
    import scipy.io

    try:
        if h5py.is_hdf5(path):  # version 7.3
            with h5py.File(path) as file:
                return {name: _from_hdf5(file, file[name]) for name in names}
        contents = scipy.io.loadmat(path, variable_names=list(names))
        return {name: _from_matlab_5(contents[name]) for name in names}
    except (OSError, ValueError, KeyError, TypeError, scipy.io.matlab.MatReadError) as error:
        raise DataError(
            f"{path}: expected a MATLAB file (version 5 or 7.3) with {', '.join(names)}. {error}"
        ) from error


def _from_hdf5(file, variable) -> Any:
    import h5py

    if variable.dtype == h5py.ref_dtype:
        return ["".join(map(chr, file[each][()].ravel())) for each in variable[()].ravel()]
    return variable[()].T  # MATLAB stores columns first


def _from_matlab_5(variable: np.ndarray) -> Any:
    if variable.dtype == object:
        return [str(each.item()) for each in variable.ravel()]
    return variable
