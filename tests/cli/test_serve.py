import contextlib
import functools
import shutil
import signal
import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.cli import programs
from tests.serving.server.running_server import b64, predict_request
from tests.serving.server.serve_program import serve_program

pytestmark = pytest.mark.slow  # exports, and runs programs


@pytest.fixture(scope="module")
def pictures():
    noise = np.random.default_rng(3).integers(0, 256, (3, 48, 40, 3), np.uint8)
    return [tf.io.encode_jpeg(picture).numpy() for picture in noise]


@pytest.fixture
def model(tiny_export, tmp_path):
    """A copy of the model's folder, with version 1."""
    shutil.copytree(tiny_export, tmp_path / "faces" / "1")
    return tmp_path / "faces"


serve = functools.partial(programs.run, "serve")


def states(program, name="faces") -> dict[str, str]:
    response = requests.get(f"{program.url}/v1/models/{name}", timeout=60).json()
    return {entry["version"]: entry["state"] for entry in response["model_version_status"]}


def wait_for_states(program, expected: dict[str, str]) -> None:
    deadline = time.monotonic() + 120
    while states(program) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert states(program) == expected


@contextlib.contextmanager
def asked_all_the_time(program, body: dict) -> Iterator[list[int]]:
    """Yields the list of the HTTP statuses that two clients get in the meantime."""
    statuses, done = [], threading.Event()

    def keep_asking():
        with requests.Session() as session:
            while not done.wait(0.02):
                url = program.url + "/v1/models/faces:predict"
                try:
                    statuses.append(session.post(url, json=body, timeout=60).status_code)
                except requests.RequestException:
                    statuses.append(0)

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_versions_roll_forward_and_back_without_a_failed_request(model, pictures, tmp_path):
    data = "variables/variables.data-00000-of-00001"
    content = (model / "1" / data).read_bytes()
    half = model / "2"  # as a slow copy leaves it for a while
    with serve_program(model) as program:
        with asked_all_the_time(program, {"instances": [b64(pictures[0])]}) as statuses:
            shutil.copytree(model / "1", half, ignore=shutil.ignore_patterns("variables.data*"))
            wait_for_states(program, {"1": "AVAILABLE", "2": "END"})
            (half / data).write_bytes(content[: len(content) // 2])
            time.sleep(1)
            wait_for_states(program, {"1": "AVAILABLE", "2": "END"})
            (half / data).write_bytes(content)
            wait_for_states(program, {"1": "END", "2": "AVAILABLE"})
            half.rename(tmp_path / "away")
            wait_for_states(program, {"1": "AVAILABLE", "2": "END"})
        assert set(statuses) == {200} and len(statuses) > 10
        assert "faces version 2 is refused" in program.log.read_text()


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(model, pictures):
    with serve_program(model, "--batch_timeout_micros=2000000") as program:
        with grpc.insecure_channel(program.grpc_address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = predict_request(image_bytes=pictures)
            futures = [stub.Predict.future(request, timeout=30) for _ in range(3)]
            time.sleep(0.5)  # they wait for the batch to fill
            assert not any(future.done() for future in futures)
            program.process.send_signal(signal.SIGTERM)
            assert all(future.result().outputs for future in futures)
        assert program.process.wait(20) == 0
        with pytest.raises(requests.ConnectionError):
            requests.get(program.url, timeout=5)


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "expected one of --saved_model and --model_config_file"),
        (["--saved_model=nowhere"], "there is none at nowhere"),
        (["--model_config_file=nowhere"], "nowhere: expected a ModelServerConfig"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(flags, message):
    done = serve(*flags)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_server_does_not_start_without_a_version_that_can_be_served(tmp_path):
    (tmp_path / "faces" / "1").mkdir(parents=True)
    done = serve(f"--saved_model={tmp_path / 'faces'}", "--port=0", "--rest_api_port=0")
    assert done.returncode == 1
    assert "faces: no version can be served: version 1: " in done.stderr
