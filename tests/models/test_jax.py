"""The same layers, models and losses on Keras's JAX backend."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.models.model_checks import create_shallow_dlib_resnet, create_tiny_resnet

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
import jax, keras, numpy as np, tfac.models
assert keras.backend.backend() == "jax"
from tfac.landmarks import DLIB_72
from tfac.losses import PartGuidance, get_attribute_loss, landmark_squared_error
images = np.load("images.npy")
for name, call_arguments in json.loads(sys.argv[1]).items():
    model = keras.models.load_model(f"{name}.keras")
    outputs = jax.jit(lambda images: dict(model(images, **call_arguments)))(images)
    labels = np.ones((2, 40), "float32")
    outputs["loss"] = get_attribute_loss("squared_error").per_element(labels, outputs["scores"])
    if "landmarks" in outputs:
        target = np.zeros((2, 72, 2), "float32")
        outputs["distance"] = landmark_squared_error(target, outputs["landmarks"])
    if "P5_attention_mask" in outputs:
        guidance = PartGuidance(DLIB_72, model.group_names)
        mask = outputs["P5_attention_mask"]
        outputs["guidance"] = guidance.squared_error(mask, outputs["landmarks"])
    np.savez(f"{name}.npz", **{key: np.array(value) for key, value in outputs.items()})
"""

# Of each: the model, its backbone, its other arguments, and its call's.
MODELS = {
    "dmm_cnn": ("dmm_cnn", create_shallow_dlib_resnet, {"branch_normalization": True}, {}),
    "mgg_net": ("mgg_net", create_tiny_resnet, {}, {"explain": True}),
    "mgg_net_alexnet": ("mgg_net", lambda: "alexnet", {}, {"explain": True}),
    "lga_net": ("lga_net", create_tiny_resnet, {}, {"explain": True}),
    "two_crop_net": ("two_crop_net", create_tiny_resnet, {}, {}),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """By name: what a model answers on TensorFlow, and the file of what it answers on JAX."""
    pytest.importorskip("jax", reason="JAX is not installed")
    from tfac.models import create_model

    folder = tmp_path_factory.mktemp("jax")
    images = np.random.default_rng(0).integers(0, 256, (2, 45, 71, 3)).astype(np.uint8)
    np.save(folder / "images.npy", images)
    expected = {}
    for name, (kind, backbone, arguments, call_arguments) in MODELS.items():
        model = create_model(kind, backbone=backbone(), **arguments)
        model.save(folder / f"{name}.keras")
        expected[name] = model(images, **call_arguments)
    calls = {name: call_arguments for name, (*_, call_arguments) in MODELS.items()}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(calls)],
        cwd=folder,
        env={"KERAS_BACKEND": "jax", "PATH": "", "HOME": str(folder)},
        check=True,
    )
    return {name: (outputs, folder / f"{name}.npz") for name, outputs in expected.items()}


@pytest.mark.parametrize("name", MODELS)
def test_jax_gives_the_answers_of_tensorflow(answers, name):
    from tfac.losses import get_attribute_loss

    expected, file = answers[name]
    outputs = np.load(file)
    for output, value in expected.items():
        np.testing.assert_allclose(outputs[output], value, rtol=1e-3, atol=1e-4)
    loss = get_attribute_loss("squared_error").per_element(
        np.ones((2, 40), np.float32), outputs["scores"]
    )
    np.testing.assert_allclose(outputs["loss"], loss, rtol=1e-5)
