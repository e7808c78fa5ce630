"""What surrounds the face: pose, background, light, lens and sensor."""

import cv2
import numpy as np

from tfac.data.face_drawing.canvas import Canvas, Pose, hsv, lerp
from tfac.data.face_sampling import Face, View

# Sensor noise is cut at a random place out of one fixed tile: drawing fresh noise would cost more
# than the whole face.
_NOISE_SIDE = 1024
_NOISE = np.random.default_rng(11).normal(0, 4.0, (_NOISE_SIDE, _NOISE_SIDE, 1)).astype(np.float32)


def sample_pose(view: View, size: int) -> Pose:
    """Returns how the face lies on a picture of `size` pixels a side."""
    return Pose(
        size=size,
        scale=lerp(0.225, 0.260, view.scale),
        roll=lerp(-0.16, 0.16, view.roll),
        turn=(lerp(-0.13, 0.13, view.yaw), lerp(-0.06, 0.06, view.pitch)),
        centre=(lerp(0.47, 0.53, view.shift_x), lerp(0.47, 0.51, view.shift_y)),
    )


def draw_background(canvas: Canvas, view: View) -> None:
    """Fills the picture with a plain, graded, split or spotted background."""
    size = len(canvas.pixels)
    first = hsv(view.background_hue, 0.35, lerp(0.25, 0.95, view.background_light))
    second = hsv(view.background_hue + 0.15, 0.35, lerp(0.25, 0.95, view.background_other))
    canvas.pixels[:] = np.rint(first)
    kind = int(view.background_kind * 4)
    if kind == 1:
        share = np.linspace(0, 1, size)[:, None, None]
        canvas.pixels[:] = np.array(first) * (1 - share) + np.array(second) * share
    elif kind == 2:
        edge = int(size * lerp(0.15, 0.85, view.background_other))
        canvas.pixels[:, edge:] = np.rint(second)
    elif kind == 3:
        for spot in range(6):
            x, y = (
                (spot * 0.37 + view.background_hue) % 1,
                (spot * 0.61 + view.background_light) % 1,
            )
            cv2.circle(
                canvas.pixels, (int(x * size), int(y * size)), size // 8, second, -1, cv2.LINE_AA
            )


def finish(pixels: np.ndarray, face: Face) -> np.ndarray:
    """Returns the picture, uint8 [S, S, 3], with light, blur and sensor noise applied."""
    view, size = face.view, len(pixels)
    angle, strength = 2 * np.pi * view.light_angle, lerp(0.0, 0.28, view.light_strength)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    light = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    light = lerp(0.86, 1.10, view.brightness) * (1 + strength * light)
    warmth = lerp(-0.06, 0.06, view.warmth)
    tint = np.array([1 + warmth, 1, 1 - warmth], np.float32)
    start = int(view.noise * 4096)
    row, column = start // 64, start % 64
    noise = (
        np.resize(_NOISE[row : row + size, column : column + size], (size, size, 1))
        if (size > _NOISE_SIDE - 64)
        else _NOISE[row : row + size, column : column + size]
    )
    lit = pixels * (light[..., None].astype(np.float32) * tint)
    if "Blurry" in face.shown:
        lit = cv2.GaussianBlur(lit, (0, 0), size * 0.026)
    else:
        lit += noise
    return np.clip(lit, 0, 255).astype(np.uint8)
