"""The same arithmetic, faster: operations that take the place of Keras's own.

`accelerate` is the one door: training, evaluation and benchmarks call it, and nothing else of tfac
knows what it does.
"""

import keras
import tensorflow as tf
from absl import logging

from tfac.speed.fused_normalization import fuse_batch_norms
from tfac.speed.fused_update import fuse_updates
from tfac.speed.matrix_convolution import use_matrix_products

__all__ = ["accelerate"]


def accelerate(
    model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, int]:
    """Moves a network, and the optimizer that trains it, to faster operations, and logs which.

    Batch norms and updates run on TensorFlow's fused kernels, on any device; without a GPU,
    convolutions of small maps are matrix products. Weights, configs and what is saved stay Keras's,
    and answers, gradients and updates are Keras's up to rounding.

    Args:
        model: a built model.
        optimizer: its optimizer, before anything else changes its updates; None for inference.

    Returns:
        What was changed, to how many there are: batch norms, convolutions, optimizers. A 0 is worth
        a look: after an upgrade of Keras it may mean that nothing was found.
    """
    changed = {"batch norms": fuse_batch_norms(model)}
    if not tf.config.list_physical_devices("GPU"):
        changed["convolutions"] = use_matrix_products(model)
    if optimizer is not None:
        changed["optimizers"] = int(fuse_updates(optimizer))
    logging.info("Accelerated: %s", ", ".join(f"{n} {what}" for what, n in changed.items()))
    return changed
