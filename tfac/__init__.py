"""Facial attribute classification in TensorFlow/Keras."""

from typing import TYPE_CHECKING

from tfac.lazy import lazily

if TYPE_CHECKING:
    from tfac import data, layers, losses, models, serving, training
    from tfac.inference.analysis import analyze
    from tfac.inference.predictor import Predictor
    from tfac.models import load_keras

__all__ = [
    "Predictor",
    "analyze",
    "data",
    "layers",
    "load_keras",
    "losses",
    "models",
    "serving",
    "training",
]
__version__ = "0.1.0"

_NAMES = {
    "Predictor": "tfac.inference.predictor",
    "analyze": "tfac.inference.analysis",
    "load_keras": "tfac.models",
}
_PACKAGES = dict.fromkeys(name for name in __all__ if name not in _NAMES)
__getattr__, __dir__ = lazily(__name__, {**_NAMES, **_PACKAGES})
