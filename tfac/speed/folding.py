"""Batch normalisations folded into the convolutions before them.

A batch normalisation after a convolution scales and shifts each channel by numbers that no longer
change once the network is trained, so the convolution can do it: its kernel takes the scale, and a
bias the shift. TensorFlow then runs convolution, bias and ReLU as one operation (Grappler's
remapping), and not as several passes over the maps.
"""

import types

import keras
import numpy as np
import tensorflow as tf


def create_folded_network(model: keras.Model) -> keras.Model:
    """Returns a copy of a network for inference, with its batch norms folded.

    Args:
        model: images [B, H, W, 3] to a dict of outputs, one of `tfac.models` or a functional model;
            left as it is.

    Returns:
        A model with the same call arguments and config. Its outputs are the same up to rounding:
        ``tests/export/test_folding.py`` says how far.
    """
    copy = copy_network(model)
    fold_batch_norms(copy)
    return copy


def copy_network(model: keras.Model, precision: str | None = None) -> keras.Model:
    """Returns a network of the same config and weights.

    Args:
        model: one of `tfac.models`, or a functional model.
        precision: Keras dtype policy of the copy; by default the model's. A functional model's
            layers have each their own, and keep it.
    """
    config = model.get_config()
    if precision is not None and "dtype" in config:
        config["dtype"] = precision
    copy = type(model).from_config(config)
    if not copy.built:
        copy.build((None, None, None, 3))
    copy.set_weights(model.get_weights())
    return copy


def fold_batch_norms(model: keras.Model) -> int:
    """Folds batch normalisations into the convolutions before them, in place.

    Each `keras.layers.BatchNormalization` that is the only one to read what a
    `keras.layers.Conv2D` without bias and activation gives is folded; others, such as those after
    dense layers, stay as they are. Kernels and betas change, so the model is of use for inference
    alone.

    Args:
        model: a built model.

    Returns:
        How many were folded.
    """
    pairs = _find_pairs(model)
    for convolution, norm in pairs:
        # In float64: the products are then rounded once.
        scale = np.asarray(norm.gamma, np.float64) / np.sqrt(
            np.asarray(norm.moving_variance, np.float64) + norm.epsilon
        )
        convolution.kernel.assign(np.asarray(convolution.kernel, np.float64) * scale)
        norm.beta.assign(np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale)
        norm.call = types.MethodType(_add_shift, norm)
    return len(pairs)


def _add_shift(norm, inputs, training=None, mask=None):
    return tf.nn.bias_add(inputs, tf.cast(norm.beta, inputs.dtype))


def _find_pairs(model) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Runs the model once as a graph and sees which normalisation reads which convolution."""
    layers = list(model._flatten_layers())
    convolutions = [layer for layer in layers if _is_foldable_convolution(layer)]
    norms = [layer for layer in layers if _is_foldable_norm(layer)]
    made, read = [], []  # (layer, the tensor that it gave or took), once a call
    for layer in convolutions:
        layer.call = _recording(layer, made, gives=True)
    for layer in norms:
        layer.call = _recording(layer, read, gives=False)
    try:
        tf.function(lambda images: model(images, training=False)).get_concrete_function(
            tf.TensorSpec([None, None, None, 3])
        )
    finally:
        for layer in (*convolutions, *norms):
            del layer.call
    makers = {tensor.ref(): layer for layer, tensor in made if _count(made, layer) == 1}
    return [
        (makers[tensor.ref()], norm)
        for norm, tensor in read
        if tensor.ref() in makers and len(tensor.consumers()) == 1 and _count(read, norm) == 1
    ]


def _recording(layer, record: list, gives: bool):
    call = layer.call

    def recorded(inputs, *arguments, **options):
        outputs = call(inputs, *arguments, **options)
        record.append((layer, outputs if gives else inputs))
        return outputs

    return recorded


def _count(record: list, layer) -> int:
    return sum(recorded is layer for recorded, _ in record)


def _is_foldable_convolution(layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and not layer.use_bias
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
    )


def _is_foldable_norm(layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
    )
