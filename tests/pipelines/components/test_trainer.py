import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from model_samples import TINY_OPTIONS, no_anomalies, tiny_graph

from pipelines.components.trainer import initial_weights_fingerprint, trainer
from pipelines.engine.artifacts import ExampleAnomalies, Examples, HyperParameters, Model
from tfac.errors import ConfigError, DataError


def train(records, folder, path, anomalies=None, hyperparameters=None, **options) -> Model:
    """Trains into `path`."""
    model = Model(path)
    trainer(
        Examples(records),
        tiny_graph(folder),
        anomalies or no_anomalies(folder),
        hyperparameters,
        model,
        model_name="tiny",
        experiment="baseline",
        options={**TINY_OPTIONS, **options},
    )
    return model


@pytest.mark.parametrize("properties", [{}, {"blocking": True, "found": ["Male is turned over"]}])
def test_examples_with_blocking_anomalies_are_refused(tmp_path, properties):
    with pytest.raises(DataError, match="without blocking anomalies. Received: (Male|Example)"):
        train(tmp_path, tmp_path, tmp_path, ExampleAnomalies(tmp_path, properties))


def test_pictures_of_another_size_than_the_graphs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"expected \(32, 32\).*Received: \(64, 64\)"):
        train(tmp_path, tmp_path, tmp_path, image_size=64)


def test_unknown_option_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown training options: speed"):
        train(tmp_path, tmp_path, tmp_path, speed=3)


def test_fingerprint_follows_the_initial_weights(tmp_path):
    weights = tmp_path / "a.weights.h5"
    weights.write_bytes(b"1")
    parameters = {"options": {"backbone_weights": str(weights)}}
    before = initial_weights_fingerprint(parameters)
    assert initial_weights_fingerprint(parameters) == before
    weights.write_bytes(b"12")
    assert initial_weights_fingerprint(parameters) != before
    assert initial_weights_fingerprint({"options": None}) != before


_PROGRAM = """
import sys
sys.path[:0] = sys.argv[3].split(":")
from pathlib import Path
from test_trainer import train
train(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[2]) / "killed", **{"epochs": 4})
"""


@pytest.mark.slow
def test_killed_training_goes_on_and_ends_with_the_same_weights(tiny_records, tmp_path):
    tf = pytest.importorskip("tensorflow")
    here = os.path.dirname(__file__)
    arguments = [str(tiny_records), str(tmp_path), ":".join([here, *filter(None, sys.path)])]
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, *arguments])
    checkpoints = tmp_path / "killed" / "workdir" / "checkpoints"
    while process.poll() is None and not (checkpoints / "ckpt-1.index").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed = train(tiny_records, tmp_path, tmp_path / "killed", epochs=4)
    hyperparameters = HyperParameters(tmp_path / "chosen")
    hyperparameters.path.mkdir()
    (hyperparameters.path / "hyperparameters.json").write_text(json.dumps({"epochs": 4}))
    whole = train(tiny_records, tmp_path, tmp_path / "whole", hyperparameters=hyperparameters)
    assert killed.properties == whole.properties
    assert killed.properties["name"] == "tiny" and killed.properties["step"] == 12
    assert killed.properties["options"]["epochs"] == 4
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)), tf.uint8)
    scores = []
    for model in (killed, whole):
        assert [path.name for path in (model.path / "saved_model/tiny").iterdir()] == ["1"]
        loaded = tf.saved_model.load(str(model.path / "saved_model/tiny/1"))
        scores.append(loaded.signatures["images"](images=images)["scores"].numpy())
    np.testing.assert_array_equal(*scores)
