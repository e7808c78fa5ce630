import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tfac.layers import SpatialPyramidPooling


def pool_by_loops(feature_maps, levels):
    """Each bin of each level, cell by cell."""
    batch, height, width, channels = feature_maps.shape
    rows = []
    for picture in range(batch):
        row = []
        for n in levels:
            for i in range(n):
                for j in range(n):
                    for channel in range(channels):
                        largest = -np.inf
                        for y in range(int(np.floor(i * height / n)), height):
                            for x in range(int(np.floor(j * width / n)), width):
                                inside_y = y < int(np.ceil((i + 1) * height / n))
                                inside_x = x < int(np.ceil((j + 1) * width / n))
                                if inside_y and inside_x:
                                    largest = max(largest, feature_maps[picture, y, x, channel])
                        row.append(largest)
        rows.append(row)
    return np.array(rows, np.float32)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (5, 7), (7, 7), (2, 9)])
@pytest.mark.parametrize("levels", [(1,), (1, 2, 3), (4,)])
def test_equals_plain_loops(size, levels):
    feature_maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    pooled = SpatialPyramidPooling(levels)(feature_maps)
    np.testing.assert_array_equal(pooled, pool_by_loops(feature_maps, levels))


def test_three_levels_of_2048_channels_have_28672_features():
    shape = SpatialPyramidPooling((1, 2, 3)).compute_output_shape((None, 7, 7, 2048))
    assert shape == (None, 28_672)


def test_layer_contract():
    inputs = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    run_layer_test(SpatialPyramidPooling, {"levels": (1, 2)}, inputs, (2, 15))


@pytest.mark.parametrize("levels", [(), (0,), (1, -2), (1.5,)])
def test_bad_levels_are_refused(levels):
    with pytest.raises(ValueError, match="levels: expected positive integers"):
        SpatialPyramidPooling(levels)


def test_input_of_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="expected feature maps"):
        SpatialPyramidPooling()(np.zeros((2, 5, 3), np.float32))
