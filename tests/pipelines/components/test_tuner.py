import json

import pytest
from model_samples import TINY_OPTIONS, no_anomalies, tiny_graph

from pipelines.components import tuner as module
from pipelines.components.tuner import read_hyperparameters, tuner
from pipelines.engine.artifacts import Examples, HyperParameters
from tfac.errors import ConfigError, DataError, TrainingError


def tune(records, folder, path, **parameters) -> HyperParameters:
    """Tunes into `path`."""
    found = HyperParameters(path)
    path.mkdir(exist_ok=True)
    tuner(
        Examples(records),
        tiny_graph(folder),
        no_anomalies(folder),
        found,
        **{"experiment": "baseline", "options": TINY_OPTIONS, **parameters},
    )
    return found


@pytest.fixture
def fake_training(monkeypatch):
    """Stands for training: the score is 50 plus 1000 times the learning rate, at most 90."""
    trained = []

    def train(config, values, data_dir, folder):
        trained.append((config, values))
        if values["learning_rate"] > 0.04:
            raise TrainingError("a loss became NaN")
        return 50 + 1000 * values["learning_rate"]

    monkeypatch.setattr(module, "_train", train)
    return trained


SPACE = {"learning_rate": [0.01, 0.02, 0.03]}


def test_best_of_the_trials_is_taken_and_the_recipe_comes_first(tmp_path, fake_training):
    options = {**TINY_OPTIONS, "learning_rate": 0.001, "epochs": 8, "warmup_epochs": 2}
    found = tune(tmp_path, tmp_path, tmp_path / "a", space=SPACE, options=options, max_trials=4)
    assert fake_training[0][1] == {"learning_rate": 0.001}
    assert (fake_training[0][0].epochs, fake_training[0][0].warmup_epochs) == (1, 0.25)
    assert len(fake_training) == 4 and found.properties["trials"] == 4
    assert read_hyperparameters(found) == found.properties["values"] == {"learning_rate": 0.03}
    assert found.properties["score"] == 80
    assert len(json.loads((found.path / "trials.json").read_text())) == 4
    assert sorted(each.name for each in found.path.iterdir()) == [
        "hyperparameters.json",
        "trials.json",
    ]


def test_search_is_the_same_by_its_seed(tmp_path, fake_training):
    for name in ("a", "b"):
        tune(tmp_path, tmp_path, tmp_path / name, max_trials=3)
    assert [each for _, each in fake_training[:3]] == [each for _, each in fake_training[3:]]


def test_trial_that_fails_does_not_end_the_search(tmp_path, fake_training):
    space = {"learning_rate": [0.5, 0.01]}
    options = {**TINY_OPTIONS, "learning_rate": 0.5}
    found = tune(tmp_path, tmp_path, tmp_path / "a", space=space, options=options, max_trials=2)
    trials = json.loads((found.path / "trials.json").read_text())
    assert [trial["score"] for trial in trials] == [None, 60]
    with pytest.raises(TrainingError, match="none of 1 trainings"):
        tune(tmp_path, tmp_path, tmp_path / "b", space=space, options=options, max_trials=1)


def test_error_of_the_data_ends_the_search(tmp_path, monkeypatch):
    def train(*arguments):
        raise DataError("broken")

    monkeypatch.setattr(module, "_train", train)
    with pytest.raises(DataError, match="broken"):
        tune(tmp_path, tmp_path, tmp_path / "a")


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"max_trials": 0}, "expected 1 or more. Received: 0 and 1"),
        ({"space": {"speed": [1]}}, "Received: speed"),
        ({"space": {"learning_rate": 1}}, "Received: learning_rate"),
    ],
)
def test_impossible_parameters_are_refused(tmp_path, parameters, message):
    with pytest.raises(ConfigError, match=message):
        tune(tmp_path, tmp_path, tmp_path / "a", **parameters)


@pytest.mark.slow
def test_trials_are_trainings(tiny_records, tmp_path):
    found = tune(tiny_records, tmp_path, tmp_path / "a", max_trials=2)
    assert found.properties["trials"] == 2 and 0 <= found.properties["score"] <= 100
    assert set(read_hyperparameters(found)) == {"learning_rate", "weight_decay"}
