"""The Kubeflow runner: compiles a pipeline for Kubeflow Pipelines 2 and for Vertex.

Each component becomes a function of two lines that calls it in the image; the rest is Kubeflow's:
order, storage, cache and records. Three things are other than with the local runner:

- Nothing in a definition can ask for an artifact of an earlier run: the format has resolvers, but
  Kubeflow's backend refuses them. A `Resolve` input is therefore none, as in a first run, unless
  `KubeflowOptions.earlier` gives its URI, which is then imported.
- A node that is not blessed, and those that read from it, are a conditional branch.
- The cache knows inputs, parameters and the image's name. Components that read or leave something
  outside of their artifacts run every time, and new code needs an image with a new name.
"""

import dataclasses
import inspect
import runpy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.engine.artifacts import Artifact, Examples, InferenceResult, Model
from pipelines.engine.graph import Node, Pipeline, Reference, Resolve
from pipelines.runners.kubeflow_step import encode_parameter, plain_type
from tfac.errors import ConfigError, DataError
from tfac.files import read_json, whole_file

try:
    from kfp import compiler, dsl, kubernetes
    from kfp.dsl.types.type_utils import InconsistentTypeException
except ImportError as error:
    raise ConfigError(
        "the Kubeflow runner needs Kubeflow Pipelines' SDK: pip install 'tfac[pipeline]'"
    ) from error

# Types of ours that Kubeflow has too; the rest are "Artifact" to it, and our own in their metadata.
_TYPES = {Examples: dsl.Dataset, InferenceResult: dsl.Dataset, Model: dsl.Model}
_IMPORTS = "from kfp.dsl import Artifact, Dataset, Input, Model, Output\n\n"
_STEP = """\
def {name}({arguments}){returns}:
    {summary!r}
    arguments = dict(locals())
    from pipelines.runners.kubeflow_step import run

    {call}run("{module}:{name}", arguments)
"""
_BUCKETS = "/gcs"  # where Vertex has every bucket
# Parameters that are places outside of artifacts.
_PLACES = ("source_dir", "photos", "destination", "model_config_file")
_VERDICT = "Output"  # Kubeflow's name of what a function returns


@dataclasses.dataclass(frozen=True)
class Resources:
    """What a component's container gets; None leaves it to the cluster.

    Attributes:
        cpu: processors, such as "4" or "500m".
        memory: such as "16G".
        accelerator: "nvidia.com/gpu" on Kubeflow, "NVIDIA_TESLA_T4" and the like on Vertex.
        accelerators: how many of them.
    """

    cpu: str | None = None
    memory: str | None = None
    accelerator: str | None = None
    accelerators: int = 1


@dataclasses.dataclass(frozen=True)
class KubeflowOptions:
    """Where and with what a compiled pipeline runs.

    Attributes:
        image: the container image, made with `pipelines/Dockerfile`.
        resources: component to what it gets; those of "default" hold for all others.
        volumes: persistent volume claim to the folder that all containers see it as. Vertex needs
            none: it has every bucket under /gcs.
        earlier: "Component.input" to the URI of an artifact that an earlier run wrote.
    """

    image: str = "tfac-pipeline:latest"
    resources: Mapping[str, Resources] = dataclasses.field(default_factory=dict)
    volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    earlier: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_options(path: Path) -> KubeflowOptions:
    """Reads options from a JSON file with the names of `KubeflowOptions`.

    Raises:
        ConfigError: the file cannot be read, or has other names in it.
    """
    try:
        values = read_json(path)
        resources = {
            name: _create(Resources, each, f"resources.{name}")
            for name, each in values.pop("resources", {}).items()
        }
        return _create(KubeflowOptions, {**values, "resources": resources}, "options of Kubeflow")
    except (ConfigError, DataError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: expected options of Kubeflow in JSON. {error}") from error


def _create(kind: type, values: Mapping[str, Any], what: str) -> Any:
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ConfigError(
            f"{what}: expected some of {', '.join(names)}. Received: {', '.join(unknown)}"
        )
    return kind(**values)


def compile_pipeline(
    pipeline: Pipeline, path: Path, options: KubeflowOptions | None = None
) -> None:
    """Writes a pipeline as Kubeflow Pipelines and Vertex take it.

    Args:
        pipeline: what is to run.
        path: the definition's file, .yaml.
        options: where and with what it runs.

    Raises:
        ConfigError: a component that is not in the pipeline, an input that needs a URI, a parameter
            of another type, a place that goes with its container, or another kind of file.
    """
    if path.suffix != ".yaml":
        raise ConfigError(f"output: expected a file .yaml. Received: {path}")
    compiled = _Compilation(pipeline, options or KubeflowOptions()).create()
    with whole_file(path) as aside:
        compiler.Compiler().compile(compiled, str(aside))


class _Compilation:
    """The tasks of one pipeline while they are made."""

    def __init__(self, pipeline: Pipeline, options: KubeflowOptions):
        self._pipeline, self._options = pipeline, options
        self._conditions = _find_conditions(pipeline)
        self._tasks: dict[str, dsl.PipelineTask] = {}
        _check_options(pipeline, options)

    def create(self) -> Callable:
        """Returns Kubeflow's pipeline."""
        judged = {each.node for conditions in self._conditions.values() for each in conditions}
        self._components = _create_components(self._pipeline.nodes, judged, self._options.image)

        @dsl.pipeline(name=self._pipeline.name.replace("_", "-"))
        def pipeline():
            self._add_tasks(self._pipeline.nodes)

        return pipeline

    def _add_tasks(self, nodes: Sequence[Node], depth: int = 0) -> None:
        """Adds nodes whose first `depth` conditions hold here."""
        branches: dict[Reference, list[Node]] = {}
        for node in nodes:
            conditions = self._conditions[node.name]
            if len(conditions) == depth:
                self._add_task(node)
            else:
                branches.setdefault(conditions[depth], []).append(node)
        for condition, branch in branches.items():
            blessed = self._tasks[condition.node].outputs[_VERDICT]
            with dsl.If(blessed == True, name=f"blessed-by-{condition.node}"):  # noqa: E712
                self._add_tasks(branch, depth + 1)

    def _add_task(self, node: Node) -> None:
        arguments = {name: self._find_input(node, name) for name in node.inputs}
        for name, value in node.all_parameters().items():
            arguments[name] = encode_parameter(node.spec.parameters[name].annotation, value)
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            task = self._components[node.name](**given).set_display_name(node.name)
        except InconsistentTypeException as error:
            raise ConfigError(f"{node.name}: {error}") from error
        if node.spec.external or node.spec.check:
            task.set_caching_options(False)
        for claim, folder in self._options.volumes.items():
            kubernetes.mount_pvc(task, claim, folder)
        resources = self._options.resources
        _set_resources(task, resources.get(node.name, resources.get("default", Resources())))
        self._tasks[node.name] = task

    def _find_input(self, node: Node, name: str) -> Any:
        source = node.inputs[name]
        if isinstance(source, Reference):
            return self._tasks[source.node].outputs[source.output]
        uri = self._options.earlier.get(f"{node.name}.{name}")
        if uri is None:
            return None
        imported = dsl.importer(artifact_uri=uri, artifact_class=_kfp_type(source.type))
        return imported.set_display_name(f"{node.name} {name}").output


def _find_conditions(pipeline: Pipeline) -> dict[str, tuple[Reference, ...]]:
    """Returns whose blessing each node needs: its own, and what the nodes it reads from need."""
    conditions: dict[str, tuple[Reference, ...]] = {}
    for node in pipeline.nodes:
        read = [each for each in node.inputs.values() if isinstance(each, Reference)]
        needed = [condition for each in read for condition in conditions[each.node]]
        needed += [node.inputs[name] for name in node.blessed_by]
        conditions[node.name] = tuple(dict.fromkeys(needed))
    return conditions


def _check_options(pipeline: Pipeline, options: KubeflowOptions) -> None:
    names = [node.name for node in pipeline.nodes]
    for name in options.resources:
        if name not in (*names, "default"):
            raise ConfigError(
                f"resources: expected default or components among {', '.join(names)}. "
                f"Received: {name}"
            )
    _check_places(pipeline, options)
    earlier = {
        f"{node.name}.{name}": node.spec.inputs[name].optional
        for node in pipeline.nodes
        for name, source in node.inputs.items()
        if isinstance(source, Resolve)
    }
    for name in options.earlier:
        if name not in earlier:
            raise ConfigError(
                f"earlier: expected inputs among {', '.join(earlier) or 'none'}. Received: {name}"
            )
    for name, optional in earlier.items():
        if not optional and name not in options.earlier:
            raise ConfigError(f"earlier: expected the URI of {name}. Received: none")


def _check_places(pipeline: Pipeline, options: KubeflowOptions) -> None:
    """Refuses places that a container has for itself: what is there goes with it."""
    kept = [Path(folder) for folder in (*options.volumes.values(), _BUCKETS)]
    for node in pipeline.nodes:
        for name, value in node.all_parameters().items():
            if name not in _PLACES or not value:
                continue
            place = Path(value)
            lasts = any(place.is_relative_to(folder) for folder in kept)
            lasts = lasts or (place.is_absolute() and not options.volumes)
            if not lasts or ".." in place.parts:
                raise ConfigError(
                    f"{node.name}.{name}: expected a place below {' or '.join(map(str, kept))}, as "
                    f"another is lost with its container. Received: {value}"
                )


def _create_components(
    nodes: Sequence[Node], judged: set[str], image: str
) -> dict[str, Callable[..., dsl.PipelineTask]]:
    """Returns Kubeflow's component of each node.

    Args:
        nodes: the nodes.
        judged: those whose verdict a condition needs.
        image: the container image.
    """
    sources = [_write_step(node, node.name in judged) for node in nodes]
    with tempfile.TemporaryDirectory() as folder:  # Kubeflow reads a function's source from a file
        path = Path(folder, "steps.py")
        path.write_text(_IMPORTS + "\n\n".join(sources), encoding="utf-8")
        functions = runpy.run_path(str(path))
        create = dsl.component(base_image=image, install_kfp_package=False)
        return {node.name: create(functions[node.function.__name__]) for node in nodes}


def _write_step(node: Node, is_judged: bool) -> str:
    """Returns the source of the function that runs in the container."""
    spec, function = node.spec, node.function
    required = [
        *(
            f"{name}: Input[{_kfp_type(each.type).__name__}]"
            for name, each in spec.inputs.items()
            if not each.optional
        ),
        *(f"{name}: Output[{_kfp_type(each).__name__}]" for name, each in spec.outputs.items()),
    ]
    optional = [
        *(
            f"{name}: Input[{_kfp_type(each.type).__name__}] = None"
            for name, each in spec.inputs.items()
            if each.optional
        ),
        *(
            f"{name}: {(plain_type(each.annotation) or str).__name__} = None"
            for name, each in spec.parameters.items()
        ),
    ]
    return _STEP.format(
        name=function.__name__,
        arguments=", ".join([*required, *optional]),
        summary=(inspect.getdoc(function) or node.name).partition("\n")[0],
        module=function.__module__,
        returns=" -> bool" if is_judged else "",
        call="return " if is_judged else "",
    )


def _kfp_type(artifact_type: type[Artifact]) -> type[dsl.Artifact]:
    return _TYPES.get(artifact_type, dsl.Artifact)


def _set_resources(task: dsl.PipelineTask, resources: Resources) -> None:
    if resources.cpu:
        task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    if resources.memory:
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerators)
