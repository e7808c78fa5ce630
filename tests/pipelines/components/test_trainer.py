import json

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


@pytest.mark.slow
def test_training_has_the_tuners_options_and_an_export(tiny_records, tmp_path):
    hyperparameters = HyperParameters(tmp_path / "chosen")
    hyperparameters.path.mkdir()
    (hyperparameters.path / "hyperparameters.json").write_text(json.dumps({"epochs": 2}))
    model = train(tiny_records, tmp_path, tmp_path / "model", hyperparameters=hyperparameters)
    assert model.properties["name"] == "tiny" and model.properties["step"] == 6
    assert model.properties["options"]["epochs"] == 2
    assert [path.name for path in (model.path / "saved_model/tiny").iterdir()] == ["1"]
    assert (model.path / "saved_model/tiny/1/saved_model.pb").is_file()
