import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from model_samples import model_of

from pipelines.components import pusher as module
from pipelines.components.pusher import find_problem, pusher
from pipelines.engine.artifacts import (
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Origin,
    PushedModel,
)
from pipelines.engine.origin import read_origin
from tfac.errors import ConfigError, DataError


@pytest.fixture
def destination(tmp_path) -> Path:
    return tmp_path / "saved_models" / "tiny"


@pytest.fixture(autouse=True)
def small_card(monkeypatch):
    """The model card is checked end to end; here the files that go with a model are texts."""
    monkeypatch.setattr(module, "_write_evaluation", write_text)


def write_text(version: Path, metrics) -> None:
    (version / "assets.extra" / "metrics.json").write_text(json.dumps(metrics))


def small_model(folder: Path, number: int) -> Model:
    """A model whose export is a few files."""
    export = folder / f"model-{number}" / "saved_model" / "tiny" / "1"
    (export / "assets.extra").mkdir(parents=True)
    (export / "saved_model.pb").write_text(str(number))
    return Model(
        folder / f"model-{number}", {}, Origin(f"sqlite:///{folder}/m.sqlite", number, f"f{number}")
    )


def push(tmp_path, model, destination, blessed=True, infra_blessed=True, **parameters):
    """Pushes; returns what came of it."""
    evaluation = ModelEvaluation(tmp_path / "evaluation")
    evaluation.path.mkdir(exist_ok=True)
    if not (evaluation.path / "metrics.json").exists():
        (evaluation.path / "metrics.json").write_text('{"pictures": 7}')
    pushed = PushedModel(tmp_path / "pushed")
    pusher(
        model,
        evaluation,
        ModelBlessing(tmp_path, {"blessed": blessed, "reasons": ["it is bad"]}),
        InfraBlessing(tmp_path, {"blessed": infra_blessed, "reasons": ["it is broken"]}),
        pushed,
        destination=str(destination),
        **parameters,
    )
    return pushed


def versions(destination: Path) -> dict[str, str]:
    """The versions, and which models they are; nothing else is there but the lock."""
    there = {path.name: path for path in destination.iterdir() if path.name != ".lock"}
    return {name: (path / "saved_model.pb").read_text() for name, path in there.items()}


def test_model_is_the_next_version_and_says_where_it_is_from(tmp_path, destination):
    for number in (1, 2):
        pushed = push(tmp_path, small_model(tmp_path, number), destination)
        assert pushed.properties == {"destination": str(destination), "version": number}
        assert find_problem({"pushed_model": pushed}) is None
    assert versions(destination) == {"1": "1", "2": "2"}
    assert read_origin(destination / "2").artifact_id == 2
    assert read_origin(destination / "2").store == f"sqlite:///{tmp_path}/m.sqlite"
    metrics = json.loads((destination / "2" / "assets.extra" / "metrics.json").read_text())
    assert metrics == {"pictures": 7}


@pytest.mark.parametrize(
    "verdicts, message",
    [
        ({"blessed": False}, "that Evaluator blesses. Received: it is bad"),
        ({"infra_blessed": False}, "that InfraValidator blesses. Received: it is broken"),
        ({"blessed": None}, "that Evaluator blesses"),
    ],
)
def test_model_that_is_not_blessed_by_both_is_never_pushed(
    tmp_path, destination, verdicts, message
):
    with pytest.raises(DataError, match=message):
        push(tmp_path, small_model(tmp_path, 1), destination, **verdicts)
    assert not destination.exists()


def test_pushing_the_newest_again_makes_no_version(tmp_path, destination):
    models = [small_model(tmp_path, number) for number in (1, 2)]
    push(tmp_path, models[0], destination)
    assert push(tmp_path, models[0], destination).properties["version"] == 1
    push(tmp_path, models[1], destination)
    assert push(tmp_path, models[0], destination).properties["version"] == 3
    assert versions(destination) == {"1": "1", "2": "2", "3": "1"}


def test_push_that_fails_leaves_nothing(tmp_path, destination, monkeypatch):
    def fail(version, metrics):
        raise OSError("disk full")

    monkeypatch.setattr(module, "_write_evaluation", fail)
    with pytest.raises(DataError, match="1: cannot be written: disk full"):
        push(tmp_path, small_model(tmp_path, 1), destination)
    assert versions(destination) == {}


def test_what_a_killed_push_left_is_cleared_and_never_taken_for_a_version(tmp_path, destination):
    for name in (".pushing", ".removed"):
        (destination / name).mkdir(parents=True)
        (destination / name / "half").write_text("")
    push(tmp_path, small_model(tmp_path, 1), destination)
    assert versions(destination) == {"1": "1"}
    assert not (destination / "1" / "half").exists()


def test_last_versions_are_kept_and_those_in_service(tmp_path, destination, monkeypatch):
    for number in range(1, 6):
        push(tmp_path, small_model(tmp_path, number), destination, keep=9)
    config = tmp_path / "models.config"
    config.write_text("""model_config_list { config {
        name: "tiny" base_path: "saved_models/tiny" model_platform: "tensorflow"
        model_version_policy { specific { versions: 2 } }
        version_labels { key: "stable" value: 1 } } }""")
    pytest.importorskip("tensorflow_serving")
    push(tmp_path, small_model(tmp_path, 6), destination, keep=2, model_config_file=str(config))
    assert sorted(versions(destination)) == ["1", "2", "5", "6"]
    push(tmp_path, small_model(tmp_path, 7), destination, keep=2)
    assert sorted(versions(destination)) == ["6", "7"]


def test_nothing_is_removed_where_the_server_cannot_be_asked(tmp_path, destination):
    pytest.importorskip("requests")
    for number in range(1, 4):
        server = "http://127.0.0.1:9"  # nothing listens at the port of "discard"
        push(tmp_path, small_model(tmp_path, number), destination, keep=2, server=server)
    assert sorted(versions(destination)) == ["1", "2", "3"]


def test_one_version_cannot_be_all_that_is_kept(tmp_path, destination):
    with pytest.raises(ConfigError, match="keep: expected 2 or more"):
        push(tmp_path, small_model(tmp_path, 1), destination, keep=1)


def test_push_does_not_stand_once_it_is_gone_or_replaced(tmp_path, destination):
    pushed = push(tmp_path, small_model(tmp_path, 1), destination)
    push(tmp_path, small_model(tmp_path, 2), destination)
    assert "version 1 is not the newest" in find_problem({"pushed_model": pushed})
    shutil.rmtree(destination)
    assert "version 1 is not the newest" in find_problem({"pushed_model": pushed})


_PROGRAM = """
import sys
sys.path[:0] = sys.argv[3].split(":")
from pathlib import Path
import test_pusher
test_pusher.module._write_evaluation = test_pusher.write_text
folder, first = Path(sys.argv[1]), int(sys.argv[2])
for number in range(first, first + 10):
    model = test_pusher.small_model(folder, number)
    test_pusher.push(folder, model, folder / "saved_models" / "tiny", keep=99)
"""


@pytest.mark.slow
def test_two_pushers_at_once_do_not_collide(tmp_path, destination):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "metrics.json").write_text("{}")
    path = ":".join([str(Path(__file__).parent), *filter(None, sys.path)])
    processes = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM, str(tmp_path), first, path])
        for first in ("100", "200")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    found = versions(destination)
    assert sorted(map(int, found)) == list(range(1, 21))
    numbers = [*range(100, 110), *range(200, 210)]
    assert sorted(map(int, found.values())) == numbers


@pytest.mark.slow
def test_version_in_service_is_not_removed(tiny_export, tmp_path, destination):
    from tests.serving.server.serve_program import serve_program

    push(tmp_path, model_of(tiny_export, tmp_path / "model"), destination)
    with serve_program(f"--saved_model={destination / '1'}") as program:
        for number in (2, 3, 4):
            model, server = small_model(tmp_path, number), program.grpc_address
            push(tmp_path, model, destination, keep=2, server=server)
    assert sorted(path.name for path in destination.glob("[0-9]*")) == ["1", "3", "4"]
