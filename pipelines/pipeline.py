"""The pipeline: which component reads what."""

from collections.abc import Callable
from typing import Any

from pipelines.components.bulk_inferrer import bulk_inferrer
from pipelines.components.evaluator import evaluator
from pipelines.components.example_gen import example_gen
from pipelines.components.example_validator import example_validator
from pipelines.components.infra_validator import infra_validator
from pipelines.components.pusher import pusher
from pipelines.components.schema_gen import schema_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.components.trainer import trainer
from pipelines.components.transform import transform
from pipelines.components.tuner import tuner
from pipelines.configs import PipelineConfig
from pipelines.engine.artifacts import ExampleStatistics, Model, Schema
from pipelines.engine.component import spec
from pipelines.engine.graph import LATEST_PUSHED, LATEST_VALID, Node, Pipeline, Reference, Resolve
from tfac.errors import ConfigError

_IMAGE_SIZE = [224, 224]  # as the recipes' own

EXAMPLES = Reference("ExampleGen", "examples")
STATISTICS = Reference("StatisticsGen", "statistics")
SCHEMA = Reference("SchemaGen", "schema")
ANOMALIES = Reference("ExampleValidator", "anomalies")
TRANSFORM_GRAPH = Reference("Transform", "transform_graph")
HYPERPARAMETERS = Reference("Tuner", "hyperparameters")
MODEL = Reference("Trainer", "model")
EVALUATION = Reference("Evaluator", "evaluation")
BLESSING = Reference("Evaluator", "blessing")
INFRA_BLESSING = Reference("InfraValidator", "blessing")

_PREPARED = {"examples": EXAMPLES, "transform_graph": TRANSFORM_GRAPH, "anomalies": ANOMALIES}
# Components in order, and what each reads.
_INPUTS: dict[Callable[..., None], dict[str, Reference | Resolve]] = {
    example_gen: {},
    statistics_gen: {"examples": EXAMPLES},
    schema_gen: {
        "statistics": STATISTICS,
        "previous_schema": Resolve(Schema, LATEST_VALID, STATISTICS),
    },
    example_validator: {
        "statistics": STATISTICS,
        "schema": SCHEMA,
        "previous_statistics": Resolve(ExampleStatistics, LATEST_VALID, STATISTICS),
    },
    transform: {"examples": EXAMPLES},
    tuner: _PREPARED,
    trainer: {**_PREPARED, "hyperparameters": HYPERPARAMETERS},
    evaluator: {
        "examples": EXAMPLES,
        "model": MODEL,
        "baseline": Resolve(Model, LATEST_PUSHED, MODEL),
    },
    infra_validator: {"model": MODEL},
    pusher: {
        "model": MODEL,
        "evaluation": EVALUATION,
        "blessing": BLESSING,
        "infra_blessing": INFRA_BLESSING,
    },
    bulk_inferrer: {"model": MODEL, "model_blessing": BLESSING},
}
_BLESSED_BY = {pusher: ("blessing", "infra_blessing"), bulk_inferrer: ("model_blessing",)}
_OPTIONAL = (tuner, bulk_inferrer)  # there where the configuration has a section for them


def create_pipeline(config: PipelineConfig) -> Pipeline:
    """Returns the pipeline that a configuration describes.

    Raises:
        ConfigError: components or parameters that there are not, or a parameter that lacks a value.
    """
    names = {spec(function).name: function for function in _INPUTS}
    for name in config.components:
        if name not in names:
            raise ConfigError(f"components: expected some of {', '.join(names)}. Received: {name}")
    defaults, nodes = _defaults(config), []
    for name, function in names.items():
        if function in _OPTIONAL and name not in config.components:
            continue
        parameters = {**defaults.get(name, {}), **config.components.get(name, {})}
        inputs = dict(_INPUTS[function])
        if "Tuner" not in config.components:
            inputs.pop("hyperparameters", None)
        nodes.append(Node(function, inputs, parameters, _BLESSED_BY.get(function, ())))
    return Pipeline(config.name, tuple(nodes))


def _defaults(config: PipelineConfig) -> dict[str, dict[str, Any]]:
    """Returns parameters that follow from the rest of the configuration, by component."""
    training = dict(config.training)
    image_size = training.pop("image_size", _IMAGE_SIZE)
    return {
        "Transform": {"image_size": image_size},
        "Tuner": training,
        "Trainer": {"model_name": config.name, **training},
        "Pusher": {"destination": f"{config.saved_models_dir}/{config.name}"},
    }
