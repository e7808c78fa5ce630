import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.server.running_server import b64, predict_request
from tests.serving.server.serve_program import serve_program
from tfac.inference.predictor import Predictor

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


def serve(*arguments):
    command = [sys.executable, "-m", "tfac.cli.serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def states(program, name="faces") -> dict[str, str]:
    response = requests.get(f"{program.url}/v1/models/{name}", timeout=60).json()
    return {entry["version"]: entry["state"] for entry in response["model_version_status"]}


def wait_for_states(program, expected: dict[str, str]) -> None:
    deadline = time.monotonic() + 120
    while states(program) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert states(program) == expected


def test_both_wires_answer_as_the_predictor_does(model, pictures):
    expected = Predictor(model)(pictures)
    with serve_program(f"--saved_model={model}") as program:
        assert program.lines == [("faces", "1")]
        with grpc.insecure_channel(program.grpc_address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(predict_request(image_bytes=pictures), timeout=30)
        response_rest = requests.post(
            program.url + "/v1/models/faces:predict",
            json={"instances": [b64(picture) for picture in pictures]},
            timeout=30,
        ).json()["predictions"]
        scores = np.array([list(prediction.scores.values()) for prediction in expected])
        by_grpc = tf.make_ndarray(response.outputs["scores"])
        by_rest = [row["scores"] for row in response_rest]
        np.testing.assert_allclose(by_grpc, scores, atol=1e-5)
        np.testing.assert_allclose(by_rest, scores, atol=1e-5)
        for answer, prediction in zip(response_rest, expected, strict=True):
            shown = np.array(answer["predictions"]) == 1
            assert shown.tolist() == list(prediction.predictions.values())
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(20) == 0


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
    with serve_program(f"--saved_model={model}") as program:
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
    with serve_program(f"--saved_model={model}", "--batch_timeout_micros=2000000") as program:
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


def test_models_config_with_labels_is_followed(model, pictures, tmp_path):
    shutil.copytree(model / "1", model / "2")
    config = tmp_path / "models.config"

    def write_config(stable: int) -> None:
        config.write_text(f"""
            model_config_list {{ config {{
              name: "renamed" base_path: "faces" model_platform: "tensorflow"
              model_version_policy {{ all {{}} }}
              version_labels {{ key: "stable" value: {stable} }}
            }} }}""")

    def stable() -> int:
        request = predict_request("renamed", label="stable", image_bytes=pictures[:1])
        return stub.Predict(request, timeout=30).model_spec.version.value

    write_config(stable=1)
    flags = [f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]
    with serve_program(*flags) as program, grpc.insecure_channel(program.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert program.lines == [("renamed", "1, 2")]
        assert stable() == 1
        write_config(stable=2)
        deadline = time.monotonic() + 10
        while stable() == 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert stable() == 2
        config.write_text("broken")
        time.sleep(2)
        assert stable() == 2


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "expected one of --saved_model and --model_config_file"),
        (["--saved_model=nowhere"], "there is none at nowhere"),
        (["--saved_model=nowhere", "more"], "expected flags alone. Received: more"),
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


def test_port_that_is_taken_is_named(model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve(f"--saved_model={model}", f"--port={port}", "--rest_api_port=0")
    assert done.returncode == 1 and f"--port: 127.0.0.1:{port}" in done.stderr
