import pytest

from tests.serving.server.running_server import write_versions
from tfac.errors import ConfigError, DataError
from tfac.serving.server.configuration import (
    ModelConfig,
    VersionPolicy,
    check_names,
    model_at,
    read_model_config,
)

MODELS_CONFIG = """
model_config_list {
  config {
    name: "faces" base_path: "models/faces" model_platform: "tensorflow"
    model_version_policy { specific { versions: 2 versions: 5 } }
    version_labels { key: "stable" value: 2 }
    version_labels { key: "canary" value: 5 }
  }
  config { name: "every" base_path: "/models/every" model_version_policy { all {} } }
  config { name: "two" base_path: "/m" model_version_policy { latest { num_versions: 2 } } }
  config { name: "one" base_path: "/m" model_platform: "tensorflow" }
}
"""


@pytest.mark.parametrize(
    "policy, chosen",
    [
        (VersionPolicy(), {10}),
        (VersionPolicy(num_latest=2), {9, 10}),
        (VersionPolicy(num_latest=None), {1, 9, 10}),
        (VersionPolicy(specific=frozenset({1, 7})), {1}),
    ],
)
def test_policy_chooses_versions_by_number(policy, chosen):
    assert policy.choose([10, 1, 9]) == chosen


def test_models_config_of_tensorflow_serving_is_read(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(MODELS_CONFIG)
    faces, every, two, one = read_model_config(path)
    assert faces == ModelConfig(
        "faces",
        tmp_path / "models/faces",
        VersionPolicy(specific=frozenset({2, 5})),
        {"stable": 2, "canary": 5},
    )
    assert every.policy == VersionPolicy(num_latest=None)
    assert two.policy == VersionPolicy(num_latest=2)
    assert one.policy == VersionPolicy(num_latest=1) and str(one.base_path) == "/m"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "at least one model"),
        ('model_config_list { config { name: "a" } }', "a name and a base_path"),
        (
            'model_config_list { config { name: "a" base_path: "b" model_platform: "torch" } }',
            "expected tensorflow. Received: torch",
        ),
        (
            'model_config_list { config { name: "a" base_path: "b" } '
            'config { name: "a" base_path: "c" } }',
            "Received twice: a",
        ),
    ],
)
def test_unusable_models_config_is_refused(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_model_config(path)


def test_text_that_is_no_models_config_is_refused_by_name(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list { what }")
    with pytest.raises(DataError, match="models.config: expected a ModelServerConfig"):
        read_model_config(path)
    with pytest.raises(DataError, match="none.config"):
        read_model_config(tmp_path / "none.config")


def test_folder_of_a_model_and_of_a_version_are_told_apart(tmp_path):
    base = write_versions(tmp_path / "faces", 3, 4)
    assert model_at(base) == ModelConfig("faces", base)
    pinned = ModelConfig("faces", base, VersionPolicy(specific=frozenset({3})))
    assert model_at(base / "3") == pinned
    with pytest.raises(DataError, match="none at"):
        model_at(tmp_path / "nothing")


def test_same_name_twice_names_the_flag():
    with pytest.raises(ConfigError, match="--saved_model: .* twice: a"):
        check_names(["a", "b", "a"], "--saved_model")
