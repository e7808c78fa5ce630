"""A picture to draw on in face units: x to the right, y down, half a face wide is about 1."""

import cv2
import numpy as np

Colour = tuple[float, float, float]

_SUBPIXEL_BITS = 4
_SUBPIXELS = 1 << _SUBPIXEL_BITS


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
        self._turn = np.array(turn)
        # Pixel centres lie at whole numbers in OpenCV, so picture edges are at -0.5 and size - 0.5.
        self._centre = np.array(centre) * size - 0.5

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns the pixel coordinates, float [N, 2], of `points` [N, 2] in face units."""
        depth = 1.0 - points[:, 0] ** 2 - 0.45 * points[:, 1] ** 2
        turned = points + np.maximum(depth, 0.0)[:, None] * self._turn
        return turned @ self._matrix + self._centre


class Canvas:
    """An RGB picture with anti-aliased shapes given in face units.

    Attributes:
        pixels: uint8 [size, size, 3].
        pose: how face units lie on the picture.
    """

    def __init__(self, size: int, pose: Pose):
        self.pixels = np.empty((size, size, 3), np.uint8)
        self.pose = pose

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        """Fills the polygon `points` [N, 2]."""
        cv2.fillPoly(self.pixels, [self._fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def fill_many(self, polygons: list[np.ndarray], colour: Colour) -> None:
        """Fills several polygons that do not overlap in one colour."""
        fixed = [self._fixed(points) for points in polygons]
        cv2.fillPoly(self.pixels, fixed, colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def line(self, points: np.ndarray, colour: Colour, width: float, closed: bool = False) -> None:
        """Draws the polyline `points` [N, 2], `width` face units wide (at least a pixel)."""
        self.lines([points], colour, width, closed)

    def lines(
        self, polylines: list[np.ndarray], colour: Colour, width: float, closed: bool = False
    ) -> None:
        """Draws several polylines, `width` face units wide (at least a pixel)."""
        fixed = [self._fixed(points) for points in polylines]
        thickness = max(1, round(width * self.pose.unit))
        cv2.polylines(self.pixels, fixed, closed, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def discs(self, centres: np.ndarray, radius: float, colour: Colour) -> None:
        """Draws a disc of `radius` face units at each of `centres` [N, 2]."""
        for x, y in self._fixed(centres).tolist():
            size = max(_SUBPIXELS // 2, round(radius * self.pose.unit * _SUBPIXELS))
            cv2.circle(self.pixels, (x, y), size, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def tint(
        self, polygons: list[np.ndarray], colour: Colour, alpha: float, softness: float = 0.0
    ) -> None:
        """Blends polygons into the picture.

        Args:
            polygons: each float [N, 2].
            colour: RGB in [0, 255].
            alpha: opacity in [0, 1].
            softness: width of the soft edge, face units.
        """
        fixed = [self._fixed(points) for points in polygons]
        everything = np.concatenate(fixed)
        sigma = softness * self.pose.unit
        margin = int(2 * sigma) + 2
        low = np.maximum(everything.min(axis=0) // _SUBPIXELS - margin, 0)
        high = everything.max(axis=0) // _SUBPIXELS + margin + 1
        region = self.pixels[low[1] : high[1], low[0] : high[0]]
        if region.size == 0:
            return
        mask = np.zeros(region.shape[:2], np.uint8)
        inside = [points - low * _SUBPIXELS for points in fixed]
        cv2.fillPoly(mask, inside, round(255 * alpha), cv2.LINE_AA, _SUBPIXEL_BITS)
        if sigma > 0.5:
            mask = cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        blend(region, colour, mask)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return np.rint(self.pose.project(points) * _SUBPIXELS).astype(np.int32)


def blend(region: np.ndarray, colour: Colour, mask: np.ndarray) -> None:
    """Moves `region` uint8 [h, w, 3] towards `colour` in place by `mask` uint8 [h, w] / 255."""
    weight = mask.astype(np.float32)[..., None] * np.float32(1 / 255)
    np.copyto(region, region + (np.array(colour, np.float32) - region) * weight, casting="unsafe")


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
    count = len(points)
    if closed:
        neighbours = np.arange(count)[:, None] + np.arange(-1, 3)
        return (_CATMULL_ROM @ points[neighbours % count]).reshape(-1, 2)
    neighbours = np.clip(np.arange(count - 1)[:, None] + np.arange(-1, 3), 0, count - 1)
    return np.vstack([(_CATMULL_ROM @ points[neighbours]).reshape(-1, 2), points[-1]])
