import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfac.networks import BACKBONES, NETWORKS, load, networks_with
from tfac.training.config import TrainConfig

# A new network: its class, and its entry in the table.
TOY_CLASS = """
import keras
from tfac.models.normalization import create_image_normalization

@keras.saving.register_keras_serializable(package="toy")
class ToyNet(keras.Model):
    def __init__(self, attributes, num_landmarks=0, **kwargs):
        super().__init__(**kwargs)
        self.attributes, self.num_landmarks = tuple(attributes), num_landmarks
        self.normalization = create_image_normalization()
        self.pooling = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(len(self.attributes), dtype="float32")

    def build(self, input_shape):
        self.head.build((None, 3))
        self.built = True

    def call(self, images, training=False):
        return {"scores": self.head(self.pooling(self.normalization(images)))}

    def get_config(self):
        return {"attributes": self.attributes, "num_landmarks": self.num_landmarks}
"""
TOY_ENTRY = """
import importlib
import sys
from tfac.networks import NETWORKS, NetworkSpec

NETWORKS["toy"] = NetworkSpec("toy", "a toy", "toy_network:ToyNet")
importlib.import_module(f"tfac.cli.{sys.argv.pop(1)}").run()
"""


def test_entries_go_by_their_names_and_their_places_are_there():
    for table in (NETWORKS, BACKBONES):
        assert all(name == spec.name and callable(load(spec.where)) for name, spec in table.items())


def test_options_of_networks_are_options_of_training():
    options = set(TrainConfig.__dataclass_fields__)
    for spec in NETWORKS.values():
        assert {*spec.options, *spec.training_options} <= options, spec.name
    assert networks_with("guidance") == ("lga_net",) and networks_with("epochs") == ()


@pytest.mark.slow
def test_a_new_network_is_a_class_and_an_entry(tmp_path, tiny_records):
    (tmp_path / "toy_network.py").write_text(TOY_CLASS)
    (tmp_path / "toy.py").write_text(TOY_ENTRY)
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}

    def run(*arguments):
        command = [sys.executable, "toy.py", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    options = ["--image_size=16", "--batch_size=8", "--epochs=1", "--updates_per_epoch=1"]
    options += ["--protocol=from_scratch"]
    run("train", "--model=toy", f"--data_dir={tiny_records}", "--workdir=run", *options)
    run("export", "--workdir=run", "--name=toy")
    assert "a toy" in (tmp_path / "saved_models/toy/1/assets.extra/model_card.md").read_text()
