"""The steps of deploy/README.md, with tfac-serve in TensorFlow Serving's place."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from serving_configuration import DEPLOY, METRICS, walk

from tests.serving.server.serve_program import serve_program
from tfac.export import ExportOptions, export_saved_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tiny_trained, tmp_path_factory):
    """A folder with models/dmm_cnn/1 and models.config, and the ports of a server of it."""
    folder = tmp_path_factory.mktemp("walk")
    options = ExportOptions(warmup_batch_sizes=(1,))
    export_saved_model(tiny_trained, folder / "models" / "dmm_cnn", options)
    configure(folder, walk()[0])
    flags = [f"--model_config_file={folder / 'models.config'}"]
    with serve_program(*flags, "--model_config_file_poll_wait_seconds=1") as program:
        yield folder, program.grpc_address, program.url.rpartition(":")[2]


@pytest.fixture(scope="module")
def face():
    noise = np.random.default_rng(3).integers(0, 256, (50, 40, 3), np.uint8)
    return tf.io.encode_jpeg(noise).numpy()


def configure(folder, text):
    aside = folder / "models.config.new"
    aside.write_text(text.replace("/models/", f"{folder}/models/"), "utf-8")
    os.replace(aside, folder / "models.config")


def ask(port, path, request=None):
    data = None if request is None else json.dumps(request).encode()
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        return answer.read().decode()


def states(port, path=""):
    try:
        answer = json.loads(ask(port, f"/v1/models/dmm_cnn{path}"))
    except urllib.error.HTTPError:
        return {}
    return {each["version"]: each["state"] for each in answer["model_version_status"]}


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "nothing happened within a minute"
        time.sleep(0.2)


def labels(port):
    """Returns the version that each label leads to, as the metadata tell."""

    def version(label):
        answer = json.loads(ask(port, f"/v1/models/dmm_cnn/labels/{label}/metadata"))
        return answer["model_spec"]["version"]

    return {label: version(label) for label in ("stable", "canary")}


def test_an_answer_comes_by_rest_and_by_grpc(served, face):
    from tfac.serving import Client

    _, grpc_address, port = served
    row = {"image_bytes": {"b64": base64.b64encode(face).decode()}}
    path = "/v1/models/dmm_cnn/labels/stable:predict"
    [answer] = json.loads(ask(port, path, {"instances": [row]}))["predictions"]
    with Client(grpc_address, model="dmm_cnn", version="stable") as client:
        [prediction] = client([face])
    np.testing.assert_allclose(
        answer["probabilities"], [*prediction.probabilities.values()], rtol=1e-5
    )
    assert answer["valid"] is True


def test_the_health_check_finds_the_stable_version(served):
    _, _, port = served
    command = ["bash", DEPLOY / "healthcheck.sh", "dmm_cnn", port]
    assert subprocess.run(command, timeout=20).returncode == 0


def test_versions_roll_forward_and_back(served):
    folder, _, port = served
    start, load, canary, everybody, unload = walk()
    assert labels(port) == {"stable": "1", "canary": "1"}
    shutil.copytree(folder / "models/dmm_cnn/1", folder / "models/dmm_cnn/.2")
    os.replace(folder / "models/dmm_cnn/.2", folder / "models/dmm_cnn/2")
    time.sleep(2)
    assert set(states(port)) == {"1"}  # nothing changes before models.config does

    configure(folder, load)
    wait_for(lambda: states(port, "/versions/2") == {"2": "AVAILABLE"})
    assert labels(port) == {"stable": "1", "canary": "1"}
    configure(folder, canary)
    wait_for(lambda: labels(port) == {"stable": "1", "canary": "2"})
    configure(folder, load)  # back
    wait_for(lambda: labels(port) == {"stable": "1", "canary": "1"})
    configure(folder, canary)
    wait_for(lambda: labels(port)["canary"] == "2")
    configure(folder, everybody)
    wait_for(lambda: labels(port) == {"stable": "2", "canary": "2"})
    configure(folder, "broken")  # is refused, and the old one goes on
    time.sleep(2)
    assert labels(port) == {"stable": "2", "canary": "2"}
    configure(folder, unload)
    wait_for(lambda: states(port).get("1") != "AVAILABLE")
    assert labels(port) == {"stable": "2", "canary": "2"}
    configure(folder, everybody)  # back, after the old version was unloaded
    wait_for(lambda: states(port, "/versions/1") == {"1": "AVAILABLE"})
    configure(folder, load)
    wait_for(lambda: labels(port) == {"stable": "1", "canary": "1"})


def test_tfac_serve_gives_the_metrics_that_are_watched(served, face):
    _, _, port = served
    row = {"image_bytes": {"b64": base64.b64encode(face).decode()}}
    ask(port, "/v1/models/dmm_cnn:predict", {"instances": [row]})
    text = ask(port, "/monitoring/prometheus/metrics")
    given = {
        family.name: set().union(*(sample.labels for sample in family.samples)) - {"le"}
        for family in text_string_to_metric_families(text)
    }
    for name, names_of_labels in METRICS.items():
        assert given[name] == names_of_labels
