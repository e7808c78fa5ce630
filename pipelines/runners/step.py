"""One component in a process of its own, which ends with the one that started it.

The request is a file in a folder that the process is given; what came of it is left there: the
properties of the outputs, or an error that tfac raised on purpose.
"""

import dataclasses
import importlib
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.engine.artifacts import ARTIFACT_TYPES, Artifact, Origin
from pipelines.engine.child import start
from tfac import errors
from tfac.files import read_json, write_json

_REQUEST, _ANSWER = "request.json", "answer.json"


def call_in_process_of_its_own(
    function: Callable[..., None],
    inputs: Mapping[str, Artifact | None],
    outputs: Mapping[str, Artifact],
    parameters: Mapping[str, Any],
) -> None:
    """Calls a component, which a module has to have by its name.

    Raises:
        TfacError: the component raised it.
        RuntimeError: the process ended in another way; it has written why to standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "function": f"{function.__module__}:{function.__qualname__}",
            "inputs": {name: each and _as_json(each) for name, each in inputs.items()},
            "outputs": {name: _as_json(each) for name, each in outputs.items()},
            "parameters": dict(parameters),
            "python_path": sys.path,
        }
        write_json(Path(folder, _REQUEST), request)
        status = _run_process(folder)
        if not Path(folder, _ANSWER).exists():
            ending = f"signal {-status}" if status < 0 else f"status {status}"
            raise RuntimeError(f"its process ended with {ending}")
        answer = read_json(Path(folder, _ANSWER))
    if "error" in answer:
        raise getattr(errors, answer["error"], errors.TfacError)(answer["message"])
    for name, properties in answer["properties"].items():
        outputs[name].properties.update(properties)


def _run_process(folder: str) -> int:
    """Returns the process's status."""
    process = start(__name__, folder)
    try:
        return process.wait()
    except KeyboardInterrupt:  # the terminal has sent it to the other process too
        process.wait()
        raise
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        process.stdin.close()


def main(folder: str) -> int:
    """Runs the component that the request in a folder names."""
    request = read_json(Path(folder, _REQUEST))
    sys.path[:] = request["python_path"]
    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    inputs = {name: each and _from_json(each) for name, each in request["inputs"].items()}
    outputs = {name: _from_json(each) for name, each in request["outputs"].items()}
    try:
        function(**inputs, **outputs, **request["parameters"])
    except errors.TfacError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    else:
        answer = {"properties": {name: each.properties for name, each in outputs.items()}}
    write_json(Path(folder, _ANSWER), answer)
    return 1 if "error" in answer else 0


def _as_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "type": type(artifact).__name__,
        "path": str(artifact.path),
        "properties": artifact.properties,
        "origin": artifact.origin and dataclasses.asdict(artifact.origin),
    }


def _from_json(fields: Mapping[str, Any]) -> Artifact:
    origin = fields["origin"] and Origin(**fields["origin"])
    return ARTIFACT_TYPES[fields["type"]](Path(fields["path"]), fields["properties"], origin)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
