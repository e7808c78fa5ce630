"""The errors tfac raises for input it cannot use; all are ``TfacError``.

- ``TfacError``: base class; catching it catches every refusal made by tfac itself.
    - ``DataError``: a picture, an annotation file, a record or a data set is missing or broken. The
      message names the file (and line or record), what was expected and what was received.
        - ``PicturesError``: some of the pictures given have no answer; it has those of the others.
    - ``ConfigError``: a flag, an experiment or a combination of options cannot be used.
    - ``TrainingError``: training cannot go on, for example because a loss became NaN.
    - ``ServingError``: a server of models refused a request or gave no answer that can be used. The
      message names the server and the model, and says what to do.
        - ``ServerUnreachableError``: nothing answers there, or the connection broke.
        - ``ServerBusyError``: it has more requests than it takes; the same request may pass later.
        - ``DeadlineError``: no answer came in the time allowed.
        - ``UnknownModelError``: it has no such model or version.
        - ``TooLargeError``: a request or an answer is larger than the server or the client takes.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any


class TfacError(Exception):
    """Base class of every error raised on purpose by tfac."""


class DataError(TfacError, ValueError):
    """A picture, annotation, record or data set is missing or broken."""


class PicturesError(DataError):
    """Some of the pictures given have no answer.

    Attributes:
        predictions: what the call would have returned as a list, None for each of them.
        errors: position of each of them to what is wrong.
    """

    def __init__(self, message: str, predictions: Sequence[Any], errors: Mapping[int, str]):
        super().__init__(message, predictions, errors)
        self.predictions, self.errors = predictions, errors

    def __str__(self) -> str:
        """Returns the message."""
        return self.args[0]


class ConfigError(TfacError, ValueError):
    """A flag, an experiment or a combination of options cannot be used."""


class TrainingError(TfacError, RuntimeError):
    """Training cannot go on."""


class ServingError(TfacError, RuntimeError):
    """A server of models refused a request, or gave no answer that can be used.

    Attributes:
        predictions: where several pictures were asked about, the answers given before, as a list
            of the pictures so far, in their order, None for each without one; else empty.
        errors: position of each of these pictures that cannot be answered to what is wrong.
    """

    predictions: Sequence[Any] = ()
    errors: Mapping[int, str] = MappingProxyType({})


class ServerUnreachableError(ServingError, ConnectionError):
    """No server answers at the address, or the connection to it broke."""


class ServerBusyError(ServingError):
    """A server has more requests than it takes; the same request may pass later."""


class DeadlineError(ServingError, TimeoutError):
    """A server gave no answer in the time allowed."""


class UnknownModelError(ServingError):
    """A server has no such model or version."""


class TooLargeError(ServingError):
    """A request or an answer is larger than the server or the client takes."""
