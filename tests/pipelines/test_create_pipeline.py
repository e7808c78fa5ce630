import pytest

pytest.importorskip("sqlalchemy")

from pipelines.configs import read_config
from pipelines.pipeline import create_pipeline
from tfac.errors import ConfigError

ALL = (
    *("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Tuner"),
    *("Trainer", "Evaluator", "InfraValidator", "Pusher", "BulkInferrer"),
)
DATA = ("ExampleGen.dataset=folder", "ExampleGen.source_dir=photos")


def create(*changes, source=None):
    return create_pipeline(read_config(source, changes))


def nodes_of(pipeline) -> dict:
    return {node.name: node for node in pipeline.nodes}


def test_synthetic_faces_pass_all_components():
    nodes = nodes_of(create(source="synthetic"))
    assert tuple(nodes) == ALL
    assert nodes["Transform"].parameters["image_size"] == [64, 64]
    for name in ("Tuner", "Trainer"):
        assert nodes[name].parameters["protocol"] == "demo"
    assert nodes["Trainer"].parameters["model_name"] == "synthetic"
    assert nodes["Pusher"].parameters["destination"] == "saved_models/synthetic"
    assert "hyperparameters" in nodes["Trainer"].inputs


def test_tuner_and_bulk_inferrer_are_there_where_they_are_asked_for():
    nodes = nodes_of(create(*DATA))
    assert tuple(nodes) == tuple(name for name in ALL if name not in ("Tuner", "BulkInferrer"))
    assert "hyperparameters" not in nodes["Trainer"].inputs
    nodes = nodes_of(create(*DATA, "BulkInferrer.photos=photos"))
    assert tuple(nodes) == tuple(name for name in ALL if name != "Tuner")


def test_component_has_its_own_values_before_the_shared():
    nodes = nodes_of(
        create(*DATA, "training.protocol=small", "Trainer.protocol=demo", "Tuner.max_trials=1")
    )
    assert nodes["Trainer"].parameters["protocol"] == "demo"
    assert nodes["Tuner"].parameters["protocol"] == "small"


def test_nothing_is_pushed_that_is_not_blessed_twice():
    assert nodes_of(create(*DATA))["Pusher"].blessed_by == ("blessing", "infra_blessing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ((), "ExampleGen: parameter dataset has no value"),
        ((*DATA, "Trainr.epochs=3"), "BulkInferrer. Received: Trainr"),
        ((*DATA, "Trainer.epochs=3"), "Trainer: expected parameters among .* Received: epochs"),
        ((*DATA, "BulkInferrer.aligned=true"), "BulkInferrer: parameter photos has no value"),
    ],
)
def test_what_there_is_not_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        create(*changes)
