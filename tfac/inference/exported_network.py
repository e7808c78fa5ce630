"""An exported model as a trained network."""

import os
from pathlib import Path

import numpy as np

from tfac.inference.engines import load_engine
from tfac.inference.predictor import version_folder
from tfac.inference.trained_network import TrainedNetwork


def load_exported_network(path: str | os.PathLike) -> TrainedNetwork:
    """Returns an exported model as a trained network, for evaluation.

    Args:
        path: a model's folder (its latest version is taken) or one version's.

    Raises:
        DataError: there is no export, or it is not one of tfac's.
    """
    folder = version_folder(Path(path))
    engine = load_engine(folder)

    def model(images, training: bool = False) -> dict[str, np.ndarray]:
        outputs = engine.run("images", {"images": np.asarray(images)})
        return {name: outputs[name] for name in ("scores", "landmarks") if name in outputs}

    return TrainedNetwork.from_metadata(engine.metadata, model, str(folder))
