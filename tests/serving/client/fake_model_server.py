"""A server of one model in this process, for gRPC and REST, that fails as it is told to."""

import base64
import concurrent.futures
import contextlib
import dataclasses
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image

ATTRIBUTES = ("Bald", "Smiling", "Young")
LEVELS, GROUPS = ("P3", "P4"), ("eyes", "mouth")
STATUS_OF = {  # gRPC to HTTP, as TensorFlow Serving has them
    "UNAVAILABLE": 503,
    "RESOURCE_EXHAUSTED": 429,
    "NOT_FOUND": 404,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}


@dataclasses.dataclass(frozen=True)
class Refused(Exception):
    """What the server answers instead."""

    code: str
    message: str


class FakeModel:
    """A model whose score for attribute j is the picture's mean / 255 + j.

    Attributes:
        script: what the next requests for pictures meet: a `Refused`, or seconds to sleep before
            the answer; answers follow when it is used up.
        asked: (signature, number of rows, version asked for) of each request.
        peers: the address and port of each connection.
        version: the version that answers.
        outputs: replace or, where None, leave out outputs of the answers about pictures.
        metadata: the contents of tfac.json.
    """

    def __init__(self):
        self.script: list[Refused | float] = []
        self.asked: list[tuple[str, int, int | str | None]] = []
        self.peers: set[str] = set()
        self.version = 3
        self.outputs: dict = {}
        self.metadata = {
            "attributes": list(ATTRIBUTES),
            "threshold_probabilities": [0.5, 0.25, 0.75],
            "explain": {"levels": list(LEVELS), "groups": list(GROUPS), "affinity": True},
        }

    def answer(self, model: str, signature: str, values: list[bytes], version) -> dict:
        """Returns the outputs, or raises `Refused`."""
        self.asked.append((signature, len(values), version))
        if model != "faces":
            raise Refused("NOT_FOUND", f"Servable not found for request: Latest({model})")
        if signature == "tfac_metadata":
            return {"metadata": np.array([json.dumps(self.metadata).encode()], object)}
        if self.script:
            event = self.script.pop(0)
            if isinstance(event, Refused):
                raise event
            time.sleep(event)
        outputs = _answer_pictures(values, len(self.metadata["attributes"]))
        if signature == "explain":
            outputs |= _explain(len(values))
        outputs |= self.outputs
        return {name: value for name, value in outputs.items() if value is not None}


def _answer_pictures(values: list[bytes], num_attributes: int) -> dict[str, np.ndarray]:
    valid, scores = [], []
    for value in values:
        try:
            mean = np.asarray(Image.open(io.BytesIO(value))).mean() / 255
        except OSError:
            mean = np.nan
        valid.append(not np.isnan(mean))
        scores.append(np.nan_to_num(mean) + np.arange(num_attributes))
    scores = np.array(scores, np.float32)
    return {
        "valid": np.array(valid),
        "scores": scores,
        "probabilities": scores / num_attributes,
        "predictions": (scores > 1).astype(np.int32),
        "landmarks": scores[:, :1, None] * np.float32([1, 0.5]),
    }


def _explain(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    size = len(GROUPS)
    masks = {f"masks_{level}": rng.random((count, 6, 4, size), np.float32) for level in LEVELS}
    affinity = {
        f"affinity_{level}": rng.random((count, size, size), np.float32) for level in LEVELS
    }
    return masks | affinity


@contextlib.contextmanager
def serve_grpc(model: FakeModel, port: int = 0, **options: int) -> Iterator[str]:
    """Yields the address of a gRPC server of `model`; `options` are gRPC's, without "grpc."."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            model.peers.add(context.peer())
            spec, ((_, tensor),) = request.model_spec, request.inputs.items()
            version = spec.version.value if spec.HasField("version") else spec.version_label or None
            values = list(tensor.string_val)
            try:
                outputs = model.answer(spec.name, spec.signature_name, values, version)
            except Refused as refused:
                context.abort(grpc.StatusCode[refused.code], refused.message)
            response = predict_pb2.PredictResponse()
            response.model_spec.version.value = model.version
            for name, value in outputs.items():
                is_proto = hasattr(value, "SerializeToString")
                tensor = value if is_proto else tf.make_tensor_proto(value)
                response.outputs[name].CopyFrom(tensor)
            return response

    class Models(model_service_pb2_grpc.ModelServiceServicer):
        def GetModelStatus(self, request, context):  # noqa: N802
            response = get_model_status_pb2.GetModelStatusResponse()
            response.model_version_status.add(version=model.version, state=30)
            broken = response.model_version_status.add(version=4, state=50)
            broken.status.error_message = "no memory"
            return response

    workers = concurrent.futures.ThreadPoolExecutor(4)
    options = [(f"grpc.{name}", value) for name, value in options.items()]
    server = grpc.server(workers, options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def serve_rest(model: FakeModel, port: int = 0) -> Iterator[str]:
    """Yields the address of a REST server of `model`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):  # noqa: N802
            versions = [(model.version, "AVAILABLE", ""), (4, "END", "no memory")]
            statuses = [
                {"version": str(version), "state": state, "status": {"error_message": error}}
                for version, state, error in versions
            ]
            self.reply(200, {"model_version_status": statuses})

        def do_POST(self):  # noqa: N802
            model.peers.add(str(self.client_address))
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            path = self.path.removesuffix(":predict").split("/")  # "", v1, models, NAME, ...
            version = path[5] if len(path) > 4 else None
            if len(path) > 4 and path[4] == "versions":
                version = int(version)
            ((_, values),) = body["inputs"].items()
            values = [base64.b64decode(value["b64"]) for value in values]
            try:
                outputs = model.answer(path[3], body["signature_name"], values, version)
            except Refused as refused:
                self.reply(STATUS_OF[refused.code], {"error": refused.message})
                return
            outputs = {name: _jsonable(value) for name, value in outputs.items()}
            only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
            self.reply(200, {"outputs": only})

        def reply(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            with contextlib.suppress(ConnectionError):  # the client may have given up
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with serve_http(Handler, port) as address:
        yield address


@contextlib.contextmanager
def serve_http(handler: type[http.server.BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Yields the address of an HTTP server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _jsonable(value):
    if not isinstance(value, np.ndarray):
        return value
    return [item.decode() for item in value] if value.dtype == object else value.tolist()
