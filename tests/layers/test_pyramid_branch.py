import numpy as np
import pytest

from tests.layers.layer_checks import run_layer_test
from tests.layers.test_spatial_pyramid_pooling import pool_by_loops
from tfac.layers import PyramidBranch


def branch_by_loops(branch, feature_maps):
    """Pooling, then each fully connected layer unit by unit, without normalisation."""
    features = pool_by_loops(feature_maps, branch.levels)
    dense_layers = [layer for layer in branch.hidden if layer.name.startswith("dense")]
    for layer in [*dense_layers, branch.head]:
        kernel, bias = (np.array(weight) for weight in layer.get_weights())
        outputs = np.zeros((len(features), kernel.shape[1]))
        for row in range(len(features)):
            for unit in range(kernel.shape[1]):
                total = bias[unit]
                for i in range(kernel.shape[0]):
                    total += features[row, i] * kernel[i, unit]
                outputs[row, unit] = total if layer is branch.head else max(total, 0.0)
        features = outputs
    return features


def test_equals_plain_loops():
    feature_maps = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    branch = PyramidBranch(levels=(1, 2), hidden_units=(6, 5), num_outputs=4)
    outputs = branch(feature_maps)
    np.testing.assert_allclose(outputs, branch_by_loops(branch, feature_maps), rtol=1e-5, atol=1e-6)


def test_normalised_features_equal_plain_numpy():
    feature_maps = np.random.default_rng(0).normal(size=(16, 4, 4, 3)).astype(np.float32)
    branch = PyramidBranch((1,), (5,), 2, normalization=True, feature_scale=0.3, head_bias=0.5)
    outputs = branch(feature_maps, training=True)
    hidden = pool_by_loops(feature_maps, (1,)) @ branch.hidden[0].get_weights()[0]
    normalised = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5)
    features = np.maximum(0.3 * normalised, 0)
    expected = features @ branch.head.get_weights()[0] + 0.5
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_shortcut_adds_the_mean_of_the_map_to_what_the_head_reads():
    feature_maps = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    branch = PyramidBranch(levels=(1,), hidden_units=(6,), num_outputs=4, shortcut=True)
    outputs = branch(feature_maps)
    kernel, bias = branch.head.get_weights()
    without = PyramidBranch(levels=(1,), hidden_units=(6,), num_outputs=4)
    without.build(feature_maps.shape)
    without.set_weights([*branch.get_weights()[:2], kernel[:6], bias])
    expected = branch_by_loops(without, feature_maps)
    for row in range(3):
        for channel in range(2):
            expected[row] += feature_maps[row, :, :, channel].mean() * kernel[6 + channel]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_without_normalisation_kernels_start_as_pytorch_starts_dense_layers():
    branch = PyramidBranch(levels=(1,), hidden_units=(300,), num_outputs=40)
    branch.build((None, 4, 4, 500))
    for kernel, bias in zip(branch.weights[::2], branch.weights[1::2], strict=True):
        bound = 1 / np.sqrt(kernel.shape[0])
        values = np.array(kernel)
        assert np.abs(values).max() == pytest.approx(bound, rel=0.01)
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)  # uniform
        assert not np.any(bias)


@pytest.mark.parametrize("normalization", [False, True])
def test_layer_contract(normalization):
    inputs = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    arguments = {
        "levels": (1, 2),
        "hidden_units": (6, 5),
        "num_outputs": 4,
        "normalization": normalization,
        "shortcut": normalization,
    }
    run_layer_test(PyramidBranch, arguments, inputs, (8, 4))


def test_scores_are_float32_under_mixed_precision():
    branch = PyramidBranch((1,), (4,), 3, dtype="mixed_float16")
    assert branch(np.ones((2, 3, 3, 4), np.float32)).dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_outputs": 0}, "num_outputs"),
        ({"num_outputs": 2, "feature_scale": 0.0}, "feature_scale"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PyramidBranch((1,), (4,), **arguments)
