import base64
import io

import numpy as np
from PIL import Image

from tfac.serving.page.masks import mask_picture


def decoded(url: str) -> np.ndarray:
    """The picture in a data URL, RGBA."""
    start, _, data = url.partition(",")
    assert start == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.array(picture.convert("RGBA"))


def test_mask_is_clear_at_0_and_most_opaque_at_its_highest_value():
    mask = np.zeros((4, 6), np.float32)
    mask[1, 2], mask[3, 5] = 7, 3.5
    picture = decoded(mask_picture(mask))
    assert picture.shape == (4, 6, 4)
    assert picture[0, 0, 3] == 0
    assert picture[1, 2, 3] == 210 and abs(int(picture[3, 5, 3]) - 105) <= 1
    np.testing.assert_array_equal(picture[1, 2, :3], (255, 230, 90))


def test_scale_of_a_mask_does_not_matter():
    mask = np.random.default_rng(0).uniform(0, 1, (9, 7))
    assert mask_picture(mask) == mask_picture(1e-6 * mask)


def test_mask_of_zeros_is_clear():
    assert not decoded(mask_picture(np.zeros((3, 3))))[..., 3].any()


def test_large_mask_is_shrunk_and_keeps_its_aspect():
    mask = np.random.default_rng(0).uniform(0, 1, (218, 178))
    assert decoded(mask_picture(mask)).shape == (64, 52, 4)
    assert len(mask_picture(mask)) < 8000
