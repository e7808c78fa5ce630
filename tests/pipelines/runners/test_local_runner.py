import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from toy_pipeline import run_toys

from pipelines.engine.store import FAILED, MetadataStore
from tfac.errors import DataError

TOYS = Path(__file__).resolve().parents[1] / "toy_pipeline.py"
ALL = ("ExampleGen", "StatisticsGen", "ExampleValidator", "Trainer", "Evaluator", "Pusher")
DONE = dict.fromkeys(ALL, "complete")
CACHED = dict.fromkeys(ALL, "cached")


def last_executions(root: Path) -> dict:
    store = MetadataStore(f"sqlite:///{root}/metadata.sqlite")
    return {each.component: each for each in store.executions(store.runs()[-1].id)}


def start_process(root: Path, *arguments: str, kill: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(TOYS), str(root), *arguments],
        env={**os.environ, "TOY_KILL": kill, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "pipeline.json"
    }


def results(root: Path) -> dict[str, dict[str, str]]:
    """What each component's newest execution has written, and what is served."""
    written = {}
    for name in ALL:
        newest = max((root / name).iterdir(), key=lambda path: int(path.name))
        written[name] = files(newest)
    return {**written, "served": files(root.parent / "served")}


def test_second_run_takes_all_from_the_cache_and_says_why(toy_root):
    assert run_toys(toy_root) == DONE
    assert {each.reason for each in last_executions(toy_root).values()} == {"first execution"}
    assert run_toys(toy_root) == CACHED
    for each in last_executions(toy_root).values():
        assert each.reason == (
            f"inputs, code and parameters are those of execution {each.cached_from} in run 1"
        )
    assert run_toys(toy_root) == CACHED  # from executions that ran, not from those of the cache


def test_records_on_a_server(toy_root, postgresql_url):
    assert run_toys(toy_root, url=postgresql_url) == DONE
    assert run_toys(toy_root, url=postgresql_url, quality=6)["Pusher"] == "complete"
    assert run_toys(toy_root, url=postgresql_url, quality=6) == CACHED
    assert not (toy_root / "metadata.sqlite").exists()


def test_changed_parameter_runs_what_follows_from_it_alone(toy_root):
    run_toys(toy_root)
    assert run_toys(toy_root, quality=6) == {
        **CACHED,
        "Trainer": "complete",
        "Evaluator": "complete",
        "Pusher": "complete",
    }
    reasons = {name: each.reason for name, each in last_executions(toy_root).items()}
    assert reasons["Trainer"] == "parameter quality: 5 -> 6"
    assert reasons["Evaluator"] == "input model changed; input baseline is now there"
    assert reasons["Pusher"] == "input model changed"


def test_step_that_writes_the_same_again_does_not_run_the_next(toy_root):
    run_toys(toy_root)
    assert run_toys(toy_root, pause=0.01) == {**CACHED, "StatisticsGen": "complete"}


def test_changed_source_is_read_again(toy_root):
    run_toys(toy_root)
    (toy_root.parent / "source.txt").write_text("5 6")
    assert run_toys(toy_root)["ExampleGen"] == "complete"
    reason = last_executions(toy_root)["ExampleGen"].reason
    assert reason == "what it reads outside of the pipeline changed"


def test_changed_code_runs_everything(toy_root, monkeypatch):
    run_toys(toy_root)
    monkeypatch.setattr("pipelines.engine.caching.code_version", lambda: "other")
    # What they write is the same, so the one that checks its outputs alone would have to be asked.
    assert run_toys(toy_root) == DONE
    assert {each.reason for each in last_executions(toy_root).values()} == {
        "the code or a library changed"
    }


def test_damaged_outputs_are_not_taken(toy_root):
    run_toys(toy_root)
    (toy_root / "StatisticsGen" / "2" / "statistics" / "sum.txt").write_text("")
    assert run_toys(toy_root) == {**CACHED, "StatisticsGen": "complete"}
    assert "statistics of execution 2 is gone or was changed" in (
        last_executions(toy_root)["StatisticsGen"].reason
    )


def test_push_that_was_removed_is_made_again(toy_root):
    run_toys(toy_root)
    shutil.rmtree(toy_root.parent / "served")
    assert run_toys(toy_root) == {**CACHED, "Pusher": "complete"}
    assert files(toy_root.parent / "served") == {"1/score.txt": "5"}


def test_worse_model_is_not_pushed_and_the_run_ends_well(toy_root):
    run_toys(toy_root)
    states = run_toys(toy_root, quality=3)
    assert (states["Evaluator"], states["Pusher"]) == ("complete", "skipped")
    assert last_executions(toy_root)["Pusher"].reason == (
        "Evaluator.blessing says no: 3 is less than 5"
    )
    assert files(toy_root.parent / "served") == {"1/score.txt": "5"}
    run_toys(toy_root, quality=4, margin=1)  # of the model that was pushed, not of the one refused
    assert files(toy_root.parent / "served")["2/score.txt"] == "4"


def test_earlier_recipe_has_to_stand_against_what_was_pushed_since(toy_root):
    run_toys(toy_root, quality=5)
    run_toys(toy_root, quality=9)
    states = run_toys(toy_root, quality=5)
    assert (states["Trainer"], states["Evaluator"]) == ("cached", "complete")
    assert states["Pusher"] == "skipped"
    assert run_toys(toy_root, quality=9) == CACHED
    states = run_toys(toy_root, quality=5, margin=4)
    assert states["Pusher"] == "complete"
    assert files(toy_root.parent / "served")["3/score.txt"] == "5"


def test_blocking_anomalies_stop_the_run_before_training(toy_root):
    run_toys(toy_root)
    (toy_root.parent / "source.txt").write_text("1 1")
    with pytest.raises(DataError, match="blocking anomalies"):
        run_toys(toy_root)
    executions = last_executions(toy_root)
    assert executions["ExampleValidator"].state == "complete"
    assert executions["Trainer"].state == FAILED
    assert "Evaluator" not in executions
    # The next data are compared with the last that were fit for use, not with these.
    (toy_root.parent / "source.txt").write_text("1 2 3 3")
    run_toys(toy_root)
    anomalies = (
        toy_root / "ExampleValidator" / str(last_executions(toy_root)["ExampleValidator"].id)
    )
    assert (anomalies / "anomalies" / "found.txt").read_text() == "10 9"


@pytest.mark.parametrize("isolate", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_failure_is_recorded_and_leaves_nothing(toy_root, isolate, tmp_path):
    broken = {"source": str(tmp_path / "numbers.txt")}
    Path(broken["source"]).write_text("1 two 3")
    with pytest.raises(RuntimeError if isolate else ValueError):
        run_toys(toy_root, isolate=isolate, **broken)
    failed = last_executions(toy_root)["StatisticsGen"]
    assert failed.state == FAILED
    assert "status 1" in failed.error if isolate else "ValueError: invalid literal" in failed.error
    assert list((toy_root / "StatisticsGen").iterdir()) == []
    Path(broken["source"]).write_text("1 2 3")
    assert run_toys(toy_root, **broken)["StatisticsGen"] == "complete"


@pytest.mark.parametrize(
    ("error", "word"), [(ValueError, "failed"), (KeyboardInterrupt, "was killed")]
)
def test_failure_is_told_when_it_is_tried_again(toy_root, monkeypatch, error, word):
    def fail(numbers):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("toy_pipeline.sum", fail, raising=False)
        with pytest.raises(error):
            run_toys(toy_root)
    run_toys(toy_root)
    assert last_executions(toy_root)["StatisticsGen"].reason == f"execution 2 of run 1 {word}"


@pytest.mark.slow
def test_refusal_in_a_process_of_its_own_is_the_same_error(toy_root):
    run_toys(toy_root)
    (toy_root.parent / "source.txt").write_text("1 1")
    with pytest.raises(DataError, match="blocking anomalies"):
        run_toys(toy_root, isolate=True)


@pytest.mark.slow
def test_isolated_run_writes_the_same_and_shares_the_cache(toy_root):
    assert run_toys(toy_root, isolate=True) == DONE
    assert run_toys(toy_root) == CACHED


def test_outputs_of_other_records_are_not_overwritten(toy_root):
    run_toys(toy_root)
    (toy_root / "metadata.sqlite").unlink()
    with pytest.raises(DataError, match="of other records"):
        run_toys(toy_root)
    assert files(toy_root / "ExampleGen") == {"1/examples/numbers.txt": "1 2 3 4"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kill",
    [
        *(*ALL, "record:ExampleGen", "record:Trainer", "record:Pusher"),
        *("StatisticsGen --isolate", "Trainer --isolate"),
    ],
)
def test_killed_run_ends_as_an_undisturbed_one(toy_root, tmp_path, kill):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "source.txt").write_text("1 2 3 4")
    run_toys(undisturbed / "toy_root")
    kill, *flags = kill.split()
    killed = start_process(toy_root, *flags, kill=kill)
    killed.communicate(timeout=60)
    assert killed.returncode != 0
    assert set(run_toys(toy_root).values()) <= {"complete", "cached"}
    expected = results(undisturbed / "toy_root")
    if kill == "record:Pusher":  # the push itself was whole, and is not known of
        expected["served"]["2/score.txt"] = "5"
    assert results(toy_root) == expected
    assert not list(toy_root.glob("*/.running-*"))
    assert run_toys(toy_root) == CACHED


@pytest.mark.slow
def test_killed_training_goes_on_from_its_checkpoint(toy_root, monkeypatch):
    start_process(toy_root, kill="Trainer").communicate(timeout=60)
    aside = next((toy_root / "Trainer").iterdir())
    checkpoint = aside / "model" / "checkpoint.txt"
    assert checkpoint.read_text() == "xxxxx"
    checkpoint.write_text("yyyyy")
    run_toys(toy_root)
    assert files(toy_root / "Trainer").popitem()[1] == "yyyyyxxxxx"
    assert last_executions(toy_root)["Trainer"].reason == "execution 4 of run 1 was killed"


@pytest.mark.slow
def test_two_runs_at_once_do_each_work_once(toy_root):
    processes = [start_process(toy_root, "pause=1") for _ in range(3)]
    states = []
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        states.append(json.loads(output))
    for name in ALL:
        assert sorted(each[name] for each in states) == ["cached", "cached", "complete"]
    assert list(files(toy_root.parent / "served")) == ["1/score.txt"]


@pytest.mark.slow
def test_two_recipes_at_once_are_pushed_one_after_the_other(toy_root):
    processes = [start_process(toy_root, f"quality={quality}") for quality in (3, 5, 7)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    served = [int(each) for each in files(toy_root.parent / "served").values()]
    assert served == sorted(served)  # none replaced a better one
    assert served[-1] == 7
