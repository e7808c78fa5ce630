"""The errors that a client gets, with TensorFlow Serving's codes."""

import grpc

# As TensorFlow Serving maps them (ToHTTPStatusCode in its http_server.cc).
_HTTP = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
}
_LONGEST_MESSAGE = 2000  # characters; gRPC sends a message in a header, and headers are bounded


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        code: of gRPC.
        message: for the client; says what was expected and what was received.
        http_status: of HTTP; by default that of `code`.
    """

    def __init__(self, code: grpc.StatusCode, message: str, http_status: int | None = None):
        super().__init__(message)
        self.code = code
        self.message = message[:_LONGEST_MESSAGE]
        self.http_status = http_status or _HTTP.get(code, 500)


def invalid(message: str, http_status: int = 400) -> Refusal:
    """Returns the refusal of a request that is wrong in itself: sending it again will not help."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message, http_status)


def not_found(message: str) -> Refusal:
    """Returns the refusal of a request for a model or version that is not there."""
    return Refusal(grpc.StatusCode.NOT_FOUND, message)


def busy(message: str) -> Refusal:
    """Returns the refusal of a request that may be sent again later."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, message)
