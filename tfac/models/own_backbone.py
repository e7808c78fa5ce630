"""Backbones that a user brings: a Keras model, a ``.keras`` file or a KerasHub preset."""

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_hub

from tfac.errors import ConfigError

_LEVEL_STRIDES = {"P3": 8, "P4": 16}
_PROBE_SIDE = 256  # pixels; every layer of a network that takes any size has a map at it


def create_own_backbone(
    source: keras.Model | type | Mapping[str, Any] | Path, dtype=None
) -> keras.Model:
    """Returns a backbone of the user's own, with the weights that it comes with.

    A subclassed model has no levels but its output.

    Nothing that a file says is executed: what Keras's safe mode refuses, such as a ``Lambda`` layer
    with Python code, is refused here.

    Args:
        source: the model or its class, what `serialize_backbone` made of one (random weights), a
            ``.keras`` file or a folder with a KerasHub preset. See `tfac.models.create_backbone`.
        dtype: Keras dtype policy that all layers get; None leaves each its own. A model that has
            another one is copied.

    Raises:
        ConfigError: it cannot be loaded, or is no functional model from images to maps.
    """
    if isinstance(source, Path):
        name = str(source)
    else:
        name = getattr(source, "name", None) or getattr(source, "__name__", "a serialised model")
    try:
        backbone = _require_maps(_load(source), name)
        return backbone if dtype is None else _with_policy(backbone, dtype)
    except ConfigError:
        raise
    except Exception as error:  # a user's file can fail in any of Keras's ways
        reason = str(error).strip().split("\n")[0][:300]
        raise ConfigError(
            "backbone: expected a model that Keras can load without running code from it. "
            f"Received: {name}: {reason}"
        ) from error


def serialize_backbone(backbone: keras.Model) -> dict[str, Any]:
    """Returns the architecture of a functional model, as JSON can hold it; without its weights."""
    config = keras.saving.serialize_keras_object(backbone)
    config.pop("compile_config", None)
    return config


def copy_backbone(backbone: keras.Model) -> keras.Model:
    """Returns a model of the same architecture and the same weights that shares nothing."""
    return _rebuild(serialize_backbone(backbone), backbone.get_weights())


def find_levels(backbone: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the maps "P3", "P4" and "P5" of a functional model, as far as it has them.

    "P5" is its output. "P3" and "P4" are the levels that a KerasHub backbone names, or else its
    last maps of strides 8 and 16.
    """
    levels = dict(getattr(backbone, "pyramid_outputs", {}))
    if not set(_LEVEL_STRIDES) <= set(levels):
        maps = [
            tensor
            for depth in sorted(backbone._nodes_by_depth, reverse=True)
            for node in backbone._nodes_by_depth[depth]
            for tensor in node.output_tensors
            if len(tensor.shape) == 4
        ]
        size = [side or _PROBE_SIDE for side in backbone.input_shape[1:3]]
        shapes = keras.Model(backbone.input, maps).compute_output_shape((1, *size, 3))
        for level, stride in _LEVEL_STRIDES.items():
            sides = tuple(math.ceil(side / stride) for side in size)
            for tensor, shape in zip(maps, shapes, strict=True):
                if tuple(shape[1:3]) == sides:
                    levels[level] = tensor
    return {level: levels[level] for level in _LEVEL_STRIDES if level in levels} | {
        "P5": backbone.output
    }


@contextlib.contextmanager
def default_policy(dtype) -> Iterator[None]:
    """Gives layers that are told no dtype policy this one; None leaves them Keras's."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _load(source: keras.Model | type | Mapping[str, Any] | Path) -> keras.Model:
    if isinstance(source, type):
        source = source()
    if isinstance(source, keras.Model):
        if getattr(source, "inputs", None) and getattr(source, "outputs", None):
            return source
        images = keras.Input((None, None, 3))  # a subclass, which says nothing of its inside
        return keras.Model(images, source(images), name=source.name)
    if isinstance(source, Mapping):
        # Keras takes apart what it is given.
        return keras.saving.deserialize_keras_object(copy.deepcopy(dict(source)), safe_mode=True)
    if source.is_dir():
        # An absolute path, so that KerasHub takes it for no name of a preset to download.
        return keras_hub.models.Backbone.from_preset(str(source.resolve()))
    return keras.models.load_model(source, compile=False, safe_mode=True)


def _require_maps(backbone: keras.Model, name: str) -> keras.Model:
    """Returns the model, from one tensor [B, H, W, 3] to one tensor [B, h, w, C]."""
    inputs = getattr(backbone, "inputs", None) or []
    outputs = getattr(backbone, "outputs", None) or []
    shapes = [tensor.shape for tensor in (*inputs, *outputs)]
    if (
        (len(inputs), len(outputs)) != (1, 1)
        or [len(shape) for shape in shapes] != [4, 4]
        or (shapes[0][0], shapes[0][-1]) != (None, 3)
        or shapes[1][-1] is None
    ):
        received = " to ".join(map(str, shapes)) or "a model that is not functional"
        raise ConfigError(
            "backbone: expected a functional Keras model from images (None, H, W, 3) to maps "
            f"(None, h, w, C). Received: {name}, {received}"
        )
    if isinstance(backbone, keras.Sequential) or (
        backbone.input is not inputs[0] or backbone.output is not outputs[0]
    ):
        return keras.Model(inputs[0], outputs[0], name=backbone.name)
    return backbone


def _with_policy(backbone: keras.Model, dtype) -> keras.Model:
    policy = keras.dtype_policies.get(dtype)
    names = {
        layer.dtype_policy.name
        for layer in backbone._flatten_layers(include_self=False)
        if not isinstance(layer, keras.Model | keras.layers.InputLayer)
    }
    if names <= {policy.name}:
        return backbone
    config = serialize_backbone(backbone)
    config = _replace_policies(config, keras.dtype_policies.serialize(policy))
    with default_policy(policy):  # for those that are told none, as in KerasHub's VGG
        return _rebuild(config, backbone.get_weights())


def _replace_policies(config: Any, policy: dict[str, Any]) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return policy
        return {key: _replace_policies(value, policy) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_replace_policies(value, policy) for value in config)
    return config


def _rebuild(config: dict[str, Any], weights: list) -> keras.Model:
    backbone = keras.saving.deserialize_keras_object(config, safe_mode=True)
    backbone.set_weights(weights)
    return backbone
