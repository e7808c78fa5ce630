"""Batch normalisation on TensorFlow's fused kernel."""

import types

import keras
import tensorflow as tf

from tfac.speed.inference_folding import fold, folds

_KERNEL_DTYPES = ("float32", "bfloat16", "float16")


def fuse_batch_norms(model: keras.Model) -> int:
    """Makes a model's batch normalisations run on TensorFlow's fused kernel, and counts them.

    Keras 3 casts the maps to float32 and takes the moments, normalises and casts back in an
    operation each, every one a pass over the maps, and so does the gradient. `FusedBatchNormV3`
    takes one operation each way and reads bfloat16 and float16 as they are. Outputs, gradients and
    moving statistics are Keras's up to rounding.

    Only the `call` of each layer object changes. Its class, config and weights stay Keras's, and so
    does what is saved or exported. Where the kernel has no equal of what Keras does (inputs of
    another rank than 4, an `axis` other than the last, no `scale` or no `center`, `renorm`,
    `synchronized`, a mask, inputs of another dtype than the layer's), the layer still runs Keras's.

    Args:
        model: a built model. `keras.layers.BatchNormalization` at any depth is found; its
            subclasses are left alone.

    Returns:
        The number of batch normalisations found.
    """
    layers = [
        layer for layer in model._flatten_layers() if type(layer) is keras.layers.BatchNormalization
    ]
    for layer in layers:
        layer.call = types.MethodType(_call, layer)
    return len(layers)


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    if mask is not None or not _fits_kernel(layer, inputs):
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    uses_batch = bool(training and layer.trainable)
    if folds() and not uses_batch:
        outputs = fold(layer, inputs)
        if outputs is not None:
            return outputs
    moving_mean = tf.cast(layer.moving_mean, tf.float32)
    moving_variance = tf.cast(layer.moving_variance, tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.cast(layer.gamma, tf.float32),
        offset=tf.cast(layer.beta, tf.float32),
        mean=moving_mean,
        variance=moving_variance,
        epsilon=layer.epsilon,
        is_training=uses_batch,
    )
    if uses_batch:
        # The kernel returns the variance over n - 1; Keras's is over n.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        variance *= (count - 1) / count
        old, new = layer.momentum, 1 - layer.momentum
        layer.moving_mean.assign(moving_mean * old + mean * new)
        layer.moving_variance.assign(moving_variance * old + variance * new)
    return outputs


def _fits_kernel(layer: keras.layers.BatchNormalization, inputs: tf.Tensor) -> bool:
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    return (
        len(inputs.shape) == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
        and not layer.synchronized
        and dtype == layer.compute_dtype
        and dtype in _KERNEL_DTYPES
    )
