import asyncio
import contextlib
import http.server
import json
import time

import numpy as np
import pytest

from tests.serving.client.fake_model_server import serve_http
from tfac.errors import (
    DeadlineError,
    ServerBusyError,
    ServerUnreachableError,
    ServingError,
    TooLargeError,
)
from tfac.serving import AsyncClient, Client

PICTURES = [np.zeros((2, 2, 3), np.uint8)]


def predict_sync(server, **options):
    with Client(server, model="m", **options) as client:
        return client(PICTURES)


def predict_async(server, **options):
    async def predict():
        async with AsyncClient(server, model="m", **options) as client:
            return await client(PICTURES)

    return asyncio.run(predict())


@pytest.fixture(params=[predict_sync, predict_async], ids=["sync", "async"])
def predict(request):
    return request.param


def replying(status: int, body: bytes, pause: float = 0, **headers: str):
    """Returns a handler that answers everything alike, byte by byte where there is a pause."""

    class Handler(http.server.BaseHTTPRequestHandler):
        paths = []

        def do_POST(self):  # noqa: N802
            self.paths.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for i in range(len(body) if pause else 0):
                    self.wfile.write(body[i : i + 1])
                    time.sleep(pause)
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


@pytest.mark.parametrize(
    "status, body, kind, message",
    [
        (200, b"<html>hello</html>", ServingError, "without JSON. Is a server of models at this"),
        (200, b"[]", ServingError, "without JSON"),
        (200, b"[" * 100_000, ServingError, "without JSON"),
        (200, b"{}", ServingError, "in the output valid|tfac.json"),
        (200, b'{"outputs": {"valid": [[1], [1, 2]]}}', ServingError, "broken array"),
        (404, b"<html>not here</html>", ServingError, "404 without JSON"),
        (500, b'{"error": ["no", "text"]}', ServingError, "no.*text"),
        (413, b'{"error": "expected a body of at most 9 bytes"}', TooLargeError, "Send fewer"),
        (429, b"", ServerBusyError, "HTTP status 429"),
        (503, b'{"error": "too many requests"}', ServerBusyError, "too many requests. Ask again"),
        (502, b"<html>bad gateway</html>", ServerUnreachableError, "HTTP status 502"),
        (504, b'{"error": "too slow"}', DeadlineError, "too slow. Allow more time"),
    ],
)
def test_reply_that_is_no_answer_becomes_an_error(predict, status, body, kind, message):
    with serve_http(replying(status, body)) as server, pytest.raises(kind, match=message) as error:
        predict(server, retries=0)
    assert type(error.value) is kind


def test_redirects_are_not_followed(predict):
    elsewhere = replying(200, b"{}")
    with serve_http(elsewhere) as other:
        moved = replying(307, b"", Location=other + "/there")
        with serve_http(moved) as server:
            with pytest.raises(ServingError, match=f"moved to {other}/there, which is not"):
                predict(server)
    assert not elsewhere.paths


def test_answer_in_drops_ends_at_the_deadline(predict):
    start = time.monotonic()
    with serve_http(replying(200, b" " * 100, pause=0.05)) as server:
        with pytest.raises(DeadlineError, match="within 0.4 seconds"):
            predict(server, timeout=0.4)
        assert time.monotonic() - start < 2


def test_compressed_answers_are_neither_asked_for_nor_unpacked(predict):
    import gzip

    body = gzip.compress(b"{" + b" " * 10_000_000)
    handler = replying(200, body, **{"Content-Encoding": "gzip"})
    with serve_http(handler) as server, pytest.raises(ServingError, match="without JSON"):
        predict(server)


def test_model_and_label_are_quoted_and_the_path_is_kept(predict):
    handler = replying(500, b"{}")
    with serve_http(handler) as server, pytest.raises(ServingError):
        predict(server + "/a", version="x/../y z")
    assert handler.paths == ["/a/v1/models/m/labels/x%2F..%2Fy%20z:predict"]


def test_numbers_that_json_lacks_are_taken(predict):
    # TensorFlow Serving writes NaN and Infinity as they are.
    metadata = {"attributes": ["a"], "threshold_probabilities": [0.5]}
    outputs = {"valid": [True], "scores": [[float("nan")]], "probabilities": [[float("inf")]]}
    bodies = [{**outputs, "predictions": [[0]]}, [json.dumps(metadata)]]

    class Handler(replying(200, b"")):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"outputs": bodies.pop(0)}).encode())

    with serve_http(Handler) as server:
        (prediction,) = predict(server)
    assert np.isnan(prediction.scores["a"]) and prediction.probabilities["a"] == np.inf
