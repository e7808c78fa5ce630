"""TensorFlow Serving's REST API."""

import asyncio
import concurrent.futures
import json
import re
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from tensorflow_serving.apis import get_model_metadata_pb2

from tfac.serving.server.browsers import OnlyTrusted
from tfac.serving.server.core import DEFAULT_SIGNATURE, Measured, ModelServer, find_signature
from tfac.serving.server.grpc_service import model_metadata, model_status
from tfac.serving.server.json_tensors import answer_request, arrays_from_request, parse_request
from tfac.serving.server.models import LoadedVersion
from tfac.serving.server.refusals import Refusal, invalid

# As TensorFlow Serving matches them (http_rest_api_util.cc).
_WHICH = r"(?i)/v1/models/([^/:]+)(?:/versions/(\d{1,18})|/labels/([^/:]+))?"
_PREDICT = re.compile(_WHICH + r":(classify|regress|predict)")
_STATUS = re.compile(_WHICH + r"(?:/(metadata))?")
_JSON = "application/json"
_CURL = "application/x-www-form-urlencoded"  # what curl calls data unless it is told otherwise


def create_app(server: ModelServer, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Returns the ASGI application.

    Args:
        server: what answers.
        extra_routes: answered before the API's own, for a page to try the models on.
    """
    api, options = RestService(server), server.options
    hosts = (options.host, *options.trusted_hosts.split(","))
    return Starlette(
        routes=[
            *extra_routes,
            Route("/v1/{path:path}", api.answer, methods=["GET", "POST"]),
            Route("/monitoring/prometheus/metrics", api.metrics, methods=["GET"]),
        ],
        middleware=[Middleware(OnlyTrusted, hosts=hosts, metrics=server.metrics)],
    )


class RestService:
    """The endpoints; each request is bounded in bytes and in time."""

    def __init__(self, server: ModelServer):
        self._server = server
        # One alone: json holds the interpreter, and the event loop must get its turns.
        self._reader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="json")

    async def answer(self, request: Request) -> Response:
        """Answers whatever is below ``/v1/``."""
        try:
            if request.method == "POST":
                with self._server.measured("REST") as measured:
                    return await self._in_time(self._post(request, measured))
            return self._get(request)
        except Refusal as refusal:
            return _error(refusal.http_status, refusal.message)
        except asyncio.CancelledError:  # the time for requests in flight is over
            return _error(503, "the server is being stopped")

    async def metrics(self, request: Request) -> Response:
        """Answers Prometheus."""
        return Response(self._server.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _in_time(self, answer: Awaitable[Response]) -> Response:
        seconds = self._server.options.rest_api_timeout_in_ms / 1000
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise Refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"expected a request and its answer to take {seconds:g} s at most",
            ) from error
        except ClientDisconnect as error:
            raise Refusal(grpc.StatusCode.CANCELLED, "the client is gone") from error

    def _get(self, request: Request) -> Response:
        which, what = _match(request, _STATUS)
        if what:
            with self._server.store.get(*which) as loaded:
                return _json(_metadata_text(model_metadata(loaded)))
        statuses = self._server.store.status(*which)
        return _json(_text(model_status(statuses)))

    async def _post(self, request: Request, measured: Measured) -> Response:
        which, what = _match(request, _PREDICT)
        measured.model_name = which[0]
        if what.lower() != "predict":
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not offered; use predict")
        kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        if kind not in (_JSON, _CURL):
            raise invalid(f"expected a body of {_JSON}. Received: {kind[:100]}", 415)
        with self._server.room() as take:
            body = await read_body(request, self._server.options.max_request_bytes, take)
            measured.start = time.perf_counter()
            with self._server.admitted(), self._server.store.get(*which) as loaded:
                reading = (_read, body, loaded)
                del body  # it may be large, and the request may wait
                name, inputs, by_rows = await self._aside(*reading)
                del reading
                outputs = await self._server.run(loaded, name, inputs)
                return _json(await self._aside(answer_request, outputs, by_rows))

    async def _aside(self, work: Callable, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, *arguments)


def _match(
    request: Request, pattern: re.Pattern
) -> tuple[tuple[str, int | None, str | None], str | None]:
    """Returns which model, version or label a path names, and what of it."""
    path = request.scope["raw_path"].decode("ascii")
    match = pattern.fullmatch(path)
    if match is None:
        raise invalid(f"Malformed request: {request.method} {path[:200]}")
    name, version, label, what = match.groups()
    name = urllib.parse.unquote(name)
    return (name, int(version) if version else None, label and urllib.parse.unquote(label)), what


def _read(body: bytearray, loaded: LoadedVersion) -> tuple[str, dict[str, np.ndarray], bool]:
    """Returns a body's signature, inputs, and whether they are given by rows."""
    parsed = parse_request(body)
    name = parsed.get("signature_name") or DEFAULT_SIGNATURE
    inputs = arrays_from_request(parsed, find_signature(loaded, name))
    return name, inputs, "instances" in parsed


async def read_body(
    request: Request, limit: int, take: Callable[[int], None] = lambda num_bytes: None
) -> bytearray:
    """Returns a request's body; TensorFlow Serving has no such bounds.

    Args:
        request: whose body is read.
        limit: most bytes.
        take: is told how many bytes come to lie in memory, before they do.

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
        if len(body) + len(chunk) > limit:
            raise too_large
        take(len(chunk))
        body += chunk
    if encoding == "identity":
        return body
    decompress = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = decompress.decompress(body, limit)
    except zlib.error as error:
        raise invalid(f"expected a gzip body: {error}") from error
    take(len(plain))
    if decompress.unconsumed_tail:
        raise too_large
    if not decompress.eof:
        raise invalid("expected a whole gzip body")
    return bytearray(plain)


def _json(text: str | bytes, status: int = 200) -> Response:
    return Response(text, status, media_type=_JSON)


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
