"""What clients ask a server of models and what comes back, whichever way it goes there."""

import dataclasses
import random
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

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

MAX_ANSWER_BYTES = 2**27
MAX_RETRIES = 4  # more are not allowed by gRPC
FIRST_PAUSE = 0.2  # seconds; each further pause is twice as long

_GRPC_SCHEMES = ("grpc", "grpcs")
_SCHEMES = (*_GRPC_SCHEMES, "http", "https")
_LARGE = "larger than max"  # gRPC of messages, TensorFlow of batches; with codes of other errors
_LONGEST_QUOTE = 500  # characters of what a server says
_ADVICE = {
    ServingError: "",
    ServerUnreachableError: "Is the server running, and is this the right port? TensorFlow "
    "Serving's own are HOST:8500 for gRPC and http://HOST:8501 for REST",
    ServerBusyError: "Ask again later, send fewer requests at a time, or allow more retries",
    DeadlineError: "Allow more time (timeout) or send fewer pictures a request (batch_size)",
    UnknownModelError: "Name a model and version that the server has loaded",
    TooLargeError: "Send fewer pictures a request (batch_size), or smaller ones",
}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to run a signature with one input of strings.

    Attributes:
        signature: its name.
        input: the input's name.
        values: one value a row.
        version: the version that is to answer, by number or label; None leaves it to the server.
    """

    signature: str
    input: str
    values: Sequence[bytes]
    version: int | str | None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a signature gave.

    Attributes:
        outputs: output name to value [B, ...]; REST leaves out the name of an only output, which is
            then empty.
        version: the version that answered, None where the server does not say.
    """

    outputs: Mapping[str, np.ndarray]
    version: int | None


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """One version of a model on a server.

    Attributes:
        version: its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING", "END" or "UNKNOWN"; available ones
            answer.
        error: why it could not be loaded, else empty.
    """

    version: int
    state: str
    error: str


@dataclasses.dataclass(frozen=True)
class Server:
    """A model on a server, and how patiently it is asked.

    Attributes:
        url: "grpc://HOST:PORT", "grpcs://HOST:PORT", "http://HOST:PORT" or "https://HOST:PORT".
        model: the model's name.
        timeout: seconds for one request with its retries.
        retries: attempts after the first.
    """

    url: str
    model: str
    timeout: float
    retries: int

    def __post_init__(self):
        """Checks the arguments."""
        if not self.model:
            raise ConfigError("model: expected the name of a model. Received: nothing")
        if not 0 < self.timeout < float("inf"):
            raise ConfigError(f"timeout: expected seconds above 0. Received: {self.timeout}")
        if not 0 <= self.retries <= MAX_RETRIES:
            raise ConfigError(f"retries: expected 0 to {MAX_RETRIES}. Received: {self.retries}")

    @property
    def is_grpc(self) -> bool:
        """Whether the server is asked by gRPC, else by REST."""
        return self.url.startswith(_GRPC_SCHEMES)

    def error(self, kind: type[ServingError], said: str) -> ServingError:
        """Returns an error that names the server and says what to do.

        Args:
            kind: what went wrong.
            said: how, in the server's words or ours; cut where it is long.
        """
        if _LARGE in said:
            kind = TooLargeError
        said = " ".join(said.split())[:_LONGEST_QUOTE].rstrip(".")
        text = f"{self.url}, model {self.model}: {said}. {_ADVICE[kind]}"
        return kind(text.rstrip(". "))

    def refusal(self, said: str) -> ServingError:
        """Returns the error for a request that does not fit the model."""
        if _LARGE not in said:
            said = f"{said.rstrip('. ')}. Is it a model that tfac-export wrote?"
        return self.error(ServingError, said)


def server_url(server: str) -> str:
    """Returns the address of a server in full.

    Args:
        server: "HOST:PORT" (gRPC), or a URL as `Server` has it; an http address may go without a
            port and with a path, which goes before "/v1/models".

    Raises:
        ConfigError: it is none of these.
    """
    url = (server if "://" in server else f"grpc://{server}").rstrip("/")
    try:
        parts = urlsplit(url)
        is_grpc, whole = parts.scheme in _GRPC_SCHEMES, bool(parts.hostname)
        understood = whole and parts.scheme in _SCHEMES and "@" not in parts.netloc
        understood &= parts.port is not None and not parts.path if is_grpc else True
    except ValueError:  # a port that is no number, or half an IPv6 address
        understood = False
    if not understood or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ConfigError(
            "server: expected HOST:PORT for gRPC or http://HOST:PORT for REST (grpcs:// and "
            f"https:// with TLS). Received: {server!r}"
        )
    return parts.geturl()  # with its scheme in lower case


class Attempts:
    """The attempts at one request: the time that is left for them and the pauses between them."""

    def __init__(self, server: Server):
        self._server = server
        self._end = time.monotonic() + server.timeout
        self._failed = 0

    @property
    def seconds_left(self) -> float:
        """How long the request may still take.

        Raises:
            DeadlineError: no time is left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.deadline_error()
        return left

    def pause_after(self, error: ServingError) -> float:
        """Returns how long to wait before the next attempt, seconds.

        Raises:
            ServingError: `error`, where another attempt is of no use, or one too many.
        """
        passing = isinstance(error, ServerBusyError | ServerUnreachableError)
        pause = FIRST_PAUSE * 2**self._failed * random.uniform(0.8, 1.2)  # clients spread out
        self._failed += 1
        if not passing or self._failed > self._server.retries or pause >= self.seconds_left:
            raise error
        return pause

    def deadline_error(self) -> DeadlineError:
        """Returns the error that says that the time is over."""
        return self._server.error(
            DeadlineError, f"no answer within {self._server.timeout:g} seconds"
        )
