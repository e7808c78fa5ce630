"""Colour profiles that tests embed."""

import struct


def display_p3() -> bytes:
    """An ICC profile of Display P3: its primaries, adapted to D50, and sRGB's curve."""
    curve = struct.pack(">4s4xH2x", b"para", 3)
    curve += _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {
        b"wtpt": _xyz(0.96420, 1, 0.82491),
        b"rXYZ": _xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": _xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": _xyz(0.15710, 0.06657, 0.78407),
        **{name: curve for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    return _profile(b"mntrRGB XYZ ", tags)


def grey(gamma: float) -> bytes:
    """An ICC profile of grey whose light is the value to the power `gamma`."""
    curve = b"curv" + struct.pack(">4xIH", 1, round(gamma * 256))
    return _profile(b"mntrGRAYXYZ ", {b"wtpt": _xyz(0.96420, 1, 0.82491), b"kTRC": curve})


def inks() -> bytes:
    """An ICC profile of four inks of grey: each makes a quarter of the way to black."""
    corners = [bin(number).count("1") for number in range(16)]  # inks that are full
    table = bytes(value for full in corners for value in (255 - 255 * full // 4, 128, 128))
    straight = bytes(range(256))
    lut = b"mft1" + struct.pack(">4x4B", 4, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += 4 * straight + table + 3 * straight
    return _profile(b"prtrCMYKLab ", {b"wtpt": _xyz(0.96420, 1, 0.82491), b"A2B0": lut})


def _profile(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content
    header = struct.pack(">I4xI", start + len(data), 0x04000000) + kind
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.96420, 1, 0.82491)
    return header.ljust(128, b"\0") + table + data


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def _xyz(*numbers: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*numbers)
