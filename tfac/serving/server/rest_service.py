"""TensorFlow Serving's REST API."""

import asyncio
import json
import re
import urllib.parse
import zlib
from collections.abc import Sequence

import grpc
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from tensorflow_serving.apis import get_model_metadata_pb2

from tfac.serving.server.core import DEFAULT_SIGNATURE, ModelServer, find_signature
from tfac.serving.server.grpc_service import model_metadata, model_status
from tfac.serving.server.json_tensors import answer_request, arrays_from_request, parse_request
from tfac.serving.server.refusals import Refusal, busy, invalid

# As TensorFlow Serving matches them (http_rest_api_util.cc).
_WHICH = r"(?i)/v1/models/([^/:]+)(?:/versions/(\d{1,18})|/labels/([^/:]+))?"
_PREDICT = re.compile(_WHICH + r":(classify|regress|predict)")
_STATUS = re.compile(_WHICH + r"(?:/(metadata))?")


def create_app(server: ModelServer, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Returns the ASGI application.

    Args:
        server: what answers.
        extra_routes: answered before the API's own, for a page to try the models on.
    """
    api = RestService(server)
    return Starlette(
        routes=[
            *extra_routes,
            Route("/v1/{path:path}", api.answer, methods=["GET", "POST"]),
            Route("/monitoring/prometheus/metrics", api.metrics, methods=["GET"]),
        ]
    )


class RestService:
    """The endpoints; each request is bounded in bytes and in time."""

    def __init__(self, server: ModelServer):
        self._server = server
        self._num_requests = 0

    async def answer(self, request: Request) -> Response:
        """Answers whatever is below ``/v1/``."""
        timeout = self._server.options.rest_api_timeout_in_ms / 1000
        try:
            async with asyncio.timeout(timeout):
                return await self._bounded(request)
        except Refusal as refusal:
            return _error(refusal.http_status, refusal.message)
        except TimeoutError:
            return _error(504, f"expected a request and its answer to take {timeout:g} s at most")
        except ClientDisconnect:
            return _error(499, "the client is gone")
        except asyncio.CancelledError:  # the time for requests in flight is over
            return _error(503, "the server is being stopped")

    async def metrics(self, request: Request) -> Response:
        """Answers Prometheus."""
        return Response(self._server.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _bounded(self, request: Request) -> Response:
        if self._num_requests >= self._server.options.max_concurrent_requests:
            raise busy("too many requests at once; send it again later")
        self._num_requests += 1
        try:
            return await self._dispatch(request)
        finally:
            self._num_requests -= 1

    async def _dispatch(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii")
        pattern = _PREDICT if request.method == "POST" else _STATUS
        match = pattern.fullmatch(path)
        if match is None:
            raise invalid(f"Malformed request: {request.method} {path[:200]}")
        name, version, label, what = match.groups()
        name = urllib.parse.unquote(name)
        label = label and urllib.parse.unquote(label)
        which = (name, int(version) if version else None, label)
        if request.method == "POST":
            if what.lower() != "predict":
                raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not offered; use predict")
            with self._server.measured(name, "REST"):
                return await self._predict(request, which)
        if what:
            with self._server.store.get(*which) as loaded:
                return _json(_metadata_text(model_metadata(loaded)))
        statuses = self._server.store.status(*which)
        return _json(_text(model_status(statuses)))

    async def _predict(
        self, request: Request, which: tuple[str, int | None, str | None]
    ) -> Response:
        body = await read_body(request, self._server.options.max_request_bytes)
        parsed = parse_request(body)
        del body  # it may be large, and the request may wait
        name = parsed.get("signature_name") or DEFAULT_SIGNATURE
        with self._server.store.get(*which) as loaded:
            inputs = arrays_from_request(parsed, find_signature(loaded, name))
            by_rows = "instances" in parsed
            del parsed
            outputs = await self._server.run(loaded, name, inputs)
        return _json(answer_request(outputs, by_rows))


async def read_body(request: Request, limit: int) -> bytearray:
    """Returns a request's body; TensorFlow Serving has no such bounds.

    Raises:
        Refusal: it has more than `limit` bytes, also once decompressed, or is compressed otherwise
            than by gzip, or is no gzip.
        ClientDisconnect: the connection is closed.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding not in ("identity", "gzip"):
        raise invalid("expected a body without content encoding, or with gzip", 415)
    too_large = invalid(f"expected a body of at most {limit} bytes", 413)
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    if encoding == "identity":
        return body
    decompress = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = decompress.decompress(body, limit)
    except zlib.error as error:
        raise invalid(f"expected a gzip body: {error}") from error
    if decompress.unconsumed_tail:
        raise too_large
    if not decompress.eof:
        raise invalid("expected a whole gzip body")
    return bytearray(plain)


def _json(text: str | bytes, status: int = 200) -> Response:
    return Response(text, status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    return _json(json.dumps({"error": message}), status)


def _text(message) -> str:
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _metadata_text(response: get_model_metadata_pb2.GetModelMetadataResponse) -> str:
    # As TensorFlow Serving writes it: without the type that an Any carries.
    definitions = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(definitions)
    return (
        f'{{\n"model_spec": {_text(response.model_spec)},\n'
        f'"metadata": {{"signature_def": {_text(definitions)}}}\n}}\n'
    )
