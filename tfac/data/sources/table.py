"""Tables of labels or splits: CSV in its many forms, CelebA's own form, and Parquet."""

import codecs
import csv
import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfac.data.sources.problems import Problems
from tfac.data.sources.source import SPLIT_OF_WORD
from tfac.errors import DataError
from tfac.photos.pictures import PictureFiles

_DELIMITERS = ",;\t"
_BATCH_ROWS = 1024
_BATCH_PICTURES = 64
_PICTURE = re.compile(r"\.(jpe?g|png|webp|avif)$", re.IGNORECASE)
_OTHER_FORMS = (".json", ".jsonl", ".xls", ".xlsx", ".ods", ".pkl", ".npy", ".npz", ".mat", ".xml")
_NO_TEXT = "expected a table in UTF-8, which spreadsheets write as CSV UTF-8"
# What pandas and pyarrow call an index that has no name.
_NO_NAME = re.compile(r"|Unnamed: \d+|__index_level_\d+__")


class Table:
    """A CSV or Parquet file, read row by row; a row is a dict of texts, blank for nothing.

    CSV has commas, semicolons, tabs or, where the first line has none of them, spaces. CelebA's own
    form begins with the number of rows and has names for all columns but the first, which is called
    "picture". Parquet may hold the pictures, as Hugging Face writes it: the column with them is the
    first then, and a picture is called after the file and its row.

    A column without a name is left out, but for a first one that does not number the rows.

    Args:
        path: the file.
        headless: what the columns are called where the first line is a row already; none where it
            has to be their names.

    Attributes:
        columns: the names of the columns.
        has_pictures: whether the first column holds pictures.
        notes: what was left out or taken for something, a sentence each.

    Raises:
        DataError: there is no such file, or it is no table with a name for each column.
    """

    def __init__(self, path: Path, headless: Sequence[str] = ()):
        self.path = path
        self.has_pictures = False
        self.notes: list[str] = []
        if not path.is_file() or path.suffix.lower() in _OTHER_FORMS:
            raise DataError(
                "expected a table (.csv, .tsv, .txt or .parquet), which pandas and spreadsheets "
                f"write. Received: {path}"
            )
        self._is_parquet = path.suffix.lower() == ".parquet"
        self._names = self._parquet_names() if self._is_parquet else self._csv_names(headless)
        unnamed = [i for i, name in enumerate(self._names) if _NO_NAME.fullmatch(name)]
        if unnamed[:1] == [0] and not self._is_parquet and not self._numbers_rows():
            self._names[0] = "picture"
            self.notes.append(f"{path}: the first column, which has no name, is the pictures'")
            unnamed = unnamed[1:]
        if unnamed:
            numbers = ", ".join(str(i + 1) for i in unnamed)
            self.notes.append(f"{path}: without a name and ignored: column {numbers}")
        self._named = [i for i in range(len(self._names)) if i not in unnamed]
        self.columns = tuple(self._names[i] for i in self._named)
        if not self.columns or len(set(self.columns)) < len(self.columns):
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

    def pictures(self) -> Iterator[tuple[str, bytes | None]]:
        """Yields what each row calls its picture, and the encoded picture, None where it has none.

        Raises:
            DataError: the file is damaged.
        """
        column = self.columns[0]
        for line, row in self._parquet_batches([column], _BATCH_PICTURES):
            value = row[column]
            encoded = value.get("bytes") if isinstance(value, dict) else value
            yield self._picture_name(line, value), encoded

    def _csv_names(self, headless: Sequence[str]) -> list[str]:
        try:
            with self._open() as file:
                first, second = file.readline().strip("\r\n"), file.readline()
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: {_NO_TEXT}. {error}") from error
        self._first_row = 2
        self._delimiter = max(_DELIMITERS, key=first.count)
        if first.strip().isdecimal() and second.strip():
            self._first_row, self._delimiter = 3, " "
            return ["picture", *second.split()]
        if not first.count(self._delimiter) and " " in first.strip():
            self._delimiter = " "
        names = [name.strip() for _, values in self._split([first]) for name in values]
        is_row = _PICTURE.search(names[0]) if names else False
        is_row = is_row or any(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names[1:])
        if headless and len(names) == len(headless):
            is_row = is_row or names[-1].lower() in SPLIT_OF_WORD
        if not is_row:
            return names
        if len(headless) != len(names):
            raise DataError(
                f"{self.path} line 1: expected the names of the columns, such as "
                f"picture,Smiling,Male. Received a row: {first[:80]!r}. Put a line with their "
                "names before it"
            )
        self._first_row = 1
        return list(headless)

    def _numbers_rows(self) -> bool:
        try:
            with self._open() as file:
                rows = (values for line, values in self._split(file) if line >= self._first_row)
                return next((row[0] for row in rows if row), "0").strip().isdecimal()
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: {_NO_TEXT}. {error}") from error

    def _csv_rows(self, problems: Problems | None) -> Iterator[tuple[int, dict[str, str]]]:
        fewest = self._named[-1] + 1
        try:
            with self._open() as file:
                for line, values in self._split(file):
                    if line < self._first_row or not any(value.strip() for value in values):
                        continue
                    if len(values) >= fewest and not "".join(values[len(self._names) :]).strip():
                        yield line, {self._names[i]: values[i] for i in self._named}
                    elif problems:
                        problems.report(
                            "malformed row",
                            f"{self.path} line {line}: expected {len(self._names)} values. "
                            f"Received: {len(values)}",
                        )
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: {_NO_TEXT}. {error}") from error

    def _split(self, lines) -> Iterator[tuple[int, list[str]]]:
        """Yields the line on which each row ends, from 1, and its values."""
        lines = (line.replace("\ufeff", "") for line in lines)  # of files put together
        if self._delimiter == " ":
            yield from ((number, line.split()) for number, line in enumerate(lines, 1))
            return
        reader = csv.reader(lines, delimiter=self._delimiter)
        for values in reader:
            yield reader.line_num, values

    def _open(self):
        try:
            with self.path.open("rb") as file:
                utf_16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            return self.path.open(encoding="utf-16" if utf_16 else "utf-8-sig", newline="")
        except OSError as error:
            raise DataError(f"{self.path}: the file cannot be read: {error.strerror}") from error

    def _parquet_names(self) -> list[str]:
        from pyarrow import types

        schema = self._parquet_file().schema_arrow
        binary = [
            f.name for f in schema if types.is_binary(f.type) or types.is_large_binary(f.type)
        ]
        structs = {f.name: f.type for f in schema if types.is_struct(f.type)}
        pictures = [name for name, kind in structs.items() if kind.get_field_index("bytes") >= 0]
        pictures = (pictures + binary)[:1]
        self._picture_column = pictures[0] if pictures else None
        if pictures:
            kind = structs.get(pictures[0])
            self._has_path = kind is not None and kind.get_field_index("path") >= 0
            first = next(self._parquet_batches(pictures, 1), (0, {}))[1].get(pictures[0])
            # Or all that it holds is the path of a file.
            self.has_pictures = not (isinstance(first, dict) and first.get("path")) or bool(
                first.get("bytes")
            )
        others = [f.name for f in schema if types.is_nested(f.type) or f.name in binary]
        others = [name for name in others if name not in pictures]
        self.notes += [f"{self.path}: ignored, as it is no text or number: {n}" for n in others]
        return pictures + [name for name in schema.names if name not in (*pictures, *others)]

    def _parquet_rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        column = self._picture_column
        columns = [name for name in self.columns if name != column]
        if column and self._has_path:
            columns.append(f"{column}.path")
        for line, row in self._parquet_batches(columns, _BATCH_ROWS):
            texts = {name: _text(value) for name, value in row.items() if name != column}
            if self.has_pictures:
                texts[column] = self._picture_name(line, row.get(column))
            elif column:
                texts[column] = (row[column] or {}).get("path") or ""
            yield line, texts

    def _parquet_batches(self, columns: list[str], size: int) -> Iterator[tuple[int, dict]]:
        import pyarrow

        line = 0
        try:
            for batch in self._parquet_file().iter_batches(size, columns=columns):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: the table cannot be read: {error}") from error

    def _picture_name(self, line: int, value: Any) -> str:
        path = value.get("path") if isinstance(value, dict) else None
        suffix = _PICTURE.search(path or "")
        return f"{self.path.stem}/{line:06d}{suffix[0].lower() if suffix else '.jpg'}"

    def _parquet_file(self):
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: expected a Parquet file. {error}") from error


def column_values(
    paths: Sequence[Path],
    columns: Sequence[str] = (),
    *,
    key_column: str | None = None,
    but: Collection[str | None] = (),
) -> dict[str, set[str]]:
    """Returns column to the values that occur in it in one of the tables.

    Args:
        paths: the tables.
        columns: those wanted; by default all but the pictures' and `but`.
        key_column: the pictures' column; by default the first.
        but: columns to leave out.

    Raises:
        DataError: a table cannot be read, or lacks a column.
    """
    values: dict[str, set[str]] = {}
    for table in map(Table, paths):
        others = {key_column or table.columns[0], *but}
        names = columns or [column for column in table.columns if column not in others]
        table.require(names)
        for _, row in table.rows():
            for name in names:
                values.setdefault(name, set()).add(row[name])
    return values


def _text(value: Any) -> str:
    return "" if value is None else str(value)


class NameTable:
    """The parts of pictures' file names, between underscores, as a table; see `Table`.

    Args:
        pictures: the pictures.
        parts: what the first parts say, a column each.
    """

    has_pictures = False
    notes = ()

    def __init__(self, pictures: PictureFiles, parts: Sequence[str]):
        self.path, self._pictures = pictures.path, pictures
        self.columns = ("picture", *parts)

    def require(self, columns: Sequence[str]) -> None:
        """Raises DataError where a column is missing."""
        Table.require(self, columns)

    def rows(self, problems: Problems | None = None) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields number, from 1, and parts by column of each picture, sorted by name."""
        for number, name in enumerate(sorted(self._pictures.names), 1):
            parts = posixpath.splitext(posixpath.basename(name))[0].split("_")
            parts += ["(no such part)"] * len(self.columns)
            yield number, dict(zip(self.columns, (name, *parts), strict=False))
