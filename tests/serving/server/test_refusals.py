import grpc
import pytest

from tfac.serving.server.refusals import Refusal, busy, invalid, not_found


@pytest.mark.parametrize(
    "refusal, code, status",
    [
        (invalid("x"), "INVALID_ARGUMENT", 400),
        (not_found("x"), "NOT_FOUND", 404),
        (busy("x"), "UNAVAILABLE", 503),
        (Refusal(grpc.StatusCode.FAILED_PRECONDITION, "x"), "FAILED_PRECONDITION", 400),
        (Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "x"), "RESOURCE_EXHAUSTED", 429),
        (Refusal(grpc.StatusCode.INTERNAL, "x"), "INTERNAL", 500),
    ],
)
def test_codes_are_those_of_tensorflow_serving(refusal, code, status):
    assert (refusal.code.name, refusal.http_status) == (code, status)


def test_message_fits_into_a_header_of_grpc():
    assert len(invalid("x" * 100_000).message) < 8000
