"""Keras models; a model's ``call`` is the paper's figure."""

import os

import keras

from tfac.errors import ConfigError
from tfac.models.backbones import (
    create_backbone,
    create_feature_extractor,
    load_backbone_weights,
)
from tfac.models.baseline import Baseline
from tfac.models.dmm_cnn import DMMCNN
from tfac.models.lga_net import LGANet
from tfac.models.mcnn_aux import MCNNAUX
from tfac.models.mgg_net import MGGNet
from tfac.models.prediction import predict
from tfac.models.ps_mcnn import PSMCNN
from tfac.models.two_crop_net import TwoCropNet
from tfac.networks import NETWORKS, load

__all__ = [
    "DMMCNN",
    "LGANet",
    "MCNNAUX",
    "PSMCNN",
    "Baseline",
    "MGGNet",
    "TwoCropNet",
    "backbones",
    "create_backbone",
    "create_feature_extractor",
    "create_model",
    "load_backbone_weights",
    "load_keras",
    "predict",
]


def create_model(name: str, backbone_weights: str | None = None, **arguments) -> keras.Model:
    """Returns a built model.

    Args:
        name: one of `tfac.networks.NETWORKS`.
        backbone_weights: see `load_backbone_weights`; None starts from random weights. MCNN-AUX and
            PS-MCNN have no backbone.
        **arguments: the model's own arguments.

    Raises:
        ConfigError: an unknown name, or weights that do not fit or have no backbone to go to.
    """
    if name not in NETWORKS:
        raise ConfigError(f"model: expected one of {', '.join(NETWORKS)}. Received: {name}")
    model = load(NETWORKS[name].where)(**arguments)
    model.build((None, None, None, 3))
    if backbone_weights:
        if not backbones(model):
            raise ConfigError(f"backbone_weights: {name} has no backbone to load them into")
        for backbone in backbones(model):
            load_backbone_weights(backbone, backbone_weights)
    return model


def load_keras(path: str | os.PathLike) -> keras.Model:
    """Returns the model of a ``.keras`` file that holds a network or layers of tfac.

    It is not compiled. `keras.models.load_model` does the same once `tfac.models` is imported;
    after ``import tfac`` alone, which does not load Keras, it would not know the classes.

    Raises:
        What `keras.models.load_model` raises.
    """
    return keras.models.load_model(path, compile=False)


def backbones(model: keras.Model) -> list[keras.Model]:
    """Returns a model's backbones: one, two of `TwoCropNet`, none of MCNN-AUX and PS-MCNN."""
    if hasattr(model, "backbones"):
        return list(model.backbones)
    return [model.backbone] if hasattr(model, "backbone") else []
