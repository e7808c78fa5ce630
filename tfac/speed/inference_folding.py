"""Batch normalisations folded into the convolutions before them, for validations.

`tfac.speed.folding` does it to the weights, once a network is trained. Here the weights stay as
they are and the graph of the inference folds them, so that it follows a network that trains on.
TensorFlow then runs convolution, shift and ReLU as one operation.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import tensorflow as tf

_FOLDS = contextvars.ContextVar("folds", default=False)


@contextlib.contextmanager
def folding_batch_norms() -> Iterator[None]:
    """What is traced in it, in the same thread, folds what can be folded."""
    token = _FOLDS.set(True)
    try:
        yield
    finally:
        _FOLDS.reset(token)


def folds() -> bool:
    """Says whether `folding_batch_norms` is on."""
    return _FOLDS.get()


def fold(norm: keras.layers.BatchNormalization, inputs: tf.Tensor) -> tf.Tensor | None:
    """Returns what a normalisation with its moving statistics gives, up to rounding.

    Args:
        norm: with gamma and beta, over the last axis.
        inputs: [B, H, W, C].

    Returns:
        The outputs of a convolution like the one that gave `inputs`, its kernel scaled, plus the
        shift; None where no convolution gave them, as in eager mode.
    """
    if not tf.is_symbolic_tensor(inputs) or inputs.op.type != "Conv2D":
        return None
    maps, kernel = inputs.op.inputs
    if kernel.op.type == "Cast":
        kernel = kernel.op.inputs[0]  # so that it is rounded once
    scale = tf.cast(norm.gamma, tf.float32) * tf.math.rsqrt(
        tf.cast(norm.moving_variance, tf.float32) + norm.epsilon
    )
    shift = tf.cast(norm.beta, tf.float32) - tf.cast(norm.moving_mean, tf.float32) * scale
    attributes = ("strides", "padding", "explicit_paddings", "data_format", "dilations")
    outputs = tf.raw_ops.Conv2D(
        input=maps,
        filter=tf.cast(tf.cast(kernel, tf.float32) * scale, maps.dtype),
        **{name: inputs.op.get_attr(name) for name in attributes},
    )
    return tf.nn.bias_add(outputs, tf.cast(shift, outputs.dtype))
