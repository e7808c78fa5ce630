"""Requests to a server of models by gRPC, with the stubs of TensorFlow Serving.

The stubs import TensorFlow for its tensors' messages, which takes seconds; REST does without.
"""

import functools
import json
import math
from typing import Any

import numpy as np

from tfac.errors import (
    ConfigError,
    DeadlineError,
    ServerBusyError,
    ServerUnreachableError,
    ServingError,
    UnknownModelError,
)
from tfac.serving.client.requests import (
    FIRST_PAUSE,
    MAX_ANSWER_BYTES,
    Answer,
    Request,
    Server,
    VersionStatus,
)

try:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as error:
    raise ConfigError(
        "asking a server by gRPC needs TensorFlow Serving's stubs: pip install 'tfac[serving]'"
    ) from error

# A request that is larger than this is sent once: gRPC keeps what it may have to send again.
_RETRY_BUFFER_BYTES = 2**26
# A connection that died unnoticed is given up when nothing has come for so long and a ping is not
# answered either, milliseconds; TCP alone would keep it for many minutes.
_PING_AFTER = 10_000
_PING_TIMEOUT = 20_000

_KINDS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: UnknownModelError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerBusyError,
    grpc.StatusCode.UNAVAILABLE: ServerUnreachableError,
}
_NOT_UNDERSTOOD = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)


class _Grpc:
    """What is sent by gRPC, and what is made of the replies."""

    _library: Any

    def __init__(self, server: Server):
        self._server = server

    @functools.cached_property
    def _channel(self):
        """Opened by the first request: one of `grpc.aio` belongs to the loop that then runs."""
        return _open_channel(self._library, self._server)

    def _start(self, proto: Any) -> Any:
        """Sends a request; returns the reply of `grpc`, or what `grpc.aio` awaits."""
        if isinstance(proto, predict_pb2.PredictRequest):
            method = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        else:
            method = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus
        return method(proto, timeout=self._server.timeout)

    def predict_call(self, request: Request) -> Any:
        """Returns the message that runs a signature."""
        proto = predict_pb2.PredictRequest()
        proto.model_spec.name = self._server.model
        proto.model_spec.signature_name = request.signature
        if isinstance(request.version, int):
            proto.model_spec.version.value = request.version
        elif request.version is not None:
            proto.model_spec.version_label = request.version
        values = tf.make_tensor_proto(np.array(request.values, object), tf.string)
        proto.inputs[request.input].CopyFrom(values)
        return proto

    def answer(self, response: Any, request: Request) -> Answer:
        """Returns what a signature gave; raises `ServingError`."""
        try:
            outputs = {name: _to_array(tensor) for name, tensor in response.outputs.items()}
        except (TypeError, ValueError) as error:
            raise self._server.error(
                ServingError, f"answered with a broken tensor: {error}"
            ) from error
        spec = response.model_spec
        return Answer(outputs, spec.version.value if spec.HasField("version") else None)

    def status_call(self) -> Any:
        """Returns the message that asks for the model's versions."""
        proto = get_model_status_pb2.GetModelStatusRequest()
        proto.model_spec.name = self._server.model
        return proto

    def versions(self, response: Any) -> list[VersionStatus]:
        """Returns the model's versions."""
        states = get_model_status_pb2.ModelVersionStatus.State.items()
        names = {number: name for name, number in states}
        return [
            VersionStatus(one.version, names.get(one.state, "UNKNOWN"), one.status.error_message)
            for one in response.model_version_status
        ]


class GrpcTransport(_Grpc):
    """Asks a server by gRPC, over one connection that is kept open."""

    _library = grpc

    def __init__(self, server: Server):
        super().__init__(server)
        _ = self._channel  # opened here: threads may share a client

    def send(self, proto: Any) -> Any:
        """Returns the reply to a message; raises `ServingError`."""
        try:
            return self._start(proto)
        except grpc.RpcError as error:
            raise _translated(error, self._server) from error

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


class AsyncGrpcTransport(_Grpc):
    """`GrpcTransport` for asyncio."""

    _library = grpc.aio

    async def send(self, proto: Any) -> Any:
        """Returns the reply to a message; raises `ServingError`."""
        try:
            return await self._start(proto)
        except grpc.RpcError as error:
            raise _translated(error, self._server) from error

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()


def _open_channel(library: Any, server: Server):
    """Opens a channel of `grpc` or `grpc.aio`."""
    scheme, target = server.url.split("://")
    options = [
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        ("grpc.per_rpc_retry_buffer_size", _RETRY_BUFFER_BYTES),
        ("grpc.service_config", json.dumps(_service_config(server.retries))),
        # A server that is back after a pause is found by the next attempt.
        ("grpc.initial_reconnect_backoff_ms", int(1000 * FIRST_PAUSE)),
        ("grpc.keepalive_time_ms", _PING_AFTER),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT),
        ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT),  # the one above alone has no effect
    ]
    if scheme == "grpcs":
        return library.secure_channel(target, grpc.ssl_channel_credentials(), options)
    return library.insecure_channel(target, options)


def _service_config(retries: int) -> dict:
    """Returns gRPC's own retry policy."""
    if not retries:
        return {}
    policy = {
        "maxAttempts": 1 + retries,
        "initialBackoff": f"{FIRST_PAUSE}s",
        "maxBackoff": "10s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
    return {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}


def _to_array(tensor) -> np.ndarray:
    """Returns a tensor's values, which may be few in the message (all alike) and many as array."""
    dtype = tf.dtypes.as_dtype(tensor.dtype)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    num_bytes = math.prod(shape) * (8 if dtype == tf.string else dtype.size)
    if min(shape, default=0) < 0 or num_bytes > MAX_ANSWER_BYTES:
        raise ValueError(f"its shape is {shape}")
    return tf.make_ndarray(tensor)


def _translated(error: grpc.RpcError, server: Server) -> ServingError:
    """Returns one of tfac's errors for one of gRPC's."""
    said = error.details() or error.code().name
    kind = _KINDS.get(error.code(), ServingError)
    if kind is ServerUnreachableError and "queue" in said:  # the same code, of TensorFlow Serving
        kind = ServerBusyError
    elif kind is DeadlineError:
        said = f"no answer within {server.timeout:g} seconds"
    return server.refusal(said) if error.code() in _NOT_UNDERSTOOD else server.error(kind, said)
