"""Keras models; a model's ``call`` is the paper's figure."""

import keras

from tfac.errors import ConfigError
from tfac.models.backbones import BACKBONES, create_backbone, load_backbone_weights
from tfac.models.baseline import Baseline
from tfac.models.dmm_cnn import DMMCNN

__all__ = [
    "BACKBONES",
    "DMMCNN",
    "MODELS",
    "Baseline",
    "create_backbone",
    "create_model",
    "load_backbone_weights",
]

MODELS = {"dmm_cnn": DMMCNN, "baseline": Baseline}


def create_model(name: str, backbone_weights: str | None = None, **arguments) -> keras.Model:
    """Returns a built model.

    Args:
        name: one of `MODELS`.
        backbone_weights: see `load_backbone_weights`; None starts from random weights.
        **arguments: the model's own arguments.

    Raises:
        ConfigError: an unknown name, or weights that do not fit.
    """
    if name not in MODELS:
        raise ConfigError(f"model: expected one of {', '.join(MODELS)}. Received: {name}")
    model = MODELS[name](**arguments)
    model.build((None, None, None, 3))
    if backbone_weights:
        load_backbone_weights(model.backbone, backbone_weights)
    return model
