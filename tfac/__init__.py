"""Facial attribute classification in TensorFlow/Keras."""

from typing import TYPE_CHECKING

from tfac.lazy import lazily

if TYPE_CHECKING:
    from tfac import data, layers, losses, models, serving, training
    from tfac.inference.predictor import Predictor

__all__ = ["Predictor", "data", "layers", "losses", "models", "serving", "training"]
__version__ = "0.1.0"

_PACKAGES = dict.fromkeys(name for name in __all__ if name.islower())
__getattr__, __dir__ = lazily(__name__, {"Predictor": "tfac.inference.predictor", **_PACKAGES})
