import dataclasses
import json
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfac import export
from tfac.data.preprocessing import read_picture, resize_picture
from tfac.errors import DataError
from tfac.export import export_saved_model, versions

SIZES = [(48, 40), (61, 33), (20, 70), (218, 178)]  # height and width; the first is not resized


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [
        np.clip(rng.normal(rng.uniform(50, 200), 40, (h, w, 3)), 0, 255).astype(np.uint8)
        for h, w in SIZES
    ]


def evaluated(trained, resized):
    """What evaluation computes from resized pictures."""
    outputs = trained.model(tf.stack(resized), training=False)
    scores = outputs["scores"].numpy()
    return {
        "scores": scores,
        "probabilities": np.asarray(trained.attribute_loss.probabilities(scores)),
        "predictions": scores > trained.thresholds,
        "landmarks": outputs["landmarks"].numpy(),
    }


def assert_same(answers, expected):
    assert set(answers) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(answers[name].numpy(), values, rtol=1e-5, atol=1e-5)
    assert answers["predictions"].dtype == tf.int32
    assert all(
        answers[name].dtype == tf.float32 for name in set(expected).difference({"predictions"})
    )


@pytest.fixture(scope="module")
def signatures(tiny_export):
    loaded = tf.saved_model.load(str(tiny_export))
    yield loaded.signatures


@pytest.fixture
def small(tiny_trained):
    """A trained model of a few weights, quick to export; scores follow the mean colour."""
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = {"scores": keras.layers.Dense(40, dtype="float32")(features)}
    model = keras.Model(inputs, outputs)
    return dataclasses.replace(tiny_trained, model=model, landmark_scheme=None)


@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
def test_encoded_pictures_of_any_size_are_answered_as_in_evaluation(
    tiny_trained, signatures, encode
):
    encoded = [encode(picture).numpy() for picture in pictures()]
    answers = signatures["serving_default"](image_bytes=tf.constant(encoded))
    resized = [read_picture(e, tiny_trained.image_size) for e in encoded]
    expected = evaluated(tiny_trained, resized)
    assert_same(answers, expected)
    assert 0.2 < expected["predictions"].mean() < 0.8  # the thresholds do decide something


@pytest.mark.parametrize("position", range(len(SIZES)))
def test_image_tensors_are_answered_as_in_evaluation(tiny_trained, signatures, position):
    picture = pictures()[position]
    batch = np.stack([picture, picture[::-1], picture[:, ::-1]])
    answers = signatures["images"](images=tf.constant(batch))
    resized = [resize_picture(tf.constant(one), tiny_trained.image_size) for one in batch]
    assert_same(answers, evaluated(tiny_trained, resized))


def test_signatures_are_named_and_typed(signatures):
    (_, encoded), (_, images) = (
        signatures[name].structured_input_signature for name in ("serving_default", "images")
    )
    assert encoded == {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    assert images == {"images": tf.TensorSpec([None, None, None, 3], tf.uint8, "images")}
    shapes = {k: v.shape.as_list() for k, v in signatures["images"].structured_outputs.items()}
    assert shapes == {
        "scores": [None, 40],
        "probabilities": [None, 40],
        "predictions": [None, 40],
        "landmarks": [None, 72, 2],
    }


def test_bytes_that_are_no_picture_are_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG"):
        signatures["serving_default"](image_bytes=tf.constant([b"GIF89a not today"]))


def test_weights_are_stored_once(tiny_trained, tiny_export):
    stored = sum(file.stat().st_size for file in (tiny_export / "variables").iterdir())
    assert stored < 4.1 * tiny_trained.model.count_params()


def test_meaning_of_the_outputs_travels_with_the_model(tiny_trained, tiny_export):
    extra = tiny_export / "assets.extra"
    assert (extra / "attributes.txt").read_text().split() == list(tiny_trained.attributes)
    metadata = json.loads((extra / "tfac.json").read_text())
    assert metadata["attributes"] == list(tiny_trained.attributes)
    assert metadata["thresholds"] == tiny_trained.thresholds.tolist()
    np.testing.assert_allclose(
        metadata["threshold_probabilities"], np.clip((tiny_trained.thresholds + 1) / 2, 0, 1)
    )
    assert {name: len(group) for name, group in metadata["attribute_groups"].items()} == {
        "objective": 22,
        "subjective": 18,
    }
    assert metadata["attribute_loss"] == "squared_error"
    assert metadata["image_size"] == {"height": 48, "width": 40}
    assert metadata["landmark_scheme"] == "dlib_72"
    assert metadata["landmark_features"]["left_eye"] == [36, 42]
    assert metadata["training"]["backbone"] == "resnet18"


# Keras cannot be barred: TensorFlow itself imports it.
ALONE = """
import importlib.abc, sys
BARRED = {"tfac", "keras_hub", "tensorflow_datasets", "tensorflow_text", "PIL", "dlib"}
class Bar(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BARRED:
            raise ImportError(name + " is barred")
sys.meta_path.insert(0, Bar())
import numpy as np, tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
picture = np.arange(30 * 50 * 3, dtype=np.uint8).reshape(30, 50, 3)
encoded = tf.io.encode_png(picture)[None]
one = signatures["serving_default"](image_bytes=encoded)
two = signatures["images"](images=picture[None])
for name in ("scores", "probabilities", "predictions", "landmarks"):
    np.testing.assert_allclose(one[name], two[name], atol=1e-5)
print(one["scores"].shape)
"""


@pytest.mark.slow
def test_runs_in_a_process_with_tensorflow_alone(tiny_export):
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(tiny_export)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 40)"


def test_model_without_landmarks_has_none_in_its_answers(small, tmp_path):
    path = export_saved_model(small, tmp_path / "small")
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(signature.structured_outputs) == {"scores", "probabilities", "predictions"}
    metadata = json.loads((path / "assets.extra" / "tfac.json").read_text())
    assert metadata["landmark_scheme"] is None and metadata["landmark_features"] is None


def test_mixed_precision_model_answers_in_float32(small, tmp_path):
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    scores = keras.layers.Dense(40, dtype="mixed_bfloat16")(features)
    assert scores.dtype == "bfloat16"
    mixed = dataclasses.replace(small, model=keras.Model(inputs, {"scores": scores}))
    path = export_saved_model(mixed, tmp_path)
    outputs = tf.saved_model.load(str(path)).signatures["images"].structured_outputs
    assert outputs["scores"].dtype == outputs["probabilities"].dtype == tf.float32


def test_versions_rise_above_the_largest(small, tmp_path):
    assert export_saved_model(small, tmp_path) == tmp_path / "1"
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert export_saved_model(small, tmp_path) == tmp_path / "8"
    assert versions(tmp_path) == [1, 7, 8]


def test_failed_export_leaves_nothing(small, tmp_path, monkeypatch):
    def fail(trained):
        raise OSError("disk full")

    monkeypatch.setattr(export, "describe", fail)  # called last
    with pytest.raises(DataError, match="cannot be written: disk full"):
        export_saved_model(small, tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_exports_at_the_same_time_get_versions_of_their_own(small, tmp_path, monkeypatch):
    # Both have chosen version 1 before either has written it.
    barrier, describe = threading.Barrier(2, timeout=60), export.describe

    def meet(trained):
        if not versions(tmp_path):
            barrier.wait()
        return describe(trained)

    monkeypatch.setattr(export, "describe", meet)
    paths = []
    lock = threading.Lock()

    def run():
        path = export_saved_model(small, tmp_path)
        with lock:
            paths.append(path)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in paths) == ["1", "2"]
    assert all((path / "saved_model.pb").is_file() for path in paths)


def test_directory_that_is_a_file_is_refused(small, tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(DataError, match="is a file"):
        export_saved_model(small, tmp_path / "model")
