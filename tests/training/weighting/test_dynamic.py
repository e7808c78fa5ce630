import numpy as np
import pytest
import tensorflow as tf

from tfac.training.weighting.dynamic import (
    DynamicWeighting,
    dynamic_weights,
    rescale_to_mean_one,
)


def test_eq_4_gives_the_relative_change_whether_the_loss_falls_or_rises():
    # By hand: |0.5 - 1| / 1, |0.9 - 1| / 1, |2.2 - 2| / 2, no change.
    weights = dynamic_weights(np.array([1.0, 1.0, 2.0, 0.3]), np.array([0.5, 0.9, 2.2, 0.3]))
    np.testing.assert_allclose(weights, [0.5, 0.1, 0.1, 0.0], atol=1e-15)


def test_a_loss_that_was_zero_has_no_trend_and_weighs_one():
    np.testing.assert_array_equal(dynamic_weights(np.zeros(2), np.array([0.0, 3.0])), [1, 1])


def test_mean_one_weights_keep_their_ratios():
    np.testing.assert_allclose(rescale_to_mean_one(np.array([0.1, 0.3])), [0.5, 1.5])
    np.testing.assert_array_equal(rescale_to_mean_one(np.zeros(3)), np.ones(3))


@pytest.mark.parametrize("mean_one", [False, True])
def test_weights_are_one_until_there_are_two_validations(mean_one):
    weighting = DynamicWeighting(3, mean_one)
    np.testing.assert_array_equal(weighting.attribute_weights, np.ones(3))
    weighting.update(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(weighting.attribute_weights, np.ones(3))


def test_the_third_validation_is_compared_with_the_second():
    weighting = DynamicWeighting(2, mean_one=False)
    for losses in ([1.0, 1.0], [0.5, 0.8], [0.4, 0.8]):
        weighting.update(np.array(losses))
    np.testing.assert_allclose(weighting.attribute_weights, [0.2, 0.0], atol=1e-7)
    mean_one = DynamicWeighting(2, mean_one=True)
    for losses in ([1.0, 1.0], [0.5, 0.75]):
        mean_one.update(np.array(losses))
    np.testing.assert_allclose(mean_one.attribute_weights, [4 / 3, 2 / 3], rtol=1e-6)


def test_a_checkpoint_holds_the_whole_state(tmp_path):
    before = DynamicWeighting(2, mean_one=False)
    for losses in ([1.0, 1.0], [0.5, 0.8]):
        before.update(np.array(losses))
    path = tf.train.Checkpoint(weighting=before).save(str(tmp_path / "checkpoint"))
    after = DynamicWeighting(2, mean_one=False)
    tf.train.Checkpoint(weighting=after).restore(path).assert_consumed()
    for weighting in (before, after):
        weighting.update(np.array([0.3, 0.7]))
    np.testing.assert_array_equal(before.attribute_weights, after.attribute_weights)
    assert after.attribute_weights.numpy()[0] != 1
