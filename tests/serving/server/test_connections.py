import socket
import time

import pytest

from tests.serving.server.running_server import b64, running, write_versions

BODY = b'{"instances": ["a"]}'
HEADER = b"POST /v1/models/faces:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
REQUEST = HEADER % len(BODY) + BODY


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    base = write_versions(tmp_path_factory.mktemp("models") / "faces", 1)
    with running(base, idle_timeout_seconds=0.3, max_request_bytes=1000) as server:
        yield server


def connect(served) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def seconds_until_closed(connection: socket.socket, drip: bytes = b"") -> float:
    start = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - start < 10:
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(10_000):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - start


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/faces:pre"])
def test_connection_that_sends_no_whole_header_is_cut(served, sent):
    with connect(served) as connection:
        connection.sendall(sent)
        assert seconds_until_closed(connection) < 5


def test_header_that_drips_is_cut(served):
    with connect(served) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert seconds_until_closed(connection, drip=b"a: b\r\n") < 5


def test_header_that_drips_after_an_answer_is_cut(served):
    with connect(served) as connection:
        connection.sendall(REQUEST)
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert seconds_until_closed(connection, drip=b"a: b\r\n") < 5


def test_body_that_nobody_wants_is_cut(served):
    with connect(served) as connection:
        connection.sendall(REQUEST.replace(b"Content-Length: 20", b"Content-Length: 99999999"))
        assert connection.recv(10_000).startswith(b"HTTP/1.1 413")
        assert seconds_until_closed(connection, drip=b"a" * 100) < 5


def test_request_that_is_answered_later_than_that_is_not_cut(served):
    with served.server.store.get("faces") as loaded:
        engine = loaded.engine
    engine.hold.clear()
    with connect(served) as connection:
        connection.sendall(REQUEST)
        assert engine.started.wait(10)
        time.sleep(0.6)
        engine.hold.set()
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_header_is_bounded(served):
    with connect(served) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\na: " + b"b" * 200_000)
        assert seconds_until_closed(connection) < 5
    assert served.post({"instances": [b64(b"a")]}).ok
