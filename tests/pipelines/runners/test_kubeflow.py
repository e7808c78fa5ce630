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


def read_compiled(path: Path) -> tuple[dict, dict]:
    """The definition, which Kubeflow's SDK can read, and what is for Kubernetes alone."""
    components.load_component_from_file(str(path))
    documents = list(yaml.safe_load_all(path.read_text()))
    return documents[0], documents[1] if len(documents) > 1 else {}


def compile_toys(tmp_path: Path, options=None, **values) -> tuple[dict, dict]:
    path = tmp_path / "toy.yaml"
    compile_pipeline(create_toy_pipeline(**values), path, options or KubeflowOptions(image=IMAGE))
    return read_compiled(path)


def tasks(dag: dict) -> dict:
    return {each["taskInfo"]["name"]: each for each in dag["dag"]["tasks"].values()}


def constants(task: dict) -> dict:
    parameters = task["inputs"].get("parameters", {})
    return {name: each["runtimeValue"]["constant"] for name, each in parameters.items()}


def test_every_node_is_a_task_with_its_inputs_and_parameters(tmp_path):
    compiled, _ = compile_toys(tmp_path, source="/data/numbers.txt", pause=2)
    found = tasks(compiled["root"])
    assert set(found) == {
        *("ExampleGen", "StatisticsGen", "ExampleValidator", "Trainer", "Evaluator"),
        "blessed-by-Evaluator",
    }
    assert constants(found["ExampleGen"]) == {"source": "/data/numbers.txt", "workers": 1}
    assert constants(found["StatisticsGen"]) == {"pause": 2.0}
    assert found["Trainer"]["inputs"]["artifacts"] == {
        "examples": {
            "taskOutputArtifact": {"outputArtifactKey": "examples", "producerTask": "example-gen"}
        },
        "anomalies": {
            "taskOutputArtifact": {
                "outputArtifactKey": "anomalies",
                "producerTask": "example-validator",
            }
        },
    }
    executors = compiled["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {IMAGE}
    assert "toy_pipeline:trainer" in str(executors) and "pip install" not in str(executors)


def test_push_is_a_branch_on_the_blessing(tmp_path):
    compiled, _ = compile_toys(tmp_path)
    branch = tasks(compiled["root"])["blessed-by-Evaluator"]
    assert branch["triggerPolicy"]["condition"].endswith("evaluator-Output'] == true")
    assert branch["inputs"]["parameters"]["pipelinechannel--evaluator-Output"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "evaluator"}
    }
    inside = compiled["components"][branch["componentRef"]["name"]]
    assert list(tasks(inside)) == ["Pusher"]


def test_what_is_outside_of_artifacts_is_not_cached(tmp_path):
    compiled, _ = compile_toys(tmp_path)
    found = tasks(compiled["root"])
    found |= tasks(compiled["components"]["comp-condition-1"])
    cached = {name for name, each in found.items() if each.get("cachingOptions")}
    assert cached == {"StatisticsGen", "ExampleValidator", "Trainer", "Evaluator"}


def test_earlier_artifacts_are_none_or_imported(tmp_path):
    compiled, _ = compile_toys(tmp_path)
    found = tasks(compiled["root"])
    assert set(found["Evaluator"]["inputs"]["artifacts"]) == {"model"}
    assert set(found["ExampleValidator"]["inputs"]["artifacts"]) == {"statistics"}

    options = KubeflowOptions(earlier={"Evaluator.baseline": "gs://bucket/model"})
    compiled, _ = compile_toys(tmp_path, options)
    found = tasks(compiled["root"])
    assert set(found["Evaluator"]["inputs"]["artifacts"]) == {"model", "baseline"}
    assert set(found["ExampleValidator"]["inputs"]["artifacts"]) == {"statistics"}
    assert constants(found["Evaluator baseline"]) == {"uri": "gs://bucket/model"}


def test_resources_and_volumes(tmp_path):
    options = KubeflowOptions(
        resources={
            "Trainer": Resources("8", "16G", "nvidia.com/gpu", 2),
            "default": Resources(memory="2G"),
        },
        volumes={"faces": "/data"},
    )
    compiled, platforms = compile_toys(tmp_path, options)
    executors = compiled["deploymentSpec"]["executors"]
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
    path = tmp_path / "judges.yaml"
    compile_pipeline(pipeline, path)
    compiled, _ = read_compiled(path)
    assert compiled["pipelineInfo"]["name"] == "two-judges"
    assert set(tasks(compiled["root"])) == {"Give", "Judge", "blessed-by-Judge"}
    branches = [each for name, each in compiled["components"].items() if "condition" in name]
    assert [set(tasks(each)) for each in branches] in (
        [{"JudgeAgain", "blessed-by-JudgeAgain"}, {"Infer"}],
        [{"Infer"}, {"JudgeAgain", "blessed-by-JudgeAgain"}],
    )


def test_lists_and_dictionaries_are_given_exactly(tmp_path):
    options = {"image_size": 32, "rate": 1.0, "limit": None, "names": ["a"]}
    path = tmp_path / "give.yaml"
    compile_pipeline(Pipeline("give", (Node(give, {}, {"options": options}),)), path)
    compiled, _ = read_compiled(path)
    assert constants(tasks(compiled["root"])["Give"]) == {
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
    for wrong in ('{"cpus": 4}', '{"resources": {"Trainer": {"cores": 4}}}', "[]", "{"):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match="cluster.json: expected options of Kubeflow"):
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


@pytest.fixture
def toy_values(tmp_path):
    (tmp_path / "source.txt").write_text("1 2 3 4")
    return {
        "source": str(tmp_path / "source.txt"),
        "destination": str(tmp_path / "served"),
    }


@pytest.mark.slow
def test_compiled_toys_run_and_push(run_compiled, toy_values, tmp_path):
    written = run_compiled(create_toy_pipeline(**toy_values))
    contents = written["statistics-gen"] / "statistics" / "contents"
    assert (contents / "sum.txt").read_text() == "10"
    assert (tmp_path / "served" / "1" / "score.txt").read_text() == "5"

    # The model is the next run's baseline, which a worse one does not pass ...
    earlier = {"Evaluator.baseline": str(written["trainer"] / "model")}
    worse = run_compiled(create_toy_pipeline(**toy_values, quality=4), earlier=earlier)
    assert (worse["evaluator"] / "blessing" / "contents" / "NOT_BLESSED").exists()
    assert "pusher" not in worse
    assert not (tmp_path / "served" / "2").exists()

    # ... and one that is as good with the margin does.
    run_compiled(create_toy_pipeline(**toy_values, quality=4, margin=1), earlier=earlier)
    assert (tmp_path / "served" / "2" / "score.txt").read_text() == "4"


@pytest.mark.slow
def test_compiled_data_components_run_as_they_do_here(run_compiled, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam (tfac[beam]) is not installed")
    from pipelines.components.example_gen import example_gen
    from pipelines.components.schema_gen import schema_gen
    from pipelines.components.statistics_gen import statistics_gen
    from pipelines.engine.artifacts import ExampleStatistics, Schema
    from pipelines.engine.caching import read_contents

    faces = {"image_size": 32, "train_count": 6, "validation_count": 2, "test_count": 2}
    parameters = {"dataset": "synthetic_faces", "options": faces}
    written = run_compiled(
        Pipeline(
            "data",
            (
                Node(example_gen, {}, parameters),
                Node(statistics_gen, {"examples": Reference("ExampleGen", "examples")}),
                Node(schema_gen, {"statistics": Reference("StatisticsGen", "statistics")}),
            ),
        )
    )
    examples = Examples(tmp_path / "examples")
    statistics, schema = ExampleStatistics(tmp_path / "statistics"), Schema(tmp_path / "schema")
    for each in (examples, statistics, schema):
        each.path.mkdir()
    example_gen(examples, **parameters)
    statistics_gen(examples, statistics)
    schema_gen(statistics, schema)
    for task, own in (("example-gen", examples), ("statistics-gen", statistics)):
        folder = written[task] / own.path.name / "contents"
        assert read_contents(folder, {}) == read_contents(own.path, {})
    folder = written["schema-gen"] / "schema" / "contents"
    assert read_contents(folder, {}) == read_contents(schema.path, {})


@pytest.mark.slow
def test_the_whole_pipeline_compiles(tmp_path):
    for package in ("apache_beam", "tensorflow_model_analysis"):
        pytest.importorskip(package)
    from pipelines.configs import read_config
    from pipelines.pipeline import create_pipeline

    pipeline = create_pipeline(read_config("synthetic"))
    path = tmp_path / "synthetic.yaml"
    compile_pipeline(pipeline, path)
    compiled, _ = read_compiled(path)
    branches = [
        set(tasks(each)) for name, each in compiled["components"].items() if "condition" in name
    ]
    judged = {"BulkInferrer", "Pusher"} & {node.name for node in pipeline.nodes}
    assert set(tasks(compiled["root"])) == {
        *({node.name for node in pipeline.nodes} - judged),
        "blessed-by-Evaluator",
    }
    assert {"Pusher"} in branches
    assert {*(judged - {"Pusher"}), "blessed-by-InfraValidator"} in branches
