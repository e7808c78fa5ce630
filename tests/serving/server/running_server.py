"""Servers in this process, and what they serve: a made-up engine, and tiny SavedModels."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfac.errors import DataError
from tfac.inference.engines import Engine, Signature, TensorInfo
from tfac.serving.server.configuration import ModelConfig, ServerOptions
from tfac.serving.server.core import ModelServer
from tfac.serving.server.rest_service import create_app
from tfac.serving.server.running import serve

BYTES = TensorInfo(tf.string, (None,))
SCORES = TensorInfo(tf.float32, (None, 2))


class FakeEngine:
    """Scores a row by the length of its bytes; picture arrays by their mean.

    Attributes:
        batches: the rows of each batch that ran.
        hold: a batch waits while this is clear.
        started: set once a batch has started.
    """

    def __init__(self, bias: float = 0.0):
        self.metadata = {"attributes": ["a", "b"]}
        pixels = TensorInfo(tf.uint8, (None, None, None, 3))
        self.signatures = {
            "serving_default": Signature({"image_bytes": BYTES}, {"scores": SCORES}),
            "images": Signature({"images": pixels}, {"scores": SCORES}),
            "two": Signature(
                {"a_bytes": BYTES, "n": TensorInfo(tf.int64, (None,))},
                {"a_bytes": BYTES, "double": TensorInfo(tf.int64, (None,))},
            ),
            "fixed": Signature({"x": TensorInfo(tf.string, (1,))}, {"x": BYTES}),
        }
        self.bias = bias
        self.batches: list[int] = []
        self.hold, self.started = threading.Event(), threading.Event()
        self.hold.set()

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = next(iter(inputs.values()))
        self.batches.append(len(first))
        self.started.set()
        assert self.hold.wait(10)
        if signature == "fixed":
            return {"x": first}
        if signature == "two":
            return {"a_bytes": inputs["a_bytes"], "double": 2 * inputs["n"]}
        if signature == "images":
            values = first.reshape(len(first), -1).mean(axis=1)
        else:
            if b"bad" in first:
                raise DataError("expected no bad row")
            if b"crash" in first:
                raise ZeroDivisionError
            values = np.array([len(row) for row in first], np.float64)
        return {"scores": (values[:, None] + [0.0, 0.5] + self.bias).astype(np.float32)}


def write_versions(base: Path, *versions: int) -> Path:
    """Writes folders that `load_fake` takes; returns the model's folder."""
    for version in versions:
        (base / str(version)).mkdir(parents=True)
        (base / str(version) / "saved_model.pb").write_text("good")
    return base


def load_fake(folder: Path) -> FakeEngine:
    """Makes an engine whose scores tell its version, if the folder's file says "good"."""
    file = folder / "saved_model.pb"
    if not file.is_file() or file.read_text() != "good":
        raise DataError(f"{folder}: expected a good saved_model.pb")
    return FakeEngine(bias=1000.0 * int(folder.name))


@dataclasses.dataclass
class Running:
    """A server that runs in this process."""

    server: ModelServer
    grpc_address: str
    url: str
    channel: grpc.Channel

    @property
    def predictions(self) -> prediction_service_pb2_grpc.PredictionServiceStub:
        return prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    @property
    def models(self) -> model_service_pb2_grpc.ModelServiceStub:
        return model_service_pb2_grpc.ModelServiceStub(self.channel)

    def post(self, body: dict | str | bytes, path: str = "/v1/models/faces:predict", **arguments):
        data = json.dumps(body) if isinstance(body, dict) else body
        return requests.post(self.url + path, data=data, timeout=20, **arguments)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=20)

    def count(self, model: str, status: str) -> float:
        """Returns how many requests have ended with a status."""
        labels = {"model_name": model, "status": status}
        name = ":tensorflow:serving:request_count"
        return self.server.metrics.registry.get_sample_value(name, labels) or 0

    def wait_for_cancelled(self, count: float) -> None:
        """Returns once as many requests were cancelled, which the server hears later."""
        deadline = time.monotonic() + 10
        while self.count("faces", "CANCELLED") < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextlib.contextmanager
def running(
    base_path: Path | None = None,
    load: Callable[[Path], Engine] = load_fake,
    configs: list[ModelConfig] | None = None,
    extra_routes=(),
    **options,
) -> Iterator[Running]:
    """Yields a server of the model "faces", on free ports; it is stopped in the end."""
    defaults = {"port": 0, "rest_api_port": 0, "grace": 5.0, "max_batch_size": 8}
    server = ModelServer(ServerOptions(**(defaults | options)), load)
    server.store.configure(configs or [ModelConfig("faces", base_path)])
    server.store.poll()
    with running_server(server, extra_routes) as (port, rest_api_port):
        address = f"127.0.0.1:{port}"
        with grpc.insecure_channel(address) as channel:
            yield Running(server, address, f"http://127.0.0.1:{rest_api_port}", channel)


@contextlib.contextmanager
def running_server(server: ModelServer, extra_routes=()) -> Iterator[tuple[int, int]]:
    """Yields the ports of a server that runs in a thread."""
    ports, ready, failures = [], threading.Event(), []
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        def announce(*numbers: int) -> None:
            ports.extend(numbers)
            ready.set()

        try:
            loop.run_until_complete(serve(server, create_app(server, extra_routes), announce, stop))
        except Exception as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    try:
        if failures:
            raise failures[0]
        yield tuple(ports)
    finally:
        if not failures:
            loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()
    assert not failures


def predict_request(
    name: str = "faces",
    signature: str = "",
    version: int | None = None,
    label: str = "",
    **inputs,
) -> predict_pb2.PredictRequest:
    """Returns a request as the official clients build it."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.model_spec.version_label = label
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def b64(data: bytes) -> dict[str, str]:
    """Returns TensorFlow Serving's JSON form of bytes."""
    return {"b64": base64.b64encode(data).decode()}


def write_saved_model(folder: Path) -> Path:
    """Writes a SavedModel with an export's first signatures: a picture's mean and size as scores.

    A row whose bytes are no picture is not valid, its scores are 0.
    """
    from tfac.photos.preprocessing import read_picture

    module = tf.Module()

    def each(encoded):
        pictures = tf.data.Dataset.from_tensors(encoded)
        good = pictures.map(lambda e: (read_picture(e, (8, 8)), True))
        good = good.ignore_errors(log_warning=False)
        bad = tf.data.Dataset.from_tensors((tf.zeros((8, 8, 3), tf.uint8), False))
        return good.concatenate(bad).take(1).get_single_element()

    def scores(images, valid):
        mean = tf.reduce_mean(tf.cast(images, tf.float32), (1, 2, 3))
        return {"scores": tf.where(valid[:, None], tf.stack([mean, -mean], 1), 0.0), "valid": valid}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(image_bytes):
        spec = (tf.TensorSpec((8, 8, 3), tf.uint8), tf.TensorSpec([], tf.bool))
        images, valid = tf.map_fn(each, image_bytes, fn_output_signature=spec)
        return scores(images, valid)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def images(images):
        return scores(images, tf.ones(tf.shape(images)[:1], tf.bool))

    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": serving_default, "images": images}
    )
    extra = folder / "assets.extra"
    extra.mkdir()
    metadata = {"attributes": ["brightness", "darkness"], "threshold_probabilities": [0.5, 0.5]}
    (extra / "tfac.json").write_text(json.dumps(metadata))
    return folder
