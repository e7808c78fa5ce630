import dataclasses
import importlib.util
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf

from tfac.errors import ConfigError, DataError
from tfac.inference.engines import ENGINES, Signature, TensorInfo, check_inputs, load_engine

SIGNATURE = Signature(
    inputs={"images": TensorInfo(tf.uint8, (None, None, None, 3))},
    outputs={"scores": TensorInfo(tf.float32, (None, 40))},
)


@pytest.fixture(scope="module")
def trained(tiny_trained):
    """A trained model of a few weights, with landmarks."""
    import keras

    keras.utils.set_random_seed(4)
    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(8, 3, strides=4)(keras.layers.Rescaling(1 / 255)(inputs))
    features = keras.layers.GlobalAveragePooling2D()(hidden)
    landmarks = keras.layers.Reshape((72, 2))(keras.layers.Dense(144)(features))
    outputs = {"scores": keras.layers.Dense(40)(features), "landmarks": landmarks}
    return dataclasses.replace(
        tiny_trained, model=keras.Model(inputs, outputs), thresholds=np.zeros(40, np.float32)
    )


@pytest.fixture(scope="module")
def version_folder(trained, tmp_path_factory):
    """An export of it."""
    from tfac.export import ExportOptions, export_saved_model

    folder = tmp_path_factory.mktemp("saved_models") / "few"
    return export_saved_model(trained, folder, ExportOptions(warmup_batch_sizes=()))


@pytest.fixture(scope="module")
def encoded():
    """Two pictures of different sizes, and something else between them."""
    rng = np.random.default_rng(6)
    files = [
        tf.io.encode_jpeg(rng.integers(0, 256, size, np.uint8)).numpy()
        for size in ((80, 50, 3), (48, 40, 3))
    ]
    return np.array([files[0], b"no picture\0", files[1]], object)


@pytest.fixture(scope="module")
def engine(version_folder):
    return load_engine(version_folder)


def test_signatures_say_names_types_and_shapes(engine):
    assert engine.signatures["serving_default"].inputs == {
        "image_bytes": TensorInfo(tf.string, (None,))
    }
    images = engine.signatures["images"]
    assert images.inputs == SIGNATURE.inputs
    assert images.outputs["landmarks"] == TensorInfo(tf.float32, (None, 72, 2))
    assert images.outputs["valid"] == TensorInfo(tf.bool, (None,))
    assert engine.metadata["image_size"] == {"height": 48, "width": 40}


def test_rows_are_answered_each_for_itself(engine, encoded):
    answers = engine.run("serving_default", {"image_bytes": encoded})
    assert answers["valid"].tolist() == [True, False, True]
    alone = engine.run("serving_default", {"image_bytes": encoded[2:]})
    np.testing.assert_allclose(answers["scores"][2], alone["scores"][0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("other", {}, "expected one of the signatures images. Received: 'other'"),
        ("images", {}, "images: expected the inputs images. Received: none"),
        ("images", {"pictures": 0}, "expected the inputs images. Received: pictures"),
        (
            "images",
            {"images": np.zeros((1, 2, 2, 3), np.float32)},
            r"images: expected uint8 \[any, any, any, 3\]. Received: float32 \[1, 2, 2, 3\]",
        ),
        ("images", {"images": np.zeros((2, 2, 3), np.uint8)}, r"Received: uint8 \[2, 2, 3\]"),
        ("images", {"images": np.array([b"x"], object)}, r"Received: string \[1\]"),
    ],
)
def test_other_inputs_are_refused(name, inputs, message):
    with pytest.raises(DataError, match=message):
        check_inputs({"images": SIGNATURE}, name, inputs)


def test_unknown_engine_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="engine: expected one of tensorflow, .* Received: jax"):
        load_engine(tmp_path, "jax")


def test_engine_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package openvino"):
        load_engine(tmp_path, "openvino")


def test_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected an export of tfac"):
        load_engine(tmp_path)
    with pytest.raises(DataError, match="expected an export of tfac"):
        load_engine(tmp_path / "absent")


NEEDED = ["saved_model.pb", "variables/variables.index", "assets.extra/tfac.json"]
NEEDED += ["variables/variables.data-00000-of-00001"]


@pytest.fixture
def copied(version_folder, tmp_path):
    return shutil.copytree(version_folder, tmp_path / "1")


@pytest.mark.parametrize("file", NEEDED)
def test_missing_and_cut_files_are_refused(file, copied):
    path = copied / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=str(copied)):
        load_engine(copied)
    path.unlink()
    with pytest.raises(DataError, match=str(copied)):
        load_engine(copied)


def test_changed_weights_are_refused(copied):
    path = copied / "variables" / "variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot load it"):
        load_engine(copied)


def test_saved_model_without_the_signatures_is_refused(copied):
    metadata = (copied / "assets.extra" / "tfac.json").read_text()
    shutil.rmtree(copied)
    tf.saved_model.save(tf.Module(), str(copied))
    (copied / "assets.extra").mkdir(exist_ok=True)
    (copied / "assets.extra" / "tfac.json").write_text(metadata)
    with pytest.raises(DataError, match="expected the signatures images, serving_default"):
        load_engine(copied)


OTHERS = {"onnxruntime": "model.onnx", "openvino": "openvino/model.xml"}
WRITERS = {"onnxruntime": ("onnx", "tf2onnx"), "openvino": ("openvino",)}


@pytest.fixture(scope="module")
def with_formats(trained, version_folder, tmp_path_factory):
    """The same export, with the formats of the engines that are installed."""
    from tfac.export.formats import write_formats

    formats = [
        packages[0] for packages in WRITERS.values() if all(map(importlib.util.find_spec, packages))
    ]
    folder = tmp_path_factory.mktemp("formats") / "1"
    shutil.copytree(version_folder, folder)
    write_formats(trained, formats, folder / "assets.extra" / "formats")
    return folder


@pytest.fixture(params=sorted(OTHERS))
def other(request):
    for package in (request.param, *WRITERS[request.param]):
        pytest.importorskip(package)
    return request.param


def test_every_engine_is_tested():
    assert set(ENGINES) == {"tensorflow", *OTHERS}


@pytest.mark.slow
def test_other_engines_answer_as_tensorflow(other, engine, with_formats, encoded):
    loaded = load_engine(with_formats, other)
    assert set(loaded.signatures) == set(engine.signatures) - {"explain"}
    pictures = np.random.default_rng(0).integers(0, 256, (3, 70, 33, 3), np.uint8)
    for name, inputs in {
        "serving_default": {"image_bytes": encoded},
        "images": {"images": pictures},
        "images_float": {"images": pictures.astype(np.float32)},
    }.items():
        assert loaded.signatures[name] == engine.signatures[name]
        expected, answers = engine.run(name, inputs), loaded.run(name, inputs)
        assert set(answers) == set(expected)
        for key, values in expected.items():
            assert answers[key].dtype == values.dtype
            np.testing.assert_allclose(answers[key], values, atol=1e-5, err_msg=key)


@pytest.mark.slow
def test_other_engines_answer_many_threads_at_once(other, with_formats):
    loaded = load_engine(with_formats, other)
    batches = np.random.default_rng(0).integers(0, 256, (8, 2, 48, 40, 3), np.uint8)
    expected = [loaded.run("images", {"images": batch})["scores"] for batch in batches]
    wrong = []

    def ask(batch, scores):
        for _ in range(20):
            answers = loaded.run("images", {"images": batch})["scores"]
            if not np.allclose(answers, scores, atol=1e-6):
                wrong.append(answers)

    threads = [
        threading.Thread(target=ask, args=pair) for pair in zip(batches, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.slow
def test_other_engines_refuse_missing_and_cut_files(other, with_formats, tmp_path):
    copied = shutil.copytree(with_formats, tmp_path / "1")
    path = copied / "assets.extra" / "formats" / OTHERS[other]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{other} cannot load it"):
        load_engine(copied, other)
    path.unlink()
    with pytest.raises(DataError, match="export the model with --formats"):
        load_engine(copied, other)


@pytest.mark.slow
def test_cut_weights_of_openvino_are_refused(with_formats, tmp_path):
    pytest.importorskip("openvino")
    copied = shutil.copytree(with_formats, tmp_path / "1")
    path = copied / "assets.extra" / "formats" / "openvino" / "model.bin"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="openvino cannot load it"):
        load_engine(copied, "openvino")


@pytest.mark.slow
def test_openvino_computes_as_the_model_was_trained(with_formats, tmp_path):
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    copied = shutil.copytree(with_formats, tmp_path / "1")
    path = copied / "assets.extra" / "tfac.json"
    path.write_text(path.read_text().replace('"float32"', '"mixed_bfloat16"'))
    images = {"images": np.random.default_rng(3).integers(0, 256, (4, 48, 40, 3), np.uint8)}
    exact, half = (
        load_engine(folder, "openvino").run("images", images)["scores"]
        for folder in (with_formats, copied)
    )
    assert 0 < np.abs(exact - half).max() < 0.02 * np.abs(exact).max()
