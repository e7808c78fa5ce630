"""Nose, lips, teeth and smile lines."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Canvas, curve, ellipse, mirrored, mix, shade
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.sampling import Face

_ALONG = np.linspace(-1, 1, 21)


def draw_nose(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws bridge, wings, nostrils and tip."""
    half, end, tip = geometry.nose_half, geometry.nose_end, geometry.nose_tip[2, 1]
    side = np.array(
        [(0.05, geometry.eye_y), (0.11, geometry.eye_y), (half + 0.02, end - 0.08), (half, end),
         (half * 0.5, end - 0.04)]
    )  # fmt: skip
    canvas.tint(colours.shadow, 0.7, 0.02, side)
    canvas.tint(colours.shadow, 0.35, 0.02, mirrored(side))
    if "Big_Nose" in face.shown:
        ball = ellipse(0, end - 0.08, half * 0.75, 0.15)
        wing = ellipse(half * 0.75, end - 0.07, half * 0.42, 0.11)
        canvas.tint(colours.shadow, 0.8, 0.015, wing, mirrored(wing))
        canvas.tint(colours.highlight, 0.75, 0.03, ball)
    if "Pointy_Nose" in face.shown:
        point = np.array([(-half * 0.8, end - 0.03), (half * 0.8, end - 0.03), (0, tip)])
        canvas.fill(colours.crease, point)
        ridge = np.array([(-0.03, geometry.eye_y), (0.03, geometry.eye_y), (0, tip - 0.03)])
        canvas.tint(colours.highlight, 1.0, 0.0, ridge)
    else:
        canvas.line(colours.crease, 0.03, curve(*geometry.nose_tip[1:4]))
        nostril = ellipse(half * 0.52, end, half * 0.24, 0.03)
        canvas.fill(shade(colours.crease, 0.6), nostril, mirrored(nostril))
    wing = curve((half * 0.85, end - 0.16), (half + 0.03, end - 0.06), (half * 0.8, end + 0.01))
    canvas.line(colours.crease, 0.03, wing, mirrored(wing))


def draw_mouth(canvas: Canvas, face: Face, geometry: Geometry, colours: Palette) -> None:
    """Draws lips, the opening with teeth, and the folds a smile makes."""
    outer_up, inner_up, inner_down, outer_down = geometry.lip_edges(_ALONG)
    lower_lip = np.concatenate([inner_down, outer_down[::-1]])
    canvas.fill(shade(colours.lips, 0.86), np.concatenate([outer_up, inner_up[::-1]]))
    canvas.fill(colours.lips, lower_lip)
    shine = ellipse(0.05, outer_down[10, 1] - geometry.lip_down * 0.55, 0.10, 0.018)
    canvas.tint((255, 235, 230), 0.55, 0.01, shine)
    if "Mouth_Slightly_Open" in face.shown:
        canvas.fill((58, 12, 16), np.concatenate([inner_up, inner_down[::-1]]))
        teeth = inner_up[3:18] + np.outer(1 - _ALONG[3:18] ** 2, (0, geometry.opening * 0.55))
        canvas.fill((246, 242, 232), np.concatenate([inner_up[3:18], teeth[::-1]]))
    else:
        canvas.line(mix(colours.lips, (50, 10, 14), 0.6), 0.03, inner_up)
    if "Smiling" in face.shown:
        x, y = outer_up[-1]
        fold = curve((geometry.nose_half + 0.08, 0.40), (x + 0.06, y - 0.12), (x + 0.09, y + 0.08))
        canvas.line(colours.shadow, 0.035, fold, mirrored(fold))
