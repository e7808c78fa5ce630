"""A client that sends what no client should, and checks that the others do not suffer.

Used by the test and by benchmarks/hostile_requests.py.
"""

import collections
import concurrent.futures
import contextlib
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.serving.server.broken_pictures import (
    BrokenPicture,
    Random,
    broken_picture,
    whole_picture,
)
from tests.serving.server.running_server import b64, predict_request
from tfac.inference.engines import load_engine

Predict = Callable[[Sequence[bytes]], dict[str, np.ndarray]]

_METHOD = "/tensorflow.serving.PredictionService/Predict"
_TIMEOUT = 120  # seconds; a server that does not answer has failed
_MOST_OPEN = 50  # slow clients at once

# A server's own faults. gRPC's library answers bytes that are no message with INTERNAL.
_FAULTS = {"500", "UNKNOWN", "DATA_LOSS"}


class HostileClient:
    """Sends hostile requests over both wires, with valid ones in between.

    Args:
        url: of REST.
        grpc_address: host and port.
        model: name of the model.
        predict: the right outputs for pictures, ``scores`` [B, A] and ``valid`` [B].
        seed: of everything that is sent.
    """

    def __init__(self, url: str, grpc_address: str, model: str, predict: Predict, seed: int = 0):
        self._url, self._model, self._seed = url, model, seed
        self._path = f"/v1/models/{model}:predict"
        self._channel = grpc.insecure_channel(grpc_address)
        self._call = self._channel.unary_unary(_METHOD)
        random = np.random.default_rng(seed)
        self._pictures = [whole_picture(random) for _ in range(32)]
        self._predict_alone = predict
        self._scores = predict(self._pictures)["scores"]
        self._local = threading.local()
        self._slow: collections.deque[socket.socket] = collections.deque()
        self._attacks: tuple[Callable[[Random], tuple[str, str]], ...] = (
            self._picture_over_rest,
            self._picture_over_grpc,
            self._batch_with_broken_rows,
            self._body,
            self._path_or_method,
            self._message,
            self._tensor,
            self._changed_message,
            self._raw_http,
            self._impatient,
        )

    def run(
        self, numbers: Iterable[int], num_threads: int = 4
    ) -> collections.Counter[tuple[str, str]]:
        """Sends a hostile request for each number and a valid one after every third.

        Args:
            numbers: what is sent depends on a request's number and the seed alone.
            num_threads: clients at once.

        Returns:
            How often each kind of request had each outcome.

        Raises:
            AssertionError: the server failed, answered a picture that is not there, or answered a
                valid request wrongly or not at all.
        """
        outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
            for done in pool.map(self._one, numbers):
                outcomes.update(done)
        while self._slow:
            self._slow.popleft().close()
        return outcomes

    def run_valid(self, count: int, num_threads: int) -> collections.Counter[str]:
        """Sends valid requests alone, from as many clients at once, and counts the outcomes.

        Raises:
            AssertionError: one was answered wrongly or not at all.
        """
        randoms = (np.random.default_rng([self._seed, number]) for number in range(count))
        with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
            return collections.Counter(pool.map(self._valid, randoms))

    def start_valid(self, count: int) -> Callable[[], int]:
        """Sends valid requests of 8 pictures over gRPC, and returns once the server has them.

        Returns:
            What waits for the answers and returns how many of them came later, all right.
        """
        request = predict_request(self._model, image_bytes=self._pictures[:8]).SerializeToString()
        futures = [self._call.future(request, timeout=_TIMEOUT) for _ in range(count)]
        time.sleep(0.2)
        waiting = [future for future in futures if not future.done()]

        def finish() -> int:
            for future in futures:
                outputs = predict_pb2.PredictResponse.FromString(future.result()).outputs
                scores = tf.make_ndarray(outputs["scores"])
                np.testing.assert_allclose(scores, self._scores[:8], atol=1e-3)
            return len(waiting)

        return finish

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _one(self, number: int) -> list[tuple[str, str]]:
        random = np.random.default_rng([self._seed, number])
        attack = self._attacks[random.integers(len(self._attacks))]
        kind, outcome = attack(random)
        assert outcome not in _FAULTS, f"request {number}: {kind}: {outcome}"
        done = [(kind, outcome)]
        if number % 3 == 0:
            done.append(("valid request", self._valid(random)))
        return done

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        return self._local.session

    def _valid(self, random: Random) -> str:
        chosen = random.integers(0, len(self._pictures), random.integers(1, 5))
        pictures = [self._pictures[i] for i in chosen]
        if random.integers(2):
            response = self._post({"instances": [b64(picture) for picture in pictures]})
            if response.status_code == 503:
                return "told to come again"
            assert response.status_code == 200, f"a valid request: {response.text[:300]}"
            rows = response.json()["predictions"]
            scores, valid = [row["scores"] for row in rows], [row["valid"] for row in rows]
        else:
            request = predict_request(self._model, image_bytes=pictures)
            try:
                outputs = self._predict(request.SerializeToString())
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, f"a valid request: {error}"
                return "told to come again"
            scores = tf.make_ndarray(outputs["scores"])
            valid = tf.make_ndarray(outputs["valid"])
        assert np.all(valid)
        np.testing.assert_allclose(scores, self._scores[chosen], atol=1e-3)
        return "answered right"

    def _predict(self, message: bytes):
        answer = self._call(message, timeout=_TIMEOUT)
        return predict_pb2.PredictResponse.FromString(answer).outputs

    def _post(self, body: dict | bytes, path: str = "", method: str = "POST", **arguments):
        data = json.dumps(body) if isinstance(body, dict) else body
        url = self._url + (path or self._path)
        return self._session.request(method, url, data=data, timeout=_TIMEOUT, **arguments)

    def _rest_outcome(self, body: dict | bytes, path: str = "", **arguments) -> str:
        try:
            response = self._post(body, path, **arguments)
        except requests.RequestException:
            return "cut"
        return str(response.status_code)

    def _grpc_outcome(self, message: bytes, method: str = _METHOD) -> str:
        call = self._channel.unary_unary(method)
        try:
            call(message, timeout=_TIMEOUT)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    def _picture_over_rest(self, random: Random) -> tuple[str, str]:
        picture = broken_picture(random)
        response = self._post({"instances": [b64(picture.encoded)]})
        assert response.status_code == 200, f"{picture.kind}: {response.text[:300]}"
        (row,) = response.json()["predictions"]
        return picture.kind, self._seen(picture, row["valid"], row["scores"])

    def _picture_over_grpc(self, random: Random) -> tuple[str, str]:
        picture = broken_picture(random)
        request = predict_request(self._model, image_bytes=[picture.encoded])
        outputs = self._predict(request.SerializeToString())
        (scores,), (valid,) = (tf.make_ndarray(outputs[key]) for key in ("scores", "valid"))
        return picture.kind, self._seen(picture, valid, scores)

    def _batch_with_broken_rows(self, random: Random) -> tuple[str, str]:
        picture, place = broken_picture(random), int(random.integers(4))
        rows = [b64(encoded) for encoded in self._pictures[:3]]
        rows.insert(place, b64(picture.encoded))
        answers = self._post({"instances": rows}).json()["predictions"]
        broken = answers.pop(place)
        assert all(row["valid"] for row in answers)
        scores = [row["scores"] for row in answers]
        np.testing.assert_allclose(scores, self._scores[:3], atol=1e-3)
        seen = self._seen(picture, broken["valid"], broken["scores"])
        return f"{picture.kind} in a batch", seen

    def _seen(self, picture: BrokenPicture, valid: bool, scores: Sequence[float]) -> str:
        if picture.decodes is None:  # whatever is made of it alone
            outputs = self._predict_alone([picture.encoded])
            assert bool(outputs["valid"][0]) == bool(valid), picture.kind
            np.testing.assert_allclose(scores, outputs["scores"][0], atol=1e-3)
        else:
            assert not valid, f"{picture.kind}: an answer for a picture that is not there"
        if not valid:
            assert not np.any(scores), f"{picture.kind}: scores for a picture that is not there"
        return "valid" if valid else "not valid"

    def _body(self, random: Random) -> tuple[str, str]:
        whole = json.dumps({"instances": [b64(self._pictures[0])]}).encode()
        bodies: dict[str, Callable[[], bytes | dict]] = {
            "JSON cut": lambda: whole[: random.integers(len(whole))],
            "JSON changed": lambda: _flip(random, whole, 5),
            "JSON deep": lambda: b'{"instances": ' + b"[" * int(random.integers(10, 200_000)),
            "no UTF-8": lambda: b'{"instances": ["\xff\xfe"]}',
            "huge number": lambda: b'{"inputs": ' + b"9" * int(random.integers(10, 9000)) + b"}",
            "wrong base64": lambda: {"instances": [{"b64": "*" * int(random.integers(1, 99))}]},
            "wrong types": lambda: {"instances": [[1, 2.5, None, True, {}][random.integers(5)]]},
            "wrong input": lambda: {"instances": [{"pictures": b64(b"a")}]},
            "wrong signature": lambda: {"instances": ["a"], "signature_name": "x" * 1000},
            "both forms": lambda: {"instances": ["a"], "inputs": ["a"]},
            "no rows": lambda: {"instances": []},
            "huge batch": lambda: {"instances": [b64(b"a")] * int(random.integers(100, 5000))},
            "ragged pixels": lambda: _pixels([[[1, 2, 3], [4, 5]]]),
            "pixels out of range": lambda: _pixels([[[1, 2, 999]]]),
            "no pixels": lambda: _pixels([[]]),
            "text among pixels": lambda: _pixels([[[1] * 3] * 5000 + [["a" * 99_999, 1, 1]]]),
            "body too large": lambda: b" " * (2**20 * 33),
        }
        kind = list(bodies)[random.integers(len(bodies))]
        outcome = self._rest_outcome(bodies[kind]())
        if kind != "JSON changed":  # a changed letter of the base64 may still be a picture
            assert outcome in ("400", "413", "cut", "503"), f"{kind}: {outcome}"
        return kind, outcome

    def _path_or_method(self, random: Random) -> tuple[str, str]:
        paths = [
            "/v1/models/other:predict",
            f"/v1/models/{self._model}/versions/99999:predict",
            f"/v1/models/{self._model}/versions/{'9' * 40}:predict",
            f"/v1/models/{self._model}/labels/none:predict",
            f"/v1/models/{self._model}:classify",
            "/v1/models/../../etc/passwd",
            "/v1/" + urllib.parse.quote(random.bytes(30)),
            "/" + "a" * 5000,
        ]
        method = str(random.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]))
        outcome = self._rest_outcome(b"{}", paths[random.integers(len(paths))], method=method)
        assert outcome in ("400", "404", "405", "501"), outcome
        return "wrong path or method", outcome

    def _message(self, random: Random) -> tuple[str, str]:
        message = random.bytes(int(random.integers(1, 3000)))
        method = _METHOD if random.integers(4) else "/tensorflow.serving.Other/" + "a" * 30
        outcome = self._grpc_outcome(message, method)
        assert outcome != "OK"
        return "no message", outcome

    def _changed_message(self, random: Random) -> tuple[str, str]:
        request = predict_request(self._model, image_bytes=self._pictures[:2])
        message = request.SerializeToString()
        head = int(random.choice([60, len(message)]))  # names and shapes, or the pictures too
        changed = _flip(random, message[:head], int(random.integers(1, 10))) + message[head:]
        return "message changed", self._grpc_outcome(changed)

    def _tensor(self, random: Random) -> tuple[str, str]:
        request = predict_request(self._model, image_bytes=[self._pictures[0]])
        tensor = request.inputs["image_bytes"]
        changes: dict[str, Callable[[], object]] = {
            "shape too large": lambda: setattr(tensor.tensor_shape.dim[0], "size", 10**12),
            "shape negative": lambda: setattr(tensor.tensor_shape.dim[0], "size", -1),
            "shape missing": lambda: tensor.ClearField("tensor_shape"),
            "rank unknown": lambda: setattr(tensor.tensor_shape, "unknown_rank", True),
            "dtype wrong": lambda: setattr(tensor, "dtype", int(random.integers(0, 30)) * 3 + 8),
            "strings missing": lambda: tensor.ClearField("string_val"),
            "batch too large": lambda: tensor.CopyFrom(tf.make_tensor_proto(["a"] * 1000)),
            "floats for strings": lambda: tensor.CopyFrom(tf.make_tensor_proto([1.0])),
            "input extra": lambda: request.inputs["more"].CopyFrom(tf.make_tensor_proto([1.0])),
            "input missing": lambda: request.ClearField("inputs"),
            "output unknown": lambda: request.output_filter.append("x" * 500),
            "signature unknown": lambda: setattr(request.model_spec, "signature_name", "y"),
            "model unknown": lambda: setattr(request.model_spec, "name", "\u00e4" * 500),
            "version unknown": lambda: setattr(request.model_spec.version, "value", -(2**62)),
            "message too large": lambda: tensor.string_val.append(b"a" * (2**20 * 33)),
        }
        kind = list(changes)[random.integers(len(changes))]
        changes[kind]()
        outcome = self._grpc_outcome(request.SerializeToString())
        refusals = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED")
        assert outcome in refusals, f"{kind}: {outcome}"
        return kind, outcome

    def _raw_http(self, random: Random) -> tuple[str, str]:
        """Leaves in the middle of a request, or stays and says nothing more."""
        body = json.dumps({"instances": [b64(self._pictures[0])]}).encode()
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        whole = f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\n".encode() + length + body
        garbage = bool(random.integers(4) == 0)
        sent = random.bytes(200) if garbage else whole[: random.integers(len(whole) + 1)]
        host, port = self._url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=_TIMEOUT)
        with contextlib.suppress(OSError):
            connection.sendall(sent)
        if random.integers(2):
            connection.close()
            return "raw HTTP", "left"
        self._slow.append(connection)
        if len(self._slow) > _MOST_OPEN:
            self._slow.popleft().close()
        return "raw HTTP", "stays and is silent"

    def _impatient(self, random: Random) -> tuple[str, str]:
        request = predict_request(self._model, image_bytes=self._pictures[:4])
        future = self._call.future(request.SerializeToString(), timeout=_TIMEOUT)
        threading.Event().wait(random.uniform(0, 0.02))
        future.cancel()
        return "cancelled", "cancelled" if future.cancelled() else "answered before"


def predict_alone(version_folder: Path) -> Predict:
    """Returns what an export answers in this process, without a server."""
    engine = load_engine(version_folder)

    def predict(pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        encoded = np.empty(len(pictures), object)
        encoded[:] = pictures
        return engine.run("serving_default", {"image_bytes": encoded})

    return predict


def _flip(random: Random, message: bytes, count: int) -> bytes:
    changed = bytearray(message)
    for position in random.integers(0, len(changed), count):
        changed[position] = random.integers(256)
    return bytes(changed)


def _pixels(images: list) -> dict:
    return {"signature_name": "images", "instances": images}
