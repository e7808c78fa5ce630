import time

import pytest

from tfac.errors import (
    ConfigError,
    DeadlineError,
    ServerBusyError,
    ServerUnreachableError,
    ServingError,
    TfacError,
    TooLargeError,
    UnknownModelError,
)
from tfac.serving.client.requests import FIRST_PAUSE, Attempts, Server, server_url


def make_server(**options) -> Server:
    return Server(**{"url": "grpc://h:1", "model": "m", "timeout": 9.0, "retries": 2, **options})


@pytest.mark.parametrize(
    "server, url",
    [
        ("localhost:8500", "grpc://localhost:8500"),
        ("grpc://10.0.0.1:8500/", "grpc://10.0.0.1:8500"),
        ("GRPCS://[::1]:443", "grpcs://[::1]:443"),
        ("http://localhost:8501", "http://localhost:8501"),
        ("HTTPS://faces.example/serving/", "https://faces.example/serving"),
    ],
)
def test_address_is_completed(server, url):
    assert server_url(server) == url
    assert make_server(url=url).is_grpc == url.startswith("grpc")


@pytest.mark.parametrize(
    "server",
    [
        "",
        "localhost",
        ":8500",
        "localhost:port",
        "localhost:99999",
        "[::1:8500",
        "grpc://localhost:8500/model",
        "ftp://localhost:21",
        "unix:///tmp/socket",
        "http://",
        "http://user:secret@localhost:8501",
        "http://localhost:8501/?model=m",
        "http://localhost:8501/#m",
        "http://local host:8501",
        "http://localhost:8501\nHost: other",
    ],
)
def test_what_is_no_address_is_refused(server):
    with pytest.raises(ConfigError, match="server: expected HOST:PORT for gRPC or http://HOST"):
        server_url(server)


@pytest.mark.parametrize(
    "kind, builtin, advice",
    [
        (ServingError, RuntimeError, ""),
        (ServerUnreachableError, ConnectionError, "Is the server running"),
        (ServerBusyError, RuntimeError, "Ask again later"),
        (DeadlineError, TimeoutError, "Allow more time"),
        (UnknownModelError, RuntimeError, "Name a model and version"),
        (TooLargeError, RuntimeError, "Send fewer pictures a request"),
    ],
)
def test_errors_name_the_server_and_say_what_to_do(kind, builtin, advice):
    error = make_server().error(kind, "it\n went  wrong.")
    assert type(error) is kind and isinstance(error, TfacError | ServingError | builtin)
    assert str(error).startswith("grpc://h:1, model m: it went wrong")
    assert advice in str(error) and not str(error).endswith(".")


def test_pauses_double_until_the_retries_are_used_up():
    attempts, busy = Attempts(make_server(retries=3)), ServerBusyError("busy")
    pauses = [attempts.pause_after(busy) for _ in range(3)]
    for i, pause in enumerate(pauses):
        assert 0.8 * FIRST_PAUSE * 2**i <= pause <= 1.2 * FIRST_PAUSE * 2**i
    with pytest.raises(ServerBusyError) as error:
        attempts.pause_after(busy)
    assert error.value is busy


@pytest.mark.parametrize("kind", [ServingError, DeadlineError, UnknownModelError, TooLargeError])
def test_what_will_not_pass_is_not_tried_again(kind):
    with pytest.raises(kind):
        Attempts(make_server()).pause_after(kind("no"))


def test_no_pause_reaches_beyond_the_deadline():
    with pytest.raises(ServerBusyError):
        Attempts(make_server(timeout=0.1)).pause_after(ServerBusyError("busy"))


def test_time_that_is_over_is_a_deadline_error():
    attempts = Attempts(make_server(timeout=0.01))
    assert 0 < attempts.seconds_left <= 0.01
    time.sleep(0.02)
    with pytest.raises(DeadlineError, match="no answer within 0.01 seconds"):
        attempts.seconds_left  # noqa: B018
