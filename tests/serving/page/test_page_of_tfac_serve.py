"""The page as `tfac-serve --page` has it, over real exports with random weights."""

import dataclasses

import numpy as np
import pytest
import requests

from tests.models.model_checks import create_tiny_resnet
from tests.serving.server.serve_program import serve_program
from tfac.attributes import ATTRIBUTES, PART_GROUPS
from tfac.inference.photo_prediction import faces_as_json, predict_crops
from tfac.inference.predictor import Predictor
from tfac.photos.face_crops import crop_faces
from tfac.photos.face_detection import FaceDetector
from tfac.photos.pictures import open_picture

pytestmark = pytest.mark.slow  # exports a network and starts a program


@pytest.fixture(scope="module")
def explaining_export(tiny_trained, tmp_path_factory):
    """An MGG-Net, which has masks and no landmarks."""
    from tfac.export import export_saved_model
    from tfac.models import create_model

    model = create_model(
        "mgg_net",
        backbone=create_tiny_resnet(),
        attributes=ATTRIBUTES,
        part_groups=PART_GROUPS,
    )
    trained = dataclasses.replace(tiny_trained, model=model, landmark_scheme=None)
    return export_saved_model(trained, tmp_path_factory.mktemp("saved_models") / "explaining")


@pytest.fixture(scope="module")
def address(tiny_export, explaining_export):
    # One row at a time is the least that a server may allow.
    folders = (tiny_export.parent, explaining_export.parent)
    with serve_program(*folders, "--page", "--max_batch_size=1") as program:
        assert program.process.stdout.readline() == f"The page: {program.url}/page\n"
        yield program.url


def ask(address, photo, *models):
    query = {"photo": photo.name, "model": models}
    headers = {"Content-Type": "application/octet-stream"}
    answer = requests.post(
        f"{address}/page/faces", params=query, data=photo.read_bytes(), headers=headers, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_page_is_beside_the_api(address):
    assert "<title>tfac" in requests.get(f"{address}/", timeout=20).text
    listed = requests.get(f"{address}/page/models", timeout=20).json()["models"]
    assert [(one["model"], one["mask_levels"]) for one in listed] == [
        ("tiny", []),
        ("explaining", ["P3", "P4"]),
    ]
    assert requests.get(f"{address}/v1/models/tiny", timeout=20).status_code == 200


def test_answers_are_those_of_tfac_predict(address, tiny_export, drawn_photos):
    photo = drawn_photos / "two.png"
    crops = crop_faces(open_picture(photo), FaceDetector())
    [(_, found)] = predict_crops([(photo, crops)], Predictor(tiny_export))
    [answer] = ask(address, photo, "tiny/1")["models"]
    assert len(answer["faces"]) == 2
    for face, expected in zip(answer["faces"], faces_as_json(found), strict=True):
        assert face["rectangle"] == expected["rectangle"] and face["landmarks_by"] == "model"
        np.testing.assert_allclose(face["landmarks"], expected["landmarks"], atol=0.02)
        for name in ATTRIBUTES:
            said, wanted = face["attributes"][name], expected["attributes"][name]
            assert said["score"] == pytest.approx(wanted["score"], abs=2e-4)
            assert said["probability"] == pytest.approx(wanted["probability"], abs=2e-4)


def test_each_part_of_a_real_export_has_a_mask(address, drawn_photos):
    models = ask(address, drawn_photos / "two.png", "explaining/1", "tiny/1")["models"]
    for face in models[0]["faces"]:
        assert list(face["masks"]) == ["P3", "P4"]
        for masks in face["masks"].values():
            assert list(masks) == list(PART_GROUPS)
            assert all(mask.startswith("data:image/png;base64,") for mask in masks.values())
        assert face["landmarks_by"] == "dlib"
    assert "masks" not in models[1]["faces"][0]
