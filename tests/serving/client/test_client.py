import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import tfac.serving
from tests.serving.client.fake_model_server import (
    ATTRIBUTES,
    GROUPS,
    LEVELS,
    FakeModel,
    Refused,
    serve_grpc,
    serve_rest,
)
from tfac.errors import (
    ConfigError,
    DataError,
    DeadlineError,
    PicturesError,
    ServerBusyError,
    ServerUnreachableError,
    ServingError,
    TooLargeError,
    UnknownModelError,
)
from tfac.inference.prediction import Prediction
from tfac.serving import AsyncClient, Client, VersionStatus

BUSY = Refused("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")


class User:
    """Uses a client of either kind by one wire: `use` opens it, passes it to `call`, closes it."""

    def __init__(self, kind: type, wire: str):
        self.kind = kind
        self.wire = wire
        self.serve = serve_grpc if wire == "grpc" else serve_rest

    def use(self, server: str, call, **options):
        options = {"model": "faces", **options}
        if self.kind is Client:
            with Client(server, **options) as client:
                return call(client)

        async def awaited():
            async with AsyncClient(server, **options) as client:
                return await call(client)

        return asyncio.run(awaited())

    def predict(self, server: str, pictures, **options):
        return self.use(server, lambda client: client(pictures), **options)


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture(params=["grpc", "rest"])
def user(kind, request):
    return User(kind, request.param)


@pytest.fixture
def model():
    return FakeModel()


@pytest.fixture
def server(user, model):
    with user.serve(model) as address:
        yield address


@pytest.fixture
def quick_retries(monkeypatch):
    for module in ("requests", "grpc_transport"):
        monkeypatch.setattr(f"tfac.serving.client.{module}.FIRST_PAUSE", 0.02)


def grey(value: int, size=(6, 4)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as lone:
        return lone.getsockname()[1]


def smiling(predictions: list[Prediction]) -> list[float]:
    return [prediction.scores["Smiling"] for prediction in predictions]


def num_predict_requests(model: FakeModel) -> int:
    return sum(signature != "tfac_metadata" for signature, _, _ in model.asked)


def test_names_are_sorted_and_there():
    assert tfac.serving.__all__ == sorted(tfac.serving.__all__)
    assert all(hasattr(tfac.serving, name) for name in tfac.serving.__all__)


def test_rest_needs_neither_tensorflow_nor_grpc():
    program = """if True:
        import sys, tfac.serving
        tfac.serving.Client("http://127.0.0.1:1", model="m").close()
        sys.exit(bool({"tensorflow", "grpc"} & set(sys.modules)))"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_list_of_any_length_is_answered_in_order(user, server, model):
    pictures = [grey(value, (4 + value % 3, 5)) for value in range(20)]
    predictions = user.predict(server, pictures, batch_size=8)
    np.testing.assert_allclose(smiling(predictions), 1 + np.arange(20) / 255, rtol=1e-6)
    asked = [rows for signature, rows, _ in model.asked if signature == "serving_default"]
    assert asked == [8, 8, 4]


def test_prediction_is_what_the_model_says(user, server):
    (prediction,) = user.predict(server, [grey(51)])
    assert isinstance(prediction, Prediction)
    scores = np.array([0.2, 1.2, 2.2], np.float32)
    assert prediction.scores == dict(zip(ATTRIBUTES, scores.tolist(), strict=True))
    assert list(prediction.probabilities.values()) == (scores / 3).tolist()
    assert prediction.predictions == {"Bald": False, "Smiling": True, "Young": True}
    assert prediction.landmarks.tolist() == [[scores[0], scores[0] / 2]]


def test_landmarks_are_none_where_the_model_has_none(user, server, model):
    model.outputs = {"landmarks": None}
    assert user.predict(server, [grey(1)])[0].landmarks is None


def test_files_bytes_and_arrays_are_answered_alike(user, server, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    file = tmp_path / "face.png"
    Image.fromarray(picture).save(file)
    scores = smiling(user.predict(server, [file, str(file), file.read_bytes(), picture]))
    assert scores[:-1] == scores[1:]


def test_array_of_pictures_and_generator_are_taken(user, server):
    batch = np.stack([grey(0), grey(51)])
    expected = smiling(user.predict(server, list(batch)))
    assert smiling(user.predict(server, batch)) == expected
    assert smiling(user.predict(server, iter(batch))) == expected


def test_nothing_is_answered_with_nothing_and_asks_nothing(user, server, model):
    assert user.predict(server, []) == [] and not model.asked


def test_large_pictures_go_in_requests_of_their_own(user, server, model, monkeypatch):
    monkeypatch.setattr("tfac.serving.client.client.MAX_REQUEST_BYTES", 1000)
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)  # a PNG of 2700 bytes
    user.predict(server, [grey(1), grey(2), noise, grey(3)])
    asked = [rows for signature, rows, _ in model.asked if signature == "serving_default"]
    assert asked == [2, 1, 1]


def test_picture_that_the_server_cannot_decode_is_named(user, server, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="bad.jpg: expected a whole JPEG or PNG"):
        user.predict(server, [grey(1), bad])
    with pytest.raises(DataError, match="picture 1: expected a whole JPEG or PNG"):
        user.predict(server, [grey(1), b""])


@pytest.mark.parametrize("method", ["__call__", "explain"])
def test_one_broken_picture_of_many_loses_no_other_answer(user, server, method):
    given = [grey(0), b"no picture", grey(51), None, "absent.jpg", grey(102)]

    def ask(client, **options):
        return getattr(client, method)(given, **options)

    with pytest.raises(PicturesError, match="3 of 6 pictures: picture 1: ") as caught:
        user.use(server, ask, batch_size=2)
    with pytest.warns(UserWarning, match="picture 3: .*absent.jpg: .*None in their places"):
        skipped = user.use(server, lambda client: ask(client, on_error="skip"), batch_size=2)
    assert list(caught.value.errors) == [1, 3, 4]
    for answers in (caught.value.predictions, skipped):
        assert [i for i, answer in enumerate(answers) if answer is None] == [1, 3, 4]
        answers = [getattr(answer, "prediction", answer) for answer in answers if answer]
        np.testing.assert_allclose(smiling(answers), [1, 1.2, 1.4], rtol=1e-6)


def test_answers_before_a_failure_are_kept(user, server, model):
    model.script = [0.0, Refused("INVALID_ARGUMENT", "no")]
    given = [grey(0), b"no picture", None, grey(102)]
    with pytest.raises(ServingError) as caught:
        user.use(server, lambda client: client(given), batch_size=1)
    first, *others = caught.value.predictions
    assert smiling([first]) == [1.0] and others == [None, None]
    model.script = [0.0, 0.0, Refused("INVALID_ARGUMENT", "no")]
    with pytest.raises(ServingError) as caught:
        user.use(server, lambda client: client(given), batch_size=1)
    assert [answer is None for answer in caught.value.predictions] == [False, True, True, True]
    assert list(caught.value.errors) == [1, 2]


def test_one_picture_has_one_answer(user, server):
    image = Image.new("RGB", (5, 4), (51, 51, 51))
    for picture in (image, np.asarray(image), np.asarray(image)[..., 0]):
        assert smiling([user.predict(server, picture)]) == smiling(user.predict(server, [picture]))


def test_opencv_order_is_turned(user, server):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    turned = user.use(server, lambda client: client(picture[..., ::-1], color_order="bgr"))
    assert smiling([turned]) == smiling([user.predict(server, picture)])


@pytest.mark.parametrize(
    "pictures, message",
    [
        (["absent.jpg"], "absent.jpg: the file is missing"),
        ("absent.jpg", "absent.jpg: the file is missing"),
        ([np.zeros((8, 8, 3), np.float32)], "picture 0: expected uint8 .* float32"),
        ([None], "picture 0: expected .* Received: None"),
        ([np.zeros((8, 0, 3), np.uint8)], "picture 0: expected at least one pixel"),
        (np.zeros((2, 8, 8, 2), np.uint8), r"2 of 2 pictures: picture 0: .* \[8, 8, 2\]"),
        (5, "a list of pictures. Received: int"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_sent(user, server, model, pictures, message):
    with pytest.raises(DataError, match=message):
        user.predict(server, pictures)
    assert not model.asked


def test_busy_server_is_asked_again(user, server, model, quick_retries):
    model.script = [BUSY, Refused("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!"), BUSY]
    assert smiling(user.predict(server, [grey(0)], retries=3)) == [1.0]
    assert num_predict_requests(model) == 4


def test_large_request_is_sent_again_too(user, server, model, quick_retries):
    # gRPC gives up retries for requests beyond 256 KiB unless it is told otherwise.
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    model.script = [BUSY]
    assert len(user.predict(server, [noise], retries=1)) == 1


@pytest.mark.parametrize("retries", [0, 2])
def test_server_that_stays_busy_is_an_error_after_the_retries(
    user, server, model, quick_retries, retries
):
    model.script = [BUSY] * 5
    with pytest.raises(ServerBusyError, match="model faces: The batch .* is full. Ask again later"):
        user.predict(server, [grey(0)], retries=retries)
    assert num_predict_requests(model) == 1 + retries


def test_slow_server_is_not_waited_for(user, server, model):
    model.script = [1.5]
    start = time.monotonic()
    with pytest.raises(DeadlineError, match="no answer within 0.3 seconds. Allow more time"):
        user.predict(server, [grey(0)], timeout=0.3)
    assert time.monotonic() - start < 1.4


def test_retries_end_at_the_deadline(user, server, model):
    model.script = [BUSY] * 5
    start = time.monotonic()
    with pytest.raises((ServerBusyError, DeadlineError)):
        user.predict(server, [grey(0)], timeout=0.5, retries=4)
    assert time.monotonic() - start < 1.5


def test_unknown_model_is_named(user, server, model):
    with pytest.raises(UnknownModelError, match="model absent: .*not found.* Name a model"):
        user.predict(server, [grey(0)], model="absent")
    assert len(model.asked) == 1  # another attempt would be of no use


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION"])
def test_request_that_does_not_fit_the_model_says_what_to_check(user, server, model, code):
    model.script = [Refused(code, 'Serving signature key "x" not found.')]
    with pytest.raises(ServingError, match='"x" not found. Is it a model that tfac-export wrote'):
        user.predict(server, [grey(0)])


def test_batch_beyond_the_servers_is_too_large(user, server, model):
    said = "Task size 32 is larger than maximum input batch size 8"
    model.script = [Refused("INVALID_ARGUMENT", said)]
    with pytest.raises(TooLargeError, match=f"{said}. Send fewer pictures a request"):
        user.predict(server, [grey(0)])


def test_failure_of_the_server_quotes_it(user, server, model):
    model.script = [Refused("INTERNAL", "kernel\nexploded " + "!" * 1000)]
    with pytest.raises(ServingError, match="kernel exploded !") as error:
        user.predict(server, [grey(0)])
    assert type(error.value) is ServingError and len(str(error.value)) < 700


def test_answer_beyond_the_limit_is_not_taken(user, model, monkeypatch):
    for module in ("grpc_transport", "rest_transport"):
        monkeypatch.setattr(f"tfac.serving.client.{module}.MAX_ANSWER_BYTES", 1000)
    with user.serve(model) as server, pytest.raises(TooLargeError, match="larger than max|1000"):
        user.predict(server, [grey(value) for value in range(50)], batch_size=50)


def test_nobody_at_the_address_is_said_so(user, quick_retries):
    scheme = "grpc" if user.wire == "grpc" else "http"
    server = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(
        ServerUnreachableError, match=f"{server}.*(refused|failed).*Is the server running"
    ):
        user.predict(server, [grey(0)])


def test_dropped_connections_are_said_so(user, quick_retries):
    with dropping_server() as port:
        server = f"127.0.0.1:{port}" if user.wire == "grpc" else f"http://127.0.0.1:{port}"
        with pytest.raises(ServerUnreachableError, match="Is the server running"):
            user.predict(server, [grey(0)], retries=1)


@contextlib.contextmanager
def dropping_server():
    """Yields the port of a server that closes each connection after its first bytes."""

    def drop(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drop, args=[listener])
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_server_that_comes_back_is_found_by_a_retry(user, model):
    port = free_port()
    server = f"127.0.0.1:{port}" if user.wire == "grpc" else f"http://127.0.0.1:{port}"
    answers = []
    asking = threading.Thread(
        target=lambda: answers.extend(user.predict(server, [grey(0)], retries=4))
    )
    asking.start()
    time.sleep(0.15)
    with user.serve(model, port):
        asking.join()
    assert smiling(answers) == [1.0]


@pytest.mark.parametrize("version", [None, 2, "canary"])
def test_version_is_asked_for(user, server, model, version):
    user.predict(server, [grey(0)], version=version)
    assert model.asked[0] == ("serving_default", 1, version)


def test_attribute_names_are_those_of_the_version_that_answered(user, server, model):
    def roll_forward(client):
        if isinstance(client, Client):
            first = client([grey(0)])
            model.version, model.metadata = 4, renamed
            return first + client([grey(0)])

        async def awaited():
            first = await client([grey(0)])
            model.version, model.metadata = 4, renamed
            return first + await client([grey(0)])

        return awaited()

    renamed = {"attributes": ["Hat"], "threshold_probabilities": [0.5]}
    first, second = user.use(server, roll_forward)
    assert tuple(first.scores) == ATTRIBUTES and tuple(second.scores) == ("Hat",)


def test_attribute_names_of_a_known_version_are_asked_for_once(user, server, model):
    user.predict(server, [grey(0)] * 6, batch_size=2, version=model.version)
    assert [signature for signature, _, _ in model.asked].count("tfac_metadata") == 1


def test_requests_share_a_connection(user, server, model):
    user.predict(server, [grey(0)] * 6, batch_size=2)
    assert len(model.asked) > 3 and len(model.peers) == 1


def test_metadata_is_the_contents_of_tfac_json(user, server, model):
    assert user.use(server, lambda client: client.metadata()) == model.metadata


def test_status_lists_the_versions(user, server):
    versions = user.use(server, lambda client: client.model_status())
    assert versions == [VersionStatus(3, "AVAILABLE", ""), VersionStatus(4, "END", "no memory")]


def test_explanations_have_masks_and_affinities_by_level(user, server, model):
    explanations = user.use(server, lambda client: client.explain([grey(0)] * 6))
    assert [rows for signature, rows, _ in model.asked if signature == "explain"] == [2, 2, 2]
    for explanation in explanations:
        assert explanation.prediction.scores["Smiling"] == 1 and explanation.groups == GROUPS
        assert tuple(explanation.masks) == tuple(explanation.affinity) == LEVELS
        assert explanation.masks["P3"].shape == (6, 4, 2)
        assert explanation.affinity["P4"].shape == (2, 2)
    assert np.any(explanations[0].masks["P3"] != explanations[1].masks["P3"])


def test_model_with_nothing_to_explain_says_so(user, server, model):
    model.metadata["explain"] = None
    with pytest.raises(ServingError, match="neither part masks nor landmarks"):
        user.use(server, lambda client: client.explain([grey(0)]))


@pytest.mark.parametrize(
    "outputs",
    [
        {"valid": None},
        {"valid": np.array([True, True])},
        {"scores": np.zeros((1, 4), np.float32)},
        {"scores": np.array([["a", "b", "c"]], object)},
        {"probabilities": np.zeros(3, np.float32)},
        {"landmarks": np.zeros((1, 5, 3), np.float32)},
    ],
)
def test_answer_of_another_shape_is_refused(user, server, model, outputs):
    if user.wire == "rest" and "scores" in outputs and outputs["scores"].dtype == object:
        outputs = {"scores": [["a", "b", "c"]]}
    model.outputs = outputs
    (name,) = outputs
    with pytest.raises(ServingError, match=f"expected numbers .* in the output {name}"):
        user.predict(server, [grey(0)])


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        {"attributes": ["a"]},
        {"attributes": ["a"], "threshold_probabilities": []},
        {"attributes": [1], "threshold_probabilities": [0.5]},
        {"attributes": ["a"], "threshold_probabilities": [0.5], "explain": []},
    ],
)
def test_metadata_of_something_else_are_refused(user, server, model, metadata):
    model.metadata = metadata
    with pytest.raises(ServingError, match="expected tfac.json"):
        user.use(server, lambda client: client.metadata())


def test_threads_share_a_client(model):
    with serve_grpc(model) as server, Client(server, model="faces") as client:
        answers = {}
        threads = [
            threading.Thread(target=lambda i=i: answers.update({i: client([grey(i)])}))
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(smiling(answers[i]) == [np.float32(1 + i / 255)] for i in range(8))


@pytest.mark.parametrize("wire", ["grpc", "rest"])
def test_tasks_share_an_async_client(model, wire):
    async def ask(server):
        async with AsyncClient(server, model="faces") as client:
            return await asyncio.gather(*(client([grey(i)]) for i in range(20)))

    with (serve_grpc if wire == "grpc" else serve_rest)(model) as server:
        answers = asyncio.run(ask(server))
    assert [smiling(one) for one in answers] == [[np.float32(1 + i / 255)] for i in range(20)]


def test_cancelled_request_leaves_the_client_usable(model):
    async def ask(server):
        async with AsyncClient(server, model="faces") as client:
            model.script = [0.3]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client([grey(0)])
            return await client([grey(0)])

    for serve in (serve_grpc, serve_rest):
        with serve(model) as server:
            assert smiling(asyncio.run(ask(server))) == [1.0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more"),
        ({"retries": 5}, "retries: expected 0 to 4"),
        ({"timeout": 0}, "timeout: expected seconds above 0"),
        ({"timeout": float("inf")}, "timeout: expected seconds above 0"),
        ({"model": ""}, "model: expected the name"),
        ({"version": -1}, "version: expected a number of 0 or more, or a label. Received: -1"),
        ({"version": 2**63}, "version: expected a number"),
        ({"version": ""}, "version: expected a number of 0 or more, or a label. Received: ''"),
    ],
)
def test_unusable_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Client("http://127.0.0.1:1", **({"model": "m"} | options))
