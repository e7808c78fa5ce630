import numpy as np
import pytest

from tests.serving.server.running_server import load_fake, running, write_versions
from tests.serving.server.test_batching import rows
from tfac.serving.server.configuration import ServerOptions
from tfac.serving.server.core import ModelServer
from tfac.serving.server.refusals import Refusal


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running(write_versions(tmp_path_factory.mktemp("models") / "faces", 3)) as server:
        yield server


@pytest.mark.parametrize("version", [None, 3])
def test_predict_answers_threads_of_this_process(served, version):
    outputs = served.server.predict("faces", version, "serving_default", rows(b"ab", b"c"))
    assert outputs["scores"][:, 0].tolist() == [3002.0, 3001.0]


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (("other", None, "serving_default", rows(b"a")), 404, r"Latest\(other\)"),
        (("faces", 4, "serving_default", rows(b"a")), 404, r"Specific\(faces, 4\)"),
        (("faces", None, "other", rows(b"a")), 400, '"other" not found'),
        (("faces", None, "images", rows(b"a")), 400, "required: {images}"),
        (("faces", None, "images", {"images": np.zeros((1, 2, 3))}), 400, "expected shape"),
        (("faces", None, "serving_default", rows(b"bad")), 400, "expected no bad row"),
    ],
)
def test_predict_refuses_what_the_wire_would_refuse(served, arguments, status, message):
    with pytest.raises(Refusal, match=message) as refused:
        served.server.predict(*arguments)
    assert refused.value.http_status == status


def test_predict_needs_a_server_that_runs():
    with pytest.raises(RuntimeError, match="a server that runs"):
        ModelServer(ServerOptions(), load_fake).predict("faces", None, "serving_default", {})
