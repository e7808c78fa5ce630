"""The same layers, models and losses on Keras's JAX backend."""

import json
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json, sys
import keras, numpy as np, tfac.models
assert keras.backend.backend() == "jax"
from tfac.landmarks import DLIB_72
from tfac.losses import PartGuidance, get_attribute_loss, landmark_squared_error
model = keras.models.load_model(sys.argv[1])
outputs = dict(model(np.load(sys.argv[2]), **json.loads(sys.argv[4])))
labels = np.ones((2, 40), "float32")
outputs["loss"] = get_attribute_loss("squared_error").per_element(labels, outputs["scores"])
if "landmarks" in outputs:
    target = np.zeros((2, 72, 2), "float32")
    outputs["distance"] = landmark_squared_error(target, outputs["landmarks"])
if "P5_attention_mask" in outputs:
    guidance = PartGuidance(DLIB_72, model.group_names)
    mask = outputs["P5_attention_mask"]
    outputs["guidance"] = guidance.squared_error(mask, outputs["landmarks"])
np.savez(sys.argv[3], **{name: np.array(value) for name, value in outputs.items()})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "call_arguments"),
    [
        ("dmm_cnn", {"backbone": "resnet18", "branch_normalization": True}, {}),
        ("mgg_net", {"backbone": "resnet18"}, {"explain": True}),
        ("mgg_net", {"backbone": "alexnet"}, {"explain": True}),
        ("lga_net", {"backbone": "resnet18"}, {"explain": True}),
    ],
)
def test_jax_gives_the_answers_of_tensorflow(tmp_path, name, arguments, call_arguments):
    pytest.importorskip("jax", reason="JAX is not installed")
    from tfac.losses import get_attribute_loss
    from tfac.models import create_model

    model = create_model(name, **arguments)
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 45, 71, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    files = ["model.keras", "images.npy", "outputs.npz"]
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *files, json.dumps(call_arguments)],
        cwd=tmp_path,
        env={"KERAS_BACKEND": "jax", "PATH": "", "HOME": str(tmp_path)},
        check=True,
    )
    outputs = np.load(tmp_path / "outputs.npz")
    for output, value in model(images, **call_arguments).items():
        np.testing.assert_allclose(outputs[output], value, rtol=1e-3, atol=1e-4)
    loss = get_attribute_loss("squared_error").per_element(
        np.ones((2, 40), np.float32), outputs["scores"]
    )
    np.testing.assert_allclose(outputs["loss"], loss, rtol=1e-5)
