import dataclasses
import importlib.util

import keras
import numpy as np
import pytest

from tests.models.model_checks import create_tiny_resnet
from tfac.errors import ConfigError
from tfac.export.formats import FORMATS, check_formats, write_formats
from tfac.models import create_model

PRECISION = "mixed_bfloat16"

# Largest difference of a score, a probability and a coordinate from the Keras model in float32.
TOLERANCES = {"scores": 2e-4, "probabilities": 5e-5, "landmarks": 5e-5}


def run_onnx(folder, images):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def run_litert(folder, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    return interpreter.Interpreter(str(folder / "model.tflite")).get_signature_runner()(
        images=images
    )


def run_openvino(folder, images):
    openvino = pytest.importorskip("openvino")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(folder / "openvino" / "model.xml", "CPU", options)
    answers = model({"images": images})
    return {output.get_any_name(): answers[output] for output in model.outputs}


RUN = {"onnx": run_onnx, "litert": run_litert, "openvino": run_openvino}


@pytest.fixture
def trained(tiny_trained):
    """Makes a trained network of a name, with test-time flip and in mixed precision."""

    def make(name):
        keras.utils.set_random_seed(2)
        keras.config.set_dtype_policy(PRECISION)
        try:
            backbone = "dlib_resnet29" if name == "two_crop_net" else create_tiny_resnet()
        finally:
            keras.config.set_dtype_policy("float32")
        model = create_model(name, backbone=backbone, dtype=PRECISION)
        noise = np.random.default_rng(0).integers(0, 256, (8, 48, 40, 3), np.uint8)
        for _ in range(20):
            model(noise, training=True)
        return dataclasses.replace(tiny_trained, model=model, test_time_flip=True)

    return make


def check(trained, network, folder, name):
    images = np.random.default_rng(1).integers(0, 256, (5, *trained.image_size, 3), np.uint8)
    reference = dataclasses.replace(trained, model=network)
    expected = reference.predict(images)
    expected["probabilities"] = trained.attribute_loss.probabilities(expected["scores"])
    for batch in (images, images[:1]):
        answers = RUN[name](folder, batch)
        assert set(answers) == set(TOLERANCES) & set(expected)
        for key, values in answers.items():
            assert values.dtype == np.float32
            np.testing.assert_allclose(
                values, expected[key][: len(batch)], atol=TOLERANCES[key], err_msg=key
            )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dmm_cnn", "mgg_net", "lga_net", "two_crop_net"])
def test_each_format_answers_as_the_keras_model(trained, model, tmp_path):
    from tfac.speed.folding import copy_network

    model = trained(model)
    formats = [name for name in FORMATS if installed(name)]
    write_formats(model, formats, tmp_path)
    exact = copy_network(model.model, "float32")
    for name in formats:
        check(model, exact, tmp_path, name)
    assert formats, "needs onnx and tf2onnx, or openvino"


def installed(name):
    try:
        check_formats([name])
    except ConfigError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_small_functional_model_is_written_alone(small, name, tmp_path):
    if not installed(name):
        pytest.skip(f"the packages of {name} are not installed")
    write_formats(small, [name], tmp_path)
    check(small, small.model, tmp_path, name)
    assert len(list(tmp_path.iterdir())) == 1


def test_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="formats: expected some of onnx.* Received: torch"):
        check_formats(["onnx", "torch"])


def test_missing_package_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name)
    )
    with pytest.raises(ConfigError, match="openvino needs packages .* not installed: openvino"):
        check_formats(["openvino"])
