"""Neck, ears, skin and what age and build leave on it."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Canvas, curve, ellipse, lerp, mirrored
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.sampling import Face


def draw_neck(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws the neck and the skin of the shoulders, below the clothes."""
    half = 0.60 if "Male" in face.shown else 0.46
    half += 0.12 * ("Chubby" in face.shown)
    side = curve((half, 0.6), (half, 1.35), (half + 0.15, 1.62), (1.5, 1.85))
    canvas.fill(
        colours.skin, np.concatenate([side, [(1.5, 2.6), (-1.5, 2.6)], mirrored(side)[::-1]])
    )
    under = geometry.jaw[6:27] * (0.92, 1.0) + (0, 0.10)
    canvas.tint(colours.shadow, 0.75, 0.05, under)


def draw_head(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws ears, the face's skin, build, cheeks and the marks of age."""
    _draw_ears(canvas, face, geometry, colours)
    if "Double_Chin" in face.shown:
        _draw_double_chin(canvas, geometry, colours)
    canvas.fill(colours.skin, geometry.outline)
    canvas.line(colours.shadow, 0.02, geometry.jaw[4:29])
    if "Chubby" in face.shown:
        _draw_jowls(canvas, geometry, colours)
    if "Young" not in face.shown:
        _draw_age(canvas, geometry, colours)
    _draw_cheeks(canvas, face, geometry, colours)


def _draw_ears(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    size = lerp(0.9, 1.1, face.look.ear_size)
    ear = ellipse(geometry.width + 0.02, 0.06, 0.13 * size, 0.25 * size)
    inner = ellipse(geometry.width + 0.05, 0.04, 0.06 * size, 0.15 * size)
    canvas.fill(colours.skin, ear, mirrored(ear))
    canvas.fill(colours.shadow, inner, mirrored(inner))


def _draw_double_chin(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    below = geometry.jaw[5:28] * (0.90, 1.0) + (0, 0.24)
    canvas.fill(colours.skin, below)
    canvas.line(colours.crease, 0.05, below)
    canvas.tint(colours.crease, 0.6, 0.03, geometry.jaw[6:27] * (0.96, 1.0) + (0, 0.06))


def _draw_jowls(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    """Full cheeks: a bright bulge each side and a fold beside the mouth."""
    cheek = ellipse(geometry.width * 0.68, 0.55, 0.26, 0.30)
    canvas.tint(colours.highlight, 0.55, 0.08, cheek, mirrored(cheek))
    fold = curve((0.40, 0.62), (0.50, 0.82), (0.44, 1.02))
    canvas.line(colours.shadow, 0.035, fold, mirrored(fold))


def _draw_age(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    """Lines on the forehead, crow's feet and folds from nose to mouth."""
    lines = [
        curve((-0.45, y + 0.02), (-0.2, y - 0.02), (0.2, y - 0.01), (0.45, y + 0.03))
        for y in (-0.62, -0.73, -0.84)
    ]
    frown = np.array([(-0.06, -0.40), (-0.05, -0.27)])
    fold = curve((geometry.nose_half + 0.04, 0.34), (0.38, 0.52), (0.45, 0.72))
    corner = geometry.eye_x + geometry.eye_half_width + 0.04
    feet = [
        np.array([(corner, -0.12 + dy * 0.4), (corner + 0.15, -0.12 + dy)])
        for dy in (-0.08, 0.01, 0.10)
    ]
    sides = [frown, fold, *feet]
    canvas.line(colours.crease, 0.025, *(lines + sides + [mirrored(side) for side in sides]))


def _draw_cheeks(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    shown = face.shown
    if "High_Cheekbones" in shown:
        width = geometry.width
        hollow = curve((width * 0.93, 0.20), (width * 0.66, 0.40), (0.42, 0.62), (0.58, 0.66))
        hollow = np.concatenate([hollow, curve((0.60, 0.66), (width * 0.9, 0.5))])
        canvas.tint(colours.crease, 0.62, 0.04, hollow, mirrored(hollow))
        bone = ellipse(width * 0.62, 0.14, 0.20, 0.09)
        canvas.tint(colours.highlight, 0.9, 0.05, bone, mirrored(bone))
    if "Rosy_Cheeks" in shown:
        apple = ellipse(geometry.width * 0.60, 0.36, 0.24, 0.20)
        canvas.tint((236, 50, 70), 0.62, 0.08, apple, mirrored(apple))
