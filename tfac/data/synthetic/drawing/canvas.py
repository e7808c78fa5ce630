"""A picture to draw on in face units: x to the right, y down, half a face wide is about 1."""

import functools
import itertools

import cv2
import numpy as np

Colour = tuple[float, float, float]

_SUBPIXEL_BITS = 4
_SUBPIXELS = 1 << _SUBPIXEL_BITS
_FALL_OFF = np.array([[1.0], [0.45]])  # how fast depth falls off with x^2 and y^2


class Pose:
    """Maps face units to pixels: scale, in-plane rotation, shift, and a slight turn of the head.

    A turn moves each point of the face by its depth (a flattened dome), so features shift against
    the outline and landmarks stay exact.

    Args:
        size: side of the picture, pixels.
        scale: one face unit as a share of the picture.
        roll: in-plane rotation, radians.
        turn: (sideways, up-down) shift of the nearest point, face units.
        centre: where the face's origin lies, in [0, 1] of the picture.
    """

    def __init__(
        self,
        size: int,
        scale: float,
        roll: float,
        turn: tuple[float, float],
        centre: tuple[float, float],
    ):
        self.unit = size * scale
        cos, sin = np.cos(roll) * self.unit, np.sin(roll) * self.unit
        self._matrix = np.array([[cos, sin], [-sin, cos]])
        self._turn = np.array(turn) @ self._matrix
        # Pixel centres lie at whole numbers in OpenCV, so picture edges are at -0.5 and size - 0.5.
        self._centre = np.array(centre) * size - 0.5

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns the pixel coordinates, float [N, 2], of `points` [N, 2] in face units."""
        depth = np.maximum(1.0 - (points * points) @ _FALL_OFF, 0.0)  # [N, 1]
        return points @ self._matrix + self._centre + depth * self._turn


class Canvas:
    """Anti-aliased shapes in face units, collected from back to front and drawn at once.

    Drawing at once lets all shapes be projected in one step, which is most of the work saved.

    Args:
        pose: how face units lie on the picture.
    """

    def __init__(self, pose: Pose):
        self.pose = pose
        self._steps: list[tuple] = []

    def fill(self, colour: Colour, *polygons: np.ndarray) -> None:
        """Fills polygons [N, 2] that do not overlap each other."""
        self._steps.append((_fill, polygons, (colour,)))

    def line(
        self, colour: Colour, width: float, *polylines: np.ndarray, closed: bool = False
    ) -> None:
        """Draws polylines [N, 2], `width` face units wide (at least a pixel)."""
        thickness = max(1, round(width * self.pose.unit))
        self._steps.append((_line, polylines, (colour, thickness, closed)))

    def discs(self, colour: Colour, radius: float, centres: np.ndarray) -> None:
        """Draws a disc of `radius` face units at each of `centres` [N, 2]."""
        size = max(_SUBPIXELS // 2, round(radius * self.pose.unit * _SUBPIXELS))
        self._steps.append((_discs, (centres,), (colour, size)))

    def tint(self, colour: Colour, alpha: float, softness: float, *polygons: np.ndarray) -> None:
        """Blends polygons into what lies behind them.

        Args:
            colour: RGB in [0, 255].
            alpha: opacity in [0, 1].
            softness: width of the soft edge, face units.
            *polygons: each float [N, 2].
        """
        self._steps.append((_tint, polygons, (colour, alpha, softness * self.pose.unit)))

    def draw_on(self, pixels: np.ndarray) -> None:
        """Draws everything collected on `pixels`, RGB uint8 [S, S, 3]."""
        shapes = [shape for _, group, _ in self._steps for shape in group]
        projected = self.pose.project(np.concatenate(shapes)) * _SUBPIXELS
        fixed = np.rint(projected).astype(np.int32)
        ends = itertools.accumulate(map(len, shapes))
        drawn = (fixed[end - len(shape) : end] for shape, end in zip(shapes, ends, strict=True))
        for draw, group, arguments in self._steps:
            draw(pixels, list(itertools.islice(drawn, len(group))), *arguments)


def _fill(pixels: np.ndarray, polygons: list[np.ndarray], colour: Colour) -> None:
    cv2.fillPoly(pixels, polygons, colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _line(pixels, polylines: list[np.ndarray], colour: Colour, width: int, closed: bool) -> None:
    cv2.polylines(pixels, polylines, closed, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _discs(pixels: np.ndarray, centres: list[np.ndarray], colour: Colour, radius: int) -> None:
    for centre in centres[0].tolist():
        cv2.circle(pixels, centre, radius, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _tint(pixels, polygons: list[np.ndarray], colour: Colour, alpha: float, sigma: float) -> None:
    margin = int(2 * sigma) + 2
    for polygon in polygons:
        x, y, width, height = cv2.boundingRect(polygon // _SUBPIXELS)
        left, top = max(0, x - margin), max(0, y - margin)
        region = pixels[top : y + height + margin, left : x + width + margin]
        if region.size == 0:
            continue
        mask = np.zeros(region.shape[:2], np.uint8)
        offset = np.array((left, top), np.int32) * _SUBPIXELS
        cv2.fillPoly(mask, [polygon - offset], round(255 * alpha), cv2.LINE_AA, _SUBPIXEL_BITS)
        if sigma > 0.5:
            side = 2 * round(2 * sigma) + 1
            mask = cv2.stackBlur(mask, (side, side))  # near a Gaussian at a fifth of its cost
        _blend(region, colour, mask)


def _blend(region: np.ndarray, colour: Colour, mask: np.ndarray) -> None:
    """Moves `region` uint8 [h, w, 3] towards `colour` in place by `mask` uint8 [h, w] / 255."""
    rest = cv2.bitwise_not(mask)
    kept = cv2.multiply(region, cv2.merge((rest, rest, rest)), scale=1 / 255)
    added = cv2.merge([cv2.multiply(mask, channel / 255) for channel in colour])
    cv2.add(kept, added, dst=region)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns the colour `share` of the way from `first` to `second`."""
    return tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Returns `colour` times `factor`, clipped to [0, 255]."""
    return tuple(min(255.0, channel * factor) for channel in colour)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Returns the RGB colour of a hue, saturation and value in [0, 1]."""
    angle = (hue % 1.0) * 6.0
    channels = (
        min(1.0, max(0.0, abs((angle - shift) % 6.0 - 3.0) - 1.0)) for shift in (0.0, 2.0, 4.0)
    )
    return tuple(255 * value * (1 - saturation + saturation * channel) for channel in channels)


def pick(choices: list | tuple, level: float):
    """Returns the entry of `choices` at `level` in [0, 1)."""
    return choices[int(level * len(choices))]


def lerp(low: float, high: float, level: float) -> float:
    """Returns the value `level` of the way from `low` to `high`."""
    return low + (high - low) * level


def mirrored(points: np.ndarray) -> np.ndarray:
    """Returns `points` [N, 2] on the other side of the face."""
    return points * (-1.0, 1.0)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Returns 20 points [20, 2] around an ellipse."""
    return _CIRCLE * (radius_x, radius_y) + (x, y)


def curve(*points: tuple[float, float]) -> np.ndarray:
    """Returns a smooth open curve [M, 2] through the given points (Catmull-Rom)."""
    return _spline(np.array(points), closed=False)


def blob(*points: tuple[float, float]) -> np.ndarray:
    """Returns a smooth closed curve [M, 2] through the given points (Catmull-Rom)."""
    return _spline(np.array(points), closed=True)


_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_STEPS = np.linspace(0, 1, 5, endpoint=False)[:, None]
_CATMULL_ROM = 0.5 * np.hstack(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ]
)  # [5, 4]: weights of the four neighbours at each step along a segment


def _spline(points: np.ndarray, closed: bool) -> np.ndarray:
    return _spline_weights(len(points), closed) @ points


@functools.cache
def _spline_weights(count: int, closed: bool) -> np.ndarray:
    """Returns the matrix [M, count] that takes control points to points on the curve."""
    segments = np.arange(count if closed else count - 1)[:, None] + np.arange(-1, 3)
    neighbours = segments % count if closed else np.clip(segments, 0, count - 1)  # [S, 4]
    weights = np.einsum("tn,snc->stc", _CATMULL_ROM, np.eye(count)[neighbours])
    weights = weights.reshape(-1, count)
    return weights if closed else np.vstack([weights, np.eye(count)[-1]])
