import numpy as np
import pytest

from tfac.models import create_backbone, create_model
from tfac.models.dlib_resnet import AppendMean, MinimumSize, PaddedSum


def test_has_the_weights_of_29_convolutions():
    backbone = create_backbone("dlib_resnet29")
    assert sum(layer.name.endswith("_conv") for layer in backbone.layers) == 29
    # dlib's file has 5,576,192 numbers of convolutions without biases, and a scale and a shift each
    # channel; the statistics of batch norms are as many again.
    assert backbone.count_params() == 5_585_376


@pytest.mark.parametrize(
    ("size", "last"),
    [((150, 150), (4, 4)), ((137, 112), (4, 3)), ((64, 64), (1, 1)), ((16, 31), (1, 1))],
)
def test_every_size_has_maps_of_stride_32(size, last):
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    feature_map = np.array(create_backbone("dlib_resnet29")(images))
    assert feature_map.shape == (1, *last, 512)
    assert np.all(feature_map >= 0) and np.any(feature_map > 0)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_follow_the_dtype_policy(policy):
    model = create_model("baseline", backbone="dlib_resnet29", dtype=policy)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    feature_map = model.backbone(model.normalization(images))
    assert feature_map.dtype == policy.removeprefix("mixed_")
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)


def test_sum_fills_the_smaller_up_with_zeros():
    rng = np.random.default_rng(0)
    branch, shortcut = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 4, 4, 2))
    expected = np.zeros((2, 4, 4, 5))
    for maps in (branch, shortcut):
        for place in np.ndindex(maps.shape):
            expected[place] += maps[place]
    layer = PaddedSum()
    np.testing.assert_allclose(layer([branch, shortcut]), expected, rtol=1e-6)
    assert layer.compute_output_shape([(None, None, 4, 5), (None, None, 4, 2)]) == (
        None,
        None,
        4,
        5,
    )


def test_sides_unknown_when_traced_are_filled_up_too():
    import tensorflow as tf

    unknown = tf.TensorSpec([None, None, None, 2], tf.float32)
    layer = PaddedSum()
    added = tf.function(lambda a, b: layer([a, b]), input_signature=[unknown, unknown])
    total = added(tf.ones((1, 3, 2, 2)), tf.ones((1, 2, 4, 2)))
    np.testing.assert_array_equal(total[0, :, :, 0], [[2, 2, 1, 1], [2, 2, 1, 1], [1, 1, 0, 0]])
    minimum = MinimumSize(3)
    filled = tf.function(lambda a: minimum(a), input_signature=[unknown])(tf.ones((1, 1, 5, 2)))
    np.testing.assert_array_equal(filled[0, :, :, 0], [[1] * 5, [0] * 5, [0] * 5])


def test_mean_is_appended_to_each_cell():
    rng = np.random.default_rng(0)
    maps, others = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 2, 1, 3))
    outputs = np.array(AppendMean()([maps, others]))
    for b, row, column in np.ndindex(2, 3, 2):
        mean = (others[b, 0, 0] + others[b, 1, 0]) / 2
        expected = [*maps[b, row, column], *mean]
        np.testing.assert_allclose(outputs[b, row, column], expected, rtol=1e-5, atol=1e-6)
