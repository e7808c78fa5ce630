import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from toy_pipeline import create_toy_pipeline

from pipelines.configs import PipelineConfig
from pipelines.engine.store import KILLED, MetadataStore
from pipelines.run import run_locally

# The real pipeline's module is never imported: that would import all of its components.
TOY_RUN = """
import sys, types
import pipelines.run
from toy_pipeline import create_toy_pipeline

def create(config):
    return create_toy_pipeline(config.name, **config.components["toy"])

sys.modules["pipelines.pipeline"] = types.SimpleNamespace(create_pipeline=create)
pipelines.run.import_tensorflow_quietly = lambda: None
pipelines.run.run()
"""


@pytest.fixture
def config(toy_root, monkeypatch) -> PipelineConfig:
    parent = toy_root.parent
    values = {"source": str(parent / "source.txt"), "destination": str(parent / "served")}

    class Stub:
        create_pipeline = staticmethod(lambda config: create_toy_pipeline(config.name, **values))

    monkeypatch.setitem(sys.modules, "pipelines.pipeline", Stub)
    monkeypatch.setattr("pipelines.run.import_tensorflow_quietly", lambda: None)
    return PipelineConfig("toy", str(toy_root))


def test_run_says_what_it_did_and_where_to_look(config, capsys):
    run_locally(config)
    run_locally(config)
    output = capsys.readouterr().out
    assert "Trainer: running: first execution" in output
    assert "Trainer: not run again: inputs, code and parameters are those of" in output
    assert "run 1: 6 components" in output and "0 of them from the cache" in output
    assert "6 of them from the cache" in output
    assert Path(config.root, "runs", "2.html").is_file()
    assert f"page of the run: {config.root}/runs/2.html" in output
    assert output.count("next: python -m pipelines.lineage ") == 2


def test_failed_run_has_its_page(config, toy_root, capsys):
    (toy_root.parent / "source.txt").write_text("one")
    with pytest.raises(ValueError, match="one"):
        run_locally(config)
    assert Path(config.root, "runs", "1.html").is_file()
    assert "page of the run" in capsys.readouterr().out


def start(toy_root, *flags) -> subprocess.Popen:
    parent = toy_root.parent
    command = [sys.executable, "-c", TOY_RUN, f"--set=root={toy_root}", "--set=name=toy"]
    command += [f"--set=toy.source={parent / 'source.txt'}"]
    command += [f"--set=toy.destination={parent / 'served'}", *flags]
    path = [str(Path(__file__).parent), *sys.path]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("isolate", [(), ("--isolate",)])
def test_sigterm_stops_a_run_and_says_so_in_the_records(toy_root, isolate):
    process = start(toy_root, "--set=toy.pause=60", *isolate)
    for line in process.stdout:
        if "StatisticsGen: running" in line:
            break
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    with MetadataStore(f"sqlite:///{toy_root}/metadata.sqlite") as store:
        assert store.runs()[-1].state == KILLED
        assert [each.state for each in store.executions(1)] == ["complete", KILLED]
    assert (toy_root / "runs" / "1.html").is_file()
    assert list((toy_root / "StatisticsGen").iterdir()) == []
