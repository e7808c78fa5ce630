"""Components: plain functions whose annotations say what they take and give.

::

    @component
    def statistics_gen(
        examples: Input[Examples],
        statistics: Output[ExampleStatistics],
        *,
        splits: list[str] | None = None,
    ) -> None:

Inputs and outputs are artifacts, keyword-only arguments are parameters with JSON values. The
decorator leaves the function as it is: it can be called and tested alone, `Examples(path)` given
for `examples` and `ExampleStatistics(an_empty_folder)` for `statistics`. `spec(function)` tells
runners about it.

Modules of components are imported in each run, and most of their functions are then not called:
TensorFlow, Beam and the parts of tfac that import them belong inside the functions.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.engine.artifacts import Artifact

REQUIRED = inspect.Parameter.empty
Parameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """An input of a component: its type, and whether it may be None."""

    type: type[Artifact]
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """A parameter of a component: its annotation and its default, REQUIRED if it has none."""

    annotation: Any
    default: Any = REQUIRED


@dataclasses.dataclass(frozen=True)
class ComponentSpec:
    """What a component takes and gives.

    Attributes:
        name: TFX's name of it, StatisticsGen of statistics_gen.
        inputs: by argument.
        outputs: the types, by argument.
        parameters: by argument.
        external: see `component`.
        neutral: see `component`.
        resumable: see `component`.
        check: see `component`.
    """

    name: str
    inputs: dict[str, InputSpec]
    outputs: dict[str, type[Artifact]]
    parameters: dict[str, ParameterSpec]
    external: Callable[[Parameters], str] | None = None
    neutral: tuple[str, ...] = ()
    resumable: bool = False
    check: Callable[[Mapping[str, Artifact]], str | None] | None = None


def component(
    function: Callable[..., None] | None = None,
    *,
    external: Callable[[Parameters], str] | None = None,
    neutral: tuple[str, ...] = (),
    resumable: bool = False,
    check: Callable[[Mapping[str, Artifact]], str | None] | None = None,
) -> Callable:
    """Declares a function a component; returns the function itself.

    Args:
        function: the component.
        external: given the parameters, all of them, returns a fingerprint of what the component
            reads that is no artifact, such as source files; it runs again where that changes. To be
            quick: it is called in each run.
        neutral: parameters that do not change the outputs, such as a number of workers; a change of
            them alone runs nothing again.
        resumable: the component goes on with what it finds in its outputs' folders after it was
            killed or interrupted. Those of the others are empty whenever they start.
        check: given the outputs of an earlier execution by name, returns why they cannot stand for
            a new one, or None; for what a component leaves outside of its outputs.

    Raises:
        TypeError: an annotation is missing or is none of Input[T], Input[T] | None, Output[T] for
            positional arguments, or the function is not named as a function is.
    """

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        function.component_spec = dataclasses.replace(
            _read_signature(function),
            external=external,
            neutral=tuple(neutral),
            resumable=resumable,
            check=check,
        )
        unknown = set(neutral) - set(function.component_spec.parameters)
        if unknown:
            raise TypeError(f"{function.__name__} has no parameters {', '.join(sorted(unknown))}")
        return function

    return declare if function is None else declare(function)


def spec(function: Callable[..., None]) -> ComponentSpec:
    """Returns what a component takes and gives.

    Raises:
        TypeError: the function was not declared a component.
    """
    if not hasattr(function, "component_spec"):
        raise TypeError(f"expected a function declared with @component. Received: {function!r}")
    return function.component_spec


def _read_signature(function: Callable[..., None]) -> ComponentSpec:
    hints = typing.get_type_hints(function, include_extras=True)
    inputs, outputs, parameters = {}, {}, {}
    for name, argument in inspect.signature(function).parameters.items():
        if name not in hints:
            raise TypeError(f"{function.__name__}: argument {name} has no annotation")
        if argument.kind is inspect.Parameter.KEYWORD_ONLY:
            parameters[name] = ParameterSpec(hints[name], argument.default)
            continue
        role, artifact_type, optional = _read_annotation(function.__name__, name, hints[name])
        if role == "input":
            inputs[name] = InputSpec(artifact_type, optional)
        else:
            outputs[name] = artifact_type
    name = "".join(word.capitalize() for word in function.__name__.split("_"))
    return ComponentSpec(name, inputs, outputs, parameters)


def _read_annotation(function: str, name: str, hint: Any) -> tuple[str, type[Artifact], bool]:
    """Returns "input" or "output", the artifact's type, and whether it may be None."""
    optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
    if optional:
        alternatives = [each for each in typing.get_args(hint) if each is not types.NoneType]
        hint = alternatives[0] if len(alternatives) == 1 else None
    role = getattr(hint, "__metadata__", (None,))[0]
    if role not in ("input", "output") or (optional and role == "output"):
        raise TypeError(
            f"{function}: expected argument {name} to be an Input[...], an Input[...] | None or an "
            f"Output[...], or to be keyword-only. Received: {hint}"
        )
    return role, hint.__origin__, optional
