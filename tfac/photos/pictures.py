"""Pictures in files: bounded decoding, and the pictures of a folder or a zip archive by name."""

import contextlib
import dataclasses
import functools
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

from tfac.errors import DataError
from tfac.photos.colours import is_srgb, to_srgb

# Formats that Pillow decodes itself, without starting another program; HEIF with pillow-heif.
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "TIFF")
# Formats that a record may hold: what TensorFlow decodes inside the graph too.
RECORD_FORMATS = ("JPEG", "PNG")
# How the names of their files end.
PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".heic", ".heif"),
    *(".hif", ".gif", ".bmp", ".tif", ".tiff"),
)

# The largest picture that is decoded, in pixels: 200 MB once decoded. Below Pillow's own bound.
MAX_PIXELS = 2**26
MAX_SIDE = 2**16 - 1  # pixels of a picture's height or width; that of the JPEG format
# The largest JPEG of which `open_photo` decodes a part: 134 million.
MAX_REDUCED_PIXELS = 2**27
_LEAST_SEARCHED = 0.8  # of the size at which faces are looked for, where a JPEG is decoded for it
MAX_FILE_BYTES = 256 * 2**20

Image.init()  # Pillow loads most of its formats on demand, but not where they are named

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
_VIDEO_STARTS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV", b"OggS", b"0&\xb2u")
_TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for a picture that is broken.
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    EOFError,
    NotImplementedError,
    zlib.error,
)


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedPhoto:
    """A photo as it was decoded.

    Attributes:
        image: uint8 [H, W, 3], RGB, upright.
        scale: sides of the photo in those of `image`: 1, or about 2, 4 or 8 where it was decoded at
            a fraction.
        has_pages: it is the first page of several of a TIFF.
        whole: decodes all that may be decoded of it; None where `image` is that.
    """

    image: np.ndarray
    scale: float = 1.0
    has_pages: bool = False
    whole: "Callable[[], OpenedPhoto] | None" = None


def open_photo(
    source: bytes | str | os.PathLike, what: str = "", search_size: int | None = None
) -> OpenedPhoto:
    """Decodes a photo as `open_picture` does; a very large JPEG at half its size.

    Args:
        source: the encoded photo, or the path of its file.
        what: what to call the photo in an error; by default its path.
        search_size: longer side at which faces will be looked for in it, pixels. A JPEG is then
            decoded at the smallest fraction of its size that has 0.8 of that, which takes a fifth
            of the time or less.

    Raises:
        DataError: as `open_picture`, but a JPEG may have `MAX_REDUCED_PIXELS`.
    """
    return _open(source, what, PHOTO_FORMATS, True, MAX_REDUCED_PIXELS, search_size)


def open_picture(
    source: bytes | str | os.PathLike,
    what: str = "",
    *,
    formats: Collection[str] = PHOTO_FORMATS,
    upright: bool = True,
) -> np.ndarray:
    """Decodes one picture of any mode, in sRGB.

    Transparency is dropped. Of an animation, of several pages and of a JPEG that holds several
    pictures the first is taken. Depths and colour profiles: `tfac.photos.colours.to_srgb`.

    Args:
        source: the encoded picture, or the path of its file.
        what: what to call the picture in an error; by default its path.
        formats: Pillow's names of the formats accepted. HEIF (HEIC) needs the extra ``heic``.
        upright: turn the picture as its EXIF orientation says. False leaves it as stored, which is
            what TensorFlow decodes.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        DataError: the file is missing or cannot be read, is no picture of these formats, is
            truncated or otherwise broken, or has more than `MAX_PIXELS` pixels or a side of more
            than `MAX_SIDE`.
    """
    return _open(source, what, formats, upright, MAX_PIXELS).image


def _open(
    source: bytes | str | os.PathLike,
    what: str,
    formats: Collection[str],
    upright: bool,
    most_pixels: int,
    search_size: int | None = None,
) -> OpenedPhoto:
    what = what or ("a picture" if isinstance(source, bytes) else os.fspath(source))
    encoded = source if isinstance(source, bytes) else _read_bytes(source, what)
    try:
        with _opened(encoded, formats) as picture:
            size = width, height = picture.size
            if max(size) > MAX_SIDE:
                raise DataError(
                    f"{what}: expected sides of at most {MAX_SIDE} pixels. "
                    f"Received: {width}x{height}"
                )
            # Of a JPEG a part can be decoded.
            if width * height > (most_pixels if picture.format == "JPEG" else MAX_PIXELS):
                raise DataError(
                    f"{what}: expected at most {MAX_PIXELS} pixels. Received: {width}x{height}"
                )
            fraction = least = 2 if width * height > MAX_PIXELS else 1
            if search_size is not None and picture.format == "JPEG":
                enough = max(size) / (_LEAST_SEARCHED * search_size)
                fraction = max([least, *(each for each in (2, 4, 8) if each <= enough)])
            if fraction > 1:
                picture.draft(None, (width // fraction, height // fraction))
            has_pages = picture.format == "TIFF" and picture.is_animated
            image = pixels_of(picture, encoded, upright)
            scale = max(size) / max(image.shape[:2])
            whole = functools.partial(open_photo, encoded, what) if fraction > least else None
            return OpenedPhoto(image, scale, has_pages, whole)
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(
            f"{what}: expected a picture ({', '.join(formats)}), found {_instead(encoded)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{what}: expected at most {MAX_PIXELS} pixels: {error}") from error
    except DECODING_ERRORS as error:
        raise DataError(f"{what}: the picture cannot be decoded: {error}") from error


def pixels_of(picture: Image.Image, encoded: bytes = b"", upright: bool = True) -> np.ndarray:
    """Returns the pixels of an image of Pillow's as `open_picture` gives those of a file.

    Args:
        picture: of any mode, opened or made in memory.
        encoded: its file, without which 16-bit colour has the levels that Pillow keeps of it.
        upright: as `open_picture` takes it.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        What Pillow raises where a picture cannot be decoded.
    """
    rgb = to_srgb(picture, encoded)
    turn = _turn_of(picture) if upright else None
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _turn_of(picture: Image.Image) -> Image.Transpose | None:
    """Returns what makes a picture upright by its EXIF; None where it is, or EXIF is broken."""
    with contextlib.suppress(struct.error, *DECODING_ERRORS):
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    return None


def _opened(encoded: bytes, formats: Collection[str]) -> Image.Image:
    file = io.BytesIO(encoded)
    if encoded.startswith(_JPEG) and "JPEG" in formats:
        # Not `Image.open`, which warns of 89 million pixels. It is the first picture of an MPO.
        return JpegImagePlugin.JpegImageFile(file)
    if _is_heif(encoded):
        _register_heif()
    return Image.open(file, formats=[name for name in formats if name in Image.OPEN])


def _read_bytes(path: str | os.PathLike, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise DataError(
                    f"{what}: expected at most {MAX_FILE_BYTES} bytes. Received: {size}"
                )
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError as error:
        if re.match(r"\w{2,}:/", os.fspath(path)):  # `Path` makes one slash of two
            raise DataError(
                f"{what}: expected a file. Received: a URL; nothing is loaded from the network"
            ) from error
        raise DataError(f"{what}: the file is missing") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{what}: the file cannot be read: {reason}") from error


def _is_heif(encoded: bytes) -> bool:
    return encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS


@functools.cache
def _register_heif() -> bool:
    """Lets Pillow read HEIF where pillow-heif is installed, and returns whether it does."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return "HEIF" in Image.OPEN


def _instead(encoded: bytes) -> str:
    """Returns what a file holds that is no picture to be read, and the way out."""
    if _is_heif(encoded) and not _register_heif():
        return "HEIC, which needs pillow-heif: pip install 'tfac[heic]'"
    is_mp4 = encoded[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") and not _is_heif(encoded)
    is_avi = encoded.startswith(b"RIFF") and encoded[8:12] == b"AVI "
    if is_mp4 or is_avi or encoded.startswith(_VIDEO_STARTS):
        return (
            "a video: take pictures out of it, one a second with "
            "ffmpeg -i VIDEO -vf fps=1 frame-%05d.jpg"
        )
    return "none"


def as_record(encoded: bytes, what: str) -> bytes:
    """Returns an encoded picture as a record holds it and the networks' graphs decode it.

    JPEG and PNG stay as they are, byte for byte, if they are upright, in sRGB and of 8 bits. Others
    and other formats that `open_picture` reads come as PNG of what it gives. What is no picture
    stays as it is.

    Args:
        encoded: the file.
        what: what to call it in an error.

    Raises:
        DataError: a picture that has to become a PNG cannot be decoded; the file is a video.
    """
    try:
        if encoded.startswith((_JPEG, _PNG)):
            if not _may_differ(encoded):
                return encoded
            with _opened(encoded, RECORD_FORMATS) as picture:
                if is_srgb(picture) and not _turn_of(picture) and not _is_deep_png(encoded):
                    return encoded
        elif encoded[4:8] != b"ftyp" and encoded[8:12] != b"WEBP":
            _opened(encoded, PHOTO_FORMATS).close()
    except (*DECODING_ERRORS, Image.DecompressionBombError):
        return encoded  # whoever decodes it says what is wrong
    file = io.BytesIO()
    Image.fromarray(open_picture(encoded, what)).save(file, "PNG")
    return file.getvalue()


def read_as_record(source: bytes | str | os.PathLike, what: str = "") -> bytes:
    """Returns the file of a picture, by path or as bytes, as `as_record` gives it.

    Raises:
        DataError: the file is missing or cannot be read; as `as_record`.
    """
    what = what or ("a picture" if isinstance(source, bytes) else os.fspath(source))
    return as_record(source if isinstance(source, bytes) else _read_bytes(source, what), what)


def _may_differ(encoded: bytes) -> bool:
    marks = (b"Exif\0\0", b"eXIf", b"ICC_PROFILE", b"iCCP")
    return _is_deep_png(encoded) or any(mark in encoded[: 2**16] for mark in marks)


def _is_deep_png(encoded: bytes) -> bool:
    return encoded.startswith(_PNG) and encoded[24:25] == b"\x10"


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
        """The names of the pictures, which end in one of `PHOTO_SUFFIXES`."""
        return self._entries.keys()

    def has_file(self, name: str) -> bool:
        """Returns whether there is a file of that name, be it a picture or none."""
        return name in self._archived_files if self._archive else (self.path / name).is_file()

    def describe(self, name: str) -> str:
        """Returns how an error should name the picture `name`."""
        return f"{self.path}: {name}" if self._archive else str(self.path / name)

    def read(self, name: str) -> bytes:
        """Returns the encoded picture `name` as a record holds it: `as_record`.

        Raises:
            DataError: it is missing, a link that leads out of the folder, larger than
                MAX_FILE_BYTES, or broken inside the archive; or as `as_record`.
        """
        return as_record(self._read_file(name), self.describe(name))

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


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PHOTO_SUFFIXES) and not name.startswith(".")
