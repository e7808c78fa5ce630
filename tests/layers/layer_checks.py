"""The checks every layer has to pass, around Keras's own test harness."""

import keras
import numpy as np


def run_layer_test(layer_class, arguments, inputs, expected_shape):
    """Config, build, symbolic and eager calls, gradients and mixed precision of one layer.

    `expected_shape` is a shape, or a tuple of shapes for a layer with several outputs.
    """
    layer = layer_class(**arguments)
    restored = layer_class.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()

    symbolic = layer(keras.KerasTensor((None, *inputs.shape[1:])))
    several = isinstance(expected_shape[0], tuple)
    shapes = expected_shape if several else (expected_shape,)
    assert [output.shape[1:] for output in keras.tree.flatten(symbolic)] == [s[1:] for s in shapes]
    outputs = keras.tree.flatten(layer(inputs))
    assert [tuple(output.shape) for output in outputs] == list(shapes)
    assert layer.compute_output_shape(inputs.shape) == expected_shape

    if layer.trainable_variables:
        _check_training(layer, inputs, shapes)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        mixed = layer_class(**arguments, dtype=policy)
        for output in keras.tree.flatten(mixed(inputs)):
            assert np.all(np.isfinite(keras.ops.convert_to_numpy(output).astype("float32")))


def _check_training(layer, inputs, shapes):
    symbolic = keras.Input(inputs.shape[1:])
    model = keras.Model(symbolic, keras.tree.flatten(layer(symbolic)))
    model.compile(optimizer="sgd", loss=["mse"] * len(shapes))
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in layer.trainable_variables]
    rng = np.random.default_rng(0)
    targets = [rng.normal(size=shape) for shape in shapes]
    model.fit(inputs, targets, batch_size=len(inputs), epochs=1, verbose=0)
    for variable, old in zip(layer.trainable_variables, before, strict=True):
        assert not np.array_equal(keras.ops.convert_to_numpy(variable), old), (
            f"{variable.path} did not train"
        )
