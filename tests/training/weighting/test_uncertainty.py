import math

import numpy as np
import tensorflow as tf

from tfac.training.config import TrainConfig
from tfac.training.schedules import create_optimizer
from tfac.training.weighting.uncertainty import UncertaintyWeighting

LOSSES = [0.5, 2.0, 1.0]


def test_total_is_eq_7():
    weighting = UncertaintyWeighting(3)
    weighting.learnt_variables[0].assign([0.0, 1.0, -2.0])
    expected = sum(
        math.exp(-s) * loss / 2 + s / 2 for s, loss in zip([0.0, 1.0, -2.0], LOSSES, strict=True)
    )
    assert abs(float(weighting.total(tf.constant(LOSSES))) - expected) < 1e-6
    np.testing.assert_allclose(
        weighting.attribute_weights, [0.5, math.exp(-1) / 2, math.exp(2) / 2], rtol=1e-6
    )


def test_trained_weights_are_half_the_inverse_losses():
    # The total is least where exp(s) = L. Weight decay would pull s towards 0.
    weighting = UncertaintyWeighting(3)
    config = TrainConfig(
        optimizer="sgd", momentum=0.0, weight_decay=0.5, learning_rate=0.5, schedule="constant",
        warmup_epochs=0.0,
    )  # fmt: skip
    optimizer = create_optimizer(config, 1, 1)
    optimizer.build(weighting.learnt_variables)
    values = [variable.value for variable in weighting.learnt_variables]
    for _ in range(200):
        with tf.GradientTape() as tape:
            total = weighting.total(tf.constant(LOSSES))
        optimizer.apply(tape.gradient(total, values), weighting.learnt_variables)
    np.testing.assert_allclose(weighting.attribute_weights, 0.5 / np.array(LOSSES), rtol=1e-3)


def test_a_checkpoint_holds_the_log_variances(tmp_path):
    before, after = UncertaintyWeighting(3), UncertaintyWeighting(3)
    before.learnt_variables[0].assign(LOSSES)
    path = tf.train.Checkpoint(weighting=before).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(weighting=after).restore(path).assert_consumed()
    np.testing.assert_array_equal(after.learnt_variables[0].value, LOSSES)
