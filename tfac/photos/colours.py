"""From the colours that a file holds to sRGB of 8 bits: deep greys and colour profiles."""

import functools
import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

# What the values of a deep picture may reach, where its file does not say: all of so many bits.
# Floating-point numbers are in [0, 1], or as large as those of 8 or 16 bits.
_REACHED_BY_INTEGERS = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
_REACHED_BY_FLOATS = (1.0, 255.0, 65535.0)
_OVERSHOOT = 1.05  # by resampling and noise

_SAME_COLOURS = 4  # levels by which a profile of sRGB may differ from another


def to_srgb(picture: Image.Image, encoded: bytes) -> Image.Image:
    """Returns a picture of any mode in sRGB, "RGB"; transparency is dropped.

    Grey of more than 8 bits is scaled by the range that a TIFF states. Where it states none, and in
    16-bit colour, black is 0 and white is what the values reach: the least of 8, 10, 12, 14 and 16
    bits that holds them; of floating-point numbers 1, 255 or 65535, if they reach an eighth of it;
    else the largest value. Where values are clearly below 0, they are scaled from least to largest.

    A colour profile other than sRGB's, such as Display P3, is converted to sRGB, that of grey or of
    four inks where the picture is such. Four inks without a profile are taken as what they leave.

    Args:
        picture: a picture that was opened, which is loaded, or one in memory.
        encoded: its file, for 16-bit colour; empty where it is not at hand.

    Raises:
        What Pillow raises where a picture cannot be decoded.
    """
    # Of 16-bit colour Pillow keeps the upper byte alone. It turns a TIFF itself.
    is_turned = getattr(picture, "tag_v2", {}).get(ExifTags.Base.Orientation, 1) != 1
    tiles = [] if is_turned or not encoded else picture.tile
    is_deep = any(";16" in str(tile.args) for tile in tiles)
    picture.load()
    transform = _srgb_transform(picture)
    if picture.mode[0] in "IF":
        picture = Image.fromarray(_grey(picture))
    elif is_deep:
        picture = _deep_colour(encoded) or picture
    if transform is None:
        return picture.convert("RGB")
    return ImageCms.applyTransform(picture.convert(transform.input_mode), transform)


def is_srgb(picture: Image.Image) -> bool:
    """Says whether colours stay as they are: of sRGB's profile, of none and of one not usable."""
    return _srgb_transform(picture) is None


def _srgb_transform(picture: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """Returns what takes a picture to sRGB; None where that changes nothing or cannot be had."""
    transform = _transform_of(picture.info.get("icc_profile") or b"")
    if transform is None:
        return None
    is_inks, is_grey = picture.mode == "CMYK", picture.mode[0] in "LIF" and picture.mode != "LAB"
    # A profile of colours fits grey too, but not the other way round.
    fits = {"RGB": not is_inks, "L": is_grey, "CMYK": is_inks}
    return transform if fits[transform.input_mode] else None


@functools.lru_cache(maxsize=8)
def _transform_of(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = {"GRAY": "L", "CMYK": "CMYK"}.get(opened.profile.xcolor_space.strip(), "RGB")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 6, 3)
    samples = Image.fromarray(colours).convert(mode)
    converted = np.asarray(ImageCms.applyTransform(samples, transform), int)
    changes = np.abs(converted - np.asarray(samples.convert("RGB"))).max()
    return transform if changes > _SAME_COLOURS else None


def _grey(picture: Image.Image) -> np.ndarray:
    values = np.asarray(picture)
    tags: dict[int, Any] = dict(getattr(picture, "tag_v2", {}))
    if values.dtype == np.int32 and tags.get(TiffImagePlugin.SAMPLEFORMAT, (2,))[0] == 1:
        values = values.view(np.uint32)
    low, high = (_first(tags.get(s, tags.get(u))) for s, u in ((340, 280), (341, 281)))
    bits = _first(tags.get(TiffImagePlugin.BITSPERSAMPLE))
    if high is None and bits not in (None, 16, 32):
        high = 2.0**bits - 1
    grey = _levels(values, low, high)
    return 255 - grey if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0 else grey


def _first(value: Any) -> float | None:
    return value[0] if isinstance(value, tuple) else value


def _levels(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Returns values as uint8, `low` black and `high` white where they are stated and true."""
    scaled = values.astype(np.float32)
    finite = scaled[np.isfinite(scaled)] if values.dtype.kind == "f" else scaled
    least, most = (finite.min(), finite.max()) if finite.size else (0, 0)
    if high is None or most > high * _OVERSHOOT:
        low, high = 0.0, _reach(float(most), values.dtype.kind == "f")
        if least < (1 - _OVERSHOOT) * high:
            low, high = float(least), float(most)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (scaled - (low or 0.0)) * (255 / max(high - (low or 0.0), 1e-30))
    return np.nan_to_num(scaled, nan=0).clip(0, 255).round().astype(np.uint8)


def _reach(most: float, is_float: bool) -> float:
    for reach in _REACHED_BY_FLOATS if is_float else _REACHED_BY_INTEGERS:
        if most <= reach * _OVERSHOOT and (not is_float or most > reach / 8):
            return reach
    return most


def _deep_colour(encoded: bytes) -> Image.Image | None:
    """Decodes colour of 16 bits; None where that is not what the file holds."""
    import cv2

    values = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return None
    return Image.fromarray(_levels(np.ascontiguousarray(values[..., 2::-1])))
