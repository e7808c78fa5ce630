import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tfac.layers.conv_block import ConvBlock


def block_by_loops(layer, feature_maps):
    """Each output cell and channel on its own: products under the kernel, ReLU, then the window."""
    kernel = layer.convolution.get_weights()[0]
    gamma, beta, mean, variance = layer.normalization.get_weights()
    batch, height, width, _ = feature_maps.shape
    half, side = kernel.shape[0] // 2, layer.pool_size
    padded = np.pad(feature_maps, ((0, 0), (half, half), (half, half), (0, 0)))
    activated = np.zeros((batch, height, width, kernel.shape[-1]))
    for b, y, x, c in np.ndindex(activated.shape):
        window = padded[b, y : y + kernel.shape[0], x : x + kernel.shape[1]]
        total = (window * kernel[..., c]).sum()
        total = gamma[c] * (total - mean[c]) / np.sqrt(variance[c] + 1e-5) + beta[c]
        activated[b, y, x, c] = max(total, 0)
    rows, columns = -(-height // side), -(-width // side)
    top, left = (rows * side - height) // 2, (columns * side - width) // 2
    pooled = np.zeros((batch, rows, columns, kernel.shape[-1]))
    for y, x in np.ndindex(rows, columns):
        y0, x0 = y * side - top, x * side - left
        window = activated[:, max(y0, 0) : y0 + side, max(x0, 0) : x0 + side]
        pooled[:, y, x] = window.max(axis=(1, 2))
    return pooled


@pytest.mark.parametrize("pool_size", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_equals_plain_loops(pool_size, kernel_size):
    rng = np.random.default_rng(0)
    layer = ConvBlock(4, kernel_size=kernel_size, pool_size=pool_size)
    layer.build((None, None, None, 3))
    layer.normalization.set_weights([rng.uniform(0.5, 2.0, 4) for _ in range(4)])
    feature_maps = rng.normal(size=(2, 7, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(
        layer(feature_maps), block_by_loops(layer, feature_maps), rtol=1e-4, atol=1e-4
    )


def test_layer_contract():
    feature_maps = np.random.default_rng(1).normal(size=(4, 7, 10, 3)).astype(np.float32)
    arguments = {"filters": 5, "kernel_size": 5, "pool_size": 3}
    run_layer_test(ConvBlock, arguments, feature_maps, (4, 3, 4, 5))
