"""Where a pushed model comes from: ``python -m pipelines.lineage saved_models/NAME/VERSION``.

Prints the data, code, parameters, parents, evaluation and blessing of a pushed version, as the
pipeline's records have them, and draws them.
"""

import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from pipelines.engine.artifacts import Model, PushedModel
from pipelines.engine.origin import read_origin
from pipelines.engine.store import ArtifactRecord, ExecutionRecord, MetadataStore
from tfac.cli import run_program
from tfac.errors import ConfigError, DataError
from tfac.files import whole_file

FLAGS = flags.FLAGS

_MOST_CHARACTERS = 400  # of a property that is printed
_DIGITS = 12  # of a fingerprint

flags.DEFINE_string(
    "metadata_url",
    None,
    "The database with the records; by default the one that the pushed model names.",
)
flags.DEFINE_string(
    "picture",
    None,
    "Where to draw it, .png, .svg or .pdf; by default NAME_VERSION_lineage.png. Empty for no "
    "picture.",
)


@dataclasses.dataclass(frozen=True)
class Step:
    """An execution that led to an artifact.

    Attributes:
        execution: the execution; it was complete.
        inputs: what it read, by name.
        earlier: names of those that are of earlier runs; where they come from is not followed.
        outputs: what it gave, by name.
    """

    execution: ExecutionRecord
    inputs: Mapping[str, ArtifactRecord]
    earlier: tuple[str, ...]
    outputs: Mapping[str, ArtifactRecord]


def find_push(store: MetadataStore, artifact_id: int, fingerprint: str, version: int) -> Step:
    """Returns the push of a model.

    Args:
        store: the records.
        artifact_id: the number of the model that was pushed.
        fingerprint: its fingerprint.
        version: the version that it was pushed as.

    Raises:
        DataError: the records know of no such push.
    """
    for execution in reversed(store.readers(artifact_id)):
        step = _step(store, execution)
        models = [each for each in step.inputs.values() if each.type == Model.__name__]
        pushed = [each for each in step.outputs.values() if each.type == PushedModel.__name__]
        if any(each.properties.get("version") == version for each in pushed):
            if any(each.fingerprint == fingerprint for each in models):
                return step
    raise DataError(
        f"{store.url}: expected the push of version {version} of model {fingerprint[:_DIGITS]}. "
        "Received: no such record"
    )


def find_steps(store: MetadataStore, last: Step) -> list[Step]:
    """Returns all that led to `last`, and that itself, in the order in which it was executed."""
    steps = {last.execution.id: last}
    waiting = [last]
    while waiting:
        step = waiting.pop()
        for name, artifact in step.inputs.items():
            if name in step.earlier:
                continue
            execution, _ = store.producer(artifact.id)
            if execution.id not in steps:
                steps[execution.id] = _step(store, execution)
                waiting.append(steps[execution.id])
    return [steps[number] for number in sorted(steps)]


def _step(store: MetadataStore, execution: ExecutionRecord) -> Step:
    nodes = {node["name"]: node for node in store.run(execution.run_id).nodes}
    resolved = nodes.get(execution.component, {}).get("resolved", {})
    return Step(execution, store.inputs(execution.id), tuple(resolved), store.outputs(execution.id))


def describe(steps: Sequence[Step]) -> str:
    """Returns the steps as text."""
    return "\n".join(line for step in steps for line in _describe_step(step))


def _describe_step(step: Step) -> Iterator[str]:
    execution = step.execution
    yield f"{execution.component}: execution {execution.id} of run {execution.run_id}"
    yield f"  {_time(execution.started)}, {execution.ended - execution.started:.1f} s"
    yield f"  because: {execution.reason}"
    yield f"  code: {execution.code_version[:_DIGITS]}"
    if execution.external is not None:
        yield f"  read outside of the pipeline: {_short(execution.external)}"
    for name, value in execution.parameters.items():
        yield f"  parameter {name}: {_short(value)}"
    for name, artifact in step.inputs.items():
        mark = " (of an earlier run)" if name in step.earlier else ""
        yield f"  input {name}: {artifact.uri} {artifact.fingerprint[:_DIGITS]}{mark}"
    for name, artifact in step.outputs.items():
        yield f"  output {name}: {artifact.uri} {artifact.fingerprint[:_DIGITS]}"
        for key, value in artifact.properties.items():
            yield f"    {key}: {_short(value)}"


def draw(steps: Sequence[Step], title: str):
    """Returns a figure of the steps, each with the most telling of what it gave."""
    from pipelines.page.graph_picture import Box, draw_graph

    boxes, edges = {}, []
    names = {step.execution.id: _box_name(step.execution) for step in steps}
    producer = {output.id: names[s.execution.id] for s in steps for output in s.outputs.values()}
    for step in steps:
        name = names[step.execution.id]
        boxes[name] = Box(step.execution.component, tuple(_telling(step)), "complete")
        for argument, artifact in step.inputs.items():
            source = producer.get(artifact.id)
            if source is None or argument in step.earlier:
                source = f"artifact {artifact.id}"
                lines = (artifact.fingerprint[:_DIGITS], "of an earlier run")
                boxes[source] = Box(artifact.uri, lines, "cached")
            edges.append((source, name))
    return draw_graph(boxes, edges, title)


def _box_name(execution: ExecutionRecord) -> str:
    return f"{execution.component} {execution.id}"


def _telling(step: Step) -> Iterator[str]:
    yield f"execution {step.execution.id}, run {step.execution.run_id}"
    for output in step.outputs.values():
        yield output.fingerprint[:_DIGITS]
        for key in ("name", "splits", "blocking", "step", "blessed", "version"):
            if key in output.properties:
                yield f"{key}: {_plain(output.properties[key])}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def _time(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def main(argv: Sequence[str]) -> None:
    """Prints and draws the lineage of the version that the argument names."""
    if len(argv) != 2:
        raise ConfigError(
            f"expected the folder of a pushed version. Received: {' '.join(argv[1:]) or 'nothing'}"
        )
    folder = Path(argv[1])
    if not folder.name.isdigit():
        raise ConfigError(
            "expected the folder of a pushed version, saved_models/NAME/VERSION. "
            f"Received: {folder}"
        )
    origin = read_origin(folder)
    with MetadataStore(FLAGS.metadata_url or origin.store) as store:
        push = find_push(store, origin.artifact_id, origin.fingerprint, int(folder.name))
        steps = find_steps(store, push)
    print(f"{folder}\n")
    print(describe(steps))
    if FLAGS.picture != "":
        picture = Path(FLAGS.picture or f"{folder.parent.name}_{folder.name}_lineage.png")
        with whole_file(picture) as aside:
            draw(steps, f"{folder.parent.name}, version {folder.name}").savefig(aside)
        print(f"\ndrawn in {picture}")


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
