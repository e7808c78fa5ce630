"""Lower learning rates for the early layers of a pretrained backbone."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf


def layer_rates(
    backbones: Sequence[keras.Model], backbone_rate: float, first_layer_rate: float
) -> dict[str, float]:
    """Returns the share of the learning rate that each weight of the backbones is trained at.

    Args:
        backbones: functional models.
        backbone_rate: the share of the last layer's weights.
        first_layer_rate: the share of that, of the first layer's weights; between the two it grows
            geometrically from layer to layer.

    Returns:
        Path of the variable to its share; empty where all are 1.

    Reference:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018
        (discriminative fine-tuning).
    """
    if backbone_rate == first_layer_rate == 1:
        return {}
    rates = {}
    for backbone in backbones:
        layers = [layer for layer in backbone.layers if layer.trainable_weights]
        for number, layer in enumerate(layers):
            depth = number / max(len(layers) - 1, 1)
            share = backbone_rate * first_layer_rate ** (1 - depth)
            rates |= {variable.path: share for variable in layer.trainable_weights}
    return rates


def scale_learning_rates(optimizer: keras.optimizers.Optimizer, rates: Mapping[str, float]) -> None:
    """Makes an optimizer train some weights at a share of its learning rate, decay included.

    After `tfac.speed.accelerate`, whose updates do the weight decay.

    Args:
        optimizer: a Keras optimizer, or a `LossScaleOptimizer` around one.
        rates: path of a variable to its share; others are trained at the whole rate.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    update = optimizer.update_step

    def update_step(gradient: tf.Tensor, variable: tf.Variable, learning_rate) -> None:
        # TensorFlow's variable is given, which does not know its path.
        path = optimizer._trainable_variables[optimizer._get_variable_index(variable)].path
        update(gradient, variable, learning_rate * rates.get(path, 1.0))

    optimizer.update_step = update_step
