"""InfraValidator: whether an export can be loaded and answers, by TensorFlow alone and served."""

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.components.evaluator import find_export
from pipelines.engine.artifacts import InfraBlessing, Input, Model, Output
from pipelines.engine.child import start
from pipelines.engine.component import component

BLESSED_FILE, NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"

_REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")
_TOLERANCE = 1e-4  # between the answers of the two
_SERVING = re.compile(r"Serving \S+ version .* at grpc://(\S+) and")


class _Refused(Exception):
    """The model cannot be used, and why."""


@component(neutral=("timeout_seconds",))
def infra_validator(
    model: Input[Model], blessing: Output[InfraBlessing], *, timeout_seconds: float = 300.0
) -> None:
    """Loads the export in a clean process and by tfac-serve; both answer its warm-up requests.

    The clean process has TensorFlow and nothing of tfac. Answers have to be finite, one for each
    picture, and the same by both.

    Args:
        model: with its saved_model/.
        blessing: INFRA_BLESSED or INFRA_NOT_BLESSED; its properties are `blessed`, `reasons` and
            `requests`, how many were answered.
        timeout_seconds: for each of the two to load the model and to answer everything.

    Raises:
        DataError: there is no export.
    """
    export, reasons, answered = find_export(model).resolve(), [], 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            requests = _write_requests(export, Path(folder))
            alone = _answer_alone(export, Path(folder), timeout_seconds)
            for request, expected in zip(requests, alone, strict=True):
                _check_rows(request, expected)
            served = _answer_served(export, requests, timeout_seconds)
            for expected, answer in zip(alone, served, strict=True):
                _check_same(answer, expected)
                answered += 1
    except _Refused as refusal:
        reasons.append(str(refusal))
    name = NOT_BLESSED_FILE if reasons else BLESSED_FILE
    (blessing.path / name).write_text("".join(f"{reason}\n" for reason in reasons), "utf-8")
    blessing.properties |= {"blessed": not reasons, "reasons": reasons, "requests": answered}


def _write_requests(export: Path, folder: Path) -> list:
    """Returns the warm-up requests, also written as TensorFlow alone can read them."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    from tfac.serving.server.warmup import MOST_REQUESTS

    file = export / _REQUESTS
    if not file.is_file():
        raise _Refused(f"expected warm-up requests in {_REQUESTS}. Received: no such file")
    try:
        records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
        logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    except (tf.errors.OpError, DecodeError) as error:
        raise _Refused(f"{_REQUESTS} cannot be read: {error}") from error
    requests = [log.predict_log.request for log in logs]
    if len(requests) > MOST_REQUESTS:
        raise _Refused(
            f"{_REQUESTS}: expected at most {MOST_REQUESTS} requests. Received: {len(requests)}"
        )
    if not requests:
        raise _Refused(f"expected warm-up requests in {_REQUESTS}. Received: an empty file")
    with tf.io.TFRecordWriter(str(folder / "requests")) as writer:
        for request in requests:
            (name,) = request.inputs
            parts = (
                request.model_spec.signature_name.encode(),
                name.encode(),
                request.inputs[name].SerializeToString(),
            )
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=parts))
            features = tf.train.Features(feature={"request": feature})
            writer.write(tf.train.Example(features=features).SerializeToString())
    return requests


def _answer_alone(export: Path, folder: Path, timeout: float) -> list[dict[str, np.ndarray]]:
    """Returns the answers of a process that has TensorFlow alone."""
    command = ["pipelines.components.tensorflow_alone", str(export), str(folder)]
    with _process(command, folder / "log.txt") as process:
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise _Refused(f"TensorFlow alone: no answers within {timeout:g} s") from error
    if status:
        raise _Refused(f"TensorFlow alone cannot use it: {_last_line(folder / 'log.txt')}")
    answers = []
    while (file := folder / f"answer-{len(answers)}.npz").exists():
        with np.load(file, allow_pickle=False) as arrays:
            answers.append(dict(arrays))
    return answers


def _answer_served(export: Path, requests: list, timeout: float) -> list[dict[str, np.ndarray]]:
    """Returns the answers of tfac-serve."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    with _server(export, timeout) as address, grpc.insecure_channel(address) as channel:
        stub, answers = prediction_service_pb2_grpc.PredictionServiceStub(channel), []
        for request in requests:
            request.model_spec.name = export.parent.name
            try:
                response = stub.Predict(request, timeout=timeout)
            except grpc.RpcError as error:
                raise _Refused(f"tfac-serve: {_name(request)}: {error.details()}") from error
            outputs = response.outputs.items()
            answers.append({name: tf.make_ndarray(tensor) for name, tensor in outputs})
    return answers


@contextlib.contextmanager
def _server(export: Path, timeout: float) -> Iterator[str]:
    """Yields the address of a tfac-serve that has loaded the export."""
    flags = [f"--saved_model={export}", "--port=0", "--rest_api_port=0", "--grace=0"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.txt")
        with _process(["tfac.cli.serve", *flags], log, subprocess.PIPE) as process:
            too_late = threading.Timer(timeout, process.kill)
            too_late.start()
            try:
                found = _SERVING.match(process.stdout.readline())
            finally:
                too_late.cancel()
            if not found:
                why = _last_line(log) or f"not ready within {timeout:g} s"
                raise _Refused(f"tfac-serve cannot load it: {why}")
            yield found[1]


@contextlib.contextmanager
def _process(command: list[str], log: Path, stdout: int = subprocess.DEVNULL) -> Iterator:
    """Yields the process of a module, which ends with the block, and with this process."""
    with open(log, "w") as stderr:
        process = start(*command, stdout=stdout, stderr=stderr, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _check_rows(request, answer: dict[str, np.ndarray]) -> None:
    (tensor,) = request.inputs.values()
    rows = tensor.tensor_shape.dim[0].size
    for output, values in answer.items():
        if len(values) != rows:
            raise _Refused(f"{_name(request)}: {output}: {len(values)} rows for {rows} pictures")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _Refused(f"{_name(request)}: {output}: expected finite numbers. Received: others")
    if not np.all(answer.get("valid", True)):
        raise _Refused(f"{_name(request)}: a picture was not understood")


def _check_same(answer: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        if name not in answer:
            raise _Refused(f"tfac-serve: expected an output {name}. Received: none")
        if values.dtype.kind == "f":
            same = answer[name].shape == values.shape
            same = same and np.allclose(answer[name], values, _TOLERANCE, _TOLERANCE)
        elif values.dtype.kind in "biu":
            same = np.array_equal(answer[name], values)
        else:
            same = [bytes(value) for value in answer[name]] == [bytes(value) for value in values]
        if not same:
            raise _Refused(f"tfac-serve: {name}: expected TensorFlow's answer. Received: another")


def _name(request) -> str:
    return request.model_spec.signature_name or "serving_default"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
