"""The same layers, models and losses on Keras's JAX backend."""

import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import sys
import keras, numpy as np, tfac.models
assert keras.backend.backend() == "jax"
from tfac.losses import get_attribute_loss, landmark_squared_error
model = keras.models.load_model(sys.argv[1])
images = np.load(sys.argv[2])
outputs = model(images)
labels = np.ones((2, 40), "float32")
loss = get_attribute_loss("squared_error").per_element(labels, outputs["scores"])
distance = landmark_squared_error(np.zeros((2, 72, 2), "float32"), outputs["landmarks"])
np.savez(sys.argv[3], **{name: np.array(value) for name, value in outputs.items()},
         loss=np.array(loss), distance=np.array(distance))
"""


@pytest.mark.slow
def test_jax_gives_the_answers_of_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed")
    from tfac.losses import get_attribute_loss
    from tfac.models import create_model

    model = create_model("dmm_cnn", backbone="resnet18", branch_normalization=True)
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 45, 71, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, "model.keras", "images.npy", "outputs.npz"],
        cwd=tmp_path,
        env={"KERAS_BACKEND": "jax", "PATH": "", "HOME": str(tmp_path)},
        check=True,
    )
    outputs = np.load(tmp_path / "outputs.npz")
    for name, value in model(images).items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-3, atol=1e-4)
    loss = get_attribute_loss("squared_error").per_element(
        np.ones((2, 40), np.float32), outputs["scores"]
    )
    np.testing.assert_allclose(outputs["loss"], loss, rtol=1e-5)
