import math

import numpy as np
import tensorflow as tf

from tfac.training.weighting.dynamic_average import DynamicWeightAverage, average_weights


def run(weighting, losses):
    """The weights after each step."""
    found = []
    for step_losses in losses:
        weighting.after_step(tf.constant(step_losses, tf.float32), iter(()))
        found.append(weighting.attribute_weights.numpy().copy())
    return found


def test_weights_are_a_softmax_of_the_rates_at_temperature_two():
    # By hand: rates 0.5 and 1, exp(0.25) = 1.2840254 and exp(0.5) = 1.6487213; twice their shares.
    weights = average_weights(tf.constant([2.0, 3.0]), tf.constant([1.0, 3.0]))
    np.testing.assert_allclose(weights, [0.8756472, 1.1243528], rtol=1e-6)


def test_a_loss_that_was_zero_counts_as_unchanged():
    weights = average_weights(tf.constant([0.0, 3.0]), tf.constant([1.0, 3.0]))
    np.testing.assert_allclose(weights, [1.0, 1.0], rtol=1e-6)


def test_epoch_means_decide_from_the_third_epoch_on():
    rng = np.random.default_rng(3)
    losses = rng.uniform(0.1, 2, size=(12, 4))
    found = run(DynamicWeightAverage(4, steps_per_epoch=3), losses)
    for step, weights in enumerate(found, start=1):
        epoch = step // 3  # whole epochs done, so the weights are those of this one
        expected = [1.0] * 4
        if epoch >= 2:
            exponentials = []
            for j in range(4):
                newer = sum(losses[3 * (epoch - 1) + k][j] for k in range(3)) / 3
                older = sum(losses[3 * (epoch - 2) + k][j] for k in range(3)) / 3
                exponentials.append(math.exp(newer / older / 2))
            expected = [4 * value / sum(exponentials) for value in exponentials]
        np.testing.assert_allclose(weights, expected, rtol=1e-5, err_msg=f"step {step}")
