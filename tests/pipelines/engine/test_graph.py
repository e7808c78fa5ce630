import pytest

from pipelines.engine.artifacts import Examples, ExampleStatistics, Input, Model, Output
from pipelines.engine.component import component
from pipelines.engine.graph import LATEST_PUSHED, LATEST_VALID, Node, Pipeline, Reference, Resolve
from tfac.errors import ConfigError


@component
def example_gen(examples: Output[Examples], *, dataset: str, size: int = 64) -> None:
    """Gives examples."""


@component
def statistics_gen(
    examples: Input[Examples],
    previous: Input[ExampleStatistics] | None,
    statistics: Output[ExampleStatistics],
) -> None:
    """Gives statistics."""


EXAMPLES = Reference("ExampleGen", "examples")
GEN = Node(example_gen, parameters={"dataset": "celeba"})
STATISTICS = Node(statistics_gen, {"examples": EXAMPLES})


def test_pipeline_describes_itself():
    previous = Resolve(ExampleStatistics, LATEST_VALID, EXAMPLES)
    node = Node(statistics_gen, {"examples": EXAMPLES, "previous": previous})
    assert Pipeline("faces", (GEN, node)).describe() == [
        {"name": "ExampleGen", "inputs": {}, "resolved": {}},
        {
            "name": "StatisticsGen",
            "inputs": {"examples": "ExampleGen.examples"},
            "resolved": {"previous": "latest valid ExampleStatistics before ExampleGen.examples"},
        },
    ]
    assert GEN.all_parameters() == {"dataset": "celeba", "size": 64}


def reading(blessed_by=(), **inputs) -> tuple[Node, Node]:
    return GEN, Node(statistics_gen, inputs, blessed_by=blessed_by)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((GEN, GEN), "ExampleGen is in pipeline faces twice"),
        ((STATISTICS, GEN), "of a component before it. Received: ExampleGen.examples"),
        (reading(), "expected input examples. Received: none"),
        (reading(examples=Reference("ExampleGen", "others")), "Received: ExampleGen.others"),
        (
            reading(examples=EXAMPLES, previous=EXAMPLES),
            "input previous: expected an output of type ExampleStatistics",
        ),
        (
            reading(examples=EXAMPLES, previous=Resolve(Model, LATEST_PUSHED, EXAMPLES)),
            "input previous: expected an output of type ExampleStatistics",
        ),
        (reading(data=EXAMPLES), "among examples, previous. Received: data"),
        (reading(("blessing",), examples=EXAMPLES), "Received: blessing"),
        ((Node(example_gen, parameters={"data": "x"}),), "among dataset, size. Received: data"),
        ((Node(example_gen),), "ExampleGen: parameter dataset has no value"),
    ],
)
def test_pipeline_that_cannot_run_is_refused(nodes, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline("faces", nodes)
