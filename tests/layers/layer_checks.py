"""The checks every layer has to pass, around Keras's own test harness."""

import keras
import numpy as np
import tensorflow as tf


def run_layer_test(layer_class, arguments, inputs, expected_shape):
    """Config, build, symbolic and eager calls, sizes, gradients and mixed precision of one layer.

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

    if inputs.ndim == 4:
        _check_sizes(layer, inputs.shape[-1])
    if layer.trainable_variables:
        _check_training(layer, inputs, shapes)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        mixed = layer_class(**arguments, dtype=policy)
        for output in keras.tree.flatten(mixed(inputs)):
            assert np.all(np.isfinite(keras.ops.convert_to_numpy(output).astype("float32")))


def _check_sizes(layer, channels):
    """One trace serves maps of every size, down to one cell."""
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, channels))])
    def traced(maps):
        traces.append(1)
        return layer(maps)

    for size in [(7, 7), (2, 5), (1, 1)]:
        maps = np.random.default_rng(0).normal(size=(2, *size, channels)).astype(np.float32)
        pairs = zip(*map(keras.tree.flatten, (traced(maps), layer(maps))), strict=True)
        for graph, eager in pairs:
            np.testing.assert_allclose(graph, eager, rtol=1e-5, atol=1e-6)
    assert len(traces) == 1
    symbolic = keras.tree.flatten(layer(keras.Input((None, None, channels))))
    assert all(output.shape[0] is None for output in symbolic)


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
