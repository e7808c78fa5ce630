"""The pictures that users have, in the forms that are predicted, and what is left out of them.

Needs NumPy and Pillow alone.
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from tfac.errors import DataError, PicturesError
from tfac.photos.pictures import DECODING_ERRORS, pixels_of

Given = str | os.PathLike | bytes | BinaryIO | Image.Image | ArrayLike

COLOR_ORDERS = ("rgb", "bgr")
ON_ERROR = ("raise", "skip")

_MAX_NAMED = 5  # of the pictures without an answer
_CHANNELS = (1, 3, 4)

Answer = TypeVar("Answer")


def is_one_picture(pictures: Given | Iterable[Given]) -> bool:
    """Says whether one picture was given, rather than several.

    An array, or what becomes one by `numpy.asarray` (a tensor), is one picture if it is [H, W] or
    [H, W, C] and several if it is [B, H, W, C] or has one axis (of paths or of bytes).
    """
    if isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview | Image.Image):
        return True
    if hasattr(pictures, "read"):
        return True
    # Without a copy: a tensor may be large, or on another device. A tf.Variable has no `ndim`.
    return hasattr(pictures, "__array__") and len(getattr(pictures, "shape", ())) in (0, 2, 3)


def picture_name(picture: Given, position: int) -> str:
    """Returns what an error calls a picture: its path, or its position."""
    return str(picture) if isinstance(picture, str | os.PathLike) else f"picture {position}"


def as_predicted(
    picture: Given, name: str, color_order: str = "rgb"
) -> str | os.PathLike | bytes | np.ndarray:
    """Returns a picture as it is predicted: a path, a file's bytes or uint8 [H, W, 3], RGB.

    Args:
        picture: a path, an encoded file (bytes, or an open file, which is read to its end), an
            image of Pillow's (made upright, sRGB and of 8 bits, as a file is), or an array of whole
            numbers in [0, 255]: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. What `numpy.asarray`
            makes such an array of is one too. An alpha channel is dropped.
        name: what to call it in an error.
        color_order: of an array with colours, "rgb" or "bgr".

    Raises:
        DataError: it is none of these.
    """
    if isinstance(picture, str | os.PathLike | bytes):
        return picture
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, Image.Image):
        return _from_pillow(picture, name)
    if hasattr(picture, "read"):
        return _from_file(picture, name)
    if not hasattr(picture, "__array__"):
        of_opencv = " (what cv2.imread gives for a file that it cannot read)"
        received = f"None{of_opencv}" if picture is None else type(picture).__name__
        raise DataError(
            f"{name}: expected a path, bytes, an open file, an image of Pillow's or an array. "
            f"Received: {received}"
        )
    try:
        array = np.asarray(picture)
    except Exception as error:  # a tensor's own: on another device, or with a gradient
        raise DataError(f"{name}: expected an array. Received: {error}") from error
    if array.ndim == 0 and isinstance(array.item(), str | bytes):  # a tensor with a file in it
        return array.item()
    return _from_array(array, name, color_order)


def check_choices(color_order: str, on_error: str) -> None:
    """Raises `DataError` where an argument that several calls share is none of its values."""
    for name, value, choices in (
        ("color_order", color_order, COLOR_ORDERS),
        ("on_error", on_error, ON_ERROR),
    ):
        if value not in choices:
            raise DataError(f"{name}: expected {' or '.join(choices)}. Received: {value!r}")


def pictures_in(pictures: Given | Iterable[Given]) -> Iterator[Given]:
    """Yields the pictures, be there one or several.

    Raises:
        DataError: `pictures` is neither a picture nor holds any.
    """
    if is_one_picture(pictures):
        return iter([pictures])
    try:
        if isinstance(pictures, Mapping):
            raise TypeError  # its keys would be taken for the pictures
        return iter(pictures)
    except TypeError as error:
        raise DataError(
            "expected a picture, or a list of pictures. "
            f"Received: {type(pictures).__name__ if pictures is not None else None}"
        ) from error


def answers_given(
    answers: list[Answer | None], errors: dict[int, str], one: bool, on_error: str
) -> Any:
    """Returns what a call answers: a list, or its only element where `one` picture was given.

    Args:
        answers: one a picture, None where it has none.
        errors: why, by position.
        one: whether to return the only one.
        on_error: "raise" or "skip".

    Raises:
        PicturesError: there are `errors`, and `on_error` is "raise". It has the other answers.
    """
    if errors:
        message = _summary(errors, len(answers))
        if on_error == "raise":
            raise PicturesError(message, answers, errors)
        warnings.warn(f"{message}. Left out, None in their places", stacklevel=3)
    return answers[0] if one else answers


def _summary(errors: dict[int, str], total: int) -> str:
    texts = list(errors.values())
    if len(texts) == 1:
        return texts[0]
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return f"{len(texts)} of {total} pictures: {'; '.join(texts[:_MAX_NAMED])}{more}"


def _from_pillow(picture: Image.Image, name: str) -> np.ndarray:
    try:
        pixels = pixels_of(picture)
    except DECODING_ERRORS as error:  # Pillow decodes when it is asked to
        raise DataError(f"{name}: the picture cannot be decoded: {error}") from error
    return _with_pixels(pixels, name)


def _from_file(file: BinaryIO, name: str) -> bytes:
    try:
        content = file.read()
    except (OSError, ValueError) as error:  # closed, or of text in no encoding
        raise DataError(f"{name}: cannot be read: {error}") from error
    if not isinstance(content, bytes) or not content:
        received = "nothing: it is at its end" if not content else type(content).__name__
        raise DataError(
            f"{name}: expected a file opened in binary mode, at its beginning. Received: {received}"
        )
    return content


def _from_array(array: np.ndarray, name: str, color_order: str) -> np.ndarray:
    received = f"{array.dtype} {list(array.shape)}"
    expected = f"{name}: expected uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] in [0, 255]. "
    if array.dtype.kind == "f":
        raise DataError(
            f"{expected}Received: {received}. From values in [0, 1] it is made by "
            "(255 * picture).round().astype('uint8'), from [0, 255] by "
            "picture.round().astype('uint8')"
        )
    if array.dtype.kind not in "iu":
        raise DataError(f"{expected}Received: {received}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in _CHANNELS:
        first = array.ndim == 3 and array.shape[0] in _CHANNELS
        hint = ". Put the channels last: numpy.moveaxis(picture, 0, -1)" if first else ""
        raise DataError(f"{expected}Received: {received}{hint}")
    array = _with_pixels(array, name)
    if array.dtype != np.uint8:
        low, high = array.min(), array.max()
        if low < 0 or high > 255:
            raise DataError(f"{expected}Received: {received} in [{low}, {high}]")
        array = array.astype(np.uint8)
    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    array = array[..., :3]
    return array[..., ::-1] if color_order == "bgr" else array


def _with_pixels(array: np.ndarray, name: str) -> np.ndarray:
    if 0 in array.shape:
        raise DataError(f"{name}: expected at least one pixel. Received: {list(array.shape)}")
    return array
