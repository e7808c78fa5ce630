"""Part masks as small pictures that a browser lays over a photo."""

import base64
import io

import numpy as np
from PIL import Image

_LONGEST_SIDE = 64  # pixels; the finest level of MGG-Net has 28 cells a side
_COLOURS = ((60, 0, 120), (190, 20, 110), (250, 110, 30), (255, 230, 90))  # low to high
_MOST_OPAQUE = 210  # of 255, at the mask's highest value


def mask_picture(mask: np.ndarray) -> str:
    """Returns a mask as a PNG in a data URL: transparent at 0, to yellow at its highest value.

    Args:
        mask: float [h, w], 0 or more.
    """
    highest = mask.max()
    mask = mask / highest if highest > 0 else np.zeros_like(mask)
    height, width = mask.shape
    scale = min(1.0, _LONGEST_SIDE / max(mask.shape))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    levels = np.clip(np.asarray(small) * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = Image.fromarray(levels, "P")
    picture.putpalette(_palette().tobytes())
    stream = io.BytesIO()
    opacities = bytes(level * _MOST_OPAQUE // 255 for level in range(256))
    picture.save(stream, "PNG", transparency=opacities)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _palette() -> np.ndarray:
    """Returns the colour of each level, uint8 [256, 3]."""
    stops = np.linspace(0, 255, len(_COLOURS))
    channels = [np.interp(range(256), stops, channel) for channel in np.transpose(_COLOURS)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
