import numpy as np

from tfac.models import create_backbone
from tfac.models.dlib_resnet import AppendMean, MinimumSize, PaddedSum


def test_has_the_weights_of_29_convolutions():
    backbone = create_backbone("dlib_resnet29")
    assert sum(layer.name.endswith("_conv") for layer in backbone.layers) == 29
    # dlib's file has 5,576,192 numbers of convolutions without biases, and a scale and a shift each
    # channel; the statistics of batch norms are as many again.
    assert backbone.count_params() == 5_585_376


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
