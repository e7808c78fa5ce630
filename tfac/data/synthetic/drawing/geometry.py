"""Where the parts of a face lie, in face units, and the 68 landmarks that follow from it."""

import numpy as np

from tfac.data.synthetic.drawing.canvas import lerp, mirrored
from tfac.data.synthetic.sampling import Face

_JAW = np.linspace(-np.pi / 2, np.pi / 2, 33)
_SKULL = np.linspace(np.pi / 2, -np.pi / 2, 17)[1:-1]
_UPPER_LIP = np.array([-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0])
_INNER_LIP = np.array([-0.85, -0.3, 0.0, 0.3, 0.85])
_FINE = np.linspace(-1, 1, 25)


class Geometry:
    """Shapes of one face.

    "Left" is the left side of the picture. Curves run from left to right of the picture.

    Args:
        face: attributes and continuous traits.
    """

    def __init__(self, face: Face):
        self._set_outline(face)
        self._set_eyes(face)
        self._set_nose(face)
        self._set_mouth(face)

    def _set_outline(self, face: Face) -> None:
        shown, look = face.shown, face.look
        oval, chubby = "Oval_Face" in shown, "Chubby" in shown
        width = lerp(0.90, 0.96, look.face_width) - 0.10 * oval + 0.15 * chubby
        length = lerp(1.20, 1.28, look.face_length) + 0.14 * oval - 0.02 * chubby
        square = lerp(0.0, 0.10, look.jaw_squareness) + 0.12 * ("Male" in shown) - 0.10 * oval
        square += 0.12 * chubby + 0.10 * (not oval)
        sin, cos = np.sin(_JAW), np.cos(_JAW)
        top = -0.15
        jaw_x = width * np.sign(sin) * np.abs(sin) ** (1 - square)
        jaw_y = top + (length - top) * np.abs(cos) ** (1 - 0.6 * square)
        self.jaw = np.stack([jaw_x, jaw_y], axis=1)  # [33, 2], from ear to ear
        self.skull_top = -1.32
        skull = np.stack(
            [width * np.sin(_SKULL), top + (self.skull_top - top) * np.cos(_SKULL) ** 0.8], axis=1
        )
        self.outline = np.concatenate([self.jaw, skull])
        self.width, self.chin = width, length

    def _set_eyes(self, face: Face) -> None:
        shown, look = face.shown, face.look
        narrow = "Narrow_Eyes" in shown
        self.eye_x = lerp(0.38, 0.43, look.eye_distance)
        self.eye_y = -0.12
        self.eye_half_width = lerp(0.18, 0.21, look.eye_size)
        openness = lerp(0.9, 1.1, look.eye_size) * (0.36 if narrow else 1.0)
        openness *= 0.92 if "Smiling" in shown else 1.0
        self.eye_up, self.eye_down = 0.115 * openness, 0.075 * openness
        self.left_eye = self._eye(np.array([-1.0, -1 / 3, 1 / 3, 1.0, 1 / 3, -1 / 3]))
        arched = "Arched_Eyebrows" in shown
        height = lerp(-0.40, -0.36, look.brow_height) - 0.03 * arched
        along = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # outer to inner end
        rise = (
            np.array([-0.10, 0.12, 0.13, 0.05, -0.03])
            if arched
            else np.array([0.00, 0.025, 0.025, 0.015, 0.0])
        )
        self.left_brow = np.stack([-self.eye_x + 0.02 + 0.27 * along, height - rise], axis=1)

    def _eye(self, along: np.ndarray) -> np.ndarray:
        """Returns points of the left eye: first half upper lid, the rest lower lid."""
        upper = np.arange(len(along)) <= len(along) // 2
        bulge = np.where(upper, -self.eye_up, self.eye_down) * (1 - along**2)
        tilt = 0.02 * along  # the outer corner lies a little higher
        x = -self.eye_x + self.eye_half_width * along
        return np.array((x, self.eye_y + bulge + tilt)).T

    def eye_outline(self) -> np.ndarray:
        """Returns a fine outline [N, 2] of the left eye."""
        return self._eye(np.concatenate([_FINE, _FINE[-2:0:-1]]))

    def _set_nose(self, face: Face) -> None:
        shown, look = face.shown, face.look
        big, pointy = "Big_Nose" in shown, "Pointy_Nose" in shown
        self.nose_half = lerp(0.14, 0.17, look.nose_width) + 0.13 * big - 0.05 * pointy
        self.nose_end = lerp(0.34, 0.38, look.nose_length) + 0.05 * big
        tip = self.nose_end + (0.09 if pointy else 0.03)
        bridge_y = np.linspace(self.eye_y, self.nose_end - 0.08, 4)
        self.nose_bridge = np.stack([np.zeros(4), bridge_y], axis=1)
        half, end = self.nose_half, self.nose_end
        self.nose_tip = np.array(
            [
                [-half, end - 0.03],
                [-half / 2, end + 0.01],
                [0, tip],
                [half / 2, end + 0.01],
                [half, end - 0.03],
            ]
        )

    def _set_mouth(self, face: Face) -> None:
        shown, look = face.shown, face.look
        smiling, opened = "Smiling" in shown, "Mouth_Slightly_Open" in shown
        big = "Big_Lips" in shown
        self.mouth_y = lerp(0.70, 0.74, look.mouth_height) + 0.02 * ("Big_Nose" in shown)
        self.mouth_half = lerp(0.27, 0.31, look.mouth_width) + (0.10 if smiling else 0.0)
        self.mouth_bend = 0.15 if smiling else -0.03
        self.lip_up = lerp(0.042, 0.055, look.lip_fullness) + 0.085 * big
        self.lip_down = lerp(0.050, 0.065, look.lip_fullness) + 0.115 * big
        self.opening = lerp(0.11, 0.19, face.view.mouth_opening) if opened else 0.0

    def lip_edges(self, along: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the outer upper, inner upper, inner lower and outer lower lip edge.

        Args:
            along: positions [N] between the corners, -1 to 1.

        Returns:
            four curves, each [N, 2].
        """
        dome = 1 - along**2
        middle = self.mouth_y + self.mouth_bend * (dome - 0.5)
        inner_up = middle - 0.4 * self.opening * dome
        inner_down = middle + 0.6 * self.opening * dome
        bow = 1 - 0.22 * np.exp(-((along / 0.18) ** 2))
        outer_up = inner_up - self.lip_up * bow * dome**0.7
        outer_down = inner_down + self.lip_down * dome**0.6
        x = self.mouth_half * along
        return tuple(np.array((x, y)).T for y in (outer_up, inner_up, inner_down, outer_down))

    def landmarks_68(self) -> np.ndarray:
        """Returns dlib's 68 points (iBUG 300-W order), float [68, 2] in face units."""
        outer_up, _, _, outer_down = self.lip_edges(_UPPER_LIP)
        _, inner_up, inner_down, _ = self.lip_edges(_INNER_LIP)
        right_eye = mirrored(self.left_eye)[[3, 2, 1, 0, 5, 4]]
        return np.concatenate(
            [
                self.jaw[::2],
                self.left_brow,
                mirrored(self.left_brow)[::-1],
                self.nose_bridge,
                self.nose_tip,
                self.left_eye,
                right_eye,
                outer_up,
                outer_down[-2:0:-1],
                inner_up,
                inner_down[-2:0:-1],
            ]
        )
