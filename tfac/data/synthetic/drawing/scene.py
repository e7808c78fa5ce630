"""What surrounds the face: pose, background, light, lens and sensor."""

import cv2
import numpy as np

from tfac.data.synthetic.drawing.canvas import Pose, hsv, lerp
from tfac.data.synthetic.sampling import Face, View

# Sensor noise is cut at a random place out of one fixed tile, repeated over large pictures: drawing
# fresh noise would cost as much as the face.
_NOISE_SIDE = 256
_NOISE = np.rint(np.random.default_rng(11).normal(0, 4.0, (_NOISE_SIDE, _NOISE_SIDE)))
_NOISE_TILE = np.repeat(np.tile(_NOISE.astype(np.int16), (2, 2))[..., None], 3, axis=2)


def sample_pose(view: View, size: int) -> Pose:
    """Returns how the face lies on a picture of `size` pixels a side."""
    return Pose(
        size=size,
        scale=lerp(0.230, 0.270, view.scale),
        roll=lerp(-0.16, 0.16, view.roll),
        turn=(lerp(-0.13, 0.13, view.yaw), lerp(-0.06, 0.06, view.pitch)),
        centre=(lerp(0.47, 0.53, view.shift_x), lerp(0.47, 0.51, view.shift_y)),
    )


def draw_background(view: View, size: int) -> np.ndarray:
    """Returns uint8 [size, size, 3], a plain, graded, split or spotted background."""
    pixels = np.empty((size, size, 3), np.uint8)
    first = hsv(view.background_hue, 0.35, lerp(0.25, 0.95, view.background_light))
    second = hsv(view.background_hue + 0.15, 0.35, lerp(0.25, 0.95, view.background_other))
    kind = int(view.background_kind * 4)
    cv2.rectangle(pixels, (0, 0), (size, size), first, -1)
    if kind == 1:
        pixels[:] = np.linspace(first, second, size).astype(np.uint8)[:, None]
    elif kind == 2:
        edge = int(size * lerp(0.15, 0.85, view.background_other))
        cv2.rectangle(pixels, (edge, 0), (size, size), second, -1)
    elif kind == 3:
        for spot in range(6):
            x = (spot * 0.37 + view.background_hue) % 1
            y = (spot * 0.61 + view.background_light) % 1
            centre = (int(x * size), int(y * size))
            cv2.circle(pixels, centre, size // 8, second, -1, cv2.LINE_AA)
    return pixels


def finish(pixels: np.ndarray, face: Face) -> np.ndarray:
    """Returns the picture, uint8 [S, S, 3], with light, blur and sensor noise applied."""
    view, size = face.view, len(pixels)
    angle, strength = 2 * np.pi * view.light_angle, lerp(0.0, 0.28, view.light_strength)
    brightness, warmth = lerp(0.86, 1.10, view.brightness), lerp(-0.06, 0.06, view.warmth)
    axis = np.linspace(-strength, strength, size, dtype=np.float32)
    light = 1 + np.float32(np.cos(angle)) * axis + np.float32(np.sin(angle)) * axis[:, None]
    colour = (1 + warmth, 1.0, 1 - warmth)
    # Light in steps of 1/128: below the noise, and whole numbers multiply several times faster.
    planes = [cv2.convertScaleAbs(light, alpha=128 * brightness * channel) for channel in colour]
    lit = cv2.multiply(pixels, cv2.merge(planes), scale=1 / 128)
    if "Blurry" in face.shown:
        return cv2.GaussianBlur(lit, (0, 0), size * 0.020)
    return cv2.add(lit, _noise(view.noise, size), dtype=cv2.CV_8U)


def _noise(level: float, size: int) -> np.ndarray:
    """Returns a int16 [size, size, 3] cut-out of the noise tile; `level` in [0, 1) says where."""
    row, column = divmod(int(level * _NOISE_SIDE**2), _NOISE_SIDE)
    if size > _NOISE_SIDE:
        repeats = -(-size // _NOISE_SIDE)
        return np.tile(_NOISE_TILE[:_NOISE_SIDE, :_NOISE_SIDE], (repeats, repeats, 1))[:size, :size]
    return _NOISE_TILE[row : row + size, column : column + size]
