"""Artifacts for the tests of the model components."""

import shutil
from pathlib import Path

from pipelines.engine.artifacts import ExampleAnomalies, Model, TransformGraph
from tests.models.model_checks import tiny_backbone_file

# The smallest training that tfac has.
TINY_OPTIONS = {
    "backbone": tiny_backbone_file(),
    "epochs": 1,
    "batch_size": 8,
    "updates_per_epoch": 1,
}


def model_of(export: Path, folder: Path, name: str = "tiny") -> Model:
    """A model whose export is a copy of `export`."""
    shutil.copytree(export, folder / "saved_model" / name / "1")
    return Model(folder, {"name": name})


def no_anomalies(folder: Path) -> ExampleAnomalies:
    """What ExampleValidator says of good examples."""
    return ExampleAnomalies(folder, {"blocking": False, "found": []})


def tiny_graph(folder: Path) -> TransformGraph:
    """A transform graph to 32x32 pixels, as far as training looks at it."""
    return TransformGraph(folder, {"image_size": [32, 32]})
