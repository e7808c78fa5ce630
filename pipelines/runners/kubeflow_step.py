"""One component in a container of Kubeflow Pipelines or Vertex.

Kubeflow keeps an artifact's properties in a database that makes a whole number a fraction, a bool
a number, and fails at null. So an artifact is a folder with two things in it: ``contents``, which
the component sees as its path, and ``properties.json``. What Kubeflow shows is a copy.
"""

import importlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.engine.artifacts import ARTIFACT_TYPES, Artifact
from pipelines.engine.component import ComponentSpec, spec
from tfac.errors import DataError
from tfac.files import read_json, write_json

_CONTENTS, _PROPERTIES = "contents", "properties.json"
_PLAIN = (str, int, float, bool)


def run(component: str, arguments: Mapping[str, Any]) -> bool:
    """Calls a component with Kubeflow's arguments.

    Args:
        component: "module:function".
        arguments: `kfp.dsl.Artifact` or None of inputs, `kfp.dsl.Artifact` of outputs, and
            parameters as `encode_parameter` returns them.

    Returns:
        Whether all outputs that say `blessed` say yes.

    Raises:
        DataError: an input was not written by a component, or has another type than expected.
    """
    function = _find(component)
    about = spec(function)
    outputs = {name: _create_output(arguments[name], about, name) for name in about.outputs}
    function(
        **{name: _read_input(arguments[name], about, name) for name in about.inputs},
        **outputs,
        **{
            name: decode_parameter(each.annotation, arguments[name])
            for name, each in about.parameters.items()
        },
    )
    for name, output in outputs.items():
        _write_properties(output, arguments[name])
    return all(each.properties.get("blessed", True) for each in outputs.values())


def plain_type(annotation: Any) -> type | None:
    """Returns str, int, float or bool where a parameter is one; None where it is given as JSON.

    Lists and dictionaries are JSON because Kubeflow has one kind of number and no null.
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(annotation) if each is not types.NoneType]
        annotation = kinds[0] if len(kinds) == 1 else None
    return annotation if annotation in _PLAIN else None


def encode_parameter(annotation: Any, value: Any) -> Any:
    """Returns what Kubeflow is given for a parameter; None is nothing."""
    plain = plain_type(annotation)
    if value is not None and plain is None:
        return json.dumps(value)
    return float(value) if plain is float and type(value) is int else value


def decode_parameter(annotation: Any, value: Any) -> Any:
    """Returns the parameter that `encode_parameter` was given."""
    return None if value is None else (plain_type(annotation) or json.loads)(value)


def _find(component: str) -> Callable[..., None]:
    module, _, name = component.partition(":")
    return getattr(importlib.import_module(module), name)


def _create_output(given: Any, about: ComponentSpec, name: str) -> Artifact:
    path = Path(given.path, _CONTENTS)
    path.mkdir(parents=True, exist_ok=True)
    return about.outputs[name](path)


def _read_input(given: Any, about: ComponentSpec, name: str) -> Artifact | None:
    if given is None:
        return None
    expected = about.inputs[name].type
    path = Path(given.path, _PROPERTIES)
    if not path.exists():
        raise DataError(
            f"{about.name}: input {name}: expected an artifact of this pipeline with a "
            f"{_PROPERTIES}. Received: {given.uri}"
        )
    note = read_json(path)
    kind = ARTIFACT_TYPES.get(note["type"])
    if kind is None or not issubclass(kind, expected):
        raise DataError(
            f"{about.name}: input {name}: expected {expected.__name__}. "
            f"Received: {note['type']} in {given.uri}"
        )
    return kind(path.parent / _CONTENTS, note["properties"])


def _write_properties(output: Artifact, given: Any) -> None:
    kind = type(output).__name__
    write_json(Path(given.path, _PROPERTIES), {"type": kind, "properties": output.properties})
    given.metadata["type"] = kind
    for name, value in output.properties.items():
        given.metadata[name] = value if isinstance(value, _PLAIN) else json.dumps(value)
