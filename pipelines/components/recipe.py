"""What Tuner and Trainer share: the recipe of a training, and when nothing is trained."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.engine.artifacts import ExampleAnomalies, TransformGraph
from tfac.errors import ConfigError, DataError


def training_config(
    experiment: str, protocol: str, options: Mapping[str, Any], transform_graph: TransformGraph
):
    """Returns the options of a training on pictures as the transform graph makes them.

    Raises:
        ConfigError: unknown or impossible options, or another `image_size` than the graph's.
    """
    from tfac.experiments.registry import get_config
    from tfac.training.config import TrainConfig, parse_image_size

    unknown = sorted(set(options) - {field.name for field in dataclasses.fields(TrainConfig)})
    if unknown:
        raise ConfigError(f"unknown training options: {', '.join(unknown)}")
    image_size = parse_image_size(transform_graph.properties["image_size"])
    asked = parse_image_size(options.get("image_size", image_size))
    if asked != image_size:
        raise ConfigError(
            f"image_size: expected {image_size}, as Transform makes the pictures. Received: {asked}"
        )
    return get_config(experiment, protocol, {**options, "image_size": image_size})


def refuse_blocking(anomalies: ExampleAnomalies) -> None:
    """Raises DataError where nothing may be trained on the examples."""
    if anomalies.properties.get("blocking") is not False:
        found = anomalies.properties.get("found") or ["ExampleValidator has not said what it found"]
        raise DataError(
            f"expected examples without blocking anomalies. Received: {'; '.join(found)}"
        )
