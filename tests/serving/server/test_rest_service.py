import concurrent.futures
import gzip
import json
import socket
import time

import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.serving.server.running_server import FakeEngine, b64, running, write_versions
from tfac.serving.server.configuration import ModelConfig, VersionPolicy

ROW = {"instances": [b64(b"12345")]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    base = write_versions(tmp_path_factory.mktemp("models") / "faces", 1, 2)
    config = ModelConfig("faces", base, VersionPolicy(num_latest=2), {"stable": 1})
    with running(
        configs=[config], max_request_bytes=100_000, rest_api_timeout_in_ms=1000
    ) as server:
        yield server


def test_rows_and_columns_are_answered_in_their_form(served):
    response = served.post({"instances": [b64(b"12345"), b64(b"123")]})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"predictions": [[2005.0, 2005.5], [2003.0, 2003.5]]}
    response = served.post({"inputs": {"image_bytes": [b64(b"12345")]}})
    assert response.json() == {"outputs": [[2005.0, 2005.5]]}
    response = served.post({"inputs": {"a_bytes": ["x"], "n": [4]}, "signature_name": "two"})
    assert response.json() == {"outputs": {"a_bytes": [b64(b"x")], "double": [8]}}


@pytest.mark.parametrize(
    "path, version",
    [
        ("/v1/models/faces:predict", 2),
        ("/v1/models/faces/versions/1:predict", 1),
        ("/v1/models/faces/labels/stable:predict", 1),
        ("/V1/Models/f%61ces/Versions/1:Predict", 1),
    ],
)
def test_path_chooses_model_and_version(served, path, version):
    if path.startswith("/V1"):  # only what is below /v1 is matched without regard to case
        path = "/v1" + path[3:]
    assert served.post(ROW, path).json() == {
        "predictions": [[1000.0 * version + 5, 1000.0 * version + 5.5]]
    }


@pytest.mark.parametrize(
    "path, body, status, message",
    [
        ("/v1/models/faces:predict", "{", 400, "JSON Parse error"),
        ("/v1/models/faces:predict", {"instances": [{"b64": "!"}]}, 400, "base64"),
        ("/v1/models/faces:predict", {"instances": [1.5]}, 400, "expected a string"),
        ("/v1/models/faces:predict", {"inputs": {"x": ["a"]}}, 400, "Sent extra: {x}"),
        ("/v1/models/faces:predict", {**ROW, "signature_name": "x"}, 400, '"x" not found'),
        ("/v1/models/faces:predict", {"instances": ["a"] * 9}, 400, "Task size 9 is larger"),
        ("/v1/models/faces:predict", {"instances": ["crash"]}, 500, "the model failed"),
        ("/v1/models/other:predict", ROW, 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/faces/versions/9:predict", ROW, 404, "Specific(faces, 9)"),
        ("/v1/models/faces/labels/x:predict", ROW, 400, "Unrecognized servable version label: x"),
        ("/v1/models/faces/versions/x:predict", ROW, 400, "Malformed request: POST /v1"),
        ("/v1/models/faces", ROW, 400, "Malformed request: POST /v1"),
        ("/v1/models/faces:classify", ROW, 501, "classify is not offered"),
        ("/v1/models/faces:predict", "a" * 200_000, 413, "at most 100000 bytes"),
    ],
)
def test_refusals_are_json_with_the_status_of_tensorflow_serving(
    served, path, body, status, message
):
    response = served.post(body, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"] and message in response.json()["error"]


def test_body_in_chunks_is_bounded_too(served):
    def chunks():
        for _ in range(50):
            yield b" " * 10_000

    assert served.post(chunks()).status_code == 413
    assert served.post(iter([json.dumps(ROW).encode()])).status_code == 200


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(json.dumps(ROW).encode()), "gzip", 200),
        (gzip.compress(json.dumps(ROW).encode())[:-9], "gzip", 400),
        (json.dumps(ROW).encode(), "gzip", 400),
        (gzip.compress(b" " * 100_001), "gzip", 413),
        (json.dumps(ROW).encode(), "br", 415),
    ],
    ids=["whole", "cut", "plain", "large", "br"],
)
def test_gzip_bodies_are_taken_and_bounded(served, body, encoding, status):
    response = served.post(body, headers={"Content-Encoding": encoding})
    assert response.status_code == status


def test_status_and_metadata_have_the_form_of_tensorflow_serving(served):
    assert served.get("/v1/models/faces/versions/1").json() == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert len(served.get("/v1/models/faces").json()["model_version_status"]) == 2
    metadata = served.get("/v1/models/faces/metadata").json()
    assert metadata["model_spec"] == {"name": "faces", "signature_name": "", "version": "2"}
    definitions = metadata["metadata"]["signature_def"]["signature_def"]
    assert definitions["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert served.get("/v1/models/other").status_code == 404
    assert served.get("/v1/models/other/metadata").status_code == 404
    assert served.get("/v1/models").status_code == 400
    assert served.get("/other").status_code == 404


def test_metrics_have_the_names_of_tensorflow_serving(served):
    served.post(ROW)
    served.post(ROW, "/v1/models/made-up:predict")
    text = served.get("/monitoring/prometheus/metrics").text
    assert ':tensorflow:serving:request_count{model_name="faces",status="OK"}' in text
    assert (
        ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",'
        'model_name="faces"}' in text
    )
    assert ":tensorflow:serving:runtime_latency_bucket" in text
    assert 'model_name="",status="NOT_FOUND"' in text
    assert "made-up" not in text  # or each name that a client makes up would be kept


def test_connection_stays_open_for_the_next_request(served):
    with requests.Session() as session:
        for _ in range(3):
            url = served.url + "/v1/models/faces:predict"
            assert session.post(url, json=ROW, timeout=10).ok
        assert len(session.adapters["http://"].poolmanager.pools) == 1


def raw(served, *parts: bytes) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    for part in parts:
        connection.sendall(part)
    return connection


HEADER = b"POST /v1/models/faces:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"


def test_slow_client_is_cut_off_while_others_are_answered(served):
    with raw(served, HEADER + b'{"insta') as slow:
        start = time.monotonic()
        assert served.post(ROW).ok
        assert time.monotonic() - start < 1
        answer = b""
        while b'"error"' not in answer and (part := slow.recv(1000)):
            answer += part
    assert answer.startswith(b"HTTP/1.1 504") and b'"error"' in answer


def test_client_that_leaves_in_the_middle_does_no_harm(served):
    for sent in (b"POST /v1", HEADER, HEADER + b'{"instances"'):
        raw(served, sent).close()
    raw(served, HEADER.replace(b"50", b"34") + b'{"instances": [{"b64": "MTIzNDU="}]}').close()
    assert served.post(ROW).ok


def test_garbage_instead_of_http_is_answered_with_an_error(served):
    with raw(served, b"\x16\x03\x01\x02\x00\x01\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert served.post(ROW).ok


def test_more_requests_at_once_than_allowed_are_answered_busy(tmp_path):
    engine = FakeEngine()
    base = write_versions(tmp_path / "faces", 1)
    with running(base, load=lambda _: engine, max_concurrent_requests=1) as served:
        engine.hold.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as pool, raw(served, HEADER):
            first = pool.submit(served.post, ROW)  # taken, though another's body does not come
            assert engine.started.wait(10)
            response = served.post(ROW)
            assert response.status_code == 503 and "too many requests" in response.json()["error"]
            assert served.get("/v1/models/faces").ok
            engine.hold.set()
            assert first.result().ok
        assert served.count("faces", "UNAVAILABLE") == 1


def test_bytes_of_all_requests_are_bounded(tmp_path):
    base = write_versions(tmp_path / "faces", 1)
    with running(base, max_request_bytes=1000) as served, served.server.room() as take:
        take(8 * 1000 - 10)
        response = served.post(ROW)
        assert response.status_code == 503 and "too many bytes" in response.json()["error"]
        assert served.get("/v1/models/faces").ok


def test_refusals_and_clients_that_leave_are_counted(served):
    before = {code: served.count("faces", code) for code in ("CANCELLED", "INTERNAL")}
    unnamed = served.count("", "INVALID_ARGUMENT")
    raw(served, HEADER + b'{"instances"').close()
    served.wait_for_cancelled(before["CANCELLED"] + 1)
    assert served.count("faces", "INTERNAL") == before["INTERNAL"]
    served.post(ROW, "/v1/models/faces")
    assert served.count("", "INVALID_ARGUMENT") == unnamed + 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:80"}, 200),
        ({"Host": "192.0.2.7:8501"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "faces.example:80"}, 200),
        ({"Host": "other.example"}, 403),
        ({"Host": "127.0.0.1.other.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "localhost:80", "Origin": "http://localhost:80"}, 200),
        ({"Host": "localhost:80", "Origin": "http://localhost:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
    ],
)
def test_other_hosts_and_pages_of_other_sites_are_refused(named, headers, status):
    assert named.post(ROW, headers=headers).status_code == status


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    base = write_versions(tmp_path_factory.mktemp("named") / "faces", 1)
    with running(base, trusted_hosts="faces.example, faces") as server:
        yield server


def test_extra_routes_are_answered_and_predict_is_for_their_threads(tmp_path):
    def page(request):
        return PlainTextResponse("a page")

    base = write_versions(tmp_path / "faces", 1)
    with running(base, extra_routes=[Route("/", page)]) as served:
        assert served.get("/").text == "a page"
        from tests.serving.server.test_batching import rows

        outputs = served.server.predict("faces", None, "serving_default", rows(b"abc"))
        assert outputs["scores"].tolist() == [[1003.0, 1003.5]]
