"""One component in a process of its own: ``python -m pipelines.runners.step``.

The request is a line of JSON on the process's standard input, and the process ends with the one
that holds the other end of that. What came of it is left in the file that the request names: the
properties of the outputs, or an error that tfac raised on purpose.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.engine.artifacts import ARTIFACT_TYPES, Artifact, Origin
from tfac import errors
from tfac.files import whole_file


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
        answer_file = Path(folder, "answer.json")
        request = {
            "function": f"{function.__module__}:{function.__qualname__}",
            "inputs": {name: each and _as_json(each) for name, each in inputs.items()},
            "outputs": {name: _as_json(each) for name, each in outputs.items()},
            "parameters": dict(parameters),
            "answer": str(answer_file),
            "python_path": sys.path,
        }
        status = _run_process(json.dumps(request))
        if not answer_file.exists():
            ending = f"signal {-status}" if status < 0 else f"status {status}"
            raise RuntimeError(f"its process ended with {ending}")
        answer = json.loads(answer_file.read_text(encoding="utf-8"))
    if "error" in answer:
        raise getattr(errors, answer["error"], errors.TfacError)(answer["message"])
    for name, properties in answer["properties"].items():
        outputs[name].properties.update(properties)


def _run_process(request: str) -> int:
    """Returns the process's status."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, text=True)
    try:
        process.stdin.write(request + "\n")
        process.stdin.flush()
        return process.wait()
    except KeyboardInterrupt:  # the terminal has sent it to the other process too
        process.wait()
        raise
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def main() -> int:
    """Runs the component that the request names."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
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
    with whole_file(request["answer"]) as path:
        path.write_text(json.dumps(answer), encoding="utf-8")
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


def _end_with_parent() -> None:
    # Nothing more is sent: the end of the input is the end of the parent. Its locks are free then,
    # so nothing may go on being written here.
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
