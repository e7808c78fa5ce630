"""Eyes, eyebrows, bags, eye make-up and glasses."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Canvas, curve, ellipse, hsv, lerp, mirrored, pick
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.sampling import Face


def draw_eyes(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws bags, make-up, eyes and lids."""
    if "Bags_Under_Eyes" in face.shown:
        _draw_bags(canvas, geometry, colours)
    if "Heavy_Makeup" in face.shown:
        _draw_eye_shadow(canvas, geometry, colours)
    outline = geometry.eye_outline()
    canvas.fill((244, 240, 236), outline, mirrored(outline))
    _draw_irises(canvas, face, geometry, colours)
    _draw_lids(canvas, face, geometry, outline, colours)


def _draw_irises(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws iris and pupil, cut off where the lids cover them."""
    gaze = lerp(-0.04, 0.04, face.view.gaze)
    low, high = geometry.eye_y - geometry.eye_up, geometry.eye_y + geometry.eye_down
    for radius, colour in ((0.095, colours.iris), (0.045, (12, 10, 10))):
        disc = ellipse(0.0, geometry.eye_y - 0.015, radius, radius)
        disc[:, 1] = np.minimum(np.maximum(disc[:, 1], low + 0.008), high - 0.008)
        canvas.fill(colour, disc + (gaze - geometry.eye_x, 0), disc + (gaze + geometry.eye_x, 0))
    glints = np.array([(-geometry.eye_x, low + 0.05), (geometry.eye_x, low + 0.05)])
    if "Narrow_Eyes" not in face.shown:
        canvas.discs((255, 255, 255), 0.022, glints + (gaze + 0.02, 0.0))


def _draw_lids(
    canvas: Canvas, face: Face, geometry: Geometry, outline: np.ndarray, colours: Palette
) -> None:
    upper, lower = outline[:25], outline[24:]
    made_up = "Heavy_Makeup" in face.shown
    lash = (14, 10, 12) if made_up else colours.crease
    width = 0.065 if made_up else 0.035
    canvas.line(lash, width, upper, mirrored(upper))
    if made_up:
        outer = outline[0]
        wing = np.array([outer + (0.04, 0.0), outer + (-0.13, -0.08), outer + (0.08, -0.06)])
        canvas.fill(lash, wing, mirrored(wing))
        canvas.line(lash, 0.03, lower, mirrored(lower))
        _draw_lashes(canvas, upper)
    elif "Narrow_Eyes" not in face.shown:
        fold = upper[3:22] - (0, 0.05)
        canvas.line(colours.shadow, 0.02, fold, mirrored(fold))


def _draw_lashes(canvas: Canvas, upper: np.ndarray) -> None:
    roots = upper[2:18:3]
    spread = np.stack([np.linspace(-0.06, 0.02, len(roots)), np.full(len(roots), -0.07)], axis=1)
    lashes = list(np.stack([roots, roots + spread], axis=1))
    canvas.line((14, 10, 12), 0.02, *(lashes + [mirrored(lash) for lash in lashes]))


def _draw_eye_shadow(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    x, y, half = geometry.eye_x, geometry.eye_y, geometry.eye_half_width
    lid = curve((x - half - 0.02, y), (x, y - 0.26), (x + half + 0.12, y - 0.14), (x + half, y))
    canvas.tint(colours.eye_shadow, 0.8, 0.025, lid, mirrored(lid))


def _draw_bags(canvas: Canvas, geometry: Geometry, colours: Palette) -> None:
    x, y = geometry.eye_x, geometry.eye_y + 0.075
    bag = np.concatenate(
        [
            curve((x - 0.20, y), (x, y + 0.05), (x + 0.20, y)),
            curve((x + 0.18, y + 0.08), (x, y + 0.19), (x - 0.18, y + 0.08)),
        ]
    )
    canvas.tint((92, 58, 96), 0.55, 0.02, bag, mirrored(bag))
    under = curve((x - 0.19, y + 0.08), (x - 0.02, y + 0.19), (x + 0.19, y + 0.09))
    canvas.line(colours.crease, 0.03, under, mirrored(under))


def draw_eyebrows(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws both eyebrows; bushy ones are thick, dark and ragged."""
    bushy = "Bushy_Eyebrows" in face.shown
    middle = curve(*geometry.left_brow)
    thickness = 0.085 if bushy else 0.034
    taper = np.zeros_like(middle)
    taper[:, 1] = thickness * np.linspace(0.45, 1.0, len(middle))
    brow = np.concatenate([middle - taper, (middle + taper)[::-1]])
    canvas.fill(colours.brow, brow, mirrored(brow))
    if bushy:
        roots = middle[1::2]
        hairs = list(np.stack([roots + (0.03, 0.05), roots + (-0.05, -0.14)], axis=1))
        canvas.line(colours.brow, 0.03, *(hairs + [mirrored(hair) for hair in hairs]))


def draw_glasses(canvas: Canvas, face: Face, geometry: Geometry) -> None:
    """Draws frames, faintly tinted lenses, bridge and temples."""
    view = face.view
    frame = pick(((20, 18, 20), (90, 50, 24), (150, 20, 30), (40, 60, 110)), view.glasses_colour)
    x, y = geometry.eye_x + 0.01, geometry.eye_y + 0.02
    if view.glasses_kind < 0.4:
        lens = ellipse(x, y, 0.31, 0.26)
    else:
        lens = np.array([(x - 0.29, y - 0.2), (x + 0.33, y - 0.23), (x + 0.28, y + 0.2),
                         (x - 0.24, y + 0.22)])  # fmt: skip
    tinted = view.glasses_kind > 0.85
    canvas.tint(
        hsv(0.6, 0.3, 0.15 if tinted else 0.9), 0.45 if tinted else 0.15, 0.0, lens, mirrored(lens)
    )
    width = lerp(0.05, 0.08, (view.glasses_kind * 7) % 1)
    canvas.line(frame, width, lens, mirrored(lens), closed=True)
    inner, outer = x - 0.28, x + 0.31
    bridge = curve((-inner, y - 0.06), (0, y - 0.11), (inner, y - 0.06))
    temple = np.array([(outer, y - 0.12), (geometry.width + 0.06, y - 0.06)])
    canvas.line(frame, width, bridge, temple, mirrored(temple))
