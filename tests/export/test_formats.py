import dataclasses
import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tests.models.model_checks import (
    create_shallow_dlib_resnet,
    create_tiny_resnet,
    learn_statistics,
)
from tfac.errors import ConfigError
from tfac.export.formats import FORMATS, check_formats, write_formats
from tfac.inference.calibration import Calibration
from tfac.models import create_model

PRECISION = "mixed_bfloat16"
BACKBONES = {"baseline": create_shallow_dlib_resnet}

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
            backbone = BACKBONES.get(name, create_tiny_resnet)()
        finally:
            keras.config.set_dtype_policy("float32")
        model = create_model(name, backbone=backbone, dtype=PRECISION)
        noise = np.random.default_rng(0).integers(0, 256, (8, 48, 40, 3), np.uint8)
        learn_statistics(model, noise)
        return dataclasses.replace(tiny_trained, model=model, test_time_flip=True)

    return make


def check(trained, network, folder, name):
    images = np.random.default_rng(1).integers(0, 256, (5, *trained.image_size, 3), np.uint8)
    reference = dataclasses.replace(trained, model=network)
    expected = reference.predict(images)
    expected["probabilities"] = trained.probabilities(expected["scores"])
    for batch in (images, images[:1]):
        answers = RUN[name](folder, batch)
        assert set(answers) == set(TOLERANCES) & set(expected)
        for key, values in answers.items():
            assert values.dtype == np.float32
            np.testing.assert_allclose(
                values, expected[key][: len(batch)], atol=TOLERANCES[key], err_msg=key
            )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dmm_cnn", "mgg_net", "lga_net", "two_crop_net", "baseline"])
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
    calibration = Calibration(np.linspace(0.5, 2, 40, dtype="f"), np.linspace(-2, 2, 40, dtype="f"))
    small = dataclasses.replace(small, calibration=calibration)
    write_formats(small, [name], tmp_path)
    check(small, small.model, tmp_path, name)
    alone = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "openvino"}[name]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {alone, "network.json", f"ask_{name}.py"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_consistent_answers_are_in_each_format(small, name, tmp_path):
    if not installed(name):
        pytest.skip(f"the packages of {name} are not installed")
    consistent = dataclasses.replace(small, consistent=True)
    write_formats(consistent, [name], tmp_path)
    images = np.random.default_rng(4).integers(0, 256, (6, *small.image_size, 3), np.uint8)
    answers = RUN[name](tmp_path, images)
    expected = np.asarray(consistent.answers(answers["scores"]))
    assert (expected != (answers["scores"] > small.thresholds)).any()
    np.testing.assert_array_equal(answers["predictions"], expected)
    files = [tmp_path / f"{i}.png" for i in range(len(images))]
    for file, picture in zip(files, images, strict=True):
        Image.fromarray(picture).save(file)
    command = [sys.executable, "-I", str(tmp_path / f"ask_{name}.py"), *map(str, files)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    shown = [[name in json.loads(line)["shown"] for name in small.attributes] for line in lines]
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_program_beside_a_format_answers_as_predictor(tiny_trained, pictures, name, tmp_path):
    if not installed(name):
        pytest.skip(f"the packages of {name} are not installed")
    from tfac.export import ExportOptions, export_saved_model
    from tfac.inference.predictor import Predictor

    options = ExportOptions(formats=(name,), warmup_batch_sizes=())
    export = export_saved_model(tiny_trained, tmp_path / "faces", options)
    program = export / "assets.extra" / "formats" / f"ask_{name}.py"
    files = [tmp_path / f"{i}.png" for i in range(len(pictures))]  # smaller, larger, of both
    for file, picture in zip(files, pictures, strict=True):
        Image.fromarray(picture).save(file)
    # Isolated: the program imports nothing of tfac.
    command = [sys.executable, "-I", str(program), *map(str, files)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    predictions = Predictor(export)(files)
    for file, line, prediction in zip(files, lines, predictions, strict=True):
        answer = json.loads(line)
        assert answer["picture"] == str(file)
        assert answer["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-3)
        near = {
            name
            for name, cut in zip(tiny_trained.attributes, tiny_trained.thresholds, strict=True)
            if abs(prediction.scores[name] - cut) < 2e-3
        }
        assert set(answer["shown"]) ^ set(prediction.shown) <= near
    about = json.loads((program.parent / "network.json").read_text())
    metadata = json.loads((export / "assets.extra" / "tfac.json").read_text())
    for key in ("attributes", "thresholds", "threshold_probabilities", "image_size"):
        assert about[key] == metadata[key]


@pytest.mark.slow
def test_onnx_file_names_its_batch_and_explains_itself(tiny_trained, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    write_formats(tiny_trained, ["onnx"], tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch", value.name
    (text,) = [prop.value for prop in model.metadata_props if prop.key == "tfac"]
    assert text == (tmp_path / "network.json").read_text()


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
