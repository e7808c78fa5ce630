"""The weights of dlib's face recognition network, read from the file that dlib wrote.

The file is the one of the package `face_recognition_models`, known by its size and checksum; it is
parsed, not executed. An integer in it is a control byte (the low four bits say how many bytes
follow, the highest that it is negative) and little-endian bytes. A text is its length and its
bytes. A tensor is a version, four sides and float32 values. Layers stand from the input outwards.
"""

import hashlib
import math
from pathlib import Path

import keras
import numpy as np

from tfac.dlib_files import FACE_RECOGNITION, dlib_file
from tfac.errors import ConfigError
from tfac.models.dlib_resnet import STAGES
from tfac.models.normalization import IMAGE_MEAN, IMAGE_STD

_SIZE = 22_466_066
_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_MEAN = (122.782, 117.001, 104.298)  # of R, G and B, which dlib takes away
_SCALE = 256  # which it then divides by
_DESCRIPTOR = 128


def load_dlib_weights(backbone: keras.Model, path: Path | None = None) -> np.ndarray:
    """Gives a network of `create_dlib_resnet29` dlib's weights.

    Its batch norms then do what dlib's scales and shifts do, with mean 0 and variance 1; see
    `tfac.models.calibration` for statistics of pictures.

    Args:
        backbone: made by `tfac.models.create_backbone("dlib_resnet29")`.
        path: dlib's file; by default the installed package's.

    Returns:
        float32 [256, 128]: the last layer, from the mean of the last map to dlib's face descriptor.

    Raises:
        ConfigError: the file is missing, or it is not the one that dlib published.
    """
    reader = _Reader(_read_file(path or dlib_file(FACE_RECOGNITION, "backbone_weights=dlib")))
    scale = np.float32(255 / _SCALE) * np.array(IMAGE_STD, np.float32)
    shift = (255 * np.array(IMAGE_MEAN) - _MEAN) / _SCALE
    channels, size = 3, 7
    names = ["stem"]
    for stage, (_, blocks) in enumerate(STAGES, start=1):
        names += [f"stage{stage}_block{b}_{n}" for b in range(1, blocks + 1) for n in (1, 2)]
    for name in names:
        convolution, norm = (backbone.get_layer(f"{name}_{part}") for part in ("conv", "norm"))
        filters = convolution.filters
        values = reader.tensor("con_4", filters * (channels * size * size + 1))
        kernel = values[:-filters].reshape(filters, channels, size, size).transpose(2, 3, 1, 0)
        bias = values[-filters:]
        if name == "stem":  # dlib's input is ours times `scale` plus `shift`
            bias = bias + np.einsum("hwcf,c->f", kernel, shift)
            kernel = kernel * scale[:, np.newaxis]
        gamma, beta = reader.tensor("affine_", 2 * filters).reshape(2, filters)
        convolution.kernel.assign(kernel)
        norm.gamma.assign(gamma)
        norm.beta.assign(beta + gamma * bias)
        norm.moving_mean.assign(np.zeros(filters))
        norm.moving_variance.assign(np.full(filters, 1 - norm.epsilon))
        channels, size = filters, 3
    return reader.tensor("fc_2", channels * _DESCRIPTOR).reshape(channels, _DESCRIPTOR)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            contents = file.read(_SIZE + 1)
    except OSError as error:
        raise ConfigError(f"backbone_weights=dlib: cannot read {path}: {error}") from error
    checksum = hashlib.sha256(contents).hexdigest()
    if len(contents) != _SIZE or checksum != _SHA256:
        raise ConfigError(
            f"backbone_weights=dlib: {path} is not dlib's network or is damaged: expected "
            f"{_SIZE} bytes with SHA-256 {_SHA256}. Received: "
            + (f"more than {_SIZE}" if len(contents) > _SIZE else f"{len(contents)}")
            + f" bytes with {checksum}"
        )
    return contents


class _Reader:
    """Reads tensors by the name of their layer, each after the one before."""

    def __init__(self, contents: bytes):
        self._contents = contents
        self._position = 0

    def tensor(self, layer: str, size: int) -> np.ndarray:
        """Returns the float32 values of the next layer of this name, which must be `size`."""
        name = bytes([1, len(layer)]) + layer.encode()
        self._position = self._contents.index(name, self._position) + len(name)
        if layer == "fc_2":
            self._integer(), self._integer()  # outputs and inputs, which the sides say too
        version, *sides = (self._integer() for _ in range(5))
        end = self._position + 4 * size
        if version != 2 or math.prod(sides) != size or end > len(self._contents):
            raise ConfigError(f"backbone_weights=dlib: {layer} of {sides}, expected {size} values")
        values = np.frombuffer(self._contents, "<f4", size, self._position)
        self._position = end
        return values

    def _integer(self) -> int:
        control = self._contents[self._position]
        start = self._position + 1
        self._position = start + (control & 0x0F)
        value = int.from_bytes(self._contents[start : self._position], "little")
        return -value if control & 0x80 else value
