import numpy as np

from tests.layers.layer_checks import run_layer_test
from tfac.layers.fully_connected import FullyConnected

FEATURES = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def test_is_one_matrix_product_and_relu_after_the_other():
    layer = FullyConnected((5, 4), dropout=0.5)
    first, second = layer(FEATURES, training=False), FEATURES
    kernel_1, bias_1, kernel_2, bias_2 = layer.get_weights()[:4]
    for kernel, bias in ((kernel_1, bias_1), (kernel_2, bias_2)):
        second = np.maximum(second @ kernel + bias, 0.0)
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_layer_contract():
    run_layer_test(FullyConnected, {"units": (8, 4)}, FEATURES, (3, 4))


def test_training_drops_units_and_keeps_their_mean():
    layer = FullyConnected((2000,), dropout=0.5)
    kept = np.array(layer(np.ones((1, 6), np.float32)))
    dropped = np.array(layer(np.ones((1, 6), np.float32), training=True))
    surviving = dropped != 0
    assert 0.4 < surviving[kept > 0].mean() < 0.6
    np.testing.assert_allclose(dropped[surviving], 2 * kept[surviving], rtol=1e-5)
