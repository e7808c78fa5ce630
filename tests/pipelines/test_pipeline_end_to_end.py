"""The whole pipeline on a few synthetic faces, each run in a process of its own as a user's."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("apache_beam")
pytest.importorskip("tensorflow_model_analysis")

import pyarrow.parquet as pq

from pipelines.engine.store import MetadataStore
from tests.forks import Fork
from tests.models.model_checks import tiny_backbone_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "name": "tiny",
    "training": {
        "experiment": "baseline",
        "protocol": "demo",
        "image_size": [32, 32],
        "options": {
            "backbone": tiny_backbone_file(),
            "output_stride": 32,
            "epochs": 1,
            "batch_size": 32,
        },
    },
    "components": {
        "ExampleGen": {
            "dataset": "synthetic_faces",
            "options": {
                "image_size": 32,
                "train_count": 400,
                "validation_count": 300,
                "test_count": 300,
            },
        },
        # So few faces are of few people: their splits differ.
        "ExampleValidator": {"max_skew": 100.0, "min_agreement": -1.0},
        "Tuner": {"max_trials": 1, "space": {"learning_rate": [0.001]}},
        "Evaluator": {"min_balanced_accuracy": 1.0},
        "BulkInferrer": {"photos": "photos", "aligned": True},
    },
}


# Kills itself a second after a component began, or when it has written all but is not recorded.
KILLED_IN = """
import os, signal, sys, threading
import pipelines.run
from pipelines.runners.local import LocalRunner

component, write = sys.argv.pop(), LocalRunner._write

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write_and_die(runner, node, *arguments):
    if node.name == component:
        threading.Timer(1, die).start()
    outputs = write(runner, node, *arguments)
    if node.name == component:
        die()
    return outputs

LocalRunner._write = write_and_die
pipelines.run.run()
"""
WITHOUT_TENSORFLOW = """
import sys
import pipelines.run

try:
    pipelines.run.run()
finally:
    heavy = {"tensorflow", "apache_beam", "keras"} & set(sys.modules)
    if heavy:
        sys.exit(f"imported {heavy}")
"""


PATH = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def start(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess:
    return Fork(program, arguments, cwd=folder, environment=PATH).wait(1800)


def run_program(folder: Path, module: str, *arguments: str) -> str:
    done = start(folder, module, *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def open_store(folder: Path) -> MetadataStore:
    return MetadataStore(f"sqlite:///{folder}/pipeline_runs/tiny/metadata.sqlite")


def run_pipeline(folder: Path, *changes: str) -> dict[str, str]:
    """Runs the pipeline; returns each component's state."""
    flags = [f"--set={change}" for change in changes]
    run_program(folder, "pipelines.run", "--config=tiny.json", *flags)
    with open_store(folder) as store:
        return {each.component: each.state for each in store.executions(store.runs()[-1].id)}


def make_folder(path: Path) -> Path:
    path.mkdir()
    (path / "tiny.json").write_text(json.dumps(CONFIG))
    run_program(path, "pipelines.draw_faces", "--folder=photos", "--count=3", "--size=48")
    return path


def pushed_versions(folder: Path) -> list[str]:
    models = folder / "saved_models" / "tiny"
    return sorted(path.name for path in models.glob("*") if path.name.isdigit())


def results(folder: Path) -> dict[str, str]:
    """What the newest execution of components that follow from all others has written."""
    with open_store(folder) as store:
        newest = {each.component: each for each in store.executions(store.runs()[-1].id)}
        outputs = {name: store.outputs(each.id) for name, each in newest.items()}
    root = folder / "pipeline_runs" / "tiny"
    metrics = json.loads(
        (root / outputs["Evaluator"]["evaluation"].uri / "metrics.json").read_text()
    )
    metrics.pop("model")  # names its execution
    (predictions,) = (root / outputs["BulkInferrer"]["inference_result"].uri).glob("*.parquet")
    return {
        "data": outputs["ExampleGen"]["examples"].properties["fingerprint"],
        "blessing": outputs["Evaluator"]["blessing"].properties,
        "metrics": metrics,
        "predictions": pq.read_table(predictions).to_pylist(),
        "versions": pushed_versions(folder),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("pipeline") / "undisturbed")
    states = run_pipeline(folder)
    assert len(states) == 11 and set(states.values()) == {"complete"}
    assert len(list(folder.glob("pipeline_runs/tiny/Evaluator/*/blessing/BLESSED"))) == 1
    return folder


def test_second_run_and_a_changed_parameter(undisturbed):
    assert set(run_pipeline(undisturbed).values()) == {"cached"}
    # Refused: nothing follows that needs a blessing.
    states = run_pipeline(undisturbed, "Evaluator.min_balanced_accuracy=99.9")
    assert {name for name, state in states.items() if state == "complete"} == {"Evaluator"}
    skipped = {name for name, state in states.items() if state == "skipped"}
    assert skipped == {"Pusher", "BulkInferrer"}
    assert pushed_versions(undisturbed) == ["1"]


def test_run_without_work_does_not_import_tensorflow(undisturbed):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, "--config=tiny.json"],
        cwd=undisturbed,
        env=os.environ | PATH,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lineage_model_card_and_page(undisturbed):
    version = "saved_models/tiny/1"
    text = run_program(undisturbed, "pipelines.lineage", version, "--picture=lineage.png")
    for pattern in (
        r"ExampleGen: execution 1 of run 1",
        r"fingerprint: [0-9a-f]{64}",
        r"parameter protocol: demo",
        r"blessed: true",
        r"version: 1",
    ):
        assert re.search(pattern, text), pattern
    assert (undisturbed / "lineage.png").stat().st_size > 10_000
    extra = undisturbed / version / "assets.extra"
    metrics = json.loads((extra / "metrics.json").read_text())
    assert metrics["pictures"] == 300 and "model" not in metrics
    assert "Nothing was measured" not in (extra / "model_card.md").read_text()
    page = (undisturbed / "pipeline_runs" / "tiny" / "runs" / "1.html").read_text()
    assert "cannot be shown" not in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_pipeline_killed_again_and_again_ends_as_an_undisturbed_one(undisturbed, tmp_path):
    """In those that go on where they were, and in the one that writes outside of the root."""
    folder, script = make_folder(tmp_path / "killed"), str(tmp_path / "killed_in.py")
    Path(script).write_text(KILLED_IN)
    for component in (
        *("ExampleGen", "StatisticsGen", "Tuner", "Trainer"),
        *("Pusher", "BulkInferrer"),
    ):
        done = start(folder, script, "--config=tiny.json", component)
        assert done.returncode == -signal.SIGKILL, done.stdout[-3000:] + done.stderr[-3000:]
        with open_store(folder) as store:
            last = store.executions(store.runs()[-1].id)[-1]
        assert (last.component, last.state) == (component, "running")
        if component not in ("Pusher", "BulkInferrer"):
            assert pushed_versions(folder) == []
    run_pipeline(folder)
    run_pipeline(undisturbed)
    assert results(folder) == results(undisturbed)
    assert not list((folder / "pipeline_runs").rglob(".running-*"))
    assert set(run_pipeline(folder).values()) == {"cached"}
