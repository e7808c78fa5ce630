"""Facial attribute classification in TensorFlow/Keras."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfac.inference.predictor import Predictor

__all__ = ["Predictor", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str):
    """Imports `Predictor`, and TensorFlow with it, when it is first asked for."""
    if name == "Predictor":
        from tfac.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'tfac' has no attribute {name!r}")
