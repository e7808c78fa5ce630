"""A user's own pictures and a table of their labels, CSV or Parquet.

One row a picture, or one a folder of pictures with the same labels. One column says which: its path
below the folder (or inside the zip archive) of the pictures. Perhaps one says which split it
belongs to, and one which group of pictures, such as the person's name, must not be in two splits.
All others are attributes, or those chosen.
"""

import collections
import dataclasses
import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfac.attributes import ATTRIBUTES, AttributeGroups, celeba_name
from tfac.data.preparing.landmark_annotation import boxed_name
from tfac.data.sources.keys import PictureKeys
from tfac.data.sources.labels import (
    Cut,
    Reading,
    detect_label_values,
    parse_label_values,
    read_classes,
    shown,
    standard_value,
)
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLIT_OF_WORD, SPLITS, Source, SourceSplit, filled
from tfac.data.sources.table import NameTable, Table
from tfac.errors import ConfigError, DataError
from tfac.files import read_json, whole_file
from tfac.photos.pictures import PictureFiles

DEFAULT_SHARES = (0.8, 0.1, 0.1)


class FolderSource(Source):
    """Pictures in a folder or a zip archive, with a table of labels.

    A column whose name is one of CelebA's in other case, with other spaces or signs is that
    attribute. Attributes that are all CelebA's are put in CelebA's order; others keep the table's.

    Splits come from a column (`split_column`), from another table (`split_file`: picture, split),
    from the names of several tables that say them (``train``, ``val``), or from shares; shares are
    dealt out by a checksum of the group, so a group is never in two splits and a picture stays in
    its split when others are added. Where a row is for a folder, the folder is the group.

    Args:
        pictures: a folder, read with all folders below it, or a zip archive.
        labels: the table, ``.csv``, ``.tsv``, ``.txt`` (with commas, semicolons, tabs or spaces, or
            as CelebA writes it) or ``.parquet``, perhaps with the pictures inside; or several of
            the same columns. None where `classes` reads the pictures' names.
        name: what the data set is called, a Python name in lower case.
        key_column: the column with the picture's path; by default the first.
        split_column: the column with train, validation or test, or a key of SPLIT_OF_WORD.
        split_file: a table with picture and split, in place of a column.
        split_shares: shares of train, validation and test, which sum to 1, in place of both; by
            default DEFAULT_SHARES.
        group_column: the column that says which pictures belong together.
        attributes: columns to take as attributes; by default all others, or those of `classes`.
        groups_file: JSON with ``part_groups`` (part to attribute names) and
            ``subjective_attributes``; by default CelebA's for its attributes, a part "other" for
            the rest.
        label_values: a key of LABEL_VALUES, or other values for no and yes, or for no, unknown and
            yes, with slashes between; by default what the values in the table say.
        label_cut: labels are shares of annotators in [0, 1]; at least this one is yes.
        classes: JSON that makes attributes of the classes of columns; see
            `tfac.data.sources.labels.read_classes`.
        box_columns: the columns with left, top, right and bottom of a face, in pixels of the
            upright photo; a photo may then have a row for each of its faces, all in one split.
        archive: the zip archive that pictures inside a Parquet table pass through; removed when all
            is done.

    Raises:
        DataError: a file is missing, is no table, or lacks a column; two columns are one attribute.
        ConfigError: an argument is out of range, or the table's labels can be read in two ways.
    """

    description = "Pictures of a folder with a table of labels."

    def __init__(
        self,
        pictures: str | os.PathLike,
        labels: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        *,
        name: str = "faces",
        key_column: str | None = None,
        split_column: str | None = None,
        split_file: str | os.PathLike | None = None,
        split_shares: Sequence[float] | None = None,
        group_column: str | None = None,
        attributes: Sequence[str] = (),
        groups_file: str | os.PathLike | None = None,
        label_values: str | None = None,
        label_cut: float | None = None,
        classes: str | os.PathLike | None = None,
        box_columns: Sequence[str] = (),
        archive: str | os.PathLike | None = None,
    ):
        if not name.isidentifier() or name != name.lower():
            raise ConfigError(f"name: expected a Python name in lower case. Received: {name}")
        if sum(given is not None for given in (split_column, split_file, split_shares)) > 1:
            raise ConfigError(
                "split_column, split_file and split_shares: expected one of them. Received: more"
            )
        self._shares = tuple(split_shares or DEFAULT_SHARES)
        _check_shares(self._shares)
        self.name = name
        self.pictures = PictureFiles(pictures, nested=True)
        self._archive = archive and Path(archive)
        content = read_classes(Path(classes)) if classes else None
        self._tables = self._open_tables(labels, content.file_name if content else ())
        self._split_table = Table(Path(split_file), ("picture", "split")) if split_file else None
        self.annotation_files = [t.path for t in self._all_tables() if t.path.is_file()]
        self.notes = [note for table in self._all_tables() for note in table.notes]
        first = self._tables[0]
        self._key_column = key_column or first.columns[0]
        self._split_column, self._group_column = split_column, group_column
        if len(box_columns) not in (0, 4):
            raise ConfigError(
                "box_columns: expected the four columns of left, top, right and bottom. "
                f"Received: {', '.join(box_columns)}"
            )
        self._box_columns, self.boxed = tuple(box_columns), bool(box_columns)
        special = [c for c in (self._key_column, split_column, group_column) if c]
        special += box_columns
        columns = [c for c in first.columns[first.has_pictures :] if c not in special]
        if attributes:
            spelled = {celeba_name(column) or column: column for column in columns}
            columns = [spelled.get(celeba_name(name) or name, name) for name in attributes]
        elif content:
            columns = []
        entries = list(content.readings.items()) if content else []
        for table in self._tables:
            table.require([*special, *columns, *(column for _, (column, _) in entries)])
        self.label_values, reading = self._read_as(columns, label_values, label_cut)
        entries += [(column, (column, reading)) for column in columns]
        self._readings = self._name_attributes(entries)
        self.attributes = tuple(self._readings)
        if groups_file:
            self.groups = _read_groups(Path(groups_file), self.attributes)
        by_shares = not split_column and not split_file
        self._split_of_table = self._splits_by_name() if by_shares and not split_shares else {}
        by_shares = by_shares and not self._split_of_table
        self.settings = {
            "label_values": self.label_values,
            "attributes": list(self.attributes),
            "key_column": self._key_column,
            "split_column": split_column,
            "split_shares": list(self._shares) if by_shares else None,
            "group_column": group_column,
            "attribute_groups": self.groups and self.groups.to_dict(),
        }
        if box_columns:
            self.settings["box_columns"] = list(box_columns)
        if content:
            self.settings["classes"] = content.content

    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads the table and checks it against the pictures; see `Source.read_splits`."""
        if self._tables[0].has_pictures and self._key_column == self._tables[0].columns[0]:
            self._copy_pictures()
        keys = PictureKeys(self.pictures)
        split_of_name = self._read_split_file(keys, problems)
        rows = {split: _Rows() for split in SPLITS}
        lines: dict[str, str] = {}  # picture, or face, to where its row is
        with_row: set[str] = set()  # pictures
        splits_of_group: dict[str, tuple[str, str]] = {}
        for table, line, row in self._rows(problems):
            key, where = row[self._key_column].strip(), f"{table.path} line {line}"
            names = keys.find(key)
            if not names:
                problems.report("row without a picture", f"{where}: {keys.missing(key)}")
                continue
            try:
                labels = [
                    reading.label(row[column], attribute)
                    for attribute, (column, reading) in self._readings.items()
                ]
                box = self._box(row)
            except ValueError as error:
                problems.report("malformed row", f"{where}: {error} (row of {key})")
                with_row.update(names)
                continue
            group = row[self._group_column].strip() if self._group_column else ""
            if not group and (box or len(names) > 1):
                group = key  # a photo of several faces, or a folder
            with_row.update(names)
            for photo in names:
                name = boxed_name(photo, box) if box else photo
                if name in lines:
                    problems.report(
                        "doubled row",
                        f"{where}: expected each picture once. Received: {name} again, first in "
                        f"{lines[name]}",
                    )
                    continue
                lines[name] = where
                try:
                    split = self._split(table, photo, row, group or photo, split_of_name)
                except ValueError as error:
                    problems.report("malformed row", f"{where}: {error} (row of {name})")
                    continue
                first_split, first_place = splits_of_group.setdefault(group, (split, where))
                if group and first_split != split:
                    problems.report(
                        "group in two splits",
                        f"{where}: expected {self._group_column or 'all of'} {group!r} in "
                        f"{first_split}, as in {first_place}. Received: {split}",
                    )
                    continue
                rows[split].add(name, line, labels)
        for name in sorted(set(self.pictures.names) - with_row):
            problems.report(
                "picture without a row",
                f"{self.pictures.describe(name)}: expected a row in {self._file}, found none",
            )
        file = self._file
        return filled({name: part.to_split(file) for name, part in rows.items() if part.keys}, file)

    def _box(self, row: Mapping[str, str]) -> tuple[int, ...] | None:
        """Returns where the row's face is, in whole pixels."""
        if not self._box_columns:
            return None
        texts = [row[column].strip() for column in self._box_columns]
        try:
            left, top, right, bottom = box = tuple(round(float(text)) for text in texts)
            if left >= right or top >= bottom:
                raise ValueError
        except (ValueError, OverflowError):
            raise ValueError(
                f"expected left, top, right and bottom of a face in pixels in "
                f"{', '.join(self._box_columns)}. Received: {', '.join(map(shown, texts))}"
            ) from None
        return box

    def clean_up(self) -> None:
        """Removes the archive that pictures passed through."""
        if self._archive:
            self._archive.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        """The table, or the tables as errors name them."""
        return Path(" or ".join(str(table.path) for table in self._tables))

    def _all_tables(self) -> list[Table | NameTable]:
        return [*self._tables, *([self._split_table] if self._split_table else [])]

    def _open_tables(self, labels, file_name: Sequence[str]) -> list[Table | NameTable]:
        if bool(labels) == bool(file_name):
            raise ConfigError(
                "labels: expected a table, or classes with file_name, which reads pictures' names. "
                f"Received: {'both' if labels else 'neither'}"
            )
        if file_name:
            return [NameTable(self.pictures, file_name)]
        paths = [labels] if isinstance(labels, str | os.PathLike) else labels
        return [Table(Path(path)) for path in paths]

    def _rows(
        self, problems: Problems | None = None
    ) -> Iterator[tuple[Table | NameTable, int, dict[str, str]]]:
        for table in self._tables:
            yield from ((table, line, row) for line, row in table.rows(problems))

    def _read_as(
        self, columns: Sequence[str], label_values: str | None, label_cut: float | None
    ) -> tuple[str, Reading | None]:
        """Returns how the table writes labels, in words and as what reads them."""
        if label_values and label_cut is not None:
            raise ConfigError("label_values and label_cut: expected one of them. Received: both")
        if label_cut is not None:
            if not 0 < label_cut <= 1:
                raise ConfigError(f"label_cut: expected above 0, at most 1. Received: {label_cut}")
            return f"shares, yes from {label_cut:g}", Cut(label_cut, 0, 1)
        if not columns:
            return label_values or "classes", None
        if not label_values:
            counts = {column: collections.Counter() for column in columns}
            for _, _, row in self._rows():
                for column in columns:
                    counts[column][shown(standard_value(row[column]))] += 1
            for counter in counts.values():
                del counter[""]
            label_values = detect_label_values(self._file, counts)
        return label_values, parse_label_values(label_values)

    def _name_attributes(
        self, entries: Sequence[tuple[str, tuple[str, Reading]]]
    ) -> dict[str, tuple[str, Reading]]:
        """Returns attribute to column and reading, CelebA's under its names and in its order."""
        written: dict[str, str] = {}
        readings = {}
        for text, reading in entries:
            name = celeba_name(text) or text
            if name in written:
                raise DataError(
                    f"{self._file}: expected a column for each attribute, each once. Received: "
                    f"{written[name]!r} and {text!r}, both {name}"
                )
            written[name], readings[name] = text, reading
        if not readings:
            raise DataError(
                f"{self._file}: expected a column for each attribute. Received: none beside "
                f"{', '.join(self._tables[0].columns)}. {'; '.join(self.notes)}"
            )
        taken = [f"{text!r} is {name}" for name, text in written.items() if name != text]
        if taken:
            self.notes.append(f"taken as CelebA's attributes: {', '.join(taken)}")
        if set(readings) <= set(ATTRIBUTES):
            return {name: readings[name] for name in ATTRIBUTES if name in readings}
        return readings

    def _splits_by_name(self) -> dict[Path, str]:
        """Returns table to its split where the names of several tables say that."""
        found = {}
        for table in self._tables:
            words = re.findall("[a-z]+", table.path.stem.lower())
            splits = {SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD}
            if len(splits) != 1:
                return {}
            (found[table.path],) = splits
        if len(set(found.values())) < 2:
            return {}
        said = ", ".join(f"{path.name} is {split}" for path, split in found.items())
        self.notes.append(f"splits are those of the tables' names: {said}")
        return found

    def _copy_pictures(self) -> None:
        """Copies the pictures inside the tables to the archive."""
        if not self._archive:
            raise ConfigError("archive: expected where pictures inside a table may be copied to")
        try:
            with (
                whole_file(self._archive) as aside,
                zipfile.ZipFile(aside, "w") as archive,  # pictures are compressed already
            ):
                for table in self._tables:
                    for name, encoded in table.pictures():
                        if encoded:
                            archive.writestr(name, encoded)
        except OSError as error:
            raise DataError(
                f"{self._file} to {self._archive}: the pictures cannot be copied: {error}"
            ) from error
        self.pictures = PictureFiles(self._archive, nested=True)

    def _split(
        self,
        table: Table | NameTable,
        name: str,
        row: Mapping[str, str],
        group: str,
        split_of_name: Mapping[str, str],
    ) -> str:
        if self._split_table:
            if name not in split_of_name:
                raise ValueError(f"expected a row for it in {self._split_table.path}, found none")
            return split_of_name[name]
        if self._split_column:
            return checked_split(row[self._split_column])
        if self._split_of_table:
            return self._split_of_table[table.path]
        number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
        bounds = np.cumsum(self._shares)
        return SPLITS[min(int(np.searchsorted(bounds, number, side="right")), len(SPLITS) - 1)]

    def _read_split_file(self, keys: PictureKeys, problems: Problems) -> dict[str, str]:
        """Returns picture to split."""
        splits: dict[str, str] = {}
        if self._split_table is None:
            return splits
        if len(self._split_table.columns) != 2:
            raise DataError(
                f"{self._split_table.path}: expected two columns, picture and split. "
                f"Received: {', '.join(self._split_table.columns)}"
            )
        key_column, split_column = self._split_table.columns
        for line, row in self._split_table.rows(problems):
            try:
                split = checked_split(row[split_column])
            except ValueError as error:
                problems.report("malformed row", f"{self._split_table.path} line {line}: {error}")
                continue
            splits.update(dict.fromkeys(keys.find(row[key_column].strip()), split))
        return splits


@dataclasses.dataclass
class _Rows:
    """The rows of a split as they are read."""

    keys: list[str] = dataclasses.field(default_factory=list)
    lines: list[int] = dataclasses.field(default_factory=list)
    labels: bytearray = dataclasses.field(default_factory=bytearray)

    def add(self, key: str, line: int, labels: Sequence[int]) -> None:
        self.keys.append(key)
        self.lines.append(line)
        self.labels += bytes(labels)

    def to_split(self, file: Path) -> SourceSplit:
        values = np.frombuffer(bytes(self.labels), np.uint8).reshape(len(self.keys), -1)
        return SourceSplit(
            names=self.keys,
            file=file,
            lines=np.array(self.lines, np.int32),
            labels=(values == 1).astype(np.uint8),
            label_mask=values < 2,
        )


def _read_groups(path: Path, attributes: Sequence[str]) -> AttributeGroups:
    content = read_json(path, "a JSON file of attribute groups")
    try:
        return AttributeGroups.from_dict(content, attributes)
    except ConfigError as error:
        raise DataError(f"{path}: expected a JSON file of attribute groups. {error}") from error


def checked_split(text: str) -> str:
    """Returns the split that a key of SPLIT_OF_WORD means; ValueError where it is none."""
    split = SPLIT_OF_WORD.get(standard_value(text))
    if split is None:
        raise ValueError(f"expected the split {', '.join(SPLITS)}. Received: {shown(text)!r}")
    return split


def _check_shares(shares: Sequence[float]) -> None:
    if (
        len(shares) != len(SPLITS)
        or not all(0 <= share <= 1 for share in shares)
        or not math.isclose(sum(shares), 1, abs_tol=1e-6)
    ):
        raise ConfigError(
            f"split_shares: expected three shares for {', '.join(SPLITS)} that sum to 1. "
            f"Received: {json.dumps(list(shares))}"
        )
