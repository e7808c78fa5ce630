"""Draws synthetic faces with OpenCV, part by part, and gives their exact landmarks."""

import cv2
import numpy as np

from tfac.data.synthetic.drawing.beard import draw_beard
from tfac.data.synthetic.drawing.canvas import Canvas
from tfac.data.synthetic.drawing.clothing import (
    draw_clothes,
    draw_earrings,
    draw_hat,
    draw_necklace,
)
from tfac.data.synthetic.drawing.eyes import draw_eyebrows, draw_eyes, draw_glasses
from tfac.data.synthetic.drawing.geometry import Geometry
from tfac.data.synthetic.drawing.hair import Hair
from tfac.data.synthetic.drawing.head import draw_head, draw_neck
from tfac.data.synthetic.drawing.nose_and_mouth import draw_mouth, draw_nose
from tfac.data.synthetic.drawing.palette import Palette
from tfac.data.synthetic.drawing.scene import draw_background, finish, sample_pose
from tfac.data.synthetic.sampling import Face

# Smaller pictures are drawn at this size and reduced: thin strokes then keep their weight.
_SMALLEST_CANVAS = 128


def draw_face(face: Face, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a face.

    Args:
        face: what to draw; the same face gives the same picture.
        size: side of the square picture, pixels.

    Returns:
        the picture, RGB uint8 [size, size, 3], and dlib's 68 landmarks, float32 [68, 2], in [0, 1]
        of the picture.
    """
    side = max(size, _SMALLEST_CANVAS)
    canvas, geometry = Canvas(sample_pose(face.view, side)), Geometry(face)
    _draw_parts(canvas, face, geometry)
    pixels = draw_background(face.view, side)
    canvas.draw_on(pixels)
    pixels = finish(pixels, face)
    if side != size:
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    landmarks = (canvas.pose.project(geometry.landmarks_68()) + 0.5) / side
    return pixels, landmarks.astype(np.float32)


def _draw_parts(canvas: Canvas, face: Face, geometry: Geometry) -> None:
    """Draws everything from back to front."""
    shown, colours = face.shown, Palette(face)
    hair = Hair(face, geometry, colours)
    hair.draw_back(canvas)
    draw_neck(canvas, face, geometry, colours)
    draw_clothes(canvas, face)
    draw_head(canvas, face, geometry, colours)
    draw_beard(canvas, face, geometry, colours)
    draw_nose(canvas, face, geometry, colours)
    draw_mouth(canvas, face, geometry, colours)
    draw_eyes(canvas, face, geometry, colours)
    draw_eyebrows(canvas, face, geometry, colours)
    hair.draw_front(canvas)
    if "Wearing_Necklace" in shown:
        draw_necklace(canvas, face)
    if "Wearing_Earrings" in shown:
        draw_earrings(canvas, face, geometry)
    if "Wearing_Hat" in shown:
        draw_hat(canvas, face, geometry)
    if "Eyeglasses" in shown:
        draw_glasses(canvas, face, geometry)
