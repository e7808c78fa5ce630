"""Drawing what was found in a photo: boxes, landmarks and the attributes of each face.

The attributes are listed in a panel beside the photo, so that nothing covers a face or runs off the
edge; numbers and colours tell which list belongs to which face.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#ffd166", "#4cc9f0", "#f78fb3", "#7bed9f", "#ff9f6b", "#b8a9ff", "#f6f7d7", "#5fd4c4")
_PANEL, _TEXT = "#1e1e24", "#f5f5f5"

# Smaller photos are enlarged by a whole number until the longer side is about this, pixels.
_SIDE = 640
_MIN_LINES = 24  # lines of text that the panel of a low photo holds
_MIN_FONT = 16  # pixels


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnFace:
    """What to draw of one face.

    Attributes:
        rectangle: left, top, right and bottom in pixels of the photo.
        landmarks: [K, 2], x and y in pixels of the photo, or None.
        lines: what to write, one line each.
    """

    rectangle: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    lines: Sequence[str]


def draw_faces(picture: np.ndarray, faces: Sequence[DrawnFace]) -> np.ndarray:
    """Returns the photo with its faces marked and a panel on the right that lists what they show.

    Args:
        picture: uint8 [H, W, 3], RGB.
        faces: the faces, in the order of their numbers.

    Returns:
        uint8 [H', W', 3]: the photo, enlarged if small, with the panel; without a face no panel.
    """
    factor = max(1, round(_SIDE / max(picture.shape[:2])))
    photo = Image.fromarray(np.ascontiguousarray(picture))
    photo = photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.BICUBIC)
    size = max(_MIN_FONT, min(photo.size) // 36)
    font = ImageFont.load_default(size)
    for number, face in enumerate(faces, start=1):
        _mark(photo, face, factor, font, str(number) if len(faces) > 1 else "", _colour(number))
    if not faces:
        return np.asarray(photo)
    panel = _panel(photo.height, faces, font)
    while panel.width > photo.width and size > _MIN_FONT:  # many faces: write smaller
        size = max(_MIN_FONT, int(0.85 * size))
        panel = _panel(photo.height, faces, ImageFont.load_default(size))
    canvas = Image.new("RGB", (photo.width + panel.width, panel.height), _PANEL)
    canvas.paste(photo)
    canvas.paste(panel, (photo.width, 0))
    return np.asarray(canvas)


def _colour(number: int) -> str:
    return _COLOURS[(number - 1) % len(_COLOURS)]


def _mark(
    photo: Image.Image,
    face: DrawnFace,
    factor: int,
    font: ImageFont.FreeTypeFont,
    label: str,
    colour: str,
) -> None:
    """Draws one face's box, number and landmarks."""
    draw = ImageDraw.Draw(photo)
    left, top, right, bottom = (side * factor for side in face.rectangle)
    width = max(2, min(photo.size) // 300)
    for outline, extra in (("black", 1), (colour, 0)):  # a dark rim shows on bright photos
        box = (left - extra, top - extra, right + extra, bottom + extra)
        draw.rectangle(box, outline=outline, width=width + 2 * extra)
    if face.landmarks is not None:
        radius = max(1.0, (right - left) / 110)
        for x, y in np.asarray(face.landmarks, float) * factor:
            draw.circle((x, y), radius + 1, fill="black")
            draw.circle((x, y), radius, fill=colour)
    if label:
        text_width, text_height = font.getlength(label), sum(font.getmetrics())
        pad = text_height / 4
        x = float(np.clip(left, 0, max(0, photo.width - text_width - 2 * pad)))
        y = float(np.clip(top - text_height, 0, max(0, photo.height - text_height)))
        draw.rectangle((x, y, x + text_width + 2 * pad, y + text_height), fill=colour)
        draw.text((x + pad, y), label, font=font, fill="black")


def _panel(height: int, faces: Sequence[DrawnFace], font: ImageFont.FreeTypeFont) -> Image.Image:
    """Returns the lists of all faces in as many columns as needed, at least `height` high."""
    line_height = round(1.1 * sum(font.getmetrics()))
    columns = _columns(faces, max(_MIN_LINES, height // line_height - 1))
    gap = line_height
    widths = [max(font.getlength(text) for text, _ in column) + gap for column in columns]
    height = max(height, (max(map(len, columns)) + 1) * line_height)
    panel = Image.new("RGB", (math.ceil(gap + sum(widths)), height), _PANEL)
    draw = ImageDraw.Draw(panel)
    x = gap
    for column, width in zip(columns, widths, strict=True):
        for i, (text, colour) in enumerate(column):
            draw.text((x, (i + 0.5) * line_height), text, font=font, fill=colour)
        x += width
    return panel


def _columns(faces: Sequence[DrawnFace], num_lines: int) -> list[list[tuple[str, str]]]:
    """Returns columns of (text, colour): a face's list stays in one column where it fits."""
    columns: list[list[tuple[str, str]]] = [[]]
    for number, face in enumerate(faces, start=1):
        title = f"Face {number}" if len(faces) > 1 else "Face"
        block = [(title, _colour(number)), *((line, _TEXT) for line in face.lines)]
        if columns[-1] and len(columns[-1]) + 1 + len(block) > num_lines:
            columns.append([])
        if columns[-1]:
            columns[-1].append(("", _TEXT))
        for line in block:
            if len(columns[-1]) == num_lines:
                columns.append([])
            columns[-1].append(line)
    return columns
