"""Pictures in files: bounded decoding, and the pictures of a folder or a zip archive by name."""

import io
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfac.errors import DataError

# Formats that Pillow decodes itself, without starting another program.
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Formats that a record may hold: what TensorFlow decodes inside the graph too.
RECORD_FORMATS = ("JPEG", "PNG")

# The largest picture that is decoded, in pixels: 200 MB once decoded. Below Pillow's own bound.
MAX_PIXELS = 2**26
MAX_FILE_BYTES = 256 * 2**20

Image.init()  # Pillow loads most of its formats on demand, but not where they are named

# Formats that `PictureFiles` gives as PNG, which holds the same pixels.
_CONVERTED_FORMATS = ("WEBP", "AVIF")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif")
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    EOFError,
    NotImplementedError,
    zlib.error,
)


def open_picture(
    source: bytes | str | os.PathLike,
    what: str = "",
    *,
    formats: Collection[str] = PHOTO_FORMATS,
    upright: bool = True,
) -> np.ndarray:
    """Decodes one picture of any mode; transparency is dropped, of an animation the first frame.

    Args:
        source: the encoded picture, or the path of its file.
        what: what to call the picture in an error; by default its path.
        formats: Pillow's names of the formats accepted.
        upright: turn the picture as its EXIF orientation says. False leaves it as stored, which is
            what TensorFlow decodes.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        DataError: the file cannot be read, is no picture of these formats, is truncated or
            otherwise broken, or has more than `MAX_PIXELS` pixels.
    """
    what = what or ("a picture" if isinstance(source, bytes) else os.fspath(source))
    try:
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=list(formats)
        ) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{what}: expected at most {MAX_PIXELS} pixels. Received: {width}x{height}"
                )
            picture.load()
            if upright:
                picture = ImageOps.exif_transpose(picture)
            return np.array(_to_rgb(picture))
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{what}: expected a picture ({', '.join(formats)}), found none") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{what}: expected at most {MAX_PIXELS} pixels: {error}") from error
    except _DECODING_ERRORS as error:
        raise DataError(f"{what}: the picture cannot be decoded: {error}") from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):  # Pillow would clip it rather than scale it
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGB")


class PictureFiles:
    """The pictures of a folder or a zip archive, by name.

    May be sent to worker processes; each opens the archive for itself.

    Args:
        path: a folder or a zip archive.
        nested: names are paths below it, with forward slashes. False looks into no folder of a
            folder, and leaves the folders of an archive out of the names.

    Raises:
        DataError: `path` is neither.
    """

    def __init__(self, path: str | os.PathLike, *, nested: bool = False):
        self.path, self.nested = Path(path), nested
        if not self.path.is_dir() and not zipfile.is_zipfile(self.path):
            raise DataError(f"expected a folder of pictures or a zip archive. Received: {path}")

    def __getstate__(self) -> dict:
        """Leaves the open archive out."""
        return {"path": self.path, "nested": self.nested}

    @property
    def names(self) -> Collection[str]:
        """The names of the pictures (.jpg, .jpeg, .png, .webp, .avif)."""
        return self._entries.keys()

    def has_file(self, name: str) -> bool:
        """Returns whether there is a file of that name, be it a picture or none."""
        return name in self._archived_files if self._archive else (self.path / name).is_file()

    def describe(self, name: str) -> str:
        """Returns how an error should name the picture `name`."""
        return f"{self.path}: {name}" if self._archive else str(self.path / name)

    def read(self, name: str) -> bytes:
        """Returns the encoded picture `name`, byte for byte, upright, as a record holds it.

        WebP, AVIF, and pictures that their EXIF orientation turns, come as PNG, pixel for pixel.

        Raises:
            DataError: it is missing, a link that leads out of the folder, larger than
                MAX_FILE_BYTES, or broken inside the archive; WebP or AVIF that cannot be decoded.
        """
        encoded = self._read_file(name)
        if encoded[8:12] == b"WEBP" or encoded[4:12] in (b"ftypavif", b"ftypavis"):
            return _to_png(encoded, self.describe(name), _CONVERTED_FORMATS)
        return _to_png(encoded, self.describe(name)) if _is_turned(encoded) else encoded

    def _read_file(self, name: str) -> bytes:
        try:
            size = self._entries[name]
            if isinstance(size, zipfile.ZipInfo):
                size = size.file_size
            if size > MAX_FILE_BYTES:
                raise DataError(
                    f"{self.describe(name)}: expected at most {MAX_FILE_BYTES} bytes. "
                    f"Received: {size}"
                )
            if self._archive:
                return self._archive.read(self._entries[name])
            path = self.path / name
            # Folders below are no links, or nothing of them would be among the entries.
            if path.is_symlink() and not path.resolve().is_relative_to(self._resolved_path):
                raise DataError(
                    f"{self.describe(name)}: expected a picture in {self.path}. Received: a link "
                    f"to {path.resolve()}"
                )
            return path.read_bytes()
        except KeyError as error:
            raise DataError(f"{self.describe(name)}: no such picture") from error
        except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self.describe(name)}: the file cannot be read: {error}") from error

    def fingerprint(self) -> str:
        """Returns a text that changes when pictures are added, removed or replaced."""
        if self._archive:
            status = self.path.stat()
            return f"{status.st_size} {status.st_mtime_ns}"
        return " ".join(
            f"{name}:{size}:{(self.path / name).stat().st_mtime_ns}"
            for name, size in sorted(self._entries.items())
        )

    @cached_property
    def _resolved_path(self) -> Path:
        return self.path.resolve()

    @cached_property
    def _archive(self) -> zipfile.ZipFile | None:
        return None if self.path.is_dir() else zipfile.ZipFile(self.path)

    @cached_property
    def _archived_files(self) -> set[str]:
        names = self._archive.namelist()
        return set(names if self.nested else (name.rsplit("/", 1)[-1] for name in names))

    @cached_property
    def _entries(self) -> dict[str, int | zipfile.ZipInfo]:
        """File name to its size or its place in the archive."""
        if self._archive is None:
            return dict(self._files_below(self.path, ""))
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            base = entry.filename.rsplit("/", 1)[-1]
            name = entry.filename if self.nested else base
            if not _is_picture(base):
                continue
            if name in entries:
                raise DataError(
                    f"{self.path}: expected each picture once. Received twice: "
                    f"{entries[name].filename}, {entry.filename}"
                )
            entries[name] = entry
        return entries

    def _files_below(self, folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_picture(entry.name):
                    yield prefix + entry.name, entry.stat().st_size
                elif self.nested and entry.is_dir(follow_symlinks=False):
                    yield from self._files_below(Path(entry.path), f"{prefix}{entry.name}/")


def _is_turned(encoded: bytes) -> bool:
    if not any(mark in encoded[: 2**16] for mark in (b"Exif\0\0", b"eXIf")):
        return False
    try:
        with Image.open(io.BytesIO(encoded), formats=RECORD_FORMATS) as picture:
            return picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except _DECODING_ERRORS:
        return False  # whoever decodes it says what is wrong


def _to_png(encoded: bytes, what: str, formats: Collection[str] = RECORD_FORMATS) -> bytes:
    picture = open_picture(encoded, what, formats=formats)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")
