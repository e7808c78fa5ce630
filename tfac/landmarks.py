"""Landmark schemes: which points a face is described by, and how they behave under a mirror.

Mao et al. (DMM-CNN, section 3.2.3) use 72 points obtained with dlib. dlib's predictor has 68;
grouped by feature as the `face_recognition` package groups them they are 72, because four lip
points belong to both lips.
"""

import dataclasses
from functools import cached_property

import numpy as np

from tfac.errors import ConfigError

# Where each of dlib's 68 points (iBUG 300-W order) lands when a face is mirrored left to right.
_MIRROR_68 = np.array(
    [*range(16, -1, -1)]  # chin
    + [*range(26, 16, -1)]  # eyebrows
    + [27, 28, 29, 30]  # nose bridge
    + [35, 34, 33, 32, 31]  # nose tip
    + [45, 44, 43, 42, 47, 46]  # left eye becomes right eye
    + [39, 38, 37, 36, 41, 40]  # right eye becomes left eye
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]  # outer lips
    + [64, 63, 62, 61, 60, 67, 66, 65]  # inner lips
)


@dataclasses.dataclass(frozen=True)
class LandmarkScheme:
    """A named set of landmarks.

    "Left" is the left side of the picture (the person's right), as in dlib and CelebA.

    Attributes:
        name: the scheme's name in flags and metadata.
        features: feature name to the source points it is made of, in order. For dlib schemes the
            source points are dlib's 68; for others they are the scheme's own.
        mirror: for each source point, the source point it becomes in a mirrored face.
        mirrored_features: feature name to the feature it becomes in a mirrored face; features not
            named map to themselves.
        mouth: features whose points have the centre of the mouth as their mean.
        left_eye: the feature whose points have the centre of the left eye as their mean.
        right_eye: the same for the right eye.
    """

    name: str
    features: dict[str, tuple[int, ...]]
    mirror: tuple[int, ...]
    mirrored_features: dict[str, str]
    mouth: tuple[str, ...]
    left_eye: str = "left_eye"
    right_eye: str = "right_eye"

    @cached_property
    def source_indices(self) -> np.ndarray:
        """The source point of each landmark, [K]."""
        return np.array([index for points in self.features.values() for index in points])

    @property
    def num_landmarks(self) -> int:
        """K, the number of landmarks."""
        return len(self.source_indices)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Feature name to the slice of landmarks it occupies."""
        starts = np.cumsum([0, *map(len, self.features.values())])
        return {
            name: slice(int(start), int(stop))
            for name, start, stop in zip(self.features, starts[:-1], starts[1:], strict=True)
        }

    @cached_property
    def flip_indices(self) -> np.ndarray:
        """Permutation [K] such that ``mirrored = landmarks[flip_indices]`` with x -> 1 - x."""
        flip = np.empty(self.num_landmarks, np.int64)
        for name, points in self.features.items():
            other = self.mirrored_features.get(name, name)
            for offset, point in enumerate(points):
                source = self.features[other].index(self.mirror[point])
                flip[self.slices[name].start + offset] = self.slices[other].start + source
        return flip

    def eye_centres(self, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the centres of the left and the right eye, each [..., 2].

        Args:
            landmarks: [..., K, 2].
        """
        left = landmarks[..., self.slices[self.left_eye], :].mean(axis=-2)
        right = landmarks[..., self.slices[self.right_eye], :].mean(axis=-2)
        return left, right


_SWAPPED_SIDES = {
    "left_eyebrow": "right_eyebrow",
    "right_eyebrow": "left_eyebrow",
    "left_eye": "right_eye",
    "right_eye": "left_eye",
}

DLIB_72 = LandmarkScheme(
    name="dlib_72",
    features={
        "chin": tuple(range(0, 17)),
        "left_eyebrow": tuple(range(17, 22)),
        "right_eyebrow": tuple(range(22, 27)),
        "nose_bridge": tuple(range(27, 31)),
        "nose_tip": tuple(range(31, 36)),
        "left_eye": tuple(range(36, 42)),
        "right_eye": tuple(range(42, 48)),
        "top_lip": (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60),
        "bottom_lip": (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64),
    },
    mirror=tuple(_MIRROR_68.tolist()),
    mirrored_features=_SWAPPED_SIDES,
    mouth=("top_lip", "bottom_lip"),
)

DLIB_68 = LandmarkScheme(
    name="dlib_68",
    features={
        **{name: points for name, points in DLIB_72.features.items() if not name.endswith("lip")},
        "outer_lips": tuple(range(48, 60)),
        "inner_lips": tuple(range(60, 68)),
    },
    mirror=tuple(_MIRROR_68.tolist()),
    mirrored_features=_SWAPPED_SIDES,
    mouth=("outer_lips", "inner_lips"),
)

CELEBA_5 = LandmarkScheme(
    name="celeba_5",
    features={
        "left_eye": (0,),
        "right_eye": (1,),
        "nose": (2,),
        "left_mouth": (3,),
        "right_mouth": (4,),
    },
    mirror=(1, 0, 2, 4, 3),
    mirrored_features={
        "left_eye": "right_eye",
        "right_eye": "left_eye",
        "left_mouth": "right_mouth",
        "right_mouth": "left_mouth",
    },
    mouth=("left_mouth", "right_mouth"),
)

LANDMARK_SCHEMES: dict[str, LandmarkScheme] = {
    scheme.name: scheme for scheme in (DLIB_72, DLIB_68, CELEBA_5)
}


def get_landmark_scheme(name: str) -> LandmarkScheme:
    """Returns the scheme called `name`.

    Raises:
        ConfigError: there is no such scheme.
    """
    if name not in LANDMARK_SCHEMES:
        raise ConfigError(
            f"unknown landmark scheme: expected one of {', '.join(LANDMARK_SCHEMES)}. "
            f"Received: {name}"
        )
    return LANDMARK_SCHEMES[name]
