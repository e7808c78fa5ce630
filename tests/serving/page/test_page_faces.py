import io
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

from tfac.errors import DataError
from tfac.photos.alignment import CROP_HEIGHT, CROP_WIDTH, LEFT_EYE, RIGHT_EYE, align_face
from tfac.photos.face_crops import FaceCrop, whole_crop
from tfac.photos.face_detection import FaceDetector
from tfac.serving.page import faces
from tfac.serving.page.faces import FaceFinder, answer_faces, describe_model


def make_model(**metadata):
    """A version whose metadata is that of two attributes, two levels and two groups."""
    metadata = {
        "attributes": ["Smiling", "Young"],
        "part_groups": {"mouth": ["Smiling"], "whole_face": ["Young"]},
        "threshold_probabilities": [0.5, 0.123456],
        "explain": {"levels": ["P3", "P4"], "groups": ["mouth", "whole_face"]},
        **metadata,
    }
    engine = types.SimpleNamespace(signatures={"serving_default": None, "explain": None})
    return types.SimpleNamespace(name="m", version=3, engine=engine, metadata=metadata)


@pytest.fixture(scope="module")
def find():
    return FaceFinder(at_once=1)


def predict(name, version, signature, inputs):
    assert (name, version) == ("m", 3) and inputs["image_bytes"].shape == (1,)
    answers = {
        "scores": np.array([[1.5, -2]], np.float32),
        "probabilities": np.array([[0.75, 0.1]], np.float32),
        "predictions": np.array([[1, 0]], np.int32),
    }
    if signature == "explain":
        masks = np.ones((1, 8, 8, 2), np.float32)
        answers |= {"masks_P3": masks, "masks_P4": masks}
    return answers


def test_face_is_as_tfac_predict_writes_it():
    answer = answer_faces([whole_crop(np.zeros((6, 4, 3), np.uint8))], make_model(), predict)
    assert (answer["model"], answer["version"]) == ("m", 3)
    assert answer["thresholds"] == {"Smiling": 0.5, "Young": 0.1235}
    [face] = answer["faces"]
    assert face["rectangle"] == {"left": 0, "top": 0, "right": 4, "bottom": 6}
    assert face["attributes"] == {
        "Smiling": {"shown": True, "probability": 0.75, "score": 1.5},
        "Young": {"shown": False, "probability": 0.1, "score": -2.0},
    }
    assert face["landmarks"] is None and face["landmarks_by"] is None


def test_masks_are_placed_where_the_crop_is_in_the_photo():
    photo = np.zeros((300, 400, 3), np.uint8)
    crop = FaceCrop(photo, (0, 0, 9, 9), align_face(photo, (100, 150), (200, 160)))
    crop = FaceCrop(crop.aligned.image, crop.rectangle, crop.aligned)
    [face] = answer_faces([crop], make_model(), predict)["faces"]
    assert set(face["masks"]) == {"P3", "P4"} and set(face["masks"]["P3"]) == {
        "mouth",
        "whole_face",
    }
    place = face["crop"]
    assert (place["width"], place["height"]) == (CROP_WIDTH, CROP_HEIGHT)
    a, b, c, d, e, f = place["to_photo"]  # as SVG's matrix(): x' = a x + c y + e
    for eye, there in ((LEFT_EYE, (100, 150)), (RIGHT_EYE, (200, 160))):
        x, y = np.add(eye, 0.5)  # SVG counts from a pixel's corner
        found = (a * x + c * y + e, b * x + d * y + f)
        np.testing.assert_allclose(found, np.add(there, 0.5), atol=0.02)


def test_masks_of_a_whole_picture_cover_it():
    [face] = answer_faces([whole_crop(np.zeros((6, 4, 3), np.uint8))], make_model(), predict)[
        "faces"
    ]
    assert face["crop"] == {"width": 4, "height": 6, "to_photo": [1, 0, 0, 1, 0, 0]}


@pytest.mark.parametrize(
    "explain", [None, {"levels": [], "groups": []}], ids=["nothing", "landmarks_alone"]
)
def test_model_without_masks_is_not_asked_for_them(explain):
    model = make_model(explain=explain)
    [face] = answer_faces([whole_crop(np.zeros((6, 4, 3), np.uint8))], model, predict)["faces"]
    assert "masks" not in face and "crop" not in face
    assert describe_model(model)["mask_levels"] == []


def test_engine_that_does_not_explain_is_not_asked_to():
    model = make_model()
    del model.engine.signatures["explain"]
    [face] = answer_faces([whole_crop(np.zeros((6, 4, 3), np.uint8))], model, predict)["faces"]
    assert "masks" not in face


def test_model_sees_the_very_pixels_of_the_crop():
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)

    def check(name, version, signature, inputs):
        with Image.open(io.BytesIO(inputs["image_bytes"][0])) as seen:
            np.testing.assert_array_equal(np.asarray(seen), picture)
        return predict(name, version, signature, inputs)

    answer_faces([whole_crop(picture)], make_model(), check)


def test_no_faces_are_no_answer_and_no_request():
    assert answer_faces([], make_model(), None)["faces"] == []


def test_export_without_a_data_set_is_described():
    assert describe_model(make_model())["data"] is None
    assert describe_model(make_model(data={"name": "celeba"}))["data"] == "celeba"


def test_no_more_photos_are_searched_at_once_than_allowed(monkeypatch, drawn_photos):
    at_work, most = 0, 0

    def faces_of(photo, detector):
        if detector is None:
            return [whole_crop(photo.image)]
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.02)
        at_work -= 1
        return []

    monkeypatch.setattr(faces, "faces_of", faces_of)
    find, encoded = FaceFinder(at_once=2), (drawn_photos / "meadow.png").read_bytes()
    threads = [threading.Thread(target=find, args=(encoded, "a", FaceDetector())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_broken_photo_does_not_take_a_detector_away(find, drawn_photos):
    for _ in range(3):
        with pytest.raises(DataError, match="^broken.png: "):
            find((drawn_photos / "broken.png").read_bytes(), "broken.png", None)
    whole, crops = find((drawn_photos / "two.png").read_bytes(), "two.png", FaceDetector())
    assert whole.image.shape == (220, 440, 3) and len(crops) == 2
