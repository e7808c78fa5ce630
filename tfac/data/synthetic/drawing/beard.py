"""Stubble, goatee, moustache and sideburns."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Canvas, curve, mirrored, mix
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.sampling import Face

_STUBBLE = np.random.default_rng(7).random((260, 2))  # where stubble may grow, fixed for all faces


def draw_beard(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws every kind of beard that `face` shows, below the lips' own drawing."""
    if "5_o_Clock_Shadow" in face.shown:
        _draw_stubble(canvas, geometry, colours)
    if "Sideburns" in face.shown:
        _draw_sideburns(canvas, geometry, colours)
    if "Goatee" in face.shown:
        _draw_goatee(canvas, geometry, colours)
    if "Mustache" in face.shown:
        _draw_mustache(canvas, geometry, colours)


def _draw_stubble(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    jaw = geometry.jaw[4:29]
    top = curve(
        (0.72, 0.42), (0.46, 0.56), (0.20, 0.50), (-0.20, 0.50), (-0.46, 0.56), (-0.72, 0.42)
    )
    area = np.concatenate([jaw, top * (geometry.width, 1.0)])
    dark = mix((52, 56, 66), colours.beard, 0.3)
    canvas.tint(dark, 0.42, 0.03, area)
    dots = _STUBBLE * (2, 0.85) + (-1, 0.5)
    inside = (dots[:, 0] / geometry.width) ** 2 + ((dots[:, 1] - 0.1) / (geometry.chin - 0.14)) ** 2
    dots = dots[(inside < 0.9) & (dots[:, 1] > 0.46)]
    ticks = list(np.stack([dots, dots + (0.0, 0.035)], axis=1))
    canvas.line(mix(colours.shadow, (34, 34, 40), 0.75), 0.01, *ticks)


def _draw_sideburns(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    width = geometry.width
    strip = np.array(
        [(width * 1.0, -0.45), (width * 1.0, 0.10), (width * 0.97, 0.50), (width * 0.80, 0.56),
         (width * 0.82, 0.10), (width * 0.84, -0.45)]
    )  # fmt: skip
    canvas.fill(colours.beard, strip, mirrored(strip))


def _draw_goatee(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    lip = geometry.mouth_y + 0.5 * geometry.opening + geometry.lip_down + 0.5 * geometry.mouth_bend
    chin = geometry.chin
    half = np.concatenate(
        [
            curve((0.0, lip + 0.05), (0.12, lip + 0.08), (0.30, lip + 0.02)),
            curve((0.38, lip + 0.14), (0.34, chin - 0.06), (0.16, chin + 0.09), (0.0, chin + 0.12)),
        ]
    )
    goatee = np.concatenate([half, mirrored(half)[::-1]])
    canvas.fill(colours.beard, goatee)
    hairs = [
        np.array([(x, lip + 0.16), (x * 0.8, chin + 0.08)]) for x in (-0.24, -0.12, 0.0, 0.12, 0.24)
    ]
    canvas.line(mix(colours.beard, (255, 255, 255), 0.22), 0.012, *hairs)


def _draw_mustache(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    corner_y = geometry.mouth_y - 0.5 * geometry.mouth_bend
    top = geometry.nose_end + 0.09
    lip = geometry.mouth_y + 0.5 * geometry.mouth_bend - geometry.lip_up - 0.4 * geometry.opening
    lip = max(lip, top + 0.1)
    x = geometry.mouth_half
    half = np.concatenate(
        [
            curve(
                (0.0, top + 0.02), (0.14, top), (x * 0.8, (top + corner_y) / 2), (x + 0.1, corner_y)
            ),
            curve((x + 0.02, corner_y + 0.02), (x * 0.6, lip + 0.02), (0.0, lip)),
        ]
    )
    canvas.fill(colours.beard, np.concatenate([half, mirrored(half)[::-1]]))
