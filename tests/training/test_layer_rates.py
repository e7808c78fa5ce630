import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.speed.fused_update import fuse_updates
from tfac.training.layer_rates import layer_rates, scale_learning_rates


@pytest.fixture
def backbone():
    inputs = keras.Input((4,))
    maps = inputs
    for number in range(3):
        maps = keras.layers.Dense(4, name=f"layer{number}")(maps)
    return keras.Model(inputs, maps)


def test_rates_grow_geometrically_from_the_first_layer_to_the_last(backbone):
    rates = layer_rates([backbone], backbone_rate=0.5, first_layer_rate=0.25)
    assert list(rates) == [variable.path for variable in backbone.weights]
    assert list(rates.values()) == [0.125, 0.125, 0.25, 0.25, 0.5, 0.5]


def test_whole_rates_need_no_table(backbone):
    assert layer_rates([backbone], 1.0, 1.0) == {}


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("optimizer_class", ["AdamW", "SGD"])
def test_a_step_is_that_of_an_optimizer_with_the_share_of_the_rate(optimizer_class, scaled):
    def create(learning_rate):
        options = {"momentum": 0.9} if optimizer_class == "SGD" else {}
        optimizer = getattr(keras.optimizers, optimizer_class)(
            learning_rate, weight_decay=0.1, **options
        )
        return keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer

    start = np.array([1.0, -2.0], np.float32)
    variables = [keras.Variable(start, name=name) for name in ("slow", "fast", "slow_alone")]
    optimizer, slow = create(0.1), create(0.025)
    optimizer.build(variables[:2])
    slow.build(variables[2:])
    for each in (optimizer, slow):
        fuse_updates(each)
    scale_learning_rates(optimizer, {variables[0].path: 0.25})
    for step in range(3):
        gradient = tf.constant([0.5, 0.1]) * (step + 1)
        scale = optimizer.scale_loss(tf.ones([]))
        optimizer.apply([gradient * scale, gradient * scale], variables[:2])
        slow.apply([gradient * scale], variables[2:])
    np.testing.assert_allclose(variables[0], variables[2], rtol=1e-6)
    assert not np.allclose(variables[0], variables[1])
