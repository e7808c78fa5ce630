"""Training: Algorithm 1 of DMM-CNN as a custom loop, and what it is made of."""

from typing import TYPE_CHECKING

from tfac.lazy import lazily

if TYPE_CHECKING:
    from tfac.training.config import TrainConfig
    from tfac.training.run import run_training
    from tfac.training.workdir import load_trained_network

__all__ = ["TrainConfig", "load_trained_network", "run_training"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "TrainConfig": "tfac.training.config",
        "run_training": "tfac.training.run",
        "load_trained_network": "tfac.training.workdir",
    },
)
