import socket
import threading
import time

import grpc
import pytest
import requests
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving.server.running_server import (
    b64,
    load_fake,
    predict_request,
    running,
    running_server,
    write_versions,
)
from tfac.errors import ConfigError
from tfac.serving.server.configuration import ModelConfig, ServerOptions
from tfac.serving.server.core import ModelServer
from tfac.serving.server.running import every

ROW = {"instances": [b64(b"12345")]}


def test_stop_finishes_what_is_in_flight_and_takes_nothing_new(tmp_path):
    answers = []
    with running(write_versions(tmp_path / "faces", 1)) as served:
        with served.server.store.get("faces") as loaded:
            engine = loaded.engine
        engine.hold.clear()
        channel = grpc.insecure_channel(served.grpc_address)  # outlives the server
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        future = stub.Predict.future(predict_request(image_bytes=[b"a"]), timeout=10)
        thread = threading.Thread(target=lambda: answers.append(served.post(ROW)))
        thread.start()
        assert engine.started.wait(10)
        time.sleep(0.2)  # both are in the queue or in the engine
        threading.Timer(0.5, engine.hold.set).start()
        url = served.url
    thread.join()
    assert answers[0].status_code == 200
    assert future.result().outputs
    channel.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/v1/models/faces", timeout=5)


def test_stop_does_not_wait_longer_than_the_grace(tmp_path):
    engines = []
    start = time.monotonic()
    with running(write_versions(tmp_path / "faces", 1), grace=0.2) as served:
        with served.server.store.get("faces") as loaded:
            engines.append(loaded.engine)
        engines[0].hold.clear()
        future = served.predictions.Predict.future(predict_request(image_bytes=[b"a"]), timeout=30)
        assert engines[0].started.wait(10)
        threading.Timer(1.0, engines[0].hold.set).start()  # or the worker would not end
    assert time.monotonic() - start < 8
    assert isinstance(future.exception(), grpc.RpcError)


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_port_that_is_taken_names_the_flag(tmp_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = {"port": 0, "rest_api_port": 0} | {flag: taken.getsockname()[1]}
        server = ModelServer(ServerOptions(**options), load_fake)
        server.store.configure([ModelConfig("faces", write_versions(tmp_path / "faces", 1))])
        with pytest.raises(ConfigError, match=f"--{flag}: 127.0.0.1"), running_server(server):
            pass


def test_work_is_repeated_even_when_it_fails():
    stop, times = threading.Event(), []

    def work():
        times.append(time.monotonic())
        if len(times) == 3:
            stop.set()
        raise ValueError("once more")

    every(0.01, work, stop).join(10)
    assert len(times) == 3


def test_answers_do_not_wait_for_the_acknowledgement_of_their_heads(tmp_path, monkeypatch):
    """asyncio sets TCP_NODELAY only where a socket's protocol is named."""
    connections = []
    accept = socket.socket.accept

    def accepting(listener):
        connection, address = accept(listener)
        connections.append(connection)
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", accepting)
    with running(write_versions(tmp_path / "faces", 1)) as served, requests.Session() as session:
        assert session.get(f"{served.url}/v1/models/faces").ok
        [connection] = connections
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
