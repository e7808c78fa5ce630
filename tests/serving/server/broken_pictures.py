"""Pictures as nobody should send them: broken, cut, spliced, oversized or no pictures at all."""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Random = np.random.Generator

# Larger than any of tfac's bounds (`tfac.photos.pictures.MAX_PIXELS`), by width, height.
_TOO_LARGE = ((60_000, 60_000), (65_500, 65_500), (1, 2**31 - 1), (2**26 + 1, 1))


@dataclasses.dataclass(frozen=True)
class BrokenPicture:
    """What is sent.

    Attributes:
        kind: what was done to it.
        encoded: its bytes.
        decodes: False where there is no JPEG or PNG picture in it; None where there may be one.
    """

    kind: str
    encoded: bytes
    decodes: bool | None


def whole_picture(random: Random, kind: str | None = None) -> bytes:
    """Returns a synthetic picture of 8 to 200 pixels a side.

    Args:
        random: what it is drawn from.
        kind: JPEG or PNG, or another of Pillow's formats; by default JPEG or PNG.
    """
    height, width = (int(side) for side in random.integers(8, 200, 2))
    blocks = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    pixels = np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width]
    return _encode(Image.fromarray(pixels), kind or str(random.choice(["JPEG", "PNG"])))


def broken_picture(random: Random) -> BrokenPicture:
    """Returns one of any kind."""
    make = _KINDS[random.integers(len(_KINDS))]
    return make(random)


def _encode(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _flipped(random: Random) -> BrokenPicture:
    encoded = bytearray(whole_picture(random))
    for position in random.integers(0, len(encoded), random.integers(1, 20)):
        encoded[position] ^= 1 << random.integers(8)
    return BrokenPicture("bits flipped", bytes(encoded), None)


def _header_flipped(random: Random) -> BrokenPicture:
    encoded = bytearray(whole_picture(random))
    for position in random.integers(2, 40, random.integers(1, 6)):
        encoded[position] = random.integers(256)
    return BrokenPicture("header changed", bytes(encoded), None)


def _cut(random: Random) -> BrokenPicture:
    encoded = whole_picture(random)
    return BrokenPicture("cut", encoded[: int(len(encoded) * random.uniform(0, 0.7))], False)


def _spliced(random: Random) -> BrokenPicture:
    first, second = whole_picture(random, "JPEG"), whole_picture(random, "PNG")
    if random.integers(2):
        first, second = second, first
    encoded = first[: len(first) // 2] + second[len(second) // 2 :]
    return BrokenPicture("spliced", encoded, None)


def _part_removed(random: Random) -> BrokenPicture:
    encoded = whole_picture(random)
    start = int(random.integers(10, len(encoded) - 10))
    return BrokenPicture("part removed", encoded[:start] + encoded[start + 9 :], None)


def _noise(random: Random) -> BrokenPicture:
    start = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF", b"BM"]
    encoded = start[random.integers(len(start))] + random.bytes(int(random.integers(0, 3000)))
    return BrokenPicture("noise", encoded, False)


def _other_format(random: Random) -> BrokenPicture:
    kind = str(random.choice(["GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO"]))
    encoded = bytearray(whole_picture(random, kind))
    if random.integers(2):
        encoded[random.integers(len(encoded))] ^= 255
    return BrokenPicture(f"{kind} picture", bytes(encoded), False)


def _animation(random: Random) -> BrokenPicture:
    kind = str(random.choice(["GIF", "WEBP"]))
    frames = [Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)) for _ in range(3)]
    encoded = _encode(frames[0], kind, save_all=True, append_images=frames[1:])
    return BrokenPicture("animation", encoded, False)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _png_bomb(random: Random) -> BrokenPicture:
    width, height = _TOO_LARGE[random.integers(len(_TOO_LARGE))]
    return BrokenPicture("PNG bomb", _png(width, height, _ZEROS), False)


def _zlib_bomb(random: Random) -> BrokenPicture:
    # The header is modest, the data are a thousand times as long as it asks for.
    return BrokenPicture("zlib bomb", _png(16, int(random.integers(1, 32)), _ZEROS), None)


def _jpeg_bomb(random: Random) -> BrokenPicture:
    encoded = bytearray(whole_picture(random, "JPEG"))
    frame = encoded.index(b"\xff\xc0")  # marker, length, precision, then height and width
    encoded[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    return BrokenPicture("JPEG bomb", bytes(encoded), False)


def _gif_or_bmp_bomb(random: Random) -> BrokenPicture:
    if random.integers(2):
        encoded = b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x00\x00\x00;"
    else:
        encoded = bytearray(whole_picture(random, "BMP"))
        encoded[18:26] = struct.pack("<ii", 2**30, 2**30)
    return BrokenPicture("GIF or BMP bomb", bytes(encoded), False)


def _text(random: Random) -> BrokenPicture:
    texts = [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"/dev/zero", b"", b"%PDF-1.7", b"\x00"]
    return BrokenPicture("text", texts[random.integers(len(texts))], False)


_ZEROS = zlib.compress(bytes(3_000_000), 9)

_KINDS: tuple[Callable[[Random], BrokenPicture], ...] = (
    _flipped,
    _header_flipped,
    _cut,
    _spliced,
    _part_removed,
    _noise,
    _other_format,
    _animation,
    _png_bomb,
    _zlib_bomb,
    _jpeg_bomb,
    _gif_or_bmp_bomb,
    _text,
)
