import asyncio
import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.models.model_checks import create_tiny_resnet
from tests.serving.server.serve_program import serve_program
from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.errors import DataError, TooLargeError, UnknownModelError
from tfac.inference.prediction import Prediction
from tfac.inference.predictor import Predictor
from tfac.photos.face_crops import whole_crop
from tfac.photos.pictures import open_picture
from tfac.serving import AsyncClient, Client

pytestmark = pytest.mark.slow  # each asks a program that serves real exports

GROUPS = {"top": ("Hat", "Grey"), "bottom": ("Beard",)}


@pytest.fixture(scope="module")
def attentive_export(tiny_trained, tmp_path_factory):
    """An MGG-Net of two levels and two part groups with random weights."""
    from tfac.attributes import AttributeGroups
    from tfac.export import export_saved_model
    from tfac.models import create_model

    attributes = ("Beard", "Hat", "Grey")
    groups = {"subjective_attributes": ["Grey"], "part_groups": GROUPS}
    trained = dataclasses.replace(
        tiny_trained,
        model=create_model(
            "mgg_net",
            backbone=create_tiny_resnet(),
            attributes=attributes,
            part_groups=GROUPS,
            levels=("P3", "P5"),
        ),
        attributes=attributes,
        groups=AttributeGroups.from_dict(groups, attributes),
        thresholds=np.zeros(3, np.float32),
        landmark_scheme=None,
    )
    return export_saved_model(trained, tmp_path_factory.mktemp("saved_models") / "attentive")


@pytest.fixture(scope="module")
def addresses(tiny_export, attentive_export):
    with serve_program(tiny_export.parent, attentive_export.parent) as program:
        yield program.addresses


@pytest.fixture(params=["grpc", "rest"])
def server(request, addresses):
    return addresses[request.param]


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = [(48, 40), (30, 50), (218, 178), (90, 90)] * 10
    return [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in sizes]


def assert_same(one: Prediction, two: Prediction):
    assert one.predictions == two.predictions
    for field in ("scores", "probabilities"):
        first, second = getattr(one, field), getattr(two, field)
        assert list(first) == list(second)
        np.testing.assert_allclose(list(first.values()), list(second.values()), atol=1e-5)
    np.testing.assert_allclose(one.landmarks, two.landmarks, atol=1e-5)


def test_client_answers_as_the_predictor_does(server, tiny_export, pictures):
    expected = Predictor(tiny_export)(pictures)
    with Client(server, model="tiny") as client:
        answered = client(pictures)
        assert client.metadata() == Predictor(tiny_export).metadata
        (status,) = client.model_status()
    assert (status.version, status.state, status.error) == (1, "AVAILABLE", "")
    assert len(answered) == len(expected) == 40
    for one, two in zip(answered, expected, strict=True):
        assert_same(one, two)


@pytest.mark.parametrize("name", ["plain.jpg", "turned.jpg", "turned.png", "face.webp"])
def test_one_picture_has_one_answer_by_every_door(server, tiny_export, tmp_path, name):
    """At a third of its size, where a JPEG could be decoded to a part of it."""
    face, _ = draw_face(sample_face(0, "train", 0, 0), 218)
    file, exif = tmp_path / name, Image.Exif()
    picture = Image.fromarray(face[:, 20:198])
    if name.startswith("turned"):
        picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
    picture.save(file, quality=92, exif=exif)
    encoded, pixels = file.read_bytes(), open_picture(file)
    here = Predictor(tiny_export, batch_size=4)
    with Client(server, model="tiny", batch_size=4) as client:
        first, *others = [
            answer
            for predictor in (here, client)
            for door in (file, encoded, pixels, whole_crop(pixels).image)
            for answer in predictor([door])
        ]
    for other in others:
        assert other.predictions == first.predictions
        np.testing.assert_allclose(
            list(other.scores.values()), list(first.scores.values()), atol=1e-5
        )


def test_async_clients_answer_many_tasks_alike(server, pictures):
    async def ask():
        async with AsyncClient(server, model="tiny", batch_size=4) as client:
            return await asyncio.gather(*(client(pictures[:8]) for _ in range(8)))

    first, *others = asyncio.run(ask())
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert_same(one, two)


def test_explanations_are_those_of_the_signature(server, attentive_export, pictures):
    import tensorflow as tf

    model = tf.saved_model.load(str(attentive_export))
    files = [tf.io.encode_png(picture).numpy() for picture in pictures[:6]]
    expected = model.signatures["explain"](image_bytes=tf.constant(files))
    with Client(server, model="attentive") as client:
        explanations = client.explain(pictures[:6])
    for i, explanation in enumerate(explanations):
        assert explanation.groups == ("top", "bottom")
        for level in ("P3", "P5"):
            masks, affinity = explanation.masks[level], explanation.affinity[level]
            np.testing.assert_allclose(masks, expected[f"masks_{level}"][i], atol=1e-5)
            np.testing.assert_allclose(affinity, expected[f"affinity_{level}"][i], atol=1e-5)


def test_landmarks_are_an_explanation_without_masks(server, pictures):
    with Client(server, model="tiny") as client:
        (explanation,) = client.explain(pictures[:1])
    assert explanation.prediction.landmarks.shape == (72, 2)
    assert not explanation.masks and not explanation.affinity and not explanation.groups


def test_refusals_of_the_server_say_what_to_do(server, pictures):
    with Client(server, model="tiny") as client:
        with pytest.raises(DataError, match="picture 1: expected a whole JPEG or PNG"):
            client([pictures[0], b"GIF89a"])
    with Client(server, model="absent") as client:
        with pytest.raises(UnknownModelError, match="model absent"):
            client(pictures[:1])
        with pytest.raises(UnknownModelError, match="model absent"):
            client.model_status()
    with Client(server, model="tiny", version=9) as client:
        with pytest.raises(UnknownModelError):
            client(pictures[:1])
    with Client(server, model="tiny", batch_size=33) as client:
        with pytest.raises(TooLargeError, match="maximum input batch size 32.*batch_size"):
            client(pictures[:33])


def test_versions_roll_forward_under_a_client(tiny_export, attentive_export, pictures, tmp_path):
    base = tmp_path / "rolling"
    shutil.copytree(tiny_export, base / "1")
    with serve_program(base) as program:
        clients = [Client(server, model="rolling") for server in program.addresses.values()]
        for client in clients:
            assert len(client(pictures[:1])[0].scores) == 40
        shutil.copytree(attentive_export, tmp_path / "2")
        (tmp_path / "2").rename(base / "2")
        for client in clients:
            while [one.version for one in client.model_status() if one.state == "AVAILABLE"] != [2]:
                assert client(pictures[:1])
            assert tuple(client(pictures[:1])[0].scores) == ("Beard", "Hat", "Grey")
            client.close()
