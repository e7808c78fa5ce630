"""Two worker processes or two devices on one machine, and the same run on one device."""

import json
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.forks import Fork
from tfac.files import only_writer

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "multi_worker_run.py"
OPTIONS = {"image_size": 16, "batch_size": 8, "epochs": 2, "update_interval": 3}
OPTIONS |= {"learning_rate": 0.05, "class_balance": "positive"}
PATIENCE = 300  # seconds until a run counts as hanging


@pytest.fixture
def train(tiny_records, tmp_path):
    """A function that runs workers to their end; returns exit statuses, errors and outputs."""

    def start(name, workers=2, plain=False, each=({}, {}), **options):
        processes, outputs = [], []
        addresses = free_addresses(workers)
        for index in range(workers):
            outputs.append(tmp_path / f"{name}-{index}.npz")
            outputs[-1].unlink(missing_ok=True)
            task = {
                "data": str(tiny_records),
                "workdir": str(tmp_path / name),
                "output": str(outputs[-1]),
                "plain": plain,
                **each[index],
                "options": {**OPTIONS, **options, **each[index].get("options", {})},
            }
            environment = {}
            if workers > 1:
                task["options"]["strategy"] = "multi_worker"
                cluster = {"worker": addresses}
                own = {"cluster": cluster, "task": {"type": "worker", "index": index}}
                environment["TF_CONFIG"] = json.dumps(own)
            processes.append(Fork(str(SCRIPT), [json.dumps(task)], environment=environment))
        ended = [process.wait(PATIENCE) for process in processes]
        statuses, errors = [e.returncode for e in ended], [e.stderr for e in ended]
        arrays = [dict(np.load(path)) if path.exists() else None for path in outputs]
        return statuses, errors, arrays

    return start


def free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def assert_same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], err_msg=name, **tolerance)


# Without batch normalisation, whose statistics are those of a replica's own pictures, two workers
# do what one device does.
@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd", "gradient_clip_norm": 0.5}])
def test_two_workers_do_what_one_device_does(train, tmp_path, options):
    statuses, errors, (first, second) = train("two", plain=True, **options)
    assert statuses == [0, 0], errors
    statuses, errors, (alone,) = train("one", workers=1, plain=True, **options)
    assert statuses == [0], errors
    assert len(alone["losses"]) == 6
    assert_same(first, alone, atol=1e-5, rtol=1e-4)
    assert_same(first, second, atol=0, rtol=0)
    # The chief alone writes.
    for folder in ("tensorboard", "checkpoints"):
        names = [len(list((tmp_path / run / folder).iterdir())) for run in ("two", "one")]
        assert names[0] == names[1]


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "mixed_float16", "weighting": "uncertainty"},
        {"gradient_clip_norm": 0.5, "weighting": "aw"},
    ],
)
def test_two_devices_do_what_one_does(train, options):
    options = {"plain": True, "workers": 1, "optimizer": "sgd", **options}
    statuses, errors, (two,) = train("two", strategy="mirrored", num_devices=2, **options)
    assert statuses == [0], errors
    statuses, errors, (alone,) = train("one", **options)
    assert statuses == [0], errors
    thresholds = [run.pop("thresholds") for run in (two, alone)]
    np.testing.assert_allclose(*thresholds, atol=1e-3)
    assert_same(two, alone, atol=1e-5, rtol=1e-5)


def test_a_stopped_run_goes_on_in_step(train):
    statuses, errors, whole = train("whole")
    assert statuses == [0, 0], errors
    assert_same(*whole, atol=0, rtol=0)
    stop = {"signal": signal.SIGTERM, "step": 4}
    statuses, errors, _ = train("stopped", each=({}, stop))  # not the chief is asked to stop
    assert all(statuses) and all("Interrupted: SIGTERM" in error for error in errors)
    statuses, errors, rest = train("stopped")
    assert statuses == [0, 0], errors
    for ours, theirs in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(ours.pop("losses"), theirs.pop("losses")[4:])
        assert_same(ours, theirs, atol=0, rtol=0)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_ends_the_other(train, killed):
    each = [{}, {}]
    each[killed] = {"signal": signal.SIGKILL, "step": 4}
    statuses, errors, _ = train("killed", each=each)
    assert statuses[killed] == -signal.SIGKILL
    assert statuses[1 - killed] == 1
    assert "TrainingError: another worker has ended" in errors[1 - killed]


def test_workers_with_other_options_are_refused(train):
    each = ({}, {"options": {"learning_rate": 0.01}})
    statuses, errors, _ = train("other", each=each)
    assert statuses == [1, 1]
    assert all("must be the same for every worker" in error for error in errors)


def test_workers_end_where_their_workdir_is_taken(train, tmp_path):
    with only_writer(tmp_path / "taken", "workdir"):
        statuses, errors, _ = train("taken")
    assert statuses == [1, 1]
    assert "taken: another process is writing to it" in errors[0]
    assert "another worker cannot go on, and says why" in errors[1]
