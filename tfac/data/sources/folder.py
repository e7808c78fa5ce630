"""A user's own pictures and a table of their labels, CSV or Parquet.

One row a picture. One column says which picture: its path below the folder (or inside the zip
archive) of the pictures. Perhaps one says which split it belongs to, and one which group of
pictures, such as the person's name, must not be in two splits. All others are attributes, or those
chosen.
"""

import collections
import csv
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfac.attributes import ATTRIBUTES, AttributeGroups
from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLITS, Source, SourceSplit, filled
from tfac.errors import ConfigError, DataError
from tfac.files import read_json
from tfac.photos.pictures import PictureFiles

DEFAULT_SHARES = (0.8, 0.1, 0.1)

# How a label is written: no, yes. Blank is "not annotated" in all of them.
LABEL_VALUES: Mapping[str, tuple[str, str]] = {
    "0/1": ("0", "1"),
    "-1/1": ("-1", "1"),
    "false/true": ("false", "true"),
}

_DELIMITERS = ",;\t"
_BATCH_ROWS = 1024


class FolderSource(Source):
    """Pictures in a folder or a zip archive, with a table of labels.

    Attributes that are all CelebA's are put in CelebA's order; others keep the table's.

    Splits come from a column (`split_column`), from another table (`split_file`: picture, split) or
    from shares; shares are dealt out by a checksum of the group, so a group is never in two splits
    and a picture stays in its split when others are added.

    Args:
        pictures: a folder, read with all folders below it, or a zip archive.
        labels: the table, ``.csv``, ``.tsv``, ``.txt`` (with commas, semicolons or tabs) or
            ``.parquet``.
        name: what the data set is called, a Python name in lower case.
        key_column: the column with the picture's path; by default the first.
        split_column: the column with train, validation or test.
        split_file: a table with picture and split, in place of a column.
        split_shares: shares of train, validation and test, which sum to 1, in place of both; by
            default DEFAULT_SHARES.
        group_column: the column that says which pictures belong together.
        attributes: columns to take as attributes; by default all others.
        groups_file: JSON with ``part_groups`` (part to attribute names) and
            ``subjective_attributes``; by default CelebA's for its attributes, a part "other" for
            the rest.
        label_values: a key of LABEL_VALUES; by default what the values in the table say.

    Raises:
        DataError: a file is missing, is no table, or lacks a column.
        ConfigError: an argument is out of range, or the table's labels can be read in two ways.
    """

    description = "Pictures of a folder with a table of labels."

    def __init__(
        self,
        pictures: str | os.PathLike,
        labels: str | os.PathLike,
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
        self._table = _Table(Path(labels))
        self._key_column = key_column or self._table.columns[0]
        self._split_column, self._group_column = split_column, group_column
        self._split_table = _Table(Path(split_file)) if split_file else None
        special = [c for c in (self._key_column, split_column, group_column) if c]
        self._table.require([*special, *attributes])
        names = list(attributes) or [c for c in self._table.columns if c not in special]
        if not names or len(set(names)) < len(names):
            raise DataError(
                f"{labels}: expected a column for each attribute, each once. "
                f"Received: {', '.join(names) or 'none'}"
            )
        if set(names) <= set(ATTRIBUTES):
            names.sort(key=ATTRIBUTES.index)
        self.attributes = tuple(names)
        if groups_file:
            self.groups = _read_groups(Path(groups_file), self.attributes)
        self.label_values = label_values or self._detect_label_values()
        if self.label_values not in LABEL_VALUES:
            raise ConfigError(
                f"label_values: expected one of {', '.join(LABEL_VALUES)}. Received: {label_values}"
            )
        self.annotation_files = [self._table.path]
        if self._split_table:
            self.annotation_files.append(self._split_table.path)
        by_table = split_column or split_file
        self.settings = {
            "label_values": self.label_values,
            "attributes": list(self.attributes),
            "key_column": self._key_column,
            "split_column": split_column,
            "split_shares": None if by_table else list(self._shares),
            "group_column": group_column,
            "attribute_groups": self.groups and self.groups.to_dict(),
        }

    def read_splits(
        self, problems: Problems, *, with_landmarks: bool = False
    ) -> dict[str, SourceSplit]:
        """Reads the table and checks it against the pictures; see `Source.read_splits`."""
        split_of_key = self._read_split_file(problems)
        rows = {split: _Rows() for split in SPLITS}
        lines: dict[str, int] = {}  # picture to its line
        splits_of_group: dict[str, tuple[str, int]] = {}
        for line, row in self._table.rows(problems):
            key, where = row[self._key_column].strip(), f"{self._table.path} line {line}"
            if key in lines:
                problems.report(
                    "doubled row",
                    f"{where}: expected each picture once. Received: {key} again, first on line "
                    f"{lines[key]}",
                )
                continue
            lines[key] = line
            if key not in self.pictures.names:
                problems.report(
                    "row without a picture", f"{where}: {key} is missing from {self.pictures.path}"
                )
                continue
            try:
                labels = [self._label(name, row[name]) for name in self.attributes]
                split = self._split(key, row, split_of_key)
            except ValueError as error:
                problems.report("malformed row", f"{where}: {error} (row of {key})")
                continue
            group = row[self._group_column].strip() if self._group_column else ""
            first_split, first_line = splits_of_group.setdefault(group, (split, line))
            if group and first_split != split:
                problems.report(
                    "group in two splits",
                    f"{where}: expected {self._group_column} {group!r} in {first_split}, as on "
                    f"line {first_line}. Received: {split}",
                )
                continue
            rows[split].add(key, line, labels)
        for key in sorted(set(self.pictures.names) - lines.keys()):
            problems.report(
                "picture without a row",
                f"{self.pictures.describe(key)}: expected a row in {self._table.path}, found none",
            )
        file = self._table.path
        return filled({name: part.to_split(file) for name, part in rows.items() if part.keys}, file)

    def _label(self, name: str, text: str) -> int:
        """Returns 0, 1, or 2 where the attribute is not annotated."""
        value = _standard_value(text)
        if not value:
            return 2
        try:
            return LABEL_VALUES[self.label_values].index(value)
        except ValueError:
            no, yes = LABEL_VALUES[self.label_values]
            raise ValueError(
                f"expected {no}, {yes} or blank for {name}. Received: {text!r}"
            ) from None

    def _split(self, key: str, row: Mapping[str, str], split_of_key: Mapping[str, str]) -> str:
        if self._split_table:
            if key not in split_of_key:
                raise ValueError(f"expected a row for it in {self._split_table.path}, found none")
            return split_of_key[key]
        if self._split_column:
            return _checked_split(row[self._split_column])
        group = (row[self._group_column].strip() if self._group_column else "") or key
        number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
        bounds = np.cumsum(self._shares)
        return SPLITS[min(int(np.searchsorted(bounds, number, side="right")), len(SPLITS) - 1)]

    def _read_split_file(self, problems: Problems) -> dict[str, str]:
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
                splits[row[key_column].strip()] = _checked_split(row[split_column])
            except ValueError as error:
                problems.report("malformed row", f"{self._split_table.path} line {line}: {error}")
        return splits

    def _detect_label_values(self) -> str:
        """Returns how the table writes labels, from the negative value that occurs."""
        found = collections.Counter()
        for _, row in self._table.rows():
            found.update({_standard_value(row[name]) for name in self.attributes})
        said_by = [name for name, (no, _) in LABEL_VALUES.items() if no in found]
        if len(said_by) == 1:
            return said_by[0]
        seen = ", ".join(repr(value) for value in sorted(found)[:10])
        raise ConfigError(
            f"{self._table.path}: expected labels of one kind ({', '.join(LABEL_VALUES)}), told by "
            f"how it writes no. Received: {seen}. Say which with label_values"
        )


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


class _Table:
    """A CSV or Parquet file, read row by row; a row is a dict of texts, blank for nothing."""

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise DataError(f"expected a table (.csv, .tsv, .txt or .parquet). Received: {path}")
        self._is_parquet = path.suffix.lower() == ".parquet"
        self.columns = self._parquet_columns() if self._is_parquet else self._csv_columns()
        if len(set(self.columns)) < max(1, len(self.columns)) or "" in self.columns:
            raise DataError(
                f"{path}: expected a name for each column, each once. "
                f"Received: {', '.join(map(repr, self.columns))}"
            )

    def require(self, columns: Sequence[str]) -> None:
        """Raises DataError where a column is missing."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise DataError(
                f"{self.path}: expected the columns {', '.join(missing)}. "
                f"Received: {', '.join(self.columns)}"
            )

    def rows(self, problems: Problems | None = None) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields line (row, from 1, of a Parquet file) and values by column.

        Args:
            problems: told of rows with more or fewer values than there are columns, which are left
                out.

        Raises:
            DataError: the file is damaged.
        """
        yield from self._parquet_rows() if self._is_parquet else self._csv_rows(problems)

    def _csv_columns(self) -> tuple[str, ...]:
        try:
            with self._open() as file:
                header = file.readline().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: expected text in UTF-8. {error}") from error
        self._delimiter = max(_DELIMITERS, key=header.count)
        return tuple(name.strip() for name in next(csv.reader([header], delimiter=self._delimiter)))

    def _csv_rows(self, problems: Problems | None) -> Iterator[tuple[int, dict[str, str]]]:
        try:
            with self._open() as file:
                reader = csv.reader(file, delimiter=self._delimiter)
                next(reader)
                for values in reader:
                    if not any(value.strip() for value in values):
                        continue
                    if len(values) == len(self.columns):
                        yield reader.line_num, dict(zip(self.columns, values, strict=True))
                    elif problems:
                        problems.report(
                            "malformed row",
                            f"{self.path} line {reader.line_num}: expected {len(self.columns)} "
                            f"values. Received: {len(values)}",
                        )
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: the table cannot be read: {error}") from error

    def _open(self):
        try:
            return self.path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise DataError(f"{self.path}: the file cannot be read: {error.strerror}") from error

    def _parquet_columns(self) -> tuple[str, ...]:
        return tuple(self._parquet_file().schema_arrow.names)

    def _parquet_rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        import pyarrow

        line = 0
        try:
            for batch in self._parquet_file().iter_batches(_BATCH_ROWS):
                for row in batch.to_pylist():
                    line += 1
                    yield line, {name: _text(value) for name, value in row.items()}
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: the table cannot be read: {error}") from error

    def _parquet_file(self):
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: expected a Parquet file. {error}") from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _standard_value(text: str) -> str:
    """Returns a label without space and in lower case; 1.0 as 1, "nan" (no number) as blank."""
    text = text.strip().lower()
    try:
        number = float(text)
    except ValueError:
        return text
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else text


def _read_groups(path: Path, attributes: Sequence[str]) -> AttributeGroups:
    content = read_json(path, "a JSON file of attribute groups")
    try:
        return AttributeGroups.from_dict(content, attributes)
    except ConfigError as error:
        raise DataError(f"{path}: expected a JSON file of attribute groups. {error}") from error


def _checked_split(text: str) -> str:
    if text.strip() not in SPLITS:
        raise ValueError(f"expected the split {', '.join(SPLITS)}. Received: {text!r}")
    return text.strip()


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
