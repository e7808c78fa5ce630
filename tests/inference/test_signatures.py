import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.models.model_checks import create_tiny_backbone
from tfac.attributes import AttributeGroups
from tfac.inference.signatures import create_signatures, describe_explanation
from tfac.losses import get_attribute_loss
from tfac.models import create_model, predict
from tfac.photos.preprocessing import read_picture, resize_picture


def evaluated(trained, resized):
    """What evaluation computes from resized pictures."""
    outputs = trained.predict(tf.stack(resized))
    scores = np.array(outputs["scores"])
    expected = {
        "valid": np.full(len(resized), True),
        "scores": scores,
        "probabilities": np.asarray(trained.attribute_loss.probabilities(scores)),
        "predictions": scores > trained.thresholds,
    }
    if "landmarks" in outputs:
        expected["landmarks"] = np.array(outputs["landmarks"])
    return expected


def assert_same(answers, expected):
    assert set(answers) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(answers[name], values, rtol=1e-5, atol=1e-5)


def as_example(encoded: bytes) -> bytes:
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(
        features=tf.train.Features(feature={"image": image})
    ).SerializeToString()


def ask(trained, name, values, **options):
    """The answers of a signature that is not exported."""
    signature = create_signatures(trained, "{}", **options)[name]
    return tf.function(signature.answer, [signature.input])(tf.constant(values))


@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
@pytest.mark.parametrize("name", ["serving_default", "explain", "examples"])
def test_files_of_any_size_are_answered_as_in_evaluation(
    tiny_trained, tiny_signatures, pictures, encode, name
):
    encoded = [encode(picture).numpy() for picture in pictures]
    expected = evaluated(
        tiny_trained, [read_picture(each, tiny_trained.image_size) for each in encoded]
    )
    if name == "examples":
        answers = tiny_signatures[name](examples=tf.constant([*map(as_example, encoded)]))
    else:
        answers = tiny_signatures[name](image_bytes=tf.constant(encoded))
    assert_same(answers, expected)
    assert 0.2 < expected["predictions"].mean() < 0.8  # the thresholds do decide something


@pytest.mark.parametrize("position", range(4))
def test_arrays_are_answered_as_in_evaluation(tiny_trained, tiny_signatures, pictures, position):
    picture = pictures[position]
    batch = np.stack([picture, picture[::-1], picture[:, ::-1]])
    expected = evaluated(
        tiny_trained, [resize_picture(tf.constant(one), tiny_trained.image_size) for one in batch]
    )
    assert_same(tiny_signatures["images"](images=tf.constant(batch)), expected)
    for shift in (-0.5, 0.0, 0.4):
        floats = tf.constant(batch + np.float32(shift))
        assert_same(tiny_signatures["images_float"](images=floats), expected)


def broken_files(encoded: bytes, picture: np.ndarray) -> dict[str, bytes]:
    png = tf.io.encode_png(picture).numpy()
    return {
        "empty": b"",
        "cut JPEG": encoded[:-40],
        "JPEG's first bytes": encoded[:3],
        "cut PNG": png[:-60],
        "PNG's first bytes": png[:8],
        "PNG of 10 gigapixels": png[:16] + b"\x00\x01\x86\xa0" * 2 + png[24:],
        "GIF": b"GIF89a not today",
        "text": b"face.jpg",
    }


@pytest.mark.parametrize("name", ["serving_default", "explain", "examples"])
def test_broken_files_have_no_answer_and_leave_the_others_theirs(
    tiny_signatures, encoded, pictures, name
):
    wrap = as_example if name == "examples" else bytes
    broken = list(map(wrap, broken_files(encoded[0], pictures[0]).values()))
    if name == "examples":
        broken += [b"\x00\xff\x01", b"", tf.train.Example().SerializeToString()]
    ask = tiny_signatures[name]
    (key,) = ask.structured_input_signature[1]
    good = [wrap(each) for each in encoded]
    alone = ask(**{key: tf.constant(good)})
    mixed = ask(**{key: tf.constant([good[0], *broken, *good[1:]])})
    where = [0, *range(len(broken) + 1, len(broken) + len(good))]
    for output, values in mixed.items():
        np.testing.assert_allclose(values.numpy()[where], alone[output], rtol=1e-5, atol=1e-6)
    without = slice(1, len(broken) + 1)
    expected = {"valid": 0, "scores": 0, "probabilities": -1, "predictions": -1, "landmarks": -1}
    for output, value in expected.items():
        assert (mixed[output].numpy()[without] == value).all(), output


def test_float_pictures_divided_by_255_have_no_answer(tiny_signatures, pictures):
    picture = pictures[0].astype(np.float32)
    batch = np.stack([picture / 255, np.zeros_like(picture), (picture > 99) * np.float32(1)])
    answers = tiny_signatures["images_float"](images=tf.constant(batch))
    assert answers["valid"].numpy().tolist() == [False, True, True]


def test_float_pictures_beyond_their_range_have_no_answer(tiny_signatures, pictures):
    batch = np.stack([pictures[0]] * 6).astype(np.float32)
    batch[1:, 7, 3, 1] = np.nan, np.inf, -np.inf, 255.5, -0.6
    answers = tiny_signatures["images_float"](images=tf.constant(batch))
    assert answers["valid"].numpy().tolist() == [True] + 5 * [False]
    assert (answers["probabilities"].numpy()[1:] == -1).all()


@pytest.mark.parametrize("shape", [(2, 0, 5, 3), (2, 5, 0, 3)])
def test_arrays_without_pixels_have_no_answer(tiny_signatures, shape):
    for name, dtype in (("images", tf.uint8), ("images_float", tf.float32)):
        answers = tiny_signatures[name](images=tf.zeros(shape, dtype))
        assert answers["valid"].numpy().tolist() == [False, False]
        assert answers["scores"].shape == (2, 40)


def test_signatures_are_named_and_typed(tiny_signatures):
    inputs = {
        name: next(iter(signature.structured_input_signature[1].values()))
        for name, signature in tiny_signatures.items()
    }
    assert inputs == {
        "serving_default": tf.TensorSpec([None], tf.string, "image_bytes"),
        "images": tf.TensorSpec([None, None, None, 3], tf.uint8, "images"),
        "images_float": tf.TensorSpec([None, None, None, 3], tf.float32, "images"),
        "examples": tf.TensorSpec([None], tf.string, "examples"),
        "explain": tf.TensorSpec([None], tf.string, "image_bytes"),
        "tfac_metadata": tf.TensorSpec([None], tf.string, "request"),
    }
    for name in set(inputs) - {"tfac_metadata"}:
        outputs = tiny_signatures[name].structured_outputs
        assert {k: (v.dtype, v.shape.as_list()) for k, v in outputs.items()} == {
            "valid": (tf.bool, [None]),
            "scores": (tf.float32, [None, 40]),
            "probabilities": (tf.float32, [None, 40]),
            "predictions": (tf.int32, [None, 40]),
            "landmarks": (tf.float32, [None, 72, 2]),
        }


def test_metadata_is_served(tiny_export, tiny_signatures):
    (text,) = tiny_signatures["tfac_metadata"](request=tf.constant([b""]))["metadata"].numpy()
    assert text.decode() == (tiny_export / "assets.extra" / "tfac.json").read_text()
    assert json.loads(text)["attributes"][0] == "5_o_Clock_Shadow"


GROUPS = {"top": ("Hat", "Grey"), "bottom": ("Beard",)}


@pytest.fixture(scope="module", params=["mgg_net", "lga_net"])
def attentive(request, tiny_trained):
    """An MGG-Net or LGA-Net of attributes and groups that a user defined."""
    keras.utils.set_random_seed(2)
    attributes = ("Beard", "Hat", "Grey")
    options = {"attributes": attributes, "part_groups": GROUPS, "levels": ("P3", "P5")}
    model = create_model(request.param, backbone=create_tiny_backbone(), **options)
    return dataclasses.replace(
        tiny_trained,
        model=model,
        attributes=attributes,
        groups=AttributeGroups.from_dict(
            {"subjective_attributes": ["Grey"], "part_groups": GROUPS}, attributes
        ),
        attribute_loss=get_attribute_loss("binary_crossentropy"),
        thresholds=np.zeros(3, np.float32),
        landmark_scheme=None if request.param == "mgg_net" else tiny_trained.landmark_scheme,
    )


def test_group_attention_is_explained(attentive, encoded):
    answers = ask(attentive, "explain", [*encoded, b"broken"])
    size = attentive.image_size
    resized = [read_picture(each, size) for each in encoded]
    outputs = attentive.model(tf.stack(resized), training=False, explain=True)
    expected = evaluated(attentive, resized)
    with_graph = attentive.landmark_scheme is None
    for level in ("P3", "P5"):
        masks = outputs[f"{level}_attention_mask"]
        expected[f"masks_{level}"] = ops.image.resize(masks, size, interpolation="bilinear")
        if with_graph:
            expected[f"affinity_{level}"] = outputs[f"{level}_affinity"]
    assert_same({name: values[:-1] for name, values in answers.items()}, expected)
    assert answers["masks_P3"].shape == (5, *size, 2)
    assert answers["masks_P3"].numpy().min() == 0 < answers["masks_P3"].numpy()[:-1].max()
    for name in expected:
        if name.startswith(("masks", "affinity")):
            assert not answers[name].numpy()[-1].any()
    assert describe_explanation(attentive) == {
        "levels": ["P3", "P5"],
        "groups": ["top", "bottom"],
        "affinity": with_graph,
    }


def test_model_without_landmarks_has_none_and_nothing_to_explain(small, encoded):
    signatures = create_signatures(small, "{}")
    assert "explain" not in signatures and describe_explanation(small) is None
    answers = ask(small, "serving_default", encoded)
    assert set(answers) == {"valid", "scores", "probabilities", "predictions"}


def test_model_with_landmarks_alone_explains_with_them(tiny_trained):
    expected = {"levels": [], "groups": [], "affinity": False}
    assert describe_explanation(tiny_trained) == expected


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_answered_in_float32(small, encoded, precision):
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    scores = keras.layers.Dense(40, dtype=precision)(features)
    assert scores.dtype == precision.removeprefix("mixed_")
    mixed = dataclasses.replace(small, model=keras.Model(inputs, {"scores": scores}))
    answers = ask(mixed, "serving_default", encoded)
    assert answers["scores"].dtype == answers["probabilities"].dtype == tf.float32


def test_test_time_flip_counts(small, pictures):
    inputs = keras.Input((None, None, 3))
    left = keras.layers.Cropping2D(((0, 0), (0, 20)))(inputs)  # not the same when mirrored
    scores = keras.layers.Dense(40)(keras.layers.GlobalAveragePooling2D()(left))
    model = keras.Model(inputs, {"scores": scores})
    flipped = dataclasses.replace(small, model=model, test_time_flip=True)
    batch = pictures[0][None]
    answers = ask(flipped, "images", batch)
    expected = predict(model, batch, test_time_flip=True)["scores"]
    np.testing.assert_allclose(answers["scores"], expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(answers["scores"], model(batch)["scores"], rtol=1e-3)


def test_trained_input_size_takes_that_size_alone(small, pictures, encoded):
    signatures = create_signatures(small, "{}", input_size="trained")
    assert signatures["images"].input.shape.as_list() == [None, 48, 40, 3]
    assert signatures["images_float"].input.shape.as_list() == [None, 48, 40, 3]
    answers = ask(small, "images", pictures[0][None], input_size="trained")
    assert_same(answers, evaluated(small, [pictures[0]]))
    assert ask(small, "serving_default", encoded, input_size="trained")["valid"].numpy().all()
