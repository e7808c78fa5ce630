"""Clients of a server of exported models: TensorFlow Serving or `tfac-serve`."""

import io
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self, TypeVar

import numpy as np
from PIL import Image

from tfac.errors import ConfigError, DataError, ServingError
from tfac.inference.given_pictures import (
    Given,
    answers_given,
    as_predicted,
    check_choices,
    is_one_picture,
    picture_name,
    pictures_in,
)
from tfac.inference.prediction import Picture, Prediction
from tfac.photos.pictures import MAX_PIXELS, read_as_record
from tfac.serving.client.answers import Explanation, Rows, read_metadata
from tfac.serving.client.requests import Answer, Request, Server, VersionStatus, server_url

MAX_REQUEST_BYTES = 2**23  # of pictures; a single larger one goes alone
MAX_EXPLAINED = 2  # pictures a request: the masks of one are tens of megabytes as JSON

T = TypeVar("T")
Pictures = Given | Iterable[Given]
Dialogue = Generator[Any, Any, T]  # yields what a transport sends, and takes the reply


class _BaseClient:
    """What is asked and what is made of the answers, whether a client waits or is awaited."""

    def __init__(
        self,
        server: str,
        model: str,
        *,
        version: int | str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        batch_size: int = 32,
    ):
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected 1 or more. Received: {batch_size}")
        if version == "" or (isinstance(version, int) and not 0 <= version < 2**63):
            raise ConfigError(
                f"version: expected a number of 0 or more, or a label. Received: {version!r}"
            )
        self._server = Server(server_url(server), model, timeout, retries)
        self._version = version
        self.batch_size = batch_size
        self._known_metadata: dict[int, dict[str, Any]] = {}  # by version
        self._transport = self._open_transport()

    def _predictions(
        self, pictures: Pictures, color_order: str, on_error: str
    ) -> Dialogue[Prediction | list[Prediction | None]]:
        return self._answers(
            pictures, color_order, on_error, "serving_default", self.batch_size, Rows.prediction
        )

    def _explanations(
        self, pictures: Pictures, color_order: str, on_error: str
    ) -> Dialogue[Explanation | list[Explanation | None]]:
        metadata = yield from self._metadata(self._version)
        if metadata.get("explain") is None:
            raise self._server.error(
                ServingError, "the model has neither part masks nor landmarks to explain"
            )
        size = min(self.batch_size, MAX_EXPLAINED)
        return (
            yield from self._answers(
                pictures, color_order, on_error, "explain", size, Rows.explanation
            )
        )

    def _answers(
        self,
        pictures: Pictures,
        color_order: str,
        on_error: str,
        signature: str,
        batch_size: int,
        read: Callable[[Rows, int], T],
    ) -> Dialogue[T | list[T | None]]:
        """Asks for all pictures, a batch a request; `read` makes an answer of a row."""
        check_choices(color_order, on_error)
        answers: dict[int, T] = {}
        errors: dict[int, str] = {}
        for batch in _batches(pictures, batch_size, color_order, errors):
            try:
                rows = yield from self._ask(signature, [file for _, _, file in batch])
            except ServingError as error:
                last = max(batch[-1][0], *errors, 0)
                error.predictions = [answers.get(i) for i in range(last + 1)]
                error.errors = dict(sorted(errors.items()))
                raise
            for row, (i, name, _) in enumerate(batch):
                if rows.valid[row]:
                    answers[i] = read(rows, row)
                else:
                    errors[i] = (
                        f"{name}: expected a whole JPEG or PNG picture of at most {MAX_PIXELS} "
                        "pixels. Received: a file that the server cannot decode as one"
                    )
        in_order = [answers.get(i) for i in range(len(answers) + len(errors))]
        return answers_given(
            in_order, dict(sorted(errors.items())), is_one_picture(pictures), on_error
        )

    def _metadata(self, version: int | str | None) -> Dialogue[dict[str, Any]]:
        """Asks for the contents of ``tfac.json``, but for a version's that is known."""
        if version in self._known_metadata:
            return self._known_metadata[version]
        answer = yield from self._answer(Request("tfac_metadata", "request", [b""], version))
        metadata = read_metadata(answer, self._server)
        if answer.version is not None:
            self._known_metadata[answer.version] = metadata
        return metadata

    def _status(self) -> Dialogue[list[VersionStatus]]:
        reply = yield self._transport.status_call()
        return self._transport.versions(reply)

    def _answer(self, request: Request) -> Dialogue[Answer]:
        reply = yield self._transport.predict_call(request)
        return self._transport.answer(reply, request)

    def _ask(self, signature: str, files: list[bytes]) -> Dialogue[Rows]:
        answer = yield from self._answer(Request(signature, "image_bytes", files, self._version))
        # Of the version that answered: a server may have changed to another meanwhile.
        version = self._version if answer.version is None else answer.version
        metadata = yield from self._metadata(version)
        return Rows(answer.outputs, len(files), metadata, self._server)


class Client(_BaseClient):
    """Answers for face crops, from a server of models; takes and gives what `Predictor` does.

    ::

        with Client("127.0.0.1:8500", model="dmm_cnn") as client:
            for prediction in client(["face.jpg", "other.png"]):
                print(prediction.shown, prediction.probabilities["Smiling"])

    Works with TensorFlow Serving and with `tfac-serve`, for models that tfac-export wrote. Pictures
    go as files, arrays as PNG, a batch a request; no request is larger than 8 MiB unless one
    picture is. Requests follow each other over connections that are kept open; threads may share a
    client. A request that finds the server busy or away is sent again after about 0.2, 0.4, 0.8 and
    1.6 seconds, as long as `retries` and `timeout` allow. REST needs neither TensorFlow nor gRPC.

    By REST a server does not say which version has answered. Unless `version` is a number, the
    attributes' names are therefore asked for with each batch.

    Args:
        server: "HOST:PORT" or "grpc://HOST:PORT" for gRPC, "http://HOST:PORT" for REST; with TLS
            "grpcs://" and "https://".
        model: the model's name on the server.
        version: the version to ask, by number or by label such as "canary"; None takes what the
            server offers, its newest by default.
        timeout: seconds for one request with its retries, above 0.
        retries: attempts after the first, 0 to 4.
        batch_size: pictures a request, 1 or more; the server may allow fewer than are set here.

    Attributes:
        batch_size: as above.

    Raises:
        ConfigError: an argument is out of range, or the package for gRPC or REST is missing.
    """

    def __call__(
        self, pictures: Pictures, *, color_order: str = "rgb", on_error: str = "raise"
    ) -> Prediction | list[Prediction | None]:
        """Returns the prediction of one picture, or of several pictures in their order.

        Args:
            pictures: one picture or any number of them, in the forms that `tfac.Predictor` takes.
                They are read as they are needed; files that are not upright by their EXIF
                orientation are turned first.
            color_order: order of the channels of arrays: "rgb", or "bgr" as OpenCV has it.
            on_error: what to do where some pictures cannot be answered. All others are answered
                first, then "raise" raises an error that has their answers; "skip" warns, and gives
                None in the places of those that have none.

        Raises:
            PicturesError: pictures are missing, broken, or none that the server can decode; the
                message names them, `predictions` has the answers of the others.
            DataError: another argument is none of its values.
            ServingError: the server cannot be asked, refuses, or gives no usable answer; its
                subclasses in `tfac.errors` tell the causes apart. `predictions` has the answers
                that were given before.
        """
        return self._run(self._predictions(pictures, color_order, on_error))

    def explain(
        self, pictures: Pictures, *, color_order: str = "rgb", on_error: str = "raise"
    ) -> Explanation | list[Explanation | None]:
        """Returns the explanation of one picture, or of several pictures in their order.

        Args:
            pictures: as `__call__` takes them.
            color_order: as there.
            on_error: as there.

        Raises:
            DataError: as `__call__`.
            ServingError: as `__call__`, and where the model has nothing to explain.
        """
        return self._run(self._explanations(pictures, color_order, on_error))

    def metadata(self) -> dict[str, Any]:
        """Returns what the model's ``tfac.json`` says, such as attributes and thresholds.

        Raises:
            ServingError: as `__call__`.
        """
        return self._run(self._metadata(self._version))

    def model_status(self) -> list[VersionStatus]:
        """Returns the model's versions that the server knows, also those that do not answer.

        Raises:
            ServingError: as `__call__`; `UnknownModelError` where it knows none.
        """
        return self._run(self._status())

    def close(self) -> None:
        """Closes the connections; `with` does so too."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Returns the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the connections."""
        self.close()

    def _run(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    reply = self._transport.send(call)
                except ServingError as error:
                    dialogue.throw(error)
                call = dialogue.send(reply)
        except StopIteration as end:
            return end.value

    def _open_transport(self):
        if self._server.is_grpc:
            from tfac.serving.client.grpc_transport import GrpcTransport as Transport
        else:
            from tfac.serving.client.rest_transport import RestTransport as Transport
        return Transport(self._server)


class AsyncClient(_BaseClient):
    """`Client` for asyncio: the same arguments, methods and errors, to be awaited.

    ::

        async with AsyncClient("http://127.0.0.1:8501", model="dmm_cnn") as client:
            predictions = await client(["face.jpg", "other.png"])

    A client belongs to the event loop in which it is first used; any number of tasks may share it.
    Pictures given by path are read in the loop.
    """

    async def __call__(
        self, pictures: Pictures, *, color_order: str = "rgb", on_error: str = "raise"
    ) -> Prediction | list[Prediction | None]:
        """Returns the prediction of one picture or of several, as `Client.__call__`."""
        return await self._run(self._predictions(pictures, color_order, on_error))

    async def explain(
        self, pictures: Pictures, *, color_order: str = "rgb", on_error: str = "raise"
    ) -> Explanation | list[Explanation | None]:
        """Returns the explanation of one picture or of several, as `Client.explain`."""
        return await self._run(self._explanations(pictures, color_order, on_error))

    async def metadata(self) -> dict[str, Any]:
        """Returns what the model's ``tfac.json`` says, as `Client.metadata`."""
        return await self._run(self._metadata(self._version))

    async def model_status(self) -> list[VersionStatus]:
        """Returns the model's versions, as `Client.model_status`."""
        return await self._run(self._status())

    async def aclose(self) -> None:
        """Closes the connections; `async with` does so too."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """Returns the client."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Closes the connections."""
        await self.aclose()

    async def _run(self, dialogue: Dialogue[T]) -> T:
        try:
            call = next(dialogue)
            while True:
                try:
                    reply = await self._transport.send(call)
                except ServingError as error:
                    dialogue.throw(error)
                call = dialogue.send(reply)
        except StopIteration as end:
            return end.value

    def _open_transport(self):
        if self._server.is_grpc:
            from tfac.serving.client.grpc_transport import AsyncGrpcTransport as Transport
        else:
            from tfac.serving.client.rest_transport import AsyncRestTransport as Transport
        return Transport(self._server)


def _batches(
    pictures: Pictures, size: int, color_order: str, errors: dict[int, str]
) -> Iterator[list[tuple[int, str, bytes]]]:
    """Yields positions, names and files of pictures that go in one request; fills `errors`."""
    batch, num_bytes = [], 0
    for i, picture in enumerate(pictures_in(pictures)):
        name = picture_name(picture, i)
        try:
            file = _encoded(as_predicted(picture, name, color_order), name)
        except DataError as error:
            errors[i] = str(error)
            continue
        if batch and (len(batch) == size or num_bytes + len(file) > MAX_REQUEST_BYTES):
            yield batch
            batch, num_bytes = [], 0
        batch.append((i, name, file))
        num_bytes += len(file)
    if batch:
        yield batch


def _encoded(picture: Picture, name: str) -> bytes:
    """Returns the file of a picture; an array becomes a PNG, which keeps every pixel."""
    if not isinstance(picture, np.ndarray):
        return read_as_record(picture, name)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", compress_level=1)
    return file.getvalue()
