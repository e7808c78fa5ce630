"""Clothes, necktie, jewellery and hats."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import (
    Canvas,
    curve,
    ellipse,
    hsv,
    lerp,
    mirrored,
    pick,
    shade,
)
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.sampling import Face, View

_GOLD, _SILVER, _PEARL = (236, 184, 50), (206, 212, 222), (250, 244, 236)


def draw_clothes(canvas: Canvas, face: Face) -> None:
    """Draws shoulders in a shirt with a tie, or in a garment with a round or pointed neck."""
    view = face.view
    colour = hsv(view.clothing_hue, 0.55, lerp(0.25, 0.8, view.clothing_light))
    if "Wearing_Necktie" in face.shown:
        _draw_shirt_and_tie(canvas, view)
        return
    depth = 1.66 if "Male" in face.shown else 1.86
    if view.clothing_kind < 0.5:
        neck = curve((0.60, 1.46), (0.40, depth), (0.0, depth + 0.10))
    else:
        neck = np.array([(0.60, 1.46), (0.0, depth + 0.2)])
    shoulder = curve((0.60, 1.46), (1.1, 1.62), (1.65, 1.85))
    half = np.concatenate([shoulder, [(2.2, 3.6), (0, 3.6)], neck[::-1]])
    canvas.fill(colour, half, mirrored(half))
    canvas.line(shade(colour, 0.6), 0.04, neck, mirrored(neck))


def _draw_shirt_and_tie(canvas: Canvas, view: View) -> None:
    jacket = shade(hsv(0.62, 0.3, 0.3), lerp(0.5, 1.2, view.clothing_light))
    shirt = pick(((246, 246, 248), (206, 220, 240), (240, 232, 214)), view.clothing_kind)
    tie = hsv(view.tie_hue, 0.85, 0.62)
    side = np.array([(0.5, 1.40), (1.1, 1.58), (1.7, 1.85), (2.2, 3.6), (0, 3.6), (0, 1.5)])
    canvas.fill(shirt, side, mirrored(side))
    lapel = np.array([(0.62, 1.45), (1.1, 1.58), (1.7, 1.85), (2.2, 3.6), (0.1, 3.6)])
    canvas.fill(jacket, lapel, mirrored(lapel))
    collar = np.array([(0.52, 1.22), (0.62, 1.45), (0.34, 1.80), (0.04, 1.52)])
    canvas.fill(shirt, collar, mirrored(collar))
    canvas.line(shade(shirt, 0.7), 0.025, collar, mirrored(collar), closed=True)
    knot = np.array([(-0.16, 1.48), (0.16, 1.48), (0.10, 1.70), (-0.10, 1.70)])
    blade = np.array([(-0.10, 1.70), (0.10, 1.70), (0.26, 3.4), (-0.26, 3.4)])
    canvas.fill(tie, blade)
    canvas.fill(shade(tie, 0.75), knot)
    stripes = [np.array([(-0.12, y), (0.14, y + 0.12)]) for y in (1.82, 2.0, 2.18)]
    canvas.line(shade(tie, 1.5), 0.04, *stripes)


def draw_necklace(canvas: Canvas, face: Face) -> None:
    """Draws a chain with a pendant, or pearls, around the neck."""
    chain = curve((-0.58, 1.42), (-0.36, 1.66), (0.0, 1.78), (0.36, 1.66), (0.58, 1.42))
    if face.view.jewellery_kind < 0.4:
        canvas.discs((120, 100, 90), 0.062, chain[::2])
        canvas.discs(_PEARL, 0.05, chain[::2])
        return
    metal = _GOLD if face.view.jewellery_kind < 0.75 else _SILVER
    canvas.line(shade(metal, 0.5), 0.075, chain)
    canvas.line(metal, 0.045, chain)
    canvas.discs(shade(metal, 0.5), 0.09, np.array([(0.0, 1.84)]))
    canvas.discs(metal, 0.065, np.array([(0.0, 1.84)]))


def draw_earrings(canvas: Canvas, face: Face, geometry: Geometry) -> None:
    """Draws studs, drops or hoops below the ears, over the hair."""
    kind = face.view.jewellery_kind
    metal = pick((_PEARL, _GOLD, _GOLD, _SILVER), kind)
    lobe = np.array([(geometry.width + 0.06, 0.34)])
    lobes = np.concatenate([lobe, mirrored(lobe)])
    if kind < 0.5:
        hanging = lobes + (0, 0.18)
        drops = [ellipse(x, y, 0.075, 0.14) for x, y in hanging.tolist()]
        canvas.fill(metal, *drops)
        canvas.line(shade(metal, 0.45), 0.02, *drops, closed=True)
        canvas.discs(metal, 0.05, lobes)
    else:
        hoops = [ellipse(x, y + 0.17, 0.12, 0.17) for x, y in lobes.tolist()]
        canvas.line(shade(metal, 0.4), 0.085, *hoops, closed=True)
        canvas.line(metal, 0.05, *hoops, closed=True)


def draw_hat(canvas: Canvas, face: Face, geometry: Geometry) -> None:
    """Draws a knitted cap, a baseball cap or a hat with a wide brim."""
    view, side = face.view, geometry.width + 0.16
    colour = hsv(view.hat_hue, 0.65, lerp(0.3, 0.85, view.hat_kind * 3 % 1))
    dark = shade(colour, 0.6)
    crown = curve(
        (-side, -0.62),
        (-side, -1.1),
        (-0.62, -1.62),
        (0, -1.74),
        (0.62, -1.62),
        (side, -1.1),
        (side, -0.62),
    )
    kind = int(view.hat_kind * 3)
    if kind == 0:
        canvas.fill(colour, crown)
        band = np.array(
            [
                (-side - 0.04, -0.60),
                (-side - 0.04, -0.90),
                (side + 0.04, -0.90),
                (side + 0.04, -0.60),
            ]
        )
        canvas.fill(dark, band)
        ribs = [np.array([(x, -0.88), (x, -0.63)]) for x in np.linspace(-0.9, 0.9, 9)]
        canvas.line(colour, 0.03, *ribs)
    elif kind == 1:
        canvas.fill(colour, crown)
        canvas.line(dark, 0.03, np.array([(0, -1.7), (0, -0.8)]))
        visor = np.concatenate(
            [
                curve((-side, -0.66), (0, -0.86), (side, -0.66)),
                curve((side + 0.06, -0.58), (0, -0.52), (-side - 0.06, -0.58)),
            ]
        )
        canvas.fill(dark, visor)
    else:
        canvas.fill(colour, crown)
        band = np.array([(-side, -0.72), (-side, -1.0), (side, -1.0), (side, -0.72)])
        canvas.fill(dark, band)
        canvas.fill(colour, ellipse(0, -0.68, 1.7, 0.17))
        canvas.line(dark, 0.03, ellipse(0, -0.68, 1.7, 0.17), closed=True)
