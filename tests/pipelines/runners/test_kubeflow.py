import importlib
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("kfp", reason="Kubeflow Pipelines' SDK (tfac[pipeline]) is not installed")
pytest.importorskip("kfp.kubernetes", reason="kfp-kubernetes (tfac[pipeline]) is not installed")

import yaml
from kfp import components, local
from kfp.local import config as local_config
from toy_pipeline import create_toy_pipeline

from pipelines.engine.artifacts import (
    Examples,
    InferenceResult,
    Input,
    Model,
    ModelBlessing,
    Output,
)
from pipelines.engine.component import component
from pipelines.engine.graph import LATEST_PUSHED, Node, Pipeline, Reference, Resolve
from pipelines.runners.kubeflow import (
    KubeflowOptions,
    Resources,
    compile_pipeline,
    read_options,
)
from tfac.errors import ConfigError

# The SDK's local runner says of each task what it has no use for.
pytestmark = pytest.mark.filterwarnings("ignore:Task .* have no effect:UserWarning")

IMAGE = "registry/tfac-python:1"


def compiled(folder: Path, pipeline: Pipeline, **options) -> tuple[dict, dict]:
    """The definition, which Kubeflow's SDK can read, and what is for Kubernetes alone."""
    path = folder / "compiled.yaml"
    compile_pipeline(pipeline, path, KubeflowOptions(image=IMAGE, **options))
    components.load_component_from_file(str(path))
    documents = list(yaml.safe_load_all(path.read_text()))
    return documents[0], documents[1] if len(documents) > 1 else {}


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> dict:
    """The definition of the toy pipeline."""
    pipeline = create_toy_pipeline(source="/data/numbers.txt", pause=2)
    return compiled(tmp_path_factory.mktemp("toys"), pipeline)[0]


def branches(definition: dict) -> list[dict]:
    """The tasks of each branch."""
    found = definition["components"].items()
    return [tasks(each) for name, each in found if "condition" in name]


def tasks(dag: dict) -> dict:
    return {each["taskInfo"]["name"]: each for each in dag["dag"]["tasks"].values()}


def constants(task: dict) -> dict:
    parameters = task["inputs"].get("parameters", {})
    return {name: each["runtimeValue"]["constant"] for name, each in parameters.items()}


def test_every_node_is_a_task_with_its_inputs_and_parameters(toys):
    found = tasks(toys["root"])
    assert set(found) == {
        *("ExampleGen", "StatisticsGen", "ExampleValidator", "Trainer", "Evaluator"),
        "blessed-by-Evaluator",
    }
    assert constants(found["ExampleGen"]) == {"source": "/data/numbers.txt", "workers": 1}
    assert constants(found["StatisticsGen"]) == {"pause": 2.0}
    assert {
        name: list(each["taskOutputArtifact"].values())
        for name, each in found["Trainer"]["inputs"]["artifacts"].items()
    } == {
        "examples": ["examples", "example-gen"],
        "anomalies": ["anomalies", "example-validator"],
    }
    executors = toys["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {IMAGE}
    assert "toy_pipeline:trainer" in str(executors) and "pip install" not in str(executors)


def test_push_is_a_branch_on_the_blessing(toys):
    branch = tasks(toys["root"])["blessed-by-Evaluator"]
    assert branch["triggerPolicy"]["condition"].endswith("evaluator-Output'] == true")
    assert branch["inputs"]["parameters"]["pipelinechannel--evaluator-Output"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "evaluator"}
    }
    assert list(map(set, branches(toys))) == [{"Pusher"}]


def test_what_is_outside_of_artifacts_is_not_cached(toys):
    found = tasks(toys["root"]) | branches(toys)[0]
    cached = {name for name, each in found.items() if each.get("cachingOptions")}
    assert cached == {"StatisticsGen", "ExampleValidator", "Trainer", "Evaluator"}


def test_earlier_artifacts_are_none_or_imported(toys, tmp_path):
    def inputs(found: dict, name: str) -> set[str]:
        return set(found[name]["inputs"]["artifacts"])

    assert inputs(tasks(toys["root"]), "Evaluator") == {"model"}
    earlier = {"Evaluator.baseline": "gs://bucket/model"}
    found = tasks(compiled(tmp_path, create_toy_pipeline(), earlier=earlier)[0]["root"])
    assert inputs(found, "Evaluator") == {"model", "baseline"}
    assert inputs(found, "ExampleValidator") == {"statistics"}
    assert constants(found["Evaluator baseline"]) == {"uri": "gs://bucket/model"}


def test_resources_and_volumes(tmp_path):
    resources = {
        "Trainer": Resources("8", "16G", "nvidia.com/gpu", 2),
        "default": Resources(memory="2G"),
    }
    definition, platforms = compiled(
        tmp_path, create_toy_pipeline(), resources=resources, volumes={"faces": "/data"}
    )
    executors = definition["deploymentSpec"]["executors"]
    trainer = executors["exec-trainer"]["container"]["resources"]
    assert (trainer["resourceCpuLimit"], trainer["resourceMemoryRequest"]) == ("8", "16G")
    assert trainer["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert trainer["accelerator"]["resourceCount"] == "2"
    other = executors["exec-pusher"]["container"]["resources"]
    assert "resourceCpuLimit" not in other and other["resourceMemoryLimit"] == "2G"
    mounts = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(mounts) == 6
    for each in mounts.values():
        assert each["pvcMount"][0]["constant"] == "faces"
        assert each["pvcMount"][0]["mountPath"] == "/data"


@component
def give(examples: Output[Examples], *, options: dict | None = None, names: list | None = None):
    """Says \"hello\", 'hello' and \\n."""


@component
def judge(examples: Input[Examples], blessing: Output[ModelBlessing]):
    pass


@component
def judge_again(
    examples: Input[Examples], first: Input[ModelBlessing], second: Output[ModelBlessing]
):
    pass


@component
def infer(
    examples: Input[Examples],
    blessing: Input[ModelBlessing],
    results: Output[InferenceResult],
    *,
    rate: float = 1.0,
):
    pass


@component
def compare(examples: Input[Examples], before: Input[Model], model: Output[Model]):
    pass


EXAMPLES = {"examples": Reference("Give", "examples")}


def test_branches_in_branches(tmp_path):
    first, second = Reference("Judge", "blessing"), Reference("JudgeAgain", "second")
    pipeline = Pipeline(
        "two_judges",
        (
            Node(give),
            Node(judge, EXAMPLES),
            Node(judge_again, {**EXAMPLES, "first": first}, blessed_by=("first",)),
            Node(infer, {**EXAMPLES, "blessing": second}, blessed_by=("blessing",)),
        ),
    )
    definition, _ = compiled(tmp_path, pipeline)
    assert definition["pipelineInfo"]["name"] == "two-judges"
    assert set(tasks(definition["root"])) == {"Give", "Judge", "blessed-by-Judge"}
    found = sorted(map(sorted, branches(definition)))
    assert found == [["Infer"], ["JudgeAgain", "blessed-by-JudgeAgain"]]


def test_lists_and_dictionaries_are_given_exactly(tmp_path):
    options = {"image_size": 32, "rate": 1.0, "limit": None, "names": ["a"]}
    definition, _ = compiled(tmp_path, Pipeline("give", (Node(give, {}, {"options": options}),)))
    assert constants(tasks(definition["root"])["Give"]) == {
        "options": '{"image_size": 32, "rate": 1.0, "limit": null, "names": ["a"]}'
    }


def test_what_cannot_be_compiled_is_named(tmp_path):
    def refuse(pipeline, message, path="toy.yaml", **options):
        with pytest.raises(ConfigError, match=message):
            compile_pipeline(pipeline, tmp_path / path, KubeflowOptions(**options))
        assert not list(tmp_path.iterdir())

    toys = create_toy_pipeline()
    refuse(toys, "output: expected a file .yaml. Received: .*toy.json", "toy.json")
    refuse(toys, "resources: .* Received: Tuner", resources={"Tuner": Resources()})
    refuse(
        toys,
        "expected inputs among ExampleValidator.previous, Evaluator.baseline. "
        "Received: Evaluator.model",
        earlier={"Evaluator.model": "gs://bucket/model"},
    )
    refuse(create_toy_pipeline(quality="much"), "Trainer: Incompatible argument .*'quality'")
    before = Resolve(Model, LATEST_PUSHED, EXAMPLES["examples"])
    nodes = (Node(give), Node(compare, {**EXAMPLES, "before": before}))
    refuse(Pipeline("required", nodes), "expected the URI of Compare.before. Received: none")


def test_options_are_read_from_a_file(tmp_path):
    path = tmp_path / "cluster.json"
    path.write_text(
        '{"image": "tfac:2", "resources": {"Trainer": {"cpu": "4"}}, "volumes": {"faces": "/data"}}'
    )
    assert read_options(path) == KubeflowOptions(
        image="tfac:2", resources={"Trainer": Resources(cpu="4")}, volumes={"faces": "/data"}
    )
    for wrong, message in (
        ('{"cpus": 4}', "expected some of image, resources, volumes, earlier. Received: cpus"),
        ('{"resources": {"Trainer": {"cores": 4}}}', "resources.Trainer: .* Received: cores"),
        ("[]", ""),
        ("{", ""),
    ):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=f"cluster.json: expected options of .*{message}"):
            read_options(path)


def test_missing_sdk_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kfp", None)
    monkeypatch.delitem(sys.modules, "pipelines.runners.kubeflow")
    with pytest.raises(ConfigError, match="pip install 'tfac.pipeline.'"):
        importlib.import_module("pipelines.runners.kubeflow")


@pytest.fixture
def run_compiled(tmp_path, monkeypatch):
    """Runs a definition with the SDK's own local runner; returns what each task has written."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(local_config.LocalExecutionConfig, "instance", None)
    folder = tmp_path / "kubeflow"
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))

    def run(pipeline: Pipeline, **options) -> dict[str, Path]:
        path = tmp_path / "compiled.yaml"
        compile_pipeline(pipeline, path, KubeflowOptions(image=IMAGE, **options))
        before = set(folder.glob("**/executor_output.json"))
        components.load_component_from_file(str(path))()
        written = set(folder.glob("**/executor_output.json")) - before
        return {each.parent.name: each.parent for each in written}

    return run


@pytest.mark.slow
def test_compiled_toys_run_and_push(run_compiled, tmp_path):
    (tmp_path / "source.txt").write_text("1 2 3 4")
    values = {"source": str(tmp_path / "source.txt"), "destination": str(tmp_path / "served")}
    written = run_compiled(create_toy_pipeline(**values))
    contents = written["statistics-gen"] / "statistics" / "contents"
    assert (contents / "sum.txt").read_text() == "10"
    assert (tmp_path / "served" / "1" / "score.txt").read_text() == "5"

    # The model is the next run's baseline, which a worse one does not pass ...
    earlier = {"Evaluator.baseline": str(written["trainer"] / "model")}
    worse = run_compiled(create_toy_pipeline(**values, quality=4), earlier=earlier)
    assert (worse["evaluator"] / "blessing" / "contents" / "NOT_BLESSED").exists()
    assert "pusher" not in worse
    assert not (tmp_path / "served" / "2").exists()

    # ... and one that is as good with the margin does.
    run_compiled(create_toy_pipeline(**values, quality=4, margin=1), earlier=earlier)
    assert (tmp_path / "served" / "2" / "score.txt").read_text() == "4"


@pytest.mark.slow
def test_compiled_component_of_tfac_writes_as_it_does_here(run_compiled, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")
    from pipelines.components.example_gen import example_gen
    from pipelines.engine.caching import read_contents

    faces = {"image_size": 32, "train_count": 6, "validation_count": 2, "test_count": 2}
    parameters = {"dataset": "synthetic_faces", "options": faces}
    written = run_compiled(Pipeline("data", (Node(example_gen, {}, parameters),)))
    examples = Examples(tmp_path / "examples")
    example_gen(examples, **parameters)
    folder = written["example-gen"] / "examples" / "contents"
    assert read_contents(folder, {}) == read_contents(examples.path, {})


@pytest.mark.slow
def test_the_whole_pipeline_compiles(tmp_path):
    for package in ("apache_beam", "tensorflow_model_analysis"):
        pytest.importorskip(package)
    from pipelines.configs import read_config
    from pipelines.pipeline import create_pipeline

    volumes, changes = {"tfac-data": "/data"}, []
    for place, change in (
        ("Pusher.destination", "saved_models_dir=/data/saved_models"),
        ("BulkInferrer.photos", "BulkInferrer.photos=/data/photos"),
    ):
        pipeline = create_pipeline(read_config("synthetic", changes))
        with pytest.raises(ConfigError, match=f"{place}: expected a place below /data or /gcs"):
            compiled(tmp_path, pipeline, volumes=volumes)
        changes.append(change)
    pipeline = create_pipeline(read_config("synthetic", changes))
    compiled(tmp_path, pipeline)  # as Vertex takes it
    with pytest.raises(ConfigError, match="Received: /data/saved_models/synthetic"):
        compiled(tmp_path, pipeline, volumes={"tfac-data": "/databases"})
    definition, _ = compiled(tmp_path, pipeline, volumes=volumes)
    found = [tasks(definition["root"]), *branches(definition)]
    assert {node.name for node in pipeline.nodes} <= set().union(*found)
    assert {"Pusher"} in map(set, found)
