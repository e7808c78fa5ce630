import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfac.photos.pictures import MAX_PIXELS
from tfac.photos.preprocessing import decode_picture, resize_picture

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)


def encoded(picture: np.ndarray, picture_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, picture_format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def decode_both_ways(data: bytes) -> np.ndarray:
    eager = decode_picture(tf.constant(data)).numpy()
    traced = tf.function(decode_picture)(tf.constant(data)).numpy()
    np.testing.assert_array_equal(eager, traced)
    return eager


def test_png_decodes_to_its_pixels():
    np.testing.assert_array_equal(decode_both_ways(encoded(PICTURE, "PNG")), PICTURE)


def test_jpeg_decodes_as_pillow_decodes_it():
    smooth = np.array(Image.fromarray(PICTURE).resize((64, 48), Image.BILINEAR))
    data = encoded(smooth, "JPEG", quality=90)
    expected = np.array(Image.open(io.BytesIO(data)))
    np.testing.assert_allclose(decode_both_ways(data).astype(int), expected, atol=1)


def test_grey_becomes_rgb_and_alpha_is_dropped():
    grey = decode_both_ways(encoded(PICTURE[..., 0], "PNG"))
    np.testing.assert_array_equal(grey, np.repeat(PICTURE[..., :1], 3, axis=-1))
    opaque = np.dstack([PICTURE, np.full((13, 17), 255, np.uint8)])
    np.testing.assert_array_equal(decode_both_ways(encoded(opaque, "PNG")), PICTURE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        b"\x89PNG\r\n\x1a\n",
        b"not a picture",
        encoded(PICTURE, "GIF"),
        encoded(PICTURE, "BMP"),
        encoded(PICTURE, "JPEG")[:-40],
        encoded(PICTURE, "PNG")[:60],
        png_header(2**31 - 1, 2**31 - 1),
        png_header(0, 5),
        png_header(MAX_PIXELS // 2 + 1, 2),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_jpeg_or_png_or_is_broken_or_huge_is_refused(data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_picture(tf.constant(data)).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(decode_picture)(tf.constant(data)).numpy()


def test_size_is_refused_before_memory_is_set_aside():
    with pytest.raises(tf.errors.InvalidArgumentError, match="of 1 to 67108864 pixels"):
        decode_picture(tf.constant(png_header(2**20, 2**20)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="sides of at most 65535"):
        decode_picture(tf.constant(png_header(2**16, 1)))


def test_resizing_to_the_same_size_changes_nothing():
    np.testing.assert_array_equal(resize_picture(tf.constant(PICTURE), (13, 17)), PICTURE)


def test_resizing_squeezes_the_whole_picture():
    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:, 30:] = 200
    small = resize_picture(tf.constant(halves), (8, 6)).numpy()
    assert small.shape == (8, 6, 3) and small.dtype == np.uint8
    np.testing.assert_array_equal(small[:, :2], 0)
    np.testing.assert_array_equal(small[:, -2:], 200)


def area_mean(line, start, stop):
    """Mean of the pixels of `line` between two places, in part where they are in part."""
    total = 0.0
    for i, value in enumerate(line):
        total += value * max(0.0, min(i + 1, stop) - max(i, start))
    return total / (stop - start)


def between(line, place):
    """Value of `line` at a place, pixel centres counted from 0; the ends go on."""
    place = min(max(place, 0), len(line) - 1)
    low = int(place)
    high = min(low + 1, len(line) - 1)
    return line[low] + (line[high] - line[low]) * (place - low)


def resized_by_loops(line, count):
    scale = len(line) / count
    if count <= len(line):
        return [area_mean(line, i * scale, (i + 1) * scale) for i in range(count)]
    return [between(line, (i + 0.5) * scale - 0.5) for i in range(count)]


@pytest.mark.parametrize("size", [(13, 9), (7, 17), (5, 4), (1, 1), (14, 17), (13, 30), (40, 41)])
def test_resizing_equals_plain_loops(size):
    picture = PICTURE.astype(float)
    rows = [[resized_by_loops(picture[:, x, c], size[0]) for x in range(17)] for c in range(3)]
    rows = np.transpose(rows, (2, 1, 0))  # [height, 17, 3]
    expected = [[resized_by_loops(row[:, c], size[1]) for c in range(3)] for row in rows]
    resized = resize_picture(tf.constant(PICTURE), size).numpy()
    np.testing.assert_allclose(resized, np.transpose(expected, (0, 2, 1)), atol=0.51)


@pytest.mark.parametrize("turned", [False, True], ids=["flat", "tall"])
def test_thin_picture_is_shrunk_first(turned):
    # An op that grew the short side first would hold 1024 x 4000 floats.
    picture = np.random.default_rng(0).integers(0, 256, (2, 4000, 3), np.uint8)
    whole = tf.image.resize(picture, (1024, 3), antialias=True).numpy()
    size = (3, 1024) if turned else (1024, 3)
    resize = tf.function(lambda one: resize_picture(one, size))
    resized = resize(picture.swapaxes(0, 1) if turned else picture).numpy()
    np.testing.assert_allclose(resized.swapaxes(0, 1) if turned else resized, whole, atol=0.51)


def test_larger_one_way_and_smaller_the_other_is_antialiased():
    # Scale 2 widens the triangle to 4 pixels: weights 1, 3, 3, 1 over their sum, cut at the border.
    row = np.array([0, 80, 160, 240, 40, 200], np.uint8)
    picture = np.repeat(np.repeat(row[np.newaxis, :, np.newaxis], 2, axis=0), 3, axis=2)
    expected = [(3 * 0 + 3 * 80 + 160) / 7, (80 + 3 * 160 + 3 * 240 + 40) / 8]
    changed = resize_picture(tf.constant(picture), (4, 3)).numpy()
    np.testing.assert_array_equal(changed[0, :2, 0], np.round(expected))
