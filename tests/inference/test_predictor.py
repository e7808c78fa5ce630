import dataclasses
import io
import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from tests.serving.server.broken_pictures import broken_picture, whole_picture
from tfac.errors import DataError, PicturesError
from tfac.inference.prediction import Prediction
from tfac.inference.predictor import Predictor
from tfac.photos.preprocessing import resize_picture


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor(tiny_export.parent, batch_size=3)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = [(48, 40), (30, 50), (48, 40), (90, 90), (30, 50), (48, 40), (48, 40)]
    return [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in sizes]


def assert_same(first, second):
    for field in dataclasses.fields(Prediction):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, dict):
            assert list(one) == list(two)
            one, two = list(one.values()), list(two.values())
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_arrays_of_several_sizes_are_answered_in_order(predictor, pictures, tiny_trained):
    predictions = predictor(pictures)
    assert len(predictions) == len(pictures)
    for picture, prediction in zip(pictures, predictions, strict=True):
        resized = resize_picture(tf.constant(picture), tiny_trained.image_size)[None]
        outputs = tiny_trained.model(resized, training=False)
        scores = outputs["scores"].numpy()[0]
        np.testing.assert_allclose(list(prediction.scores.values()), scores, atol=1e-5)
        np.testing.assert_allclose(prediction.landmarks, outputs["landmarks"][0], atol=1e-5)
        assert list(prediction.predictions.values()) == list(scores > tiny_trained.thresholds)
        assert tuple(prediction.scores) == predictor.attributes == tiny_trained.attributes


def test_files_bytes_and_arrays_are_answered_alike(predictor, pictures, tmp_path):
    file = tmp_path / "face.png"
    Image.fromarray(pictures[1]).save(file)
    mixed = predictor([file, pictures[0], str(file), file.read_bytes(), pictures[1]])
    for i in (0, 2, 3):
        assert_same(mixed[i], mixed[4])


@pytest.mark.slow
def test_arrays_are_resized_for_an_export_of_one_size(predictor, pictures, tiny_trained, tmp_path):
    from tfac.export import ExportOptions, export_saved_model

    options = ExportOptions(input_size="trained", warmup_batch_sizes=())
    fixed = Predictor(export_saved_model(tiny_trained, tmp_path, options))
    for one, two in zip(fixed(pictures), predictor(pictures), strict=True):
        assert_same(one, two)


def test_batch_array_is_answered_picture_by_picture(predictor, pictures):
    batch = np.stack([pictures[0], pictures[2]])
    for one, two in zip(predictor(batch), predictor(list(batch)), strict=True):
        assert_same(one, two)


def test_nothing_is_answered_with_nothing(predictor):
    assert predictor([]) == []


def test_shown_attributes_are_the_predicted_ones_most_probable_first(predictor, pictures):
    prediction = predictor(pictures[:1])[0]
    assert set(prediction.shown) == {name for name, one in prediction.predictions.items() if one}
    probabilities = [prediction.probabilities[name] for name in prediction.shown]
    assert probabilities == sorted(probabilities, reverse=True) and len(probabilities) > 3


def test_thresholds_are_probabilities_by_attribute(predictor, tiny_trained):
    assert list(predictor.thresholds) == list(tiny_trained.attributes)
    expected = np.clip((tiny_trained.thresholds + 1) / 2, 0, 1)
    np.testing.assert_allclose(list(predictor.thresholds.values()), expected, rtol=1e-6)


def test_latest_version_is_taken(tiny_export, tmp_path):
    for version in ("2", "10"):
        shutil.copytree(tiny_export, tmp_path / version)
    (tmp_path / "11").mkdir()  # not an export
    assert Predictor(tmp_path).path == tmp_path / "10"
    assert Predictor(tmp_path / "2").path == tmp_path / "2"


def test_broken_file_is_named(predictor, pictures, tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(pictures[0]).save(good)
    bad.write_bytes(good.read_bytes()[:-60])
    with pytest.raises(DataError, match="bad.png: expected a whole JPEG or PNG"):
        predictor([good, bad, good])


def test_missing_file_is_named(predictor, tmp_path):
    with pytest.raises(DataError, match="absent.jpg"):
        predictor([tmp_path / "absent.jpg"])


def tensor(array):
    return tf.constant(array)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    "form",
    [
        Image.fromarray,
        tensor,
        png,
        lambda a: bytearray(png(a)),
        lambda a: io.BytesIO(png(a)),
        lambda a: tf.constant(png(a)),
        lambda a: tf.Variable(a),
        lambda a: a.astype(np.int64),
        lambda a: np.dstack([a, np.full(a.shape[:2], 7, np.uint8)]),
        lambda a: Image.fromarray(np.dstack([a, np.full(a.shape[:2], 7, np.uint8)])),
    ],
)
def test_every_form_of_a_picture_is_answered_alike_alone_and_in_a_list(predictor, pictures, form):
    expected = predictor([pictures[0]])[0]
    assert_same(predictor(form(pictures[0])), expected)
    assert_same(predictor([form(pictures[0])])[0], expected)
    assert_same(predictor(form(pictures[0]) for _ in range(2))[1], expected)


def test_grey_is_taken_in_three_forms(predictor, pictures):
    grey = pictures[0][..., 1]
    expected = predictor(np.dstack([grey] * 3))
    for picture in (grey, grey[..., None], Image.fromarray(grey), tensor(grey)):
        assert_same(predictor(picture), expected)


def test_opencv_order_is_turned(predictor, pictures):
    expected = predictor(pictures[0])
    assert_same(predictor(pictures[0][..., ::-1], color_order="bgr"), expected)
    with pytest.raises(AssertionError):
        assert_same(predictor(pictures[0][..., ::-1]), expected)
    assert_same(predictor(png(pictures[0]), color_order="bgr"), expected)
    with pytest.raises(DataError, match="color_order: expected rgb or bgr. Received: 'BGR'"):
        predictor(pictures[0], color_order="BGR")


def test_turned_picture_of_pillow_is_made_upright(predictor, pictures, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = Image.fromarray(np.rot90(pictures[1]))
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert_same(predictor(opened), predictor(pictures[1]))


def test_deep_grey_of_pillow_is_scaled_as_that_of_a_file(predictor, pictures):
    grey = pictures[0][..., 1]
    expected = predictor(grey)
    for deep in (grey.astype(np.uint16) * 257, np.int32(grey) * 257, np.float32(grey) / 255):
        assert_same(predictor(Image.fromarray(deep)), expected)


def test_paths_in_an_array_are_several_pictures(predictor, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "face.png")
    answers = predictor(np.array([str(tmp_path / "face.png")] * 2))
    assert_same(answers[1], predictor(pictures[0]))


@pytest.mark.parametrize(
    "picture, message",
    [
        (np.zeros((8, 8, 3), np.float32), r"float32 \[8, 8, 3\].*\(255 \* picture\).round"),
        (np.zeros((8, 8, 3), bool), "bool"),
        (np.full((8, 8, 3), 256), r"in \[256, 256\]"),
        (np.zeros((8, 8, 2), np.uint8), r"\[8, 8, 2\]"),
        (np.zeros((3, 8, 8), np.uint8), "channels last"),
        (np.zeros((0, 8, 3), np.uint8), "at least one pixel"),
        (None, "None .what cv2.imread gives"),
        ({}, "dict"),
        (Path("https://example.com/a.jpg"), "a URL; nothing is loaded"),
        (io.StringIO("face"), "binary mode"),
        (io.BytesIO(), "at its end"),
    ],
)
def test_what_is_no_picture_is_refused_by_position(predictor, pictures, picture, message):
    name = picture if isinstance(picture, Path) else "picture 1"
    with pytest.raises(DataError, match=f"{name}: expected .*{message}"):
        predictor([pictures[0], picture])


@pytest.mark.parametrize("pictures, received", [(None, "None"), ({"a.jpg": None}, "dict")])
def test_neither_picture_nor_list_is_refused(predictor, pictures, received):
    with pytest.raises(DataError, match=f"expected a picture, or a list .* Received: {received}"):
        predictor(pictures)


@pytest.fixture
def one_broken_of_many(pictures, tmp_path):
    """Seven whole pictures, and of position 2, 5 and 8 what is none."""
    (tmp_path / "bad.png").write_bytes(png(pictures[0])[:-60])
    given = list(pictures)
    for position, bad in ((2, tmp_path / "bad.png"), (5, None), (8, tmp_path / "absent.jpg")):
        given.insert(position, bad)
    return given


def test_error_has_the_answers_of_all_other_pictures(predictor, pictures, one_broken_of_many):
    with pytest.raises(
        PicturesError, match="3 of 10 pictures: .*bad.png: .*; picture 5: "
    ) as caught:
        predictor(one_broken_of_many)
    error = pickle.loads(pickle.dumps(caught.value))
    assert list(error.errors) == [2, 5, 8] and "absent.jpg: the file is missing" in error.errors[8]
    assert [i for i, one in enumerate(error.predictions) if one is None] == [2, 5, 8]
    answered = [one for one in error.predictions if one is not None]
    for one, two in zip(answered, predictor(pictures), strict=True):
        assert_same(one, two)


def test_broken_pictures_are_skipped_with_a_warning(predictor, pictures, one_broken_of_many):
    with pytest.warns(UserWarning, match="3 of 10 pictures: .*bad.png"):
        answers = predictor(one_broken_of_many, on_error="skip")
    assert [i for i, one in enumerate(answers) if one is None] == [2, 5, 8]
    assert_same(answers[9], predictor(pictures)[6])
    with pytest.warns(UserWarning, match="absent.jpg: the file is missing"):
        assert predictor("absent.jpg", on_error="skip") is None
    with pytest.raises(DataError, match="on_error: expected raise or skip. Received: 'ignore'"):
        predictor([], on_error="ignore")


def test_reprs_are_short(predictor, pictures):
    assert repr(predictor).endswith("/tiny/1', 40 attributes)")
    prediction = predictor(pictures[0])
    assert repr(prediction).startswith("Prediction(") and len(repr(prediction)) < 120
    assert prediction.shown[0] in repr(prediction)


@pytest.mark.parametrize("faces, warned", [("aligned", True), ("whole", False)])
def test_photo_in_place_of_a_crop_is_noticed_once(
    tiny_export, pictures, monkeypatch, faces, warned
):
    import tfac.inference.predictor as module

    predictor = Predictor(tiny_export)
    predictor.metadata = {**predictor.metadata, "faces": faces}
    looked_at = []
    monkeypatch.setattr(
        module, "shows_face_elsewhere", lambda picture, _: looked_at.append(picture.shape) or True
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictor([png(pictures[0]), pictures[1]])
        predictor(pictures)
    assert len(looked_at) == len(caught) == warned
    assert not warned or "picture 0: expected a face crop" in str(caught[0].message)


def test_folder_without_an_export_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is none at"):
        Predictor(tmp_path / "absent")
    with pytest.raises(DataError, match="or a version such as 1/"):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    "metadata", [None, "{", "[]", '{"attributes": ["a"], "threshold_probabilities": []}']
)
def test_export_of_something_else_is_refused(tmp_path, metadata):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    if metadata is not None:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "tfac.json").write_text(metadata)
    with pytest.raises(DataError, match="tfac.json"):
        Predictor(tmp_path)


def test_export_without_valid_is_refused(tmp_path):
    def answer(values):
        return {"scores": tf.zeros([1, 1])}

    module = tf.Module()
    files = tf.function(answer, [tf.TensorSpec([None], tf.string, "image_bytes")])
    arrays = tf.function(answer, [tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    tf.saved_model.save(module, tmp_path, {"serving_default": files, "images": arrays})
    (tmp_path / "assets.extra").mkdir()
    metadata = {"attributes": ["a"], "threshold_probabilities": [0.5]}
    (tmp_path / "assets.extra" / "tfac.json").write_text(json.dumps(metadata))
    with pytest.raises(DataError, match="output valid. Received: scores. Write the export again"):
        Predictor(tmp_path)


def test_export_that_is_cut_off_is_refused(tiny_export, tmp_path):
    shutil.copytree(tiny_export, tmp_path / "1")
    graph = tmp_path / "1" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(DataError, match="saved_model.pb"):
        Predictor(tmp_path)


def test_batch_size_below_one_is_refused(tiny_export):
    with pytest.raises(DataError, match="batch_size: expected 1 or more"):
        Predictor(tiny_export, batch_size=0)


@pytest.mark.slow
def test_mutated_pictures_are_refused_by_name_or_answered(predictor, tmp_path):
    random = np.random.default_rng(0)
    good = whole_picture(random)
    expected = predictor([good])[0].scores
    refused = 0
    for number in range(300):
        picture = broken_picture(random)
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(picture.encoded)
        try:
            predictor([path])
        except DataError as error:
            refused += 1
            assert str(path) in str(error), picture.kind
        else:
            converted = picture.kind.endswith((" picture", "animation"))  # another format
            assert converted or picture.decodes is not False, picture.kind
        if number % 50 == 0:
            assert predictor([good])[0].scores == expected
    assert refused > 100
