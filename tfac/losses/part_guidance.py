"""Where the parts of a face are, and how far attention masks are from there."""

from collections.abc import Mapping, Sequence

from keras import ops

from tfac.errors import ConfigError
from tfac.landmarks import LandmarkScheme

# Centre and half width of each part across and along the face, and across it its mirror image's
# too: 0 is the middle between the eyes, 1 across is from eye to eye, 1 along from eyes to mouth.
PART_REGIONS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "eyes": ((0.5, 0.45), (-0.05, 0.3)),
    "nose": ((0.0, 0.35), (0.5, 0.3)),
    "mouth": ((0.0, 0.5), (1.05, 0.35)),
    "hairline": ((0.0, 0.9), (-0.9, 0.4)),
    "neck": ((0.0, 0.9), (2.3, 0.5)),
    "middle_face": ((0.6, 0.35), (0.6, 0.4)),
    "whole_face": ((0.0, 0.9), (0.5, 1.2)),
}
# All but an oval: its centre and half axes in the same frame.
AROUND_HEAD = "around_head"
_HEAD = ((0.0, 1.3), (0.3, 1.6))

_SMALLEST_FACE = 1e-4  # area between eyes and mouth, share of the picture's


class PartGuidance:
    """Says how far attention masks are from the parts that they are named after.

    The target of a part is 1 in its middle and falls off as a Gaussian, in the frame that eyes and
    mouth span, so that it turns, shears and grows with the face. It is not in either paper.

    Args:
        scheme: what the landmarks are.
        group_names: the masks' names [G]. Those that are no part known here are not guided.

    Raises:
        ConfigError: none is a part known here.
    """

    def __init__(self, scheme: LandmarkScheme, group_names: Sequence[str]):
        self._scheme = scheme
        known = (*PART_REGIONS, AROUND_HEAD)
        self._guided = [i for i, name in enumerate(group_names) if name in known]
        self.part_names = tuple(group_names[i] for i in self._guided)
        if not self.part_names:
            raise ConfigError(
                f"guidance: expected a group among {', '.join(known)}, whose place landmarks tell. "
                f"Received: {', '.join(group_names)}. Give --guidance=0, or prepare the data set "
                "with --attribute_groups"
            )

    def squared_error(self, attention_mask, landmarks):
        """Returns the mean squared distance [B] of masks [B, h, w, G] to their part's target.

        Args:
            attention_mask: at least 0.
            landmarks: [B, K, 2], x and y in [0, 1] of the picture.
        """
        height, width = ops.shape(attention_mask)[1:3]
        targets = self.targets(landmarks, height, width)
        guided = ops.take(attention_mask, self._guided, axis=-1)
        return ops.mean(ops.square(guided - targets), axis=(1, 2, 3))

    def targets(self, landmarks, height: int, width: int):
        """Returns what the masks of `part_names` are drawn to, float32 [B, height, width, parts].

        Args:
            landmarks: [B, K, 2], x and y in [0, 1] of the picture.
            height: rows of the mask.
            width: columns of the mask.
        """
        across, along = self._face_frame(landmarks, height, width)
        targets = []
        for name in self.part_names:
            (x, half_width), (y, half_height) = PART_REGIONS.get(name, _HEAD)
            distance = ops.square((ops.abs(across) - x) / half_width)
            distance += ops.square((along - y) / half_height)
            if name == AROUND_HEAD:
                targets.append(1 - ops.exp(-ops.square(distance)))
            else:
                targets.append(ops.exp(-distance))
        return ops.stack(targets, axis=-1)

    def _face_frame(self, landmarks, height, width):
        """Where the middle of each cell lies across and along the face, two [B, height, width]."""
        left, right = self._centre(landmarks, [self._scheme.left_eye], [self._scheme.right_eye])
        (mouth,) = self._centre(landmarks, self._scheme.mouth)
        eyes = (left + right) / 2
        to_right, to_mouth = right - left, mouth - eyes
        area = to_right[0] * to_mouth[1] - to_right[1] * to_mouth[0]
        area = ops.where(ops.abs(area) < _SMALLEST_FACE, _SMALLEST_FACE, area)
        x = (ops.arange(width, dtype="float32") + 0.5) / width - eyes[0]
        y = ops.expand_dims((ops.arange(height, dtype="float32") + 0.5) / height, -1) - eyes[1]
        across = (x * to_mouth[1] - y * to_mouth[0]) / area
        along = (y * to_right[0] - x * to_right[1]) / area
        return across, along

    def _centre(self, landmarks, *features: Sequence[str]):
        """The mean point of each list of features, each [2, B, 1, 1]: x and y."""
        centres = []
        for names in features:
            points = [landmarks[:, self._scheme.slices[name], :] for name in names]
            centre = ops.mean(ops.concatenate(points, axis=1), axis=1)  # [B, 2]
            centres.append(ops.expand_dims(ops.transpose(centre), (-2, -1)))
        return centres
