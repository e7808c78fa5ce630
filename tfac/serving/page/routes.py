"""The page's routes: what it is made of, and the photos it sends.

Nothing here reaches another host, and no photo is written to disk.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfac.errors import DataError, TfacError
from tfac.files import version_number
from tfac.photos.face_crops import takes_whole
from tfac.photos.face_detection import detector_for
from tfac.photos.pictures import PHOTO_SUFFIXES
from tfac.serving.page.faces import FaceFinder, Predict, answer_faces, describe_model
from tfac.serving.server.models import ModelStore
from tfac.serving.server.refusals import Refusal, busy, invalid
from tfac.serving.server.rest_service import read_body

MAX_PHOTO_BYTES = 32 * 2**20
_STATIC = Path(__file__).parent / "static"
_MOST_PHOTOS = 8  # in memory at once; further ones are told to come again
_UPLOAD_SECONDS = 60.0
_MOST_MODELS = 2  # side by side
_LONGEST_NAME = 300  # of a photo, characters
_NOT_STORED = {"Cache-Control": "no-store"}

# A request of this type comes from the page alone: before another site's script may send one, the
# browser asks the server, which does not agree.
_PHOTO_TYPE = "application/octet-stream"

# `default-src` lets no script, style or connection in that is not the page's own.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _SecurityHeaders:
    """Adds `_HEADERS` to each response."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


_WITH_HEADERS = [Middleware(_SecurityHeaders)]


def page_routes(store: ModelStore, predict: Predict) -> list[BaseRoute]:
    """Returns the routes of the page, for a Starlette app.

    - ``GET /``: leads to ``/page``, which is the page; its style and scripts are in
      ``/page/static``.
    - ``GET /page/models``: the models and versions that can be asked, and how photos may end.
    - ``POST /page/faces?photo=NAME&model=MODEL/VERSION``: a photo's file as
      ``application/octet-stream``; answers its faces. `model` may be there twice, for two models
      side by side. With ``aligned=1`` the photo is a face crop already.

    An error is ``{"error": "..."}`` with a status of 4xx or 5xx.

    Args:
        store: the served models, a `tfac.serving.server.models.ModelStore`.
        predict: `predict(model, version, signature, inputs)` runs a signature and blocks until its
            outputs are there.
    """
    photos = _Photos(store, predict)

    def index(request: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    def to_page(request: Request) -> Response:
        return RedirectResponse("page")

    def models(request: Request) -> Response:
        served = list(_describe_models(store))
        answer = {"models": served, "most_bytes": MAX_PHOTO_BYTES, "suffixes": PHOTO_SUFFIXES}
        return JSONResponse(answer, headers=_NOT_STORED)

    return [
        Route("/", to_page, middleware=_WITH_HEADERS),
        Route("/page", index, middleware=_WITH_HEADERS),
        Route("/page/models", models, middleware=_WITH_HEADERS),
        Route("/page/faces", photos.answer, methods=["POST"], middleware=_WITH_HEADERS),
        Mount("/page/static", StaticFiles(directory=_STATIC), middleware=_WITH_HEADERS),
    ]


class _Photos:
    """Answers photos, a bounded number at once."""

    def __init__(self, store: ModelStore, predict: Predict):
        self._store, self._predict = store, predict
        self._find = FaceFinder()
        self._num_photos = 0  # in memory; touched by the event loop alone

    async def answer(self, request: Request) -> Response:
        """Answers the faces of the photo in a request's body, or why there is no answer."""
        try:
            if self._num_photos >= _MOST_PHOTOS:
                raise busy("busy with other photos; ask again")
            self._num_photos += 1
            try:
                wanted = _wanted(request)
                encoded = await _read_photo(request)
                answers = await run_in_threadpool(self._look, encoded, **wanted)
            finally:
                self._num_photos -= 1
        except Refusal as refusal:
            return _error(refusal.message, refusal.http_status)
        except DataError as error:
            return _error(str(error), 400)
        except TfacError as error:
            return _error(str(error), 500)
        return JSONResponse(answers, headers=_NOT_STORED)

    def _look(self, encoded: bytes, photo: str, models: list[tuple[str, int]], aligned: bool):
        answers, found = [], {}
        for name, version in models:
            with self._store.get(name, version) as model:
                whole = takes_whole(model.metadata, aligned or None)
                detector = None if whole else detector_for(model.metadata)
                choice = "" if detector is None else str(detector.choice)
                if choice not in found:
                    found[choice] = self._find(encoded, photo, detector)
                picture, crops = found[choice]
                answers.append(answer_faces(crops, model, self._predict))
        width, height = picture.rectangle[2:]
        return {"photo": photo, "width": width, "height": height, "models": answers}


def _wanted(request: Request) -> dict[str, Any]:
    """Returns what a request asks for, beside the photo."""
    if request.headers.get("content-type") != _PHOTO_TYPE:
        raise invalid(f"expected a photo's file as {_PHOTO_TYPE}", 415)
    asked = request.query_params
    return {
        "photo": asked.get("photo", "")[:_LONGEST_NAME] or "the photo",
        "models": _wanted_models(asked.getlist("model")),
        "aligned": asked.get("aligned") == "1",
    }


def _wanted_models(names: list[str]) -> list[tuple[str, int]]:
    if not 1 <= len(names) <= _MOST_MODELS:
        raise invalid(f"model: expected 1 to {_MOST_MODELS} models. Received: {len(names)}")
    models = []
    for text in names:
        name, _, version = text.rpartition("/")
        if not name or version_number(version) is None:
            raise invalid(f"model: expected NAME/VERSION. Received: {text[:_LONGEST_NAME]}")
        models.append((name, int(version)))
    return models


async def _read_photo(request: Request) -> bytes:
    """Returns the body, read no further than `MAX_PHOTO_BYTES`."""
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            return bytes(await read_body(request, MAX_PHOTO_BYTES))
    except TimeoutError as error:
        raise invalid(f"expected the photo within {_UPLOAD_SECONDS:.0f} s", 408) from error
    except ClientDisconnect as error:
        raise invalid("the connection was closed before the photo was there") from error


def _describe_models(store: ModelStore) -> Iterator[dict[str, Any]]:
    """Yields what can be asked: models as they were named, the latest version of each first."""
    for name in store.names():
        with contextlib.suppress(Refusal):  # no version yet, or gone meanwhile
            for version in reversed(store.available(name)):
                with store.get(name, version) as model:
                    yield describe_model(model)


def _error(reason: str, status: int) -> Response:
    again = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse({"error": reason}, status, headers={**_NOT_STORED, **again})
