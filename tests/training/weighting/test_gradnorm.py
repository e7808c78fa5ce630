import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.training.weighting.gradnorm import (
    GradNormWeighting,
    last_shared_layer,
    weight_gradient,
)

IMAGES = np.random.default_rng(5).normal(size=(6, 3)).astype(np.float32)
LABELS = np.random.default_rng(6).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def network():
    keras.utils.set_random_seed(2)
    backbone = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, activation="relu")])
    head = keras.layers.Dense(4)
    head.build((None, 5))
    return backbone, head


def observe(weighting, network, scale=1.0, times=1):
    """Lets the weighting see the gradients some times; the network stays as it is."""
    backbone, head = network

    @tf.function
    def step():
        with tf.GradientTape(persistent=True) as tape:
            losses = tf.reduce_mean((head(backbone(IMAGES)) - LABELS) ** 2, axis=0)
            scaled_losses = scale * losses
        weighting.observe_gradients(tape, scaled_losses, losses, tf.constant(scale))
        return losses

    for _ in range(times):
        losses = step()
    return losses.numpy()


def gradient_lengths(network):
    """Each attribute's own backward pass."""
    backbone, head = network
    lengths = []
    for j in range(4):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((head(backbone(IMAGES))[:, j] - LABELS[:, j]) ** 2)
        gradients = tape.gradient(loss, [v.value for v in backbone.trainable_variables])
        lengths.append(np.sqrt(sum((g.numpy() ** 2).sum() for g in gradients)))
    return np.array(lengths)


def test_first_step_lowers_the_weights_of_large_gradients(network):
    weighting = GradNormWeighting(4, last_shared_layer(network[0]))
    losses = observe(weighting, network)
    lengths = gradient_lengths(network)
    # All losses are at their start, so every target is the mean; Adam's first step is its rate.
    expected = 1 - 0.025 * np.sign(lengths - lengths.mean())
    np.testing.assert_allclose(
        weighting.attribute_weights, expected * 4 / expected.sum(), rtol=1e-5
    )
    np.testing.assert_array_equal(weighting.first_losses, losses)


def test_gradient_of_eq_2_equals_finite_differences():
    weights, norms = np.array([1.0, 0.5, 2.0, 0.5]), np.array([1.0, 3.0, 0.2, 0.5])
    losses, first_losses = np.array([0.5, 0.9, 0.1, 0.4]), np.array([1.0, 1.0, 0.8, 0.4])
    ratios = [loss / first for loss, first in zip(losses, first_losses, strict=True)]
    mean_norm = sum(weights * norms) / 4
    targets = [mean_norm * (ratio / (sum(ratios) / 4)) ** 1.5 for ratio in ratios]

    def loss(weights):
        return sum(abs(weights[j] * norms[j] - targets[j]) for j in range(4))

    found = weight_gradient(*(tf.constant(a) for a in (weights, norms, losses, first_losses)))
    for j in range(4):
        step = 1e-6 * np.eye(4)[j]
        expected = (loss(weights + step) - loss(weights - step)) / 2e-6
        assert float(found[j]) == pytest.approx(expected, rel=1e-5)


def test_loss_that_began_at_zero_counts_as_unchanged():
    ones = tf.ones(2)
    found = weight_gradient(ones, ones, tf.constant([5.0, 1.0]), tf.constant([0.0, 1.0]))
    np.testing.assert_array_equal(found, [0.0, 0.0])


def test_loss_scale_changes_nothing_and_an_overflow_leaves_the_weights(network):
    plain, scaled = (GradNormWeighting(4, last_shared_layer(network[0])) for _ in range(2))
    observe(plain, network)
    observe(scaled, network, scale=1024.0)
    np.testing.assert_allclose(plain.attribute_weights, scaled.attribute_weights, rtol=1e-5)
    before = scaled.attribute_weights.numpy()
    observe(scaled, network, scale=float("inf"))
    np.testing.assert_array_equal(scaled.attribute_weights, before)


def test_weights_stay_at_or_above_zero_with_their_number_as_sum(network):
    weighting = GradNormWeighting(4, last_shared_layer(network[0]))
    observe(weighting, network, times=60)
    assert weighting.attribute_weights.numpy().min() >= 0
    assert weighting.attribute_weights.numpy().sum() == pytest.approx(4, rel=1e-5)
    assert weighting.attribute_weights.numpy().std() > 0.1


def test_last_shared_layer_of_a_resnet_is_a_normalisation():
    from tfac.models import create_backbone

    layer = last_shared_layer(create_backbone("resnet18"))
    assert isinstance(layer, keras.layers.BatchNormalization)
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(512,), (512,)]


def test_a_checkpoint_holds_the_whole_state(network, tmp_path):
    before, after = (GradNormWeighting(4, last_shared_layer(network[0])) for _ in range(2))
    observe(before, network)
    path = tf.train.Checkpoint(weighting=before).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(weighting=after).restore(path).assert_consumed()
    for weighting in (before, after):
        observe(weighting, network)
    np.testing.assert_array_equal(before.attribute_weights, after.attribute_weights)
