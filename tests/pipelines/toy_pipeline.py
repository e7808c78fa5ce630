"""A pipeline of toy components that write small files, for the tests of the core.

As a program it runs the pipeline in a process of its own and prints its states as JSON:
``python toy_pipeline.py ROOT [--isolate] [NAME=VALUE ...]``. Where the environment's TOY_KILL names
a component, the process kills itself in the midst of it; where it is ``record:NAME``, after its
output was renamed and before it is recorded.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from pipelines.engine.artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    Input,
    Model,
    ModelBlessing,
    Output,
    PushedModel,
)
from pipelines.engine.component import component, spec
from pipelines.engine.graph import LATEST_PUSHED, LATEST_VALID, Node, Pipeline, Reference, Resolve
from pipelines.engine.origin import write_origin
from pipelines.engine.store import MetadataStore
from pipelines.runners.local import LocalRunner
from tfac.errors import DataError, TfacError

DEFAULTS = {"source": "", "destination": "", "quality": 5, "margin": 0, "workers": 1, "pause": 0}


def _die_here(name: str) -> None:
    if os.environ.get("TOY_KILL") == name:
        os.kill(os.getpid(), signal.SIGKILL)


def _source_fingerprint(parameters) -> str:
    return Path(parameters["source"]).read_text()


@component(external=_source_fingerprint, neutral=("workers",))
def example_gen(examples: Output[Examples], *, source: str, workers: int = 1) -> None:
    """Copies the numbers of the source."""
    (examples.path / "half.txt").write_text("half")
    _die_here("ExampleGen")
    (examples.path / "half.txt").unlink()
    (examples.path / "numbers.txt").write_text(Path(source).read_text())
    examples.properties["workers"] = "any"


@component
def statistics_gen(
    examples: Input[Examples], statistics: Output[ExampleStatistics], *, pause: float = 0
) -> None:
    """Adds the numbers up."""
    time.sleep(pause)
    (statistics.path / "sum.txt").write_text("0")
    _die_here("StatisticsGen")
    total = sum(map(int, (examples.path / "numbers.txt").read_text().split()))
    (statistics.path / "sum.txt").write_text(str(total))


@component
def example_validator(
    statistics: Input[ExampleStatistics],
    previous: Input[ExampleStatistics] | None,
    anomalies: Output[ExampleAnomalies],
) -> None:
    """Finds a sum of less than half of that before wrong."""
    _die_here("ExampleValidator")
    now = int((statistics.path / "sum.txt").read_text())
    before = int((previous.path / "sum.txt").read_text()) if previous else now
    (anomalies.path / "found.txt").write_text(f"{before} {now}")
    anomalies.properties["blocking"] = now * 2 < before


@component(resumable=True)
def trainer(
    examples: Input[Examples],
    anomalies: Input[ExampleAnomalies],
    model: Output[Model],
    *,
    quality: int,
) -> None:
    """Counts up to the sum times the quality, a checkpoint a number."""
    if anomalies.properties["blocking"]:
        raise DataError("the examples have blocking anomalies")
    checkpoint = model.path / "checkpoint.txt"
    done = len(checkpoint.read_text()) if checkpoint.exists() else 0
    with checkpoint.open("a") as file:
        for step in range(done, 10):
            if step == 5:
                file.flush()
                _die_here("Trainer")
            file.write("x")
    model.properties["score"] = quality


@component
def evaluator(
    model: Input[Model],
    baseline: Input[Model] | None,
    blessing: Output[ModelBlessing],
    *,
    margin: int = 0,
) -> None:
    """Blesses what is at most `margin` worse than the baseline."""
    (blessing.path / "BLESSED").write_text("")
    _die_here("Evaluator")
    score = model.properties["score"]
    needed = baseline.properties["score"] - margin if baseline else 0
    if score < needed:
        (blessing.path / "BLESSED").rename(blessing.path / "NOT_BLESSED")
    reasons = [f"{score} is less than {needed}"] if score < needed else []
    blessing.properties.update(blessed=score >= needed, reasons=reasons)


def _pushed_is_newest(outputs) -> str | None:
    pushed = outputs["pushed"].properties
    versions = [int(path.name) for path in Path(pushed["destination"]).glob("*")]
    if versions and max(versions) == pushed["version"]:
        return None
    return f"version {pushed['version']} is not the newest"


@component(check=_pushed_is_newest)
def pusher(
    model: Input[Model],
    blessing: Input[ModelBlessing],
    pushed: Output[PushedModel],
    *,
    destination: str,
) -> None:
    """Copies the model to the next version."""
    assert blessing.properties["blessed"]
    _die_here("Pusher")
    versions = [int(path.name) for path in Path(destination).glob("*")]
    version = max(versions, default=0) + 1
    folder = Path(destination, str(version))
    folder.mkdir(parents=True)
    (folder / "score.txt").write_text(str(model.properties["score"]))
    write_origin(folder, model, folder)
    pushed.properties.update(destination=destination, version=version)


def create_toy_pipeline(name: str = "toy", **values) -> Pipeline:
    """Returns the pipeline with some of the parameters in DEFAULTS changed."""
    values = {**DEFAULTS, **values}

    def node(function, blessed_by=(), **inputs) -> Node:
        parameters = {name: values[name] for name in spec(function).parameters}
        return Node(function, inputs, parameters, blessed_by)

    statistics, model = Reference("StatisticsGen", "statistics"), Reference("Trainer", "model")
    examples, blessing = Reference("ExampleGen", "examples"), Reference("Evaluator", "blessing")
    previous = Resolve(ExampleStatistics, LATEST_VALID, statistics)
    anomalies = Reference("ExampleValidator", "anomalies")
    nodes = (
        node(example_gen),
        node(statistics_gen, examples=examples),
        node(example_validator, statistics=statistics, previous=previous),
        node(trainer, examples=examples, anomalies=anomalies),
        node(evaluator, model=model, baseline=Resolve(Model, LATEST_PUSHED, model)),
        node(pusher, ("blessing",), model=model, blessing=blessing),
    )
    return Pipeline(name, nodes)


def run_toys(
    root: Path, *, isolate: bool = False, report=lambda line: None, url: str = "", **values
) -> dict:
    """Runs the toy pipeline on the numbers in `<root>/../source.txt`; returns its states."""
    values = {
        "source": str(root.parent / "source.txt"),
        "destination": str(root.parent / "served"),
        **values,
    }
    with MetadataStore(url or f"sqlite:///{root}/metadata.sqlite") as store:
        runner = LocalRunner(root, store, isolate=isolate, report=report)
        return runner.run(create_toy_pipeline(**values), values).states


def _die_before_recording(component_name: str) -> None:
    complete = MetadataStore.complete_execution

    def complete_or_die(store, execution_id, outputs):
        if store.execution(execution_id).component == component_name:
            os.kill(os.getpid(), signal.SIGKILL)
        complete(store, execution_id, outputs)

    MetadataStore.complete_execution = complete_or_die


if __name__ == "__main__":
    import toy_pipeline  # by its name another process finds it

    program_options = dict(each.split("=") for each in sys.argv[2:] if "=" in each)
    numbers = {name: int(v) if v.isdigit() else v for name, v in program_options.items()}
    if os.environ.get("TOY_KILL", "").startswith("record:"):
        _die_before_recording(os.environ["TOY_KILL"].removeprefix("record:"))
    try:
        states = toy_pipeline.run_toys(
            Path(sys.argv[1]),
            isolate="--isolate" in sys.argv,
            report=lambda line: print(line, file=sys.stderr),
            **numbers,
        )
    except TfacError as raised:
        sys.exit(f"error: {raised}")
    print(json.dumps(states))
