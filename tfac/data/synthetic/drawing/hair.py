"""Hair: length, hairline, bangs, and straight, wavy or sleek strands."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import Canvas, curve, ellipse, lerp, mirrored
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.sampling import Face

_ARC = np.linspace(-np.pi / 2, np.pi / 2, 41)
_LOCK_Y = np.linspace(0, 1, 24)


class Hair:
    """The hair of one face; `draw_back` comes before the head, `draw_front` after it.

    Straight hair has straight strands and a straight outline, wavy hair undulates in both; hair
    that is neither is sleek, with a bun where it is long.
    """

    def __init__(self, face: Face, geometry: Geometry, colours: Palette):
        shown, look = face.shown, face.look
        self._shown, self._geometry, self._colours = shown, geometry, colours
        self._bald = "Bald" in shown
        self._straight, self._wavy = "Straight_Hair" in shown, "Wavy_Hair" in shown
        is_long = look.hair_length > (0.93 if "Male" in shown else 0.12)
        self._long = is_long and not self._bald and (self._straight or self._wavy)
        self._bun = is_long and not self._bald and not self._long
        self._end = lerp(0.95, 1.75, look.hair_length)
        self._volume = lerp(0.10, 0.18, look.hair_volume) + 0.08 * self._wavy
        if "Receding_Hairline" in shown:
            self._volume = 0.06
        self._part = lerp(-0.35, 0.35, look.hair_parting)
        self._bangs_kind = face.view.bangs_kind

    def draw_back(self, canvas: Canvas) -> None:
        """Draws what hangs behind the face."""
        if self._bun and "Wearing_Hat" not in self._shown:
            bun = ellipse(0, self._geometry.skull_top - 0.20, 0.34, 0.26)
            canvas.fill(self._colours.hair, bun)
            canvas.line(self._colours.strand_dark, 0.03, bun, closed=True)
        if self._long:
            outer = self._lock_edge(self._geometry.width + self._volume + 0.05)
            shape = np.concatenate([mirrored(outer), outer[::-1]])
            canvas.fill(self._colours.strand_dark, shape)

    def draw_front(self, canvas: Canvas) -> None:
        """Draws the hair on the skull, bangs, and the locks beside the face."""
        if self._bald:
            self._draw_bald_head(canvas)
            return
        outer, inner = self._cap()
        canvas.fill(self._colours.hair, np.concatenate([outer, inner[::-1]]))
        self._draw_cap_strands(canvas, outer, inner)
        if self._long:
            self._draw_locks(canvas)
        if "Bangs" in self._shown:
            self._draw_bangs(canvas)

    def _draw_bald_head(self, canvas: Canvas) -> None:
        shine = ellipse(-0.28, -1.02, 0.24, 0.12)
        canvas.tint((255, 255, 250), 0.75, 0.05, shine)
        if "Young" not in self._shown:
            side = ellipse(self._geometry.width, -0.22, 0.07, 0.24)
            canvas.fill(self._colours.beard, side, mirrored(side))

    def _cap(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the outer edge and the hairline, both [41, 2] from left to right."""
        width = self._geometry.width
        radius = 1.0 + (0.05 * np.sin(_ARC * 11) if self._wavy else 0.0)
        if self._straight and not self._long:
            radius = radius + 0.035 * (np.arange(len(_ARC)) % 2)
        side, top = (width + self._volume * 0.8) * radius, (1.17 + self._volume) * radius
        outer = np.stack([side * np.sin(_ARC), -0.15 - top * np.cos(_ARC) ** 0.85], axis=1)
        if "Receding_Hairline" in self._shown:
            points = [(width, 0.0), (width * 0.97, -0.55), (0.72, -1.02), (0.42, -1.27),
                      (0.14, -1.18)]  # fmt: skip
            line = curve(*points, *[(-x, y) for x, y in points[::-1]])[::-1]
        else:
            points = [(width, 0.02), (width * 0.90, -0.50), (0.62, -0.86)]
            peak = (self._part, -0.99)
            line = curve(*points, peak, *[(-x, y) for x, y in points[::-1]])[::-1]
        picks = np.linspace(0, len(line) - 1, len(_ARC))
        inner = np.stack([np.interp(picks, np.arange(len(line)), column) for column in line.T], 1)
        return outer, inner

    def _draw_cap_strands(self, canvas: Canvas, outer: np.ndarray, inner: np.ndarray) -> None:
        if not (self._straight or self._wavy):
            sheen = np.concatenate([outer[12:20] * 0.93, (0.3 * inner + 0.65 * outer)[12:20][::-1]])
            canvas.tint(self._colours.strand_light, 0.6, 0.04, sheen)
            return
        share = np.linspace(0.04, 0.96, 9)[:, None]
        strands = []
        for position in range(2, 39, 3):
            strand = inner[position] + share * (outer[position] - inner[position])
            if self._wavy:
                strand = strand + np.stack([0.045 * np.sin(share[:, 0] * 13), 0 * share[:, 0]], 1)
            strands.append(strand)
        canvas.line(self._colours.strand_dark, 0.03, *strands[::2])
        canvas.line(self._colours.strand_light, 0.03, *strands[1::2])

    def _lock_edge(self, x: float, phase: float = 0.0) -> np.ndarray:
        """Returns a line from temple to tip of the right side, [24, 2]."""
        y = -0.45 + _LOCK_Y * (self._end + 0.45)
        spread = x + 0.10 * _LOCK_Y
        if self._wavy:
            spread = spread + 0.085 * np.sin(y * 7.5 + phase) * np.minimum(1, 3 * _LOCK_Y)
        return np.stack([spread, y], axis=1)

    def _draw_locks(self, canvas: Canvas) -> None:
        width = self._geometry.width
        inner, outer = self._lock_edge(width * 0.94), self._lock_edge(width + self._volume + 0.05)
        outer[0] = (width + 0.5 * self._volume, -0.6)
        lock = np.concatenate([inner, outer[::-1]])
        canvas.fill(self._colours.hair, lock, mirrored(lock))
        for share, colour in (
            (0.2, self._colours.strand_dark),
            (0.4, self._colours.strand_light),
            (0.6, self._colours.strand_dark),
            (0.8, self._colours.strand_light),
        ):
            strand = inner + share * (outer - inner)
            canvas.line(colour, 0.025, strand, mirrored(strand))

    def _draw_bangs(self, canvas: Canvas) -> None:
        """A fringe down to the eyebrows: cut straight across, or swept to a side."""
        width = self._geometry.width
        x = np.linspace(-0.92, 0.92, 15) * width
        swept = self._bangs_kind > 0.6
        low = -0.60 - 0.16 * (x / width) * (1 if self._bangs_kind > 0.8 else -1) * swept
        low = low + 0.07 * (np.arange(len(x)) % 2)
        bottom = np.stack([x, low], axis=1)
        top = curve(
            (width * 0.92, -0.70), (0.6, -1.05), (0, -1.2), (-0.6, -1.05), (-width * 0.92, -0.70)
        )
        canvas.fill(self._colours.hair, np.concatenate([bottom, top]))
        roots = np.stack([x * 0.75, np.full(len(x), -1.12)], axis=1)
        strands = list(np.stack([roots, bottom - (0, 0.02)], axis=1)[1:-1])
        canvas.line(self._colours.strand_dark, 0.02, *strands[::2])
        canvas.line(self._colours.strand_light, 0.02, *strands[1::2])
