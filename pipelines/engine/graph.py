"""A pipeline as data: which component reads what, with which parameters; checked when made."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.engine.artifacts import Artifact
from pipelines.engine.component import REQUIRED, ComponentSpec, spec
from tfac.errors import ConfigError

# What `Resolve.rule` may be; `pipelines.engine.resolution` says what they mean.
LATEST_PUSHED, LATEST_VALID = "latest_pushed", "latest_valid"


@dataclasses.dataclass(frozen=True)
class Reference:
    """An output of another component in the same run."""

    node: str
    output: str

    def __str__(self) -> str:
        """As "Node.output"."""
        return f"{self.node}.{self.output}"


@dataclasses.dataclass(frozen=True)
class Resolve:
    """An artifact of an earlier run, or none.

    Attributes:
        type: the artifact's class.
        rule: LATEST_PUSHED, or LATEST_VALID.
        other_than: what this run has in its place.
    """

    type: type[Artifact]
    rule: str
    other_than: Reference

    def __str__(self) -> str:
        """In words."""
        return f"{self.rule.replace('_', ' ')} {self.type.__name__} before {self.other_than}"


@dataclasses.dataclass(frozen=True)
class Node:
    """A component in a pipeline.

    Attributes:
        function: the component.
        inputs: what it reads, by argument.
        parameters: its parameters; those left out have their defaults.
        blessed_by: inputs that have to say `blessed`; where one does not, the node is skipped.
    """

    function: Callable[..., None]
    inputs: Mapping[str, Reference | Resolve] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    blessed_by: tuple[str, ...] = ()

    @property
    def spec(self) -> ComponentSpec:
        """What the component takes and gives."""
        return spec(self.function)

    @property
    def name(self) -> str:
        """The component's name."""
        return self.spec.name

    def all_parameters(self) -> dict[str, Any]:
        """Returns the parameters, defaults included."""
        defaults = {name: each.default for name, each in self.spec.parameters.items()}
        return {**defaults, **self.parameters}


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Components in an order in which they can run.

    Attributes:
        name: the pipeline's name.
        nodes: the components.

    Raises:
        ConfigError: inputs or parameters that a component does not have, or lacks.
    """

    name: str
    nodes: tuple[Node, ...]

    def __post_init__(self):
        """Checks it."""
        before: dict[str, ComponentSpec] = {}
        for node in self.nodes:
            if node.name in before:
                raise ConfigError(f"{node.name} is in pipeline {self.name} twice")
            _check_inputs(node, before)
            _check_parameters(node)
            before[node.name] = node.spec

    def describe(self) -> list[dict[str, Any]]:
        """Returns the nodes as JSON can hold them.

        Of each its `name`, what it reads of this run in `inputs` (argument to "Node.output"), and
        what of earlier runs in `resolved` (argument to words).
        """
        described = []
        for node in self.nodes:
            own = {k: str(v) for k, v in node.inputs.items() if isinstance(v, Reference)}
            resolved = {k: str(v) for k, v in node.inputs.items() if isinstance(v, Resolve)}
            described.append({"name": node.name, "inputs": own, "resolved": resolved})
        return described


def _check_inputs(node: Node, before: Mapping[str, ComponentSpec]) -> None:
    inputs = node.spec.inputs
    unknown = [name for name in (*node.inputs, *node.blessed_by) if name not in inputs]
    if unknown:
        raise ConfigError(
            f"{node.name}: expected inputs among {', '.join(inputs)}. Received: {unknown[0]}"
        )
    for name, expected in inputs.items():
        source = node.inputs.get(name)
        if source is None:
            if not expected.optional:
                raise ConfigError(f"{node.name}: expected input {name}. Received: none")
            continue
        reference = source if isinstance(source, Reference) else source.other_than
        outputs = before[reference.node].outputs if reference.node in before else {}
        given = outputs.get(reference.output)
        if given is not None and isinstance(source, Resolve):
            given = source.type
        if given is None or not issubclass(given, expected.type):
            raise ConfigError(
                f"{node.name}: input {name}: expected an output of type {expected.type.__name__} "
                f"of a component before it. Received: {source}"
            )


def _check_parameters(node: Node) -> None:
    parameters = node.spec.parameters
    for name in node.parameters:
        if name not in parameters:
            raise ConfigError(
                f"{node.name}: expected parameters among {', '.join(parameters) or 'none'}. "
                f"Received: {name}"
            )
    for name, value in node.all_parameters().items():
        if value is REQUIRED:
            raise ConfigError(f"{node.name}: parameter {name} has no value")
