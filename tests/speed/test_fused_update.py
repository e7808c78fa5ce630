import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.speed.fused_update import fuse_updates

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, epsilon=1e-4),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=1.0),
    "adamw with a schedule": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.01, 5), weight_decay=0.1
    ),
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(0.01)),
}


def train(optimizer, steps=4):
    """Weights and the optimizer's variables after a few steps in a graph."""
    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in ((3, 4), (4,))]
    optimizer.build(weights)

    @tf.function
    def step(gradients):
        optimizer.apply(gradients, weights)

    for _ in range(steps):
        step([tf.constant(rng.normal(size=w.shape).astype("float32")) for w in weights])
    return [keras.ops.convert_to_numpy(v) for v in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_and_moments_are_keras_s(name):
    fused, plain = OPTIMIZERS[name](), OPTIMIZERS[name]()
    assert fuse_updates(fused)
    for a, b in zip(train(fused), train(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("fused", [True, False])
def test_weight_decay_leaves_out_what_is_excluded(fused):
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    if fused:
        fuse_updates(optimizer)
    variables = [keras.Variable([2.0], name=name) for name in ("kernel", "bias")]
    optimizer.build(variables)
    optimizer.apply([tf.constant([0.0])] * 2, variables)
    np.testing.assert_allclose([float(v[0]) for v in variables], [1.9, 2.0], rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Adam(amsgrad=True),
        keras.optimizers.SGD(),
        keras.optimizers.RMSprop(),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop()),
    ],
)
def test_other_optimizers_are_left_alone(optimizer):
    assert not fuse_updates(optimizer)
    assert "update_step" not in vars(optimizer)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_sparse_gradients_are_left_to_keras(name):
    found = []
    for fused in (True, False):
        optimizer = OPTIMIZERS[name]()
        if fused:
            fuse_updates(optimizer)
        variable = keras.Variable(np.ones((4, 2)), dtype="float32")
        optimizer.build([variable])
        gradient = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), tf.constant([4, 2]))
        optimizer.apply([gradient], [variable])
        found.append(keras.ops.convert_to_numpy(variable))
    np.testing.assert_array_equal(*found)


def test_unused_weights_stay_as_they_are():
    optimizer = OPTIMIZERS["adam"]()
    fuse_updates(optimizer)
    variables = [keras.Variable([1.0]), keras.Variable([1.0])]
    optimizer.build(variables)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([tf.constant([1.0]), None], variables)
    assert float(variables[0][0]) < 1 and float(variables[1][0]) == 1
