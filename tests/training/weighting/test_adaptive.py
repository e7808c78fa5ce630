import numpy as np
import tensorflow as tf

from tfac.training.weighting.adaptive import INTERVAL, AdaptiveWeighting, adaptive_weights


def samples(sums, counts):
    for step_sums, step_counts in zip(sums, counts, strict=True):
        yield tf.constant(step_sums, tf.float32), tf.constant(step_counts, tf.float32)


def test_weights_equal_the_papers_formula_in_plain_loops():
    rng = np.random.default_rng(4)
    sums = rng.uniform(1, 9, size=(6, 3))
    counts = rng.integers(4, 11, size=(6, 3))
    weighting = AdaptiveWeighting(3, interval=2)
    batches = samples(sums, counts)
    for step in range(1, 7):
        weighting.after_step(tf.zeros(3), batches)
        if step < 4:
            expected = [1.0, 1.0, 1.0]
        else:
            last = step - step % 2  # an interval ended there
            trends, losses = [], []
            for j in range(3):
                newer = sum(sums[last - 2 : last, j]) / sum(counts[last - 2 : last, j])
                older = sum(sums[last - 4 : last - 2, j]) / sum(counts[last - 4 : last - 2, j])
                trends.append(abs(newer - older) / newer)
                losses.append(newer)
            raw = [trends[j] / (sum(trends) / 3) * losses[j] / (sum(losses) / 3) for j in range(3)]
            expected = [weight / (sum(raw) / 3) for weight in raw]
        np.testing.assert_allclose(weighting.attribute_weights, expected, rtol=1e-4)


def test_weights_are_one_until_step_400():
    weighting = AdaptiveWeighting(2)
    losses = np.ones((2 * INTERVAL, 2))
    losses[INTERVAL:, 0] = 3
    batches = samples(losses, np.ones_like(losses))
    for _ in range(2 * INTERVAL - 1):
        weighting.after_step(tf.zeros(2), batches)
    np.testing.assert_array_equal(weighting.attribute_weights, [1, 1])
    weighting.after_step(tf.zeros(2), batches)
    np.testing.assert_array_equal(weighting.attribute_weights, [2, 0])


def test_losses_that_stay_the_same_weigh_one():
    np.testing.assert_array_equal(adaptive_weights(tf.ones(3), tf.ones(3)), np.ones(3))
