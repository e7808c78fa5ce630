"""Requests to a server of models by REST: JSON over HTTP, with pictures in base64."""

import asyncio
import base64
import functools
import json
import time
from typing import Any
from urllib.parse import quote

import numpy as np

from tfac.errors import (
    ConfigError,
    DeadlineError,
    ServerBusyError,
    ServerUnreachableError,
    ServingError,
    TooLargeError,
    UnknownModelError,
)
from tfac.serving.client.requests import (
    MAX_ANSWER_BYTES,
    Answer,
    Attempts,
    Request,
    Server,
    VersionStatus,
)

try:
    import httpx2
except ImportError as error:
    raise ConfigError(
        "asking a server by REST needs httpx2: pip install 'tfac[serving]'"
    ) from error

_CONNECT_TIMEOUT = 5.0  # seconds
_KINDS = {
    404: UnknownModelError,
    408: DeadlineError,
    413: TooLargeError,
    429: ServerBusyError,
    502: ServerUnreachableError,  # from a proxy before the server
    503: ServerBusyError,
    504: DeadlineError,
}


class _Rest:
    """What is sent by REST, and what is made of the replies."""

    def __init__(self, server: Server):
        self._server = server
        self._url = f"{server.url}/v1/models/{quote(server.model, safe='')}"

    def predict_call(self, request: Request) -> dict[str, Any]:
        """Returns the arguments of the HTTP request that runs a signature."""
        url = self._url
        if isinstance(request.version, int):
            url += f"/versions/{request.version}"
        elif request.version is not None:
            url += f"/labels/{quote(request.version, safe='')}"
        values = [{"b64": base64.b64encode(value).decode("ascii")} for value in request.values]
        body = {"signature_name": request.signature, "inputs": {request.input: values}}
        return {"method": "POST", "url": f"{url}:predict", "json": body}

    def answer(self, content: dict[str, Any], request: Request) -> Answer:
        """Returns what a signature gave; raises `ServingError`."""
        outputs = content.get("outputs")
        if not isinstance(outputs, dict):
            outputs = {"": outputs}
        try:
            arrays = {name: np.asarray(values) for name, values in outputs.items()}
        except ValueError as error:
            raise self._server.error(
                ServingError, f"answered with a broken array: {error}"
            ) from error
        return Answer(arrays, request.version if isinstance(request.version, int) else None)

    def status_call(self) -> dict[str, Any]:
        """Returns the arguments of the HTTP request for the model's versions."""
        return {"method": "GET", "url": self._url}

    def versions(self, content: dict[str, Any]) -> list[VersionStatus]:
        """Returns the model's versions; raises `ServingError`."""
        try:
            return [
                VersionStatus(
                    int(one["version"]), str(one["state"]), one["status"]["error_message"]
                )
                for one in content["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise self._server.error(ServingError, f"answered with no status: {error!r}") from error


class RestTransport(_Rest):
    """Asks a server by REST, over connections that are kept open."""

    def __init__(self, server: Server):
        super().__init__(server)
        self._http = httpx2.Client(**_settings())

    def send(self, call: dict[str, Any]) -> dict[str, Any]:
        """Returns the reply to a request, tried again where that is of use."""
        attempts = Attempts(self._server)
        while True:
            try:
                return self._attempt(call, attempts)
            except ServingError as error:
                time.sleep(attempts.pause_after(error))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _attempt(self, call: dict[str, Any], attempts: Attempts) -> dict[str, Any]:
        timeout = _timeout(attempts.seconds_left)
        body = bytearray()
        try:
            with self._http.stream(**call, timeout=timeout) as response:
                for chunk in response.iter_raw():
                    _append(chunk, body, self._server)
                    _ = attempts.seconds_left  # raises once the time is over
        except httpx2.HTTPError as error:
            raise _translated(error, attempts, self._server) from error
        return _content(response, body, self._server)


class AsyncRestTransport(_Rest):
    """`RestTransport` for asyncio."""

    def __init__(self, server: Server):
        super().__init__(server)
        self._http = httpx2.AsyncClient(**_settings())

    async def send(self, call: dict[str, Any]) -> dict[str, Any]:
        """Returns the reply to a request, tried again where that is of use."""
        attempts = Attempts(self._server)
        while True:
            try:
                async with asyncio.timeout(attempts.seconds_left):
                    return await self._attempt(call, attempts)
            except ServingError as error:
                pause = attempts.pause_after(error)
            except TimeoutError as error:
                raise attempts.deadline_error() from error
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _attempt(self, call: dict[str, Any], attempts: Attempts) -> dict[str, Any]:
        timeout = _timeout(attempts.seconds_left)
        body = bytearray()
        try:
            async with self._http.stream(**call, timeout=timeout) as response:
                async for chunk in response.aiter_raw():
                    _append(chunk, body, self._server)
        except httpx2.HTTPError as error:
            raise _translated(error, attempts, self._server) from error
        return _content(response, body, self._server)


@functools.cache
def _settings() -> dict[str, Any]:
    """Returns what all clients share; to read the system's certificates takes a while."""
    return {
        "headers": {"accept-encoding": "identity"},  # an answer's size is then known as it comes
        "follow_redirects": False,
        "verify": httpx2.create_ssl_context(),
    }


def _timeout(seconds: float) -> httpx2.Timeout:
    """Returns how long each wait for the network may take."""
    return httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_TIMEOUT))


def _append(chunk: bytes, body: bytearray, server: Server) -> None:
    body += chunk
    if len(body) > MAX_ANSWER_BYTES:
        raise server.error(TooLargeError, f"an answer of more than {MAX_ANSWER_BYTES} bytes")


def _content(response: httpx2.Response, body: bytearray, server: Server) -> dict[str, Any]:
    """Returns what a whole response says; raises `ServingError` where that is an error."""
    said = f"HTTP status {response.status_code}"
    if response.has_redirect_location:
        moved = f"{said}, moved to {response.headers['location']}, which is not followed"
        raise server.error(ServingError, moved)
    kind = _KINDS.get(response.status_code, ServingError)
    content = _parse(body)
    if content is None:
        kind = ServingError if kind is UnknownModelError else kind
        raise server.error(kind, f"{said} without JSON. Is a server of models at this address?")
    if response.status_code == 400:
        raise server.refusal(str(content.get("error", said)))
    if not response.is_success:
        raise server.error(kind, str(content.get("error", said)))
    return content


def _parse(body: bytearray) -> dict[str, Any] | None:
    """Returns the object that is in JSON, None where there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _translated(error: httpx2.HTTPError, attempts: Attempts, server: Server) -> ServingError:
    """Returns one of tfac's errors for one of httpx2's."""
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return attempts.deadline_error()
    return server.error(ServerUnreachableError, str(error) or type(error).__name__)
