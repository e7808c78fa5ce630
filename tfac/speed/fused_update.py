"""Optimizer updates on TensorFlow's fused kernels."""

import types

import keras
import tensorflow as tf


def fuse_updates(optimizer: keras.optimizers.Optimizer) -> bool:
    """Makes an optimizer update each weight in one operation; says whether it can.

    Keras's update of a weight is about ten operations, every one a pass over the weight, its
    gradient or its moments. `ResourceApplyAdam` and `ResourceApplyKerasMomentum` are one, with the
    same formula, so weights and moments are Keras's up to rounding. Weight decay, three operations
    there, is one product before it. Learning rates, clipping and loss scales stay Keras's, and so
    do the optimizer's class, config and variables.

    Args:
        optimizer: `keras.optimizers.AdamW` or `Adam` without `amsgrad`, or `SGD` with momentum,
            or a `LossScaleOptimizer` around one. Another is left as it is.
    """
    if type(optimizer) is keras.optimizers.LossScaleOptimizer:
        optimizer = optimizer.inner_optimizer
    update = None
    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW):
        update = None if optimizer.amsgrad else _update_adam
    elif type(optimizer) is keras.optimizers.SGD:
        update = _update_sgd if optimizer.momentum else None
    if update is None:
        return False
    optimizer.update_step = types.MethodType(update, optimizer)
    optimizer._apply_weight_decay = lambda variables: None  # each update does its own
    return True


def _decay(optimizer, variable: tf.Variable, learning_rate) -> None:
    if optimizer.weight_decay and optimizer._use_weight_decay(variable):
        lost = tf.cast(learning_rate, variable.dtype) * optimizer.weight_decay
        variable.assign(variable * (1 - lost))


def _update_adam(optimizer, gradient: tf.Tensor, variable: tf.Variable, learning_rate) -> None:
    _decay(optimizer, variable, learning_rate)
    if not _fits_kernel(gradient, variable):
        type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
        return
    index = optimizer._get_variable_index(variable)
    step = tf.cast(optimizer.iterations + 1, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=tf.pow(tf.cast(optimizer.beta_1, variable.dtype), step),
        beta2_power=tf.pow(tf.cast(optimizer.beta_2, variable.dtype), step),
        lr=tf.cast(learning_rate, variable.dtype),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def _update_sgd(optimizer, gradient: tf.Tensor, variable: tf.Variable, learning_rate) -> None:
    _decay(optimizer, variable, learning_rate)
    if not _fits_kernel(gradient, variable):
        type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
        return
    index = optimizer._get_variable_index(variable)
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=optimizer.momentums[index].value.handle,
        lr=tf.cast(learning_rate, variable.dtype),
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


def _fits_kernel(gradient: tf.Tensor, variable: tf.Variable) -> bool:
    return not isinstance(gradient, tf.IndexedSlices) and gradient.dtype == variable.dtype
