import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac.training.config import TrainConfig
from tfac.training.schedules import PlateauSchedule, create_optimizer, current_learning_rate


def test_plateau_divides_by_ten_when_the_loss_stops_falling():
    optimizer = keras.optimizers.SGD(0.1)
    plateau = PlateauSchedule(optimizer, patience=2)
    rates = []
    for loss in [1.0, 0.9, 0.95, 0.9, 0.8, 0.85, 0.85, 0.85, 0.85]:
        plateau.update(loss)
        rates.append(current_learning_rate(optimizer))
    np.testing.assert_allclose(rates, [0.1] * 3 + [0.01] * 3 + [0.001] * 2 + [0.0001], rtol=1e-5)


def test_plateau_and_its_rate_come_back_from_a_checkpoint(tmp_path):
    def create():
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([keras.Variable([1.0])])
        plateau = PlateauSchedule(optimizer, patience=1)
        return plateau, optimizer, tf.train.Checkpoint(plateau=plateau, optimizer=optimizer)

    plateau, optimizer, checkpoint = create()
    for loss in (1.0, 2.0):
        plateau.update(loss)
    path = checkpoint.save(str(tmp_path / "checkpoint"))
    other, other_optimizer, other_checkpoint = create()
    other_checkpoint.restore(path).assert_consumed()
    assert current_learning_rate(other_optimizer) == pytest.approx(0.01)
    assert other.lowest_loss.numpy() == 1.0


def rates(config, steps_per_epoch, num_steps):
    optimizer = create_optimizer(config, steps_per_epoch, num_replicas=1)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    found = []
    for _ in range(num_steps):
        found.append(current_learning_rate(optimizer))
        optimizer.apply([keras.ops.zeros(1)])
    return found


def test_step_drops_to_a_tenth_after_whole_epochs():
    config = TrainConfig(
        schedule="step", drop_epoch=2, learning_rate=0.01, epochs=3, warmup_epochs=0.0
    )
    expected = [0.01] * 10 + [0.001] * 5
    np.testing.assert_allclose(rates(config, 5, 15), expected, rtol=1e-5)


def test_cosine_falls_to_zero_over_the_run():
    config = TrainConfig(schedule="cosine", learning_rate=0.4, epochs=2, warmup_epochs=0.0)
    expected = [0.4 * (1 + np.cos(np.pi * step / 10)) / 2 for step in range(11)]
    np.testing.assert_allclose(rates(config, 5, 11), expected, atol=1e-7)


def test_warmup_rises_to_the_learning_rate_and_ends_where_the_run_ends():
    config = TrainConfig(schedule="cosine", learning_rate=0.4, epochs=2, warmup_epochs=1.0)
    found = rates(config, 5, 11)
    np.testing.assert_allclose(found[:6], np.linspace(0, 0.4, 6), atol=1e-7)
    assert found[10] == pytest.approx(0, abs=1e-7)


def test_constant_rate_stays():
    assert len(set(rates(TrainConfig(schedule="constant", warmup_epochs=0.0), 5, 4))) == 1


def test_weight_decay_spares_biases_and_normalisation():
    config = TrainConfig(
        optimizer="sgd", learning_rate=0.5, weight_decay=0.1, schedule="constant", warmup_epochs=0.0
    )
    optimizer = create_optimizer(config, 5, num_replicas=1)
    names = ("kernel", "bias", "gamma", "beta")
    variables = [keras.Variable([1.0], name=name) for name in names]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros(1)] * 4)
    np.testing.assert_allclose([v.numpy()[0] for v in variables], [0.95, 1, 1, 1])


def test_gradients_longer_than_the_clip_norm_are_shortened():
    config = TrainConfig(
        optimizer="sgd",
        learning_rate=1.0,
        momentum=0.0,
        gradient_clip_norm=1.0,
        schedule="constant",
        warmup_epochs=0.0,
    )
    optimizer = create_optimizer(config, 5, num_replicas=1)
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    optimizer.build(variables)
    optimizer.apply([keras.ops.array([3.0]), keras.ops.array([4.0])])
    np.testing.assert_allclose([v.numpy()[0] for v in variables], [-0.6, -0.8], rtol=1e-6)


def test_mixed_float16_scales_the_loss():
    optimizer = create_optimizer(TrainConfig(precision="mixed_float16"), 5, num_replicas=1)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def test_cosine_of_mixed_float16_falls_to_zero_though_steps_are_left_out():
    config = TrainConfig(
        precision="mixed_float16",
        schedule="cosine",
        learning_rate=0.4,
        epochs=2,
        warmup_epochs=0.0,
        loss_scale=8.0,
    )
    step = tf.Variable(0, dtype=tf.int64)
    optimizer = create_optimizer(config, 5, num_replicas=1, step=step)
    optimizer.build([keras.Variable([1.0])])
    for gradient in (np.inf, np.inf, *[0.0] * 8):
        optimizer.apply([keras.ops.array([gradient])])
        step.assign_add(1)
    assert int(optimizer.iterations) == 8 and float(optimizer.dynamic_scale) == 2
    assert current_learning_rate(optimizer) == pytest.approx(0, abs=1e-7)
