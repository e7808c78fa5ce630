"""Colour profiles that tests embed."""

import struct


def display_p3() -> bytes:
    """An ICC profile of Display P3: its primaries, adapted to D50, and sRGB's curve."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    def xyz(*numbers: float) -> bytes:
        return b"XYZ " + bytes(4) + fixed(*numbers)

    curve = struct.pack(">4s4xH2x", b"para", 3)
    curve += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {
        b"wtpt": xyz(0.96420, 1, 0.82491),
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        **{name: curve for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content
    header = struct.pack(">I4xI", start + len(data), 0x04000000) + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.96420, 1, 0.82491)
    return header.ljust(128, b"\0") + table + data
