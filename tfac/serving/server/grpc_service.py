"""TensorFlow Serving's gRPC services."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tfac.inference.engines import TensorInfo
from tfac.serving.server.connections import MOST_CONNECTIONS
from tfac.serving.server.core import DEFAULT_SIGNATURE, ModelServer, find_signature
from tfac.serving.server.models import LoadedVersion, VersionStatus
from tfac.serving.server.refusals import Refusal, invalid
from tfac.serving.server.tensors import arrays_from_protos, fill_proto

_LOGGER = logging.getLogger(__name__)
_SIGNATURE_DEF = "signature_def"
_LARGEST_REPEATED = 2**20  # bytes of an array that a few values of a request stand for


def create_grpc_server(server: ModelServer) -> grpc.aio.Server:
    """Returns a gRPC server of `server`, bound to no port and not started.

    It answers Predict, GetModelMetadata and GetModelStatus. All others of TensorFlow Serving's
    methods are not implemented: nobody changes the configuration over the wire.
    """
    options = server.options
    grpc_server = grpc.aio.server(
        # Also of those that send nothing; what is refused here cannot be counted.
        maximum_concurrent_rpcs=MOST_CONNECTIONS + options.max_concurrent_requests,
        options=[
            ("grpc.max_receive_message_length", options.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a port that is taken is an error
            # Clients that keep their connections alive are welcome to.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # A client that is gone is noticed.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )
    service, seconds = GrpcService(server), options.rest_api_timeout_in_ms / 1000
    methods = {
        "PredictionService": {
            "Predict": (service.predict, predict_pb2.PredictRequest),
            "GetModelMetadata": (service.metadata, get_model_metadata_pb2.GetModelMetadataRequest),
        },
        "ModelService": {
            "GetModelStatus": (service.status, get_model_status_pb2.GetModelStatusRequest)
        },
    }
    for name, answers in methods.items():
        handlers = {
            method: _handler(*answer, seconds, server if method == "Predict" else None)
            for method, answer in answers.items()
        }
        grpc_server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", handlers)]
        )
    return grpc_server


class GrpcService:
    """What is answered; each method raises `Refusal` for a request that it refuses."""

    def __init__(self, server: ModelServer):
        self._server = server

    async def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Answers Predict."""
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._server.store.get(*_which(request.model_spec)) as version:
            signature = find_signature(version, name)
            inputs = arrays_from_protos(request.inputs, signature, _LARGEST_REPEATED)
            outputs = await self._server.run(version, name, inputs, request.output_filter)
            response = predict_pb2.PredictResponse(model_spec=_model_spec(version, name))
            for key, output in outputs.items():
                fill_proto(response.outputs[key], output)
            return response

    async def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Answers GetModelMetadata."""
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid(f"Metadata field {field[:100]} is not supported")
        with self._server.store.get(*_which(request.model_spec)) as version:
            return model_metadata(version)

    async def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Answers GetModelStatus."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return model_status(self._server.store.status(*_which(request.model_spec)))


def model_status(statuses: list[VersionStatus]) -> get_model_status_pb2.GetModelStatusResponse:
    """Returns the answer of GetModelStatus."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version, state=int(status.state))
        entry.status.error_code = grpc.StatusCode.UNKNOWN.value[0] if status.error else 0
        entry.status.error_message = status.error
    return response


def model_metadata(version: LoadedVersion) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Returns the answer of GetModelMetadata."""
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in version.engine.signatures.items():
        definition = definitions.signature_def[name]
        definition.method_name = "tensorflow/serving/predict"
        for key, info in signature.inputs.items():
            definition.inputs[key].CopyFrom(_tensor_info(f"{name}_{key}:0", info))
        for i, (key, info) in enumerate(sorted(signature.outputs.items())):
            definition.outputs[key].CopyFrom(_tensor_info(f"StatefulPartitionedCall:{i}", info))
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_model_spec(version))
    response.metadata[_SIGNATURE_DEF].Pack(definitions)
    return response


def _tensor_info(name: str, info: TensorInfo) -> meta_graph_pb2.TensorInfo:
    shape = tensor_shape_pb2.TensorShapeProto()
    for length in info.shape:
        shape.dim.add(size=-1 if length is None else length)
    return meta_graph_pb2.TensorInfo(
        name=name, dtype=info.dtype.as_datatype_enum, tensor_shape=shape
    )


def _which(spec: model_pb2.ModelSpec) -> tuple[str, int | None, str | None]:
    """Returns name, version and label."""
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label or None


def _model_spec(version: LoadedVersion, signature: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=version.name, signature_name=signature)
    spec.version.value = version.version
    return spec


def _handler(
    answer: Callable[[Message], Awaitable[Message]],
    request_type: type[Message],
    seconds: float,
    limits: ModelServer | None,
) -> grpc.RpcMethodHandler:
    """Returns gRPC's handler of a method, which turns refusals into statuses.

    Args:
        answer: to a request.
        request_type: what the method takes.
        seconds: for a request to come in.
        limits: where requests are counted and bounded; None answers them however many there are.
    """

    async def read(context: grpc.aio.ServicerContext) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                message = await context.read()
        except TimeoutError as error:
            raise Refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"expected a request to come in within {seconds:g} s",
            ) from error
        if message is grpc.aio.EOF:
            raise invalid(f"expected a {request_type.DESCRIPTOR.name}. Received: nothing")
        return message

    def parse(message: bytes) -> Message:
        try:
            return request_type.FromString(message)
        except DecodeError as error:
            raise invalid(f"expected a {request_type.DESCRIPTOR.name}") from error

    async def respond(context: grpc.aio.ServicerContext) -> Message:
        if limits is None:
            return await answer(parse(await read(context)))
        with limits.measured("GRPC") as measured, limits.room() as take:
            message = await read(context)
            measured.start = time.perf_counter()
            take(len(message))
            request = parse(message)
            del message  # it may be large, and the request may wait
            measured.model_name = request.model_spec.name
            with limits.admitted():
                return await answer(request)

    async def handle(messages: object, context: grpc.aio.ServicerContext) -> bytes:
        try:
            response = await respond(context)
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.message)
        except Exception:
            _LOGGER.exception("a request failed")
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed; see its log")
        return response.SerializeToString()

    # On the wire a method of one message is a stream of one. gRPC's own reading of the one has no
    # limit in time, so that clients who send nothing would take up all places; and its parsing
    # writes a traceback to the log for every message that is none.
    return grpc.stream_unary_rpc_method_handler(handle)
