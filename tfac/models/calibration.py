"""Batch norms of a pretrained network that start with the statistics of the pictures at hand."""

import functools

import keras
from keras import ops


def calibrate_batch_norms(model: keras.Model, images) -> int:
    """Gives a model's batch norms the statistics of some pictures; in inference its answers stay.

    A network whose norms were stored as scales and shifts alone, as dlib's are, answers as it
    should, but in training it would normalise by the batch and so become another one at the first
    step. Afterwards the moving statistics are those of `images`, and gamma and beta undo the
    difference.

    Args:
        model: a built model. Its `keras.layers.BatchNormalization` are found at any depth; over the
            last axis, with scale and center.
        images: [B, H, W, 3] as the model takes them; a hundred will do.

    Returns:
        The number of batch norms.
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    calls = [norm.call for norm in norms]
    for norm, call in zip(norms, calls, strict=True):
        norm.call = functools.partial(_calibrated_call, norm, call)
    try:
        model(images, training=False)
    finally:
        for norm, call in zip(norms, calls, strict=True):
            norm.call = call
    return len(norms)


def _calibrated_call(norm, call, inputs, **arguments):
    axes = tuple(range(len(inputs.shape) - 1))
    mean, variance = ops.moments(ops.cast(inputs, "float32"), axes=axes)
    scale = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)
    norm.beta.assign(norm.beta + scale * (mean - norm.moving_mean))
    norm.gamma.assign(scale * ops.sqrt(variance + norm.epsilon))
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(variance)
    return call(inputs, **arguments)
