"""The checks every layer has to pass, around Keras's own test harness."""

import keras
import numpy as np


def run_layer_test(layer_class, arguments, inputs, expected_shape):
    """Config, build, symbolic and eager calls, gradients and mixed precision of one layer."""
    layer = layer_class(**arguments)
    restored = layer_class.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()

    symbolic = layer(keras.KerasTensor((None, *inputs.shape[1:])))
    assert symbolic.shape == (None, *expected_shape[1:])
    outputs = layer(inputs)
    assert tuple(outputs.shape) == expected_shape
    assert layer.compute_output_shape(inputs.shape) == expected_shape

    if layer.trainable_variables:
        _check_training(layer, inputs, expected_shape)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        mixed = layer_class(**arguments, dtype=policy)
        assert np.all(np.isfinite(keras.ops.convert_to_numpy(mixed(inputs)).astype("float32")))


def _check_training(layer, inputs, expected_shape):
    model = keras.Sequential([layer])
    model.compile(optimizer="sgd", loss="mse")
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in layer.trainable_variables]
    targets = np.random.default_rng(0).normal(size=expected_shape)
    model.fit(inputs, targets, batch_size=len(inputs), epochs=1, verbose=0)
    for variable, old in zip(layer.trainable_variables, before, strict=True):
        assert not np.array_equal(keras.ops.convert_to_numpy(variable), old), (
            f"{variable.path} did not train"
        )
