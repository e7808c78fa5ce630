import json

import pytest

from pipelines.configs import read_config
from tfac.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.json"
    content = {"name": "mine", "components": {"Trainer": {"epochs": 2, "model": "dmm_cnn"}}}
    path.write_text(json.dumps(content))
    return str(path)


def test_file_and_changes_make_a_configuration(file):
    changes = ["Trainer.epochs=3", "ExampleGen.dataset=folder", "root=elsewhere"]
    changes += ["training.options.epochs=5"]
    changes += ['ExampleGen.options.attributes=["Bald"]']
    config = read_config(file, changes)
    assert (config.name, config.root) == ("mine", "elsewhere")
    assert config.components == {
        "Trainer": {"epochs": 3, "model": "dmm_cnn"},
        "ExampleGen": {"dataset": "folder", "options": {"attributes": ["Bald"]}},
    }
    assert config.training == {"options": {"epochs": 5}}
    assert config.store_url == "sqlite:///elsewhere/metadata.sqlite"


def test_defaults_need_no_file():
    config = read_config()
    assert (config.name, config.root) == ("faces", "pipeline_runs/faces")


def test_database_may_be_a_servers_and_is_not_recorded():
    config = read_config(changes=["metadata_url=postgresql://user:secret@host/db"])
    assert config.store_url == "postgresql://user:secret@host/db"
    assert "secret" not in json.dumps(config.to_dict())


def test_built_in_configurations_can_be_read():
    assert read_config("synthetic").name == "synthetic"


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        ("missing.json", [], "Received: missing.json"),
        ("unknown", [], "synthetic. Received: unknown"),
        (None, ["epochs"], "NAME=VALUE"),
        (None, ["Trainer.=3"], "NAME=VALUE"),
        (None, ["rot=x"], "saved_models_dir, metadata_url, training, components. Received: rot"),
        (None, ["training.epochs=3"], "options, image_size. Received: epochs"),
        (None, ["name=../up"], "name: expected small letters"),
        (None, ["name=3"], "name: expected small letters"),
        (None, ["root=3"], "root: expected a folder. Received: 3"),
        (None, ["Trainer.epochs=3", "Trainer.epochs.more=1"], "expected names and values"),
    ],
)
def test_what_cannot_be_used_is_named(source, changes, message):
    with pytest.raises(ConfigError, match=message):
        read_config(source, changes)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"components": {"Trainer": 3}}', '{"components": []}']
)
def test_file_of_another_form_is_refused(tmp_path, content):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ConfigError):
        read_config(str(tmp_path / "mine.json"))
